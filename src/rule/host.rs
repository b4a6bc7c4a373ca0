//! Hosts of a rule.

use crate::request::host::Host;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// In the form of [`Host::name`].
    Exact(String),
    /// `*.example.com`, held as `example.com`: at least one label stands before it.
    Wildcard(String),
    Any,
}

impl HostPattern {
    /// `shop.example.com`, `*.example.com`, an IP address, or `*`.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (build, name): (fn(String) -> Self, &str) = match text.strip_prefix("*.") {
            Some(rest) => (Self::Wildcard, rest),
            None => (Self::Exact, text),
        };
        if let Some((scheme, _)) = name.split_once("://") {
            return Err(format!(
                "host {text:?}: leave {scheme}:// out, rules match the name alone"
            ));
        }
        if name.contains('*') {
            return Err(format!(
                "host {text:?}: `*` may stand alone or as the whole first label, as in `*.example.com`"
            ));
        }
        let host = Host::parse(name.as_bytes()).ok_or_else(|| format!("{text:?} is no host name or IP address"))?;
        if host.name() != host.authority() {
            return Err(format!("host {text:?}: leave the port out, rules match the name alone"));
        }
        Ok(build(host.name().to_owned()))
    }

    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(host) => host == name,
            Self::Wildcard(parent) => name
                .strip_suffix(parent.as_str())
                .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
            Self::Any => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsed_and_matched() {
        let wildcard = HostPattern::parse("*.Example.com").expect("fine");
        assert!(wildcard.matches("a.example.com") && wildcard.matches("a.b.example.com"));
        assert!(
            !wildcard.matches("example.com")
                && !wildcard.matches("badexample.com")
                && !wildcard.matches(".example.com")
        );
        assert!(HostPattern::parse("*").expect("fine").matches("x"));
        assert!(HostPattern::parse("[::1]").expect("fine").matches("[::1]"));
        for bad in ["", "a b", "a.*.com", "*a.com", "a.com:80", "a/b", "*."] {
            assert!(HostPattern::parse(bad).is_err(), "{bad}");
        }
    }
}

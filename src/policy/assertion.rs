//! What the next gate is told, signed.

use super::Secret;
use crate::authn::jwt::Algorithm;
use crate::header::HeaderName;
use std::time::Duration;

/// `identity.assertion`: a token about the caller, made for the upstream and the gates on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assertion {
    /// Removed from every request before it is set.
    pub header: HeaderName,
    /// ES256 or RS256: what a host's own signature check takes everywhere.
    pub algorithm: Algorithm,
    /// 1 to 3 private keys. The first signs; all stand in the key set, so that keys can be exchanged.
    pub keys: Vec<Secret>,
    pub issuer: String,
    pub audience: AssertedAudience,
    /// 1 s to 1 h.
    pub ttl: Duration,
    /// Where this gate itself answers with its public keys; None: nowhere.
    pub jwks_path: Option<String>,
}

/// `mesh`, or `https://{host}`: text before and after the host that the caller named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssertedAudience {
    pub before: String,
    /// None: `before` is all of it, whatever the host.
    pub after: Option<String>,
}

impl AssertedAudience {
    /// `{host}` at most once, everything else is printable ASCII without braces.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("empty audience: an assertion is for somebody".into());
        }
        if let Some(c) = text.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(format!("unexpected character {c:?} in audience {text:?}"));
        }
        let (before, after) = match text.split_once("{host}") {
            Some((before, after)) => (before, Some(after)),
            None => (text, None),
        };
        if [before, after.unwrap_or_default()].concat().contains(['{', '}']) {
            return Err(format!("audience {text:?}: the only part in braces is {{host}}, once"));
        }
        Ok(Self {
            before: before.to_owned(),
            after: after.map(str::to_owned),
        })
    }

    /// `host`: the normal form of the host that rules match, without port.
    pub fn of(&self, host: &str) -> String {
        match &self.after {
            Some(after) => [&self.before, host, after].concat(),
            None => self.before.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::AssertedAudience;

    #[test]
    fn the_host_stands_where_it_is_named() {
        let of = |text| AssertedAudience::parse(text).map(|audience| audience.of("shop.example.com"));
        assert_eq!(of("mesh"), Ok("mesh".into()));
        assert_eq!(of("https://{host}/x"), Ok("https://shop.example.com/x".into()));
        assert_eq!(of("{host}"), Ok("shop.example.com".into()));
        for text in ["", "a b", "{hosts}", "{host}{host}", "}"] {
            assert!(of(text).is_err(), "{text}");
        }
    }
}

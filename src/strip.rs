//! What is removed from every request before anything else is looked at.

use crate::header::{Edits, Headers, Marks, NamePattern, NameSet, Names};

/// Headers by which a caller would tell the upstream another method, path or host than the one
/// that was matched, as frameworks read them. `identity.keep` lists exceptions.
pub const OVERRIDE_HEADERS: &[&str] = &[
    "x-original-url",
    "x-original-uri",
    "x-original-method",
    "x-original-host",
    "x-rewrite-url",
    "x-override-url",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-http-host-override",
    "x-host",
    "x-forwarded-method",
    "x-forwarded-uri",
    "x-forwarded-path",
    "x-forwarded-prefix",
    "x-forwarded-host",
    "x-forwarded-server",
    "forwarded",
];

/// Names to remove, compared after folding (see [`crate::header::Folded`]): a server that folds
/// names must not see one that we let pass.
#[derive(Debug, Default)]
pub struct Strip {
    always: NameSet,
    unless_kept: NameSet,
    keep: NameSet,
    /// Credentials stand in headers: a trailer of such a name was looked at by nobody.
    in_trailers: NameSet,
    /// Of all that is removed.
    marks: Marks,
}

impl Strip {
    /// `always`: identity headers of all rules and accepted headers of all callouts, joined by
    /// `x-envoy-*`; nothing is excepted from these. `operators`: `identity.strip`, joined by the
    /// override headers. `keep`: exceptions from the latter.
    pub fn new(always: Vec<NamePattern>, operators: Vec<NamePattern>, keep: Vec<NamePattern>) -> Self {
        let builtin = |text: &&str| NamePattern::parse(text).ok();
        let always = always.into_iter();
        let always: NameSet = always.chain(["x-envoy-*"].iter().filter_map(builtin)).collect();
        let unless_kept = operators.into_iter();
        let unless_kept: NameSet = unless_kept.chain(OVERRIDE_HEADERS.iter().filter_map(builtin)).collect();
        Self {
            marks: always.marks().or(unless_kept.marks()),
            always,
            unless_kept,
            keep: keep.into_iter().collect(),
            in_trailers: NameSet::default(),
        }
    }

    /// `credentials`: the headers in which authenticators look for them; as trailers they are removed,
    /// too.
    pub fn with_trailers_of(self, credentials: impl Iterator<Item = NamePattern>) -> Self {
        Self {
            in_trailers: credentials.collect(),
            ..self
        }
    }

    /// Names of trailers that the upstream must not see.
    pub fn trailers(&self, trailers: &Headers) -> Names {
        let mut edits = self.edits(trailers);
        let names = trailers.iter().map(|(name, _)| name);
        names
            .filter(|name| self.in_trailers.contains(name))
            .for_each(|name| edits.remove(name));
        edits.remove
    }

    /// Whether a header or trailer of this name is removed. `:path` folds to `_path`, which a pattern
    /// as `*path` would take: what frames the request stays.
    pub fn takes(&self, name: &[u8]) -> bool {
        name.first() != Some(&b':')
            && (self.always.contains(name) || (self.unless_kept.contains(name) && !self.keep.contains(name)))
    }

    /// The removals for one message.
    pub fn edits(&self, headers: &Headers) -> Edits {
        let mut edits = Edits::default();
        for (name, _) in headers.marked(&self.marks) {
            if self.takes(name) {
                edits.remove(name);
            }
        }
        for value in headers.all("connection").filter(|_| !self.takes(b"connection")) {
            self.clean_connection(value, &mut edits);
        }
        edits
    }

    /// An upgrade keeps its `connection` header, and the next hop drops what it lists: our own
    /// headers, if a caller lists them. Only `upgrade` is left of it.
    fn clean_connection(&self, value: &[u8], edits: &mut Edits) {
        let is_upgrade = |option: &[u8]| option.trim_ascii().eq_ignore_ascii_case(b"upgrade");
        let mut options = value.split(|b| *b == b',');
        if options.clone().all(is_upgrade) {
            return;
        }
        match options.any(is_upgrade) {
            true => edits.set(b"connection", *b"upgrade"),
            false => edits.remove(b"connection"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strip() -> Strip {
        let patterns = |texts: &[&str]| texts.iter().filter_map(|text| NamePattern::parse(text).ok()).collect();
        Strip::new(
            patterns(&["x-user-id", "x-auth-*"]),
            patterns(&["x-internal-*"]),
            patterns(&["x-internal-trace", "x-original-url", "x-user-id"]),
        )
    }

    #[track_caller]
    fn takes(name: &str, expected: bool) {
        assert_eq!(strip().takes(name.as_bytes()), expected, "{name}");
    }

    #[test]
    fn every_spelling_goes() {
        for name in [
            "x-user-id",
            "x_user_id",
            "x.user.id",
            "x~user~id",
            "x-auth-",
            "x-auth-groups",
        ] {
            takes(name, true);
        }
        takes("x-internal-a", true);
        takes("x-envoy-retry-on", true);
        takes("x_envoy.max-retries", true);
        takes("x-http-method-override", true);
        takes("x-rewrite_url", true);
        takes("authorization", false);
        takes("x-request-id", false);
    }

    #[test]
    fn exceptions_reach_the_operators_list_only() {
        takes("x-internal-trace", false);
        takes("x-original-url", false);
        takes("x-user-id", true);
    }

    #[test]
    fn an_upgrade_lists_nothing_but_itself() {
        let edits = |value| strip().edits(&[("connection", value)].into_iter().collect());
        assert!(edits("Upgrade").is_empty());
        assert_eq!(
            edits("Upgrade, x-user-id").set,
            [(b"connection".to_vec(), b"upgrade".to_vec())]
        );
        assert!(edits("keep-alive,x-user-id").remove.iter().eq([b"connection"]));
    }
}

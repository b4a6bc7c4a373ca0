//! Who is at the other end of a connection, by its certificate.

/// A SPIFFE id without `spiffe://`, by segments; `*` matches one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerPattern(pub Vec<String>);

impl PeerPattern {
    /// `cluster.local/ns/shop/sa/*`, with or without `spiffe://`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let id = text.strip_prefix("spiffe://").unwrap_or(text);
        let segments: Vec<String> = id.split('/').map(str::to_owned).collect();
        let fine = |segment: &String| {
            segment == "*"
                || (!segment.is_empty()
                    && segment
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)))
        };
        match segments.len() > 1 && segments.iter().all(fine) {
            true => Ok(Self(segments)),
            false => Err(format!(
                "{text:?} is no SPIFFE id: write cluster.local/ns/NAMESPACE/sa/ACCOUNT, `*` for a whole segment"
            )),
        }
    }

    /// `id` as it stands in the certificate's URI SAN.
    pub fn matches(&self, id: &str) -> bool {
        let Some(id) = id.strip_prefix("spiffe://") else {
            return false;
        };
        let mut segments = id.split('/');
        self.0.iter().all(|pattern| {
            segments
                .next()
                .is_some_and(|s| !s.is_empty() && (pattern == "*" || pattern == s))
        }) && segments.next().is_none()
    }
}

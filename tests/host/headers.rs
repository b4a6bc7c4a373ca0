//! Header maps that behave as Envoy's do.

use std::collections::HashSet;
use std::fmt;
use std::sync::LazyLock;

/// An ordered header map: names lower-cased, pseudo-headers first, duplicates of inline names joined.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct HeaderMap(Vec<(String, Vec<u8>)>);

impl HeaderMap {
    pub fn of<N: AsRef<[u8]>, V: AsRef<[u8]>>(pairs: &[(N, V)]) -> Self {
        let mut map = Self::default();
        for (name, value) in pairs {
            map.add(name.as_ref(), value.as_ref());
        }
        map
    }

    /// Adds an entry, or appends to the one there is when the name is inline.
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        let name = canonical(name);
        if is_inline(&name)
            && let Some((_, there)) = self.0.iter_mut().find(|(n, _)| *n == name)
        {
            if !value.is_empty() {
                if !there.is_empty() {
                    there.push(b',');
                }
                there.extend_from_slice(value);
            }
            return;
        }
        let at = match name.starts_with(':') {
            true => self.0.iter().take_while(|(n, _)| n.starts_with(':')).count(),
            false => self.0.len(),
        };
        self.0.insert(at, (name, value.to_vec()));
    }

    /// Replaces the first entry of that name and removes the others, or adds one.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        let name = canonical(name);
        let Some(first) = self.0.iter().position(|(n, _)| *n == name) else {
            return self.add(name.as_bytes(), value);
        };
        self.0[first].1 = value.to_vec();
        let mut at = 0;
        self.0.retain(|(n, _)| {
            at += 1;
            at - 1 <= first || *n != name
        });
    }

    pub fn remove(&mut self, name: &[u8]) {
        let name = canonical(name);
        self.0.retain(|(n, _)| *n != name);
    }

    /// The first value only: Envoy's single-header getter hides the others.
    pub fn first(&self, name: &[u8]) -> Option<&[u8]> {
        let name = canonical(name);
        self.0.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_slice())
    }

    /// Every value of a name, as text.
    pub fn all(&self, name: &str) -> Vec<String> {
        let name = canonical(name.as_bytes());
        let values = self.0.iter().filter(|(n, _)| *n == name);
        values.map(|(_, v)| String::from_utf8_lossy(v).into_owned()).collect()
    }

    /// The one value of a name, as text; several are a fault of the test or of the filter.
    #[track_caller]
    pub fn get(&self, name: &str) -> Option<String> {
        let mut values = self.all(name);
        assert!(values.len() < 2, "{name} has several values: {values:?}");
        values.pop()
    }

    pub fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(n, _)| n.as_str()).collect()
    }

    pub fn pairs(&self) -> &[(String, Vec<u8>)] {
        &self.0
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the map counts as on the wire, names and values.
    pub fn byte_size(&self) -> usize {
        self.0.iter().map(|(n, v)| n.len() + v.len()).sum()
    }

    /// A name or value with CR, LF or NUL: accepted by the host call, fatal to the request.
    pub fn is_poisoned(&self) -> bool {
        let bad = |b: &u8| matches!(b, b'\r' | b'\n' | 0);
        self.0
            .iter()
            .any(|(n, v)| n.as_bytes().iter().any(bad) || v.iter().any(bad))
    }
}

impl fmt::Debug for HeaderMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(name, value): &(String, Vec<u8>)| format!("{name}: {}", value.escape_ascii());
        f.debug_list().entries(self.0.iter().map(shown)).finish()
    }
}

/// The ABI's list of pairs: a count, the lengths, then each name and value ended by a zero byte.
pub fn encode(pairs: &[(String, Vec<u8>)]) -> Vec<u8> {
    if pairs.is_empty() {
        return Vec::new();
    }
    let mut bytes = length(pairs.len()).to_vec();
    for (name, value) in pairs {
        bytes.extend_from_slice(&length(name.len()));
        bytes.extend_from_slice(&length(value.len()));
    }
    for (name, value) in pairs {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(value);
        bytes.push(0);
    }
    bytes
}

/// The inverse of `encode`; a list that does not add up is empty, as in Envoy.
pub fn decode(bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    try_decode(bytes).unwrap_or_default()
}

fn try_decode(bytes: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let number = |at: usize| -> Option<usize> {
        let four = bytes.get(at..at + 4)?;
        usize::try_from(u32::from_le_bytes(four.try_into().ok()?)).ok()
    };
    let count = number(0)?;
    let mut at = 4 + count.checked_mul(8)?;
    let mut pairs = Vec::new();
    for n in 0..count {
        let mut text = |size: usize| -> Option<Vec<u8>> {
            let text = bytes.get(at..at.checked_add(size)?)?.to_vec();
            at += size + 1;
            Some(text)
        };
        pairs.push((text(number(4 + n * 8)?)?, text(number(8 + n * 8)?)?));
    }
    Some(pairs)
}

fn length(n: usize) -> [u8; 4] {
    u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes()
}

fn canonical(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    if name == "host" { ":authority".into() } else { name }
}

fn is_inline(name: &str) -> bool {
    static NAMES: LazyLock<HashSet<&str>> = LazyLock::new(|| INLINE.split_whitespace().collect());
    NAMES.contains(name)
}

/// Names that Envoy keeps in one slot, so that duplicates become one comma-joined value: its core
/// request and response names and those its extensions register. `authorization`, `accept` and
/// `host` were seen to join on a real Envoy, `cookie` and unknown names to stay apart.
const INLINE: &str = "
    :authority :method :path :protocol :scheme :status accept accept-encoding
    access-control-request-headers access-control-request-method authorization cache-control
    connection content-encoding content-length content-type date etag expect
    grpc-accept-encoding grpc-message grpc-status grpc-timeout if-match if-modified-since
    if-none-match if-range if-unmodified-since keep-alive location origin pragma
    proxy-connection proxy-status referer server te transfer-encoding upgrade user-agent via
    x-client-trace-id x-envoy-attempt-count x-envoy-decorator-operation
    x-envoy-downstream-service-cluster x-envoy-downstream-service-node
    x-envoy-expected-rq-timeout-ms x-envoy-external-address x-envoy-force-trace
    x-envoy-hedge-on-per-try-timeout x-envoy-internal x-envoy-ip-tags x-envoy-max-retries
    x-envoy-original-path x-envoy-original-url x-envoy-retriable-header-names
    x-envoy-retriable-status-codes x-envoy-retry-grpc-on x-envoy-retry-on
    x-envoy-upstream-alt-stat-name x-envoy-upstream-rq-per-try-timeout-ms
    x-envoy-upstream-rq-timeout-alt-response x-envoy-upstream-rq-timeout-ms
    x-envoy-upstream-service-time x-envoy-upstream-stream-duration-ms x-forwarded-client-cert
    x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto x-request-id
";

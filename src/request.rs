//! The view of one request: read from one snapshot, normalised once.

pub mod cookie;
pub mod host;
pub mod path;
pub mod query;
mod scan;
mod text;

use crate::bytes;
use crate::header::{Headers, is_token};
use host::Host;
use path::{Path, PathFault};
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use text::Text;

/// `paths_raw`: spellings that are refused unless a rule lists them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathLeniency {
    pub encoded_slash: bool,
    pub semicolon: bool,
    pub empty_segment: bool,
}

/// What the proxy knows of the connection and the headers do not say. Asked for only where a rule
/// needs it, since every answer costs a call into the proxy.
pub trait Connection {
    /// The client as the listener sees it, its trusted hops honoured; never X-Forwarded-For.
    fn source_ip(&self) -> Option<IpAddr>;
    /// Whether the listener took this connection over TLS.
    fn tls(&self) -> bool;
    /// The URI SAN of the peer's certificate.
    fn peer(&self) -> Option<String>;
}

/// One request, as rules and authenticators see it.
#[derive(Debug)]
pub struct Request {
    pub headers: Arc<Headers>,
    pub host: Host,
    /// None for CONNECT, which names no path.
    pub path: Option<Path>,
    method: Cow<'static, str>,
    query: Option<Text>,
}

/// Why a request is refused before any rule is looked at (400).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestFault {
    Method,
    Host,
    Path(PathFault),
    Query,
}

impl RequestFault {
    pub fn all() -> impl Iterator<Item = Self> {
        let own = [Self::Method, Self::Host, Self::Query];
        own.into_iter().chain(PathFault::ALL.map(Self::Path))
    }

    /// The word for logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Host => "host",
            Self::Path(fault) => fault.word(),
            Self::Query => "query",
        }
    }
}

impl std::fmt::Display for RequestFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Method => f.write_str("method is not one token in upper case"),
            Self::Host => f.write_str("host is not one DNS name or IP address"),
            Self::Path(fault) => fault.fmt(f),
            Self::Query => f.write_str("query holds `#`, a space or a control character, or is not UTF-8"),
        }
    }
}

impl Request {
    pub fn parse(headers: Arc<Headers>) -> Result<Self, RequestFault> {
        let method = method(&headers)?;
        let host = headers
            .only(":authority")
            // A `host` beside `:authority` would be a second opinion for the upstream.
            .filter(|_| headers.first("host").is_none())
            .and_then(|raw| Host::of(&headers, raw))
            .ok_or(RequestFault::Host)?;
        let (path, query) = match headers.only(":path") {
            None if method == "CONNECT" => (None, None),
            None => return Err(RequestFault::Path(PathFault::NotAbsolute)),
            Some(target) => {
                let (path, query) = split_query(target);
                if query.is_some_and(|query| !scan::is_query(query)) {
                    return Err(RequestFault::Query);
                }
                let path = Path::of(&headers, path).map_err(RequestFault::Path)?;
                (Some(path), query.map(|query| Text::as_it_came(query, Some(&headers))))
            }
        };
        Ok(Self {
            headers,
            host,
            path,
            method,
            query,
        })
    }

    pub fn method(&self) -> &str {
        &self.method
    }

    /// The method rules match: for a CORS preflight the one it asks for.
    pub fn intended_method(&self) -> &str {
        self.preflight_method().unwrap_or(&self.method)
    }

    pub fn is_preflight(&self) -> bool {
        self.preflight_method().is_some()
    }

    fn preflight_method(&self) -> Option<&str> {
        if self.method != "OPTIONS" || self.headers.first("origin").is_none() {
            return None;
        }
        let asked = self.headers.only("access-control-request-method")?;
        std::str::from_utf8(asked).ok()
    }

    /// Without the `?`, as sent.
    pub fn query(&self) -> Option<&[u8]> {
        self.query.as_ref().map(Text::as_bytes)
    }

    /// Path and query in the one form that was matched: what `:path` becomes.
    pub fn target(&self) -> Option<Vec<u8>> {
        self.path.as_ref().map(|_| self.target_pieces().concat())
    }

    /// [`Self::target`] in pieces: path, `?` and query, as far as they are there.
    pub fn target_pieces(&self) -> [&[u8]; 3] {
        let path = self.path.as_ref().map_or(&b""[..], Path::as_bytes);
        match self.query() {
            Some(query) => [path, b"?", query],
            None => [path, b"", b""],
        }
    }

    /// [`Self::target`] less the parameters of the query that `drop` names, decoded.
    pub fn target_without(&self, drop: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
        let mut target = self.path.as_ref()?.as_bytes().to_vec();
        if let Some(kept) = self.query().and_then(|query| query::without(query, drop)) {
            target.push(b'?');
            target.extend(kept);
        }
        Some(target)
    }

    /// Whether `:path` came as [`Self::target`] says it.
    pub fn target_as_sent(&self) -> bool {
        let sent = || self.headers.first(":path").map(|target| split_query(target).0);
        match &self.path {
            Some(path) => path.is_sent() || sent() == Some(path.as_bytes()),
            None => sent().is_none(),
        }
    }

    /// Whether `:authority` came as [`Host::authority`] says it.
    pub fn authority_as_sent(&self) -> bool {
        self.host.is_sent() || self.headers.first(":authority") == Some(self.host.authority_bytes())
    }

    /// Every cookie of all `cookie` headers, in order.
    pub fn cookies(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.cookies_in(|_| true)
    }

    /// The cookies of those headers in which one that is looked for may be: see [`cookie::may_name`].
    pub fn cookies_in(&self, may_be: impl Fn(&[u8]) -> bool) -> impl Iterator<Item = (&[u8], &[u8])> {
        let headers = self.headers.all("cookie").filter(move |header| may_be(header));
        headers.flat_map(cookie::cookies)
    }

    pub fn is_grpc(&self) -> bool {
        is_grpc(&self.headers)
    }

    /// A handshake (RFC 6455 section 4.1: a GET), or a tunnel. Another method that names an upgrade
    /// still has a body that an upstream may read.
    pub fn is_upgrade(&self) -> bool {
        (self.method == "GET" && self.headers.first("upgrade").is_some()) || self.method == "CONNECT"
    }
}

/// As Envoy tells gRPC: `application/grpc`, alone or with a `+suffix`.
pub fn is_grpc(headers: &Headers) -> bool {
    headers
        .first("content-type")
        .and_then(|value| value.strip_prefix(b"application/grpc"))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"+") || rest.starts_with(b";"))
}

/// The longest method of the IANA registry has 16 bytes; twice that leaves room for private ones.
const MAX_METHOD_BYTES: usize = 32;

/// Those of nearly every request, so that nobody has to look at their bytes or keep a copy.
const KNOWN_METHODS: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"];

/// No method in use has lower case letters, and frameworks that raise them read `post` as `POST`, which
/// a rule for POST would not have met.
fn method(headers: &Headers) -> Result<Cow<'static, str>, RequestFault> {
    let raw = headers.only(":method").ok_or(RequestFault::Method)?;
    if let Some(known) = KNOWN_METHODS.into_iter().find(|known| known.as_bytes() == raw) {
        return Ok(Cow::Borrowed(known));
    }
    let token = |b: &u8| is_token(char::from(*b)) && !b.is_ascii_lowercase();
    Some(raw)
        .filter(|raw| !raw.is_empty() && raw.len() <= MAX_METHOD_BYTES && raw.iter().all(token))
        .and_then(|raw| std::str::from_utf8(raw).ok())
        .map(|raw| Cow::Owned(raw.to_owned()))
        .ok_or(RequestFault::Method)
}

fn split_query(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match bytes::find(b'?', target) {
        Some(at) => (target.get(..at).unwrap_or_default(), target.get(at + 1..)),
        None => (target, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Request, RequestFault> {
        Request::parse(Arc::new(pairs.iter().copied().collect()))
    }

    #[test]
    fn read_once_and_normalised() {
        let request = parse(&[
            (":method", "GET"),
            (":authority", "Shop.example.com.:8443"),
            (":path", "/%6Frders/1?a=%2F&b"),
        ])
        .expect("fine");
        assert_eq!(request.host.name(), "shop.example.com");
        assert_eq!(request.target().as_deref(), Some(&b"/orders/1?a=%2F&b"[..]));
        assert_eq!(request.query(), Some(&b"a=%2F&b"[..]));
    }

    #[test]
    fn refused() {
        let base = [(":method", "GET"), (":authority", "a"), (":path", "/")];
        let with = |name: &str, value: &'static str| {
            let mut pairs = base;
            for pair in &mut pairs {
                if pair.0 == name {
                    pair.1 = value;
                }
            }
            parse(&pairs).map(|_| ())
        };
        assert_eq!(with(":method", "G ET"), Err(RequestFault::Method));
        assert_eq!(with(":method", ""), Err(RequestFault::Method));
        assert_eq!(with(":method", "post"), Err(RequestFault::Method));
        assert_eq!(with(":method", "POSt"), Err(RequestFault::Method));
        assert_eq!(with(":method", "M-SEARCH"), Ok(()));
        assert_eq!(with(":method", "GETS"), Ok(()));
        assert_eq!(with(":method", "GEt"), Err(RequestFault::Method));
        assert_eq!(with(":authority", "a,b"), Err(RequestFault::Host));
        assert_eq!(with(":path", "*"), Err(RequestFault::Path(PathFault::NotAbsolute)));
        assert_eq!(with(":path", "/?a#b"), Err(RequestFault::Query));
        let not_text = [(":method", &b"GET"[..]), (":authority", b"a"), (":path", b"/?\xff")];
        let not_text = Request::parse(Arc::new(not_text.into_iter().collect()));
        assert_eq!(not_text.map(|_| ()), Err(RequestFault::Query));
        assert_eq!(
            parse(&base[..2]).map(|_| ()),
            Err(RequestFault::Path(PathFault::NotAbsolute))
        );
        assert_eq!(parse(&base[1..]).map(|_| ()), Err(RequestFault::Method));
        let twice = [base[0], base[1], base[2], ("host", "b")];
        assert_eq!(parse(&twice).map(|_| ()), Err(RequestFault::Host));
        let connect = parse(&[(":method", "CONNECT"), (":authority", "a:443")]).expect("no path");
        assert!(connect.path.is_none() && connect.target().is_none());
    }

    #[test]
    fn a_preflight_asks_for_another_method() {
        let pairs = [
            (":method", "OPTIONS"),
            (":authority", "a"),
            (":path", "/"),
            ("origin", "https://b"),
            ("access-control-request-method", "DELETE"),
        ];
        let preflight = parse(&pairs).expect("fine");
        assert!(preflight.is_preflight());
        assert_eq!(preflight.intended_method(), "DELETE");
        let plain = parse(&pairs[..4]).expect("fine");
        assert_eq!(plain.intended_method(), "OPTIONS");
    }
}

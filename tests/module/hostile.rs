//! Hostile input from a seed: what strangers, services and neighbours in the same Envoy may send.

use super::headers::HeaderMap;

/// SplitMix64: the same seed gives the same input everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.number() % limit.max(1) as u64) as usize
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    pub fn bytes(&mut self, limit: usize) -> Vec<u8> {
        let size = self.below(limit);
        (0..size).map(|_| self.number() as u8).collect()
    }

    /// A header value: Envoy lets everything through but CR, LF and NUL.
    pub fn value(&mut self) -> Vec<u8> {
        let mut value = Vec::new();
        for _ in 0..=self.below(4) {
            match self.below(8) {
                0 => value.extend(self.bytes(20)),
                1 => value.extend(self.bytes(5000)),
                2 => value.extend(self.token()),
                3 => value.resize(value.len() + self.below(9000), b"aA ,%=;."[self.below(8)]),
                _ => value.extend(self.pick(FRAGMENTS).as_bytes()),
            }
        }
        value.retain(|b| !matches!(b, b'\r' | b'\n' | 0));
        value
    }

    /// Something like a JWT, so that the inside of the parser is reached.
    fn token(&mut self) -> Vec<u8> {
        let header = match self.below(3) {
            0 => self.pick(JOSE).to_string().into_bytes(),
            1 => self.bytes(40),
            _ => br#"{"alg":"RS256","typ":"JWT","kid":"k1"}"#.to_vec(),
        };
        let mut claims = self.pick(CLAIMS).to_string().into_bytes();
        if self.one_in(4) {
            let at = self.below(claims.len());
            claims[at] = self.number() as u8;
        }
        let signature = self.bytes(300);
        [header, claims, signature].map(|part| base64url(&part)).join(&b'.')
    }

    fn name(&mut self) -> String {
        match self.below(3) {
            0 => (0..=self.below(30))
                .map(|_| TOKEN_CHARS[self.below(TOKEN_CHARS.len())] as char)
                .collect(),
            _ => self.pick(NAMES).to_string(),
        }
    }

    pub fn path(&mut self) -> Vec<u8> {
        let mut path = if self.one_in(20) { Vec::new() } else { b"/".to_vec() };
        for _ in 0..self.below(12) {
            match self.below(6) {
                0 => path.extend(self.bytes(8)),
                _ => path.extend(self.pick(PATH_PARTS).as_bytes()),
            }
        }
        path.retain(|b| !matches!(b, b'\r' | b'\n' | 0));
        path
    }

    pub fn request(&mut self) -> HeaderMap {
        let mut map = HeaderMap::default();
        if !self.one_in(30) {
            map.add(b":method", self.pick(METHODS).as_bytes());
        }
        if !self.one_in(30) {
            map.add(b":path", &self.path());
        }
        match self.below(8) {
            0 => {}
            1 => map.add(b":authority", &self.value()),
            _ => map.add(b":authority", self.pick(HOSTS).as_bytes()),
        }
        self.more(&mut map, 25);
        map
    }

    /// An answer of the auth service, or of whatever answers in its place.
    pub fn answer(&mut self) -> Option<HeaderMap> {
        let mut map = HeaderMap::default();
        match self.below(10) {
            0 => return None,
            1 => {}
            2 => map.add(b":status", &self.value()),
            _ => map.add(b":status", self.pick(STATUSES).as_bytes()),
        }
        self.more(&mut map, 12);
        Some(map)
    }

    pub fn answer_body(&mut self) -> Vec<u8> {
        match self.below(4) {
            0 => self.bytes(3000),
            1 => self.pick(CLAIMS).to_string().into_bytes(),
            2 => JWKS.as_bytes().to_vec(),
            _ => Vec::new(),
        }
    }

    pub fn some_headers(&mut self) -> HeaderMap {
        let mut map = HeaderMap::default();
        self.more(&mut map, 6);
        map
    }

    fn more(&mut self, map: &mut HeaderMap, limit: usize) {
        for _ in 0..self.below(limit) {
            let (name, value) = (self.name(), self.value());
            map.add(name.as_bytes(), &value);
        }
    }
}

fn base64url(bytes: &[u8]) -> Vec<u8> {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = Vec::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0u32, |sum, b| (sum << 8) | u32::from(*b));
        let group = group << (8 * (3 - chunk.len()));
        let digit = |n: usize| digits[(group >> (18 - 6 * n)) as usize & 63];
        text.extend((0..=chunk.len()).map(digit));
    }
    text
}

const TOKEN_CHARS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789-_.~!#$%&'*+^`|";

const NAMES: &[&str] = &[
    "authorization",
    "cookie",
    "x-api-key",
    "x-identity",
    "x-user-id",
    "x.user.id",
    "x-variant-checkout",
    "x-request-id",
    "traceparent",
    "x-forwarded-for",
    "x-forwarded-client-cert",
    "x-envoy-max-retries",
    "x-envoy-upstream-rq-timeout-ms",
    "x-request-deadline",
    "connection",
    "content-type",
    "content-length",
    "accept",
    "origin",
    "access-control-request-method",
    "sec-fetch-mode",
    "x-original-url",
    "x-auth-user",
    "x-auth-groups",
    "cache-control",
    "set-cookie",
    "location",
    "www-authenticate",
    "user-agent",
    "upgrade",
    "te",
    "grpc-timeout",
    "grpc-status",
];

const FRAGMENTS: &[&str] = &[
    "",
    "Bearer ",
    "bearer",
    "Basic ",
    "a.b.c",
    "..",
    "session=",
    "; mg_unit=",
    "id_token=",
    "=",
    ",",
    "\"",
    "\\",
    "%",
    "%2",
    "%ff",
    "%00",
    "{",
    "}",
    "{subject}",
    "[",
    "]",
    "null",
    "-1",
    "0",
    "18446744073709551616",
    "99999999999999999999999",
    "1e400",
    "NaN",
    "2026-13-45T99:99:99Z",
    "max-age=",
    "max-age=-1",
    "no-store",
    "application/grpc",
    "application/json",
    "text/html",
    "spiffe://cluster.local/ns/a/sa/b",
    "By=;Hash=;Subject=\"\";URI=",
    "\u{202e}",
    "é",
    "日本",
    "\t",
];

const PATH_PARTS: &[&str] = &[
    "orders",
    "/",
    "//",
    "..",
    "/../",
    ".",
    "%2e",
    "%2F",
    "%5c",
    "%00",
    "%",
    "%zz",
    "%41",
    ";",
    "?",
    "&",
    "=",
    "#",
    "access_token=",
    "static",
    "healthz",
    "t",
    "*",
    "**",
    "{tenant}",
    "\\",
    "é",
    "+",
    " ",
];

const METHODS: &[&str] = &[
    "GET", "POST", "PUT", "OPTIONS", "HEAD", "CONNECT", "get", "", "\u{e9}", "PRI",
];

const HOSTS: &[&str] = &[
    "shop.example.com",
    "Shop.EXAMPLE.com.:443",
    "",
    ":",
    "a,b",
    "[::1]:80",
    "[",
    "1.2.3.4",
    "..",
    "*",
    "xn--",
    "shop.example.com:99999",
    "user@shop.example.com",
];

const STATUSES: &[&str] = &[
    "200", "200", "200", "204", "302", "401", "403", "404", "429", "500", "503", "999", "", "-1", "2 0",
];

const JOSE: &[&str] = &[
    r#"{"alg":"none"}"#,
    r#"{"alg":"ES256","kid":"k2"}"#,
    r#"{"alg":"HS256"}"#,
    r#"{"alg":7}"#,
    r#"{"alg":"RS256","crit":["b64"],"b64":false}"#,
    r#"{"alg":"RS256","jwk":{}}"#,
    "{}",
    "[]",
    "",
];

const CLAIMS: &[&str] = &[
    r#"{"iss":"https://id.example.com","aud":"api","sub":"u1","exp":4102444800,"iat":1767323000}"#,
    r#"{"iss":"https://id.example.com","aud":["api"],"sub":"u1","exp":1e300}"#,
    r#"{"iss":"https://id.example.com","aud":{},"sub":7,"exp":"soon","nbf":-1}"#,
    r#"{"iss":"https://id.example.com","sub":"","exp":18446744073709551615,"iat":-9223372036854775808}"#,
    r#"{"sub":"a","sub":"b","realm_access":{"roles":[null,{},[["x"]]]}}"#,
    "[[[[[[[[[[[[",
    "{",
    "\u{feff}{}",
];

const JWKS: &str = r#"{"keys":[{"kty":"RSA","kid":"k1","n":"AQAB","e":"AQAB","alg":"RS256"},
    {"kty":"EC","kid":"k2","crv":"P-256","x":"","y":"AA"},{"kty":"oct","k":""},{"kty":7},{}]}"#;

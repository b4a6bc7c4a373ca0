//! Requests at the edges of a policy, the same in each run.

use crate::support::*;
use meshgate::explain::Asked;

/// The same numbers in each run (Marsaglia's xorshift).
pub struct Numbers(pub u64);

impl Numbers {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).expect("below a usize")
    }

    pub fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    pub fn often(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }
}

/// What requests are made of.
pub struct Surroundings {
    pub hosts: &'static [&'static str],
    pub targets: &'static [&'static str],
    /// Headers that say who calls.
    pub credentials: Vec<(&'static str, String)>,
    /// Headers that experiments go by.
    pub units: &'static [(&'static str, &'static str)],
}

pub const DEMO_TARGETS: &[&str] = &[
    "/sign-in?rd=%2F",
    "/sign-in/",
    "/healthz",
    "/healthz/",
    "/public/a",
    "/publicx",
    "/internal",
    "/internal/a",
    "/internals",
    "/admin/1?x=1",
    "/%61dmin/1",
    "/admin",
    "/orders/1",
    "/orders",
    "/orders/%6frder?a=b&c",
    "/ordersx",
    "/catalog/1",
    "/catalog/a/b",
    "/catalog",
    "/",
    "/other",
];

pub const SHOP_TARGETS: &[&str] = &[
    "/healthz",
    "/internal/a",
    "/load/1",
    "/static/a",
    "/static",
    "/catalog/1",
    "/catalog/1",
    "/",
    "/orders/admin/1",
    "/orders/1",
    "/orders/%61dmin/1",
    "/ordersx",
    "/carts/1",
    "/carts",
    "/hooks/acme",
    "/hooks/other",
    "/payments/1/refund",
    "/payments/1",
    "/payments/1/refund/x",
    "/other",
];

pub fn callouts_own() -> Vec<(&'static str, String)> {
    let bearers = ["alice", "bob", "alice", "bob", "odd", "mallory", "down", "stranger"];
    let bearers = bearers.map(|who| ("authorization", format!("Bearer {who}")));
    let cookies = ["session=alice", "session=bob", "session=old"].map(|cookie| ("cookie", cookie.to_owned()));
    bearers.into_iter().chain(cookies).collect()
}

#[derive(Debug)]
pub struct Generated {
    pub method: String,
    pub host: &'static str,
    pub target: &'static str,
    pub headers: Vec<(String, String)>,
}

impl Generated {
    pub fn new(numbers: &mut Numbers, id: usize, around: &Surroundings) -> Self {
        let mut headers = vec![("x-request-id".to_owned(), request_id(id))];
        let mut add = |name: &str, value: &str| headers.push((name.to_owned(), value.to_owned()));
        match numbers.below(8) {
            0..5 => {
                let (name, value) = &around.credentials[numbers.below(around.credentials.len())];
                add(name, value);
            }
            5 if numbers.often(4) => {
                add("authorization", "Bearer alice");
                add("authorization", "Bearer bob");
            }
            _ => {}
        }
        if numbers.often(3) {
            add(
                numbers.one(&["x-user-id", "X-User-Groups", "x_tenant.id", "x-admin-id", "x-auth-user"]),
                "forged",
            );
        }
        if numbers.often(4) {
            add(
                numbers.one(&[
                    "x-internal-a",
                    "x-envoy-retry-on",
                    "x-original-url",
                    "x-http-method-override",
                ]),
                "/forged",
            );
        }
        if numbers.often(6) {
            add("accept", "text/html");
        }
        for (name, value) in around.units {
            if numbers.often(3) {
                add(name, value);
            }
        }
        let mut method = numbers.one(&["GET", "GET", "POST", "DELETE", "OPTIONS"]).to_owned();
        if numbers.often(8) {
            add("origin", "https://elsewhere.example.com");
            add("access-control-request-method", &method);
            "OPTIONS".clone_into(&mut method);
        }
        if numbers.often(12) {
            add("content-type", "application/grpc");
            "POST".clone_into(&mut method);
        }
        let target = match numbers.below(8) {
            0 => numbers.one(&[
                "/a//b",
                "/orders/%2fa",
                "/orders/../admin/1",
                "/orders/;a",
                "/orders/%00",
                "/orders/\\a",
            ]),
            _ => numbers.one(around.targets),
        };
        let host = match numbers.below(8) {
            0 => numbers.one(&["shop.example.com", "localhost.", "bad_host!"]),
            _ => numbers.one(around.hosts),
        };
        Self {
            method,
            host,
            target,
            headers,
        }
    }

    pub fn explained(&self) -> Asked {
        let lines: Vec<String> = self
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        let line = format!("{} http://{}{}", self.method, self.host, self.target);
        Asked::parse(&line, lines.iter().map(String::as_str)).expect("a request")
    }

    pub fn sent(&self) -> Request {
        let bare = request(&self.method, self.target).host(self.host);
        self.headers
            .iter()
            .fold(bare, |request, (name, value)| request.header(name, value))
    }
}

pub fn request_id(id: usize) -> String {
    format!("11111111-2222-4333-8444-{id:012}")
}

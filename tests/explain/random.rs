//! Random policies that are valid, and random requests at their edges. The cases are the same in each run.

use meshgate::config::yaml;
use meshgate::explain::{Asked, Replied};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use serde_json::{Value, json};

/// Runs `test` over the cases; panics with the first that fails, made small.
#[track_caller]
pub fn for_all<S: Strategy>(cases: u32, strategy: S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = Config {
        cases,
        failure_persistence: None,
        // Each step of making a case small runs all its requests again.
        max_shrink_iters: 200,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    match runner.run(&strategy, test) {
        Ok(()) => {}
        Err(TestError::Fail(why, case)) => panic!("{why}\n{case:#?}"),
        Err(why) => panic!("{why}"),
    }
}

/// YAML (JSON is some) of a policy without a fault.
pub fn policy() -> impl Strategy<Value = String> {
    (vec(rule(), 1..9), any::<bool>()).prop_filter_map("every rule had a fault", |(rules, debug)| {
        let named = rules.into_iter().enumerate().map(|(at, mut rule)| {
            rule["name"] = json!(format!("r{at}"));
            rule
        });
        let mut policy = base(debug);
        policy["rules"] = named.collect();
        valid(policy)
    })
}

fn base(debug: bool) -> Value {
    let callout = |on_failure: &str| {
        json!({
            "protocol": "ext_authz_http", "cluster": "auth", "timeout": "1s",
            "credential": ["header:authorization", "cookie:session"],
            "principal": { "subject": "x-auth-user", "groups": { "header": "x-auth-groups", "split": "," }, "claims": { "tenant": "x-auth-tenant" } },
            "accept": { "headers": ["x-auth-*"], "to_client": ["set-cookie"] },
            "on_failure": on_failure,
        })
    };
    // The digest of k3y.
    let digest = "a49b1287870c10a76f1f46552aca4431842ced5dedf0ee3f28ffa12855a4e86a";
    let mut policy = json!({
        "version": 1,
        "listener": { "verified_peers": true },
        "authenticators": {
            "account": { "callout": callout("deny") },
            "lenient": { "callout": callout("allow") },
            "partner": { "api_key": {
                "from": [{ "header": "x-api-key" }, { "query": "key" }],
                "keys": { "inline": [{ "id": "acme-1", "sha256": digest, "subject": "acme" }] }
            } },
            "workload": { "mtls": { "peers": ["cluster.local/ns/shop/sa/*"] } },
        },
        "identity": {
            "headers": { "x-user-id": "{subject}", "x-user-groups": "{groups}", "x-by": "{authenticator}" },
            "strip": ["x-internal-*"],
        },
    });
    if debug {
        policy["debug"] = json!({ "header": "x-why", "require": { "groups": { "any_of": ["ops"] } } });
    }
    policy
}

/// Without the rules that have faults: those that no request reaches, and the like.
fn valid(mut policy: Value) -> Option<String> {
    loop {
        let text = policy.to_string();
        let Err(faults) = yaml::parse(&text) else {
            return Some(text);
        };
        let faulty: Vec<usize> = faults
            .iter()
            .map(|fault| {
                let number = fault.path.strip_prefix("rules[").and_then(|rest| rest.split_once(']'));
                let number = number.unwrap_or_else(|| panic!("not a rule's: {fault}\n{text}")).0;
                number.parse().expect("a number")
            })
            .collect();
        let rules = policy["rules"].as_array_mut().expect("rules");
        let mut at = 0..;
        rules.retain(|_| !faulty.contains(&at.next().expect("endless")));
        if rules.is_empty() {
            return None;
        }
    }
}

pub const HOSTS: &[&str] = &["a.example.com", "b.example.com", "*.example.com", "*"];
const PATHS: &[&str] = &[
    "/",
    "/a",
    "/a/**",
    "/a/b",
    "/a/*",
    "/{tenant}/b",
    "/v*/x",
    "/**",
    "/a/b/c",
    "/{tenant}/**",
    "/%61/b/**",
    "/x.s/M",
];

fn some<T: Clone + std::fmt::Debug + 'static>(of: &'static [T], most: usize) -> impl Strategy<Value = Vec<T>> {
    subsequence(of, 1..=most)
}

fn maybe<S: Strategy>(one_in: u32, strategy: S) -> impl Strategy<Value = Option<S::Value>> {
    prop::option::weighted(1.0 / f64::from(one_in), strategy)
}

fn wanted(name: &'static str) -> impl Strategy<Value = Value> {
    let how = select(vec![
        json!({ "exact": "1" }),
        json!({ "prefix": "1" }),
        json!({ "suffix": "2" }),
        json!({ "contains": "1" }),
        json!({ "present": true }),
        json!({ "present": false }),
    ]);
    how.prop_map(move |mut how| {
        how["name"] = json!(name);
        json!([how])
    })
}

fn matcher(not: bool) -> BoxedStrategy<Value> {
    let host_and_path = (maybe(2, some(HOSTS, 2)), maybe(2, some(PATHS, 3)));
    let rest = (
        maybe(3, some(&["GET", "POST", "CONNECT"], 2)),
        maybe(5, wanted("x-beta")),
        maybe(8, wanted("beta")),
        maybe(8, wanted("page")),
        maybe(8, some(&["10.0.0.0/8", "192.0.2.1"], 2)),
        maybe(8, Just(json!(["cluster.local/ns/shop/sa/cart"]))),
        maybe(10, Just(json!([{ "service": "x.s", "method": "M" }]))),
    );
    let not = match not {
        true => maybe(4, matcher(false)).boxed(),
        false => Just(None).boxed(),
    };
    (host_and_path, rest, not)
        .prop_map(
            |((hosts, paths), (methods, headers, cookies, query, ip, peers, grpc), not)| {
                let mut matcher = json!({});
                let mut put = |name: &str, value: Option<Value>| {
                    if let Some(value) = value {
                        matcher[name] = value;
                    }
                };
                put("hosts", hosts.map(|hosts| json!(hosts)));
                put("paths", paths.map(|paths| json!(paths)));
                put("methods", methods.map(|methods| json!(methods)));
                put("headers", headers);
                put("cookies", cookies);
                put("query", query);
                put("client_ip", ip.map(|ip| json!(ip)));
                put("peers", peers);
                put("grpc", grpc);
                put("not", not.filter(|not| not != &json!({})));
                matcher
            },
        )
        .boxed()
}

fn require() -> impl Strategy<Value = Value> {
    select(vec![
        json!({ "groups": { "any_of": ["ops", "sales"] } }),
        json!({ "groups": { "all_of": ["ops", "sales"], "none_of": ["out"] } }),
        json!({ "groups": { "none_of": ["out"] } }),
        json!({ "claims": { "tenant": "acme" } }),
        json!({ "scopes": { "any_of": ["read"] } }),
        json!({ "authenticators": ["account"], "groups": { "any_of": ["ops"] } }),
        json!({ "peers": ["cluster.local/ns/shop/sa/cart"] }),
        json!({ "claims": { "tenant": "{path.tenant}" } }),
    ])
}

fn rule() -> impl Strategy<Value = Value> {
    let asking = (
        some(&["partner", "workload"], 2),
        maybe(2, select(vec!["account", "lenient"])),
        select(vec!["deny", "deny", "allow_missing", "allow_missing_or_failed"]),
        maybe(2, require()),
        maybe(4, Just(json!({ "preflight": "pass" }))),
        maybe(3, Just(json!({ "headers": { "x-own": "{subject}" } }))),
        any::<bool>(),
    )
        .prop_map(|(mut asked, callout, anonymous, require, cors, identity, alone)| {
            if let Some(callout) = callout {
                if alone {
                    asked.clear();
                }
                asked.push(callout);
            }
            let mut rule = json!({ "authenticate": asked, "anonymous": anonymous });
            for (name, value) in [("require", require), ("cors", cors), ("identity", identity)] {
                if let Some(value) = value {
                    rule[name] = value;
                }
            }
            rule
        });
    let action = prop_oneof![
        1 => select(vec![404, 403]).prop_map(|status| json!({ "refuse": status })),
        1 => Just(json!({ "authenticate": "none" })),
        5 => asking,
    ];
    let lenient = maybe(6, Just(json!(["empty_segment", "semicolon"])));
    (action, matcher(true), maybe(6, Just("shadow")), lenient).prop_map(|(mut rule, matcher, mode, lenient)| {
        if matcher != json!({}) {
            rule["match"] = matcher;
        }
        if let Some(mode) = mode {
            rule["mode"] = json!(mode);
        }
        if let Some(lenient) = lenient.filter(|_| rule["authenticate"].is_array()) {
            rule["paths_raw"] = lenient;
        }
        rule
    })
}

/// What `Asked` is made of; a request as both the filter and explain are given it.
#[derive(Clone, Debug)]
pub struct Sent {
    pub line: String,
    pub headers: Vec<String>,
    pub ip: Option<&'static str>,
    pub peer: Option<&'static str>,
    pub answer: Answered,
}

/// What the auth service says, if it is asked.
#[derive(Clone, Debug)]
pub struct Answered {
    pub status: u16,
    pub headers: Vec<(&'static str, &'static str)>,
    pub timeout: bool,
}

impl Sent {
    pub fn asked(&self) -> Asked {
        let mut asked = Asked::parse(&self.line, self.headers.iter().map(String::as_str)).expect("a request");
        asked.from.ip = self.ip.map(|ip| ip.parse().expect("an address"));
        asked.from.peer = self.peer.map(str::to_owned);
        asked
    }
}

impl Answered {
    pub fn replied(&self) -> Replied {
        match self.timeout {
            true => Replied::failed("timeout").expect("a failure"),
            false => Replied::new(self.status, self.headers.iter().copied(), b"page".to_vec()),
        }
    }
}

pub fn sent() -> impl Strategy<Value = Sent> {
    let host = prop_oneof![
        12 => select(vec!["a.example.com", "A.example.com:8443", "b.example.com", "c.example.com"]),
        1 => select(vec!["example.com", "other.test", "a.b.example.com.", "bad_host!"]),
    ];
    let path = prop_oneof![
        12 => select(vec![
            "/", "/a", "/a/", "/a/b", "/%61/b", "/a/b/c", "/ax", "/acme/b", "/acme", "/v1/x", "/v/x", "/x", "/x.s/M",
            "/caf\u{e9}",
        ]),
        1 => select(vec!["/a//b", "/a/%2fb", "/a;b", "/a/../b"]),
    ];
    let query = prop_oneof![
        10 => select(vec!["", "?page=1", "?page=12&page=3"]),
        2 => select(vec!["?key=k3y", "?key=no&page=2"]),
        1 => select(vec!["?key=k3y&key=no", "?a b"]),
    ];
    let method = prop_oneof![15 => select(vec!["GET", "POST"]), 1 => select(vec!["OPTIONS", "DELETE", "get"])];
    let headers = subsequence(
        vec![
            "x-beta: 1",
            "x-beta: 12",
            "cookie: session=s; beta=1",
            "cookie: beta=2",
            "authorization: Bearer t",
            "x-user-id: root",
            "x_user.groups: ops",
            "x-internal-a: 1",
            "x-auth-user: root",
            "x-why: forged",
            "x-envoy-retry-on: 5xx",
            "content-type: application/grpc",
            "x-request-id: req-7",
            "connection: x-user-id",
        ],
        0..6,
    );
    let credential = select(vec![
        "",
        "",
        "x-api-key: k3y",
        "x-api-key: wrong",
        "authorization:",
        "authorization: Bearer u",
    ]);
    let ip = select(vec![Some("10.1.2.3"), Some("192.0.2.1"), Some("2001:db8::1"), None]);
    let peer = select(vec![
        None,
        None,
        None,
        Some("spiffe://cluster.local/ns/shop/sa/cart"),
        Some("spiffe://cluster.local/ns/shop/sa/other"),
        Some("spiffe://elsewhere/ns/shop/sa/cart"),
    ]);
    let kind = prop_oneof![16 => Just(""), 2 => Just("preflight"), 1 => Just("connect")];
    let line = (kind, host, path, query, method);
    (line, headers, credential, ip, peer, answer()).prop_map(|(line, headers, credential, ip, peer, answer)| {
        let (kind, host, path, query, mut method) = line;
        let mut headers: Vec<String> = headers.into_iter().map(str::to_owned).collect();
        if !credential.is_empty() {
            headers.push(credential.to_owned());
        }
        if kind == "preflight" {
            headers.push("origin: https://a.example.com".to_owned());
            headers.push(format!("access-control-request-method: {method}"));
            method = "OPTIONS";
        }
        let line = match kind {
            "connect" => format!("CONNECT {host}"),
            _ => format!("{method} https://{host}{path}{query}"),
        };
        Sent {
            line,
            headers,
            ip,
            peer,
            answer,
        }
    })
}

fn answer() -> impl Strategy<Value = Answered> {
    let status = select(vec![200, 200, 200, 200, 401, 403, 302, 503]);
    let headers = subsequence(
        vec![
            ("x-auth-user", "ann"),
            ("x-auth-groups", "ops"),
            ("x-auth-groups", "sales,out"),
            ("x-auth-tenant", "acme"),
            ("x-auth-plan", "gold"),
            ("set-cookie", "a=b"),
            ("x-user-id", "served"),
        ],
        0..7,
    );
    (status, headers, prop::bool::weighted(0.1), prop::bool::weighted(0.7)).prop_map(
        |(status, mut headers, timeout, known)| {
            if known && !headers.contains(&("x-auth-user", "ann")) {
                headers.push(("x-auth-user", "ann"));
            }
            Answered {
                status,
                headers,
                timeout,
            }
        },
    )
}

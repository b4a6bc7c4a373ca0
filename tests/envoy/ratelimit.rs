//! Envoy's own rate limit filter and service behind Meshgate, as envoy/ratelimit/ ships them.

pub mod service;

use crate::policies;
use crate::shipped::{Shipped, auth, by, read};
use crate::support::client::Connection;
use crate::support::gate::merge;
use crate::support::{Envoy, Request, Response, Stub, dead_port, get, h1};
use serde_json::{Value, json};
use service::Service;
use std::time::{SystemTime, UNIX_EPOCH};

/// The shipped Envoy with the parts of envoy/ratelimit/envoy.yaml where their comments put them; `endpoint` is the
/// service's address, and `more` is laid over the filter.
fn limited(auth: &Stub, upstream: &Stub, endpoint: Value, more: Value) -> Envoy {
    let mut parts: Value = serde_json::from_str(&policies::json(&read("envoy/ratelimit/envoy.yaml"))).expect("JSON");
    merge(&mut parts["http_filter"]["typed_config"], more);
    // A socket in the file system has no name to look up.
    parts["cluster"]["type"] = json!("STATIC");
    parts["cluster"]["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"] = endpoint;
    let mut shipped = Shipped::new()
        .at("auth", &[auth.addr()])
        .at("upstream", &[upstream.addr()]);
    let filters = shipped.hcm()["http_filters"].as_array_mut().expect("filters");
    assert_eq!(filters[0]["name"], "meshgate");
    filters.insert(1, parts["http_filter"].clone());
    shipped.hcm()["route_config"]["virtual_hosts"][0]["rate_limits"] = parts["rate_limits"].clone();
    let clusters = shipped.0["static_resources"]["clusters"]
        .as_array_mut()
        .expect("clusters");
    clusters.push(parts["cluster"].clone());
    shipped.start()
}

/// The shipped 0.1 s, and the way on after it, are not for a busy machine: the count would be short.
fn patient() -> Value {
    json!({"timeout": "10s"})
}

/// The number behind a key of envoy/ratelimit/config/meshgate.yaml.
fn budget(key: &str, value: Option<&str>) -> usize {
    let config: Value =
        serde_json::from_str(&policies::json(&read("envoy/ratelimit/config/meshgate.yaml"))).expect("JSON");
    let all = config["descriptors"].as_array().expect("descriptors");
    let one = all
        .iter()
        .find(|d| d["key"] == key && d["value"].as_str() == value)
        .expect("that key");
    let limit = one.get("rate_limit").unwrap_or(&one["descriptors"][0]["rate_limit"]);
    limit["requests_per_unit"].as_u64().expect("a number") as usize
}

/// Requests in turn over connections to both proxies.
struct Pair(Vec<Connection>);

impl Pair {
    fn to(envoys: &[Envoy; 2]) -> Self {
        Self(envoys.iter().map(|e| h1(e.listener("edge")).connect()).collect())
    }

    /// The statuses at each of the two.
    fn send(&mut self, requests: usize, request: impl Fn(usize) -> Request) -> [Vec<u16>; 2] {
        let mut statuses = [Vec::new(), Vec::new()];
        for i in 0..requests {
            statuses[i % 2].push(self.once(i % 2, &request(i)).status);
        }
        statuses
    }

    fn once(&mut self, proxy: usize, request: &Request) -> Response {
        self.0[proxy].send(request).expect("an answer")
    }
}

/// What is left of the budget, as the caller is told.
fn left(response: &Response) -> usize {
    let text = response.headers.text("ratelimit-remaining");
    text.expect("ratelimit-remaining").parse().expect("a number")
}

fn minute() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs()
        / 60
}

/// Budgets are whole again at each full minute: what ran over one is done again, with other callers.
fn within_a_minute<T>(what: impl Fn(usize) -> T) -> T {
    const TRIES: usize = 4;
    for number in 0..TRIES {
        let begin = minute();
        let seen = what(number);
        if minute() == begin {
            return seen;
        }
    }
    panic!("{TRIES} times longer than a minute")
}

fn passed(statuses: &[Vec<u16>; 2]) -> usize {
    statuses.iter().flatten().filter(|s| **s == 200).count()
}

#[test]
fn one_limit_over_two_proxies() {
    let service = Service::start();
    let (auth, upstream) = (auth(), Stub::echo());
    let proxy = || limited(&auth, &upstream, service.address(), patient());
    let proxies = [proxy(), proxy()];
    callers(&proxies);
    tenants_and_strangers(&proxies);
}

/// Two proxies, one budget; then nothing helps but the next minute, least of all another's name.
fn callers(proxies: &[Envoy; 2]) {
    const MORE: usize = 20;
    let caller = budget("caller", None);
    let (spent, forged, refused, remaining) = within_a_minute(|n| {
        let mut pair = Pair::to(proxies);
        let (ann, bob) = (format!("ann-{n}"), format!("bob-{n}"));
        let spent = pair.send(caller + MORE, |_| by(&ann, "/orders/1"));
        let before = left(&pair.once(0, &by(&bob, "/orders/1")));
        let forged = pair.send(MORE, |i| {
            by(&ann, "/orders/1").header("x-user-id", [&bob, "new"][i / 2 % 2])
        });
        let refused = pair.once(0, &by(&ann, "/orders/1"));
        let answer = pair.once(1, &by(&bob, "/orders/1"));
        (spent, forged, refused, [before, left(&answer)])
    });
    // The refusal is Envoy's, behind a filter that had allowed it.
    let [first, _] = proxies;
    assert!(first.stat("cluster.upstream.ratelimit.over_limit") > Some(0));
    let refusal = first.wait_for_log(r#""status":429"#);
    for part in [r#""flags":"RL""#, r#""outcome":"allowed""#] {
        assert!(refusal.contains(part), "{refusal}");
    }
    assert_eq!(passed(&spent), caller);
    for statuses in &spent {
        assert!(statuses.ends_with(&[429; MORE / 2]), "{statuses:?}");
    }
    assert_eq!(forged, [[429; MORE / 2], [429; MORE / 2]]);
    assert_eq!(remaining, [caller - 1, caller - 2]);
    assert_eq!(refused.headers.text("x-envoy-ratelimited").as_deref(), Some("true"));
}

/// All callers of a tenant together, and who is nobody by address, whatever name is forged.
fn tenants_and_strangers(proxies: &[Envoy; 2]) {
    let (trial, stranger) = (budget("tenant", Some("trial")), budget("stranger", None));

    // What counts is the proxy's and not the try's: a second try has a minute of its own.
    let (tenant, remaining) = within_a_minute(|_| {
        let mut pair = Pair::to(proxies);
        let tenant = pair.send(trial + 10, |i| {
            by(&format!("caller-{}@trial", i % 7), "/orders/1").header("x-tenant-id", "acme")
        });
        let public = |name| get("/public/x").host("localhost").header("x-user-id", name);
        let remaining: Vec<usize> = (0..4)
            .map(|i| left(&pair.once(i % 2, &public(["a", "b", "c", "d"][i]))))
            .collect();
        (tenant, remaining)
    });
    assert_eq!(passed(&tenant), trial);
    assert_eq!(remaining, [1, 2, 3, 4].map(|n| stranger - n));
}

/// While the service is down, requests go on, unless the filter is told otherwise.
#[test]
fn a_service_that_is_down_limits_nobody() {
    let (auth, upstream, dead) = (auth(), Stub::echo(), dead_port());
    let address = json!({"socket_address": {"address": "127.0.0.1", "port_value": dead.addr().port()}});
    let envoy = limited(&auth, &upstream, address.clone(), json!({}));
    let answer = h1(envoy.listener("edge")).send(&by("ann", "/orders/1"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(upstream.last().header("x-user-id").as_deref(), Some("ann"));
    assert_eq!(envoy.stat("cluster.upstream.ratelimit.failure_mode_allowed"), Some(1));

    let envoy = limited(&auth, &upstream, address, json!({"failure_mode_deny": true}));
    let answer = h1(envoy.listener("edge")).send(&by("ann", "/orders/1"));
    assert_eq!((answer.status, upstream.count()), (500, 1));
}

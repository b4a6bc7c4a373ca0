//! Each panel of the dashboard shows something after sample traffic. The same run is what docs/figures/dashboard.svg
//! is drawn from: `make dashboard`.

use crate::outcomes::{POLICY, start};
use crate::policies::json;
use crate::prometheus::Prometheus;
use crate::shipped::read;
use crate::support::*;
use crate::traffic::Traffic;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Of a run that is drawn: how long, and when the auth service is away.
const DRAWN_S: u64 = 150;
const AWAY_S: (u64, u64) = (70, 110);

/// The panels that show something, rows left out.
fn panels() -> Vec<Value> {
    let dashboard: Value = serde_json::from_str(&read("envoy/grafana/dashboards/meshgate.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").clone();
    panels.into_iter().filter(|panel| panel["type"] != "row").collect()
}

/// As Grafana would ask: its own words filled in. Four scrapes fit into the interval.
fn filled(expression: &str) -> String {
    let filled = expression
        .replace("$__rate_interval", "2s")
        .replace("$instance", ".*")
        .replace("[5m]", "[5s]");
    assert!(!filled.contains('$'), "{filled}");
    filled
}

/// What the dashboard says of its data source is what is provisioned beside it.
#[test]
fn it_is_provisioned() {
    let parse = |path: &str| serde_json::from_str::<Value>(&crate::policies::json(&read(path))).expect("JSON");
    let source = &parse("envoy/grafana/provisioning/datasources/prometheus.yaml")["datasources"][0];
    let provider = &parse("envoy/grafana/provisioning/dashboards/meshgate.yaml")["providers"][0];
    assert_eq!(provider["options"]["path"], "/etc/grafana/dashboards");
    let dashboard: Value = serde_json::from_str(&read("envoy/grafana/dashboards/meshgate.json")).expect("JSON");
    assert_eq!(dashboard["uid"], "meshgate");
    let picture = read("docs/figures/dashboard.svg").replace("&#x27;", "'");
    let (mut ids, mut ends) = (BTreeSet::new(), 0);
    for panel in dashboard["panels"].as_array().expect("panels") {
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{}", panel["title"]);
        let place = |name: &str| panel["gridPos"][name].as_u64().expect(name);
        assert!(
            place("x") + place("w") <= 24 && place("y") + place("h") > ends,
            "{}",
            panel["title"]
        );
        ends = ends.max(place("y"));
        let title = panel["title"].as_str().expect("a title");
        assert!(
            picture.contains(&format!(">{title}<")),
            "{title} is not drawn: make dashboard"
        );
        if panel["type"] == "row" {
            continue;
        }
        assert_eq!(panel["datasource"]["uid"], source["uid"], "{}", panel["title"]);
        assert!(panel["title"].is_string() && panel["description"].is_string());
        let targets = panel["targets"].as_array().expect("targets");
        assert!(
            targets
                .iter()
                .all(|target| target["legendFormat"].is_string() && target["expr"].is_string())
        );
    }
}

/// More of a policy than outcomes need: keys, a small memory, a breaker, a limit that is met again and again.
fn policy() -> String {
    let text = POLICY
        .replace(
            "cache: { ttl: 1h }",
            "cache: { ttl: 2s, stale_if_error: 10m, max_entries: 60 }\n      breaker: { failures: 5, open_for: 2s }",
        )
        .replace(
            "per: client_ip, requests: 1, window: 1h",
            "per: client_ip, requests: 2, window: 1s",
        );
    let mut policy: Value = serde_json::from_str(&json(&text)).expect("JSON");
    policy["authenticators"]["staff"] = json!({"jwt": {
        "issuer": "https://id.example.com", "audiences": ["api"],
        "keys": {"remote": {"cluster": "upstream", "authority": "id.example.com", "path": "/jwks.json", "refresh": "10s"}},
    }});
    let rules = policy["rules"].as_array_mut().expect("rules");
    rules
        .push(json!({"name": "staff-only", "match": {"hosts": ["*"], "paths": ["/token"]}, "authenticate": ["staff"]}));
    policy.to_string()
}

/// Callers of all kinds, some fifty requests a second.
fn request(n: usize) -> Request {
    let by = |caller: &str, path: &str| get(path).header("authorization", format!("Bearer {caller}"));
    // The wave that real traffic has, of half a minute.
    let wave = (n / 40) % 40;
    let request = match n % 20 {
        0..=1 => get("/public"),
        2 => get("/shop"),
        3 => by("bad", "/shop"),
        4 => by("ann", "/staff"),
        5 => get("/elsewhere"),
        6 => get("/limited"),
        7 => get("/maybe"),
        8 => by("ann", "/lenient"),
        9 if wave < 20 => get("/closed"),
        // Who comes once, and pushes out others.
        10..=11 => by(&format!("guest{n}"), "/shop"),
        _ => by(&format!("caller{}", n * 7 % 40), "/shop"),
    };
    request.host("localhost")
}

#[test]
fn every_panel_shows_something() {
    let draws = std::env::var_os("MESHGATE_DASHBOARD").map(std::path::PathBuf::from);
    let jwk: Value = serde_json::from_str(&crate::mint::key("p256").jwk_with(r#""kid":"a""#)).expect("JSON");
    let (envoy, auth, upstream) = start(&policy());
    upstream.answer(move |seen| match seen.path().as_str() {
        "/jwks.json" => Reply::ok().json(json!({"keys": [jwk]})),
        _ => Reply::echo(seen),
    });
    let asked = Arc::new(AtomicU64::new(0));
    // Most answers are quick, and every twentieth is not.
    auth.answer(move |question| {
        let n = asked.fetch_add(1, Ordering::SeqCst);
        let took = Duration::from_millis(if n % 20 == 7 { 120 } else { 4 + n % 9 });
        let caller = question.header("authorization").unwrap_or_default();
        let reply = match caller.as_str() {
            "Bearer bad" => Reply::status(401),
            _ => Reply::ok().header("x-auth-user", caller.trim_start_matches("Bearer ")),
        };
        reply.delay(took)
    });
    let prometheus = Prometheus::start(&[envoy.admin()]);
    let addr = envoy.listener("edge");
    let _traffic: Vec<Traffic> = (0..3)
        .map(|client| Traffic::start(addr, move |n| request(n * 3 + client)))
        .collect();
    // A picture begins when rates have something to compare with.
    let since = |time: SystemTime| time.duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
    let from = since(SystemTime::now()) + 8.0;
    if draws.is_some() {
        let at = |second: u64| {
            let reached = || (since(SystemTime::now()) >= from + second as f64).then_some(());
            until(format!("second {second}"), LONG * 3, reached);
        };
        at(AWAY_S.0);
        auth.stop();
        at(AWAY_S.1);
        auth.resume();
        at(DRAWN_S + 1);
    }
    let mut kept = Vec::new();
    for panel in panels() {
        let title = panel["title"].as_str().expect("a title");
        let mut series = Vec::new();
        for target in panel["targets"].as_array().expect("targets") {
            let query = filled(target["expr"].as_str().expect("a query"));
            if draws.is_some() {
                let result = prometheus.range(&query, from, from + DRAWN_S as f64, 1.0);
                series.push(json!({"legend": target["legendFormat"], "result": result}));
                continue;
            }
            let shows = |all: &Vec<Value>| {
                all.iter()
                    .any(|one| one["value"][1].as_str().is_some_and(|value| value != "NaN"))
            };
            until(format!("{title}: {query}"), LONG, || {
                prometheus.query(&query).filter(|all| shows(all))
            });
        }
        kept.push(json!({"panel": panel, "series": series}));
    }
    if let Some(path) = draws {
        let away = [AWAY_S.0, AWAY_S.1].map(|second| from + second as f64);
        let run = json!({"from": from, "to": from + DRAWN_S as f64, "away": away, "panels": kept});
        std::fs::write(path, run.to_string()).expect("the run is kept");
    }
    envoy.assert_no_trap();
}

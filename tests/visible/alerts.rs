//! Each alert fires once by a real fault, and ends with it. Those that need hours: envoy/prometheus/tests.

use crate::policies::{alice, asking};
use crate::prometheus::{Prometheus, tool};
use crate::shipped::Shipped;
use crate::support::probe::{self, TRAPS_ABOVE_HEADERS};
use crate::support::*;
use crate::traffic::Traffic;
use meshgate::experiment::Kind;
use meshgate::time::UnixTime;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// An Envoy whose metrics have the labels of the shipped bootstrap.
fn tagged() -> GateBuilder {
    let shipped = Shipped::whole().0;
    Gate::builder().bootstrap(json!({"stats_config": shipped["stats_config"]}))
}

fn watched(gate: &Gate) -> Prometheus {
    Prometheus::start(&[gate.envoy.admin()])
}

fn from(caller: &str, path: &str) -> Request {
    get(path).header("authorization", format!("Bearer {caller}"))
}

/// One outage of the auth service: questions fail, the breaker opens, known callers are let in by old answers, and
/// where the policy says so everybody as nobody.
#[test]
fn the_auth_service_is_away_and_comes_back() {
    let policy = asking(
        r#"
        credential: ["header:authorization"]
        cache: { ttl: 1s, stale_if_error: 10m }
        breaker: { failures: 5, open_for: 1s }"#,
        r#"rules:
- { name: open, match: { hosts: ["*"], paths: ["/open/**"] }, authenticate: [lenient] }
- { name: all, match: { hosts: ["*"], paths: ["/**"] } }"#,
    );
    let mut policy: Value = serde_json::from_str(&policy).unwrap();
    let mut lenient = policy["authenticators"]["account"].clone();
    lenient["callout"]["on_failure"] = json!("allow");
    lenient["callout"].as_object_mut().unwrap().remove("cache");
    policy["authenticators"]["lenient"] = lenient;
    let gate = tagged().policy(policy).auth(|_| alice()).start();
    assert_eq!(gate.send(&from("known", "/")).status, 200);

    let prometheus = watched(&gate);
    let _traffic = Traffic::start(gate.addr(), |n| match n % 4 {
        0 => from("known", "/"),
        1 => from("known", "/open/"),
        // A breaker is opened by several callers only.
        n => from(&format!("caller{n}"), &format!("/{n}")),
    });
    let alerts = [
        "MeshgateAuthServiceFailing",
        "MeshgateBreakerOpen",
        "MeshgateStaleAnswers",
        "MeshgateFailedOpen",
    ];
    until("questions that are answered", SHORT, || {
        prometheus
            .query("rate(meshgate_callouts_total{result=\"allowed\"}[2s]) > 0")
            .filter(|all| !all.is_empty())
    });
    assert_eq!(alerts.map(|alert| prometheus.firing(alert)), [0; 4]);
    gate.auth.stop();
    alerts.iter().for_each(|alert| prometheus.fires(alert));
    gate.auth.resume();
    alerts.iter().for_each(|alert| prometheus.resolves(alert));
    gate.envoy.assert_no_trap();
}

#[test]
fn more_is_refused_than_before() {
    let gate = tagged()
        .policy(asking("", ""))
        .auth(|asked| match asked.header("authorization").as_deref() {
            Some("Bearer bad") => Reply::status(401),
            _ => alice(),
        })
        .start();
    let prometheus = watched(&gate);
    let bad = Arc::new(AtomicU64::new(0));
    let in_ten = bad.clone();
    let _traffic = Traffic::start(gate.addr(), move |n| {
        let is_bad = (n as u64 * 3 + 1) % 100 < in_ten.load(Ordering::SeqCst) * 10;
        from(if is_bad { "bad" } else { "good" }, "/")
    });
    // What is normal is looked up ten minutes ago, which are ten seconds here.
    let normal = "meshgate:refused:ratio_rate5m{rule=\"all\"} offset 10s";
    until("a while without refusals", LONG, || {
        prometheus.query(normal).filter(|all| !all.is_empty())
    });
    assert_eq!(prometheus.firing("MeshgateRefusalsAboveNormal"), 0);
    bad.store(6, Ordering::SeqCst);
    prometheus.fires("MeshgateRefusalsAboveNormal");
    bad.store(0, Ordering::SeqCst);
    prometheus.resolves("MeshgateRefusalsAboveNormal");
}

#[test]
fn the_issuer_is_away_and_keys_grow_old() {
    let jwk = |name: &str| serde_json::from_str::<Value>(&crate::mint::key(name).jwk_with(r#""kid":"a""#)).unwrap();
    let keys = json!({"keys": [jwk("p256")]});
    let policy = json!({
        "version": 1,
        "authenticators": {"staff": {"jwt": {
            "issuer": "https://id.example.com", "audiences": ["api"],
            "keys": {"remote": {"cluster": "auth", "authority": "id.example.com", "path": "/jwks.json", "refresh": "10s"}},
        }}},
        "rules": [{"name": "r", "match": {"hosts": ["*"]}, "authenticate": ["staff"]}],
    });
    let gate = tagged()
        .policy(policy)
        .auth(move |_| Reply::ok().json(keys.clone()))
        .start();
    let prometheus = watched(&gate);
    until("the keys' age", LONG, || {
        prometheus
            .query("meshgate_keys_age_seconds >= 0")
            .filter(|all| !all.is_empty())
    });
    prometheus.resolves("MeshgateKeysOld");
    gate.auth.stop();
    // Three times ten seconds, which no clock of Prometheus makes shorter.
    prometheus.fires("MeshgateKeysOld");
    gate.auth.resume();
    prometheus.resolves("MeshgateKeysOld");
}

#[test]
fn a_policy_is_rejected() {
    let gate = tagged().policy(asking("", "")).live().start();
    let other = tagged().policy(asking("", "")).start();
    let prometheus = Prometheus::start(&[gate.envoy.admin(), other.envoy.admin()]);
    assert_eq!(gate.replace_policy("{}"), Replaced::Rejected);
    prometheus.fires("MeshgatePolicyRejected");
    assert_eq!(prometheus.firing("MeshgatePoliciesDiffer"), 0);
    // The next one is taken, and is not what the other proxy serves.
    assert_eq!(gate.replace_policy(asking("timeout: 1s", "")), Replaced::Taken);
    prometheus.fires("MeshgatePoliciesDiffer");
    assert_eq!(gate.replace_policy(asking("", "")), Replaced::Taken);
    prometheus.resolves("MeshgatePoliciesDiffer");
    prometheus.resolves("MeshgatePolicyRejected");
}

/// The shipped filter has no request that ends it, as far as is known: a module that has one stands in its place.
#[test]
fn the_filter_traps() {
    let run = envoy::RunDir::new();
    let module = run.path().join("probe.wasm");
    std::fs::write(&module, probe::module()).unwrap();
    let gate = tagged().module(&module).policy("{}").start();
    let prometheus = watched(&gate);
    assert_eq!(prometheus.firing("MeshgateFilterTrapped"), 0);
    let many = (0..=TRAPS_ABOVE_HEADERS).fold(get("/"), |r, i| r.header(format!("x-{i}"), "v"));
    assert_eq!(gate.send(&many).status, 503);
    // The next request finds the module gone, and has it started anew.
    until("a request that is served again", LONG, || {
        (gate.send(&get("/")).status == 200).then_some(())
    });
    prometheus.fires("MeshgateFilterTrapped");
    prometheus.resolves("MeshgateFilterTrapped");
}

#[test]
fn the_proxy_does_not_answer() {
    let gate = tagged().policy(asking("", "")).start();
    let prometheus = watched(&gate);
    assert_eq!(prometheus.firing("MeshgateDown"), 0);
    let signal = |number| {
        // SAFETY: the process is the test's own child, and not reaped before the gate is dropped.
        assert_eq!(unsafe { libc::kill(gate.envoy.pid() as libc::pid_t, number) }, 0);
    };
    signal(libc::SIGSTOP);
    prometheus.fires("MeshgateDown");
    signal(libc::SIGCONT);
    prometheus.resolves("MeshgateDown");
}

/// All who come hash to one variant. Another is over, and nobody misses it.
#[test]
fn a_variant_meets_nobody() {
    let policy = json!({
        "version": 1,
        "experiments": {"checkout": {"unit": ["header:x-device"], "header": "x-variant-checkout", "variants": [
            {"name": "control", "weight": "50%"}, {"name": "blue", "weight": "50%"}, {"name": "over", "weight": "0%"},
        ]}},
        "rules": [{"name": "all", "match": {"hosts": ["*"], "paths": ["/**"]}, "authenticate": "none", "experiments": ["checkout"]}],
    });
    let parsed = meshgate::config::parse(policy.to_string().as_bytes()).expect("a policy");
    let experiment = parsed.policy.experiments[0].clone();
    let gets = move |device: &str| match &experiment.kind {
        Kind::Variants(variants) => {
            let all = variants.assign(&experiment.seed, device.as_bytes(), UnixTime::default());
            variants.variants[all.variant.expect("it takes part")].name.to_string()
        }
        Kind::Bucket(_) => panic!("a bucket"),
    };
    let gate = tagged().policy(policy).start();
    let prometheus = watched(&gate);
    let both = Arc::new(AtomicBool::new(false));
    let told = both.clone();
    // Nobody comes twice: an exposure is told once.
    let _traffic = Traffic::start(gate.addr(), move |n| {
        let wanted = if told.load(Ordering::SeqCst) && n % 2 == 0 {
            "blue"
        } else {
            "control"
        };
        let mut tries = (0..).map(|m| format!("{n}-{m}"));
        get("/").header("x-device", tries.find(|device| gets(device) == wanted).expect("one"))
    });
    prometheus.fires("MeshgateVariantWithoutTraffic");
    let all = prometheus
        .query("ALERTS{alertname=\"MeshgateVariantWithoutTraffic\"}")
        .unwrap();
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(all[0]["metric"]["variant"], "blue");
    both.store(true, Ordering::SeqCst);
    prometheus.resolves("MeshgateVariantWithoutTraffic");
    gate.envoy.assert_no_trap();
}

#[test]
fn the_rules_pass_promtool() {
    let root = env!("CARGO_MANIFEST_DIR");
    for arguments in [
        ["check", "config", "envoy/prometheus/prometheus.yml"],
        ["test", "rules", "envoy/prometheus/tests/meshgate.yml"],
    ] {
        let mut command = Command::new(tool("promtool"));
        let output = command.args(arguments).current_dir(root).output().expect("promtool");
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
}

/// Every alert has a section, and every section an alert; each is made to fire here or by promtool.
#[test]
fn every_alert_is_explained_and_tried() {
    let root = env!("CARGO_MANIFEST_DIR");
    let read = |path: &str| std::fs::read_to_string(format!("{root}/{path}")).expect(path);
    let rules = read("envoy/prometheus/rules/meshgate.yml");
    let after = |text: &str, mark: &str| -> BTreeSet<String> {
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix(mark));
        lines.map(str::to_owned).collect()
    };
    let alerts = after(&rules, "- alert: ");
    assert!(alerts.len() >= 14, "{alerts:?}");
    assert_eq!(alerts, after(&read("docs/alerts.md"), "## "));
    let runbooks = after(&rules, "runbook: docs/alerts.md#");
    assert_eq!(runbooks, alerts.iter().map(|name| name.to_lowercase()).collect());
    let tests = read("envoy/prometheus/tests/meshgate.yml");
    let here = include_str!("alerts.rs");
    let tried = |name: &&String| {
        here.contains(&format!("\"{name}\"")) || tests.contains(&format!("alertname: {name}\n    exp_alerts"))
    };
    let untried: Vec<_> = alerts.iter().filter(|name| !tried(name)).collect();
    assert!(untried.is_empty(), "{untried:?}");
}

//! What is told of assignments that were used.

use super::*;
use crate::policies::log_lines;
use std::collections::BTreeMap;

const POLICY: &str = r#"
version: 1
experiments:
  checkout: { unit: ["header:x-device"], header: x-variant, variants: [{ name: control, weight: 50% }, { name: blue, weight: 50% }] }
  quiet: { unit: ["header:x-device"], mode: shadow, header: x-quiet, variants: [{ name: loud }] }
  routed: { unit: ["header:x-device"], bucket_header: x-bucket }
rules:
- { name: routed, match: { hosts: ["*"], paths: ["/weights"] }, authenticate: none, experiments: [routed] }
- { name: all, match: { hosts: ["*"], paths: ["/**"] }, authenticate: none, experiments: [checkout, quiet] }"#;

fn gate(versions: &Versions) -> Gate {
    let gate = Gate::builder().policy(json(POLICY)).workers(4).routes(object!([
        {"match": {"prefix": "/weights"}, "route": {"weighted_clusters": {
            "header_name": "x-bucket",
            "clusters": [{"name": "v1", "weight": 5000}, {"name": "v2", "weight": 5000}],
        }}},
        {"match": {"prefix": "/"}, "route": {"cluster": "v1"}},
    ]));
    versions.clusters(gate).start()
}

fn exposures(gate: &Gate, of: &str, n: usize) -> Vec<Value> {
    until(format!("{n} exposures of {of}"), SHORT, || {
        let lines = log_lines(&gate.envoy.log()).into_iter();
        let ours: Vec<_> = lines
            .filter(|line| line["msg"] == "exposure" && line["experiment"] == of)
            .collect();
        (ours.len() >= n).then_some(ours)
    })
}

/// One for each unit, however often and by whichever worker it is served.
#[test]
fn one_of_each_caller() {
    const UNITS: usize = 500;
    let versions = Versions::start();
    let gate = gate(&versions);
    let checkout = experiment(&json(POLICY), "checkout");
    // Three times each, on connections of all workers.
    let requests: Vec<Request> = (0..3 * UNITS)
        .map(|n| by("/a", &format!("device-{}", n % UNITS)))
        .collect();
    served(&gate, &requests, 16);
    let mut expected = BTreeMap::new();
    for n in 0..UNITS {
        *expected.entry(variant(&checkout, &format!("device-{n}"))).or_insert(0) += 1;
    }
    for (variant, count) in &expected {
        let counter = format!("wasmcustom.meshgate_exposures_total.experiment=checkout.variant={variant}");
        assert_eq!(gate.envoy.stat(&counter), Some(*count), "{variant}");
    }
    let quiet = "wasmcustom.meshgate_shadow_exposures_total.experiment=quiet.variant=loud";
    assert_eq!(gate.envoy.stat(quiet), Some(UNITS as u64));
    assert_eq!(
        gate.envoy
            .stat("wasmcustom.meshgate_exposures_total.experiment=quiet.variant=loud"),
        None
    );
    let lines = exposures(&gate, "checkout", UNITS);
    assert_eq!(lines.len(), UNITS);
    // printf 'checkout\0device-7' | sha256sum
    let seven = lines
        .iter()
        .find(|line| line["unit"] == "f66a1608a822aa04")
        .expect("the seventh");
    assert_eq!(seven["variant"], variant(&checkout, "device-7"));
    assert_eq!(seven["rule"], "all");
    assert!(!gate.envoy.log().contains("device-7"), "a unit is told hashed only");
    assert_eq!(exposures(&gate, "quiet", UNITS)[0]["shadow"], true);
    assert!(versions.one.received().iter().all(|seen| !seen.has("x-quiet")));
}

#[test]
fn the_route_says_where_a_bucket_leads() {
    let versions = Versions::start();
    let gate = gate(&versions);
    let mut led = BTreeMap::new();
    for n in 0..40 {
        let device = format!("device-{}", n % 20);
        let request = by("/weights", &device);
        let version = gate.send(&request).header("x-served-by").expect("a version");
        *led.entry(version).or_insert(0) += 1;
    }
    let lines = exposures(&gate, "routed", 20);
    assert_eq!(lines.len(), 20);
    for (version, count) in led {
        let of_it = lines
            .iter()
            .filter(|line| line["cluster"] == version && line["variant"] == "by_route");
        assert_eq!(of_it.count() * 2, count, "{version}");
    }
    let counter = "wasmcustom.meshgate_exposures_total.experiment=routed.variant=by_route";
    assert_eq!(gate.envoy.stat(counter), Some(20));
}

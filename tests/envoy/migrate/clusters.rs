//! Two proxies with one policy, as in two clusters: what docs/clusters.md says that they share, and do not.

use super::policy;
use crate::support::*;
use serde_json::{Value, json};

fn remembering(revision: &str) -> Value {
    let mut policy = policy("kong/proxy-cache/policy.yaml");
    policy["revision"] = json!(revision);
    policy["rate_limits"] = json!({"few": {"per": "subject", "requests": 2, "window": "24h"}});
    policy["rules"][0]["rate_limit"] = json!(["few"]);
    policy
}

#[test]
fn two_proxies_share_the_policy_and_nothing_else() {
    let one = Gate::builder().policy(remembering("eu-1")).live().workers(2);
    let one = one.auth(|_| Reply::ok().header("x-auth-user", "alice")).start();
    let other = Gate::builder().policy(remembering("eu-1")).workers(2);
    let other = other.cluster(gate::cluster("auth", &[one.auth.addr()])).start();
    let send = |gate: &Gate| {
        let request = get("/orders/1").header("authorization", "Bearer alice");
        gate.send(&request).status
    };
    // The buckets of one are all its workers'; those of the other are full.
    assert_eq!([send(&one), send(&one), send(&one)], [200, 200, 429]);
    let asked = one.auth.count();
    assert!((1..=2).contains(&asked), "each worker asks once: {asked}");
    assert_eq!([send(&other), send(&other), send(&other)], [200, 200, 429]);
    assert!(one.auth.count() > asked, "what one remembers, the other does not");

    // Which revision runs where.
    let runs = |gate: &Gate, revision: &str| {
        let name = format!("wasmcustom.meshgate_policy_info.revision={revision}");
        gate.envoy.stat(&name) == Some(1)
    };
    assert!(runs(&one, "eu-1") && runs(&other, "eu-1"));
    one.replace_policy(remembering("eu-2"));
    until("the new revision", LONG, || runs(&one, "eu-2").then_some(()));
    assert!(
        !runs(&one, "eu-1") && runs(&other, "eu-1"),
        "the other is the same as before"
    );
}

//! Rates as the upstream, the auth service and the client see them.

use std::time::{Duration, Instant};

use crate::policies::{account, json, knows_ada};
use crate::support::*;
use serde_json::{Value, json as object};

const WORKERS: u32 = 4;

/// A public rule for everything, under one limit.
fn public(limit: &str) -> String {
    json(&format!(
        r#"
version: 1
rate_limits: {{ limit: {{ {limit} }} }}
rules:
- {{ name: all, match: {{ hosts: ["*"], paths: ["/**"] }}, authenticate: none, rate_limit: [limit] }}"#
    ))
}

fn gate(policy: String) -> GateBuilder {
    Gate::builder().policy(policy).workers(WORKERS)
}

/// Worker threads that took connections.
fn workers_that_served(gate: &Gate) -> usize {
    let stats = gate.envoy.stats("listener.");
    let of_worker = |name: &str| name.contains(".worker_") && name.ends_with("downstream_cx_total");
    stats
        .iter()
        .filter(|(name, count)| of_worker(name) && **count > 0)
        .count()
}

/// Ten times as much is asked for as the limit lets through. Two seconds' worth of burst outlast any pause of a busy
/// machine, so that the bucket is never full again and the rate is all that counts.
#[test]
fn four_workers_hold_one_rate() {
    const RATE: usize = 200;
    const BURST: usize = 400;
    const SECONDS: usize = 10;
    let gate = gate(public(&format!(
        "per: \"header:x-device\", requests: {RATE}, window: 1s, burst: {BURST}"
    )))
    .log_level("warning")
    .start();
    let script = gate.envoy.dir().join("device.lua");
    std::fs::write(
        &script,
        "function delay() return 15 end\nfunction request() return wrk.format('GET', nil, { ['x-device'] = 'a' }) end\n",
    )
    .expect("written");
    let wrk = Wrk::start(&format!("http://{}/a", gate.addr()), 32, &script);
    let most = BURST + RATE * SECONDS;
    let received = gate.upstream.wait_for_within(most, LONG);
    let seen = wrk.finish();
    let refused = gate.envoy.stat("wasmcustom.meshgate_rate_limited_total.limit=limit");
    assert!(
        refused > Some(most as u64),
        "too little was asked for: {refused:?}\n{seen}"
    );
    assert_eq!(
        workers_that_served(&gate),
        WORKERS as usize,
        "{:?}",
        gate.envoy.stats("listener.")
    );
    let first = received[0].at;
    let took = received[most - 1].at - first;
    let off = took.as_secs_f64() / SECONDS as f64 - 1.0;
    println!("{most} of them in {took:?}: {:.2} % off", off * 100.0);
    assert!(off.abs() < 0.02, "{most} requests took {took:?}");
    gate.envoy.assert_no_trap();
}

#[test]
fn a_flood_of_strangers_does_not_reach_the_auth_service() {
    const MOST: usize = 20;
    let policy = account(&format!(
        r#"
rate_limits: {{ strangers: {{ per: client_ip, requests: {MOST}, window: 24h, before_auth: true }} }}
rules:
- {{ name: all, rate_limit: [strangers] }}"#
    ));
    let gate = gate(policy).auth(knows_ada).start();
    let statuses = all_at_once(300, |n| {
        let credential = format!("Bearer {n}");
        gate.send(&get("/a").header("authorization", &credential)).status
    });
    assert_eq!(gate.auth.count(), MOST);
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), MOST);
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 300 - MOST);
    assert_eq!(gate.send(&get("/a").header("authorization", "Bearer ada")).status, 429);
    assert_eq!((gate.auth.count(), gate.upstream.count()), (MOST, 0));
}

#[test]
fn what_a_client_is_told() {
    let gate = gate(public("per: \"header:x-device\", requests: 2, window: 1h, burst: 1")).start();
    for (wire, device) in [(Wire::H1, "one"), (Wire::H2, "two")] {
        let request = get("/a").header("x-device", device);
        assert_eq!(gate.client(wire).send(&request).status, 200);
        let response = gate.client(wire).send(&request);
        assert_eq!(response.status, 429);
        let seconds = |name: &str| -> u64 { response.header(name).and_then(|text| text.parse().ok()).expect(name) };
        // A minute for a test that was held up.
        for name in ["retry-after", "ratelimit-reset"] {
            assert!(
                (1740..=1800).contains(&seconds(name)),
                "{wire:?}: {name} {}",
                seconds(name)
            );
        }
        assert_eq!((seconds("ratelimit-limit"), seconds("ratelimit-remaining")), (1, 0));
        assert_eq!(response.header("cache-control").as_deref(), Some("no-store"));
        assert_eq!(response.json()["error"], "rate_limited", "{}", response.text());
    }
    let call = post("/shop.v1.Orders/Get", "")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("x-device", "three");
    assert_eq!(gate.h2().send(&call).status, 200);
    let response = gate.h2().send(&call);
    assert_eq!(
        (response.status, response.header("grpc-status").as_deref()),
        (200, Some("8")),
        "RESOURCE_EXHAUSTED: {:?}",
        response.headers
    );
    assert!(response.header("retry-after").is_some(), "{:?}", response.headers);
    assert_eq!(gate.upstream.count(), 3);
}

/// The address is the listener's word; here it takes that of the one trusted hop.
#[test]
fn addresses_of_one_network_are_one_client() {
    let gate = gate(public("per: client_ip, requests: 1, window: 24h"))
        .hcm(object!({"use_remote_address": true, "xff_num_trusted_hops": 1}))
        .start();
    for (address, status) in [
        ("2001:db8:1:2::1", 200),
        ("2001:db8:1:2:aaaa:bbbb:cccc:dddd", 429),
        ("2001:db8:1:3::1", 200),
        ("192.0.2.7", 200),
        ("192.0.2.8", 200),
        ("192.0.2.7", 429),
        // What stands before the trusted hop's word is the client's own.
        ("203.0.113.9, 192.0.2.8", 429),
    ] {
        let response = gate.send(&get("/a").header("x-forwarded-for", address));
        assert_eq!(response.status, status, "{address}");
    }
}

#[test]
fn a_new_policy_keeps_what_was_taken() {
    let limit = |requests: u32| public(&format!("per: \"header:x-device\", requests: {requests}, window: 24h"));
    let gate = gate(limit(3)).live().start();
    let send = |device: &str| gate.send(&get("/a").header("x-device", device)).status;
    assert_eq!([(); 4].map(|()| send("a")), [200, 200, 200, 429]);
    let mut policy: Value = serde_json::from_str(&limit(3)).expect("JSON");
    policy["revision"] = object!("r2");
    assert_eq!(gate.replace_policy(&policy), Replaced::Taken);
    let said = "revision=r2";
    until("the new policy", SHORT, || {
        let in_force = gate.envoy.stats("wasmcustom.meshgate_policy_info");
        in_force
            .iter()
            .any(|(name, value)| name.contains(said) && *value == 1)
            .then_some(())
    });
    let statuses = all_at_once(50, |_| send("a"));
    assert_eq!(statuses, [429; 50]);
    let statuses = all_at_once(50, |_| send("b"));
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 3);
}

/// After a pause a bucket holds its burst and no more.
#[test]
fn a_bucket_fills_again_and_not_further() {
    let gate = gate(public("per: \"header:x-device\", requests: 5, window: 1s, burst: 3")).start();
    let send = || gate.send(&get("/a").header("x-device", "a")).status;
    let begin = Instant::now();
    let first = all_at_once(30, |_| send())
        .into_iter()
        .filter(|status| *status == 200)
        .count();
    until("a refusal of an empty bucket, and room again", SHORT, || {
        (send() == 200).then_some(())
    });
    // Whatever that took, no more went on than the burst and what the time brought.
    let brought = begin.elapsed().div_duration_f64(Duration::from_millis(200)) as usize;
    assert!((3..=3 + brought).contains(&first), "{first} at once, {brought} brought");
    assert!(
        gate.upstream.count() <= 3 + brought,
        "{} of {brought}",
        gate.upstream.count()
    );
    gate.envoy.assert_no_trap();
}

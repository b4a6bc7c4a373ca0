//! Buckets in the proxy's shared data: which calls they cost, and what becomes of them where the proxy does not do as
//! it is told.

use crate::gate::*;
use crate::host::{Host, HostOptions, SharedData};
use proxy_wasm::types::Status;
use serde_json::{Value, json};
use std::time::Duration;

const READ: &str = "get_shared_data";
const WRITE: &str = "set_shared_data";
const ERRORS: &str = "meshgate_host_errors_total.call=";

/// Two public requests of one address a second.
fn policy() -> Value {
    let mut policy: Value = serde_json::from_str(POLICY).unwrap();
    policy["rate_limits"] = json!({ "strangers": { "per": "client_ip", "requests": 2, "window": "1s" } });
    policy["rules"][0]["rate_limit"] = json!(["strangers"]);
    policy
}

fn limited(shared: &SharedData) -> Host {
    let shared = shared.clone();
    let host = serving(&policy().to_string(), HostOptions { shared, ..options() });
    comes_from(&host, "192.0.2.1:4711");
    host
}

fn comes_from(host: &Host, address: &str) {
    host.set_property(&["source", "address"], address);
}

/// So many of five requests go on, and all others are 429.
#[track_caller]
fn of_five(host: &Host) -> usize {
    let streams: Vec<_> = (0..5).map(|_| host.request(&headers("/public/a", &[]))).collect();
    let statuses: Vec<_> = streams.iter().filter_map(status).collect();
    assert!(statuses.iter().all(|status| *status == 429), "{statuses:?}");
    streams.iter().filter(|stream| stream.upstream().is_some()).count()
}

#[test]
fn a_limit_costs_two_calls_and_a_rule_without_one_none() {
    let host = limited(&SharedData::default());
    assert!(host.request(&headers("/public/a", &[])).upstream().is_some());
    for (call, times) in [("get_shared_data", 1), ("set_shared_data", 1), ("get_property", 1)] {
        assert_eq!(host.count(call), times, "{call}: {:#?}", host.calls());
    }
    host.take_calls();
    known(&host, "/gate/a");
    answer(&host, YES);
    let calls = ["get_shared_data", "set_shared_data", "get_property"].map(|call| host.count(call));
    assert_eq!(calls, [0, 0, 0], "{:#?}", host.calls());
}

#[test]
fn a_refusal_is_told_and_counted_by_its_limit() {
    let host = limited(&SharedData::default());
    assert_eq!(of_five(&host), 2);
    let line = decisions(&host).pop().expect("a line");
    assert_eq!(
        (&line["outcome"], &line["cause"], &line["level"]),
        (&json!("rate_limited"), &json!("strangers"), &json!("info"))
    );
    assert_eq!(host.metric("meshgate_rate_limited_total.limit=strangers"), Some(3));
    assert_eq!(
        host.metric("meshgate_requests_total.rule=public.outcome=rate_limited"),
        Some(3)
    );
    assert_eq!(host.metric("meshgate_rate_limit_overflows_total.limit=strangers"), None);
    host.advance(Duration::from_millis(500));
    assert_eq!(of_five(&host), 1);
}

#[test]
fn a_client_has_its_whole_network_of_ipv6() {
    let host = limited(&SharedData::default());
    comes_from(&host, "[2001:db8:1:2::1]:4711");
    assert_eq!(of_five(&host), 2);
    comes_from(&host, "[2001:db8:1:2:ffff::9]:1");
    assert_eq!(of_five(&host), 0);
    comes_from(&host, "[2001:db8:1:3::1]:4711");
    assert_eq!(of_five(&host), 2);
    comes_from(&host, "[::ffff:192.0.2.7]:4711");
    assert_eq!(of_five(&host), 2);
    comes_from(&host, "192.0.2.7:99");
    assert_eq!(of_five(&host), 0);
    comes_from(&host, "/run/a.sock");
    assert_eq!(of_five(&host), 2, "whose address is none share one bucket");
}

#[test]
fn two_workers_and_a_new_policy_have_one_bucket() {
    let shared = SharedData::default();
    let there = shared.clone();
    let before = std::thread::spawn(move || of_five(&limited(&there)))
        .join()
        .expect("the other worker");
    let mut host = limited(&shared);
    assert_eq!((before, of_five(&host)), (2, 0));
    let mut changed = policy();
    changed["revision"] = json!("r2");
    assert!(host.configure(changed.to_string()));
    assert_eq!(of_five(&host), 0);
}

/// Nobody is locked out, and nobody let through for ever.
#[track_caller]
fn the_worker_has_its_own(call: &str) {
    let host = limited(&SharedData::default());
    host.refuse(call, Status::InternalFailure);
    assert_eq!(of_five(&host), 2);
    host.advance(Duration::from_secs(1));
    assert_eq!(of_five(&host), 2);
    let refused = host.metric(&format!("{ERRORS}{call}")).expect("counted");
    assert!(refused >= 4, "{refused}");
    assert_eq!(complaints(&host).len(), 1, "told once");
}

#[test]
fn buckets_that_cannot_be_read() {
    the_worker_has_its_own("get_shared_data");
}

#[test]
fn buckets_that_cannot_be_written() {
    the_worker_has_its_own("set_shared_data");
}

#[test]
fn a_write_that_comes_second_is_tried_again() {
    let host = limited(&SharedData::default());
    host.refuse_some(WRITE, Status::CasMismatch, 0, 3);
    assert!(host.request(&headers("/public/a", &[])).upstream().is_some());
    assert_eq!((host.count(READ), host.count(WRITE)), (4, 4));
    host.refuse(WRITE, Status::CasMismatch);
    host.take_calls();
    assert_eq!(status(&host.request(&headers("/public/a", &[]))), Some(429));
    assert_eq!(host.count(WRITE), 16, "and not for ever");
    assert_eq!(complaints(&host), Vec::<String>::new());
}

/// The slot of the only address.
fn slot(shared: &SharedData) -> String {
    let keys = shared.keys().into_iter();
    let mut slots = keys.filter(|key| key.starts_with("meshgate.rate.strangers."));
    let slot = slots.next().expect("a slot");
    assert_eq!(slots.next(), None);
    slot
}

#[test]
fn what_other_plugins_plant_ends_in_no_panic_and_for_nobody_in_a_lockout() {
    for planted in [&b""[..], b"\0", &[255; 128], &[9; 129], &[0; 1 << 16]] {
        let shared = SharedData::default();
        let host = limited(&shared);
        assert_eq!(of_five(&host), 2);
        let key = slot(&shared);
        shared.set(key.as_bytes(), planted, 0).expect("written");
        assert!(of_five(&host) <= 2);
        host.advance(Duration::from_secs(1));
        assert_eq!(of_five(&host), 2, "{} bytes", planted.len());
    }
}

#[test]
fn who_finds_no_place_shares_what_is_left_and_is_counted() {
    let shared = SharedData::default();
    let host = limited(&shared);
    assert_eq!(of_five(&host), 2);
    // Eight others, whose buckets are not full before the end of the window.
    let (bytes, _) = shared.get(slot(&shared).as_bytes()).expect("a bucket");
    let full_at = &bytes[8..16];
    let crowd: Vec<u8> = (0..8_u64)
        .flat_map(|tag| [&tag.to_le_bytes()[..], full_at].concat())
        .collect();
    shared.set(slot(&shared).as_bytes(), &crowd, 0).expect("written");
    assert_eq!(of_five(&host), 2, "the overflow bucket");
    assert_eq!(
        host.metric("meshgate_rate_limit_overflows_total.limit=strangers"),
        Some(5)
    );
    host.advance(Duration::from_secs(1));
    assert_eq!(of_five(&host), 2);
    assert_eq!(
        host.metric("meshgate_rate_limit_overflows_total.limit=strangers"),
        Some(5)
    );
}

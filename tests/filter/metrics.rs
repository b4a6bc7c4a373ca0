//! Counters: names and numbers, made once, and never out of a request.

use crate::gate::*;
use crate::host::{Cluster, Host};
use std::time::Duration;

#[track_caller]
fn counted(host: &Host, name: &str, times: u64) {
    assert_eq!(
        host.metric(&format!("meshgate_{name}")),
        Some(times),
        "{name}: {:#?}",
        host.metrics()
    );
}

#[test]
fn each_outcome_and_each_answer_is_counted() {
    let host = gate();
    for _ in 0..3 {
        known(&host, "/gate/a");
        answer(&host, YES);
    }
    for (path, reply) in [
        ("/gate/a", NO),
        ("/gate/staff", YES),
        ("/lenient/a", &[(":status", "500")]),
    ] {
        known(&host, path);
        answer(&host, reply);
    }
    known(&host, "/gate/a");
    host.answer_timed_out(host.callout().token);
    known(&host, "/gate/shadowed");
    answer(&host, YES);
    host.request(&headers("/public/a", &[]));
    host.request(&headers("/public/a", &[]));
    host.request(&headers("/nowhere", &[]));
    host.set_cluster("auth", Cluster::NoHealthyHost);
    known(&host, "/gate/a");

    counted(&host, "requests_total.rule=gate.outcome=allowed", 4);
    counted(&host, "requests_total.rule=gate.outcome=denied", 1);
    counted(&host, "requests_total.rule=gate.outcome=auth_unavailable", 2);
    counted(&host, "requests_total.rule=staff.outcome=forbidden", 1);
    counted(&host, "requests_total.rule=lenient.outcome=failed_open", 1);
    counted(&host, "requests_total.rule=public.outcome=public", 2);
    counted(&host, "requests_total.rule=none.outcome=no_rule", 1);
    counted(&host, "shadow_requests_total.rule=trial.outcome=closed", 1);
    counted(&host, "callouts_total.authenticator=account.result=allowed", 5);
    counted(&host, "callouts_total.authenticator=account.result=denied", 1);
    counted(&host, "callouts_total.authenticator=account.result=timeout", 1);
    counted(&host, "callouts_total.authenticator=account.result=no_host", 1);
    counted(&host, "callouts_total.authenticator=lenient.result=server_error", 1);
    counted(&host, "policy_loads_total.result=accepted", 1);
    counted(&host, "policy_observing", 0);
    counted(&host, "policy_info.revision=r1", 1);
    // A counter that begins at 1 is no rise to Prometheus: what alerts ask for is there before it happens.
    counted(&host, "policy_loads_total.result=rejected", 0);
    counted(&host, "callouts_total.authenticator=lenient.result=timeout", 0);
    counted(&host, "answers_total.authenticator=account.from=stale", 0);
    counted(&host, &format!("build_info.version={}", env!("CARGO_PKG_VERSION")), 1);
    let sum = |name: &str| -> u64 {
        host.metrics()
            .iter()
            .filter(|(n, _)| n.starts_with(name))
            .map(|(_, n)| n)
            .sum()
    };
    assert_eq!(sum("meshgate_requests_total"), 12);
    assert_eq!(sum("meshgate_callouts_total"), 9);
}

#[test]
fn a_name_is_defined_once_in_a_vm() {
    let mut host = gate();
    for _ in 0..100 {
        assert!(host.configure(POLICY));
        host.request(&headers("/public/a", &[])).done();
        let stream = known(&host, "/gate/a");
        answer(&host, YES);
        stream.done();
    }
    let histograms = 4; // one of each authenticator
    assert_eq!(host.metrics_defined() as usize, host.metrics().len() + histograms);
    counted(&host, "policy_loads_total.result=accepted", 101);
    counted(&host, "requests_total.rule=gate.outcome=allowed", 100);
}

#[test]
fn no_label_comes_from_a_request() {
    let host = gate();
    let run = |mark: &str| {
        let path = format!("/gate/{mark}?{mark}={mark}");
        let all = [
            (":method", mark),
            (":authority", mark),
            (":path", &path),
            ("authorization", mark),
            ("x-request-id", mark),
        ];
        host.request(&all);
        for callout in host.callouts() {
            host.answer(callout.token, &[(":status", "200"), ("x-auth-user", mark)], "");
        }
    };
    run("first");
    let before = host.metrics_defined();
    (0..50).for_each(|n| run(&format!("mark{n}")));
    assert_eq!(host.metrics_defined(), before);
    assert!(host.metrics().keys().all(|name| !name.contains("mark")));
}

/// What is counted is what the service said, not what became of the request.
#[test]
fn a_refused_caller_whom_require_stops_is_a_denial() {
    let (before, after) = (
        r#""authenticate": ["lenient"], "anonymous": "allow_missing""#,
        r#""authenticate": ["lenient"], "anonymous": "allow_missing_or_failed", "require": { "groups": { "any_of": ["ops"] } }"#,
    );
    assert!(POLICY.contains(before));
    let host = serving(&POLICY.replace(before, after), options());
    known(&host, "/lenient/a");
    answer(&host, NO);
    counted(&host, "requests_total.rule=lenient.outcome=unauthenticated", 1);
    counted(&host, "callouts_total.authenticator=lenient.result=denied", 1);
}

/// In whole milliseconds, of those calls that were made.
#[test]
fn how_long_an_answer_took() {
    let host = gate();
    for ms in [0, 40, 499] {
        known(&host, "/gate/a");
        host.advance(Duration::from_millis(ms));
        answer(&host, YES);
    }
    host.set_cluster("auth", Cluster::NoHealthyHost);
    known(&host, "/gate/a");
    let durations = host.histogram("meshgate_callout_duration.authenticator=account");
    assert_eq!(durations, [0, 40, 499]);
}

#[test]
fn what_others_pushed_out_is_counted_on_a_tick() {
    let remembers = r#""on_deny": { "headers": "all" }, "cache": { "ttl": "30s", "max_entries": 8 },"#;
    let host = serving(
        &POLICY.replace(r#""on_deny": { "headers": "all" },"#, remembers),
        options(),
    );
    let evictions = "cache_evictions_total.authenticator=account";
    counted(&host, evictions, 0);
    for n in 0..30 {
        known(&host, &format!("/gate/{n}"));
        answer(&host, YES);
    }
    host.tick();
    let kept = host.metric("meshgate_cache_entries.authenticator=account").unwrap();
    assert!((1..=8).contains(&kept), "{kept}");
    counted(&host, evictions, 30 - kept);
    host.tick();
    counted(&host, evictions, 30 - kept);
}

#[test]
fn a_policy_is_told_by_its_number() {
    let mut host = gate();
    let number = |host: &Host| host.metric("meshgate_policy_generation").unwrap();
    let first = number(&host);
    assert!(host.configure(POLICY.replace("/public/**", "/open/**")));
    assert_ne!(number(&host), first, "the revision is the same");
    assert!(host.configure(POLICY));
    assert_eq!(number(&host), first);
    assert!(!host.configure("{}"));
    assert_eq!(number(&host), first, "what was refused is not in force");
}

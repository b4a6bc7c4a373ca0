//! How long callers wait.

use super::*;
use crate::support::gate::cluster;
use std::time::{SystemTime, UNIX_EPOCH};

const STEP: Duration = Duration::from_millis(300);

fn in_ms(ms: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    (i64::try_from(now).unwrap() + ms).to_string()
}

/// Asks a service that takes its time, and goes by `header`.
fn gate(header: &str, next: Option<&Gate>) -> Gate {
    let upstream = format!("{{ timeout: 8s, deadline: {{ header: {header}, min: 50ms }} }}");
    let gate = builder(&upstream).auth(|_| alice().delay(STEP));
    match next {
        Some(next) => gate.cluster(cluster("upstream", &[next.addr()])).start(),
        None => gate.upstream(|_| Reply::never()).start(),
    }
}

#[test]
fn a_deadline_shrinks_on_its_way_through_two_gates() {
    for header in ["grpc-timeout", "x-request-deadline"] {
        let second = gate(header, None);
        let first = gate(header, Some(&second));
        let wanted = Duration::from_millis(1600);
        takes(wanted, header, || {
            let said = match header {
                "grpc-timeout" => "1600m".to_owned(),
                _ => in_ms(1600),
            };
            let seen = first.send(&get("/").header(header, &said));
            assert_eq!(seen.status, 504, "{}", seen.text());
        });
        let at_upstream = second.upstream.last();
        let left: u64 = at_upstream
            .header("x-envoy-expected-rq-timeout-ms")
            .unwrap()
            .parse()
            .unwrap();
        assert!(
            (50..=1000).contains(&left),
            "both services took {STEP:?}: {left} ms are left"
        );
        if header == "grpc-timeout" {
            assert_eq!(at_upstream.header(header), Some(format!("{left}m")));
        }
    }
}

#[test]
fn a_caller_who_has_gone_costs_the_upstream_nothing() {
    let gate = gate("x-request-deadline", None);
    let before = gate.upstream.count();
    for ms in [-5000, 0, 200] {
        let seen = gate.send(&get("/late").header("x-request-deadline", in_ms(ms)));
        assert_eq!(
            (seen.status, seen.json()["error"].as_str()),
            (504, Some("deadline_exceeded")),
            "in {ms} ms"
        );
    }
    let call = post("/late", "\0\0\0\0\0").header("content-type", "application/grpc");
    let seen = gate.h2().send(&call.header("x-request-deadline", in_ms(0)));
    assert_eq!((seen.status, seen.header("grpc-status").as_deref()), (200, Some("4")));
    assert_eq!(gate.upstream.count(), before);
    // Nobody's word, and what nobody can read.
    gate.auth.answer(|_| Reply::status(401));
    assert_eq!(gate.send(&get("/").header("x-request-deadline", in_ms(0))).status, 401);
    gate.auth.answer(|_| alice());
    gate.upstream.answer(|_| Reply::ok());
    assert_eq!(gate.send(&get("/").header("x-request-deadline", "soon")).status, 200);
    assert!(!gate.upstream.last().has("x-request-deadline"));
    let ignored = "wasmcustom.meshgate_deadlines_ignored_total.rule=all";
    gate.envoy.wait_for_stat(ignored, |count| count == 1, SHORT);
}

/// Two instances that are well and answer after 60 ms; who fails three times is ejected.
fn two_instances(min: &str) -> (Gate, [Stub; 2]) {
    let instance = || Stub::start(|_| Reply::ok().delay(Duration::from_millis(60)));
    let instances = [instance(), instance()];
    let mut both = cluster("upstream", &[instances[0].addr(), instances[1].addr()]);
    both["outlier_detection"] = json!({
        "consecutive_5xx": 3, "consecutive_gateway_failure": 3, "enforcing_consecutive_gateway_failure": 100,
        "interval": "0.1s", "base_ejection_time": "30s", "max_ejection_percent": 100,
    });
    let upstream = format!("{{ timeout: 2s, deadline: {{ header: x-request-deadline, min: {min} }} }}");
    (builder(&upstream).cluster(both).start(), instances)
}

const EJECTED: &str = "cluster.upstream.outlier_detection.ejections_enforced_total";

#[test]
fn tiny_deadlines_eject_nobody_who_is_well() {
    let (gate, instances) = two_instances("50ms");
    let mut connection = gate.h1().connect();
    for i in 0..1000 {
        let request = get("/").header("x-request-deadline", in_ms(i % 45));
        assert_eq!(connection.send(&request).unwrap().status, 504);
    }
    assert_eq!(instances.iter().map(Stub::count).sum::<usize>(), 0);
    for _ in 0..4 {
        assert_eq!(connection.send(&get("/")).unwrap().status, 200);
    }
    assert!(instances.iter().all(|instance| instance.count() == 2));
    assert_eq!(gate.envoy.stat(EJECTED), Some(0));
}

/// So that the test above means something.
#[test]
fn without_a_least_time_they_would() {
    let (gate, _instances) = two_instances("1ms");
    for _ in 0..20 {
        gate.send(&get("/").header("x-request-deadline", in_ms(30)));
    }
    gate.envoy.wait_for_stat(EJECTED, |ejections| ejections > 0, SHORT);
}

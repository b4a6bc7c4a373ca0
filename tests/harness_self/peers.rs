//! Stubs that misbehave, clients that leave, many at once.
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::gate::CLUSTER_MISSING;
use crate::support::stub::End;
use crate::support::*;

#[test]
fn every_misbehaviour_is_seen_as_what_it_is() {
    let gate = Gate::builder().start();
    let through = |reply: Reply| {
        gate.upstream.answer(move |_| reply.clone());
        gate.h1().try_send(&get("/").timeout(Duration::from_secs(5)))
    };
    let status = |reply: Reply| through(reply).unwrap().status;
    assert_eq!(status(Reply::status(418)), 418);
    assert_eq!(status(Reply::close()), 503);
    assert_eq!(status(Reply::raw("no http at all\r\n\r\n")), 502);
    assert_eq!(status(Reply::ok().header("x", "y").end(End::HalfHeaders)), 502);
    assert_eq!(status(Reply::ok().headers_of(1 << 20)), 502);
    assert_eq!(status(Reply::ok().body(vec![b'a'; 8 << 20])), 200);

    assert_eq!(status(Reply::reset()), 503);
    let reset = "cluster.upstream.upstream_cx_destroy_remote_with_active_rq";
    gate.envoy.wait_for_stat(reset, |n| n > 0, SHORT);
    let half = through(Reply::ok().body(vec![b'a'; 1000]).end(End::ResetInBody));
    assert!(matches!(half, Err(Failure::Closed | Failure::Reset)), "{half:?}");

    let direct = Stub::start(|_| Reply::reset());
    assert_eq!(h1(direct.addr()).try_send(&get("/")).unwrap_err(), Failure::Reset);
    direct.answer(|_| Reply::close());
    assert_eq!(h1(direct.addr()).try_send(&get("/")).unwrap_err(), Failure::Closed);
    direct.answer(|_| Reply::never());
    let short = get("/").timeout(Duration::from_millis(200));
    assert_eq!(h1(direct.addr()).try_send(&short).unwrap_err(), Failure::Timeout);
    assert_eq!(
        h1(dead_port().addr()).try_send(&get("/")).unwrap_err(),
        Failure::Refused
    );
    assert_eq!(
        h2(dead_port().addr()).try_send(&get("/")).unwrap_err(),
        Failure::Refused
    );
}

#[test]
fn the_clusters_without_a_server_answer_as_envoy_does() {
    let routes: Value = ["auth", "dead", "empty"]
        .map(|name| json!({"match": {"path": format!("/{name}")}, "route": {"cluster": name}}))
        .to_vec()
        .into();
    let gate = Gate::builder().routes(routes).start();
    for (path, status) in [("/auth", 200), ("/dead", 503), ("/empty", 503)] {
        assert_eq!(gate.send(&get(path)).status, status, "{path}");
    }
    gate.envoy
        .wait_for_stat("cluster.dead.upstream_cx_connect_fail", |n| n > 0, SHORT);
    assert_eq!(gate.envoy.stat("cluster.empty.upstream_cx_none_healthy"), Some(1));
    assert_eq!(gate.envoy.stats(&format!("cluster.{CLUSTER_MISSING}.")).len(), 0);
}

#[test]
fn a_client_that_leaves_is_noticed() {
    for wire in Wire::BOTH {
        let gate = Gate::builder().start();
        let latch = Latch::new();
        let held = latch.clone();
        gate.upstream.answer(move |_| {
            held.wait(LONG);
            Reply::ok()
        });
        let pending = gate.client(wire).start(&get("/")).unwrap();
        gate.upstream.wait_for(1);
        pending.leave();
        gate.envoy
            .wait_for_stat("http.ingress.downstream_rq_active", |n| n == 0, SHORT);
        let left = "http.ingress.downstream_cx_destroy_remote_active_rq";
        assert_eq!(gate.envoy.stat(left), Some(1), "{wire:?}");

        let pending = gate.client(wire).start(&post("/", "half").unfinished()).unwrap();
        gate.envoy
            .wait_for_stat("http.ingress.downstream_rq_active", |n| n == 1, SHORT);
        pending.leave();
        gate.envoy.wait_for_stat(left, |n| n == 2, SHORT);
        gate.envoy
            .wait_for_stat("http.ingress.downstream_rq_active", |n| n == 0, SHORT);
        latch.open();
    }
}

#[test]
fn requests_of_a_crowd_are_under_way_together() {
    let gate = Gate::builder().workers(2).start();
    let latch = Latch::new();
    let held = latch.clone();
    gate.upstream.answer(move |_| {
        if held.wait(LONG) {
            Reply::ok()
        } else {
            Reply::status(500)
        }
    });
    let statuses = std::thread::scope(|scope| {
        let crowd = scope.spawn(|| {
            all_at_once(40, |i| {
                gate.client(Wire::BOTH[i % 2])
                    .send(&get(format!("/{i}")).timeout(LONG))
                    .status
            })
        });
        // All forty wait at the upstream before the first is answered.
        gate.upstream.wait_for(40);
        latch.open();
        crowd.join().unwrap()
    });
    assert_eq!(statuses, vec![200; 40]);
}

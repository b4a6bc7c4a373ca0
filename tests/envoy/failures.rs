//! The auth service cannot be asked, or says nothing that can be used: each way of failing goes
//! through `on_failure`, is counted apart and logged once.

mod crowd;
mod timing;

use std::time::Duration;

use crate::policies::{alice, decisions, json};
use crate::support::stub::End;
use crate::support::*;

/// What a callout of these tests waits.
const TIMEOUT: Duration = Duration::from_millis(400);

/// For each cluster the rules `CLUSTER-deny`, `CLUSTER-allow` and `CLUSTER-require` (lets failures
/// through, but requires a group), on the paths of the same names.
fn policy(clusters: &[&str]) -> String {
    policy_with(clusters, TIMEOUT)
}

fn policy_with(clusters: &[&str], timeout: Duration) -> String {
    let mut authenticators = String::new();
    let mut rules = String::new();
    for cluster in clusters {
        for on_failure in ["deny", "allow"] {
            authenticators += &format!(
                "
  {cluster}-{on_failure}:
    callout:
      protocol: ext_authz_http
      cluster: {cluster}
      timeout: {}ms
      principal: {{ subject: x-auth-user, groups: x-auth-groups }}
      on_failure: {on_failure}",
                timeout.as_millis()
            );
        }
        for (rule, authenticator, require) in [
            ("deny", "deny", ""),
            ("allow", "allow", ""),
            ("require", "allow", ", require: { groups: { any_of: [ops] } }"),
        ] {
            rules += &format!(
                "
- {{ name: {cluster}-{rule}, match: {{ hosts: [\"*\"], paths: [\"/{cluster}/{rule}/**\"] }}, authenticate: [{cluster}-{authenticator}]{require} }}"
            );
        }
    }
    json(&format!(
        "version: 1\nauthenticators:{authenticators}\nidentity: {{ headers: {{ x-user-id: \"{{subject}}\" }} }}\nrules:{rules}\n"
    ))
}

/// What a row is told by in metrics, and (the same word) as the cause in the log.
struct Failing {
    what: &'static str,
    cluster: &'static str,
    reply: fn(&Received) -> Reply,
    word: &'static str,
}

fn at_auth(what: &'static str, word: &'static str, reply: fn(&Received) -> Reply) -> Failing {
    let cluster = "auth";
    Failing {
        what,
        cluster,
        reply,
        word,
    }
}

fn at_cluster(cluster: &'static str, word: &'static str) -> Failing {
    let what = cluster;
    let reply = |_: &Received| alice();
    Failing {
        what,
        cluster,
        reply,
        word,
    }
}

fn many_headers(reply: Reply, n: usize) -> Reply {
    (0..n).fold(reply, |reply, i| reply.header(format!("x-{i}"), "1"))
}

#[test]
fn each_failure_refuses_or_goes_on_as_nobody_and_is_told_apart() {
    let gate = Gate::start(policy(&["auth", "missing", "empty", "dead"]));
    let rows = [
        at_cluster("missing", "unknown_cluster"),
        at_cluster("empty", "no_host"),
        at_cluster("dead", "connect_failure"),
        at_auth("never answers", "timeout", |_| Reply::never()),
        at_auth("stalls in the body", "reset", |_| {
            alice().body("halfhalf").end(End::StallInBody)
        }),
        at_auth("resets before headers", "reset", |_| Reply::reset()),
        at_auth("closes without an answer", "reset", |_| Reply::close()),
        at_auth("closes in the headers", "bad_response", |_| {
            alice().end(End::HalfHeaders)
        }),
        at_auth("resets in the body", "reset", |_| {
            alice().body("halfhalf").end(End::ResetInBody)
        }),
        at_auth("answers what is no HTTP", "bad_response", |_| {
            Reply::raw("ceci n'est pas\r\n\r\n")
        }),
        at_auth("answers 101 headers", "bad_response", |_| many_headers(alice(), 101)),
        at_auth("answers 3 MB of headers", "bad_response", |_| {
            alice().headers_of(3 << 20)
        }),
        at_auth("answers 500", "server_error", |_| Reply::status(500)),
        at_auth("answers 502", "server_error", |_| Reply::status(502)),
        at_auth("answers 503", "server_error", |_| Reply::status(503)),
        at_auth("answers 504", "server_error", |_| Reply::status(504)),
        at_auth("says yes to nobody", "bad_answer", |_| Reply::ok()),
        at_auth("says yes to an empty name", "bad_answer", |_| {
            Reply::ok().header("x-auth-user", "")
        }),
        at_auth("says yes to two", "bad_answer", |_| {
            alice().header("x-auth-user", "bob")
        }),
        at_auth("says yes to bytes", "bad_answer", |_| {
            Reply::ok().header("x-auth-user", b"al\xffice")
        }),
    ];
    for (number, row) in rows.iter().enumerate() {
        gate.auth.answer(row.reply);
        check(&gate, row, number);
    }
    gate.envoy.assert_no_trap();
}

#[test]
fn an_http2_service_fails_the_same_ways() {
    let gate = Gate::builder().policy(policy(&["auth"])).auth_h2(|_| alice()).start();
    let rows = [
        at_auth("never answers", "timeout", |_| Reply::never()),
        at_auth("resets the stream", "reset", |_| Reply::reset()),
        at_auth("resets in the body", "reset", |_| {
            alice().body("halfhalf").end(End::ResetInBody)
        }),
        at_auth("answers 503", "server_error", |_| Reply::status(503)),
        at_auth("says yes to nobody", "bad_answer", |_| Reply::ok()),
    ];
    for (number, row) in rows.iter().enumerate() {
        gate.auth.answer(row.reply);
        check(&gate, row, number);
    }
}

#[track_caller]
fn check(gate: &Gate, row: &Failing, number: usize) {
    let Failing {
        what, cluster, word, ..
    } = row;
    for (rule, status, outcome) in [
        ("deny", 503, "auth_unavailable"),
        ("allow", 200, "failed_open"),
        ("require", 401, "unauthenticated"),
    ] {
        let about = format!("{what}: {rule}");
        let name = format!("{cluster}-{rule}");
        let authenticator = format!("{cluster}-{}", if rule == "deny" { "deny" } else { "allow" });
        let callouts = format!("wasmcustom.meshgate_callouts_total.authenticator={authenticator}.result={word}");
        let requests = format!("wasmcustom.meshgate_requests_total.rule={name}.outcome={outcome}");
        let count = |name: &str| gate.envoy.stat(name).unwrap_or(0);
        let before = (count(&callouts), count(&requests));
        gate.upstream.clear();
        let target = format!("/{cluster}/{rule}/{number}");

        let response = gate.send(&get(&target).header("x-user-id", "forged"));

        assert_eq!(response.status, status, "{about}: {}", response.text());
        match rule {
            "allow" => {
                assert_eq!(gate.upstream.count(), 1, "{about}");
                assert!(!gate.upstream.last().has("x-user-id"), "{about}");
            }
            _ => {
                assert_eq!(gate.upstream.count(), 0, "{about}: the upstream was asked");
                let error = ["unauthenticated", "auth_unavailable"][usize::from(rule == "deny")];
                assert_eq!(response.json()["error"], error, "{about}");
                assert_eq!(response.header("cache-control").as_deref(), Some("no-store"), "{about}");
            }
        }
        let after = (count(&callouts), count(&requests));
        assert_eq!(
            after,
            (before.0 + 1, before.1 + 1),
            "{about}: {callouts}, {requests}; {:?}",
            gate.envoy.stats("wasmcustom.meshgate_callouts")
        );
        let lines = decisions(gate, &target, 1);
        assert_eq!(lines.len(), 1, "{about}");
        assert_eq!(lines[0]["cluster"], *cluster, "{about}");
        // Where `require` had the last word, it is the cause.
        let cause = if rule == "require" { "groups" } else { word };
        assert_eq!(
            (&lines[0]["cause"], &lines[0]["outcome"]),
            (&serde_json::json!(cause), &serde_json::json!(outcome)),
            "{about}"
        );
        assert_eq!(lines[0]["level"], "error", "{about}: {}", lines[0]);
    }
}

#[test]
fn an_open_circuit_breaker_is_a_failure_at_once() {
    let auth = Stub::start(|_| alice());
    let mut busy = gate::cluster("busy", &[auth.addr()]);
    busy["circuit_breakers"] = serde_json::json!({"thresholds": [{"max_requests": 1}]});
    let gate = Gate::builder()
        .policy(policy(&["busy"]))
        .cluster(busy)
        .auth_stub(auth)
        .start();
    let hang = Latch::new();
    let opened = hang.clone();
    gate.auth.answer(move |_| {
        opened.wait(SHORT);
        alice()
    });
    for rule in ["deny", "allow"] {
        gate.auth.clear();
        let first = gate.h1().start(&get("/busy/allow/first")).unwrap();
        gate.auth.wait_for(1);
        let began = std::time::Instant::now();
        let response = gate.send(&get(format!("/busy/{rule}/second")));
        assert!(began.elapsed() < TIMEOUT, "{rule}: it waited for an answer");
        assert_eq!(response.status, if rule == "deny" { 503 } else { 200 }, "{rule}");
        assert_eq!(gate.auth.count(), 1, "{rule}: the second was asked about");
        assert_eq!(
            decisions(&gate, &format!("/busy/{rule}/second"), 1)[0]["cause"],
            "no_host"
        );
        first.leave();
        gate.envoy
            .wait_for_stat("cluster.busy.upstream_rq_active", |n| n == 0, SHORT);
    }
    hang.open();
    gate.auth.answer(|_| alice());
    assert_eq!(gate.send(&get("/busy/deny/third")).status, 200);
}

#[test]
fn a_huge_body_of_the_answer_changes_nothing() {
    let gate = Gate::start(policy(&["auth"]));
    gate.auth.answer(|_| alice().body(vec![b'y'; 5 << 20]));
    assert_eq!(gate.send(&get("/auth/deny/")).status, 200);
    gate.auth.answer(|_| Reply::status(403).body(vec![b'n'; 5 << 20]));
    let response = gate.send(&get("/auth/deny/"));
    // Too long to pass on: our own page under the service's status.
    assert_eq!((response.status, &response.json()["error"]), (403, &"forbidden".into()));
    gate.envoy.assert_no_trap();
}

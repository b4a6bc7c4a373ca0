//! Envoy's ext_authz, plain and by Istio's CUSTOM, and the policy in its place. tests/envoy/callout/native.rs compares
//! them on many more requests.

use super::{documents, example, policy, seen};
use crate::support::*;
use serde_json::{Value, json};

const TOLD: [&str; 5] = ["x-auth-user", "x-auth-plan", "x-more", "x-tenant", "x-gateway"];

fn service(asked: &Received) -> Reply {
    match asked.header("authorization").as_deref() {
        Some("Bearer alice") => Reply::ok()
            .header("x-auth-user", "alice")
            .header("x-auth-plan", "gold")
            .header("x-more", "2")
            .header("set-cookie", "s=1"),
        Some("Bearer broken") => Reply::status(500),
        _ => Reply::status(401)
            .header("x-why", "unknown")
            .header("x-secret", "1")
            .body("who?"),
    }
}

fn pair() -> (Gate, Gate) {
    let ours = Gate::builder()
        .policy(policy("ext-authz/policy.yaml"))
        .auth(service)
        .start();
    let mut filter = example("ext-authz/envoy.yaml");
    filter["http_service"]["server_uri"]["timeout"] = json!("5s");
    let native = Gate::builder()
        .filter(filter)
        .cluster(gate::cluster("auth", &[ours.auth.addr()]))
        .cluster(gate::cluster("upstream", &[ours.upstream.addr()]))
        .start();
    (native, ours)
}

fn by(who: &str) -> Request {
    let request = get("/orders/7?a=b").header("x-tenant", "t").header("x-more", "1");
    request
        .header("authorization", format!("Bearer {who}"))
        .header("x-other", "o")
}

#[test]
fn both_ask_and_answer_alike() {
    let (native, ours) = pair();
    for who in ["alice", "mallory"] {
        let exchange = |gate: &Gate| {
            ours.auth.clear();
            ours.upstream.clear();
            let answer = gate.send(&by(who));
            let asked = ours.auth.last();
            let asked = (
                asked.path(),
                seen(&asked, &["authorization", "x-tenant", "x-gateway", "x-other"]),
            );
            let upstream: Vec<_> = ours.upstream.received().iter().map(|r| seen(r, &TOLD)).collect();
            let answer = (
                answer.status,
                answer.text(),
                ["set-cookie", "x-why", "x-secret"].map(|n| answer.header(n)),
            );
            // The echo shows what differs by design: the credential, the identity.
            let answer = if who == "alice" {
                (answer.0, String::new(), answer.2)
            } else {
                answer
            };
            (answer, asked, upstream)
        };
        let (theirs, ours) = (exchange(&native), exchange(&ours));
        assert_eq!(theirs, ours, "{who}");
        assert_eq!(ours.1.0, "/check/orders/7?a=b");
        assert_eq!(ours.2.len(), usize::from(who == "alice"));
    }
}

#[test]
fn what_differs() {
    let (native, ours) = pair();
    let last = || ours.upstream.last();
    // The credential stops at the gate, a forged answer header goes in any spelling, and the name is told.
    let request = || by("alice").header("x-user-id", "root").header("x_auth_plan", "forged");
    assert_eq!(native.send(&request()).status, 200);
    let names = ["authorization", "x-user-id", "x_auth_plan"];
    let (bearer, forged) = (Some("Bearer alice".to_owned()), Some("forged".to_owned()));
    assert_eq!(seen(&last(), &names), [bearer, Some("root".into()), forged]);
    assert_eq!(ours.send(&request()).status, 200);
    assert_eq!(seen(&last(), &names), [None, Some("alice".into()), None]);
    // A failure of the service.
    assert_eq!(
        (native.send(&by("broken")).status, ours.send(&by("broken")).status),
        (403, 503)
    );
    // Nobody is asked about a request without a credential.
    ours.auth.clear();
    assert_eq!((ours.send(&get("/")).status, ours.auth.count()), (401, 0));
    assert_eq!((native.send(&get("/")).status, ours.auth.count()), (401, 1));
    // Two paths in one.
    assert_eq!(
        (
            native.send(&get("/%2e%2e%2fx")).status,
            ours.send(&get("/%2e%2e%2fx")).status
        ),
        (401, 400)
    );
    // A public path: Istio's notPaths, which leaves a forged name where it is.
    assert_eq!(ours.send(&get("/healthz").header("x-auth-user", "root")).status, 200);
    assert_eq!(last().header("x-auth-user"), None);
}

/// Istio's extension provider says the same as the filter that it becomes.
#[test]
fn istio_s_provider_is_the_same_filter() {
    let istio = documents("ext-authz/istio.yaml");
    let provider = &istio[0]["extensionProviders"][0];
    let theirs = &provider["envoyExtAuthzHttp"];
    let callout = example("ext-authz/policy.yaml")["authenticators"]["account"]["callout"].clone();
    let list = |lists: &[&Value]| -> Vec<Value> {
        let all = lists.iter().flat_map(|l| l.as_array().expect("a list").clone());
        all.collect()
    };
    assert_eq!(istio[1]["spec"]["provider"]["name"], provider["name"]);
    assert_eq!(
        (&theirs["pathPrefix"], &theirs["failOpen"]),
        (&callout["path"], &json!(false))
    );
    assert_eq!(theirs["headersToUpstreamOnAllow"], callout["accept"]["headers"]);
    assert_eq!(theirs["headersToDownstreamOnAllow"], callout["accept"]["to_client"]);
    assert_eq!(theirs["headersToDownstreamOnDeny"], callout["on_deny"]["headers"]);
    assert_eq!(theirs["includeAdditionalHeadersInCheck"], callout["send"]["add"]);
    let sent = list(&[&json!(["authorization"]), &callout["send"]["headers"]]);
    assert_eq!(list(&[&theirs["includeRequestHeadersInCheck"]]), sent);
    assert_eq!(
        (callout["timeout"].as_str(), theirs["timeout"].as_str()),
        (Some("500ms"), Some("0.5s"))
    );
}

/// gRPC is not spoken by the filter: the service stays behind Envoy's own, and the gate in front of it.
#[test]
fn a_grpc_service_stays_behind_envoy_s_own_filter() {
    let allow = |asked: &Received| {
        // A CheckResponse without a field is a yes; 0a 02 08 10 is a status of 16.
        let refused = asked.body.windows(6).any(|w| w == b"banned");
        let message: &[u8] = if refused {
            &[0, 0, 0, 0, 4, 0x0a, 2, 8, 16]
        } else {
            &[0; 5]
        };
        let reply = Reply::ok().header("content-type", "application/grpc").body(message);
        reply.trailer("grpc-status", "0")
    };
    let mut filter = example("ext-authz/grpc.yaml");
    filter["grpc_service"]["timeout"] = json!("5s");
    let native = Gate::builder().filter(filter.clone()).auth_h2(allow).start();
    let both = Gate::builder().policy(policy("ext-authz/in-front.yaml")).auth_h2(allow);
    let both = both
        .filter_after(json!({"name": "envoy.filters.http.ext_authz", "typed_config": filter}))
        .start();
    let key = "acme-0d9f3f52c1b84f7a9e6c";
    let request = |key: &str| {
        get("/")
            .header("x-api-key", key)
            .header("x-user-id", "root")
            .header("x-auth-a", "1")
    };
    for (gate, told) in [(&native, ["root", "1"].map(Some)), (&both, [Some("acme"), None])] {
        assert_eq!(gate.send(&request(key)).status, 200);
        let last = gate.upstream.last();
        assert_eq!(
            ["x-user-id", "x-auth-a"].map(|n| last.header(n)),
            told.map(|t| t.map(str::to_owned))
        );
        assert_eq!(gate.auth.last().path(), "/envoy.service.auth.v3.Authorization/Check");
        assert_eq!(gate.send(&request(key).header("x-note", "banned")).status, 403);
    }
    both.auth.clear();
    assert_eq!((both.send(&request("wrong")).status, both.auth.count()), (401, 0));
}

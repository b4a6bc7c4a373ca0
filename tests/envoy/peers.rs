//! Callers by client certificate, behind the listener that is shipped: envoy/envoy.yaml with envoy/mtls.yaml.
use std::path::Path;

use meshgate::config::yaml;
use serde_json::{Value, json};

use crate::policies::json;
use crate::support::client::Connection;
use crate::support::envoy::RunDir;
use crate::support::gate::{cluster, shipped_module};
use crate::support::tls::{Authority, Certificate, config, self_signed};
use crate::support::*;

const WEB: &str = "spiffe://cluster.local/ns/shop/sa/web";
const POLICY: &str = r#"
version: 1
listener: { verified_peers: true }
log: { access: [cause] }
authenticators: { workload: { mtls: { peers: ["cluster.local/ns/shop/sa/*"] } } }
identity: { headers: { x-user-id: "{subject}" } }
rules:
- { name: all, match: { hosts: ["*"], paths: ["/**"] }, authenticate: [workload] }
"#;

struct Edge {
    envoy: Envoy,
    upstream: Stub,
    authority: Authority,
}

/// The shipped files with addresses and paths of this machine; `change` does the rest.
fn edge(change: impl FnOnce(&mut Value)) -> Edge {
    let shipped = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("envoy").join(name);
        std::fs::read_to_string(path).unwrap()
    };
    let (run, authority, upstream) = (RunDir::new(), Authority::new(), Stub::echo());
    let server = authority.issues(&[]);
    run.write("server.pem", &server.pem());
    run.write("server.key", &server.key_pem());
    run.write("clients-ca.pem", &authority.certificate.pem());

    let built = yaml::bootstrap(&shipped("envoy.yaml"), &json(POLICY)).unwrap();
    let mut bootstrap: Value = serde_json::from_str(&built).unwrap();
    bootstrap.as_object_mut().unwrap().remove("admin");
    let everywhere = cluster("any", &[upstream.addr()])["load_assignment"]["endpoints"].take();
    for shipped in bootstrap["static_resources"]["clusters"].as_array_mut().unwrap() {
        shipped["load_assignment"]["endpoints"] = everywhere.clone();
    }
    // Less the one for Prometheus, which has a port of its own.
    bootstrap["static_resources"]["listeners"]
        .as_array_mut()
        .unwrap()
        .truncate(1);
    let listener = &mut bootstrap["static_resources"]["listeners"][0];
    listener["address"] = json!({"socket_address": {"address": "127.0.0.1", "port_value": 0}});
    let chain = &mut listener["filter_chains"][0];
    let filters = chain["filters"][0]["typed_config"]["http_filters"]
        .as_array_mut()
        .unwrap();
    let filter = filters.iter_mut().find(|filter| filter["name"] == "meshgate").unwrap();
    filter["typed_config"]["config"]["vm_config"]["code"]["local"]["filename"] = json!(shipped_module());

    let here = run.path().to_str().unwrap();
    let tls = json(&shipped("mtls.yaml").replace("/etc/meshgate/tls", here));
    chain["transport_socket"] = serde_json::from_str::<Value>(&tls).unwrap()["transport_socket"].take();
    change(&mut chain["transport_socket"]["typed_config"]);
    Edge {
        envoy: Options::new().start_in(run, bootstrap),
        upstream,
        authority,
    }
}

impl Edge {
    fn send(&self, own: Option<&Certificate>, request: &Request) -> Result<Response, Failure> {
        let config = config(&self.authority, own);
        Connection::open_tls(self.envoy.listener("edge"), SHORT, config)?.send(request)
    }

    /// No connection comes about, by this counter of the listener's.
    #[track_caller]
    fn refuses(&self, own: Option<&Certificate>, counter: &str) {
        let counter = format!("listener.127.0.0.1_0.ssl.{counter}");
        let before = self.envoy.stat(&counter).expect("the listener's counter");
        let response = self.send(own, &get("/"));
        assert!(response.is_err(), "{response:?}");
        self.envoy.wait_for_stat(&counter, |n| n == before + 1, SHORT);
    }

    fn log(&self, cause: &str) {
        // The shipped access log.
        self.envoy.wait_for_log(&format!("\"cause\":\"{cause}\""));
    }
}

#[test]
fn a_certificate_of_the_authority_names_its_caller() {
    let edge = edge(|_| {});
    let forged = get("/")
        .header("x-user-id", "spiffe://cluster.local/ns/shop/sa/admin")
        .header("x-forwarded-client-cert", "URI=spiffe://cluster.local/ns/shop/sa/admin");
    let response = edge.send(Some(&edge.authority.issues(&[WEB])), &forged).unwrap();
    assert_eq!(response.status, 200);
    let told = edge.upstream.received();
    assert_eq!(told[0].headers.all("x-user-id"), [WEB.as_bytes()]);
    assert!(!told[0].has("x-forwarded-client-cert"));
    // Validated, and nobody whom the policy lists. Of several names the first counts.
    for names in [
        &["spiffe://cluster.local/ns/other/sa/web"][..],
        &["spiffe://cluster.local/ns/shop/sa/web/more"],
        &["spiffe://cluster.local/ns/other/sa/web", WEB],
    ] {
        let response = edge.send(Some(&edge.authority.issues(names)), &forged).unwrap();
        assert_eq!(response.status, 401, "{names:?}");
        assert_eq!(
            response.header("www-authenticate").as_deref(),
            Some("ClientCertificate")
        );
    }
    edge.log("unknown_peer");
    assert_eq!(edge.upstream.count(), 1);
    edge.envoy.assert_no_trap();
}

#[test]
fn the_shipped_listener_has_no_connection_for_others() {
    let edge = edge(|_| {});
    edge.refuses(None, "fail_verify_no_cert");
    edge.refuses(Some(&self_signed(&[WEB])), "fail_verify_error");
    edge.refuses(Some(&Authority::new().issues(&[WEB])), "fail_verify_error");
    edge.refuses(Some(&edge.authority.issues(&[])), "fail_verify_san");
    let elsewhere = "spiffe://example.com/ns/shop/sa/web";
    edge.refuses(Some(&edge.authority.issues(&[elsewhere])), "fail_verify_san");
    assert!(h1(edge.envoy.listener("edge")).try_send(&get("/")).is_err(), "no TLS");
    assert_eq!(edge.upstream.count(), 0);
    let known = edge.send(Some(&edge.authority.issues(&[WEB])), &get("/"));
    assert_eq!(known.unwrap().status, 200);
}

/// Nobody is asked for a certificate, so nobody has one, whatever the client would show.
#[test]
fn without_a_certificate_the_caller_is_nobody() {
    let edge = edge(|tls| {
        tls["require_client_certificate"] = json!(false);
        let removed = tls["common_tls_context"]
            .as_object_mut()
            .unwrap()
            .remove("validation_context");
        assert!(removed.is_some());
    });
    let right = edge.authority.issues(&[WEB]);
    for own in [None, Some(&self_signed(&[WEB])), Some(&right)] {
        assert_eq!(edge.send(own, &get("/")).unwrap().status, 401);
    }
    edge.log("no_credential");
    assert_eq!(edge.upstream.count(), 0);
}

/// What the operator's word is about: a listener that takes any certificate makes everybody whoever they like. That is
/// why a policy without the word is refused.
#[test]
fn only_the_listener_can_tell_a_certificate_from_a_forged_one() {
    let edge = edge(|tls| {
        tls["common_tls_context"]["validation_context"]["trust_chain_verification"] = json!("ACCEPT_UNTRUSTED");
    });
    assert_eq!(edge.send(Some(&self_signed(&[WEB])), &get("/")).unwrap().status, 200);

    let silent = POLICY.replace("listener: { verified_peers: true }\n", "");
    assert_ne!(silent, POLICY);
    let log = Gate::builder().policy(json(&silent)).expect_refused();
    let fault = "authenticators.workload.mtls: missing field verified_by_listener";
    assert!(log.contains(fault), "{log}");
}

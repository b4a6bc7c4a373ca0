//! What goes wrong in a mesh: a policy that is none, a module that is not there. What served goes on, an operator sees it,
//! and a proxy that has nothing to go on with takes no request.
use crate::ROOT;
use crate::kube::{Process, address, apply, delete, istiod_log, logged, patched, rejects, run, said};
use crate::live::changed;
use crate::report::Report;
use crate::subjects::second;
use crate::support::{LONG, Reply, Stub, get, h1, until};
use crate::ways::WAYS;
use crate::world::{World, as_reader, asking, gateway};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::process::Command;

const REGISTRY: &str = "127.0.0.1:5000";
const WEB: &str = "127.0.0.19:8000";
/// As kustomize prints it.
const FILE: &str = "local:\n                  filename: /var/run/meshgate/meshgate.wasm";
/// Where Istio's agent keeps what it fetched.
const FETCHED: &str = "/var/lib/istio/data/";

/// The gateway does its work: it knows who is known, and who is not.
fn fine(world: &World) -> bool {
    let known = world.send(&as_reader("/orders/7", "ann")).status;
    known == 200 && world.send(&asking("/orders/7")).status == 401
}

/// Applies it, and waits until the gateway has said no.
fn refused(world: &World, manifests: &str) {
    let refusals = || world.gateway.count("config_fail");
    let before = refusals();
    apply(manifests);
    until("the gateway to refuse it", LONG, || (refusals() > before).then_some(()));
}

/// Puts back what works.
fn repaired(world: &World) {
    apply(&WAYS[2].rendered(world));
    until("what works", LONG, || {
        (fine(world) && loaded(world).starts_with("/var/run/meshgate/meshgate.wasm")).then_some(())
    });
}

/// The gateway's module from elsewhere.
fn from(world: &World, uri: &str, sha256: Option<&str>) -> String {
    let mut remote = json!({"http_uri": {"uri": uri, "cluster": "fetched-by-the-agent", "timeout": "30s"}});
    if let Some(sum) = sha256 {
        remote["sha256"] = json!(sum);
    }
    // Of the three filters the gateway's comes first.
    let rendered = WAYS[2].rendered(world);
    assert!(rendered.contains(FILE));
    rendered.replacen(FILE, &format!("remote: {remote}"), 1)
}

/// Where the gateway has its module.
fn loaded(world: &World) -> String {
    let config = world.gateway.extension("meshgate-gateway").unwrap_or_default();
    let code = &config["typed_config"]["config"]["vm_config"]["code"];
    code["local"]["filename"].as_str().unwrap_or_default().to_owned()
}

/// A change of the same listener that has nothing to do with the filter, and that a client sees.
fn unrelated() -> String {
    let manager = "envoy.filters.network.http_connection_manager";
    let typed = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    json!({
        "apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter",
        "metadata": {"name": "unrelated", "namespace": "istio-ingress"},
        "spec": {"configPatches": [{
            "applyTo": "NETWORK_FILTER",
            "match": {"context": "GATEWAY", "listener": {"filterChain": {"filter": {"name": manager}}}},
            "patch": {"operation": "MERGE", "value": {"typed_config": {
                "@type": typed, "server_name": "changed", "server_header_transformation": "OVERWRITE",
            }}},
        }]},
    })
    .to_string()
}

pub fn checks(report: &mut Report, world: &World) {
    policies(report, world);
    modules(report, world);
}

fn policies(report: &mut Report, world: &World) {
    report.check("a faulty policy: the one before it goes on", || {
        let good = "'{\"version\":1,\"revision\":\"sha256-";
        refused(world, &changed(world, good, &good.replace(":1,", ":9,")));
        for _ in 0..10 {
            assert!(fine(world));
        }
    });
    report.check(
        "an operator sees it: in istiod's metric and log, in the proxy's counters and log",
        || {
            until("pilot_total_xds_rejects", LONG, || (rejects() > 0.0).then_some(()));
            assert!(istiod_log().contains("ACK ERROR"));
            assert!(world.gateway.count("config_fail") > 0);
            assert!(
                world.gateway.log().contains("policy refused"),
                "the reason is in no log"
            );
        },
    );
    report.check(
        "beside the fault routes change as ever; a change of the listener waits, and the old one goes on",
        || {
            apply(&unrelated());
            until("the listener to be refused", LONG, || {
                assert!(fine(world));
                (world.gateway.count("listener_manager.lds.update_rejected") > 0).then_some(())
            });
            let patch = r#"[{"op":"replace","path":"/spec/http/0/match/0/uri/prefix","value":"/elsewhere"}]"#;
            patched("shop", patch);
            until("the route's change", LONG, || {
                world.forget();
                assert_eq!(world.send(&as_reader("/orders/7", &second("ann"))).status, 200);
                (world.second.count() == 0).then_some(())
            });
            assert!(fine(world));
        },
    );
    report.check(
        "a new proxy that meets the fault answers 500 to everybody; repaired, it serves",
        || {
            let second = gateway("gateway-2", "127.0.0.24", 16020).begin(&world.authority);
            until("the fault to reach it", LONG, || {
                second.log().contains("policy refused").then_some(())
            });
            // It shares its port with the first one, so that each request meets one of both.
            world.forget();
            until("the new proxy's answer", LONG, || {
                let status = world.send(&asking("/orders/7")).status;
                assert!([401, 500].contains(&status), "{status}");
                (status == 500).then_some(())
            });
            assert_eq!(world.app.count() + world.second.count(), 0);
            apply(&WAYS[2].rendered(world));
            until("the new proxy's word", LONG, || {
                second.log().contains("policy loaded").then_some(())
            });
            until("both to serve", LONG, || (0..20).all(|_| fine(world)).then_some(()));
            assert!(second.ready());
        },
    );
    report.check(
        "once the policy is repaired, the next change of the listener arrives",
        || {
            repaired(world);
            // istiod sends listeners before filters, so that with the repair itself the one that waited was refused again.
            apply(&unrelated().replace("\"changed\"", "\"changed-again\""));
            until("the listener's change", LONG, || {
                let response = world.send(&as_reader("/orders/7", "ann"));
                (response.header("server").as_deref() == Some("changed-again")).then_some(())
            });
            delete(&unrelated());
        },
    );
}

fn modules(report: &mut Report, world: &World) {
    report.check("a module that is not there: the one before it goes on", || {
        refused(
            world,
            &changed(world, FILE, &FILE.replace("meshgate.wasm", "missing.wasm")),
        );
        assert!(fine(world));
        repaired(world);
    });
    report.check(
        "Istio's agent fetches the image of `make image` from a registry",
        || {
            let (_registry, pushed) = registry();
            apply(&from(world, &format!("oci://{pushed}"), None));
            until("the registry's module", LONG, || {
                loaded(world).starts_with(FETCHED).then_some(())
            });
            assert!(fine(world));
            repaired(world);
        },
    );
    report.check("a tag that is not there: the module before it goes on", || {
        let _registry = registry();
        apply(&from(
            world,
            &format!("oci://{REGISTRY}/platform/meshgate:missing"),
            None,
        ));
        until("the agent's word", LONG, || {
            let log = world.gateway.log();
            log.lines()
                .any(|l| l.contains("meshgate:missing") && l.contains("MANIFEST_UNKNOWN"))
                .then_some(())
        });
        assert!(fine(world));
        repaired(world);
    });
    report.check("a module of a web server is taken by its SHA-256, and no other", || {
        let module = std::fs::read(run("module.wasm")).expect("the module");
        let sum: String = Sha256::digest(&module).iter().map(|b| format!("{b:02x}")).collect();
        let web = Stub::start_at(address(WEB), move |_| Reply::ok().body(module.clone()));
        let wrong = "0123456789abcdef".repeat(4);
        apply(&from(world, &format!("http://{WEB}/other.wasm"), Some(&wrong)));
        until("the agent to fetch it", LONG, || (web.count() > 0).then_some(()));
        until("the agent's word", LONG, || {
            world.gateway.log().contains(&wrong).then_some(())
        });
        assert!(fine(world));
        assert!(!loaded(world).starts_with(FETCHED), "{}", loaded(world));
        apply(&from(world, &format!("http://{WEB}/meshgate.wasm"), Some(&sum)));
        until("the web server's module", LONG, || {
            loaded(world).starts_with(FETCHED).then_some(())
        });
        assert!(fine(world));
        repaired(world);
    });
}

/// go-containerregistry's, with what `make image` wrote, and what `make push` says of that: REPOSITORY@DIGEST.
fn registry() -> (Process, String) {
    let crane = std::env::var("MESHGATE_CRANE").expect("MESHGATE_CRANE: run `make test-mesh`");
    let mut serve = Command::new(crane);
    serve.args(["registry", "serve", "--address", REGISTRY]);
    let process = logged(serve, "registry.log");
    until("the registry", LONG, || {
        let ready = h1(address(REGISTRY)).try_send(&get("/v2/")).ok()?;
        (ready.status == 200).then_some(())
    });
    let mut push = Command::new(format!("{ROOT}/scripts/push"));
    let release = concat!("v", env!("CARGO_PKG_VERSION"));
    let output = push.args([&format!("{REGISTRY}/platform/meshgate"), release]).output();
    let output = output.expect("scripts/push");
    assert!(output.status.success(), "{}", said(&output).1);
    let pushed = String::from_utf8(output.stdout).expect("text");
    let pushed = pushed.lines().last().expect("the last line").to_owned();
    assert!(pushed.contains("@sha256:"), "{pushed}");
    (process, pushed)
}

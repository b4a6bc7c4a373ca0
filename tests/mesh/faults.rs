//! What goes wrong in a mesh: a policy that is none, a module that is not there. What served goes on, an operator sees it,
//! and a proxy that has nothing to go on with lets nobody pass.
use crate::kube::{Process, address, apply, istiod_log, logged, rejects};
use crate::live::changed;
use crate::report::Report;
use crate::support::{LONG, Reply, Stub, h1, until};
use crate::ways::WAYS;
use crate::world::{World, as_caller, gateway};
use sha2::{Digest, Sha256};
use std::process::Command;

const REGISTRY: &str = "127.0.0.18:5000";
const WEB: &str = "127.0.0.19:8000";
const FILE: &str = "local:\n                filename: /var/run/meshgate/meshgate.wasm";

fn fine(world: &World) -> bool {
    world.send(&as_caller("/orders/7", "ann.reader.a.5")).status == 200
}

/// Applies it, and waits until the gateway has said no.
fn refused(world: &World, manifests: &str) {
    let before = failures(world);
    apply(manifests);
    until("the gateway to refuse it", LONG, || {
        (failures(world) > before).then_some(())
    });
}

fn failures(world: &World) -> u64 {
    world
        .gateway
        .count("extension_config_discovery.*config_(fail|conflict)")
        + world.gateway.count("wasm.*fetch_fail|wasm.*rejected")
}

/// Puts back what works.
fn repaired(world: &World) {
    apply(&WAYS[2].rendered(world));
    until("what works", LONG, || fine(world).then_some(()));
}

/// The module of the gateway from elsewhere.
fn from(world: &World, uri: &str, sha256: Option<&str>) -> String {
    let sum = sha256
        .map(|s| format!("\n                sha256: {s}"))
        .unwrap_or_default();
    let remote = format!(
        "remote:\n                http_uri:\n                  cluster: fetched-by-the-agent\n                  timeout: 30s\n                  uri: {uri}{sum}"
    );
    let rendered = changed(world, FILE, FILE);
    rendered.replacen(FILE, &remote, 1)
}

/// Where the gateway has its module.
fn loaded(world: &World) -> String {
    let config = world
        .gateway
        .extension("meshgate-gateway")
        .expect("the filter's configuration");
    let code = &config["typed_config"]["config"]["vm_config"]["code"];
    code["local"]["filename"].as_str().unwrap_or_default().to_owned()
}

pub fn checks(report: &mut Report, world: &World) {
    let bad = changed(
        world,
        "'{\"version\":1,\"revision\":\"sha256-",
        "'{\"version\":9,\"revision\":\"sha256-",
    );
    report.check("a faulty policy: the one before it goes on", || {
        refused(world, &bad);
        for _ in 0..10 {
            assert!(fine(world));
        }
        let stranger = world.send(&crate::world::asking("/orders/7"));
        assert_eq!(stranger.status, 401);
    });
    report.check(
        "an operator sees it: in istiod's metric, its log, the proxy's counters and its log",
        || {
            until("pilot_total_xds_rejects", LONG, || (rejects() > 0.0).then_some(()));
            assert!(istiod_log().contains("ACK ERROR"));
            assert!(world.gateway.count("config_fail") > 0);
            assert!(world.gateway.log().contains("version"), "the reason is in no log");
        },
    );
    report.check("beside the fault, unrelated changes arrive, and the policy before it still goes on", || {
        let unrelated = "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\n\
            metadata: { name: unrelated, namespace: istio-ingress }\nspec:\n  configPatches:\n  - applyTo: NETWORK_FILTER\n    \
            match: { context: GATEWAY, listener: { filterChain: { filter: { name: envoy.filters.network.http_connection_manager } } } }\n    \
            patch: { operation: MERGE, value: { typed_config: { '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, server_name: changed } } }\n";
        apply(unrelated);
        until("the listener's change", LONG, || {
            let response = world.send(&as_caller("/orders/7", "ann.reader.a.5"));
            assert_eq!(response.status, 200, "{}", response.text());
            (response.header("server").as_deref() == Some("changed")).then_some(())
        });
        assert_eq!(world.send(&crate::world::asking("/orders/7")).status, 401);
        crate::kube::delete(unrelated);
    });
    report.check(
        "a new proxy that meets the fault lets nobody pass, and serves when it is repaired",
        || {
            let second = gateway("gateway-2", "127.0.0.24", 16020).begin(&world.authority);
            // It binds the address of the first one, which steps aside.
            until("the fault to reach it", LONG, || {
                (second.count("config_fail") > 0).then_some(())
            });
            assert!(!second.ready());
            repaired(world);
            until("the new proxy", LONG, || second.ready().then_some(()));
        },
    );
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
            let _registry = registry();
            apply(&from(
                world,
                &format!("oci://{REGISTRY}/platform/meshgate:v1.0.0"),
                None,
            ));
            until("the module of the registry", LONG, || {
                loaded(world).starts_with("/var/lib/istio/data/").then_some(())
            });
            assert!(fine(world));
            assert_eq!(world.send(&crate::world::asking("/orders/7")).status, 401);
            repaired(world);
            until("the module of the volume", LONG, || {
                loaded(world).starts_with("/var/run/meshgate").then_some(())
            });
        },
    );
    report.check("a tag that is not there: the module before it goes on", || {
        let _registry = registry();
        let before = world.gateway.log().matches("missing-tag").count();
        apply(&from(
            world,
            &format!("oci://{REGISTRY}/platform/meshgate:missing-tag"),
            None,
        ));
        until("the agent's word", LONG, || {
            (world.gateway.log().matches("missing-tag").count() > before).then_some(())
        });
        assert!(fine(world));
        assert_eq!(world.send(&crate::world::asking("/orders/7")).status, 401);
        repaired(world);
    });
    report.check("a module of a web server is taken by its SHA-256, and no other", || {
        let module = std::fs::read(crate::kube::run("module.wasm")).expect("the module");
        let sum: String = Sha256::digest(&module).iter().map(|b| format!("{b:02x}")).collect();
        let web = Stub::start_at(address(WEB), move |_| Reply::ok().body(module.clone()));
        let wrong = "0".repeat(64);
        apply(&from(world, &format!("http://{WEB}/other.wasm"), Some(&wrong)));
        until("the agent to fetch it", LONG, || (web.count() > 0).then_some(()));
        until("the agent's word", LONG, || {
            world.gateway.log().contains(&wrong[..32]).then_some(())
        });
        assert!(fine(world));
        assert!(loaded(world).starts_with("/var/run/meshgate"), "{}", loaded(world));
        apply(&from(world, &format!("http://{WEB}/meshgate.wasm"), Some(&sum)));
        until("the module of the web server", LONG, || {
            loaded(world).starts_with("/var/lib/istio/data/").then_some(())
        });
        assert!(fine(world));
        repaired(world);
    });
}

/// go-containerregistry's, with what `make image` wrote.
fn registry() -> Process {
    let crane = std::env::var("MESHGATE_CRANE").expect("MESHGATE_CRANE: run `make test-mesh`");
    let mut serve = Command::new(&crane);
    serve.args(["registry", "serve", "--address", REGISTRY]);
    let process = logged(serve, "registry.log");
    until("the registry", LONG, || {
        let ready = h1(address(REGISTRY)).try_send(&crate::support::get("/v2/")).ok()?;
        (ready.status == 200).then_some(())
    });
    let image = format!("{}/dist/image", crate::ROOT);
    let output = Command::new(&crane)
        .args([
            "push",
            "--insecure",
            &image,
            &format!("{REGISTRY}/platform/meshgate:v1.0.0"),
        ])
        .output()
        .expect("crane");
    assert!(output.status.success(), "{}", crate::kube::said(&output).1);
    process
}

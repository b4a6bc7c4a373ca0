//! Changes while requests are under way: nobody notices but those who are meant.
use crate::kube::{apply, delete, kubectl, patched, rejects, said};
use crate::report::Report;
use crate::subjects::{first, in_bucket, second};
use crate::support::{LONG, get, h1, until};
use crate::ways::WAYS;
use crate::world::{GATEWAY, World, as_reader, asking};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What is installed, with one text in place of another in the gateway's policy.
pub fn changed(world: &World, from: &str, to: &str) -> String {
    let rendered = WAYS[2].rendered(world);
    assert!(rendered.contains(from), "{from} is not in the manifests");
    rendered.replace(from, to)
}

/// Requests of a known caller all the while; how many there were, and the status of those that failed.
fn under_load(change: impl FnOnce()) -> (usize, Vec<u16>) {
    let (over, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let caller = |name: String| {
            let (over, sent) = (&over, &sent);
            scope.spawn(move || {
                let mut failed = Vec::new();
                while !over.load(Ordering::SeqCst) {
                    let request = as_reader("/orders/load", &name);
                    let status = h1(crate::kube::address(GATEWAY))
                        .try_send(&request)
                        .map_or(0, |r| r.status);
                    sent.fetch_add(1, Ordering::SeqCst);
                    if status != 200 {
                        failed.push(status);
                    }
                }
                failed
            })
        };
        let callers = [caller(first("ann")), caller(second("bob"))];
        until("load", LONG, || (sent.load(Ordering::SeqCst) > 50).then_some(()));
        // A change that does not come panics; the load ends all the same.
        let changed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(change));
        let at = sent.load(Ordering::SeqCst);
        until("load after the change", LONG, || {
            (sent.load(Ordering::SeqCst) > at + 50).then_some(())
        });
        over.store(true, Ordering::SeqCst);
        let failed = callers.into_iter().flat_map(|c| c.join().expect("a caller")).collect();
        if let Err(why) = changed {
            std::panic::resume_unwind(why);
        }
        (sent.load(Ordering::SeqCst), failed)
    })
}

/// A host of the namespace `platform`, whose routes have one destination each and names as those of `shop`.
fn anothers() -> String {
    let kind = |kind: &str, spec: Value| {
        let metadata = json!({"name": "another", "namespace": "platform"});
        json!({"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}).to_string()
    };
    let (ip, port) = GATEWAY.split_once(':').expect("an address and a port");
    let number: u16 = port.parse().expect("a port");
    let server = json!({
        "port": {"number": number, "name": "http", "protocol": "HTTP"}, "bind": ip, "hosts": ["platform/another.example.com"],
    });
    let gateway = json!({"selector": {"istio": "ingressgateway"}, "servers": [server]});
    let to = json!([{"destination": {"host": "auth.platform.svc.cluster.local"}}]);
    let routes = json!([
        {"name": "orders", "match": [{"uri": {"prefix": "/orders"}}], "route": to},
        {"name": "meshgate-orders-weighted", "route": to},
    ]);
    let service = json!({"hosts": ["another.example.com"], "gateways": ["platform/another"], "http": routes});
    [kind("Gateway", gateway), kind("VirtualService", service)].join("\n---\n")
}

pub fn checks(report: &mut Report, world: &World) {
    report.check("a policy is changed under load, and no request is lost", || {
        assert_eq!(world.send(&asking("/alive")).status, 403);
        let (sent, failed) = under_load(|| {
            apply(&changed(
                world,
                r#""paths":["/healthz"]},"authenticate":"none"},{"name":"catalog""#,
                r#""paths":["/alive"]},"authenticate":"none"},{"name":"catalog""#,
            ));
            until("the new policy", LONG, || {
                (world.send(&asking("/alive")).status == 200).then_some(())
            });
        });
        assert!(failed.is_empty(), "{} of {sent}: {failed:?}", failed.len());
        assert_eq!(world.send(&asking("/healthz")).status, 403);
    });
    report.check(
        "another team's routes on this gateway stay as they are, whatever their names",
        || {
            let before = rejects();
            apply(&anothers());
            until("their routes", LONG, || {
                assert_eq!(rejects(), before, "what istiod sent was refused");
                let route = |name| world.gateway.route(name, "auth.platform.svc.cluster.local");
                (route("orders").is_some() && route("meshgate-orders-weighted").is_some()).then_some(())
            });
            delete(&anothers());
        },
    );
    report.check(
        "weights are moved under load: only callers between the old border and the new one move",
        || {
            let sides = || {
                [4999, 5000, 8999, 9000].map(|bucket| {
                    world.forget();
                    assert_eq!(world.send(&as_reader("/orders/7", &in_bucket(bucket))).status, 200);
                    world.second.count()
                })
            };
            assert_eq!(sides(), [0, 0, 0, 1]);
            let patch = r#"[{"op":"replace","path":"/spec/http/2/route/0/weight","value":5000},
            {"op":"replace","path":"/spec/http/2/route/1/weight","value":5000}]"#;
            let (sent, failed) = under_load(|| {
                patched("shop", patch);
            });
            assert!(failed.is_empty(), "{} of {sent}: {failed:?}", failed.len());
            until("the new weights", LONG, || (sides() == [0, 1, 1, 1]).then_some(()));
            // The end of a rollout, as docs/mesh.md says it: first both destinations stay, then the filter goes before one.
            let before = rejects();
            let patch = r#"[{"op":"replace","path":"/spec/http/2/route/0/weight","value":0},
            {"op":"replace","path":"/spec/http/2/route/1/weight","value":10000}]"#;
            patched("shop", patch);
            until("the last weights", LONG, || (sides() == [1, 1, 1, 1]).then_some(()));
            let gone = kubectl(&["-n", "istio-ingress", "delete", "envoyfilter", "sticky-weights"]);
            assert!(gone.status.success(), "{}", said(&gone).1);
            until("a draw at random", LONG, || {
                let routes = world.gateway.dump().to_string();
                (!routes.contains(r#""header_name":"x-bucket-orders""#)).then_some(())
            });
            // The first version, or it could not be told from the weights of before.
            patched(
                "shop",
                r#"[{"op":"remove","path":"/spec/http/2/route/1"},{"op":"remove","path":"/spec/http/2/route/0/weight"}]"#,
            );
            until("the only destination", LONG, || (sides() == [0, 0, 0, 0]).then_some(()));
            assert_eq!(rejects(), before, "what istiod sent was refused");
        },
    );
    report.check("the signing key is exchanged, and callers go on", || {
        let one = r#""keys":[{"env":"MESHGATE_SIGNING_KEY"}]"#;
        let next = r#"{"env":"MESHGATE_SIGNING_KEY_NEXT"}"#;
        let keys = || {
            let jwks = get("/.well-known/meshgate/jwks.json");
            let keys = world
                .send(&jwks.host("istio-ingressgateway.istio-ingress.svc.cluster.local"))
                .json();
            keys["keys"].as_array().map_or(0, Vec::len)
        };
        // The kid of the word that a service gets.
        let signed_by = || {
            world.forget();
            let passed = world.send(&as_reader("/orders/7", &second("ann"))).status == 200;
            let word = world.second.received().last()?.header("x-identity")?;
            use base64::Engine as _;
            let head = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(word.split('.').next()?);
            let head: serde_json::Value = serde_json::from_slice(&head.ok()?).ok()?;
            passed.then(|| head["kid"].to_string())
        };
        let before = signed_by().expect("the gateway's word");
        apply(&changed(world, one, &one.replace(']', &format!(",{next}]"))));
        until("both keys", LONG, || (keys() == 2).then_some(()));
        assert_eq!(signed_by().as_ref(), Some(&before));
        apply(&changed(world, one, &one.replace('[', &format!("[{next},"))));
        until("a word by the next key", LONG, || {
            (signed_by()? != before).then_some(())
        });
        // The sidecar has fetched it.
        let known = || world.send(&as_reader("/orders/7", &first("ann"))).status;
        until("the sidecar to believe it", LONG, || (known() == 200).then_some(()));
    });
    report.check("the overlay applied again is what it was", || {
        apply(&WAYS[2].rendered(world));
        until("the old policy", LONG, || {
            (world.send(&asking("/alive")).status == 403).then_some(())
        });
    });
}

//! What the mesh does with what the filter says: asks services by mesh names, routes, sticks, retries, and lets nobody go
//! around.
use crate::kube::{address, apply, patched};
use crate::mint;
use crate::proxy;
use crate::report::Report;
use crate::subjects::{assigned, in_bucket, second, who};
use crate::support::{LONG, Reply, SHORT, Stub, get, h1, tls, until};
use crate::ways::WAYS;
use crate::world::{HOST, INBOUND, ISSUER, OUTBOUND, World, as_caller, as_reader, asking};
use jsonwebtoken::Algorithm;
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};

fn token(key: &str, groups: &[&str]) -> String {
    let claims = json!({
        "iss": format!("https://{ISSUER}"), "aud": "shop", "sub": "eve", "groups": groups, "exp": 4_000_000_000_u64,
    });
    mint::token(r#"{"alg":"RS256"}"#, &claims.to_string(), key, Algorithm::RS256)
}

pub fn checks(report: &mut Report, world: &World) {
    report.check(
        "the auth service is asked by its name in the mesh, once for each caller",
        || {
            world.forget();
            for _ in 0..3 {
                assert_eq!(world.send(&as_reader("/orders/7", "zoe")).status, 200);
            }
            let asked = world.auth.received();
            assert_eq!(asked.len(), 1);
            assert_eq!(asked[0].path(), "/check/orders/7");
            let clusters = h1(address("127.0.0.1:16000")).send(&get("/clusters")).text();
            let line = "outbound|8080||auth.platform.svc.cluster.local::127.0.0.16:8080::rq_success::";
            let count = clusters.lines().find_map(|l| l.strip_prefix(line)).expect(line);
            assert!(count.parse::<u32>().unwrap() > 0, "{count}");
        },
    );
    report.check(
        "while the auth service is away, a stranger gets 503 and a known caller goes on",
        || {
            world.auth.stop();
            let stranger = world.send(&as_reader("/orders/7", "new")).status;
            let known = world.send(&as_reader("/orders/7", "zoe")).status;
            world.auth.resume();
            assert_eq!((stranger, known), (503, 200));
        },
    );
    report.check(
        "a token of the issuer outside is checked with keys fetched through the ServiceEntry",
        || {
            let staff =
                |token: String| world.send(&asking("/staff/1").header("authorization", format!("Bearer {token}")));
            until("the issuer's keys", LONG, || {
                (staff(token("rsa", &["staff"])).status == 200).then_some(())
            });
            // Either version, as the bucket leads.
            let seen = [&world.app, &world.second].map(Stub::received).concat();
            assert!(seen.iter().any(|r| r.header("x-user-id").as_deref() == Some("eve")));
            assert!(world.issuer.received().iter().any(|r| r.path() == "/jwks.json"));
            assert_eq!(staff(token("rsa-other", &["staff"])).status, 401);
            assert_eq!(staff(token("rsa", &["guests"])).status, 403);
        },
    );
    report.check(
        "a variant of the experiment leads to its subset, and nobody chooses one",
        || {
            let mut met = [0; 3];
            for n in 0..40 {
                let subject = format!("visitor-{n}");
                let wanted = assigned(&subject);
                let is_b = wanted.variant.as_deref() == Some("b");
                let other = if is_b { "a" } else { "b" };
                let forged = as_reader("/orders/7", &subject).header("x-variant-orders", other);
                for request in [
                    as_reader("/orders/7", &subject),
                    forged.header("x_variant_orders", other),
                ] {
                    world.forget();
                    assert_eq!(world.send(&request).status, 200);
                    // The first version is told by its sidecar, which has it from the gateway's word.
                    let (here, there) = match wanted.to_second() {
                        true => (&world.second, &world.app),
                        false => (&world.app, &world.second),
                    };
                    assert_eq!((here.count(), there.count()), (1, 0), "{subject}");
                    let seen = here.last();
                    assert_eq!(seen.header("x-variant-orders"), wanted.variant, "{subject}");
                    assert!(!seen.has("x_variant_orders"), "{subject}");
                }
                met[wanted.variant.map_or(0, |v| 1 + usize::from(v == "b"))] += 1;
            }
            assert!(met.iter().all(|n| *n > 2), "no part, a, b: {met:?}");
        },
    );
    report.check(
        "the weights move nobody who has a variant: its control meets the first version alone, b the second",
        || {
            // Those whom the weights alone would lead to the other side.
            for (variant, range, wanted) in [("a", 9000..10000, (5, 0)), ("b", 0..9000, (0, 5))] {
                for name in ["one", "two", "three"] {
                    let subject = who(name, |a| {
                        a.variant.as_deref() == Some(variant) && range.contains(&a.bucket)
                    });
                    world.forget();
                    for _ in 0..5 {
                        assert_eq!(world.send(&as_reader("/orders/7", &subject)).status, 200);
                    }
                    assert_eq!(
                        (world.app.count(), world.second.count()),
                        wanted,
                        "{variant}: {subject}"
                    );
                }
            }
        },
    );
    report.check("weights are sticky by the caller's bucket", || {
        for (bucket, second) in [(0, false), (8999, false), (9000, true), (9999, true)] {
            let other = if second { "0" } else { "9500" };
            world.forget();
            for _ in 0..5 {
                let request = as_reader("/orders/7", &in_bucket(bucket)).header("x-bucket-orders", other);
                let response = world.send(&request.header("x_bucket_orders", other));
                assert_eq!(response.status, 200, "{}", response.text());
            }
            let wanted = if second { (0, 5) } else { (5, 0) };
            assert_eq!((world.app.count(), world.second.count()), wanted, "bucket {bucket}");
        }
    });
    report.check(
        "what failed is tried again, and what may have had an effect is not",
        || {
            let tries = AtomicUsize::new(0);
            world
                .catalog
                .answer(move |r| match tries.fetch_add(1, Ordering::SeqCst) % 2 {
                    0 => Reply::status(503),
                    _ => Reply::echo(r),
                });
            world.forget();
            let fine = world.send(&as_reader("/catalog/1", "ann")).status;
            let after_get = world.catalog.count();
            let mut post = as_reader("/catalog/1", "ann");
            post.method = b"POST".to_vec();
            let failed = world.send(&post).status;
            let after_post = world.catalog.count();
            world.catalog.answer(Reply::echo);
            assert_eq!((fine, after_get, failed, after_post), (200, 2, 503, 3));
        },
    );
    report.check(
        "the outbound policy tries a service's own call again, where the route would not",
        || {
            let patch = r#"[{"op":"replace","path":"/spec/http/0/retries","value":{"attempts":0}}]"#;
            patched("catalog", patch);
            until("a route without retries", LONG, || {
                let route = world
                    .sidecar
                    .route("safe-to-repeat", "catalog.shop.svc.cluster.local")?;
                route["retry_policy"].is_null().then_some(())
            });
            let tries = AtomicUsize::new(0);
            world
                .catalog
                .answer(move |r| match tries.fetch_add(1, Ordering::SeqCst) {
                    0..3 => Reply::status(503),
                    _ => Reply::echo(r),
                });
            world.forget();
            let call = get("/catalog/1").host("catalog.shop.svc.cluster.local");
            let got = h1(address(OUTBOUND)).send(&call).status;
            let count = world.catalog.count();
            world.catalog.answer(Reply::echo);
            apply(&WAYS[2].rendered(world));
            assert_eq!((got, count), (200, 4));
        },
    );
    report.check(
        "by its name in the cluster the gateway serves its public keys, and nothing else",
        || {
            let inside =
                |path: &str| world.send(&get(path).host("istio-ingressgateway.istio-ingress.svc.cluster.local"));
            assert_eq!(world.send(&asking("/healthz")).status, 200);
            world.forget();
            for path in ["/healthz", "/catalog/1", "/orders/7", "/"] {
                assert_eq!(inside(path).status, 403, "{path}");
            }
            assert_eq!(world.app.count() + world.second.count() + world.catalog.count(), 0);
            let keys = inside("/.well-known/meshgate/jwks.json");
            assert_eq!(keys.status, 200);
            let keys = keys.json();
            assert_eq!(keys["keys"].as_array().map(Vec::len), Some(1), "{keys}");
            assert!(keys["keys"][0]["d"].is_null());
        },
    );
    around(report, world);
}

pub const GATEWAYS: &str = "istio-ingress/istio-ingressgateway";
/// The first runs beside the gateway.
const OTHERS: [&str; 2] = ["istio-ingress/other", "elsewhere/istio-ingressgateway"];

/// A request to the service's own port, past the gateway, over mTLS as that workload, NAMESPACE/ACCOUNT.
pub fn straight(world: &World, workload: &str, bytes: &str) -> String {
    let (namespace, account) = workload.split_once('/').expect("NAMESPACE/ACCOUNT");
    let own = proxy::workload(&world.authority, namespace, account);
    let stream = TcpStream::connect(address(INBOUND)).expect("a connection");
    stream.set_read_timeout(Some(SHORT)).expect("a bound");
    let mut stream = tls::over(stream, tls::config(&world.authority, Some(&own))).expect("TLS");
    stream.write_all(bytes.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The bytes of a request, for a connection past the gateway. `lines`: of its headers, each with its end.
pub fn asks(path: &str, host: &str, lines: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{lines}connection: close\r\n\r\n")
}

fn around(report: &mut Report, world: &World) {
    let plain = asks("/orders/7", HOST, "x-user-id: root\r\n");
    report.check(
        "past the gateway: plain headers are worth nothing, whoever sends them",
        || {
            world.forget();
            let answer = straight(world, GATEWAYS, &plain);
            assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
            assert_eq!(world.app.count(), 0);
        },
    );
    report.check(
        "past the gateway: its word passes in its own hands and in no other workload's",
        || {
            world.forget();
            assert_eq!(world.send(&as_reader("/orders/7", &second("ann"))).status, 200);
            // As the second version without a sidecar got it.
            let word = world.second.last().header("x-identity").expect("the gateway's word");
            let request = asks("/orders/7", HOST, &format!("x-identity: {word}\r\n"));
            let own = straight(world, GATEWAYS, &request);
            assert!(own.starts_with("HTTP/1.1 200"), "{own}");
            world.forget();
            for other in OTHERS {
                let stolen = straight(world, other, &request);
                assert!(stolen.starts_with("HTTP/1.1 401"), "{other}: {stolen}");
            }
            assert_eq!(world.app.count(), 0);
        },
    );
    report.check(
        "past the gateway: what is open to callers is closed to workloads",
        || {
            world.forget();
            let request = asks("/healthz", HOST, "");
            let own = straight(world, GATEWAYS, &request);
            assert!(own.starts_with("HTTP/1.1 200"), "{own}");
            world.forget();
            for other in OTHERS {
                let refused = straight(world, other, &request);
                assert!(
                    refused.starts_with("HTTP/1.1 403") && refused.contains("RBAC"),
                    "{other}: {refused}"
                );
            }
            assert_eq!(world.app.count(), 0);
        },
    );
    report.check("past the gateway: without mTLS there is no answer", || {
        world.forget();
        let connections = world.app.connections();
        assert!(
            h1(address(INBOUND))
                .try_send(&as_caller("/orders/7", "ann", "editor"))
                .is_err()
        );
        assert_eq!((world.app.count(), world.app.connections()), (0, connections));
    });
    report.check("bytes that are no HTTP do not reach the service", || {
        let connections = world.app.connections();
        let answer = straight(world, GATEWAYS, "SSH-2.0-OpenSSH_9.6\r\n\r\n");
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
        let mut bare = TcpStream::connect(address(INBOUND)).expect("a connection");
        bare.set_read_timeout(Some(SHORT)).expect("a bound");
        bare.write_all(b"SSH-2.0-OpenSSH_9.6\r\n\r\n").expect("sent");
        let mut answer = Vec::new();
        let _ = bare.read_to_end(&mut answer);
        assert!(answer.is_empty(), "{answer:?}");
        assert_eq!(world.app.connections(), connections);
    });
    report.check("a port that nobody declared is closed, and allowed to nobody", || {
        let other = INBOUND.replace("8080", "9080");
        assert!(TcpStream::connect(address(&other)).is_err());
        let listeners = serde_json::to_string(&world.sidecar.listeners(8080)).expect("JSON");
        assert!(
            listeners.contains("\"destination_port\":8080"),
            "no rule names the port"
        );
    });
}

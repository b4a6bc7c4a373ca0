//! The route is chosen again, by what was set.

use super::*;

const POLICY: &str = r#"
version: 1
experiments:
  checkout:
    unit: ["header:x-device"]
    header: x-variant
    variants:
    - { name: control, weight: 70%, headers: { x-cluster: v1 } }
    - { name: blue, weight: 30%, headers: { x-cluster: v2 } }
  routed: { unit: ["header:x-device"], bucket_header: x-bucket }
rules:
- { name: all, match: { hosts: ["*"], paths: ["/**"] }, authenticate: none, experiments: [checkout, routed] }"#;

fn routes() -> Value {
    let header = |value: &str| object!([{"name": "x-variant", "string_match": {"exact": value}}]);
    object!([
        {"match": {"prefix": "/header", "headers": header("blue")}, "route": {"cluster": "v2"}},
        {"match": {"prefix": "/header", "headers": header("control")}, "route": {"cluster": "v1"}},
        {"match": {"prefix": "/named"}, "route": {"cluster_header": "x-cluster"}},
        {"match": {"prefix": "/weights"}, "route": {"weighted_clusters": {
            "header_name": "x-bucket",
            "clusters": [{"name": "v1", "weight": 6000}, {"name": "v2", "weight": 4000}],
        }}},
        {"match": {"prefix": "/"}, "direct_response": {"status": 404}},
    ])
}

fn gate(versions: &Versions) -> Gate {
    let gate = Gate::builder().policy(json(POLICY)).routes(routes()).workers(4);
    versions.clusters(gate).log_level("warning").start()
}

fn device(n: usize) -> String {
    format!("device-{n}")
}

const FORGED: [&str; 8] = [
    "x-variant",
    "X-Variant",
    "x_variant",
    "x.variant",
    "x-bucket",
    "X_Bucket",
    "x-cluster",
    "x~cluster",
];

/// 10,000 requests, each unit once through each of two proxies with four workers.
#[test]
fn each_unit_has_one_variant_everywhere() {
    const UNITS: usize = 5000;
    let versions = Versions::start();
    let gates = [gate(&versions), gate(&versions)];
    let checkout = experiment(&json(POLICY), "checkout");
    let requests: Vec<Request> = (0..UNITS)
        .map(|n| by("/header", &device(n)).header(FORGED[n % FORGED.len()], "forged"))
        .collect();
    let expected: Vec<&str> = (0..UNITS)
        .map(|n| match &*variant(&checkout, &device(n)) {
            "blue" => "v2",
            _ => "v1",
        })
        .collect();
    for gate in &gates {
        assert!(
            served(gate, &requests, 16) == expected,
            "somebody was served by the other version"
        );
        gate.envoy.assert_no_trap();
    }
    let twos = expected.iter().filter(|version| **version == "v2").count();
    assert!((1300..1700).contains(&twos), "{twos}");
    for (stub, value) in [(&versions.one, "control"), (&versions.two, "blue")] {
        for received in stub.received() {
            let ours = |name: &[u8]| ["x_variant", "x_bucket", "x_cluster"].contains(&&*folded(name));
            let mut told: Vec<_> = received.headers.iter().filter(|(name, _)| ours(name)).collect();
            told.sort_unstable();
            let [(b"x-bucket", bucket), (b"x-cluster", _), (b"x-variant", variant)] = told[..] else {
                panic!("{told:?}");
            };
            assert_eq!(String::from_utf8_lossy(variant), value);
            assert!(bucket != b"forged");
        }
    }
    assert_eq!(versions.one.count() + versions.two.count(), 2 * UNITS);
}

fn folded(name: &[u8]) -> String {
    let fold = |b: &u8| {
        if b.is_ascii_alphanumeric() {
            b.to_ascii_lowercase()
        } else {
            b'_'
        }
    };
    String::from_utf8(name.iter().map(fold).collect()).unwrap()
}

#[test]
fn a_header_names_the_cluster() {
    let versions = Versions::start();
    let gate = gate(&versions);
    let checkout = experiment(&json(POLICY), "checkout");
    let requests: Vec<Request> = (0..500)
        .map(|n| by("/named", &device(n)).header("x-cluster", "v2"))
        .collect();
    let served = served(&gate, &requests, 8);
    for (n, version) in served.iter().enumerate() {
        let expected = if variant(&checkout, &device(n)) == "blue" {
            "v2"
        } else {
            "v1"
        };
        assert_eq!(version, expected, "{}", device(n));
    }
}

/// The route owns the weights, and every unit stays where it is.
#[test]
fn a_bucket_makes_weights_sticky() {
    const UNITS: usize = 1000;
    let versions = Versions::start();
    let gates = [gate(&versions), gate(&versions)];
    let routed = experiment(&json(POLICY), "routed");
    let requests: Vec<Request> = (0..UNITS)
        .map(|n| by("/weights", &device(n)).header("x-bucket", "0"))
        .collect();
    let expected: Vec<&str> = (0..UNITS)
        .map(|n| {
            if routed.bucket(device(n).as_bytes()) < 6000 {
                "v1"
            } else {
                "v2"
            }
        })
        .collect();
    for gate in &gates {
        assert!(served(gate, &requests, 8) == expected);
    }
    let twos = expected.iter().filter(|version| **version == "v2").count();
    assert!((330..470).contains(&twos), "{twos}");
}

/// What stands behind the body is read by nobody who decides, and by upstreams that fold names.
#[test]
fn trailers_tell_nothing() {
    let versions = Versions::start();
    let gate = gate(&versions);
    let spellings = ["x-variant", "x_variant", "x.bucket", "X-Cluster"];
    for wire in Wire::BOTH {
        let upload = post("/header", "body").header("x-device", "a").trailer("x-plain", "1");
        let upload = spellings
            .iter()
            .fold(upload, |upload, name| upload.trailer(name, "forged"));
        assert_eq!(gate.client(wire).send(&upload).status, 200);
    }
    let received: Vec<_> = [versions.one.received(), versions.two.received()].concat();
    assert_eq!(received.len(), 2);
    for received in received {
        assert_eq!(
            received.trailers.names(),
            ["x-plain"],
            "{wire:?}",
            wire = received.headers
        );
    }
}

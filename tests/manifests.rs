//! The manifests under istio/: of the shape that Istio's own CRDs ask for, and with the numbers of the plain Envoy,
//! which tests/envoy/ holds to what they say.

#[path = "manifests/agree.rs"]
mod agree;
#[path = "manifests/schema.rs"]
mod schema;

use meshgate::config::yaml;
use schema::Schemas;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The documents of a YAML file.
fn documents(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let json = |text| yaml::to_json(text).unwrap_or_else(|faults| panic!("{}: {faults}", path.display()));
    let documents = text.split("\n---\n").map(json);
    documents
        .map(|text| serde_json::from_str(&text).expect("JSON"))
        .collect()
}

/// A file of the repository that holds one document.
fn file(path: &str) -> Value {
    documents(&Path::new(ROOT).join(path)).remove(0)
}

fn manifests() -> Vec<(PathBuf, Value)> {
    let mut folders = vec![Path::new(ROOT).join("istio")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("istio/") {
            let path = entry.expect("an entry").path();
            match path.extension() {
                // Policies, and what `make manifests` makes of them.
                _ if path.is_dir() && path.ends_with("policy") => {}
                // Of Envoy and Prometheus.
                _ if path.is_dir() && path.ends_with("metrics") => {}
                _ if path.is_dir() => folders.push(path),
                _ if path.ends_with("kustomization.yaml") => {}
                // Of Helm.
                _ if path.ends_with("istio/values.yaml") || path.ends_with("istio/gateway-values.yaml") => {}
                Some(yaml) if yaml == "yaml" => found.extend(documents(&path).into_iter().map(|d| (path.clone(), d))),
                _ => panic!("{}: no YAML", path.display()),
            }
        }
    }
    found
}

fn manifest(kind: &str, name: &str) -> Value {
    let mut all = manifests().into_iter().map(|(_, m)| m);
    let found = all.find(|m| m["kind"] == kind && m["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

#[test]
fn every_manifest_is_of_its_schema() {
    let schemas = Schemas::of_istio();
    let all = manifests();
    assert!(!all.is_empty());
    // Kubernetes' own kinds go through a real API server in tests/mesh.
    let istios = |m: &Value| m["apiVersion"].as_str().is_some_and(|v| v.contains("istio.io/"));
    for (path, manifest) in all.into_iter().filter(|(_, m)| istios(m)) {
        let faults = schemas.faults(&manifest);
        assert!(faults.is_empty(), "{}: {faults:#?}", path.display());
    }
}

/// What the check above would say.
#[test]
fn a_fault_is_seen() {
    let schemas = Schemas::of_istio();
    let good = manifest("DestinationRule", "catalog");
    let broken = |pointer: &str, value: Value| {
        let mut bad = good.clone();
        let (parent, name) = pointer.rsplit_once('/').expect("a path");
        bad.pointer_mut(parent).expect("it is there")[name] = value;
        schemas.faults(&bad)
    };
    let policy = "/spec/trafficPolicy";
    for (pointer, value, fault) in [
        ("/outlierDetection/maxEjectionTime", json!("30s"), "unknown field"),
        ("/loadBalancer/simple", json!("LEAST_BUSY"), "none of the words"),
        (
            "/connectionPool/http/maxRequestsPerConnection",
            json!("2"),
            "no integer",
        ),
        ("/outlierDetection", json!([]), "no object"),
    ] {
        let path = format!("{policy}{pointer}");
        let faults = broken(&path, value);
        let dotted = path[1..].replace('/', ".");
        assert_eq!(faults, [format!("{dotted}: {fault}")]);
    }
    assert_eq!(broken("/spec/host", Value::Null), ["spec.host: no string"]);
}

fn cluster<'a>(envoy: &'a Value, name: &str) -> &'a Value {
    let all = envoy["static_resources"]["clusters"].as_array().expect("clusters");
    all.iter().find(|c| c["name"] == name).expect("that cluster")
}

/// `0.5s`, `500ms`.
fn milliseconds(text: &Value) -> u64 {
    let text = text.as_str().expect("a duration");
    let (number, factor) = match text.strip_suffix("ms") {
        Some(number) => (number, 1.0),
        None => (text.trim_end_matches('s'), 1000.0),
    };
    (number.parse::<f64>().expect("a number") * factor) as u64
}

/// Base and business services differ in balancing only, in Envoy as in Istio.
#[test]
fn both_kinds_have_the_same_numbers() {
    let envoy = file("envoy/envoy.yaml");
    let without = |mut value: Value, fields: &[&str]| {
        fields
            .iter()
            .for_each(|f| drop(value.as_object_mut().expect("an object").remove(*f)));
        value
    };
    let balancing = ["name", "lb_policy", "ring_hash_lb_config", "load_assignment"];
    let (base, business) = (cluster(&envoy, "catalog"), cluster(&envoy, "upstream"));
    // The auth service is a base service, with limits of its own.
    let auth = cluster(&envoy, "auth");
    for field in ["lb_policy", "connect_timeout", "outlier_detection"] {
        assert_eq!(auth[field], base[field], "{field}");
    }
    assert_eq!(without(base.clone(), &balancing), without(business.clone(), &balancing));

    let [base, business] =
        ["catalog", "orders"].map(|name| manifest("DestinationRule", name)["spec"]["trafficPolicy"].clone());
    assert_eq!(without(base, &["loadBalancer"]), without(business, &["loadBalancer"]));
    let [base, business] = ["catalog", "orders"].map(|name| manifest("VirtualService", name)["spec"].to_string());
    assert_eq!(base.replace("catalog", "orders"), business);
}

#[test]
fn istio_has_the_numbers_of_envoy() {
    let envoy = file("envoy/envoy.yaml");
    for (service, name) in [("catalog", "catalog"), ("upstream", "orders")] {
        let cluster = cluster(&envoy, service);
        let rule = manifest("DestinationRule", name);
        let policy = &rule["spec"]["trafficPolicy"];
        let http = &cluster["typed_extension_protocol_options"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]
            ["common_http_protocol_options"];
        let pool = &policy["connectionPool"];
        assert_eq!(
            milliseconds(&pool["tcp"]["connectTimeout"]),
            milliseconds(&cluster["connect_timeout"])
        );
        assert_eq!(
            pool["http"]["maxRequestsPerConnection"],
            http["max_requests_per_connection"]
        );
        assert_eq!(
            milliseconds(&pool["http"]["idleTimeout"]),
            milliseconds(&http["idle_timeout"])
        );

        let (ours, theirs) = (&cluster["outlier_detection"], &policy["outlierDetection"]);
        for (field, istios) in [
            ("consecutive_5xx", "consecutive5xxErrors"),
            ("interval", "interval"),
            ("base_ejection_time", "baseEjectionTime"),
            ("max_ejection_percent", "maxEjectionPercent"),
        ] {
            assert_eq!(ours[field], theirs[istios], "{name}: {field}");
        }
        let budget = &cluster["circuit_breakers"]["thresholds"][0]["retry_budget"];
        assert_eq!(budget["budget_percent"]["value"], policy["retryBudget"]["percent"]);
        assert_eq!(
            budget["min_retry_concurrency"],
            policy["retryBudget"]["minRetryConcurrency"]
        );

        // What the rule has no field for.
        let instances = manifest("EnvoyFilter", "instances");
        let mut patches = instances["spec"]["configPatches"].as_array().expect("patches").iter();
        let ours = patches
            .find(|p| p["match"]["cluster"]["service"] == rule["spec"]["host"])
            .expect("a patch");
        let wanted = json!({
            "circuit_breakers": {"per_host_thresholds": cluster["circuit_breakers"]["per_host_thresholds"]},
            "outlier_detection": {"max_ejection_time": cluster["outlier_detection"]["max_ejection_time"]},
        });
        assert_eq!(ours["patch"]["value"], wanted);
    }
    let balancer = |name| manifest("DestinationRule", name)["spec"]["trafficPolicy"]["loadBalancer"].clone();
    assert_eq!(balancer("catalog")["simple"], cluster(&envoy, "catalog")["lb_policy"]);
    let hash = &balancer("orders")["consistentHash"];
    let ring = &cluster(&envoy, "upstream")["ring_hash_lb_config"];
    assert_eq!(hash["ringHash"]["minimumRingSize"], ring["minimum_ring_size"]);
}

/// The policy's numbers and conditions are the VirtualService's for what may be repeated.
#[test]
fn istio_has_the_retries_of_the_policy() {
    let policy = file("envoy/policy.yaml");
    let upstream = &policy["defaults"]["upstream"];
    let retry = &upstream["retry"];
    let service = manifest("VirtualService", "catalog");
    let [safe, once] = [0, 1].map(|i| &service["spec"]["http"][i]);
    for route in [safe, once] {
        assert_eq!(route["timeout"], upstream["timeout"]);
        assert_eq!(route["retries"]["attempts"], retry["attempts"]);
    }
    assert_eq!(safe["retries"]["perTryTimeout"], retry["per_try_timeout"]);
    let conditions = retry["retry_on"]
        .as_array()
        .expect("conditions")
        .iter()
        .filter_map(Value::as_str);
    assert_eq!(safe["retries"]["retryOn"], conditions.collect::<Vec<_>>().join(","));
    // `route_retries: none` holds in the plain Envoy.
    assert!(!file("envoy/envoy.yaml").to_string().contains("retry_on"));
}

/// The filter and what it counts are the same in both, but for the name of the service's cluster.
#[test]
fn istio_has_the_rate_limit_of_envoy() {
    let parts = file("envoy/ratelimit/envoy.yaml");
    let mut filter = parts["http_filter"].clone();
    filter["typed_config"]["rate_limit_service"]["grpc_service"]["envoy_grpc"]["cluster_name"] =
        json!("outbound|8081||ratelimit.platform.svc.cluster.local");
    let istios = manifest("EnvoyFilter", "ratelimit");
    let patches = &istios["spec"]["configPatches"];
    assert_eq!(patches[0]["patch"]["value"], filter);
    assert_eq!(
        patches[1]["patch"]["value"],
        json!({"rate_limits": parts["rate_limits"]})
    );
    let domain = &file("envoy/ratelimit/config/meshgate.yaml")["domain"];
    assert_eq!(&filter["typed_config"]["domain"], domain);
}

/// What instances, sides and budgets are chosen by is a header that Meshgate removes from each request, and not one of the
/// client's: in Envoy by Envoy's policy, in the mesh by the mesh's.
#[test]
fn only_headers_that_are_set_anew_choose() {
    let removed = |policy: &str, name: &str| {
        let policy = file(policy);
        let identity = policy["identity"]["headers"].as_object().expect("identity headers");
        let mut strip = policy["identity"]["strip"].as_array().into_iter().flatten();
        let mut experiments = policy["experiments"].as_object().into_iter().flatten();
        identity.contains_key(name)
            || strip.any(|s| s == name)
            || experiments.any(|(_, e)| [&e["header"], &e["bucket_header"]].contains(&&json!(name)))
    };
    let envoy = ["envoy/envoy.yaml", "envoy/ratelimit/envoy.yaml"].map(file);
    let mesh: Vec<Value> = manifests().into_iter().map(|(_, document)| document).collect();
    for (policy, documents, least) in [
        ("envoy/policy.yaml", &envoy[..], 4),
        ("istio/policy/gateway/platform.yaml", &mesh[..], 5),
    ] {
        let mut named = Vec::new();
        for document in documents {
            for key in ["header_name", "httpHeaderName"] {
                strings_under(document, key, &mut named);
            }
            let mut matches = Vec::new();
            values_under(document, "header_value_match", &mut matches);
            matches.iter().for_each(|m| strings_under(m, "name", &mut named));
        }
        assert!(named.len() >= least, "{policy}: {named:?}");
        for name in named {
            assert!(removed(policy, &name), "{policy} leaves {name} to the client");
        }
    }
}

fn strings_under(value: &Value, key: &str, found: &mut Vec<String>) {
    let mut values = Vec::new();
    values_under(value, key, &mut values);
    found.extend(values.iter().filter_map(Value::as_str).map(str::to_owned));
}

fn values_under(value: &Value, key: &str, found: &mut Vec<Value>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get(key).cloned());
            fields.values().for_each(|v| values_under(v, key, found));
        }
        Value::Array(items) => items.iter().for_each(|v| values_under(v, key, found)),
        _ => {}
    }
}

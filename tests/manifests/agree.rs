//! What stands in more than one place says the same in each, and what keeps callers at the gate stands everywhere.

use super::{ROOT, documents, file, manifest, manifests};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// The two gates of a path: what the gateway says and what the sidecar reads are the same.
#[test]
fn both_gates_have_the_same_experiment_and_headers() {
    let [gateway, sidecar] = ["istio/policy/gateway/platform.yaml", "istio/policy/inbound.yaml"].map(file);
    let experiments = gateway["experiments"].as_object().expect("experiments");
    for (name, experiment) in sidecar["experiments"].as_object().expect("experiments") {
        assert_eq!(Some(experiment), experiments.get(name), "{name}");
    }
    assert_eq!(gateway["identity"]["headers"], sidecar["identity"]["headers"]);
    // What only the gateway's routes read goes no further.
    let buckets = experiments.values().filter_map(|e| e.get("bucket_header"));
    let buckets: Vec<Value> = buckets.cloned().collect();
    assert_eq!(sidecar["identity"]["strip"], Value::from(buckets));
    let (word, gate) = (
        &gateway["identity"]["assertion"],
        &sidecar["authenticators"]["gateway"]["gate"],
    );
    for field in ["header", "issuer", "audience"] {
        assert_eq!(word[field], gate[field], "{field}");
    }
    assert_eq!(word["jwks_path"], gate["keys"]["remote"]["path"]);
}

/// Trust domain, namespace and account of the gateway, wherever they stand.
#[test]
fn the_gateway_has_one_name() {
    let mut found = Vec::new();
    let access = documents(&Path::new(ROOT).join("istio/base/access.yaml"));
    for document in access.into_iter().chain([file("istio/policy/inbound.yaml")]) {
        strings(&document, &mut found);
    }
    let accounts: Vec<String> = found.into_iter().filter(|text| text.contains("/sa/")).collect();
    assert_eq!(accounts.len(), 3, "{accounts:?}");
    assert!(accounts.iter().all(|account| *account == accounts[0]), "{accounts:?}");
    let (_, namespace, account) = match accounts[0].split('/').collect::<Vec<_>>()[..] {
        [domain, "ns", namespace, "sa", account] => (domain, namespace, account),
        _ => panic!("{accounts:?}"),
    };
    let policy = manifest("NetworkPolicy", "auth");
    let from = &policy["spec"]["ingress"][0]["from"][0];
    assert_eq!(
        from["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"],
        namespace
    );
    let gateway = manifest("Gateway", "shop");
    assert_eq!(gateway["metadata"]["namespace"], namespace);
    assert_eq!(gateway["spec"]["selector"], from["podSelector"]["matchLabels"]);
    // Istio's chart makes both of its release's name.
    let label = account.strip_prefix("istio-").expect("istio-");
    assert_eq!(gateway["spec"]["selector"]["istio"], label);
}

/// The patch fits one route of the public host, and that has two destinations: to one alone it would take the cluster away.
#[test]
fn the_weights_that_stick_are_of_one_route() {
    let patches = manifest("EnvoyFilter", "sticky-weights")["spec"]["configPatches"].clone();
    assert_eq!(patches.as_array().map(Vec::len), Some(1));
    let host = &patches[0]["match"]["routeConfiguration"]["vhost"];
    let all = manifests();
    let services = all.iter().filter(|(_, m)| m["kind"] == "VirtualService");
    let routes = services.flat_map(|(_, s)| {
        s["spec"]["http"]
            .as_array()
            .expect("routes")
            .iter()
            .map(move |r| (s, r))
    });
    let fits: Vec<_> = routes.filter(|(_, r)| r["name"] == host["route"]["name"]).collect();
    let [(service, route)] = fits[..] else {
        panic!("{fits:?}")
    };
    assert_eq!(host["domainName"], service["spec"]["hosts"][0]);
    assert!(host["domainName"].is_string(), "it would be of every host");
    let to = route["route"].as_array().expect("destinations");
    assert_eq!(to.iter().filter_map(|d| d["weight"].as_u64()).sum::<u64>(), 10_000);
    assert_eq!(to.len(), 2);
    let file = file("istio/policy/gateway/platform.yaml");
    let mut experiments = file["experiments"].as_object().expect("experiments").values();
    let drawn = &patches[0]["patch"]["value"]["route"]["weighted_clusters"]["header_name"];
    assert!(experiments.any(|e| e["bucket_header"] == *drawn), "{drawn}");
}

fn strings(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.values().for_each(|v| strings(v, found)),
        Value::Array(items) => items.iter().for_each(|v| strings(v, found)),
        Value::String(text) => found.push(text.clone()),
        _ => {}
    }
}

/// What docs/metrics.md says holds in a mesh, too.
#[test]
fn istio_has_the_labels_and_the_log_of_envoy() {
    let envoy = file("envoy/envoy.yaml");
    assert_eq!(
        file("istio/metrics/bootstrap.yaml"),
        json!({"stats_config": envoy["stats_config"]})
    );
    let manager = &envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
    let fields = &manager["access_log"][0]["typed_config"]["log_format"]["json_format"];
    let provider = file("istio/values.yaml")["meshConfig"]["extensionProviders"][0].clone();
    assert_eq!(provider["envoyFileAccessLog"]["logFormat"]["labels"], *fields);
    // Without the policy's word a field stays null.
    assert_eq!(
        file("istio/policy/gateway/platform.yaml")["log"],
        file("envoy/policy.yaml")["log"]
    );
    for telemetry in manifests().into_iter().filter(|(_, m)| m["kind"] == "Telemetry") {
        let log = &telemetry.1["spec"]["accessLogging"][0]["providers"][0]["name"];
        assert_eq!(*log, provider["name"]);
    }
}

/// A namespace whose workloads all stand behind the gateway has the filter before each, whichever the way, and what its
/// proxies need: to be injected, the labels of their metrics, somebody who reads these, and the module.
#[test]
fn every_namespace_behind_the_gateway_has_the_filter() {
    let all = manifests();
    let of = |kind: &'static str, name: &'static str| {
        let found = all
            .iter()
            .filter(move |(_, m)| m["kind"] == kind && m["metadata"]["name"] == name);
        found.map(|(path, m)| (path, m["metadata"]["namespace"].as_str().expect("a namespace"), m))
    };
    let behind = of("AuthorizationPolicy", "only-the-gateway").filter(|(_, _, m)| m["spec"]["selector"].is_null());
    let behind: BTreeSet<&str> = behind.map(|(_, namespace, _)| namespace).collect();
    assert!(!behind.is_empty());
    for (way, kind) in [
        ("envoyfilter", "EnvoyFilter"),
        ("trafficextension", "TrafficExtension"),
        ("wasmplugin", "WasmPlugin"),
    ] {
        for (part, name) in [
            ("sidecar-inbound", "meshgate-inbound"),
            ("sidecar-outbound", "meshgate-outbound"),
        ] {
            let folder = Path::new(ROOT).join("istio/components").join(part).join(way);
            let there = of(kind, name).filter(|(path, _, _)| path.starts_with(&folder));
            let there: BTreeSet<&str> = there.map(|(_, namespace, _)| namespace).collect();
            assert_eq!(there, behind, "{}", folder.display());
        }
    }
    let gateway = manifest("Gateway", "shop")["metadata"]["namespace"].clone();
    let with_gateway: BTreeSet<&str> = behind.iter().copied().chain(gateway.as_str()).collect();
    let generated = file("istio/metrics/kustomization.yaml")["configMapGenerator"].clone();
    let generated = generated.as_array().expect("ConfigMaps").iter();
    let labels: BTreeSet<&str> = generated.filter_map(|map| map["namespace"].as_str()).collect();
    assert_eq!(labels, with_gateway, "istio/metrics/kustomization.yaml");
    let scraped = file("istio/metrics/prometheus.yml")["scrape_configs"][0]["kubernetes_sd_configs"][0].clone();
    let scraped = scraped["namespaces"]["names"].as_array().expect("namespaces").iter();
    let scraped: BTreeSet<&str> = scraped.filter_map(Value::as_str).collect();
    assert_eq!(scraped, with_gateway, "istio/metrics/prometheus.yml");
    let config = file("istio/metrics/prometheus.yml").to_string();
    for namespace in &behind {
        // The gauge that a sidecar's two policies share.
        assert!(
            config.contains(&format!("meshgate/{namespace}/.+;meshgate_policy_generation")),
            "{namespace}"
        );
    }
    let logged: BTreeSet<&str> = of("Telemetry", "access-log")
        .map(|(_, namespace, _)| namespace)
        .collect();
    assert_eq!(logged, with_gateway, "istio/base/telemetry.yaml");
    for namespace in with_gateway {
        let injected = all.iter().any(|(_, m)| {
            m["kind"] == "Namespace"
                && m["metadata"]["name"] == namespace
                && m["metadata"]["labels"]["istio-injection"] == "enabled"
        });
        assert!(injected, "{namespace} is not in istio/namespaces.yaml");
        let page = std::fs::read_to_string(Path::new(ROOT).join("docs/mesh.md")).expect("docs/mesh.md");
        let loops = page.lines().filter_map(|l| l.strip_prefix("for namespace in "));
        let loops: Vec<&str> = loops.collect();
        assert!(loops.len() > 1, "{loops:?}");
        for list in loops {
            let mut names = list.split([' ', ';']);
            assert!(names.any(|name| name == namespace), "docs/mesh.md: {namespace}: {list}");
        }
    }
}

/// The guide from Kong routes through the Gateway and to the port that the tree has.
#[test]
fn the_example_from_kong_fits_the_tree() {
    let spec = file("examples/migrate/kong/canary/virtualservice.yaml")["spec"].clone();
    let gateway = manifest("Gateway", "shop")["metadata"].clone();
    let (namespace, name) = (gateway["namespace"].as_str(), gateway["name"].as_str());
    let own = format!("{}/{}", namespace.expect("a namespace"), name.expect("a name"));
    assert_eq!(spec["gateways"], json!([own]));
    let port = manifest("Service", "orders")["spec"]["ports"][0]["port"].clone();
    for route in spec["http"].as_array().expect("routes") {
        assert_eq!(route["route"][0]["destination"]["port"]["number"], port);
    }
}

/// What keeps bytes from the app that no gate has seen: every port says what it speaks, none is left out of the proxy, and
/// every namespace with services asks for certificates.
#[test]
fn no_port_is_open_beside_the_gate() {
    let all = manifests();
    let of_kind = |kind: &'static str| all.iter().map(|(_, m)| m).filter(move |m| m["kind"] == kind);
    let mut namespaces = Vec::new();
    for service in of_kind("Service") {
        for port in service["spec"]["ports"].as_array().expect("ports") {
            assert_eq!(port["appProtocol"], "http", "{}", service["metadata"]["name"]);
        }
        namespaces.push(&service["metadata"]["namespace"]);
    }
    assert!(namespaces.len() >= 3);
    for namespace in namespaces {
        let mut strict = of_kind("PeerAuthentication").filter(|p| p["metadata"]["namespace"] == *namespace);
        let strict = strict
            .next()
            .unwrap_or_else(|| panic!("no PeerAuthentication in {namespace}"));
        assert_eq!(strict["spec"], json!({"mtls": {"mode": "STRICT"}}), "{namespace}");
        let mut only = of_kind("AuthorizationPolicy").filter(|p| p["metadata"]["namespace"] == *namespace);
        let only = only
            .next()
            .unwrap_or_else(|| panic!("no AuthorizationPolicy in {namespace}"));
        let rule = &only["spec"]["rules"][0];
        assert_eq!(only["spec"]["action"], "ALLOW");
        assert!(rule["from"][0]["source"]["principals"].is_array() && rule["to"][0]["operation"]["ports"].is_array());
    }
    for (path, manifest) in &all {
        let text = manifest.to_string();
        let left_out = [
            "excludeInboundPorts",
            "excludeOutboundPorts",
            "includeInboundPorts",
            "portLevelMtls",
        ];
        assert!(!left_out.iter().any(|word| text.contains(word)), "{}", path.display());
    }
}

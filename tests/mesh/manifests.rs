//! What is true of the manifests before any proxy has them.
use crate::ROOT;
use crate::kube::{
    Kube, apply, command, documents, kubectl, kustomize, namespaces, parsed, run, said, try_apply, with_input,
};
use crate::report::Report;
use crate::world::{overlay, try_overlay};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const ENVIRONMENTS: [&str; 3] = ["test", "pre", "prod"];
const PARTS: [&str; 3] = ["gateway", "sidecar-inbound", "sidecar-outbound"];
const WAYS: [&str; 3] = ["envoyfilter", "trafficextension", "wasmplugin"];

fn environment(name: &str) -> Vec<Value> {
    documents(&kustomize(&Path::new(ROOT).join("istio/overlays").join(name)))
}

/// All three parts in one way, with the module from where a component says.
fn installed(way: &str, module: Option<&str>) -> String {
    let mut parts: Vec<String> = PARTS.map(|part| format!("istio/components/{part}/{way}")).into();
    parts.extend(module.map(|m| format!("istio/components/module/{m}")));
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let name = format!("{way}-{}", module.unwrap_or("file"));
    let resources = ["istio/base", "istio/overlays/prod/policy"];
    match module {
        None => overlay(&name, &resources, &parts),
        Some(module) => try_overlay(&name, &resources, &parts, Some(&example(module))).expect("a rendering"),
    }
}

/// What the component asks for, as the comment of its own says.
fn example(module: &str) -> String {
    let path = format!("{ROOT}/istio/components/module/{module}/kustomization.yaml");
    let text = fs::read_to_string(path).expect("a component");
    let lines = text.lines().filter_map(|l| l.strip_prefix("#   "));
    lines
        .collect::<Vec<_>>()
        .join("\n")
        .replace('…', &"0123456789abcdef".repeat(4))
}

pub fn built(arguments: &[&str]) -> Value {
    let program = std::env::var("MESHGATE_CLI").unwrap_or_else(|_| format!("{ROOT}/dist/meshgate"));
    let output = Command::new(program).current_dir(ROOT).args(arguments).output();
    let output = output.expect("meshgate");
    assert!(output.status.success(), "{}", said(&output).1);
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn named<'a>(all: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = all.iter().find(|d| d["kind"] == kind && d["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

/// Where two documents differ, as paths.
fn differences(one: &Value, other: &Value, path: &str, found: &mut BTreeSet<String>) {
    match (one, other) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                differences(&one[key], &other[key], &format!("{path}.{key}"), found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                differences(a, b, &format!("{path}.{i}"), found);
            }
        }
        _ if one == other => {}
        _ => {
            found.insert(path.to_owned());
        }
    }
}

pub fn on_paper(report: &mut Report) {
    for (one, other) in [("test", "prod"), ("pre", "prod")] {
        report.check(
            format!("{one} and {other} differ in host, issuer and policy, and in nothing else"),
            || {
                let (one, other) = (environment(one), environment(other));
                assert_eq!(one.len(), other.len());
                let mut found = BTreeSet::new();
                for (a, b) in one.iter().zip(&other) {
                    let path = format!(
                        "{}/{}",
                        a["kind"].as_str().unwrap(),
                        a["metadata"]["name"].as_str().unwrap()
                    );
                    differences(a, b, &path, &mut found);
                }
                let config = "spec.configPatches.0.patch.value.typed_config.config.configuration.value";
                let wanted = [
                    format!("EnvoyFilter/meshgate-gateway.{config}"),
                    "Gateway/shop.spec.servers.0.hosts.0".into(),
                    "ServiceEntry/external-auth.spec.hosts.0".into(),
                    "DestinationRule/external-auth.spec.host".into(),
                    "DestinationRule/external-auth.spec.trafficPolicy.tls.sni".into(),
                    "DestinationRule/external-auth.spec.trafficPolicy.tls.subjectAltNames.0".into(),
                    "VirtualService/shop.spec.hosts.0".into(),
                    "EnvoyFilter/sticky-weights.spec.configPatches.0.match.routeConfiguration.vhost.domainName".into(),
                ];
                assert_eq!(found, BTreeSet::from(wanted));
            },
        );
    }
    for name in ENVIRONMENTS {
        report.check(
            format!("{name}: the public host is served by TLS alone, and its weights are the ones that stick"),
            || {
                let all = environment(name);
                let servers = named(&all, "Gateway", "shop")["spec"]["servers"]
                    .as_array()
                    .expect("servers");
                for server in servers.iter().filter(|s| s["port"]["protocol"] != "HTTPS") {
                    let hosts = server["hosts"].as_array().expect("hosts").iter();
                    let public = hosts.filter(|h| !h.as_str().expect("text").ends_with(".svc.cluster.local"));
                    assert_eq!(public.count(), 0, "{server}");
                }
                let host = &named(&all, "VirtualService", "shop")["spec"]["hosts"][0];
                let weighted = &named(&all, "EnvoyFilter", "sticky-weights")["spec"]["configPatches"][0]["match"];
                assert_eq!(&weighted["routeConfiguration"]["vhost"]["domainName"], host);
            },
        );
        report.check(
            format!("{name}: the policy's issuer, its keys and what TLS checks have one name"),
            || {
                let all = environment(name);
                let gateway = built(&["build", "istio/policy/gateway", "--env", name]);
                let jwt = &gateway["authenticators"]["employee"]["jwt"];
                let host = jwt["issuer"]
                    .as_str()
                    .and_then(|i| i.strip_prefix("https://"))
                    .expect("https");
                assert_eq!(jwt["keys"]["remote"]["service"], format!("{host}:80"));
                assert_eq!(named(&all, "ServiceEntry", "external-auth")["spec"]["hosts"][0], host);
                let rule = &named(&all, "DestinationRule", "external-auth")["spec"];
                let tls = &rule["trafficPolicy"]["tls"];
                assert_eq!(
                    (&rule["host"], &tls["sni"], &tls["subjectAltNames"][0]),
                    (&host.into(), &host.into(), &host.into())
                );
            },
        );
    }
    for name in ENVIRONMENTS {
        report.check(
            format!("{name} is given the policy that `meshgate build` makes for it"),
            || {
                let all = environment(name);
                let policy = |filter: &str| -> Value {
                    let config = &named(&all, "EnvoyFilter", filter)["spec"]["configPatches"][0]["patch"]["value"];
                    let text = config["typed_config"]["config"]["configuration"]["value"]
                        .as_str()
                        .expect("text");
                    serde_json::from_str(text).expect("JSON")
                };
                let gateway = built(&["build", "istio/policy/gateway", "--env", name]);
                assert_eq!(policy("meshgate-gateway"), gateway);
                assert_eq!(
                    policy("meshgate-inbound"),
                    built(&["build", "istio/policy/inbound.yaml"])
                );
                assert_eq!(
                    policy("meshgate-outbound"),
                    built(&["build", "istio/policy/outbound.yaml"])
                );
            },
        );
    }
    report.check(
        "the two APIs are given the same policy, with every value of its type",
        || {
            let gateway = built(&["build", "istio/policy/gateway", "--env", "prod"]);
            let plugin = documents(&installed("wasmplugin", None));
            assert_eq!(
                named(&plugin, "WasmPlugin", "meshgate-gateway")["spec"]["pluginConfig"],
                gateway
            );
            let extension = documents(&installed("trafficextension", None));
            let ours = named(&extension, "TrafficExtension", "meshgate-gateway");
            assert_eq!(ours["spec"]["wasm"]["pluginConfig"], gateway);
        },
    );
    report.check(
        "each way takes the module from a volume, a registry and a web server",
        || {
            for (module, start) in [(None, "file:///"), (Some("oci"), "oci://"), (Some("https"), "https://")] {
                for part in ["gateway", "inbound", "outbound"].map(|p| format!("meshgate-{p}")) {
                    let all = documents(&installed("envoyfilter", module));
                    let config = &named(&all, "EnvoyFilter", &part)["spec"]["configPatches"][0]["patch"]["value"];
                    let code = &config["typed_config"]["config"]["vm_config"]["code"];
                    let from = code["remote"]["http_uri"]["uri"].as_str();
                    let from = from.map_or_else(
                        || format!("file://{}", code["local"]["filename"].as_str().unwrap()),
                        str::to_owned,
                    );
                    assert!(from.starts_with(start), "{from}");
                    assert_eq!(code["remote"]["sha256"].is_string(), module == Some("https"));
                    for (way, kind, at) in [
                        ("trafficextension", "TrafficExtension", "/spec/wasm"),
                        ("wasmplugin", "WasmPlugin", "/spec"),
                    ] {
                        let all = documents(&installed(way, module));
                        let spec = named(&all, kind, &part).pointer(at).expect(at);
                        assert!(spec["url"].as_str().unwrap().starts_with(start), "{spec}");
                        assert_eq!(spec["sha256"].is_string(), module == Some("https"));
                    }
                }
            }
        },
    );
    report.check("a module that nobody has named is no module: kustomize stops", || {
        for module in ["oci", "https"] {
            let parts = [
                "istio/components/gateway/envoyfilter".into(),
                format!("istio/components/module/{module}"),
            ];
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            let resources = ["istio/base", "istio/overlays/prod/policy"];
            let why = try_overlay("nameless", &resources, &parts, None).expect_err("no module");
            assert!(why.contains("nothing selected by MeshgateModule"), "{why}");
        }
    });
    report.check(
        "a module before a filter, which would keep its volume, or two filters in one place: kustomize stops",
        || {
            let resources = ["istio/base", "istio/overlays/prod/policy"];
            let stops = |parts: &[String], module: &str, part: &str| {
                let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
                let why = try_overlay("misplaced", &resources, &parts, Some(&example(module)));
                let why = why.err().unwrap_or_else(|| panic!("{parts:?} is taken"));
                let id = format!("already registered id: MeshgateFilter.v1.meshgate/{part}.");
                assert!(why.contains(&id), "{parts:?}: {why}");
            };
            for way in WAYS {
                let parts = PARTS.map(|part| format!("istio/components/{part}/{way}"));
                for module in ["oci", "https"] {
                    for (at, part) in ["gateway", "inbound", "outbound"].into_iter().enumerate() {
                        let mut parts = parts.to_vec();
                        parts.insert(at, format!("istio/components/module/{module}"));
                        stops(&parts, module, part);
                    }
                }
                for (part, name) in PARTS.into_iter().zip(["gateway", "inbound", "outbound"]) {
                    let other = WAYS.iter().find(|w| **w != way).expect("another way");
                    let twice = [way, other].map(|w| format!("istio/components/{part}/{w}"));
                    stops(&twice, "oci", name);
                }
            }
        },
    );
    report.check("docs/mesh.md shows the module of a registry as it is taken", || {
        let guide = fs::read_to_string(format!("{ROOT}/docs/mesh.md")).expect("docs/mesh.md");
        let block = guide.split("# istio/overlays/prod/kustomization.yaml\n").nth(1);
        let block = parsed(block.and_then(|b| b.split("```").next()).expect("a kustomization"));
        let mut overlay =
            parsed(&fs::read_to_string(format!("{ROOT}/istio/overlays/prod/kustomization.yaml")).expect("the overlay"));
        for (list, last) in [
            ("resources", "module.yaml"),
            ("components", "../../components/module/oci"),
        ] {
            overlay[list].as_array_mut().expect(list).push(last.into());
            assert_eq!(block[list], overlay[list]);
        }
        let shown = guide
            .split("# istio/overlays/prod/module.yaml\n")
            .nth(1)
            .expect("module.yaml");
        let shown = shown.split("```").next().expect("its end").trim();
        assert_eq!(shown.replace('…', &"0123456789abcdef".repeat(4)), example("oci"));
    });
    report.check("no file under istio/ is left out", || {
        // What a kustomization names; the rendering of each is applied below.
        let mut folders = vec![PathBuf::from(ROOT).join("istio")];
        while let Some(folder) = folders.pop() {
            let list = fs::read_to_string(folder.join("kustomization.yaml")).unwrap_or_default();
            for entry in fs::read_dir(&folder).expect("istio/") {
                let path = entry.expect("an entry").path();
                let name = path.file_name().unwrap().to_str().unwrap();
                match path.is_dir() {
                    true if name == "policy" && folder.ends_with("istio") => {}
                    true => folders.push(path),
                    // The first two are Helm's, the others have checks of their own.
                    false if ["values.yaml", "gateway-values.yaml", "prometheus.yml"].contains(&name) => {}
                    false if ["kustomization.yaml", "namespaces.yaml", "workload.yaml"].contains(&name) => {}
                    false => assert!(list.contains(name), "{} is in no kustomization", path.display()),
                }
            }
        }
    });
}

pub fn in_the_api_server(report: &mut Report, _kube: &Kube) {
    for name in ENVIRONMENTS {
        report.check(
            format!("the API server takes every manifest of {name}, and no field is unknown to it"),
            || {
                let yaml = kustomize(&Path::new(ROOT).join("istio/overlays").join(name));
                let (fine, said) = try_apply(&yaml, &["--dry-run=server"]);
                assert!(fine, "{said}");
            },
        );
        report.check(
            format!("istioctl analyze has nothing else to say about {name} and the rate limit than that EnvoyFilters are EnvoyFilters"),
            || {
                let parts = ["overlays".to_owned() + "/" + name, "ratelimit".into()];
                let parts = parts.map(|part| kustomize(&Path::new(ROOT).join("istio").join(part)));
                let (_, said) = analyzed(&parts.join("\n---\n"));
                // That an EnvoyFilter is one is what it says of each.
                let mut lines = said
                    .lines()
                    .filter(|l| l.starts_with("Warning") || l.starts_with("Info") || l.starts_with("Error ["));
                let more = lines.find(|l| !l.contains("EnvoyFilter exposes internal implementation details"));
                assert!(said.contains("meshgate-gateway") && more.is_none(), "{said}");
            },
        );
    }
    for way in WAYS {
        report.check(
            format!("{way}: the API server takes the module from everywhere"),
            || {
                for module in [None, Some("oci"), Some("https")] {
                    let (fine, said) = try_apply(&installed(way, module), &["--dry-run=server"]);
                    assert!(fine, "{module:?}: {said}");
                }
            },
        );
    }
    report.check("the rate limit of istio/ratelimit is taken, too", || {
        let (fine, said) = try_apply(
            &kustomize(&Path::new(ROOT).join("istio/ratelimit")),
            &["--dry-run=server"],
        );
        assert!(fine, "{said}");
    });
    report.check("a field that nobody knows is refused", || {
        let yaml = installed("wasmplugin", None).replace("failStrategy:", "failStrategie:");
        let (fine, said) = try_apply(&yaml, &["--dry-run=server"]);
        assert!(!fine && said.contains("failStrategie"), "{said}");
    });
    report.check("istioctl analyze sees a subset that is not there", || {
        let yaml = kustomize(&Path::new(ROOT).join("istio/overlays/prod")).replace("subset: v2", "subset: v9");
        let (fine, said) = analyzed(&yaml);
        assert!(!fine && said.contains("v9"), "{said}");
    });
    report.check("istioctl validate sees an operation that is none", || {
        let yaml = kustomize(&Path::new(ROOT).join("istio/overlays/prod")).replace("INSERT_FIRST", "INSERT_FRIST");
        let (fine, said) = with_input("istioctl", &["validate", "-f", "-"], &yaml);
        assert!(!fine && said.contains("INSERT_FRIST"), "{said}");
    });
    report.check("the module fits a ConfigMap, and comes out of it as it was", || {
        let module = std::env::var("MESHGATE_WASM").expect("MESHGATE_WASM");
        let from = format!("--from-file=meshgate.wasm={module}");
        let create = [
            "-n",
            "istio-ingress",
            "create",
            "configmap",
            "meshgate-module",
            &from,
            "--dry-run=client",
            "-o",
            "yaml",
        ];
        let output = kubectl(&create);
        assert!(output.status.success(), "{}", said(&output).1);
        apply(&String::from_utf8(output.stdout).expect("YAML"));
        let get = [
            "-n",
            "istio-ingress",
            "get",
            "configmap",
            "meshgate-module",
            "-o",
            "jsonpath={.binaryData.meshgate\\.wasm}",
        ];
        let output = command("kubectl", &get).output().expect("kubectl");
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(&output.stdout)
            .expect("base64");
        assert!(bytes == fs::read(&module).expect("the module"));
        // What the proxies are given as their volume.
        fs::write(run("module.wasm"), bytes).expect("the module");
    });
}

fn analyzed(yaml: &str) -> (bool, String) {
    let file = run("analyzed.yaml");
    // istioctl wants the namespaces, too, and those of them that are injected.
    let namespaces = namespaces();
    let gateway = "apiVersion: v1\nkind: Pod\nmetadata: { name: gateway, namespace: istio-ingress, labels: { istio: ingressgateway }, annotations: { sidecar.istio.io/status: '{}' } }\nspec: { containers: [{ name: istio-proxy, image: istio/proxyv2:1.31.1 }] }\n";
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: { name: shop-tls, namespace: istio-ingress }\n";
    fs::write(&file, [&namespaces, gateway, secret, yaml].join("\n---\n")).expect("a file");
    let output = command(
        "istioctl",
        &[
            "analyze",
            "--use-kube=false",
            "--all-namespaces",
            "--failure-threshold=Info",
            "--color=false",
        ],
    )
    .arg(&file)
    .output()
    .expect("istioctl");
    said(&output)
}

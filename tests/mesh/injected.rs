//! What Istio's injector makes of a patched Deployment; its proxy.
use crate::kube::{command, kubectl, said, tool};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// What becomes of a patched Deployment, with the injector and the mesh's configuration that istio/values.yaml give.
pub fn injected(folder: &Path, deployment: &Value) -> Value {
    let file = |name: &str, text: &str| {
        fs::write(folder.join(name), text).expect("a file");
        folder.join(name).to_str().expect("UTF-8").to_owned()
    };
    let spec = json!({"profile": "minimal", "values": crate::kube::values()});
    let operator = json!({"apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator", "spec": spec});
    let operator = file("operator.yaml", &operator.to_string());
    let generated = command("istioctl", &["manifest", "generate", "-f", &operator]).output();
    let generated = file("generated.yaml", &said(&generated.expect("istioctl")).1);
    let output = kubectl(&["create", "--dry-run=client", "-o", "json", "-f", &generated]);
    assert!(output.status.success(), "{}", said(&output).1);
    let all = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>();
    let all: Vec<Value> = all.map(|object| object.expect("JSON")).collect();
    let data = |name: &str, key: &str| {
        let mut maps = all
            .iter()
            .filter(|o| o["kind"] == "ConfigMap" && o["metadata"]["name"] == name);
        let map = maps.next().unwrap_or_else(|| panic!("no {name}"));
        map["data"][key].as_str().expect(key).to_owned()
    };
    let mesh = data("istio", "mesh");
    assert!(mesh.contains("wasm.meshgate_duration"), "{mesh}");
    let deployment = file("deployment.json", &deployment.to_string());
    let mut inject = command("/usr/bin/timeout", &["60"]);
    inject
        .arg(tool("bin/istioctl"))
        .args(["kube-inject", "-f", &deployment]);
    for (flag, name, text) in [
        ("--meshConfigFile", "mesh.yaml", mesh),
        (
            "--injectConfigFile",
            "inject.yaml",
            data("istio-sidecar-injector", "config"),
        ),
        ("--valuesFile", "values.json", data("istio-sidecar-injector", "values")),
    ] {
        inject.args([flag, &file(name, &text)]);
    }
    let output = inject.output().expect("istioctl");
    let (fine, pod) = said(&output);
    assert!(fine, "{pod}");
    fs::write(folder.join("injected.yaml"), &pod).expect("a file");
    let output = kubectl(&[
        "create",
        "--dry-run=client",
        "-o",
        "json",
        "-f",
        &file("injected.yaml", &pod),
    ]);
    let pod: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output).1));
    let spec = &pod["spec"]["template"]["spec"];
    let containers = [&spec["containers"], &spec["initContainers"]].map(|c| c.as_array().cloned().unwrap_or_default());
    let containers = containers.concat();
    let proxy = containers.iter().find(|c| c["name"] == "istio-proxy").expect("a proxy");
    let mut variables = proxy["env"].as_array().expect("env").iter();
    let added = variables.find(|e| e["name"] == "ISTIO_BOOTSTRAP_OVERRIDE");
    let added = added.expect("what is added to the bootstrap");
    assert_eq!(added["value"], "/etc/istio/custom-bootstrap/custom_bootstrap.json");
    let mounted = |at: &str| {
        let mut mounts = proxy["volumeMounts"].as_array().expect("mounts").iter();
        let mount = mounts.find(|m| m["mountPath"] == at).expect(at);
        let mut volumes = spec["volumes"].as_array().expect("volumes").iter();
        let volume = volumes.find(|v| v["name"] == mount["name"]).expect(at);
        volume["configMap"]["name"].clone()
    };
    assert_eq!(mounted("/var/run/meshgate"), "meshgate-module");
    assert_eq!(mounted("/etc/istio/custom-bootstrap"), "meshgate-bootstrap");
    let mut ports = proxy["ports"].as_array().expect("ports").iter();
    assert!(
        ports.any(|p| p["name"] == "http-envoy-prom"),
        "istio/metrics/prometheus.yml looks for it"
    );
    proxy.clone()
}

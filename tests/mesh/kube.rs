//! etcd, an API server and istiod: a Kubernetes without nodes. Ports are fixed: the network is our own.
use crate::ROOT;
use crate::support::envoy::spawn;
use crate::support::{LONG, get, h1, until};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

pub const XDS: &str = "127.0.0.1:15010";
const MONITORING: &str = "127.0.0.1:15014";

pub struct Kube {
    _processes: Vec<Process>,
}

/// Ended when dropped.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The folder of `scripts/tool mesh`.
pub fn tool(name: &str) -> PathBuf {
    Path::new(&std::env::var_os("MESHGATE_MESH").expect("MESHGATE_MESH")).join(name)
}

/// Logs and files, kept: target/mesh/NAME.
pub fn run(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a parent");
    let path = target.join("mesh").join(name);
    fs::create_dir_all(path.parent().expect("a parent")).expect("the folder of the logs");
    path
}

pub fn logged(mut command: Command, log: &str) -> Process {
    let log = File::create(run(log)).expect("a log");
    let other = log.try_clone().expect("a log");
    command.stdin(Stdio::null()).stdout(log).stderr(other);
    Process(spawn(command))
}

/// What a command says, and whether it ended well.
pub fn said(output: &Output) -> (bool, String) {
    let text = [&output.stdout[..], &output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

pub fn kubectl(arguments: &[&str]) -> Output {
    command("kubectl", arguments).output().expect("kubectl")
}

pub fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(tool("bin").join(program));
    command
        .env("KUBECONFIG", run("kubeconfig"))
        .env("HOME", run(""))
        .args(arguments);
    command
}

#[track_caller]
pub fn kustomize(folder: &Path) -> String {
    let output = kubectl(&["kustomize", folder.to_str().expect("UTF-8")]);
    assert!(output.status.success(), "{}: {}", folder.display(), said(&output).1);
    String::from_utf8(output.stdout).expect("UTF-8")
}

pub fn with_input(program: &str, arguments: &[&str], input: &str) -> (bool, String) {
    let mut command = command(program, arguments);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect(program);
    let mut pipe = child.stdin.take().expect("a pipe");
    let input = input.to_owned();
    // Beside the reading, or both sides would wait for each other.
    let writer = std::thread::spawn(move || {
        let _ = pipe.write_all(input.as_bytes());
    });
    let output = child.wait_with_output().expect(program);
    writer.join().expect("the writer");
    said(&output)
}

/// `kubectl apply`: on the server, so that no annotation has to hold it, and strict about unknown fields.
pub fn try_apply(yaml: &str, more: &[&str]) -> (bool, String) {
    let mut arguments = vec![
        "apply",
        "--server-side",
        "--force-conflicts",
        "--validate=strict",
        "-f",
        "-",
    ];
    arguments.extend(more);
    with_input("kubectl", &arguments, yaml)
}

#[track_caller]
pub fn apply(yaml: &str) {
    let (fine, said) = try_apply(yaml, &[]);
    assert!(fine, "{said}");
}

/// Changes a VirtualService of the services' namespace.
#[track_caller]
pub fn patched(name: &str, patch: &str) {
    let output = kubectl(&[
        "-n",
        "shop",
        "patch",
        "virtualservice",
        name,
        "--type=json",
        "-p",
        patch,
    ]);
    assert!(output.status.success(), "{}", said(&output).1);
}

#[track_caller]
pub fn delete(yaml: &str) {
    let (fine, said) = with_input(
        "kubectl",
        &["delete", "--ignore-not-found", "--wait=false", "-f", "-"],
        yaml,
    );
    assert!(fine, "{said}");
}

pub fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// Rejected configurations that istiod has heard of, by proxy and all kinds together.
pub fn rejects() -> f64 {
    let metrics = h1(address(MONITORING)).send(&get("/metrics")).text();
    let lines = metrics.lines().filter(|l| l.starts_with("pilot_total_xds_rejects"));
    lines.filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Lines of istiod's log.
pub fn istiod_log() -> String {
    fs::read_to_string(run("istiod.log")).unwrap_or_default()
}

impl Kube {
    pub fn start() -> Self {
        let data = run("etcd");
        let _ = fs::remove_dir_all(&data);
        let key = run("service-account.key");
        fs::write(&key, include_str!("../assertion/rsa.pem")).expect("a key");
        fs::write(run("tokens.csv"), "test,admin,admin,system:masters\n").expect("a token");
        fs::write(run("kubeconfig"), kubeconfig().to_string()).expect("a kubeconfig");
        fs::write(run("mesh.yaml"), mesh_config().to_string()).expect("mesh.yaml");

        let mut etcd = Command::new(tool("bin/etcd"));
        etcd.arg("--data-dir").arg(&data).args([
            "--listen-client-urls=http://127.0.0.1:2379",
            "--advertise-client-urls=http://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--initial-advertise-peer-urls=http://127.0.0.1:2380",
            "--initial-cluster=default=http://127.0.0.1:2380",
            // Nothing of it outlives the test.
            "--unsafe-no-fsync",
        ]);
        let etcd = logged(etcd, "etcd.log");

        let file = |name: &str, path: &Path| format!("--{name}={}", path.display());
        let mut api = Command::new(tool("bin/kube-apiserver"));
        api.args([
            "--etcd-servers=http://127.0.0.1:2379",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--secure-port=6443",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--disable-admission-plugins=ServiceAccount",
            "--endpoint-reconciler-type=none",
        ]);
        api.arg(file("cert-dir", &run("apiserver")));
        api.arg(file("token-auth-file", &run("tokens.csv")));
        api.arg(file("service-account-key-file", &key));
        api.arg(file("service-account-signing-key-file", &key));
        let api = logged(api, "apiserver.log");
        until("the API server (target/mesh/apiserver.log)", LONG, || {
            kubectl(&["get", "--raw=/readyz"]).status.success().then_some(())
        });

        let crds = tool("crds.yaml");
        let output = kubectl(&["apply", "--server-side", "-f", crds.to_str().expect("UTF-8")]);
        assert!(output.status.success(), "{}", said(&output).1);
        let output = kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]);
        assert!(output.status.success(), "{}", said(&output).1);
        apply(&namespaces());

        let mut istiod = Command::new(tool("bin/pilot-discovery"));
        istiod.arg("discovery").args([
            "--registries=Kubernetes",
            "--networksConfig=/nonexistent",
            "--secureGRPCAddr=",
            "--httpsAddr=",
            "--ctrlz_address=127.0.0.1",
            "--ctrlz_port=0",
            "--clusterID=Kubernetes",
            "--domain=cluster.local",
            "--httpAddr=127.0.0.1:15080",
        ]);
        istiod
            .arg(format!("--grpcAddr={XDS}"))
            .arg(format!("--monitoringAddr={MONITORING}"));
        istiod
            .arg(file("kubeconfig", &run("kubeconfig")))
            .arg(file("meshConfig", &run("mesh.yaml")));
        istiod.current_dir(run("").parent().expect("a parent"));
        istiod.env("KUBECONFIG", run("kubeconfig"));
        for (name, value) in [
            // These filters are in Istio's Envoy and in no other.
            ("PILOT_ENABLE_METADATA_EXCHANGE", "false"),
            ("PILOT_ENABLE_ALPN_FILTER", "false"),
            ("PILOT_DISABLE_MX_ALPN", "true"),
            ("PILOT_ENABLE_TELEMETRY_LABEL", "false"),
            ("PILOT_ENDPOINT_TELEMETRY_LABEL", "false"),
            // Certificates come from the test, and sidecars are injected by nobody.
            ("ENABLE_CA_SERVER", "false"),
            ("INJECT_ENABLED", "false"),
            ("VALIDATION_WEBHOOK_CONFIG_NAME", ""),
            ("PILOT_ENABLE_GATEWAY_API", "false"),
            ("PILOT_DEBOUNCE_AFTER", "50ms"),
            ("POD_NAME", "istiod"),
            ("POD_NAMESPACE", "istio-system"),
        ] {
            istiod.env(name, value);
        }
        let istiod = logged(istiod, "istiod.log");
        until("istiod (target/mesh/istiod.log)", LONG, || {
            let response = h1(address("127.0.0.1:15080")).try_send(&get("/ready")).ok()?;
            (response.status == 200).then_some(())
        });
        Self {
            // Dropped in this order.
            _processes: vec![istiod, api, etcd],
        }
    }
}

/// Ours, and Istio's own.
pub fn namespaces() -> String {
    let own = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}});
    let ours = fs::read_to_string(format!("{ROOT}/istio/namespaces.yaml")).expect("istio/namespaces.yaml");
    format!("{own}\n---\n{ours}")
}

fn kubeconfig() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": "https://127.0.0.1:6443", "insecure-skip-tls-verify": true}}],
        "users": [{"name": "test", "user": {"token": "test"}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    })
}

/// istio/values.yaml, and what a mesh without a cluster needs.
fn mesh_config() -> Value {
    let mut mesh = values()["meshConfig"].clone();
    mesh["rootNamespace"] = json!("istio-system");
    mesh["trustDomain"] = json!("cluster.local");
    mesh["defaultConfig"]["discoveryAddress"] = json!(XDS);
    mesh["enablePrometheusMerge"] = json!(false);
    mesh["ingressControllerMode"] = json!("OFF");
    mesh
}

pub fn values() -> Value {
    parsed(&fs::read_to_string(format!("{ROOT}/istio/values.yaml")).expect("istio/values.yaml"))
}

pub fn parsed(yaml: &str) -> Value {
    let json = meshgate::config::yaml::to_json(yaml).unwrap_or_else(|faults| panic!("{faults}"));
    serde_json::from_str(&json).expect("JSON")
}

/// The documents that kustomize prints.
pub fn documents(yaml: &str) -> Vec<Value> {
    yaml.split("\n---\n").map(parsed).collect()
}

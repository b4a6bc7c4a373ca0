//! Istio's agent around an Envoy, as in a pod: configuration from istiod, certificates from files, modules fetched by it.
use crate::ROOT;
use crate::kube::{Process, XDS, address, documents, kustomize, logged, run, tool, values};
use crate::support::tls::{Authority, Certificate};
use crate::support::wait::try_until;
use crate::support::{SHORT, get, h1, post};
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

pub struct Proxy {
    name: &'static str,
    admin: SocketAddr,
    _process: Process,
}

pub struct Pod {
    pub name: &'static str,
    pub namespace: &'static str,
    pub kind: &'static str,
    pub ip: &'static str,
    pub labels: Value,
    pub account: &'static str,
    /// Four ports from here on are the proxy's own.
    pub port: u16,
    pub environment: Vec<(&'static str, String)>,
}

impl Pod {
    /// Without waiting: a proxy that lacks something is never ready.
    pub fn begin(&self, authority: &Authority) -> Proxy {
        let home = run(self.name);
        let _ = fs::remove_dir_all(&home);
        // Where the agent looks for an identity before it asks for one.
        let certificates = home.join("var/run/secrets/workload-spiffe-credentials");
        fs::create_dir_all(&certificates).expect("a folder");
        fs::create_dir_all(home.join("etc/istio/proxy")).expect("a folder");
        let own = workload(authority, self.namespace, self.account);
        // As the volume of the annotation sidecar.istio.io/bootstrapOverride.
        let bootstrap = home.join("etc/istio/custom-bootstrap");
        fs::create_dir_all(&bootstrap).expect("a folder");
        let bootstrap = bootstrap.join("custom_bootstrap.json");
        fs::write(&bootstrap, added(self.namespace)).expect("a bootstrap");
        for (name, text) in [
            ("cert-chain.pem", own.pem()),
            ("key.pem", own.key_pem()),
            ("root-cert.pem", authority.certificate.pem()),
        ] {
            fs::write(certificates.join(name), text).expect("a certificate");
        }

        let port = |n: u16| (self.port + n).to_string();
        let config = json!({
            "discoveryAddress": XDS, "controlPlaneAuthPolicy": "NONE",
            "binaryPath": std::env::var("MESHGATE_ENVOY").expect("MESHGATE_ENVOY"),
            "configPath": home.join("etc/istio/proxy"),
            "proxyAdminPort": self.port, "statusPort": self.port + 1, "concurrency": 1,
            "proxyStatsMatcher": values()["meshConfig"]["defaultConfig"]["proxyStatsMatcher"],
        });
        // A mount space of its own: the agent keeps modules in one place for all, and
        // /var/run/meshgate is the volume that a pod has there.
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-euc", ENTER, "sh"]);
        command.arg(run("module.wasm")).arg(tool("bin/pilot-agent"));
        command.args(["proxy", self.kind, "--domain"]);
        command.arg(format!("{}.svc.cluster.local", self.namespace));
        command.arg(format!("--templateFile={}", tool("bootstrap.json").display()));
        command.args([
            "--concurrency=1",
            "--proxyLogLevel=warning",
            "--proxyComponentLogLevel=wasm:info",
        ]);
        command.current_dir(&home);
        command
            .env("POD_NAME", self.name)
            .env("POD_NAMESPACE", self.namespace)
            .env("INSTANCE_IP", self.ip)
            .env("SERVICE_ACCOUNT", self.account)
            .env("ISTIO_META_CLUSTER_ID", "Kubernetes")
            .env("ISTIO_METAJSON_LABELS", self.labels.to_string())
            .env("PROXY_CONFIG", config.to_string())
            .env("ISTIO_BOOTSTRAP", tool("bootstrap.json"))
            .env("ISTIO_BOOTSTRAP_OVERRIDE", bootstrap)
            .env("ENVOY_STATUS_PORT", port(2))
            .env("ENVOY_PROMETHEUS_PORT", port(3))
            .env("WASM_INSECURE_REGISTRIES", "*")
            .envs(self.environment.iter().map(|(name, value)| (*name, value)));
        if self.kind == "sidecar" {
            // No iptables: the ports of a Sidecar resource.
            command.env("ISTIO_META_INTERCEPTION_MODE", "NONE");
        }
        Proxy {
            name: self.name,
            admin: address(&format!("127.0.0.1:{}", self.port)),
            _process: logged(command, &format!("{}.log", self.name)),
        }
    }
}

/// What the namespace has for its proxies' bootstraps.
fn added(namespace: &str) -> String {
    let all = documents(&kustomize(&Path::new(ROOT).join("istio/metrics")));
    let mut ours = all.iter().filter(|d| d["metadata"]["namespace"] == namespace);
    let data = &ours.next().expect("a ConfigMap")["data"];
    data["custom_bootstrap.json"].as_str().expect("a bootstrap").to_owned()
}

const ENTER: &str = "
mount -t tmpfs tmpfs /var/lib
mount -t tmpfs tmpfs /run
mkdir -p /var/lib/istio/data /var/run/meshgate
cp \"$1\" /var/run/meshgate/meshgate.wasm
shift
exec \"$@\"
";

/// What Istio's CA would give a workload.
pub fn workload(authority: &Authority, namespace: &str, account: &str) -> Certificate {
    authority.issues(&[&format!("spiffe://cluster.local/ns/{namespace}/sa/{account}")])
}

impl Proxy {
    /// Where Envoy's own metrics are, 15090 in a pod.
    pub fn metrics(&self) -> SocketAddr {
        SocketAddr::new(self.admin.ip(), self.admin.port() + 3)
    }

    /// As a kubelet asks.
    pub fn ready(&self) -> bool {
        let probe = SocketAddr::new(self.admin.ip(), self.admin.port() + 1);
        h1(probe)
            .try_send(&get("/healthz/ready"))
            .is_ok_and(|r| r.status == 200)
    }

    pub fn dump(&self) -> Value {
        let response = h1(self.admin).try_send(&get("/config_dump"));
        // A proxy that waits for its first configuration has none.
        response.map(|r| r.json()).unwrap_or(json!({"configs": []}))
    }

    pub fn stats(&self, filter: &str) -> String {
        let response = h1(self.admin).try_send(&get(format!("/stats?filter={filter}")));
        response.map(|r| r.text()).unwrap_or_default()
    }

    /// The sum of all counters that contain the text.
    pub fn count(&self, filter: &str) -> u64 {
        let stats = self.stats(filter);
        let values = stats.lines().filter_map(|l| l.rsplit_once(": ")?.1.parse::<u64>().ok());
        values.sum()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(run(&format!("{}.log", self.name))).unwrap_or_default()
    }

    fn section<'a>(dump: &'a Value, kind: &str) -> Vec<&'a Value> {
        let configs = dump["configs"].as_array().expect("configs").iter();
        configs
            .filter(|c| c["@type"].as_str().is_some_and(|t| t.ends_with(kind)))
            .collect()
    }

    /// The active listeners that bind this port.
    pub fn listeners(&self, port: u16) -> Vec<Value> {
        let dump = self.dump();
        let sections = Self::section(&dump, "ListenersConfigDump");
        let all = sections
            .iter()
            .flat_map(|s| s["dynamic_listeners"].as_array().into_iter().flatten());
        let active = all.map(|l| &l["active_state"]["listener"]);
        active
            .filter(|l| l["address"]["socket_address"]["port_value"] == port)
            .cloned()
            .collect()
    }

    /// The names of the HTTP filters of each chain of the listeners of this port.
    pub fn filters(&self, port: u16) -> Vec<Vec<String>> {
        let mut chains = Vec::new();
        for listener in self.listeners(port) {
            let mut found = Vec::new();
            http_filters(&listener, &mut found);
            chains.extend(found);
        }
        chains
    }

    /// What is done with requests of the route of this name to this cluster's host.
    pub fn route(&self, name: &str, host: &str) -> Option<Value> {
        let dump = self.dump();
        let sections = Self::section(&dump, "RoutesConfigDump");
        let configs = sections
            .iter()
            .flat_map(|s| s["dynamic_route_configs"].as_array().into_iter().flatten());
        let hosts = configs.flat_map(|c| c["route_config"]["virtual_hosts"].as_array().into_iter().flatten());
        let mut routes = hosts.flat_map(|h| h["routes"].as_array().into_iter().flatten());
        let cluster = format!("||{host}");
        let found = routes.find(|r| {
            let to = r["route"]["cluster"].as_str();
            r["name"] == name && to.is_some_and(|c| c.ends_with(&cluster))
        });
        found.map(|r| r["route"].clone())
    }

    /// What ECDS brought under this name.
    pub fn extension(&self, name: &str) -> Option<Value> {
        let dump = self.dump();
        let sections = Self::section(&dump, "EcdsConfigDump");
        let all = sections
            .iter()
            .flat_map(|s| s["ecds_filters"].as_array().into_iter().flatten());
        let mut filters = all.map(|f| &f["ecds_filter"]);
        filters.find(|f| f["name"] == name).cloned()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Envoy first: it is the agent's child, and outlives an agent that is killed.
        let _ = h1(self.admin).try_send(&post("/quitquitquit", ""));
        let gone = || h1(self.admin).try_send(&get("/ready")).is_err().then_some(());
        let _ = try_until(SHORT, gone);
    }
}

fn http_filters(value: &Value, found: &mut Vec<Vec<String>>) {
    match value {
        Value::Object(fields) => {
            if let Some(filters) = fields.get("http_filters").and_then(Value::as_array) {
                let names = filters.iter().filter_map(|f| f["name"].as_str());
                found.push(names.map(str::to_owned).collect());
            }
            fields.values().for_each(|v| http_filters(v, found));
        }
        Value::Array(items) => items.iter().for_each(|v| http_filters(v, found)),
        _ => {}
    }
}

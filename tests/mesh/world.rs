//! The mesh as the checks find it: a gateway, one service behind a sidecar and in a second version without, another one,
//! an auth service inside and an issuer outside.
use crate::ROOT;
use crate::kube::{Kube, address, kubectl, run, said};
use crate::mint;
use crate::proxy::{Pod, Proxy};
use crate::support::tls::Authority;
use crate::support::{Received, Reply, Request, Response, Stub, get, h1};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

pub const GATEWAY: &str = "127.0.0.10:80";
pub const INBOUND: &str = "127.0.0.13:8080";
/// The service behind the sidecar.
const APP: &str = "127.0.0.1:9080";
pub const OUTBOUND: &str = "127.0.0.13:80";
/// Of istio/overlays/test.
pub const HOST: &str = "shop.test.example.com";
pub const ISSUER: &str = "id.test.example.com";
/// Of everybody.
pub const TENANT: &str = "acme";
pub const SIGNING_KEY: &str = include_str!("../assertion/p256.pem");
const NEXT_KEY: &str = include_str!("../assertion/next.pem");

pub struct World {
    // Ended in this order.
    pub gateway: Proxy,
    pub sidecar: Proxy,
    pub app: Stub,
    pub second: Stub,
    pub catalog: Stub,
    pub auth: Stub,
    pub issuer: Stub,
    pub authority: Authority,
    _kube: Kube,
}

impl World {
    pub fn start(kube: Kube) -> Self {
        let authority = Authority::new();
        let mut gateway = gateway("gateway", "127.0.0.20", 16000);
        gateway
            .environment
            .push(("MESHGATE_SIGNING_KEY_NEXT", NEXT_KEY.to_owned()));
        let gateway = gateway.begin(&authority);
        let sidecar = Pod {
            name: "orders",
            namespace: "shop",
            kind: "sidecar",
            ip: "127.0.0.23",
            labels: json!({"app": "orders", "version": "v1"}),
            account: "orders",
            port: 16010,
            environment: Vec::new(),
        };
        let sidecar = sidecar.begin(&authority);
        Self {
            gateway,
            sidecar,
            app: Stub::start_at(address(APP), Reply::echo),
            second: Stub::start_at(address("127.0.0.14:8080"), Reply::echo),
            catalog: Stub::start_at(address("127.0.0.15:8080"), Reply::echo),
            auth: Stub::start_at(address("127.0.0.16:8080"), answer),
            issuer: Stub::start_at(address("127.0.0.17:8080"), |_| {
                let keys: serde_json::Value = serde_json::from_str(&mint::key("rsa").jwk_with("")).expect("a JWK");
                Reply::ok().json(json!({"keys": [keys]}))
            }),
            authority,
            _kube: kube,
        }
    }

    /// What kustomize makes of these, in this world.
    pub fn rendered(&self, name: &str, resources: &[&str], components: &[&str]) -> String {
        let mut components = components.to_vec();
        components.push("tests/mesh/world");
        overlay(name, resources, &components)
    }

    pub fn send(&self, request: &Request) -> Response {
        h1(address(GATEWAY)).send(request)
    }

    pub fn forget(&self) {
        for server in [&self.app, &self.second, &self.catalog, &self.auth] {
            server.clear();
        }
    }
}

pub fn gateway(name: &'static str, ip: &'static str, port: u16) -> Pod {
    Pod {
        name,
        namespace: "istio-ingress",
        kind: "router",
        ip,
        labels: json!({"istio": "ingressgateway"}),
        account: "istio-ingressgateway",
        port,
        environment: vec![("MESHGATE_SIGNING_KEY", SIGNING_KEY.to_owned())],
    }
}

/// A kustomization of folders of the repository, rendered.
#[track_caller]
pub fn overlay(name: &str, resources: &[&str], components: &[&str]) -> String {
    try_overlay(name, resources, components, None).unwrap_or_else(|why| panic!("{name}: {why}"))
}

/// The same with a file of its own, module.yaml. Where kustomize stops: why.
pub fn try_overlay(name: &str, resources: &[&str], components: &[&str], own: Option<&str>) -> Result<String, String> {
    let folder = run("kustomize").join(name);
    fs::create_dir_all(&folder).expect("a folder");
    let up = relative(&folder);
    let paths = |names: &[&str]| names.iter().map(|n| up.join(n)).collect::<Vec<PathBuf>>();
    let mut resources = paths(resources);
    if let Some(own) = own {
        fs::write(folder.join("module.yaml"), own).expect("a file");
        resources.push("module.yaml".into());
    }
    let text = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
        "resources": resources, "components": paths(components),
    });
    fs::write(folder.join("kustomization.yaml"), text.to_string()).expect("a kustomization");
    let output = kubectl(&["kustomize", folder.to_str().expect("UTF-8")]);
    let (fine, said) = said(&output);
    if fine { Ok(said) } else { Err(said) }
}

/// The way from a folder to the root of the repository: kustomize takes no absolute paths.
fn relative(folder: &Path) -> PathBuf {
    let folder = folder.canonicalize().expect("the folder");
    let root = Path::new(ROOT).canonicalize().expect("the root");
    let shared = folder
        .components()
        .zip(root.components())
        .take_while(|(a, b)| a == b)
        .count();
    let up = folder.components().skip(shared).map(|_| "..");
    up.map(PathBuf::from)
        .chain(root.components().skip(shared).map(|c| c.as_os_str().into()))
        .collect()
}

/// Whoever says who they are is believed: `Bearer NAME.ROLE`.
fn answer(request: &Received) -> Reply {
    let credential = request.header("authorization").unwrap_or_default();
    let Some(said) = credential.strip_prefix("Bearer ") else {
        return Reply::status(401);
    };
    let Some((name, role)) = said.split_once('.') else {
        return Reply::status(401);
    };
    let reply = Reply::ok().header("x-auth-user", name).header("x-auth-role", role);
    reply.header("x-auth-tenant", TENANT)
}

pub fn asking(path: &str) -> Request {
    get(path).host(HOST)
}

pub fn as_caller(path: &str, name: &str, role: &str) -> Request {
    asking(path).header("authorization", format!("Bearer {name}.{role}"))
}

pub fn as_reader(path: &str, name: &str) -> Request {
    as_caller(path, name, "reader")
}

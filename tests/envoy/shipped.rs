//! envoy/envoy.yaml and envoy/policy.yaml as they are shipped, moved to this machine.

use crate::policies;
use crate::support::{Envoy, Options, Received, Reply, Request, Stub, get};
use meshgate::config::yaml;
use serde_json::{Value, json};
use std::net::SocketAddr;

/// A bootstrap, and how Envoy is started with it.
pub struct Shipped(pub Value, pub Options);

impl Shipped {
    /// Addresses, ports and the path of the module are this machine's; the rest is as in the files.
    pub fn whole() -> Self {
        Self::with(&policies::json(&read("envoy/policy.yaml")))
    }

    /// Without the policy's `upstream` and `experiments`: one request is one try, at one version of the upstream.
    pub fn new() -> Self {
        let policy = policies::json(&read("envoy/policy.yaml"));
        let mut policy: Value = serde_json::from_str(&policy).expect("JSON");
        let upstream = policy["defaults"]
            .as_object_mut()
            .expect("an object")
            .remove("upstream");
        assert!(upstream.is_some(), "the defaults of envoy/policy.yaml have moved");
        let experiments = policy.as_object_mut().expect("an object").remove("experiments");
        assert!(experiments.is_some(), "the experiments of envoy/policy.yaml have moved");
        for rule in policy["rules"].as_array_mut().expect("rules") {
            rule.as_object_mut().expect("a rule").remove("experiments");
        }
        Self::with(&policy.to_string())
    }

    /// Around another policy.
    pub fn with(policy: &str) -> Self {
        let built = yaml::bootstrap(&read("envoy/envoy.yaml"), policy);
        let built = built.unwrap_or_else(|faults| panic!("envoy/envoy.yaml: {faults}"));
        let mut bootstrap: Value = serde_json::from_str(&built).expect("JSON");
        // The harness has its own.
        bootstrap.as_object_mut().expect("an object").remove("admin");
        let mut shipped = Self(bootstrap, Options::new());
        let listeners = shipped.0["static_resources"]["listeners"].as_array_mut();
        for listener in listeners.expect("listeners") {
            listener["address"]["socket_address"] = json!({"address": "127.0.0.1", "port_value": 0});
        }
        let module = std::env::var("MESHGATE_WASM").expect("MESHGATE_WASM: run `make test`");
        shipped.hcm()["http_filters"][0]["typed_config"]["config"]["vm_config"]["code"]["local"]["filename"] =
            json!(module);
        shipped
    }

    /// The HTTP connection manager.
    pub fn hcm(&mut self) -> &mut Value {
        &mut self.0["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    }

    pub fn cluster(&mut self, name: &str) -> &mut Value {
        let all = self.0["static_resources"]["clusters"].as_array_mut().expect("clusters");
        let found = all.iter_mut().find(|c| c["name"] == name);
        found.expect("a cluster of envoy.yaml")
    }

    /// The instances of a cluster.
    pub fn at(mut self, cluster: &str, instances: &[SocketAddr]) -> Self {
        let endpoints = instances.iter().map(|addr| {
            json!({"endpoint": {"address": {"socket_address":
                {"address": addr.ip().to_string(), "port_value": addr.port()}}}})
        });
        let endpoints: Vec<Value> = endpoints.collect();
        let found = self.cluster(cluster);
        found["load_assignment"]["endpoints"][0]["lb_endpoints"] = json!(endpoints);
        self
    }

    /// Clusters that were not placed resolve to nobody.
    #[track_caller]
    pub fn start(self) -> Envoy {
        self.1.start(self.0)
    }
}

/// An auth service for which `Bearer NAME` is NAME of the tenant `acme`, and `Bearer NAME@TENANT` is of that one.
pub fn auth() -> Stub {
    Stub::start(|asked: &Received| {
        let Some(bearer) = asked.header("authorization") else {
            return Reply::status(401);
        };
        let who = bearer.trim_start_matches("Bearer ");
        let (user, tenant) = who.split_once('@').unwrap_or((who, "acme"));
        Reply::ok().header("x-auth-user", user).header("x-auth-tenant", tenant)
    })
}

/// A request of somebody.
pub fn by(caller: &str, path: &str) -> Request {
    get(path)
        .host("localhost")
        .header("authorization", format!("Bearer {caller}"))
}

/// A file of the repository.
pub fn read(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

//! What is compared: one entry each.

use crate::policies;
use crate::world::Clusters;
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Clone)]
pub struct Variant {
    /// Names the listener, and the variant in JSON and in `Limit::of`.
    pub key: String,
    pub label: String,
    pub filter: Filter,
    pub path: &'static str,
    /// Level of Envoy's `wasm` logger while it is measured.
    pub wasm_log: &'static str,
    /// What the upstream has to see, so that no filter is measured that does nothing:
    /// `user=%REQ(x-user-id)% auth=%REQ(x-auth-user)%`.
    pub seen: &'static str,
    pub limits: Vec<Limit>,
}

#[derive(Clone)]
pub enum Filter {
    None,
    /// `typed_config` of one of Envoy's own.
    Native(fn(&Clusters) -> Value),
    /// The probe of tests/support: a Wasm filter that adds one header.
    Probe,
    /// None: the shipped module.
    Meshgate {
        policy: Value,
        module: Option<PathBuf>,
    },
}

/// Added CPU time over that of another variant.
#[derive(Clone)]
pub struct Limit {
    pub of: &'static str,
    pub at_most: f64,
}

/// What the others are compared with.
pub const BASE: &str = "none";
/// Envoy's own way to ask a service.
pub const NATIVE: &str = "ext_authz";

pub fn all() -> Vec<Variant> {
    let ask = "/orders/4711/items?page=2";
    let public = "/static/app.js";
    vec![
        Variant::new(BASE, "no filter", Filter::None, ask, "user=mallory auth="),
        Variant::new(
            NATIVE,
            "Envoy's ext_authz, HTTP",
            Filter::Native(ext_authz),
            ask,
            "user=mallory auth=alice",
        ),
        Variant::new(
            "probe",
            "a Wasm filter that adds one header",
            Filter::Probe,
            ask,
            "user=mallory auth=",
        ),
        Variant::new("public", "Meshgate, public rule", meshgate(10), public, "user= auth=").limit(NATIVE, 0.20),
        Variant::new(
            "authenticated",
            "Meshgate, asks every time",
            meshgate(10),
            ask,
            "user=alice auth=",
        )
        .limit(NATIVE, 1.3),
        Variant::new(
            "logged",
            "Meshgate, public, decision lines",
            meshgate(10),
            public,
            "user= auth=",
        )
        .wasm_log("info"),
        Variant::new(
            "rules-1000",
            "Meshgate, public, 1,000 rules",
            meshgate(1_000),
            public,
            "user= auth=",
        )
        .limit("public", 1.2),
        Variant::new(
            "rules-10000",
            "Meshgate, public, 10,000 rules",
            meshgate(10_000),
            public,
            "user= auth=",
        )
        .limit("public", 1.2),
    ]
}

impl Variant {
    fn new(key: &str, label: &str, filter: Filter, path: &'static str, seen: &'static str) -> Self {
        Self {
            key: key.into(),
            label: label.into(),
            filter,
            path,
            wasm_log: "warning",
            seen,
            limits: Vec::new(),
        }
    }

    fn limit(mut self, of: &'static str, at_most: f64) -> Self {
        self.limits.push(Limit { of, at_most });
        self
    }

    fn wasm_log(mut self, level: &'static str) -> Self {
        self.wasm_log = level;
        self
    }

    /// The same with another module, if it is one of Meshgate's.
    pub fn beside(&self, module: &str) -> Option<Self> {
        let Filter::Meshgate { policy, .. } = &self.filter else {
            return None;
        };
        Some(Self {
            key: format!("{}@{module}", self.key),
            label: format!("{} ({})", self.label, module.rsplit('/').next().unwrap_or(module)),
            filter: Filter::Meshgate {
                policy: policy.clone(),
                module: Some(module.into()),
            },
            limits: Vec::new(),
            ..self.clone()
        })
    }
}

fn meshgate(rules: usize) -> Filter {
    Filter::Meshgate {
        policy: policies::with_rules(rules),
        module: None,
    }
}

fn ext_authz(clusters: &Clusters) -> Value {
    json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
        "http_service": {
            "server_uri": {"uri": format!("http://{}", clusters.auth), "cluster": "auth", "timeout": "0.5s"},
            "authorization_response": {"allowed_upstream_headers": {"patterns": [{"exact": "x-auth-user"}]}},
        },
    })
}

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::builder::{Filter, GateBuilder, Plugin, merge};
use crate::support::envoy::RunDir;

/// A cluster of this name is never there.
pub const CLUSTER_MISSING: &str = "missing";
pub(super) const FILTER: &str = "meshgate";

pub(super) struct Addresses {
    pub upstream: SocketAddr,
    pub auth: SocketAddr,
    pub dead: SocketAddr,
}

/// A cluster with these endpoints over HTTP/1.1.
pub fn cluster(name: &str, endpoints: &[SocketAddr]) -> Value {
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|addr| {
            json!({"endpoint": {"address": {"socket_address":
                {"address": addr.ip().to_string(), "port_value": addr.port()}}}})
        })
        .collect();
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http_protocol_options": {"enable_trailers": true}},
        }},
    })
}

/// A cluster with these endpoints over HTTP/2 with prior knowledge.
pub fn cluster_h2(name: &str, endpoints: &[SocketAddr]) -> Value {
    let mut cluster = cluster(name, endpoints);
    cluster["typed_extension_protocol_options"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]["explicit_http_config"] =
        json!({"http2_protocol_options": {}});
    cluster
}

pub(super) fn of(gate: &GateBuilder, addresses: &Addresses, run: &RunDir) -> Value {
    let usual = [
        cluster("upstream", &[addresses.upstream]),
        cluster("auth", &[addresses.auth]),
        cluster("dead", &[addresses.dead]),
        cluster("empty", &[]),
    ];
    let replaced = |cluster: &Value| gate.clusters.iter().any(|c| c["name"] == cluster["name"]);
    let mut clusters: Vec<Value> = usual.into_iter().filter(|c| !replaced(c)).collect();
    clusters.extend(gate.clusters.iter().cloned());

    let mut bootstrap = json!({
        "static_resources": {
            "listeners": [{
                "name": "main",
                "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
                "filter_chains": [{"filters": [{
                    "name": "envoy.filters.network.http_connection_manager",
                    "typed_config": hcm(gate, run),
                }]}],
            }],
            "clusters": clusters,
        },
    });
    merge(&mut bootstrap, gate.bootstrap.clone());
    bootstrap
}

/// The `typed_config` of what stands in the middle of the chain.
pub(super) fn typed_config(filter: &Filter) -> Option<Value> {
    match filter {
        Filter::None => None,
        Filter::Meshgate(plugin) => Some(wasm(plugin)),
        Filter::Other(typed_config) => Some(typed_config.clone()),
    }
}

/// What ECDS delivers, as the file that Envoy watches.
pub(super) fn discovery(version: u64, typed_config: &Value) -> String {
    json!({
        "version_info": version.to_string(),
        "resources": [{
            "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
            "name": FILTER,
            "typed_config": typed_config,
        }],
    })
    .to_string()
}

fn hcm(gate: &GateBuilder, run: &RunDir) -> Value {
    let mut filters = gate.before.clone();
    if let Some(typed_config) = typed_config(&gate.filter) {
        filters.push(if gate.live {
            watched(&typed_config, run)
        } else {
            json!({"name": FILTER, "typed_config": typed_config})
        });
    }
    filters.extend(gate.after.iter().cloned());
    filters.push(json!({
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
    }));
    let everything = json!({"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
        {"match": {"prefix": "/"}, "route": {"cluster": "upstream"}},
        {"match": {"connect_matcher": {}}, "route": {"cluster": "upstream"}},
    ]}]});
    let mut hcm = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "ingress",
        "codec_type": "AUTO",
        "http_protocol_options": {"enable_trailers": true},
        "generate_request_id": true,
        "http_filters": filters,
        "route_config": gate.route_config.clone().unwrap_or(everything),
    });
    if let Some(format) = &gate.access_log {
        hcm["access_log"] = json!([{"name": "envoy.access_loggers.file", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": run.path().join("access.json"),
            "log_format": {"json_format": format},
        }}]);
    }
    merge(&mut hcm, gate.hcm.clone());
    hcm
}

fn watched(typed_config: &Value, run: &RunDir) -> Value {
    let path = run.write("ecds.json", &discovery(1, typed_config));
    json!({"name": FILTER, "config_discovery": {
        "config_source": {"path_config_source": {"path": path}, "resource_api_version": "V3"},
        "type_urls": [typed_config["@type"]],
    }})
}

fn wasm(plugin: &Plugin) -> Value {
    let mut config = json!({
        "name": FILTER,
        "root_id": FILTER,
        "vm_config": {
            "runtime": "envoy.wasm.runtime.v8",
            "code": {"local": {"filename": plugin.module}},
            "environment_variables": {"key_values": plugin.environment},
        },
        "configuration": {
            "@type": "type.googleapis.com/google.protobuf.StringValue",
            "value": plugin.policy,
        },
        "failure_policy": "FAIL_RELOAD",
        "reload_config": {"backoff": {"base_interval": "0.1s"}},
        "allow_on_headers_stop_iteration": plugin.stop_iteration,
    });
    merge(&mut config, plugin.more.clone());
    json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm", "config": config})
}

//! The usual set-up: upstream, auth service, and an Envoy with the filter between them and a client.
mod bootstrap;
mod builder;
mod replace;

use std::net::SocketAddr;

use serde_json::Value;

use super::client::{Client, Wire, client};
use super::message::{Request, Response};
use super::stub::{DeadPort, Stub};
use super::{Envoy, SHORT, wait};
pub use bootstrap::{CLUSTER_MISSING, cluster, cluster_h2};
pub use builder::{GateBuilder, merge, shipped_module};
pub use replace::Replaced;

/// Clusters: `upstream`, `auth`, `dead` (refuses connections), `empty` (has no endpoint); a
/// cluster named `missing` does not exist.
pub struct Gate {
    pub envoy: Envoy,
    pub upstream: Stub,
    pub auth: Stub,
    dead: DeadPort,
    filter: builder::Filter,
    versions: std::sync::atomic::AtomicU64,
}

impl Gate {
    pub fn builder() -> GateBuilder {
        GateBuilder::default()
    }

    /// With everything as usual.
    #[track_caller]
    pub fn start(policy: impl ToString) -> Self {
        Self::builder().policy(policy).start()
    }

    /// Where clients send their requests.
    pub fn addr(&self) -> SocketAddr {
        self.envoy.listener("main")
    }

    pub fn client(&self, wire: Wire) -> Client {
        client(wire, self.addr())
    }

    pub fn h1(&self) -> Client {
        self.client(Wire::H1)
    }

    pub fn h2(&self) -> Client {
        self.client(Wire::H2)
    }

    /// Over HTTP/1.1.
    #[track_caller]
    pub fn send(&self, request: &Request) -> Response {
        self.h1().send(request)
    }

    /// The lines of the access log, once there are `n` of them.
    #[track_caller]
    pub fn access_log(&self, n: usize) -> Vec<Value> {
        wait::until(format!("{n} lines of the access log"), SHORT, || {
            let text = std::fs::read_to_string(self.envoy.dir().join("access.json")).unwrap_or_default();
            // The last line may be half written.
            let lines: Vec<Value> = text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
            (lines.len() >= n).then_some(lines)
        })
    }
}

//! Which service is asked: `service: HOST:PORT`, or `cluster: NAME`.

use super::address::{self, Service};
use super::node::quoted;
use super::read::Fields;
use super::sink::{Checked, Sink};

pub enum Asked {
    Service(Service),
    Cluster(String),
}

pub fn read(sink: &Sink, fields: &Fields) -> Checked<Asked> {
    match (fields.get("service"), fields.get("cluster")) {
        (Some(node), None) => sink.parsed(node, Service::parse).map(Asked::Service),
        (None, Some(node)) => sink.parsed(node, cluster).map(Asked::Cluster),
        (Some(_), Some(_)) => {
            let message = "service and cluster both say whom to ask: keep one";
            Err(sink.fault(fields.node, message))
        }
        (None, None) => {
            let message = "missing field service: write HOST:PORT, or cluster for a cluster of Envoy";
            Err(sink.fault(fields.node, message))
        }
    }
}

/// `authority`, or that of what is asked. None where what is asked has a fault of its own.
pub fn authority(sink: &Sink, fields: &Fields, asked: Option<&Asked>) -> Checked<Option<String>> {
    if let Some(node) = fields.get("authority") {
        return sink.parsed(node, address::authority).map(Some);
    }
    match asked {
        Some(Asked::Service(service)) => Ok(Some(service.authority())),
        Some(Asked::Cluster(name)) if address::is_host(name) => Ok(Some(name.clone())),
        Some(Asked::Cluster(name)) => {
            let name = quoted(name);
            let message = format!("missing field authority: {name} is a cluster, and no host name");
            Err(sink.fault(fields.node, message))
        }
        None => Ok(None),
    }
}

/// A path without query, as `/check`.
pub fn path(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err(format!("path {} does not start with /", quoted(text)));
    }
    match text.chars().find(|c| !c.is_ascii_graphic() || "?#\\".contains(*c)) {
        Some(c) => Err(format!("unexpected character {c:?} in path {}", quoted(text))),
        None => Ok(text.to_owned()),
    }
}

impl Asked {
    /// Of Envoy.
    pub fn cluster(self) -> String {
        match self {
            Self::Service(service) => service.cluster(),
            Self::Cluster(name) => name,
        }
    }
}

fn cluster(text: &str) -> Result<String, String> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(format!("{} is no name of a cluster", quoted(text)));
    }
    Ok(text.to_owned())
}

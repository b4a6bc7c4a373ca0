//! Which service is asked, and for what path.

use crate::config::address::{self, Service};
use crate::config::node::quoted;
use crate::config::read::Fields;
use crate::config::sink::{Checked, Sink};
use crate::policy::{Authority, Protocol};

pub struct Target {
    pub cluster: String,
    pub authority: Authority,
    pub path: String,
}

enum Asked {
    Service(Service),
    Cluster(String),
}

pub fn read(sink: &Sink, fields: &Fields, protocol: Checked<Protocol>) -> Checked<Target> {
    let asked = asked(sink, fields);
    let authority = authority(sink, fields, protocol, asked.as_ref().ok());
    let path = path(sink, fields, protocol);
    method(sink, fields, protocol)?;
    Ok(Target {
        authority: authority?,
        cluster: match asked? {
            Asked::Service(service) => service.cluster(),
            Asked::Cluster(name) => name,
        },
        path: path?,
    })
}

fn asked(sink: &Sink, fields: &Fields) -> Checked<Asked> {
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

fn cluster(text: &str) -> Result<String, String> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(format!("{} is no name of a cluster", quoted(text)));
    }
    Ok(text.to_owned())
}

fn authority(sink: &Sink, fields: &Fields, protocol: Checked<Protocol>, asked: Option<&Asked>) -> Checked<Authority> {
    if let Some(node) = fields.get("authority") {
        return sink.parsed(node, address::authority).map(Authority::Fixed);
    }
    match (protocol?, asked) {
        (Protocol::ExtAuthzHttp, _) => Ok(Authority::Callers),
        (Protocol::ForwardAuth, Some(Asked::Service(service))) => Ok(Authority::Fixed(service.authority())),
        (Protocol::ForwardAuth, Some(Asked::Cluster(name))) if address::is_host(name) => {
            Ok(Authority::Fixed(name.clone()))
        }
        (Protocol::ForwardAuth, Some(Asked::Cluster(name))) => {
            let name = quoted(name);
            let message = format!("missing field authority: {name} is a cluster, and no host name");
            Err(sink.fault(fields.node, message))
        }
        // What is asked has a fault of its own.
        (Protocol::ForwardAuth, None) => Ok(Authority::Callers),
    }
}

fn path(sink: &Sink, fields: &Fields, protocol: Checked<Protocol>) -> Checked<String> {
    match (fields.get("path"), protocol) {
        (Some(node), Ok(Protocol::ExtAuthzHttp)) if node.text() == Some("") => Ok(String::new()),
        (Some(node), _) => sink.parsed(node, one_path),
        (None, Ok(Protocol::ForwardAuth)) => {
            let message = "missing field path: forward_auth asks for one path, as /verify";
            Err(sink.fault(fields.node, message))
        }
        (None, _) => Ok(String::new()),
    }
}

fn one_path(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err(format!("path {} does not start with /", quoted(text)));
    }
    match text.chars().find(|c| !c.is_ascii_graphic() || "?#\\".contains(*c)) {
        Some(c) => Err(format!("unexpected character {c:?} in path {}", quoted(text))),
        None => Ok(text.to_owned()),
    }
}

fn method(sink: &Sink, fields: &Fields, protocol: Checked<Protocol>) -> Checked<()> {
    let Some(node) = fields.get("method") else {
        return Ok(());
    };
    if let Ok(Protocol::ExtAuthzHttp) = protocol {
        let message = "only beside forward_auth: ext_authz_http asks with the caller's own method";
        return Err(sink.fault(node, message));
    }
    sink.word(node, &[("GET", ())])
}

//! Which service is asked, and for what path.

use crate::config::read::Fields;
use crate::config::service::{self, Asked};
use crate::config::sink::{Checked, Sink};
use crate::policy::{Authority, Protocol};

pub struct Target {
    pub cluster: String,
    pub authority: Authority,
    pub path: String,
}

pub fn read(sink: &Sink, fields: &Fields, protocol: Checked<Protocol>) -> Checked<Target> {
    let asked = service::read(sink, fields);
    let authority = authority(sink, fields, protocol, asked.as_ref().ok());
    let path = path(sink, fields, protocol);
    method(sink, fields, protocol)?;
    Ok(Target {
        authority: authority?,
        cluster: asked?.cluster(),
        path: path?,
    })
}

fn authority(sink: &Sink, fields: &Fields, protocol: Checked<Protocol>, asked: Option<&Asked>) -> Checked<Authority> {
    if fields.get("authority").is_none() && protocol? == Protocol::ExtAuthzHttp {
        return Ok(Authority::Callers);
    }
    // What is asked has a fault of its own where there is none.
    let fixed = service::authority(sink, fields, asked)?;
    Ok(fixed.map_or(Authority::Callers, Authority::Fixed))
}

fn path(sink: &Sink, fields: &Fields, protocol: Checked<Protocol>) -> Checked<String> {
    match (fields.get("path"), protocol) {
        (Some(node), Ok(Protocol::ExtAuthzHttp)) if node.text() == Some("") => Ok(String::new()),
        (Some(node), _) => sink.parsed(node, service::path),
        (None, Ok(Protocol::ForwardAuth)) => {
            let message = "missing field path: forward_auth asks for one path, as /verify";
            Err(sink.fault(fields.node, message))
        }
        (None, _) => Ok(String::new()),
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

//! `authenticators.NAME.callout`

mod answer;
mod place;
mod retry;
mod send;
mod target;

use super::identity::Union;
use super::node::Node;
use super::read::{Fields, Known, not_yet};
use super::sink::{Checked, Sink};
use crate::policy::{Callout, OnFailure, Protocol};
use std::time::Duration;

const FIELDS: Known = Known {
    now: &[
        "protocol",
        "service",
        "cluster",
        "authority",
        "path",
        "method",
        "timeout",
        "retry",
        "credential",
        "forward",
        "send",
        "allow_status",
        "principal",
        "accept",
        "on_deny",
        "on_failure",
    ],
    later: &["cache", "breaker"],
};

const SHORTEST: Duration = Duration::from_millis(1);
/// A caller who waits longer has gone; Envoy's own default for a route is 15 s.
const LONGEST: Duration = Duration::from_secs(60);

pub fn read(sink: &Sink, node: &Node, union: &Union) -> Checked<Callout> {
    let fields = Fields::of(sink, node, &FIELDS)?;
    let protocol = fields
        .required("protocol", ": write ext_authz_http or forward_auth")
        .and_then(|node| protocol(sink, node));
    let target = target::read(sink, &fields, protocol);
    let timeout = fields
        .required("timeout", ": write 500ms, or what a caller can wait")
        .and_then(|node| sink.duration(node, SHORTEST..=LONGEST));
    let retry = fields.optional("retry", |node| retry::read(sink, node, timeout));
    let credential = fields.optional("credential", |node| place::read(sink, node));
    let forward = fields.optional("forward", |node| sink.flag(node));
    let send = send::read(sink, fields.get("send"), protocol);
    let allow_status = answer::allow_status(sink, fields.get("allow_status"), protocol);
    let principal = fields
        .required("principal", ": name the header that says who, { subject: x-auth-user }")
        .and_then(|node| answer::principal(sink, node));
    let accept = fields.optional("accept", |node| answer::accept(sink, node, union));
    let on_deny = answer::on_deny(sink, fields.get("on_deny"));
    let on_failure = on_failure(sink, &fields);
    let target = target?;
    Ok(Callout {
        protocol: protocol?,
        cluster: target.cluster.into(),
        authority: target.authority,
        path: target.path,
        timeout: timeout?,
        retry: retry?,
        credential: credential?,
        forward: forward?.unwrap_or(false),
        send: send?,
        allow_status: allow_status?,
        principal: principal?,
        accept: accept?.unwrap_or_default(),
        on_deny: on_deny?,
        on_failure: on_failure?,
    })
}

fn protocol(sink: &Sink, node: &Node) -> Checked<Protocol> {
    if node.text() == Some("ext_authz_grpc") {
        return Err(sink.fault(node, format!("ext_authz_grpc is {}", not_yet())));
    }
    sink.word(
        node,
        &[
            ("ext_authz_http", Protocol::ExtAuthzHttp),
            ("forward_auth", Protocol::ForwardAuth),
        ],
    )
}

fn on_failure(sink: &Sink, fields: &Fields) -> Checked<OnFailure> {
    let remedy = ": it has no default, write deny (nobody passes while the service is down) \
                  or allow (callers pass as nobody)";
    let node = fields.required("on_failure", remedy)?;
    sink.word(node, &[("deny", OnFailure::Deny), ("allow", OnFailure::Allow)])
}

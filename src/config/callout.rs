//! `authenticators.NAME.callout`

mod answer;
mod breaker;
mod cache;
mod retry;
mod send;
mod target;

use super::identity::Union;
use super::names;
use super::node::Node;
use super::place;
use super::read::{Fields, Known, all, not_yet};
use super::sink::{Checked, Sink};
use crate::authn::callout;
use crate::cache::CachePolicy;
use crate::header::Folded;
use crate::policy::{Callout, OnFailure, Place, Protocol};
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
        "cache",
        "breaker",
    ],
    later: &[],
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
    let credential = fields.optional("credential", |node| place::all(sink, node));
    let forward = fields.optional("forward", |node| sink.flag(node));
    let send = send::read(sink, fields.get("send"), protocol);
    let allow_status = answer::allow_status(sink, fields.get("allow_status"), protocol);
    let principal = fields
        .required("principal", ": name the header that says who, { subject: x-auth-user }")
        .and_then(|node| answer::principal(sink, node));
    let accept = fields.optional("accept", |node| answer::accept(sink, node, union));
    let on_deny = answer::on_deny(sink, fields.get("on_deny"));
    let on_failure = on_failure(sink, &fields);
    let cache = fields.optional("cache", |node| cache::read(sink, node));
    let breaker = fields.optional("breaker", |node| breaker::read(sink, node));
    let credential = credential?;
    let cache = cache?;
    tells_callers_apart(sink, &fields, cache.as_ref(), credential.as_deref())?;
    let (target, send) = (target?, send?);
    Ok(Callout {
        protocol: protocol?,
        cluster: target.cluster.into(),
        authority: target.authority,
        path: target.path,
        timeout: timeout?,
        retry: retry?,
        sent: callout::sent(&send.headers, credential.as_deref()),
        credential,
        forward: forward?.unwrap_or(false),
        send,
        allow_status: allow_status?,
        principal: principal?,
        accept: accept?.unwrap_or_default(),
        on_deny: on_deny?,
        on_failure: on_failure?,
        cache,
        breaker: breaker?,
    })
}

/// Else one caller would be answered as another.
fn tells_callers_apart(
    sink: &Sink,
    fields: &Fields,
    cache: Option<&CachePolicy>,
    credential: Option<&[Place]>,
) -> Checked<()> {
    let (Some(node), Some(cache)) = (fields.get("cache"), cache) else {
        return Ok(());
    };
    let is_credential = |name: &Folded| match credential {
        // Where the policy names no place, it stands here.
        None => name.as_bytes() == b"authorization",
        Some(places) => places.iter().any(|place| match place {
            Place::Header(header) => names::fold(header) == *name,
            Place::Cookie(_) | Place::CookiePrefix(_) => name.as_bytes() == b"cookie",
            Place::Query(_) => false,
        }),
    };
    let ignored = cache.ignored.headers.iter();
    let faults = ignored.filter(|name| is_credential(&names::fold(name))).map(|name| {
        let message = format!(
            "ignores {}, which is the credential: callers are told apart by it",
            name.as_str()
        );
        Err(sink.fault(node, message))
    });
    all(faults).map(|_: Vec<()>| ())
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

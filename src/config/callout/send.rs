//! What the service is sent besides the credential.

use crate::config::names;
use crate::config::node::{Entry, Node, quoted};
use crate::config::read::{Fields, Known, all};
use crate::config::sink::{Checked, Sink};
use crate::header::{HeaderName, NamePattern};
use crate::policy::{Forwarded, Protocol, Send, SendBody};

const FIELDS: Known = Known {
    now: &["headers", "add", "forwarded", "body"],
    later: &[],
};
const BODY: Known = Known {
    now: &["max", "allow_partial", "host_flag"],
    later: &[],
};
const EVERY: Forwarded = Forwarded {
    method: true,
    proto: true,
    host: true,
    uri: true,
    for_: true,
};
/// Envoy's own default buffer limit.
const LARGEST_BODY: u64 = 1 << 20;

pub fn read(sink: &Sink, node: Option<&Node>, protocol: Checked<Protocol>) -> Checked<Send> {
    let default = match protocol {
        Ok(Protocol::ForwardAuth) => EVERY,
        _ => Forwarded::default(),
    };
    let Some(node) = node else {
        return Ok(Send {
            forwarded: default,
            ..Send::default()
        });
    };
    let fields = Fields::of(sink, node, &FIELDS)?;
    let headers = fields.optional("headers", |node| headers(sink, node));
    let add = fields.optional("add", |node| {
        all(sink.entries(node)?.iter().map(|entry| added(sink, entry)))
    });
    let forwarded = fields.optional("forwarded", |node| forwarded(sink, node, protocol));
    let body = fields.optional("body", |node| body(sink, node));
    Ok(Send {
        headers: headers?.unwrap_or_default(),
        add: add?.unwrap_or_default(),
        forwarded: forwarded?.unwrap_or(default),
        body: body?,
    })
}

fn headers(sink: &Sink, node: &Node) -> Checked<Vec<NamePattern>> {
    sink.list(node, |item| {
        sink.parsed(item, |text| {
            let pattern = NamePattern::parse(text)?;
            if names::is_proxys_pattern(&pattern) {
                return Err(format!("{text} is never sent on to a service"));
            }
            Ok(pattern)
        })
    })
}

fn added(sink: &Sink, entry: &Entry) -> Checked<(HeaderName, String)> {
    let name = HeaderName::parse(&entry.key).and_then(|name| {
        if names::is_proxys(&names::fold(&name)) {
            return Err(format!("{} is set by the proxy alone", quoted(&entry.key)));
        }
        Ok(name)
    });
    let name = name.map_err(|message| sink.fault_at(&entry.node, entry.at, message));
    let value = sink.parsed(&entry.node, |text| {
        if text.chars().any(char::is_control) {
            return Err(format!("control character in header value {}", quoted(text)));
        }
        Ok(text.to_owned())
    });
    Ok((name?, value?))
}

fn forwarded(sink: &Sink, node: &Node, protocol: Checked<Protocol>) -> Checked<Forwarded> {
    if let Ok(Protocol::ExtAuthzHttp) = protocol {
        let message = "only beside forward_auth: ext_authz_http sends the request as it came";
        return Err(sink.fault(node, message));
    }
    let words = ["method", "proto", "host", "uri", "for"].map(|word| (word, word));
    let listed = sink.list(node, |item| sink.word(item, &words))?;
    Ok(Forwarded {
        method: listed.contains(&"method"),
        proto: listed.contains(&"proto"),
        host: listed.contains(&"host"),
        uri: listed.contains(&"uri"),
        for_: listed.contains(&"for"),
    })
}

fn body(sink: &Sink, node: &Node) -> Checked<SendBody> {
    let fields = Fields::of(sink, node, &BODY)?;
    let max = fields
        .required("max", ": write 8KiB, or how much the service needs")
        .and_then(|node| sink.size(node, 1..=LARGEST_BODY));
    let allow_partial = fields.optional("allow_partial", |node| sink.flag(node));
    let remedy = ": write allow_on_headers_stop_iteration, your word that the filter's \
                  configuration in Envoy sets it; without it the filter never sees a body before \
                  the headers have gone on";
    fields
        .required("host_flag", remedy)
        .and_then(|node| sink.word(node, &[("allow_on_headers_stop_iteration", ())]))?;
    Ok(SendBody {
        max_bytes: usize::try_from(max?).unwrap_or(usize::MAX),
        allow_partial: allow_partial?.unwrap_or(false),
    })
}

//! Names: which header names a policy may not use for what, and how authenticators and rules are called.

use super::node::quoted;
use crate::header::{Folded, HeaderName, NamePattern};

/// Folded. The connection's own (RFC 9110 section 7.6.1) and what frames the message.
const WIRE: [&str; 12] = [
    "connection",
    "content_length",
    "host",
    "http2_settings",
    "keep_alive",
    "proxy_authenticate",
    "proxy_authorization",
    "proxy_connection",
    "te",
    "trailer",
    "transfer_encoding",
    "upgrade",
];
const ENVOYS: &str = "x_envoy_";
const FORWARDED: &str = "x_forwarded_";

/// Set by Envoy before the filter runs: as identity headers they would be taken from every request.
const NEVER_IDENTITY: [&str; 10] = [
    "authorization",
    "cookie",
    "forwarded",
    "set_cookie",
    "x_forwarded_client_cert",
    "x_forwarded_for",
    "x_forwarded_host",
    "x_forwarded_port",
    "x_forwarded_proto",
    "x_request_id",
];

/// Set by Envoy, and read by whatever traces and logs.
const NEEDED: [&str; 3] = ["x_forwarded_for", "x_forwarded_proto", "x_request_id"];

/// Of the connection, of Envoy or of its view of the client: neither sent on to a service nor
/// taken from its reply.
pub fn is_proxys(name: &Folded) -> bool {
    is_wire(name) || starts(name, ENVOYS) || starts(name, FORWARDED)
}

pub fn is_wire(name: &Folded) -> bool {
    WIRE.iter().any(|wire| wire.as_bytes() == name.as_bytes())
}

pub fn is_envoys(name: &Folded) -> bool {
    starts(name, ENVOYS)
}

/// Whether every name that `pattern` matches is the proxy's.
pub fn is_proxys_pattern(pattern: &NamePattern) -> bool {
    match pattern {
        NamePattern::Exact(name) => is_proxys(name),
        NamePattern::Prefix(name) => starts(name, ENVOYS) || starts(name, FORWARDED),
        NamePattern::Suffix(_) | NamePattern::Any => false,
    }
}

/// Patterns of what is removed from every request: a wildcard must leave what a proxy needs.
pub fn takes_too_much(pattern: &NamePattern) -> Option<String> {
    if let NamePattern::Exact(_) = pattern {
        return None;
    }
    let needed = WIRE.iter().chain(&NEEDED);
    let taken = needed.copied().find(|name| pattern.matches(name.as_bytes()))?;
    Some(format!("would remove {} from every request", taken.replace('_', "-")))
}

/// A header that callers are told apart by.
pub fn of_callers(text: &str) -> Result<HeaderName, String> {
    let name = HeaderName::parse(text)?;
    let folded = fold(&name);
    // `host` never stands among the headers, and an id is another for each request.
    match is_wire(&folded) || is_envoys(&folded) || folded.as_bytes() == b"x_request_id" {
        true => Err(format!(
            "header {} does not tell callers apart: choose another",
            quoted(text)
        )),
        false => Ok(name),
    }
}

/// A header that tells the upstream who calls.
pub fn identity(text: &str) -> Result<HeaderName, String> {
    let name = HeaderName::parse(text)?;
    let folded = fold(&name);
    let taken = NEVER_IDENTITY.iter().any(|never| never.as_bytes() == folded.as_bytes());
    if taken || is_wire(&folded) || starts(&folded, ENVOYS) || starts(&folded, "content_") {
        return Err(format!("{text} has a meaning of its own: choose another name"));
    }
    Ok(name)
}

pub fn fold(name: &HeaderName) -> Folded {
    Folded::of(name.as_str().as_bytes())
}

/// `[a-z0-9][a-z0-9_/-]{0,63}`: fit for logs, for metrics, whose labels end at a dot, and for a header.
pub fn label(text: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fits = text.len() <= 64 && text.starts_with(plain) && text.chars().all(|c| plain(c) || "_/-".contains(c));
    if fits {
        return Ok(());
    }
    Err(format!(
        "{} is no name: up to 64 of a-z 0-9 _ / -, a letter or digit first",
        quoted(text)
    ))
}

fn starts(name: &Folded, prefix: &str) -> bool {
    name.as_bytes().starts_with(prefix.as_bytes())
}

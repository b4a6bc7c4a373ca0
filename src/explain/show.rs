//! Parts of a policy, as a policy writes them.

use super::mask::{MASKED, Mask};
use crate::authz::{Condition, Wanted};
use crate::peer::PeerPattern;
use crate::rule::{Cidr, GrpcMatch, HostPattern, Match, PathPattern, SegmentPattern, ValueMatch};

pub fn list<T>(items: &[T], show: impl Fn(&T) -> String) -> String {
    // A list of hundreds helps nobody.
    const SHOWN: usize = 8;
    let mut texts: Vec<String> = items.iter().take(SHOWN).map(show).collect();
    if items.len() > SHOWN {
        texts.push(format!("{} more", items.len() - SHOWN));
    }
    texts.join(", ")
}

pub fn host(host: &HostPattern) -> String {
    match host {
        HostPattern::Exact(name) => name.clone(),
        HostPattern::Wildcard(parent) => format!("*.{parent}"),
        HostPattern::Any => "*".to_owned(),
    }
}

pub fn path(path: &PathPattern) -> String {
    let mut text = String::new();
    for segment in &path.segments {
        text.push('/');
        match segment {
            SegmentPattern::Literal(literal) => text.push_str(literal),
            SegmentPattern::One => text.push('*'),
            SegmentPattern::Glob(parts) => text.push_str(&parts.join("*")),
            SegmentPattern::Capture(name) => text.push_str(&format!("{{{name}}}")),
        }
    }
    if path.tail {
        text.push_str("/**");
    }
    text
}

/// `exact "1"`
pub fn value(value: &ValueMatch, masked: bool) -> String {
    let quote = |text: &str| match masked {
        true => MASKED.to_owned(),
        false => format!("{text:?}"),
    };
    match value {
        ValueMatch::Exact(text) => format!("exact {}", quote(text)),
        ValueMatch::Prefix(text) => format!("prefix {}", quote(text)),
        ValueMatch::Suffix(text) => format!("suffix {}", quote(text)),
        ValueMatch::Contains(text) => format!("contains {}", quote(text)),
        ValueMatch::Present(wanted) => format!("present {wanted}"),
    }
}

pub fn grpc(grpc: &GrpcMatch) -> String {
    format!("{}/{}", grpc.service, grpc.method.as_deref().unwrap_or("*"))
}

pub fn range(range: &Cidr) -> String {
    format!("{}/{}", range.network, range.prefix_length)
}

pub fn peer(peer: &PeerPattern) -> String {
    peer.0.join("/")
}

/// `any_of [ops, sales], none_of [contractors]`
pub fn condition(condition: &Condition) -> String {
    let lists = [
        ("any_of", &condition.any_of),
        ("all_of", &condition.all_of),
        ("none_of", &condition.none_of),
    ];
    let wanted = |wanted: &Wanted| match wanted {
        Wanted::Text(text) => text.clone(),
        Wanted::PathCapture(name) => format!("{{path.{name}}}"),
    };
    let parts = lists.into_iter().filter(|(_, list)| !list.is_empty());
    let parts = parts.map(|(word, items)| format!("{word} [{}]", list(items, wanted)));
    parts.collect::<Vec<_>>().join(", ")
}

/// What a match asks for, in one line.
pub fn matcher(matcher: &Match, mask: &Mask) -> String {
    let Match {
        hosts,
        paths,
        methods,
        headers,
        cookies,
        query,
        grpc: services,
        peers,
        client_ip,
        not,
    } = matcher;
    let mut parts = Vec::new();
    let mut part = |word: &str, text: String| {
        if !text.is_empty() {
            parts.push(format!("{word} {text}"));
        }
    };
    part("host", list(hosts, host));
    part("path", list(paths, path));
    part("method", list(methods, String::clone));
    fn of(name: &str, wanted: &ValueMatch, masked: bool) -> String {
        format!("{name} {}", value(wanted, masked))
    }
    part(
        "header",
        list(headers, |(name, wanted)| {
            of(name.as_str(), wanted, mask.hides(name.as_str().as_bytes()))
        }),
    );
    part("cookie", list(cookies, |(name, wanted)| of(name, wanted, true)));
    part(
        "query",
        list(query, |(name, wanted)| of(name, wanted, mask.hides_parameter(name))),
    );
    part("grpc", list(services, grpc));
    part("peer", list(peers, peer));
    part("client ip", list(client_ip, range));
    if let Some(not) = not {
        part("not", format!("({})", self::matcher(not, mask)));
    }
    parts.join("; ")
}

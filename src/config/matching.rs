//! `match`: which requests a rule takes.

use super::node::{Node, quoted};
use super::read::{Fields, Known, all, either};
use super::sink::{Checked, Sink};
use crate::header::HeaderName;
use crate::peer::PeerPattern;
use crate::rule::{Cidr, GrpcMatch, HostPattern, Match, PathPattern, ValueMatch};

const FIELDS: Known = Known {
    now: &[
        "hosts",
        "paths",
        "methods",
        "headers",
        "cookies",
        "query",
        "grpc",
        "peers",
        "client_ip",
        "not",
    ],
    later: &[],
};
const VALUE: Known = Known {
    now: &["name", "exact", "prefix", "suffix", "contains", "present"],
    later: &[],
};
const GRPC: Known = Known {
    now: &["service", "method"],
    later: &[],
};

/// Entries of one list: they are tried one after the other on a request.
const MOST: usize = 256;

pub fn read(sink: &Sink, node: &Node, verified_peers: bool) -> Checked<Match> {
    let fields = Fields::of(sink, node, &FIELDS)?;
    if fields.is_empty() {
        let message = "empty match: leave it out where a rule takes every request";
        return Err(sink.fault(node, message));
    }
    let not = fields.optional("not", |node| negated(sink, node, verified_peers));
    let conditions = conditions(sink, &fields, verified_peers);
    Ok(Match {
        not: not?.map(Box::new),
        ..conditions?
    })
}

fn negated(sink: &Sink, node: &Node, verified_peers: bool) -> Checked<Match> {
    let fields = Fields::of(sink, node, &FIELDS)?;
    if fields.is_empty() {
        return Err(sink.fault(node, "empty not: it would take every request away"));
    }
    if let Some(inner) = fields.get("not") {
        return Err(sink.fault(inner, "not inside not: write what is meant"));
    }
    conditions(sink, &fields, verified_peers)
}

/// Those of `fields` that are conditions of a match.
pub fn conditions(sink: &Sink, fields: &Fields, verified_peers: bool) -> Checked<Match> {
    let lists = FIELDS.now.iter().filter_map(|name| fields.get(name));
    all(lists.map(|node| sink.at_most(node, MOST, "a request is compared with each")))?;
    let hosts = parsed(sink, fields, "hosts", HostPattern::parse);
    let paths = parsed(sink, fields, "paths", PathPattern::parse);
    let methods = parsed(sink, fields, "methods", method);
    let headers = values(sink, fields, "headers", header);
    let cookies = values(sink, fields, "cookies", name);
    let query = values(sink, fields, "query", name);
    let grpc = fields.optional("grpc", |node| sink.some(node, |item| grpc(sink, item)));
    let peers = fields.optional("peers", |node| peers(sink, node, verified_peers));
    let client_ip = parsed(sink, fields, "client_ip", Cidr::parse);
    Ok(Match {
        hosts: hosts?,
        paths: paths?,
        methods: methods?,
        headers: headers?,
        cookies: cookies?,
        query: query?,
        grpc: grpc?.unwrap_or_default(),
        peers: peers?.unwrap_or_default(),
        client_ip: client_ip?,
        not: None,
    })
}

pub fn peers(sink: &Sink, node: &Node, verified: bool) -> Checked<Vec<PeerPattern>> {
    if !verified {
        let message = "peers are nobody's word unless the listener validates client certificates: \
                       write listener: { verified_peers: true } where it does";
        return Err(sink.fault(node, message));
    }
    sink.some(node, |item| sink.parsed(item, PeerPattern::parse))
}

fn parsed<T>(sink: &Sink, fields: &Fields, field: &str, parse: impl Fn(&str) -> Result<T, String>) -> Checked<Vec<T>> {
    let list = fields.optional(field, |node| sink.some(node, |item| sink.parsed(item, &parse)));
    Ok(list?.unwrap_or_default())
}

/// Case counts, and every method that is in use is upper case.
fn method(text: &str) -> Result<String, String> {
    let shown = quoted(text);
    if HeaderName::parse(text).is_err() || text.contains('*') {
        return Err(format!("{shown} is no method"));
    }
    if text.bytes().any(|b| b.is_ascii_lowercase()) {
        let upper = text.to_ascii_uppercase();
        return Err(format!("methods are upper case, found {shown}: did you mean {upper}?"));
    }
    Ok(text.to_owned())
}

/// The proxy makes `:authority` of `host` before the filter runs.
fn header(text: &str) -> Result<HeaderName, String> {
    let name = HeaderName::parse(text)?;
    match name.as_str() {
        "host" => Err("host is never seen as a header: write hosts".into()),
        _ => Ok(name),
    }
}

fn name(text: &str) -> Result<String, String> {
    match text {
        "" => Err("empty name".into()),
        _ => Ok(text.to_owned()),
    }
}

fn values<T>(
    sink: &Sink,
    fields: &Fields,
    field: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Checked<Vec<(T, ValueMatch)>> {
    let list = fields.optional(field, |node| {
        sink.some(node, |item| {
            let fields = Fields::of(sink, item, &VALUE)?;
            let name = fields.required("name", "").and_then(|node| sink.parsed(node, &parse));
            let value = value(sink, &fields);
            Ok((name?, value?))
        })
    });
    Ok(list?.unwrap_or_default())
}

fn value(sink: &Sink, fields: &Fields) -> Checked<ValueMatch> {
    let kinds = ["exact", "prefix", "suffix", "contains", "present"];
    let mut given = kinds.iter().filter_map(|kind| Some((*kind, fields.get(kind)?)));
    let (Some((kind, node)), None) = (given.next(), given.next()) else {
        let kinds = either(kinds.into_iter());
        return Err(sink.fault(fields.node, format!("exactly one of {kinds} is needed")));
    };
    if kind == "present" {
        return sink.flag(node).map(ValueMatch::Present);
    }
    let text = sink.text(node)?.to_owned();
    if text.is_empty() && kind != "exact" {
        let message = "empty text matches every value: write present: true";
        return Err(sink.fault(node, message));
    }
    Ok(match kind {
        "prefix" => ValueMatch::Prefix(text),
        "suffix" => ValueMatch::Suffix(text),
        "contains" => ValueMatch::Contains(text),
        _ => ValueMatch::Exact(text),
    })
}

fn grpc(sink: &Sink, node: &Node) -> Checked<GrpcMatch> {
    let fields = Fields::of(sink, node, &GRPC)?;
    let service = fields
        .required("service", ": write shop.v1.Orders")
        .and_then(|node| sink.parsed(node, |text| identifier(text, true)));
    let method = fields.optional("method", |node| sink.parsed(node, |text| identifier(text, false)));
    Ok(GrpcMatch {
        service: service?,
        method: method?,
    })
}

/// As in protobuf; dots in the name of a service only.
fn identifier(text: &str, dots: bool) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || (dots && c == '.');
    if text.is_empty() || !text.chars().all(plain) {
        return Err(format!("{} is no name of protobuf", quoted(text)));
    }
    Ok(text.to_owned())
}

//! What the service's answer means.

use crate::config::identity::Union;
use crate::config::names;
use crate::config::node::Node;
use crate::config::read::{Fields, Known, all};
use crate::config::sink::{Checked, Sink};
use crate::config::url;
use crate::header::{HeaderName, NamePattern};
use crate::policy::{Accept, AllowStatus, DenyHeaders, ListSource, OnDeny, PrincipalSource, Protocol, SignIn};
use std::ops::RangeInclusive;

const PRINCIPAL: Known = Known {
    now: &["subject", "groups", "scopes", "claims"],
    later: &[],
};
const LIST_SOURCE: Known = Known {
    now: &["header", "split"],
    later: &[],
};
const ACCEPT: Known = Known {
    now: &["headers", "append", "to_client"],
    later: &[],
};
const ON_DENY: Known = Known {
    now: &["headers", "sign_in"],
    later: &[],
};
const SIGN_IN: Known = Known {
    now: &["url", "status"],
    later: &[],
};

const MOST: usize = 64;

pub fn allow_status(sink: &Sink, node: Option<&Node>, protocol: Checked<Protocol>) -> Checked<AllowStatus> {
    match (node, protocol) {
        (Some(node), _) => statuses(sink, node, 200..=299).map(AllowStatus::Listed),
        (None, Ok(Protocol::ForwardAuth)) => Ok(AllowStatus::Any2xx),
        (None, _) => Ok(AllowStatus::Listed(vec![200])),
    }
}

pub fn principal(sink: &Sink, node: &Node) -> Checked<PrincipalSource> {
    let fields = Fields::of(sink, node, &PRINCIPAL)?;
    let subject = fields
        .required("subject", ": name the header that says who, as x-auth-user")
        .and_then(|node| sink.parsed(node, HeaderName::parse));
    let groups = fields.optional("groups", |node| list_source(sink, node, ","));
    let scopes = fields.optional("scopes", |node| list_source(sink, node, " "));
    let claims = fields.optional("claims", |node| {
        all(sink.entries(node)?.iter().map(|entry| {
            let header = sink.parsed(&entry.node, HeaderName::parse)?;
            if entry.key.is_empty() {
                return Err(sink.fault_at(node, entry.at, "empty claim name"));
            }
            Ok((entry.key.clone(), header))
        }))
    });
    Ok(PrincipalSource {
        subject: subject?,
        groups: groups?,
        scopes: scopes?,
        claims: claims?.unwrap_or_default(),
    })
}

fn list_source(sink: &Sink, node: &Node, default: &str) -> Checked<ListSource> {
    if node.text().is_some() {
        return Ok(ListSource {
            header: sink.parsed(node, HeaderName::parse)?,
            split: default.into(),
        });
    }
    let fields = Fields::of(sink, node, &LIST_SOURCE)?;
    let header = fields
        .required("header", "")
        .and_then(|node| sink.parsed(node, HeaderName::parse));
    let split = fields.optional("split", |node| {
        sink.parsed(node, |text| match text {
            "" => Err("empty text separates nothing".into()),
            _ => Ok(text.to_owned()),
        })
    });
    Ok(ListSource {
        header: header?,
        split: split?.unwrap_or_else(|| default.into()),
    })
}

pub fn accept(sink: &Sink, node: &Node, union: &Union) -> Checked<Accept> {
    let fields = Fields::of(sink, node, &ACCEPT)?;
    let read = |name, check: &dyn Fn(&NamePattern) -> Option<String>| {
        fields.optional(name, |node| accepted(sink, node, union, check))
    };
    let headers = read("headers", &names::takes_too_much);
    let append = read("append", &|pattern| {
        let name = union.matched_by(pattern)?;
        Some(format!("would append to {}, which we set", name.as_str()))
    });
    let to_client = read("to_client", &|_| None);
    Ok(Accept {
        headers: headers?.unwrap_or_default(),
        append: append?.unwrap_or_default(),
        to_client: to_client?.unwrap_or_default(),
    })
}

fn accepted(
    sink: &Sink,
    node: &Node,
    union: &Union,
    check: &dyn Fn(&NamePattern) -> Option<String>,
) -> Checked<Vec<NamePattern>> {
    sink.at_most(node, MOST, "each is compared with every header of a reply")?;
    sink.list(node, |item| {
        sink.parsed(item, |text| {
            let pattern = NamePattern::parse(text)?;
            if names::is_proxys_pattern(&pattern) {
                return Err(format!("{text} is never taken from a reply"));
            }
            if let NamePattern::Exact(name) = &pattern
                && union.contains(name)
            {
                return Err(format!(
                    "{text} is an identity or experiment header, never taken from a reply"
                ));
            }
            match check(&pattern) {
                Some(message) => Err(format!("{text} {message}")),
                None => Ok(pattern),
            }
        })
    })
}

pub fn on_deny(sink: &Sink, node: Option<&Node>) -> Checked<OnDeny> {
    let Some(node) = node else {
        return Ok(OnDeny {
            headers: DenyHeaders::All,
            sign_in: None,
        });
    };
    let fields = Fields::of(sink, node, &ON_DENY)?;
    let headers = fields.optional("headers", |node| deny_headers(sink, node));
    let sign_in = fields.optional("sign_in", |node| sign_in(sink, node));
    Ok(OnDeny {
        headers: headers?.unwrap_or(DenyHeaders::All),
        sign_in: sign_in?,
    })
}

fn deny_headers(sink: &Sink, node: &Node) -> Checked<DenyHeaders> {
    if let Some(text) = node.text() {
        if text == "all" {
            return Ok(DenyHeaders::All);
        }
        return Err(sink.expected(node, "all or a list of names"));
    }
    sink.list(node, |item| sink.parsed(item, NamePattern::parse))
        .map(DenyHeaders::Listed)
}

fn sign_in(sink: &Sink, node: &Node) -> Checked<SignIn> {
    let fields = Fields::of(sink, node, &SIGN_IN)?;
    let url = fields
        .required("url", ": write https://login.example.com/?rd={url}")
        .and_then(|node| sink.parsed(node, url::template));
    let status = fields.optional("status", |node| statuses(sink, node, 400..=499));
    let (before, after) = url?;
    Ok(SignIn {
        before,
        after,
        status: status?.unwrap_or_else(|| vec![401]),
    })
}

fn statuses(sink: &Sink, node: &Node, allowed: RangeInclusive<u64>) -> Checked<Vec<u16>> {
    sink.distinct(node, |item| {
        let code = sink.whole(item, allowed.clone())?;
        Ok(u16::try_from(code).unwrap_or(u16::MAX))
    })
}

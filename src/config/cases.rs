//! `meshgate test`: requests and what is expected of them.

use super::fault::Faults;
use super::node::{Entry, Node, Value, quoted};
use super::read::{Fields, Known, all};
use super::sink::{Checked, Sink, duplicates};
use super::yaml;
use crate::authn::{Claim, Principal};
use crate::denial::Outcome;
use crate::explain::cases::{Case, Cases, Expect, UNDECIDED};
use crate::explain::{Asked, Known as Caller, Replied, Who};
use crate::header::HeaderName;
use crate::time::UnixTime;

const FILE: Known = Known {
    now: &["policy", "at", "callers", "cases"],
    later: &[],
};
const CASE: Known = Known {
    now: &[
        "name",
        "request",
        "headers",
        "client_ip",
        "peer",
        "body",
        "as",
        "auth_reply",
        "expect",
    ],
    later: &[],
};
const CALLER: Known = Known {
    now: &["subject", "authenticator", "groups", "scopes", "claims"],
    later: &[],
};
const REPLY: Known = Known {
    now: &["status", "headers", "body", "failure"],
    later: &[],
};
const EXPECT: Known = Known {
    now: &[
        "outcome",
        "rule",
        "status",
        "cause",
        "authenticator",
        "subject",
        "upstream",
        "response",
        "variant",
    ],
    later: &[],
};
/// Each is decided about by itself; this many take a few seconds.
const MOST: usize = 100_000;
/// A body that is larger than any service may be sent; nothing is held of it.
const LARGEST_BODY: u64 = 1 << 40;

/// Every fault of the file at once.
pub fn cases(text: &str) -> Result<Cases, Faults> {
    let root = yaml::read(text)?;
    let sink = Sink::default();
    duplicates(&root, &sink);
    match file(&sink, &root) {
        Ok(cases) if sink.is_empty() => Ok(cases),
        _ => Err(sink.into_faults(&root)),
    }
}

fn file(sink: &Sink, root: &Node) -> Checked<Cases> {
    let fields = Fields::of(sink, root, &FILE)?;
    let policy = fields.optional("policy", |node| sink.text(node).map(str::to_owned));
    let at = fields.optional("at", |node| sink.parsed(node, UnixTime::parse));
    let callers = fields.optional("callers", |node| {
        let entries = sink.entries(node)?.iter();
        all(entries.map(|entry| Ok((entry.key.as_str(), caller(sink, &entry.node)?))))
    });
    // Those whose faults are told already are not unknown besides.
    let named = callers.as_ref().map_or(Named::Faulty, |callers| {
        Named::Known(callers.as_deref().unwrap_or_default())
    });
    let cases = fields.required("cases", ": what is to be tried").and_then(|node| {
        sink.at_most(node, MOST, "each is decided about by itself")?;
        sink.some(node, |item| case(sink, item, named))
    });
    let cases = cases?;
    callers?;
    Ok(Cases {
        policy: policy?,
        at: at?,
        cases,
    })
}

#[derive(Clone, Copy)]
enum Named<'a> {
    Known(&'a [(&'a str, Principal)]),
    Faulty,
}

fn case(sink: &Sink, node: &Node, callers: Named) -> Checked<Case> {
    let fields = Fields::of(sink, node, &CASE)?;
    let name = fields
        .required("name", ": what the case shows")
        .and_then(|node| sink.text(node));
    let headers = fields.optional("headers", |node| headers(sink, node, text_of));
    let asked = fields
        .required("request", ": 'GET https://shop.example.com/orders/1'")
        .and_then(|node| {
            let given = headers?.unwrap_or_default();
            let given: Vec<String> = given
                .iter()
                .map(|(name, value)| format!("{}: {value}", name.as_str()))
                .collect();
            sink.parsed(node, |line| Asked::parse(line, given.iter().map(String::as_str)))
        });
    let ip = fields.optional("client_ip", |node| {
        sink.parsed(node, |text| {
            text.parse().map_err(|_| format!("{} is no address", quoted(text)))
        })
    });
    let peer = fields.optional("peer", |node| sink.text(node).map(str::to_owned));
    let body = fields.optional("body", |node| sink.whole(node, 0..=LARGEST_BODY));
    let given = fields.optional("as", |node| match (&node.value, callers) {
        (Value::Text(name), Named::Known(known)) => {
            let found = known.iter().find(|(other, _)| other == name);
            let unknown = || {
                let hint = sink.hint(name, known.iter().map(|(name, _)| *name));
                sink.fault(node, format!("no caller is named {}{hint}", quoted(name)))
            };
            found.map(|(_, caller)| caller.clone()).ok_or_else(unknown)
        }
        (Value::Text(_), Named::Faulty) => Ok(Principal::nobody()),
        _ => caller(sink, node),
    });
    let replied = fields.optional("auth_reply", |node| reply(sink, node));
    let expect = fields
        .required("expect", ": as { outcome: allowed }")
        .and_then(|node| expect(sink, node));
    let (mut asked, given, replied) = (asked?, given?, replied?);
    asked.from.ip = ip?;
    asked.from.peer = peer?;
    asked.body_bytes = body?.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    let who = match (given, replied) {
        (Some(_), Some(_)) => {
            return Err(sink.fault(node, "as and auth_reply: the caller is given, or the service is asked"));
        }
        (Some(principal), None) => Who::Known(Caller(principal)),
        (None, Some(reply)) => Who::Answered(reply),
        (None, None) => Who::Shown,
    };
    Ok(Case {
        name: name?.to_owned(),
        line: node.at.map(|at| at.line()),
        asked,
        who,
        expect: expect?,
    })
}

fn caller(sink: &Sink, node: &Node) -> Checked<Principal> {
    let fields = Fields::of(sink, node, &CALLER)?;
    let subject = fields.required("subject", "").and_then(|node| match sink.text(node)? {
        "" => Err(sink.fault(node, "empty subject: leave as out for nobody")),
        subject => Ok(subject.to_owned()),
    });
    let authenticator = fields.optional("authenticator", |node| sink.text(node));
    let list = |name| fields.optional(name, |node| sink.list(node, |item| sink.text(item).map(str::to_owned)));
    let (groups, scopes) = (list("groups"), list("scopes"));
    let claims = fields.optional("claims", |node| {
        let entries = sink.entries(node)?.iter();
        all(entries.map(|entry| Ok((entry.key.clone(), claim(sink, &entry.node)?))))
    });
    Ok(Principal {
        authenticator: authenticator?.unwrap_or_default().into(),
        subject: subject?,
        groups: groups?.unwrap_or_default(),
        scopes: scopes?.unwrap_or_default(),
        claims: claims?.unwrap_or_default(),
        variants: vec![],
    })
}

/// Texts, lists of texts, objects of both; numbers and booleans as their text.
fn claim(sink: &Sink, node: &Node) -> Checked<Claim> {
    match &node.value {
        Value::Text(text) => Ok(Claim::Scalar(text.clone())),
        Value::Number(number) => Ok(Claim::Scalar(number.to_string())),
        Value::Bool(value) => Ok(Claim::Scalar(value.to_string())),
        Value::List(items) => {
            let texts = all(items.iter().map(|item| sink.text(item).map(str::to_owned)));
            texts.map(Claim::List)
        }
        Value::Map(entries) => {
            let members = |entry: &Entry| Ok((entry.key.clone(), claim(sink, &entry.node)?));
            let members = all(entries.iter().map(members))?;
            Ok(Claim::Object(members.into_iter().collect()))
        }
        Value::Null => Err(sink.expected(node, "a value")),
    }
}

fn reply(sink: &Sink, node: &Node) -> Checked<Replied> {
    let fields = Fields::of(sink, node, &REPLY)?;
    if let Some(node) = fields.get("failure") {
        return sink.parsed(node, Replied::failed);
    }
    let status = fields
        .required("status", ", or failure: timeout")
        .and_then(|node| sink.whole(node, 100..=599));
    let headers = fields.optional("headers", |node| headers(sink, node, text_of));
    let body = fields.optional("body", |node| sink.text(node));
    let (status, headers) = (u16::try_from(status?).unwrap_or(500), headers?.unwrap_or_default());
    let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Ok(Replied::new(
        status,
        headers,
        body?.unwrap_or_default().as_bytes().to_vec(),
    ))
}

fn expect(sink: &Sink, node: &Node) -> Checked<Expect> {
    let fields = Fields::of(sink, node, &EXPECT)?;
    if fields.is_empty() {
        return Err(sink.fault(node, "nothing is expected: write { outcome: allowed }"));
    }
    let words = Outcome::ALL.map(|outcome| (outcome.word(), outcome.word()));
    let words: Vec<_> = words.into_iter().chain([(UNDECIDED, UNDECIDED)]).collect();
    let outcome = fields.optional("outcome", |node| sink.word(node, &words));
    let text = |name| fields.optional(name, |node| sink.text(node).map(str::to_owned));
    let status = fields.optional("status", |node| sink.whole(node, 100..=599));
    let upstream = fields.optional("upstream", |node| headers(sink, node, text_or_nothing));
    let response = fields.optional("response", |node| headers(sink, node, text_or_nothing));
    let variant = fields.optional("variant", |node| {
        let entries = sink.entries(node)?.iter();
        all(entries.map(|entry| Ok((entry.key.clone(), text_of(sink, &entry.node)?))))
    });
    let (rule, cause, authenticator, subject) = (text("rule"), text("cause"), text("authenticator"), text("subject"));
    Ok(Expect {
        outcome: outcome?,
        rule: rule?,
        status: status?.and_then(|status| u16::try_from(status).ok()),
        cause: cause?,
        authenticator: authenticator?,
        subject: subject?,
        upstream: upstream?.unwrap_or_default(),
        response: response?.unwrap_or_default(),
        variant: variant?.unwrap_or_default(),
    })
}

fn headers<T>(sink: &Sink, node: &Node, value: impl Fn(&Sink, &Node) -> Checked<T>) -> Checked<Vec<(HeaderName, T)>> {
    let header = |entry: &Entry| {
        let name = HeaderName::parse(&entry.key).map_err(|message| sink.fault_at(&entry.node, entry.at, message));
        let value = value(sink, &entry.node);
        Ok((name?, value?))
    };
    all(sink.entries(node)?.iter().map(header))
}

fn text_of(sink: &Sink, node: &Node) -> Checked<String> {
    sink.text(node).map(str::to_owned)
}

/// `null`: the header is not there.
fn text_or_nothing(sink: &Sink, node: &Node) -> Checked<Option<String>> {
    match &node.value {
        Value::Null => Ok(None),
        _ => text_of(sink, node).map(Some),
    }
}

//! `identity`: the headers that tell upstreams who calls, and what else is removed.

use super::assertion;
use super::experiments;
use super::names;
use super::node::{Entry, Node, Value, quoted};
use super::read::{Fields, Known, all};
use super::sink::{Checked, Sink};
use crate::header::{Folded, HeaderName, NamePattern, NameSet};
use crate::identity::{IdentityHeader, Template};
use crate::order;
use crate::policy::{AssertedAudience, Assertion};
use crate::rule::PolicyMap;
use crate::strip::OVERRIDE_HEADERS;
use std::collections::HashSet;

const GLOBAL: Known = Known {
    now: &["headers", "strip", "keep", "assertion"],
    later: &[],
};
const RULES: Known = Known {
    now: &["headers", "audience"],
    later: &[],
};
/// Each is looked for among the headers of every request.
const MOST: usize = 256;

/// The identity headers of all rules, the headers of assertions and those of experiments: every one is removed from every request.
#[derive(Default)]
pub struct Union {
    names: Vec<(HeaderName, Folded)>,
    known: NameSet,
}

/// Names that fold apart, as they were first written.
#[derive(Default)]
struct Spelled {
    names: Vec<(HeaderName, Folded)>,
    /// By what the name folds to.
    at: PolicyMap<Box<[u8]>, usize>,
}

impl Spelled {
    fn get(&self, folded: &Folded) -> Option<&HeaderName> {
        let (name, _) = self.names.get(*self.at.get(folded.as_bytes())?)?;
        Some(name)
    }

    /// Where something folds as `name` does, it stays.
    fn insert(&mut self, name: HeaderName) {
        let folded = names::fold(&name);
        let new = self.names.len();
        if *self.at.entry(folded.as_bytes().into()).or_insert(new) == new {
            self.names.push((name, folded));
        }
    }
}

/// `identity` of the whole policy.
#[derive(Default)]
pub struct Global {
    pub headers: Vec<IdentityHeader>,
    pub strip: Vec<NamePattern>,
    pub keep: Vec<NamePattern>,
    pub assertion: Option<Assertion>,
}

impl Union {
    /// Reads names only; what else is wrong with them is told where they are decoded.
    pub fn of(sink: &Sink, root: &Node) -> Self {
        let mut spelled = Spelled::default();
        let global = headers(field(root, "identity"));
        let global: Vec<String> = global.iter().map(|entry| entry.key.to_ascii_lowercase()).collect();
        let global: HashSet<&str> = global.iter().map(String::as_str).collect();
        one_name_each(sink, headers(field(root, "identity")), &mut spelled, None);
        let rules = match field(root, "rules").map(|rules| &rules.value) {
            Some(Value::List(rules)) => rules.as_slice(),
            _ => &[],
        };
        for owner in field(root, "defaults").into_iter().chain(rules) {
            let own = headers(field(owner, "identity"));
            one_name_each(sink, own, &mut spelled, Some(&global));
        }
        assertions(sink, root, &mut spelled);
        let variants = experiments::owned(sink, root, &|name| spelled.get(name).is_some());
        let mut names = order::distinct(spelled.names, |(one, _), (other, _)| one.cmp(other));
        if names.len() > MOST {
            let count = names.len();
            let message = format!("{count} identity headers, at most {MOST}: each is removed from every request");
            sink.fault(root, message);
            names.truncate(MOST);
        }
        names.extend(variants);
        let mut union = Self {
            names,
            known: NameSet::default(),
        };
        union.known = union.patterns().collect();
        union
    }

    pub fn contains(&self, name: &Folded) -> bool {
        self.known.contains(name.as_bytes())
    }

    pub fn matched_by(&self, pattern: &NamePattern) -> Option<&HeaderName> {
        let (name, _) = self
            .names
            .iter()
            .find(|(_, folded)| pattern.matches(folded.as_bytes()))?;
        Some(name)
    }

    pub fn patterns(&self) -> impl Iterator<Item = NamePattern> {
        self.names.iter().map(|(_, folded)| NamePattern::Exact(folded.clone()))
    }
}

pub fn global(sink: &Sink, node: &Node) -> Checked<Global> {
    let fields = Fields::of(sink, node, &GLOBAL)?;
    let headers = fields.optional("headers", |node| identity_headers(sink, node));
    let strip = fields.optional("strip", |node| strip(sink, node));
    let stripped = strip.as_ref().ok().and_then(Option::as_deref).unwrap_or_default();
    let keep = match strip {
        Ok(_) => fields.optional("keep", |node| keep(sink, node, stripped)),
        Err(faulted) => Err(faulted),
    };
    let assertion = fields.optional("assertion", |node| assertion::read(sink, node));
    Ok(Global {
        assertion: assertion?,
        headers: headers?.unwrap_or_default(),
        keep: keep?.unwrap_or_default(),
        strip: strip?.unwrap_or_default(),
    })
}

/// `identity` of a rule.
#[derive(Default)]
pub struct Own {
    /// Added to the global headers.
    pub headers: Vec<IdentityHeader>,
    /// In place of that of `identity.assertion`.
    pub audience: Option<AssertedAudience>,
}

pub fn rules_own(sink: &Sink, node: &Node) -> Checked<Own> {
    let fields = Fields::of(sink, node, &RULES)?;
    if fields.get("headers").is_none() && fields.get("audience").is_none() {
        fields.required("headers", "")?;
    }
    let headers = fields.optional("headers", |node| identity_headers(sink, node));
    let audience = fields.optional("audience", |node| sink.parsed(node, AssertedAudience::parse));
    Ok(Own {
        headers: headers?.unwrap_or_default(),
        audience: audience?,
    })
}

fn identity_headers(sink: &Sink, node: &Node) -> Checked<Vec<IdentityHeader>> {
    all(sink.entries(node)?.iter().map(|entry| {
        let name = names::identity(&entry.key).map_err(|message| sink.fault_at(&entry.node, entry.at, message));
        let template = sink.parsed(&entry.node, Template::parse);
        Ok(IdentityHeader {
            name: name?,
            template: template?,
        })
    }))
}

fn strip(sink: &Sink, node: &Node) -> Checked<Vec<NamePattern>> {
    sink.at_most(node, MOST, "each is looked for in every request")?;
    sink.list(node, |item| {
        sink.parsed(item, |text| match NamePattern::parse(text)? {
            NamePattern::Exact(name) if names::is_wire(&name) => {
                Err(format!("{text} belongs to the connection and stays"))
            }
            pattern => match names::takes_too_much(&pattern) {
                Some(message) => Err(format!("{text} {message}")),
                None => Ok(pattern),
            },
        })
    })
}

fn keep(sink: &Sink, node: &Node, strip: &[NamePattern]) -> Checked<Vec<NamePattern>> {
    sink.at_most(node, MOST, "each is looked for in every request")?;
    sink.list(node, |item| {
        sink.parsed(item, |text| {
            let pattern = NamePattern::parse(text)?;
            let overrides = OVERRIDE_HEADERS
                .iter()
                .any(|name| pattern == NamePattern::Exact(Folded::of(name.as_bytes())));
            if overrides || strip.iter().any(|stripped| covers(stripped, &pattern)) {
                return Ok(pattern);
            }
            Err(format!("{} keeps nothing: name what strip or we remove", quoted(text)))
        })
    })
}

/// Whether `wide` matches all that `narrow` does.
fn covers(wide: &NamePattern, narrow: &NamePattern) -> bool {
    match (wide, narrow) {
        (NamePattern::Any, _) => true,
        (_, NamePattern::Exact(name)) => wide.matches(name.as_bytes()),
        (NamePattern::Prefix(wide), NamePattern::Prefix(narrow)) => narrow.as_bytes().starts_with(wide.as_bytes()),
        (NamePattern::Suffix(wide), NamePattern::Suffix(narrow)) => narrow.as_bytes().ends_with(wide.as_bytes()),
        _ => false,
    }
}

/// An assertion stands in a header of its own: an earlier gate's may be where ours will be. So does what `debug`
/// answers, which nobody else writes either.
fn assertions(sink: &Sink, root: &Node, spelled: &mut Spelled) {
    let own = field(root, "identity").and_then(|identity| field(identity, "assertion"));
    let authenticators = match field(root, "authenticators").map(|node| &node.value) {
        Some(Value::Map(entries)) => entries.as_slice(),
        _ => &[],
    };
    let earlier = authenticators.iter().filter_map(|entry| field(&entry.node, "gate"));
    let told = earlier.chain(own).chain(field(root, "debug"));
    let nodes = told.filter_map(|node| field(node, "header"));
    let mut found = Vec::new();
    for node in nodes {
        let Some(name) = node.text().and_then(|text| HeaderName::parse(text).ok()) else {
            continue;
        };
        match spelled.get(&names::fold(&name)) {
            Some(other) => {
                let message = format!("{} tells who calls in plain text: choose another name", other.as_str());
                sink.fault(node, message);
            }
            None => found.push(name),
        }
    }
    for name in found {
        spelled.insert(name);
    }
}

fn field<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    match &node.value {
        Value::Map(entries) => entries.iter().find(|e| e.key == name).map(|e| &e.node),
        _ => None,
    }
}

fn headers(identity: Option<&Node>) -> &[Entry] {
    match identity.and_then(|node| field(node, "headers")).map(|node| &node.value) {
        Some(Value::Map(entries)) => entries,
        _ => &[],
    }
}

/// Two spellings that fold to one name would be two headers to us and one to the upstream.
fn one_name_each(sink: &Sink, entries: &[Entry], spelled: &mut Spelled, global: Option<&HashSet<&str>>) {
    let parsed = entries.iter().map(|entry| HeaderName::parse(&entry.key).ok());
    let names: Vec<Option<HeaderName>> = parsed.collect();
    let mut here: HashSet<&str> = HashSet::new();
    for (entry, name) in entries.iter().zip(&names) {
        let Some(name) = name else { continue };
        if !here.insert(name.as_str()) {
            let message = format!("{} is written twice, case does not tell headers apart", name.as_str());
            sink.fault_at(&entry.node, entry.at, message);
            continue;
        }
        if global.is_some_and(|global| global.contains(name.as_str())) {
            let message = format!("{} is set by identity.headers already", name.as_str());
            sink.fault_at(&entry.node, entry.at, message);
            continue;
        }
        spelled.insert(name.clone());
        if let Some(first) = spelled.get(&names::fold(name)).filter(|first| *first != name) {
            let (first, name) = (first.as_str(), name.as_str());
            let message = format!("{name} and {first} are one header to servers that fold names");
            sink.fault_at(&entry.node, entry.at, message);
        }
    }
}

//! `authenticators`, and which of their credentials a rule lets through.

mod api_key;
mod claims;
mod gate;
pub mod jwt;
mod keys;
mod mtls;

pub use api_key::list as api_keys;

use super::callout;
use super::identity::Union;
use super::names;
use super::node::{Entry, Node, quoted};
use super::read::{Fields, Known, all, either};
use super::sink::{Checked, Faulted, Sink};
use crate::header::NamePattern;
use crate::order;
use crate::policy::{Authenticator, AuthenticatorKind, Place, TokenPlace};
use crate::rule::PolicyMap;
use std::cell::Cell;
use std::collections::HashSet;
use std::sync::Arc;

const KINDS: Known = Known {
    now: &["callout", "jwt", "api_key", "mtls", "gate"],
    later: &[],
};
/// Each has a name in metrics, and the credentials of all are looked for in every request.
const MOST: usize = 256;

/// By name; one with faults is known, too.
pub struct Authenticators<'a> {
    in_order: Vec<(&'a Entry, Checked<Arc<Authenticator>>)>,
    /// Into `in_order`.
    by_name: PolicyMap<Box<[u8]>, usize>,
    /// None could be read: no name is unknown.
    faulted: Option<Faulted>,
    credentials: Credentials,
}

/// The places of all authenticators that keep their credential from the upstream, less those that
/// an authenticator of the rule forwards. Many rules share few such lists.
struct Credentials {
    withheld: Places,
    /// Sorted by what is forwarded.
    lists: Cell<Vec<(Places, Arc<[Place]>)>>,
}

/// Sorted, each once.
type Places = Vec<Place>;

impl<'a> Authenticators<'a> {
    /// `verified_peers`: the operator's word that the listener validates client certificates.
    pub fn read(sink: &Sink, warnings: &Sink, node: Option<&'a Node>, union: &Union, verified_peers: bool) -> Self {
        let mut by_name: PolicyMap<Box<[u8]>, usize> = PolicyMap::default();
        let mut in_order = Vec::new();
        let entries = node.map_or(Ok(&[][..]), |node| {
            sink.at_most(node, MOST, "the credentials of all are looked for in every request")?;
            sink.entries(node)
        });
        for entry in entries.unwrap_or_default() {
            if !by_name.contains_key(entry.key.as_bytes()) {
                let slot = in_order.len();
                let known = authenticator((sink, warnings), entry, union, verified_peers, slot);
                by_name.insert(entry.key.as_bytes().into(), slot);
                in_order.push((entry, known));
            }
        }
        let credentials = Credentials {
            withheld: places(&mut faultless(&in_order), false),
            lists: Cell::default(),
        };
        Self {
            credentials,
            by_name,
            in_order,
            faulted: entries.err(),
        }
    }

    /// `authenticate` of a rule: in this order; a callout stands only last.
    pub fn asked(&self, sink: &Sink, node: &Node) -> Checked<Vec<Arc<Authenticator>>> {
        if let Some(text) = node.text() {
            let message = format!(
                "expected a list of authenticators, found {0}: write [{text}]",
                quoted(text)
            );
            return Err(sink.fault(node, message));
        }
        let found = sink.distinct(node, |item| {
            let name = sink.text(item)?;
            let found = self.by_name.get(name.as_bytes()).and_then(|at| self.in_order.get(*at));
            let (_, found) = found.ok_or_else(|| self.unknown(sink, item, name))?;
            Ok(ByName(found.clone()?))
        })?;
        let found: Vec<Arc<Authenticator>> = found.into_iter().map(|asked| asked.0).collect();
        let items = sink.items(node)?;
        let misplaced = items.iter().enumerate().filter_map(|(position, item)| {
            let (earlier, rest) = found.split_at_checked(position)?;
            let (asked, later) = rest.split_first()?;
            misplaced(asked, earlier, later).map(|message| Err(sink.fault(item, message)))
        });
        all(misplaced).map(|_: Vec<()>| ())?;
        Ok(found)
    }

    /// `asked`: None where the rule asks nobody.
    pub fn stripped(&self, asked: Option<&[Arc<Authenticator>]>) -> Arc<[Place]> {
        let forwarded = match asked {
            // A place that two of them share goes on only where both say so.
            Some(asked) => without(places(&mut asked.iter(), true), &places(&mut asked.iter(), false)),
            None => places(&mut faultless(&self.in_order), true),
        };
        self.credentials.stripped(forwarded)
    }

    /// Of all, those with a fault too.
    pub fn names(&self) -> HashSet<&str> {
        let names = self.by_name.keys();
        names.filter_map(|name| std::str::from_utf8(name).ok()).collect()
    }

    /// Those without a fault, in the order of the policy.
    pub fn all(&self) -> Vec<Arc<Authenticator>> {
        faultless(&self.in_order).cloned().collect()
    }

    /// Patterns of the headers that allowing answers set for the upstream.
    pub fn accepted(&self) -> Vec<NamePattern> {
        let callouts = faultless(&self.in_order).filter_map(|known| known.callout());
        callouts
            .flat_map(|callout| callout.accept.headers.iter().cloned())
            .collect()
    }

    /// The headers in which credentials may stand, `cookie` included.
    pub fn credential_headers(&self) -> impl Iterator<Item = NamePattern> {
        self.places().filter_map(|place| match place {
            Place::Header(name) => Some(NamePattern::Exact(names::fold(&name))),
            Place::Cookie(_) | Place::CookiePrefix(_) => NamePattern::parse("cookie").ok(),
            Place::Query(_) => None,
        })
    }

    /// Where the credentials of all may stand.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        faultless(&self.in_order).flat_map(|known| known.places().into_owned())
    }

    /// Those that no rule asks.
    pub fn unused(&self, used: &HashSet<&str>) -> impl Iterator<Item = &'a Entry> {
        let unused = |entry: &&Entry| !used.contains(entry.key.as_str());
        self.in_order.iter().map(|(entry, _)| *entry).filter(unused)
    }

    fn unknown(&self, sink: &Sink, node: &Node, name: &str) -> Faulted {
        if let Some(faulted) = self.faulted {
            return faulted;
        }
        if name == "none" {
            let message =
                "no authenticator is named \"none\": for a public rule write authenticate: none, without brackets";
            return sink.fault(node, message);
        }
        let hint = sink.hint(name, self.in_order.iter().map(|(entry, _)| entry.key.as_str()));
        sink.fault(node, format!("no authenticator is named {}{hint}", quoted(name)))
    }
}

/// Equal by name: names are unique.
struct ByName(Arc<Authenticator>);

impl PartialEq for ByName {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for ByName {}

impl std::hash::Hash for ByName {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.name.hash(state);
    }
}

impl Credentials {
    fn stripped(&self, forwarded: Places) -> Arc<[Place]> {
        let mut lists = self.lists.take();
        let at = lists.partition_point(|(known, _)| *known < forwarded);
        let list = match lists.get(at) {
            Some((known, list)) if *known == forwarded => Arc::clone(list),
            _ => {
                let list: Arc<[Place]> = without(self.withheld.clone(), &forwarded).into();
                lists.insert(at, (forwarded, Arc::clone(&list)));
                list
            }
        };
        self.lists.set(lists);
        list
    }
}

/// Of those that forward their credential, or of those that do not.
fn places(authenticators: &mut dyn Iterator<Item = &Arc<Authenticator>>, forwarding: bool) -> Places {
    let mut places = Vec::new();
    for known in authenticators.filter(|known| known.forwards() == forwarding) {
        places.extend_from_slice(&known.places());
    }
    order::distinct(places, Place::cmp)
}

fn without(mut places: Places, others: &Places) -> Places {
    places.retain(|place| others.binary_search(place).is_err());
    places
}

fn faultless<'k>(
    in_order: &'k [(&Entry, Checked<Arc<Authenticator>>)],
) -> impl Iterator<Item = &'k Arc<Authenticator>> {
    in_order.iter().filter_map(|(_, known)| known.as_ref().ok())
}

/// What is wrong with where `asked` stands in a rule.
fn misplaced(asked: &Authenticator, earlier: &[Arc<Authenticator>], later: &[Arc<Authenticator>]) -> Option<String> {
    let name = &asked.name;
    if asked.callout().is_some() && !later.is_empty() {
        return Some(format!("{name} is a callout, and a callout stands only last"));
    }
    let hiding = earlier.iter().find_map(|other| Some((other, hides(other, asked)?)));
    hiding.map(|(other, why)| format!("{name} is never reached: {} {why}", other.name))
}

/// Why nothing that `later` would take comes past `earlier`.
fn hides(earlier: &Authenticator, later: &Authenticator) -> Option<String> {
    match (&earlier.kind, &later.kind) {
        (AuthenticatorKind::Jwt(one), AuthenticatorKind::Jwt(other))
            if one.verification.issuer == other.verification.issuer =>
        {
            Some(format!(
                "decides about tokens of the issuer {}",
                quoted(&one.verification.issuer)
            ))
        }
        (AuthenticatorKind::ApiKey(one), AuthenticatorKind::ApiKey(other)) => {
            let taken = other.from.iter().all(|place| one.from.contains(place));
            taken.then(|| "decides about whatever stands in its places".into())
        }
        // Behind a prefix something is left for others.
        (AuthenticatorKind::ApiKey(one), AuthenticatorKind::Callout(other)) => {
            let whole = |token: &&TokenPlace| !matches!(token, TokenPlace::Header { prefix, .. } if !prefix.is_empty());
            let taken: Vec<Place> = one.from.iter().filter(whole).map(TokenPlace::place).collect();
            let all = other.credential.as_ref()?.iter().all(|place| taken.contains(place));
            all.then(|| "decides about whatever stands in its places".into())
        }
        (AuthenticatorKind::Gate(one), AuthenticatorKind::Gate(other)) if one.header == other.header => {
            Some(format!("decides about {}", one.header.as_str()))
        }
        _ => None,
    }
}

fn authenticator(
    (sink, warnings): (&Sink, &Sink),
    entry: &Entry,
    union: &Union,
    verified_peers: bool,
    slot: usize,
) -> Checked<Arc<Authenticator>> {
    let name = label(&entry.key).map_err(|message| sink.fault_at(&entry.node, entry.at, message));
    let fields = Fields::of(sink, &entry.node, &KINDS)?;
    let given: Vec<&str> = KINDS
        .now
        .iter()
        .copied()
        .filter(|kind| fields.get(kind).is_some())
        .collect();
    let one = match given.as_slice() {
        [_] => Ok(()),
        [] => {
            let kinds = either(KINDS.now.iter().copied());
            Err(sink.fault(&entry.node, format!("exactly one kind is needed: {kinds}")))
        }
        _ => {
            let kinds = given.join(" and ");
            Err(sink.fault(&entry.node, format!("exactly one kind is needed, found {kinds}")))
        }
    };
    // Each that is given is read, whatever stands beside it.
    let kinds = all(KINDS.now.iter().filter_map(|kind| {
        let node = fields.get(kind)?;
        Some(match *kind {
            "jwt" => jwt::read(sink, warnings, node).map(AuthenticatorKind::Jwt),
            "api_key" => api_key::read(sink, node).map(AuthenticatorKind::ApiKey),
            "mtls" => mtls::read(sink, node, verified_peers).map(AuthenticatorKind::Mtls),
            "gate" => gate::read(sink, warnings, node, verified_peers).map(AuthenticatorKind::Gate),
            _ => callout::read(sink, node, union).map(|callout| AuthenticatorKind::Callout(callout.into())),
        })
    }));
    one?;
    name?;
    Ok(Arc::new(Authenticator {
        name: entry.key.as_str().into(),
        slot,
        kind: fields.or_postponed(kinds?.pop())?,
    }))
}

fn label(name: &str) -> Result<(), String> {
    if name == "none" {
        return Err("none is the word for asking nobody, and no name".into());
    }
    names::label(name)
}

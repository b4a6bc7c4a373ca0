//! `authenticators`, and which of their credentials a rule lets through.

use super::callout;
use super::identity::Union;
use super::names;
use super::node::{Entry, Node, quoted};
use super::read::{Fields, Known, all};
use super::sink::{Checked, Faulted, Sink};
use crate::header::{HeaderName, NamePattern};
use crate::policy::{Authenticator, AuthenticatorKind, Callout, Place};
use std::cell::Cell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

const KINDS: Known = Known {
    now: &["callout"],
    later: &["jwt", "api_key", "mtls", "gate"],
};
/// Each has a name in metrics, and the credentials of all are looked for in every request.
const MOST: usize = 256;

/// By name; one with faults is known, too.
pub struct Authenticators<'a> {
    by_name: HashMap<&'a str, Checked<Arc<Authenticator>>>,
    in_order: Vec<&'a Entry>,
    /// None could be read: no name is unknown.
    faulted: Option<Faulted>,
    credentials: Credentials,
}

/// The places of all authenticators that keep their credential from the upstream, less those that
/// an authenticator of the rule forwards. Many rules share few such lists.
struct Credentials {
    withheld: BTreeSet<Place>,
    lists: Cell<HashMap<BTreeSet<Place>, Arc<[Place]>>>,
}

impl<'a> Authenticators<'a> {
    pub fn read(sink: &Sink, node: Option<&'a Node>, union: &Union) -> Self {
        let mut by_name = HashMap::new();
        let mut in_order = Vec::new();
        let entries = node.map_or(Ok(&[][..]), |node| {
            sink.at_most(node, MOST, "the credentials of all are looked for in every request")?;
            sink.entries(node)
        });
        for entry in entries.unwrap_or_default() {
            if !by_name.contains_key(entry.key.as_str()) {
                by_name.insert(entry.key.as_str(), authenticator(sink, entry, union));
                in_order.push(entry);
            }
        }
        Self {
            credentials: Credentials::of(by_name.values().flatten()),
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
            let found = self.by_name.get(name).ok_or_else(|| self.unknown(sink, item, name))?;
            Ok(ByName(found.clone()?))
        })?;
        let earlier = found.len().saturating_sub(1);
        let items = sink.items(node)?;
        let misplaced = found.iter().zip(items).take(earlier).map(|(asked, item)| {
            let AuthenticatorKind::Callout(_) = asked.0.kind;
            let name = &asked.0.name;
            Err(sink.fault(item, format!("{name} is a callout, and a callout stands only last")))
        });
        all(misplaced).map(|_: Vec<()>| ())?;
        Ok(found.into_iter().map(|asked| asked.0).collect())
    }

    /// `asked`: None where the rule asks nobody.
    pub fn stripped(&self, asked: Option<&[Arc<Authenticator>]>) -> Arc<[Place]> {
        match asked {
            Some(asked) => self.credentials.stripped(asked.iter()),
            None => self.credentials.stripped(self.by_name.values().flatten()),
        }
    }

    /// Patterns of the headers that allowing answers set for the upstream.
    pub fn accepted(&self) -> Vec<NamePattern> {
        let accepted = self.by_name.values().flatten().flat_map(|known| {
            let AuthenticatorKind::Callout(callout) = &known.kind;
            callout.accept.headers.iter().cloned()
        });
        accepted.collect()
    }

    /// The headers in which credentials may stand, `cookie` included.
    pub fn credential_headers(&self) -> impl Iterator<Item = NamePattern> {
        let places = self
            .by_name
            .values()
            .flatten()
            .flat_map(|known| places(callout_of(known)));
        places.filter_map(|place| match place {
            Place::Header(name) => Some(NamePattern::Exact(names::fold(&name))),
            Place::Cookie(_) | Place::CookiePrefix(_) => NamePattern::parse("cookie").ok(),
        })
    }

    /// Those that no rule asks.
    pub fn unused(&self, used: &HashSet<&str>) -> impl Iterator<Item = &'a Entry> {
        let unused = |entry: &&Entry| !used.contains(entry.key.as_str());
        self.in_order.iter().copied().filter(unused)
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
        let hint = sink.hint(name, self.in_order.iter().map(|entry| entry.key.as_str()));
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
    fn of<'a>(authenticators: impl Iterator<Item = &'a Arc<Authenticator>>) -> Self {
        let withheld = authenticators
            .map(|known| callout_of(known))
            .filter(|callout| !callout.forward)
            .flat_map(places)
            .collect();
        Self {
            withheld,
            lists: Cell::default(),
        }
    }

    fn stripped<'a>(&self, asked: impl Iterator<Item = &'a Arc<Authenticator>>) -> Arc<[Place]> {
        let forwarded: BTreeSet<Place> = asked
            .map(|known| callout_of(known))
            .filter(|callout| callout.forward)
            .flat_map(places)
            .collect();
        let mut lists = self.lists.take();
        let list = lists
            .entry(forwarded)
            .or_insert_with_key(|forwarded| self.withheld.difference(forwarded).cloned().collect());
        let list = Arc::clone(list);
        self.lists.set(lists);
        list
    }
}

fn callout_of(authenticator: &Authenticator) -> &Callout {
    let AuthenticatorKind::Callout(callout) = &authenticator.kind;
    callout
}

/// A callout that is always asked may look at anything; what it goes by is nearly always this.
fn places(callout: &Callout) -> Vec<Place> {
    match &callout.credential {
        Some(places) => places.clone(),
        None => HeaderName::parse("authorization")
            .map(Place::Header)
            .into_iter()
            .collect(),
    }
}

fn authenticator(sink: &Sink, entry: &Entry, union: &Union) -> Checked<Arc<Authenticator>> {
    let name = label(&entry.key).map_err(|message| sink.fault_at(&entry.node, entry.at, message));
    let fields = Fields::of(sink, &entry.node, &KINDS)?;
    let kinds: Vec<&str> = KINDS
        .now
        .iter()
        .chain(KINDS.later)
        .copied()
        .filter(|kind| fields.get(kind).is_some())
        .collect();
    let kind = match kinds.as_slice() {
        [_] => Ok(()),
        [] => Err(sink.fault(&entry.node, "exactly one kind is needed: callout")),
        _ => {
            let kinds = kinds.join(" and ");
            Err(sink.fault(&entry.node, format!("exactly one kind is needed, found {kinds}")))
        }
    };
    let callout = fields.optional("callout", |node| callout::read(sink, node, union));
    kind?;
    name?;
    Ok(Arc::new(Authenticator {
        name: entry.key.as_str().into(),
        kind: AuthenticatorKind::Callout(fields.or_postponed(callout?)?),
    }))
}

fn label(name: &str) -> Result<(), String> {
    if name == "none" {
        return Err("none is the word for asking nobody, and no name".into());
    }
    names::label(name)
}

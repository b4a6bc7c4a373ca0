//! Reading nodes: what is expected, and a fault when it is something else.

#[cfg(feature = "cli")]
use super::expected::Expected;
use super::node::{Entry, Node, Value, quoted};
use super::sink::{Checked, Faulted, Sink};
use super::unit;
use crate::order;
use crate::rule::WordHasher;
use std::fmt::Display;
use std::hash::{Hash, Hasher};
use std::ops::RangeInclusive;
use std::time::Duration;

/// What a message says where a policy holds a secret; the secret itself is not shown again.
pub const VISIBLE: &str = "a policy is visible in config dumps";

/// An object whose fields are known by name.
#[derive(Clone, Copy)]
pub struct Fields<'a> {
    pub node: &'a Node,
    entries: &'a [Entry],
    postponed: Option<Faulted>,
    sink: &'a Sink,
}

/// `later`: fields of the contract that this version does not have yet.
pub struct Known {
    pub now: &'static [&'static str],
    pub later: &'static [&'static str],
}

impl<'a> Fields<'a> {
    pub fn of(sink: &'a Sink, node: &'a Node, known: &Known) -> Checked<Self> {
        let entries = sink.entries(node)?;
        #[cfg(feature = "cli")]
        sink.note(node, || Expected::Fields(known.now));
        let mut postponed = None;
        for entry in entries {
            let name = entry.key.as_str();
            if known.later.contains(&name) {
                postponed = Some(sink.fault_at(&entry.node, entry.at, not_yet()));
            } else if !known.now.contains(&name) {
                let hint = match is_secret(name) {
                    true => format!(": {VISIBLE}, so no secret stands in it"),
                    false => sink.hint(name, known.now.iter().chain(known.later).copied()),
                };
                let message = format!("unknown field {}{hint}", quoted(name));
                sink.fault_at(node, entry.at, message);
            }
        }
        Ok(Self {
            node,
            entries,
            postponed,
            sink,
        })
    }

    /// The first of that name; a second one is a fault of its own.
    pub fn get(&self, name: &str) -> Option<&'a Node> {
        let entry = self.entries.iter().find(|entry| entry.key == name)?;
        Some(&entry.node)
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// `remedy` follows the name: `: it has no default, write deny or allow`.
    pub fn required(&self, name: &str, remedy: &str) -> Checked<&'a Node> {
        #[cfg(feature = "cli")]
        self.sink.note(self.node, || Expected::Required(name.to_owned()));
        self.get(name)
            .ok_or_else(|| self.sink.fault(self.node, format!("missing field {name}{remedy}")))
    }

    /// A value that is there unless a field of a later version stands for it.
    pub fn or_postponed<T>(&self, value: Option<T>) -> Checked<T> {
        value.ok_or_else(|| {
            self.postponed
                .unwrap_or_else(|| self.sink.fault(self.node, "nothing is given"))
        })
    }

    pub fn optional<T>(&self, name: &str, read: impl FnOnce(&'a Node) -> Checked<T>) -> Checked<Option<T>> {
        self.get(name).map(read).transpose()
    }
}

/// Where somebody looks for a place for a secret. What stands there is shown nowhere.
fn is_secret(name: &str) -> bool {
    ["key", "secret", "private_key", "client_secret", "password", "token"].contains(&name)
}

/// What `experiments` and its like say until their version comes.
pub fn not_yet() -> String {
    format!("not in this version of meshgate ({})", env!("CARGO_PKG_VERSION"))
}

impl Sink {
    pub fn expected(&self, node: &Node, what: &str) -> Faulted {
        self.fault(node, format!("expected {what}, found {}", node.shown()))
    }

    pub fn entries<'a>(&self, node: &'a Node) -> Checked<&'a [Entry]> {
        match &node.value {
            Value::Map(entries) => Ok(entries),
            _ => Err(self.expected(node, "an object")),
        }
    }

    pub fn items<'a>(&self, node: &'a Node) -> Checked<&'a [Node]> {
        match &node.value {
            Value::List(items) => Ok(items),
            _ => Err(self.expected(node, "a list")),
        }
    }

    pub fn text<'a>(&self, node: &'a Node) -> Checked<&'a str> {
        match &node.value {
            Value::Text(text) => Ok(text),
            Value::Number(value) => Err(self.quote(node, value)),
            Value::Bool(value) => Err(self.quote(node, value)),
            // YAML reads `x-user-id: {subject}` so.
            Value::Map(_) => {
                Err(self.expected_then(node, "text", "a value that begins with { stands in quotes".into()))
            }
            _ => Err(self.expected(node, "text")),
        }
    }

    fn quote(&self, node: &Node, value: &dyn Display) -> Faulted {
        self.expected_then(node, "text", format!("write \"{value}\""))
    }

    fn expected_then(&self, node: &Node, what: &str, remedy: String) -> Faulted {
        let found = node.shown();
        self.fault(node, format!("expected {what}, found {found}: {remedy}"))
    }

    pub fn flag(&self, node: &Node) -> Checked<bool> {
        #[cfg(feature = "cli")]
        self.note(node, || Expected::Flag);
        match &node.value {
            Value::Bool(value) => Ok(*value),
            _ => Err(self.expected(node, "true or false")),
        }
    }

    pub fn whole(&self, node: &Node, allowed: RangeInclusive<u64>) -> Checked<u64> {
        #[cfg(feature = "cli")]
        self.note(node, || Expected::Whole(*allowed.start(), *allowed.end()));
        let value = match &node.value {
            Value::Number(value) => value.as_u64(),
            _ => None,
        };
        value.filter(|value| allowed.contains(value)).ok_or_else(|| {
            let (from, to) = allowed.into_inner();
            self.expected(node, &format!("a whole number from {from} to {to}"))
        })
    }

    pub fn parsed<T>(&self, node: &Node, parse: impl FnOnce(&str) -> Result<T, String>) -> Checked<T> {
        parse(self.text(node)?).map_err(|message| self.fault(node, message))
    }

    /// One of a few fixed words.
    pub fn word<T: Copy>(&self, node: &Node, words: &[(&str, T)]) -> Checked<T> {
        let known = || words.iter().map(|(word, _)| *word);
        #[cfg(feature = "cli")]
        self.note(node, || Expected::Words(known().map(str::to_owned).collect()));
        let Some(text) = node.text() else {
            return Err(self.expected(node, &either(known())));
        };
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => Ok(*value),
            None => {
                let text = quoted(text);
                let either = either(known());
                Err(self.fault(node, format!("unknown word {text}: write {either}")))
            }
        }
    }

    pub fn duration(&self, node: &Node, allowed: RangeInclusive<Duration>) -> Checked<Duration> {
        #[cfg(feature = "cli")]
        self.note(node, || Expected::Duration);
        if let Value::Number(number) = &node.value {
            // Nobody waits for a hundred seconds, and nobody for less than a tenth of one.
            let unit = if number.as_f64() < Some(100.0) { "s" } else { "ms" };
            return Err(self.unitless(node, format!("{number}{unit}")));
        }
        let value = self.parsed(node, unit::duration)?;
        self.within(node, value, &allowed, unit::shown_duration)
    }

    /// A part is shorter than the whole.
    pub fn below(&self, node: &Node, value: Duration, timeout: Option<Duration>) -> Checked<Duration> {
        match timeout {
            Some(timeout) if value >= timeout => {
                let message = format!("{value:?} is not below the timeout of {timeout:?}");
                Err(self.fault(node, message))
            }
            _ => Ok(value),
        }
    }

    pub fn size(&self, node: &Node, allowed: RangeInclusive<u64>) -> Checked<u64> {
        #[cfg(feature = "cli")]
        self.note(node, || Expected::Size);
        if let Value::Number(number) = &node.value {
            let kib = number.as_u64().filter(|n| *n > 0 && n % 1024 == 0);
            let with_unit = match kib {
                Some(bytes) => format!("{}KiB", bytes / 1024),
                None => format!("{number}B"),
            };
            return Err(self.unitless(node, with_unit));
        }
        let value = self.parsed(node, unit::size)?;
        self.within(node, value, &allowed, unit::shown_size)
    }

    fn unitless(&self, node: &Node, with_unit: String) -> Faulted {
        let found = node.shown();
        self.fault(node, format!("{found} has no unit: write {with_unit}"))
    }

    fn within<T: PartialOrd + Copy>(
        &self,
        node: &Node,
        value: T,
        allowed: &RangeInclusive<T>,
        show: impl Fn(T) -> String,
    ) -> Checked<T> {
        if allowed.contains(&value) {
            return Ok(value);
        }
        let (from, to) = (show(*allowed.start()), show(*allowed.end()));
        let found = node.text().unwrap_or_default();
        Err(self.fault(node, format!("{found} is outside {from} to {to}")))
    }

    /// Every item is read, whatever is wrong with the others.
    pub fn list<'a, T>(&self, node: &'a Node, read: impl FnMut(&'a Node) -> Checked<T>) -> Checked<Vec<T>> {
        all(self.items(node)?.iter().map(read))
    }

    /// `why` says what a longer list would cost.
    pub fn at_most(&self, node: &Node, most: usize, why: &str) -> Checked<()> {
        match length(node) {
            count if count > most => Err(self.fault(node, format!("{count} entries, at most {most}: {why}"))),
            _ => Ok(()),
        }
    }

    /// As `list`; an empty one is a fault.
    pub fn some<'a, T>(&self, node: &'a Node, read: impl FnMut(&'a Node) -> Checked<T>) -> Checked<Vec<T>> {
        all(self.some_checked(node, read)?.into_iter())
    }

    /// As `some`; a second one that is equal is a fault.
    pub fn distinct<'a, T: Hash + Eq>(
        &self,
        node: &'a Node,
        read: impl FnMut(&'a Node) -> Checked<T>,
    ) -> Checked<Vec<T>> {
        let mut found = self.some_checked(node, read)?;
        let hashes = found.iter().enumerate().filter_map(|(position, value)| {
            let mut hasher = WordHasher::default();
            value.as_ref().ok()?.hash(&mut hasher);
            Some((hasher.finish(), position))
        });
        let equal = |one: usize, other: usize| match (found.get(one), found.get(other)) {
            (Some(Ok(one)), Some(Ok(other))) => one == other,
            _ => false,
        };
        let items = self.items(node)?;
        for position in repeated(&hashes.collect::<Vec<_>>(), &equal) {
            if let (Some(value), Some(item)) = (found.get_mut(position), items.get(position)) {
                *value = Err(self.fault(item, "listed twice"));
            }
        }
        all(found.into_iter())
    }

    fn some_checked<'a, T>(
        &self,
        node: &'a Node,
        read: impl FnMut(&'a Node) -> Checked<T>,
    ) -> Checked<Vec<Checked<T>>> {
        match self.items(node)? {
            [] => Err(self.fault(node, "empty list: name one, or leave the field out")),
            items => Ok(items.iter().map(read).collect()),
        }
    }
}

/// The positions whose value stands at an earlier one, too. `hashes`: with their positions. One function for
/// values of every type; a hash set would be compiled for each.
fn repeated(hashes: &[(u64, usize)], equal: &dyn Fn(usize, usize) -> bool) -> Vec<usize> {
    let at = |nth: usize| hashes.get(nth).copied().unwrap_or_default();
    let order = order::positions(hashes.len(), &|one, other| at(one).cmp(&at(other)));
    let mut repeated = Vec::new();
    for alike in order.chunk_by(|one, other| at(*one).0 == at(*other).0) {
        for (nth, later) in alike.iter().enumerate() {
            let mut earlier = alike.iter().take(nth);
            if earlier.any(|earlier| equal(at(*earlier).1, at(*later).1)) {
                repeated.push(at(*later).1);
            }
        }
    }
    order::distinct(repeated, usize::cmp)
}

/// What [`Sink::at_most`] counts.
fn length(node: &Node) -> usize {
    match &node.value {
        Value::List(items) => items.len(),
        Value::Map(entries) => entries.len(),
        _ => 0,
    }
}

/// Reads to the end, then fails if any failed.
pub fn all<T>(results: impl Iterator<Item = Checked<T>>) -> Checked<Vec<T>> {
    let mut values = Vec::new();
    // Lists are short, and a vector that grows by itself begins with room for four. In the module, where this is compiled
    // for fifty types, it would cost more than it saves.
    #[cfg(feature = "cli")]
    values.reserve_exact(results.size_hint().0);
    let mut failed = None;
    for result in results {
        match result {
            Ok(value) => values.push(value),
            Err(faulted) => failed = Some(faulted),
        }
    }
    failed.map_or(Ok(values), Err)
}

/// `a, b or c`
pub fn either<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<&str> = words.collect();
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

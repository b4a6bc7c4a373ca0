//! What another policy changes: in its text, and for requests.

mod movement;

pub use movement::Movement;

use super::asked::Asked;
use super::caller::Known;
use super::cases::Case;
use super::edges::Edges;
use super::mask::Mask;
use super::shown::shown;
use super::world::{Decision, Undecided, Who, World};
use crate::authn::Principal;
use crate::memory::Memory;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Generated requests: 40 teams of 80 rules make less, and as many take some seconds.
pub const MOST_REQUESTS: usize = 200_000;
/// Classes that are told; what is beyond is counted.
const MOST_CLASSES: usize = 500;

/// Fields are what `--json` prints.
#[derive(Debug, Serialize)]
pub struct Difference {
    pub texts: Vec<Change>,
    pub classes: Vec<Class>,
    /// Experiments of which somebody changes the variant.
    pub callers: Vec<Movement>,
    /// Classes that are not told.
    pub beyond: usize,
    /// Pairs of a request and a caller that were decided about under both.
    pub tried: usize,
    /// There were more requests to try.
    pub cut: bool,
}

/// Something that is written otherwise.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// `rules.orders.require.groups.any_of`
    pub path: String,
    /// None: it was not there.
    pub old: Option<String>,
    /// None: it is gone.
    pub new: Option<String>,
}

/// Requests that end otherwise, in one way.
#[derive(Debug, Serialize)]
pub struct Class {
    pub caller: &'static str,
    pub old: String,
    pub new: String,
    /// Names of headers that the upstream, or the client, sees otherwise.
    pub headers: Vec<String>,
    pub requests: usize,
    /// One of them.
    pub example: String,
}

/// A policy, and the one document that it is.
pub struct Side<'a> {
    pub world: &'a World,
    pub json: &'a str,
}

pub fn difference(old: &Side, new: &Side, cases: &[Case]) -> Difference {
    difference_of(old, new, cases, MOST_REQUESTS)
}

fn difference_of(old: &Side, new: &Side, cases: &[Case], most: usize) -> Difference {
    let mut edges = Edges::new(most);
    edges.of(&old.world.policy);
    edges.of(&new.world.policy);
    let mut sides = [(old.world, old.world.memory()), (new.world, new.world.memory())];
    let mut classes = Classes {
        masks: [Mask::of(&old.world.policy), Mask::of(&new.world.policy)],
        ..Classes::default()
    };
    let anybody = Known(Principal {
        subject: "somebody".to_owned(),
        ..Principal::nobody()
    });
    for edge in &edges.found {
        let asks = classes.look("nobody", &edge.asked, &Who::Shown, &mut sides);
        if !asks {
            continue;
        }
        classes.look("somebody", &edge.asked, &Who::Known(anybody.clone()), &mut sides);
        for caller in edge.callers.iter() {
            classes.look(
                "as require has it",
                &edge.asked,
                &Who::Known(caller.clone()),
                &mut sides,
            );
        }
    }
    for case in cases {
        // Its service may say what is remembered: each meets a world of its own.
        let mut fresh = [(old.world, old.world.memory()), (new.world, new.world.memory())];
        classes.look("of a case", &case.asked, &case.who, &mut fresh);
    }
    let texts = texts(old.json, new.json);
    let mut found: Vec<Class> = classes.found.into_values().collect();
    found.sort_by_key(|class| std::cmp::Reverse(class.requests));
    let beyond = found.len().saturating_sub(MOST_CLASSES);
    found.truncate(MOST_CLASSES);
    Difference {
        texts,
        classes: found,
        callers: movement::movements(old, new),
        beyond,
        tried: classes.tried,
        cut: edges.is_full(),
    }
}

/// How a request ends.
#[derive(Debug, PartialEq, Eq)]
struct End {
    text: String,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The rule asks who calls.
    asks: bool,
}

#[derive(Default)]
struct Classes {
    found: BTreeMap<(&'static str, String, String, Vec<String>), Class>,
    masks: [Mask; 2],
    tried: usize,
}

impl Classes {
    /// Whether it matters who calls.
    fn look(&mut self, caller: &'static str, asked: &Asked, who: &Who, sides: &mut [(&World, Memory); 2]) -> bool {
        self.tried += 1;
        let [(old, remembers), (new, remembers_too)] = sides;
        let (old, new) = (end(old, remembers, asked, who), end(new, remembers_too, asked, who));
        if old != new {
            let headers = names_that_differ(&old.headers, &new.headers);
            let [mask, other] = &self.masks;
            let key = (caller, old.text.clone(), new.text.clone(), headers.clone());
            let class = self.found.entry(key).or_insert_with(|| Class {
                caller,
                old: old.text.clone(),
                new: new.text.clone(),
                headers,
                requests: 0,
                example: example(asked, mask, other),
            });
            class.requests += 1;
        }
        old.asks || new.asks
    }
}

fn end(world: &World, memory: &mut Memory, asked: &Asked, who: &Who) -> End {
    let decided = match world.decide(memory, asked, who) {
        Ok(decided) => decided,
        Err(text) => {
            return End {
                text,
                headers: Vec::new(),
                asks: true,
            };
        }
    };
    let record = decided.record();
    let rule = record.and_then(|record| record.rule.as_ref());
    let mut text = match record {
        Some(record) => {
            let rule = rule.map_or("no rule", |rule| &rule.name);
            let mut text = format!("{rule}: {}", record.outcome.word());
            if !record.cause.is_empty() {
                write!(text, " ({})", record.cause).unwrap_or_default();
            }
            if let Some(authenticator) = &record.authenticator {
                write!(text, ", {authenticator}").unwrap_or_default();
            }
            for (rule, outcome) in &record.shadows {
                write!(text, ", shadow {}: {}", rule.name, outcome.word()).unwrap_or_default();
            }
            text
        }
        None => String::new(),
    };
    let mut headers = match &decided.decision {
        Decision::Forward(forward) => {
            let seen = forward.edits.apply(&asked.headers).into_iter();
            let mut all: Vec<_> = seen.map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
            all.extend(forward.on_response.to_client.iter().cloned());
            all
        }
        Decision::Refuse(refuse) => {
            write!(text, ", {}", refuse.reply.status).unwrap_or_default();
            refuse.reply.headers.clone()
        }
        Decision::Undecided(Undecided::Answer { authenticator }) => {
            write!(text, "asks {authenticator}").unwrap_or_default();
            let asked = decided.question.iter().flat_map(|question| question.headers.iter());
            asked.map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
        }
        Decision::Undecided(Undecided::Keys { authenticator }) => {
            write!(text, "needs the keys of {authenticator}").unwrap_or_default();
            Vec::new()
        }
    };
    // A signature differs each time: who is told what stands in the others.
    if let Some(assertion) = &world.policy.assertion {
        let signed = assertion.header.as_str().as_bytes();
        headers
            .iter_mut()
            .filter(|(name, _)| name == signed)
            .for_each(|(_, value)| value.clear());
    }
    headers.sort_unstable();
    let asks = match record {
        Some(_) => rule.is_some_and(|rule| rule.gate().is_some()),
        None => true,
    };
    End { text, headers, asks }
}

fn names_that_differ(old: &[(Vec<u8>, Vec<u8>)], new: &[(Vec<u8>, Vec<u8>)]) -> Vec<String> {
    let only = |these: &[(Vec<u8>, Vec<u8>)], those: &[(Vec<u8>, Vec<u8>)]| -> Vec<String> {
        let missing = these.iter().filter(|pair| those.binary_search(pair).is_err());
        missing.map(|(name, _)| shown(name)).collect()
    };
    let mut names = only(old, new);
    names.extend(only(new, old));
    names.sort_unstable();
    names.dedup();
    names
}

/// In one line, as `meshgate explain` is asked.
fn example(asked: &Asked, mask: &Mask, other: &Mask) -> String {
    let part = |name| asked.headers.first(name).unwrap_or_default();
    let mut text = shown(part(":method"));
    match asked.headers.first(":path") {
        Some(target) => {
            write!(
                text,
                " {}://{}{}",
                shown(part(":scheme")),
                shown(part(":authority")),
                mask.target(target)
            )
        }
        None => write!(text, " {}", shown(part(":authority"))),
    }
    .unwrap_or_default();
    for (name, value) in asked.headers.iter().filter(|(name, _)| name.first() != Some(&b':')) {
        let value = match other.hides(name) {
            true => other.header(name, value),
            false => mask.header(name, value),
        };
        write!(text, " -H '{}: {value}'", shown(name)).unwrap_or_default();
    }
    if let Some(ip) = asked.from.ip.filter(|ip| !ip.to_string().starts_with("192.0.2.")) {
        write!(text, " --client-ip {ip}").unwrap_or_default();
    }
    if let Some(peer) = &asked.from.peer {
        write!(text, " --peer {}", shown(peer.as_bytes())).unwrap_or_default();
    }
    text
}

/// Both documents are policies, so that they are JSON.
fn texts(old: &str, new: &str) -> Vec<Change> {
    let read = |text| serde_json::from_str(text).unwrap_or(Value::Null);
    let mut changes = Vec::new();
    compare(&mut String::new(), &read(old), &read(new), &mut changes);
    changes
}

fn compare(path: &mut String, old: &Value, new: &Value, changes: &mut Vec<Change>) {
    match (old, new) {
        _ if old == new => {}
        (Value::Object(old), Value::Object(new)) => {
            let entries = |of: &serde_json::Map<String, Value>| of.clone().into_iter().collect();
            each(path, entries(old), entries(new), changes);
        }
        (Value::Array(old), Value::Array(new)) if named(old) && named(new) => {
            let entries = |of: &[Value]| of.iter().map(|item| (name(item).to_owned(), item.clone())).collect();
            let (old, new): (Vec<_>, Vec<_>) = (entries(old), entries(new));
            let order = |these: &[(String, Value)], those: &[(String, Value)]| -> Vec<String> {
                let known = |name: &&String| those.iter().any(|(other, _)| other == *name);
                these.iter().map(|(name, _)| name).filter(known).cloned().collect()
            };
            let (before, after) = (order(&old, &new), order(&new, &old));
            if before != after {
                changes.push(Change {
                    path: format!("{path} (order)"),
                    old: Some(before.join(", ")),
                    new: Some(after.join(", ")),
                });
            }
            each(path, old, new, changes);
        }
        _ => changes.push(Change {
            path: path.clone(),
            old: Some(old.to_string()),
            new: Some(new.to_string()),
        }),
    }
}

fn each(path: &mut String, old: Vec<(String, Value)>, new: Vec<(String, Value)>, changes: &mut Vec<Change>) {
    let length = path.len();
    let mut at: BTreeMap<&str, (Option<&Value>, Option<&Value>)> = BTreeMap::new();
    old.iter()
        .for_each(|(name, value)| at.entry(name).or_default().0 = Some(value));
    new.iter()
        .for_each(|(name, value)| at.entry(name).or_default().1 = Some(value));
    for (name, pair) in at {
        if length > 0 {
            path.push('.');
        }
        path.push_str(name);
        match pair {
            (Some(old), Some(new)) => compare(path, old, new, changes),
            (old, new) => changes.push(Change {
                path: path.clone(),
                old: old.map(ToString::to_string),
                new: new.map(ToString::to_string),
            }),
        }
        path.truncate(length);
    }
}

/// Whether all have a name of their own.
fn named(items: &[Value]) -> bool {
    let mut names: Vec<&str> = items.iter().map(name).collect();
    names.sort_unstable();
    names.dedup();
    names.len() == items.len() && !names.contains(&"")
}

fn name(item: &Value) -> &str {
    item.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// For a person.
pub fn table(difference: &Difference) -> String {
    let Difference {
        texts,
        classes,
        callers,
        beyond,
        tried,
        cut,
    } = difference;
    let mut out = String::new();
    for Change { path, old, new } in texts {
        match (old, new) {
            (None, Some(new)) => writeln!(out, "+ {path}: {}", short(new)),
            (Some(old), None) => writeln!(out, "- {path}: {}", short(old)),
            (old, new) => {
                let (old, new) = (old.as_deref().unwrap_or_default(), new.as_deref().unwrap_or_default());
                writeln!(out, "~ {path}: {} -> {}", short(old), short(new))
            }
        }
        .unwrap_or_default();
    }
    if texts.is_empty() {
        out.push_str("the policies are written alike\n");
    }
    out.push('\n');
    movement::told(callers, &mut out);
    if !classes.is_empty() {
        let mut rows = vec![["requests", "caller", "old", "new", "for example"].map(str::to_owned)];
        for class in classes {
            let new = match class.headers.as_slice() {
                names if class.old == class.new => format!("other headers: {}", names.join(", ")),
                _ => class.new.clone(),
            };
            let count = class.requests.to_string();
            rows.push([
                count,
                class.caller.to_owned(),
                class.old.clone(),
                new,
                class.example.clone(),
            ]);
        }
        let width = |column: usize| {
            let widths = rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count());
            widths.max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..4).map(width).collect();
        for row in &rows {
            let cells = row.iter().zip(widths.iter().chain([&0]));
            let line: Vec<String> = cells.map(|(cell, width)| format!("{cell:<width$}")).collect();
            writeln!(out, "{}", line.join("  ").trim_end()).unwrap_or_default();
        }
        out.push('\n');
    }
    if *beyond > 0 {
        writeln!(out, "and {beyond} classes more").unwrap_or_default();
    }
    let more = if *cut { ", and there were more to try" } else { "" };
    let end = match classes.is_empty() {
        true => "none ends otherwise".to_owned(),
        false => format!(
            "{} end otherwise",
            classes.iter().map(|class| class.requests).sum::<usize>()
        ),
    };
    writeln!(out, "{tried} requests of callers tried{more}: {end}").unwrap_or_default();
    out
}

fn short(text: &str) -> String {
    const SHOWN: usize = 100;
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

//! One policy of many files.

use super::{Folder, Kind, field_mut, kind};
use crate::config::fault::Mark;
use crate::config::node::{Entry, Node, Value};
use std::collections::HashMap;

/// Where a rule of the built policy was written.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    pub file: usize,
    /// In the `rules` of its file.
    pub index: usize,
    pub at: Option<Mark>,
}

impl Folder {
    /// The platform's document with the rules and experiments of all teams behind its own, each named after its team. None where
    /// there is no platform to begin with. Beside it, by rule: which file it is of, and where in it.
    pub fn merge(&self, trees: Node, positions: &HashMap<u32, usize>) -> (Option<Node>, Vec<Origin>) {
        let Value::Map(entries) = trees.value else {
            return (None, vec![]);
        };
        let take_rules = |fields: &mut Vec<Entry>, file| -> Vec<(Node, Origin)> {
            let rules = take_rules(fields).into_iter();
            let with_origin = rules.map(|rule| {
                let index = positions.get(&rule.id).copied().unwrap_or_default();
                let at = rule.at;
                (rule, Origin { file, index, at })
            });
            with_origin.collect()
        };
        let (mut platform, mut own, mut teams, mut experiments) = (None, vec![], vec![], vec![]);
        for (file, (entry, kind)) in entries.into_iter().zip(self.files.iter().map(kind)).enumerate() {
            match (kind, entry.node.value) {
                (Some(Kind::Platform), Value::Map(mut fields)) => {
                    fields.retain(|field| field.key != "teams");
                    own = take_rules(&mut fields, file);
                    platform = Some((fields, entry.node.at));
                }
                (Some(Kind::Team(team)), Value::Map(mut fields)) => {
                    let mut rules = take_rules(&mut fields, file);
                    let mut defined = take_experiments(&mut fields);
                    for (rule, _) in &mut rules {
                        rename(rule, team);
                        name_own(rule, team, &defined);
                    }
                    for entry in &mut defined {
                        entry.key = format!("{team}/{}", entry.key);
                    }
                    experiments.append(&mut defined);
                    teams.append(&mut rules);
                }
                _ => {}
            }
        }
        let Some((mut fields, at)) = platform else {
            return (None, vec![]);
        };
        if !experiments.is_empty() {
            let known = fields.iter_mut().find(|field| field.key == "experiments");
            match known.map(|field| &mut field.node.value) {
                Some(Value::Map(entries)) => entries.append(&mut experiments),
                // Of another kind than an object: the decoder says so.
                Some(_) => {}
                None => fields.push(Entry {
                    key: "experiments".into(),
                    at,
                    node: Node::new(Value::Map(experiments), at),
                }),
            }
        }
        let (rules, origins) = own.into_iter().chain(teams).unzip();
        if let Some(position) = fields.iter().position(|field| field.key == "rules") {
            // Of another kind than a list: the decoder says so.
            let no_list = |field: &Entry| !matches!(field.node.value, Value::List(_));
            if fields.get(position).is_some_and(no_list) {
                return (Some(Node::new(Value::Map(fields), at)), origins);
            }
            fields.remove(position);
        }
        fields.push(Entry {
            key: "rules".into(),
            at,
            node: Node::new(Value::List(rules), at),
        });
        (Some(Node::new(Value::Map(fields), at)), origins)
    }
}

/// By the number of its node, where each rule stands in its file. Rules of other environments are taken out of
/// the trees, and numbers stay.
pub fn positions(trees: &Node) -> HashMap<u32, usize> {
    let Value::Map(entries) = &trees.value else {
        return HashMap::new();
    };
    let rules = entries
        .iter()
        .filter_map(|entry| match &entry.node.field("rules")?.value {
            Value::List(rules) => Some(rules),
            _ => None,
        });
    rules
        .flat_map(|rules| rules.iter().enumerate().map(|(index, rule)| (rule.id, index)))
        .collect()
}

/// The rules of one file; what is no list stays for the decoder to refuse.
fn take_rules(fields: &mut [Entry]) -> Vec<Node> {
    let entry = fields.iter_mut().find(|entry| entry.key == "rules");
    match entry.map(|entry| &mut entry.node.value) {
        Some(Value::List(items)) => std::mem::take(items),
        _ => vec![],
    }
}

/// The experiments that a team defines; what is no object has its fault already.
fn take_experiments(fields: &mut [Entry]) -> Vec<Entry> {
    let entry = fields.iter_mut().find(|entry| entry.key == "experiments");
    match entry.map(|entry| &mut entry.node.value) {
        Some(Value::Map(entries)) => std::mem::take(entries),
        _ => vec![],
    }
}

/// A team's rule means its team's experiment, where there are two of a name.
fn name_own(rule: &mut Node, team: &str, own: &[Entry]) {
    let Some(Value::List(items)) = field_mut(rule, "experiments").map(|node| &mut node.value) else {
        return;
    };
    for item in items {
        if let Value::Text(name) = &mut item.value
            && own.iter().any(|entry| entry.key == *name)
        {
            *name = format!("{team}/{name}");
        }
    }
}

fn rename(rule: &mut Node, team: &str) {
    if let Some(Value::Text(name)) = field_mut(rule, "name").map(|node| &mut node.value) {
        *name = format!("{team}/{name}");
    }
}

//! `environments: [test, pre]` on rules, authenticators and an experiment's `force`: elsewhere they do not exist.

use super::{Folder, Kind, field_mut, trees_mut, unknown};
use crate::config::node::{Entry, Node, Value};
use crate::config::sink::Sink;

const FIELD: &str = "environments";

/// Takes out what is not of this environment, and the field itself from what is.
pub fn narrow(sink: &Sink, folder: &Folder, trees: &mut Node, environment: Option<&str>) {
    let known = folder.environments();
    let here = Here {
        sink,
        known: &known,
        environment,
    };
    let kinds: Vec<Option<Kind>> = folder.files.iter().map(super::kind).collect();
    for (entry, kind) in trees_mut(trees).iter_mut().zip(kinds) {
        let tree = &mut entry.node;
        if !matches!(kind, Some(Kind::Platform | Kind::Team(_))) {
            continue;
        }
        if let Some(Value::List(rules)) = field_mut(tree, "rules").map(|node| &mut node.value) {
            rules.retain_mut(|rule| here.keeps(rule));
        }
        if let Some(Value::Map(authenticators)) = field_mut(tree, "authenticators").map(|node| &mut node.value) {
            authenticators.retain_mut(|entry| here.keeps(&mut entry.node));
        }
        if let Some(Value::Map(experiments)) = field_mut(tree, "experiments").map(|node| &mut node.value) {
            for experiment in experiments {
                if let Value::Map(fields) = &mut experiment.node.value {
                    fields.retain_mut(|field| field.key != "force" || here.keeps(&mut field.node));
                }
            }
        }
    }
}

struct Here<'a> {
    sink: &'a Sink,
    known: &'a [&'a str],
    environment: Option<&'a str>,
}

impl Here<'_> {
    /// What has a fault stays, so that its other faults are told, too.
    fn keeps(&self, node: &mut Node) -> bool {
        let Value::Map(fields) = &mut node.value else {
            return true;
        };
        let Some(position) = fields.iter().position(|field| field.key == FIELD) else {
            return true;
        };
        let listed = fields.remove(position);
        self.names_this(&listed)
    }

    fn names_this(&self, listed: &Entry) -> bool {
        if self.known.is_empty() {
            let message = "there are no environments: write env/NAME.yaml, which may be empty";
            self.sink.fault_at(&listed.node, listed.at, message);
            return true;
        }
        let names = self.sink.distinct(&listed.node, |item| {
            let name = self.sink.text(item)?;
            if !self.known.contains(&name) {
                let message = unknown("there is no environment", name, self.known.iter().copied());
                return Err(self.sink.fault(item, message));
            }
            Ok(name)
        });
        names.map_or(true, |names| names.iter().any(|name| Some(*name) == self.environment))
    }
}

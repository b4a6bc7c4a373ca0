//! What is worth a look though it is no fault. Only the command line looks: in Envoy nobody would read it.

use super::experiments::advice;
use super::node::{Entry, Node, Value};
use super::sink::Sink;
use super::{Fault, node};
use crate::identity::{Part, Template};
use crate::policy::{Action, Authenticator, AuthenticatorKind, Gate, Policy, Rule, RuleMode};
use crate::rule::{Match, SegmentPattern, unreachable};
use std::collections::HashSet;
use std::sync::Arc;

/// `policy` is what `root` says.
pub fn warnings(root: &Node, policy: &Policy) -> Vec<Fault> {
    let sink = Sink::default();
    let rules = match root.field("rules").map(|rules| &rules.value) {
        Some(Value::List(rules)) => rules.as_slice(),
        _ => &[],
    };
    for (rule, node) in policy.rules.iter().zip(rules) {
        one_segment(&sink, rule, node);
    }
    mixed_issuers(&sink, root, policy, rules);
    behind_shadows(&sink, policy, rules);
    advice::warn(&sink, root.field("experiments"), policy);
    sink.located(root)
}

/// `/orders/*` reads like «everything below», and is one segment.
fn one_segment(sink: &Sink, rule: &Rule, node: &Node) {
    let paths = node.field("match").and_then(|matched| matched.field("paths"));
    let Some(Value::List(items)) = paths.map(|paths| &paths.value) else {
        return;
    };
    for (pattern, item) in rule.matcher.paths.iter().zip(items) {
        if !pattern.tail && pattern.segments.last() == Some(&SegmentPattern::One) {
            let text = item.text().unwrap_or_default();
            let before = text.strip_suffix('*').unwrap_or(text);
            let message = format!(
                "{} takes one segment: write {before}** for everything below, or {before}{{id}} where one is meant",
                node::quoted(text)
            );
            sink.fault(item, message);
        }
    }
}

/// `42` of two issuers are two callers, and a header that says `42` makes them one.
fn mixed_issuers(sink: &Sink, root: &Node, policy: &Policy, rules: &[Node]) {
    let mut told = HashSet::new();
    for (rule, node) in policy.rules.iter().zip(rules) {
        let Action::Authenticate(gate) = &rule.action else {
            continue;
        };
        let Some(mixed) = mixing(gate) else { continue };
        let own = node.field("identity").and_then(|identity| identity.field("headers"));
        let by_default = root.field("defaults").and_then(|defaults| defaults.field("identity"));
        let by_default = by_default.and_then(|identity| identity.field("headers"));
        let global = root.field("identity").and_then(|identity| identity.field("headers"));
        let nodes = [own, by_default, global].into_iter().flatten();
        for entry in nodes.flat_map(entries).filter(|entry| names_subject(&entry.node)) {
            if told.insert(entry.node.id) {
                let message = format!(
                    "mixes issuers: the same subject of {mixed} is two callers (rule {}): write \
                     \"{{authenticator}}:{{subject}}\", or a header with {{authenticator}} beside it",
                    rule.name
                );
                sink.fault(&entry.node, message);
            }
        }
    }
}

/// The authenticators of a rule whose subjects come from different places, where no header tells them apart.
fn mixing(gate: &Gate) -> Option<String> {
    let names_authenticator = |template: &Template| template.0.contains(&Part::Authenticator);
    if gate.identity.iter().any(|header| names_authenticator(&header.template)) {
        return None;
    }
    let first = gate.authenticators.first()?;
    let other = gate.authenticators.iter().find(|other| !one_issuer(first, other))?;
    Some(format!("{} and {}", first.name, other.name))
}

/// Whether both say the same of the same caller.
pub fn one_issuer(one: &Arc<Authenticator>, other: &Arc<Authenticator>) -> bool {
    match (&one.kind, &other.kind) {
        (AuthenticatorKind::Callout(one), AuthenticatorKind::Callout(other)) => one.cluster == other.cluster,
        _ => one.name == other.name,
    }
}

fn names_subject(template: &Node) -> bool {
    let template = template.text().and_then(|text| Template::parse(text).ok());
    template.is_some_and(|template| template.0.contains(&Part::Subject))
}

/// Once the shadow rules are enforced, nothing is left for these.
fn behind_shadows(sink: &Sink, policy: &Policy, rules: &[Node]) {
    if policy.rules.iter().all(|rule| rule.mode == RuleMode::Enforce) {
        return;
    }
    let matchers: Vec<(&Match, RuleMode)> = policy
        .rules
        .iter()
        .map(|rule| (&rule.matcher, RuleMode::Enforce))
        .collect();
    for (hidden, by) in unreachable(&matchers) {
        let shadows: Vec<&str> = by
            .iter()
            .filter_map(|by| policy.rules.get(*by))
            .filter(|rule| rule.mode == RuleMode::Shadow)
            .map(|rule| &*rule.name)
            .collect();
        if let Some(node) = rules.get(hidden) {
            let names = shadows.join(", ");
            let message = format!("only shadow rules cover it: nothing reaches it once {names} is enforced");
            sink.fault(node, message);
        }
    }
}

fn entries(node: &Node) -> &[Entry] {
    match &node.value {
        Value::Map(entries) => entries,
        _ => &[],
    }
}

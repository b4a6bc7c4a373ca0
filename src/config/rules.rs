//! `rules`, and the `defaults` that fill what a rule leaves out.

mod action;

pub use action::{check_defaults, defaults};

use super::authenticators::Authenticators;
use super::experiments::Experiments;
use super::matching;
use super::names;
use super::node::{Node, quoted};
use super::rate_limits::RateLimits;
use super::read::{Fields, Known, all};
use super::sink::{Checked, Sink};
use super::upstream;
use crate::identity::IdentityHeader;
use crate::policy::{Action, Rule, RuleMode, Upstream};
use crate::request::PathLeniency;
use crate::rule::{Match, unreachable};
use std::collections::HashSet;
use std::sync::Arc;

const RULE: Known = Known {
    now: &[
        "name",
        "match",
        "authenticate",
        "anonymous",
        "refuse",
        "require",
        "identity",
        "cors",
        "mode",
        "paths_raw",
        "forget",
        "rate_limit",
        "upstream",
        "experiments",
    ],
    later: &[],
};
/// Where a policy grows past this it is several policies; the limit keeps an update of the filter,
/// which holds up a worker of Envoy, well below a second.
const MOST: usize = 10_000;
/// Hosts times paths, summed over all rules: ten thousand rules of five hosts and five paths.
const MOST_PLACES: usize = 250_000;

/// What rules refer to.
pub struct Scope<'a> {
    pub sink: &'a Sink,
    pub authenticators: &'a Authenticators<'a>,
    pub identity: &'a Arc<[IdentityHeader]>,
    pub rate_limits: &'a RateLimits<'a>,
    pub experiments: &'a Experiments<'a>,
    pub defaults: Checked<Option<Fields<'a>>>,
    /// Of `defaults`: one for all rules that say nothing else.
    pub upstream: Checked<Option<Arc<Upstream>>>,
    pub verified_peers: bool,
}

/// The half of a rule that says which requests it takes, and the rest, not yet read.
struct Head<'a> {
    fields: Fields<'a>,
    matcher: Checked<Match>,
    mode: Checked<RuleMode>,
}

pub fn read(scope: &Scope, node: &Node) -> Checked<Vec<Arc<Rule>>> {
    let sink = scope.sink;
    sink.at_most(node, MOST, "every worker of Envoy waits while it parses them")?;
    if sink.items(node)?.is_empty() {
        return Err(sink.fault(node, "no rules: every request would be refused"));
    }
    let heads = sink.list(node, |node| Ok(head(scope, node)))?;
    few_places(sink, node, &heads)?;
    let reachable = all_reachable(sink, &heads);
    let unique = unique_names(sink, &heads);
    let rules = all(heads
        .into_iter()
        .enumerate()
        .map(|(position, head)| rule(scope, position, head?).map(Arc::new)));
    reachable?;
    unique?;
    rules
}

fn head<'a>(scope: &Scope<'a>, node: &'a Node) -> Checked<Head<'a>> {
    let sink = scope.sink;
    let fields = Fields::of(sink, node, &RULE)?;
    let matcher = fields.optional("match", |node| matching::read(sink, node, scope.verified_peers));
    let mode = fields.optional("mode", |node| {
        sink.word(node, &[("enforce", RuleMode::Enforce), ("shadow", RuleMode::Shadow)])
    });
    Ok(Head {
        fields,
        matcher: matcher.map(Option::unwrap_or_default),
        mode: mode.map(|mode| mode.unwrap_or(RuleMode::Enforce)),
    })
}

fn few_places(sink: &Sink, node: &Node, heads: &[Checked<Head>]) -> Checked<()> {
    let matchers = heads
        .iter()
        .filter_map(|head| head.as_ref().ok()?.matcher.as_ref().ok());
    let count: usize = matchers
        .map(|matcher| matcher.hosts.len().max(1) * matcher.paths.len().max(1))
        .sum();
    if count > MOST_PLACES {
        let message = format!("{count} pairs of host and path, at most {MOST_PLACES}: each is an entry of the index");
        return Err(sink.fault(node, message));
    }
    Ok(())
}

/// Rules with faults of their own are left out of the comparison.
fn all_reachable(sink: &Sink, heads: &[Checked<Head>]) -> Checked<()> {
    let known: Vec<(usize, &Head, (&Match, RuleMode))> = heads
        .iter()
        .enumerate()
        .filter_map(|(position, head)| {
            let head = head.as_ref().ok()?;
            Some((position, head, (head.matcher.as_ref().ok()?, head.mode.ok()?)))
        })
        .collect();
    let matchers: Vec<_> = known.iter().map(|(_, _, matcher)| *matcher).collect();
    let faults = unreachable(&matchers).into_iter().filter_map(|(hidden, by)| {
        let (_, head, _) = known.get(hidden)?;
        let earlier: Vec<String> = by.iter().filter_map(|by| Some(shown(known.get(*by)?))).collect();
        Some(Err(sink.fault(head.fields.node, hidden_by(&earlier))))
    });
    all(faults).map(|_: Vec<()>| ())
}

fn shown((position, head, _): &(usize, &Head, (&Match, RuleMode))) -> String {
    match head.fields.get("name").and_then(Node::text) {
        Some(name) => format!("rules[{position}] ({name})"),
        None => format!("rules[{position}]"),
    }
}

fn hidden_by(earlier: &[String]) -> String {
    match earlier {
        [one] => format!("unreachable: {one} takes every request it could match"),
        [one, two] => format!("unreachable: {one} and {two} take every request it could match"),
        [one, two, rest @ ..] => {
            let rest = rest.len();
            format!("unreachable: {one}, {two} and {rest} more take every request it could match")
        }
        [] => "unreachable".into(),
    }
}

fn unique_names(sink: &Sink, heads: &[Checked<Head>]) -> Checked<()> {
    let mut seen = HashSet::new();
    let named = heads.iter().filter_map(|head| {
        let node = head.as_ref().ok()?.fields.get("name")?;
        Some((node, node.text()?))
    });
    let twice = named
        .filter(|(_, name)| !seen.insert(*name))
        .map(|(node, name)| Err(sink.fault(node, format!("another rule is named {}", quoted(name)))));
    all(twice).map(|_: Vec<()>| ())
}

fn rule(scope: &Scope, position: usize, head: Head) -> Checked<Rule> {
    let sink = scope.sink;
    let fields = &head.fields;
    let name = fields
        .required("name", ": logs and metrics name the rule that decided")
        .and_then(|node| {
            sink.parsed(node, names::label)?;
            sink.text(node)
        });
    let paths_raw = fields.optional("paths_raw", |node| paths_raw(sink, node));
    let action = action::action(scope, fields, name.unwrap_or_default(), head.matcher.as_ref().ok());
    let rate_limits = action::rate_limits(scope, fields);
    let experiments = action::experiments(scope, fields);
    let public = fields.get("authenticate").and_then(Node::text) == Some("none");
    let upstream = match fields.get("upstream") {
        Some(node) => upstream::read(sink, node, !public).map(Some),
        None => scope.upstream.clone(),
    };
    let action = action?;
    let asked = match &action {
        Action::Authenticate(gate) => Some(gate.authenticators.as_slice()),
        Action::Refuse(_) | Action::Public => None,
    };
    let experiments = experiments?;
    let strip_credentials = action::with_forced(scope.authenticators.stripped(asked), &experiments);
    Ok(Rule {
        name: name?.into(),
        position,
        matcher: head.matcher?,
        paths_raw: paths_raw?.unwrap_or_default(),
        mode: head.mode?,
        action,
        rate_limits: rate_limits?,
        strip_credentials,
        experiments: experiments.into(),
        upstream: upstream?,
    })
}

fn paths_raw(sink: &Sink, node: &Node) -> Checked<PathLeniency> {
    let words = ["encoded_slash", "semicolon", "empty_segment"].map(|word| (word, word));
    let listed = sink.distinct(node, |item| sink.word(item, &words))?;
    Ok(PathLeniency {
        encoded_slash: listed.contains(&"encoded_slash"),
        semicolon: listed.contains(&"semicolon"),
        empty_segment: listed.contains(&"empty_segment"),
    })
}

//! What a rule does with its requests: refuses them, lets them pass, or asks who calls. What it
//! asks and does not say itself is taken from `defaults`, whole fields at a time.

use super::Scope;
use crate::authz::Require;
use crate::config::identity;
use crate::config::node::{Node, Value};
use crate::config::read::{Fields, Known, all};
use crate::config::require::{self, Around};
use crate::config::sink::{Checked, Faulted, Sink};
use crate::experiment::{Experiment, Kind};
use crate::order;
use crate::policy::{Action, Anonymous, Authenticator, Forget, Gate, Place, Preflight};
use crate::rate_limit::RateLimit;
use crate::rule::Match;
use std::collections::HashSet;
use std::sync::Arc;

const DEFAULTS: Known = Known {
    now: &[
        "authenticate",
        "anonymous",
        "require",
        "identity",
        "cors",
        "rate_limit",
        "upstream",
        "experiments",
    ],
    later: &[],
};
const CORS: Known = Known {
    now: &["preflight"],
    later: &[],
};
/// What a rule asks of its callers: nothing of it stands where nobody is asked.
const OF_CALLERS: [&str; 5] = ["anonymous", "require", "identity", "cors", "forget"];

pub fn action(scope: &Scope, fields: &Fields, name: &str, matcher: Option<&Match>) -> Checked<Action> {
    let authenticate = fields.get("authenticate");
    if let Some(node) = fields.get("refuse") {
        let lonely = stands_alone(
            scope.sink,
            fields,
            "refuse",
            &["authenticate", "rate_limit", "upstream", "experiments"],
        );
        let status = refused(scope.sink, node)?;
        return lonely.map(|()| Action::Refuse(status));
    }
    if authenticate.and_then(Node::text) == Some("none") {
        let lonely = stands_alone(scope.sink, fields, "authenticate: none", &["paths_raw"]);
        names_what_it_opens(scope.sink, fields)?;
        return lonely.map(|()| Action::Public);
    }
    let by_default = || Ok(scope.defaults?.and_then(|defaults| defaults.get("authenticate")));
    let (node, asked) = match authenticate {
        Some(node) => (node, scope.authenticators.asked(scope.sink, node)),
        None => match by_default()? {
            Some(node) => (node, default_authenticate(scope, node)),
            None => return Err(nothing_said(scope.sink, fields)),
        },
    };
    let around = Around {
        rule: name,
        captured: matcher.map(|matcher| require::captured(&matcher.paths)),
        authenticators: names_in(node),
        verified_peers: scope.verified_peers,
    };
    let gate = gate(scope, fields, asked, &around)?;
    only_by_post(scope.sink, fields, &gate, matcher)?;
    Ok(Action::Authenticate(gate))
}

pub fn rate_limits(scope: &Scope, fields: &Fields) -> Checked<Vec<Arc<RateLimit>>> {
    listed(scope, fields, "rate_limit").map_or(Ok(Vec::new()), |(node, asks)| {
        scope.rate_limits.named(scope.sink, node, asks)
    })
}

pub fn experiments(scope: &Scope, fields: &Fields) -> Checked<Vec<Arc<Experiment>>> {
    listed(scope, fields, "experiments").map_or(Ok(Vec::new()), |(node, asks)| {
        scope.experiments.named(scope.sink, node, asks)
    })
}

/// What a rule names, or `defaults` name for it; and whether somebody may be known there. Those of `defaults` are, as the
/// rest of them, for rules that ask who calls.
fn listed<'a>(scope: &Scope<'a>, fields: &Fields<'a>, name: &str) -> Option<(&'a Node, bool)> {
    let asks = fields.get("authenticate").and_then(Node::text) != Some("none");
    let refuses = fields.get("refuse").is_some();
    let node = match fields.get(name) {
        // What stands there is a fault already.
        Some(_) if refuses => None,
        None if asks && !refuses => scope.defaults.ok().flatten()?.get(name),
        own => own,
    }?;
    // None, whatever `defaults` say.
    let none = matches!(&node.value, Value::List(items) if items.is_empty()) && fields.get(name).is_some();
    (!none).then_some((node, asks))
}

/// `stripped`, and by what callers of these experiments choose: cookies and parameters. Headers are removed everywhere.
pub fn with_forced(stripped: Arc<[Place]>, experiments: &[Arc<Experiment>]) -> Arc<[Place]> {
    let mut forced = Vec::new();
    for experiment in experiments {
        if let Kind::Variants(variants) = &experiment.kind
            && let Some(force) = &variants.force
        {
            let removed = force.places.iter().filter(|place| !matches!(place, Place::Header(_)));
            forced.extend(removed.cloned());
        }
    }
    match forced.is_empty() {
        true => stripped,
        false => {
            forced.extend_from_slice(&stripped);
            order::distinct(forced, Place::cmp).into()
        }
    }
}

pub fn defaults<'a>(sink: &'a Sink, node: &'a Node) -> Checked<Fields<'a>> {
    Fields::of(sink, node, &DEFAULTS)
}

/// What is wrong in `defaults` is told even where no rule uses it.
pub fn check_defaults(scope: &Scope) -> Checked<()> {
    let (sink, Some(defaults)) = (scope.sink, scope.defaults?) else {
        return Ok(());
    };
    let anywhere = Around {
        rule: "",
        captured: None,
        authenticators: None,
        verified_peers: scope.verified_peers,
    };
    let read = |name| defaults.get(name);
    let results = [
        read("authenticate").map(|node| default_authenticate(scope, node).map(drop)),
        read("anonymous").map(|node| anonymous(sink, node).map(drop)),
        read("require").map(|node| require::read(sink, node, &anywhere).map(drop)),
        read("identity").map(|node| identity::rules_own(sink, node).map(drop)),
        read("cors").map(|node| preflight(sink, node).map(drop)),
        read("rate_limit").map(|node| scope.rate_limits.named(sink, node, true).map(drop)),
        read("experiments").map(|node| scope.experiments.named(sink, node, true).map(drop)),
    ];
    all(results.into_iter().flatten()).map(|_: Vec<()>| ())
}

fn nothing_said(sink: &Sink, fields: &Fields) -> Faulted {
    let message = "neither authenticate nor refuse: list authenticators here or in defaults, \
                   or write authenticate: none for a public rule";
    sink.fault(fields.node, message)
}

fn refused(sink: &Sink, node: &Node) -> Checked<u16> {
    let status = match &node.value {
        Value::Number(number) => number.as_u64(),
        _ => None,
    };
    match status {
        Some(403) => Ok(403),
        Some(404) => Ok(404),
        Some(410) => Ok(410),
        Some(451) => Ok(451),
        Some(503) => Ok(503),
        _ => Err(sink.expected(node, "the number 403, 404, 410, 451 or 503")),
    }
}

fn stands_alone(sink: &Sink, fields: &Fields, what: &str, besides: &[&str]) -> Checked<()> {
    let misplaced = besides.iter().chain(&OF_CALLERS).filter_map(|name| {
        let node = fields.get(name)?;
        Some(Err(sink.fault(node, format!("cannot stand beside {what}"))))
    });
    all(misplaced).map(|_: Vec<()>| ())
}

/// A public rule says exactly what it opens.
fn names_what_it_opens(sink: &Sink, fields: &Fields) -> Checked<()> {
    let matched = match fields.get("match") {
        Some(node) => sink.entries(node)?,
        None => &[],
    };
    let missing = ["hosts", "paths"]
        .into_iter()
        .filter(|name| !matched.iter().any(|entry| entry.key == *name))
        .map(|name| {
            let message = format!("authenticate: none opens what it names: match.{name} is missing");
            Err(sink.fault(fields.node, message))
        });
    all(missing).map(|_: Vec<()>| ())
}

fn gate(scope: &Scope, fields: &Fields, asked: Checked<Vec<Arc<Authenticator>>>, around: &Around) -> Checked<Gate> {
    let sink = scope.sink;
    let or_default = |name: &str| fields.get(name).or_else(|| scope.defaults.ok()??.get(name));
    let anonymous = or_default("anonymous").map(|node| anonymous(sink, node)).transpose();
    let require = or_default("require")
        .map(|node| require::read(sink, node, around))
        .transpose();
    let own = or_default("identity")
        .map(|node| identity::rules_own(sink, node))
        .transpose();
    let preflight = or_default("cors").map(|node| preflight(sink, node)).transpose();
    let forget = fields.optional("forget", |node| forget(sink, node));
    let own = own.map(Option::unwrap_or_default);
    let asked = asked?;
    remembers(sink, fields, &asked)?;
    Ok(Gate {
        authenticators: asked,
        anonymous: anonymous?.unwrap_or(Anonymous::Deny),
        forget: forgets(
            sink,
            fields,
            forget?.unwrap_or_default(),
            require.as_ref().ok().and_then(Option::as_ref),
        )?,
        require: require?.unwrap_or_default(),
        identity: match &own {
            Ok(own) if !own.headers.is_empty() => scope.identity.iter().chain(&own.headers).cloned().collect(),
            _ => Arc::clone(scope.identity),
        },
        audience: own?.audience,
        preflight: preflight?.unwrap_or(Preflight::Deny),
    })
}

/// A logout that logs nobody out.
fn remembers(sink: &Sink, fields: &Fields, asked: &[Arc<Authenticator>]) -> Checked<()> {
    let has_cache = |known: &Arc<Authenticator>| known.callout().is_some_and(|callout| callout.cache.is_some());
    match fields.get("forget").filter(|node| node.text() == Some("credential")) {
        Some(node) if !asked.iter().any(has_cache) => {
            let message =
                "none of the rule's authenticators remembers answers: forget drops what a callout's cache holds";
            Err(sink.fault(node, message))
        }
        _ => Ok(()),
    }
}

/// Also where one of them has a fault.
fn names_in(asked: &Node) -> Option<HashSet<&str>> {
    match &asked.value {
        Value::List(items) => Some(items.iter().filter_map(Node::text).collect()),
        _ => None,
    }
}

fn anonymous(sink: &Sink, node: &Node) -> Checked<Anonymous> {
    sink.word(
        node,
        &[
            ("deny", Anonymous::Deny),
            ("allow_missing", Anonymous::AllowMissing),
            ("allow_missing_or_failed", Anonymous::AllowMissingOrFailed),
        ],
    )
}

fn preflight(sink: &Sink, node: &Node) -> Checked<Preflight> {
    let fields = Fields::of(sink, node, &CORS)?;
    let node = fields.required("preflight", ": write pass or deny")?;
    sink.word(node, &[("deny", Preflight::Deny), ("pass", Preflight::Pass)])
}

/// One who may make the filter forget others is somebody of whom something is asked.
fn forgets(sink: &Sink, fields: &Fields, forget: Forget, require: Option<&Require>) -> Checked<Forget> {
    match (forget, fields.get("forget")) {
        (Forget::Requested, Some(node)) if require.is_none_or(Require::is_empty) => {
            let message = "requested lets whoever calls forget anybody: add require, which says who may";
            Err(sink.fault(node, message))
        }
        _ => Ok(forget),
    }
}

/// What a link could do to whoever is signed in is no operator's request.
fn only_by_post(sink: &Sink, fields: &Fields, gate: &Gate, matcher: Option<&Match>) -> Checked<()> {
    let methods = matcher.map_or(&[][..], |matcher| &matcher.methods);
    match fields.get("forget") {
        Some(node) if gate.forget == Forget::Requested && methods.iter().ne(["POST"]) => {
            Err(sink.fault(node, "requested takes POST alone: write match: { methods: [POST] }"))
        }
        _ => Ok(()),
    }
}

fn forget(sink: &Sink, node: &Node) -> Checked<Forget> {
    sink.word(
        node,
        &[("credential", Forget::Credential), ("requested", Forget::Requested)],
    )
}

fn default_authenticate(scope: &Scope, node: &Node) -> Checked<Vec<Arc<Authenticator>>> {
    if node.text() == Some("none") {
        let message = "none is no default: each public rule says so itself";
        return Err(scope.sink.fault(node, message));
    }
    scope.authenticators.asked(scope.sink, node)
}

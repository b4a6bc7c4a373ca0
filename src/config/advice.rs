//! What is no fault and likely a mistake all the same. Of the command line alone: somebody reads it there, and the
//! module need not hold it.

mod require;

use super::address::Service;
use super::fault::{Fault, Mark};
use super::node::{Entry, Node, Value, quoted};
use super::read::either;
use super::sink::Sink;
use super::suggest;
use crate::authn::ClaimPath;
use crate::identity::{Part, Template};
use crate::policy::{ApiKeySource, Authenticator, AuthenticatorKind, KeySource, Policy};
use crate::request::path::Path;
use std::collections::BTreeSet;
use std::sync::Arc;

/// About `policy`, which is what `root` became.
pub fn of(root: &Node, policy: &Policy) -> Vec<Fault> {
    let sink = Sink::default();
    for authenticator in &policy.authenticators {
        algorithms(&sink, root, authenticator);
    }
    claims(&sink, root, policy);
    require::impossible(&sink, root, policy);
    answered_here(&sink, root, policy);
    sink.located(root)
}

/// Algorithms that no inline key can have signed with.
fn algorithms(sink: &Sink, root: &Node, authenticator: &Authenticator) -> Option<()> {
    let AuthenticatorKind::Jwt(jwt) = &authenticator.kind else {
        return None;
    };
    let KeySource::Inline(set) = &jwt.keys else {
        return None;
    };
    let algorithms = &jwt.verification.algorithms;
    let fits = |algorithm| set.keys().iter().any(|key| key.fits(algorithm));
    let node = at(root, &["authenticators", &authenticator.name, "jwt"])?;
    match at(node, &["algorithms"]) {
        Some(listed) => {
            for (node, algorithm) in items(listed).iter().zip(algorithms) {
                if !fits(*algorithm) {
                    sink.fault(
                        node,
                        format!("no inline key fits {algorithm:?}: such tokens are refused"),
                    );
                }
            }
        }
        None if !algorithms.iter().copied().any(fits) => {
            let words: Vec<String> = algorithms.iter().map(|algorithm| format!("{algorithm:?}")).collect();
            let words = either(words.iter().map(String::as_str));
            let message = format!("no inline key fits {words}, the default: list the algorithms of the keys");
            sink.fault(node, message);
        }
        None => {}
    }
    Some(())
}

/// The names that `claims.NAME` may have of one authenticator. None: only who signs or lists them knows.
type Given<'p> = Option<BTreeSet<&'p str>>;

fn given(authenticator: &Authenticator) -> Given<'_> {
    Some(match &authenticator.kind {
        AuthenticatorKind::Callout(callout) => names(&callout.principal.claims),
        AuthenticatorKind::Jwt(jwt) => names(&jwt.verification.principal.claims),
        AuthenticatorKind::ApiKey(keys) => match &keys.keys {
            ApiKeySource::Inline(keys) => keys.claims().collect(),
            ApiKeySource::Remote(_) => return None,
        },
        AuthenticatorKind::Mtls(_) => BTreeSet::new(),
        AuthenticatorKind::Gate(_) => return None,
    })
}

fn names<T>(claims: &[(String, T)]) -> BTreeSet<&str> {
    claims.iter().map(|(name, _)| name.as_str()).collect()
}

/// Claims that nobody has: the header never goes out, the requirement is never met.
fn claims(sink: &Sink, root: &Node, policy: &Policy) {
    let by_slot: Vec<Given> = policy.authenticators.iter().map(|known| given(known)).collect();
    let of = |asked: &[Arc<Authenticator>]| -> Option<Vec<&BTreeSet<&str>>> {
        let given = asked.iter().map(|asked| by_slot.get(asked.slot)?.as_ref());
        given.collect()
    };
    let gates = policy.rules.iter().filter_map(|rule| rule.gate());
    let asked: BTreeSet<usize> = gates
        .flat_map(|gate| &gate.authenticators)
        .map(|asked| asked.slot)
        .collect();
    let used = policy.authenticators.iter().filter(|known| asked.contains(&known.slot));
    let anybody = of(&used.cloned().collect::<Vec<_>>());
    for scope in [Some(root), at(root, &["defaults"])].into_iter().flatten() {
        unknown_claims(sink, scope, &anybody, "no authenticator that a rule asks");
    }
    let nodes = at(root, &["rules"]).map_or(&[][..], items);
    for (rule, node) in policy.rules.iter().zip(nodes) {
        if let Some(gate) = rule.gate() {
            let who = format!("no authenticator of rule {}", rule.name);
            unknown_claims(sink, node, &of(&gate.authenticators), &who);
        }
    }
}

fn unknown_claims(sink: &Sink, scope: &Node, given: &Option<Vec<&BTreeSet<&str>>>, who: &str) {
    let Some(given) = given else {
        return;
    };
    let unknown_at = |node: &Node, at: Option<Mark>, path: &ClaimPath| {
        let gives = |name: &&String| given.iter().any(|names| names.contains(name.as_str()));
        if let Some(name) = path.0.first().filter(|name| !gives(name)) {
            let hint = suggest::hint(name, given.iter().copied().flatten().copied());
            let message = format!("{who} gives the claim {}{hint}", quoted(name));
            sink.fault_at(node, at, message);
        }
    };
    let unknown = |entry: &Entry, path: &ClaimPath| unknown_at(&entry.node, entry.at, path);
    let required = |require: Option<&Node>| {
        for entry in entries(require.and_then(|require| require.field("claims"))) {
            if let Ok(path) = ClaimPath::parse(&entry.key) {
                unknown(entry, &path);
            }
        }
    };
    for entry in entries(at(scope, &["identity", "headers"])) {
        let template = entry.node.text().and_then(|text| Template::parse(text).ok());
        for part in template.iter().flat_map(|template| &template.0) {
            if let Part::Claim(path) = part {
                unknown(entry, path);
            }
        }
    }
    required(at(scope, &["require"]));
    required(at(scope, &["debug", "require"]));
    // Nobody has such a unit, is of such an audience, or may choose.
    for experiment in entries(at(scope, &["experiments"])).iter().map(|entry| &entry.node) {
        for unit in at(experiment, &["unit"]).map_or(&[][..], items) {
            let name = unit.text().and_then(|text| text.strip_prefix("claim:"));
            if let Some(Ok(path)) = name.map(ClaimPath::parse) {
                unknown_at(unit, unit.at, &path);
            }
        }
        required(at(experiment, &["audience"]));
        required(at(experiment, &["force", "require"]));
    }
    // Callers without it share one bucket, and no plan is theirs.
    for limit in entries(at(scope, &["rate_limits"])) {
        for entry in entries(Some(&limit.node)).iter().filter(|entry| entry.key == "per") {
            let name = entry.node.text().and_then(|text| text.strip_prefix("claim:"));
            if let Some(Ok(path)) = name.map(ClaimPath::parse) {
                unknown(entry, &path);
            }
        }
        for plan in at(&limit.node, &["override"]).map_or(&[][..], items) {
            required(at(plan, &["when"]));
        }
    }
}

/// `jwks_path` is answered before any rule is looked for. Rules for everything, and for all that is well known, are meant
/// to lie around it.
fn answered_here(sink: &Sink, root: &Node, policy: &Policy) -> Option<()> {
    let asked = policy.assertion.as_ref()?.jwks_path.as_ref()?;
    let path = Path::parse(asked.as_bytes()).ok()?;
    let nodes = items(at(root, &["rules"])?);
    for (rule, node) in policy.rules.iter().zip(nodes) {
        let methods = &rule.matcher.methods;
        if !methods.is_empty() && !methods.iter().any(|method| method == "GET" || method == "HEAD") {
            continue;
        }
        let paths = at(node, &["match", "paths"]).map_or(&[][..], items);
        for (pattern, node) in rule.matcher.paths.iter().zip(paths) {
            let around = pattern.tail && (pattern.segments.is_empty() || asked.starts_with("/.well-known/"));
            if pattern.matches(&path) && !around {
                let rule = &rule.name;
                let message =
                    format!("GET {asked} never meets rule {rule}: identity.assertion.jwks_path is answered first");
                sink.fault(node, message);
            }
        }
    }
    Some(())
}

/// The clusters that `policy` names and `bootstrap` does not have. Nothing is said where Envoy is told of clusters in
/// another way, or what is given is no bootstrap.
pub fn unknown_clusters(policy: &Node, bootstrap: &Node) -> Vec<Fault> {
    let sink = Sink::default();
    let Some(resources) = at(bootstrap, &["static_resources"]) else {
        return Vec::new();
    };
    let dynamic = entries(at(bootstrap, &["dynamic_resources"]));
    if dynamic.iter().any(|entry| entry.key.starts_with("cds_")) {
        return Vec::new();
    }
    let clusters = at(resources, &["clusters"]).map_or(&[][..], items);
    let known: Vec<&str> = clusters.iter().filter_map(|node| at(node, &["name"])?.text()).collect();
    for entry in entries(at(policy, &["authenticators"])) {
        let asked = [
            &["callout"][..],
            &["jwt", "keys", "remote"],
            &["jwt", "keys", "discovery"],
            &["api_key", "keys", "remote"],
            &["gate", "keys", "remote"],
        ];
        for node in asked.iter().filter_map(|path| at(&entry.node, path)) {
            let service = at(node, &["service"]);
            let Some((node, name)) = at(node, &["cluster"])
                .and_then(|node| Some((node, node.text()?.to_owned())))
                .or_else(|| Some((service?, Service::parse(service?.text()?).ok()?.cluster())))
            else {
                continue;
            };
            if !known.contains(&name.as_str()) {
                let hint = suggest::hint(&name, known.iter().copied());
                sink.fault(node, format!("the bootstrap has no cluster {}{hint}", quoted(&name)));
            }
        }
    }
    sink.located(policy)
}

fn at<'a>(node: &'a Node, path: &[&str]) -> Option<&'a Node> {
    path.iter().try_fold(node, |node, name| node.field(name))
}

fn entries(node: Option<&Node>) -> &[Entry] {
    node.map_or(&[], entries_of)
}

fn entries_of(node: &Node) -> &[Entry] {
    match &node.value {
        Value::Map(entries) => entries,
        _ => &[],
    }
}

fn items(node: &Node) -> &[Node] {
    match &node.value {
        Value::List(items) => items,
        _ => &[],
    }
}

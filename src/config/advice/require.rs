//! A `require` that nobody meets.

use super::{at, items};
use crate::authz::{Condition, Require, Wanted};
use crate::config::node::Node;
use crate::config::sink::Sink;
use crate::policy::{ApiKeySource, Authenticator, AuthenticatorKind, Gate, Policy};

/// Of each rule its own, or that of `defaults`, which is told once.
pub fn impossible(sink: &Sink, root: &Node, policy: &Policy) {
    let nodes = at(root, &["rules"]).map_or(&[][..], items);
    let by_default = at(root, &["defaults", "require"]);
    let mut default_told = false;
    for (rule, node) in policy.rules.iter().zip(nodes) {
        let Some(gate) = rule.gate() else { continue };
        let node = match (node.field("require"), by_default) {
            (Some(own), _) => own,
            (None, Some(shared)) if !default_told => {
                default_told = true;
                shared
            }
            (None, _) => continue,
        };
        let Require {
            groups, scopes, claims, ..
        } = &gate.require;
        for (name, condition, gives) in [
            ("groups", groups, Lists::groups as Gives),
            ("scopes", scopes, Lists::scopes),
        ] {
            let Some(node) = node.field(name) else { continue };
            contradicts(sink, node, condition);
            if asks(condition) && !gate_gives(gate, gives) {
                let message = format!("no authenticator of rule {} gives {name}: nobody meets it", rule.name);
                sink.fault(node, message);
            }
        }
        let named = node.field("claims").map_or(&[][..], super::entries_of);
        for (entry, (_, condition)) in named.iter().zip(claims) {
            contradicts(sink, &entry.node, condition);
        }
    }
}

/// A caller without any meets `none_of`.
fn asks(condition: &Condition) -> bool {
    !condition.any_of.is_empty() || !condition.all_of.is_empty()
}

fn contradicts(sink: &Sink, node: &Node, condition: &Condition) {
    let refused = |wanted: &&Wanted| condition.none_of.contains(wanted);
    let shown = |wanted: &Wanted| match wanted {
        Wanted::Text(text) => format!("{text:?}"),
        Wanted::PathCapture(name) => format!("{{path.{name}}}"),
    };
    if let Some(both) = condition.all_of.iter().find(refused) {
        let message = format!("all_of and none_of both name {}: nobody meets it", shown(both));
        sink.fault(node, message);
    } else if !condition.any_of.is_empty() && condition.any_of.iter().all(|wanted| refused(&wanted)) {
        sink.fault(node, "none_of names all that any_of does: nobody meets it");
    }
}

/// What an authenticator can say of its callers besides who they are.
struct Lists {
    groups: bool,
    scopes: bool,
}

type Gives = fn(&Lists) -> bool;

impl Lists {
    /// None: only who signs or lists them knows.
    fn of(authenticator: &Authenticator) -> Option<Self> {
        Some(match &authenticator.kind {
            AuthenticatorKind::Callout(callout) => Self {
                groups: callout.principal.groups.is_some(),
                scopes: callout.principal.scopes.is_some(),
            },
            AuthenticatorKind::Jwt(jwt) => {
                let principal = &jwt.verification.principal;
                Self {
                    groups: principal.groups.is_some(),
                    scopes: principal.scopes.is_some(),
                }
            }
            AuthenticatorKind::ApiKey(keys) => match &keys.keys {
                ApiKeySource::Inline(keys) => Self {
                    groups: keys.known().any(|key| !key.groups.is_empty()),
                    scopes: keys.known().any(|key| !key.scopes.is_empty()),
                },
                ApiKeySource::Remote(_) => return None,
            },
            AuthenticatorKind::Mtls(_) => Self {
                groups: false,
                scopes: false,
            },
            AuthenticatorKind::Gate(_) => return None,
        })
    }

    fn groups(&self) -> bool {
        self.groups
    }

    fn scopes(&self) -> bool {
        self.scopes
    }
}

fn gate_gives(gate: &Gate, gives: Gives) -> bool {
    let allowed = &gate.require.authenticators;
    let mut asked = gate
        .authenticators
        .iter()
        .filter(|asked| allowed.is_empty() || allowed.contains(&asked.name));
    asked.any(|asked| Lists::of(asked).is_none_or(|lists| gives(&lists)))
}

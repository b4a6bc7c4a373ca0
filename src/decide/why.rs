//! For the command line: what each authenticator says, and a decision about a caller who is known beforehand.

use super::look;
use super::{Around, Next, Presented, Step, walk};
use crate::authn::callout::Accepted;
use crate::authn::credential::Ambiguous;
use crate::authn::{Caller, Finding, Principal};
use crate::header::Headers;
use crate::policy::{Authenticator, Gate, Policy};
use crate::request::Request;
use std::sync::Arc;

/// What one authenticator makes of a request.
pub type Said<'g> = (&'g Arc<Authenticator>, Result<Finding<'g>, Ambiguous>);

/// In the order of the rule, up to the one that decides.
pub fn said<'g>(gate: &'g Gate, request: &Request, around: &mut Around) -> Vec<Said<'g>> {
    look::each(gate, request, around)
}

/// Nobody of the rule that decides is called so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAsked {
    pub rule: Arc<str>,
}

/// As [`super::on_request`], but no authenticator looks at anything: the caller is `principal`, whose authenticator is the
/// rule's first where it has none.
pub fn on_request_of(
    policy: &Arc<Policy>,
    headers: Arc<Headers>,
    ends: bool,
    principal: &Principal,
    around: &mut Around,
) -> Result<Step, NotAsked> {
    let mut missing = None;
    let step = walk(policy, headers, ends, around, |way, gate, around| {
        let named =
            |asked: &&Arc<Authenticator>| principal.authenticator.is_empty() || asked.name == principal.authenticator;
        let Some(asked) = gate.authenticators.iter().find(named) else {
            missing = way.rule.as_ref().map(|rule| rule.name.clone());
            return way.authenticate(gate, around);
        };
        let known = Principal {
            authenticator: asked.name.clone(),
            ..principal.clone()
        };
        way.credential = Presented::of(asked.name.clone(), None, None);
        Next::Step(way.finish(gate, Caller::Known(known.into()), &Accepted::nothing(), around))
    });
    match missing {
        Some(rule) => Err(NotAsked { rule }),
        None => Ok(step),
    }
}

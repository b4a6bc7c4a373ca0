//! What shadow rules would have done, as far as it can be told without asking anybody else.

use super::Way;
use crate::authn::{Caller, WhyNobody};
use crate::authz::Facts;
use crate::denial::Outcome;
use crate::policy::{Action, Anonymous, Gate, Preflight, Rule};
use crate::request::{Connection, Request};
use std::sync::Arc;

/// `caller` as the deciding rule found it; None where it did not come so far.
pub(super) fn outcomes(way: &Way, caller: Option<&Caller>, connection: &dyn Connection) -> Vec<(Arc<Rule>, Outcome)> {
    let request = &way.request;
    let outcome = |rule: &Arc<Rule>| match &rule.action {
        _ if way.limited_shadows.contains(&rule.position) => Outcome::RateLimited,
        Action::Refuse(_) => Outcome::Closed,
        Action::Public => Outcome::Public,
        Action::Authenticate(gate) if request.is_preflight() => match gate.preflight {
            Preflight::Pass => Outcome::Preflight,
            Preflight::Deny => Outcome::Forbidden,
        },
        Action::Authenticate(gate) => match caller {
            Some(caller) => of_caller(rule, gate, caller, request, connection),
            None => Outcome::NotAsked,
        },
    };
    way.shadows.iter().map(|rule| (rule.clone(), outcome(rule))).collect()
}

pub(super) fn of_caller(
    rule: &Rule,
    gate: &Gate,
    caller: &Caller,
    request: &Request,
    connection: &dyn Connection,
) -> Outcome {
    let passes = match caller {
        Caller::Known(principal) => {
            if !gate.authenticators.iter().any(|a| a.name == principal.authenticator) {
                return Outcome::NotAsked;
            }
            Outcome::Allowed
        }
        Caller::Nobody(WhyNobody::NoCredential) if gate.anonymous == Anonymous::Deny => {
            return Outcome::Unauthenticated;
        }
        Caller::Nobody(WhyNobody::Refused) if gate.anonymous != Anonymous::AllowMissingOrFailed => {
            return Outcome::Denied;
        }
        Caller::Nobody(WhyNobody::ServiceFailed(_)) => Outcome::FailedOpen,
        Caller::Nobody(_) => Outcome::Anonymous,
    };
    let facts = Facts {
        principal: caller.principal(),
        request,
        rule,
        connection,
    };
    match (gate.require.check(&facts), caller) {
        (Ok(_), _) => passes,
        (Err(_), Caller::Known(_)) => Outcome::Forbidden,
        (Err(_), Caller::Nobody(_)) => Outcome::Unauthenticated,
    }
}

//! The line every request walks: strip, host and path, rule, who calls, may they, what the upstream
//! is told. The order of the whole product is `on_request`, `authenticate` and `finish` below.

mod shadow;
mod sign_in;
mod step;

pub use step::{Ask, Forward, Record, Refuse, Step, request_id};

use crate::authn::callout::{self, Accepted, Answer, CalloutFailure, Verdict};
use crate::authn::{Caller, WhyNobody, credential};
use crate::authz::{self, Facts, Permit};
use crate::denial::{Denial, Outcome};
use crate::header::{Edits, Field, Headers};
use crate::policy::{Action, Anonymous, Authenticator, AuthenticatorKind, Gate, OnFailure, Policy, Rule};
use crate::request::{Connection, Request, RequestFault};
use crate::rule;
use std::sync::Arc;

/// A request's headers have come.
pub fn on_request(policy: &Arc<Policy>, headers: Arc<Headers>, connection: &dyn Connection) -> Step {
    let mut edits = policy.strip.edits(&headers);
    let request = match Request::parse(headers.clone()) {
        Ok(request) => request,
        Err(fault) => return step::refuse_unread(policy, &headers, Denial::Malformed(fault)),
    };
    normalise(&request, &mut edits);
    let found = rule::find(policy, &request, connection);
    let mut way = Way {
        policy: policy.clone(),
        rule: found.rule,
        shadows: found.shadows,
        request,
        edits,
        to_client: Vec::new(),
    };
    let Some(rule) = way.rule.clone() else {
        return match way.check_path(Default::default()) {
            Ok(()) => way.refuse(Denial::NoRule, None, connection),
            Err(fault) => way.refuse(fault, None, connection),
        };
    };
    if let Err(fault) = way.check_path(rule.paths_raw) {
        return way.refuse(fault, None, connection);
    }
    credential::strip(&rule.strip_credentials, &headers, &mut way.edits);
    match &rule.action {
        Action::Refuse(status) => way.refuse(Denial::Closed(*status), None, connection),
        Action::Public => match authz::public(&rule) {
            Some(permit) => way.forward(permit, Outcome::Public, None, connection),
            None => way.refuse(Denial::NoRule, None, connection),
        },
        Action::Authenticate(gate) if way.request.is_preflight() => match authz::preflight(gate, &way.request) {
            Some(permit) => way.forward(permit, Outcome::Preflight, None, connection),
            None => way.refuse(Denial::Preflight, None, connection),
        },
        Action::Authenticate(gate) => way.authenticate(gate, connection),
    }
}

/// A request on its way, as far as it has come. Keeps its own policy and rule, so that a new policy
/// does not touch it.
#[derive(Debug)]
struct Way {
    policy: Arc<Policy>,
    rule: Option<Arc<Rule>>,
    shadows: Vec<Arc<Rule>>,
    request: Request,
    edits: Edits,
    to_client: Vec<Field>,
}

/// A request whose caller a service is being asked about. Consumed by the answer.
#[derive(Debug)]
#[must_use = "a request that waits is answered or refused, never dropped"]
pub struct Awaiting {
    way: Way,
    authenticator: Arc<Authenticator>,
}

/// The proxy did not show the request's headers.
pub fn on_unreadable(policy: &Policy) -> Step {
    let denial = Denial::AuthUnavailable(CalloutFailure::Host);
    step::refuse_unread(policy, &Headers::default(), denial)
}

/// Whether anything is taken from requests.
pub fn strips(policy: &Policy) -> bool {
    authz::observing(policy).is_none()
}

/// Names of trailers that the upstream must not see.
pub fn trailers_to_remove(policy: &Policy, trailers: &Headers) -> Vec<Vec<u8>> {
    match strips(policy) {
        true => policy.strip.trailers(trailers),
        false => Vec::new(),
    }
}

/// The proxy did not do what it was told: nobody knows what the upstream would see.
pub fn host_failed(policy: &Policy, headers: &Headers) -> Refuse {
    step::refused(policy, headers, &Denial::AuthUnavailable(CalloutFailure::Host))
}

impl Awaiting {
    pub fn authenticator(&self) -> Arc<str> {
        self.authenticator.name.clone()
    }

    /// Only a denial's body goes anywhere.
    pub fn reads_body(&self, headers: &Headers) -> bool {
        let AuthenticatorKind::Callout(callout) = &self.authenticator.kind;
        callout::status(headers).is_some_and(|status| !callout.allow_status.contains(status))
    }

    pub fn on_answer(self, answer: Answer, connection: &dyn Connection) -> Step {
        let asked = self.authenticator();
        let mut step = self.answered(answer, connection);
        if let Some(record) = step.record_mut() {
            record.authenticator = Some(asked);
        }
        step
    }

    fn answered(self, answer: Answer, connection: &dyn Connection) -> Step {
        let AuthenticatorKind::Callout(callout) = &self.authenticator.kind;
        let verdict = match answer {
            Answer::BodyTooLarge => return self.way.refuse(Denial::BodyTooLarge, None, connection),
            Answer::Failure(failure) => Verdict::Failed(failure),
            Answer::Reply { headers, body } => {
                callout::read(&self.authenticator, callout, &self.way.policy.identity, &headers, body)
            }
        };
        let Some(rule) = self.way.rule.clone() else {
            return self.way.refuse(Denial::NoRule, None, connection);
        };
        let Some(gate) = rule.gate() else {
            return self.way.refuse(Denial::NoRule, None, connection);
        };
        match verdict {
            Verdict::Known(principal, accepted) => {
                self.way.finish(gate, Caller::Known(principal), accepted, connection)
            }
            Verdict::Denied(_) if gate.anonymous == Anonymous::AllowMissingOrFailed => {
                let nobody = Caller::Nobody(WhyNobody::Refused);
                self.way.finish(gate, nobody, Accepted::default(), connection)
            }
            Verdict::Denied(denial) => self.way.refuse(Denial::Service(denial), None, connection),
            Verdict::Failed(failure) => match failure_goes_on(callout.on_failure, failure) {
                true => {
                    let nobody = Caller::Nobody(WhyNobody::ServiceFailed(failure));
                    self.way.finish(gate, nobody, Accepted::default(), connection)
                }
                false => self.way.refuse(Denial::AuthUnavailable(failure), None, connection),
            },
        }
    }
}

/// What is wrong on our side of the call, a missing host flag or a call that the proxy itself
/// refuses, is no outage of the service: it is never let through.
fn failure_goes_on(on_failure: OnFailure, failure: CalloutFailure) -> bool {
    let ours = matches!(failure, CalloutFailure::BodyUnseen | CalloutFailure::Host);
    on_failure == OnFailure::Allow && !ours
}

impl Way {
    fn check_path(&self, allowed: crate::request::PathLeniency) -> Result<(), Denial> {
        let checked = self.request.path.as_ref().map_or(Ok(()), |path| path.check(allowed));
        checked.map_err(|fault| Denial::Malformed(RequestFault::Path(fault)))
    }

    /// In the order of the rule, the first whose credential is there decides.
    fn authenticate(self, gate: &Gate, connection: &dyn Connection) -> Step {
        for authenticator in &gate.authenticators {
            let AuthenticatorKind::Callout(callout) = &authenticator.kind;
            match credential::present(callout.credential_places(), &self.request) {
                Err(ambiguous) => return self.refuse(Denial::AmbiguousCredential(ambiguous), None, connection),
                Ok(false) if callout.credential.is_some() => continue,
                Ok(_) => {
                    let question = callout::ask(callout, &self.request, &self.policy.strip, connection);
                    return Step::Ask(Box::new(Ask {
                        question,
                        awaiting: Awaiting {
                            authenticator: authenticator.clone(),
                            way: self,
                        },
                    }));
                }
            }
        }
        self.finish(
            gate,
            Caller::Nobody(WhyNobody::NoCredential),
            Accepted::default(),
            connection,
        )
    }

    /// The caller is known, or known to be nobody.
    fn finish(mut self, gate: &Gate, caller: Caller, accepted: Accepted, connection: &dyn Connection) -> Step {
        if caller == Caller::Nobody(WhyNobody::NoCredential) && gate.anonymous == Anonymous::Deny {
            return self.refuse(Denial::NoCredential, Some(caller), connection);
        }
        let permit = match self.permit(gate, &caller, connection) {
            Ok(permit) => permit,
            Err(denial) => return self.refuse(denial, Some(caller), connection),
        };
        self.accept(accepted);
        for header in gate.identity.iter() {
            let Some(principal) = caller.principal() else { break };
            match header.template.render(principal) {
                Ok(Some(value)) => self.edits.set(header.name.as_str().as_bytes(), value),
                Ok(None) => {}
                Err(_) => return self.refuse(Denial::IdentityTooLong, Some(caller), connection),
            }
        }
        let outcome = match &caller {
            Caller::Known(_) => Outcome::Allowed,
            Caller::Nobody(WhyNobody::ServiceFailed(_)) => Outcome::FailedOpen,
            Caller::Nobody(_) => Outcome::Anonymous,
        };
        self.forward(permit, outcome, Some(caller), connection)
    }

    fn permit(&self, gate: &Gate, caller: &Caller, connection: &dyn Connection) -> Result<Permit, Denial> {
        let Some(rule) = &self.rule else {
            return Err(Denial::NoRule);
        };
        let facts = Facts {
            principal: caller.principal(),
            request: &self.request,
            rule,
            connection,
        };
        gate.require.check(&facts).map_err(|unmet| Denial::Unmet {
            unmet,
            known: caller.principal().is_some(),
            scopes: gate.require.scopes.texts(),
        })
    }

    /// A caller's own under accepted names were stripped before the service was asked, so that
    /// adding is setting, and a name that stands twice in the answer stays twice.
    /// Removals come last, as in ext_authz: what we or the answer set under such a name goes, too, and
    /// what is left of the caller's cookies.
    fn accept(&mut self, accepted: Accepted) {
        self.edits.add.extend(accepted.set);
        self.edits.add.extend(accepted.append);
        for name in accepted.remove {
            self.edits.set.retain(|(other, _)| *other != name);
            self.edits.add.retain(|(other, _)| *other != name);
            if self.request.headers.iter().any(|(other, _)| other == name) {
                self.edits.remove(&name);
            }
        }
        self.to_client = accepted.to_client;
    }
}

/// Host and path go on in the form that was matched.
fn normalise(request: &Request, edits: &mut Edits) {
    let authority = request.host.authority().as_bytes();
    if request.headers.first(":authority") != Some(authority) {
        edits.set(b":authority", authority);
    }
    if !request.target_as_sent()
        && let Some(target) = request.target()
    {
        edits.set(b":path", target);
    }
}

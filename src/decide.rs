//! The line every request walks: strip, host and path, rule, who calls, may they, what the upstream
//! is told. The order of the whole product is `on_request`, `authenticate` and `finish` below.

mod call;
mod debug;
mod experiments;
mod forget;
mod jwks;
mod look;
mod on_response;
mod rate;
mod shadow;
mod sign_in;
mod step;
mod tell;
#[cfg(feature = "cli")]
mod why;

pub use call::{Call, Heard};
pub use debug::told;
#[cfg(feature = "cli")]
pub(crate) use experiments::forced;
pub use on_response::ResponseEdits;
pub use step::{Ask, Forward, OfVariants, OnResponse, Record, Refresh, Refuse, Step, Used, request_id};
#[cfg(feature = "cli")]
pub use why::{NotAsked, Said, on_request_of, said};

use crate::authn::callout::{self, Accepted, CalloutFailure};
use crate::authn::jwt::Signatures;
use crate::authn::{Caller, CredentialFault, Finding, WhyNobody, credential};
use crate::authz::{self, Facts, Permit};
use crate::cache::{Found, Key, Remembered, SharedStore};
use crate::denial::{Denial, Outcome};
use crate::experiment::Assigned;
use crate::header::{Edits, Field, Headers, Names};
use crate::memory::{Memory, Order};
use crate::policy::{Action, Anonymous, Authenticator, Callout, Gate, OnFailure, Policy, Rule};
use crate::request::{Connection, Request, RequestFault};
use crate::rule;
use crate::time::UnixTime;
use crate::upstream;
use call::By;
use forget::Forgotten;
use look::Presented;
use rate::Met;
use std::sync::Arc;

/// What a decision looks at besides the request: the connection, what is remembered here and by other workers, and the
/// time.
pub struct Around<'a> {
    pub connection: &'a dyn Connection,
    pub memory: &'a mut Memory,
    pub signatures: &'a dyn Signatures,
    pub shared: &'a dyn SharedStore,
    pub now: UnixTime,
}

/// A request's headers have come; `ends` with them, or a body follows.
pub fn on_request(policy: &Arc<Policy>, headers: Arc<Headers>, ends: bool, around: &mut Around) -> Step {
    walk(policy, headers, ends, around, Way::authenticate)
}

/// As far as the question who calls, which `identify` answers.
fn walk(
    policy: &Arc<Policy>,
    headers: Arc<Headers>,
    ends: bool,
    around: &mut Around,
    identify: impl FnOnce(Way, &Gate, &mut Around) -> Step,
) -> Step {
    let connection = around.connection;
    let mut edits = policy.strip.edits(&headers);
    let request = match Request::parse(headers.clone()) {
        Ok(request) => request,
        Err(fault) => return step::refuse_unread(policy, &headers, Denial::Malformed(fault)),
    };
    normalise(&request, &mut edits);
    if let Some(reply) = jwks::of(policy, &request, around) {
        return step::answer_itself(policy, reply, Outcome::Jwks);
    }
    let found = rule::find(policy, &request, connection);
    let mut way = Way {
        policy: policy.clone(),
        rule: found.rule,
        shadows: found.shadows,
        request,
        edits,
        to_client: Vec::new(),
        forgotten: Vec::new(),
        overflowed: Vec::new(),
        limited_shadows: Vec::new(),
        ends,
        arrived: around.now,
        credential: Presented::default(),
        assigned: Vec::new(),
        drawn: None,
        of_variants: OfVariants::default(),
    };
    let Some(rule) = way.rule.clone() else {
        return match way.check_path(Default::default()) {
            Ok(()) => way.refuse(Denial::NoRule, None, connection),
            Err(fault) => way.refuse(fault, None, connection),
        };
    };
    way.draw_unit(around);
    if let Err(fault) = way.check_path(rule.paths_raw) {
        return way.refuse(fault, None, connection);
    }
    credential::strip(&rule.strip_credentials, &way.request, &mut way.edits);
    if let Err(limited) = way.rate(Met::BeforeAuth, None, around) {
        return way.refuse(limited, None, connection);
    }
    match &rule.action {
        Action::Refuse(status) => way.refuse(Denial::Closed(*status), None, connection),
        Action::Public => match authz::public(&rule) {
            Some(permit) => way.pass(permit, Outcome::Public, Met::AfterAuth, around),
            None => way.refuse(Denial::NoRule, None, connection),
        },
        Action::Authenticate(gate) if way.request.is_preflight() => match authz::preflight(gate, &way.request) {
            Some(permit) => way.pass(permit, Outcome::Preflight, Met::OfPreflights, around),
            None => way.refuse(Denial::Preflight, None, connection),
        },
        Action::Authenticate(gate) => identify(way, gate, around),
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
    /// What this request, a logout, made the filter forget.
    forgotten: Vec<Order>,
    /// Limits whose overflow bucket it met.
    overflowed: Vec<Arc<str>>,
    /// Positions of shadow rules that have no room left.
    limited_shadows: Vec<usize>,
    /// No body follows the headers.
    ends: bool,
    arrived: UnixTime,
    credential: Presented,
    /// Where the caller stands in each experiment of the rule.
    assigned: Vec<Assigned>,
    /// A unit for whoever has none.
    drawn: Option<String>,
    of_variants: OfVariants,
}

/// A request whose caller a service is being asked about. Consumed by the answer.
#[derive(Debug)]
#[must_use = "a request that waits is answered or refused, never dropped"]
pub struct Awaiting {
    way: Way,
    authenticator: Arc<Authenticator>,
    /// What is remembered under it may stand in for the answer; None where the answer is this request's alone.
    key: Option<Key>,
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
pub fn trailers_to_remove(policy: &Policy, trailers: &Headers) -> Names {
    match strips(policy) {
        true => policy.strip.trailers(trailers),
        false => Names::default(),
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

    /// The body is longer than the service may be sent.
    pub fn on_body_too_large(self, around: &mut Around) -> Step {
        let asked = self.authenticator();
        let step = self.way.refuse(Denial::BodyTooLarge, None, around.connection);
        step.on_record(|record| record.authenticator = Some(asked))
    }

    /// What came of the call, which others may have waited for as well: each goes on by its own rule.
    pub fn on_heard(self, heard: Heard, used: Used, around: &mut Around) -> Step {
        let Self {
            way,
            authenticator,
            key,
        } = self;
        let Some(rule) = way.rule.clone() else {
            return way.refuse(Denial::NoRule, None, around.connection);
        };
        let Some(gate) = rule.gate() else {
            return way.refuse(Denial::NoRule, None, around.connection);
        };
        let step = match heard {
            Heard::Said { answer, .. } => way.go_on(gate, &answer, around),
            Heard::Failed(failure) => {
                let Some(callout) = authenticator.callout() else {
                    return way.refuse(Denial::NoRule, None, around.connection);
                };
                return way.without_answer(gate, &authenticator, callout, key, failure, around);
            }
        };
        step.on_record(|record| {
            record.authenticator = Some(authenticator.name.clone());
            record.used = used;
        })
    }
}

/// What is wrong on our side of the call, a missing host flag or a call that the proxy itself
/// refuses, is no outage of the service: it is never let through.
fn failure_goes_on(on_failure: OnFailure, failure: CalloutFailure) -> bool {
    let ours = matches!(
        failure,
        CalloutFailure::BodyUnseen | CalloutFailure::TooManyWaiting | CalloutFailure::Host
    );
    on_failure == OnFailure::Allow && !ours
}

impl Way {
    fn check_path(&self, allowed: crate::request::PathLeniency) -> Result<(), Denial> {
        let checked = self.request.path.as_ref().map_or(Ok(()), |path| path.check(allowed));
        checked.map_err(|fault| Denial::Malformed(RequestFault::Path(fault)))
    }

    /// Goes on without anybody being asked who calls.
    fn pass(mut self, permit: Permit, outcome: Outcome, met: Met, around: &mut Around) -> Step {
        match self.rate(met, None, around) {
            Ok(()) => {
                if met != Met::OfPreflights {
                    self.experiment(None, around);
                }
                self.carry(permit, outcome, None, around)
            }
            Err(limited) => self.refuse(limited, None, around.connection),
        }
    }

    /// In the order of the rule, the first whose credential is there decides.
    fn authenticate(mut self, gate: &Gate, around: &mut Around) -> Step {
        let (looked, untaken) = look::first(gate, &self.request, around);
        self.credential = untaken;
        let Some((authenticator, finding)) = looked else {
            let nobody = Caller::Nobody(WhyNobody::NoCredential);
            return self.finish(gate, nobody, &Accepted::nothing(), around);
        };
        let name = authenticator.name.clone();
        match finding {
            Err(ambiguous) => {
                self.credential = Presented::of(name, None, None);
                self.refuse(Denial::AmbiguousCredential(ambiguous), None, around.connection)
            }
            Ok(Finding::Known {
                principal,
                credential_id,
            }) => {
                self.credential = Presented::of(name, None, credential_id);
                self.finish(gate, Caller::Known(principal), &Accepted::nothing(), around)
            }
            Ok(Finding::Refused { fault, credential_id }) => {
                self.credential = Presented::of(name, Some(fault), credential_id);
                self.refused(authenticator, gate, fault, around)
            }
            Ok(Finding::KeysUnavailable) => {
                let authenticator = name;
                self.refuse(Denial::KeysUnavailable { authenticator }, None, around.connection)
            }
            Ok(Finding::Ask { callout, present }) => {
                self.credential = Presented::default();
                self.consult(gate, authenticator, callout, present, around)
            }
            Ok(Finding::NotMine | Finding::OfAnother(_)) => {
                let nobody = Caller::Nobody(WhyNobody::NoCredential);
                self.finish(gate, nobody, &Accepted::nothing(), around)
            }
        }
    }

    fn refused(self, authenticator: &Authenticator, gate: &Gate, fault: CredentialFault, around: &mut Around) -> Step {
        if gate.anonymous == Anonymous::AllowMissingOrFailed {
            let nobody = Caller::Nobody(WhyNobody::Refused);
            return self.finish(gate, nobody, &Accepted::nothing(), around);
        }
        let denial = Denial::Credential {
            authenticator: authenticator.name.clone(),
            scheme: authenticator.scheme(),
            fault,
        };
        self.refuse(denial, None, around.connection)
    }

    /// Goes by what is remembered of this caller, or asks. What carries no credential, or a body that the
    /// service sees, is nobody else's question.
    fn consult(
        self,
        gate: &Gate,
        authenticator: &Arc<Authenticator>,
        callout: &Arc<Callout>,
        present: bool,
        around: &mut Around,
    ) -> Step {
        let (connection, now_ms) = (around.connection, around.now.as_ms());
        let (slot, strip) = (authenticator.slot, &self.policy.strip);
        let shows_body = callout.send.body.is_some() && !self.ends && !self.request.is_upgrade();
        let shared = present && !shows_body && callout.cache.is_some();
        let key = match shared || callout.breaker.is_some() {
            true => callout::key(callout, &self.request, strip, connection, around.memory.seed()),
            false => Key::default(),
        };
        let own = shared.then_some(key);
        let mut found = own.map_or(Found::Nothing, |key| around.memory.find(slot, &key, now_ms));
        let (mut ticket, mut used) = (None, Used::Remembered);
        // Who would ask looks first whether another worker did.
        if shared && !matches!(found, Found::Fresh(_) | Found::Revalidate { first: false, .. }) {
            let digest = |hasher| callout::digest(callout, &self.request, strip, connection, hasher);
            ticket = around.memory.ticket(slot, digest);
            if let Some(ticket) = &ticket
                && around.memory.take_over(slot, (key, ticket), around.shared, now_ms)
            {
                found = around.memory.find(slot, &key, now_ms);
                used = Used::Shared;
            }
        }
        let by = By { key, ticket, shared };
        let remembered = |step: Step, used| {
            step.on_record(|record| {
                record.authenticator = Some(authenticator.name.clone());
                record.used = used;
            })
        };
        match found {
            Found::Fresh(answer) => return remembered(self.go_on(gate, &answer, around), used),
            Found::Revalidate { answer, first } => {
                let may = first && around.memory.refuses(slot, now_ms).is_none();
                let refresh = may.then(|| Refresh {
                    question: callout::ask(callout, &self.request, strip, connection),
                    call: Call::new(&self.policy, (authenticator, callout), &self.request, by, now_ms),
                });
                let step = remembered(self.go_on(gate, &answer, around), Used::Revalidated);
                return step.with_refresh(refresh);
            }
            Found::IfError(_) | Found::Nothing => {}
        }
        if let Some(retry_after) = around.memory.refuses(slot, now_ms) {
            let failure = CalloutFailure::BreakerOpen { retry_after };
            return self.without_answer(gate, authenticator, callout, own, failure, around);
        }
        Step::Ask(Box::new(Ask {
            question: callout::ask(callout, &self.request, strip, connection),
            call: Call::new(&self.policy, (authenticator, callout), &self.request, by, now_ms),
            awaiting: Awaiting {
                authenticator: authenticator.clone(),
                key: own,
                way: self,
            },
        }))
    }

    /// The service said who calls, or that nobody does; now or before.
    fn go_on(self, gate: &Gate, answer: &Remembered, around: &mut Around) -> Step {
        match answer {
            Remembered::Known(principal, accepted) => {
                self.finish(gate, Caller::Known(principal.clone()), accepted, around)
            }
            Remembered::Denied(_) if gate.anonymous == Anonymous::AllowMissingOrFailed => {
                let nobody = Caller::Nobody(WhyNobody::Refused);
                self.finish(gate, nobody, &Accepted::nothing(), around)
            }
            Remembered::Denied(denial) => self.refuse(Denial::Service(denial.clone()), None, around.connection),
        }
    }

    /// The service could not be asked: a known caller keeps its last answer while the service is away.
    fn without_answer(
        self,
        gate: &Gate,
        authenticator: &Arc<Authenticator>,
        callout: &Callout,
        key: Option<Key>,
        failure: CalloutFailure,
        around: &mut Around,
    ) -> Step {
        let stale = match key.filter(|_| failure.is_outage()) {
            Some(key) => around.memory.find(authenticator.slot, &key, around.now.as_ms()),
            None => Found::Nothing,
        };
        let asked = match failure.was_asked() {
            true => Used::Asked,
            false => Used::Nothing,
        };
        let (step, used) = match stale {
            Found::Fresh(answer) | Found::Revalidate { answer, .. } | Found::IfError(answer) => {
                (self.go_on(gate, &answer, around), Used::Stale)
            }
            Found::Nothing if failure_goes_on(callout.on_failure, failure) => {
                let nobody = Caller::Nobody(WhyNobody::ServiceFailed(failure));
                (self.finish(gate, nobody, &Accepted::nothing(), around), asked)
            }
            Found::Nothing => {
                let denial = Denial::AuthUnavailable(failure);
                (self.refuse(denial, None, around.connection), asked)
            }
        };
        step.on_record(|record| {
            record.authenticator = Some(authenticator.name.clone());
            record.used = used;
            record.failure = Some(failure);
        })
    }

    /// The caller is known, or known to be nobody.
    fn finish(mut self, gate: &Gate, caller: Caller, accepted: &Accepted, around: &mut Around) -> Step {
        let connection = around.connection;
        if caller == Caller::Nobody(WhyNobody::NoCredential) && gate.anonymous == Anonymous::Deny {
            let denial = self.missing(gate);
            return self.refuse(denial, Some(caller), connection);
        }
        self.rate_shadows(&caller, around);
        let permit = match self.permit(gate, &caller, connection) {
            Ok(permit) => permit,
            Err(denial) => return self.refuse(denial, Some(caller), connection),
        };
        if let Err(limited) = self.rate(Met::AfterAuth, Some(&caller), around) {
            return self.refuse(limited, Some(caller), connection);
        }
        match forget::of(&self.policy, gate, &caller, &self.request, around) {
            Ok(Forgotten::Orders(orders)) => self.forgotten = orders,
            Ok(Forgotten::Answered(reply)) => return self.answer(reply, Outcome::Forgotten, Some(caller), connection),
            Err(denial) => return self.refuse(denial, Some(caller), connection),
        }
        self.accept(accepted);
        self.experiment(caller.principal(), around);
        if let Some(principal) = caller.principal()
            && let Err(denial) = self.tell(gate, principal, accepted, around)
        {
            return self.refuse(denial, Some(caller), connection);
        }
        let outcome = match &caller {
            Caller::Known(_) => Outcome::Allowed,
            Caller::Nobody(WhyNobody::ServiceFailed(_)) => Outcome::FailedOpen,
            Caller::Nobody(_) => Outcome::Anonymous,
        };
        self.carry(permit, outcome, Some(caller), around)
    }

    /// On to the upstream, as the rule says how.
    fn carry(mut self, permit: Permit, outcome: Outcome, caller: Option<Caller>, around: &mut Around) -> Step {
        let Some(upstream) = self.rule.as_ref().and_then(|rule| rule.upstream.clone()) else {
            return self.forward(permit, outcome, caller, around);
        };
        let known = caller.as_ref().is_some_and(|caller| caller.principal().is_some());
        let times = (self.arrived, around.now);
        match upstream::carry(&upstream, &self.request, known, times, &mut self.edits) {
            Ok(carried) => {
                let step = self.forward(permit, outcome, caller, around);
                step.on_record(|record| record.carried = carried)
            }
            Err(time_up) => self.refuse(Denial::TimeUp(time_up), caller, around.connection),
        }
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
            scheme: gate.scheme(),
        })
    }

    /// Nobody is here, and perhaps somebody's certificate that no authenticator of the rule takes.
    fn missing(&self, gate: &Gate) -> Denial {
        let scheme = gate.scheme();
        match (&self.credential.authenticator, self.credential.fault) {
            (Some(authenticator), Some(fault)) => Denial::Credential {
                authenticator: authenticator.clone(),
                scheme,
                fault,
            },
            _ => Denial::NoCredential { scheme },
        }
    }

    /// A caller's own under accepted names were stripped before the service was asked, so that
    /// adding is setting, and a name that stands twice in the answer stays twice.
    /// Removals come last, as in ext_authz: what we or the answer set under such a name goes, too, and
    /// what is left of the caller's cookies.
    fn accept(&mut self, accepted: &Accepted) {
        self.edits.add.extend_from_slice(&accepted.set);
        self.edits.add.extend_from_slice(&accepted.append);
        for name in &accepted.remove {
            self.edits.set.retain(|(other, _)| other != name);
            self.edits.add.retain(|(other, _)| other != name);
            if self.request.headers.iter().any(|(other, _)| other == name) {
                self.edits.remove(name);
            }
        }
        self.to_client.clone_from(&accepted.to_client);
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

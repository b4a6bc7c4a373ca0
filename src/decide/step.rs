//! What the proxy is to do, and what is said of it.

use super::{Around, Awaiting, Call, Way, shadow, sign_in};
use crate::authn::callout::{CalloutFailure, Question};
use crate::authn::{Caller, Principal, WhyNobody};
use crate::authz::{self, Facts, Permit};
use crate::denial::{Denial, Outcome, Reply, Style};
use crate::experiment::{Assigned, Exposure};
use crate::header::{Edits, Field, Headers};
use crate::memory::Order;
use crate::policy::{Policy, Rule};
use crate::request::{self, Connection};
use crate::upstream::Carried;
use std::borrow::Cow;
use std::fmt;
use std::mem::take;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// One input gives one step.
#[derive(Debug)]
#[must_use = "a step that is not carried out leaves the request hanging"]
pub enum Step {
    Forward(Box<Forward>),
    Refuse(Box<Refuse>),
    /// The only place where a request waits.
    Ask(Box<Ask>),
}

impl Step {
    pub fn record(&self) -> Option<&Record> {
        match self {
            Self::Forward(forward) => Some(&forward.record),
            Self::Refuse(refuse) => Some(&refuse.record),
            Self::Ask(_) => None,
        }
    }

    pub(super) fn on_record(mut self, change: impl FnOnce(&mut Record)) -> Self {
        match &mut self {
            Self::Forward(forward) => change(&mut forward.record),
            Self::Refuse(refuse) => change(&mut refuse.record),
            Self::Ask(_) => {}
        }
        self
    }

    /// What is asked beside, wherever the request itself goes.
    pub(super) fn with_refresh(mut self, refresh: Option<Refresh>) -> Self {
        let refresh = refresh.map(Box::new);
        match &mut self {
            Self::Forward(forward) => forward.refresh = refresh,
            Self::Refuse(refuse) => refuse.refresh = refresh,
            Self::Ask(_) => {}
        }
        self
    }
}

#[derive(Debug)]
pub struct Forward {
    /// There is no `Forward` without one.
    #[expect(dead_code, reason = "a proof is had, not read")]
    permit: Permit,
    /// For the upstream.
    pub edits: Edits,
    pub on_response: OnResponse,
    pub record: Record,
    pub refresh: Option<Box<Refresh>>,
    /// To be told once the request goes on.
    pub exposures: Vec<Exposure>,
}

/// What is done when the response comes, or the client leaves before.
#[derive(Debug, Default)]
pub struct OnResponse {
    /// Added to the response.
    pub to_client: Vec<Field>,
    /// Given once more: until the upstream has ended a session, the service goes on to say yes to it.
    pub forget: Vec<Order>,
    /// In place of what the upstream says under this name: [`super::told`].
    pub told: Option<Field>,
    /// None: nothing.
    pub variants: Option<Box<OfVariants>>,
}

impl OnResponse {
    pub fn is_empty(&self) -> bool {
        let Self {
            to_client,
            forget,
            told,
            variants,
        } = self;
        to_client.is_empty() && forget.is_empty() && told.is_none() && variants.is_none()
    }
}

/// What experiments do to the response.
#[derive(Debug, Default)]
pub struct OfVariants {
    /// In place of what the upstream says under these names.
    pub set: Vec<Field>,
    /// Names for `Vary`, each once.
    pub vary: Vec<Cow<'static, str>>,
    pub cookies: Vec<SetCookie>,
    /// The caller chose what others may not.
    pub private: bool,
    /// Told with the cluster that the route chose.
    pub by_route: Vec<Exposure>,
}

impl OfVariants {
    fn taken(&mut self) -> Option<Box<Self>> {
        // Taken apart, so that a new part cannot be forgotten here.
        let Self {
            set,
            vary,
            cookies,
            private,
            by_route,
        } = &*self;
        let nothing = set.is_empty() && vary.is_empty() && cookies.is_empty() && !*private && by_route.is_empty();
        (!nothing).then(|| take(self).into())
    }
}

/// A unit that was drawn, for the caller to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetCookie {
    pub name: String,
    pub value: String,
    pub max_age: Duration,
    /// Also where a shared cache may give it to others.
    pub on_cacheable: bool,
}

impl SetCookie {
    pub fn field(&self) -> Field {
        let age = self.max_age.as_secs().to_string();
        let parts = [
            &*self.name,
            "=",
            &self.value,
            "; Path=/; Max-Age=",
            &age,
            "; Secure; HttpOnly; SameSite=Lax",
        ];
        (b"set-cookie".to_vec(), parts.concat().into_bytes())
    }
}

/// The filter answers itself: a refusal, or an operator's request.
#[derive(Debug)]
pub struct Refuse {
    pub reply: Reply,
    pub record: Record,
    pub refresh: Option<Box<Refresh>>,
}

#[derive(Debug)]
pub struct Ask {
    pub question: Question,
    pub call: Call,
    pub awaiting: Awaiting,
}

/// A question that no request waits for (`stale_while_revalidate`).
#[derive(Debug)]
pub struct Refresh {
    pub question: Question,
    pub call: Call,
}

/// Whose word a decision went by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Used {
    /// Nobody's; the caller showed no credential, or was not asked for one.
    #[default]
    Nothing,
    /// The service was asked.
    Asked,
    /// Another request asked the same.
    Joined,
    Remembered,
    /// Another worker asked.
    Shared,
    /// Past its life, and asked anew beside.
    Revalidated,
    /// Past its life, while the service was away.
    Stale,
}

impl Used {
    /// Every word of the log and the metric; nothing is said of `Nothing`.
    pub const WORDS: &'static [&'static str] = &["asked", "joined", "remembered", "shared", "revalidated", "stale"];

    pub fn word(self) -> &'static str {
        match self {
            Self::Nothing => "nobody",
            Self::Asked => "asked",
            Self::Joined => "joined",
            Self::Remembered => "remembered",
            Self::Shared => "shared",
            Self::Revalidated => "revalidated",
            Self::Stale => "stale",
        }
    }
}

/// What log, metrics and filter state say of a decision.
#[derive(Clone, Debug)]
pub struct Record {
    pub rule: Option<Arc<Rule>>,
    pub outcome: Outcome,
    /// A word of a closed list; empty where there is nothing to say.
    pub cause: Cow<'static, str>,
    /// Of a known caller.
    pub subject: Option<Subject>,
    /// Which one was asked, also where it refused or could not be asked.
    pub authenticator: Option<Arc<str>>,
    /// The name of the credential by which the caller is known, or which was refused: of an API key its `id`.
    pub credential_id: Option<Arc<str>>,
    /// Why the service could not be asked, also where the request went on.
    pub failure: Option<CalloutFailure>,
    /// The caller is known, and what the upstream would have to be told could not be signed.
    pub unsigned: bool,
    /// What shadow rules would have done.
    pub shadows: Vec<(Arc<Rule>, Outcome)>,
    /// Limits under which it had no bucket of its own: too many callers at once.
    pub overflowed: Vec<Arc<str>>,
    pub used: Used,
    /// Whether this caller is one whom `debug` tells how the decision came about.
    pub is_told: bool,
    pub carried: Carried,
    /// Of a request that goes on, what it gets of each experiment.
    pub variants: Vec<Assigned>,
    /// False under `mode: observe`: this is what would have been done.
    pub enforced: bool,
}

/// The text by which a caller is known, held where the caller is: most records are read by nobody.
#[derive(Clone)]
pub struct Subject(Arc<Principal>);

impl Deref for Subject {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0.subject
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl Record {
    /// Whether something is wrong on our side, which an operator has to see.
    pub fn is_error(&self) -> bool {
        match self.failure {
            // A caller who is slow to send its body looks the same, and could fill the log with errors.
            // One outage is told by those who met it, not by everyone whom it kept out.
            Some(CalloutFailure::BodyUnseen | CalloutFailure::BreakerOpen { .. } | CalloutFailure::TooManyWaiting) => {
                false
            }
            Some(_) => true,
            None => self.unsigned,
        }
    }

    /// In a few words, for whoever reads the log.
    pub fn message(&self) -> Cow<'static, str> {
        match self.failure {
            Some(failure) => failure.detail(),
            None if self.unsigned => "the proxy's own key does not sign".into(),
            None => self.outcome.word().into(),
        }
    }
}

impl Forward {
    /// Under `mode: observe`.
    fn as_it_came(permit: Permit, record: Record) -> Step {
        Step::Forward(Box::new(Self {
            permit,
            edits: Edits::default(),
            on_response: OnResponse::default(),
            record,
            refresh: None,
            exposures: Vec::new(),
        }))
    }
}

impl Refuse {
    fn with(reply: Reply, record: Record) -> Step {
        Step::Refuse(Box::new(Self {
            reply,
            record,
            refresh: None,
        }))
    }
}

impl Way {
    pub(super) fn forward(
        &mut self,
        permit: Permit,
        outcome: Outcome,
        caller: Option<Caller>,
        around: &mut Around,
    ) -> Step {
        let mut record = self.record(outcome, "".into(), caller.as_ref(), around.connection);
        let (edits, to_client, exposures, variants) = match record.enforced {
            true => {
                let exposures = self.expose(around);
                let variants = self.of_variants.taken();
                (take(&mut self.edits), take(&mut self.to_client), exposures, variants)
            }
            false => Default::default(),
        };
        record.variants = take(&mut self.assigned);
        let on_response = OnResponse {
            to_client,
            forget: take(&mut self.forgotten),
            told: None,
            variants,
        };
        Step::Forward(Box::new(Forward {
            permit,
            edits,
            on_response,
            record,
            refresh: None,
            exposures,
        }))
    }

    pub(super) fn refuse(&mut self, denial: Denial, caller: Option<Caller>, connection: &dyn Connection) -> Step {
        let row = denial.row();
        let mut record = self.record(row.outcome, row.cause.clone(), caller.as_ref(), connection);
        match &denial {
            Denial::AuthUnavailable(failure) => record.failure = Some(*failure),
            Denial::Unsigned => record.unsigned = true,
            Denial::KeysUnavailable { authenticator } => record.authenticator = Some(authenticator.clone()),
            _ => {}
        }
        if let Some(permit) = authz::observing(&self.policy) {
            return Forward::as_it_came(permit, record);
        }
        let style = match (&self.rule, self.request.is_grpc()) {
            (_, true) => Style::Grpc,
            (Some(rule), false) => sign_in::style(rule, &self.request, row.status, connection),
            (None, false) => Style::Json,
        };
        let mut reply = Reply::of(&denial, &row, &style, &request_id(&self.request.headers));
        if self.drawn.is_some() {
            let cookies = self.cookies_of_refusal(caller.as_ref().and_then(Caller::principal), connection);
            reply.headers.extend(cookies.iter().map(SetCookie::field));
        }
        Refuse::with(reply, record)
    }

    /// The filter answers an operator's request itself, unless it only observes.
    pub(super) fn answer(
        &mut self,
        reply: Reply,
        outcome: Outcome,
        caller: Option<Caller>,
        connection: &dyn Connection,
    ) -> Step {
        let record = self.record(outcome, "".into(), caller.as_ref(), connection);
        if let Some(permit) = authz::observing(&self.policy) {
            return Forward::as_it_came(permit, record);
        }
        Refuse::with(reply, record)
    }

    fn tells(&self, principal: &Principal, connection: &dyn Connection) -> bool {
        let (Some(debug), Some(rule)) = (&self.policy.debug, &self.rule) else {
            return false;
        };
        let facts = Facts {
            principal: Some(principal),
            request: &self.request,
            rule,
            connection,
        };
        debug.require.check(&facts).is_ok()
    }

    fn record(
        &mut self,
        outcome: Outcome,
        cause: Cow<'static, str>,
        caller: Option<&Caller>,
        connection: &dyn Connection,
    ) -> Record {
        let principal = caller.and_then(Caller::principal);
        let failure = match caller {
            Some(Caller::Nobody(WhyNobody::ServiceFailed(failure))) => Some(*failure),
            _ => None,
        };
        let credential = &self.credential;
        Record {
            rule: self.rule.clone(),
            outcome,
            cause: match (failure, credential.fault) {
                (Some(failure), _) if cause.is_empty() => failure.word().into(),
                (None, Some(fault)) if cause.is_empty() => fault.word().into(),
                _ => cause,
            },
            subject: match caller {
                Some(Caller::Known(principal)) => Some(Subject(principal.clone())),
                Some(Caller::Nobody(_)) | None => None,
            },
            authenticator: principal
                .map(|principal| principal.authenticator.clone())
                .or_else(|| credential.authenticator.clone()),
            credential_id: self.credential.id.clone(),
            failure,
            unsigned: false,
            used: Used::Nothing,
            is_told: principal.is_some_and(|principal| self.tells(principal, connection)),
            shadows: shadow::outcomes(self, caller, connection),
            overflowed: take(&mut self.overflowed),
            carried: Carried::AsSaid,
            variants: Vec::new(),
            enforced: authz::observing(&self.policy).is_none(),
        }
    }
}

/// A request that the filter answers itself, whatever the rules say.
pub(super) fn answer_itself(policy: &Policy, reply: Reply, outcome: Outcome) -> Step {
    Refuse::with(reply, without_rule(policy, outcome, "".into()))
}

/// A request that cannot be read as one request meets no rule.
pub(super) fn refuse_unread(policy: &Policy, headers: &Headers, denial: Denial) -> Step {
    let refuse = refused(policy, headers, &denial);
    match authz::observing(policy) {
        None => Step::Refuse(Box::new(refuse)),
        Some(permit) => Forward::as_it_came(permit, refuse.record),
    }
}

pub(super) fn refused(policy: &Policy, headers: &Headers, denial: &Denial) -> Refuse {
    let row = denial.row();
    let style = match request::is_grpc(headers) {
        true => Style::Grpc,
        false => Style::Json,
    };
    let reply = Reply::of(denial, &row, &style, &request_id(headers));
    Refuse {
        reply,
        record: without_rule(policy, row.outcome, row.cause),
        refresh: None,
    }
}

fn without_rule(policy: &Policy, outcome: Outcome, cause: Cow<'static, str>) -> Record {
    Record {
        rule: None,
        outcome,
        cause,
        subject: None,
        authenticator: None,
        credential_id: None,
        failure: None,
        unsigned: false,
        used: Used::Nothing,
        carried: Carried::AsSaid,
        variants: Vec::new(),
        shadows: Vec::new(),
        is_told: false,
        overflowed: Vec::new(),
        enforced: authz::observing(policy).is_none(),
    }
}

/// As the caller or Envoy named the request; cut, since a caller may write what it likes there.
pub fn request_id(headers: &Headers) -> String {
    const MAX_BYTES: usize = 128;
    let id = headers.first("x-request-id").unwrap_or_default();
    String::from_utf8_lossy(id.get(..MAX_BYTES).unwrap_or(id)).into_owned()
}

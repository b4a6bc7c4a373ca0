//! What the proxy is to do, and what is said of it.

use super::{Awaiting, Way, shadow, sign_in};
use crate::authn::callout::{CalloutFailure, Question};
use crate::authn::{Caller, WhyNobody};
use crate::authz::{self, Permit};
use crate::denial::{Denial, Outcome, Reply, Style};
use crate::header::{Edits, Field, Headers};
use crate::policy::{Policy, Rule};
use crate::request::{self, Connection};
use std::borrow::Cow;
use std::sync::Arc;

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

    pub(super) fn record_mut(&mut self) -> Option<&mut Record> {
        match self {
            Self::Forward(forward) => Some(&mut forward.record),
            Self::Refuse(refuse) => Some(&mut refuse.record),
            Self::Ask(_) => None,
        }
    }
}

#[derive(Debug)]
pub struct Forward {
    /// There is no `Forward` without one.
    #[expect(dead_code, reason = "a proof is had, not read")]
    permit: Permit,
    /// For the upstream.
    pub edits: Edits,
    /// Added to the response.
    pub to_client: Vec<Field>,
    pub record: Record,
}

#[derive(Debug)]
pub struct Refuse {
    pub reply: Reply,
    pub record: Record,
}

#[derive(Debug)]
pub struct Ask {
    pub question: Question,
    pub awaiting: Awaiting,
}

/// What log, metrics and filter state say of a decision.
#[derive(Clone, Debug)]
pub struct Record {
    pub rule: Option<Arc<Rule>>,
    pub outcome: Outcome,
    /// A word of a closed list; empty where there is nothing to say.
    pub cause: Cow<'static, str>,
    /// Of a known caller.
    pub subject: Option<String>,
    /// Which one was asked, also where it refused or could not be asked.
    pub authenticator: Option<Arc<str>>,
    /// Why the service could not be asked, also where the request went on.
    pub failure: Option<CalloutFailure>,
    /// What shadow rules would have done.
    pub shadows: Vec<(Arc<Rule>, Outcome)>,
    /// False under `mode: observe`: this is what would have been done.
    pub enforced: bool,
}

impl Record {
    /// What a question came to, for metrics.
    pub fn callout_result(&self) -> &'static str {
        match (self.failure, self.outcome) {
            (Some(failure), _) => failure.word(),
            // Unauthenticated: the service said no, `anonymous` let nobody go on, `require` did not.
            (None, Outcome::Denied | Outcome::Anonymous | Outcome::Unauthenticated) => "denied",
            (None, Outcome::BodyTooLarge) => "not_asked",
            (None, _) => "allowed",
        }
    }
}

impl Way {
    pub(super) fn forward(
        self,
        permit: Permit,
        outcome: Outcome,
        caller: Option<Caller>,
        connection: &dyn Connection,
    ) -> Step {
        let record = self.record(outcome, "".into(), caller.as_ref(), connection);
        let (edits, to_client) = match record.enforced {
            true => (self.edits, self.to_client),
            false => Default::default(),
        };
        Step::Forward(Box::new(Forward {
            permit,
            edits,
            to_client,
            record,
        }))
    }

    pub(super) fn refuse(self, denial: Denial, caller: Option<Caller>, connection: &dyn Connection) -> Step {
        let row = denial.row();
        let mut record = self.record(row.outcome, row.cause.clone(), caller.as_ref(), connection);
        if let Denial::AuthUnavailable(failure) = denial {
            record.failure = Some(failure);
        }
        if let Some(permit) = authz::observing(&self.policy) {
            return Step::Forward(Box::new(Forward {
                permit,
                edits: Edits::default(),
                to_client: Vec::new(),
                record,
            }));
        }
        let style = match (&self.rule, self.request.is_grpc()) {
            (_, true) => Style::Grpc,
            (Some(rule), false) => sign_in::style(rule, &self.request, row.status, connection),
            (None, false) => Style::Json,
        };
        let reply = Reply::of(&denial, &row, &style, &request_id(&self.request.headers));
        Step::Refuse(Box::new(Refuse { reply, record }))
    }

    fn record(
        &self,
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
        Record {
            rule: self.rule.clone(),
            outcome,
            cause: match failure {
                Some(failure) if cause.is_empty() => failure.word().into(),
                _ => cause,
            },
            subject: principal.map(|principal| principal.subject.clone()),
            authenticator: principal.map(|principal| principal.authenticator.clone()),
            failure,
            shadows: shadow::outcomes(&self.shadows, caller, &self.request, connection),
            enforced: authz::observing(&self.policy).is_none(),
        }
    }
}

/// A request that cannot be read as one request meets no rule.
pub(super) fn refuse_unread(policy: &Policy, headers: &Headers, denial: Denial) -> Step {
    let refuse = refused(policy, headers, &denial);
    match authz::observing(policy) {
        None => Step::Refuse(Box::new(refuse)),
        Some(permit) => Step::Forward(Box::new(Forward {
            permit,
            edits: Edits::default(),
            to_client: Vec::new(),
            record: refuse.record,
        })),
    }
}

pub(super) fn refused(policy: &Policy, headers: &Headers, denial: &Denial) -> Refuse {
    let row = denial.row();
    let style = match request::is_grpc(headers) {
        true => Style::Grpc,
        false => Style::Json,
    };
    let reply = Reply::of(denial, &row, &style, &request_id(headers));
    let record = Record {
        rule: None,
        outcome: row.outcome,
        cause: row.cause,
        subject: None,
        authenticator: None,
        failure: None,
        shadows: Vec::new(),
        enforced: authz::observing(policy).is_none(),
    };
    Refuse { reply, record }
}

/// As the caller or Envoy named the request; cut, since a caller may write what it likes there.
pub fn request_id(headers: &Headers) -> String {
    const MAX_BYTES: usize = 128;
    let id = headers.first("x-request-id").unwrap_or_default();
    String::from_utf8_lossy(id.get(..MAX_BYTES).unwrap_or(id)).into_owned()
}

//! One call to a service: what it is asked on behalf of, and what of its answer is remembered. It outlives the
//! request that caused it, so that others who wait for its answer get it.

use crate::authn::callout::{self, Answer, CalloutFailure, Verdict};
use crate::authn::credential;
use crate::breaker::Leave;
use crate::cache::freshness::Freshness;
use crate::cache::{CachePolicy, CredentialTag, Key, Life, Remembered, SharedStore};
use crate::header::Headers;
use crate::identity;
use crate::memory::{Entry, Memory, Order, Ticket, epoch_header};
use crate::policy::{Authenticator, Callout, Policy};
use crate::request::Request;
use std::sync::Arc;

/// A question on its way.
#[derive(Debug)]
#[must_use = "an answer that nobody takes is neither remembered nor counted"]
pub struct Call {
    policy: Arc<Policy>,
    authenticator: Arc<Authenticator>,
    callout: Arc<Callout>,
    key: Key,
    /// Whose credential the service is shown, for the breaker.
    caller: CredentialTag,
    /// None: the answer is the asking request's alone.
    credential: Option<Credential>,
    /// None: the answer is this worker's alone.
    ticket: Option<Ticket>,
    asked_ms: u64,
}

/// What it is asked by.
#[derive(Clone, Copy, Debug)]
pub(super) struct By {
    pub key: Key,
    pub ticket: Option<Ticket>,
    /// The question carries a credential and no body, so that its answer may serve others.
    pub shared: bool,
}

/// The credential that the question carries.
#[derive(Clone, Copy, Debug)]
struct Credential {
    tag: CredentialTag,
    /// Its own end, in milliseconds since the Unix epoch.
    end_ms: Option<u64>,
}

/// What came of a call.
#[derive(Clone, Debug)]
pub enum Heard {
    Said {
        answer: Arc<Remembered>,
        /// Whoever asks the same is answered the same.
        kept: bool,
    },
    Failed(CalloutFailure),
}

impl Heard {
    /// For metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Said { answer, .. } => match **answer {
                Remembered::Known(..) => "allowed",
                Remembered::Denied(_) => "denied",
            },
            Self::Failed(failure) => failure.word(),
        }
    }
}

impl Call {
    pub(super) fn new(
        policy: &Arc<Policy>,
        (authenticator, callout): (&Arc<Authenticator>, &Arc<Callout>),
        request: &Request,
        By { key, ticket, shared }: By,
        now_ms: u64,
    ) -> Self {
        let places = callout.credential_places();
        let shares = shared && callout.cache.is_some();
        let caller = match shares || callout.breaker.is_some() {
            true => credential::tag(places, request),
            false => CredentialTag::default(),
        };
        let credential = shares.then(|| Credential {
            tag: caller,
            end_ms: credential::end_ms(places, request),
        });
        Self {
            policy: policy.clone(),
            authenticator: authenticator.clone(),
            callout: callout.clone(),
            key,
            caller,
            credential,
            ticket,
            asked_ms: now_ms,
        }
    }

    pub fn authenticator(&self) -> &Arc<Authenticator> {
        &self.authenticator
    }

    /// Just before it goes out: not while nobody may ask, and only one finds out whether the service is back.
    pub fn leave(&mut self, memory: &mut Memory, now_ms: u64) -> Result<(), CalloutFailure> {
        // Its headers may have come long before: a body was collected, or it waited for another's answer.
        self.asked_ms = now_ms;
        match memory.leave(self.authenticator.slot, now_ms) {
            Leave::Ask | Leave::Probe => Ok(()),
            Leave::Refused { retry_after } => Err(CalloutFailure::BreakerOpen { retry_after }),
        }
    }

    /// Under which others may wait for the answer; None where it is the asker's alone.
    pub fn key(&self) -> Option<(usize, Key)> {
        self.credential.map(|_| (self.authenticator.slot, self.key))
    }

    /// How many may wait for answers of this service, and whether more are refused.
    pub fn most_waiting(&self) -> (usize, bool) {
        let cache = self.callout.cache.as_ref();
        cache.map_or((0, false), |cache| (cache.max_waiting, cache.refuse_when_full))
    }

    /// Only a denial's body goes anywhere.
    pub fn reads_body(&self, headers: &Headers) -> bool {
        callout::status(headers).is_some_and(|status| !self.callout.allow_status.contains(status))
    }

    /// What the answer means, remembered as far as service and policy allow it.
    pub fn on_answer(&self, answer: Answer, memory: &mut Memory, store: &dyn SharedStore, now_ms: u64) -> Heard {
        let slot = self.authenticator.slot;
        let verdict = match answer {
            Answer::Failure(failure) => Verdict::Failed(failure),
            Answer::Reply { headers, body } => {
                let callout = &self.callout;
                let verdict = callout::read(&self.authenticator, callout, &self.policy.identity, &headers, body);
                return self.heard(
                    verdict,
                    epoch_header(slot, &headers),
                    |cache, answer, denied| self.life(cache, &headers, answer, denied, now_ms),
                    memory,
                    store,
                    now_ms,
                );
            }
        };
        self.heard(verdict, None, |_, _, _| None, memory, store, now_ms)
    }

    fn heard(
        &self,
        verdict: Verdict,
        epoch: Option<Order>,
        life: impl FnOnce(&CachePolicy, &Remembered, bool) -> Option<Life>,
        memory: &mut Memory,
        store: &dyn SharedStore,
        now_ms: u64,
    ) -> Heard {
        let slot = self.authenticator.slot;
        let (answer, denied) = match verdict {
            Verdict::Known(principal, mut accepted) => {
                if self.credential.is_some() {
                    accepted.identity = identity::headers(&self.policy.identity_headers, &principal).ok();
                }
                (Remembered::Known(Arc::new(principal), accepted), false)
            }
            Verdict::Denied(denial) => {
                // Before anybody hears of it: what began by a yes ends here, stale or not.
                memory.deny(slot, &self.key, self.asked_ms, now_ms);
                if let Some(ticket) = &self.ticket {
                    memory.take_away(slot, ticket, self.asked_ms, store, now_ms);
                }
                (Remembered::Denied(denial), true)
            }
            Verdict::Failed(failure) => {
                if let Some(order) = epoch {
                    memory.give(order, now_ms);
                }
                match failure {
                    // Ours: it says nothing of the service.
                    CalloutFailure::Host => {}
                    _ if failure.is_outage() => memory.failed(slot, self.caller, self.asked_ms, now_ms),
                    _ => memory.answered(slot, self.asked_ms, now_ms),
                }
                return Heard::Failed(failure);
            }
        };
        memory.answered(slot, self.asked_ms, now_ms);
        let answer = Arc::new(answer);
        let cache = self.callout.cache.as_ref().zip(self.credential);
        let kept = cache.and_then(|(cache, credential)| {
            let life = life(cache, &answer, denied)?;
            let outdated = memory.is_outdated(slot, &answer, credential.tag, self.asked_ms)
                || (!denied && memory.was_denied(slot, &self.key, self.asked_ms));
            (!outdated).then_some((life, credential.tag))
        });
        // Obeyed by now, so that it ends what was there before, and not the answer that it came with.
        let stands = epoch.is_none_or(|order| memory.give(order, now_ms).spares_its_bearer());
        let kept = kept.filter(|_| stands);
        if let Some((life, credential)) = kept {
            let entry = Entry {
                key: self.key,
                answer: answer.clone(),
                life,
                credential,
            };
            if let Some(ticket) = &self.ticket {
                memory.share_answer(slot, ticket, (&entry, self.asked_ms), store, now_ms);
            }
            memory.remember(slot, entry);
        }
        Heard::Said {
            answer,
            kept: kept.is_some(),
        }
    }

    /// None: not remembered.
    fn life(
        &self,
        cache: &CachePolicy,
        headers: &Headers,
        answer: &Remembered,
        denied: bool,
        now_ms: u64,
    ) -> Option<Life> {
        let ttl = match (denied, answer) {
            (false, _) => cache.ttl,
            // With anything left out of the key, another request may be denied for what this one lacks.
            (true, Remembered::Denied(denial)) if cache.ignored.is_empty() || denial.status == 401 => {
                cache.denied_ttl?
            }
            (true, _) => return None,
        };
        let callout = &self.callout;
        let fresh = Freshness::of(headers, |name| callout.is_in_key(name), now_ms / 1000).ok()?;
        let ttl = fresh.max_age.map_or(ttl, |max_age| max_age.min(ttl));
        let may_be_stale = !denied && !fresh.must_revalidate;
        let end_ms = self.credential.and_then(|credential| credential.end_ms);
        let life = Life::new(cache, ttl, may_be_stale, end_ms, now_ms);
        (life.fresh_until_ms > now_ms).then_some(life)
    }
}

//! Where a command line decides: nothing is remembered, and everything that a proxy would know is given.

use super::asked::Asked;
use super::caller::Known;
use super::reply::Replied;
use crate::assertion::p256_pem;
use crate::authn::Principal;
use crate::authn::callout::Question;
use crate::authn::jwt::{Algorithm, InRust};
use crate::authn::keys::KeySet;
use crate::cache::{NoStore, Remembered, Seed};
use crate::config;
use crate::decide::{self, Around, Forward, Heard, Record, Refuse, Step, Used};
use crate::denial::KEYS_UNAVAILABLE;
use crate::memory::Memory;
use crate::policy::{ApiKeySource, AuthenticatorKind, KeySource, Policy};
use crate::time::UnixTime;
use std::sync::Arc;

/// What this machine has of what the proxy would have.
pub struct Local<'a> {
    /// The value of a variable: secrets of tokens, and keys that sign.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// By authenticator: the document that the proxy would fetch.
    pub documents: Vec<(String, Vec<u8>)>,
    pub now: UnixTime,
}

impl Default for Local<'_> {
    fn default() -> Self {
        Self {
            environment: &|_| None,
            documents: Vec::new(),
            now: UnixTime::default(),
        }
    }
}

#[derive(Debug)]
pub struct World {
    pub policy: Arc<Policy>,
    pub now: UnixTime,
    /// By slot.
    keys: Vec<(usize, Arc<KeySet>)>,
    lists: Vec<(usize, Vec<u8>)>,
    /// Variable and private key of those that sign.
    signing: Vec<(String, String)>,
    /// What differs here from the proxy.
    pub notes: Vec<String>,
}

/// Who calls.
#[derive(Clone, Debug)]
pub enum Who {
    /// Whoever the request itself shows.
    Shown,
    /// Nobody looks at the request's credentials.
    Known(Known),
    /// The auth service says so, where it is asked.
    Answered(Replied),
}

#[derive(Debug)]
pub struct Decided {
    pub decision: Decision,
    /// What the service was asked, or would be.
    pub question: Option<Question>,
    /// Of a service's answer.
    pub principal: Option<Arc<Principal>>,
}

#[derive(Debug)]
pub enum Decision {
    Forward(Box<Forward>),
    Refuse(Box<Refuse>),
    Undecided(Undecided),
}

impl Decision {
    pub const FORWARD: &'static str = "forward";
    pub const REFUSE: &'static str = "refuse";
    pub const UNDECIDED: &'static str = "undecided";

    pub fn word(&self) -> &'static str {
        match self {
            Self::Forward(_) => Self::FORWARD,
            Self::Refuse(_) => Self::REFUSE,
            Self::Undecided(_) => Self::UNDECIDED,
        }
    }
}

/// What would have to be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undecided {
    /// The answer of this authenticator's service.
    Answer { authenticator: Arc<str> },
    /// The keys of this authenticator, which the proxy fetches.
    Keys { authenticator: Arc<str> },
}

impl Decided {
    pub fn record(&self) -> Option<&Record> {
        match &self.decision {
            Decision::Forward(forward) => Some(&forward.record),
            Decision::Refuse(refuse) => Some(&refuse.record),
            Decision::Undecided(_) => None,
        }
    }
}

impl World {
    pub fn new(mut policy: Policy, local: Local) -> Result<Self, String> {
        let mut notes = Vec::new();
        let signing = signing(&mut policy, local.environment, &mut notes)?;
        let mut world = Self {
            policy: Arc::new(policy),
            now: local.now,
            keys: Vec::new(),
            lists: Vec::new(),
            signing,
            notes,
        };
        for (name, document) in local.documents {
            world
                .take(&name, document)
                .map_err(|fault| format!("keys of {name}: {fault}"))?;
        }
        for authenticator in &world.policy.authenticators {
            if let AuthenticatorKind::Jwt(jwt) = &authenticator.kind
                && let KeySource::Secret(secret) = &jwt.keys
                && let Some(text) = (local.environment)(&secret.env)
            {
                let keys =
                    KeySet::secret(text.as_bytes()).map_err(|fault| format!("{} holds a {fault}", secret.env))?;
                world.keys.push((authenticator.slot, keys.into()));
            }
        }
        Ok(world)
    }

    /// One that remembers nothing.
    pub fn memory(&self) -> Memory {
        let variable = |name: &str| {
            self.signing
                .iter()
                .find(|(other, _)| other == name)
                .map(|(_, key)| key.clone())
        };
        let assertions = config::signing(&self.policy, variable).ok().flatten();
        let mut memory = Memory::new(&self.policy, Seed::default()).with_assertions(assertions);
        for (slot, keys) in &self.keys {
            memory.set_keys(*slot, keys.clone());
        }
        for (slot, list) in &self.lists {
            if let Ok(list) = config::api_keys(list) {
                memory.set_list(*slot, list);
            }
        }
        memory
    }

    pub fn around<'a>(&self, memory: &'a mut Memory, asked: &'a Asked) -> Around<'a> {
        Around {
            connection: &asked.from,
            memory,
            signatures: &InRust,
            shared: &NoStore,
            now: self.now,
        }
    }

    /// `memory`: one of this world that was asked nothing that it could remember.
    pub fn decide(&self, memory: &mut Memory, asked: &Asked, who: &Who) -> Result<Decided, String> {
        let mut around = self.around(memory, asked);
        let (policy, headers) = (&self.policy, asked.headers.clone());
        let step = match who {
            Who::Known(Known(principal)) => {
                decide::on_request_of(policy, headers, asked.ends(), principal, &mut around)
                    .map_err(|not_asked| format!("rule {} does not ask {}", not_asked.rule, principal.authenticator))?
            }
            Who::Shown | Who::Answered(_) => decide::on_request(policy, headers, asked.ends(), &mut around),
        };
        let Step::Ask(ask) = step else {
            return Ok(Decided::of(step, None, None));
        };
        let (mut question, authenticator) = (ask.question.clone(), ask.awaiting.authenticator());
        if let (Some(wish), Some(bytes)) = (question.body, asked.body_bytes) {
            if bytes > wish.max_bytes && !wish.allow_partial {
                return Ok(Decided::of(ask.awaiting.on_body_too_large(&mut around), None, None));
            }
            question.complete(bytes.min(wish.max_bytes), bytes > wish.max_bytes);
        }
        let Who::Answered(reply) = who else {
            return Ok(Decided {
                decision: Decision::Undecided(Undecided::Answer { authenticator }),
                question: Some(question),
                principal: None,
            });
        };
        let now_ms = around.now.as_ms();
        let heard = ask.call.on_answer(reply.answer(), around.memory, around.shared, now_ms);
        let principal = match &heard {
            Heard::Said { answer, .. } => match &**answer {
                Remembered::Known(principal, _) => Some(principal.clone()),
                Remembered::Denied(_) => None,
            },
            Heard::Failed(_) => None,
        };
        let step = ask.awaiting.on_heard(heard, Used::Asked, &mut around);
        Ok(Decided::of(step, Some(question), principal))
    }

    fn take(&mut self, name: &str, document: Vec<u8>) -> Result<(), String> {
        let known = self.policy.authenticators.iter().find(|known| *known.name == *name);
        let known = known.ok_or("no authenticator is named so")?;
        if let AuthenticatorKind::ApiKey(api_key) = &known.kind
            && let ApiKeySource::Remote(_) = api_key.keys
        {
            config::api_keys(&document).map_err(|faults| faults.to_string())?;
            self.lists.push((known.slot, document));
            return Ok(());
        }
        match known.keys() {
            Some(KeySource::Remote(_) | KeySource::Discovery(_)) => {
                let (keys, _) = KeySet::parse(&document).map_err(|fault| fault.to_string())?;
                self.keys.push((known.slot, keys.into()));
                Ok(())
            }
            Some(KeySource::Inline(_) | KeySource::Secret(_)) | None => Err("it fetches none".into()),
        }
    }
}

impl Decided {
    fn of(step: Step, question: Option<Question>, principal: Option<Arc<Principal>>) -> Self {
        let unavailable = step.record().filter(|record| record.cause == KEYS_UNAVAILABLE);
        let missing = unavailable.and_then(|record| record.authenticator.clone());
        let decision = match (missing, step) {
            (Some(authenticator), _) => Decision::Undecided(Undecided::Keys { authenticator }),
            (None, Step::Forward(forward)) => Decision::Forward(forward),
            (None, Step::Refuse(refuse)) => Decision::Refuse(refuse),
            // An answer asks nothing more; if one ever did, this is what is missing.
            (None, Step::Ask(ask)) => Decision::Undecided(Undecided::Answer {
                authenticator: ask.awaiting.authenticator(),
            }),
        };
        Self {
            decision,
            question,
            principal,
        }
    }
}

/// The keys that sign, from the environment; a stand-in where they are not there, since what is signed is shown nowhere.
fn signing(
    policy: &mut Policy,
    environment: &dyn Fn(&str) -> Option<String>,
    notes: &mut Vec<String>,
) -> Result<Vec<(String, String)>, String> {
    let Some(assertion) = &policy.assertion else {
        return Ok(Vec::new());
    };
    let names = || assertion.keys.iter().map(|key| key.env.clone());
    let found: Option<Vec<_>> = names().map(|name| Some((environment(&name)?, name))).collect();
    if let Some(found) = found {
        config::signing(policy, environment).map_err(|faults| faults.to_string())?;
        return Ok(found.into_iter().map(|(key, name)| (name, key)).collect());
    }
    let header = assertion.header.as_str();
    // Any number that is a key will do; one is drawn nowhere, so that the same question has the same answer.
    let stand_ins: Option<Vec<_>> = (1..)
        .zip(names())
        .map(|(number, name)| Some((name, p256_pem(&[number; 32])?)))
        .collect();
    match stand_ins.filter(|_| assertion.algorithm == Algorithm::ES256) {
        Some(stand_ins) => {
            notes.push(format!(
                "{header} is signed by a stand-in: its keys are not in the environment here"
            ));
            Ok(stand_ins)
        }
        None => {
            notes.push(format!(
                "{header} is left out, and no public keys are served: the keys are not in the environment here"
            ));
            policy.assertion = None;
            Ok(Vec::new())
        }
    }
}

//! What is kept of the tokens of one authenticator: the keys they are checked with, and which were checked before.

use crate::authn::jwt::{Seen, TokenFault, TokenId, Verified};
use crate::authn::keys::KeySet;
use crate::policy::{Authenticator, AuthenticatorKind, GateToken, KeySource};
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
pub struct Tokens {
    keys: Option<Arc<KeySet>>,
    seen: Seen,
    stranger: Option<Duration>,
}

impl Tokens {
    /// None where the authenticator verifies no tokens.
    pub(super) fn new(authenticator: &Authenticator) -> Option<Self> {
        let max_remembered = match &authenticator.kind {
            AuthenticatorKind::Jwt(jwt) => jwt.max_remembered,
            _ => GateToken::MAX_REMEMBERED,
        };
        let keys = match authenticator.keys()? {
            KeySource::Inline(keys) => Some(keys.clone()),
            KeySource::Remote(_) | KeySource::Discovery(_) | KeySource::Secret(_) => None,
        };
        Some(Self {
            keys,
            seen: Seen::new(max_remembered),
            stranger: None,
        })
    }

    /// None: they did not come yet.
    pub fn keys(&self) -> Option<Arc<KeySet>> {
        self.keys.clone()
    }

    /// What was found of tokens under other keys counts no more.
    pub fn set_keys(&mut self, keys: Arc<KeySet>) {
        self.keys = Some(keys);
        self.seen.clear();
    }

    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// `verdict` is of a token that this authenticator decides about, whatever rule it comes under.
    pub fn remember(&mut self, id: TokenId, verdict: &Result<Arc<Verified>, TokenFault>, now: Duration) {
        if let Err(TokenFault::UnknownKey) = verdict {
            self.stranger = Some(now);
        }
        self.seen.remember(id, verdict, now);
    }

    /// When a token last named a key that is not known: the keys may be old.
    pub fn stranger(&self) -> Option<Duration> {
        self.stranger
    }
}

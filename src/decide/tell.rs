//! What the upstream is told of a known caller.

use super::{Around, Way, strips};
use crate::assertion::Unsigned;
use crate::authn::Principal;
use crate::authn::callout::Accepted;
use crate::denial::Denial;
use crate::identity;
use crate::policy::Gate;
use std::sync::Arc;

impl Way {
    /// Set, never added: whatever stood under these names went before.
    pub(super) fn tell(
        &mut self,
        gate: &Gate,
        principal: &Principal,
        accepted: &Accepted,
        around: &mut Around,
    ) -> Result<(), Denial> {
        // Of an answer that is remembered they were made with it.
        let made = accepted.identity.as_ref();
        let made = made.filter(|_| Arc::ptr_eq(&gate.identity, &self.policy.identity_headers));
        let made = made.map_or_else(|| identity::headers(&gate.identity, principal), |made| Ok(made.clone()));
        self.edits.identity = Some(made.map_err(|_| Denial::IdentityTooLong)?);
        let policy = self.policy.clone();
        let Some(assertion) = policy.assertion.as_ref().filter(|_| strips(&policy)) else {
            return Ok(());
        };
        let audience = gate.audience.as_ref().unwrap_or(&assertion.audience);
        let audience = audience.of(self.request.host.name());
        let token = around
            .memory
            .assertion(principal, &self.variants(principal), &audience, around.now);
        match token {
            Ok(token) => self.edits.set(assertion.header.as_str().as_bytes(), token.as_bytes()),
            Err(Unsigned::TooLong) => return Err(Denial::IdentityTooLong),
            Err(Unsigned::Failed) => return Err(Denial::Unsigned),
        }
        Ok(())
    }
}

//! What a policy keeps out of itself: a policy is visible in config dumps, the environment is not.

use super::{Fault, Faults};
use crate::cache::SealKey;
use crate::policy::Policy;

/// By slot of the authenticator.
#[derive(Debug, Default)]
pub struct Secrets(Vec<Option<SealKey>>);

impl Secrets {
    /// Under which one worker's answers serve all.
    pub fn shared_key(&self, slot: usize) -> Option<&SealKey> {
        self.0.get(slot)?.as_ref()
    }
}

/// All that the policy names, or all that are missing.
pub fn secrets(policy: &Policy, environment: impl Fn(&str) -> Option<String>) -> Result<Secrets, Faults> {
    let mut faults = Vec::new();
    let keys = policy.authenticators.iter().map(|authenticator| {
        let callout = authenticator.callout()?;
        let variable = &callout.cache.as_ref()?.shared.as_ref()?.0;
        let what = match environment(variable).as_deref().map(SealKey::parse) {
            Some(Some(key)) => return Some(key),
            Some(None) => "does not hold 32 bytes in base64 or hex",
            None => "is not set",
        };
        faults.push(Fault {
            path: format!("authenticators.{}.callout.cache.shared.key.env", authenticator.name),
            message: format!(
                "the variable {variable} {what}: write what `meshgate key new` prints into \
                 vm_config.environment_variables"
            ),
            at: None,
        });
        None
    });
    let keys = keys.collect();
    match faults.is_empty() {
        true => Ok(Secrets(keys)),
        false => Err(Faults::of(faults)),
    }
}

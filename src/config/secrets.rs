//! What a policy keeps out of itself: a policy is visible in config dumps, the environment is not.

use super::{Fault, Faults};
use crate::authn::jwt::Algorithm;
use crate::authn::keys::KeySet;
use crate::cache::SealKey;
use crate::policy::{AuthenticatorKind, KeySource, Policy};
use std::sync::Arc;

#[derive(Debug, Default)]
pub struct Secrets {
    /// By slot of the authenticator.
    shared: Vec<Option<SealKey>>,
    /// That tokens are checked with, each with the slot of its authenticator.
    pub key_sets: Vec<(usize, Arc<KeySet>)>,
}

impl Secrets {
    /// Under which one worker's answers serve all.
    pub fn shared_key(&self, slot: usize) -> Option<&SealKey> {
        self.shared.get(slot)?.as_ref()
    }
}

/// All that the policy names, or all that are missing. `environment`: the value of a variable.
pub fn secrets(policy: &Policy, environment: impl Fn(&str) -> Option<String>) -> Result<Secrets, Faults> {
    let mut faults = Vec::new();
    let mut secrets = Secrets::default();
    for authenticator in &policy.authenticators {
        let mut fault = |place: &str, message| {
            faults.push(Fault {
                path: format!("authenticators.{}.{place}", authenticator.name),
                message,
                at: None,
            });
        };
        let mut shared = None;
        match &authenticator.kind {
            AuthenticatorKind::Callout(callout) => {
                let named = callout.cache.as_ref().and_then(|cache| cache.shared.as_ref());
                match named.map(|named| seal_key(&named.0, environment(&named.0))) {
                    Some(Ok(key)) => shared = Some(key),
                    Some(Err(message)) => fault("callout.cache.shared.key.env", message),
                    None => {}
                }
            }
            AuthenticatorKind::Jwt(jwt) => {
                if let KeySource::Secret(secret) = &jwt.keys {
                    match key_set(&secret.env, environment(&secret.env), &jwt.verification.algorithms) {
                        Ok(keys) => secrets.key_sets.push((authenticator.slot, keys.into())),
                        Err(message) => fault("jwt.keys.secret", message),
                    }
                }
            }
            AuthenticatorKind::ApiKey(_) | AuthenticatorKind::Mtls(_) | AuthenticatorKind::Gate(_) => {}
        }
        secrets.shared.push(shared);
    }
    match faults.is_empty() {
        true => Ok(secrets),
        false => Err(Faults::of(faults)),
    }
}

fn seal_key(variable: &str, value: Option<String>) -> Result<SealKey, String> {
    let what = match value.as_deref().map(SealKey::parse) {
        Some(Some(key)) => return Ok(key),
        Some(None) => "does not hold 32 bytes in base64 or hex",
        None => "is not set",
    };
    Err(format!(
        "the variable {variable} {what}: write what `meshgate key new` prints into vm_config.environment_variables"
    ))
}

/// A secret is at least as long as the hash (RFC 7518 section 3.2).
fn key_set(variable: &str, value: Option<String>, algorithms: &[Algorithm]) -> Result<KeySet, String> {
    let Some(value) = value else {
        return Err(format!(
            "the variable {variable} is not set: name it in vm_config.environment_variables"
        ));
    };
    let keys = KeySet::secret(value.as_bytes()).map_err(|fault| format!("the variable {variable} holds a {fault}"))?;
    let short = |algorithm: &&Algorithm| !keys.keys().iter().any(|key| key.fits(**algorithm));
    match algorithms.iter().find(short) {
        None => Ok(keys),
        Some(algorithm) => Err(format!(
            "the variable {variable} holds a secret that is too short for {algorithm:?}"
        )),
    }
}

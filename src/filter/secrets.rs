//! Secrets, which stand in the environment of the VM and nowhere else.

use crate::authn::jwt::Algorithm;
use crate::authn::keys::KeySet;
use crate::config::Faults;
use crate::memory::Memory;
use crate::policy::{AuthenticatorKind, KeySource, Policy};

/// Those that tokens are checked with. `environment`: of the VM.
pub fn read(policy: &Policy, memory: &mut Memory, environment: fn(&str) -> Option<String>) -> Result<(), Faults> {
    let faults = policy.authenticators.iter().filter_map(|authenticator| {
        let AuthenticatorKind::Jwt(jwt) = &authenticator.kind else {
            return None;
        };
        let KeySource::Secret(secret) = &jwt.keys else {
            return None;
        };
        match key_set(&secret.env, environment).and_then(|keys| fits(keys, &jwt.verification.algorithms, &secret.env)) {
            Ok(keys) => {
                memory.set_keys(authenticator.slot, keys.into());
                None
            }
            Err(message) => Some((
                format!("authenticators.{}.jwt.keys.secret", authenticator.name),
                message,
            )),
        }
    });
    let faults: Vec<_> = faults.collect();
    match faults.is_empty() {
        true => Ok(()),
        false => Err(Faults::at_paths(faults)),
    }
}

fn key_set(name: &str, environment: fn(&str) -> Option<String>) -> Result<KeySet, String> {
    match environment(name) {
        Some(secret) => KeySet::secret(secret.as_bytes()).map_err(|fault| format!("{name} holds a {fault}")),
        None => Err(format!(
            "the environment of the filter has no {name}: name it in vm_config.environment_variables"
        )),
    }
}

/// A secret is at least as long as the hash (RFC 7518 section 3.2).
fn fits(keys: KeySet, algorithms: &[Algorithm], name: &str) -> Result<KeySet, String> {
    let short = |algorithm: &&Algorithm| !keys.keys().iter().any(|key| key.fits(**algorithm));
    match algorithms.iter().find(short) {
        None => Ok(keys),
        Some(algorithm) => Err(format!("{name} holds a secret that is too short for {algorithm:?}")),
    }
}

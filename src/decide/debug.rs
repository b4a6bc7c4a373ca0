//! What a caller whom `debug` names is told of the decision.

use super::{Record, Used};
use crate::experiment;
use crate::header::Field;
use crate::policy::Policy;

/// `rule=orders; outcome=allowed; authenticator=account; answer=remembered`. Names and words of closed lists: nothing of
/// it is the caller's text, and nothing is secret.
pub fn told(policy: &Policy, record: &Record) -> Option<Field> {
    let debug = policy.debug.as_ref().filter(|_| record.is_told && record.enforced)?;
    let answer = match record.used {
        Used::Nothing => "",
        used => used.word(),
    };
    let variants = experiment::told(&record.variants);
    let parts = [
        ("rule=", record.rule.as_ref().map_or("none", |rule| &rule.name)),
        ("; outcome=", record.outcome.word()),
        ("; cause=", &record.cause),
        ("; authenticator=", record.authenticator.as_deref().unwrap_or_default()),
        ("; answer=", answer),
        ("; variants=", &variants),
    ];
    let mut value = Vec::new();
    for (name, text) in parts.into_iter().filter(|(_, text)| !text.is_empty()) {
        value.extend_from_slice(name.as_bytes());
        value.extend_from_slice(text.as_bytes());
    }
    Some((debug.header.as_str().as_bytes().to_vec(), value))
}

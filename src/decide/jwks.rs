//! Where the filter answers with its own public keys.

use super::{Around, strips};
use crate::denial::Reply;
use crate::policy::Policy;
use crate::request::Request;

/// None where the request is one for the rules. Exactly this path, on any host: who has the keys can check what this
/// gate signs, and nothing else.
pub(super) fn of(policy: &Policy, request: &Request, around: &Around) -> Option<Reply> {
    let path = policy.assertion.as_ref()?.jwks_path.as_ref()?;
    let asked = request.path.as_ref()?;
    let reads = matches!(request.method(), "GET" | "HEAD");
    // Under `mode: observe` nothing is answered here, and nothing is signed either.
    if asked.as_str() != path || !reads || !strips(policy) {
        return None;
    }
    around.memory.jwks().map(Reply::jwks)
}

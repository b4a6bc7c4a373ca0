//! Callers by the certificate that the listener validated.

use super::{CredentialFault, Finding, Principal};
use crate::policy::Mtls;
use crate::request::Connection;
use std::sync::Arc;

/// `name`: the authenticator's. The certificate is the connection's own: a header about it, as
/// `x-forwarded-client-cert`, is whatever its sender wrote, and never read.
pub fn find(name: &Arc<str>, mtls: &Mtls, connection: &dyn Connection) -> Finding<'static> {
    let Some(peer) = connection.peer() else {
        return Finding::NotMine;
    };
    if !mtls.peers.iter().any(|pattern| pattern.matches(&peer)) {
        return Finding::OfAnother(CredentialFault::UnknownPeer);
    }
    Finding::Known {
        principal: Arc::new(Principal {
            authenticator: name.clone(),
            subject: peer,
            groups: vec![],
            scopes: vec![],
            claims: vec![],
            variants: vec![],
        }),
        credential_id: None,
    }
}

//! What each authenticator of a rule makes of a request by itself, and by what scheme it asks for more.

use super::Around;
use crate::authn::credential::Ambiguous;
use crate::authn::{CredentialFault, Finding, api_key, callout, mtls, token};
use crate::denial::{BEARER, Scheme};
use crate::policy::{Authenticator, AuthenticatorKind, Gate};
use crate::request::Request;
use std::sync::Arc;
use tokens::Reading;

mod tokens;

/// The authenticator that decides, and what it says. Without one: nobody of the rule takes anything.
pub(super) type Looked<'g> = Option<(&'g Arc<Authenticator>, Result<Finding<'g>, Ambiguous>)>;

/// In the order of the rule, the first whose credential is there decides. Also what is said of a credential
/// that nobody took.
pub(super) fn first<'g>(gate: &'g Gate, request: &Request, around: &mut Around) -> (Looked<'g>, Presented) {
    let mut untaken = Presented::default();
    let mut reading = None;
    let mut rest = gate.authenticators.as_slice();
    while let Some((authenticator, later)) = rest.split_first() {
        rest = later;
        match at(authenticator, later, request, &mut reading, around) {
            Ok(Finding::NotMine) => {}
            Ok(Finding::OfAnother(fault)) => untaken = Presented::of(authenticator.name.clone(), Some(fault), None),
            finding => return (Some((authenticator, finding)), untaken),
        }
    }
    (None, untaken)
}

/// What each of them says, up to the one that decides.
#[cfg(feature = "cli")]
pub(super) fn each<'g>(gate: &'g Gate, request: &Request, around: &mut Around) -> Vec<super::Said<'g>> {
    let mut said = Vec::new();
    let mut reading = None;
    let mut rest = gate.authenticators.as_slice();
    while let Some((authenticator, later)) = rest.split_first() {
        rest = later;
        let finding = at(authenticator, later, request, &mut reading, around);
        let decides = !matches!(finding, Ok(Finding::NotMine | Finding::OfAnother(_)));
        said.push((authenticator, finding));
        if decides {
            break;
        }
    }
    said
}

fn at<'g, 'r>(
    authenticator: &'g Authenticator,
    later: &[Arc<Authenticator>],
    request: &'r Request,
    reading: &mut Option<Reading<'r>>,
    around: &mut Around,
) -> Result<Finding<'g>, Ambiguous> {
    let (name, connection, now) = (&authenticator.name, around.connection, around.now);
    match &authenticator.kind {
        AuthenticatorKind::Callout(callout) => callout::find(callout, request),
        AuthenticatorKind::ApiKey(api_key) => {
            let fetched = around.memory.list(authenticator.slot);
            api_key::find(name, api_key, fetched, request, now)
        }
        AuthenticatorKind::Mtls(mtls) => Ok(mtls::find(name, mtls, connection)),
        AuthenticatorKind::Jwt(jwt) => tokens::jwt(authenticator, jwt, later, request, reading, around),
        AuthenticatorKind::Gate(gate) => tokens::gate(authenticator, gate, request, around),
    }
}

/// What is said of a credential that was looked at here, whoever goes on with it.
#[derive(Debug, Default)]
pub(super) struct Presented {
    /// Who looked at it.
    pub authenticator: Option<Arc<str>>,
    pub id: Option<Arc<str>>,
    pub fault: Option<CredentialFault>,
}

impl Presented {
    pub fn of(authenticator: Arc<str>, fault: Option<CredentialFault>, id: Option<Arc<str>>) -> Self {
        Self {
            authenticator: Some(authenticator),
            id,
            fault,
        }
    }
}

impl Authenticator {
    /// What a challenge asks for (RFC 9110 section 11.6.1: a 401 has one). `Key` is Kong's word; a
    /// certificate's is that of draft-thomson-httpbis-cant.
    pub(super) fn scheme(&self) -> Scheme {
        match &self.kind {
            AuthenticatorKind::ApiKey(api_key) => match token::scheme(&api_key.from) {
                Some(scheme) => scheme.to_owned().into(),
                None => "Key".into(),
            },
            AuthenticatorKind::Mtls(_) => "ClientCertificate".into(),
            AuthenticatorKind::Callout(_) | AuthenticatorKind::Jwt(_) | AuthenticatorKind::Gate(_) => BEARER.into(),
        }
    }
}

impl Gate {
    /// That of the first authenticator whose credential a caller can put into a request.
    pub(super) fn scheme(&self) -> Scheme {
        let in_request = |authenticator: &&Arc<Authenticator>| !authenticator.places().is_empty();
        let first = self
            .authenticators
            .iter()
            .find(in_request)
            .or(self.authenticators.first());
        first.map_or(BEARER.into(), |authenticator| authenticator.scheme())
    }
}

//! Tokens: whose each is, and what is found of it. One that was seen before costs a look-up.

use super::super::Around;
use crate::authn::credential::Ambiguous;
use crate::authn::jwt::{TokenFault, TokenId, Unverified, Verification, Verified};
use crate::authn::{CredentialFault, Finding, token};
use crate::policy::{Authenticator, AuthenticatorKind, GateToken, Jwt, Place, TokenPlace};
use crate::request::Request;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// The token that was looked at last, taken apart once however many authenticators want to know whose it is.
pub(super) struct Reading<'r> {
    token: Cow<'r, [u8]>,
    parts: Option<Result<Unverified<'r>, TokenFault>>,
}

impl<'r> Reading<'r> {
    fn of(token: Cow<'r, [u8]>) -> Self {
        Self { token, parts: None }
    }

    fn parts(&mut self) -> Result<&Unverified<'r>, TokenFault> {
        let token = &self.token;
        let parts = self.parts.get_or_insert_with(|| Unverified::read(token.clone()));
        parts.as_ref().map_err(|fault| *fault)
    }
}

/// `later`: the authenticators behind this one in the rule.
pub(super) fn jwt<'r>(
    authenticator: &Authenticator,
    jwt: &Jwt,
    later: &[Arc<Authenticator>],
    request: &'r Request,
    reading: &mut Option<Reading<'r>>,
    around: &mut Around,
) -> Result<Finding<'static>, Ambiguous> {
    let Some(token) = token::presented(&jwt.from, request)? else {
        return Ok(Finding::NotMine);
    };
    if token.is_empty() {
        return Ok(Finding::refused(CredentialFault::Empty));
    }
    let (id, now) = (around.memory.token_id(&token), since_epoch(around));
    if let Some(finding) = seen(authenticator, &id, now, around) {
        return Ok(finding);
    }
    let knows = |other: &Arc<Authenticator>| {
        let tokens = around.memory.tokens(other.slot);
        tokens.is_some_and(|tokens| matches!(tokens.seen().get(&id, now), Some(Ok(_)))) && sees(other, &token, request)
    };
    if later.iter().any(knows) {
        return Ok(Finding::NotMine);
    }
    let reading = match reading {
        Some(reading) if reading.token == token => reading,
        reading => reading.insert(Reading::of(token)),
    };
    let token = reading.token.clone();
    let issuer = reading.parts().map(|parts| parts.issuer());
    match issuer {
        Ok(Some(issuer)) if issuer != jwt.verification.issuer => {
            let takes = |other: &Arc<Authenticator>| takes(other, issuer, &token, &jwt.from, request);
            return Ok(match later.iter().any(takes) {
                true => Finding::NotMine,
                // Under another rule somebody else may take it: nothing to remember.
                false => Finding::refused(CredentialFault::Token(TokenFault::Issuer)),
            });
        }
        Ok(_) | Err(_) => {}
    }
    Ok(verify(authenticator, &jwt.verification, id, reading, around))
}

pub(super) fn gate(
    authenticator: &Authenticator,
    gate: &GateToken,
    request: &Request,
    around: &mut Around,
) -> Result<Finding<'static>, Ambiguous> {
    let Some(assertion) = token::alone_in(&gate.header, request)? else {
        return Ok(Finding::NotMine);
    };
    let from_trusted = || {
        let peer = around.connection.peer();
        peer.is_some_and(|peer| gate.peers.iter().any(|pattern| pattern.matches(&peer)))
    };
    if !gate.peers.is_empty() && !from_trusted() {
        return Ok(Finding::refused(CredentialFault::UntrustedPeer));
    }
    let (id, now) = (around.memory.token_id(&assertion), since_epoch(around));
    if let Some(finding) = seen(authenticator, &id, now, around) {
        return Ok(finding);
    }
    let mut reading = Reading::of(assertion);
    Ok(verify(authenticator, &gate.verification, id, &mut reading, around))
}

fn since_epoch(around: &Around) -> Duration {
    Duration::from_nanos(around.now.as_ns())
}

fn seen(authenticator: &Authenticator, id: &TokenId, now: Duration, around: &Around) -> Option<Finding<'static>> {
    let tokens = around.memory.tokens(authenticator.slot)?;
    tokens.seen().get(id, now).map(finding)
}

fn finding(verdict: Result<Arc<Verified>, TokenFault>) -> Finding<'static> {
    match verdict {
        Ok(verified) => Finding::Known {
            principal: verified.principal.clone(),
            credential_id: None,
        },
        Err(fault) => Finding::refused(CredentialFault::Token(fault)),
    }
}

fn verify(
    authenticator: &Authenticator,
    verification: &Verification,
    id: TokenId,
    reading: &mut Reading,
    around: &mut Around,
) -> Finding<'static> {
    let now = since_epoch(around);
    let Some(tokens) = around.memory.tokens_mut(authenticator.slot) else {
        return Finding::KeysUnavailable;
    };
    let verdict = match reading.parts() {
        Err(fault) => Err(fault),
        Ok(parts) => match (parts.issuer(), tokens.keys()) {
            (None, _) => Err(TokenFault::Issuer),
            (Some(issuer), _) if issuer != verification.issuer => Err(TokenFault::Issuer),
            (Some(_), None) => return Finding::KeysUnavailable,
            (Some(_), Some(keys)) => parts
                .verify(verification, &keys, &authenticator.name, now, around.signatures)
                .map(Arc::new),
        },
    };
    tokens.remember(id, &verdict, now);
    finding(verdict)
}

/// Whether a well-formed token of another issuer is for an authenticator that comes later.
fn takes(other: &Authenticator, issuer: &str, token: &[u8], from: &[TokenPlace], request: &Request) -> bool {
    match &other.kind {
        AuthenticatorKind::Jwt(jwt) => jwt.verification.issuer == issuer && sees(other, token, request),
        AuthenticatorKind::Callout(callout) => {
            let holding = from.iter().filter(|place| holds(place, request)).map(TokenPlace::place);
            let places = callout.credential_places();
            holding
                .into_iter()
                .any(|held| places.iter().any(|place| covers(place, &held)))
        }
        AuthenticatorKind::ApiKey(_) | AuthenticatorKind::Mtls(_) | AuthenticatorKind::Gate(_) => false,
    }
}

/// Whether this token is what `other` finds in its own places.
fn sees(other: &Authenticator, token: &[u8], request: &Request) -> bool {
    match &other.kind {
        AuthenticatorKind::Jwt(jwt) => {
            matches!(token::presented(&jwt.from, request), Ok(Some(held)) if *held == *token)
        }
        _ => false,
    }
}

fn holds(place: &TokenPlace, request: &Request) -> bool {
    matches!(token::presented(std::slice::from_ref(place), request), Ok(Some(_)))
}

fn covers(place: &Place, held: &Place) -> bool {
    place == held || matches!(held, Place::Cookie(name) if place.takes_cookie(name.as_bytes()))
}

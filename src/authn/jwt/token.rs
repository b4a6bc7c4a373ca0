//! A token taken apart. Nothing in it is true yet.

use super::base64url;
use super::fault::TokenFault;
use crate::authn::json::{self, Document, Json, JsonFault, Object};
use crate::bytes;
use std::borrow::Cow;

/// Envoy takes 60 KiB for all headers together, and real tokens have 1 to 4 KiB.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Levels of header and claims. `resource_access.{client}.roles`, the deepest in common use, has four; what
/// reads them recurses.
pub const MAX_DEPTH: usize = 16;

/// A JWS in compact serialisation (RFC 7515 section 7.1) whose header and payload are JSON objects.
#[derive(Debug)]
pub struct Unverified<'t> {
    header: Document,
    claims: Document,
    token: Cow<'t, [u8]>,
    /// How much of it is header and payload.
    message: usize,
    pub(super) signature: Vec<u8>,
}

impl<'t> Unverified<'t> {
    /// Looks at form only: what a header asks for is its issuer's affair, and the issuer may be another
    /// authenticator's.
    pub fn read(token: impl Into<Cow<'t, [u8]>>) -> Result<Self, TokenFault> {
        let token = token.into();
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenFault::TooLarge);
        }
        let [header, payload, signature] = parts(&token)?;
        Ok(Self {
            header: object(header, TokenFault::Header)?,
            claims: object(payload, TokenFault::Payload)?,
            signature: base64url(signature).ok_or(TokenFault::Encoding)?,
            message: header.len() + 1 + payload.len(),
            token,
        })
    }

    /// Header and payload as they were sent.
    pub(super) fn message(&self) -> &[u8] {
        self.token.get(..self.message).unwrap_or_default()
    }

    pub(super) fn header(&self) -> Object<'_> {
        self.header.members()
    }

    pub(super) fn claims(&self) -> Object<'_> {
        self.claims.members()
    }

    /// `iss`, as the token itself has it.
    pub fn issuer(&self) -> Option<&str> {
        self.claims().get("iss").and_then(Json::text)
    }
}

/// An empty signature is left to whoever looks at the algorithm.
fn parts(token: &[u8]) -> Result<[&[u8]; 3], TokenFault> {
    let (header, rest) = until_dot(token);
    let (payload, rest) = until_dot(rest.unwrap_or_default());
    let (signature, more) = until_dot(rest.unwrap_or_default());
    match (rest, more) {
        (Some(_), None) if !header.is_empty() && !payload.is_empty() => Ok([header, payload, signature]),
        // RFC 7516 section 9: five parts are a JWE.
        (_, Some(more)) if more.iter().filter(|byte| **byte == b'.').count() == 1 => Err(TokenFault::Encrypted),
        _ => Err(TokenFault::NotCompact),
    }
}

/// What stands before the first dot, and what behind it, if there is one.
fn until_dot(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match bytes::find(b'.', text) {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
        None => (text, None),
    }
}

fn object(part: &[u8], otherwise: TokenFault) -> Result<Document, TokenFault> {
    let bytes = base64url(part).ok_or(TokenFault::Encoding)?;
    match json::read(bytes, MAX_DEPTH) {
        Ok(document) if matches!(document.value(), Json::Object(_)) => Ok(document),
        Ok(_) | Err(JsonFault::Syntax) => Err(otherwise),
        Err(JsonFault::Duplicate) => Err(TokenFault::DuplicateMember),
        Err(JsonFault::TooDeep) => Err(TokenFault::TooDeep),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_are_what_stands_between_dots(text in "[a./]{0,12}|[a-c]{0,20}[.][^.]{0,20}[.]?[a-c]{0,20}[.]{0,3}[a-c]{0,9}") {
            let split: Vec<&[u8]> = text.as_bytes().split(|byte| *byte == b'.').collect();
            let expected = match split[..] {
                [header, payload, signature] if !header.is_empty() && !payload.is_empty() => {
                    Ok([header, payload, signature])
                }
                [_, _, _, _, _] => Err(TokenFault::Encrypted),
                _ => Err(TokenFault::NotCompact),
            };
            prop_assert_eq!(parts(text.as_bytes()), expected);
        }
    }
}

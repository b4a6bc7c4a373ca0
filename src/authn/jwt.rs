//! JSON Web Tokens (RFC 7519), checked as RFC 8725 asks. `Unverified::verify` is the line each walks;
//! a `Principal` comes from a `Signed` only, and a `Signed` from a signature that holds.

mod base64url;
mod claims;
mod fault;
mod header;
mod seen;
mod signature;
mod times;
mod token;

pub use fault::TokenFault;
pub use jsonwebtoken::Algorithm;
pub use seen::{NEGATIVE_TTL, Seen, TokenId};
pub use signature::{Hash, InRust, Signatures};
pub use times::Window;
pub use token::{MAX_DEPTH, MAX_TOKEN_BYTES, Unverified};

pub(super) use base64url::decode as base64url;

use super::keys::KeySet;
use super::{ClaimPath, Principal};
use header::Header;
use std::sync::Arc;
use std::time::Duration;

/// What a policy asks of a token.
#[derive(Clone, Debug)]
pub struct Verification {
    pub typ: TokenType,
    /// Equals `iss`, byte by byte.
    pub issuer: String,
    pub audiences: Audiences,
    /// Never empty; what is not listed is refused, whatever key there is.
    pub algorithms: Vec<Algorithm>,
    pub principal: ClaimSource,
    /// How far the issuer's clock and ours may be apart.
    pub clock_skew: Duration,
    /// The longest time from `iat` to `exp`; a token then needs an `iat`.
    pub max_lifetime: Option<Duration>,
}

/// Tokens of one issuer and one key that are not for one another's use (RFC 8725 section 3.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenType {
    /// Identity and access tokens.
    Callers,
    /// `meshgate+jwt`: a gate's word to the next.
    Assertion,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audiences {
    /// `audiences: any`: whom the token is for is not looked at.
    Any,
    /// One of these is in `aud`.
    Listed(Vec<String>),
}

/// Which claims say who the caller is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimSource {
    pub subject: ClaimPath,
    /// A list, or one text.
    pub groups: Option<ClaimPath>,
    /// A list, or a text with spaces between (RFC 8693 section 4.2).
    pub scopes: Option<ClaimPath>,
    /// (name in `Principal::claims`, place in the token), each name once.
    pub claims: Vec<(String, ClaimPath)>,
    /// An object of which each member is a claim of its own, besides.
    pub members_of: Option<ClaimPath>,
    /// An object: the variant of each experiment that an earlier gate chose.
    pub variants: Option<ClaimPath>,
}

impl ClaimSource {
    /// Nothing but who it is.
    pub fn subject(subject: ClaimPath) -> Self {
        Self {
            subject,
            groups: None,
            scopes: None,
            claims: vec![],
            members_of: None,
            variants: None,
        }
    }
}

/// A token whose issuer, signature, time and audience hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub principal: Arc<Principal>,
    /// `exp`, since the Unix epoch: what else is remembered of this caller ends here, without any skew.
    pub expires_at: Duration,
    /// When this verdict itself may be used.
    pub window: Window,
}

/// `now`: since the Unix epoch. `authenticator`: whose `Verification` it is.
pub fn verify(
    token: &[u8],
    verification: &Verification,
    keys: &KeySet,
    authenticator: &Arc<str>,
    now: Duration,
    signatures: &dyn Signatures,
) -> Result<Verified, TokenFault> {
    Unverified::read(token)?.verify(verification, keys, authenticator, now, signatures)
}

/// Whose token it claims to be: good for choosing an authenticator, and for nothing else. No signature is
/// looked at. A token that is no JWT, or does not say, is refused.
pub fn issuer_of(token: &[u8]) -> Result<String, TokenFault> {
    let token = Unverified::read(token)?;
    token.issuer().map(str::to_owned).ok_or(TokenFault::Issuer)
}

impl Unverified<'_> {
    /// Cheap checks come first, so that a stranger's token costs a signature only where everything else about
    /// it could be right.
    pub fn verify(
        &self,
        verification: &Verification,
        keys: &KeySet,
        authenticator: &Arc<str>,
        now: Duration,
        signatures: &dyn Signatures,
    ) -> Result<Verified, TokenFault> {
        let header = Header::read(self.header(), verification.typ)?;
        let algorithm = header.algorithm(&verification.algorithms)?;
        if self.issuer() != Some(verification.issuer.as_str()) {
            return Err(TokenFault::Issuer);
        }
        let (expires_at, window) = times::check(self.claims(), verification, now)?;
        claims::audience(self.claims(), &verification.audiences)?;
        let candidates = keys.candidates(header.kid, algorithm)?;
        let signed = signature::check(self, algorithm, &candidates, signatures)?;
        Ok(Verified {
            principal: claims::principal(signed, &verification.principal, authenticator)?.into(),
            expires_at,
            window,
        })
    }
}

//! What a token's header asks for. Keys it brings along (`jwk`, `jku`, `x5u`, `x5c`) are not even read:
//! whoever forges a token can sign it, too (RFC 8725 section 3.10).

use super::fault::TokenFault;
use super::{Algorithm, TokenType};
use crate::authn::json::{Json, Object};

pub struct Header<'t> {
    algorithm: &'t str,
    /// A hint only (RFC 7515 section 4.1.4).
    pub kid: Option<&'t str>,
}

/// Without the `application/` that RFC 7515 section 4.1.9 lets be left out. Another type is another kind of
/// token, of the same issuer and keys: a logout token, a security event, a proof of possession (RFC 8725
/// section 3.11).
const CALLERS: [&str; 2] = ["jwt", "at+jwt"];
const ASSERTION: &str = "meshgate+jwt";

impl<'t> Header<'t> {
    pub fn read(header: Object<'t>, wanted: TokenType) -> Result<Self, TokenFault> {
        // Each extension in it must be understood, and we understand none.
        if header.get("crit").is_some() {
            return Err(TokenFault::Critical);
        }
        if !is_wanted(text(header, "typ")?, wanted) {
            return Err(TokenFault::Type);
        }
        Ok(Self {
            algorithm: text(header, "alg")?.ok_or(TokenFault::Header)?,
            kid: text(header, "kid")?,
        })
    }

    /// The token's algorithm, where it is one of `allowed`: its spelling is exact.
    pub fn algorithm(&self, allowed: &[Algorithm]) -> Result<Algorithm, TokenFault> {
        if self.algorithm.eq_ignore_ascii_case("none") {
            return Err(TokenFault::Unsigned);
        }
        let algorithm = self.algorithm.parse().ok();
        algorithm
            .filter(|algorithm| allowed.contains(algorithm))
            .ok_or(TokenFault::Algorithm)
    }
}

/// Callers' tokens may leave it out.
fn is_wanted(typ: Option<&str>, wanted: TokenType) -> bool {
    let Some(typ) = typ else {
        return wanted == TokenType::Callers;
    };
    const APPLICATION: &str = "application/";
    let typ = match typ.split_at_checked(APPLICATION.len()) {
        Some((start, rest)) if start.eq_ignore_ascii_case(APPLICATION) => rest,
        _ => typ,
    };
    match wanted {
        TokenType::Callers => CALLERS.iter().any(|caller| typ.eq_ignore_ascii_case(caller)),
        TokenType::Assertion => typ.eq_ignore_ascii_case(ASSERTION),
    }
}

fn text<'t>(header: Object<'t>, name: &str) -> Result<Option<&'t str>, TokenFault> {
    match header.get(name) {
        None => Ok(None),
        Some(Json::Text(text)) => Ok(Some(text)),
        Some(_) => Err(TokenFault::Header),
    }
}

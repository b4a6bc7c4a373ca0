//! When a token is good. All times count from the Unix epoch.

use super::Verification;
use super::fault::TokenFault;
use crate::authn::json::{Json, Object};
use std::time::Duration;

/// The last second of the year 9999: later dates are no dates (milliseconds, mostly), and nothing that is
/// added to an earlier one overflows.
const MAX_DATE_SECS: u64 = 253_402_300_799;

/// The times at which the same token is found good again, clock skew included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub from: Duration,
    /// From here on it is expired.
    pub until: Duration,
}

impl Window {
    pub fn contains(&self, now: Duration) -> bool {
        self.from <= now && now < self.until
    }
}

/// `exp`, and when the token is good.
pub fn check(claims: Object, asked: &Verification, now: Duration) -> Result<(Duration, Window), TokenFault> {
    let skew = asked.clock_skew;
    let expires = date(claims, "exp")?.ok_or(TokenFault::NoExpiry)?;
    let not_before = date(claims, "nbf")?.unwrap_or_default();
    let issued = date(claims, "iat")?;
    let window = Window {
        from: not_before.max(issued.unwrap_or_default()).saturating_sub(skew),
        until: expires.saturating_add(skew),
    };
    // RFC 7519 section 4.1.4: «on or after» is expired.
    if now >= window.until {
        return Err(TokenFault::Expired);
    }
    if now.saturating_add(skew) < not_before {
        return Err(TokenFault::NotYetValid);
    }
    if issued.is_some_and(|issued| now.saturating_add(skew) < issued) {
        return Err(TokenFault::IssuedInFuture);
    }
    match (asked.max_lifetime, issued) {
        (None, _) => Ok((expires, window)),
        (Some(longest), Some(issued)) if expires.saturating_sub(issued) <= longest => Ok((expires, window)),
        (Some(_), _) => Err(TokenFault::Lifetime),
    }
}

/// A NumericDate (RFC 7519 section 2): seconds, whole or not.
fn date(claims: Object, name: &str) -> Result<Option<Duration>, TokenFault> {
    let number = match claims.get(name) {
        None => return Ok(None),
        Some(Json::Number(number)) => number,
        Some(_) => return Err(TokenFault::Date),
    };
    let date = match number.as_u64() {
        Some(secs) => Some(Duration::from_secs(secs)),
        None => number.as_f64().and_then(|secs| Duration::try_from_secs_f64(secs).ok()),
    };
    date.filter(|date| date.as_secs() <= MAX_DATE_SECS)
        .map(Some)
        .ok_or(TokenFault::Date)
}

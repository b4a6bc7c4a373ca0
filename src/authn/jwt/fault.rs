//! Why a token is refused.

use std::fmt;

/// Holds nothing of the token: words and messages go to logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenFault {
    TooLarge,
    NotCompact,
    Encrypted,
    Encoding,
    Header,
    Payload,
    DuplicateMember,
    TooDeep,
    Critical,
    Type,
    Unsigned,
    Algorithm,
    Issuer,
    Date,
    NoExpiry,
    Expired,
    NotYetValid,
    IssuedInFuture,
    Lifetime,
    Audience,
    /// The keys we have may be old: a reason to fetch them anew.
    UnknownKey,
    KeyMismatch,
    AmbiguousKey,
    Signature,
    /// The proxy has no function for this algorithm, and neither have we: ES384 needs the proxy's.
    NoVerifier,
    Subject,
    Claims,
}

impl TokenFault {
    pub const ALL: [Self; 27] = [
        Self::TooLarge,
        Self::NotCompact,
        Self::Encrypted,
        Self::Encoding,
        Self::Header,
        Self::Payload,
        Self::DuplicateMember,
        Self::TooDeep,
        Self::Critical,
        Self::Type,
        Self::Unsigned,
        Self::Algorithm,
        Self::Issuer,
        Self::Date,
        Self::NoExpiry,
        Self::Expired,
        Self::NotYetValid,
        Self::IssuedInFuture,
        Self::Lifetime,
        Self::Audience,
        Self::UnknownKey,
        Self::KeyMismatch,
        Self::AmbiguousKey,
        Self::Signature,
        Self::NoVerifier,
        Self::Subject,
        Self::Claims,
    ];

    /// The word for logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::NotCompact => "not_a_jwt",
            Self::Encrypted => "encrypted",
            Self::Encoding => "encoding",
            Self::Header => "header",
            Self::Payload => "payload",
            Self::DuplicateMember => "duplicate_member",
            Self::TooDeep => "too_deep",
            Self::Critical => "critical",
            Self::Type => "type",
            Self::Unsigned => "unsigned",
            Self::Algorithm => "algorithm",
            Self::Issuer => "issuer",
            Self::Date => "date",
            Self::NoExpiry => "no_expiry",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::IssuedInFuture => "issued_in_future",
            Self::Lifetime => "lifetime",
            Self::Audience => "audience",
            Self::UnknownKey => "unknown_key",
            Self::KeyMismatch => "key_mismatch",
            Self::AmbiguousKey => "ambiguous_key",
            Self::Signature => "signature",
            Self::NoVerifier => "no_verifier",
            Self::Subject => "subject",
            Self::Claims => "claims",
        }
    }

    /// Whether the same token, brought again, is refused again while the keys stay the same.
    pub fn is_lasting(self) -> bool {
        !matches!(self, Self::NotYetValid | Self::IssuedInFuture | Self::UnknownKey)
    }
}

impl fmt::Display for TokenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the token is longer than 16 KiB",
            Self::NotCompact => "the token is not three parts with dots between",
            Self::Encrypted => "the token is encrypted",
            Self::Encoding => "a part of the token is not base64url without padding",
            Self::Header => "the token's header cannot be read",
            Self::Payload => "the token's claims cannot be read",
            Self::DuplicateMember => "the token names a member twice",
            Self::TooDeep => "the token is nested too deeply",
            Self::Critical => "the token needs an extension that is not known here",
            Self::Type => "the token is of another type",
            Self::Unsigned => "the token is not signed",
            Self::Algorithm => "the token's algorithm is not allowed",
            Self::Issuer => "the token is of another issuer",
            Self::Date => "a date in the token is no time since 1970",
            Self::NoExpiry => "the token does not expire",
            Self::Expired => "the token has expired",
            Self::NotYetValid => "the token is not valid yet",
            Self::IssuedInFuture => "the token was issued in the future",
            Self::Lifetime => "the token is valid for longer than allowed, or does not say since when",
            Self::Audience => "the token is for another audience",
            Self::UnknownKey => "the token's key is not known",
            Self::KeyMismatch => "the token's key is not for its algorithm",
            Self::AmbiguousKey => "the token's key is one of too many",
            Self::Signature => "the token's signature does not hold",
            Self::NoVerifier => "nothing here can check the token's signature",
            Self::Subject => "the token does not say who calls",
            Self::Claims => "the token's claims do not fit",
        })
    }
}

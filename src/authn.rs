//! Who calls. Each authenticator says *known*, *refused* or *not mine*.

pub mod api_key;
pub mod callout;
pub mod credential;
pub(crate) mod json;
pub mod jwt;
pub mod keys;
pub mod mtls;
pub mod token;

use crate::policy::Callout;
use jwt::TokenFault;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Somebody an authenticator knows. Two authenticators' `42` are two callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    pub authenticator: Arc<str>,
    /// Not empty.
    pub subject: String,
    pub groups: Vec<String>,
    pub scopes: Vec<String>,
    /// Each name once.
    pub claims: Vec<(String, Claim)>,
    /// What an earlier gate chose, by experiment: an assertion alone says it.
    pub variants: Vec<(String, String)>,
}

/// A value that an authenticator vouches for; numbers and booleans as their text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    Scalar(String),
    List(Vec<String>),
    Object(BTreeMap<String, Claim>),
}

/// `realm_access.roles`, or one name with dots in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClaimPath(pub Vec<String>);

impl ClaimPath {
    /// `a.b.c`
    pub fn parse(text: &str) -> Result<Self, String> {
        let names: Vec<String> = text.split('.').map(str::to_owned).collect();
        match names.iter().all(|name| !name.is_empty()) {
            true => Ok(Self(names)),
            false => Err(format!("claim path {text:?} holds an empty name")),
        }
    }
}

impl Claim {
    /// The values a condition is held against; an object has none.
    pub fn texts(&self) -> Option<&[String]> {
        match self {
            Self::Scalar(text) => Some(std::slice::from_ref(text)),
            Self::List(elements) => Some(elements),
            Self::Object(_) => None,
        }
    }
}

impl Principal {
    /// Has no group, scope or claim, and no authenticator that a policy could name.
    pub fn nobody() -> Self {
        Self {
            authenticator: "".into(),
            subject: String::new(),
            groups: vec![],
            scopes: vec![],
            claims: vec![],
            variants: vec![],
        }
    }

    pub fn claim(&self, path: &ClaimPath) -> Option<&Claim> {
        let (first, rest) = path.0.split_first()?;
        let (_, claim) = self.claims.iter().find(|(name, _)| name == first)?;
        rest.iter().try_fold(claim, |claim, name| match claim {
            Claim::Object(members) => members.get(name),
            _ => None,
        })
    }
}

/// Who is calling, as far as anybody said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    Known(Arc<Principal>),
    Nobody(WhyNobody),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyNobody {
    /// No authenticator of the rule found a credential of its own.
    NoCredential,
    /// A credential was refused and the rule lets such callers go on.
    Refused,
    /// The service could not be asked and `on_failure: allow` lets the request go on.
    ServiceFailed(callout::CalloutFailure),
}

/// What one authenticator of a rule says of a request.
#[derive(Debug)]
pub enum Finding<'a> {
    Known {
        principal: Arc<Principal>,
        /// The credential's own name, for logs.
        credential_id: Option<Arc<str>>,
    },
    /// Its credential is there and no good: nobody else is asked.
    Refused {
        fault: CredentialFault,
        credential_id: Option<Arc<str>>,
    },
    /// None of its places holds anything.
    NotMine,
    /// What is there may be the credential of another authenticator; the fault is told where no other knows
    /// the caller.
    OfAnother(CredentialFault),
    /// Its credential is there, and the keys to check it with are not.
    KeysUnavailable,
    Ask {
        callout: &'a Arc<Callout>,
        /// Whether the credential is there; a callout may be asked without.
        present: bool,
    },
}

impl Finding<'_> {
    pub fn refused(fault: CredentialFault) -> Self {
        Self::Refused {
            fault,
            credential_id: None,
        }
    }
}

/// What is wrong with a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialFault {
    /// A scheme without its token.
    Empty,
    UnknownKey,
    ExpiredKey,
    /// A certificate that fits none of the patterns.
    UnknownPeer,
    /// An assertion that comes from somebody whose assertions are not taken.
    UntrustedPeer,
    Token(TokenFault),
}

impl CredentialFault {
    pub fn all() -> impl Iterator<Item = Self> {
        let own = [
            Self::Empty,
            Self::UnknownKey,
            Self::ExpiredKey,
            Self::UnknownPeer,
            Self::UntrustedPeer,
        ];
        own.into_iter().chain(TokenFault::ALL.map(Self::Token))
    }

    /// The word for logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Empty => "empty_credential",
            Self::UnknownKey => "unknown_key",
            Self::ExpiredKey => "expired_key",
            Self::UnknownPeer => "unknown_peer",
            Self::UntrustedPeer => "untrusted_peer",
            Self::Token(fault) => fault.word(),
        }
    }
}

impl Caller {
    pub fn principal(&self) -> Option<&Principal> {
        match self {
            Self::Known(principal) => Some(principal),
            Self::Nobody(_) => None,
        }
    }
}

//! Who calls. Each authenticator says *known*, *refused* or *not mine*.

pub mod callout;
pub mod credential;

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
    Known(Principal),
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

impl Caller {
    pub fn principal(&self) -> Option<&Principal> {
        match self {
            Self::Known(principal) => Some(principal),
            Self::Nobody(_) => None,
        }
    }
}

//! May this caller? `Require::check` alone makes a `Permit`, and only a `Permit` makes a `Forward`.

#[cfg(feature = "cli")]
mod why;

#[cfg(feature = "cli")]
pub use why::Part;

use crate::authn::ClaimPath;
use crate::authn::{Claim, Principal};
use crate::peer::PeerPattern;
use crate::policy::{Action, Gate, Mode, Policy, Preflight, Rule};
use crate::request::path::percent_decode;
use crate::request::{Connection, Request};
use std::borrow::Cow;
use std::sync::Arc;

/// Proof that somebody decided this request may go on. Made here and nowhere else.
#[derive(Debug)]
pub struct Permit(());

/// Why `require` is not met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmet {
    Groups,
    Scopes,
    Claims,
    Authenticators,
    Peers,
}

impl Unmet {
    pub const ALL: [Self; 5] = [
        Self::Groups,
        Self::Scopes,
        Self::Claims,
        Self::Authenticators,
        Self::Peers,
    ];

    /// The word for logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Groups => "groups",
            Self::Scopes => "scopes",
            Self::Claims => "claims",
            Self::Authenticators => "authenticators",
            Self::Peers => "peers",
        }
    }
}

/// `authenticate: none`: nobody is asked.
pub fn public(rule: &Rule) -> Option<Permit> {
    matches!(rule.action, Action::Public).then_some(Permit(()))
}

/// `cors: { preflight: pass }`, for a preflight.
pub fn preflight(gate: &Gate, request: &Request) -> Option<Permit> {
    (gate.preflight == Preflight::Pass && request.is_preflight()).then_some(Permit(()))
}

/// `mode: observe`: the filter changes nothing, so nothing stops here.
pub fn observing(policy: &Policy) -> Option<Permit> {
    (policy.mode == Mode::Observe).then_some(Permit(()))
}

/// The `require` of a rule. Empty: everybody who got this far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Require {
    pub groups: Condition,
    pub scopes: Condition,
    /// Each must hold; an absent claim fails `none_of` as it fails the others.
    pub claims: Vec<(ClaimPath, Condition)>,
    pub authenticators: Vec<Arc<str>>,
    pub peers: Vec<PeerPattern>,
}

/// Empty lists ask nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    pub any_of: Vec<Wanted>,
    pub all_of: Vec<Wanted>,
    pub none_of: Vec<Wanted>,
}

/// A wanted value: text, or what the rule's path captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    Text(String),
    /// `{path.tenant}`
    PathCapture(String),
}

/// What `require` looks at.
pub struct Facts<'a> {
    /// None: nobody, who fails every `require`.
    pub principal: Option<&'a Principal>,
    pub request: &'a Request,
    pub rule: &'a Rule,
    pub connection: &'a dyn Connection,
}

impl Require {
    pub fn is_empty(&self) -> bool {
        // Taken apart, so that a new kind of requirement cannot be forgotten here.
        let Self {
            groups,
            scopes,
            claims,
            authenticators,
            peers,
        } = self;
        groups.is_empty() && scopes.is_empty() && claims.is_empty() && authenticators.is_empty() && peers.is_empty()
    }

    /// Whether anything in it is what a rule's path captured.
    pub fn has_captures(&self) -> bool {
        let claims = self.claims.iter().map(|(_, condition)| condition);
        let mut conditions = [&self.groups, &self.scopes].into_iter().chain(claims);
        conditions.any(|condition| {
            let lists = [&condition.any_of, &condition.all_of, &condition.none_of];
            let captured = |wanted: &Wanted| matches!(wanted, Wanted::PathCapture(_));
            lists.into_iter().flatten().any(captured)
        })
    }

    /// The first part that is not met.
    pub fn check(&self, facts: &Facts) -> Result<Permit, Unmet> {
        if self.is_empty() {
            return Ok(Permit(()));
        }
        let nobody;
        let principal = match facts.principal {
            Some(principal) => principal,
            None => {
                nobody = Principal::nobody();
                &nobody
            }
        };
        let claim = |(path, condition): &(ClaimPath, Condition)| {
            let values = facts
                .principal
                .and_then(|principal| principal.claim(path))
                .and_then(Claim::texts);
            values.is_some_and(|values| condition.holds(values, facts))
        };
        let peer = || {
            let peer = facts.connection.peer();
            peer.is_some_and(|peer| self.peers.iter().any(|pattern| pattern.matches(&peer)))
        };
        match () {
            () if !self.authenticators.is_empty() && !self.authenticators.contains(&principal.authenticator) => {
                Err(Unmet::Authenticators)
            }
            () if !self.groups.holds(&principal.groups, facts) => Err(Unmet::Groups),
            () if !self.scopes.holds(&principal.scopes, facts) => Err(Unmet::Scopes),
            () if !self.claims.iter().all(claim) => Err(Unmet::Claims),
            () if !self.peers.is_empty() && !peer() => Err(Unmet::Peers),
            // What is left is a requirement of somebody: `none_of` alone does not let nobody in.
            () if facts.principal.is_none() => Err(Unmet::Authenticators),
            () => Ok(Permit(())),
        }
    }
}

impl Condition {
    pub fn is_empty(&self) -> bool {
        self.any_of.is_empty() && self.all_of.is_empty() && self.none_of.is_empty()
    }

    /// The texts that would do, for a challenge; captures are not named.
    pub fn texts(&self) -> Vec<String> {
        let texts = self
            .any_of
            .iter()
            .chain(&self.all_of)
            .filter_map(|wanted| match wanted {
                Wanted::Text(text) => Some(text.clone()),
                Wanted::PathCapture(_) => None,
            });
        texts.collect()
    }

    fn holds(&self, values: &[String], facts: &Facts) -> bool {
        // A capture that the path does not hold is wanted by nobody and fails `none_of`, too.
        let has = |wanted: &Wanted| {
            wanted
                .text(facts)
                .map(|text| values.iter().any(|value| **value == *text))
        };
        (self.any_of.is_empty() || self.any_of.iter().any(|wanted| has(wanted) == Some(true)))
            && self.all_of.iter().all(|wanted| has(wanted) == Some(true))
            && self.none_of.iter().all(|wanted| has(wanted) == Some(false))
    }
}

impl Wanted {
    fn text(&self, facts: &Facts) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(text) => Some(text.into()),
            Self::PathCapture(name) => {
                let path = facts.request.path.as_ref()?;
                let pattern = facts.rule.matcher.paths.iter().find(|pattern| pattern.matches(path))?;
                percent_decode(pattern.capture(name, path)?).map(Cow::Owned)
            }
        }
    }
    /// Text, or exactly `{path.NAME}`.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("empty value: nobody has one".into());
        }
        let Some(inner) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
            return Ok(Self::Text(text.to_owned()));
        };
        match inner.strip_prefix("path.") {
            Some(name) if !name.is_empty() => Ok(Self::PathCapture(name.to_owned())),
            _ => Err(format!("unknown value {text:?}: text, or {{path.NAME}}")),
        }
    }
}

//! Which parts of a `require` hold: each alone, put to the check that decides.

use super::{Condition, Facts, Require};
use crate::authn::ClaimPath;
use crate::peer::PeerPattern;
use std::sync::Arc;

/// A part of a `require`.
#[derive(Clone, Copy, Debug)]
pub enum Part<'r> {
    Authenticators(&'r [Arc<str>]),
    Groups(&'r Condition),
    Scopes(&'r Condition),
    Claim(&'r ClaimPath, &'r Condition),
    Peers(&'r [PeerPattern]),
}

impl Require {
    /// In the order in which they are checked. The whole is met where each part is.
    pub fn parts(&self, facts: &Facts) -> Vec<(Part<'_>, bool)> {
        // Taken apart, so that a new kind of requirement cannot be forgotten here.
        let Self {
            groups,
            scopes,
            claims,
            authenticators,
            peers,
        } = self;
        let any = Self::default;
        let mut parts = Vec::new();
        let mut note = |alone: Self, part| {
            if !alone.is_empty() {
                parts.push((part, alone.check(facts).is_ok()));
            }
        };
        let alone = Self {
            authenticators: authenticators.clone(),
            ..any()
        };
        note(alone, Part::Authenticators(authenticators));
        let alone = Self {
            groups: groups.clone(),
            ..any()
        };
        note(alone, Part::Groups(groups));
        let alone = Self {
            scopes: scopes.clone(),
            ..any()
        };
        note(alone, Part::Scopes(scopes));
        for claim in claims {
            let alone = Self {
                claims: vec![claim.clone()],
                ..any()
            };
            note(alone, Part::Claim(&claim.0, &claim.1));
        }
        let alone = Self {
            peers: peers.clone(),
            ..any()
        };
        note(alone, Part::Peers(peers));
        parts
    }
}

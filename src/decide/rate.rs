//! How many more requests go on: limits by address before anybody is asked who calls, all others once the request may.

use super::{Around, Way, shadow};
use crate::authn::Caller;
use crate::authz::Facts;
use crate::denial::{Denial, Outcome};
use crate::policy::Rule;
use crate::rate_limit::{At, Draw, Limited, Per, RateLimit, Taken};
use std::sync::Arc;

/// Which limits of a rule are met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Met {
    BeforeAuth,
    AfterAuth,
    /// A preflight has nobody's credential and none of the caller's own headers: browsers of all callers would share
    /// one bucket.
    OfPreflights,
    All,
}

impl Met {
    fn meets(self, limit: &RateLimit) -> bool {
        match self {
            Self::BeforeAuth => limit.before_auth,
            Self::AfterAuth => !limit.before_auth,
            Self::OfPreflights => !limit.before_auth && limit.per == Per::ClientIp,
            Self::All => true,
        }
    }
}

impl Way {
    /// Takes one of each limit of the rule, or says which has none left.
    pub(super) fn rate(&mut self, met: Met, caller: Option<&Caller>, around: &mut Around) -> Result<(), Denial> {
        let Some(rule) = self.rule.as_ref().filter(|rule| !rule.rate_limits.is_empty()) else {
            return Ok(());
        };
        let rule = rule.clone();
        match self.take(&rule, met, caller, false, around) {
            Ok(taken) => {
                self.overflowed.extend(taken);
                Ok(())
            }
            Err(mut limited) => {
                self.overflowed.append(&mut limited.overflowed);
                Err(Denial::RateLimited(limited))
            }
        }
    }

    /// What shadow rules would have let through, had they decided all along.
    pub(super) fn rate_shadows(&mut self, caller: &Caller, around: &mut Around) {
        for rule in self.shadows.clone() {
            let Some(gate) = rule.gate().filter(|_| !rule.rate_limits.is_empty()) else {
                continue;
            };
            let outcome = shadow::of_caller(&rule, gate, caller, &self.request, around.connection);
            let passes = matches!(outcome, Outcome::Allowed | Outcome::Anonymous | Outcome::FailedOpen);
            if passes && self.take(&rule, Met::All, Some(caller), true, around).is_err() {
                self.limited_shadows.push(rule.position);
            }
        }
    }

    fn take(
        &self,
        rule: &Arc<Rule>,
        met: Met,
        caller: Option<&Caller>,
        shadow: bool,
        around: &mut Around,
    ) -> Result<Taken, Limited> {
        let facts = Facts {
            principal: caller.and_then(Caller::principal),
            request: &self.request,
            rule,
            connection: around.connection,
        };
        let seed = around.memory.buckets().seed();
        let limits = rule.rate_limits.iter().filter(|limit| met.meets(limit));
        let draws: Vec<Draw> = limits
            .map(|limit| Draw {
                limit,
                key: limit.key(seed, &facts),
                plan: limit.plan(&facts),
            })
            .collect();
        let at = At {
            store: around.shared,
            now_ns: around.now.as_ns(),
            shadow,
        };
        around.memory.buckets().take(&draws, at)
    }
}

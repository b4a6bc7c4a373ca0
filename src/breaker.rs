//! Stops asking a service that does not answer, so that nobody waits for a timeout each time. A
//! stranger must not be able to open it: see [`Breaker::failed`].

use std::collections::BTreeSet;
use std::time::Duration;

/// `breaker` of a callout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// So many failures within [`WINDOW_S`] open it, if they are half of all calls and come from
    /// [`MIN_KEYS`] different callers.
    pub failures: u32,
    /// How long nobody asks before one request tries again.
    pub open_for: Duration,
}

/// Long enough to tell an outage from a hiccup, short enough to forget one.
pub const WINDOW_S: usize = 10;
/// One caller with a request that makes the service fail must not close the gate for all.
pub const MIN_KEYS: usize = 3;
/// Failing callers are told apart up to here; more change nothing.
const KEYS_KEPT: usize = 16;

/// Whether the service may be asked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    Ask,
    /// The one request that finds out whether the service is back.
    Probe,
    /// Nobody asks; worth another try after this long.
    Refused {
        retry_after: Duration,
    },
}

#[derive(Debug)]
pub struct Breaker {
    policy: BreakerPolicy,
    window: [Second; WINDOW_S],
    state: State,
}

#[derive(Clone, Debug, Default)]
struct Second {
    /// Seconds since the Unix epoch that this slot counts.
    at_s: u64,
    calls: u32,
    failures: u32,
    keys: BTreeSet<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open {
        until_ms: u64,
    },
    /// A probe is on its way; should it get lost, the next may go then.
    Probing {
        since_ms: u64,
        until_ms: u64,
    },
}

impl Breaker {
    pub fn new(policy: BreakerPolicy) -> Self {
        Self {
            policy,
            window: Default::default(),
            state: State::Closed,
        }
    }

    pub fn is_open(&self) -> bool {
        self.state != State::Closed
    }

    /// How long nobody asks, where that is so. `now_ms`: milliseconds since the Unix epoch.
    pub fn refuses(&self, now_ms: u64) -> Option<Duration> {
        match self.state {
            State::Open { until_ms } | State::Probing { until_ms, .. } if now_ms < until_ms => {
                Some(Duration::from_millis(until_ms - now_ms))
            }
            State::Closed | State::Open { .. } | State::Probing { .. } => None,
        }
    }

    /// For a question that goes out now, if it may.
    pub fn leave(&mut self, now_ms: u64) -> Leave {
        match (self.refuses(now_ms), self.state) {
            (Some(retry_after), _) => Leave::Refused { retry_after },
            (None, State::Closed) => Leave::Ask,
            (None, State::Open { .. } | State::Probing { .. }) => {
                self.state = State::Probing {
                    since_ms: now_ms,
                    until_ms: self.after_open_for(now_ms),
                };
                Leave::Probe
            }
        }
    }

    /// The service answered, whatever it said, what it was asked at `asked_ms`.
    pub fn answered(&mut self, asked_ms: u64, now_ms: u64) {
        if self.is_the_probes(asked_ms) {
            self.state = State::Closed;
            self.window = Default::default();
        }
        self.second(now_ms).calls += 1;
    }

    /// While it is open nobody asks but the probe: what was asked before says how the service was then.
    fn is_the_probes(&self, asked_ms: u64) -> bool {
        matches!(self.state, State::Probing { since_ms, .. } if asked_ms >= since_ms)
    }

    /// The service could not be asked. `caller` tells callers apart, so that one of them makes no outage.
    pub fn failed(&mut self, caller: u64, asked_ms: u64, now_ms: u64) {
        let second = self.second(now_ms);
        second.calls += 1;
        second.failures += 1;
        if second.keys.len() < KEYS_KEPT {
            second.keys.insert(caller);
        }
        let opens = match self.state {
            State::Probing { .. } => self.is_the_probes(asked_ms),
            State::Open { .. } => false,
            State::Closed => self.is_outage(now_ms / 1000),
        };
        if opens {
            self.state = State::Open {
                until_ms: self.after_open_for(now_ms),
            };
        }
    }

    fn is_outage(&self, now_s: u64) -> bool {
        let recent = || {
            self.window
                .iter()
                .filter(|second| now_s.saturating_sub(second.at_s) < WINDOW_S as u64)
        };
        let calls: u64 = recent().map(|second| u64::from(second.calls)).sum();
        let failures: u64 = recent().map(|second| u64::from(second.failures)).sum();
        let mut keys = BTreeSet::new();
        keys.extend(recent().flat_map(|second| second.keys.iter().copied()));
        failures >= u64::from(self.policy.failures) && failures * 2 >= calls && keys.len() >= MIN_KEYS
    }

    fn second(&mut self, now_ms: u64) -> &mut Second {
        let at_s = now_ms / 1000;
        let [first, rest @ ..] = &mut self.window;
        let slot = (at_s % WINDOW_S as u64) as usize;
        let second = match slot.checked_sub(1).and_then(|at| rest.get_mut(at)) {
            Some(second) => second,
            None => first,
        };
        if second.at_s != at_s {
            *second = Second {
                at_s,
                ..Second::default()
            };
        }
        second
    }

    fn after_open_for(&self, now_ms: u64) -> u64 {
        now_ms.saturating_add(u64::try_from(self.policy.open_for.as_millis()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn breaker() -> Breaker {
        Breaker::new(BreakerPolicy {
            failures: 5,
            open_for: Duration::from_secs(5),
        })
    }

    fn fail(breaker: &mut Breaker, callers: impl IntoIterator<Item = u64>, now_ms: u64) {
        for caller in callers {
            breaker.failed(caller, now_ms, now_ms);
        }
    }

    #[test]
    fn an_outage_opens_it() {
        let mut breaker = breaker();
        fail(&mut breaker, [1, 2, 3, 1], NOW);
        assert_eq!(breaker.leave(NOW), Leave::Ask);
        breaker.failed(2, NOW + 9_000, NOW + 9_000);
        let retry_after = Duration::from_secs(5);
        assert_eq!(breaker.leave(NOW + 9_000), Leave::Refused { retry_after });
    }

    #[test]
    fn one_caller_does_not() {
        let mut breaker = breaker();
        fail(&mut breaker, (0..1000).map(|n| n % 2), NOW);
        assert_eq!(breaker.leave(NOW), Leave::Ask);
    }

    #[test]
    fn nor_a_minority_nor_old_failures() {
        let mut breaker = breaker();
        (0..11).for_each(|_| breaker.answered(NOW, NOW));
        fail(&mut breaker, 0..10, NOW);
        assert_eq!(breaker.leave(NOW), Leave::Ask);
        let mut breaker = self::breaker();
        fail(&mut breaker, 0..4, NOW);
        breaker.failed(5, NOW + 10_000, NOW + 10_000);
        assert_eq!(breaker.leave(NOW + 10_000), Leave::Ask);
    }

    #[test]
    fn one_probe_at_a_time() {
        let mut breaker = breaker();
        fail(&mut breaker, 0..5, NOW);
        assert_eq!(breaker.leave(NOW + 5_000), Leave::Probe);
        assert!(matches!(breaker.leave(NOW + 5_001), Leave::Refused { .. }));
        breaker.failed(9, NOW + 5_100, NOW + 5_100);
        assert!(matches!(breaker.leave(NOW + 10_000), Leave::Refused { .. }));
        assert_eq!(breaker.leave(NOW + 10_100), Leave::Probe);
        breaker.answered(NOW + 10_200, NOW + 10_200);
        assert_eq!(breaker.leave(NOW + 10_200), Leave::Ask);
        breaker.failed(1, NOW + 10_201, NOW + 10_201);
        assert_eq!(
            breaker.leave(NOW + 10_201),
            Leave::Ask,
            "what was before the outage is forgotten"
        );
    }

    #[test]
    fn a_late_answer_closes_nothing() {
        let mut breaker = breaker();
        fail(&mut breaker, 0..5, NOW);
        breaker.answered(NOW + 100, NOW + 100);
        assert!(breaker.is_open());
        assert!(matches!(breaker.leave(NOW + 200), Leave::Refused { .. }));
    }

    #[test]
    fn what_was_asked_before_the_probe_decides_nothing() {
        let mut breaker = breaker();
        fail(&mut breaker, 0..5, NOW);
        assert_eq!(breaker.leave(NOW + 5_000), Leave::Probe);
        breaker.answered(NOW - 1, NOW + 5_001);
        assert!(breaker.is_open(), "an old answer");
        breaker.failed(9, NOW - 1, NOW + 5_002);
        breaker.answered(NOW + 5_000, NOW + 5_003);
        assert!(!breaker.is_open(), "the probe's own");
    }

    #[test]
    fn a_lost_probe_is_followed_by_another() {
        let mut breaker = breaker();
        fail(&mut breaker, 0..5, NOW);
        assert_eq!(breaker.leave(NOW + 5_000), Leave::Probe);
        assert_eq!(breaker.leave(NOW + 10_000), Leave::Probe);
    }
}

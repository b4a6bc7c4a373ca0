//! One bucket, as the generic cell rate algorithm (ITU-T I.371) has it: its whole state is the time at which it is full
//! again. A request moves that time on by what one request costs; it has room while the time is no further away than an
//! empty bucket takes to fill.

use std::time::Duration;

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What one request costs: the time in which the bucket fills by one.
    interval_ns: u64,
    burst: u64,
}

/// There is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short {
    /// Until there is room for one.
    pub wait_ns: u64,
    /// Until the bucket is full again.
    pub full_ns: u64,
}

impl Plan {
    /// The rate is never more than was said: an interval of less than a nanosecond's grain is rounded up. None: faster
    /// than a million requests a second, or longer than `u64` nanoseconds until full.
    pub fn new(requests: u64, window: Duration, burst: u64) -> Option<Self> {
        const FASTEST_NS: u64 = 1_000;
        let window_ns = u64::try_from(window.as_nanos()).ok()?;
        let interval_ns = window_ns.checked_add(requests.checked_sub(1)?)?.checked_div(requests)?;
        let fits = interval_ns >= FASTEST_NS && burst > 0 && interval_ns.checked_mul(burst).is_some();
        fits.then_some(Self { interval_ns, burst })
    }

    pub fn burst(&self) -> u64 {
        self.burst
    }

    /// Until an empty bucket is full.
    pub fn capacity_ns(&self) -> u64 {
        self.interval_ns.saturating_mul(self.burst)
    }

    /// What is said of a bucket that nothing is known of but that it has no room.
    pub fn emptied(&self) -> Short {
        Short {
            wait_ns: self.interval_ns,
            full_ns: self.capacity_ns(),
        }
    }

    /// Takes one out of a bucket that is full at `full_at_ns`: when it is full then.
    pub fn take(&self, full_at_ns: u64, now_ns: u64) -> Result<u64, Short> {
        let after_ns = full_at_ns.max(now_ns).saturating_add(self.interval_ns);
        match after_ns.saturating_sub(now_ns).checked_sub(self.capacity_ns()) {
            None | Some(0) => Ok(after_ns),
            Some(wait_ns) => Err(Short {
                wait_ns,
                full_ns: full_at_ns.saturating_sub(now_ns),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: u64 = 1_000_000_000;
    const NOW: u64 = 1_800_000_000 * S;

    fn plan(requests: u64, window_s: u64, burst: u64) -> Plan {
        Plan::new(requests, Duration::from_secs(window_s), burst).expect("a plan")
    }

    #[test]
    fn plans() {
        assert_eq!(plan(300, 60, 300).interval_ns, S / 5);
        assert_eq!(
            plan(7, 1, 7).interval_ns,
            142_857_143,
            "rounded up: never more than was said"
        );
        for (requests, window_s, burst) in [
            (0, 1, 1),
            (1, 1, 0),
            (1_002_000, 1, 1),
            (1, 86_400, u64::MAX / S),
            (u64::MAX, 1, 1),
        ] {
            assert_eq!(Plan::new(requests, Duration::from_secs(window_s), burst), None);
        }
    }

    /// What is asked of one bucket, in order: the time, and whether there was room or how long to wait.
    #[test]
    fn one_bucket() {
        let plan = plan(10, 1, 3);
        let mut full_at = 0;
        for (at_ms, expected) in [
            (0, Ok(())),
            (0, Ok(())),
            (0, Ok(())),
            (0, Err(100)),
            (99, Err(1)),
            (100, Ok(())),
            (100, Err(100)),
            (299, Ok(())),
            (300, Ok(())),
            (300, Err(100)),
            // Backwards: what was taken stays taken.
            (200, Err(200)),
            (400, Ok(())),
            // A long time without any: it holds no more than the burst.
            (86_400_000, Ok(())),
            (86_400_000, Ok(())),
            (86_400_000, Ok(())),
            (86_400_000, Err(100)),
        ] {
            let taken = plan.take(full_at, NOW + at_ms * 1_000_000);
            let seen = taken.map(|after| full_at = after);
            assert_eq!(seen.map_err(|short| short.wait_ns / 1_000_000), expected, "{at_ms} ms");
        }
    }

    #[test]
    fn huge_times() {
        let plan = plan(1, 86_400, 7);
        for (full_at, now) in [(u64::MAX, 0), (u64::MAX, u64::MAX), (0, u64::MAX), (u64::MAX, NOW)] {
            let _ = plan.take(full_at, now);
        }
        assert!(plan.take(u64::MAX, 0).is_err());
    }

    proptest! {
        /// However they are spread, in any stretch of time no more go on than the burst and what the time brings.
        #[test]
        fn never_more(
            requests in 1_u64..1000,
            window_s in 1_u64..100,
            burst in 1_u64..50,
            gaps_us in proptest::collection::vec(prop_oneof![Just(0_u64), 0..1000_u64, 0..3_000_000_u64], 1..200),
        ) {
            let plan = plan(requests, window_s, burst);
            let (mut now, mut full_at, mut gone) = (NOW, 0, Vec::new());
            for gap_us in gaps_us {
                now += gap_us * 1000;
                if let Ok(after) = plan.take(full_at, now) {
                    full_at = after;
                    gone.push(now);
                }
            }
            for (from, begin) in gone.iter().enumerate() {
                for (to, end) in gone.iter().enumerate().skip(from) {
                    let many = u128::try_from(to - from + 1).unwrap();
                    let brought = u128::from(end - begin) * u128::from(requests) / u128::from(window_s * S);
                    prop_assert!(many <= u128::from(burst) + brought, "{many} in {} ns", end - begin);
                }
            }
        }

        /// Who asks evenly and no faster than the rate is never refused, whatever the burst.
        #[test]
        fn at_least_that_many(requests in 1_u64..1000, window_s in 1_u64..100, burst in 1_u64..50) {
            let plan = plan(requests, window_s, burst);
            let mut full_at = 0;
            for n in 0..1000 {
                let taken = plan.take(full_at, NOW + n * plan.interval_ns);
                prop_assert!(taken.is_ok(), "{n}");
                full_at = taken.unwrap_or_default();
            }
        }
    }
}

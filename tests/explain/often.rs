//! Whether generated requests meet what they are generated for.

use std::collections::BTreeMap;

/// A comparison of what hardly ever occurs shows little.
#[track_caller]
pub fn each_occurs(outcomes: &[&str], seen: &BTreeMap<&'static str, u32>, least: u32) {
    for outcome in outcomes {
        assert!(
            seen.get(outcome).is_some_and(|times| *times >= least),
            "{outcome} hardly occurs: {seen:?}"
        );
    }
}

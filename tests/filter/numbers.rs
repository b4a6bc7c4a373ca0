//! The map by the proxy's numbers, against one of the standard library.

#[path = "../../src/filter/by_number.rs"]
mod by_number;

use by_number::ByNumber;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Numbers near each other, as the proxy counts, and such as meet in one place.
fn numbers() -> impl Strategy<Value = u32> {
    prop_oneof![
        0..40u32,
        (0..40u32).prop_map(|n| n * 4),
        (0..8u32).prop_map(|n| n << 29),
        any::<u32>()
    ]
}

proptest! {
    #[test]
    fn holds_what_was_put_and_not_taken(deeds in proptest::collection::vec((any::<bool>(), numbers()), 0..300)) {
        let (mut ours, mut theirs) = (ByNumber::default(), BTreeMap::new());
        for (at, (puts, number)) in deeds.into_iter().enumerate() {
            if puts {
                ours.insert(number, at);
                theirs.insert(number, at);
            } else {
                prop_assert_eq!(ours.remove(number), theirs.remove(&number));
            }
            for (number, value) in &theirs {
                prop_assert_eq!(ours.get(*number), Some(value));
                prop_assert_eq!(ours.get_mut(*number).copied(), Some(*value));
            }
            prop_assert_eq!(ours.get(number), theirs.get(&number));
            let held: BTreeMap<u32, usize> = ours.iter().map(|(number, value)| (number, *value)).collect();
            prop_assert_eq!(&held, &theirs);
        }
    }
}

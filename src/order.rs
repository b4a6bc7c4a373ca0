//! Sorting where a policy is read. The standard library's sort is compiled, 3 to 4 KB, for each type and order;
//! this one is compiled once.

use std::cmp::Ordering;

/// Positions below `count` in the order of what stands there.
pub fn positions(count: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut positions: Vec<usize> = (0..count).collect();
    positions.sort_unstable_by(|one, other| compare(*one, *other));
    positions
}

/// Sorted, each once.
pub fn distinct<T>(values: Vec<T>, compare: fn(&T, &T) -> Ordering) -> Vec<T> {
    let order = positions(values.len(), &|one, other| {
        values
            .get(one)
            .zip(values.get(other))
            .map_or(Ordering::Equal, |(one, other)| compare(one, other))
    });
    let mut values: Vec<Option<T>> = values.into_iter().map(Some).collect();
    let mut sorted: Vec<T> = Vec::with_capacity(values.len());
    for at in order {
        let Some(value) = values.get_mut(at).and_then(Option::take) else {
            continue;
        };
        if sorted.last().is_none_or(|last| compare(last, &value).is_ne()) {
            sorted.push(value);
        }
    }
    sorted
}

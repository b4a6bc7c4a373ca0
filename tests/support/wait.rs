//! Waiting for a condition, never for a time.
use std::fmt::Display;
use std::time::{Duration, Instant};

/// Enough for anything that happens at once on a busy two-core machine.
pub const SHORT: Duration = Duration::from_secs(10);
/// Enough for a process to start, load a module and be ready beside other tests.
pub const LONG: Duration = Duration::from_secs(60);

/// Asks until there is a value; panics with the reason after `bound`.
#[track_caller]
pub fn until<T>(reason: impl Display, bound: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    match try_until(bound, &mut ask) {
        Some(value) => value,
        None => panic!("waited {bound:?} in vain for {reason}"),
    }
}

pub fn try_until<T>(bound: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + bound;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(value) = ask() {
            return Some(value);
        }
        if Instant::now() >= end {
            return None;
        }
        // The pause between two looks, not a wait for something to have happened.
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

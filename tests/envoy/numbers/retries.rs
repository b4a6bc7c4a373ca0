use super::*;
use crate::support::Request;
use std::time::Instant;

/// The policy's part of the numbers: four tries for what may be repeated, one for the rest.
/// A call takes two seconds and no longer.
#[test]
fn three_retries_within_two_seconds() {
    // Of the version that alice meets; so many that no errors eject one, nor a hash leads to the same one again.
    const INSTANCES: usize = 6;
    let site = Site::with(Shipped::whole(), INSTANCES, 0);
    let all = |reply: fn() -> Reply| site.business.iter().for_each(|s| s.answer(move |_| reply()));
    let tries = || site.business.iter().map(Stub::count).sum::<usize>();

    all(|| Reply::status(503));
    assert_eq!(site.send(&by("alice", "/orders/1")).status, 503);
    assert_eq!(tries(), 4);

    let post = Request {
        method: b"POST".to_vec(),
        ..by("alice", "/orders/1")
    };
    assert_eq!(site.send(&post).status, 503);
    assert_eq!(tries(), 4 + 1);

    site.business.iter().for_each(Stub::clear);
    all(Reply::never);
    let begin = Instant::now();
    assert_eq!(site.send(&by("alice", "/orders/1")).status, 504);
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(1500), "{took:?}");
    // The route's own would be 15 s.
    assert!(took < Duration::from_secs(8), "{took:?}");
    // Whether the fourth begins is a matter of milliseconds: its time is the end of the two seconds.
    assert!((3..=4).contains(&tries()), "{}", tries());
}

use super::*;
use crate::authn::Principal;
use crate::authn::jwt::Window;

fn of(token: &[u8]) -> TokenId {
    TokenId::of(token, Seed(1, 2))
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn good(from: u64, until: u64) -> Result<Arc<Verified>, TokenFault> {
    Ok(Arc::new(Verified {
        principal: Principal::nobody().into(),
        expires_at: secs(until - 30),
        window: Window {
            from: secs(from),
            until: secs(until),
        },
    }))
}

const BAD: Result<Arc<Verified>, TokenFault> = Err(TokenFault::Signature);

#[test]
fn remembered_while_it_is_so() {
    let mut seen = Seen::new(10);
    let id = of(b"token");
    assert_eq!(seen.get(&id, secs(100)), None);
    let verdict = good(90, 200);
    seen.remember(id, &verdict, secs(100));
    assert_eq!(seen.get(&id, secs(89)), None);
    assert_eq!(seen.get(&id, secs(90)), Some(verdict.clone()));
    assert_eq!(seen.get(&id, Duration::from_millis(199_999)), Some(verdict));
    assert_eq!(seen.get(&id, secs(200)), None);
    // As long as the token that was found, and no other.
    assert_eq!(seen.get(&of(b"token "), secs(100)), None);
    assert_eq!(seen.get(&of(b"tokeN"), secs(100)), None);
}

#[test]
fn refusals_are_short() {
    let mut seen = Seen::new(10);
    let id = of(b"bad");
    seen.remember(id, &BAD, secs(100));
    assert_eq!(seen.get(&id, secs(100)), Some(BAD));
    assert_eq!(seen.get(&id, Duration::from_millis(104_999)), Some(BAD));
    assert_eq!(seen.get(&id, secs(105)), None);
    assert_eq!(seen.get(&id, secs(99)), None);
}

#[test]
fn the_last_verdict_counts() {
    let mut seen = Seen::new(10);
    let id = of(b"token");
    seen.remember(id, &good(0, 200), secs(100));
    seen.remember(id, &BAD, secs(100));
    assert_eq!(seen.get(&id, secs(100)), Some(BAD));
    seen.remember(id, &good(0, 200), secs(101));
    assert_eq!(seen.get(&id, secs(101)), Some(good(0, 200)));
    assert_eq!(seen.len(), 1);
    let bad = of(b"bad");
    seen.remember(bad, &BAD, secs(101));
    seen.clear();
    assert!(seen.is_empty());
    assert_eq!(seen.get(&id, secs(101)), None);
    assert_eq!(seen.get(&bad, secs(101)), None);
}

#[test]
fn what_heals_by_itself_is_not_remembered() {
    let mut seen = Seen::new(10);
    let id = of(b"token");
    for fault in [
        TokenFault::NotYetValid,
        TokenFault::IssuedInFuture,
        TokenFault::UnknownKey,
    ] {
        seen.remember(id, &Err(fault), secs(100));
        assert!(seen.is_empty());
    }
}

/// A million bad tokens push out none that hold; a scan of good ones, each seen once, few that are used.
#[test]
fn a_stranger_pushes_nobody_out() {
    let mut seen = Seen::new(100);
    let used: Vec<TokenId> = (0..50u32).map(|n| of(format!("used {n}").as_bytes())).collect();
    for id in &used {
        seen.remember(*id, &good(0, 1000), secs(100));
        for _ in 0..3 {
            assert!(seen.get(id, secs(100)).is_some());
        }
    }
    for n in 0..100_000u32 {
        let id = of(&n.to_be_bytes());
        seen.remember(id, &BAD, secs(100));
    }
    assert!(used.iter().all(|id| seen.get(id, secs(100)).is_some()));
    for n in 0..10_000u32 {
        let id = of(format!("once {n}").as_bytes());
        seen.remember(id, &good(0, 1000), secs(100));
    }
    let left = used.iter().filter(|id| seen.get(id, secs(100)).is_some()).count();
    assert!(left >= 40, "{left} of 50 are left");
    assert!(seen.len() <= 100 + NEGATIVE_ENTRIES, "{seen:?}");
}

#[test]
fn an_id_hangs_on_the_seed() {
    assert_ne!(TokenId::of(b"x", Seed(1, 2)), TokenId::of(b"x", Seed(1, 3)));
    assert_ne!(TokenId::of(b"x", Seed(1, 2)), TokenId::of(b"x", Seed(2, 2)));
    assert_eq!(of(b"x"), of(b"x"));
}

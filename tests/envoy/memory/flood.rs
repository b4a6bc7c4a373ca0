//! Strangers with ever new credentials do not displace those who are known.
use super::*;

#[test]
fn good_callers_are_remembered_in_a_flood_of_bad_tokens() {
    const GOOD: usize = 100;
    const FLOOD: usize = 10_000;
    let cache = "ttl: 1h, denied_ttl: 5m, max_entries: 400";
    let gate = direct(policy("10s", cache, "", ""))
        .auth(knows)
        .log_level("error")
        .start();
    let mut connection = gate.h1().connect();
    let mut asked = 0;
    for n in 0..FLOOD {
        let status = connection.send(&from(&format!("bad{n}"))).unwrap().status;
        assert_eq!(status, 401);
        if n % 5 == 0 {
            let response = connection.send(&from(&format!("good{}", n / 5 % GOOD))).unwrap();
            assert_eq!(response.status, 200);
            asked += 1;
        }
    }
    let calls = gate.auth.received();
    let of_good = calls
        .iter()
        .filter(|r| r.header("authorization").is_some_and(|token| token.starts_with("good")))
        .count();
    let missed = of_good - GOOD;
    let rate = 100.0 - 100.0 * missed as f64 / (asked - GOOD) as f64;
    println!("{rate:.1} % of what good callers ask again is remembered, beside {FLOOD} bad tokens");
    assert!(rate >= 99.0, "{missed} of {asked}");
    let entries = metric(&gate, "cache_entries.authenticator=account");
    assert!(entries <= 400, "{entries}");
}

use super::*;
use crate::support::{Reply, all_at_once, until};
use std::time::{Duration, Instant};

const FETCHES: &str = "wasmcustom.meshgate_key_fetches_total.authenticator=staff.result=";

/// One issuer's life, since each part needs what came before: a storm of tokens with unknown keys, a new key, an
/// issuer that is down.
#[test]
fn keys_from_an_issuer() {
    let mut policy = policy(json!({"remote": remote("/jwks.json")}));
    policy["authenticators"]["staff"]["jwt"]["keys"]["remote"]["refresh"] = json!("1h");
    let gate = Gate::builder()
        .policy(&policy)
        .workers(2)
        .auth(|_| Reply::ok().json(jwks(&["a"])))
        .start();
    all_hold(&gate, "staff", 1);
    let began = Instant::now();
    let asked = gate.auth.last();
    assert_eq!(
        (
            asked.path().as_str(),
            asked.header(":authority").or(asked.header("host")).as_deref()
        ),
        ("/jwks.json", Some("id.example.com"))
    );

    let storm = || {
        let answers = all_at_once(40, |thread| {
            let tokens = (0..10).map(|number| es256(&format!("x{thread}-{number}"), ISSUER));
            tokens.map(|token| with(&gate, &token).status).collect::<Vec<_>>()
        });
        assert!(answers.iter().flatten().all(|status| *status == 401), "{answers:?}");
    };
    storm();
    assert!(began.elapsed() < Duration::from_secs(9), "too slow to tell anything");
    assert_eq!(
        gate.auth.count(),
        1,
        "one fetch for all VMs, and none more within ten seconds"
    );

    gate.auth.answer(|_| Reply::ok().json(jwks(&["a", "b"])));
    until("the new key", Duration::from_secs(15), || {
        (with(&gate, &es256("b", ISSUER)).status == 200).then_some(())
    });
    assert!(
        began.elapsed() >= Duration::from_secs(9),
        "a stranger made us ask the issuer too early"
    );
    all_hold(&gate, "staff", 2);
    storm();
    assert_eq!(gate.auth.count(), 2);
    assert_eq!(with(&gate, &es256("a", ISSUER)).status, 200);

    gate.auth.answer(|_| Reply::status(500));
    until("a fetch that fails", Duration::from_secs(15), || {
        with(&gate, &es256("c", ISSUER));
        gate.envoy
            .stat(&format!("{FETCHES}server_error"))
            .filter(|failed| *failed >= 2)
    });
    for kid in ["a", "b"] {
        assert_eq!(with(&gate, &es256(kid, ISSUER)).status, 200, "kept");
    }
    assert_eq!(gate.envoy.stat(&format!("{FETCHES}fetched")), Some(2));
    let age = gate
        .envoy
        .stat("wasmcustom.meshgate_keys_age_seconds.authenticator=staff");
    assert!(age.is_some_and(|age| (1..60).contains(&age)), "{age:?}");
    let told = gate
        .envoy
        .log_lines()
        .into_iter()
        .filter(|line| line.contains("keys cannot be fetched"));
    assert!((1..=4).contains(&told.count()), "once in each VM");
}

#[test]
fn an_issuer_that_was_never_there() {
    let mut policy = policy(json!({"remote": remote("/jwks.json")}));
    policy["authenticators"]["staff"]["jwt"]["keys"]["remote"]["cluster"] = json!("dead");
    let gate = Gate::start(&policy);
    let refused = with(&gate, &es256("a", ISSUER));
    assert_eq!(refused.status, 503);
    assert_eq!(refused.json()["error"], "auth_unavailable");
    until("a second try", Duration::from_secs(5), || {
        gate.envoy
            .stat(&format!("{FETCHES}connect_failure"))
            .filter(|failed| *failed >= 2)
    });
    assert_eq!(gate.send(&get("/a")).status, 401);
}

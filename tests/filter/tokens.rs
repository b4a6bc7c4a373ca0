//! Tokens in the proxy: its check of signatures, its clock, and key sets that one VM fetches for all.

use crate::gate::*;
use crate::host::{Cluster, Host, HostOptions, SharedData};
use crate::mint::{self, key};
use jsonwebtoken::Algorithm;
use proxy_wasm::types::Status;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// The mock host's clock: 2026-01-02T03:04:05.
const NOW: u64 = 1_767_323_045;
const ASKS: &str = "call_foreign_function verify_signature";

fn policy(keys: &str) -> String {
    format!(
        r#"{{"version": 1,
          "identity": {{"headers": {{"x-user-id": "{{subject}}"}}}},
          "authenticators": {{"staff": {{"jwt": {{"issuer": "https://staff", "audiences": ["api"], {keys} }}}}}},
          "rules": [{{"name": "r", "authenticate": ["staff"]}}]}}"#
    )
}

fn jwks(kids: &[&str]) -> String {
    let keys: Vec<String> = kids
        .iter()
        .map(|kid| key("p256").jwk_with(&format!(r#""kid":"{kid}""#)))
        .collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

fn inline() -> String {
    let keys = [("rsa", "rsa"), ("p256", "p256")].map(|(name, kid)| key(name).jwk_with(&format!(r#""kid":"{kid}""#)));
    policy(&format!(r#""keys": {{"inline": {{"keys": [{}]}}}}"#, keys.join(",")))
}

const REMOTE: &str = r#""keys": {"remote": {"service": "id:443", "path": "/jwks.json"}}"#;
const CLUSTER: &str = "outbound|443||id";

fn token(kid: &str, algorithm: Algorithm, subject: &str) -> String {
    let header = format!(r#"{{"alg":"{algorithm:?}","kid":"{kid}"}}"#);
    let exp = NOW + 36_000;
    let claims = format!(r#"{{"iss":"https://staff","aud":"api","sub":"{subject}","exp":{exp}}}"#);
    let name = match algorithm {
        Algorithm::RS256 => "rsa",
        _ => "p256",
    };
    mint::token(&header, &claims, name, algorithm)
}

/// Status of the refusal, or who the upstream is told calls.
fn asked_with(host: &Host, token: &str) -> String {
    let stream = host.request(&headers("/a", &[("authorization", &format!("Bearer {token}"))]));
    match status(&stream) {
        Some(status) => status.to_string(),
        None => {
            assert_eq!(told(&stream, "authorization"), None, "the token went on");
            told(&stream, "x-user-id").expect("somebody")
        }
    }
}

/// Whoever brings a token with this key.
fn by(host: &Host, kid: &str) -> String {
    asked_with(host, &token(kid, Algorithm::ES256, "ann"))
}

/// Fields of a protobuf message, all of bytes.
fn fields(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut fields = Vec::new();
    while let [tag, rest @ ..] = bytes {
        assert_eq!(tag & 7, 2, "a field of bytes");
        let (mut length, mut at) = (0usize, 0);
        loop {
            length |= usize::from(rest[at] & 0x7f) << (7 * at);
            at += 1;
            if rest[at - 1] & 0x80 == 0 {
                break;
            }
        }
        fields.push((tag >> 3, rest[at..at + length].to_vec()));
        bytes = &rest[at + length..];
    }
    fields
}

#[test]
fn the_proxy_is_asked_about_signatures() {
    for (kid, algorithm) in [("rsa", Algorithm::RS256), ("p256", Algorithm::ES256)] {
        let host = serving(&inline(), options());
        let asked: Rc<RefCell<Vec<Vec<u8>>>> = Rc::default();
        let seen = asked.clone();
        host.set_foreign("verify_signature", move |arguments| {
            seen.borrow_mut().push(arguments.to_vec());
            Ok(vec![0x08, 0x01])
        });
        let token = token(kid, algorithm, "ann");
        for _ in 0..3 {
            assert_eq!(asked_with(&host, &token), "ann");
        }
        let asked = asked.borrow();
        assert_eq!(asked.len(), 1, "seen before");
        let [hash, spki, signature, text] = fields(&asked[0]).try_into().expect("four fields");
        assert_eq!(hash, (1, b"sha256".to_vec()));
        assert_eq!(spki, (2, key(kid).spki.clone()));
        let (message, raw) = token.rsplit_once('.').expect("a signature");
        assert_eq!(text, (4, message.as_bytes().to_vec()));
        match algorithm {
            Algorithm::RS256 => assert_eq!(signature, (3, mint::decode(raw))),
            // SEQUENCE of two INTEGERs, not r and s as they stand in the token.
            _ => assert_eq!((signature.0, signature.1[0], signature.1[2]), (3, 0x30, 0x02)),
        }
    }
}

#[test]
fn a_signature_that_does_not_hold_is_a_call_that_went_well() {
    for result in [&b"\x12\x05wrong"[..], b"", b"\x08\x00", b"\x08"] {
        let host = serving(&inline(), options());
        host.set_foreign("verify_signature", move |_| Ok(result.to_vec()));
        assert_eq!(
            asked_with(&host, &token("rsa", Algorithm::RS256, "ann")),
            "401",
            "{result:?}"
        );
        assert_eq!(decision(&host), "denied signature");
    }
}

#[test]
fn without_the_function_pure_rust_checks() {
    std::thread::spawn(|| {
        let host = serving(&inline(), options());
        for subject in ["ann", "bob"] {
            for (kid, algorithm) in [("rsa", Algorithm::RS256), ("p256", Algorithm::ES256)] {
                let good = token(kid, algorithm, subject);
                assert_eq!(asked_with(&host, &good), subject);
                let mut bad = good.clone();
                bad.replace_range(bad.len() - 8..bad.len() - 6, "AA");
                assert_eq!(asked_with(&host, &bad), "401");
            }
        }
        assert_eq!(host.count(ASKS), 1, "it does not come later");
    })
    .join()
    .expect("as it should be");
}

#[test]
fn what_the_proxy_does_not_take_pure_rust_checks() {
    let host = serving(&inline(), options());
    host.set_foreign("verify_signature", |_| Err(Status::BadArgument));
    assert_eq!(asked_with(&host, &token("rsa", Algorithm::RS256, "ann")), "ann");
    assert_eq!(asked_with(&host, &token("rsa", Algorithm::RS256, "bob")), "bob");
    assert_eq!(host.count(ASKS), 2);
}

/// A worker of the Envoy whose VMs share this; without the proxy's check of signatures.
fn worker(shared: &SharedData) -> Host {
    let options = HostOptions {
        shared: shared.clone(),
        ..options()
    };
    serving(&policy(REMOTE), options)
}

#[track_caller]
fn fetch(host: &Host, kids: &[&str]) {
    host.tick();
    let call = host.callout();
    assert_eq!((&*call.cluster, call.timeout), (CLUSTER, Duration::from_secs(2)));
    let header = |name: &str| call.headers.get(name).unwrap_or_default();
    let head = [":method", ":path", ":authority"].map(header);
    assert_eq!(head, ["GET", "/jwks.json", "id:443"]);
    host.answer(call.token, &[(":status", "200")], jwks(kids));
}

fn fetches(host: &Host, result: &str) -> Option<u64> {
    host.metric(&format!(
        "meshgate_key_fetches_total.authenticator=staff.result={result}"
    ))
}

#[test]
fn keys_are_fetched_at_once_and_again_in_time() {
    let host = worker(&SharedData::default());
    assert!(host.tick_period() <= Duration::from_millis(10));
    assert_eq!(by(&host, "a"), "503");
    fetch(&host, &["a"]);
    assert_eq!(host.tick_period(), Duration::from_millis(100));
    assert_eq!(by(&host, "a"), "ann");
    assert_eq!(fetches(&host, "fetched"), Some(1));
    host.advance(Duration::from_secs(500));
    host.tick();
    assert_eq!(host.callouts().len(), 0);
    assert_eq!(host.metric("meshgate_keys_age_seconds.authenticator=staff"), Some(500));
    host.advance(Duration::from_secs(100));
    fetch(&host, &["b"]);
    assert_eq!((by(&host, "a"), by(&host, "b")), ("401".into(), "ann".into()));
    assert_eq!(host.metric("meshgate_keys_age_seconds.authenticator=staff"), Some(0));
}

/// The main thread's VM ticks as workers do; a canary does not, and starts no call.
#[test]
fn one_vm_fetches_for_all() {
    let shared = SharedData::default();
    let first = worker(&shared);
    assert_eq!(first.callouts().len(), 0, "a canary would fetch");
    first.tick();
    let in_flight = first.callout().token;
    let others = shared.clone();
    std::thread::spawn(move || {
        let second = worker(&others);
        for _ in 0..3 {
            second.tick();
        }
        assert_eq!(second.callouts().len(), 0);
        assert_eq!(by(&second, "a"), "503");
    })
    .join()
    .expect("as it should be");
    first.answer(in_flight, &[(":status", "200")], jwks(&["a"]));
    std::thread::spawn(move || {
        let mut third = worker(&shared);
        // A new VM, or a new policy, has at once what is there.
        assert_eq!(by(&third, "a"), "ann");
        third.configure(policy(REMOTE).replace("\"r\"", "\"s\""));
        assert_eq!(by(&third, "a"), "ann");
        third.tick();
        assert_eq!(third.callouts().len(), 0);
    })
    .join()
    .expect("as it should be");
}

/// What another VM fetches is here within 5 ms of its coming, not at the next of the usual ticks; an issuer that is away
/// is not looked for so often for ever.
#[test]
fn who_waits_for_the_first_keys_looks_often() {
    const QUICK: Duration = Duration::from_millis(5);
    const USUAL: Duration = Duration::from_millis(100);
    let shared = SharedData::default();
    let first = worker(&shared);
    first.tick();
    let in_flight = first.callout().token;
    let others = shared.clone();
    let (say, hears) = std::sync::mpsc::channel();
    let (answered, is_answered) = std::sync::mpsc::channel::<()>();
    let second = std::thread::spawn(move || {
        let second = worker(&others);
        for _ in 0..3 {
            second.tick();
            assert_eq!(second.tick_period(), QUICK);
        }
        assert_eq!(by(&second, "a"), "503");
        say.send(()).expect("the first");
        is_answered.recv().expect("the first");
        second.tick();
        assert_eq!((by(&second, "a"), second.tick_period()), ("ann".into(), USUAL));
    });
    hears.recv().expect("the second");
    first.answer(in_flight, &[(":status", "200")], jwks(&["a"]));
    assert_eq!(first.tick_period(), USUAL);
    answered.send(()).expect("the second");
    second.join().expect("as it should be");

    let alone = worker(&SharedData::default());
    alone.tick();
    alone.answer(alone.callout().token, &[(":status", "500")], "");
    assert_eq!(alone.tick_period(), QUICK);
    let quick = (0..1_000).take_while(|_| alone.tick() == 1 && alone.tick_period() == QUICK);
    assert_eq!(quick.count(), 398, "two seconds");
    assert_eq!(alone.tick_period(), USUAL);
}

/// Two look at once, and one is first.
#[test]
fn who_comes_second_does_not_fetch() {
    let host = worker(&SharedData::default());
    host.refuse_some("set_shared_data", Status::CasMismatch, 0, 1);
    host.tick();
    assert_eq!(host.callouts().len(), 0);
    fetch(&host, &["a"]);
}

#[test]
fn a_vm_that_dies_with_its_answer_stops_nothing() {
    let shared = SharedData::default();
    let dying = shared.clone();
    std::thread::spawn(move || {
        let host = worker(&dying);
        host.tick();
        assert_eq!(host.callouts().len(), 1);
    })
    .join()
    .expect("as it should be");
    let host = worker(&shared);
    host.tick();
    assert_eq!(host.callouts().len(), 0);
    host.advance(Duration::from_secs(3));
    fetch(&host, &["a"]);
    assert_eq!(by(&host, "a"), "ann");
}

#[test]
fn a_storm_of_unknown_keys_is_one_fetch_in_ten_seconds() {
    let host = worker(&SharedData::default());
    fetch(&host, &["a"]);
    let storm = |host: &Host| {
        for number in 0..200 {
            assert_eq!(by(host, &format!("x{number}")), "401");
            host.tick();
        }
    };
    storm(&host);
    assert_eq!(host.callouts().len(), 0);
    host.advance(Duration::from_secs(10));
    storm(&host);
    let call = host.callout();
    host.answer(call.token, &[(":status", "200")], jwks(&["a", "b"]));
    storm(&host);
    assert_eq!(host.callouts().len(), 0);
    assert_eq!(by(&host, "b"), "ann");
    assert_eq!(fetches(&host, "fetched"), Some(2));
    // Who does not come again causes nothing.
    host.advance(Duration::from_secs(1));
    host.tick();
    host.advance(Duration::from_secs(8));
    host.tick();
    assert_eq!(host.callouts().len(), 0);
}

#[test]
fn what_came_is_kept_while_the_issuer_is_away() {
    let host = worker(&SharedData::default());
    fetch(&host, &["a"]);
    host.advance(Duration::from_secs(600));
    let answers: [(&str, &dyn Fn(u32)); 6] = [
        ("timeout", &|token| host.answer_timed_out(token)),
        ("reset", &|token| host.answer_failed(token)),
        ("bad_status", &|token| host.answer(token, &[(":status", "302")], "")),
        ("bad_document", &|token| {
            host.answer(token, &[(":status", "200")], "<html>")
        }),
        ("too_large", &|token| {
            host.answer(token, &[(":status", "200")], vec![b' '; 256 * 1024 + 1])
        }),
        ("server_error", &|token| host.answer(token, &[(":status", "500")], "")),
    ];
    for (result, answer) in answers {
        host.tick();
        answer(host.callout().token);
        assert_eq!(fetches(&host, result), Some(1), "{result}: {:#?}", host.metrics());
        assert_eq!(by(&host, "a"), "ann");
        host.tick();
        assert_eq!(host.callouts().len(), 0, "at once again after {result}");
        host.advance(Duration::from_secs(30));
    }
    host.set_cluster(CLUSTER, Cluster::Unknown);
    for _ in 0..3 {
        host.tick();
        host.advance(Duration::from_secs(30));
    }
    assert_eq!(fetches(&host, "unknown_cluster"), Some(3));
    let named = |line: &serde_json::Value| line["cause"] == "unknown_cluster" && line["cluster"] == CLUSTER;
    assert!(lines(&host).iter().any(named), "{:#?}", lines(&host));
    let told = complaints(&host);
    let told = told.iter().filter(|line| line.contains("the old ones are kept"));
    assert_eq!(told.count(), 7, "once each: {:#?}", complaints(&host));
    host.set_cluster(CLUSTER, Cluster::Healthy);
    fetch(&host, &["b"]);
    assert_eq!(by(&host, "b"), "ann");
}

#[test]
fn the_provider_says_where_its_keys_are() {
    let keys = r#""keys": {"discovery": {"service": "id:443", "path": "/.well-known/openid-configuration"}}"#;
    let host = serving(&policy(keys), options());
    host.tick();
    let call = host.callout();
    assert_eq!(
        call.headers.get(":path").as_deref(),
        Some("/.well-known/openid-configuration")
    );
    let metadata = r#"{"issuer": "https://staff", "jwks_uri": "https://id.example.com/keys?x=1"}"#;
    host.answer(call.token, &[(":status", "200")], metadata);
    let call = host.callout();
    assert_eq!(
        (&*call.cluster, call.headers.get(":path").as_deref()),
        (CLUSTER, Some("/keys?x=1"))
    );
    host.answer(call.token, &[(":status", "200")], jwks(&["a"]));
    assert_eq!(by(&host, "a"), "ann");

    let host = serving(&policy(keys), options());
    host.tick();
    host.answer(
        host.callout().token,
        &[(":status", "200")],
        metadata.replace("staff", "other"),
    );
    assert_eq!(host.callouts().len(), 0);
    assert_eq!(fetches(&host, "wrong_issuer"), Some(1));
}

#[test]
fn what_others_plant_is_no_key_set() {
    let shared = SharedData::default();
    let host = worker(&shared);
    fetch(&host, &["a"]);
    for name in shared.keys() {
        shared.set(name.as_bytes(), b"nonsense", 0).expect("set");
    }
    for _ in 0..3 {
        host.advance(Duration::from_secs(30));
        host.tick();
        for call in host.callouts() {
            host.answer(call.token, &[(":status", "200")], jwks(&["a"]));
        }
        assert_eq!(by(&host, "a"), "ann");
    }
}

#[test]
fn api_keys_from_elsewhere() {
    let policy = r#"{"version": 1,
      "identity": {"headers": {"x-user-id": "{subject}"}},
      "authenticators": {"staff": {"api_key": {"from": [{"header": "x-api-key"}], "keys": {"remote": {"service": "id:443", "path": "/keys.json"}}}}},
      "rules": [{"name": "r", "authenticate": ["staff"]}]}"#;
    let host = serving(policy, options());
    let with_key = headers("/a", &[("x-api-key", "k3y")]);
    assert_eq!(status(&host.request(&with_key)), Some(503));
    host.tick();
    let list = |subject: &str| {
        format!(
            r#"[{{"id": "one", "sha256": "a49b1287870c10a76f1f46552aca4431842ced5dedf0ee3f28ffa12855a4e86a", "subject": "{subject}"}}]"#
        )
    };
    host.answer(host.callout().token, &[(":status", "200")], list("acme"));
    assert_eq!(told(&host.request(&with_key), "x-user-id").as_deref(), Some("acme"));
    host.advance(Duration::from_secs(600));
    host.tick();
    host.answer(host.callout().token, &[(":status", "200")], r#"[{"id": "one"}]"#);
    assert_eq!(fetches(&host, "bad_document"), Some(1));
    assert_eq!(told(&host.request(&with_key), "x-user-id").as_deref(), Some("acme"));
}

#[test]
fn a_secret_is_the_environments() {
    let with = |name: &str| {
        policy(&format!(
            r#""algorithms": ["HS256"], "keys": {{"secret": {{"env": "{name}"}}}}"#
        ))
    };
    let refused = |name: &str| {
        let host = Host::start(with(name), options());
        assert!(!host.accepted());
        complaints(&host).join("\n")
    };
    let missing = refused("MESHGATE_TEST_NO_SECRET");
    assert!(
        missing.contains("authenticators.staff.jwt.keys.secret: the variable MESHGATE_TEST_NO_SECRET is not set"),
        "{missing}"
    );
    let secret = "an odd secret of more than thirty-two bytes";
    // SAFETY: tests read the environment through the standard library alone, which locks it.
    unsafe {
        std::env::set_var("MESHGATE_TEST_SECRET", secret);
        std::env::set_var("MESHGATE_TEST_SHORT", "short");
    }
    let short = refused("MESHGATE_TEST_SHORT");
    assert!(
        short.contains("MESHGATE_TEST_SHORT holds a secret of less than 32 bytes"),
        "{short}"
    );
    let host = serving(&with("MESHGATE_TEST_SECRET"), options());
    let claims = format!(
        r#"{{"iss":"https://staff","aud":"api","sub":"ann","exp":{}}}"#,
        NOW + 60
    );
    let token = |secret: &str| mint::hs(r#"{"alg":"HS256"}"#, &claims, secret.as_bytes(), Algorithm::HS256);
    assert_eq!(asked_with(&host, &token(secret)), "ann");
    assert_eq!(
        asked_with(&host, &token("another secret of more than thirty-two bytes")),
        "401"
    );
    assert!(host.logs().iter().all(|(_, line)| !line.contains(secret)));
}

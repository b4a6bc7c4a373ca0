use super::*;
use crate::policy::Policy;

const NOW: u64 = 1_800_000_000_000;
const REFRESH: u64 = 600_000;
const LONGEST: u64 = 3000;

fn deed(status: Status, held_ms: u64, stranger_ms: Option<u64>) -> Deed {
    next(&status, held_ms, stranger_ms, NOW, REFRESH, LONGEST)
}

/// Ten minutes to go, came a second ago.
fn fresh() -> Status {
    Status {
        came_ms: NOW - 1000,
        asked_ms: NOW - 1100,
        due_ms: NOW + REFRESH - 1000,
        ..Status::default()
    }
}

#[track_caller]
fn fetches(deed: Deed) -> Status {
    match deed {
        Deed::Fetch(status) => status,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_fetches_and_others_wait() {
    let mine = fetches(deed(Status::default(), 0, None));
    assert_eq!((mine.asked_ms, mine.busy_until_ms), (NOW, NOW + LONGEST));
    assert_eq!(deed(mine, 0, None), Deed::Nothing);
    // It is gone with its answer.
    fetches(next(&mine, 0, None, NOW + LONGEST, REFRESH, LONGEST));
}

#[test]
fn what_another_fetched_is_taken() {
    assert_eq!(deed(fresh(), 0, None), Deed::Take);
    assert_eq!(deed(fresh(), NOW - 700_000, None), Deed::Take);
    assert_eq!(deed(fresh(), fresh().came_ms, None), Deed::Nothing);
    // Also while a third one fetches.
    let busy = Status {
        busy_until_ms: NOW + 1,
        ..fresh()
    };
    assert_eq!(deed(busy, 0, None), Deed::Take);
}

#[test]
fn refreshed_in_time() {
    let due = Status { due_ms: NOW, ..fresh() };
    fetches(deed(due, due.came_ms, None));
    // Under a policy that refreshes more often.
    fetches(next(&fresh(), fresh().came_ms, None, NOW, 1000, LONGEST));
    let came = fetches(deed(due, due.came_ms, None)).came(NOW, REFRESH, 12345);
    assert_eq!((came.came_ms, came.busy_until_ms), (NOW, 0));
    for dice in [0, 1, 59_999, 60_000, u64::MAX] {
        let due_ms = due.came(NOW, REFRESH, dice).due_ms;
        assert!((NOW + REFRESH * 9 / 10..=NOW + REFRESH).contains(&due_ms), "{dice}");
    }
}

#[test]
fn a_failure_is_tried_again_ever_later_and_keeps_what_came() {
    let mut status = fresh();
    let mut pauses = Vec::new();
    for _ in 0..8 {
        status = status.failed(NOW, REFRESH, 0);
        pauses.push(status.due_ms - NOW);
        assert_eq!(status.came_ms, fresh().came_ms);
    }
    assert_eq!(pauses, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
    assert_eq!(deed(status, status.came_ms, None), Deed::Nothing);
    assert!((500..=1000).contains(&(fresh().failed(NOW, REFRESH, u64::MAX - 7).due_ms - NOW)));
    assert_eq!(status.failed(NOW, 10_000, 0).due_ms, NOW + 10_000);
    assert_eq!(status.came(NOW, REFRESH, 0).failures, 0);
}

#[test]
fn strangers_cause_one_fetch_in_ten_seconds() {
    let long_ago = Status {
        asked_ms: NOW - STRANGER_PAUSE_MS,
        ..fresh()
    };
    let held = long_ago.came_ms;
    fetches(deed(long_ago, held, Some(NOW)));
    // What came was asked for later.
    assert_eq!(deed(long_ago, held, Some(long_ago.asked_ms - 1)), Deed::Nothing);
    let lately = Status {
        asked_ms: NOW - STRANGER_PAUSE_MS + 1,
        ..long_ago
    };
    assert_eq!(deed(lately, held, Some(NOW)), Deed::Nothing);
    assert_eq!(
        deed(fetches(deed(long_ago, held, Some(NOW))), held, Some(NOW)),
        Deed::Nothing
    );
}

#[test]
fn a_status_is_its_bytes() {
    let status = Status {
        busy_until_ms: 7,
        failures: 3,
        ..fresh()
    };
    let bytes = status.to_bytes();
    assert_eq!(bytes.len(), Status::BYTES);
    assert_eq!(Status::from_bytes(&bytes), Some(status));
    assert_eq!(Status::from_bytes(&bytes[1..]), None);
    assert_eq!(Status::from_bytes(&[]), None);
    assert_eq!(Status::from_bytes(&[0; 48]), None);
}

fn policy(keys: &str) -> Policy {
    let text = format!(
        r#"{{"version": 1,
          "authenticators": {{"a": {{"jwt": {{"issuer": "https://id.example.com", "audiences": "any", "keys": {keys}}}}}}},
          "rules": [{{"name": "r", "authenticate": ["a"]}}]}}"#
    );
    crate::config::parse(text.as_bytes()).expect("a policy").policy
}

fn source(keys: &str) -> Source {
    Source::of(&policy(keys).authenticators[0]).expect("something to fetch")
}

#[test]
fn metadata_is_the_issuers_own() {
    let source = source(r#"{"discovery": {"service": "id.example.com:443"}}"#);
    let page = source.first_page();
    let question = source.question(&page);
    assert_eq!(
        question.headers.first(":path"),
        Some(&b"/.well-known/openid-configuration"[..])
    );
    let came = |body: &str| match source.on_page(&page, body.as_bytes()) {
        Ok(Came::Ask(Page::Content(path))) => path,
        Ok(other) => panic!("{other:?}"),
        Err(fault) => fault.word().to_owned(),
    };
    let good = |uri: &str| {
        came(&format!(
            r#"{{"issuer": "https://id.example.com", "jwks_uri": "{uri}"}}"#
        ))
    };
    assert_eq!(good("https://id.example.com/keys?a=1"), "/keys?a=1");
    assert_eq!(good("http://id.example.com:8080/keys"), "/keys");
    for uri in [
        "",
        "/keys",
        "https://id.example.com",
        "ftp://a/b",
        "https://a/b c",
        "https://a/b#c",
    ] {
        assert_eq!(good(uri), "bad_document", "{uri}");
    }
    assert_eq!(
        came(r#"{"issuer": "https://id.example.com/", "jwks_uri": "https://a/b"}"#),
        "wrong_issuer"
    );
    assert_eq!(came(r#"{"jwks_uri": "https://a/b"}"#), "wrong_issuer");
    assert_eq!(came("[]"), "bad_document");
    assert_eq!(came(&" ".repeat(64 * 1024 + 1)), "too_large");
}

#[test]
fn what_is_no_key_set() {
    let source = source(r#"{"remote": {"service": "id:443", "path": "/jwks"}}"#);
    let page = source.first_page();
    let fault = |body: &str| source.on_page(&page, body.as_bytes()).expect_err("no keys").word();
    assert_eq!(fault("<html>"), "bad_document");
    assert_eq!(fault(r#"{"keys": []}"#), "bad_document");
    assert_eq!(fault(&" ".repeat(MAX_SET_BYTES + 1)), "too_large");
}

/// By where it is: not by who uses it, nor how often it is looked at.
#[test]
fn one_name_for_one_place() {
    let name = |keys: &str| source(keys).name();
    let one = name(r#"{"remote": {"service": "id:443", "path": "/jwks"}}"#);
    assert_eq!(
        one,
        name(r#"{"remote": {"service": "id:443", "path": "/jwks", "refresh": "1h", "timeout": "1s"}}"#)
    );
    for other in [
        r#"{"remote": {"service": "id:443", "path": "/jwks2"}}"#,
        r#"{"remote": {"service": "id:444", "path": "/jwks"}}"#,
        r#"{"remote": {"service": "id:443", "authority": "id", "path": "/jwks"}}"#,
        r#"{"discovery": {"service": "id:443", "path": "/jwks"}}"#,
    ] {
        assert_ne!(one, name(other), "{other}");
    }
}

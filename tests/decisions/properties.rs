//! What holds for every request, whatever it and the answer say. The cases are the same in each run.

use crate::policies::SHOP;
use crate::text::{Pairs, Peer, on_answer, on_request, read_policy};
use meshgate::authn::callout::{Answer, CalloutFailure};
use meshgate::decide::{Forward, Step};
use meshgate::header::{Folded, Headers};
use meshgate::policy::Policy;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use std::cell::Cell;
use std::sync::Arc;

/// The same cases each time; how often `test` said that a case was worth something.
#[track_caller]
pub fn for_all<S: Strategy>(cases: u32, strategy: S, test: impl Fn(S::Value) -> Result<bool, TestCaseError>) -> u32 {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let hits = Cell::new(0);
    let run = runner.run(&strategy, |case| {
        hits.set(hits.get() + u32::from(test(case)?));
        Ok(())
    });
    match run {
        Ok(()) => hits.get(),
        Err(TestError::Fail(why, case)) => panic!("{why}\n{case:#?}"),
        Err(why) => panic!("{why}"),
    }
}

const SEPARATORS: &[u8] = b"-_.!~*'+^`|#$%&";

/// A name in some spelling that a CGI-like server reads as this one.
fn spelled(names: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    (select(names), vec((any::<Index>(), any::<bool>()), 32)).prop_map(|(name, how)| {
        let respell = |(byte, (separator, upper)): (u8, (Index, bool))| match (byte, upper) {
            (b'-', _) => *separator.get(SEPARATORS),
            (_, true) => byte.to_ascii_uppercase(),
            _ => byte,
        };
        name.bytes().zip(how).map(respell).collect()
    })
}

const WHO: &[&str] = &[
    "x-user-id",
    "x-user-groups",
    "x-webauth-user",
    "x-auth-user",
    "x-auth-plan",
    "x-internal-a",
    "x-envoy-retry-on",
];
const ANY: &[&str] = &[
    "x-note",
    "connection",
    "authorization",
    "x-api-key",
    "x-kept",
    "cookie",
    "origin",
    "x-envoy-auth-headers-to-remove",
    "accept",
    ":path",
    "host",
];

fn pairs(own: &'static str) -> impl Strategy<Value = Pairs> {
    let value = select(vec![
        "",
        "session=1; x-user-id=2",
        "x-user-id, upgrade",
        "upgrade",
        "x-user-id,X_User.Id,:path,host,cookie",
    ]);
    let name = prop_oneof![3 => spelled(WHO), 1 => spelled(ANY), 2 => select(ANY).prop_map(|name| name.into())];
    vec(
        (name, value.prop_map(move |value| [value, own].concat().into_bytes())),
        0..8,
    )
}

fn request() -> impl Strategy<Value = Pairs> {
    let target = select(vec![
        "/public/a",
        "/open/",
        "/orders/1",
        "/lenient/",
        "/keeper",
        "/cors/a",
        "/own/a",
        "/closed",
        "/a//b",
    ]);
    let method = select(vec!["GET", "POST", "OPTIONS"]);
    let credential = select(vec!["authorization", "x-api-key", "x-kept"]);
    (method, target, credential, pairs(",forged")).prop_map(|(method, target, credential, rest)| {
        let fixed = [
            (":method", method),
            (":authority", "shop.example.com"),
            (":path", target),
            (credential, "c"),
        ];
        let fixed = fixed.map(|(name, value)| (name.into(), value.into()));
        fixed
            .into_iter()
            .chain(
                rest.into_iter()
                    .filter(|(name, _)| !name.starts_with(b":") && name != b"host"),
            )
            .collect()
    })
}

fn answer() -> impl Strategy<Value = Answer> {
    let status = select(vec!["200", "200", "200", "401", "302", "503", "+200"]);
    let reply = (status, any::<bool>(), pairs(",served")).prop_map(|(status, known, rest)| {
        let known = known.then(|| (b"x-auth-user".to_vec(), b"ann".to_vec()));
        let headers = [(b":status".to_vec(), status.into())]
            .into_iter()
            .chain(known)
            .chain(rest);
        Answer::Reply {
            headers: headers.collect(),
            body: None,
        }
    });
    let failure = select(vec![
        CalloutFailure::Timeout,
        CalloutFailure::BodyUnseen,
        CalloutFailure::Reset,
    ]);
    prop_oneof![4 => reply, 1 => failure.prop_map(Answer::Failure)]
}

fn decide(policy: &Arc<Policy>, headers: &Arc<Headers>, answer: Answer) -> Step {
    match on_request(policy, headers.clone(), &Peer::default()) {
        Step::Ask(ask) => on_answer(policy, *ask, answer, &Peer::default()),
        step => step,
    }
}

pub fn forwarded(step: Step) -> Option<Box<Forward>> {
    match step {
        Step::Forward(forward) => Some(forward),
        _ => None,
    }
}

fn holds(value: &[u8], part: &str) -> bool {
    value.windows(part.len()).any(|window| window == part.as_bytes())
}

/// Neither a caller nor the service says who calls: the only identity is what we render.
#[test]
fn nobody_forges_identity() {
    let policy = read_policy(SHOP);
    let ours = |name: &[u8]| {
        ["x_user_id", "x_user_groups", "x_webauth_user"]
            .iter()
            .any(|own| Folded::of(name).as_bytes() == own.as_bytes())
    };
    let theirs = |name: &[u8]| {
        let folded = Folded::of(name);
        ["x_auth_", "x_envoy_", "x_internal_a"]
            .iter()
            .any(|start| folded.as_bytes().starts_with(start.as_bytes()))
    };
    let gone_on = for_all(6_000, (request(), answer()), |(request, answer)| {
        let headers: Arc<Headers> = Arc::new(request.into_iter().collect());
        let known = matches!(&answer, Answer::Reply { headers, .. } if headers.first("x-auth-user") == Some(b"ann"));
        let Some(forward) = forwarded(decide(&policy, &headers, answer)) else {
            return Ok(false);
        };
        for (name, value) in forward.edits.apply(&headers) {
            let header = format!("{}: {}", name.escape_ascii(), value.escape_ascii());
            prop_assert!(!ours(name) || (known && header == "x-user-id: ann"), "{}", header);
            prop_assert!(!(theirs(name) && holds(value, "forged")), "{}", header);
            prop_assert!(name != b"connection" || !holds(value, "user"), "{}", header);
        }
        Ok(true)
    });
    assert!(gone_on > 1_000, "{gone_on}");
}

/// Whatever bytes come, from a caller or the service: a step, never a panic.
#[test]
fn hostile_bytes_give_a_step() {
    let policy = read_policy(SHOP);
    let raw = || vec((vec(any::<u8>(), 0..20), vec(any::<u8>(), 0..60)), 0..6);
    let piece = prop_oneof![
        select(vec![
            "/",
            "%",
            "2f",
            "..",
            ";",
            "\\",
            "?",
            "#",
            "=",
            ",",
            "\"",
            " ",
            "Bearer ",
            "session=",
            "[::1]",
            ":",
            "200",
            "text/html",
            "orders",
            "\u{e9}",
            "{url}"
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        vec(any::<u8>(), 0..4),
    ];
    let value = || vec(piece.clone(), 0..6).prop_map(|pieces| pieces.concat());
    let name = |names: Vec<&'static str>| select(names).prop_map(|name| name.as_bytes().to_vec());
    let asked = vec![
        ":method",
        ":path",
        ":authority",
        "authorization",
        "cookie",
        "accept",
        "sec-fetch-mode",
        "content-type",
        "x-request-id",
        "connection",
        "origin",
        "access-control-request-method",
        "x-api-key",
    ];
    let told = vec![
        ":status",
        "x-auth-user",
        "x-auth-groups",
        "x-auth-tenant",
        "connection",
        "x-envoy-auth-headers-to-remove",
        "location",
        "content-type",
        "set-cookie",
    ];
    let request = (
        request(),
        vec((name(asked), value()), 0..6),
        raw(),
        vec(proptest::bool::weighted(0.9), 3),
    );
    let answer = (
        vec((name(told), value()), 0..6),
        raw(),
        any::<bool>(),
        proptest::option::of(value()),
    );
    let asked = for_all(
        4_000,
        (request, answer),
        |((base, odd, raw, keep), (told, more, fine, body))| {
            let based = base
                .into_iter()
                .enumerate()
                .filter(|(at, _)| keep.get(*at).copied().unwrap_or(true));
            let headers: Arc<Headers> = Arc::new(based.map(|(_, pair)| pair).chain(odd).chain(raw).collect());
            let status = fine.then(|| (b":status".to_vec(), b"200".to_vec()));
            let reply = Answer::Reply {
                headers: status.into_iter().chain(told).chain(more).collect(),
                body,
            };
            match on_request(&policy, headers.clone(), &Peer::default()) {
                Step::Ask(ask) => {
                    let step = on_answer(&policy, *ask, reply, &Peer::default());
                    if let Step::Forward(forward) = &step {
                        forward.edits.apply(&headers);
                    }
                    Ok(true)
                }
                _ => Ok(false),
            }
        },
    );
    assert!(asked > 100, "{asked}");
}

//! Check, build, the filter in the mock host and explain agree about any request under any policy.

#[path = "filter/gate.rs"]
#[allow(dead_code, reason = "tests/filter.rs makes more of it")]
mod gate;
#[allow(dead_code, reason = "tests/filter.rs makes more of it")]
mod host;
#[path = "explain/often.rs"]
mod often;
#[path = "explain/random.rs"]
#[allow(dead_code, reason = "tests/explain.rs makes more of it")]
mod random;

use crate::gate::{options, serving};
use crate::host::{Host, Stream};
use crate::often::each_occurs;
use crate::random::{Sent, for_all, policy, sent};
use meshgate::config::{self, yaml};
use meshgate::decide::told;
use meshgate::explain::{Asked, Decision, Local, Who, World, explain};
use meshgate::header::Headers;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

fn sorted<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Pairs {
    let mut pairs: Pairs = pairs.map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    pairs.sort();
    pairs
}

fn texts(headers: &Headers) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    headers.iter().map(|(name, value)| (text(name), text(value))).collect()
}

/// What the filter makes of it, once the service has answered.
fn served(host: &Host, sent: &Sent, asked: &Asked) -> Stream {
    let address = match sent.ip.map(|ip| ip.parse().expect("an address")) {
        Some(IpAddr::V4(ip)) => format!("{ip}:4711"),
        Some(IpAddr::V6(ip)) => format!("[{ip}]:4711"),
        None => String::new(),
    };
    host.set_property(&["source", "address"], address);
    host.set_property(&["connection", "tls_version"], "TLSv1.3");
    host.set_property(
        &["connection", "uri_san_peer_certificate"],
        sent.peer.unwrap_or_default(),
    );
    let headers = texts(&asked.headers);
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    let stream = host.request(&headers);
    for callout in host.callouts() {
        if sent.answer.timeout {
            host.answer_timed_out(callout.token);
            continue;
        }
        let status = sent.answer.status.to_string();
        let mut headers = vec![(":status", status.as_str()), ("x-envoy-upstream-service-time", "0")];
        headers.extend(&sent.answer.headers);
        host.answer(callout.token, &headers, "page");
    }
    stream
}

fn agree(world: &World, host: &Host, sent: &Sent) -> Result<&'static str, TestCaseError> {
    let (asked, who) = (sent.asked(), Who::Answered(sent.answer.replied()));
    let stream = served(host, sent, &asked);
    let decided = world
        .decide(&mut world.memory(), &asked, &who)
        .map_err(TestCaseError::fail)?;
    let explanation = explain(world, &asked, &who).map_err(TestCaseError::fail)?;
    let record = decided.record().expect("decided");
    let told = told(&world.policy, record);
    match &decided.decision {
        Decision::Forward(forward) => {
            let upstream = stream.upstream();
            prop_assert!(upstream.is_some(), "the filter answered {:?}", stream.reply());
            let upstream = upstream.expect("it went on");
            let seen = sorted(upstream.pairs().iter().map(|(n, v)| (n.as_bytes(), &v[..])));
            prop_assert_eq!(seen, sorted(forward.edits.apply(&asked.headers).into_iter()));
            let response = stream.response_headers(&[(":status", "200")]).expect("a response");
            let seen = sorted(response.pairs().iter().map(|(n, v)| (n.as_bytes(), &v[..])));
            let own = [(b":status".to_vec(), b"200".to_vec())];
            let expected = own.iter().chain(&forward.on_response.to_client).chain(&told);
            prop_assert_eq!(seen, sorted(expected.map(|(n, v)| (&n[..], &v[..]))));
        }
        Decision::Refuse(refuse) => {
            let reply = stream.reply();
            prop_assert!(reply.is_some(), "the filter let it go on");
            let reply = reply.expect("a reply");
            prop_assert_eq!(reply.status, u32::from(refuse.reply.status));
            prop_assert_eq!(&reply.body, &refuse.reply.body);
            let seen = sorted(reply.headers.pairs().iter().map(|(n, v)| (n.as_bytes(), &v[..])));
            let expected = refuse.reply.headers.iter().chain(&told);
            prop_assert_eq!(seen, sorted(expected.map(|(n, v)| (&n[..], &v[..]))));
        }
        Decision::Undecided(missing) => prop_assert!(false, "{:?}", missing),
    }
    stream.done();
    let lines = gate::decisions(host);
    let line = lines.last().expect("a line");
    prop_assert_eq!(line["outcome"].as_str(), explanation.verdict.outcome);
    prop_assert_eq!(line["cause"].as_str(), Some(explanation.verdict.cause.as_str()));
    let rule = explanation.rule.as_ref().map_or("none", |rule| rule.name.as_str());
    prop_assert_eq!(line["rule"].as_str(), Some(rule));
    prop_assert_eq!(
        line["authenticator"].as_str(),
        explanation.verdict.authenticator.as_deref()
    );
    Ok(record.outcome.word())
}

#[test]
fn check_build_filter_and_explain_agree() {
    let seen = RefCell::new(BTreeMap::<&str, u32>::new());
    for_all(120, (policy(), vec(sent(), 20)), |(text, requests)| {
        yaml::parse(&text).map_err(|faults| TestCaseError::fail(faults.to_string()))?;
        let built = yaml::to_json(&text).map_err(|faults| TestCaseError::fail(faults.to_string()))?;
        let parsed = config::parse(built.as_bytes()).map_err(|faults| TestCaseError::fail(faults.to_string()))?;
        let world = World::new(parsed.policy, Local::default()).map_err(TestCaseError::fail)?;
        let host = serving(&built, options());
        for sent in &requests {
            let outcome =
                agree(&world, &host, sent).map_err(|why| TestCaseError::fail(format!("{why}\n{sent:#?}\n{text}")))?;
            *seen.borrow_mut().entry(outcome).or_default() += 1;
        }
        Ok(())
    });
    let seen = seen.into_inner();
    each_occurs(
        &[
            "allowed",
            "anonymous",
            "public",
            "preflight",
            "bad_request",
            "unauthenticated",
            "denied",
            "forbidden",
            "no_rule",
            "closed",
            "auth_unavailable",
        ],
        &seen,
        3,
    );
}

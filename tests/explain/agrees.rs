//! The verdict is the decision's, and the reasons are those that decided.

use crate::often::each_occurs;
use crate::random::{Sent, for_all, policy, sent};
use meshgate::authn::jwt::InRust;
use meshgate::cache::{NoStore, Seed};
use meshgate::config::yaml;
use meshgate::decide::{self, Around, Step, Used};
use meshgate::explain::{Explanation, Local, Who, World, explain};
use meshgate::memory::Memory;
use meshgate::policy::Policy;
use meshgate::request::Request;
use meshgate::rule;
use meshgate::time::UnixTime;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the filter would do: the same calls, by hand.
fn decided(policy: &Arc<Policy>, sent: &Sent) -> Step {
    let asked = sent.asked();
    let mut memory = Memory::new(policy, Seed::default());
    let mut around = Around {
        connection: &asked.from,
        memory: &mut memory,
        signatures: &InRust,
        shared: &NoStore,
        now: UnixTime::from_secs(1_796_083_200),
    };
    match decide::on_request(policy, asked.headers.clone(), true, &mut around) {
        Step::Ask(ask) => {
            let answer = sent.answer.clone();
            let said = match answer.timeout {
                true => meshgate::authn::callout::Answer::Failure(meshgate::authn::callout::CalloutFailure::Timeout),
                false => {
                    let status = answer.status.to_string();
                    // The service's own.
                    let first = [(":status", status.as_str()), ("x-envoy-upstream-service-time", "0")];
                    let headers = first.into_iter().chain(answer.headers);
                    meshgate::authn::callout::Answer::Reply {
                        headers: headers.collect(),
                        body: Some(b"page".to_vec()),
                    }
                }
            };
            let heard = ask
                .call
                .on_answer(said, around.memory, around.shared, around.now.as_ms());
            ask.awaiting.on_heard(heard, Used::Asked, &mut around)
        }
        step => step,
    }
}

fn same_verdict(explanation: &Explanation, step: &Step) -> Result<(), TestCaseError> {
    let record = step.record().expect("decided");
    let verdict = &explanation.verdict;
    prop_assert_eq!(verdict.outcome, Some(record.outcome.word()));
    prop_assert_eq!(&verdict.cause, &*record.cause);
    prop_assert_eq!(verdict.subject.as_deref(), record.subject.as_deref());
    prop_assert_eq!(verdict.authenticator.as_deref(), record.authenticator.as_deref());
    let rule = explanation.rule.as_ref().map(|rule| rule.name.as_str());
    prop_assert_eq!(rule, record.rule.as_ref().map(|rule| &*rule.name));
    let shadows: Vec<_> = explanation
        .shadows
        .iter()
        .map(|s| (s.rule.as_str(), s.outcome))
        .collect();
    let decided: Vec<_> = record.shadows.iter().map(|(rule, o)| (&*rule.name, o.word())).collect();
    prop_assert_eq!(shadows, decided);
    match step {
        Step::Forward(forward) => {
            prop_assert_eq!(verdict.decision, "forward");
            let upstream = verdict.upstream.as_ref().expect("it goes on");
            let removed: Vec<_> = forward
                .edits
                .remove
                .iter()
                .map(|name| String::from_utf8_lossy(name))
                .collect();
            prop_assert_eq!(&upstream.removed, &removed);
            let sets: Vec<_> = forward
                .edits
                .sets()
                .map(|(name, _)| String::from_utf8_lossy(name))
                .collect();
            prop_assert_eq!(
                upstream.set.iter().map(|(name, _)| name).collect::<Vec<_>>(),
                sets.iter().collect::<Vec<_>>()
            );
        }
        Step::Refuse(refuse) => {
            prop_assert_eq!(verdict.decision, "refuse");
            let reply = verdict.reply.as_ref().expect("a reply");
            prop_assert_eq!(
                (reply.status, reply.grpc_status),
                (refuse.reply.status, refuse.reply.grpc_status)
            );
            prop_assert_eq!(reply.body.as_bytes(), &refuse.reply.body[..]);
        }
        Step::Ask(_) => prop_assert!(false, "still asks"),
    }
    Ok(())
}

/// An earlier rule has a reason or is a shadow that matched; the one that decides has none.
fn reasons(explanation: &Explanation, policy: &Policy, sent: &Sent) -> Result<(), TestCaseError> {
    for earlier in &explanation.earlier {
        let matched = explanation.shadows.iter().any(|shadow| shadow.rule == earlier.rule);
        prop_assert_eq!(earlier.why.is_empty(), matched, "{:?}", earlier);
        prop_assert!(!matched || earlier.shadow);
    }
    let asked = sent.asked();
    if let (Some(rule), Ok(request)) = (&explanation.rule, Request::parse(asked.headers.clone())) {
        prop_assert_eq!(explanation.earlier.len() + 1, rule.number);
        let found = rule::find(policy, &request, &asked.from).rule.expect("a rule");
        prop_assert!(found.matcher.unmet(&request, &asked.from).is_empty());
        // A rule alone takes exactly what has no reason against it.
        for rule in &policy.rules {
            let alone = rule::RuleIndex::build(std::iter::once(&rule.matcher));
            let candidate = alone.candidates(&request).next().is_some();
            prop_assert!(candidate || !rule.matcher.unmet(&request, &asked.from).is_empty());
        }
    }
    let verdict = &explanation.verdict;
    let unmet = explanation.require.iter().find(|part| part.met == Some(false));
    match (verdict.outcome, verdict.cause.as_str()) {
        (Some("allowed"), _) => prop_assert!(unmet.is_none(), "{:?}", explanation.require),
        (Some("forbidden"), cause @ ("groups" | "scopes" | "authenticators" | "peers")) => {
            prop_assert!(
                unmet.expect("a part").part.starts_with(cause),
                "{:?}",
                explanation.require
            );
        }
        (Some("forbidden"), "claims") => prop_assert!(unmet.expect("a part").part.starts_with("claim ")),
        _ => {}
    }
    let looked = &explanation.authenticators;
    if let (Some(last), Some(name)) = (looked.last(), &verdict.authenticator) {
        // Of a credential that nobody took, the authenticator that said what is wrong with it is named.
        let decides = match last.says {
            "not mine" => looked
                .iter()
                .rev()
                .find(|one| !one.detail.starts_with("none of"))
                .unwrap_or(last),
            _ => last,
        };
        prop_assert_eq!(&decides.authenticator, name, "{:?} {:?}", looked, verdict);
        let says = match verdict.outcome {
            Some("allowed" | "forbidden") => &["known", "asks"][..],
            Some("bad_request") => &["ambiguous"],
            _ => &["known", "asks", "refused", "not mine"],
        };
        prop_assert!(says.contains(&last.says), "{:?} {:?}", last, verdict);
    }
    Ok(())
}

#[test]
fn with_the_decision_about_any_request_under_any_policy() {
    let seen = RefCell::new(BTreeMap::<&str, u32>::new());
    for_all(150, (policy(), vec(sent(), 30)), |(text, requests)| {
        let parsed = yaml::parse(&text).map_err(|faults| TestCaseError::fail(faults.to_string()))?;
        let local = Local {
            now: UnixTime::from_secs(1_796_083_200),
            ..Local::default()
        };
        let world = World::new(parsed.policy, local).map_err(TestCaseError::fail)?;
        for sent in &requests {
            let step = decided(&world.policy, sent);
            let who = Who::Answered(sent.answer.replied());
            let explanation = explain(&world, &sent.asked(), &who).map_err(TestCaseError::fail)?;
            same_verdict(&explanation, &step)?;
            reasons(&explanation, &world.policy, sent)?;
            *seen
                .borrow_mut()
                .entry(explanation.verdict.outcome.expect("decided"))
                .or_default() += 1;
        }
        Ok(())
    });
    let seen = seen.into_inner();
    each_occurs(
        &[
            "allowed",
            "anonymous",
            "failed_open",
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
        5,
    );
}

/// Who is given beforehand is decided about as whoever shows it.
#[test]
fn about_a_caller_who_is_given() {
    let told = RefCell::new(0);
    for_all(100, (policy(), vec(sent(), 20)), |(text, requests)| {
        let parsed = yaml::parse(&text).map_err(|faults| TestCaseError::fail(faults.to_string()))?;
        let world = World::new(parsed.policy, Local::default()).map_err(TestCaseError::fail)?;
        for sent in &requests {
            let step = decided(&world.policy, sent);
            let record = step.record().expect("decided");
            // A partner has no groups: it is known by its subject alone.
            if record.authenticator.as_deref() != Some("partner") || record.subject.is_none() {
                continue;
            }
            let known = meshgate::explain::Known::parse("subject=acme,authenticator=partner").expect("a caller");
            let explanation = explain(&world, &sent.asked(), &Who::Known(known)).map_err(TestCaseError::fail)?;
            prop_assert_eq!(explanation.verdict.outcome, Some(record.outcome.word()));
            prop_assert_eq!(&explanation.verdict.cause, &*record.cause);
            *told.borrow_mut() += 1;
        }
        Ok(())
    });
    assert!(told.into_inner() >= 20, "hardly anybody is known");
}

//! Policies that are refused, and policies that are replaced while requests are under way.
mod live;

use crate::policies::asking;
use crate::support::*;

#[test]
fn a_faulty_policy_keeps_envoy_from_starting_and_all_faults_are_told() {
    let policy = asking(
        "timeout: 0s
on_failure: maybe",
        r#"
mode: watch
rules:
- { name: a, match: { hosts: ["*"], paths: ["/**"] }, authenticate: [acount] }
- { name: a, match: { hosts: ["*"], paths: ["no-slash"] } }"#,
    );
    let log = Gate::builder().policy(policy).expect_refused();
    for fault in [
        "authenticators.account.callout.timeout",
        "authenticators.account.callout.on_failure",
        "mode",
        "rules[0].authenticate[0]",
        "did you mean account?",
        "rules[1].name",
        "rules[1].match.paths[0]",
    ] {
        let told = log.lines().any(|l| l.contains("policy refused") && l.contains(fault));
        assert!(told, "{fault} is not told in\n{log}");
    }
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn what_is_no_policy_is_refused_with_the_reason() {
    let gate = Gate::builder().policy(asking("", "")).live().start();
    for (policy, fault) in [
        ("", "EOF"),
        ("{", "EOF"),
        ("[]", "expected"),
        ("version: 1", "expected"),
        (r#"{"version": 2, "rules": []}"#, "version 2 is not known"),
        (r#"{"version": 1}"#, "missing field rules"),
        (r#"{"version": 1, "version": 1, "rules": []}"#, "duplicate"),
        (r#"{"version": 1, "rules": []}"#, "no rules"),
    ] {
        let lines = || {
            gate.envoy
                .log()
                .lines()
                .filter(|l| l.contains("policy refused"))
                .count()
        };
        let before = lines();
        assert_eq!(gate.replace_policy(policy), Replaced::Rejected, "{policy}");
        until(format!("the fault of {policy}"), SHORT, || {
            (lines() > before).then_some(())
        });
        let log = gate.envoy.log();
        let told: Vec<&str> = log
            .lines()
            .filter(|l| l.contains("policy refused"))
            .skip(before)
            .collect();
        assert!(
            told.iter().any(|line| line.contains(fault)),
            "{policy}: {fault} is not told in {told:?}"
        );
    }
    assert_eq!(
        gate.send(&get("/")).status,
        503,
        "the first policy asks a service that names nobody"
    );
    gate.envoy.assert_no_trap();
}

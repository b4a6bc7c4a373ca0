//! `debug`: who is told how a request was decided, and what.

use crate::text::{on_answer, on_request, read_answer, read_policy, read_request};
use meshgate::decide::{Step, told};

const POLICY: &str = r#"
version: 1
debug: { header: x-meshgate-explain, require: { groups: { any_of: [ops] } } }
authenticators:
  account:
    callout:
      protocol: ext_authz_http
      cluster: auth
      timeout: 1s
      credential: ["header:authorization"]
      principal: { subject: x-auth-user, groups: x-auth-groups }
      on_failure: deny
rules:
- { name: public, match: { hosts: [shop.example.com], paths: [/public] }, authenticate: none }
- { name: admin, match: { paths: [/admin] }, authenticate: [account], require: { groups: { any_of: [root] } } }
- { name: orders, authenticate: [account], anonymous: allow_missing }"#;

#[track_caller]
fn check(policy: &str, request: &str, answer: Option<&str>, expected: Option<&str>) {
    let (policy, (headers, connection)) = (read_policy(policy), read_request(request));
    let step = match (on_request(&policy, headers, &connection), answer) {
        (Step::Ask(ask), Some(answer)) => on_answer(&policy, *ask, read_answer(answer), &connection),
        (step, _) => step,
    };
    let field = told(&policy, step.record().expect("decided"));
    let text = field.map(|(name, value)| {
        assert_eq!(name, b"x-meshgate-explain");
        String::from_utf8(value).expect("text")
    });
    assert_eq!(text.as_deref(), expected, "{request} {answer:?}");
}

const ANN: &str = " | authorization: a";

#[test]
fn those_are_told_whom_the_policy_names() {
    let ops = Some("200 | x-auth-user: ann | x-auth-groups: ops");
    check(
        POLICY,
        &["GET /orders", ANN].concat(),
        ops,
        Some("rule=orders; outcome=allowed; authenticator=account; answer=asked"),
    );
    check(
        POLICY,
        &["GET /admin", ANN].concat(),
        ops,
        Some("rule=admin; outcome=forbidden; cause=groups; authenticator=account; answer=asked"),
    );
}

#[test]
fn nobody_else_is_told() {
    let staff = Some("200 | x-auth-user: ann | x-auth-groups: staff");
    check(POLICY, &["GET /orders", ANN].concat(), staff, None);
    check(POLICY, &["GET /admin", ANN].concat(), staff, None);
    check(POLICY, &["GET /orders", ANN].concat(), Some("401"), None);
    check(POLICY, &["GET /orders", ANN].concat(), Some("timeout"), None);
    for request in ["GET /orders", "GET /public", "GET /a//b", "GET /admin"] {
        check(POLICY, request, None, None);
    }
}

#[test]
fn a_policy_that_observes_changes_no_response() {
    let observing = POLICY.replace("version: 1", "version: 1\nmode: observe");
    let ops = Some("200 | x-auth-user: ann | x-auth-groups: ops");
    check(&observing, &["GET /orders", ANN].concat(), ops, None);
}

#[test]
fn its_header_is_nobody_elses_word() {
    let (policy, (headers, connection)) = (
        read_policy(POLICY),
        read_request("GET /public | X-Meshgate_Explain: a | x-meshgate-explain: b"),
    );
    let Step::Forward(forward) = on_request(&policy, headers, &connection) else {
        panic!("public");
    };
    assert_eq!(forward.edits.remove.len(), 2);
    assert!(policy.identity.contains(b"x-meshgate-explain"), "nor the service's");
}

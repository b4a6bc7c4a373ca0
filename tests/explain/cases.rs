//! `meshgate test`: cases, what they say, and how they are told.

use crate::command::{TempFile, meshgate};
use meshgate::config;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn demo() -> String {
    format!("{ROOT}/envoy/policy.yaml")
}

#[test]
fn those_of_the_demo_hold_and_meet_every_rule() {
    let cases = format!("{ROOT}/envoy/cases.yaml");
    let (status, output, errors) = meshgate(&["test", &cases, "--every-rule"]);
    assert_eq!((status, errors.as_str()), (0, ""), "{output}");
    assert!(output.ends_with(": 7 of 7 rules met\n15 cases, 0 failed\n"), "{output}");
}

#[test]
fn those_of_the_example_hold_in_production_and_meet_every_rule() {
    let cases = format!("{ROOT}/examples/policy/cases.yaml");
    let (status, output, errors) = meshgate(&["test", &cases, "--env", "prod", "--every-rule"]);
    assert_eq!((status, errors.as_str()), (0, ""), "{output}");
    let expected = format!("{ROOT}/examples/policy: 12 of 12 rules met\n21 cases, 0 failed\n");
    assert_eq!(output, expected);
}

const CASES: &str = "\
cases:
- name: holds & <is \"told\">
  request: GET http://localhost/orders/1
  as: { subject: ann }
  expect: { outcome: allowed, upstream: { x-user-id: ann, x-user-groups: null } }
- name: fails
  request: POST http://localhost/admin/1
  headers: { authorization: Bearer s3cret }
  as: { subject: ann, groups: [sales] }
  expect: { outcome: allowed, rule: orders, status: 200, cause: x, authenticator: b, subject: eve, upstream: { a: b } }
- name: asks
  request: GET http://localhost/orders/1
  headers: { authorization: Bearer s3cret, x-twice: a }
  expect: { outcome: denied, upstream: { authorization: Bearer s3cret }, response: { a: b } }
- name: passes
  request: GET http://localhost/public/1
  headers: { authorization: Bearer s3cret, x-note: a }
  expect: { status: 200, upstream: { authorization: Bearer s3cret, x-note: b, x-gone: c }, response: { set-cookie: a=b } }
";

#[test]
fn what_does_not_hold_is_told_and_shows_no_credential() {
    let cases = TempFile::new("cases.yaml", CASES);
    let junit = TempFile::new("junit.xml", "");
    let arguments = [
        "test",
        cases.path(),
        "--policy",
        &demo(),
        "--junit",
        junit.path(),
        "--all",
    ];
    let (status, output, errors) = meshgate(&arguments);
    let expected = format!(
        r#"ok    holds & <is "told">
FAIL  fails ({0}:6)
      outcome is forbidden (groups), expected allowed
      rule is "admin", expected "orders"
      cause is "groups", expected "x"
      authenticator is "account", expected "b"
      subject is "ann", expected "eve"
      status is 403, expected 200
      upstream sees nothing, expected a
FAIL  asks ({0}:11)
      outcome is undecided, for what the service of account answers is not given, expected denied
      upstream sees nothing, expected authorization
      response a is absent, expected "b"
FAIL  passes ({0}:15)
      status is the upstream's, expected 200
      upstream authorization is absent, expected "******"
      upstream x-note is "a", expected "b"
      upstream x-gone is absent, expected "c"
      response set-cookie is "mg_unit=******; Path=/; Max-Age=7776000; Secure; HttpOnly; SameSite=Lax", expected "a=******"
{1}: 3 of 7 rules met, no case meets sign-in, health, closed, catalog
4 cases, 3 failed
"#,
        cases.path(),
        demo()
    );
    assert_eq!((status, output.as_str(), errors.as_str()), (1, expected.as_str(), ""));
    let told = std::fs::read_to_string(junit.path()).expect("the file");
    for part in [
        "<testsuites name=\"meshgate\" tests=\"4\" failures=\"3\">",
        "<testcase name=\"holds &amp; &lt;is &quot;told&quot;&gt;\"",
        "<failure message=\"outcome is forbidden (groups), expected allowed\">",
    ] {
        assert!(told.contains(part), "{part} is not in\n{told}");
    }
    assert!(!told.contains("s3cret") && told.ends_with("</testsuites>\n"), "{told}");
}

const COLOURS: &str = "\
version: 1
rules: [{ name: all, match: { hosts: [a.test], paths: [\"/**\"] }, authenticate: none, experiments: [colour, orders] }]
experiments:
  colour: { unit: [client_ip], header: x-colour, coverage: 0%, variants: [{ name: red, weight: 50% }, { name: blue, weight: 50% }] }
  orders: { unit: [\"cookie:c\"], bucket_header: x-bucket }
";

/// A name that the policy does not have is told, whatever the caller gets.
#[test]
fn experiments_and_variants_are_known() {
    let policy = TempFile::new("colours.yaml", COLOURS);
    let expect = |variant: &str| {
        let cases =
            format!("cases: [{{ name: a, request: 'GET https://a.test/', expect: {{ variant: {{ {variant} }} }} }}]");
        let cases = TempFile::new("variants.yaml", &cases);
        let (status, output, errors) = meshgate(&["test", cases.path(), "--policy", policy.path()]);
        assert_eq!(errors, "");
        let wrong: Vec<String> = output
            .lines()
            .filter_map(|line| Some(line.strip_prefix("      ")?.to_owned()))
            .collect();
        assert_eq!(status, i32::from(!wrong.is_empty()), "{output}");
        wrong.join("; ")
    };
    assert_eq!(expect("colour: none, orders: none"), "");
    assert_eq!(
        expect("color: none, sizes: large"),
        "no experiment is named \"color\": did you mean colour?; no experiment is named \"sizes\""
    );
    assert_eq!(
        expect("colour: bleu"),
        "no variant of colour is named \"bleu\": did you mean blue?"
    );
    assert_eq!(expect("colour: red"), "variant of colour is \"none\", expected \"red\"");
    assert_eq!(
        expect("orders: \"77\""),
        "variant of orders is \"none\", expected \"77\""
    );
    assert_eq!(
        expect("orders: red"),
        "orders has a bucket, 0 to 9999 or none, and not \"red\""
    );
}

#[test]
fn rules_without_a_case_fail_only_where_that_is_asked_for() {
    let one = CASES.split("- name: fails").next().expect("the first");
    let cases = TempFile::new("one.yaml", one);
    let arguments = ["test", cases.path(), "--policy", &demo()];
    assert_eq!(meshgate(&arguments).0, 0);
    let [test, file, option, policy] = arguments;
    assert_eq!(meshgate(&[test, file, option, policy, "--every-rule"]).0, 1);
}

#[test]
fn files_of_two_policies_and_none() {
    let cases = TempFile::new("none.yaml", CASES);
    let (status, _, errors) = meshgate(&["test", cases.path()]);
    assert_eq!(status, 2, "{errors}");
    assert!(errors.contains("names no policy"), "{errors}");
    assert_eq!(meshgate(&["test"]).0, 2);
    assert_eq!(meshgate(&["test", "nowhere.yaml"]).0, 2);
}

/// All faults of a file, each with its place.
#[test]
fn faults() {
    let text = "\
policy: 1
at: soon
callers: { ops: { subject: '' } }
cases:
- { name: a, request: /orders, expect: {} }
- { name: b, request: http://a/, as: { subject: x }, auth_reply: { status: 20 }, expect: { outcome: alowed } }
- { request: http://a/, headers: { ':path': a, x: 1 }, client_ip: a, body: -1, expect: { variant: { checkout: 1 }, upstream: { a: 1 } } }
- { name: d, request: http://a/, auth_reply: { failure: late }, expects: {} }
- { name: e, request: http://a/, as: { subject: x }, auth_reply: { status: 200 }, expect: { rule: a } }
";
    let faults = config::cases(text).expect_err("faults");
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let expected = [
        "policy: expected text, found the number 1: write \"1\"",
        "at: \"soon\" is no time: write 2027-01-01T00:00:00Z, with an offset",
        "callers.ops.subject: empty subject: leave as out for nobody",
        "cases[0].request: \"/orders\" is no request: write 'GET https://shop.example.com/orders/1'",
        "cases[0].expect: nothing is expected: write { outcome: allowed }",
        "cases[1].auth_reply.status: expected a whole number from 100 to 599, found the number 20",
        "cases[1].expect.outcome: unknown word \"alowed\": write allowed, anonymous, …",
        "cases[2]: missing field name: what the case shows",
        "cases[2].headers[\":path\"]: unexpected character ':' in header name \":path\"",
        "cases[2].headers.x: expected text, found the number 1: write \"1\"",
        "cases[2].client_ip: \"a\" is no address",
        "cases[2].body: expected a whole number from 0 to 1099511627776, found the number -1",
        "cases[2].expect.variant.checkout: expected text, found the number 1: write \"1\"",
        "cases[2].expect.upstream.a: expected text, found the number 1: write \"1\"",
        "cases[3] (d): unknown field \"expects\": did you mean expect?",
        "cases[3] (d): missing field expect: as { outcome: allowed }",
        "cases[3].auth_reply.failure: unknown failure \"late\": unknown_cluster, no_host, connect_failure, timeout, reset, bad_response, garbled",
        "cases[4] (e): as and auth_reply: the caller is given, or the service is asked",
    ];
    for (told, expected) in told.iter().zip(expected) {
        let same = match expected.strip_suffix('…') {
            Some(start) => told.starts_with(start),
            None => told == expected,
        };
        assert!(same, "{told}\n!= {expected}");
    }
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    assert!(config::cases("cases: []").is_err() && config::cases("").is_err());
}

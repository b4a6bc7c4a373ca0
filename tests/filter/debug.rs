//! Who is told in a response header how the request was decided.

use crate::gate::*;
use crate::host::Host;

const OPS: &[(&str, &str)] = &[(":status", "200"), ("x-auth-user", "u7"), ("x-auth-groups", "ops")];
const STAFF: &[(&str, &str)] = &[(":status", "200"), ("x-auth-user", "u8"), ("x-auth-groups", "staff")];
const TOLD: &str = "x-meshgate-explain";

fn host() -> Host {
    let mut policy: serde_json::Value = serde_json::from_str(POLICY).expect("the policy");
    policy["debug"] = serde_json::json!({ "header": TOLD, "require": { "groups": { "any_of": ["ops"] } } });
    serving(&policy.to_string(), options())
}

/// What the client reads under the name, every value.
fn read(host: &Host, path: &str, answered: &[(&str, &str)], upstream: &[(&str, &str)]) -> Vec<String> {
    let stream = host.request(&headers(path, &[CREDENTIAL, ("x-meshgate-explain", "forged")]));
    if !answered.is_empty() {
        answer(host, answered);
    }
    if let Some(upstream) = stream.upstream() {
        assert_eq!(upstream.get(TOLD), None, "the caller's own reached the upstream");
    }
    let client = match stream.reply() {
        Some(reply) => reply.headers,
        None => {
            let mut all = vec![(":status", "200")];
            all.extend(upstream);
            stream.response_headers(&all).expect("a response")
        }
    };
    let pairs = client.pairs().iter().filter(|(name, _)| name == TOLD);
    pairs
        .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        .collect()
}

#[test]
fn an_operator_reads_rule_authenticator_and_whose_word_it_was() {
    let host = host();
    let said = "rule=gate; outcome=allowed; authenticator=account; answer=asked";
    assert_eq!(read(&host, "/gate/a", OPS, &[]), [said]);
    assert_eq!(
        read(&host, "/gate/a", OPS, &[(TOLD, "the upstream's own")]),
        [said],
        "in its place"
    );
}

#[test]
fn nobody_else_costs_a_call_or_reads_anything() {
    let host = host();
    assert_eq!(read(&host, "/gate/a", STAFF, &[]), [""; 0]);
    assert_eq!(read(&host, "/public/a", &[], &[]), [""; 0]);
    assert_eq!(read(&host, "/gate/a", NO, &[]), [""; 0]);
    assert_eq!(host.count("replace_header_map_value response_headers"), 0);
}

#[test]
fn an_operator_reads_why_he_was_refused() {
    let mut policy: serde_json::Value = serde_json::from_str(POLICY).expect("the policy");
    policy["debug"] = serde_json::json!({ "header": TOLD, "require": { "groups": { "any_of": ["ops"] } } });
    policy["rules"] = serde_json::json!([
        { "name": "root", "authenticate": ["account"], "require": { "groups": { "any_of": ["root"] } } }
    ]);
    let mut used = std::collections::BTreeMap::new();
    used.insert("account", policy["authenticators"]["account"].clone());
    policy["authenticators"] = serde_json::json!(used);
    let host = serving(&policy.to_string(), options());
    let said = "rule=root; outcome=forbidden; cause=groups; authenticator=account; answer=asked";
    assert_eq!(read(&host, "/a", OPS, &[]), [said]);
}

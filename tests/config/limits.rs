//! Large, deep and senseless policies end in an answer, and soon.

use super::{BASE, faults};
use meshgate::config::{self, MAX_BYTES, yaml};
use proptest::prelude::*;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Unoptimised code on a busy machine. Optimised and alone, ten thousand rules take 0.3 s.
const SOON: Duration = Duration::from_secs(30);

/// Rules as teams write them: a service each, some with methods, captures and requirements.
fn policy(rules: usize) -> String {
    let mut text = String::from(
        r#"{"version":1,"authenticators":{"account":{"callout":{"protocol":"ext_authz_http","service":"auth:80","timeout":"1s","credential":["header:authorization"],"principal":{"subject":"x-auth-user"},"on_failure":"deny"}}},"identity":{"headers":{"x-user-id":"{subject}","x-user-groups":"{groups}","x-tenant":"{claims.tenant}"}},"defaults":{"authenticate":["account"]},"rules":["#,
    );
    for at in 0..rules {
        let comma = if at == 0 { "" } else { "," };
        write!(
            text,
            r#"{comma}{{"name":"team-{team}/service-{at}","match":{{"hosts":["service-{at}.example.com","service-{at}.internal"],"paths":["/api/v1/orders-{at}/**","/t/{{tenant}}/orders-{at}/**"],"methods":["GET","POST"]}},"require":{{"groups":{{"any_of":["ops","team-{team}"]}},"scopes":{{"all_of":["orders.read"]}}}},"anonymous":"deny"}}"#,
            team = at % 100
        )
        .expect("text");
    }
    text + "]}"
}

#[track_caller]
fn soon<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = run();
    let taken = start.elapsed();
    println!("{what}: {taken:?}");
    assert!(taken < SOON, "{what}: {taken:?}");
    result
}

#[test]
fn ten_thousand_rules() {
    let text = policy(10_000);
    println!("10,000 rules: {} bytes", text.len());
    let parsed = soon("10,000 rules", || config::parse(text.as_bytes())).expect("a policy");
    assert_eq!(parsed.policy.rules.len(), 10_000);
    let json = soon("10,000 rules as YAML", || yaml::to_json(&text)).expect("JSON");
    assert_eq!(json, text);
}

#[test]
fn one_more() {
    assert_eq!(
        faults(config::parse(policy(10_001).as_bytes())),
        ["rules: 10001 entries, at most 10000: every worker of Envoy waits while it parses them"]
    );
}

/// On one host, each prefix of the next: what comparing rules costs most.
#[test]
fn ten_thousand_rules_of_one_host() {
    let mut text = String::from(r#"{"version":1,"rules":["#);
    for at in (0..10_000).rev() {
        let comma = if at == 9_999 { "" } else { "," };
        write!(
            text,
            r#"{comma}{{"name":"r{at}","match":{{"hosts":["*"],"paths":["/a/*/{at}/**","/*/b{at}*/c"]}},"refuse":404}}"#
        )
        .expect("text");
    }
    text += "]}";
    let parsed = soon("10,000 rules of one host", || config::parse(text.as_bytes()));
    assert_eq!(parsed.expect("a policy").policy.rules.len(), 10_000);
}

/// Two hundred thousand globs in one place: each could be compared with each.
#[test]
fn globs_side_by_side() {
    let mut text = String::from(r#"{"version":1,"rules":["#);
    for rule in 0..1_000 {
        let comma = if rule == 0 { "" } else { "," };
        let paths: Vec<String> = (0..200).map(|at| format!("\"/a{rule}b{at}*\"")).collect();
        let paths = paths.join(",");
        write!(
            text,
            r#"{comma}{{"name":"r{rule}","match":{{"paths":[{paths}]}},"refuse":404}}"#
        )
        .expect("text");
    }
    text += "]}";
    let parsed = soon("200,000 globs", || config::parse(text.as_bytes()));
    assert_eq!(parsed.expect("a policy").policy.rules.len(), 1_000);
}

#[test]
fn bytes() {
    let text = " ".repeat(MAX_BYTES + 1);
    let expected = ["a policy of 16777217 bytes, at most 16777216: every worker parses it"];
    assert_eq!(faults(config::parse(text.as_bytes())), expected);
    assert_eq!(faults(yaml::parse(&text)), expected);
    let most = format!("{BASE}#{}\n", "x".repeat(MAX_BYTES - BASE.len() - 2));
    soon("16 MiB of comment", || yaml::parse(&most)).expect("a policy");
}

#[test]
fn depth() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(
        faults(config::parse(nested(64).as_bytes())),
        ["expected an object, found a list"]
    );
    assert_eq!(faults(yaml::parse(&nested(64))), ["expected an object, found a list"]);
    assert_eq!(
        faults(config::parse(nested(65).as_bytes())),
        ["not a JSON document: nested deeper than 64 levels at line 1 column 66"]
    );
    assert_eq!(faults(yaml::parse(&nested(65))), ["nested deeper than 64 levels"]);
}

/// A megabyte of each ends in faults.
#[test]
fn a_megabyte_of_nonsense() {
    let unit = |unit: &str| unit.repeat((1 << 20) / unit.len());
    for text in [
        unit("["),
        unit("{\"a\":"),
        unit("- "),
        unit("a:\n"),
        unit("{"),
        unit("? "),
        unit("\""),
        unit("x"),
        unit("- a\n"),
        unit("'a': [b, c]\n"),
        unit("&a "),
        unit("!a "),
        unit("| "),
        unit("a: |\n b\n"),
        unit("%\n"),
        unit("---\n"),
        unit("\t"),
        unit("a: b: "),
        unit("[a, "),
        unit("#"),
        unit("\0"),
    ] {
        let shown = text.get(..10).unwrap_or_default().to_owned();
        soon(&format!("JSON {shown:?}"), || config::parse(text.as_bytes())).expect_err("a faulty policy");
        soon(&format!("YAML {shown:?}"), || yaml::parse(&text)).expect_err("a faulty policy");
    }
}

/// Each of them is wrong, and each is compared with what could have been meant.
#[test]
fn many_faults_are_counted() {
    let unknown: Vec<String> = (0..100_000).map(|at| format!("\"rulez{at}\":1")).collect();
    let text = format!("{{{}}}", unknown.join(","));
    let found = soon("100,000 unknown fields", || faults(config::parse(text.as_bytes())));
    assert_eq!(found.len(), 1001);
    assert_eq!(found.last().map(String::as_str), Some("and 99002 more"));
}

#[test]
fn lists_that_every_request_meets_are_short() {
    let many = |count: usize, item: &dyn Fn(usize) -> String| (0..count).map(item).collect::<Vec<_>>().join(", ");
    let names = many(257, &|at| format!("x-a{at}: \"{{subject}}\""));
    let places = many(17, &|at| format!("\"header:x-a{at}\""));
    let patterns = many(65, &|at| format!("x-a{at}"));
    let text = BASE
        .replace("x-user-id: \"{subject}\"", &names)
        .replace(
            "[\"header:authorization\", \"cookie:session*\"]",
            &format!("[{places}]"),
        )
        .replace("to_client: [set-cookie]", &format!("to_client: [{patterns}]"));
    assert_eq!(
        faults(yaml::parse(&text)),
        [
            "260 identity headers, at most 256: each is removed from every request",
            "authenticators.account.callout.credential: 17 entries, at most 16: each is looked for in every request",
            "authenticators.account.callout.accept.to_client: 65 entries, at most 64: each is compared with every header of a reply",
        ]
    );
}

/// Each has to be compared with all before it: quadratic, and a thousand of them are plenty.
#[test]
fn rules_of_one_path_and_many_conditions() {
    let rules: Vec<String> = (0..1_000)
        .map(|at| format!(r#"{{"name":"r{at}","match":{{"hosts":["a"],"paths":["/a"],"headers":[{{"name":"x-a","exact":"{at}"}}]}},"refuse":404}}"#))
        .collect();
    let text = format!(r#"{{"version":1,"rules":[{}]}}"#, rules.join(","));
    soon("1,000 rules of one path", || config::parse(text.as_bytes())).expect("a policy");
}

#[test]
fn pairs_of_host_and_path() {
    let list = |item: &dyn Fn(usize) -> String, count| (0..count).map(item).collect::<Vec<_>>().join(",");
    let hosts = |count| list(&|at| format!("\"h{at}\""), count);
    let paths = |count| list(&|at| format!("\"/p{at}*x\""), count);
    let rule = |at: usize, hosts: String, paths: String| {
        format!(
            r#"{{"name":"r{at}","match":{{"hosts":[{hosts}],"paths":[{paths}],"headers":[{{"name":"x-a","exact":"{at}"}}]}},"refuse":404}}"#
        )
    };
    let policy = |rules: Vec<String>| format!(r#"{{"version":1,"rules":[{}]}}"#, rules.join(","));
    let wide = |count| policy((0..count).map(|at| rule(at, hosts(256), paths(256))).collect());
    soon("196,608 pairs", || config::parse(wide(3).as_bytes())).expect("a policy");
    let message = "rules: 262144 pairs of host and path, at most 250000: each is an entry of the index";
    assert_eq!(faults(config::parse(wide(4).as_bytes())), [message]);
    let message = "rules[0].match.paths: 257 entries, at most 256: a request is compared with each";
    let long = policy(vec![rule(0, hosts(1), paths(257))]);
    assert_eq!(faults(config::parse(long.as_bytes())), [message]);
}

proptest! {
    #[test]
    fn random_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(config::parse(&bytes).is_err());
    }

    /// One byte of a fine policy is another: a policy or faults, never a panic.
    #[test]
    fn a_changed_byte(at in 0..BASE.len(), byte in any::<u8>()) {
        let mut bytes = BASE.as_bytes().to_vec();
        bytes[at] = byte;
        if let Ok(text) = String::from_utf8(bytes) {
            drop(yaml::parse(&text));
        }
    }

    #[test]
    fn a_changed_byte_of_json(at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = yaml::to_json(BASE).expect("JSON").into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        drop(config::parse(&bytes));
    }
}

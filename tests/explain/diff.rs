//! `meshgate diff`: what another policy changes.

use crate::command::{TempFile, meshgate};
use meshgate::config::yaml;
use meshgate::explain::diff::{Difference, Side, difference, table};
use meshgate::explain::{Local, World};

const BASE: &str = r#"
version: 1
listener: { verified_peers: true }
authenticators:
  account: { callout: { protocol: ext_authz_http, cluster: auth, timeout: 1s, credential: ["header:authorization"], principal: { subject: x-auth-user, groups: x-auth-groups }, on_failure: deny } }
  other: { callout: { protocol: ext_authz_http, cluster: other, timeout: 1s, credential: ["header:authorization"], principal: { subject: x-auth-user }, on_failure: deny } }
identity: { headers: { x-user-id: "{subject}" } }
rules:
- { name: closed, match: { paths: ["/internal/**"] }, refuse: 404 }
- { name: orders, match: { hosts: [a.example.com], paths: ["/orders/**"], methods: [GET], headers: [{ name: x-beta, exact: "1" }], not: { paths: ["/orders/old/**"] } }, authenticate: [account], require: { groups: { any_of: [ops] } } }
- { name: rest, match: { hosts: ["*.example.com"] }, authenticate: [account] }
- { name: elsewhere, match: { hosts: [b.test] }, authenticate: [other], mode: shadow }
"#;

fn between(old: &str, new: &str) -> Difference {
    let read = |text: &str| {
        let parsed = yaml::parse(text).unwrap_or_else(|faults| panic!("{faults}\n{text}"));
        (
            World::new(parsed.policy, Local::default()).expect("a world"),
            yaml::to_json(text).expect("JSON"),
        )
    };
    let ((old, old_json), (new, new_json)) = (read(old), read(new));
    let side = |world, json| Side { world, json };
    difference(&side(&old, &old_json), &side(&new, &new_json), &[])
}

/// Some class goes from one end to the other; else what there is.
fn finds(from: &str, to: &str, old: &str, new: &str) -> Option<String> {
    assert!(BASE.contains(from), "{from}");
    let difference = between(BASE, &BASE.replacen(from, to, 1));
    let found = difference
        .classes
        .iter()
        .any(|class| class.old.starts_with(old) && class.new.starts_with(new));
    (!found || difference.texts.is_empty()).then(|| format!("no {old} -> {new} in\n{}", table(&difference)))
}

#[test]
fn nothing_where_nothing_changed() {
    let difference = between(BASE, BASE);
    assert!(
        difference.texts.is_empty() && difference.classes.is_empty(),
        "{}",
        table(&difference)
    );
    assert!(difference.tried > 80 && !difference.cut, "{}", difference.tried);
    // Written otherwise, and the same.
    let difference = between(BASE, &BASE.replace("timeout: 1s", "timeout: 1000ms"));
    assert!(
        !difference.texts.is_empty() && difference.classes.is_empty(),
        "{}",
        table(&difference)
    );
}

#[test]
fn each_part_of_a_rule_has_requests_at_its_edge() {
    let rows = [
        (
            "\"/internal/**\"",
            "/internal",
            "closed: closed",
            "rest: unauthenticated",
        ),
        (
            "\"/internal/**\"",
            "\"/internal/x1/**\"",
            "closed: closed",
            "rest: unauthenticated",
        ),
        (
            "refuse: 404",
            "refuse: 410",
            "closed: closed (refuse), 404",
            "closed: closed (refuse), 410",
        ),
        (
            "hosts: [a.example.com]",
            "hosts: [b.example.com]",
            "orders: forbidden",
            "rest: allowed",
        ),
        (
            "methods: [GET]",
            "methods: [GET, POST]",
            "rest: allowed",
            "orders: forbidden",
        ),
        ("exact: \"1\"", "prefix: \"1\"", "rest: allowed", "orders: forbidden"),
        (
            "not: { paths: [\"/orders/old/**\"] }",
            "not: { paths: [\"/orders/old\"] }",
            "rest: allowed",
            "orders: forbidden",
        ),
        (
            "any_of: [ops]",
            "any_of: [sales, ops]",
            "orders: forbidden (groups)",
            "orders: allowed",
        ),
        (
            "any_of: [ops]",
            "any_of: [ops, sales]",
            "orders: forbidden (groups)",
            "orders: allowed",
        ),
        (
            "any_of: [ops]",
            "any_of: [ops], none_of: [out]",
            "orders: allowed",
            "orders: forbidden (groups)",
        ),
        (
            ", require: { groups: { any_of: [ops] } }",
            "",
            "orders: forbidden (groups)",
            "orders: allowed",
        ),
        (
            "\"*.example.com\"",
            "\"*.b.example.com\"",
            "rest: unauthenticated",
            "no rule: no_rule",
        ),
        (
            "{ hosts: [\"*.example.com\"] }, authenticate: [account]",
            "{ hosts: [\"*.example.com\"] }, authenticate: [account], anonymous: allow_missing",
            "rest: unauthenticated",
            "rest: anonymous",
        ),
        (
            "{ hosts: [\"*.example.com\"] }, authenticate: [account]",
            "{ hosts: [\"*.example.com\"] }, authenticate: [account], cors: { preflight: pass }",
            "rest: forbidden (preflight)",
            "rest: preflight",
        ),
        (
            "{ hosts: [\"*.example.com\"] }, authenticate: [account]",
            "{ hosts: [\"*.example.com\"] }, authenticate: [account], paths_raw: [semicolon]",
            "rest: bad_request",
            "rest: unauthenticated",
        ),
        (
            "authenticate: [other], mode: shadow",
            "authenticate: [other]",
            "no rule: no_rule",
            "elsewhere: unauthenticated",
        ),
        (
            "{ hosts: [\"*.example.com\"] }, authenticate: [account]",
            "{ hosts: [\"*.example.com\"] }, authenticate: [other]",
            "rest: allowed, account",
            "rest: allowed, other",
        ),
        (
            "x-user-id: \"{subject}\"",
            "x-user-id: \"u:{subject}\"",
            "rest: allowed, account",
            "rest: allowed, account",
        ),
    ];
    let missing: Vec<String> = rows
        .into_iter()
        .filter_map(|(from, to, old, new)| finds(from, to, old, new))
        .collect();
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn texts_name_rules_and_their_order() {
    let new = BASE
        .replace("name: orders", "name: sales")
        .replace("timeout: 1s, credential", "timeout: 2s, credential");
    let lines: Vec<&str> = BASE.lines().collect();
    let difference = between(BASE, &new);
    let paths: Vec<&str> = difference.texts.iter().map(|change| change.path.as_str()).collect();
    let expected = [
        "authenticators.account.callout.timeout",
        "authenticators.other.callout.timeout",
        "rules.orders",
        "rules.sales",
    ];
    assert_eq!(paths, expected);
    let swapped = BASE
        .replace(lines[8], "")
        .replace("- { name: elsewhere", &format!("{}\n- {{ name: elsewhere", lines[8]));
    let difference = between(BASE, &swapped);
    assert_eq!(difference.texts[0].path, "rules (order)");
    assert_eq!(
        difference.texts[0].old.as_deref(),
        Some("closed, orders, rest, elsewhere")
    );
    assert!(!difference.classes.is_empty());
}

#[test]
fn the_command_says_by_its_status_whether_anything_changes() {
    let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/envoy/policy.yaml");
    let cases = concat!(env!("CARGO_MANIFEST_DIR"), "/envoy/cases.yaml");
    let text = std::fs::read_to_string(policy).expect("the policy");
    let other = TempFile::new("other.yaml", &text.replace("refuse: 404", "refuse: 410"));
    let (status, output, errors) = meshgate(&["diff", policy, policy, "--cases", cases]);
    assert_eq!((status, errors.as_str()), (0, ""), "{output}");
    let (status, output, _) = meshgate(&["diff", policy, other.path(), "--cases", cases]);
    assert_eq!(status, 3, "{output}");
    for part in [
        "~ rules.closed.refuse: 404 -> 410",
        "of a case",
        "GET http://anywhere.example.com/internal/metrics",
    ] {
        assert!(output.contains(part), "{part} is not in\n{output}");
    }
    let (status, output, _) = meshgate(&["diff", policy, other.path(), "--json"]);
    assert_eq!(status, 3);
    assert!(
        output.contains("\"requests\": ") && output.contains("\"texts\": ["),
        "{output}"
    );
}

/// Raising a weight of ten percent to twenty moves a tenth of all, and no one else.
#[test]
fn the_share_of_callers_that_changes_variant() {
    let experiments = "experiments:\n  colour: { unit: [subject], header: x-colour, variants: [{ name: red, weight: 90% }, { name: blue, weight: 10% }] }\nrules:\n";
    let old = BASE
        .replace("rules:\n", experiments)
        .replace("name: rest,", "name: rest, experiments: [colour],");
    let new = old
        .replace("weight: 90%", "weight: 80%")
        .replace("weight: 10%", "weight: 20%");
    let difference = between(&old, &new);
    let [colour] = &difference.callers[..] else {
        panic!("{:?}", difference.callers);
    };
    assert_eq!((colour.experiment.as_str(), colour.units), ("colour", 10_000));
    assert!((900..1_100).contains(&colour.moved), "{colour:?}");
    assert_eq!(colour.moves.len(), 1);
    let text = table(&difference);
    assert!(
        text.contains("% of callers change their variant: red -> blue "),
        "{text}"
    );
    let renamed = old.replace("header: x-colour", "header: x-color");
    assert!(between(&old, &renamed).callers.is_empty());
    assert!(between(&old, &old).callers.is_empty());
}

/// A value that stands in no file, as a revision: whoever can build such a policy can also try it.
#[test]
fn values_are_given_to_folders_alone() {
    use crate::command::meshgate;
    let root = env!("CARGO_MANIFEST_DIR");
    let folder = std::env::temp_dir().join(format!("meshgate-set-{}", std::process::id()));
    for (name, text) in [
        (
            "platform.yaml",
            "version: 1\nrevision: \"${git_sha}\"\nrules:\n- { name: a, match: { hosts: [\"*\"], paths: [/a] }, refuse: 404 }\n",
        ),
        ("env/prod.yaml", "{}\n"),
        (
            "cases.yaml",
            "policy: .\ncases:\n- { name: a, request: GET http://a/a, expect: { outcome: closed } }\n",
        ),
    ] {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let policy = folder.to_str().unwrap();
    let cases = format!("{policy}/cases.yaml");
    let demo = format!("{root}/envoy/policy.yaml");
    let set = ["--env", "prod", "--set", "git_sha=1"];
    let (status, output, errors) = meshgate(&[&["test", &cases][..], &set].concat());
    assert_eq!((status, errors.as_str()), (0, ""), "{output}");
    let (status, _, errors) = meshgate(&[&["diff", &demo, policy][..], &set].concat());
    assert_eq!((status, errors.as_str()), (3, ""));
    std::fs::remove_dir_all(&folder).unwrap();
}

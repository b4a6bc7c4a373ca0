//! The table of faults.

use super::{BASE, faults};
use meshgate::config::{self, yaml};
use serde_json::Value;

const TABLE: &str = include_str!("faults.txt");

/// Each case is red by its own change: without it nothing is wrong.
#[test]
fn the_base_is_fine() {
    let parsed = yaml::parse(BASE).expect("a policy");
    assert_eq!(parsed.warnings, []);
}

#[test]
fn table() {
    let mut cases = 0;
    for case in TABLE.split("\n\n") {
        let lines = || case.lines().filter(|line| !line.starts_with('#'));
        let expected: Vec<&str> = lines().filter_map(|line| line.strip_prefix("> ")).collect();
        let changes: Vec<&str> = lines().filter(|line| !line.starts_with('>')).collect();
        if changes.is_empty() {
            continue;
        }
        let mut policy = base();
        changes.iter().for_each(|change| apply(&mut policy, change));
        assert_eq!(
            faults(config::parse(policy.to_string().as_bytes())),
            expected,
            "{changes:#?}"
        );
        cases += 1;
    }
    assert!(cases >= 420, "{cases} cases");
}

/// One reading finds what is wrong in each of them.
#[test]
fn every_fault_at_once() {
    let changes = |case: &str| -> Vec<String> {
        let lines = case
            .lines()
            .filter(|line| line.starts_with("set ") || line.starts_with("del "));
        lines.map(str::to_owned).collect()
    };
    let chosen = [
        "set mode enforced",
        "set authenticators.account.callout.timeout 500",
        "set authenticators.account.callout.retry.retry_on [5xz, reset]",
        "del authenticators.proxy.callout.on_failure",
        "set identity.headers.x_user_id \"{subject}\"",
        "set rules.1.refuse 402",
        "set rules.2.require.authenticators [proxy]",
        "set rules.4.mode observe",
    ];
    let mut policy = base();
    chosen.iter().for_each(|change| apply(&mut policy, change));
    let mut expected: Vec<&str> = TABLE
        .split("\n\n")
        .filter(|case| changes(case).iter().any(|change| chosen.contains(&change.as_str())))
        .flat_map(|case| case.lines().filter_map(|line| line.strip_prefix("> ")))
        .collect();
    expected.push(
        "authenticators.proxy.callout: missing field on_failure: it has no default, write deny (nobody passes while the service is down) or allow (callers pass as nobody)",
    );
    expected.sort_unstable();
    let mut found = faults(config::parse(policy.to_string().as_bytes()));
    found.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn every_duplicate_is_told() {
    let found = faults(config::parse(
        br#"{"version":1,"version":1,"rules":[{"name":"a","refuse":404,"match":{"hosts":["a"],"hosts":["b"]}}]}"#,
    ));
    assert_eq!(
        found,
        [
            r#"duplicate field "version""#,
            r#"rules[0].match: duplicate field "hosts""#
        ]
    );
}

#[test]
fn no_json() {
    for (text, expected) in [
        ("", "not a JSON document: EOF while parsing a value at line 1 column 0"),
        ("{} {}", "not a JSON document: trailing characters at line 1 column 4"),
        ("[1,]", "not a JSON document: trailing comma at line 1 column 4"),
        ("[]", "expected an object, found a list"),
        ("null", "expected an object, found nothing"),
    ] {
        assert_eq!(faults(config::parse(text.as_bytes())), [expected], "{text}");
    }
    assert!(config::parse(b"{\"version\":\"\xff\"}").is_err());
}

fn base() -> Value {
    read(BASE)
}

pub fn read(yaml: &str) -> Value {
    let json = yaml::to_json(yaml).expect("YAML");
    serde_json::from_str(&json).expect("JSON")
}

/// `set PATH VALUE` or `del PATH`: by keys and positions, `+` is behind the last.
#[track_caller]
pub fn apply(policy: &mut Value, change: &str) {
    let (verb, rest) = change.split_once(' ').expect("a verb and a path");
    let (path, value) = rest.split_once(' ').unwrap_or((rest, ""));
    let mut steps: Vec<&str> = path.split('.').collect();
    let last = steps.pop().expect("a path");
    let parent = steps.into_iter().fold(policy, step);
    if verb == "del" {
        let removed = parent.as_object_mut().and_then(|fields| fields.remove(last));
        removed.expect("a field");
        return;
    }
    let value = read(&format!("value: {value}"))["value"].take();
    match (parent, last.parse::<usize>()) {
        (Value::Array(items), Ok(position)) => items[position] = value,
        (Value::Array(items), Err(_)) => items.push(value),
        (fields, _) => fields[last] = value,
    }
}

fn step<'a>(at: &'a mut Value, key: &str) -> &'a mut Value {
    match at {
        Value::Array(items) => &mut items[key.parse::<usize>().expect("a position")],
        fields => {
            let fields = fields.as_object_mut().expect("an object");
            fields.entry(key).or_insert_with(|| Value::Object(Default::default()))
        }
    }
}

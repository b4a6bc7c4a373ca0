//! YAML: the same policy as its JSON, faults with their lines, and what is not read.

use super::BASE;
use meshgate::config::{self, Faults, yaml};
use proptest::prelude::*;
use serde_json::{Value, json};

fn located(faults: &Faults) -> Vec<String> {
    let shown = faults.iter().map(|fault| match fault.at {
        Some(at) => format!("{}:{}: {fault}", at.line(), at.column()),
        None => fault.to_string(),
    });
    shown.collect()
}

#[track_caller]
fn refused(text: &str, expected: &[&str]) {
    let faults = yaml::to_json(text).expect_err("faulty YAML");
    assert_eq!(located(&faults), expected, "{text}");
}

#[test]
fn yaml_and_its_json_are_one_policy() {
    let json = yaml::to_json(BASE).expect("JSON");
    let from_yaml = yaml::parse(BASE).expect("a policy");
    let from_json = config::parse(json.as_bytes()).expect("a policy");
    assert_eq!(
        format!("{:?}", from_yaml.policy.rules),
        format!("{:?}", from_json.policy.rules)
    );
    assert_eq!(yaml::to_json(&json).expect("JSON"), json);
}

#[test]
fn order_and_types_are_kept() {
    let text = "b: 1\na: [on, no, 0x10, 1.50, ~, 'true', 2026-01-01, null]\nc: {z: |\n    line\n  }\n";
    let text = text.replace("c: {z: |\n    line\n  }\n", "c:\n  z: |\n    line\n");
    assert_eq!(
        yaml::to_json(&text).expect("JSON"),
        r#"{"b":1,"a":["on","no",16,1.5,null,"true","2026-01-01",null],"c":{"z":"line\n"}}"#
    );
}

#[test]
fn lines_and_columns() {
    let text = "version: 1
rules:
  - name: a
    match:
      hosts: [a]
      pahts: [/]
    refuse: 405
  - name: a
    refuse: 404
    name: b
";
    let faults = yaml::parse(text).expect_err("a faulty policy");
    assert_eq!(
        located(&faults),
        [
            "6:7: rules[0].match: unknown field \"pahts\": did you mean paths?",
            "7:13: rules[0].refuse: expected the number 403, 404, 410, 451 or 503, found the number 405",
            "10:5: rules[1] (a): duplicate field \"name\"",
            "8:11: rules[1].name: another rule is named \"a\"",
        ]
    );
}

#[test]
fn not_read() {
    refused("a: &x 1\nb: 2\n", &["1:4: anchors are not read: write the value out"]);
    refused(
        "a: &x [1]\nb: *x\n",
        &[
            "1:4: anchors are not read: write the value out",
            "2:4: aliases are not read: write the value out",
        ],
    );
    refused(
        "a: !!str 1\nb: !x [1]\n",
        &["1:4: tags are not read", "2:4: tags are not read"],
    );
    refused("<<: {a: 1}\n", &["1:1: merge keys are not read: write the fields out"]);
    refused(
        "1: a\ntrue: b\n~: c\n'4': d\n",
        &[
            "1:1: \"1\" as a key is no text: put it in quotes",
            "2:1: \"true\" as a key is no text: put it in quotes",
            "3:1: \"~\" as a key is no text: put it in quotes",
        ],
    );
    refused(
        "hosts: [*.example.com]\n",
        &["1:9: not YAML: while parsing node, found unknown anchor: a value that begins with * stands in quotes"],
    );
    refused("? [a]\n: b\n", &["1:3: a list or an object as a key"]);
    refused("a: 1\n---\nb: 2\n", &["2:1: a second document: a policy is one"]);
    refused("", &["empty document"]);
    refused("# only words\n", &["empty document"]);
    refused("a: .inf\n", &["1:4: \".inf\" has no form in JSON"]);
    refused("a: 1\na: 2\n", &["2:1: duplicate field \"a\""]);
}

#[test]
fn billion_laughs() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let alias = format!("*a{}, ", level - 1).repeat(10);
        text += &format!("a{level}: &a{level} [{alias}]\n");
    }
    let faults = yaml::to_json(&text).expect_err("faulty YAML");
    assert_eq!(faults.iter().count(), 3, "{faults}");
}

#[test]
fn a_bootstrap_takes_the_policy() {
    let bootstrap = "admin: {address: {socket_address: {port_value: 0x10}}}\nconfiguration:\n  \"@type\": type.googleapis.com/google.protobuf.StringValue\n  value: ${MESHGATE_POLICY}\n";
    assert_eq!(
        yaml::bootstrap(bootstrap, r#"{"a":1}"#).expect("JSON"),
        r#"{"admin":{"address":{"socket_address":{"port_value":16}}},"configuration":{"@type":"type.googleapis.com/google.protobuf.StringValue","value":"{\"a\":1}"}}"#
    );
    for (text, expected) in [
        ("a: x${MESHGATE_POLICY}", "no text is exactly ${MESHGATE_POLICY}"),
        ("${MESHGATE_POLICY}: a", "no text is exactly ${MESHGATE_POLICY}"),
        (
            "['${MESHGATE_POLICY}', '${MESHGATE_POLICY}']",
            "2 texts are ${MESHGATE_POLICY}, and one can be the policy",
        ),
    ] {
        let faults = yaml::bootstrap(text, "{}").expect_err("a faulty bootstrap");
        assert_eq!(faults.to_string(), expected);
    }
}

/// Tabs and surrogate pairs are JSON's, and not YAML's.
#[test]
fn json_that_is_no_yaml() {
    let json = "{\n\t\"a\":\t\"\\ud83d\\ude00\"\n}";
    assert_eq!(yaml::to_json(json).expect("JSON"), "{\"a\":\"😀\"}");
}

fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        proptest::num::f64::NORMAL.prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        "[-0-9a-zA-Z.:#~{}\\[\\]&*!|>'\"%@` ,]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map("\\PC{0,10}", inner, 0..6).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    /// A JSON document read as YAML is the same document.
    #[test]
    fn json_is_yaml(document in document()) {
        let text = document.to_string();
        let read = yaml::to_json(&text).map_err(|faults| faults.to_string());
        // Of several ways to write a character in JSON any will do.
        let value = |json: &str| serde_json::from_str::<Value>(json).ok();
        prop_assert_eq!(read.map(|json| value(&json)), Ok(value(&text)));
    }

    #[test]
    fn no_text_panics(text in "(?s).{0,200}") {
        drop(yaml::parse(&text));
    }

    #[test]
    fn nothing_like_yaml_panics(text in "[-a-c:,\\[\\]{}&*!|>'\"%@`?#~0-9<\n ]{0,200}") {
        drop(yaml::parse(&text));
    }
}

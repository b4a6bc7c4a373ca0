use super::*;
use proptest::prelude::*;

#[track_caller]
fn refused(text: &str, fault: JsonFault) {
    assert_eq!(read(text.into(), 3).err(), Some(fault), "{text}");
}

#[test]
fn one_meaning_or_none() {
    refused(r#"{"a":1,"a":1}"#, JsonFault::Duplicate);
    refused(r#"{"a":1,"\u0061":2}"#, JsonFault::Duplicate);
    refused(r#"{"b":[{"a":1,"a":2}]}"#, JsonFault::Duplicate);
    refused("[[[[]]]]", JsonFault::TooDeep);
    for text in [
        "",
        "{",
        "{} {}",
        "1e400",
        "NaN",
        "{a:1}",
        "\u{feff}{}",
        r#""\ud800""#,
        "[1,]",
    ] {
        refused(text, JsonFault::Syntax);
    }
    assert_eq!(read(b"\"\xff\"".to_vec(), 3).err(), Some(JsonFault::Syntax));
    assert!(read(b" [[[1]]] ".to_vec(), 3).is_ok());
}

/// A value in words, so that documents can be compared however they are kept.
fn words(value: Json) -> String {
    match value {
        Json::Null => "null".into(),
        Json::Bool(value) => value.to_string(),
        Json::Number(number) => format!("{number:?}"),
        Json::Text(text) => format!("{text:?}"),
        Json::List(list) => format!("{:?}", list.iter().map(words).collect::<Vec<_>>()),
        Json::Object(object) => {
            let members = object.sorted();
            assert!(members.keys().all(|name| object.get(name).is_some()));
            format!(
                "{:?}",
                members
                    .into_iter()
                    .map(|(name, value)| (name, words(value)))
                    .collect::<Vec<_>>()
            )
        }
    }
}

/// The reader for plain JSON takes nothing that the other one refuses, and reads the same out of it.
fn alike(bytes: &[u8], max_depth: usize) {
    let Some(nodes) = plain::nodes(bytes, max_depth) else {
        return;
    };
    let full = full::read(bytes, max_depth);
    match String::from_utf8(bytes.to_vec()) {
        Ok(texts) => assert_eq!(
            full.map(|document| words(document.value())),
            Ok(words(Document { texts, nodes }.value()))
        ),
        Err(_) => assert_eq!(full.err(), Some(JsonFault::Syntax)),
    }
}

#[test]
fn what_tokens_hold_is_plain() {
    for text in [
        r#"{"alg":"RS256","kid":"b","typ":"JWT"}"#,
        r#"{"iss":"https://id.example.com","aud":["api"],"exp":4102444800,"a":{"b":[true,null]},"n":"Jos\u00e9"}"#,
        "{\"sub\" : \"é\", \"zero\": 0, \"big\": 9999999999999999999}",
    ] {
        let is_plain = !text.contains('\\');
        assert_eq!(plain::nodes(text.as_bytes(), 3).is_some(), is_plain, "{text}");
        alike(text.as_bytes(), 3);
    }
}

fn near_json() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(","),
        Just(":"),
        Just("\"a\""),
        Just("\"b\""),
        Just("\"aa\""),
        Just("\"ab\\n\""),
        Just("\"é\""),
        Just("0"),
        Just("01"),
        Just("17"),
        Just("18446744073709551615"),
        Just("18446744073709551616"),
        Just("9999999999999999999"),
        Just("99999999999999999999"),
        Just("-1"),
        Just("1.5"),
        Just("2e3"),
        Just("true"),
        Just("false"),
        Just("null"),
        Just("nul"),
        Just(" "),
        Just("\n"),
        Just("\""),
        Just("\u{1}"),
    ];
    proptest::collection::vec(token, 0..12).prop_map(|tokens| tokens.concat())
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "[0-9]{1,21}",
        "-?[1-9][0-9]{0,3}(\\.[0-9]{1,2})?",
        "\"[a-c]{0,2}\"",
        "\"[ -~é]{0,4}\"",
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(|items| format!("[{}]", items.join(" ,"))),
            proptest::collection::vec(("[a-e]{0,2}", inner), 0..6).prop_map(|members| {
                let members = members.iter().map(|(name, value)| format!("\"{name}\": {value}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn both_readers_read_alike(text in prop_oneof![near_json(), json()], depth in 0..5_usize, at in any::<usize>(), byte: u8, change in 0..3) {
        let mut bytes = text.into_bytes();
        if change == 0 && !bytes.is_empty() {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        alike(&bytes, depth);
    }
}

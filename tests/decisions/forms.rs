//! Whatever path goes on is in one form, and holds nothing that its rule does not allow.

use crate::properties::{for_all, forwarded};
use crate::text::{Peer, on_request, read_policy};
use meshgate::header::Headers;
use meshgate::request::{PathLeniency, path::Path};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use std::sync::Arc;

/// As a server reads it that decodes before it splits.
fn decoded(path: &str) -> String {
    path.replace("%2F", "/").replace("%3B", ";")
}

#[test]
fn a_path_goes_on_in_one_form() {
    let rule = |name: &str, raw: &str| {
        format!(
            "- {{ name: {name}, match: {{ hosts: [{name}.example.com] }}, authenticate: [account], anonymous: allow_missing, paths_raw: [{raw}] }}"
        )
    };
    let lines = [
        rule("slash", "encoded_slash"),
        rule("semicolon", "semicolon"),
        rule("empty", "empty_segment"),
        rule("all", "encoded_slash, semicolon, empty_segment"),
    ];
    let lines = lines.join("\n") + "\n- { name: strict, authenticate: [account], anonymous: allow_missing }";
    let policy = read_policy(&crate::policies::rules(&lines));
    let pieces = [
        "/",
        "/",
        "/",
        "a",
        "b",
        ".",
        "..",
        "%2e",
        "%2E",
        "%2f",
        "%2F",
        "%5c",
        "%5C",
        "\\",
        ";",
        "%3b",
        "%3B",
        "%00",
        "%25",
        "%252f",
        "%41",
        "%7e",
        "%c3%a9",
        "\u{e9}",
        "%20",
        "%",
        "?",
        "x=%2f//..;",
        "*",
        "~",
    ];
    let request = (
        select(vec!["slash", "semicolon", "empty", "all", "strict", "strict"]),
        vec(select(pieces.to_vec()), 0..8),
    );
    let gone_on = for_all(8_000, request, |(host, pieces)| {
        let send = |target: &[u8]| {
            let host = format!("{host}.example.com");
            let headers: Arc<Headers> = Arc::new(
                [
                    (&b":method"[..], &b"GET"[..]),
                    (b":authority", host.as_bytes()),
                    (b":path", target),
                ]
                .into_iter()
                .collect(),
            );
            forwarded(on_request(&policy, headers.clone(), &Peer::default())).map(|forward| {
                let sent = forward.edits.apply(&headers);
                let path: Vec<&[u8]> = sent
                    .iter()
                    .filter(|(name, _)| *name == b":path")
                    .map(|(_, value)| *value)
                    .collect();
                path.concat()
            })
        };
        let Some(target) = send(format!("/{}", pieces.concat()).as_bytes()) else {
            return Ok(false);
        };
        let again = send(&target);
        prop_assert_eq!(again.as_ref(), Some(&target), "idempotent");
        let path = target.split(|b| *b == b'?').next().unwrap_or_default();
        let path = std::str::from_utf8(path).expect("one form is ASCII");
        prop_assert_eq!(
            Path::parse(path.as_bytes()).map(|path| path.as_str().to_owned()),
            Ok(path.to_owned())
        );
        let allows = |name: &str| host == name || host == "all";
        let lower = path.to_ascii_lowercase();
        prop_assert!(
            path.is_ascii() && !path.contains(['\\', ' ', '#']) && !lower.contains("%5c") && !lower.contains("%00"),
            "{}",
            path
        );
        prop_assert!(allows("slash") || !lower.contains("%2f"), "{}", path);
        prop_assert!(allows("semicolon") || !decoded(path).contains(';'), "{}", path);
        prop_assert!(allows("empty") || !decoded(path).contains("//"), "{}", path);
        let names = |text: &str| {
            text.split('/')
                .map(|segment| segment.split(';').next().unwrap_or_default().to_owned())
                .collect::<Vec<_>>()
        };
        for name in names(path).into_iter().chain(names(&decoded(path))) {
            prop_assert!(name != "." && name != "..", "{}", path);
        }
        let plain = Path::parse(path.as_bytes()).is_ok_and(|path| path.check(PathLeniency::default()).is_ok());
        Ok(!plain || host == "strict")
    });
    assert!(gone_on > 800, "{gone_on}");
}

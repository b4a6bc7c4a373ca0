use crate::policies::{account, knows_ada};
use crate::seen::{hangs_up_at_once, see};
use crate::support::{Gate, Wire, get};

const RULES: &str = r#"
rules:
- { name: slash, match: { paths: ["/slash/**"] }, paths_raw: [encoded_slash] }
- { name: semicolon, match: { paths: ["/semicolon/**"] }, paths_raw: [semicolon] }
- { name: empty, match: { paths: ["/empty/**"] }, paths_raw: [empty_segment] }
- { name: all, match: { paths: ["/all/**"] }, paths_raw: [encoded_slash, semicolon, empty_segment] }
- { name: none, match: { paths: ["/none/**"] } }
"#;

/// (behind the rule's prefix, as it is passed on, the rules that let it through)
const ODD: [(&str, &str, &[&str]); 9] = [
    ("a%2fb", "a%2Fb", &["slash", "all"]),
    // Two of them are an empty segment to whoever decodes.
    ("a%2F%2fb", "a%2F%2Fb", &["all"]),
    ("a;v=1", "a;v=1", &["semicolon", "all"]),
    ("a%3bv", "a%3Bv", &["semicolon", "all"]),
    ("a//b", "a//b", &["empty", "all"]),
    ("/", "/", &["empty", "all"]),
    ("a%2fb;c//%64", "a%2Fb;c//d", &["all"]),
    ("a%2fb;c", "a%2Fb;c", &["all"]),
    ("a", "a", &["slash", "semicolon", "empty", "all", "none"]),
];

/// Nobody can allow these.
const NEVER: [&str; 21] = [
    "../b",
    "./b",
    "%2e%2e/b",
    "..;x/b",
    "..%3bx/b",
    "%2e%2e%3b/b",
    ".;/b",
    "..%2fb",
    "..%2Fnone",
    "a%2f..%2fb",
    "a%2f%2e%2e",
    "a%2f.",
    "a%2f..;x",
    "a%2f..%3bx%2fb",
    "a/..%2f..",
    "a%5cb",
    "a\\b",
    "a%00",
    "a%",
    "%ff",
    "a#b",
];

#[test]
fn a_rule_lets_the_spellings_through_that_it_lists_and_no_other() {
    let gate = Gate::builder()
        .policy(account(RULES))
        .auth(knows_ada)
        .hcm(hangs_up_at_once())
        .start();
    for wire in Wire::BOTH {
        for rule in ["slash", "semicolon", "empty", "all", "none"] {
            let ask = |rest: &str| {
                let request = get(format!("/{rule}/{rest}")).header("authorization", "Bearer ada");
                see(&gate, wire, &request)
            };
            for (sent, passed, rules) in ODD {
                let seen = ask(sent);
                let case = format!("/{rule}/{sent} over {wire:?}: {}", seen.response.text());
                if rules.contains(&rule) {
                    assert_eq!(seen.status, 200, "{case}");
                    assert_eq!(seen.at_auth().path(), format!("/{rule}/{passed}"), "{case}");
                    assert_eq!(seen.at_upstream().path(), format!("/{rule}/{passed}"), "{case}");
                } else {
                    assert!(seen.is_bad_request(), "{case}");
                }
            }
            for sent in NEVER {
                let seen = ask(sent);
                assert!(
                    seen.is_bad_request(),
                    "/{rule}/{sent} over {wire:?}: {}",
                    seen.response.text()
                );
            }
        }
    }
}

//! What a header may ask for: nothing but an algorithm and a key's name.

use crate::mint::{encode, hs, key, token};
use crate::world::{Case, claims};
use jsonwebtoken::Algorithm;

pub fn cases() -> Vec<Case> {
    [asked(), types(), keys_brought_along()].concat()
}

fn with(more: &str) -> String {
    let header = format!(r#"{{"alg":"RS256","kid":"rsa",{more}}}"#);
    token(&header, &claims(""), "rsa", Algorithm::RS256)
}

fn asked() -> Vec<Case> {
    let header = |text: &str| token(text, &claims(""), "rsa", Algorithm::RS256);
    vec![
        Case::new("crit: exp", with(r#""crit":["exp"],"exp":1"#), "critical"),
        Case::new(
            "crit: b64 (RFC 7797)",
            with(r#""crit":["b64"],"b64":false"#),
            "critical",
        ),
        Case::new("crit: empty", with(r#""crit":[]"#), "critical"),
        Case::new("crit: null", with(r#""crit":null"#), "critical"),
        Case::new("crit: a text", with(r#""crit":"exp""#), "critical"),
        Case::new("alg: absent", header(r#"{"kid":"rsa"}"#), "header"),
        Case::new("alg: null", header(r#"{"alg":null,"kid":"rsa"}"#), "header"),
        Case::new("alg: a list", header(r#"{"alg":["RS256"],"kid":"rsa"}"#), "header"),
        Case::new("alg: a number", header(r#"{"alg":256,"kid":"rsa"}"#), "header"),
        Case::new("Alg: another name", header(r#"{"Alg":"RS256","kid":"rsa"}"#), "header"),
        Case::new("kid: a number", header(r#"{"alg":"RS256","kid":1}"#), "header"),
        Case::new("kid: an object", header(r#"{"alg":"RS256","kid":{"rsa":1}}"#), "header"),
        Case::new("kid: null", header(r#"{"alg":"RS256","kid":null}"#), "header"),
    ]
}

/// RFC 8725 section 3.11.
fn types() -> Vec<Case> {
    let typ = |value: &str| with(&format!(r#""typ":{value}"#));
    let mut cases = vec![Case::new("typ: a list", typ(r#"["JWT"]"#), "header")];
    for value in [
        "logout+jwt",
        "secevent+jwt",
        "dpop+jwt",
        "JOSE",
        "JWT ",
        "",
        "application/",
        "text/jwt",
        "application/application/jwt",
        "JWT\\u0000",
    ] {
        cases.push(Case::new(
            format!("typ: {value:?}"),
            typ(&format!("\"{value}\"")),
            "type",
        ));
    }
    cases
}

/// RFC 8725 section 3.10: signed by the key that the token names itself.
fn keys_brought_along() -> Vec<Case> {
    let jwk = key("rsa-other").jwk_with("");
    let brought = |more: &str, kid: &str| {
        let header = format!(r#"{{"alg":"RS256",{kid}{more}}}"#);
        token(&header, &claims(""), "rsa-other", Algorithm::RS256)
    };
    let named = r#""kid":"rsa","#;
    let certificate = encode(&key("rsa-other").spki);
    let oct = format!(r#"{{"alg":"HS256","jwk":{{"kty":"oct","k":"{}"}}}}"#, encode([7; 32]));
    vec![
        Case::new(
            "jwk, with our kid",
            brought(&format!(r#""jwk":{jwk}"#), named),
            "signature",
        ),
        Case::new("jwk, without kid", brought(&format!(r#""jwk":{jwk}"#), ""), "signature"),
        Case::new(
            "jwk, with its own kid",
            brought(&format!(r#""jwk":{jwk}"#), r#""kid":"mine","#),
            "unknown_key",
        ),
        Case::new(
            "jwk: a secret",
            hs(&oct, &claims(""), &[7; 32], Algorithm::HS256),
            "algorithm",
        ),
        Case::new(
            "jku",
            brought(r#""jku":"https://evil.example/jwks.json""#, named),
            "signature",
        ),
        Case::new(
            "x5u",
            brought(r#""x5u":"https://evil.example/cert.pem""#, named),
            "signature",
        ),
        Case::new(
            "x5c",
            brought(&format!(r#""x5c":["{certificate}"]"#), named),
            "signature",
        ),
        Case::new("x5t", brought(r#""x5t":"AAAA","x5t#S256":"AAAA""#, ""), "signature"),
        Case::new(
            "kid: a path",
            brought(r#""x":1"#, r#""kid":"../../../dev/null","#),
            "unknown_key",
        ),
        Case::new(
            "kid: SQL",
            brought(r#""x":1"#, r#""kid":"' OR 1=1 --","#),
            "unknown_key",
        ),
        Case::new(
            "kid: a URL",
            brought(r#""x":1"#, r#""kid":"https://evil.example/k","#),
            "unknown_key",
        ),
        Case::new("kid: empty", brought(r#""x":1"#, r#""kid":"","#), "unknown_key"),
        Case::new(
            "kid: another case",
            brought(r#""x":1"#, r#""kid":"RSA","#),
            "unknown_key",
        ),
        Case::new(
            "kid: a NUL behind",
            brought(r#""x":1"#, r#""kid":"rsa\u0000","#),
            "unknown_key",
        ),
    ]
}

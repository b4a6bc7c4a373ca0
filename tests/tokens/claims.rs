//! Whose token, for whom, and who it says is calling.

use crate::world::{Case, World, with_claims};
use meshgate::authn::ClaimPath;

pub fn cases() -> Vec<Case> {
    [issuers(), audiences(), callers()].concat()
}

/// RFC 8725 section 3.8: byte by byte.
fn issuers() -> Vec<Case> {
    let mut cases = vec![Case::new("iss: absent", with_claims(r#""iss":"(absent)""#), "issuer")];
    for iss in [
        r#""https://id.example.com/""#,
        r#""https://ID.example.com""#,
        r#""HTTPS://id.example.com""#,
        r#""http://id.example.com""#,
        r#""https://id.example.com:443""#,
        r#""https://id.example.com.""#,
        r#""https://id.example.com?x""#,
        r#""https://id.example.com/tenant""#,
        r#""https://id.example.com.evil.example""#,
        r#""https://id.example.com@evil.example""#,
        r#""https://evil.example""#,
        r#""id.example.com""#,
        r#"" https://id.example.com""#,
        r#""https://id.example.com ""#,
        r#""https://id.example.com\u0000""#,
        r#""https://id.ex\u0430mple.com""#,
        r#""""#,
        "null",
        "1",
        r#"["https://id.example.com"]"#,
        r#"{"https://id.example.com":1}"#,
    ] {
        cases.push(Case::new(
            format!("iss: {iss}"),
            with_claims(&format!(r#""iss":{iss}"#)),
            "issuer",
        ));
    }
    cases
}

fn audiences() -> Vec<Case> {
    let mut cases = vec![Case::new("aud: absent", with_claims(r#""aud":"(absent)""#), "audience")];
    for aud in [
        r#""other""#,
        r#""API""#,
        r#""api ""#,
        r#""api/""#,
        r#""api web""#,
        r#""api,web""#,
        r#""""#,
        r#""*""#,
        "[]",
        r#"["other"]"#,
        r#"["other","API"]"#,
        r#"[["api"]]"#,
        r#"["api",1]"#,
        r#"["api",null]"#,
        r#"{"api":true}"#,
        "null",
        "true",
        "0",
    ] {
        cases.push(Case::new(
            format!("aud: {aud}"),
            with_claims(&format!(r#""aud":{aud}"#)),
            "audience",
        ));
    }
    cases
}

fn callers() -> Vec<Case> {
    let mut cases = vec![Case::new("sub: absent", with_claims(r#""sub":"(absent)""#), "subject")];
    for sub in [
        r#""""#,
        "null",
        "true",
        "[]",
        r#"["alice"]"#,
        r#"{"id":"alice"}"#,
        "18446744073709551616",
        "9007199254740993.0",
        "-1e300",
    ] {
        cases.push(Case::new(
            format!("sub: {sub}"),
            with_claims(&format!(r#""sub":{sub}"#)),
            "subject",
        ));
    }
    let elsewhere = |path: &str| {
        let mut world = World::new();
        world.verification.principal.subject = ClaimPath::parse(path).expect("a path");
        world
    };
    let long = "x".repeat(4097);
    cases.extend([
        Case::new("sub within a text", with_claims(""), "subject").within(elsewhere("sub.id")),
        Case::new("sub within nothing", with_claims(""), "subject").within(elsewhere("a.b.c")),
        Case::new(
            "sub of 4097 bytes",
            with_claims(&format!(r#""sub":"{long}""#)),
            "claims",
        ),
        Case::new(
            "a group of 4097 bytes",
            with_claims(&format!(r#""realm_access":{{"roles":["{long}"]}}"#)),
            "claims",
        ),
        Case::new(
            "a claim of 4097 bytes",
            with_claims(&format!(r#""tenant":"{long}""#)),
            "claims",
        ),
        Case::new(
            "a claim of 4097 bytes within",
            with_claims(&format!(r#""object":{{"a":["{long}"]}}"#)),
            "claims",
        ),
        Case::new(
            "groups: a list of lists",
            with_claims(r#""realm_access":{"roles":["a",["b"]]}"#),
            "claims",
        ),
        Case::new(
            "groups: null among them",
            with_claims(r#""realm_access":{"roles":["a",null]}"#),
            "claims",
        ),
        Case::new(
            "groups: an object",
            with_claims(r#""realm_access":{"roles":{"a":true}}"#),
            "claims",
        ),
        Case::new(
            "groups: true",
            with_claims(r#""realm_access":{"roles":true}"#),
            "claims",
        ),
        Case::new("scopes: objects", with_claims(r#""scope":[{"name":"a"}]"#), "claims"),
        Case::new("scopes: a number", with_claims(r#""scope":1"#), "claims"),
    ]);
    cases
}

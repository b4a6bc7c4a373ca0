//! `exp`, `nbf`, `iat` and how long a token may live; the clocks may be 30 s apart.

use crate::world::{Case, NOW, World, with_claims};
use std::time::Duration;

pub fn cases() -> Vec<Case> {
    [edges(), lifetimes(), numbers()].concat()
}

/// Milliseconds, so that an edge has two sides.
fn ms(ms: u64) -> World {
    World::new().at(Duration::from_millis(NOW * 1000 + ms))
}

fn edges() -> Vec<Case> {
    let is = |name: &str, claims: String, word| Case::new(name, with_claims(&claims), word);
    vec![
        is("without exp", r#""exp":"(absent)""#.into(), "no_expiry"),
        is("expired long ago", format!(r#""exp":{}"#, NOW - 86_400), "expired"),
        is("expired 31 s ago", format!(r#""exp":{}"#, NOW - 31), "expired"),
        is("expired 30 s ago", format!(r#""exp":{}"#, NOW - 30), "expired"),
        is(
            "expired 29.5 s ago, half a second later",
            format!(r#""exp":{}.5"#, NOW - 30),
            "expired",
        )
        .within(ms(500)),
        is("exp 0", r#""exp":0"#.into(), "expired"),
        is("exp -0.0", r#""exp":-0.0"#.into(), "expired"),
        is("exp 1e-300", r#""exp":1e-300"#.into(), "expired"),
        is("nbf in 31 s", format!(r#""nbf":{}"#, NOW + 31), "not_yet_valid"),
        is("nbf in 30.5 s", format!(r#""nbf":{}.5"#, NOW + 30), "not_yet_valid"),
        is(
            "nbf in a year, exp later",
            format!(r#""nbf":{},"exp":{}"#, NOW + 31_536_000, NOW + 40_000_000),
            "not_yet_valid",
        ),
        is("nbf in the year 9999", r#""nbf":253402300799"#.into(), "not_yet_valid"),
        is("iat in 31 s", format!(r#""iat":{}"#, NOW + 31), "issued_in_future"),
        is("iat in 30.5 s", format!(r#""iat":{}.5"#, NOW + 30), "issued_in_future"),
        is("before 1970", "".into(), "issued_in_future").within(World::new().at(Duration::ZERO)),
        is("after everything", r#""exp":253402300799"#.into(), "expired").within(World::new().at(Duration::MAX)),
    ]
}

fn lifetimes() -> Vec<Case> {
    let is = |name: &str, claims: String| {
        Case::new(name, with_claims(&claims), "lifetime").within(World::new().max_lifetime(3600))
    };
    vec![
        is(
            "lives a second too long",
            format!(r#""iat":{},"exp":{}"#, NOW, NOW + 3601),
        ),
        is(
            "lives half a second too long",
            format!(r#""iat":{},"exp":{}.5"#, NOW, NOW + 3600),
        ),
        is("lives till 9999", r#""exp":253402300799"#.into()),
        is("does not say since when", r#""iat":"(absent)""#.into()),
        is("nbf is no iat", format!(r#""iat":"(absent)","nbf":{}"#, NOW - 10)),
        is("issued in 1970", r#""iat":0"#.into()),
    ]
}

fn numbers() -> Vec<Case> {
    let mut cases = Vec::new();
    for (what, value) in [
        ("a text", r#""1800000300""#),
        ("an empty text", r#""""#),
        ("a date", r#""2027-01-15T08:05:00Z""#),
        ("null", "null"),
        ("true", "true"),
        ("a list", "[1800000300]"),
        ("an object", r#"{"$numberLong":"1800000300"}"#),
        ("negative", "-1"),
        ("the least integer", "-9223372036854775808"),
        ("negative and fractional", "-1800000300.5"),
        ("milliseconds", "1800000300000"),
        ("a second after 9999", "253402300800"),
        ("the greatest integer", "9223372036854775807"),
        ("the greatest unsigned", "18446744073709551615"),
        ("beyond 64 bits", "18446744073709551616"),
        ("1e19", "1e19"),
        ("1e308", "1e308"),
        ("-1e308", "-1e308"),
    ] {
        for name in ["exp", "nbf", "iat"] {
            let token = with_claims(&format!(r#""{name}":{value}"#));
            cases.push(Case::new(format!("{name}: {what}"), token, "date"));
        }
    }
    for name in ["exp", "nbf", "iat"] {
        let claims = crate::world::claims("").replacen('{', &format!(r#"{{"{name}":1e400,"#), 1);
        let claims = match name {
            "nbf" => claims,
            // Once only.
            _ => claims.replacen(&format!(r#""{name}":18"#), r#""y":18"#, 1),
        };
        let token = crate::mint::token(crate::world::RS256, &claims, "rsa", jsonwebtoken::Algorithm::RS256);
        cases.push(Case::new(format!("{name}: 1e400"), token, "payload"));
    }
    cases
}

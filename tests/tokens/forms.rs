//! What is no token at all, or more than one reader could make of it.

use crate::mint::{encode, message, parts, signed, token};
use crate::world::{Case, ES256, RS256, claims, good};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use jsonwebtoken::Algorithm;

pub fn cases() -> Vec<Case> {
    [parts_cases(), encodings(), json()].concat()
}

fn parts_cases() -> Vec<Case> {
    let [header, payload, signature] = parts(&good());
    let json = format!(r#"{{"payload":"{payload}","protected":"{header}","signature":"{signature}"}}"#);
    let general =
        format!(r#"{{"payload":"{payload}","signatures":[{{"protected":"{header}","signature":"{signature}"}}]}}"#);
    let is = |name: &str, token: String, word| Case::new(name, token, word);
    vec![
        is("nothing", String::new(), "not_a_jwt"),
        is("a dot", ".".into(), "not_a_jwt"),
        is("two dots", "..".into(), "not_a_jwt"),
        is("an opaque token", "ya29.A0ARrdaM".into(), "not_a_jwt"),
        is("one part", header.clone(), "not_a_jwt"),
        is("two parts", format!("{header}.{payload}"), "not_a_jwt"),
        is("no header", format!(".{payload}.{signature}"), "not_a_jwt"),
        is(
            "no payload (detached, RFC 7797)",
            format!("{header}..{signature}"),
            "not_a_jwt",
        ),
        is("no signature", format!("{header}.{payload}."), "signature"),
        is("four parts", format!("{header}.{payload}.{signature}.x"), "not_a_jwt"),
        is("a dot behind", format!("{header}.{payload}.{signature}."), "not_a_jwt"),
        is("a dot before", format!(".{header}.{payload}.{signature}"), "not_a_jwt"),
        is("a JWE", format!("{header}.a.b.c.{signature}"), "encrypted"),
        is("a JWE with a direct key", format!("{header}..b.c.d"), "encrypted"),
        is("six parts", "a.b.c.d.e.f".into(), "not_a_jwt"),
        is("flattened JSON serialisation", json, "not_a_jwt"),
        is("general JSON serialisation", general, "not_a_jwt"),
        is("two tokens", format!("{},{}", good(), good()), "encrypted"),
        is("with its scheme", format!("Bearer {}", good()), "encoding"),
        is(
            "longer than 16 KiB",
            signed(
                &message(RS256, &claims(&format!(r#""x":"{}""#, "x".repeat(16384)))),
                "rsa",
                Algorithm::RS256,
            ),
            "too_large",
        ),
        is("a megabyte of dots", ".".repeat(1 << 20), "too_large"),
        is("a megabyte of one letter", "A".repeat(1 << 20), "too_large"),
    ]
}

fn encodings() -> Vec<Case> {
    let [header, payload, signature] = parts(&good());
    let joined = |a: &str, b: &str, c: &str| format!("{a}.{b}.{c}");
    let es = token(ES256, &claims(""), "p256", Algorithm::ES256);
    // 86 characters of 64 bytes: the last one carries four bits that say nothing.
    let mut trailing = es.clone().into_bytes();
    *trailing.last_mut().expect("bytes") += 1;
    let odd_header = padded_to(2, r#"{"alg":"RS256","kid":"rsa""#);
    let odd_claims = padded_to(1, claims("").trim_end_matches('}'));
    let resign = |header: &str, payload: &str| signed(&format!("{header}.{payload}"), "rsa", Algorithm::RS256);
    let standard = STANDARD
        .encode(r#"{"alg":"RS256","kid":"rsa","x":"???>>>"}"#)
        .replace('=', "");
    assert!(standard.contains(['/', '+']));
    let mut cases = vec![
        Case::new(
            "padded header",
            resign(&URL_SAFE.encode(&odd_header), &payload),
            "encoding",
        ),
        Case::new(
            "padded payload",
            resign(&header, &URL_SAFE.encode(&odd_claims)),
            "encoding",
        ),
        Case::new(
            "padded signature",
            joined(&header, &payload, &format!("{signature}==")),
            "encoding",
        ),
        Case::new(
            "bits behind the header",
            resign(&loose(&encode(&odd_header)), &payload),
            "encoding",
        ),
        Case::new(
            "bits behind the payload",
            resign(&header, &loose(&encode(&odd_claims))),
            "encoding",
        ),
        Case::new("bits behind the signature", trailing, "encoding"),
        Case::new("the standard alphabet", resign(&standard, &payload), "encoding"),
        Case::new("a length no bytes have", joined(&header, &payload, "AAAAA"), "encoding"),
        Case::new(
            "a byte that is not UTF-8",
            [good().as_bytes(), b"\xff"].concat(),
            "encoding",
        ),
        Case::new("not UTF-8 in front", [b"\xff", good().as_bytes()].concat(), "encoding"),
        Case::new("percent-encoded", good().replacen('e', "%65", 1), "encoding"),
        Case::new("in quotes", format!("\"{}\"", good()), "encoding"),
    ];
    for (name, white) in [
        ("space", " "),
        ("tab", "\t"),
        ("newline", "\n"),
        ("CR LF", "\r\n"),
        ("NUL", "\0"),
    ] {
        cases.push(Case::new(
            format!("{name} behind"),
            format!("{}{white}", good()),
            "encoding",
        ));
        cases.push(Case::new(
            format!("{name} before"),
            format!("{white}{}", good()),
            "encoding",
        ));
        cases.push(Case::new(
            format!("{name} within"),
            resign(&header, &format!("{white}{payload}")),
            "encoding",
        ));
    }
    cases
}

/// JSON text closed by `}` after white space, so that its length is `over` beyond a multiple of three.
fn padded_to(over: usize, open: &str) -> String {
    let mut text = open.to_owned();
    while (text.len() + 1) % 3 != over {
        text.push(' ');
    }
    text + "}"
}

/// The same bytes to a careless reader: a bit is set that says nothing.
fn loose(encoded: &str) -> String {
    let (rest, last) = encoded.split_at(encoded.len() - 1);
    let next = char::from(last.as_bytes()[0] + 1);
    assert!(next.is_ascii_alphanumeric(), "{next}");
    format!("{rest}{next}")
}

fn json() -> Vec<Case> {
    let header = |text: &str| token(text, &claims(""), "rsa", Algorithm::RS256);
    let payload = |text: &str| token(RS256, text, "rsa", Algorithm::RS256);
    let raw = |header: &[u8], payload: &[u8]| {
        signed(
            &format!("{}.{}", encode(header), encode(payload)),
            "rsa",
            Algorithm::RS256,
        )
    };
    let twice = |name: &str, value: &str| claims("").replacen('{', &format!("{{{name}:{value},"), 1);
    let deep = |levels: usize| format!(r#""x":{}{}"#, "[".repeat(levels), "]".repeat(levels));
    let utf8 = claims("").replace("alice", "al\u{1}ce").into_bytes();
    let not_utf8: Vec<u8> = utf8.iter().map(|b| if *b == 1 { 0xff } else { *b }).collect();
    let number = |text: &str| claims("").replacen('{', &format!("{{\"x\":{text},"), 1);
    vec![
        Case::new("header: no JSON", header("alg=RS256"), "header"),
        Case::new("header: a list", header("[]"), "header"),
        Case::new("header: a text", header(r#""RS256""#), "header"),
        Case::new("header: null", header("null"), "header"),
        Case::new("header: more behind", header(r#"{"alg":"RS256"}{}"#), "header"),
        Case::new("header: a BOM", header("\u{feff}{\"alg\":\"RS256\"}"), "header"),
        Case::new(
            "header: not UTF-8",
            raw(b"{\"alg\":\"RS256\",\"x\":\"\xff\"}", claims("").as_bytes()),
            "header",
        ),
        Case::new(
            "header: UTF-16",
            raw(b"\xff\xfe{\0}\0", claims("").as_bytes()),
            "header",
        ),
        Case::new(
            "header: alg twice",
            header(r#"{"alg":"none","alg":"RS256","kid":"rsa"}"#),
            "duplicate_member",
        ),
        Case::new(
            "header: alg twice, one escaped",
            header(r#"{"alg":"none","\u0061lg":"RS256","kid":"rsa"}"#),
            "duplicate_member",
        ),
        Case::new(
            "header: twice within",
            header(r#"{"alg":"RS256","kid":"rsa","jwk":{"n":"a","n":"b"}}"#),
            "duplicate_member",
        ),
        Case::new(
            "header: nested",
            header(&format!(r#"{{"alg":"RS256","kid":"rsa",{}}}"#, deep(16))),
            "too_deep",
        ),
        Case::new("payload: no JSON", payload("hello"), "payload"),
        Case::new("payload: a list", payload("[]"), "payload"),
        Case::new("payload: another token", payload(&good()), "payload"),
        Case::new("payload: not UTF-8", raw(RS256.as_bytes(), &not_utf8), "payload"),
        Case::new(
            "payload: a NUL behind",
            payload(&format!("{}\0", claims(""))),
            "payload",
        ),
        Case::new(
            "payload: half a surrogate",
            payload(&claims("").replace("alice", "\\ud800")),
            "payload",
        ),
        Case::new(
            "payload: sub twice",
            payload(&twice("\"sub\"", "\"root\"")),
            "duplicate_member",
        ),
        Case::new(
            "payload: exp twice",
            payload(&twice("\"exp\"", "1")),
            "duplicate_member",
        ),
        Case::new(
            "payload: iss twice, alike",
            payload(&twice("\"iss\"", "\"https://id.example.com\"")),
            "duplicate_member",
        ),
        Case::new(
            "payload: twice within",
            payload(&claims("").replacen('{', r#"{"a":[{"b":1,"b":2}],"#, 1)),
            "duplicate_member",
        ),
        Case::new("payload: 16 levels within", payload(&claims(&deep(16))), "too_deep"),
        Case::new("payload: 100 levels within", payload(&claims(&deep(100))), "too_deep"),
        Case::new("payload: 5,000 levels", payload(&number(&"[".repeat(5000))), "too_deep"),
        Case::new(
            "payload: 2,000 objects",
            payload(&number(&r#"{"a":"#.repeat(2000))),
            "too_deep",
        ),
        Case::new(
            "payload: a number no double holds",
            payload(&number("1e400")),
            "payload",
        ),
        Case::new("payload: NaN", payload(&number("NaN")), "payload"),
        Case::new("payload: hexadecimal", payload(&number("0x1")), "payload"),
        Case::new("payload: a comment", payload(&number("1/**/")), "payload"),
        Case::new(
            "payload: a comma behind",
            payload(&claims("").replace('}', ",}")),
            "payload",
        ),
        Case::new(
            "payload: apostrophes",
            payload(&claims("").replace('"', "'")),
            "payload",
        ),
    ]
}

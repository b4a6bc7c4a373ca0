use super::LISTENERS;
use crate::policies::{account, knows_ada};
use crate::seen::{hangs_up_at_once, see};
use crate::support::{Gate, Wire, get};
use std::collections::BTreeSet;

const RULES: &str = r#"
rules:
- { name: public, match: { hosts: [test], paths: ["/public/**", "/t/*/x"] }, authenticate: none }
- { name: closed, match: { paths: ["/internal/**"] }, refuse: 404 }
- { name: admin, match: { paths: ["/admin/**"] } }
"#;

/// Up one level, as somebody may write it or some server may read it.
const UP: [&str; 22] = [
    "..",
    ".%2e",
    "%2e.",
    "%2e%2e",
    "%2E%2E",
    "%2e%2E",
    "%252e%252e",
    "%25%32%65%25%32%65",
    "..;",
    "..;x=1",
    "%2e%2e;",
    "..%3b",
    "..%00",
    "..%20",
    "..%09",
    "..#",
    "%c0%ae%c0%ae",
    "%e0%80%ae%e0%80%ae",
    "%uff0e%uff0e",
    "．．",
    "..\\.",
    "./..",
];

/// Between two segments.
const BETWEEN: [&str; 11] = [
    "/", "//", "/./", "\\", "%2f", "%2F", "%5c", "%252f", ";/", "%c0%af", "/%2e/",
];

/// What stands on its own.
const WHOLE: [&str; 24] = [
    "/SECRET",
    "/SECRET/",
    "/SECRET?x",
    "//SECRET",
    "///SECRET",
    "/./SECRET",
    "/.//SECRET",
    "/;/SECRET",
    "/;a=b/SECRET",
    "/%2fSECRET",
    "/%2e/SECRET",
    "\\SECRET",
    "/\\SECRET",
    "/%5cSECRET",
    "/%00/SECRET",
    "/%20/../SECRET",
    "SECRET",
    "*/../SECRET",
    "http://test/SECRET",
    "http://test//SECRET",
    "http://test/public/../SECRET",
    "http://test/public/..%2fSECRET",
    "/public?/../../SECRET",
    "/public#/../../SECRET",
];

fn spellings(closed: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for up in UP {
        for between in BETWEEN {
            all.insert(format!("/public{between}{up}{between}{closed}"));
            all.insert(format!("/public/a{between}{up}{between}{up}{between}{closed}"));
            all.insert(format!("/public/{up}{between}{closed}?x"));
            all.insert(format!("/t/{up}{between}{up}{between}{closed}/../x"));
        }
    }
    all.extend(WHOLE.map(|whole| whole.replace("SECRET", closed)));
    // The closed name itself, spelled otherwise.
    let (first, rest) = closed.split_at(1);
    let byte = first.as_bytes()[0];
    for spelled in [
        format!("%{byte:02x}"),
        format!("%{byte:02X}"),
        format!("%25{byte:02x}"),
        format!("%u00{byte:02x}"),
    ] {
        all.insert(format!("/{spelled}{rest}"));
        all.insert(format!("/public/../{spelled}{rest}"));
    }
    for odd in [
        ";", ";x", "%3b", "%00", "%20", ".", "%2e", "/.", "//", "\\", "%5c", "%2f", "%09", "#", "%23",
    ] {
        all.insert(format!("/{}", closed.replacen('/', &format!("{odd}/"), 1)));
    }
    all
}

/// The path as the most obliging server reads it: decoded once (overlong UTF-8 too), cut at a zero
/// byte, parameters cut off, backslashes turned, empty and dot segments resolved.
fn obligingly(target: &[u8]) -> String {
    let path = target.split(|b| *b == b'?').next().unwrap_or_default();
    let mut decoded = Vec::new();
    let mut rest = path;
    while let [first, tail @ ..] = rest {
        let escaped = tail
            .get(..2)
            .and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        (rest, _) = match (first, escaped) {
            (b'%', Some(byte)) => (&tail[2..], decoded.push(byte)),
            _ => (tail, decoded.push(*first)),
        };
    }
    let text = String::from_utf8_lossy(&decoded);
    let mut text = text.split('\0').next().unwrap_or_default().replace('\\', "/");
    for (overlong, plain) in [(&b"\xc0\xae"[..], "."), (b"\xc0\xaf", "/"), (b"\xe0\x80\xae", ".")] {
        text = text.replace(&*String::from_utf8_lossy(overlong), plain);
    }
    let mut segments = Vec::new();
    for segment in text.split('/') {
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name.to_owned()),
        }
    }
    format!("/{}", segments.join("/"))
}

#[test]
fn no_spelling_reaches_a_closed_path_through_a_public_one() {
    for (normalize, merge) in LISTENERS {
        let builder = Gate::builder()
            .policy(account(RULES))
            .auth(knows_ada)
            .hcm(hangs_up_at_once());
        let gate = builder.normalize_path(normalize).merge_slashes(merge).start();
        let mut served = 0;
        for closed in ["internal/secret", "admin/secret"] {
            let all = spellings(closed);
            assert!(all.len() > 600, "{} spellings", all.len());
            for (at, spelling) in all.iter().enumerate() {
                // Each over one of the wires on this listener, over the other on the next one.
                let wire = Wire::BOTH[(at + usize::from(normalize) + usize::from(merge)) % 2];
                let seen = see(&gate, wire, &get(spelling));
                let case = format!("{spelling} over {wire:?}, normalize_path {normalize}, merge_slashes {merge}");
                assert!(seen.auth.is_empty(), "{case}: nobody to ask about");
                assert!(
                    matches!(seen.status, 0 | 200 | 400 | 401 | 403 | 404),
                    "{case}: {}",
                    seen.status
                );
                for request in &seen.upstream {
                    served += 1;
                    let read = obligingly(&request.target);
                    let open = !read.starts_with("/internal") && !read.starts_with("/admin");
                    assert!(open, "{case}: the upstream got {} and reads {read}", request.path());
                }
            }
        }
        assert!(served > 20, "some of them are public and harmless: {served}");
        // The paths themselves, as they should be written.
        for wire in Wire::BOTH {
            let status = |request| see(&gate, wire, &request).status;
            assert_eq!(status(get("/public/a")), 200);
            assert_eq!(status(get("/internal/secret")), 404);
            assert_eq!(status(get("/admin/secret")), 401);
            assert_eq!(status(get("/admin/secret").header("authorization", "Bearer ada")), 200);
        }
    }
}

#[test]
fn the_obliging_server_would_be_fooled() {
    let rows = [
        ("/public/../internal/secret", "/internal/secret"),
        ("/public/%2e%2e%2finternal", "/internal"),
        ("/public\\..;x=1\\internal?x", "/internal"),
        ("/public/%c0%ae%c0%ae/internal%00x", "/internal"),
        ("//./internal//", "/internal"),
        ("/public/%252e%252e/x", "/public/%2e%2e/x"),
    ];
    for (target, read) in rows {
        assert_eq!(obligingly(target.as_bytes()), read, "{target}");
    }
}

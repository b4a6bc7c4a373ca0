//! Host and path: one form goes on, whatever two servers might read differently is 400.

use crate::policies::rules;
use crate::text::check;

fn open(more: &str) -> String {
    rules(&format!(
        "- {{ name: r, authenticate: [account], anonymous: allow_missing, {more} }}"
    ))
}

#[track_caller]
fn path(raw: &str, expected: &str) {
    let edit = if raw == expected {
        String::new()
    } else {
        format!("; set :path={expected}")
    };
    check(
        &open("mode: enforce"),
        &format!("GET {raw}"),
        &format!("r: forward anonymous{edit}"),
    );
}

#[track_caller]
fn refused(raw: &str, cause: &str) {
    check(
        &open("mode: enforce"),
        &format!("GET {raw}"),
        &format!("{} refuse 400 bad_request/{cause}; bad_request: …", whose(cause)),
    );
}

/// What a rule may allow is refused once the rule is known.
fn whose(cause: &str) -> &str {
    match cause {
        "path_encoded_slash" | "path_semicolon" | "path_empty_segment" => "r:",
        _ => "-:",
    }
}

#[test]
fn one_form_goes_on() {
    path("/", "/");
    path("/orders/1", "/orders/1");
    path("/%6Frders/%31", "/orders/1");
    path("/%7e/%2D%5f%2e1", "/~/-_.1");
    path("/caf%c3%a9", "/caf%C3%A9");
    path("/caf\\xc3\\xa9", "/caf%C3%A9");
    path("/a%20b%25%3f%23", "/a%20b%25%3F%23");
    path("/%252e%252f", "/%252e%252f");
    path("/a/", "/a/");
    path("/...", "/...");
    path("/a:b@c!$&'()*+,=", "/a:b@c!$&'()*+,=");
    path("/a?q=%2f//..;%ff\\xc3\\xa9", "/a?q=%2f//..;%ff\\xc3\\xa9");
    refused("/a?q=\\xff", "query");
}

#[test]
fn ambiguity_is_refused() {
    for dots in [
        "/.",
        "/..",
        "/a/../b",
        "/a/./b",
        "/a/%2e%2E/b",
        "/a/.%2e",
        "/a/..;x",
        "/a/..%3bx",
        "/a%2f..%2fb",
        "/a/..%2fb",
        "/%2e%2f",
    ] {
        refused(dots, "path_dot_segment");
    }
    refused("/a%2fb", "path_encoded_slash");
    refused("/a%2Fb", "path_encoded_slash");
    refused("/a%5cb", "path_encoded_backslash");
    refused("/a\\x5cb", "path_backslash");
    refused("/a%00", "path_encoded_control_character");
    refused("/a%0d%0a", "path_encoded_control_character");
    refused("/a%7f", "path_encoded_control_character");
    refused("/a\\x00", "path_control_character");
    refused("/a\\x20b", "path_control_character");
    refused("//a", "path_empty_segment");
    refused("/a//", "path_empty_segment");
    refused("/a;v=1", "path_semicolon");
    refused("/a%3Bv", "path_semicolon");
    refused("/%", "path_bad_escape");
    refused("/%4", "path_bad_escape");
    refused("/%u0041", "path_bad_escape");
    refused("/\\xff", "path_not_utf8");
    refused("/%ff", "path_not_utf8");
    refused("/%c0%af", "path_not_utf8");
    refused("/a#b", "path_fragment");
    refused("*", "path_not_absolute");
    refused("http://b/", "path_not_absolute");
    refused("/?a\\x09b", "query");
    refused("/?a#b", "query");
    refused("-", "path_not_absolute");
}

/// `paths_raw` allows the spelling it names, and no dot segment hides behind it.
#[test]
fn a_rule_may_allow_a_spelling() {
    let check = |allowed: &str, raw: &str, expected: &str| {
        check(
            &open(&format!("paths_raw: [{allowed}]")),
            &format!("GET {raw}"),
            expected,
        )
    };
    let bad = |rule: &str, cause: &str| format!("{rule}: refuse 400 bad_request/{cause}…");
    check("encoded_slash", "/a%2fb", "r: forward anonymous; set :path=/a%2Fb");
    check("semicolon", "/a;b", "r: forward anonymous");
    check("empty_segment", "/a//b", "r: forward anonymous");
    check("encoded_slash", "/a;b", &bad("r", "path_semicolon"));
    check("semicolon", "/a%2fb", &bad("r", "path_encoded_slash"));
    check("encoded_slash, semicolon", "//", &bad("r", "path_empty_segment"));
    check("encoded_slash", "/a%2f..%2fb", &bad("-", "path_dot_segment"));
    check("encoded_slash", "/a%2f%2e", &bad("-", "path_dot_segment"));
    check("encoded_slash", "/a/..%2fb", &bad("-", "path_dot_segment"));
    check("encoded_slash", "/a%2f%2fb", &bad("r", "path_empty_segment"));
    check("encoded_slash", "/a/%2fb", &bad("r", "path_empty_segment"));
    check("encoded_slash", "/a%2f", "r: forward anonymous; set :path=/a%2F");
    check("semicolon", "/a/..%3bx/b", &bad("-", "path_dot_segment"));
    check(
        "semicolon, encoded_slash",
        "/a%2f..%3bx%2fb",
        &bad("-", "path_dot_segment"),
    );
    check("semicolon", "/a/.;/b", &bad("-", "path_dot_segment"));
    check(
        "encoded_slash, semicolon, empty_segment",
        "/a%5cb",
        &bad("-", "path_encoded_backslash"),
    );
}

#[track_caller]
fn host(raw: &str, expected: &str) {
    let edit = if raw == expected {
        String::new()
    } else {
        format!("; set :authority={expected}")
    };
    check(
        &open("mode: enforce"),
        &format!("GET / | :authority: {raw}"),
        &format!("r: forward anonymous{edit}"),
    );
}

#[test]
fn one_host() {
    host("shop.example.com", "shop.example.com");
    host("Shop.EXAMPLE.com.:8443", "shop.example.com:8443");
    host("10.0.0.1:80", "10.0.0.1:80");
    host("[2001:DB8:0::1]:80", "[2001:db8::1]:80");
    host("a_b.svc", "a_b.svc");
    for bad in [
        "",
        ".",
        "a,b",
        "shop.example.com,shop.example.com",
        "a b",
        "user@a",
        "a:",
        "a:080",
        "a:+80",
        "a:65536",
        "a:1:2",
        "::1",
        "[::1",
        "[::1%25lo]",
        "1.2.3",
        "256.1.1.1",
        "a..b",
        "a..",
        "-a.com",
        "a/b",
        "a?b",
        "a%2eb",
        "é.com",
        "a\\xff",
        "outbound|80||a",
    ] {
        check(
            &open("mode: enforce"),
            &format!("GET / | :authority: {bad}"),
            "-: refuse 400 bad_request/host; bad_request: host is not one DNS name or IP address",
        );
    }
    check(
        &open("mode: enforce"),
        "GET / | host: b",
        "-: refuse 400 bad_request/host; bad_request: host is not one DNS name or IP address",
    );
    check(
        &open("mode: enforce"),
        "GET / | :authority: a | :authority: a",
        "-: refuse 400 bad_request/host; bad_request: host is not one DNS name or IP address",
    );
}

#[test]
fn methods_are_tokens() {
    for bad in [
        "",
        "G\\x20T",
        "GET\\x00",
        "G\\xc3\\xa9T",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG",
        // Django and Werkzeug read `POST`, which no rule for POST would have met.
        "post",
        "Get",
    ] {
        check(
            &open("mode: enforce"),
            &format!("{bad} /"),
            "-: refuse 400 bad_request/method; bad_request: method is not one token in upper case",
        );
    }
    check(&open("mode: enforce"), "PROPFIND /", "r: forward anonymous");
}

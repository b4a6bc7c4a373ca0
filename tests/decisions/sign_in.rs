//! Where a browser is sent instead of being shown a refusal.

use crate::policies::one;
use crate::text::{answered, check};

const PAGE: &str = "sec-fetch-mode: navigate";

fn policy(sign_in: &str, rule: &str) -> String {
    let callout = format!(
        "protocol: ext_authz_http, on_failure: deny, credential: [\"header:authorization\"], on_deny: {{ sign_in: {{ {sign_in} }} }}"
    );
    one(&callout, rule)
}

fn named() -> String {
    policy(
        "url: \"https://login.example.com/?rd={url}&x=1\"",
        "match: { hosts: [shop.example.com, \"*.shop.example.com\", \"[::1]\"] }",
    )
}

fn redirect(status: u16, url: &str) -> String {
    format!(
        "r: refuse {status} unauthenticated/no_credential; unauthenticated: this needs a credential; location=https://login.example.com/?rd={url}&x=1"
    )
}

const JSON: &str =
    "r: refuse 401 unauthenticated/no_credential; unauthenticated: this needs a credential; www-authenticate=Bearer";

#[test]
fn the_url_is_encoded_whole() {
    let home = "https%3A%2F%2Fshop.example.com";
    check(
        &named(),
        &format!("GET / | {PAGE}"),
        &redirect(302, &format!("{home}%2F")),
    );
    check(
        &named(),
        &format!("GET /%6frders/a%20b?q=a&rd=\"'<>\\xc3\\xa9 | {PAGE}"),
        &redirect(
            302,
            &format!("{home}%2Forders%2Fa%2520b%3Fq%3Da%26rd%3D%22%27%3C%3E%C3%A9"),
        ),
    );
    check(
        &named(),
        &format!("GET / | @plain | :authority: A.Shop.example.com:8080 | x-forwarded-proto: https | {PAGE}"),
        &redirect(302, "http%3A%2F%2Fa.shop.example.com%3A8080%2F"),
    );
    check(
        &named(),
        &format!("GET / | :authority: [0::1] | {PAGE}"),
        &redirect(302, "https%3A%2F%2F%5B%3A%3A1%5D%2F"),
    );
}

#[test]
fn who_is_a_browser() {
    let home = "https%3A%2F%2Fshop.example.com%2F";
    for (request, expected) in [
        (format!("GET / | {PAGE}"), redirect(302, home)),
        (format!("HEAD / | {PAGE}"), redirect(302, home)),
        (format!("POST / | {PAGE}"), redirect(303, home)),
        ("GET / | accept: text/html,*/*".into(), redirect(302, home)),
        (
            "GET / | accept: application/json, text/html;q=0.9".into(),
            redirect(302, home),
        ),
        ("POST / | accept: text/html".into(), JSON.into()),
        ("GET / | accept: */*".into(), JSON.into()),
        ("GET / | accept: application/xhtml+xml".into(), JSON.into()),
        ("GET /".into(), JSON.into()),
        ("GET / | sec-fetch-mode: cors | accept: text/html".into(), JSON.into()),
        ("GET / | sec-fetch-mode: websocket".into(), JSON.into()),
        (
            format!("POST / | content-type: application/grpc | {PAGE}"),
            "r: refuse 401 unauthenticated/no_credential; grpc 16 this needs a credential; www-authenticate=Bearer"
                .into(),
        ),
    ] {
        check(&named(), &request, &expected);
    }
}

/// Nobody is sent back to a host that only the caller vouches for.
#[test]
fn only_to_a_host_that_the_rule_names() {
    let request = format!("GET / | :authority: evil.com | {PAGE}");
    let url = "url: \"https://login.example.com/?rd={url}&x=1\"";
    check(&policy(url, "match: { hosts: [\"*\"] }"), &request, JSON);
    check(&policy(url, "mode: enforce"), &request, JSON);
    check(
        &policy(url, "match: { hosts: [\"*\", shop.example.com] }"),
        &request,
        JSON,
    );
    check(
        &policy("url: \"https://login.example.com/\"", "mode: enforce"),
        &request,
        &redirect(302, "").replace("?rd=&x=1", ""),
    );
}

#[test]
fn for_the_statuses_it_names() {
    let policy = policy(
        "url: \"https://login/\", status: [401, 403]",
        "require: { groups: { any_of: [ops] } }, anonymous: allow_missing",
    );
    let with = format!("GET / | authorization: a | {PAGE}");
    answered(
        &policy,
        &with,
        "401 | set-cookie: a=1",
        "r: refuse 302 denied/service; unauthenticated: the credential was not accepted; location=https://login/",
    );
    answered(&policy, &with, "403", "r: refuse 302 denied/service; …");
    answered(&policy, &with, "404 | > no", "r: refuse 404 denied/service; > no");
    answered(
        &policy,
        &with,
        "200 | x-auth-user: ann",
        "r: refuse 302 forbidden/groups account/ann; …",
    );
    answered(&policy, &with, "timeout", "r: refuse 503 auth_unavailable/timeout; …");
    check(
        &policy,
        &format!("GET / | {PAGE}"),
        "r: refuse 302 unauthenticated/groups; …",
    );
    check(&policy, &format!("GET // | {PAGE}"), "r: refuse 400 …");
}

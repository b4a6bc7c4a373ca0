//! Keys and certificates that the gate checks itself, alone and several in one rule.

use crate::text::{answered, check};

/// `live-1` and `live-2` are acme's, `old` has expired a second ago, `last` expires in a second.
const POLICY: &str = r#"
version: 1
listener: { verified_peers: true }
log: { query: [page] }
identity: { headers: { x-user-id: "{subject}", x-tenant: "{claims.tenant}", x-by: "{authenticator}" } }
authenticators:
  partner:
    api_key:
      from: [{ header: x-api-key }, { header: authorization, prefix: "ApiKey " }, { cookie: key }, { query: api_key }]
      keys:
        inline:
        - { id: acme-1, sha256: "b76bcdde9d20f2551ea1a43fa5c104f5c5779fcf7ab86e891fd8265a29b34789", subject: acme, groups: [partners], scopes: [orders.read], claims: { tenant: a } }
        - { id: acme-2, sha256: "d1a6be6f8744065664b8b3274c870fe63cc711987092395a0dcf5c5dd5995ffa", subject: acme }
        - { id: old, sha256: "cba06b5736faf67e54b07b561eae94395e774c517a7d910a54369e1263ccfbd4", subject: bob, expires: "2026-11-30T23:59:59Z" }
        - { id: now, sha256: "ed5eb9a37e2d8231af3388319b941995f6dc8755c56043d0cc52b5fe405a87de", subject: bob, expires: "2026-12-01T01:00:00+01:00" }
        - { id: last, sha256: "3547cb112ac4489af2310c0626cdba6f3097a2ad5a3b42ddd3b59c76c7a079a3", subject: bob, expires: "2026-12-01T00:00:01Z" }
  kept:
    api_key: { from: [{ header: x-kept }, { query: kept }], forward: true, keys: { inline: [{ id: k, sha256: "b76bcdde9d20f2551ea1a43fa5c104f5c5779fcf7ab86e891fd8265a29b34789", subject: kim }] } }
  remote:
    api_key: { from: [{ header: x-remote }], keys: { remote: { service: "keys:80", path: /keys } } }
  workload:
    mtls: { peers: ["cluster.local/ns/shop/sa/*"] }
  batch:
    mtls: { peers: ["cluster.local/ns/batch/sa/*"], verified_by_listener: true }
  employee:
    jwt: { issuer: i, audiences: any, keys: { remote: { service: "id:443", path: /jwks.json } }, from: [{ header: authorization, prefix: "Bearer " }, { query: access_token }] }
  edge:
    gate: { header: x-identity, issuer: meshgate, audience: mesh, keys: { remote: { service: "edge:80", path: /jwks.json } } }
  account:
    callout: { protocol: ext_authz_http, cluster: auth, timeout: 500ms, credential: ["header:authorization", "cookie:sid"], principal: { subject: x-auth-user }, on_failure: deny }
rules:
- { name: public, match: { hosts: ["*"], paths: ["/public/**"] }, authenticate: none }
- { name: key, match: { paths: ["/key/**"] }, authenticate: [partner] }
- { name: missing, match: { paths: ["/missing/**"] }, authenticate: [partner], anonymous: allow_missing }
- { name: failed, match: { paths: ["/failed/**"] }, authenticate: [partner], anonymous: allow_missing_or_failed }
- { name: may, match: { paths: ["/may/**"] }, authenticate: [partner, workload], anonymous: allow_missing, require: { groups: { any_of: [partners] } } }
- { name: kept, match: { paths: ["/kept/**"] }, authenticate: [kept] }
- { name: remote, match: { paths: ["/remote/**"] }, authenticate: [remote] }
- { name: peer, match: { paths: ["/peer/**"] }, authenticate: [workload] }
- { name: peers, match: { paths: ["/peers/**"] }, authenticate: [workload, batch], anonymous: allow_missing }
- { name: token, match: { paths: ["/token/**"] }, authenticate: [employee] }
- { name: gated, match: { paths: ["/gated/**"] }, authenticate: [edge] }
- { name: all, match: { paths: ["/all/**"] }, authenticate: [edge, workload, partner, account] }
- { name: by, match: { paths: ["/by/**"] }, authenticate: [workload, partner], require: { authenticators: [partner] } }
"#;

#[track_caller]
fn row(request: &str, expected: &str) {
    check(&policy(), request, expected);
}

fn policy() -> String {
    POLICY.to_owned()
}

const ACME: &str = "forward allowed partner/acme by acme-1";
const SET: &str = "set x-user-id=acme; set x-tenant=a; set x-by=partner";

#[test]
fn a_key_says_who_calls() {
    row(
        "GET /key/ | x-api-key: live-1",
        &format!("key: {ACME}; remove x-api-key; {SET}"),
    );
    row(
        "GET /key/ | authorization: ApiKey live-1",
        &format!("key: {ACME}; remove authorization; {SET}"),
    );
    row(
        "GET /key/ | authorization: apikey  live-1",
        &format!("key: {ACME}; remove authorization; {SET}"),
    );
    row(
        "GET /key/ | cookie: a=1; key=live-1",
        &format!("key: {ACME}; set cookie=a=1; {SET}"),
    );
    row(
        "GET /key/?page=2&api_key=live-1",
        &format!("key: {ACME}; set :path=/key/?page=2; {SET}"),
    );
    // One caller may have several keys.
    row(
        "GET /key/ | x-api-key: live-2",
        "key: forward allowed partner/acme by acme-2; remove x-api-key; set x-user-id=acme; set x-by=partner",
    );
}

#[test]
fn a_key_that_is_no_good() {
    let refused = |request: &str, why: &str| {
        row(
            &format!("GET /key/{request}"),
            &format!(
                "key: refuse 401 denied/{why}; unauthenticated: the credential was not accepted; www-authenticate=ApiKey"
            ),
        );
    };
    refused(" | x-api-key: live-3", "unknown_key");
    refused(" | x-api-key: LIVE-1", "unknown_key");
    refused("?api_key=live-3", "unknown_key");
    refused(&format!(" | x-api-key: {}", "a".repeat(60_000)), "unknown_key");
    // The digest that stands in the policy is no key.
    refused(
        " | x-api-key: b76bcdde9d20f2551ea1a43fa5c104f5c5779fcf7ab86e891fd8265a29b34789",
        "unknown_key",
    );
    refused(" | x-api-key: old", "expired_key by old");
    refused(" | x-api-key: now", "expired_key by now");
    refused(" | authorization: ApiKey", "empty_credential");
    row(
        "GET /key/ | x-api-key: last",
        "key: forward allowed partner/bob by last…",
    );
    row(
        "POST /key/ | content-type: application/grpc | x-api-key: old",
        "key: refuse 401 denied/expired_key by old; grpc 16 the credential was not accepted; www-authenticate=ApiKey",
    );
}

/// What is empty holds nothing, and another scheme is another authenticator's.
#[test]
fn no_key() {
    for request in [
        "",
        " | x-api-key: ",
        " | cookie: key=; a=1",
        "?api_key=&page=1",
        "?API_KEY=live-1",
    ] {
        row(
            &format!("GET /key/{request}"),
            "key: refuse 401 unauthenticated/no_credential; unauthenticated: this needs a credential; www-authenticate=ApiKey",
        );
    }
    row(
        "GET /key/ | authorization: Basic YTpi",
        "key: refuse 401 unauthenticated/no_credential…",
    );
}

#[test]
fn what_could_be_two_keys() {
    let two = |request: &str, place: &str| {
        row(
            &format!("GET /key/{request}"),
            &format!(
                "key: refuse 400 bad_request/ambiguous_credential; bad_request: not one readable credential in {place}"
            ),
        );
    };
    two(" | x-api-key: live-1 | x-api-key: live-1", "header x-api-key");
    two(" | x-api-key: live-1,live-2", "header x-api-key");
    two(" | authorization: ApiKey live-1,ApiKey live-2", "header authorization");
    two(" | cookie: key=live-1; key=live-2", "cookie key");
    two("?api_key=live-1&api_key=live-2", "query parameter api_key");
    two("?api_key=live-1&%61pi_key=", "query parameter api_key");
    two("?api_key=%ff", "query parameter api_key");
    two("?api_key=live-2 | x-api-key: live-1", "query parameter api_key");
    row("GET /key/?api_key=live-1 | x-api-key: live-1", &format!("key: {ACME}…"));
}

#[test]
fn nobody() {
    let (none, bad) = ("", " | x-api-key: live-3");
    for (rule, request, expected) in [
        ("key", none, "refuse 401 unauthenticated/no_credential"),
        ("key", bad, "refuse 401 denied/unknown_key"),
        ("missing", none, "forward anonymous"),
        ("missing", bad, "refuse 401 denied/unknown_key"),
        ("failed", none, "forward anonymous"),
        ("failed", bad, "forward anonymous/unknown_key; remove x-api-key"),
        (
            "failed",
            " | x-api-key: old",
            "forward anonymous/expired_key by old; remove x-api-key",
        ),
        (
            "may",
            none,
            "refuse 401 unauthenticated/groups; unauthenticated: this needs a known caller; www-authenticate=ApiKey",
        ),
    ] {
        let whole = if expected.contains(';') || rule != "key" && expected.starts_with("forward") {
            ""
        } else {
            "…"
        };
        row(&format!("GET /{rule}/{request}"), &format!("{rule}: {expected}{whole}"));
    }
    row(
        "GET /failed/ | x-api-key: a,b",
        "failed: refuse 400 bad_request/ambiguous_credential…",
    );
    row(
        "GET /may/ | x-api-key: live-1",
        "may: forward allowed partner/acme by acme-1…",
    );
    row(
        "GET /may/ | x-api-key: live-2",
        "may: refuse 403 forbidden/groups partner/acme by acme-2; forbidden: the caller may not do this",
    );
}

#[test]
fn a_certificate_says_who_calls() {
    let shop = "@peer spiffe://cluster.local/ns/shop/sa/cart";
    row(
        &format!("GET /peer/ | {shop}"),
        "peer: forward allowed workload/spiffe://cluster.local/ns/shop/sa/cart; \
         set x-user-id=spiffe://cluster.local/ns/shop/sa/cart; set x-by=workload",
    );
    let missing = |cause: &str| {
        format!(
            "peer: refuse 401 unauthenticated/{cause}; unauthenticated: this needs a credential; www-authenticate=ClientCertificate"
        )
    };
    row("GET /peer/", &missing("no_credential"));
    row(
        "GET /peer/ | @peer spiffe://cluster.local/ns/pay/sa/cart",
        &missing("unknown_peer"),
    );
    row(
        "GET /peer/ | @peer spiffe://cluster.local/ns/shop/sa/cart/x",
        &missing("unknown_peer"),
    );
    row(
        "GET /peer/ | @peer cluster.local/ns/shop/sa/cart",
        &missing("unknown_peer"),
    );
    // What a header says of a certificate is its sender's word.
    row(
        "GET /peer/ | x-forwarded-client-cert: URI=spiffe://cluster.local/ns/shop/sa/cart",
        &missing("no_credential"),
    );
}

/// A certificate is there whoever it is meant for: one that no authenticator of the rule takes is
/// as none.
#[test]
fn a_certificate_of_somebody_else() {
    let of = |namespace: &str| format!("@peer spiffe://cluster.local/ns/{namespace}/sa/a");
    let (shop, batch, gateway) = (of("shop"), of("batch"), of("ingress"));
    row(
        &format!("GET /peers/ | {shop}"),
        "peers: forward allowed workload/spiffe://cluster.local/ns/shop/sa/a…",
    );
    row(
        &format!("GET /peers/ | {batch}"),
        "peers: forward allowed batch/spiffe://cluster.local/ns/batch/sa/a…",
    );
    row(
        &format!("GET /peers/ | {gateway}"),
        "peers: forward anonymous/unknown_peer",
    );
    row("GET /peers/", "peers: forward anonymous");
    row(
        &format!("GET /all/ | {gateway} | x-api-key: live-1"),
        "all: forward allowed partner/acme by acme-1; remove x-api-key…",
    );
    row(
        &format!("GET /all/ | {gateway} | x-api-key: live-3"),
        "all: refuse 401 denied/unknown_key…",
    );
    row(&format!("GET /all/ | {gateway} | cookie: sid=1"), "ask auth…");
    answered(
        &policy(),
        &format!("GET /all/ | {gateway} | cookie: sid=1"),
        "200 | x-auth-user: ann",
        "all: forward allowed account/ann; remove cookie; set x-user-id=ann; set x-by=account",
    );
    row(
        &format!("GET /all/ | {gateway}"),
        "all: refuse 401 unauthenticated/unknown_peer; unauthenticated: this needs a credential; www-authenticate=ApiKey",
    );
}

/// The first whose credential is there decides, in the order of the rule.
#[test]
fn order() {
    let shop = "@peer spiffe://cluster.local/ns/shop/sa/cart";
    row(
        &format!("GET /all/ | {shop} | x-api-key: live-3 | cookie: sid=1"),
        "all: forward allowed workload/spiffe…",
    );
    row(
        "GET /all/ | x-api-key: live-1 | cookie: sid=1",
        "all: forward allowed partner/acme by acme-1; remove x-api-key; remove cookie…",
    );
    row(
        "GET /all/ | x-api-key: live-3 | cookie: sid=1",
        "all: refuse 401 denied/unknown_key…",
    );
    row("GET /all/ | authorization: Bearer a", "ask auth…");
    row(
        "GET /all/ | authorization: ApiKey live-1",
        "all: forward allowed partner/acme by acme-1…",
    );
    row("GET /all/", "all: refuse 401 unauthenticated/no_credential…");
    // What an earlier one cannot read, no later one is asked about.
    row(
        "GET /all/ | x-api-key: a,b | cookie: sid=1",
        "all: refuse 400 bad_request/ambiguous_credential…",
    );
    row(
        &format!("GET /by/ | {shop} | x-api-key: live-1"),
        "by: refuse 403 forbidden/authenticators workload/spiffe…",
    );
    row(
        "GET /by/ | x-api-key: live-1",
        "by: forward allowed partner/acme by acme-1…",
    );
}

/// Without its keys a credential is neither good nor bad.
#[test]
fn keys_that_are_not_there() {
    let unavailable =
        "refuse 503 auth_unavailable/keys_unavailable; auth_unavailable: who calls cannot be found out right now";
    row("GET /remote/ | x-remote: live-1", &format!("remote: {unavailable}"));
    // {"alg":"RS256"} and {"iss":"i"}, and the gate's {"iss":"meshgate"}.
    let (token, assertion) = (
        "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJpIn0.AA",
        "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJtZXNoZ2F0ZSJ9.AA",
    );
    row(
        &format!("GET /token/ | authorization: Bearer {token}"),
        &format!("token: {unavailable}"),
    );
    row(
        &format!("GET /token/?access_token={token}"),
        &format!("token: {unavailable}"),
    );
    row(
        &format!("GET /gated/ | x-identity: {assertion}"),
        &format!("gated: {unavailable}"),
    );
    let missing =
        "refuse 401 unauthenticated/no_credential; unauthenticated: this needs a credential; www-authenticate=";
    row("GET /remote/", &format!("remote: {missing}Key"));
    row("GET /token/", &format!("token: {missing}Bearer"));
    row(
        "GET /token/ | authorization: Basic YTpi",
        &format!("token: {missing}Bearer"),
    );
    row("GET /gated/", &format!("gated: {missing}Bearer"));
    row(
        "GET /token/ | authorization: Bearer",
        "token: refuse 401 denied/empty_credential; unauthenticated: the credential was not accepted; www-authenticate=Bearer error=\"invalid_token\"",
    );
}

/// Every place of every authenticator, on every rule; assertions in every spelling.
#[test]
fn credentials_stop_here() {
    let all = "?api_key=live-1&page=1&access_token=t&kept=k | x-api-key: a | x.api.key: b | authorization: Bearer t | cookie: key=1; sid=2; b=3 | x-kept: k | x-identity: i | x_identity: j";
    let gone = "remove x-identity; remove x_identity; remove x-api-key; remove x.api.key; remove authorization";
    row(
        &format!("GET /public/{all}"),
        &format!("public: forward public; {gone}; set :path=/public/?page=1&kept=k; set cookie=b=3"),
    );
    row(
        "GET /kept/?kept=live-1&api_key=live-1 | x-api-key: live-1 | x-kept: live-1",
        "kept: forward allowed kept/kim by k; remove x-api-key; set :path=/kept/?kept=live-1; set x-user-id=kim; set x-by=kept",
    );
    // What an authenticator forwards, no rule withholds.
    row(
        "GET /missing/?kept=live-1&page=1 | x-kept: live-1",
        "missing: forward anonymous",
    );
}

/// Rules match the query as it came; the upstream sees the one form of the path, without credentials.
#[test]
fn the_query_is_cut_for_the_upstream_only() {
    let policy = r#"
version: 1
authenticators:
  partner: { api_key: { from: [{ query: key }], keys: { inline: [{ id: k, sha256: "b76bcdde9d20f2551ea1a43fa5c104f5c5779fcf7ab86e891fd8265a29b34789", subject: acme }] } } }
rules:
- { name: keyed, match: { query: [{ name: key, present: true }] }, authenticate: [partner] }
- { name: rest, refuse: 404 }
"#;
    for (target, path) in [
        ("/?key=live-1", "/"),
        ("/?key=live-1&a=%2F&&b", "/?a=%2F&&b"),
        ("/?a=1&k%65y=live%2D1", "/?a=1"),
        ("/%6Frders?key=live-1", "/orders"),
        ("/a?key=live-1&", "/a"),
    ] {
        check(
            policy,
            &format!("GET {target}"),
            &format!("keyed: forward allowed partner/acme by k; set :path={path}"),
        );
    }
    check(policy, "GET /?Key=live-1", "rest: refuse 404 closed/refuse…");
}

/// A browser that signs in does not carry its credential to the sign-in page.
#[test]
fn a_sign_in_page_is_told_no_credential() {
    let policy = r#"
version: 1
authenticators:
  partner: { api_key: { from: [{ query: key }], keys: { inline: [{ id: k, sha256: "b76bcdde9d20f2551ea1a43fa5c104f5c5779fcf7ab86e891fd8265a29b34789", subject: acme }] } } }
  account:
    callout: { protocol: ext_authz_http, cluster: auth, timeout: 500ms, credential: ["cookie:sid"], principal: { subject: x-auth-user }, on_failure: deny, on_deny: { sign_in: { url: "https://login/?rd={url}" } } }
rules:
- { name: r, match: { hosts: [shop.example.com] }, authenticate: [partner, account] }
"#;
    check(
        policy,
        "GET /a?key=live-3&b=1 | sec-fetch-mode: navigate",
        "r: refuse 302 denied/unknown_key; unauthenticated: the credential was not accepted; location=https://login/?rd=https%3A%2F%2Fshop.example.com%2Fa%3Fb%3D1",
    );
}

//! What a person reads.

use meshgate::config::yaml;
use meshgate::explain::{Asked, Known, Local, Replied, Who, World, explain, json, text};
use meshgate::time::UnixTime;

const POLICY: &str = r#"
version: 1
revision: r7
listener: { verified_peers: true }
authenticators:
  partner: { api_key: { from: [{ header: x-api-key }], keys: { remote: { cluster: keys, path: /keys.json, timeout: 1s } } } }
  account:
    callout:
      protocol: ext_authz_http
      cluster: auth
      timeout: 500ms
      credential: ["header:authorization", "cookie:session"]
      principal: { subject: x-auth-user, groups: { header: x-auth-groups, split: "," } }
      on_failure: deny
identity: { headers: { x-user-id: "{subject}" } }
rules:
- { name: health, match: { hosts: [shop.example.com], paths: [/healthz] }, authenticate: none }
- { name: elsewhere, match: { hosts: [a.example.com, "*.b.example.com"] }, refuse: 404 }
- name: beta
  match:
    hosts: ["*.example.com"]
    paths: ["/orders/**", "/v*/{tenant}"]
    methods: [POST]
    headers: [{ name: x-beta, exact: "1" }, { name: authorization, prefix: "Bearer s3cret" }]
    client_ip: [10.0.0.0/8]
    peers: ["cluster.local/ns/shop/sa/*"]
  authenticate: [account]
- { name: trial, mode: shadow, match: { paths: ["/orders/**"] }, refuse: 403 }
- name: orders
  match: { hosts: [shop.example.com], paths: ["/orders/**"], not: { paths: ["/orders/admin/**"] } }
  authenticate: [partner, account]
  require: { groups: { any_of: [ops, sales] }, claims: { tenant: acme } }
- { name: admin, match: { hosts: [shop.example.com] }, authenticate: [account], require: { groups: { any_of: [ops] } } }
"#;

fn world() -> World {
    World::new(yaml::parse(POLICY).expect("a policy").policy, Local::default()).expect("a world")
}

#[track_caller]
fn check(line: &str, headers: &[&str], who: &Who, expected: &str) {
    let asked = Asked::parse(line, headers.iter().copied()).expect("a request");
    let explanation = explain(&world(), &asked, who).expect("explained");
    let said = text(&explanation, false);
    let same = said
        .lines()
        .map(str::trim_end)
        .eq(expected.trim_start_matches('\n').lines().map(str::trim_end));
    assert!(same, "\n{said}\n!=\n{expected}");
}

#[test]
fn why_earlier_rules_did_not_match_and_what_would_be_asked() {
    check(
        "GET https://Shop.example.com:443/%6frders/1",
        &["Cookie: session=a; theme=b", "x-user-id: root"],
        &Who::Shown,
        r#"
GET https://Shop.example.com:443/%6frders/1
  revision  r7
  removed   x-user-id
  removed   a part of cookie
  host      shop.example.com
  path      /orders/1
  not       health (1): path is not /healthz
  not       beta (3): method GET is not POST; header x-beta is not exact "1"; header authorization is not prefix ******; client ip unknown is not in 10.0.0.0/8; peer unknown is not cluster.local/ns/shop/sa/*
  not       trial (4) (shadow): matches, and the search goes on
  not       elsewhere (2): of another host
  rule      orders (5 of 6) authenticate: [partner, account], anonymous: deny
  known     partner (api_key) not mine: none of its places holds a credential of its own
  known     account (callout) asks: cluster auth with the credential
  would ask cluster auth, 500 ms
            :method: GET
            :path: /orders/1
            :authority: shop.example.com:443
            cookie: session=******
            content-length: 0
  require   groups any_of [ops, sales]: is asked
  require   claim tenant any_of [acme]: is asked
  verdict   undecided: it depends on what the service of account answers
"#,
    );
}

#[test]
fn which_part_of_a_require_does_not_hold() {
    check(
        "GET https://shop.example.com/orders/1",
        &[],
        &Who::Known(Known::parse("subject=ann,groups=sales,authenticator=account").expect("a caller")),
        r#"
GET https://shop.example.com/orders/1
  revision  r7
  host      shop.example.com
  path      /orders/1
  not       health (1): path is not /healthz
  not       beta (3): method GET is not POST; header x-beta is not exact "1"; header authorization is not prefix ******; client ip unknown is not in 10.0.0.0/8; peer unknown is not cluster.local/ns/shop/sa/*
  not       trial (4) (shadow): matches, and the search goes on
  not       elsewhere (2): of another host
  rule      orders (5 of 6) authenticate: [partner, account], anonymous: deny
  shadow    trial would say closed
  known     account (callout) given: the caller is given: nothing that the request shows was looked at
  caller    ann of account
            groups: sales
  require   groups any_of [ops, sales]: met
  require   claim tenant any_of [acme]: not met
  verdict   answered 403: forbidden (claims)
            content-type: application/json
            cache-control: no-store
            {"error":"forbidden","message":"the caller may not do this","request_id":""}
"#,
    );
}

#[test]
fn what_the_upstream_sees() {
    check(
        "GET https://shop.example.com/orders/admin/1",
        &["authorization: Bearer t", "x-user-id: root"],
        &Who::Answered(Replied::parse(b"HTTP/1.1 200 OK\nx-auth-user: ann\nx-auth-groups: ops\n").expect("a reply")),
        r#"
GET https://shop.example.com/orders/admin/1
  revision  r7
  removed   x-user-id, authorization
  host      shop.example.com
  path      /orders/admin/1
  not       health (1): path is not /healthz
  not       beta (3): method GET is not POST; header x-beta is not exact "1"; header authorization is not prefix ******; client ip unknown is not in 10.0.0.0/8; peer unknown is not cluster.local/ns/shop/sa/*
  not       trial (4) (shadow): matches, and the search goes on
  not       orders (5): its `not` takes the request away: path /orders/admin/**
  not       elsewhere (2): of another host
  rule      admin (6 of 6) authenticate: [account], anonymous: deny
  shadow    trial would say closed
  known     account (callout) asks: cluster auth with the credential
  asked     cluster auth, 500 ms
            :method: GET
            :path: /orders/admin/1
            :authority: shop.example.com
            authorization: ******
            content-length: 0
  answered  200
  caller    ann of account
            groups: ops
  require   groups any_of [ops]: met
  upstream  - x-user-id
  upstream  - authorization
  upstream  = x-user-id: ann
  verdict   goes on: allowed
"#,
    );
}

#[test]
fn keys_that_the_proxy_would_fetch_are_missing_or_given() {
    let asked = Asked::parse("https://shop.example.com/orders/1", ["x-api-key: k3y"]).expect("a request");
    let explanation = explain(&world(), &asked, &Who::Shown).expect("explained");
    assert_eq!(explanation.verdict.decision, "undecided");
    assert_eq!(
        explanation.verdict.missing.as_deref(),
        Some("the keys of partner, which the proxy has")
    );
    let list = r#"[{ "id": "k", "subject": "acme", "sha256": "a49b1287870c10a76f1f46552aca4431842ced5dedf0ee3f28ffa12855a4e86a" }]"#;
    let with = |name: &str, list: &str| {
        let local = Local {
            documents: vec![(name.to_owned(), list.as_bytes().to_vec())],
            ..Local::default()
        };
        World::new(yaml::parse(POLICY).expect("a policy").policy, local)
    };
    let explanation = explain(&with("partner", list).expect("a world"), &asked, &Who::Shown).expect("explained");
    assert_eq!(explanation.verdict.subject.as_deref(), Some("acme"));
    assert_eq!(explanation.verdict.cause, "groups");
    for (name, list) in [("partner", "{"), ("account", list), ("nobody", list)] {
        assert!(with(name, list).is_err(), "{name}");
    }
}

#[test]
fn who_is_not_asked_is_told() {
    let asked = Asked::parse("https://shop.example.com/x", []).expect("a request");
    let who = Who::Known(Known::parse("subject=a,authenticator=partner").expect("a caller"));
    assert_eq!(
        explain(&world(), &asked, &who).expect_err("not asked"),
        "rule admin does not ask partner"
    );
    let asked = Asked::parse("https://shop.example.com/healthz", []).expect("a request");
    let explanation = explain(&world(), &asked, &who).expect("explained");
    assert_eq!(
        explanation.notes,
        ["nobody is asked who calls: what was given is not used"]
    );
}

/// Before a schedule begins, without coverage, and for whoever asks for a variant and may not.
#[test]
fn why_a_caller_takes_no_part() {
    let policy = "\
version: 1
authenticators:
  account: { callout: { protocol: ext_authz_http, cluster: auth, timeout: 1s, principal: { subject: x-user, groups: x-groups }, on_failure: deny } }
rules: [{ name: all, match: { hosts: [a.test], paths: [\"/**\"] }, authenticate: [account], experiments: [later, closed] }]
experiments:
  later: { unit: [subject], header: x-later, variants: [{ name: a }], schedule: [{ at: \"2026-12-01T01:00:00+01:00\", coverage: 100% }] }
  closed: { unit: [subject], header: x-closed, variants: [{ name: a }], coverage: 0%, force: { header: x-force, query: force, require: { groups: { any_of: [qa] } } } }
";
    let why = |at: &str, line: &str, headers: &[&str], who: &str| -> Vec<String> {
        let now = UnixTime::parse(at).expect("a time");
        let local = Local {
            now,
            ..Local::default()
        };
        let world = World::new(yaml::parse(policy).expect("a policy").policy, local).expect("a world");
        let asked = Asked::parse(line, headers.iter().copied()).expect("a request");
        let who = Who::Known(Known::parse(who).expect("a caller"));
        let explanation = explain(&world, &asked, &who).expect("explained");
        explanation.experiments.into_iter().map(|one| one.why).collect()
    };
    let (before, after) = ("2026-11-30T23:59:59Z", "2026-12-01T00:00:00Z");
    let nobody = "coverage is 0%: nobody takes part";
    assert_eq!(
        why(before, "https://a.test/", &[], "subject=ann"),
        ["the schedule begins at 2026-12-01T00:00:00Z", nobody]
    );
    let begun = why(after, "https://a.test/", &[], "subject=ann");
    assert!(begun[0].ends_with("is in 0 to 1"), "{begun:?}");
    let refused = format!("{nobody}; a is asked for, by a caller who does not meet force.require");
    assert_eq!(
        why(after, "https://a.test/", &["x-force: a"], "subject=ann")[1],
        refused
    );
    assert_eq!(why(after, "https://a.test/?force=a", &[], "subject=ann")[1], refused);
    assert_eq!(why(after, "https://a.test/", &["x-force: b"], "subject=ann")[1], nobody);
    assert_eq!(
        why(after, "https://a.test/", &["x-force: a"], "subject=ann,groups=qa")[1],
        "forced by the caller, who may"
    );
}

#[test]
fn a_terminal_is_not_spoken_to() {
    let who = Who::Answered(Replied::parse(b"403\nx-a: \x1b[2J\n\n\x1b[31mno\x07\n").expect("a reply"));
    let asked =
        Asked::parse("https://shop.example.com/x", ["authorization: a", "x-b: \u{202e}evil"]).expect("a request");
    let explanation = explain(&world(), &asked, &who).expect("explained");
    let said = text(&explanation, true);
    assert!(said.chars().all(|c| c == '\n' || !c.is_control()), "{said:?}");
    assert!(!json(&explanation).contains('\x1b'));
}

/// 40 teams of 80 rules.
#[test]
fn thousands_of_rules_are_explained_at_once() {
    let mut policy = POLICY.replace("rules:\n", "rules:\n#");
    policy.truncate(policy.find("rules:\n").expect("rules") + "rules:\n".len());
    for team in 0..40 {
        for rule in 0..80 {
            policy += &format!(
                "- {{ name: t{team}/r{rule}, match: {{ hosts: [t{team}.example.com], paths: [\"/r{rule}/**\"], methods: [GET] }}, authenticate: [account] }}\n"
            );
        }
    }
    let world = World::new(yaml::parse(&policy).expect("a policy").policy, Local::default()).expect("a world");
    let asked = Asked::parse("https://t39.example.com/r79/a", []).expect("a request");
    let start = std::time::Instant::now();
    let explanation = explain(&world, &asked, &Who::Shown).expect("explained");
    let took = start.elapsed();
    assert_eq!(explanation.earlier.len(), 3199);
    assert!(text(&explanation, false).lines().count() < 100);
    println!("3,200 rules explained in {took:?}");
    // A debug build on a busy machine; what a release takes stands in docs/explain.md.
    assert!(took.as_secs() < 10, "{took:?}");
}

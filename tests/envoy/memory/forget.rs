//! What makes the filter forget, at once.
use super::*;

const RULES: &str = r#"
rules:
- { name: logout, match: { hosts: ["*"], paths: [/logout] }, forget: credential }
- name: forget
  match: { hosts: ["*"], paths: [/forget], methods: [POST] }
  require: { groups: { any_of: [ops] } }
  forget: requested
- { name: all, match: { hosts: ["*"], paths: ["/**"] } }
"#;

fn gate() -> Gate {
    direct(policy(
        "5s",
        "ttl: 1h, ignore: [method, path, query], stale_if_error: 1h",
        "",
        RULES,
    ))
    .auth(|request| match request.header("authorization").unwrap_or_default() {
        token if token == "root" => knows(request).header("x-auth-groups", "ops"),
        _ => knows(request),
    })
    .start()
}

/// Who is asked for anew out of these.
fn asked(gate: &Gate, tokens: &[&str]) -> Vec<String> {
    gate.auth.clear();
    for token in tokens {
        assert_eq!(gate.send(&from(token)).status, 200, "{token}");
    }
    let asked = gate.auth.received();
    asked
        .iter()
        .map(|request| request.header("authorization").unwrap())
        .collect()
}

#[test]
fn a_logout_forgets() {
    let gate = gate();
    assert_eq!(asked(&gate, &["ada", "bob", "ada"]), ["ada", "bob"]);
    assert_eq!(gate.send(&get("/logout").header("authorization", "ada")).status, 200);
    assert_eq!(asked(&gate, &["ada", "bob"]), ["ada"]);
    // Not even while the service is away.
    assert_eq!(gate.send(&get("/logout").header("authorization", "ada")).status, 200);
    gate.auth.stop();
    assert_eq!(gate.send(&from("ada")).status, 503);
    assert_eq!(gate.send(&from("bob")).status, 200);
}

#[test]
fn an_operator_forgets() {
    let gate = gate();
    let forget = |query: &str, who: &str| gate.send(&post(format!("/forget?{query}"), "").header("authorization", who));
    assert_eq!(asked(&gate, &["ada", "bob", "root"]), ["ada", "bob", "root"]);
    assert_eq!(forget("all=true", "bob").status, 403);
    assert_eq!(forget("everything=1", "root").status, 400);
    assert_eq!(asked(&gate, &["ada", "bob"]), [""; 0]);
    let done = forget("subject=bob", "root");
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(seen(&done), "", "the filter answers itself");
    assert_eq!(asked(&gate, &["ada", "bob", "root"]), ["bob"]);
    assert_eq!(forget("all=true", "root").status, 200);
    assert_eq!(asked(&gate, &["ada", "bob", "root"]), ["ada", "bob", "root"]);
}

#[test]
fn the_service_says_so() {
    let gate = gate();
    assert_eq!(asked(&gate, &["ada", "bob"]), ["ada", "bob"]);
    gate.auth
        .answer(|request| knows(request).header("x-meshgate-epoch", "7; ada"));
    assert_eq!(asked(&gate, &["new", "bob", "ada"]), ["new", "ada"]);
    gate.auth
        .answer(|request| knows(request).header("x-meshgate-epoch", "8"));
    assert_eq!(asked(&gate, &["newer", "ada", "bob"]), ["newer", "ada", "bob"]);
    // What was asked within the millisecond of the order is asked once more.
    until("an epoch that is known to make nobody forget", SHORT, || {
        asked(&gate, &["newer", "ada", "bob"]).is_empty().then_some(())
    });
}

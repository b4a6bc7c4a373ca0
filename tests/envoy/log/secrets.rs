//! Secrets planted everywhere a caller, a service or an operator may put them.
use super::*;

/// What follows it is a secret wherever it stands.
const MARK: &str = "s3cr3t";

fn planted(place: &str) -> String {
    format!("{MARK}-{place}")
}

#[test]
fn credentials_cookies_and_query_values_are_told_nowhere() {
    let gate = Gate::builder()
        .policy(asking(
            "credential: ['header:authorization', 'header:x-key', 'cookie:session']
send: { headers: [x-note] }
accept: { headers: [x-auth-token], to_client: [set-cookie] }",
            "log: { query: [page], access: [rule, outcome, cause, subject] }",
        ))
        .access_log(access_log())
        .component_log_level("wasm:debug")
        .start();
    let replies: [fn(&Received) -> Reply; 5] = [
        |_| {
            alice()
                .header("x-auth-token", planted("token"))
                .header("set-cookie", planted("set"))
        },
        |_| {
            Reply::status(401)
                .header("set-cookie", planted("denied"))
                .body(planted("page"))
        },
        |_| {
            Reply::status(500)
                .header("x-debug", planted("debug"))
                .body(planted("trace"))
        },
        |_| {
            Reply::ok()
                .header("x-auth-user", "")
                .header("x-auth-token", planted("token"))
        },
        |_| Reply::raw(format!("{}\r\n\r\n", planted("garbage"))),
    ];
    let secret = planted("query");
    let targets = [
        format!("/q?token={secret}&page=7"),
        format!("/q?{secret}"),
        format!("/q?page=7&{secret}=&a={secret}").replace(&format!("{secret}="), "b="),
        format!("/q?p%61ge=8&Page={secret}"),
        format!("/q?page=7&=&&x={secret}?page={secret}"),
    ];
    for reply in replies {
        gate.auth.answer(reply);
        for target in &targets {
            for wire in Wire::BOTH {
                let request = post(target, planted("body"))
                    .header("authorization", format!("Bearer {}", planted("bearer")))
                    .header("x-key", planted("key"))
                    .header(
                        "cookie",
                        format!("session={}; other={}", planted("session"), planted("cookie")),
                    )
                    .header("x-note", planted("note"));
                gate.client(wire).send(&request);
            }
        }
    }
    // Two credentials, a path that is refused: what is wrong is told without what was sent.
    let two = get("/q")
        .header("authorization", format!("Bearer {}", planted("a")))
        .header("authorization", planted("b"));
    assert_eq!(gate.send(&two).status, 400);

    let expected = 2 * replies.len() * targets.len() + 1;
    let lines = decisions(&gate, "/q", expected);
    assert_eq!(lines.len(), expected);
    assert_eq!(lines[0]["requestURL"], "http://test/q?token=******&page=7");
    // By its decoded name; names are case-sensitive.
    assert!(
        lines
            .iter()
            .any(|line| line["requestURL"] == "http://test/q?p%61ge=8&Page=******")
    );
    let mut access = gate.access_log(expected);
    // The path is what this test's own access log asks for.
    access.iter_mut().for_each(|line| line["path"] = Value::Null);
    for (what, text) in [
        ("Envoy's log", gate.envoy.log()),
        ("/stats", gate.envoy.get("/stats").text()),
        ("/stats/prometheus", gate.envoy.prometheus()),
        ("the access log", Value::Array(access).to_string()),
    ] {
        let line = text.lines().find(|line| line.contains(MARK));
        assert_eq!(line, None, "{what} tells a secret");
    }
    gate.envoy.assert_no_trap();
}

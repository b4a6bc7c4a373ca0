//! Callers without a unit are given one.

use super::*;
use crate::policies::knows_ada;

const POLICY: &str = r#"
version: 1
authenticators:
  account: { callout: { cluster: auth, protocol: ext_authz_http, timeout: 5s, credential: ["header:authorization"], principal: { subject: x-auth-user }, on_failure: deny } }
experiments:
  checkout:
    unit: ["cookie:mg_unit"]
    header: x-variant
    response_header: x-variant
    variants: [{ name: control, weight: 50% }, { name: blue, weight: 50% }]
    remember: { cookie: mg_unit, max_age: 90d }
rules:
- { name: strict, match: { paths: ["/strict"] }, authenticate: [account], experiments: [checkout] }
- { name: all, match: { hosts: ["*"], paths: ["/**"] }, authenticate: none, experiments: [checkout] }"#;

fn gate() -> Gate {
    Gate::builder().policy(json(POLICY)).auth(knows_ada).workers(2).start()
}

/// Name and value, of a cookie that says what it has to.
#[track_caller]
fn given(response: &Response) -> String {
    let all = response.headers.all("set-cookie");
    let [cookie] = all[..] else { panic!("{all:?}") };
    let cookie = String::from_utf8_lossy(cookie);
    let (pair, rest) = cookie.split_once(';').expect("attributes");
    assert_eq!(rest, " Path=/; Max-Age=7776000; Secure; HttpOnly; SameSite=Lax");
    pair.to_owned()
}

#[test]
fn once_and_it_stays() {
    let gate = gate();
    for wire in Wire::BOTH {
        let first = gate.client(wire).send(&get("/a").header("cookie", "theme=dark"));
        let (pair, variant) = (given(&first), first.header("x-variant").expect("a variant"));
        assert_eq!(first.header("vary").as_deref(), Some("Cookie"));
        let seen = gate.upstream.last();
        assert_eq!(
            seen.header("cookie"),
            Some(format!("{pair}; theme=dark")),
            "the upstream knows it at once"
        );
        assert_eq!(seen.header("x-variant").as_deref(), Some(&*variant));
        for _ in 0..8 {
            let again = gate.client(wire).send(&get("/a").header("cookie", &pair));
            assert_eq!(again.header("x-variant").as_deref(), Some(&*variant));
            assert!(!again.headers.contains("set-cookie"));
            assert_eq!(gate.upstream.last().header("cookie").as_deref(), Some(&*pair));
        }
    }
    gate.envoy.assert_no_trap();
}

#[test]
fn refusals_give_it_and_cacheable_replies_do_not() {
    let gate = gate();
    let refused = gate.send(&get("/strict"));
    assert_eq!(refused.status, 401);
    given(&refused);
    let denied = gate.send(&get("/strict").header("authorization", "Bearer eve"));
    assert_eq!(denied.status, 401);
    given(&denied);

    gate.upstream.answer(|_| {
        Reply::ok()
            .header("cache-control", "public, max-age=60")
            .header("vary", "Accept-Encoding")
            .header("x-variant", "the upstream's own")
    });
    let cacheable = gate.send(&get("/a"));
    assert!(!cacheable.headers.contains("set-cookie"));
    assert_eq!(cacheable.headers.all("vary"), [b"Accept-Encoding, Cookie"]);
    assert_ne!(cacheable.header("x-variant").as_deref(), Some("the upstream's own"));
    assert_eq!(cacheable.headers.all("x-variant").len(), 1);

    gate.upstream.answer(|_| {
        Reply::ok()
            .header("set-cookie", "session=1")
            .header("vary", "Cookie, Accept")
    });
    let both = gate.send(&get("/a"));
    assert_eq!(both.headers.all("vary"), [b"Cookie, Accept"]);
    assert_eq!(both.headers.all("set-cookie").len(), 2, "beside the upstream's own");
}

//! A Lua filter with a callout, out of its EnvoyFilter, and the policy in its place.

use super::{example, policy, seen};
use crate::support::*;
use serde_json::Value;

const CLUSTER: &str = "outbound|8080||auth.platform.svc.cluster.local";

/// Status, the service's request, the upstream's headers.
type Seen = (u16, Option<String>, Option<Vec<Option<String>>>);

struct Pair {
    lua: Gate,
    ours: Gate,
}

fn pair() -> Pair {
    pair_with(|_| ())
}

/// One auth service and one upstream behind both.
fn pair_with(change: impl Fn(&mut Value)) -> Pair {
    let mut filter =
        example("lua/envoyfilter.yaml")["spec"]["configPatches"][0]["patch"]["value"]["typed_config"].take();
    let script = filter["default_source_code"]["inline_string"]
        .as_str()
        .expect("a script");
    assert!(script.contains(CLUSTER) && script.contains("\"\", 500)"));
    // As in the policy: a busy machine may need longer.
    filter["default_source_code"]["inline_string"] = Value::from(script.replace("\"\", 500)", "\"\", 5000)"));
    change(&mut filter);
    let auth = Stub::start(|asked: &Received| match asked.header("authorization").as_deref() {
        Some("Bearer alice") => Reply::ok().header("x-auth-user", "alice"),
        Some("Bearer nameless") => Reply::ok(),
        Some("Bearer banned") => Reply::status(403).body("not you"),
        Some("Bearer broken") => Reply::status(500).body("stack trace"),
        _ => Reply::status(401).body("no"),
    });
    let ours = Gate::builder()
        .policy(policy("lua/policy.yaml"))
        .cluster(gate::cluster(CLUSTER, &[auth.addr()]));
    let ours = ours.auth_stub(auth).start();
    let lua = Gate::builder()
        .filter(filter)
        .cluster(gate::cluster(CLUSTER, &[ours.auth.addr()]))
        .cluster(gate::cluster("upstream", &[ours.upstream.addr()]))
        .start();
    Pair { lua, ours }
}

impl Pair {
    /// What client, service and upstream see of it, by Lua and by the policy.
    fn both(&self, request: &Request) -> [Seen; 2] {
        [&self.lua, &self.ours].map(|gate| {
            self.ours.auth.clear();
            self.ours.upstream.clear();
            let status = gate.send(request).status;
            let asked = self.ours.auth.received();
            let asked = asked.first().map(|a| {
                format!(
                    "{} {} {:?} {:?}",
                    a.method,
                    a.path(),
                    a.header("host"),
                    a.header("authorization")
                )
            });
            let upstream = self.ours.upstream.received();
            let upstream = upstream.first().map(|r| seen(r, &["x-user-id", "authorization"]));
            (status, asked, upstream)
        })
    }
}

#[test]
fn line_by_line_the_same() {
    let pair = pair();
    for (who, status) in [
        (Some("alice"), 200),
        (Some("banned"), 403),
        (Some("nobody"), 401),
        (None, 401),
    ] {
        let mut request = post("/orders?a=b", "body").header("x-user-id", "root");
        if let Some(who) = who {
            request = request.header("authorization", format!("Bearer {who}"));
        }
        let [lua, ours] = pair.both(&request);
        assert_eq!(lua, ours, "{who:?}");
        assert_eq!(ours.0, status);
        assert_eq!(ours.1.is_some(), who.is_some(), "asked about {who:?}");
    }
    let banned = get("/").header("authorization", "Bearer banned");
    assert_eq!(pair.lua.send(&banned).text(), "not you");
    assert_eq!(pair.ours.send(&banned).text(), "not you");
}

/// A variable that the call has outlived: everybody gets in, under the name that he writes.
#[test]
fn a_script_that_keeps_its_headers_lets_everybody_through() {
    let script = |filter: &mut Value| {
        let script = filter["default_source_code"]["inline_string"]
            .as_str()
            .expect("a script");
        let kept = script.replace("handle:headers():re", "headers:re");
        assert_ne!(kept, script);
        filter["default_source_code"]["inline_string"] = Value::from(kept);
    };
    let pair = pair_with(script);
    let request = get("/")
        .header("authorization", "Bearer alice")
        .header("x-user-id", "root");
    let [lua, ours] = pair.both(&request).map(|(status, _, upstream)| (status, upstream));
    let told = |who: &str, token: Option<&str>| (200, Some(vec![Some(who.to_owned()), token.map(str::to_owned)]));
    assert_eq!(lua, told("root", Some("Bearer alice")));
    assert_eq!(ours, told("alice", None));
}

/// An answer without the name: `replace` gets nil, the script ends, and Envoy lets the request go on.
#[test]
fn a_script_that_fails_lets_the_forged_name_through() {
    let pair = pair();
    let [lua, ours] = pair.both(
        &get("/")
            .header("authorization", "Bearer nameless")
            .header("x-user-id", "root"),
    );
    assert_eq!((lua.0, lua.2), (200, Some(vec![Some("root".to_owned()), None])));
    assert_eq!((ours.0, ours.2), (503, None));
}

#[test]
fn another_spelling_of_the_header_stays_with_lua() {
    let pair = pair();
    let forged = get("/")
        .header("authorization", "Bearer alice")
        .header("x_user.id", "root");
    for (gate, left) in [(&pair.lua, Some("root")), (&pair.ours, None)] {
        assert_eq!(gate.send(&forged).status, 200);
        assert_eq!(pair.ours.upstream.last().header("x_user.id").as_deref(), left);
    }
}

/// The service's own failure is a 503 with no page of the service's.
#[test]
fn a_broken_service_is_not_shown() {
    let pair = pair();
    let request = get("/").header("authorization", "Bearer broken");
    let [lua, ours] = [&pair.lua, &pair.ours].map(|gate| gate.send(&request));
    assert_eq!((lua.status, lua.text().as_str()), (500, "stack trace"));
    assert!(ours.status == 503 && !ours.text().contains("stack"), "{}", ours.text());
}

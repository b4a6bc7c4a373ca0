//! Kong's canary, as an experiment of one variant and a route by its header.

use super::{example, policy};
use crate::support::*;
use serde_json::json;

#[test]
fn canary() {
    let kong = example("kong/canary/kong.yaml")["services"][0]["plugins"][1]["config"].clone();
    let policy = policy("kong/canary/policy.yaml");
    let experiment = &policy["experiments"]["orders"];
    assert_eq!(experiment["coverage"], format!("{}%", kong["percentage"]));
    assert_eq!(experiment["force"]["header"], kong["canary_by_header_name"]);
    let routes = example("kong/canary/virtualservice.yaml")["spec"]["http"].clone();
    let header = experiment["header"].as_str().expect("a header");
    assert_eq!(
        routes[0]["match"][0]["headers"][header]["exact"],
        experiment["variants"][0]["name"]
    );
    assert_eq!(routes[0]["route"][0]["destination"]["host"], kong["upstream_host"]);

    let canary = Stub::echo();
    let gate = Gate::builder()
        .policy(&policy)
        .auth(|asked| {
            let who = asked.header("authorization").unwrap_or_default().replace("Bearer ", "");
            let groups = if who == "tester" { "qa" } else { "staff" };
            Reply::ok().header("x-auth-user", who).header("x-auth-groups", groups)
        })
        .cluster(gate::cluster("canary", &[canary.addr()]))
        .routes(json!([
            {"match": {"prefix": "/", "headers": [{"name": header, "string_match": {"exact": "canary"}}]},
             "route": {"cluster": "canary"}},
            {"match": {"prefix": "/"}, "route": {"cluster": "upstream"}},
        ]))
        .start();
    let by = |who: &str| get("/orders/1").header("authorization", format!("Bearer {who}"));
    let chosen = |request: &Request| {
        let before = canary.count();
        assert_eq!(gate.send(request).status, 200);
        canary.count() > before
    };
    let first: Vec<bool> = (0..300).map(|n| chosen(&by(&format!("user-{n}")))).collect();
    let share = first.iter().filter(|c| **c).count();
    // The hash decides, so the number is the same each time; a tenth of 300 callers, give or take three deviations.
    assert!((15..=45).contains(&share), "{share} of 300");
    let again: Vec<bool> = (0..300).map(|n| chosen(&by(&format!("user-{n}")))).collect();
    assert_eq!(first, again, "who once met the canary meets it again");
    // Nobody chooses by writing the header, and a tester does by the other one.
    let stable = first.iter().position(|c| !c).expect("one");
    for forged in [header, "x-canary"] {
        assert!(
            !chosen(&by(&format!("user-{stable}")).header(forged, "canary")),
            "{forged}"
        );
    }
    assert!(chosen(&by("tester").header("x-canary", "canary")));
}

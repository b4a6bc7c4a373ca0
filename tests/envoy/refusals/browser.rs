//! A browser that navigates is sent to the sign-in page, and back to a host that the rule names.
use crate::policies::asking;
use crate::support::*;

fn gate() -> Gate {
    Gate::start(asking(
        "credential: ['header:authorization']
on_deny: { sign_in: { url: 'https://login.example.com/?rd={url}&v=1', status: [401, 403] } }",
        r#"
rules:
- { name: shop, match: { hosts: [shop.example.com, "*.shop.example.com"], paths: ["/**"] } }
- { name: rest, match: { hosts: ["*"], paths: ["/**"] } }"#,
    ))
}

fn browser(method: &str, target: &str) -> Request {
    request(method, target)
        .host("shop.example.com")
        .header("sec-fetch-mode", "navigate")
}

#[test]
fn who_navigates_is_sent_to_sign_in() {
    let gate = gate();
    let rows = [
        ("GET", browser("GET", "/a"), 302, "http%3A%2F%2Fshop.example.com%2Fa"),
        ("HEAD", browser("HEAD", "/a"), 302, "http%3A%2F%2Fshop.example.com%2Fa"),
        (
            "a form",
            browser("POST", "/a"),
            303,
            "http%3A%2F%2Fshop.example.com%2Fa",
        ),
        (
            "a query",
            browser("GET", "/a?x=1&y=a%20b'\""),
            302,
            "http%3A%2F%2Fshop.example.com%2Fa%3Fx%3D1%26y%3Da%2520b%27%22",
        ),
        (
            "a port and upper case",
            browser("GET", "/a").host("Eu.Shop.Example.COM.:8443"),
            302,
            "http%3A%2F%2Feu.shop.example.com%3A8443%2Fa",
        ),
        (
            "an old browser",
            get("/a")
                .host("shop.example.com")
                .header("accept", "text/html,*/*;q=0.8"),
            302,
            "http%3A%2F%2Fshop.example.com%2Fa",
        ),
    ];
    for wire in Wire::BOTH {
        for (what, request, status, url) in &rows {
            // A quote is nothing that the HTTP/2 client lets out.
            if wire == Wire::H2 && url.contains("%22") {
                continue;
            }
            let response = gate.client(wire).send(request);
            assert_eq!(response.status, *status, "{what} over {wire:?}: {}", response.text());
            let expected = format!("https://login.example.com/?rd={url}&v=1");
            assert_eq!(response.header("location"), Some(expected), "{what} over {wire:?}");
            assert_eq!(response.header("cache-control").as_deref(), Some("no-store"));
        }
    }
    assert_eq!(gate.upstream.count(), 0);
}

#[test]
fn who_does_not_navigate_reads_json() {
    let gate = gate();
    for (what, request) in [
        (
            "fetch",
            get("/a")
                .host("shop.example.com")
                .header("sec-fetch-mode", "cors")
                .header("accept", "text/html"),
        ),
        ("a program", get("/a").host("shop.example.com").header("accept", "*/*")),
        (
            "a form of a program",
            post("/a", "x=1").host("shop.example.com").header("accept", "text/html"),
        ),
        // Only `*` names it: nobody but the caller vouches for this host.
        ("an unnamed host", browser("GET", "/a").host("evil.example")),
        ("a longer host", browser("GET", "/a").host("xshop.example.com")),
    ] {
        for wire in Wire::BOTH {
            let response = gate.client(wire).send(&request);
            assert_eq!(
                (response.status, response.header("location")),
                (401, None),
                "{what} over {wire:?}"
            );
            assert_eq!(response.json()["error"], "unauthenticated", "{what} over {wire:?}");
        }
    }
}

#[test]
fn the_services_denial_leads_there_as_well() {
    let gate = gate();
    let request = browser("GET", "/a").header("authorization", "Bearer old");
    for (status, expected) in [(401, 302), (403, 302), (404, 404)] {
        gate.auth.answer(move |_| {
            Reply::status(status)
                .header("location", "https://other.example/")
                .body("page")
        });
        let response = gate.send(&request);
        assert_eq!(response.status, expected, "{status}");
        let location = response.headers.all("location").len();
        assert_eq!(location, 1, "{status}");
        let ours = response
            .header("location")
            .is_some_and(|l| l.starts_with("https://login.example.com/"));
        assert_eq!(ours, expected == 302, "{status}");
    }
}

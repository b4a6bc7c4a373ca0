//! `protocol: forward_auth`, as Traefik, oauth2-proxy and Authelia speak it.
use crate::policies::{alice, asking};
use crate::support::*;

const CALLOUT: &str = "
protocol: forward_auth
path: /verify
authority: auth.platform
send: { headers: [accept] }
principal: { subject: x-auth-user }";

#[test]
fn every_request_becomes_a_get_of_one_path() {
    let gate = Gate::builder().policy(asking(CALLOUT, "")).auth(|_| alice()).start();
    for wire in Wire::BOTH {
        for request in [
            get("/orders/7?q=1"),
            post("/orders/7?q=1", "body"),
            request("HEAD", "/orders/7?q=1"),
            request("OPTIONS", "/orders/7?q=1"),
        ] {
            let method = message::lossy(&request.method);
            let request = request
                .host("Shop.Example.com:8443")
                .header("accept", "text/html")
                .header("x-forwarded-method", "DELETE")
                .header("x-forwarded-uri", "/admin")
                .header("x-forwarded-host", "evil.example")
                .header("x-forwarded-proto", "gopher")
                .header("x-forwarded-for", "6.6.6.6");
            assert_eq!(gate.client(wire).send(&request).status, 200, "{wire:?} {method}");
            let asked = gate.auth.last();
            assert_eq!((asked.method.as_str(), asked.path().as_str()), ("GET", "/verify"));
            assert!(asked.body.is_empty());
            for (name, value) in [
                ("host", "auth.platform"),
                ("accept", "text/html"),
                ("content-length", "0"),
                ("x-forwarded-method", method.as_str()),
                ("x-forwarded-proto", "http"),
                ("x-forwarded-host", "shop.example.com:8443"),
                ("x-forwarded-uri", "/orders/7?q=1"),
            ] {
                let all: Vec<String> = asked.headers.all(name).into_iter().map(message::lossy).collect();
                assert_eq!(all, [value], "{wire:?} {method}: {name}");
            }
            assert_eq!(asked.headers.all("x-forwarded-for").len(), 1, "{:?}", asked.headers);
            assert_ne!(asked.header("x-forwarded-for").as_deref(), Some("6.6.6.6, 127.0.0.1"));
        }
    }
}

#[test]
fn the_address_is_the_one_that_envoy_saw() {
    let gate = Gate::builder()
        .policy(asking(CALLOUT, ""))
        .auth(|_| alice())
        .use_remote_address(true)
        .start();
    gate.send(&get("/").header("x-forwarded-for", "6.6.6.6"));
    assert_eq!(gate.auth.last().header("x-forwarded-for").as_deref(), Some("127.0.0.1"));
}

#[test]
fn any_2xx_allows_unless_the_policy_lists_them() {
    let any = Gate::start(asking(CALLOUT, ""));
    let listed = Gate::start(asking(&format!("{CALLOUT}\nallow_status: [202]"), ""));
    for (gate, allowing) in [(&any, &[200, 201, 202, 204, 206][..]), (&listed, &[202])] {
        for status in [200, 201, 202, 204, 206, 301, 401, 403, 404] {
            gate.upstream.clear();
            gate.auth
                .answer(move |_| Reply::status(status).header("x-auth-user", "alice"));
            let response = gate.send(&get("/"));
            let allowed = allowing.contains(&status);
            assert_eq!(response.status, if allowed { 200 } else { status }, "{status}");
            assert_eq!(gate.upstream.count(), usize::from(allowed), "{status}");
        }
    }
}

#[test]
fn only_what_is_listed_is_forwarded() {
    let gate = Gate::builder()
        .policy(asking(
            &format!("{CALLOUT}\nsend: {{ forwarded: [uri] }}").replace("send: { headers: [accept] }\n", ""),
            "",
        ))
        .auth(|_| alice())
        .start();
    gate.send(&get("/a").header("x-forwarded-host", "evil.example"));
    let asked = gate.auth.last();
    assert_eq!(asked.header("x-forwarded-uri").as_deref(), Some("/a"));
    for name in ["method", "proto", "host", "for"] {
        assert!(
            !asked.has(&format!("x-forwarded-{name}")),
            "{name}: {:?}",
            asked.headers
        );
    }
}

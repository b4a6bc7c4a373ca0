//! Keys and certificates in the proxy: its clock, its connection, its log.

use crate::gate::*;
use crate::host::Host;
use std::time::Duration;

/// The mock host's clock stands at 2026-01-02T03:04:05.
const POLICY: &str = r#"{
  "version": 1,
  "identity": { "headers": { "x-user-id": "{subject}" } },
  "authenticators": {
    "partner": { "api_key": {
      "from": [{ "header": "x-api-key" }, { "query": "api_key" }],
      "keys": { "inline": [{ "id": "acme-1", "sha256": "a49b1287870c10a76f1f46552aca4431842ced5dedf0ee3f28ffa12855a4e86a", "subject": "acme", "expires": "2026-01-02T03:04:06Z" }] }
    } },
    "workload": { "mtls": { "peers": ["cluster.local/ns/shop/sa/*"], "verified_by_listener": true } }
  },
  "rules": [{ "name": "r", "authenticate": ["partner", "workload"] }]
}"#;

fn host() -> Host {
    serving(POLICY, options())
}

#[test]
fn a_key_expires_by_the_proxys_clock() {
    let host = host();
    let with_key = headers("/a", &[("x-api-key", "k3y")]);
    let stream = host.request(&with_key);
    assert_eq!(told(&stream, "x-user-id").as_deref(), Some("acme"));
    assert_eq!(told(&stream, "x-api-key"), None);
    host.advance(Duration::from_secs(1));
    assert_eq!(status(&host.request(&with_key)), Some(401));
    let lines = decisions(&host);
    for (line, outcome) in lines.iter().zip(["allowed", "denied"]) {
        assert_eq!(
            (&line["outcome"], &line["credential_id"]),
            (&outcome.into(), &"acme-1".into())
        );
        assert_eq!(line["authenticator"], "partner");
    }
    assert_eq!(lines[1]["cause"], "expired_key");
    assert!(host.callouts().is_empty());
}

#[test]
fn a_key_in_the_query_reaches_neither_upstream_nor_log() {
    let host = host();
    let stream = host.request(&headers("/a?b=1&api_key=k3y", &[]));
    assert_eq!(told(&stream, ":path").as_deref(), Some("/a?b=1"));
    assert!(host.logs().iter().all(|(_, line)| !line.contains("k3y")));
    let [line] = decisions(&host).try_into().expect("one line");
    assert_eq!(line["requestURL"], "https://shop.example.com/a?b=******&api_key=******");
}

#[test]
fn a_certificate_is_the_connections() {
    let host = host();
    let peer = "spiffe://cluster.local/ns/shop/sa/cart";
    let xfcc = format!("URI={peer}");
    let forged = host.request(&headers("/a", &[("x-forwarded-client-cert", &xfcc)]));
    assert_eq!(status(&forged), Some(401));
    host.set_property(&["connection", "uri_san_peer_certificate"], peer);
    let stream = host.request(&headers("/a", &[]));
    assert_eq!(told(&stream, "x-user-id").as_deref(), Some(peer));
}

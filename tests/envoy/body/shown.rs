//! `send.body`: the service sees the body, and the upstream still gets all of it.
use std::time::{Duration, Instant};

use crate::policies::{alice, asking, decisions};
use crate::support::*;

const BODY: &str = "send: { body: { max: 16B, host_flag: allow_on_headers_stop_iteration } }";
const PARTIAL: &str = "send: { body: { max: 16B, allow_partial: true, host_flag: allow_on_headers_stop_iteration } }";

fn builder(callout: &str) -> GateBuilder {
    Gate::builder()
        .policy(asking(callout, ""))
        .auth(|_| alice())
        .allow_on_headers_stop_iteration(true)
}

const SIXTEEN: &str = "0123456789abcdef";

#[test]
fn the_service_and_the_upstream_see_the_body() {
    let gate = builder(BODY).start();
    for wire in Wire::BOTH {
        for (what, request) in [
            ("short", post("/", "hello")),
            ("exactly the limit", post("/", SIXTEEN)),
            ("in chunks", post("/", "hello").chunked()),
            ("before trailers", post("/", "hello").trailer("x-up", "1")),
            (
                "exactly the limit before trailers",
                post("/", SIXTEEN).trailer("x-up", "1"),
            ),
            ("empty in chunks", post("/", "").chunked()),
            ("asked for first", post("/", "hello").header("expect", "100-continue")),
            ("none", get("/")),
        ] {
            let about = format!("{what} over {wire:?}");
            let response = gate.client(wire).send(&request);
            assert_eq!(response.status, 200, "{about}: {}", response.text());
            let (asked, seen) = (gate.auth.last(), gate.upstream.last());
            assert_eq!(asked.body, request.body, "{about}");
            let lengths: Vec<String> = asked
                .headers
                .all("content-length")
                .into_iter()
                .map(message::lossy)
                .collect();
            assert_eq!(lengths, [request.body.len().to_string()], "{about}");
            if request.method == b"POST" && !request.body.is_empty() {
                assert_eq!(
                    asked.header("x-envoy-auth-partial-body").as_deref(),
                    Some("false"),
                    "{about}"
                );
            }
            assert!(asked.trailers.is_empty(), "{about}");
            assert_eq!(seen.body, request.body, "{about}");
            assert_eq!(seen.trailers, request.trailers, "{about}");
            assert_eq!(seen.header("x-user-id").as_deref(), Some("alice"), "{about}");
        }
    }
}

#[test]
fn a_longer_body_is_refused_without_asking() {
    let gate = builder(BODY).start();
    let over = format!("{SIXTEEN}!");
    for wire in Wire::BOTH {
        for request in [
            post("/", over.clone()),
            post("/", over.clone()).chunked(),
            post("/", over.clone()).trailer("x-up", "1"),
            post("/", vec![b'x'; 100_000]),
        ] {
            let response = gate.client(wire).send(&request);
            assert_eq!(
                (response.status, &response.json()["error"]),
                (413, &"body_too_large".into())
            );
            assert_eq!((gate.auth.count(), gate.upstream.count()), (0, 0), "{wire:?}");
        }
    }
}

#[test]
fn of_a_longer_body_a_part_is_shown_where_the_policy_says_so() {
    let gate = builder(PARTIAL).start();
    let long = vec![b'x'; 300_000];
    for wire in Wire::BOTH {
        for (body, shown, partial) in [
            (SIXTEEN.as_bytes(), 16, "false"),
            (b"0123456789abcdef!", 16, "true"),
            (&long, 16, "true"),
        ] {
            for request in [
                post("/", body),
                post("/", body).chunked(),
                post("/", body).trailer("x-up", "1"),
            ] {
                let response = gate.client(wire).send(&request);
                assert_eq!(response.status, 200, "{wire:?} {}", body.len());
                let asked = gate.auth.last();
                assert_eq!(asked.body, body[..shown], "{wire:?} {}", body.len());
                assert_eq!(
                    asked.header("x-envoy-auth-partial-body").as_deref(),
                    Some(partial),
                    "{wire:?} {}",
                    body.len()
                );
                assert!(
                    gate.upstream.last().body == body,
                    "{wire:?}: the upstream misses a part"
                );
                assert_eq!(gate.upstream.last().trailers, request.trailers);
            }
        }
    }
}

/// A client may take longer than the second in which the proxy has to show that it shows bodies.
#[test]
fn a_slow_body_in_pieces_is_waited_for() {
    let gate = builder(BODY).start();
    let mut client = gate.h1().connect();
    client
        .write("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 6\r\n\r\n")
        .unwrap();
    let began = Instant::now();
    for piece in ["ab", "cd", "ef"] {
        // The pace of the client is what is tested: longer altogether than the filter's second.
        std::thread::sleep(Duration::from_millis(600));
        client.write(piece).unwrap();
    }
    let response = client.read("POST").unwrap();
    assert!(began.elapsed() > Duration::from_millis(1800));
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(
        (gate.auth.last().body, gate.upstream.last().body),
        (b"abcdef".to_vec(), b"abcdef".to_vec())
    );
}

#[test]
fn a_denial_or_failure_after_the_body_reaches_the_client() {
    let gate = builder(BODY).start();
    gate.auth.answer(|_| Reply::status(403));
    for wire in Wire::BOTH {
        assert_eq!(gate.client(wire).send(&post("/", "hello")).status, 403, "{wire:?}");
    }
    gate.auth.answer(|_| Reply::close());
    assert_eq!(gate.send(&post("/", "hello").chunked()).status, 503);
    assert_eq!(gate.upstream.count(), 0);
}

#[test]
fn a_client_that_leaves_in_the_body_leaves_nothing_behind() {
    let gate = builder(BODY).start();
    for wire in Wire::BOTH {
        for _ in 0..20 {
            gate.client(wire).start(&post("/", "hel").unfinished()).unwrap().leave();
        }
    }
    gate.envoy
        .wait_for_stat("http.ingress.downstream_rq_active", |n| n == 0, SHORT);
    assert_eq!(gate.send(&post("/", "hello")).status, 200);
    assert_eq!(gate.upstream.count(), 1);
    gate.envoy.assert_no_trap();
}

#[test]
fn without_the_hosts_flag_the_refusal_names_it() {
    for on_failure in ["deny", "allow"] {
        let gate = builder(&format!("{BODY}\non_failure: {on_failure}"))
            .allow_on_headers_stop_iteration(false)
            .start();
        for wire in Wire::BOTH {
            let began = Instant::now();
            let response = gate.client(wire).send(&post("/named", "hello"));
            let took = began.elapsed();
            assert_eq!(response.status, 503, "{wire:?} {on_failure}");
            let message = response.json()["message"].as_str().unwrap_or_default().to_owned();
            assert!(message.contains("allow_on_headers_stop_iteration"), "{message}");
            assert!(
                took >= Duration::from_millis(900) && took < Duration::from_secs(3),
                "{wire:?}: {took:?}"
            );
        }
        assert_eq!((gate.auth.count(), gate.upstream.count()), (0, 0));
        assert_eq!(decisions(&gate, "/named", 2)[0]["cause"], "body_unseen");
        // What has no body needs no flag.
        assert_eq!(gate.send(&get("/")).status, 200);
    }
}

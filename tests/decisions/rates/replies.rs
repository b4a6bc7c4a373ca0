//! What a caller who is refused reads.

use super::*;

/// Status, headers and body; the first `before` requests have gone on.
#[track_caller]
fn reply(limit: &str, request: &str, before: usize, at_ms: u64) -> String {
    let (proxy, policy) = (Proxy::default(), read_policy(&one(limit, "anonymous: deny")));
    let mut worker = Worker::start(&proxy, &policy, 1);
    for _ in 0..before {
        assert_eq!(worker.says(request, 0), "allowed");
    }
    let Step::Refuse(refuse) = worker.send(request, at_ms) else {
        panic!("refused: {request}");
    };
    assert_eq!(refuse.record.subject.as_deref(), Some("42"), "who was refused is told");
    let reply = refuse.reply;
    let headers = reply.headers.iter().map(|(name, value)| {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        format!("{}: {} | ", text(name), text(value))
    });
    let grpc = reply
        .grpc_status
        .map(|status| format!("grpc {status} | "))
        .unwrap_or_default();
    let headers: String = headers.collect();
    format!(
        "{} | {grpc}{headers}{}",
        reply.status,
        String::from_utf8_lossy(&reply.body).trim_end()
    )
}

#[test]
fn the_headers_are_those_of_a_bucket() {
    assert_eq!(
        reply(
            "per: subject, requests: 10, window: 1m, burst: 3",
            &format!("{ANN} | x-request-id: r1"),
            3,
            500
        ),
        "429 | content-type: application/json | cache-control: no-store | retry-after: 6 | ratelimit-limit: 3 | \
         ratelimit-remaining: 0 | ratelimit-reset: 18 | \
         {\"error\":\"rate_limited\",\"message\":\"too many requests\",\"request_id\":\"r1\"}"
    );
}

#[test]
fn to_grpc_it_is_resource_exhausted() {
    assert_eq!(
        reply(
            "per: subject, requests: 2, window: 1s",
            &format!("{ANN} | content-type: application/grpc"),
            2,
            0
        ),
        "429 | grpc 8 | cache-control: no-store | retry-after: 1 | ratelimit-limit: 2 | ratelimit-remaining: 0 | \
         ratelimit-reset: 1 | too many requests"
    );
}

/// Who waits as long as it is told finds room, and not much earlier.
#[test]
fn retry_after_keeps_its_word() {
    for (requests, window, burst) in [(1, 7, 1), (3, 10, 2), (7, 60, 5), (999, 1000, 4)] {
        let text = one(
            &format!("per: subject, requests: {requests}, window: {window}s, burst: {burst}"),
            "anonymous: deny",
        );
        let (proxy, policy) = (Proxy::default(), read_policy(&text));
        let mut worker = Worker::start(&proxy, &policy, 1);
        let mut at_ms = 0;
        for _ in 0..50 {
            let said = worker.says(ANN, at_ms);
            if let Some(wait) = said.strip_prefix("429 limit ") {
                let wait_s: u64 = wait.trim_end_matches('s').parse().expect("seconds");
                assert_ne!(worker.says(ANN, at_ms + (wait_s - 1) * 1000), "allowed", "{wait}");
                at_ms += wait_s * 1000;
                assert_eq!(
                    worker.says(ANN, at_ms),
                    "allowed",
                    "{requests} in {window} s, after {wait}"
                );
            }
            at_ms += 137;
        }
    }
}

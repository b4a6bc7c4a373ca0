//! How requests are carried, on the host's clock.

use crate::gate::*;
use crate::host::{Host, Stream};
use serde_json::{Value, json};
use std::time::Duration;

const TIMEOUT: &str = "x-envoy-upstream-rq-timeout-ms";

/// The gate's policy with answers that are remembered, all of it carried so.
fn gate_that_carries(upstream: Value) -> Host {
    let mut policy: Value = serde_json::from_str(POLICY).expect("JSON");
    policy["authenticators"]["account"]["callout"]["cache"] = json!({"ttl": "1h"});
    policy["authenticators"]["account"]["callout"]["timeout"] = json!("9s");
    policy["defaults"] = json!({ "upstream": upstream });
    serving(&policy.to_string(), options())
}

fn all_of_it() -> Value {
    json!({
        "timeout": "2s",
        "retry": {"attempts": 3, "retry_on": ["connect-failure", 503], "per_try_timeout": "500ms"},
        "deadline": {"header": "x-request-deadline", "min": "50ms"},
    })
}

/// Nothing but the headers themselves: no clock, no property.
#[test]
fn writing_costs_the_writing() {
    let cost = |upstream: Value, path: &str| {
        let host = gate_that_carries(upstream);
        known(&host, path);
        if host.callouts().len() == 1 {
            answer(&host, YES);
        }
        // Once more, for the names of counters.
        known(&host, path);
        host.take_calls();
        assert!(known(&host, path).upstream().is_some());
        host.take_calls()
    };
    for path in ["/public/a", "/gate/a"] {
        let bare = cost(json!({}), path);
        let (written, rest): (Vec<String>, Vec<String>) = cost(all_of_it(), path)
            .into_iter()
            .partition(|call| call.contains("request_headers x-envoy-"));
        assert_eq!(rest, bare, "{path}");
        let expected = [
            TIMEOUT,
            "x-envoy-retry-on",
            "x-envoy-max-retries",
            "x-envoy-retriable-status-codes",
            "x-envoy-upstream-rq-per-try-timeout-ms",
        ];
        let expected = expected.map(|name| format!("add_header_map_value request_headers {name}"));
        assert_eq!(written, expected, "{path}");
    }
}

/// Who waits for another's question has its own time.
#[test]
fn each_has_been_here_for_its_own_while() {
    let host = gate_that_carries(all_of_it());
    let step = Duration::from_millis(700);
    let streams: Vec<Stream> = (0..3)
        .map(|_| {
            let stream = known(&host, "/gate/a");
            host.advance(step);
            stream
        })
        .collect();
    let post = host.request(&headers("/gate/a", &[CREDENTIAL, (":method", "POST")][..1]));
    host.answer(host.callouts()[0].token, YES, "");
    assert_eq!(status(&streams[0]), Some(504), "2100 ms ago");
    let left = |stream: &Stream| told(stream, TIMEOUT);
    assert_eq!(left(&streams[1]).as_deref(), Some("600"));
    assert_eq!(left(&streams[2]).as_deref(), Some("1300"));
    assert_eq!(left(&post).as_deref(), Some("2000"));
    let metric = "meshgate_requests_total.rule=gate.outcome=deadline_exceeded";
    assert_eq!(host.metric(metric), Some(1));
    let causes: Vec<String> = decisions(&host).iter().map(|line| line["cause"].to_string()).collect();
    assert!(causes.contains(&"\"timeout\"".to_owned()), "{causes:?}");
}

/// A deadline that ends while the service is asked is the caller's 504, and one that nobody can read is counted.
#[test]
fn deadlines() {
    let host = gate_that_carries(all_of_it());
    // 300 ms from now.
    let deadline = ("x-request-deadline", "2026-01-02T03:04:05.300Z");
    let in_time = host.request(&headers("/gate/a", &[CREDENTIAL, deadline]));
    host.advance(Duration::from_millis(100));
    answer(&host, YES);
    assert_eq!(told(&in_time, TIMEOUT).as_deref(), Some("200"));
    assert_eq!(told(&in_time, "x-request-deadline").as_deref(), Some(deadline.1));

    host.advance(Duration::from_millis(151));
    let late = host.request(&headers("/gate/a", &[CREDENTIAL, deadline]));
    assert_eq!(status(&late), Some(504));
    assert!(late.upstream().is_none());

    let unreadable = host.request(&headers("/gate/a", &[CREDENTIAL, ("x-request-deadline", "\x01")]));
    assert_eq!(told(&unreadable, TIMEOUT).as_deref(), Some("2000"));
    assert_eq!(told(&unreadable, "x-request-deadline"), None);
    assert_eq!(host.metric("meshgate_deadlines_ignored_total.rule=gate"), Some(1));
}

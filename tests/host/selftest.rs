//! The host's own tests, with a stand-in filter.

use super::{Cluster, HeaderMap, Host, HostOptions, LocalReply, Stream, stand_in};
use proxy_wasm::types::Status;
use std::time::Duration;

#[test]
fn a_policy_is_accepted_refused_and_replaced() {
    let mut host = start("a");
    assert!(host.accepted());
    let old = ask(&host, "ask");
    assert!(!host.configure("refuse"));
    assert!(
        host.request(&[("x-do", "set")]).upstream().is_some(),
        "the old one keeps serving"
    );
    assert!(host.configure("b"));
    host.answer(host.callout().token, &[(":status", "200")], "u9");
    assert_eq!(old.upstream().unwrap().get("x-user-id").unwrap(), "u9");
    assert_eq!(host.metric("requests"), Some(2));
    assert_eq!(host.metrics_defined(), 3);
    assert!(!Host::start("refuse", HostOptions::new(stand_in::init)).accepted());
}

#[test]
fn calls_are_recorded_in_order() {
    let host = start("a");
    assert_eq!(
        host.take_calls(),
        ["get_buffer_bytes plugin_configuration", "define_metric requests"]
    );
    let stream = host.request(&[(":path", "/"), ("x-do", "set")]);
    assert_eq!(
        host.calls(),
        [
            "get_header_map_pairs request_headers",
            "increment_metric",
            "replace_header_map_value request_headers x-user-id",
            "remove_header_map_value request_headers x-do",
        ]
    );
    assert_eq!(host.count("get_property"), 0);
    assert_eq!(host.count("replace_header_map_value request_headers"), 1);
    assert_eq!(stream.route_refreshes(), 2);
    assert_eq!(
        stream.upstream().unwrap(),
        HeaderMap::of(&[(":path", "/"), ("x-user-id", "u1")])
    );
}

#[test]
fn duplicates_of_inline_names_are_joined() {
    let host = start("a");
    let stream = host.request(&[
        ("Authorization", "Bearer a"),
        ("cookie", "a=1"),
        ("x-any", "1"),
        ("host", "a.example"),
        ("authorization", "Bearer b"),
        ("cookie", "b=2"),
        ("X-Any", "2"),
        (":authority", "b.example"),
    ]);
    let seen = stream.upstream().unwrap();
    assert_eq!(seen.get("authorization").unwrap(), "Bearer a,Bearer b");
    assert_eq!(seen.get("host").unwrap(), "a.example,b.example");
    assert_eq!(seen.all("cookie"), ["a=1", "b=2"]);
    assert_eq!(seen.all("x-any"), ["1", "2"]);
    assert_eq!(seen.names()[0], ":authority");
}

#[test]
fn setting_replaces_every_duplicate() {
    let mut map = HeaderMap::of(&[("x-a", "1"), ("x-b", "2"), ("x-a", "3")]);
    map.set(b"x-a", b"4");
    assert_eq!(map, HeaderMap::of(&[("x-a", "4"), ("x-b", "2")]));
}

#[test]
fn an_answer_resumes_and_closes_the_request() {
    let host = start("a");
    let stream = ask(&host, "ask").body("hello", true);
    assert!(stream.is_paused());
    let callout = host.callout();
    assert_eq!((callout.cluster.as_str(), callout.context), ("auth", stream.id));
    assert_eq!(callout.headers.get(":path").unwrap(), "/check");
    host.answer(callout.token, &[(":status", "200")], "u7");
    assert_eq!(stream.upstream().unwrap().get("x-user-id").unwrap(), "u7");
    assert_eq!(stream.upstream_body(), b"hello");
    let client = stream.response_headers(&[(":status", "200")]).unwrap();
    assert_eq!(client.get("x-seen").unwrap(), "yes");
    stream.done();
    assert_eq!(
        said(&host),
        [
            "answer 1 2 0",
            "resumed, headers 2",
            "body 5 true headers 2",
            "response, request headers 2",
            "log Some(\"/\"), writable 2",
        ]
    );
}

#[test]
fn local_replies_run_through_the_response_callbacks() {
    let host = start("a");
    let stream = host.request(&[(":path", "/"), ("x-do", "refuse")]);
    let reply: LocalReply = stream.reply().unwrap();
    assert_eq!((reply.status, reply.text().as_str()), (403, "no entry"));
    assert_eq!(reply.headers.get("x-why").unwrap(), "no");
    assert_eq!(stream.upstream(), None);
    let expected = [
        (":status", "403"),
        ("x-why", "no"),
        ("content-length", "8"),
        ("content-type", "text/plain"),
        ("x-seen", "yes"),
    ];
    assert_eq!(stream.client().unwrap(), HeaderMap::of(&expected));
    assert_eq!(said(&host), ["response, request headers 2"]);

    let grpc = host.request(&[("content-type", "application/grpc"), ("x-do", "refuse")]);
    let client = grpc.client().unwrap();
    assert_eq!(client.get(":status").unwrap(), "200");
    assert_eq!(client.get("grpc-status").unwrap(), "7");
    assert_eq!(client.get("grpc-message").unwrap(), "no entry");
}

#[test]
fn every_way_a_call_can_fail() {
    let host = start("a");
    host.set_cluster("auth", Cluster::Unknown);
    ask(&host, "ask");
    host.set_cluster("auth", Cluster::NoHealthyHost);
    ask(&host, "ask");
    host.set_cluster("auth", Cluster::Healthy);
    assert_eq!(ask_and(&host, |token| host.answer_failed(token)), 503);
    assert_eq!(ask_and(&host, |token| host.answer_timed_out(token)), 403);
    assert_eq!(ask_and(&host, |token| host.answer_refused(token)), 403);
    assert_eq!(ask_and(&host, |_| host.advance(Duration::from_millis(500))), 403);
    let said: Vec<String> = said(&host).into_iter().filter(|s| !s.starts_with("resp")).collect();
    assert_eq!(
        said,
        [
            "dispatch BadArgument",
            "dispatch InternalFailure",
            "answer 0 0 0",
            "answer 3 24 0",
            "answer 3 98 0",
            "answer 3 24 0",
        ]
    );
}

#[test]
fn a_call_dies_with_the_stream_that_owns_it() {
    let host = start("a");
    ask(&host, "ask").done();
    assert_eq!(host.callouts(), []);
    assert_eq!(host.cancelled().len(), 1);
}

/// The SDK files a call under the context whose callback made it, whatever the effective context:
/// the host still answers, and the SDK drops the answer.
#[test]
fn a_call_of_the_root_outlives_the_stream_but_the_sdk_tells_nobody() {
    let host = start("a");
    let stream = ask(&host, "ask-root");
    let callout = host.callout();
    assert_ne!(callout.context, stream.id);
    stream.done();
    host.answer(callout.token, &[(":status", "200")], "");
    assert_eq!(host.callouts(), []);
    assert_eq!(said(&host), ["log Some(\"/\"), writable 0"]);

    let stream = ask(&host, "ask-root");
    host.answer(host.callout().token, &[(":status", "200")], "u2");
    assert_eq!(stream.upstream().unwrap().get("x-user-id").unwrap(), "u2");
}

#[test]
fn ticks_come_to_roots_that_asked() {
    assert_eq!(start("a").tick(), 0);
    let host = start("tick");
    assert_eq!(host.tick_period(), Duration::from_millis(5));
    assert_eq!(host.tick(), 1);
    let token = host.callout().token;
    host.answer(token, &[(":status", "200"), ("a", "b")], "");
    assert_eq!(said(&host), ["call: true".to_string(), format!("root got {token}: 2")]);
}

#[test]
fn headers_stopped_alone_let_the_body_bypass_a_verdict() {
    let mut options = HostOptions::new(stand_in::init);
    options.allow_on_headers_stop_iteration = true;
    let host = Host::start("a", options);
    let stream = ask(&host, "ask").body("he", false).body("llo", true);
    assert!(
        stream.is_paused(),
        "the body callback pauses while the verdict is pending"
    );
    host.answer(host.callout().token, &[(":status", "200")], "u");
    assert_eq!(stream.upstream_body(), b"hello");
    assert_eq!(said(&host)[..2], ["body 2 false headers 0", "body 5 true headers 0"]);
}

#[test]
fn properties_foreign_functions_and_shared_data() {
    let host = start("a");
    host.set_property(&["source", "address"], "10.0.0.1:5");
    host.set_foreign("verify_signature", |_| Err(Status::BadArgument));
    let stream = host.request(&[(":path", "/"), ("x-do", "look")]);
    assert_eq!(stream.route_refreshes(), 1);
    host.request(&[("x-do", "lease")]);
    assert_eq!(host.shared().keys(), ["lease"]);
    assert_eq!(host.properties_set(), [("verdict".to_string(), b"ok".to_vec())]);
    assert_eq!(
        said(&host),
        [
            "address Some(\"10.0.0.1:5\")",
            "path true",
            "verify Err(BadArgument)",
            "route Ok(None)",
            "first Ok(())",
            "stale Err(CasMismatch)",
            "read Some([109, 101])",
        ]
    );
}

#[test]
fn line_breaks_in_a_header_end_the_request() {
    let stream = start("a").request(&[("x-do", "poison")]);
    assert_eq!(stream.reply().unwrap().status, 503);
    assert_eq!(stream.upstream(), None);
}

#[test]
fn bodies_and_trailers_pass_through_the_filter() {
    let host = start("a");
    let stream = ask(&host, "set").trailers(&[("x-user-id", "forged"), ("x-sum", "1")]);
    assert_eq!(stream.request(), stream.upstream().unwrap());
    assert_eq!(stream.upstream_trailers().unwrap(), HeaderMap::of(&[("x-sum", "1")]));
    stream.response_headers(&[(":status", "200")]);
    stream.response_body("secret", true);
    assert_eq!(stream.client_body(), b"");
}

#[test]
fn a_stream_can_be_reset() {
    let stream = start("a").request(&[("x-do", "drop")]);
    assert!(stream.is_reset() && !stream.is_paused());
    assert_eq!((stream.upstream(), stream.reply()), (None, None));
}

#[test]
fn the_clock_and_metrics_are_the_tests() {
    let host = start("a");
    host.set_time(std::time::UNIX_EPOCH + Duration::from_secs(9));
    host.request(&[("x-do", "time")]);
    assert_eq!(host.histogram("took"), [7]);
    assert_eq!(
        host.metrics().into_iter().collect::<Vec<_>>(),
        [("requests".to_string(), 1)]
    );
    assert_eq!(said(&host)[0], "wrong kind Err(BadArgument)");
    assert!(said(&host)[1].contains("tv_sec: 9"), "{:?}", said(&host));
}

#[test]
fn two_threads_with_one_store_are_two_workers() {
    let host = start("a");
    host.request(&[("x-do", "lease")]);
    let shared = host.shared();
    let other = std::thread::spawn(move || {
        let host = Host::start(
            "a",
            HostOptions {
                shared,
                ..HostOptions::new(stand_in::init)
            },
        );
        host.request(&[("x-do", "lease")]);
        assert_eq!(host.metric("requests"), Some(1), "metrics are the VM's own");
        host.shared().get(b"lease").unwrap().1
    });
    assert_eq!(other.join().unwrap(), 2, "the second version of the entry");
}

#[test]
fn grpc_calls_are_answered_or_failed() {
    let host = start("a");
    let stream = ask(&host, "ask-grpc");
    let callout = host.callout();
    assert_eq!(callout.grpc, Some(("a.Auth".into(), "Check".into())));
    host.answer_grpc(callout.token, Ok(b"yes"));
    assert!(stream.upstream().is_some());
    ask(&host, "ask-grpc");
    host.answer_grpc(host.callout().token, Err((14, "reset")));
    assert_eq!(said(&host), ["grpc 0 3 None", "grpc 14 0 Some(\"reset\")"]);
}

fn start(policy: &str) -> Host {
    Host::start(policy, HostOptions::new(stand_in::init))
}

fn ask(host: &Host, what: &str) -> Stream {
    host.request_with_body(&[(":path", "/"), ("x-do", what)])
}

fn ask_and(host: &Host, answer: impl FnOnce(u32)) -> u32 {
    let stream = ask(host, "ask");
    answer(host.callout().token);
    stream.reply().unwrap().status
}

fn said(host: &Host) -> Vec<String> {
    host.logs().into_iter().map(|(_, text)| text).collect()
}

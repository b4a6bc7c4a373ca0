//! What the service is asked.

use crate::policies::one;
use crate::text::check;

#[track_caller]
fn asks(callout: &str, request: &str, expected: &str) {
    check(
        &one(&format!("on_failure: deny, {callout}"), "mode: enforce"),
        request,
        &format!("ask auth 500ms; {expected}"),
    );
}

const EXT: &str = "protocol: ext_authz_http";
const FORWARD: &str = "protocol: forward_auth, path: /verify";
const FORWARDED: &str = ":method=GET; :path=/verify; :authority=auth";

#[test]
fn ext_authz_http() {
    let asks = |more: &str, request: &str, expected: &str| asks(&format!("{EXT}{more}"), request, expected);
    asks(
        "",
        "GET /orders?a=%2f",
        ":method=GET; :path=/orders?a=%2f; :authority=shop.example.com; content-length=0",
    );
    asks(
        ", path: /check",
        "DELETE /%6frders",
        ":method=DELETE; :path=/check/orders; :authority=shop.example.com; content-length=0",
    );
    asks(
        "",
        "GET / | :authority: Shop.example.com.:80",
        ":method=GET; :path=/; :authority=shop.example.com:80; content-length=0",
    );
    asks(
        ", authority: \"auth.platform:81\"",
        "GET /",
        ":method=GET; :path=/; :authority=auth.platform:81; content-length=0",
    );
}

#[test]
fn forward_auth() {
    asks(
        FORWARD,
        "POST /%6frders?a=1 | @plain | x-forwarded-host: evil | x-forwarded-for: 1.2.3.4 | x-forwarded-proto: https | x-forwarded-uri: /",
        &format!(
            "{FORWARDED}; x-forwarded-method=POST; x-forwarded-proto=http; x-forwarded-host=shop.example.com; x-forwarded-uri=/orders?a=1; x-forwarded-for=192.0.2.7; content-length=0"
        ),
    );
    asks(
        &format!("{FORWARD}, send: {{ forwarded: [uri] }}"),
        "GET /a | @ip none",
        &format!("{FORWARDED}; x-forwarded-uri=/a; content-length=0"),
    );
    asks(
        &format!("{FORWARD}, send: {{ forwarded: [for, proto] }}"),
        "GET /a | @ip none",
        &format!("{FORWARDED}; x-forwarded-proto=https; content-length=0"),
    );
}

#[test]
fn a_service_is_its_cluster_in_istio() {
    let policy = |protocol: &str| {
        one(&format!("on_failure: deny, {protocol}"), "mode: enforce")
            .replace("cluster: auth", "service: \"Auth.platform:8080\"")
    };
    check(
        &policy(EXT),
        "GET /",
        "ask outbound|8080||auth.platform 500ms; :method=GET; :path=/; :authority=shop.example.com; content-length=0",
    );
    check(
        &policy(&format!("{FORWARD}, send: {{ forwarded: [method] }}")),
        "GET /",
        "ask outbound|8080||auth.platform 500ms; :method=GET; :path=/verify; :authority=auth.platform:8080; x-forwarded-method=GET; content-length=0",
    );
}

/// What `request` adds to the question of a plain GET.
#[track_caller]
fn sends(more: &str, request: &str, expected: &str) {
    let expected = match expected {
        "" => "; content-length=0".to_owned(),
        _ if expected.starts_with("content-length") => format!("; {expected}"),
        _ => format!("; {expected}; content-length=0"),
    };
    asks(
        &format!("{EXT}{more}"),
        &format!("GET / | {request}"),
        &format!(":method=GET; :path=/; :authority=shop.example.com{expected}"),
    );
}

#[test]
fn headers() {
    sends("", "accept: a | x-tenant-a: b", "");
    sends("", "authorization: Bearer a", "authorization=Bearer a");
    sends(
        ", send: { headers: [\"x-tenant-*\"] }",
        "X_Tenant.A: b | x-tenantx: c | accept: d",
        "X_Tenant.A=b",
    );
    sends(
        ", send: { headers: [accept, \"*-id\"] }",
        "accept: a | accept: b | device-id: c",
        "accept=a; accept=b; device-id=c",
    );
    sends(
        "",
        "x-request-id: 1 | traceparent: 2 | tracestate: 3 | b3: 4 | x-b3-traceid: 5 | x-b3-spanid: 6 | x-b3-sampled: 7 | x-datadog-trace-id: 8",
        "x-request-id=1; traceparent=2; tracestate=3; b3=4; x-b3-traceid=5; x-b3-spanid=6; x-b3-sampled=7; x-datadog-trace-id=8",
    );
    // Answers are not told apart by them: what could make a service fail does not go.
    let (most, more) = ("a".repeat(512), "a".repeat(513));
    sends("", &format!("tracestate: {most}"), &format!("tracestate={most}"));
    sends("", &format!("tracestate: {more} | x-request-id: {more}"), "");
}

#[test]
fn never_sent() {
    let request = "host-x: 1 | connection: close | keep-alive: 1 | te: trailers | trailer: a | transfer-encoding: chunked | upgrade: h2c | content-length: 7 | expect-x: 1 | proxy-connection: a | proxy-authorization: p | http2-settings: h | x-envoy-a: b | x_envoy.b: c | x-forwarded-for: d | x_forwarded_host: e | forwarded: f | x-user-id: root | x_user.id: root | x-original-url: /admin";
    sends(", send: { headers: [\"*\"] }", request, "host-x=1; expect-x=1");
}

/// `add` comes last and overwrites, in every spelling, the credential too.
#[test]
fn added() {
    sends(
        ", send: { headers: [\"x-*\"], add: { x-gateway: edge } }",
        "x-gateway: forged | X_Gateway: forged",
        "x-gateway=edge",
    );
    sends(
        ", send: { add: { authorization: Basic ours } }",
        "authorization: Bearer a",
        "authorization=Basic ours",
    );
    sends(
        ", send: { add: { x-request-id: ours } }",
        "x-request-id: a",
        "x-request-id=ours",
    );
    sends(
        ", send: { add: { cookie: ours } }, credential: [\"cookie:sid\"]",
        "cookie: sid=1",
        "cookie=ours",
    );
}

#[test]
fn credentials() {
    let places = ", credential: [\"header:x-key\", \"cookie:session*\", \"cookie:sid\"]";
    sends(
        places,
        "x-key: k | authorization: a | cookie: a=1; session=2; sid=3 | cookie: session_x=4; Sid=5",
        "x-key=k; cookie=session=2; sid=3; session_x=4",
    );
    sends(places, "cookie: a=1; sid=\"3\"", "cookie=sid=\"3\"");
    sends(
        &format!("{places}, send: {{ headers: [cookie] }}"),
        "cookie: a=1; sid=3",
        "cookie=a=1; sid=3",
    );
    sends(
        &format!("{places}, send: {{ headers: [cookie] }}, accept: {{ headers: [cookie] }}"),
        "cookie: a=1; sid=3",
        "cookie=sid=3",
    );
}

#[test]
fn body() {
    let body = |more: &str| {
        format!("{EXT}, send: {{ body: {{ max: 8KiB, host_flag: allow_on_headers_stop_iteration{more} }} }}")
    };
    let question = ":method=POST; :path=/; :authority=shop.example.com";
    let policy = |more: &str| one(&format!("on_failure: deny, {}", body(more)), "mode: enforce");
    check(
        &policy(""),
        "POST / | content-length: 7",
        &format!("ask auth 500ms body=8192; {question}; content-length=0"),
    );
    check(
        &policy(", allow_partial: true"),
        "POST /",
        &format!("ask auth 500ms body=8192 partial; {question}; content-length=0"),
    );
}

#[test]
fn retries() {
    let retry = |more: &str| format!(", retry: {{ attempts: 2, {more} }}");
    sends(
        &retry("retry_on: [gateway-error, reset]"),
        "a: b",
        "content-length=0; x-envoy-retry-on=gateway-error,reset; x-envoy-max-retries=2",
    );
    sends(
        &retry("retry_on: [reset, 503, 429], per_try_timeout: 200ms"),
        "x-envoy-retry-on: 5xx",
        "content-length=0; x-envoy-retry-on=reset,retriable-status-codes; x-envoy-max-retries=2; x-envoy-retriable-status-codes=503,429; x-envoy-upstream-rq-per-try-timeout-ms=200",
    );
}

//! Traces as envoy/tracing.yaml has them, told to a real OpenTelemetry collector.

use crate::policies;
use crate::ratelimit::service::tool;
use crate::shipped::{Shipped, auth, by, read};
use crate::support::envoy::{RunDir, spawn};
use crate::support::gate::merge;
use crate::support::{Envoy, LONG, Stub, get, h1, until};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// A collector that writes each span to a file; gone when dropped.
struct Collector {
    process: Child,
    folder: PathBuf,
    _logs: RunDir,
}

impl Collector {
    #[track_caller]
    fn start() -> Self {
        // The path of a socket has 107 bytes at most, and that of the log directory may be longer.
        let folder = std::env::temp_dir().join(format!("meshgate-traces-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a directory for the socket");
        let config = json!({
            "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": folder.join("otlp"), "transport": "unix"}}}},
            "exporters": {"file": {"path": folder.join("spans"), "flush_interval": "100ms"}},
            "service": {
                // Else it would listen for Prometheus at a fixed port.
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["file"]}},
            },
        });
        let logs = RunDir::new();
        let mut command = Command::new(tool("otel-collector"));
        command.arg(format!("--config=yaml:{config}"));
        command
            .stdout(logs.append("collector.log"))
            .stderr(logs.append("collector.log"));
        let collector = Self {
            process: spawn(command),
            folder,
            _logs: logs,
        };
        until("the collector to listen", LONG, || {
            UnixStream::connect(collector.folder.join("otlp")).ok()
        });
        collector
    }

    /// The attributes of all spans of that kind, by the path that was asked for.
    fn spans(&self, kind: u64) -> BTreeMap<String, (Value, BTreeMap<String, String>)> {
        let text = std::fs::read_to_string(self.folder.join("spans")).unwrap_or_default();
        let mut found = BTreeMap::new();
        // The last line may not be whole yet.
        for batch in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            for span in batch["resourceSpans"][0]["scopeSpans"][0]["spans"]
                .as_array()
                .expect("spans")
            {
                if span["kind"] != kind {
                    continue;
                }
                let pairs = span["attributes"].as_array().expect("attributes").iter();
                let pair = |one: &Value| {
                    Some((
                        one["key"].as_str()?.to_owned(),
                        one["value"]["stringValue"].as_str()?.to_owned(),
                    ))
                };
                let attributes: BTreeMap<String, String> = pairs.filter_map(pair).collect();
                let path = attributes["http.url"]
                    .rsplit_once("localhost")
                    .expect("the host")
                    .1
                    .to_owned();
                found.insert(path, (span.clone(), attributes));
            }
        }
        found
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The shipped Envoy with the parts of envoy/tracing.yaml where their comments put them.
fn traced(collector: &Collector, auth: &Stub, upstream: &Stub) -> Envoy {
    let mut parts: Value = serde_json::from_str(&policies::json(&read("envoy/tracing.yaml"))).expect("JSON");
    // A socket in the file system has no name to look up.
    parts["cluster"]["type"] = json!("STATIC");
    parts["cluster"]["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"] =
        json!({"pipe": {"path": collector.folder.join("otlp")}});
    let mut shipped = Shipped::new()
        .at("auth", &[auth.addr()])
        .at("upstream", &[upstream.addr()]);
    // Each request is to be told of, not one in a hundred.
    parts["tracing"]["random_sampling"]["value"] = json!(100);
    merge(shipped.hcm(), json!({"tracing": parts["tracing"]}));
    let clusters = shipped.0["static_resources"]["clusters"].as_array_mut();
    clusters.expect("clusters").push(parts["cluster"].clone());
    shipped.start()
}

#[test]
fn a_decision_stands_in_its_span_and_the_service_is_asked_within_the_trace() {
    let (collector, auth, upstream) = (Collector::start(), auth(), Stub::echo());
    let envoy = traced(&collector, &auth, &upstream);
    let mut client = h1(envoy.listener("edge")).connect();
    let parent = format!("00-{TRACE}-{CALLER}-01");
    for (request, status) in [
        (by("alice", "/orders/1"), 200),
        (get("/orders/2").host("localhost"), 401),
        (get("/elsewhere").host("localhost"), 403),
    ] {
        let answer = client.send(&request.header("traceparent", &parent)).expect("an answer");
        assert_eq!(answer.status, status);
    }

    // The service is asked within the caller's trace; the upstream, by Envoy, below Envoy's own span.
    assert_eq!(auth.last().header("traceparent").as_deref(), Some(parent.as_str()));
    assert!(auth.last().has("x-request-id"));
    let told = upstream.last().header("traceparent").expect("a traceparent");
    assert!(told.contains(TRACE) && !told.contains(CALLER), "{told}");

    const SERVER: u64 = 2;
    let spans = until("three spans", LONG, || {
        let spans = collector.spans(SERVER);
        (spans.len() == 3).then_some(spans)
    });
    for (path, rule, outcome, cause) in [
        ("/orders/1", "orders", "allowed", None),
        ("/orders/2", "orders", "unauthenticated", Some("no_credential")),
        ("/elsewhere", "none", "no_rule", Some("no_rule")),
    ] {
        let (span, attributes) = &spans[path];
        assert_eq!(
            (&span["traceId"], &span["parentSpanId"]),
            (&json!(TRACE), &json!(CALLER)),
            "{path}"
        );
        let word = |name: &str| attributes.get(&format!("meshgate.{name}")).map(String::as_str);
        assert_eq!((word("rule"), word("outcome")), (Some(rule), Some(outcome)), "{path}");
        assert_eq!(word("cause").filter(|said| !matches!(*said, "" | "-")), cause, "{path}");
    }
}

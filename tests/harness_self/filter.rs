//! A filter in the chain: loaded, replaced while it serves, refused, trapping.
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::support::probe::{self, HEADER, REFUSED_CONFIGURATION, TRAPS_ABOVE_HEADERS, mark};
use crate::support::*;

#[test]
fn another_filter_can_stand_in_and_be_replaced_live() {
    let mutation = |value: &str| {
        json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
            "mutations": {"response_mutations": [{"append": {"header": {"key": "x-version", "value": value}}}]},
        })
    };
    let gate = Gate::builder().filter(mutation("0")).live().workers(2).start();
    assert_eq!(gate.send(&get("/")).header("x-version").as_deref(), Some("0"));
    for i in 1..30 {
        assert_eq!(gate.replace_filter(&mutation(&i.to_string())), Replaced::Taken);
        for wire in Wire::BOTH {
            assert_eq!(
                gate.client(wire).send(&get("/")).header("x-version"),
                Some(i.to_string())
            );
        }
    }
    assert_eq!(gate.replace_filter(&mutation("a\nb")), Replaced::Rejected);
    assert_eq!(gate.send(&get("/")).header("x-version").as_deref(), Some("29"));
}

#[test]
fn a_wasm_filter_is_loaded_and_its_policy_replaced() {
    let (builder, _module) = with_probe();
    let gate = builder.policy("{}").live().workers(2).start();
    // Each request comes on a connection of its own, so both workers are asked.
    let serves = |policy: &str| {
        for wire in Wire::BOTH {
            assert_eq!(gate.client(wire).send(&get("/")).status, 200);
            assert_eq!(gate.upstream.last().header(HEADER), Some(mark(policy)));
        }
    };
    serves("{}");
    for i in 0..25 {
        let policy = "p".repeat(4 + i);
        assert_eq!(gate.replace_policy(&policy), Replaced::Taken);
        serves(&policy);
        assert_eq!(gate.replace_policy(refused_policy()), Replaced::Rejected);
        serves(&policy);
    }
    gate.envoy.assert_no_trap();
}

#[test]
fn a_refused_policy_refuses_the_start() {
    let (builder, _module) = with_probe();
    let log = builder.policy(refused_policy()).expect_refused();
    assert!(log.to_lowercase().contains("wasm"), "{log}");
}

#[test]
fn a_trap_is_noticed() {
    let (builder, _module) = with_probe();
    let gate = builder.start();
    gate.send(&get("/"));
    gate.envoy.assert_no_trap();
    let many = (0..=TRAPS_ABOVE_HEADERS).fold(get("/"), |r, i| r.header(format!("x-{i}"), "v"));
    assert_eq!(gate.send(&many).status, 503);
    assert!(
        gate.envoy
            .wait_for_log("Function: proxy_on_request_headers failed")
            .contains("unreachable")
    );
    assert!(gate.envoy.trap().unwrap().contains("unreachable"));
    gate.send(&get("/"));
    gate.envoy
        .wait_for_stat("wasm.meshgate.vm_reload_backoff", |n| n > 0, SHORT);
    assert!(gate.envoy.trap().is_some());
}

/// A gate whose Wasm module is the probe.
fn with_probe() -> (GateBuilder, Module) {
    let module = Module::new();
    (Gate::builder().module(&module.0).policy("{}"), module)
}

fn refused_policy() -> String {
    "r".repeat(REFUSED_CONFIGURATION.into())
}

/// The probe's module in a file.
struct Module(PathBuf);

impl Module {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let name = format!("probe-{}-{number}.wasm", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, probe::module()).unwrap();
        Self(path)
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

//! The Envoy process: what can be read of it, how it fails, what it leaves behind.
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde_json::json;

use crate::support::*;

#[test]
fn the_log_the_access_log_and_the_process_can_be_read() {
    let gate = Gate::builder()
        .log_level("debug")
        .access_log(json!({"path": "%REQ(:path)%", "code": "%RESPONSE_CODE%"}))
        .start();
    let before = gate.envoy.cpu_time();
    gate.send(&get("/logged"));
    assert_eq!(gate.access_log(1)[0], json!({"path": "/logged", "code": 200}));
    assert!(gate.envoy.wait_for_log("':path', '/logged'").contains("logged"));
    assert!(gate.envoy.rss() > 1 << 20);
    wait::until("CPU time of Envoy", SHORT, || {
        gate.send(&get("/"));
        (gate.envoy.cpu_time() > before).then_some(())
    });
    assert!(gate.envoy.config_dump()["configs"].is_array());
    assert_eq!(gate.envoy.stat("no.such.stat"), None);

    let (pid, dir) = (gate.envoy.pid(), gate.envoy.dir().to_owned());
    drop(gate);
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "Envoy is left behind");
    assert!(!dir.exists(), "its files are left behind");
}

#[test]
fn a_refused_start_gives_the_reason() {
    let log = Gate::builder().hcm(json!({"no_such_field": 1})).expect_refused();
    assert!(log.contains("no_such_field"), "{log}");
    let log = envoy::expect_refused_start(json!({"static_resources": {"listeners": [{"name": "x"}]}}));
    assert!(log.contains("x"), "{log}");
}

#[test]
fn a_failed_start_fails_at_once_and_keeps_the_log() {
    let began = Instant::now();
    let Err(panic) = std::panic::catch_unwind(|| Gate::builder().hcm(json!({"no_such_field": 1})).start()) else {
        panic!("Envoy took a field that does not exist");
    };
    assert!(began.elapsed() < SHORT);
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.contains("ended before it was ready"), "{message}");
    assert!(message.contains("no_such_field"), "{message}");

    let kept = logs_of("process.a_failed_start_fails_at_once_and_keeps_the_log");
    let run = std::fs::read_dir(&kept).unwrap().next().unwrap().unwrap().path();
    assert!(
        std::fs::read_to_string(run.join("envoy.log"))
            .unwrap()
            .contains("no_such_field")
    );
    std::fs::remove_dir_all(kept).unwrap();
}

#[test]
fn an_envoy_does_not_outlive_a_test_binary_that_dies() {
    let exe = std::env::current_exe().unwrap();
    let output = Command::new(exe)
        .args(["process::dies_with_an_envoy", "--exact", "--ignored", "--nocapture"])
        .env("HARNESS_DIES", "1")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let pid: u32 = text
        .lines()
        .find_map(|l| l.split("envoy=").nth(1))
        .expect(&text)
        .parse()
        .unwrap();
    wait::until(format!("the end of Envoy {pid}"), SHORT, || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // A zombie is for the machine's init to collect.
        (stat.is_empty() || stat.contains(") Z ")).then_some(())
    });
    std::fs::remove_dir_all(logs_of("process.dies_with_an_envoy")).unwrap();
}

#[test]
#[ignore = "run by the test above, in a process of its own"]
fn dies_with_an_envoy() {
    if std::env::var_os("HARNESS_DIES").is_some() {
        let gate = Gate::builder().start();
        println!("\nenvoy={}", gate.envoy.pid());
        std::process::abort();
    }
}

fn logs_of(test: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    target.join("envoy-logs").join(test)
}

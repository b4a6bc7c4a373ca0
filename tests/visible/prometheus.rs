//! A real Prometheus with the shipped configuration and rules, on a clock that goes faster.

use crate::shipped::read;
use crate::support::envoy::{RunDir, spawn};
use crate::support::prometheus::{api, encoded, query as instant};
use crate::support::{LONG, until, wait};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

/// A minute of the rules is a second here: each duration in them is divided by it, and so is the scrape interval. The
/// rules are the shipped ones otherwise.
const FASTER: u64 = 60;

/// Firing takes seconds by then, and as many to end; the longest window of an alert is half a minute here.
pub const ALERT: Duration = LONG;

pub struct Prometheus {
    process: Child,
    addr: SocketAddr,
    // Dropped behind the process.
    _run: RunDir,
}

impl Prometheus {
    /// Reads from admin interfaces of Envoys, or whoever answers `/stats/prometheus`.
    #[track_caller]
    pub fn start(targets: &[SocketAddr]) -> Self {
        Self::at_speed(targets, FASTER)
    }

    #[track_caller]
    pub fn at_speed(targets: &[SocketAddr], faster: u64) -> Self {
        let run = RunDir::new();
        std::fs::create_dir(run.path().join("rules")).expect("a directory");
        run.write(
            "rules/meshgate.yml",
            &hurried(&read("envoy/prometheus/rules/meshgate.yml"), faster),
        );
        let config = read("envoy/prometheus/prometheus.yml");
        let (shipped, here) = ("targets: [envoy:9902]", format!("targets: {targets:?}"));
        assert!(config.contains(shipped), "prometheus.yml reads from another place");
        run.write(
            "prometheus.yml",
            &hurried(
                &config.replace(shipped, &here.replace("V4(", "").replace(')', "")),
                faster,
            ),
        );
        let mut command = Command::new(tool("prometheus"));
        command
            .arg(format!("--config.file={}", run.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", run.path().join("data").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdin(std::process::Stdio::null())
            .stdout(run.append("prometheus.log"))
            .stderr(run.append("prometheus.log"));
        let process = spawn(command);
        // `… msg="Listening on" address=127.0.0.1:35311`
        let listening = || {
            let log = run.read("prometheus.log");
            let line = log.lines().find(|line| line.contains("msg=\"Listening on\""))?;
            line.rsplit_once("address=")?.1.trim().parse().ok()
        };
        let addr = until("Prometheus's port", LONG, listening);
        let prometheus = Self {
            process,
            addr,
            _run: run,
        };
        until("Prometheus to be ready and to have read", LONG, || {
            let all = prometheus.query("up{job=\"meshgate\"} == 1")?;
            (all.len() == targets.len()).then_some(())
        });
        prometheus
    }

    /// The elements of an instant query's vector; None while it cannot answer. A query that is wrong fails the test.
    #[track_caller]
    pub fn query(&self, query: &str) -> Option<Vec<Value>> {
        instant(self.addr, query)
    }

    /// The series of a range query with their points.
    #[track_caller]
    pub fn range(&self, query: &str, start: f64, end: f64, step: f64) -> Vec<Value> {
        let query = encoded(query);
        api(
            self.addr,
            &format!("/api/v1/query_range?query={query}&start={start:.3}&end={end:.3}&step={step}"),
        )
        .expect("an answer")
    }

    /// The alerts of this name that fire now.
    pub fn firing(&self, alert: &str) -> usize {
        self.query(&format!("ALERTS{{alertname=\"{alert}\", alertstate=\"firing\"}}"))
            .unwrap_or_default()
            .len()
    }

    #[track_caller]
    pub fn fires(&self, alert: &str) {
        let fired = wait::try_until(ALERT, || (self.firing(alert) > 0).then_some(()));
        assert!(fired.is_some(), "{alert} does not fire: {:?}", self.query("ALERTS"));
    }

    #[track_caller]
    pub fn resolves(&self, alert: &str) {
        let quiet = wait::try_until(ALERT, || (self.firing(alert) == 0).then_some(()));
        assert!(quiet.is_some(), "{alert} does not end: {:?}", self.query("ALERTS"));
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The path of a tool, installed by the project's own script where it is missing.
#[track_caller]
pub fn tool(name: &str) -> PathBuf {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/tool");
    let output = Command::new(script).arg(name).output().expect("scripts/tool");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("a path").trim().into()
}

/// Every duration that stands where one may stand: `[5m]`, `offset 10m`, `for: 1m`, `…_interval: 15s`.
fn hurried(text: &str, faster: u64) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((at, before)) = ["[", "offset ", "for: ", "_interval: "]
        .iter()
        .filter_map(|before| Some((rest.find(before)? + before.len(), before)))
        .min()
    {
        let (head, tail) = rest.split_at(at);
        out.push_str(head);
        let digits = tail.bytes().take_while(u8::is_ascii_digit).count();
        let unit_ms = match tail.as_bytes().get(digits) {
            Some(b's') => 1000,
            Some(b'm') => 60_000,
            Some(b'h') => 3_600_000,
            Some(b'd') => 86_400_000,
            _ => 0,
        };
        let ends = |c: u8| !c.is_ascii_alphanumeric();
        let whole = digits > 0 && unit_ms > 0 && tail.as_bytes().get(digits + 1).is_none_or(|c| ends(*c));
        rest = match (whole, tail[..digits].parse::<u64>()) {
            (true, Ok(number)) => {
                out.push_str(&format!("{}ms", number * unit_ms / faster));
                &tail[digits + 1..]
            }
            _ => {
                assert!(
                    !before.ends_with(": ") && *before != "offset ",
                    "no duration: {}",
                    &tail[..20]
                );
                tail
            }
        };
    }
    out + rest
}

#[test]
fn every_duration_of_the_rules_is_hurried() {
    assert_eq!(
        hurried("rate(x[5m]) [a] offset 10m\n for: 1d\nscrape_interval: 15s", 60),
        "rate(x[5000ms]) [a] offset 10000ms\n for: 1440000ms\nscrape_interval: 250ms"
    );
    let rules = read("envoy/prometheus/rules/meshgate.yml");
    let faster = hurried(&rules, 60);
    let left = |unit: &str| (0..10).filter(|n| faster.contains(&format!("{n}{unit}]"))).count();
    assert_eq!(["m", "h", "d"].map(left), [0, 0, 0]);
    assert_eq!(rules.lines().count(), faster.lines().count());
}

//! An Envoy process of one test.
mod admin;
mod process;
mod run_dir;
mod trap;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

use super::{LONG, wait};
pub use process::spawn;
pub use run_dir::RunDir;

/// A running Envoy; killed when dropped.
pub struct Envoy {
    // Dropped in this order: the process first, its files after it.
    process: Mutex<Child>,
    admin: SocketAddr,
    listeners: BTreeMap<String, SocketAddr>,
    run: RunDir,
}

/// How to start one. The bootstrap gets an admin listener and a node where it has none.
#[derive(Clone, Debug)]
pub struct Options {
    pub concurrency: u32,
    pub log_level: String,
    /// `wasm:debug,http:trace`
    pub component_log_level: Option<String>,
    /// The operator's environment of the process, besides what the test has.
    pub environment: Vec<(String, String)>,
    pub ready_within: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            concurrency: 1,
            log_level: "info".into(),
            component_log_level: None,
            environment: Vec::new(),
            ready_within: LONG,
        }
    }
}

impl Envoy {
    #[track_caller]
    pub fn start(bootstrap: Value) -> Self {
        Options::default().start(bootstrap)
    }

    /// The address of a listener by its name.
    #[track_caller]
    pub fn listener(&self, name: &str) -> SocketAddr {
        *self
            .listeners
            .get(name)
            .unwrap_or_else(|| panic!("no listener {name:?} among {:?}", self.listeners))
    }

    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    pub fn pid(&self) -> u32 {
        self.process.lock().unwrap().id()
    }

    /// Whether the process still runs.
    pub fn alive(&self) -> bool {
        self.exited().is_none()
    }

    pub fn exited(&self) -> Option<ExitStatus> {
        self.process.lock().unwrap().try_wait().unwrap()
    }

    /// User and system time the process has taken so far, in steps of the kernel's clock tick (10 ms).
    pub fn cpu_time(&self) -> Duration {
        process::cpu_time(self.pid())
    }

    /// Resident memory in bytes.
    pub fn rss(&self) -> u64 {
        process::rss(self.pid())
    }

    /// Where its files lie: `bootstrap.json`, `envoy.log`, access logs.
    pub fn dir(&self) -> &Path {
        self.run.path()
    }

    pub fn log(&self) -> String {
        self.run.log()
    }

    pub fn log_lines(&self) -> Vec<String> {
        self.log().lines().map(str::to_owned).collect()
    }

    pub fn log_contains(&self, text: &str) -> bool {
        self.log().contains(text)
    }

    /// The first line that holds the text.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) -> String {
        self.wait_for_log_lines(text, 1).remove(0)
    }

    /// At least `n` lines that hold the text.
    #[track_caller]
    pub fn wait_for_log_lines(&self, text: &str, n: usize) -> Vec<String> {
        wait::until(format!("{n} log lines with {text:?}"), super::SHORT, || {
            let lines: Vec<String> = self.log_lines().into_iter().filter(|l| l.contains(text)).collect();
            (lines.len() >= n).then_some(lines)
        })
    }
}

impl Options {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn concurrency(mut self, workers: u32) -> Self {
        self.concurrency = workers;
        self
    }

    pub fn log_level(mut self, level: &str) -> Self {
        self.log_level = level.into();
        self
    }

    /// `wasm:debug,http:trace`
    pub fn component_log_level(mut self, levels: &str) -> Self {
        self.component_log_level = Some(levels.into());
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    #[track_caller]
    pub fn start(self, bootstrap: Value) -> Envoy {
        self.start_in(RunDir::new(), bootstrap)
    }

    /// Starts with files that the caller has put there already.
    #[track_caller]
    pub fn start_in(self, run: RunDir, bootstrap: Value) -> Envoy {
        match self.try_start(run, bootstrap) {
            Ok(envoy) => envoy,
            Err((reason, run)) => panic!("{reason}; the end of its log:\n{}", tail(&run.log())),
        }
    }

    /// Envoy has to end by itself with an error; its log.
    #[track_caller]
    pub fn expect_refused(self, bootstrap: Value) -> String {
        self.expect_refused_in(RunDir::new(), bootstrap)
    }

    #[track_caller]
    pub fn expect_refused_in(self, run: RunDir, bootstrap: Value) -> String {
        let mut child = self.spawn(&run, bootstrap);
        let ended = wait::try_until(self.ready_within, || child.try_wait().unwrap());
        let _ = child.kill();
        let _ = child.wait();
        match ended {
            Some(status) if !status.success() => run.log(),
            Some(_) => panic!(
                "Envoy ended without an error; the end of its log:\n{}",
                tail(&run.log())
            ),
            None => panic!(
                "Envoy took what it should refuse; the end of its log:\n{}",
                tail(&run.log())
            ),
        }
    }

    fn try_start(self, run: RunDir, bootstrap: Value) -> Result<Envoy, (String, RunDir)> {
        let mut child = self.spawn(&run, bootstrap);
        let ready = wait::try_until(self.ready_within, || {
            if let Some(status) = child.try_wait().unwrap() {
                return Some(Err(format!("Envoy ended before it was ready ({status})")));
            }
            let admin = run.read("admin").parse().ok()?;
            admin::ready(admin).then_some(Ok(admin))
        });
        match ready {
            Some(Ok(admin)) => Ok(Envoy {
                process: Mutex::new(child),
                admin,
                listeners: admin::listeners(admin),
                run,
            }),
            other => {
                let _ = child.kill();
                let _ = child.wait();
                let late = || Err(format!("Envoy was not ready within {:?}", self.ready_within));
                Err((other.unwrap_or_else(late).unwrap_err(), run))
            }
        }
    }

    fn spawn(&self, run: &RunDir, mut bootstrap: Value) -> Child {
        let any_port = json!({"socket_address": {"address": "127.0.0.1", "port_value": 0}});
        let fields = bootstrap.as_object_mut().expect("the bootstrap is a JSON object");
        fields.entry("admin").or_insert(json!({"address": any_port}));
        fields.entry("node").or_insert(json!({"id": "test", "cluster": "test"}));
        run.write("bootstrap.json", &serde_json::to_string_pretty(&bootstrap).unwrap());

        let mut command = std::process::Command::new(binary());
        command
            .arg("--config-path")
            .arg(run.path().join("bootstrap.json"))
            .arg("--admin-address-path")
            .arg(run.path().join("admin"))
            // No shared memory and no base id, so any number of them start side by side.
            .arg("--disable-hot-restart")
            // Access logs are read by tests.
            .args(["--file-flush-interval-msec", "20"])
            .args(["--concurrency", &self.concurrency.to_string()])
            .args(["--log-level", &self.log_level])
            .envs(self.environment.iter().map(|(k, v)| (k, v)))
            .stdin(std::process::Stdio::null())
            .stdout(run.append("envoy.log"))
            .stderr(run.append("envoy.log"));
        if let Some(levels) = &self.component_log_level {
            command.args(["--component-log-level", levels]);
        }
        process::spawn(command)
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let process = self.process.get_mut().unwrap_or_else(|e| e.into_inner());
        let _ = process.kill();
        let _ = process.wait();
    }
}

/// Envoy has to refuse this bootstrap at start; its log.
#[track_caller]
pub fn expect_refused_start(bootstrap: Value) -> String {
    Options::default().expect_refused(bootstrap)
}

fn binary() -> PathBuf {
    let path = std::env::var_os("MESHGATE_ENVOY")
        .expect("MESHGATE_ENVOY does not name an Envoy binary: run `make test`, which finds or installs one");
    let path = PathBuf::from(path);
    assert!(
        path.is_file(),
        "MESHGATE_ENVOY={} is no file: run `make test`, which finds or installs one",
        path.display()
    );
    path
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

use crate::support::envoy::{RunDir, spawn};
use crate::support::{LONG, until};
use serde_json::{Value, json};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Envoy's rate limit service with a Redis of its own; gone when dropped.
pub struct Service {
    children: Vec<Child>,
    sockets: PathBuf,
    logs: RunDir,
}

impl Service {
    #[track_caller]
    pub fn start() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        // The path of a socket has 107 bytes at most, and that of the log directory may be longer.
        let name = format!(
            "meshgate-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::SeqCst)
        );
        let sockets = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&sockets).expect("a directory for sockets");
        let mut service = Self {
            children: Vec::new(),
            sockets,
            logs: RunDir::new(),
        };
        let redis = service.sockets.join("redis");
        let mut command = Command::new(tool("redis-server"));
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]);
        command.arg(&redis);
        service.child("redis", command, &redis);

        let grpc = service.sockets.join("grpc");
        let mut command = Command::new(tool("ratelimit"));
        command
            .env("RUNTIME_ROOT", format!("{ROOT}/envoy/ratelimit"))
            .env("RUNTIME_WATCH_ROOT", "false")
            .env("LIMIT_RESPONSE_HEADERS_ENABLED", "true")
            .env("REDIS_SOCKET_TYPE", "unix")
            .env("REDIS_URL", &redis)
            .env("GRPC_UDS", &grpc)
            .env("USE_STATSD", "false");
        for listener in ["", "DEBUG_"] {
            command.env(format!("{listener}HOST"), "127.0.0.1");
            command.env(format!("{listener}PORT"), "0");
        }
        service.child("ratelimit", command, &grpc);
        service
    }

    /// As Envoy's `address`.
    pub fn address(&self) -> Value {
        json!({"pipe": {"path": self.sockets.join("grpc")}})
    }

    #[track_caller]
    fn child(&mut self, name: &str, mut command: Command, socket: &Path) {
        let log = format!("{name}.log");
        command.stdout(self.logs.append(&log)).stderr(self.logs.append(&log));
        // Nothing of theirs is to lie in the repository.
        command.current_dir(&self.sockets);
        self.children.push(spawn(command));
        until(format!("{name} to listen"), LONG, || UnixStream::connect(socket).ok());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.sockets);
    }
}

/// The path of a program, installed where it is missing.
pub fn tool(name: &str) -> String {
    // Two tests are not to install it at once.
    static ONE: Mutex<()> = Mutex::new(());
    let _guard = ONE.lock().unwrap_or_else(|e| e.into_inner());
    let tool = Command::new(format!("{ROOT}/scripts/tool"))
        .arg(name)
        .output()
        .expect("scripts/tool");
    let why = String::from_utf8_lossy(&tool.stderr);
    assert!(tool.status.success(), "no {name} to test against: {why}");
    String::from_utf8(tool.stdout).expect("a path").trim().to_owned()
}

//! More requests than one thread of ours could send.
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// wrk at work; ended with the test.
pub struct Wrk(Option<Child>);

impl Wrk {
    /// Sends what the Lua `script` makes of each request, until it is finished.
    pub fn start(url: &str, connections: usize, script: &Path) -> Self {
        let tool = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/tool");
        let wrk = Command::new(tool).arg("wrk").output().expect("scripts/tool");
        assert!(wrk.status.success(), "wrk: {}", String::from_utf8_lossy(&wrk.stderr));
        let wrk = String::from_utf8(wrk.stdout).expect("a path");
        let mut command = Command::new(wrk.trim());
        command.args(["--threads", "1", "--duration", "300s", "--connections"]);
        command
            .arg(connections.to_string())
            .arg("--script")
            .arg(script)
            .arg(url);
        Self(Some(command.stdout(Stdio::piped()).spawn().expect("wrk starts")))
    }

    /// What it saw.
    pub fn finish(mut self) -> String {
        let mut wrk = self.0.take().expect("it runs");
        assert!(wrk.try_wait().expect("wrk").is_none(), "wrk ended by itself");
        // SAFETY: its own child, which is there.
        unsafe { libc::kill(wrk.id() as i32, libc::SIGINT) };
        let output = wrk.wait_with_output().expect("wrk");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Wrk {
    fn drop(&mut self) {
        if let Some(wrk) = &mut self.0 {
            let _ = wrk.kill();
            let _ = wrk.wait();
        }
    }
}

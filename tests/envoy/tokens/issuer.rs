use super::rotated::Load;
use super::*;
use crate::support::gate::cluster;
use crate::support::until;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// npm's oidc-provider, which oidc/server.mjs starts and talks to.
struct Provider {
    child: Child,
    words: ChildStdin,
    answers: BufReader<ChildStdout>,
    port: u16,
}

impl Provider {
    fn start() -> Self {
        let root = env!("CARGO_MANIFEST_DIR");
        let tool = Command::new(format!("{root}/scripts/tool"))
            .arg("oidc-provider")
            .output();
        let tool = tool.expect("scripts/tool");
        let why = String::from_utf8_lossy(&tool.stderr);
        assert!(tool.status.success(), "no OpenID provider to test against: {why}");
        let folder = String::from_utf8(tool.stdout).expect("a path");
        let mut child = Command::new("node")
            .arg(format!("{root}/tests/envoy/tokens/oidc/server.mjs"))
            .arg(folder.trim())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node starts");
        let mut provider = Self {
            words: child.stdin.take().expect("a pipe"),
            answers: BufReader::new(child.stdout.take().expect("a pipe")),
            child,
            port: 0,
        };
        provider.port = provider.answer().parse().expect("a port");
        provider
    }

    fn say(&mut self, word: &str) -> String {
        writeln!(self.words, "{word}").expect("the provider is there");
        self.answer()
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the provider answers");
        assert!(!line.is_empty(), "the provider ended");
        line.trim().to_owned()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Its metadata, its keys while they turn under load, and tokens that it gave for an authorization code.
#[test]
fn a_real_provider() {
    let mut provider = Provider::start();
    let authority = format!("127.0.0.1:{}", provider.port);
    let discovery = json!({
        "cluster": "provider",
        "authority": authority,
        "path": "/.well-known/openid-configuration",
        "refresh": "10s",
    });
    let mut policy = policy(json!({"discovery": discovery}));
    policy["authenticators"]["staff"]["jwt"]["issuer"] = json!(format!("http://{authority}"));
    let gate = Gate::builder()
        .policy(&policy)
        .workers(2)
        .cluster(cluster("provider", &[authority.parse().expect("an address")]))
        .start();
    let token = provider.say("token");
    let known = until("the first keys", Duration::from_secs(5), || {
        Some(with(&gate, &token)).filter(|answer| answer.status == 200)
    });
    assert!(known.text().contains("ann"), "{}", known.text());
    all_hold(&gate, "staff", 1);
    let load = Load::new(gate.envoy.dir().join("tokens"), &[token]);
    let wrk = load.start(&format!("http://{}/a", gate.addr()));
    for turned in 1..=2 {
        provider.say("publish");
        all_hold(&gate, "staff", 1 + turned);
        provider.say("turn");
        load.set(&[provider.say("token")]);
    }
    let text = wrk.finish();
    assert!(!text.contains("Non-2xx"), "refused: {text}");
}

//! wrk: one thread, a few connections that stay open.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

/// Enough that Envoy never idles: at 16 its worker sleeps a quarter of the time, and what wakes up from sleep is
/// slower than what a loaded gate runs.
pub const CONNECTIONS: usize = 64;

/// A browser's request with a token.
pub const HEADERS: [(&str, &str); 10] = [
    // So spelled, or wrk sends a second one.
    ("Host", "shop.example.com"),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    ),
    (
        "accept",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    ),
    ("accept-language", "en-GB,en;q=0.7,de;q=0.3"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    (
        "authorization",
        "Bearer 2YotnFZFEjr1zCsicMWpAA.c2Vzc2lvbi1vZi1hbGljZS1mb3ItYS1iZW5jaG1hcms",
    ),
    ("cookie", "theme=dark; consent=all; _ga=GA1.1.1234567890.1700000000"),
    ("referer", "https://shop.example.com/orders/4711"),
    ("sec-fetch-mode", "cors"),
    ("sec-fetch-site", "same-origin"),
];

/// An identity that it claims to have. Taking it away costs a change of the headers and another choice of the route,
/// which only those who forge something cause.
const FORGED: (&str, &str) = ("x-user-id", "mallory");

#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub requests: u64,
    pub per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

/// What is sent, besides [`HEADERS`].
pub struct Requests<'a> {
    pub path: &'a str,
    /// Instead of the token of [`HEADERS`].
    pub bearer: Option<&'a str>,
    pub forged: bool,
    /// A wrk script that varies them.
    pub script: Option<&'a Path>,
}

impl Requests<'_> {
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, String)> {
        let forged = self.forged.then_some(FORGED);
        HEADERS
            .into_iter()
            .chain(forged)
            .map(|(name, value)| match (name, self.bearer) {
                ("authorization", Some(token)) => (name, format!("Bearer {token}")),
                _ => (name, value.to_owned()),
            })
    }
}

/// Panics when anything but a 2xx comes back.
pub fn run(wrk: &Path, addr: SocketAddr, requests: &Requests, seconds: u64) -> Load {
    let mut command = Command::new(wrk);
    command.args(["--threads", "1", "--latency"]);
    command.args(["--connections", &CONNECTIONS.to_string()]);
    command.args(["--duration", &format!("{seconds}s")]);
    for (name, value) in requests.headers() {
        command.args(["--header", &format!("{name}: {value}")]);
    }
    if let Some(script) = requests.script {
        command.arg("--script").arg(script);
    }
    command.arg(format!("http://{addr}{}", requests.path));
    let output = command.output().unwrap_or_else(|e| panic!("{}: {e}", wrk.display()));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "wrk failed: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for fault in ["Non-2xx", "Socket errors"] {
        assert!(!text.contains(fault), "not every request was answered by 200: {text}");
    }
    read(&text).unwrap_or_else(|| panic!("wrk wrote what is not understood: {text}"))
}

/// `50%    1.02ms`, `12345 requests in 2.00s, 3.25MB read`, `Requests/sec:   6172.50`
fn read(text: &str) -> Option<Load> {
    let after = |label: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(label))?;
        Some(line.trim())
    };
    let requests = text.lines().find_map(|line| line.trim().split_once(" requests in "))?;
    Some(Load {
        requests: requests.0.parse().ok()?,
        per_second: after("Requests/sec:")?.parse().ok()?,
        p50_ms: milliseconds(after("50%")?)?,
        p99_ms: milliseconds(after("99%")?)?,
    })
}

fn milliseconds(text: &str) -> Option<f64> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
    match unit {
        "us" => Some(number / 1e3),
        "ms" => Some(number),
        "s" => Some(number * 1e3),
        _ => None,
    }
}

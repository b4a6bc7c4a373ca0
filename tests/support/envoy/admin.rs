use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use super::Envoy;
use crate::support::client::{Failure, h1};
use crate::support::message::{Response, get, request};
use crate::support::wait;

impl Envoy {
    /// A counter or gauge; `None` when Envoy does not have it (yet).
    pub fn stat(&self, name: &str) -> Option<u64> {
        self.matching(&format!("^{}$", quoted(name))).remove(name)
    }

    /// All counters and gauges whose name starts so.
    pub fn stats(&self, prefix: &str) -> BTreeMap<String, u64> {
        self.matching(&format!("^{}", quoted(prefix)))
    }

    /// Waits until the counter or gauge is as wanted; absent counts as 0.
    #[track_caller]
    pub fn wait_for_stat(&self, name: &str, wanted: impl Fn(u64) -> bool, bound: Duration) -> u64 {
        let mut last = None;
        let value = wait::try_until(bound, || {
            last = self.stat(name);
            Some(last.unwrap_or(0)).filter(|v| wanted(*v))
        });
        value.unwrap_or_else(|| panic!("waited {bound:?} in vain for the stat {name}, last {last:?}"))
    }

    #[track_caller]
    pub fn config_dump(&self) -> Value {
        self.get("/config_dump?include_eds").json()
    }

    #[track_caller]
    pub fn prometheus(&self) -> String {
        self.get("/stats/prometheus").text()
    }

    /// Any GET of the admin interface.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        h1(self.admin).send(&get(path).host("admin").header("connection", "close"))
    }

    /// Any POST of the admin interface, such as `/healthcheck/fail`.
    #[track_caller]
    pub fn post(&self, path: &str) -> Response {
        h1(self.admin).send(&request("POST", path).host("admin").header("connection", "close"))
    }

    #[track_caller]
    fn matching(&self, regex: &str) -> BTreeMap<String, u64> {
        let response = self.get(&format!("/stats?filter={}", encoded(regex)));
        assert_eq!(response.status, 200, "stats matching {regex}: {}", response.text());
        let text = response.text();
        let pairs = text.lines().filter_map(|line| line.rsplit_once(": "));
        pairs
            .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
            .collect()
    }
}

/// Whether Envoy says that it serves.
pub(super) fn ready(admin: SocketAddr) -> bool {
    matches!(ask(admin, "/ready"), Ok(response) if response.status == 200)
}

pub(super) fn listeners(admin: SocketAddr) -> BTreeMap<String, SocketAddr> {
    let answer = ask(admin, "/listeners?format=json")
        .expect("the admin interface lists listeners")
        .json();
    let all = answer["listener_statuses"].as_array().cloned().unwrap_or_default();
    all.iter()
        .filter_map(|listener| {
            let address = &listener["local_address"]["socket_address"];
            let port = u16::try_from(address["port_value"].as_u64()?).ok()?;
            let ip: std::net::IpAddr = address["address"].as_str()?.parse().ok()?;
            Some((listener["name"].as_str()?.to_owned(), (ip, port).into()))
        })
        .collect()
}

fn ask(admin: SocketAddr, path: &str) -> Result<Response, Failure> {
    h1(admin).try_send(&get(path).host("admin").timeout(Duration::from_secs(5)))
}

/// The text as a regular expression that matches only it.
fn quoted(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            (!c.is_alphanumeric() && c != '_')
                .then_some('\\')
                .into_iter()
                .chain([c])
        })
        .collect()
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() {
                (b as char).to_string()
            } else {
                format!("%{b:02x}")
            }
        })
        .collect()
}

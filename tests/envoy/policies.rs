//! Policies that several tests start from, as an operator would write them.

use crate::support::gate::merge;
use crate::support::{Received, Reply};

/// YAML to the JSON document that Envoy gets.
pub fn json(yaml: &str) -> String {
    meshgate::config::yaml::to_json(yaml).unwrap_or_else(|faults| panic!("{faults}"))
}

/// A policy whose one rule `all` asks the cluster `auth` about every request. `callout` and `rest`
/// are YAML that is laid over the authenticator's callout and over the whole policy.
pub fn asking(callout: &str, rest: &str) -> String {
    let mut policy = tree(
        r#"
        version: 1
        authenticators:
          account:
            callout:
              protocol: ext_authz_http
              cluster: auth
              timeout: 5s
              principal: { subject: x-auth-user }
              on_failure: deny
        identity: { headers: { x-user-id: "{subject}" } }
        defaults: { authenticate: [account] }
        rules:
        - { name: all, match: { hosts: ["*"], paths: ["/**"] } }
        "#,
    );
    if !callout.is_empty() {
        merge(&mut policy["authenticators"]["account"]["callout"], tree(callout));
    }
    if !rest.is_empty() {
        merge(&mut policy, tree(rest));
    }
    policy.to_string()
}

fn tree(yaml: &str) -> serde_json::Value {
    serde_json::from_str(&json(yaml)).unwrap()
}

/// The auth service's plain yes: the caller is `alice`.
pub fn alice() -> Reply {
    Reply::ok().header("x-auth-user", "alice")
}

/// The log lines of decisions about requests whose URL holds `url`, once there are `n`.
#[track_caller]
pub fn decisions(gate: &crate::support::Gate, url: &str, n: usize) -> Vec<serde_json::Value> {
    use crate::support::{SHORT, until};
    until(format!("{n} decisions about {url}"), SHORT, || {
        let all = log_lines(&gate.envoy.log()).into_iter();
        let about: Vec<_> = all
            .filter(|line| line["requestURL"].as_str().is_some_and(|u| u.contains(url)))
            .collect();
        (about.len() >= n).then_some(about)
    })
}

/// The filter's own lines in Envoy's log. A line that is no JSON object fails the test.
#[track_caller]
pub fn log_lines(log: &str) -> Vec<serde_json::Value> {
    let ours = log.lines().filter_map(|line| line.split_once("wasm log meshgate"));
    // Envoy writes a line and its end in one go, but a reader may come in between.
    let whole = log.ends_with('\n');
    let mut ours: Vec<&str> = ours
        .filter_map(|(_, rest)| rest.split_once(": ").map(|(_, json)| json))
        .collect();
    if !whole {
        ours.pop();
    }
    ours.into_iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect()
}

/// Rules behind one auth service, `account`, that is asked about `authorization` and the cookie
/// `session`; [`knows_ada`] answers it. `identity` tells who called.
pub fn account(rules: &str) -> String {
    json(&format!("{ACCOUNT}{rules}"))
}

const ACCOUNT: &str = r#"
version: 1
authenticators:
  account:
    callout:
      protocol: ext_authz_http
      cluster: auth
      timeout: 5s
      credential: ["header:authorization", "cookie:session"]
      principal: { subject: x-auth-user, groups: { header: x-auth-groups, split: ";" }, claims: { tenant: x-auth-tenant } }
      on_failure: deny
identity:
  headers: { x-user-id: "{subject}", x-user-groups: "{groups}", x-tenant-id: "{claims.tenant}" }
defaults: { authenticate: [account] }
"#;

/// An auth service that knows `Bearer ada` and the session `ada`, and nobody else (401).
pub fn knows_ada(request: &Received) -> Reply {
    let bearer = request.header("authorization").as_deref() == Some("Bearer ada");
    let session = request.header("cookie").as_deref() == Some("session=ada");
    match bearer || session {
        true => Reply::ok().header("x-auth-user", "ada"),
        false => Reply::status(401),
    }
}

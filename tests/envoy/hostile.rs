//! Thousands of requests and answers that nobody means well with: the filter stays up, answers each,
//! and lets nobody in under another's name.

mod dice;
mod in_step;
mod sent;

use crate::policies::json;
use crate::support::client::Connection;
use crate::support::{Failure, Gate, LONG, Received, Reply, Request, Wire, all_at_once, get};
use dice::Dice;
use meshgate::identity::decode_scalar;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A failure names it with the number of the case: both together make the same request again.
const SEED: u64 = 0x4d65_7368_6761_7465;
const CASES: usize = 12_000;
const CLIENTS: usize = 6;
/// What all of them may take together; a third of it is usual.
const BOUND: Duration = Duration::from_secs(60);

const POLICY: &str = r#"
version: 1
authenticators:
  account:
    callout:
      protocol: ext_authz_http
      cluster: auth
      timeout: 2s
      credential: ["header:authorization", "cookie:session*"]
      send: { headers: [x-case, "x-sent-*", cookie] }
      principal: { subject: x-auth-user, groups: { header: x-auth-groups, split: ";" }, claims: { tenant: x-auth-tenant } }
      accept: { headers: ["x-auth-*"], append: ["x-more-*"], to_client: [set-cookie, "x-client-*"] }
      on_deny: { headers: all, sign_in: { url: "https://login.test/?rd={url}", status: [401] } }
      on_failure: deny
  lenient:
    callout:
      protocol: forward_auth
      cluster: auth
      authority: auth.test
      path: /verify
      timeout: 2s
      credential: ["header:authorization"]
      send: { headers: [x-case] }
      principal: { subject: x-auth-user }
      on_failure: allow
identity:
  headers: { x-user-id: "{subject}", x-user-groups: "{groups}", x-tenant-id: "{claims.tenant}" }
  strip: ["x-internal-*"]
log: { query: [shown] }
defaults: { authenticate: [account] }
rules:
- { name: public, match: { hosts: [test], paths: ["/public/**"] }, authenticate: none }
- { name: closed, match: { paths: ["/closed/**"] }, refuse: 404 }
- { name: raw, match: { paths: ["/raw/**"] }, paths_raw: [encoded_slash, semicolon, empty_segment] }
- { name: shadow, match: { query: [{ name: q, contains: "1" }] }, mode: shadow, require: { groups: { any_of: [ops] } } }
- { name: own, match: { paths: ["/t/{tenant}/**"] }, require: { claims: { tenant: "{path.tenant}" } } }
- { name: anonymous, match: { paths: ["/anonymous/**"] }, anonymous: allow_missing_or_failed, cors: { preflight: pass } }
- { name: lenient, match: { paths: ["/lenient/**"] }, authenticate: [lenient] }
- { name: rest, match: { hosts: [test] } }
"#;

/// Who the service said is calling, by case.
type Known = Arc<Mutex<HashMap<usize, String>>>;

fn answer(request: &Received, known: &Known) -> Reply {
    let Some(case) = request.header("x-case").and_then(|text| text.parse().ok()) else {
        return Reply::status(401);
    };
    if request.header("authorization").as_deref() == Some("Bearer good") {
        known.lock().unwrap().insert(case, "good".into());
        return Reply::ok().header("x-auth-user", "good");
    }
    let (reply, subject) = sent::reply(&mut Dice::of(!SEED, case));
    if let Some(subject) = subject {
        known.lock().unwrap().insert(case, subject);
    }
    reply
}

/// Requests one after the other: over HTTP/1.1 on a connection that is kept as long as it lasts.
struct Sender<'a> {
    gate: &'a Gate,
    kept: Option<Connection>,
}

impl Sender<'_> {
    fn send(&mut self, wire: Wire, request: &Request) -> Result<u16, Failure> {
        if wire == Wire::H2 {
            return crate::seen::send(self.gate, wire, request).map(|response| response.status);
        }
        let mut connection = self.kept.take().unwrap_or_else(|| self.gate.h1().connect());
        let response = connection.send(request)?;
        let closes = response
            .header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if !closes {
            self.kept = Some(connection);
        }
        Ok(response.status)
    }
}

#[test]
fn bytes_of_any_kind_neither_stop_the_filter_nor_pass_for_somebody() {
    let known = Known::default();
    let of_service = known.clone();
    let gate = Gate::builder()
        .policy(json(POLICY))
        .auth(move |request| answer(request, &of_service))
        .upstream(|_| Reply::ok())
        .hcm(crate::seen::hangs_up_at_once())
        .workers(2)
        .start();

    let started = Instant::now();
    let statuses = all_at_once(CLIENTS, |client| {
        let mut sender = Sender {
            gate: &gate,
            kept: None,
        };
        let mut statuses: HashMap<u16, usize> = HashMap::new();
        for case in (client..CASES).step_by(CLIENTS) {
            let mut dice = Dice::of(SEED, case);
            let wire = *dice.one_of(&Wire::BOTH);
            let request = sent::request(&mut dice, case);
            let status = match sender.send(wire, &request) {
                Ok(status) => status,
                // A kept connection that Envoy has closed meanwhile, and bytes that it hangs up on.
                Err(Failure::Closed | Failure::Reset) => 0,
                Err(other) => panic!("seed {SEED:#x}, case {case} over {wire:?}: {other:?} to {request:?}"),
            };
            *statuses.entry(status).or_default() += 1;
        }
        statuses
    });
    let took = started.elapsed();
    let mut counted: HashMap<u16, usize> = HashMap::new();
    for (status, count) in statuses.into_iter().flatten() {
        *counted.entry(status).or_default() += count;
    }
    println!("{CASES} cases in {took:?}, by status {counted:?}");
    assert!(took < BOUND, "seed {SEED:#x}: {took:?} for {CASES} cases");
    for status in [200, 400, 401, 403, 404, 503] {
        assert!(
            counted.get(&status).is_some_and(|n| *n > 20),
            "seed {SEED:#x}: hardly a {status}: {counted:?}"
        );
    }

    gate.envoy.assert_no_trap();
    nobody_passed_for_another(&gate, &known.lock().unwrap().clone());
    every_log_line_is_json(&gate);
    for wire in Wire::BOTH {
        let good = get("/orders")
            .header("authorization", "Bearer good")
            .header("x-case", CASES.to_string());
        let seen = crate::seen::see(&gate, wire, &good);
        assert_eq!(seen.status, 200, "a good request afterwards over {wire:?}");
        assert_eq!(seen.at_upstream().header("x-user-id").as_deref(), Some("good"));
    }
}

#[track_caller]
fn nobody_passed_for_another(gate: &Gate, known: &HashMap<usize, String>) {
    let (mut somebody, mut nobody) = (0, 0);
    for request in gate.upstream.received() {
        let case = request.header("x-case").and_then(|text| text.parse::<usize>().ok());
        let fault = format!(
            "seed {SEED:#x}, case {case:?}: {:?} {:?}",
            request.path(),
            request.headers
        );
        for (name, value) in request.headers.iter().chain(request.trailers.iter()) {
            let folded: String = name.iter().map(|b| fold(*b)).collect();
            let ours = folded.starts_with("x_user_") || folded == "x_tenant_id" || folded.starts_with("x_internal_");
            assert!(
                !(ours && value.windows(6).any(|text| text == b"forged")),
                "forged: {fault}"
            );
            assert!(
                !ours || !name.contains(&b'_') && !name.contains(&b'.'),
                "another spelling: {fault}"
            );
        }
        match request.headers.all("x-user-id").as_slice() {
            [] => nobody += 1,
            [one] => {
                let told = std::str::from_utf8(one).ok().and_then(decode_scalar);
                let said = case.and_then(|case| known.get(&case));
                assert_eq!(told.as_ref(), said, "not what the service said: {fault}");
                somebody += 1;
            }
            _ => panic!("two of them: {fault}"),
        }
    }
    assert!(
        somebody > 500 && nobody > 500,
        "seed {SEED:#x}: {somebody} known and {nobody} unknown callers"
    );
}

fn fold(byte: u8) -> char {
    let byte = if byte.is_ascii_alphanumeric() {
        byte.to_ascii_lowercase()
    } else {
        b'_'
    };
    char::from(byte)
}

/// One decision, one line, one object.
#[track_caller]
fn every_log_line_is_json(gate: &Gate) {
    // Envoy writes its log a moment after the request it is about.
    let lines = crate::support::until("the log line of nearly every case", LONG, || {
        let lines: Vec<String> = gate
            .envoy
            .log_lines()
            .into_iter()
            .filter(|line| line.contains("wasm log"))
            .collect();
        (lines.len() > CASES / 2).then_some(lines)
    });
    for line in lines {
        let object = line.find('{').map(|at| &line[at..]).unwrap_or_default();
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(object);
        match parsed {
            Ok(parsed) => assert!(parsed["outcome"].is_string() || parsed["msg"].is_string(), "{line}"),
            Err(error) => panic!("seed {SEED:#x}: {error}: {line}"),
        }
    }
}

//! A row of a table: text in, text out.
//!
//! A request is `METHOD TARGET | name: value | …`, its host `shop.example.com` unless a row says
//! otherwise; `@ip`, `@peer` and `@plain` say what the connection says, `@body` that a body follows;
//! `\xNN` is a byte. An answer is `STATUS | name: value | > body`, or the word of a failure.

use meshgate::authn::callout::{Answer, CalloutFailure};
use meshgate::authn::jwt::InRust;
use meshgate::cache::{NoStore, Seed};
use meshgate::decide::{Around, Ask, Forward, Record, Refuse, Step, Used};
use meshgate::header::Headers;
use meshgate::memory::Memory;
use meshgate::policy::Policy;
use meshgate::request::Connection;
use meshgate::time::UnixTime;
use meshgate::upstream::Carried;
use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;

/// 2026-12-01T00:00:00Z
pub const NOW: UnixTime = UnixTime::from_secs(1_796_083_200);

pub type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// What becomes of `request`, whole; behind a `…` whatever comes.
#[track_caller]
pub fn check(policy: &str, request: &str, expected: &str) {
    let (policy, (headers, connection)) = (read_policy(policy), read_request(request));
    compare(request, &show(&on_request(&policy, headers, &connection)), expected);
}

/// The same, once the service has answered.
#[track_caller]
pub fn answered(policy: &str, request: &str, answer: &str, expected: &str) {
    let (policy, (headers, connection)) = (read_policy(policy), read_request(request));
    let Step::Ask(ask) = on_request(&policy, headers, &connection) else {
        panic!("nobody is asked: {request}");
    };
    let step = match answer {
        "body too large" => in_a_new_world(&policy, &connection, |around| ask.awaiting.on_body_too_large(around)),
        _ => on_answer(&policy, *ask, read_answer(answer), &connection),
    };
    compare(&format!("{request}\n   {answer}"), &show(&step), expected);
}

/// Nothing is remembered, and it is no day in particular.
fn in_a_new_world<T>(policy: &Policy, connection: &dyn Connection, decide: impl FnOnce(&mut Around) -> T) -> T {
    let mut memory = Memory::new(policy, Seed::default());
    decide(&mut Around {
        connection,
        memory: &mut memory,
        signatures: &InRust,
        shared: &NoStore,
        now: NOW,
    })
}

pub fn on_request(policy: &Arc<Policy>, headers: Arc<Headers>, connection: &dyn Connection) -> Step {
    in_a_new_world(policy, connection, |around| {
        meshgate::decide::on_request(policy, headers, true, around)
    })
}

pub fn on_answer(policy: &Policy, ask: Ask, answer: Answer, connection: &dyn Connection) -> Step {
    in_a_new_world(policy, connection, |around| {
        let heard = ask
            .call
            .on_answer(answer, around.memory, around.shared, around.now.as_ms());
        ask.awaiting.on_heard(heard, Used::Asked, around)
    })
}

#[track_caller]
fn compare(row: &str, step: &str, expected: &str) {
    let same = match expected.strip_suffix('…') {
        Some(start) => step.starts_with(start),
        None => step == expected,
    };
    assert!(same, "\n   {row}\n   {step}\n!= {expected}\n");
}

#[track_caller]
pub fn read_policy(text: &str) -> Arc<Policy> {
    let json = meshgate::config::yaml::to_json(text).unwrap_or_else(|faults| panic!("{text}\n{faults}"));
    match meshgate::config::parse(json.as_bytes()) {
        Ok(parsed) => Arc::new(parsed.policy),
        Err(faults) => panic!("{text}\n{faults}"),
    }
}

#[derive(Debug)]
pub struct Peer {
    pub ip: Option<IpAddr>,
    pub tls: bool,
    pub san: Option<String>,
    /// The request ends with its headers.
    pub ends: bool,
}

impl Default for Peer {
    fn default() -> Self {
        Self {
            ip: "192.0.2.7".parse().ok(),
            tls: true,
            san: None,
            ends: true,
        }
    }
}

impl Connection for Peer {
    fn source_ip(&self) -> Option<IpAddr> {
        self.ip
    }
    fn tls(&self) -> bool {
        self.tls
    }
    fn peer(&self) -> Option<String> {
        self.san.clone()
    }
}

#[track_caller]
pub fn read_request(text: &str) -> (Arc<Headers>, Peer) {
    let mut parts = text.split(" | ");
    let (method, target) = parts
        .next()
        .and_then(|line| line.split_once(' '))
        .expect("METHOD TARGET");
    let mut pairs: Pairs = vec![(b":method".to_vec(), bytes(method))];
    let mut peer = Peer::default();
    let mut rest = Pairs::new();
    for part in parts {
        match part.split_once(' ').unwrap_or((part, "")) {
            ("@ip", ip) => peer.ip = ip.parse().ok(),
            ("@peer", san) => peer.san = Some(san.to_owned()),
            ("@plain", _) => peer.tls = false,
            ("@body", _) => peer.ends = false,
            _ => rest.push(pair(part)),
        }
    }
    if !rest.iter().any(|(name, _)| name == b":authority") {
        pairs.push((b":authority".to_vec(), b"shop.example.com".to_vec()));
    }
    if target != "-" {
        pairs.push((b":path".to_vec(), bytes(target)));
    }
    pairs.extend(rest);
    (Arc::new(pairs.into_iter().collect()), peer)
}

pub fn read_answer(text: &str) -> Answer {
    if let Some(failure) = failure(text) {
        return Answer::Failure(failure);
    }
    let mut pairs = Pairs::new();
    let mut body = Some(Vec::new());
    for (at, part) in text.split(" | ").enumerate() {
        match (at, part.split_once(' ')) {
            _ if part.is_empty() || part == "-" => {}
            (0, _) => pairs.push((b":status".to_vec(), bytes(part))),
            (_, Some((">", page))) => body = Some(bytes(page)),
            _ if part == "> …" => body = None,
            _ => pairs.push(pair(part)),
        }
    }
    let headers = pairs.into_iter().collect();
    Answer::Reply {
        headers,
        body: body.filter(|body| body != "…".as_bytes()),
    }
}

fn failure(word: &str) -> Option<CalloutFailure> {
    use CalloutFailure::*;
    [
        UnknownCluster,
        NoHost,
        ConnectFailure,
        Timeout,
        Reset,
        BadResponse,
        Garbled,
        BodyUnseen,
        Host,
    ]
    .into_iter()
    .find(|failure| failure.word() == word)
}

#[track_caller]
fn pair(text: &str) -> (Vec<u8>, Vec<u8>) {
    let colon = text.get(1..).and_then(|rest| rest.find(':')).expect("name: value") + 1;
    (bytes(&text[..colon]), bytes(text[colon + 1..].trim_start_matches(' ')))
}

/// `\xNN` is a byte.
fn bytes(text: &str) -> Vec<u8> {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).expect("two hex digits"));
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    bytes
}

pub fn show(step: &Step) -> String {
    match step {
        Step::Forward(forward) => show_forward(forward),
        Step::Refuse(refuse) => show_refuse(refuse),
        Step::Ask(ask) => show_ask(ask),
    }
}

fn show_forward(forward: &Forward) -> String {
    let mut text = head("forward", &forward.record);
    for name in &forward.edits.remove {
        let _ = write!(text, "; remove {}", shown(name));
    }
    let sets: Vec<_> = forward.edits.sets().cloned().collect();
    list(&mut text, "set ", pairs(&sets));
    list(&mut text, "add ", pairs(&forward.edits.add));
    list(&mut text, "client ", pairs(&forward.on_response.to_client));
    tail(text, &forward.record)
}

pub fn show_refuse(refuse: &Refuse) -> String {
    let reply = &refuse.reply;
    let mut text = head(&format!("refuse {}", reply.status), &refuse.record);
    let mut headers = reply.headers.clone();
    let own = serde_json::from_slice::<serde_json::Value>(&reply.body).ok();
    match (own, reply.grpc_status) {
        (_, Some(code)) => {
            let _ = write!(text, "; grpc {code} {}", shown(&reply.body));
        }
        // Our own: a row would say the same of type and form each time.
        (Some(own), None)
            if own.get("request_id").is_some() && drop(&mut headers, "content-type", "application/json") =>
        {
            let member = |name: &str| own[name].as_str().unwrap_or("?").to_owned();
            let _ = write!(text, "; {}: {}", member("error"), member("message"));
            match member("request_id") {
                id if id.is_empty() => {}
                id => text += &format!(" #{id}"),
            }
        }
        _ if reply.body.is_empty() => text += "; no body",
        _ => text += &format!("; > {}", shown(&reply.body)),
    }
    if !drop(&mut headers, "cache-control", "no-store") {
        text += "; may be stored";
    }
    list(&mut text, "", pairs(&headers));
    tail(text, &refuse.record)
}

fn show_ask(ask: &Ask) -> String {
    let question = &ask.question;
    let mut text = format!("ask {} {}ms", question.cluster, question.timeout.as_millis());
    if let Some(body) = question.body {
        let _ = write!(text, " body={}", body.max_bytes);
        text += if body.allow_partial { " partial" } else { "" };
    }
    list(&mut text, "", question.headers.iter());
    text
}

fn head(step: &str, record: &Record) -> String {
    let rule = record.rule.as_ref().map_or("-", |rule| &rule.name);
    let mut text = format!("{rule}: {step} {}", record.outcome.word());
    if !record.cause.is_empty() {
        text += &format!("/{}", record.cause);
    }
    if let (Some(subject), Some(authenticator)) = (&record.subject, &record.authenticator) {
        text += &format!(" {authenticator}/{subject}");
    }
    if let Some(id) = &record.credential_id {
        text += &format!(" by {id}");
    }
    text
}

fn tail(mut text: String, record: &Record) -> String {
    for (rule, outcome) in &record.shadows {
        text += &format!("; shadow {}={}", rule.name, outcome.word());
    }
    text += if record.enforced { "" } else { "; observed" };
    text += match record.carried {
        Carried::AsSaid => "",
        Carried::UnreadableDeadline => "; unreadable deadline",
    };
    text
}

fn pairs(pairs: &[(Vec<u8>, Vec<u8>)]) -> impl Iterator<Item = (&[u8], &[u8])> {
    pairs.iter().map(|(name, value)| (&name[..], &value[..]))
}

fn list<'a>(text: &mut String, verb: &str, pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) {
    for (name, value) in pairs {
        let _ = write!(text, "; {verb}{}={}", shown(name), shown(value));
    }
}

/// Whatever is not printable ASCII as `\xNN`.
fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => text += &format!("\\x{byte:02x}"),
        }
    }
    text
}

fn drop(headers: &mut Pairs, name: &str, value: &str) -> bool {
    let before = headers.len();
    headers.retain(|(n, v)| n != name.as_bytes() || v != value.as_bytes());
    headers.len() + 1 == before
}

//! What the service is sent, and what its answer is therefore remembered by: both come from one walk,
//! so that nothing can be sent that the key does not hold.

use super::is_never_passed;
use crate::authn::credential;
use crate::cache::{Digest, DigestHasher, Ignored, Key, KeyHasher, Seed};
use crate::header::{Headers, NamePattern, NameSet, folds_alike};
use crate::policy::{Authority, Callout, Place, Protocol, SendBody, always_asked};
use crate::request::{Connection, Request};
use crate::strip::Strip;
use std::sync::Arc;
use std::time::Duration;

/// A request to the service, as plain values.
#[derive(Clone, PartialEq, Eq)]
pub struct Question {
    /// The Envoy cluster.
    pub cluster: Arc<str>,
    /// Pseudo-headers first.
    pub headers: Headers,
    /// The body to collect before asking.
    pub body: Option<SendBody>,
    pub timeout: Duration,
}

impl Question {
    /// The body that goes with it is there.
    pub fn complete(&mut self, body_bytes: usize, partial: bool) {
        let partial = if partial { "true" } else { "false" };
        let others = self.headers.iter().filter(|(name, _)| name != b"content-length");
        let mut headers: Headers = others.collect();
        headers.push(b"content-length", &[body_bytes.to_string().as_bytes()]);
        headers.push(b"x-envoy-auth-partial-body", &[partial.as_bytes()]);
        self.headers = headers;
    }
}

/// Names only: values hold credentials.
impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cluster, headers, .. } = self;
        write!(f, "Question {{ cluster: {cluster:?}, headers: {headers:?} }}")
    }
}

/// Always passed on, so that the service's work shows in the caller's trace: Envoy starts no span
/// for a filter's call and adds none of these.
const TRACE: [&str; 15] = [
    "x-request-id",
    "traceparent",
    "tracestate",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "x-ot-span-context",
    "x-cloud-trace-context",
    "x-datadog-trace-id",
    "x-datadog-parent-id",
    "x-datadog-sampling-priority",
    "sw8",
];

fn is_trace(name: &[u8]) -> bool {
    TRACE.iter().any(|trace| trace.as_bytes() == name)
}

/// Callers write these, and answers are not told apart by them: what is as long as this makes no service fail. A
/// `tracestate` has 512 characters at most that must be kept (W3C Trace Context section 3.3.1.5).
const MAX_TRACE_BYTES: usize = 512;

pub fn ask(callout: &Callout, request: &Request, strip: &Strip, connection: &dyn Connection) -> Question {
    // Room for what most questions hold.
    let mut headers = Headers::with_capacity(16, 1024);
    tell(callout, request, strip, connection, &mut headers);
    headers.push(b"content-length", &[b"0"]);
    retries(callout, &mut |name, value| headers.push(name, &[value]));
    Question {
        cluster: callout.cluster.clone(),
        headers,
        // What follows an upgrade is no body: it ends with the connection.
        body: callout.send.body.filter(|_| !request.is_upgrade()),
        timeout: callout.timeout,
    }
}

/// What the answer to this question is remembered by: everything the service is sent and its verdict
/// may depend on, and the scheme.
pub fn key(callout: &Callout, request: &Request, strip: &Strip, connection: &dyn Connection, seed: Seed) -> Key {
    let keyed = keyed(KeyHasher::new(seed), None, callout, request, strip, connection);
    keyed.hasher.finish()
}

/// The same, for all workers.
pub fn digest(
    callout: &Callout,
    request: &Request,
    strip: &Strip,
    connection: &dyn Connection,
    hasher: DigestHasher,
) -> Option<Digest> {
    let unused = KeyHasher::new(Seed::default());
    let keyed = keyed(unused, Some(hasher), callout, request, strip, connection);
    keyed.for_all.map(DigestHasher::finish)
}

fn keyed<'a>(
    hasher: KeyHasher,
    for_all: Option<DigestHasher>,
    callout: &'a Callout,
    request: &Request,
    strip: &Strip,
    connection: &dyn Connection,
) -> Keyed<'a> {
    static NOTHING: Ignored = Ignored::nothing();
    let mut keyed = Keyed {
        hasher,
        for_all,
        ignored: callout.cache.as_ref().map_or(&NOTHING, |cache| &cache.ignored),
    };
    keyed.part(request.headers.first(":scheme").unwrap_or_default());
    tell(callout, request, strip, connection, &mut keyed);
    keyed
}

/// Whoever takes down what the service is sent.
trait Told {
    fn method(&mut self, name: &'static [u8], method: &[u8]);
    /// Prefix, path, `?` and query, as far as they are there.
    fn target(&mut self, name: &'static [u8], pieces: [&[u8]; 4]);
    fn host(&mut self, name: &'static [u8], host: &[u8]);
    fn header(&mut self, name: &[u8], value: &[u8]);
    /// Callers are always told apart by it.
    fn credential(&mut self, name: &[u8], value: &[u8]);
    /// What tells one request from the next and callers not apart.
    fn trace(&mut self, name: &[u8], value: &[u8]);
}

impl Told for Headers {
    fn method(&mut self, name: &'static [u8], method: &[u8]) {
        self.push(name, &[method]);
    }

    fn target(&mut self, name: &'static [u8], pieces: [&[u8]; 4]) {
        self.push(name, &pieces);
    }

    fn host(&mut self, name: &'static [u8], host: &[u8]) {
        self.push(name, &[host]);
    }

    fn header(&mut self, name: &[u8], value: &[u8]) {
        self.push(name, &[value]);
    }

    fn credential(&mut self, name: &[u8], value: &[u8]) {
        self.push(name, &[value]);
    }

    fn trace(&mut self, name: &[u8], value: &[u8]) {
        self.push(name, &[value]);
    }
}

struct Keyed<'a> {
    hasher: KeyHasher,
    for_all: Option<DigestHasher>,
    ignored: &'a Ignored,
}

impl Keyed<'_> {
    fn part(&mut self, value: &[u8]) {
        self.hasher.part(value);
        if let Some(for_all) = &mut self.for_all {
            for_all.part(value);
        }
    }

    fn part_unless(&mut self, ignored: bool, value: &[u8]) {
        if !ignored {
            self.part(value);
        }
    }
}

/// In one fixed order, so that these need no name; what is left out is left out of every key of the service.
impl Told for Keyed<'_> {
    fn method(&mut self, _: &'static [u8], method: &[u8]) {
        self.part_unless(self.ignored.method, method);
    }

    fn target(&mut self, _: &'static [u8], [_, path, mark, query]: [&[u8]; 4]) {
        self.part_unless(self.ignored.path, path);
        self.part_unless(self.ignored.query, mark);
        self.part_unless(self.ignored.query, query);
    }

    fn host(&mut self, _: &'static [u8], host: &[u8]) {
        self.part_unless(self.ignored.host, host);
    }

    fn header(&mut self, name: &[u8], value: &[u8]) {
        if !self.ignored.header(name) {
            self.credential(name, value);
        }
    }

    fn credential(&mut self, name: &[u8], value: &[u8]) {
        self.part(name);
        self.part(value);
    }

    fn trace(&mut self, _: &[u8], _: &[u8]) {}
}

/// Every name that a question may take from a request, and few others, so that most headers are passed over at once.
pub fn sent(patterns: &[NamePattern], credential: Option<&[Place]>) -> NameSet {
    let places = credential.unwrap_or(always_asked());
    let credentials = places.iter().filter_map(|place| match place {
        Place::Header(name) => Some(NamePattern::exact(name)),
        Place::Cookie(_) | Place::CookiePrefix(_) | Place::Query(_) => None,
    });
    let named = TRACE
        .iter()
        .filter_map(|name| NamePattern::parse(name).ok())
        .chain(credentials);
    named.chain(patterns.iter().cloned()).collect()
}

fn tell(callout: &Callout, request: &Request, strip: &Strip, connection: &dyn Connection, told: &mut impl Told) {
    pseudo_headers(callout, request, told);
    let credential = callout.credential_places();
    let is_wanted = |name: &[u8]| {
        // What is stripped for the upstream is a forgery to the service as well.
        let may = || !is_never_passed(name) && !strip.takes(name);
        callout.send.headers.iter().any(|pattern| pattern.matches(name)) && may()
    };
    for (name, value) in request.headers.marked(callout.sent.marks()) {
        let is_credential = credential.iter().any(|place| place.is_header(name));
        let is_trace = !is_credential && is_trace(name) && value.len() <= MAX_TRACE_BYTES;
        if (is_credential || is_trace || is_wanted(name)) && !callout.sets(name) {
            match (is_credential, is_trace) {
                (true, _) => told.credential(name, value),
                (false, true) => told.trace(name, value),
                (false, false) => told.header(name, value),
            }
        }
    }
    if !callout.sets(b"cookie")
        && !is_wanted(b"cookie")
        && let Some(cookies) = credential::cookies(credential, request)
    {
        told.credential(b"cookie", &cookies);
    }
    forwarded(callout, request, connection, told);
    for (name, value) in &callout.send.add {
        told.header(name.as_str().as_bytes(), value.as_bytes());
    }
}

fn pseudo_headers(callout: &Callout, request: &Request, told: &mut impl Told) {
    let prefix = callout.path.as_bytes();
    match callout.protocol {
        Protocol::ExtAuthzHttp => {
            let [path, mark, query] = request.target_pieces();
            told.method(b":method", request.method().as_bytes());
            told.target(b":path", [prefix, path, mark, query]);
        }
        Protocol::ForwardAuth => {
            told.method(b":method", b"GET");
            told.target(b":path", [prefix, b"", b"", b""]);
        }
    }
    let authority = match &callout.authority {
        Authority::Callers => request.host.authority_bytes(),
        Authority::Fixed(authority) => authority.as_bytes(),
    };
    told.host(b":authority", authority);
}

fn forwarded(callout: &Callout, request: &Request, connection: &dyn Connection, told: &mut impl Told) {
    let wanted = callout.send.forwarded;
    if wanted.method {
        told.method(b"x-forwarded-method", request.method().as_bytes());
    }
    if wanted.proto {
        told.header(b"x-forwarded-proto", scheme(connection).as_bytes());
    }
    if wanted.host {
        told.host(b"x-forwarded-host", request.host.authority_bytes());
    }
    if wanted.uri {
        let [path, mark, query] = request.target_pieces();
        told.target(b"x-forwarded-uri", [b"", path, mark, query]);
    }
    if wanted.for_
        && let Some(ip) = connection.source_ip()
    {
        told.header(b"x-forwarded-for", ip.to_string().as_bytes());
    }
}

/// The listener's scheme: what a caller says of itself is not asked.
pub fn scheme(connection: &dyn Connection) -> &'static str {
    match connection.tls() {
        true => "https",
        false => "http",
    }
}

/// Envoy's client retries a filter's call when the call itself says so.
fn retries(callout: &Callout, add: &mut impl FnMut(&[u8], &[u8])) {
    let Some(retry) = &callout.retry else { return };
    add(b"x-envoy-retry-on", retry.retry_on.as_bytes());
    add(b"x-envoy-max-retries", retry.attempts.to_string().as_bytes());
    if !retry.retriable_status_codes.is_empty() {
        add(
            b"x-envoy-retriable-status-codes",
            retry.retriable_status_codes.as_bytes(),
        );
    }
    if let Some(limit) = retry.per_try_timeout {
        add(
            b"x-envoy-upstream-rq-per-try-timeout-ms",
            limit.as_millis().to_string().as_bytes(),
        );
    }
}

impl Callout {
    /// Whether a request header of this name (lower case) is part of [`key`].
    pub fn is_in_key(&self, name: &[u8]) -> bool {
        let ignored = self.cache.as_ref().is_some_and(|cache| cache.ignored.header(name));
        let places = self.credential_places();
        let is_credential = places.iter().any(|place| place.is_header(name));
        // Of the cookies only those that are credentials are sent, unless `send` names them all.
        let is_sent = self.send.headers.iter().any(|pattern| pattern.matches(name)) && !is_never_passed(name);
        !ignored && ((is_sent && !is_trace(name)) || is_credential)
    }

    /// Whether the operator sets this header of the question, so that a caller's does not stand beside it.
    fn sets(&self, name: &[u8]) -> bool {
        self.send
            .add
            .iter()
            .any(|(other, _)| folds_alike(other.as_str().as_bytes(), name))
    }
}

impl Place {
    fn is_header(&self, name: &[u8]) -> bool {
        matches!(self, Self::Header(header) if header.as_str().as_bytes() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::HeaderName;
    use proptest::prelude::*;

    fn name() -> impl Strategy<Value = String> {
        prop_oneof![
            proptest::sample::select(&TRACE[..]).prop_map(str::to_owned),
            "[abx][ab._*^-]{0,4}"
        ]
    }

    proptest! {
        #[test]
        fn what_may_be_sent_is_looked_at(
            name in name(),
            patterns in proptest::collection::vec("[abx][ab._-]{0,3}[*]?|[*][ab]{1,2}|[*]", 0..3),
            places in proptest::option::of(proptest::collection::vec("[abx][ab._*^-]{0,4}", 0..3)),
        ) {
            let patterns: Vec<_> = patterns.iter().filter_map(|text| NamePattern::parse(text).ok()).collect();
            let places: Option<Vec<Place>> = places.map(|names| {
                names.iter().filter_map(|text| HeaderName::parse(text).ok()).map(Place::Header).collect()
            });
            let set = sent(&patterns, places.as_deref());
            let named = places.iter().flatten().filter_map(|place| match place {
                Place::Header(name) => Some(name.as_str().as_bytes()),
                _ => None,
            });
            for name in [name.as_bytes(), b"authorization"].into_iter().chain(named) {
                let is_credential = places.as_deref().unwrap_or(always_asked()).iter().any(|place| place.is_header(name));
                let may = is_credential || is_trace(name) || patterns.iter().any(|pattern| pattern.matches(name));
                let headers: Headers = [(name, b"")].into_iter().collect();
                prop_assert!(!may || headers.marked(set.marks()).count() == 1, "{}", name.escape_ascii());
            }
        }
    }
}

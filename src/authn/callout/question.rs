//! What the service is sent.

use super::is_never_passed;
use crate::authn::credential;
use crate::header::{HeaderName, Headers, folds_alike};
use crate::policy::{Authority, Callout, Place, Protocol, SendBody};
use crate::request::{Connection, Request};
use crate::strip::Strip;
use std::sync::{Arc, LazyLock};
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
fn is_trace(name: &[u8]) -> bool {
    matches!(
        name,
        b"x-request-id"
            | b"traceparent"
            | b"tracestate"
            | b"b3"
            | b"x-b3-traceid"
            | b"x-b3-spanid"
            | b"x-b3-parentspanid"
            | b"x-b3-sampled"
            | b"x-b3-flags"
            | b"x-ot-span-context"
            | b"x-cloud-trace-context"
            | b"x-datadog-trace-id"
            | b"x-datadog-parent-id"
            | b"x-datadog-sampling-priority"
            | b"sw8"
    )
}

pub fn ask(callout: &Callout, request: &Request, strip: &Strip, connection: &dyn Connection) -> Question {
    // Room for what most questions hold.
    let mut headers = Headers::with_capacity(16, 1024);
    pseudo_headers(callout, request, &mut headers);
    let mut add = |name: &[u8], value: &[u8]| headers.push(name, &[value]);
    let credential = callout.credential_places();
    let is_wanted = |name: &[u8]| {
        // What is stripped for the upstream is a forgery to the service as well.
        let may = || !is_never_passed(name) && !strip.takes(name);
        callout.send.headers.iter().any(|pattern| pattern.matches(name)) && may()
    };
    for (name, value) in request.headers.iter() {
        let is_credential = credential.iter().any(|place| place.is_header(name));
        if (is_credential || is_trace(name) || is_wanted(name)) && !callout.sets(name) {
            add(name, value);
        }
    }
    if !callout.sets(b"cookie")
        && !is_wanted(b"cookie")
        && let Some(cookies) = credential::cookies(credential, request)
    {
        add(b"cookie", &cookies);
    }
    forwarded(callout, request, connection, &mut add);
    for (name, value) in &callout.send.add {
        add(name.as_str().as_bytes(), value.as_bytes());
    }
    add(b"content-length", b"0");
    retries(callout, &mut add);
    Question {
        cluster: callout.cluster.clone(),
        headers,
        // What follows an upgrade is no body: it ends with the connection.
        body: callout.send.body.filter(|_| !request.is_upgrade()),
        timeout: callout.timeout,
    }
}

fn pseudo_headers(callout: &Callout, request: &Request, headers: &mut Headers) {
    let prefix = callout.path.as_bytes();
    match callout.protocol {
        Protocol::ExtAuthzHttp => {
            let [path, mark, query] = request.target_pieces();
            headers.push(b":method", &[request.method().as_bytes()]);
            headers.push(b":path", &[prefix, path, mark, query]);
        }
        Protocol::ForwardAuth => {
            headers.push(b":method", &[b"GET"]);
            headers.push(b":path", &[prefix]);
        }
    }
    let authority = match &callout.authority {
        Authority::Callers => request.host.authority(),
        Authority::Fixed(authority) => authority,
    };
    headers.push(b":authority", &[authority.as_bytes()]);
}

fn forwarded(callout: &Callout, request: &Request, connection: &dyn Connection, add: &mut impl FnMut(&[u8], &[u8])) {
    let wanted = callout.send.forwarded;
    if wanted.method {
        add(b"x-forwarded-method", request.method().as_bytes());
    }
    if wanted.proto {
        add(b"x-forwarded-proto", scheme(connection).as_bytes());
    }
    if wanted.host {
        add(b"x-forwarded-host", request.host.authority().as_bytes());
    }
    if wanted.uri {
        add(b"x-forwarded-uri", &request.target().unwrap_or_default());
    }
    if wanted.for_
        && let Some(ip) = connection.source_ip()
    {
        add(b"x-forwarded-for", ip.to_string().as_bytes());
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
    /// Where the credential stands; `authorization` where the policy names no place.
    pub fn credential_places(&self) -> &[Place] {
        static AUTHORIZATION: LazyLock<Vec<Place>> = LazyLock::new(|| {
            let name = HeaderName::parse("authorization");
            name.map(Place::Header).into_iter().collect()
        });
        self.credential.as_deref().unwrap_or(&AUTHORIZATION)
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

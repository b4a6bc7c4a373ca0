//! What the service's answer means.

use super::is_never_passed;
use crate::authn::{Claim, Principal};
use crate::denial::ServiceDenial;
use crate::header::{Field, Headers, NamePattern, NameSet};
use crate::policy::{AllowStatus, Authenticator, Callout, DenyHeaders, ListSource, PrincipalSource};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// What came back.
#[derive(Debug)]
pub enum Answer {
    Reply {
        headers: Headers,
        /// At most [`MAX_DENIAL_BODY_BYTES`]; None where it was longer.
        body: Option<Vec<u8>>,
    },
    Failure(CalloutFailure),
}

/// A denial's page; a longer one is replaced by our own, since Envoy holds it in memory whole.
pub const MAX_DENIAL_BODY_BYTES: usize = 64 * 1024;

/// Why nobody could say who calls. Each goes through `on_failure` and is counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalloutFailure {
    /// The proxy does not know the cluster, or refused the call as malformed.
    UnknownCluster,
    /// No healthy host, or the cluster's circuit breaker is open.
    NoHost,
    ConnectFailure,
    Timeout,
    Reset,
    /// No HTTP, or more headers than Envoy takes: it does not say which. Envoy tells these no differently
    /// from bytes that are no HTTP.
    BadResponse,
    ServerError(u16),
    /// Headers that cannot be read.
    Garbled,
    /// An allowing answer that does not say who calls.
    BadAnswer(&'static str),
    /// The rule sends the body, and the proxy showed none within a second: the filter lacks
    /// `allow_on_headers_stop_iteration: true`.
    BodyUnseen,
    /// The service failed so often that nobody is asked for now.
    BreakerOpen {
        retry_after: Duration,
    },
    /// As many as the policy allows wait for answers already, and more are to be refused.
    TooManyWaiting,
    /// The host call itself failed.
    Host,
}

impl CalloutFailure {
    /// Every word, for the documentation and metrics.
    pub const WORDS: &'static [&'static str] = &[
        "unknown_cluster",
        "no_host",
        "connect_failure",
        "timeout",
        "reset",
        "bad_response",
        "server_error",
        "garbled",
        "bad_answer",
        "body_unseen",
        "breaker_open",
        "too_many_waiting",
        "host",
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::UnknownCluster => "unknown_cluster",
            Self::NoHost => "no_host",
            Self::ConnectFailure => "connect_failure",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::BadResponse => "bad_response",
            Self::ServerError(_) => "server_error",
            Self::Garbled => "garbled",
            Self::BadAnswer(_) => "bad_answer",
            Self::BodyUnseen => "body_unseen",
            Self::BreakerOpen { .. } => "breaker_open",
            Self::TooManyWaiting => "too_many_waiting",
            Self::Host => "host",
        }
    }

    /// For a log line: what, which and what to do.
    pub fn detail(self) -> Cow<'static, str> {
        match self {
            Self::UnknownCluster => "the proxy has no such cluster".into(),
            Self::NoHost => "no healthy host, or the cluster's circuit breaker is open".into(),
            Self::ConnectFailure => "no connection to the service".into(),
            Self::Timeout => "no answer within the timeout".into(),
            Self::Reset => "the connection ended before the answer did".into(),
            Self::BadResponse => "the answer is no HTTP, or has more headers than the proxy takes".into(),
            Self::ServerError(status) => format!("the service answered {status}").into(),
            Self::Garbled => "the answer's headers cannot be read".into(),
            Self::BadAnswer(what) => what.into(),
            Self::BodyUnseen => {
                "no body arrived within 1 s: the filter needs allow_on_headers_stop_iteration: true beside send.body"
                    .into()
            }
            Self::BreakerOpen { .. } => "the service failed too often: its breaker is open".into(),
            Self::TooManyWaiting => "max_waiting requests wait for an answer of the service already".into(),
            Self::Host => "the proxy refused the call".into(),
        }
    }

    /// Whether the service itself is away, as far as can be told: known callers may then keep their last
    /// answer. Any other error of a service is of the one request that met it: whoever can provoke one must
    /// not be able to live on by it.
    pub fn is_outage(self) -> bool {
        match self {
            Self::NoHost
            | Self::ConnectFailure
            | Self::Timeout
            | Self::Reset
            | Self::BadResponse
            | Self::UnknownCluster
            | Self::BreakerOpen { .. }
            | Self::ServerError(502..=504) => true,
            Self::ServerError(_)
            | Self::Garbled
            | Self::BadAnswer(_)
            | Self::BodyUnseen
            | Self::TooManyWaiting
            | Self::Host => false,
        }
    }

    /// Whether a call was made, or tried.
    pub fn was_asked(self) -> bool {
        !matches!(self, Self::BodyUnseen | Self::BreakerOpen { .. } | Self::TooManyWaiting)
    }

    /// When it is worth another try, for `Retry-After`: whole seconds, at least one.
    pub fn retry_after_s(self) -> Option<u64> {
        match self {
            Self::BreakerOpen { retry_after } => Some(retry_after.as_millis().div_ceil(1000).max(1) as u64),
            Self::TooManyWaiting => Some(1),
            _ => None,
        }
    }
}

#[derive(Debug)]
pub enum Verdict {
    Known(Principal, Accepted),
    Denied(ServiceDenial),
    Failed(CalloutFailure),
}

/// Headers of an allowing answer that travel on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// For the upstream, in place of the caller's, which were stripped.
    pub set: Vec<Field>,
    /// For the upstream, beside the caller's.
    pub append: Vec<Field>,
    /// Names the service wants removed (`x-envoy-auth-headers-to-remove`).
    pub remove: Vec<Vec<u8>>,
    pub to_client: Vec<Field>,
    /// What the identity headers of all rules say of the caller, where that was made already.
    pub identity: Option<Arc<[Field]>>,
}

impl Accepted {
    pub const fn nothing() -> Self {
        Self {
            set: Vec::new(),
            append: Vec::new(),
            remove: Vec::new(),
            to_client: Vec::new(),
            identity: None,
        }
    }
}

/// `identity`: the names of identity headers, never taken from an answer.
pub fn read(
    authenticator: &Arc<Authenticator>,
    callout: &Callout,
    identity: &NameSet,
    headers: &Headers,
    body: Option<Vec<u8>>,
) -> Verdict {
    let Some(status) = status(headers) else {
        return Verdict::Failed(no_status(headers));
    };
    let filter = Filter { headers, identity };
    if callout.allow_status.contains(status) {
        return match principal(authenticator, &callout.principal, headers) {
            Ok(principal) => Verdict::Known(principal, filter.accepted(callout)),
            Err(why) => Verdict::Failed(CalloutFailure::BadAnswer(why)),
        };
    }
    if let Some(failure) = server_failure(status, headers, body.as_deref()) {
        return Verdict::Failed(failure);
    }
    Verdict::Denied(ServiceDenial {
        status,
        headers: filter.denial(&callout.on_deny.headers),
        body,
    })
}

/// The status of an answer that is no failure. `body`: of one that may be.
pub fn answered(headers: &Headers, body: impl FnOnce() -> Vec<u8>) -> Result<u16, CalloutFailure> {
    let status = status(headers).ok_or_else(|| no_status(headers))?;
    let failure = (status >= 500).then(|| server_failure(status, headers, Some(&body())));
    failure.flatten().map_or(Ok(status), Err)
}

/// Envoy answers a call that was reset, or timed out, in the body with no header at all.
fn no_status(headers: &Headers) -> CalloutFailure {
    match headers.is_empty() {
        true => CalloutFailure::Reset,
        false => CalloutFailure::Garbled,
    }
}

pub fn status(headers: &Headers) -> Option<u16> {
    let text = std::str::from_utf8(headers.only(":status")?).ok()?;
    // `parse` takes `+200` and `0200`; neither is a status.
    let digits = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|status| digits && (200..600).contains(status))
}

/// Envoy makes up a 502, 503 or 504 when there is no answer; only a real one says how long the
/// upstream took. The text of a made-up 503 says why; it tells failures apart and decides nothing.
fn server_failure(status: u16, headers: &Headers, body: Option<&[u8]>) -> Option<CalloutFailure> {
    let made_up = headers.first("x-envoy-upstream-service-time").is_none();
    let text = String::from_utf8_lossy(body.unwrap_or_default());
    let reason = text.rsplit_once("reset reason: ").map_or("", |(_, reason)| reason);
    match status {
        502 if made_up => Some(CalloutFailure::BadResponse),
        // The cluster's circuit breaker.
        503 if made_up && reason.starts_with("overflow") => Some(CalloutFailure::NoHost),
        503 if made_up && (reason.starts_with("connection termination") || reason.starts_with("remote reset")) => {
            Some(CalloutFailure::Reset)
        }
        503 if made_up => Some(CalloutFailure::ConnectFailure),
        504 if made_up => Some(CalloutFailure::Timeout),
        500.. => Some(CalloutFailure::ServerError(status)),
        _ => None,
    }
}

fn principal(
    authenticator: &Authenticator,
    source: &PrincipalSource,
    headers: &Headers,
) -> Result<Principal, &'static str> {
    let subject = text(
        headers
            .only(source.subject.as_str())
            .ok_or("no single subject header in the answer")?,
    )?;
    if subject.is_empty() {
        return Err("the subject header of the answer is empty");
    }
    let mut claims = Vec::with_capacity(source.claims.len());
    for (claim, header) in &source.claims {
        let mut values = headers.all(header.as_str());
        let Some(value) = values.next() else { continue };
        if values.next().is_some() {
            return Err("a claim header stands twice in the answer");
        }
        claims.push((claim.clone(), Claim::Scalar(text(value)?.to_owned())));
    }
    Ok(Principal {
        authenticator: authenticator.name.clone(),
        subject: subject.to_owned(),
        groups: list(source.groups.as_ref(), headers)?,
        scopes: list(source.scopes.as_ref(), headers)?,
        claims,
        variants: vec![],
    })
}

fn list(source: Option<&ListSource>, headers: &Headers) -> Result<Vec<String>, &'static str> {
    let mut elements = Vec::new();
    let Some(source) = source else { return Ok(elements) };
    for value in headers.all(source.header.as_str()) {
        let value = text(value)?;
        let mut split = source.split.chars();
        // A search for a text costs more than what is searched.
        match (split.next(), split.next()) {
            (Some(separator), None) => take_elements(value.split(separator), &mut elements),
            _ => take_elements(value.split(source.split.as_str()), &mut elements),
        }
    }
    Ok(elements)
}

fn take_elements<'v>(parts: impl Iterator<Item = &'v str>, elements: &mut Vec<String>) {
    for part in parts {
        let part = match part.as_bytes() {
            // Nothing to trim, as nearly always: `trim` reads characters from both ends.
            [b'!'..=b'~', .., b'!'..=b'~'] => part,
            _ => part.trim(),
        };
        if !part.is_empty() {
            elements.push(part.to_owned());
        }
    }
}

fn text(value: &[u8]) -> Result<&str, &'static str> {
    let mut value = value;
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    std::str::from_utf8(value).map_err(|_| "a header of the answer that says who calls is not UTF-8")
}

/// The headers of one answer, less those that are never taken.
struct Filter<'a> {
    headers: &'a Headers,
    identity: &'a NameSet,
}

impl Filter<'_> {
    fn matching(&self, patterns: &[NamePattern]) -> Vec<Field> {
        if patterns.is_empty() {
            return Vec::new();
        }
        let pattern = |name: Vec<u8>| NamePattern::parse(std::str::from_utf8(&name).ok()?).ok();
        let listed: NameSet = elements(self.headers, "connection").filter_map(pattern).collect();
        let may = |name: &[u8]| !is_never_passed(name) && !self.identity.contains(name) && !listed.contains(name);
        let matches = |name: &[u8]| patterns.iter().any(|pattern| pattern.matches(name)) && may(name);
        let matching = self.headers.iter().filter(|(name, _)| matches(name));
        matching.map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
    }

    fn accepted(&self, callout: &Callout) -> Accepted {
        let remove = elements(self.headers, "x-envoy-auth-headers-to-remove");
        Accepted {
            set: self.matching(&callout.accept.headers),
            append: self.matching(&callout.accept.append),
            to_client: self.matching(&callout.accept.to_client),
            identity: None,
            remove: remove
                .filter(|name| name.first() != Some(&b':') && name != b"host")
                .collect(),
        }
    }

    /// ext_authz keeps these, too, when a list is given; and a body needs its type.
    fn denial(&self, wanted: &DenyHeaders) -> Vec<Field> {
        const ALWAYS: [&str; 3] = ["www-authenticate", "location", "content-type"];
        let patterns: Vec<NamePattern> = match wanted {
            DenyHeaders::All => vec![NamePattern::Any],
            DenyHeaders::Listed(listed) => {
                let always = ALWAYS.iter().filter_map(|name| NamePattern::parse(name).ok());
                listed.iter().cloned().chain(always).collect()
            }
        };
        self.matching(&patterns)
    }
}

/// Lower-case elements of a comma-separated header, empty ones left out.
fn elements(headers: &Headers, name: &str) -> impl Iterator<Item = Vec<u8>> {
    let values = headers.all(name).flat_map(|value| value.split(|b| *b == b','));
    let names = values.map(|name| name.trim_ascii().to_ascii_lowercase());
    names.filter(|name| !name.is_empty())
}

impl AllowStatus {
    pub fn contains(&self, status: u16) -> bool {
        match self {
            Self::Any2xx => (200..300).contains(&status),
            Self::Listed(listed) => listed.contains(&status),
        }
    }
}

//! The parsed nouns of a policy. Everything here is checked: a value of these types can be used
//! without looking back at the text it came from. `config` builds them, `decide` reads them.

mod assertion;
mod authenticator;
mod upstream;

pub use assertion::{AssertedAudience, Assertion};
pub use authenticator::{
    ApiKey, ApiKeySource, Authenticator, AuthenticatorKind, GateToken, Jwt, KeySource, Mtls, Place, Remote, Secret,
    TokenPlace, always_asked,
};
pub use upstream::{
    Deadline, DeadlineForm, EXPECTED_TIMEOUT, GRPC_TIMEOUT, LONGEST_MS as UPSTREAM_LONGEST_MS, RQ_TIMEOUT, Repeat,
    Upstream, Written,
};

use crate::authz::Require;
use crate::breaker::BreakerPolicy;
use crate::cache::CachePolicy;
use crate::experiment::Experiment;
use crate::header::{HeaderName, NamePattern, NameSet};
use crate::identity::IdentityHeader;
use crate::rate_limit::RateLimit;
use crate::request::PathLeniency;
use crate::rule::{Match, RuleIndex};
use crate::strip::Strip;
use std::sync::Arc;
use std::time::Duration;

/// One policy document, ready to decide with.
#[derive(Debug)]
pub struct Policy {
    /// Free text of the operator's, in every log line and in a metric; empty when absent.
    pub revision: Arc<str>,
    pub mode: Mode,
    pub log: Log,
    /// In the order of the policy.
    pub rules: Vec<Arc<Rule>>,
    pub index: RuleIndex,
    /// What is removed from every request, whatever rule it meets.
    pub strip: Strip,
    /// The identity headers of all rules, the headers of assertions and those of experiments: never taken from a service's answer.
    pub identity: NameSet,
    /// Those of `identity`, which most rules share: one list for all of them.
    pub identity_headers: Arc<[IdentityHeader]>,
    /// All of them, by their slots.
    pub authenticators: Vec<Arc<Authenticator>>,
    pub assertion: Option<Assertion>,
    pub debug: Option<Debug>,
    /// Of all rules, in the order of the policy.
    pub experiments: Vec<Arc<Experiment>>,
}

/// Callers who are told in a response header how their request was decided.
#[derive(Debug)]
pub struct Debug {
    pub header: HeaderName,
    /// Not empty.
    pub require: Require,
}

/// What is told of decisions besides the log line and the counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// Query parameters whose values may stand in log lines; all others are masked.
    pub query: Vec<String>,
    pub access: AccessFields,
}

/// Filter state for access logs, `wasm.meshgate_rule` and so on. Each costs about a microsecond of
/// every request, so none is set that nobody asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccessFields {
    pub rule: bool,
    pub outcome: bool,
    pub cause: bool,
    pub subject: bool,
    /// `meshgate_variant`: what the request gets of each experiment.
    pub variant: bool,
    /// Whose word the decision went by.
    pub answer: bool,
    /// How long it took, in milliseconds.
    pub duration: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Enforce,
    /// Decisions are made, logged and counted; nothing is changed, stripping included.
    Observe,
}

#[derive(Debug)]
pub struct Rule {
    pub name: Arc<str>,
    /// Position in `Policy::rules`.
    pub position: usize,
    pub matcher: Match,
    /// Spellings of a path that this rule's upstream is known to read as we do.
    pub paths_raw: PathLeniency,
    pub mode: RuleMode,
    pub action: Action,
    /// Each has to have room, in this order.
    pub rate_limits: Vec<Arc<RateLimit>>,
    /// Credential places removed for this rule's upstream.
    pub strip_credentials: Arc<[Place]>,
    /// Most rules name none, or those of `defaults`.
    pub experiments: Arc<[Arc<Experiment>]>,
    /// None: as Envoy's route says.
    pub upstream: Option<Arc<Upstream>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleMode {
    Enforce,
    /// Evaluated, logged and counted; the search goes on to the next rule.
    Shadow,
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one per rule, read on every request: no pointer to follow"
)]
pub enum Action {
    /// `refuse: 404`
    Refuse(u16),
    /// `authenticate: none`: nobody is asked.
    Public,
    Authenticate(Gate),
}

impl Rule {
    pub fn gate(&self) -> Option<&Gate> {
        match &self.action {
            Action::Authenticate(gate) => Some(gate),
            Action::Refuse(_) | Action::Public => None,
        }
    }
}

/// What a rule asks of its callers.
#[derive(Debug)]
pub struct Gate {
    /// Asked in this order; a callout stands only last.
    pub authenticators: Vec<Arc<Authenticator>>,
    pub anonymous: Anonymous,
    pub require: Require,
    /// The global identity headers, then the rule's own.
    pub identity: Arc<[IdentityHeader]>,
    /// Whom this rule's assertions are for; None: as `Policy::assertion` says.
    pub audience: Option<AssertedAudience>,
    pub preflight: Preflight,
    pub forget: Forget,
}

/// What a request makes the filter forget, once it is allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forget {
    #[default]
    Nothing,
    /// Logout: what is remembered of this caller and its credential.
    Credential,
    /// What the query names; the filter answers itself.
    Requested,
}

/// What a missing or bad credential means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anonymous {
    Deny,
    /// No credential passes as nobody, a bad one is refused.
    AllowMissing,
    AllowMissingOrFailed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preflight {
    Deny,
    /// A CORS preflight goes to the upstream without a credential, which browsers never send with it.
    Pass,
}

/// An authenticator that asks a service.
#[derive(Debug)]
pub struct Callout {
    pub protocol: Protocol,
    /// The Envoy cluster.
    pub cluster: Arc<str>,
    pub authority: Authority,
    /// `ext_authz_http`: put before the original path; `forward_auth`: the whole path.
    pub path: String,
    /// 1 ms to 60 s.
    pub timeout: Duration,
    pub retry: Option<CalloutRetry>,
    /// None: always ask. Some: a request that carries none of these is nobody's and nobody is asked.
    pub credential: Option<Vec<Place>>,
    /// Whether the credential goes on to the upstream.
    pub forward: bool,
    pub send: Send,
    /// All names of request headers that `send` and `credential` may take: [`crate::authn::callout::sent`].
    pub sent: NameSet,
    pub allow_status: AllowStatus,
    pub principal: PrincipalSource,
    pub accept: Accept,
    pub on_deny: OnDeny,
    pub on_failure: OnFailure,
    /// None: every request asks.
    pub cache: Option<CachePolicy>,
    /// None: the service is asked however often it failed.
    pub breaker: Option<BreakerPolicy>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    ExtAuthzHttp,
    ForwardAuth,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authority {
    /// The host the caller named, as ext_authz does.
    Callers,
    Fixed(String),
}

/// Retries are Envoy's: these become `x-envoy-*` headers of the callout itself.
#[derive(Debug)]
pub struct CalloutRetry {
    /// At least 1: tries besides the first.
    pub attempts: u32,
    /// Envoy's names of conditions, comma-separated (`x-envoy-retry-on`).
    pub retry_on: String,
    /// Comma-separated (`x-envoy-retriable-status-codes`); empty when none.
    pub retriable_status_codes: String,
    /// Below the callout's timeout.
    pub per_try_timeout: Option<Duration>,
}

/// What the service is sent besides the credential, the trace headers and `x-request-id`.
#[derive(Debug, Default)]
pub struct Send {
    pub headers: Vec<NamePattern>,
    pub add: Vec<(HeaderName, String)>,
    pub forwarded: Forwarded,
    pub body: Option<SendBody>,
}

/// Which `x-forwarded-*` headers are set, by us alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forwarded {
    pub method: bool,
    pub proto: bool,
    pub host: bool,
    pub uri: bool,
    /// `x-forwarded-for`: the address Envoy saw, never the client's list.
    pub for_: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendBody {
    /// 1 byte to 1 MiB: Envoy's own default buffer limit.
    pub max_bytes: usize,
    /// Send the first `max_bytes` of a longer body instead of answering 413.
    pub allow_partial: bool,
}

/// Statuses by which the service says yes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowStatus {
    Any2xx,
    Listed(Vec<u16>),
}

/// Headers of the answer that say who the caller is.
#[derive(Debug)]
pub struct PrincipalSource {
    pub subject: HeaderName,
    pub groups: Option<ListSource>,
    pub scopes: Option<ListSource>,
    /// (claim, header), in the order of the policy.
    pub claims: Vec<(String, HeaderName)>,
}

#[derive(Debug)]
pub struct ListSource {
    pub header: HeaderName,
    /// What separates elements: `,` by default for groups, a space for scopes.
    pub split: String,
}

/// Headers of an allowing answer that travel on.
#[derive(Debug, Default)]
pub struct Accept {
    /// Set for the upstream; a client's own are removed on every path.
    pub headers: Vec<NamePattern>,
    /// Added beside the client's own.
    pub append: Vec<NamePattern>,
    /// Added to the final response.
    pub to_client: Vec<NamePattern>,
}

#[derive(Debug)]
pub struct OnDeny {
    pub headers: DenyHeaders,
    pub sign_in: Option<SignIn>,
}

#[derive(Debug)]
pub enum DenyHeaders {
    All,
    Listed(Vec<NamePattern>),
}

/// Where a browser is sent instead of being shown a denial.
#[derive(Debug)]
pub struct SignIn {
    /// Text before and after `{url}`; without it the URL stands whole in `before`.
    pub before: String,
    pub after: Option<String>,
    pub status: Vec<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    Deny,
    /// The request goes on as nobody's; `require` still refuses it.
    Allow,
}

//! The one table from refusal to reply.

mod reply;

pub use reply::{Reply, Style, navigates};

use crate::authn::CredentialFault;
use crate::authn::callout::CalloutFailure;
use crate::authn::credential::Ambiguous;
use crate::authz::Unmet;
use crate::header::Field;
use crate::policy::Place;
use crate::rate_limit::Limited;
use crate::request::RequestFault;
use crate::upstream::TimeUp;
use std::borrow::Cow;
use std::sync::Arc;

/// An authentication scheme (RFC 9110 section 11.1).
pub type Scheme = Cow<'static, str>;
/// RFC 6750
pub const BEARER: &str = "Bearer";
/// The word for logs where a credential could not be checked.
pub const KEYS_UNAVAILABLE: &str = "keys_unavailable";

/// Why a request goes no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// 400: two readers could read it as two requests.
    Malformed(RequestFault),
    /// 400: two readers could read it as two callers.
    AmbiguousCredential(Ambiguous),
    /// 401: the rule wants somebody, and nobody is here. The challenge names the scheme that would do.
    NoCredential { scheme: Scheme },
    /// 401: a credential is here, and no good.
    Credential {
        authenticator: Arc<str>,
        scheme: Scheme,
        fault: CredentialFault,
    },
    /// 503: a credential is here, and the keys to check it with are not.
    KeysUnavailable { authenticator: Arc<str> },
    /// The service's own word.
    Service(ServiceDenial),
    /// 401 for nobody, 403 for somebody; the scopes that would do, for RFC 6750.
    Unmet {
        unmet: Unmet,
        known: bool,
        scopes: Vec<String>,
        scheme: Scheme,
    },
    /// 403
    NoRule,
    /// 403
    Preflight,
    /// 403: what the upstream would have to be told does not fit a header.
    IdentityTooLong,
    /// 503: what the next gate would have to be told could not be signed.
    Unsigned,
    /// `refuse: 404`
    Closed(u16),
    /// 413: the body that the service is to see is longer than the policy allows.
    BodyTooLarge,
    /// 429
    RateLimited(Limited),
    /// 400: an operator's request that does not say what is to be forgotten.
    ForgetWhat,
    /// 504: the upstream would not have the time.
    TimeUp(TimeUp),
    /// 503
    AuthUnavailable(CalloutFailure),
}

/// A denial that the service answered, less what is never taken from it.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceDenial {
    pub status: u16,
    pub headers: Vec<Field>,
    /// None where it was too long to pass on.
    pub body: Option<Vec<u8>>,
}

impl std::fmt::Debug for ServiceDenial {
    /// Names only: values may hold cookies.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self
            .headers
            .iter()
            .map(|(name, _)| name.escape_ascii().to_string())
            .collect();
        write!(f, "ServiceDenial {{ status: {}, headers: {names:?} }}", self.status)
    }
}

/// What became of a request. The closed list of log lines, metrics and `wasm.meshgate_outcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A known caller goes on.
    Allowed,
    /// Nobody goes on, as `anonymous` says.
    Anonymous,
    /// Nobody goes on, since the service failed and `on_failure: allow`.
    FailedOpen,
    /// `authenticate: none`
    Public,
    /// A CORS preflight goes on.
    Preflight,
    BadRequest,
    /// Nobody is here and the rule wants somebody.
    Unauthenticated,
    /// A credential is no good, as the service or the gate itself found.
    Denied,
    /// Somebody, but not one who may.
    Forbidden,
    NoRule,
    /// `refuse`
    Closed,
    BodyTooLarge,
    /// More requests than a limit of the rule lets through; the cause is its name.
    RateLimited,
    AuthUnavailable,
    /// What was left of the caller's or the policy's time is too little for the upstream.
    DeadlineExceeded,
    /// An operator made the filter forget.
    Forgotten,
    /// The filter answered with its public keys.
    Jwks,
    /// A shadow rule whose authenticators were not asked.
    NotAsked,
}

impl Outcome {
    pub const ALL: [Self; 18] = [
        Self::Allowed,
        Self::Anonymous,
        Self::FailedOpen,
        Self::Public,
        Self::Preflight,
        Self::BadRequest,
        Self::Unauthenticated,
        Self::Denied,
        Self::Forbidden,
        Self::NoRule,
        Self::Closed,
        Self::BodyTooLarge,
        Self::RateLimited,
        Self::AuthUnavailable,
        Self::DeadlineExceeded,
        Self::Forgotten,
        Self::Jwks,
        Self::NotAsked,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Anonymous => "anonymous",
            Self::FailedOpen => "failed_open",
            Self::Public => "public",
            Self::Preflight => "preflight",
            Self::BadRequest => "bad_request",
            Self::Unauthenticated => "unauthenticated",
            Self::Denied => "denied",
            Self::Forbidden => "forbidden",
            Self::NoRule => "no_rule",
            Self::Closed => "closed",
            Self::BodyTooLarge => "body_too_large",
            Self::RateLimited => "rate_limited",
            Self::AuthUnavailable => "auth_unavailable",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::Forgotten => "forgotten",
            Self::Jwks => "jwks",
            Self::NotAsked => "not_asked",
        }
    }
}

/// One row of the table: what a refusal is to the client, the log and the metrics.
#[derive(Debug)]
pub struct Row {
    pub status: u16,
    /// `error` of the JSON body.
    pub error: &'static str,
    /// `message` of the JSON body and gRPC's message: says what, names nobody and no secret.
    pub message: Cow<'static, str>,
    pub outcome: Outcome,
    /// `cause` in log and filter state.
    pub cause: Cow<'static, str>,
    pub grpc_status: i32,
    pub www_authenticate: Option<String>,
}

/// google.rpc.Code
mod grpc {
    pub const INVALID_ARGUMENT: i32 = 3;
    pub const DEADLINE_EXCEEDED: i32 = 4;
    pub const PERMISSION_DENIED: i32 = 7;
    pub const RESOURCE_EXHAUSTED: i32 = 8;
    pub const UNIMPLEMENTED: i32 = 12;
    pub const UNAVAILABLE: i32 = 14;
    pub const UNAUTHENTICATED: i32 = 16;

    /// For a status that somebody else chose; see gRPC's «HTTP to gRPC status code mapping».
    pub fn of_http(status: u16) -> i32 {
        match status {
            400 => INVALID_ARGUMENT,
            401 => UNAUTHENTICATED,
            403 => PERMISSION_DENIED,
            404 => UNIMPLEMENTED,
            413 => RESOURCE_EXHAUSTED,
            429 | 502 | 503 | 504 => UNAVAILABLE,
            _ => PERMISSION_DENIED,
        }
    }
}

impl Denial {
    pub fn row(&self) -> Row {
        match self {
            Self::Malformed(fault) => row(
                400,
                "bad_request",
                fault.to_string(),
                Outcome::BadRequest,
                fault.word(),
                grpc::INVALID_ARGUMENT,
            ),
            Self::AmbiguousCredential(Ambiguous(place)) => {
                let message = format!("not one readable credential in {}", place_name(place));
                row(
                    400,
                    "bad_request",
                    message,
                    Outcome::BadRequest,
                    "ambiguous_credential",
                    grpc::INVALID_ARGUMENT,
                )
            }
            Self::NoCredential { scheme } => Row {
                www_authenticate: Some(scheme.to_string()),
                ..row(
                    401,
                    "unauthenticated",
                    "this needs a credential",
                    Outcome::Unauthenticated,
                    "no_credential",
                    grpc::UNAUTHENTICATED,
                )
            },
            Self::Credential { scheme, fault, .. } => Row {
                // RFC 6750 section 3.1. Why it is no good is the operator's to know, not a stranger's.
                www_authenticate: Some(match scheme.as_ref() {
                    BEARER if *fault != CredentialFault::UnknownPeer => "Bearer error=\"invalid_token\"".to_owned(),
                    scheme => scheme.to_owned(),
                }),
                ..row(
                    401,
                    "unauthenticated",
                    match fault {
                        CredentialFault::UnknownPeer => "this needs a credential",
                        _ => "the credential was not accepted",
                    },
                    match fault {
                        // A certificate is there on every connection, whoever it is meant for.
                        CredentialFault::UnknownPeer => Outcome::Unauthenticated,
                        _ => Outcome::Denied,
                    },
                    fault.word(),
                    grpc::UNAUTHENTICATED,
                )
            },
            Self::KeysUnavailable { .. } => row(
                503,
                "auth_unavailable",
                "who calls cannot be found out right now",
                Outcome::AuthUnavailable,
                KEYS_UNAVAILABLE,
                grpc::UNAVAILABLE,
            ),
            Self::Service(denial) => {
                let (error, message) = match denial.status {
                    401 => ("unauthenticated", "the credential was not accepted"),
                    _ => ("forbidden", "the request was not allowed"),
                };
                row(
                    denial.status,
                    error,
                    message,
                    Outcome::Denied,
                    "service",
                    grpc::of_http(denial.status),
                )
            }
            Self::Unmet {
                unmet,
                known: false,
                scheme,
                ..
            } => Row {
                www_authenticate: Some(scheme.to_string()),
                ..row(
                    401,
                    "unauthenticated",
                    "this needs a known caller",
                    Outcome::Unauthenticated,
                    unmet.word(),
                    grpc::UNAUTHENTICATED,
                )
            },
            Self::Unmet {
                unmet,
                known: true,
                scopes,
                ..
            } => Row {
                www_authenticate: (*unmet == Unmet::Scopes).then(|| insufficient_scope(scopes)),
                ..row(
                    403,
                    "forbidden",
                    "the caller may not do this",
                    Outcome::Forbidden,
                    unmet.word(),
                    grpc::PERMISSION_DENIED,
                )
            },
            Self::NoRule => row(
                403,
                "forbidden",
                "no rule allows this request",
                Outcome::NoRule,
                "no_rule",
                grpc::PERMISSION_DENIED,
            ),
            Self::Preflight => row(
                403,
                "forbidden",
                "preflights are not allowed here",
                Outcome::Forbidden,
                "preflight",
                grpc::PERMISSION_DENIED,
            ),
            Self::IdentityTooLong => row(
                403,
                "forbidden",
                "the caller's identity does not fit a header",
                Outcome::Forbidden,
                "identity_too_long",
                grpc::PERMISSION_DENIED,
            ),
            Self::Unsigned => row(
                503,
                "auth_unavailable",
                "who calls cannot be told right now",
                Outcome::AuthUnavailable,
                "unsigned_assertion",
                grpc::UNAVAILABLE,
            ),
            Self::Closed(status) => {
                let (error, message) = match status {
                    403 => ("forbidden", "this is closed"),
                    503 => ("unavailable", "this is closed for now"),
                    451 => ("unavailable_for_legal_reasons", "this is not available"),
                    410 => ("gone", "this is gone"),
                    _ => ("not_found", "there is nothing here"),
                };
                row(
                    *status,
                    error,
                    message,
                    Outcome::Closed,
                    "refuse",
                    grpc::of_http(*status),
                )
            }
            Self::BodyTooLarge => row(
                413,
                "body_too_large",
                "the body is longer than may be checked",
                Outcome::BodyTooLarge,
                "body_too_large",
                grpc::RESOURCE_EXHAUSTED,
            ),
            Self::RateLimited(limited) => Row {
                cause: limited.limit.to_string().into(),
                ..row(
                    429,
                    "rate_limited",
                    "too many requests",
                    Outcome::RateLimited,
                    "",
                    grpc::RESOURCE_EXHAUSTED,
                )
            },
            Self::ForgetWhat => row(
                400,
                "bad_request",
                "name one subject, and its authenticator if it has one, or write all=true",
                Outcome::BadRequest,
                "forget_what",
                grpc::INVALID_ARGUMENT,
            ),
            Self::TimeUp(whose) => {
                let (message, cause) = match whose {
                    TimeUp::Deadline => ("the caller's deadline leaves no time for this", "deadline"),
                    TimeUp::Timeout => ("finding out who calls took the time that this had", "timeout"),
                };
                row(
                    504,
                    "deadline_exceeded",
                    message,
                    Outcome::DeadlineExceeded,
                    cause,
                    grpc::DEADLINE_EXCEEDED,
                )
            }
            Self::AuthUnavailable(failure) => {
                // The operator's remedy belongs where the operator's word was needed.
                let message = match failure {
                    CalloutFailure::BodyUnseen => failure.detail(),
                    _ => "who calls cannot be found out right now".into(),
                };
                row(
                    503,
                    "auth_unavailable",
                    message,
                    Outcome::AuthUnavailable,
                    failure.word(),
                    grpc::UNAVAILABLE,
                )
            }
        }
    }
}

fn row(
    status: u16,
    error: &'static str,
    message: impl Into<Cow<'static, str>>,
    outcome: Outcome,
    cause: &'static str,
    grpc_status: i32,
) -> Row {
    Row {
        status,
        error,
        message: message.into(),
        outcome,
        cause: cause.into(),
        grpc_status,
        www_authenticate: None,
    }
}

/// RFC 6750 section 3.1; a scope that is no token (RFC 6749 section 3.3) cannot be named there.
fn insufficient_scope(scopes: &[String]) -> String {
    let token =
        |scope: &&str| !scope.is_empty() && scope.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
    let scopes: Vec<&str> = scopes.iter().map(String::as_str).filter(token).collect();
    match scopes.as_slice() {
        [] => "Bearer error=\"insufficient_scope\"".to_owned(),
        scopes => format!("Bearer error=\"insufficient_scope\", scope=\"{}\"", scopes.join(" ")),
    }
}

fn place_name(place: &Place) -> String {
    match place {
        Place::Header(name) => format!("header {}", name.as_str()),
        Place::Cookie(name) => format!("cookie {name}"),
        Place::CookiePrefix(prefix) => format!("cookies {prefix}*"),
        Place::Query(name) => format!("query parameter {name}"),
    }
}

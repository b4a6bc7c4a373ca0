//! From a row of the table to the bytes a caller gets.

use super::{Denial, Row, ServiceDenial};
use crate::assertion::JWKS_MAX_AGE_S;
use crate::header::Field;
use crate::json::push_string;
use crate::rate_limit::Limited;
use crate::request::Request;

/// A local reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<Field>,
    pub body: Vec<u8>,
    /// For gRPC callers, who are answered 200 with this status by Envoy.
    pub grpc_status: Option<i32>,
}

/// How this caller reads a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Style {
    Json,
    Grpc,
    /// A navigating browser, and where it may sign in.
    Redirect {
        location: String,
        see_other: bool,
    },
}

impl Reply {
    pub fn of(denial: &Denial, row: &Row, style: &Style, request_id: &str) -> Self {
        let mut reply = match (denial, style) {
            (_, Style::Redirect { location, see_other }) => Self {
                // 302 keeps a GET a GET; a form's POST must not be sent to the sign-in page.
                status: if *see_other { 303 } else { 302 },
                headers: vec![(b"location".to_vec(), location.clone().into_bytes()), json_type()],
                body: json(row, request_id),
                grpc_status: None,
            },
            (_, Style::Grpc) => Self {
                status: row.status,
                headers: vec![],
                body: row.message.as_bytes().to_vec(),
                grpc_status: Some(row.grpc_status),
            },
            (Denial::Service(denial), Style::Json) => service(denial, row, request_id),
            (_, Style::Json) => Self {
                status: row.status,
                headers: vec![json_type()],
                body: json(row, request_id),
                grpc_status: None,
            },
        };
        reply.headers.retain(|(name, _)| name != b"cache-control");
        reply.headers.push((b"cache-control".to_vec(), b"no-store".to_vec()));
        let redirects = matches!(style, Style::Redirect { .. });
        if let Some(challenge) = row.www_authenticate.as_ref().filter(|_| !redirects) {
            reply
                .headers
                .push((b"www-authenticate".to_vec(), challenge.clone().into_bytes()));
        }
        if let Denial::AuthUnavailable(failure) = denial
            && let Some(seconds) = failure.retry_after_s()
        {
            let seconds = seconds.to_string().into_bytes();
            reply.headers.push((b"retry-after".to_vec(), seconds));
        }
        if let Denial::RateLimited(limited) = denial {
            reply.headers.extend(rate(limited));
        }
        reply
    }

    /// To an operator's request that the filter answers itself.
    pub fn forgotten(style: &Style) -> Self {
        Self {
            status: 200,
            headers: vec![json_type(), (b"cache-control".to_vec(), b"no-store".to_vec())],
            body: b"{\"forgotten\":true}".to_vec(),
            grpc_status: matches!(style, Style::Grpc).then_some(0),
        }
    }

    /// The public keys, which anybody may read and keep for a while (RFC 7517 section 8.5.2).
    pub fn jwks(keys: String) -> Self {
        let kept = format!("public, max-age={JWKS_MAX_AGE_S}");
        Self {
            status: 200,
            headers: vec![
                (b"content-type".to_vec(), b"application/jwk-set+json".to_vec()),
                (b"cache-control".to_vec(), kept.into_bytes()),
            ],
            body: keys.into_bytes(),
            grpc_status: None,
        }
    }
}

/// The service's own page where it sent one, else ours under its status.
fn service(denial: &ServiceDenial, row: &Row, request_id: &str) -> Reply {
    let mut headers = denial.headers.clone();
    let body = match &denial.body {
        // A client of HTTP/1 reads what follows these as its next response (RFC 9112 section 6.3).
        _ if matches!(denial.status, 204 | 205 | 304) => Vec::new(),
        Some(body) if !body.is_empty() => body.clone(),
        _ => {
            headers.retain(|(name, _)| name != b"content-type" && name != b"content-encoding");
            headers.push(json_type());
            json(row, request_id)
        }
    };
    Reply {
        status: denial.status,
        headers,
        body,
        grpc_status: None,
    }
}

/// RFC 9110 section 10.2.3, and the three headers of draft-ietf-httpapi-ratelimit-headers-06, which gateways and clients
/// know (later drafts have another one): what the bucket holds, what is left of it, and the seconds until it is full
/// again. Seconds are rounded up, so that whoever keeps to them finds room.
fn rate(limited: &Limited) -> [Field; 4] {
    let field = |name: &[u8], number: u64| (name.to_vec(), number.to_string().into_bytes());
    let seconds = |ns: u64| ns.div_ceil(1_000_000_000).max(1);
    [
        field(b"retry-after", seconds(limited.retry_after_ns)),
        field(b"ratelimit-limit", limited.burst),
        field(b"ratelimit-remaining", 0),
        field(b"ratelimit-reset", seconds(limited.full_ns)),
    ]
}

fn json_type() -> Field {
    (b"content-type".to_vec(), b"application/json".to_vec())
}

fn json(row: &Row, request_id: &str) -> Vec<u8> {
    let mut body = String::from("{\"error\":");
    push_string(&mut body, row.error);
    body.push_str(",\"message\":");
    push_string(&mut body, &row.message);
    body.push_str(",\"request_id\":");
    push_string(&mut body, request_id);
    body.push_str("}\n");
    body.into_bytes()
}

/// A browser that would show the answer as a page: it says so (Fetch Metadata), or, where it is too
/// old to say, asks for HTML.
pub fn navigates(request: &Request) -> bool {
    match request.headers.first("sec-fetch-mode") {
        Some(mode) => mode == b"navigate",
        None => {
            let html = |accept: &[u8]| {
                accept
                    .split(|b| matches!(b, b',' | b';'))
                    .any(|part| part.trim_ascii() == b"text/html")
            };
            matches!(request.method(), "GET" | "HEAD") && request.headers.all("accept").any(html)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_without_content_has_none() {
        for (status, has_content) in [(204, false), (205, false), (304, false), (201, true), (403, true)] {
            let denial = Denial::Service(ServiceDenial {
                status,
                headers: vec![],
                body: Some(b"no".to_vec()),
            });
            let reply = Reply::of(&denial, &denial.row(), &Style::Json, "");
            assert_eq!(!reply.body.is_empty(), has_content, "{status}");
        }
    }
}

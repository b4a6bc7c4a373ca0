//! How a request is carried: how long the upstream has, and whether Envoy may send it again. The
//! headers that say so are Envoy's router's; a client's own are gone before.

pub mod deadline;

use crate::header::{Edits, folds_alike};
use crate::policy::{Deadline, DeadlineForm, RQ_TIMEOUT, Repeat, UPSTREAM_LONGEST_MS as LONGEST_MS, Upstream};
use crate::request::Request;
use crate::time::{UnixTime, rfc3339};

/// Nothing is left of the time that the request had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUp {
    /// The caller's.
    Deadline,
    /// The policy's.
    Timeout,
}

/// What became of the caller's deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    AsSaid,
    /// There was one that nobody can read: it shortens nothing.
    UnreadableDeadline,
}

/// `known`: somebody calls. `arrived`: when the request did.
pub fn carry(
    upstream: &Upstream,
    request: &Request,
    known: bool,
    (arrived, now): (UnixTime, UnixTime),
    edits: &mut Edits,
) -> Result<Carried, TimeUp> {
    let written = match repeatable(upstream, request, edits) {
        true => &upstream.repeatable,
        false => &upstream.once,
    };
    let (now_ms, spent_ms) = (now.as_ms(), now.as_ms().saturating_sub(arrived.as_ms()));
    let policys = upstream.timeout_ms.map(|timeout| timeout.saturating_sub(spent_ms));
    let read = upstream
        .deadline
        .as_ref()
        .map(|deadline| (deadline, said(deadline, request, known, edits)));
    let carried = match read {
        Some((_, Said::Unreadable)) => Carried::UnreadableDeadline,
        _ => Carried::AsSaid,
    };
    let callers = read.and_then(|(deadline, said)| match said {
        Said::Until(at_ms) => Some((deadline, at_ms.saturating_sub(now_ms))),
        Said::For(ms) => Some((deadline, ms.saturating_sub(spent_ms))),
        Said::Nothing | Said::Unreadable => None,
    });
    let left = match (policys, callers) {
        (None, None) => None,
        (Some(policys), Some((_, callers))) => Some(policys.min(callers)),
        (Some(left), None) => Some(left),
        (None, Some((_, left))) => Some(left.min(LONGEST_MS)),
    };
    if left.is_some_and(|left| left < upstream.min_ms) {
        return Err(match callers {
            Some((_, callers)) if Some(callers) == left => TimeUp::Deadline,
            _ => TimeUp::Timeout,
        });
    }
    match left.filter(|left| upstream.timeout_ms != Some(*left)) {
        None => edits.carried = Some(written.whole.clone()),
        Some(left) => {
            edits.carried = Some(written.but_timeout.clone());
            edits.set(RQ_TIMEOUT.as_bytes(), left.to_string());
        }
    }
    if let (Some((deadline, callers)), Some(left)) = (callers, left) {
        pass_on(deadline, request, left, (callers, now_ms), edits);
    }
    Ok(carried)
}

/// RFC 9110 section 9.2.2. What calls itself otherwise on the way was stripped, so the method is what
/// the upstream will act on.
fn repeatable(upstream: &Upstream, request: &Request, edits: &Edits) -> bool {
    // A key that the upstream does not see tells it nothing.
    let keyed = || {
        let key = request.headers.only(IDEMPOTENCY_KEY).map(<[u8]>::trim_ascii);
        let goes = !edits.remove.contains(IDEMPOTENCY_KEY.as_bytes());
        // Nothing that another reader could take for none, or for two.
        let readable = |key: &[u8]| key != b"\"\"" && key.iter().all(|b| b.is_ascii_graphic() && *b != b',');
        goes && key.is_some_and(|key| !key.is_empty() && readable(key))
    };
    match request.method() {
        "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE" => true,
        _ => match upstream.repeat {
            Repeat::Idempotent => false,
            Repeat::WithKey => keyed(),
            Repeat::Everything => true,
        },
    }
}

/// draft-ietf-httpapi-idempotency-key-header
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

#[derive(Clone, Copy)]
enum Said {
    Nothing,
    Unreadable,
    /// Milliseconds since the epoch.
    Until(u64),
    /// Milliseconds since the request came.
    For(u64),
}

/// What is not gone by goes no further, in any spelling: the next one might go by it.
fn said(deadline: &Deadline, request: &Request, known: bool, edits: &mut Edits) -> Said {
    let name = deadline.header.as_str();
    let said = match request.headers.first(name) {
        Some(_) if deadline.of_known_callers && !known => Said::Nothing,
        None => Said::Nothing,
        Some(_) => {
            let value = request
                .headers
                .only(name)
                .and_then(|value| std::str::from_utf8(value).ok());
            let read = value.and_then(|value| match deadline.form {
                DeadlineForm::Instant => deadline::instant(value).map(Said::Until),
                DeadlineForm::Millis => deadline::millis(value).map(Said::For),
                DeadlineForm::Grpc => deadline::grpc(value).map(Said::For),
            });
            read.unwrap_or(Said::Unreadable)
        }
    };
    let believed = matches!(said, Said::Until(_) | Said::For(_));
    for (other, _) in request.headers.iter() {
        if folds_alike(other, name.as_bytes()) && !(believed && other == name.as_bytes()) {
            edits.remove(other);
        }
    }
    said
}

/// The upstream is told what it has, so that it does no work in vain.
fn pass_on(deadline: &Deadline, request: &Request, left: u64, (callers, now_ms): (u64, u64), edits: &mut Edits) {
    let name = deadline.header.as_str();
    let text = match deadline.form {
        // It says so already.
        DeadlineForm::Instant if left == callers => return,
        DeadlineForm::Instant => {
            let until_ms = now_ms.saturating_add(left);
            let epoch = request
                .headers
                .first(name)
                .is_some_and(|value| value.iter().all(u8::is_ascii_digit));
            match epoch {
                true => until_ms.to_string(),
                false => rfc3339(until_ms.saturating_mul(1_000_000)),
            }
        }
        DeadlineForm::Millis => left.to_string(),
        DeadlineForm::Grpc => left.to_string() + "m",
    };
    edits.set(name.as_bytes(), text);
}

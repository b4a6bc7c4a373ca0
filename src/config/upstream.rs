//! `upstream`: how a rule's requests are carried. What Envoy would silently ignore is a fault.

use super::conditions::{self, Condition, GRPC};
use super::names;
use super::node::Node;
use super::read::{Fields, Known, all};
use super::sink::{Checked, Sink};
use crate::header::{Field, HeaderName};
use crate::policy::{
    Deadline, DeadlineForm, EXPECTED_TIMEOUT, GRPC_TIMEOUT, RQ_TIMEOUT, Repeat, Rule, UPSTREAM_LONGEST_MS, Upstream,
    Written,
};
use crate::strip::Strip;
use crate::upstream::IDEMPOTENCY_KEY;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

const FIELDS: Known = Known {
    now: &["timeout", "retry", "deadline"],
    later: &[],
};
const RETRY: Known = Known {
    now: &[
        "attempts",
        "retry_on",
        "retriable_headers",
        "per_try_timeout",
        "hedge_on_per_try_timeout",
        "unsafe_methods",
        "idempotency_key",
        "route_retries",
    ],
    later: &[],
};
const DEADLINE: Known = Known {
    now: &["header", "min", "from"],
    later: &[],
};
/// An outage of more tries than this is an outage of the retries' making.
const MOST_RETRIES: u64 = 10;
/// A name of each is compared with each header of a response.
const MOST_HEADERS: usize = 10;
/// Whom these do not meet got nothing of the request, so that it may be sent again, whatever it is.
const UNSENT: [&str; 3] = ["connect-failure", "refused-stream", "reset-before-request"];
/// An instance that is given less counts as failing, however well it is.
const LEAST: Duration = Duration::from_millis(50);

fn durations() -> RangeInclusive<Duration> {
    Duration::from_millis(1)..=Duration::from_millis(UPSTREAM_LONGEST_MS)
}

/// `asks`: somebody may be known.
pub fn read(sink: &Sink, node: &Node, asks: bool) -> Checked<Arc<Upstream>> {
    let fields = Fields::of(sink, node, &FIELDS)?;
    let timeout = fields.optional("timeout", |node| match node.text() {
        Some("none") => Ok(None),
        _ => sink.duration(node, durations()).map(Some),
    });
    // Where it has a fault itself, what is compared with it has none.
    let said = timeout.unwrap_or(Some(None));
    let retry = fields.optional("retry", |node| retry(sink, node, said));
    let deadline = fields.optional("deadline", |node| deadline(sink, node, said, asks));
    let (timeout, retry, deadline) = (timeout?, retry?.unwrap_or_default(), deadline?);
    let timeout_ms = timeout.flatten().map(millis);
    let (deadline, min) = deadline.unzip();
    // Without a word on it, half of a short timeout may have gone by.
    let least = timeout_ms.map_or(millis(LEAST), |timeout| millis(LEAST).min(timeout / 2));
    let written = |rest: Vec<Field>| {
        let field = timeout.map(|_| field(RQ_TIMEOUT, timeout_ms.unwrap_or(0).to_string()));
        Written::new(field, rest)
    };
    Ok(Arc::new(Upstream {
        timeout_ms,
        min_ms: min.flatten().map_or(least, millis).max(1),
        repeat: retry.repeat.unwrap_or(Repeat::Idempotent),
        repeatable: written(retry.repeatable),
        once: written(retry.once),
        deadline,
    }))
}

/// Headers for what may be sent again, and for what may not.
#[derive(Default)]
struct Retry {
    repeat: Option<Repeat>,
    repeatable: Vec<Field>,
    once: Vec<Field>,
}

/// `timeout`: as the policy says it, None where it says nothing, Some(None) for `none`.
type Timeout = Option<Option<Duration>>;

fn retry(sink: &Sink, node: &Node, timeout: Timeout) -> Checked<Retry> {
    let fields = Fields::of(sink, node, &RETRY)?;
    let attempts = fields
        .required("attempts", ": write 3, the retries besides the first try")
        .and_then(|node| sink.whole(node, 1..=MOST_RETRIES));
    let conditions = fields
        .required("retry_on", ": write [connect-failure, refused-stream, 503]")
        .and_then(|node| conditions::read(sink, node, &GRPC));
    let headers = fields.optional("retriable_headers", |node| {
        sink.at_most(node, MOST_HEADERS, "each is looked for in each response")?;
        sink.distinct(node, |item| {
            let name = sink.parsed(item, HeaderName::parse)?;
            Ok(name.as_str().to_owned())
        })
    });
    let per_try = fields.optional("per_try_timeout", |node| per_try(sink, node, timeout));
    let hedge = fields.optional("hedge_on_per_try_timeout", |node| hedge(sink, &fields, node));
    let everything = fields.optional("unsafe_methods", |node| sink.flag(node));
    let with_key = fields.optional("idempotency_key", |node| sink.flag(node));
    let route_has_none = fields.optional("route_retries", |node| sink.word(node, &[("none", ())]));
    let repeat = match (everything?.unwrap_or(false), with_key?.unwrap_or(false)) {
        (true, _) => Repeat::Everything,
        (false, true) => Repeat::WithKey,
        (false, false) => Repeat::Idempotent,
    };
    let (attempts, conditions, headers) = (attempts?.to_string(), conditions?, headers?);
    named_headers(sink, &fields, &conditions, headers.is_some())?;
    let (retry_on, grpc) = (
        conditions::names(&conditions, false),
        conditions::names(&conditions, true),
    );
    if !grpc.is_empty() && repeat == Repeat::Idempotent {
        let message = format!(
            "{grpc}: gRPC calls are POST, which is not sent again: write unsafe_methods: true or idempotency_key: true"
        );
        return Err(sink.fault(node, message));
    }
    let mut repeatable = Vec::new();
    let mut add = |name, value: String| {
        if !value.is_empty() {
            repeatable.push(field(name, value));
        }
    };
    add("x-envoy-retry-on", retry_on);
    add("x-envoy-retry-grpc-on", grpc);
    add("x-envoy-max-retries", attempts.clone());
    add("x-envoy-retriable-status-codes", conditions::codes(&conditions));
    let headers = headers.unwrap_or_default();
    add("x-envoy-retriable-header-names", headers.join(","));
    if let Some(per_try) = per_try? {
        add("x-envoy-upstream-rq-per-try-timeout-ms", millis(per_try).to_string());
    }
    if hedge?.unwrap_or(false) {
        add("x-envoy-hedge-on-per-try-timeout", "true".to_owned());
    }
    let once = once(&conditions, attempts, route_has_none?.is_some());
    Ok(Retry {
        repeat: Some(repeat),
        repeatable,
        once,
    })
}

/// Envoy adds our conditions to the route's and takes our number for all of them. So there is none for what must
/// not be sent again, unless the route has no conditions. One try has no timeout of its own.
fn once(conditions: &[Condition], attempts: String, route_has_none: bool) -> Vec<Field> {
    let unsent = conditions.iter().filter_map(|condition| match condition {
        Condition::Named(name) if route_has_none && UNSENT.contains(name) => Some(*name),
        _ => None,
    });
    let unsent: Vec<&str> = unsent.collect();
    match unsent.is_empty() {
        true => vec![field("x-envoy-max-retries", "0".to_owned())],
        false => vec![
            field("x-envoy-retry-on", unsent.join(",")),
            field("x-envoy-max-retries", attempts),
        ],
    }
}

fn per_try(sink: &Sink, node: &Node, timeout: Timeout) -> Checked<Duration> {
    let value = sink.duration(node, durations())?;
    match timeout {
        None => Err(sink.fault(
            node,
            "needs a timeout beside it: Envoy ignores one that is not below the whole",
        )),
        Some(timeout) => sink.below(node, value, timeout),
    }
}

fn hedge(sink: &Sink, fields: &Fields, node: &Node) -> Checked<bool> {
    let hedge = sink.flag(node)?;
    match hedge && fields.get("per_try_timeout").is_none() {
        true => Err(sink.fault(node, "needs a per_try_timeout beside it")),
        false => Ok(hedge),
    }
}

/// One does nothing without the other.
fn named_headers(sink: &Sink, fields: &Fields, conditions: &[Condition], named: bool) -> Checked<()> {
    let wanted = conditions.contains(&Condition::Named("retriable-headers"));
    let message = match (wanted, named) {
        (true, false) => "retriable-headers needs retriable_headers, which names them",
        (false, true) => "retriable_headers needs retriable-headers in retry_on",
        _ => return Ok(()),
    };
    Err(sink.fault(fields.node, message))
}

fn deadline(sink: &Sink, node: &Node, timeout: Timeout, asks: bool) -> Checked<(Deadline, Option<Duration>)> {
    let fields = Fields::of(sink, node, &DEADLINE)?;
    if timeout.is_none() {
        let message = "needs a timeout beside it, or timeout: none: a deadline must not be longer than the route's own";
        return Err(sink.fault(node, message));
    }
    let header = fields
        .required(
            "header",
            ": write x-request-deadline, x-envoy-expected-rq-timeout-ms or grpc-timeout",
        )
        .and_then(|node| sink.parsed(node, header));
    let min = fields.optional("min", |node| {
        let value = sink.duration(node, durations())?;
        sink.below(node, value, timeout.flatten())
    });
    let from = fields.optional("from", |node| {
        let known = sink.word(node, &[("principal", true), ("anyone", false)])?;
        match known && !asks {
            true => Err(sink.fault(node, "nobody is known where nobody is asked: write anyone")),
            false => Ok(known),
        }
    });
    let header = header?;
    let deadline = Deadline {
        form: match header.as_str() {
            EXPECTED_TIMEOUT => DeadlineForm::Millis,
            GRPC_TIMEOUT => DeadlineForm::Grpc,
            _ => DeadlineForm::Instant,
        },
        header,
        of_known_callers: from?.unwrap_or(true),
    };
    Ok((deadline, min?))
}

fn header(text: &str) -> Result<HeaderName, String> {
    match text.to_ascii_lowercase().as_str() {
        EXPECTED_TIMEOUT => HeaderName::parse(text),
        // What is no time is removed: these are no times.
        "accept" | "baggage" | "idempotency-key" | "origin" | "traceparent" | "tracestate" | "user-agent" => {
            Err(format!("{text} has a meaning of its own: choose another name"))
        }
        _ => names::identity(text),
    }
}

/// What a rule's `upstream` means beside the rest of the policy.
pub fn fits(sink: &Sink, warnings: &Sink, node: &Node, rules: &[Arc<Rule>], strip: &Strip) -> Checked<()> {
    let faults = rules.iter().zip(sink.items(node)?).filter_map(|(rule, node)| {
        let upstream = rule.upstream.as_ref()?;
        leaves_time(warnings, node, rule, upstream);
        if let Some(name) = stripped(upstream, strip) {
            let message = format!("upstream goes by {name}, which is removed from every request");
            return Some(Err(sink.fault(node, message)));
        }
        let name = METHODS.iter().find(|name| !strip.takes(name.as_bytes()))?;
        let by_method = !upstream.once.but_timeout.is_empty() && upstream.repeat != Repeat::Everything;
        by_method.then(|| {
            let message = format!("retry goes by the method, and identity.keep lets {name} say another");
            Err(sink.fault(node, message))
        })
    });
    all(faults).map(|_: Vec<()>| ())
}

/// By these a GET may be a POST to the upstream.
const METHODS: [&str; 5] = [
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-original-method",
    "x-forwarded-method",
];

/// What is removed from every request is nobody's word, and goes to no upstream.
fn stripped<'a>(upstream: &'a Upstream, strip: &Strip) -> Option<&'a str> {
    let deadline = upstream.deadline.as_ref().map(|deadline| deadline.header.as_str());
    let key = (upstream.repeat == Repeat::WithKey).then_some(IDEMPOTENCY_KEY);
    let gone = |name: &&str| *name != EXPECTED_TIMEOUT && strip.takes(name.as_bytes());
    deadline.into_iter().chain(key).find(gone)
}

/// While a service hangs, who would go on as nobody or by an old answer had no time left.
fn leaves_time(warnings: &Sink, node: &Node, rule: &Rule, upstream: &Upstream) {
    let asked = rule.gate().and_then(|gate| gate.authenticators.last());
    let (Some(callout), Some(timeout_ms)) = (asked.and_then(|asked| asked.callout()), upstream.timeout_ms) else {
        return;
    };
    if millis(callout.timeout).saturating_add(upstream.min_ms) > timeout_ms {
        let message = "asking counts, and may take all of upstream.timeout: make that longer than the callout's";
        warnings.fault(node, message);
    }
}

fn field(name: &str, value: String) -> Field {
    (name.as_bytes().to_vec(), value.into_bytes())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(UPSTREAM_LONGEST_MS)
}

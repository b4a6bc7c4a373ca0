//! What is remembered of a service's answers, and how long.

use crate::cache::{CachePolicy, Ignored, SharedKey};
use crate::config::node::{Node, quoted};
use crate::config::read::{Fields, Known};
use crate::config::secret;
use crate::config::sink::{Checked, Sink};
use crate::header::HeaderName;
use std::time::Duration;

const FIELDS: Known = Known {
    now: &[
        "ignore",
        "ttl",
        "denied_ttl",
        "stale_if_error",
        "stale_while_revalidate",
        "max_entries",
        "max_bytes",
        "max_waiting",
        "when_full",
        "shared",
    ],
    later: &[],
};
const SHARED: Known = Known {
    now: &["key"],
    later: &[],
};
const SHORTEST: Duration = Duration::from_millis(100);
/// Whoever was shut out stays in that long unless somebody makes the filter forget.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// A credential that was just made good is refused that long.
const LONGEST_DENIED: Duration = Duration::from_secs(300);
const ENTRIES: u64 = 10_000;
const MOST_ENTRIES: u64 = 1_000_000;
const BYTES: u64 = 16 << 20;
const LEAST_BYTES: u64 = 64 << 10;
/// A quarter of what a Wasm memory may grow to.
const MOST_BYTES: u64 = 256 << 20;
const WAITING: u64 = 2_000;
/// Each keeps its headers, of which Envoy takes 60 KiB.
const MOST_WAITING: u64 = 10_000;
const NONE: Duration = Duration::ZERO;

pub fn read(sink: &Sink, node: &Node) -> Checked<CachePolicy> {
    let fields = Fields::of(sink, node, &FIELDS)?;
    let ttl = fields
        .required("ttl", ": write 30s, how long an answer may serve")
        .and_then(|node| sink.duration(node, SHORTEST..=LONGEST));
    let ignored = fields.optional("ignore", |node| ignored(sink, node));
    let denied_ttl = fields.optional("denied_ttl", |node| sink.duration(node, SHORTEST..=LONGEST_DENIED));
    let if_error = fields.optional("stale_if_error", |node| sink.duration(node, SHORTEST..=LONGEST));
    let revalidate = fields.optional("stale_while_revalidate", |node| sink.duration(node, SHORTEST..=LONGEST));
    let entries = fields.optional("max_entries", |node| sink.whole(node, 1..=MOST_ENTRIES));
    let bytes = fields.optional("max_bytes", |node| sink.size(node, LEAST_BYTES..=MOST_BYTES));
    let waiting = fields.optional("max_waiting", |node| sink.whole(node, 0..=MOST_WAITING));
    let refuse = fields.optional("when_full", |node| sink.word(node, &[("ask", false), ("refuse", true)]));
    let shared = fields.optional("shared", |node| shared(sink, node));
    let usize_of = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    Ok(CachePolicy {
        ttl: ttl?,
        ignored: ignored?.unwrap_or_default(),
        denied_ttl: denied_ttl?,
        stale_if_error: if_error?.unwrap_or(NONE),
        stale_while_revalidate: revalidate?.unwrap_or(NONE),
        max_entries: usize_of(entries?.unwrap_or(ENTRIES)),
        max_bytes: usize_of(bytes?.unwrap_or(BYTES)),
        max_waiting: usize_of(waiting?.unwrap_or(WAITING)),
        refuse_when_full: refuse?.unwrap_or(false),
        shared: shared?,
    })
}

#[derive(PartialEq, Eq, Hash)]
enum Part {
    Method,
    Path,
    Query,
    Host,
    Header(HeaderName),
}

fn ignored(sink: &Sink, node: &Node) -> Checked<Ignored> {
    let mut ignored = Ignored::default();
    for part in sink.distinct(node, |item| sink.parsed(item, part))? {
        match part {
            Part::Method => ignored.method = true,
            Part::Path => ignored.path = true,
            Part::Query => ignored.query = true,
            Part::Host => ignored.host = true,
            Part::Header(name) => ignored.headers.push(name),
        }
    }
    Ok(ignored)
}

fn part(text: &str) -> Result<Part, String> {
    match (text, text.strip_prefix("header:")) {
        ("method", _) => Ok(Part::Method),
        ("path", _) => Ok(Part::Path),
        ("query", _) => Ok(Part::Query),
        ("host", _) => Ok(Part::Host),
        (_, Some(name)) => HeaderName::parse(name).map(Part::Header),
        _ => Err(format!(
            "unknown part {}: write method, path, query, host or header:NAME",
            quoted(text)
        )),
    }
}

fn shared(sink: &Sink, node: &Node) -> Checked<SharedKey> {
    let fields = Fields::of(sink, node, &SHARED)?;
    let node = fields.required(
        "key",
        ": write { env: MESHGATE_CACHE_KEY }, where the key stands that seals what is shared",
    )?;
    secret::read(sink, node).map(|secret| SharedKey(secret.env))
}

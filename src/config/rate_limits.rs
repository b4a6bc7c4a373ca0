//! `rate_limits`, and which of them a rule names.

use super::defined::Defined;
use super::names;
use super::node::{Entry, Node, quoted};
use super::read::{Fields, Known, all};
use super::require::{self, Around};
use super::sink::{Checked, Sink};
use super::unit::shown_duration;
use crate::authn::ClaimPath;
use crate::authz::Require;
use crate::policy::{Place, Rule};
use crate::rate_limit::{Per, Plan, RateLimit};
use crate::strip::Strip;
use std::sync::Arc;
use std::time::Duration;

const LIMIT: Known = Known {
    now: &["per", "requests", "window", "burst", "before_auth", "override"],
    later: &[],
};
const OVERRIDE: Known = Known {
    now: &["when", "requests", "burst"],
    later: &[],
};
/// Each keeps up to 1.3 MiB in the proxy: 84 MiB in all.
const MOST: usize = 64;
/// Each costs a request two calls into the proxy, 0.7 µs.
const MOST_OF_A_RULE: usize = 8;
/// They are tried one after the other on a request.
const MOST_OVERRIDES: usize = 32;
const MOST_REQUESTS: u64 = 1_000_000_000;
/// `Retry-After` counts whole seconds; a faster pulse is a smaller `burst`.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Buckets live no longer than their proxy.
const LONGEST_TO_FILL: Duration = Duration::from_secs(7 * 24 * 3600);

pub struct RateLimits<'a>(Defined<'a, RateLimit>);

impl<'a> RateLimits<'a> {
    pub fn read(sink: &Sink, node: Option<&'a Node>, verified_peers: bool) -> Self {
        let bound = ("rate limit", MOST, "each keeps a table of its own in the proxy");
        Self(Defined::read(sink, node, bound, |entry| {
            limit(sink, entry, verified_peers)
        }))
    }

    /// `rate_limit` of a rule; `asks`: somebody may be known there.
    pub fn named(&self, sink: &Sink, node: &Node, asks: bool) -> Checked<Vec<Arc<RateLimit>>> {
        sink.at_most(
            node,
            MOST_OF_A_RULE,
            "each costs every request two calls into the proxy",
        )?;
        self.0.listed(sink, node, asks, |limit| limit.per.needs_caller())
    }

    /// Headers that are removed from every request as nobody's word but the caller's, and those of credentials, which
    /// can be spelled in many ways.
    pub fn check_headers(&self, sink: &Sink, strip: &Strip, credentials: &[Place]) -> Checked<()> {
        let faults = self.0.iter().filter_map(|(entry, limit)| {
            let Per::Header(header) = &limit.as_ref().ok()?.per else {
                return None;
            };
            let name = header.as_str();
            let message = if strip.takes(name.as_bytes()) {
                format!("goes by {name}, which is removed from every request: whoever calls can write it")
            } else if credentials.contains(&Place::Header(header.clone())) {
                format!("goes by {name}, a credential, which one caller can spell in many ways: write per: subject")
            } else {
                return None;
            };
            Some(Err(sink.fault(&entry.node, message)))
        });
        all(faults).map(|_: Vec<()>| ())
    }

    pub fn warn_of_unused(&self, warnings: &Sink, rules: &[Arc<Rule>]) {
        for (entry, _) in self.0.iter() {
            let names = |rule: &Arc<Rule>| rule.rate_limits.iter().any(|limit| *limit.name == *entry.key);
            if !rules.iter().any(names) {
                warnings.fault_at(&entry.node, entry.at, "no rule names this limit");
            }
        }
    }
}

fn limit(sink: &Sink, entry: &Entry, verified_peers: bool) -> Checked<Arc<RateLimit>> {
    let node = &entry.node;
    let name = names::label(&entry.key).map_err(|message| sink.fault_at(node, entry.at, message));
    let fields = Fields::of(sink, node, &LIMIT)?;
    let per = fields
        .required("per", ": write subject, client_ip, claim:NAME or header:NAME")
        .and_then(|node| sink.parsed(node, per));
    let window = fields
        .required("window", ": write 1s, the time in which so many requests may go on")
        .and_then(|node| sink.duration(node, SHORTEST..=LONGEST));
    let own = plan(sink, &fields, window);
    let before_auth = fields.optional("before_auth", |node| sink.flag(node));
    let overrides = fields.optional("override", |node| {
        sink.at_most(node, MOST_OVERRIDES, "they are tried one after the other")?;
        overrides(sink, node, window, verified_peers)
    });
    let early = match (fields.get("before_auth"), &before_auth, &per) {
        (Some(node), Ok(Some(true)), Ok(per)) if *per != Per::ClientIp => {
            let message = "before anybody is asked who calls, only the address is no word of the caller's: \
                           write per: client_ip";
            Err(sink.fault(node, message))
        }
        _ => Ok(()),
    };
    let nobody = match (fields.get("override"), &before_auth) {
        (Some(node), Ok(Some(true))) => {
            Err(sink.fault(node, "cannot stand beside before_auth: nobody is known by then"))
        }
        _ => Ok(()),
    };
    early?;
    nobody?;
    name?;
    Ok(Arc::new(RateLimit {
        name: entry.key.as_str().into(),
        per: per?,
        before_auth: before_auth?.unwrap_or(false),
        plan: own?,
        overrides: overrides?.unwrap_or_default(),
    }))
}

fn per(text: &str) -> Result<Per, String> {
    match (text, text.split_once(':')) {
        ("subject", _) => Ok(Per::Subject),
        ("client_ip", _) => Ok(Per::ClientIp),
        (_, Some(("claim", path))) => ClaimPath::parse(path).map(Per::Claim),
        (_, Some(("header", name))) => names::of_callers(name).map(Per::Header),
        _ => Err(format!(
            "unknown key {}: write subject, client_ip, claim:NAME or header:NAME",
            quoted(text)
        )),
    }
}

/// `requests` and `burst` beside a window.
fn plan(sink: &Sink, fields: &Fields, window: Checked<Duration>) -> Checked<Plan> {
    let requests = fields
        .required("requests", ": write how many may go on in a window")
        .and_then(|node| Ok((node, sink.whole(node, 1..=MOST_REQUESTS)?)));
    let burst = fields.optional("burst", |node| sink.whole(node, 1..=MOST_REQUESTS));
    let ((node, requests), burst, window) = (requests?, burst?, window?);
    let shown = shown_duration(window);
    let plan = Plan::new(requests, window, burst.unwrap_or(requests))
        .ok_or_else(|| sink.fault(node, format!("{requests} in {shown} is more than a million a second")))?;
    if u128::from(plan.capacity_ns()) > LONGEST_TO_FILL.as_nanos() {
        let (burst, longest) = (plan.burst(), shown_duration(LONGEST_TO_FILL));
        let message = format!("a burst of {burst} at {requests} in {shown} takes more than {longest} to fill again");
        return Err(sink.fault(fields.get("burst").unwrap_or(node), message));
    }
    Ok(plan)
}

fn overrides(
    sink: &Sink,
    node: &Node,
    window: Checked<Duration>,
    verified_peers: bool,
) -> Checked<Vec<(Require, Plan)>> {
    let items = sink.items(node)?;
    let found = sink.some(node, |item| {
        let fields = Fields::of(sink, item, &OVERRIDE)?;
        let when = fields
            .required("when", ": write whom it is for, as in require")
            .and_then(|node| when(sink, node, verified_peers));
        let plan = plan(sink, &fields, window);
        Ok((when?, plan?))
    })?;
    let hidden = found
        .iter()
        .zip(items)
        .enumerate()
        .filter_map(|(at, ((when, _), item))| {
            let by = found.iter().take(at).position(|(earlier, _)| earlier == when)?;
            Some(Err(sink.fault(
                item,
                format!("never reached: override[{by}] is for the same callers"),
            )))
        });
    all(hidden).map(|_: Vec<()>| ())?;
    Ok(found)
}

fn when(sink: &Sink, node: &Node, verified_peers: bool) -> Checked<Require> {
    if sink.entries(node)?.is_empty() {
        return Err(sink.fault(node, "empty when: change the numbers of the limit itself"));
    }
    let around = Around {
        rule: "",
        captured: None,
        authenticators: None,
        verified_peers,
    };
    let when = require::read(sink, node, &around)?;
    match when.has_captures() {
        true => Err(sink.fault(node, "{path.NAME} is of one rule, and a limit may be of several")),
        false => Ok(when),
    }
}

//! What is said of a decision: one log line, counters, and filter state for access logs.

use super::ffi::HostError;
use super::log::{self, entry};
use super::metrics::{Counter, Histogram};
use super::{ffi, host};
use crate::authn::callout::CalloutFailure;
use crate::decide::{Record, Used, request_id};
use crate::denial::Outcome;
use crate::experiment::{self, Experiment, Exposure, Kind};
use crate::header::Headers;
use crate::policy::{AccessFields, Authenticator, Policy, Rule};
use crate::request::query;
use crate::rule::PolicyMap;
use crate::upstream::Carried;
use ::log::Level;
use std::cell::RefCell;
use std::sync::Arc;

/// Counters by what is counted, so that counting costs no name.
#[derive(Debug)]
pub struct Counters {
    /// By the rule's position, and the last of those without a rule; few outcomes each.
    decisions: RefCell<Vec<Vec<(Family, Outcome, Counter)>>>,
    /// By slot; None where nobody is asked.
    services: Vec<Option<Service>>,
    /// Whatever few requests come to. Of all kinds: each kind of map is code of its own.
    known: RefCell<PolicyMap<Key, Counter>>,
}

/// What is counted of every question and answer, by its word.
#[derive(Debug)]
struct Service {
    name: Arc<str>,
    callouts: Vec<(&'static str, Counter)>,
    answers: Vec<(&'static str, Counter)>,
    duration: Histogram,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Key {
    /// By limit and metric.
    Limit(Arc<str>, &'static str),
    /// The rule by its position.
    IgnoredDeadline(usize),
    /// By experiment, variant and whether it is a shadow.
    Exposure(Arc<str>, Option<Arc<str>>, bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Requests,
    Shadow,
}

impl Counters {
    /// What alerts look for stands at 0 from the start: of a counter that begins at 1 nobody sees that it rose.
    pub fn new(policy: &Policy) -> Self {
        let services = policy.authenticators.iter().map(Service::of).collect();
        policy.experiments.iter().for_each(|experiment| {
            for variant in met(experiment) {
                exposures(experiment, variant);
            }
        });
        Self {
            decisions: vec![Vec::new(); policy.rules.len() + 1].into(),
            services,
            known: RefCell::default(),
        }
    }

    /// How long an answer took.
    pub fn time_callout(&self, slot: usize, took_ns: u64) {
        if let Some(Some(service)) = self.services.get(slot) {
            service.duration.record((took_ns + 500_000) / 1_000_000);
        }
    }

    /// What a question came to.
    pub fn count_callout(&self, slot: usize, result: &str) {
        if let Some(Some(service)) = self.services.get(slot) {
            service.count_callout(result);
        }
    }

    /// By the name alone, which is mostly the policy's own.
    fn service(&self, authenticator: &Arc<str>) -> Option<&Service> {
        let mut services = self.services.iter().flatten();
        services.find(|service| Arc::ptr_eq(&service.name, authenticator) || service.name == *authenticator)
    }

    fn count_limit(&self, limit: &Arc<str>, metric: &'static str) {
        let key = Key::Limit(limit.clone(), metric);
        self.increment(key, &|| Counter::named(metric, &[("limit", limit)]));
    }

    fn count_ignored_deadline(&self, rule: &Rule) {
        self.increment(Key::IgnoredDeadline(rule.position), &|| {
            Counter::named("deadlines_ignored_total", &[("rule", &rule.name)])
        });
    }

    fn count(&self, family: Family, rule: Option<&Rule>, outcome: Outcome) {
        let mut decisions = self.decisions.borrow_mut();
        let without_rule = decisions.len().saturating_sub(1);
        let Some(of_rule) = decisions.get_mut(rule.map_or(without_rule, |rule| rule.position)) else {
            return;
        };
        let known = of_rule.iter().find(|known| (known.0, known.1) == (family, outcome));
        if let Some((_, _, counter)) = known {
            return counter.increment();
        }
        let name = match family {
            Family::Requests => "requests_total",
            Family::Shadow => "shadow_requests_total",
        };
        let rule = rule.map_or("none", |rule| &rule.name);
        let counter = Counter::named(name, &[("rule", rule), ("outcome", outcome.word())]);
        of_rule.push((family, outcome, counter));
        counter.increment();
    }

    fn count_exposure(&self, exposure: &Exposure) {
        let (experiment, shadow) = (&exposure.experiment, exposure.experiment.is_shadow());
        let key = Key::Exposure(experiment.name.clone(), exposure.variant.clone(), shadow);
        self.increment(key, &|| {
            exposures(experiment, exposure.variant.as_deref().unwrap_or(BY_ROUTE))
        });
    }

    fn increment(&self, key: Key, named: &dyn Fn() -> Counter) {
        self.known.borrow_mut().entry(key).or_insert_with(named).increment();
    }
}

impl Service {
    fn of(known: &Arc<Authenticator>) -> Option<Self> {
        known.callout()?;
        let label = ("authenticator", &*known.name);
        let counter = |metric, of, word: &&'static str| (*word, Counter::named(metric, &[label, (of, word)]));
        let results = ["allowed", "denied"].iter().chain(CalloutFailure::WORDS);
        Some(Self {
            name: known.name.clone(),
            callouts: results.map(|word| counter("callouts_total", "result", word)).collect(),
            answers: Used::WORDS
                .iter()
                .map(|word| counter("answers_total", "from", word))
                .collect(),
            duration: Histogram::named("callout_duration", &[label]),
        })
    }

    fn count_callout(&self, result: &str) {
        match self.callouts.iter().find(|(known, _)| *known == result) {
            Some((_, counter)) => counter.increment(),
            None => {
                let labels = [("authenticator", &*self.name), ("result", result)];
                Counter::named("callouts_total", &labels).increment();
            }
        }
    }

    fn count_answer(&self, from: &str) {
        if let Some((_, counter)) = self.answers.iter().find(|(known, _)| *known == from) {
            counter.increment();
        }
    }
}

fn exposures(experiment: &Experiment, variant: &str) -> Counter {
    let name = match experiment.is_shadow() {
        false => "exposures_total",
        true => "shadow_exposures_total",
    };
    Counter::named(name, &[("experiment", &experiment.name), ("variant", variant)])
}

/// What callers may get: a variant without a share is no fault that nobody gets.
fn met(experiment: &Experiment) -> Vec<&str> {
    match &experiment.kind {
        Kind::Variants(variants) => {
            let all = variants.variants.iter().enumerate();
            let met = all.filter(|(at, _)| variants.share.has(*at));
            met.map(|(_, variant)| &*variant.name).collect()
        }
        Kind::Bucket(_) => vec![BY_ROUTE],
    }
}

/// The proxy did not do what it was told. `deed` is of a closed list.
pub fn host_error(deed: &'static str, error: HostError) {
    let HostError(status) = error;
    entry!(Level::Error, &format!("the proxy refused: {deed}, status {status}")).write();
    count_host_error(deed);
}

pub fn count_host_error(deed: &'static str) {
    Counter::named("host_errors_total", &[("call", deed)]).increment();
}

pub fn decision(policy: &Policy, counters: &Counters, headers: &Headers, record: &Record, started_ns: u64) {
    counters.count(Family::Requests, record.rule.as_deref(), record.outcome);
    let why = not_asked(record);
    if (record.used != Used::Nothing || why.is_some())
        && let Some(service) = record.authenticator.as_ref().and_then(|name| counters.service(name))
    {
        if record.used != Used::Nothing {
            service.count_answer(record.used.word());
        }
        if let Some(why) = why {
            service.count_callout(why);
        }
    }
    if record.outcome == Outcome::RateLimited {
        counters.count_limit(&record.cause.as_ref().into(), "rate_limited_total");
    }
    for limit in &record.overflowed {
        counters.count_limit(limit, "rate_limit_overflows_total");
    }
    if let (Some(rule), Carried::UnreadableDeadline) = (&record.rule, record.carried) {
        counters.count_ignored_deadline(rule);
    }
    for (rule, outcome) in &record.shadows {
        counters.count(Family::Shadow, Some(rule), *outcome);
    }
    set_state(&policy.log.access, record, started_ns);
    let level = match record.is_error() {
        true => Level::Error,
        false => Level::Info,
    };
    if log::enabled(level) {
        write_line(policy, headers, record, started_ns, level);
    }
}

/// In place of a variant: clusters are no words of the policy.
const BY_ROUTE: &str = "by_route";

/// Somebody gets a variant, for the first time of late. `cluster`: what the route chose, where it chooses.
pub fn exposure(counters: &Counters, exposure: &Exposure, cluster: Option<&str>) {
    counters.count_exposure(exposure);
    if !log::enabled(Level::Info) {
        return;
    }
    let mut line = entry!(Level::Info, "exposure");
    line.string("experiment", &exposure.experiment.name);
    line.string("variant", exposure.variant.as_deref().unwrap_or(BY_ROUTE));
    if let Some(cluster) = cluster {
        line.string("cluster", cluster);
    }
    line.string("unit", &exposure.hashed_unit());
    line.string("unit_from", exposure.unit.from);
    line.string("rule", &exposure.rule);
    if exposure.experiment.is_shadow() {
        line.raw("shadow", "true");
    }
    line.write();
}

/// Why no call was made where one was due; those that were made are counted as they end.
fn not_asked(record: &Record) -> Option<&'static str> {
    match (record.outcome, record.failure) {
        (Outcome::BodyTooLarge, _) => Some("not_asked"),
        (_, Some(failure)) if !failure.was_asked() => Some(failure.word()),
        _ => None,
    }
}

fn set_state(access: &AccessFields, record: &Record, started_ns: u64) {
    if access.rule {
        host::set_state("meshgate_rule", record.rule.as_ref().map_or("none", |rule| &rule.name));
    }
    if access.outcome {
        host::set_state("meshgate_outcome", record.outcome.word());
    }
    if access.cause && !record.cause.is_empty() {
        host::set_state("meshgate_cause", &record.cause);
    }
    if access.variant && !record.variants.is_empty() {
        host::set_state("meshgate_variant", &experiment::told(&record.variants));
    }
    if let Some(subject) = record.subject.as_ref().filter(|_| access.subject) {
        host::set_state("meshgate_subject", subject);
    }
    if access.answer && record.used != Used::Nothing {
        host::set_state("meshgate_answer", record.used.word());
    }
    if access.duration {
        host::set_state("meshgate_duration", &spent_ms(started_ns));
    }
}

fn write_line(policy: &Policy, headers: &Headers, record: &Record, started_ns: u64, level: Level) {
    let mut line = entry!(level, &record.message());
    line.string("request_id", &request_id(headers));
    line.string("trace_id", &trace_id(headers));
    line.string("username", record.subject.as_deref().unwrap_or_default());
    line.string("requestURL", &url(policy, headers));
    line.string("rule", record.rule.as_ref().map_or("none", |rule| &rule.name));
    line.string("revision", &policy.revision);
    line.string("outcome", record.outcome.word());
    line.string("cause", &record.cause);
    line.raw("duration_ms", &spent_ms(started_ns));
    if let Some(authenticator) = &record.authenticator {
        line.string("authenticator", authenticator);
    }
    if let Some(cluster) = in_vain(policy, record) {
        line.string("cluster", cluster);
    }
    if record.used != Used::Nothing {
        line.string("answer", record.used.word());
    }
    if let Some(id) = &record.credential_id {
        line.string("credential_id", id);
    }
    if !record.variants.is_empty() {
        line.string("variants", &experiment::told(&record.variants));
    }
    if !record.enforced {
        line.raw("enforced", "false");
    }
    if !record.shadows.is_empty() {
        let shadows = record
            .shadows
            .iter()
            .map(|(rule, outcome)| format!("{}={}", rule.name, outcome.word()));
        line.string("shadow", &shadows.collect::<Vec<_>>().join(","));
    }
    line.write();
}

/// From the first header to the decision, in milliseconds.
fn spent_ms(started_ns: u64) -> String {
    let spent_us = ffi::now_ns().saturating_sub(started_ns) / 1000;
    format!("{}.{:03}", spent_us / 1000, spent_us % 1000)
}

/// The cluster of the service that could not be asked.
fn in_vain<'p>(policy: &'p Policy, record: &Record) -> Option<&'p str> {
    let asked = record.failure.and(record.authenticator.as_ref())?;
    let known = policy.authenticators.iter().find(|known| known.name == *asked)?;
    Some(&known.callout()?.cluster)
}

/// W3C Trace Context's, or B3's.
fn trace_id(headers: &Headers) -> String {
    let part = |name, at: usize| {
        headers
            .first(name)
            .and_then(|value| value.split(|b| *b == b'-').nth(at))
    };
    let id = part("traceparent", 1)
        .or_else(|| part("b3", 0))
        .or_else(|| part("x-b3-traceid", 0));
    String::from_utf8_lossy(id.filter(|id| id.len() <= 64).unwrap_or_default()).into_owned()
}

/// As the caller wrote it, less what may be secret: user and password before the host, a fragment,
/// values of the query unless the policy names them.
fn url(policy: &Policy, headers: &Headers) -> String {
    const MAX_BYTES: usize = 2048;
    const MAX_HOST_CHARS: usize = 320;
    let part = |name| String::from_utf8_lossy(headers.first(name).unwrap_or_default());
    let target = headers.first(":path").unwrap_or_default();
    let target = target.get(..MAX_BYTES).unwrap_or(target);
    let mut halves = target.splitn(2, |b| *b == b'#');
    let mut pieces = halves.next().unwrap_or_default().splitn(2, |b| *b == b'?');
    let path = String::from_utf8_lossy(pieces.next().unwrap_or_default());
    // A DNS name has at most 253 bytes.
    let authority: String = part(":authority").chars().take(MAX_HOST_CHARS).collect();
    let host = match authority.rsplit_once('@') {
        Some((_, host)) => format!("******@{host}"),
        None => authority,
    };
    let mut url = format!("{}://{host}{path}", part(":scheme"));
    let parameters = pieces.next().into_iter().flat_map(query::raw_parameters);
    for (at, (name, value)) in parameters.enumerate() {
        url.push(if at == 0 { '?' } else { '&' });
        // A server that separates by `;` reads more parameters here than the one that is named.
        let hides_more = value.is_some_and(|value| value.contains(&b';'));
        let shown = !hides_more
            && policy
                .log
                .query
                .iter()
                .any(|shown| shown.as_bytes() == &*query::decode(name));
        match (shown, value) {
            (true, value) => {
                url.push_str(&String::from_utf8_lossy(name));
                if let Some(value) = value {
                    url.push('=');
                    url.push_str(&String::from_utf8_lossy(value));
                }
            }
            // A parameter without a value may be a secret itself; so may Base64 with its padding.
            (false, value) if value.unwrap_or_default().iter().all(|b| *b == b'=') => url.push_str("******"),
            (false, _) => {
                url.push_str(&String::from_utf8_lossy(name));
                url.push_str("=******");
            }
        }
    }
    if halves.next().is_some() {
        url.push_str("#******");
    }
    url
}

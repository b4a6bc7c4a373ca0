//! How many requests go on, over time and over several workers of one proxy.

use crate::text::{Peer, read_policy, read_request};
use meshgate::cache::{Refused, Seed, SharedStore, Version};
use meshgate::decide::{self, Around, Step};
use meshgate::memory::Memory;
use meshgate::policy::Policy;
use meshgate::rate_limit::{Buckets, ENTRIES, ENTRY_BYTES, SLOTS, TRIES};
use meshgate::time::UnixTime;
use sha2::{Digest as _, Sha256};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

#[path = "rates/proxies.rs"]
mod proxies;
#[path = "rates/replies.rs"]
mod replies;

const NOW_MS: u64 = 1_800_000_000_000;

/// What the proxy keeps for all its workers.
#[derive(Default)]
struct Proxy {
    slots: RefCell<BTreeMap<String, (Vec<u8>, u32)>>,
    writes: Cell<u32>,
    refuses_to_read: Cell<bool>,
    refuses_to_write: Cell<bool>,
    /// So many more writes find that somebody was quicker.
    loses: Cell<usize>,
}

impl SharedStore for Proxy {
    fn get(&self, _: &str) -> Option<Vec<u8>> {
        None
    }

    fn set(&self, _: &str, _: &[u8]) {}

    fn versioned(&self, slot: &str) -> Result<(Vec<u8>, Version), Refused> {
        if self.refuses_to_read.get() {
            return Err(Refused);
        }
        let (bytes, version) = self.slots.borrow().get(slot).cloned().unwrap_or((Vec::new(), u32::MAX));
        Ok((bytes, Version(version)))
    }

    fn replace(&self, slot: &str, bytes: &[u8], Version(version): Version) -> Result<bool, Refused> {
        if self.refuses_to_write.get() {
            return Err(Refused);
        }
        if self.loses.get() > 0 {
            self.loses.set(self.loses.get() - 1);
            return Ok(false);
        }
        let mut slots = self.slots.borrow_mut();
        if slots.get(slot).is_some_and(|(_, there)| *there != version) {
            return Ok(false);
        }
        self.writes.set(self.writes.get() + 1);
        slots.insert(slot.to_owned(), (bytes.to_vec(), self.writes.get()));
        Ok(true)
    }
}

struct Worker<'a> {
    proxy: &'a Proxy,
    policy: Arc<Policy>,
    memory: Memory,
}

impl<'a> Worker<'a> {
    /// `own`: what this worker drew by itself.
    fn start(proxy: &'a Proxy, policy: &Arc<Policy>, own: u64) -> Self {
        let buckets = Buckets::shared(proxy, Seed(own, own));
        Self {
            proxy,
            policy: policy.clone(),
            memory: Memory::new(policy, Seed(own, 0)).with_buckets(buckets),
        }
    }

    fn send(&mut self, request: &str, at_ms: u64) -> Step {
        let (headers, connection) = read_request(request);
        self.send_from(headers, &connection, NOW_MS + at_ms)
    }

    fn send_from(&mut self, headers: Arc<meshgate::header::Headers>, connection: &Peer, now_ms: u64) -> Step {
        decide::on_request(
            &self.policy.clone(),
            headers,
            true,
            &mut Around {
                connection,
                memory: &mut self.memory,
                shared: self.proxy,
                signatures: &meshgate::authn::jwt::InRust,
                now: UnixTime::from_ns(now_ms * 1_000_000),
            },
        )
    }

    /// `allowed`, or `429 tenant 1 s`; `asks` where a service would be asked.
    fn says(&mut self, request: &str, at_ms: u64) -> String {
        told(&self.send(request, at_ms))
    }
}

fn told(step: &Step) -> String {
    let Some(record) = step.record() else {
        return "asks".into();
    };
    let mut told = record.outcome.word().to_owned();
    if let Step::Refuse(refuse) = step {
        told = refuse.reply.status.to_string();
        if refuse.reply.status == 429 {
            let wait = refuse.reply.headers.iter().find(|(name, _)| name == b"retry-after");
            let wait = wait.map(|(_, seconds)| String::from_utf8_lossy(seconds).into_owned());
            told += &format!(" {} {}s", record.cause, wait.expect("a time"));
        }
    }
    if !record.overflowed.is_empty() {
        told += &format!(" overflow {}", record.overflowed.join(","));
    }
    for (rule, outcome) in &record.shadows {
        told += &format!(" {}={}", rule.name, outcome.word());
    }
    told
}

/// Keys `ann` and `other-ann` are the subject `42` of two authenticators; `ann-gold` is ann on another plan.
fn policy(limits: &str, rules: &str) -> String {
    let key = |id: &str, subject: &str, claims: &str| {
        let digest: String = Sha256::digest(id).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{{ id: {id}, sha256: \"{digest}\", subject: \"{subject}\", groups: [ops], claims: {{ {claims} }} }}")
    };
    let keys = [
        key("ann", "42", "tenant: acme, plan: free"),
        key("ann-gold", "42", "tenant: acme, plan: gold"),
        key("bob", "bob", "tenant: acme"),
        key("cid", "cid", "tenant: other"),
        key("eve", "eve", "level: 1"),
    ];
    format!(
        "version: 1
authenticators:
  partner: {{ api_key: {{ from: [{{ header: x-api-key }}], keys: {{ inline: [{}] }} }} }}
  other: {{ api_key: {{ from: [{{ header: x-other }}], keys: {{ inline: [{}] }} }} }}
  account: {{ callout: {{ protocol: ext_authz_http, cluster: auth, timeout: 1s, on_failure: deny, principal: {{ subject: x-auth-user }} }} }}
rate_limits:
  limit: {{ {limits} }}
  tight: {{ per: subject, requests: 1, window: 1m }}
rules:
{rules}
",
        keys.join(", "),
        key("ann", "42", "tenant: acme"),
    )
}

/// One rule that takes everything.
fn one(limit: &str, rule: &str) -> String {
    policy(
        limit,
        &format!("- {{ name: r, authenticate: [partner, other], rate_limit: [limit], {rule} }}"),
    )
}

const ANN: &str = "GET /a | x-api-key: ann";
const GOLD: &str = "GET /a | x-api-key: ann-gold";
const OTHER_ANN: &str = "GET /a | x-other: ann";
const BOB: &str = "GET /a | x-api-key: bob";
const CID: &str = "GET /a | x-api-key: cid";
const EVE: &str = "GET /a | x-api-key: eve";
const NOBODY: &str = "GET /a";

/// Rows of a time, a request and what becomes of it, two workers taking turns.
#[track_caller]
fn play(policy: &str, rows: &[(u64, &str, &str)]) {
    let (proxy, policy) = (Proxy::default(), read_policy(policy));
    let mut workers = [1, 2].map(|own| Worker::start(&proxy, &policy, own));
    for (turn, (at_ms, request, expected)) in rows.iter().enumerate() {
        let said = workers[turn % 2].says(request, *at_ms);
        assert_eq!(said, *expected, "row {turn}, {at_ms} ms: {request}");
    }
}

#[test]
fn each_caller_has_its_own_bucket_whichever_worker_it_meets() {
    let rows = [
        (0, ANN, "allowed"),
        (0, ANN, "allowed"),
        (0, ANN, "429 limit 1s"),
        (0, BOB, "allowed"),
        (0, OTHER_ANN, "allowed"),
        (0, OTHER_ANN, "allowed"),
        (0, OTHER_ANN, "429 limit 1s"),
        (499, ANN, "429 limit 1s"),
        (500, ANN, "allowed"),
        (500, ANN, "429 limit 1s"),
        (60_000, ANN, "allowed"),
        (60_000, ANN, "allowed"),
        (60_000, ANN, "429 limit 1s"),
        // The clock is set back a minute; nobody waits longer than an empty bucket takes.
        (0, ANN, "429 limit 1s"),
        (1000, ANN, "allowed"),
    ];
    play(&one("per: subject, requests: 2, window: 1s", "anonymous: deny"), &rows);
}

#[test]
fn what_a_clock_set_far_back_leaves_is_empty_and_fills_again() {
    let policy = one("per: subject, requests: 2, window: 10s", "anonymous: deny");
    let rows = [
        (86_400_000, ANN, "allowed"),
        (0, ANN, "429 limit 5s"),
        (4_999, ANN, "429 limit 1s"),
        (5_000, ANN, "allowed"),
    ];
    play(&policy, &rows);
}

#[test]
fn nobodies_share_one_bucket() {
    let rows = [
        (0, NOBODY, "anonymous"),
        (0, ANN, "allowed"),
        (0, NOBODY, "429 limit 1s"),
        (0, ANN, "429 limit 1s"),
    ];
    let policy = one("per: subject, requests: 1, window: 1s", "anonymous: allow_missing");
    play(&policy, &rows);
}

#[test]
fn a_claim_is_one_callers_and_its_colleagues() {
    let rows = [
        (0, ANN, "allowed"),
        (0, BOB, "allowed"),
        (0, ANN, "429 limit 1s"),
        (0, CID, "allowed"),
        // Another issuer's tenant of that name is another tenant.
        (0, OTHER_ANN, "allowed"),
        // No such claim, and nobody: one bucket.
        (0, EVE, "allowed"),
        (0, NOBODY, "anonymous"),
        (0, EVE, "429 limit 1s"),
        (0, NOBODY, "429 limit 1s"),
    ];
    let policy = one(
        "per: \"claim:tenant\", requests: 2, window: 1s",
        "anonymous: allow_missing",
    );
    play(&policy, &rows);
}

#[test]
fn a_header() {
    let rows = [
        (0, "GET /a | x-api-key: ann | x-device: 1", "allowed"),
        (0, "GET /a | x-api-key: bob | x-device: 1", "429 limit 1s"),
        (0, "GET /a | x-api-key: bob | x-device: 2", "allowed"),
        (0, "GET /a | x-api-key: bob | x-device: 1 | x-device: 2", "allowed"),
        (0, "GET /a | x-api-key: bob | x-device: \\xff", "allowed"),
        (0, ANN, "allowed"),
        (0, BOB, "429 limit 1s"),
    ];
    play(
        &one("per: \"header:x-device\", requests: 1, window: 1s", "anonymous: deny"),
        &rows,
    );
}

#[test]
fn an_address_is_the_connections() {
    let rows = [
        (0, "GET /a | x-api-key: ann | @ip 192.0.2.1", "allowed"),
        (0, "GET /a | x-api-key: bob | @ip ::ffff:192.0.2.1", "429 limit 1s"),
        (
            0,
            "GET /a | x-api-key: ann | @ip 192.0.2.2 | x-forwarded-for: 192.0.2.1",
            "allowed",
        ),
        (
            0,
            "GET /a | x-api-key: ann | @ip 192.0.2.2 | x-forwarded-for: 192.0.2.3",
            "429 limit 1s",
        ),
        (0, "GET /a | x-api-key: ann | @ip 2001:db8:1:2::1", "allowed"),
        (0, "GET /a | x-api-key: ann | @ip 2001:db8:1:2:ffff::9", "429 limit 1s"),
        (0, "GET /a | x-api-key: ann | @ip 2001:db8:1:3::1", "allowed"),
        // An IPv4 client behind a translator, and one with 6to4.
        (0, "GET /a | x-api-key: ann | @ip 64:ff9b::198.51.100.7", "allowed"),
        (0, "GET /a | x-api-key: ann | @ip 64:ff9b::198.51.100.8", "allowed"),
        (0, "GET /a | x-api-key: ann | @ip 198.51.100.7", "429 limit 1s"),
        (0, "GET /a | x-api-key: ann | @ip 2002:c633:6408:1::1", "429 limit 1s"),
        // The proxy does not say.
        (0, "GET /a | x-api-key: ann | @ip none", "allowed"),
        (0, "GET /a | x-api-key: bob | @ip none", "429 limit 1s"),
    ];
    play(
        &one("per: client_ip, requests: 1, window: 1s", "anonymous: deny"),
        &rows,
    );
}

#[test]
fn a_stranger_is_refused_before_anybody_is_asked() {
    let limit = "per: client_ip, requests: 2, window: 1s, before_auth: true";
    let rules = "- { name: r, authenticate: [account], rate_limit: [limit] }";
    let rows = [
        (0, "GET /a | authorization: x", "asks"),
        (0, "GET /a | authorization: y", "asks"),
        (0, "GET /a | authorization: z", "429 limit 1s"),
        (0, "GET /a | authorization: z | @ip 192.0.2.99", "asks"),
        (500, "GET /a | authorization: z", "asks"),
    ];
    play(&policy(limit, rules), &rows);
}

#[test]
fn one_request_is_one_however_far_it_comes() {
    let rules = "- { name: p, match: { hosts: [\"*\"], paths: [/p] }, authenticate: none, rate_limit: [limit] }\n\
                 - { name: r, authenticate: [partner], cors: { preflight: pass }, rate_limit: [limit] }";
    let rows = [
        (0, ANN, "allowed"),
        (0, "GET /p", "public"),
        (
            0,
            "OPTIONS /a | origin: https://a | access-control-request-method: GET",
            "preflight",
        ),
        (0, ANN, "429 limit 1s"),
    ];
    play(
        &policy("per: client_ip, requests: 3, window: 1s, before_auth: true", rules),
        &rows,
    );
}

#[test]
fn whoever_changes_plans_keeps_the_bucket() {
    let limit = "per: subject, requests: 1, window: 10s, burst: 2, \
                 override: [{ when: { claims: { plan: gold } }, requests: 10, burst: 20 }]";
    let mut rows = vec![(0, GOLD, "allowed"); 20];
    rows.extend([
        (0, GOLD, "429 limit 1s"),
        (0, ANN, "429 limit 10s"),
        (1_000, GOLD, "allowed"),
        (1_000, GOLD, "429 limit 1s"),
        (20_000, ANN, "allowed"),
        (20_000, ANN, "429 limit 1s"),
        // One free request costs as long as ten gold ones.
        (20_000, GOLD, "allowed"),
    ]);
    play(&one(limit, "anonymous: deny"), &rows);
}

#[test]
fn the_first_override_that_fits() {
    let limit = "per: subject, requests: 1, window: 1s, override: [{ when: { authenticators: [other] }, requests: 2 }, \
                 { when: { groups: { any_of: [ops] } }, requests: 3 }]";
    let rows = [
        (0, OTHER_ANN, "allowed"),
        (0, OTHER_ANN, "allowed"),
        (0, OTHER_ANN, "429 limit 1s"),
        (0, ANN, "allowed"),
        (0, ANN, "allowed"),
        (0, ANN, "allowed"),
        (0, ANN, "429 limit 1s"),
        (0, NOBODY, "anonymous"),
        (0, NOBODY, "429 limit 1s"),
    ];
    play(&one(limit, "anonymous: allow_missing"), &rows);
}

#[test]
fn all_have_room_or_none_is_taken_from() {
    let limit = "per: \"claim:tenant\", requests: 3, window: 1m";
    let rules = "- { name: both, match: { paths: [/both] }, authenticate: [partner], rate_limit: [limit, tight] }\n\
                 - { name: r, authenticate: [partner], rate_limit: [limit] }";
    let rows = [
        (0, "GET /both | x-api-key: ann", "allowed"),
        (0, "GET /both | x-api-key: ann", "429 tight 60s"),
        (0, "GET /both | x-api-key: ann", "429 tight 60s"),
        // The tenant's bucket is the same under both rules, and lost one.
        (0, BOB, "allowed"),
        (0, BOB, "allowed"),
        (0, BOB, "429 limit 20s"),
        (0, "GET /both | x-api-key: bob", "429 limit 20s"),
    ];
    play(&policy(limit, rules), &rows);
}

#[test]
fn who_may_not_spends_nothing() {
    let rules = "- { name: w, match: { methods: [PUT] }, authenticate: [partner], require: { groups: { any_of: [root] } }, rate_limit: [limit] }\n\
                 - { name: r, authenticate: [partner], rate_limit: [limit] }";
    let rows = [
        (0, "PUT /a | x-api-key: ann", "403"),
        (0, "PUT /a | x-api-key: ann", "403"),
        (0, "GET /a | x-api-key: bad", "401"),
        (0, ANN, "allowed"),
        (0, ANN, "429 limit 1s"),
    ];
    play(&policy("per: subject, requests: 1, window: 1s", rules), &rows);
}

#[test]
fn public_rules_and_preflights() {
    let public = "- { name: p, match: { hosts: [\"*\"], paths: [/p] }, authenticate: none, rate_limit: [limit] }\n\
                  - { name: r, authenticate: [partner], cors: { preflight: pass }, rate_limit: [tight, limit] }";
    let preflight = "OPTIONS /a | origin: https://a | access-control-request-method: GET";
    let rows = [
        (0, "GET /p", "public"),
        (0, preflight, "preflight"),
        (0, "GET /p", "429 limit 1s"),
        (0, preflight, "429 limit 1s"),
    ];
    play(&policy("per: client_ip, requests: 2, window: 1s", public), &rows);
    let rows = [
        (0, "GET /p", "public"),
        (0, "GET /p", "429 limit 1s"),
        (0, preflight, "preflight"),
    ];
    play(
        &policy("per: \"header:x-device\", requests: 1, window: 1s", public),
        &rows,
    );
}

#[test]
fn shadow_rules_say_what_they_would_have_done_and_spend_nothing() {
    let rules = "- { name: new, authenticate: [partner], mode: shadow, rate_limit: [tight, limit] }\n\
                 - { name: r, authenticate: [partner], rate_limit: [limit] }";
    let rows = [
        (0, ANN, "allowed new=allowed"),
        (0, ANN, "allowed new=rate_limited"),
        (0, BOB, "allowed new=allowed"),
        (0, ANN, "429 limit 1s new=rate_limited"),
        (60_000, ANN, "allowed new=allowed"),
    ];
    play(&policy("per: subject, requests: 2, window: 1s", rules), &rows);
}

#[test]
fn what_a_shadow_rule_refuses_anyway_spends_nothing() {
    let rules = "- { name: new, authenticate: [partner], mode: shadow, require: { groups: { any_of: [root] } }, rate_limit: [tight] }\n\
                 - { name: r, authenticate: [partner] }";
    let rows = [(0, ANN, "allowed new=forbidden"), (0, ANN, "allowed new=forbidden")];
    play(&policy("per: subject, requests: 2, window: 1s", rules), &rows);
}

#[test]
fn an_observer_counts_and_refuses_nobody() {
    let text = one("per: subject, requests: 1, window: 1s", "anonymous: deny")
        .replace("version: 1", "version: 1\nmode: observe");
    play(
        &text,
        &[(0, ANN, "allowed"), (0, ANN, "rate_limited"), (1_000, ANN, "allowed")],
    );
}

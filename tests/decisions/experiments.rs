//! Which variant a caller gets, and what upstream and client are told of it.
//!
//! A row is a request (see `text`), behind `=>` an answer of the service, behind `<` the upstream's response; it shows
//! the variants as the log has them, what is set for the upstream, what the client gets and what counts as an exposure.

use crate::script::BEGIN_S;
use crate::text::{read_answer, read_policy, read_request};
use meshgate::cache::{NoStore, Seed};
use meshgate::decide::{Around, Step, Used, on_request, told};
use meshgate::experiment::{self, Exposure, Kind};
use meshgate::header::Headers;
use meshgate::memory::Memory;
use meshgate::policy::Policy;
use meshgate::time::UnixTime;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

const POLICY: &str = r#"
version: 1
listener: { verified_peers: true }
authenticators:
  account:
    callout:
      protocol: ext_authz_http
      cluster: auth
      timeout: 1s
      credential: ["header:authorization"]
      principal: { subject: x-auth-user, groups: { header: x-auth-groups, split: "," }, claims: { tenant: x-auth-tenant } }
      on_failure: allow
experiments:
  all: { unit: [subject, "claim:tenant", "cookie:u", "header:x-device", client_ip], header: x-all, response_header: x-all, variants: [{ name: on }] }
  themed:
    unit: [subject]
    header: x-themed
    outside: plain
    variants: [{ name: blue, headers: { x-theme: blue, x-more: "1" } }]
    audience: { groups: { any_of: [beta] }, hosts: [shop.example.com], headers: [{ name: user-agent, contains: Mobile }] }
    force: { header: x-force, cookie: force, query: force, require: { groups: { any_of: [qa] } } }
  kept: { unit: [subject, "cookie:mg"], sticky: first_seen, header: x-kept, variants: [{ name: a, weight: 50% }, { name: b, weight: 50% }], remember: { cookie: mg, max_age: 90d } }
  again: { unit: [subject, "cookie:mg"], header: x-again, variants: [{ name: a }], remember: { cookie: mg, max_age: 90d } }
  cached: { unit: ["cookie:mg"], header: x-cached, variants: [{ name: a }], remember: { cookie: mg, max_age: 1d, on_cacheable: true } }
  nobody: { unit: ["header:x-device"], header: x-nobody, coverage: 0%, variants: [{ name: a }], outside: out }
  quiet: { unit: ["header:x-device", "cookie:q"], mode: shadow, header: x-quiet, variants: [{ name: a, headers: { x-q: "1" } }], outside: out, remember: { cookie: q, max_age: 1d } }
  routed: { unit: ["header:x-device"], bucket_header: x-bucket }
  left: { unit: ["header:x-device"], header: x-left, layer: { name: l, range: [0%, 50%] }, variants: [{ name: a }] }
  right: { unit: ["header:x-device"], header: x-right, layer: { name: l, range: [50%, 100%] }, variants: [{ name: a }] }
rules:
- { name: none, match: { paths: [/none] }, authenticate: [account], anonymous: allow_missing }
- { name: public, match: { hosts: [shop.example.com], paths: [/public] }, authenticate: none, experiments: [all] }
- { name: all, match: { paths: [/all] }, authenticate: [account], anonymous: allow_missing, cors: { preflight: pass }, experiments: [all] }
- { name: themed, match: { paths: [/themed] }, authenticate: [account], anonymous: allow_missing, experiments: [themed] }
- { name: kept, match: { paths: [/kept] }, authenticate: [account], anonymous: allow_missing, cors: { preflight: pass }, experiments: [kept, again] }
- { name: strict, match: { paths: [/strict] }, authenticate: [account], experiments: [kept, again] }
- { name: late, match: { paths: [/late] }, authenticate: [account], anonymous: allow_missing, experiments: [again], upstream: { timeout: 5s, deadline: { header: x-deadline, min: 50ms, from: anyone } } }
- { name: cached, match: { paths: [/cached] }, authenticate: [account], anonymous: allow_missing, experiments: [cached] }
- { name: devices, match: { paths: [/devices] }, authenticate: [account], anonymous: allow_missing, experiments: [nobody, quiet, routed, left, right] }"#;

/// A policy and what its worker remembers.
struct Gate {
    policy: Arc<Policy>,
    memory: Memory,
    now_s: u64,
}

impl Gate {
    fn new(policy: &str) -> Self {
        let policy = read_policy(policy);
        Self {
            memory: Memory::new(&policy, Seed(1, 2)),
            policy,
            now_s: BEGIN_S,
        }
    }

    fn step(&mut self, request: &str, answer: Option<&str>) -> Step {
        let (headers, peer) = read_request(request);
        let mut around = Around {
            connection: &peer,
            memory: &mut self.memory,
            signatures: &meshgate::authn::jwt::InRust,
            shared: &NoStore,
            now: UnixTime::from_secs(self.now_s),
        };
        match (on_request(&self.policy, headers, peer.ends, &mut around), answer) {
            (Step::Ask(ask), Some(answer)) => {
                let now_ms = around.now.as_ms();
                let heard = ask
                    .call
                    .on_answer(read_answer(answer), around.memory, around.shared, now_ms);
                ask.awaiting.on_heard(heard, Used::Asked, &mut around)
            }
            (step, _) => step,
        }
    }

    fn seen(&mut self, row: &str) -> String {
        let (row, response) = row.split_once(" < ").unwrap_or((row, ""));
        let (request, answer) = row.split_once(" => ").map_or((row, None), |(a, b)| (a, Some(b)));
        let response: Headers = response.split(" | ").filter_map(|pair| pair.split_once(": ")).collect();
        show(&self.step(request.trim(), answer), &response)
    }
}

/// The value of a cookie that was drawn.
const DRAWN: &str = "DRAWN";

fn show(step: &Step, response: &Headers) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut out = String::new();
    let mut drawn = None;
    match step {
        Step::Ask(_) => out += "asks",
        Step::Refuse(refuse) => {
            write!(out, "{}", refuse.record.outcome.word()).unwrap();
            for (_, value) in refuse.reply.headers.iter().filter(|(name, _)| name == b"set-cookie") {
                write!(out, "; cookie {}", text(value)).unwrap();
                drawn = text(value).split(['=', ';']).nth(1).map(str::to_owned);
            }
        }
        Step::Forward(forward) => {
            out += &experiment::told(&forward.record.variants);
            let ours = |name: &[u8]| name.starts_with(b"x-") || name == b"cookie";
            for (name, value) in forward.edits.sets().filter(|(name, _)| ours(name)) {
                write!(out, "; {}={}", text(name), text(value)).unwrap();
            }
            if let Some(variants) = &forward.on_response.variants {
                drawn = variants.cookies.first().map(|cookie| cookie.value.clone());
                let edits = variants.edits(response);
                for (name, value) in &edits.set {
                    write!(out, "; response {}={}", text(name), text(value)).unwrap();
                }
                for (name, value) in &edits.add {
                    assert_eq!(name, b"set-cookie");
                    write!(out, "; cookie {}", text(value)).unwrap();
                }
                variants.by_route.iter().for_each(|exposure| expose(&mut out, exposure));
            }
            forward.exposures.iter().for_each(|exposure| expose(&mut out, exposure));
        }
    }
    match drawn {
        Some(drawn) => out.replace(&drawn, DRAWN),
        None => out,
    }
}

fn expose(out: &mut String, exposure: &Exposure) {
    let variant = exposure.variant.as_deref().unwrap_or("by route");
    write!(out, "; exposes {}={variant}", exposure.experiment.name).unwrap();
}

#[track_caller]
fn check(row: &str, expected: &str) {
    assert_eq!(Gate::new(POLICY).seen(row), expected, "{row}");
}

const ANN: &str = "200 | x-auth-user: ann";

#[test]
fn the_first_unit_that_is_there_counts() {
    for (request, source) in [
        ("GET /all | authorization: a | cookie: u=1 | x-device: d", Some(0)),
        ("GET /all | cookie: u=1 | x-device: d", Some(2)),
        ("GET /all | cookie: u=1; u=1 | x-device: d", Some(2)),
        ("GET /all | cookie: u=1; u=2 | x-device: d", Some(3)),
        ("GET /all | cookie: u=; v=1 | x-device: d", Some(3)),
        ("GET /all | x-device: d | x-device: d", Some(3)),
        ("GET /all | x-device: d | x-device: e", Some(4)),
        ("GET /all | x-device: ", Some(4)),
        ("GET /all", Some(4)),
    ] {
        let Step::Forward(forward) = Gate::new(POLICY).step(request, Some(ANN)) else {
            panic!("refused: {request}");
        };
        let unit = forward.record.variants[0].unit.as_ref();
        assert_eq!(unit.map(|unit| unit.source), Some(source), "{request}");
    }
    let mut gate = Gate::new(POLICY);
    let Step::Forward(forward) = gate.step("GET /all | @ip ::ffff:1", None) else {
        panic!("refused");
    };
    assert_eq!(
        &*forward.record.variants[0].unit.as_ref().unwrap().value,
        b"::ffff:1".as_slice(),
        "bare"
    );
}

#[test]
fn every_way_on_but_a_preflight() {
    let vary = "response vary=Cookie, x-device";
    let on = |what: &str| format!("all=on; x-all=on; response x-all=on{what}; exposes all=on");
    check("GET /public | x-device: d", &on(&format!("; {vary}")));
    check("GET /all", &on(&format!("; {vary}")));
    check(&format!("GET /all | authorization: a => {ANN}"), &on(""));
    // `on_failure: allow`
    check("GET /all | authorization: a => timeout", &on(&format!("; {vary}")));
    check(
        "OPTIONS /all | origin: https://a | access-control-request-method: GET",
        "",
    );
    check("GET /none | x-device: d", "");
    check("GET /all | authorization: a => 403", "denied");
}

#[test]
fn an_audience_is_everything_it_names() {
    let mobile = "user-agent: a Mobile b";
    let beta = "200 | x-auth-user: ann | x-auth-groups: staff,beta";
    // What others see by the header, a cache must not give to everybody.
    let blue = "themed=blue; x-themed=blue; x-theme=blue; x-more=1; response vary=user-agent; exposes themed=blue";
    check(&format!("GET /themed | authorization: a | {mobile} => {beta}"), blue);
    let outside = "; x-themed=plain; response vary=user-agent";
    check(&format!("GET /themed | authorization: a | {mobile} => {ANN}"), outside);
    check(&format!("GET /themed | authorization: a => {beta}"), outside);
    check(
        &format!("GET /themed | authorization: a | :authority: b.example.com | {mobile} => {beta}"),
        outside,
    );
    check(&format!("GET /themed | {mobile}"), outside);
}

#[test]
fn who_may_force_a_variant_does() {
    let qa = "200 | x-auth-user: q | x-auth-groups: qa";
    // Nothing in the request tells a cache who may choose.
    let forced = "themed=blue:forced; x-themed=blue; x-theme=blue; x-more=1; response cache-control=private";
    let plain = "; x-themed=plain; response vary=user-agent";
    let by = |more: &str| format!("GET /themed | authorization: a | {more} => {qa}");
    check(&by("x-force: blue"), forced);
    check(&by("cookie: force=blue"), forced);
    check(&format!("GET /themed?force=blu%65 | authorization: a => {qa}"), forced);
    check(&by("x-force: blau | cookie: force=blue"), forced);
    check(
        &format!("GET /themed | authorization: a | x-force: blue => {qa} < cache-control: public, max-age=60"),
        forced,
    );
    check(
        &format!("GET /themed | authorization: a | x-force: blue => {qa} < cache-control: no-store"),
        forced.trim_end_matches("; response cache-control=private"),
    );
    check(&by("x-force: blau"), plain);
    check(&by("x-force: blue | x-force: plain"), plain);
    check(
        &format!("GET /themed | authorization: a | x-force: blue => {ANN}"),
        plain,
    );
    check("GET /themed | x-force: blue", plain);
}

const COOKIE: &str = "cookie mg=DRAWN; Path=/; Max-Age=7776000; Secure; HttpOnly; SameSite=Lax";

#[test]
fn who_has_no_unit_is_given_one() {
    let given = |upstream: &str, vary: &str| {
        // Which of the two is chance.
        let mut gate = Gate::new(POLICY);
        let seen = gate.seen(&format!("GET /kept{upstream}"));
        let variant = if seen.starts_with("kept=a") { "a" } else { "b" };
        let cookie = match upstream.split_once("cookie: ") {
            Some((_, cookie)) => format!("mg=DRAWN; {}", cookie.split(" < ").next().unwrap()),
            None => "mg=DRAWN".to_owned(),
        };
        assert_eq!(
            seen,
            format!(
                "kept={variant},again=a; cookie={cookie}; x-kept={variant}; x-again=a{vary}; {COOKIE}; exposes kept={variant}; exposes again=a"
            )
        );
    };
    let vary = "; response vary=Cookie";
    let private = "; response cache-control=private";
    given("", &format!("{vary}{private}"));
    given(" | cookie: a=1; b=2", &format!("{vary}{private}"));
    given(
        " < vary: Accept-Encoding, Origin",
        &format!("; response vary=Accept-Encoding, Origin, Cookie{private}"),
    );
    given(" < vary: accept, cookie", private);
    given(" < vary: *", private);
    given(" < cache-control: private, max-age=60", vary);
    given(
        " < cache-control: max-age=0",
        &format!("{vary}; response cache-control=max-age=0, private"),
    );
    given(
        " < cache-control: no-cache | etag: 1",
        &format!("{vary}; response cache-control=no-cache, private"),
    );
    given(" < expires: 0", &format!("{vary}{private}"));
    given(
        " < expires: Thu, 01 Dec 1994 16:00:00 GMT | date: Tue, 01 Dec 2026 00:00:00 GMT",
        &format!("{vary}{private}"),
    );
    given(
        " < expires: Fri, 01 Dec 2034 16:00:00 GMT | cache-control: no-store",
        vary,
    );
}

/// What is no unit to this gate is none to the next one, nor to the service.
#[test]
fn an_unreadable_cookie_makes_way() {
    for (cookie, others) in [("mg=", ""), ("mg=a; mg=b", ""), ("a=\"b; mg=; c=d\"", "; a=\"b; c=d\"")] {
        let seen = Gate::new(POLICY).seen(&format!("GET /kept | cookie: {cookie}"));
        assert!(
            seen.contains(&format!("; cookie=mg=DRAWN{others}; x-kept")),
            "{cookie}: {seen}"
        );
    }
    let long = "u".repeat(1025);
    let seen = Gate::new(POLICY).seen(&format!("GET /kept | cookie: mg={long}"));
    assert!(seen.contains("; cookie=mg=DRAWN; x-kept"), "{seen}");
    let seen = Gate::new(POLICY).seen(&format!("GET /kept | cookie: mg={}", "u".repeat(1024)));
    assert!(!seen.contains("DRAWN"), "{seen}");
}

#[test]
fn no_cookie_where_a_shared_cache_may_keep_it() {
    for cacheable in [
        "cache-control: public",
        "cache-control: max-age=60",
        "cache-control: no-cache | cache-control: Max-Age = 60",
        "cache-control: s-maxage=1, max-age=0",
        "cache-control: max-age=soon",
        "cache-control: private=\"x-a\", max-age=60",
        "expires: Fri, 01 Dec 2034 16:00:00 GMT",
        "expires: Sunday, 06-Nov-33 08:49:37 GMT",
        "cache-control: max-age=0, stale-while-revalidate=600",
        "cache-control: s-maxage=0, stale-if-error=600",
        "cache-control: public, max-age=60, x=\"a, private, b\"",
        "cache-control: private | cdn-cache-control: max-age=600",
        "cache-control: no-store | surrogate-control: max-age=600",
        "x-accel-expires: 600",
        ":status: 304",
    ] {
        let seen = Gate::new(POLICY).seen(&format!("GET /kept < {cacheable}"));
        assert!(!seen.contains("; cookie mg"), "{cacheable}: {seen}");
        assert!(seen.contains("; response vary=Cookie"), "{cacheable}: {seen}");
        let seen = Gate::new(POLICY).seen(&format!("GET /cached < {cacheable}"));
        assert!(seen.contains("; cookie mg=DRAWN"), "asked for: {cacheable}: {seen}");
    }
}

#[test]
fn a_known_unit_needs_no_cookie() {
    let known = |row: &str, text: &str| {
        let seen = Gate::new(POLICY).seen(row);
        assert!(!seen.contains("; cookie"), "{row}: {seen}");
        assert_eq!(seen.contains("vary=Cookie"), text.contains("vary"), "{row}: {seen}");
    };
    known("GET /kept | cookie: mg=1", "vary");
    // The cookie was looked for first, and one that is there would have counted.
    known(&format!("GET /kept | authorization: a => {ANN}"), "vary");
}

/// `sticky: first_seen` keeps the cookie's unit after login; without it the login counts.
#[test]
fn a_login_keeps_what_the_cookie_said() {
    let mut gate = Gate::new(POLICY);
    let mut units = |request: &str| {
        let Step::Forward(forward) = gate.step(request, Some(ANN)) else {
            panic!("refused");
        };
        let all = forward.record.variants.iter();
        let units = all.map(|assigned| String::from_utf8(assigned.unit.as_ref().unwrap().value.to_vec()).unwrap());
        units.collect::<Vec<_>>()
    };
    assert_eq!(units("GET /kept | cookie: mg=seen"), ["seen", "seen"]);
    assert_eq!(units("GET /kept | cookie: mg=seen | authorization: a"), ["seen", "ann"]);
    assert_eq!(units("GET /kept | authorization: a"), ["ann", "ann"]);
}

#[test]
fn a_refusal_gives_it_too() {
    check("GET /strict", &format!("unauthenticated; {COOKIE}"));
    check("GET /strict | authorization: a => 401", &format!("denied; {COOKIE}"));
    check("GET /strict | cookie: mg=1", "unauthenticated");
    check("GET /late | x-deadline: 1000", &format!("deadline_exceeded; {COOKIE}"));
    check("GET /elsewhere", "no_rule");
    check(
        "OPTIONS /strict | origin: https://a | access-control-request-method: GET",
        "forbidden",
    );
}

#[test]
fn no_unit_is_drawn_twice() {
    let mut gate = Gate::new(POLICY);
    let mut drawn = BTreeSet::new();
    for _ in 0..1000 {
        let Step::Forward(forward) = gate.step("GET /kept", None) else {
            panic!("refused");
        };
        let cookie = &forward.on_response.variants.as_ref().unwrap().cookies[0];
        assert_eq!(cookie.value.len(), 22, "128 bits of base64url");
        assert!(drawn.insert(cookie.value.clone()));
    }
    let other = Memory::new(&gate.policy, Seed(1, 3)).draw_unit();
    assert!(drawn.insert(other), "of another VM");
}

#[test]
fn devices() {
    let seen = Gate::new(POLICY).seen("GET /devices | x-device: d");
    // GrowthBook's hash puts it on one side of the layer.
    let side = if seen.contains("left=a") { "left" } else { "right" };
    let bucket = seen
        .split("x-bucket=")
        .nth(1)
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    assert!(bucket.parse::<u32>().unwrap() < 10_000);
    assert_eq!(
        seen,
        format!(
            "quiet=a:shadow,routed={bucket},{side}=a; x-bucket={bucket}; x-nobody=out; x-{side}=a; response vary=x-device; exposes routed=by route; exposes quiet=a; exposes {side}=a"
        )
    );
    check("GET /devices", "; x-nobody=out; response vary=x-device");
}

#[test]
fn both_sides_of_a_layer_never_meet() {
    let mut gate = Gate::new(POLICY);
    let mut sides = [0, 0];
    for n in 0..2000 {
        let seen = gate.seen(&format!("GET /devices | x-device: device-{n}"));
        let (left, right) = (seen.contains("x-left=a"), seen.contains("x-right=a"));
        assert!(left != right, "{seen}");
        sides[usize::from(left)] += 1;
    }
    assert!(sides.iter().all(|side| (900..1100).contains(side)), "{sides:?}");
}

/// The variant is the SDK's, for every unit.
#[test]
fn as_the_arithmetic_says() {
    let mut gate = Gate::new(POLICY);
    let kept = gate
        .policy
        .experiments
        .iter()
        .find(|e| &*e.name == "kept")
        .unwrap()
        .clone();
    let Kind::Variants(variants) = &kept.kind else {
        panic!("variants");
    };
    for n in 0..1000 {
        let unit = format!("unit-{n}");
        let bucket = variants.assign(&kept.seed, unit.as_bytes(), UnixTime::from_secs(BEGIN_S));
        let name = ["a", "b"][bucket.variant.unwrap()];
        let seen = gate.seen(&format!("GET /kept | cookie: mg={unit}"));
        assert!(
            seen.starts_with(&format!("kept={name},again=a; x-kept={name}; ")),
            "{seen}"
        );
    }
}

#[test]
fn an_exposure_is_told_once_in_its_window() {
    let mut gate = Gate::new(POLICY);
    let mut exposed = |now: u64, device: &str| {
        gate.now_s = now;
        gate.seen(&format!("GET /public | x-device: {device}"))
            .contains("exposes all")
    };
    let begin = BEGIN_S;
    assert!(exposed(begin, "a") && exposed(begin, "b"));
    assert!(!exposed(begin, "a") && !exposed(begin + 3599, "a"));
    assert!(exposed(begin + 3600, "a") && !exposed(begin + 3601, "a"));
    assert!(exposed(begin - 10_000, "b"), "the clock was set back");
    assert!(!exposed(begin - 10_000, "b"));
}

#[test]
fn what_did_not_reach_the_upstream_is_no_exposure() {
    let mut gate = Gate::new(POLICY);
    let late = "GET /late | cookie: mg=1";
    assert_eq!(gate.seen(&format!("{late} | x-deadline: 1000")), "deadline_exceeded");
    assert!(gate.seen(late).contains("exposes again=a"), "it was not told before");
    assert!(!gate.seen(late).contains("exposes"));
}

#[test]
fn a_policy_that_observes_sets_and_tells_nothing() {
    let policy = POLICY.replace("version: 1", "version: 1\nmode: observe");
    let mut gate = Gate::new(&policy);
    assert_eq!(gate.seen("GET /public | x-device: d"), "all=on");
    assert!(["kept=a,again=a", "kept=b,again=a"].contains(&&*gate.seen("GET /kept")));
    assert_eq!(gate.seen("GET /strict"), "");
}

#[test]
fn who_may_is_told() {
    let policy = POLICY.replace(
        "version: 1",
        "version: 1\ndebug: { header: x-explain, require: { groups: { any_of: [qa] } } }",
    );
    let mut gate = Gate::new(&policy);
    let qa = Some("200 | x-auth-user: q | x-auth-groups: qa");
    let step = gate.step("GET /themed | authorization: a | x-force: blue", qa);
    let (_, value) = told(&gate.policy, step.record().unwrap()).expect("told");
    assert_eq!(
        String::from_utf8_lossy(&value),
        "rule=themed; outcome=allowed; authenticator=account; answer=asked; variants=themed=blue:forced"
    );
}

/// Who writes another's name into a cookie is not that caller.
#[test]
fn a_cookie_tells_nobody_elses_exposure() {
    let mut gate = Gate::new(POLICY);
    let forged = gate.seen("GET /kept | cookie: mg=ann");
    assert!(forged.contains("exposes again="), "{forged}");
    let known = gate.seen(&format!("GET /kept | authorization: a => {ANN}"));
    assert!(known.contains("exposes again="), "{known}");
    let again = gate.seen(&format!("GET /kept | authorization: a => {ANN}"));
    assert!(!again.contains("exposes"), "{again}");
}

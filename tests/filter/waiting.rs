//! Many requests that would ask the same wait for one answer.

use crate::gate::*;
use crate::host::{Host, Stream};
use std::time::Duration;

/// `POLICY`, where `account` remembers; `more` goes into its `cache`.
fn remembering(more: &str) -> String {
    let before = r#""on_deny": { "headers": "all" },"#;
    assert_eq!(POLICY.matches(before).count(), 1);
    let cache = format!(r#"{before} "cache": {{ "ttl": "30s", "ignore": ["path"] {more} }},"#);
    POLICY.replace(before, &cache)
}

fn gate_that_remembers(more: &str) -> Host {
    serving(&remembering(more), options())
}

fn crowd(host: &Host, n: usize) -> Vec<Stream> {
    (0..n).map(|_| known(host, "/gate/a")).collect()
}

fn count(streams: &[Stream], what: impl Fn(&Stream) -> bool) -> usize {
    streams.iter().filter(|stream| what(stream)).count()
}

fn went_on(streams: &[Stream]) -> usize {
    count(streams, |stream| stream.upstream().is_some())
}

fn waiting(host: &Host) -> u64 {
    host.tick();
    host.metric("meshgate_waiting.authenticator=account").unwrap_or(0)
}

fn answers(host: &Host, from: &str) -> u64 {
    let name = format!("meshgate_answers_total.authenticator=account.from={from}");
    host.metric(&name).unwrap_or(0)
}

const MS: Duration = Duration::from_millis(1);

#[test]
fn fifty_at_once_are_one_call() {
    let host = gate_that_remembers("");
    let streams = crowd(&host, 50);
    assert_eq!(waiting(&host), 49);
    answer(&host, YES);
    assert_eq!(went_on(&streams), 50);
    assert!(streams.iter().all(|stream| told(stream, "x-user-id").unwrap() == "u7"));
    assert!(streams.iter().all(|stream| told(stream, "authorization").is_none()));
    assert_eq!((answers(&host, "asked"), answers(&host, "joined")), (1, 49));
    assert_eq!(
        host.metric("meshgate_callouts_total.authenticator=account.result=allowed"),
        Some(1)
    );
    assert_eq!(waiting(&host), 0);
    let later = known(&host, "/gate/b");
    assert!(host.callouts().is_empty());
    assert_eq!(told(&later, "x-user-id").unwrap(), "u7");
    assert_eq!(answers(&host, "remembered"), 1);
}

/// Another credential, and a request that is nobody else's business, wait for nothing.
#[test]
fn who_asks_something_else_asks() {
    let host = gate_that_remembers("");
    known(&host, "/gate/a");
    host.request(&headers("/gate/a", &[("authorization", "Bearer other")]));
    host.request(&headers("/gate/a", &[CREDENTIAL, (":method", "POST")][..1]));
    assert_eq!(host.callouts().len(), 2);
}

#[test]
fn the_first_leaves_and_the_others_are_served() {
    let host = gate_that_remembers("");
    let streams = crowd(&host, 10);
    streams[0].done();
    streams[5].done();
    assert!(host.cancelled().is_empty(), "the call is nobody's that can leave");
    assert_eq!(waiting(&host), 8);
    answer(&host, YES);
    assert_eq!(went_on(&streams), 8);
    assert_eq!(waiting(&host), 0);
}

#[test]
fn all_leave_and_the_answer_is_remembered() {
    let host = gate_that_remembers("");
    let streams = crowd(&host, 10);
    streams.iter().for_each(Stream::done);
    answer(&host, YES);
    assert!(known(&host, "/gate/a").upstream().is_some());
    assert!(host.callouts().is_empty());
}

/// What is one request's alone answers no other: each asks for itself, and hears what it is told.
#[test]
fn a_reply_that_may_not_be_remembered_releases_only_its_own() {
    let host = gate_that_remembers("");
    let streams = crowd(&host, 10);
    let reply = |n: usize| {
        let subject = format!("u{n}");
        let reply = [(":status", "200"), ("x-auth-user", &subject), ("set-cookie", "s=1")];
        let token = host.callouts()[0].token;
        host.answer(token, &reply, "");
    };
    reply(0);
    assert_eq!(went_on(&streams), 1);
    assert_eq!(host.callouts().len(), 9);
    assert!(
        host.callouts()
            .iter()
            .all(|call| call.headers.get("authorization").is_some())
    );
    (1..10).for_each(reply);
    let subjects: Vec<_> = streams
        .iter()
        .map(|stream| told(stream, "x-user-id").unwrap())
        .collect();
    assert_eq!(subjects, (0..10).map(|n| format!("u{n}")).collect::<Vec<_>>());
    assert_eq!((answers(&host, "asked"), waiting(&host)), (10, 0));
}

/// An outage is the same for all; an error of the service is its own request's.
#[test]
fn failures_that_are_shared_and_that_are_not() {
    let host = gate_that_remembers("");
    let streams = crowd(&host, 10);
    host.answer_refused(host.callout().token);
    assert_eq!(count(&streams, |stream| status(stream) == Some(503)), 10);
    assert!(host.callouts().is_empty());

    let streams = crowd(&host, 10);
    answer(&host, &[(":status", "500"), ("server", "x")]);
    assert_eq!(count(&streams, |stream| status(stream) == Some(503)), 1);
    assert_eq!(host.callouts().len(), 9);
}

/// The host takes no call while those who waited ask for themselves: each is refused, nobody hangs.
#[test]
fn who_cannot_ask_for_itself_is_refused() {
    let host = gate_that_remembers("");
    let streams = crowd(&host, 5);
    let token = host.callout().token;
    host.set_cluster("auth", crate::host::Cluster::NoHealthyHost);
    host.answer(token, &[(":status", "500"), ("server", "x")], "");
    assert_eq!(count(&streams, |stream| status(stream) == Some(503)), 5);
    assert_eq!(waiting(&host), 0);
}

/// A question that never went out leads nobody.
#[test]
fn after_a_question_that_could_not_be_sent_the_next_is_tried() {
    let host = gate_that_remembers("");
    host.set_cluster("auth", crate::host::Cluster::NoHealthyHost);
    assert_eq!(status(&known(&host, "/gate/a")), Some(503));
    host.set_cluster("auth", crate::host::Cluster::Healthy);
    let stream = known(&host, "/gate/a");
    answer(&host, YES);
    assert!(stream.upstream().is_some());
}

#[test]
fn each_by_its_own_rule_and_each_with_a_line_of_its_own() {
    let host = gate_that_remembers("");
    let (gate, staff, maybe) = (
        known(&host, "/gate/a"),
        known(&host, "/gate/staff"),
        known(&host, "/maybe/a"),
    );
    answer(&host, YES);
    assert!(gate.upstream().is_some() && maybe.upstream().is_some());
    assert_eq!(status(&staff), Some(403), "not of the group");
    let told: Vec<_> = decisions(&host)
        .iter()
        .map(|line| format!("{} {} {}", line["rule"], line["outcome"], line["answer"]).replace('"', ""))
        .collect();
    assert_eq!(
        told,
        ["gate allowed asked", "staff forbidden joined", "maybe allowed joined"]
    );
}

/// The call's answer never comes, and Envoy says nothing of it.
#[test]
fn each_has_its_own_deadline() {
    let host = gate_that_remembers("");
    let begin = options().now;
    let at = |ms: u32| {
        host.set_time(begin + ms * MS);
        host.tick();
    };
    let first = known(&host, "/gate/a");
    at(300);
    let second = known(&host, "/gate/a");
    at(600);
    let third = known(&host, "/gate/a");
    let waits = || [first, second, third].map(|stream| stream.is_paused());
    for (ms, expected) in [
        (999, [true; 3]),
        (1000, [false, true, true]),
        (1299, [false, true, true]),
        (1300, [false, false, true]),
        (1600, [false; 3]),
    ] {
        at(ms);
        assert_eq!(waits(), expected, "after {ms} ms");
    }
    assert_eq!([first, second, third].map(|stream| status(&stream)), [Some(503); 3]);
    assert_eq!(waiting(&host), 0);
    // Nobody waits for that call any more.
    let calls = host.callouts().len();
    let later = known(&host, "/gate/a");
    assert_eq!(host.callouts().len(), calls + 1, "the next asks anew");
    host.answer(host.callouts()[calls].token, YES, "");
    assert!(later.upstream().is_some());
}

/// How long a body takes to come is no time of the service's.
#[test]
fn a_slow_upload_leaves_the_service_its_time() {
    let host = gate_with_flag();
    let begin = options().now;
    let stream = upload(&host, "/taste/a");
    stream.body("ab", false);
    for ms in (100..=3000).step_by(100) {
        host.set_time(begin + ms * MS);
        host.tick();
    }
    stream.body("c", true);
    host.advance(400 * MS);
    host.tick();
    assert!(stream.is_paused(), "{:?}", status(&stream));
    answer(&host, YES);
    assert!(stream.upstream().is_some());
}

#[test]
fn a_crowd_is_released_over_ticks() {
    let host = gate_that_remembers(r#", "max_waiting": 10000"#);
    let streams = crowd(&host, 1000);
    assert_eq!(host.tick_period(), 100 * MS);
    answer(&host, YES);
    let steps: Vec<_> = (0..5)
        .map(|_| {
            let step = (went_on(&streams), host.tick_period().as_millis());
            host.tick();
            step
        })
        .collect();
    assert_eq!(steps, [(257, 1), (513, 1), (769, 1), (1000, 100), (1000, 100)]);
    assert!(host.callouts().is_empty());
    assert_eq!(answers(&host, "joined"), 999);
}

/// Those whose turn has not come yet: one leaves, one comes new, and their deadline passes.
#[test]
fn between_two_ticks_of_a_release() {
    let host = gate_that_remembers(r#", "max_waiting": 10000"#);
    let streams = crowd(&host, 600);
    answer(&host, YES);
    streams[599].done();
    let fresh = known(&host, "/gate/a");
    assert!(fresh.upstream().is_some(), "the answer is remembered by then");
    host.set_time(options().now + 5000 * MS);
    while host.tick_period() < 100 * MS {
        host.tick();
    }
    assert_eq!(went_on(&streams), 599);
    assert_eq!(count(&streams, |stream| status(stream).is_some()), 0);
    assert_eq!(
        (answers(&host, "joined"), answers(&host, "stale"), waiting(&host)),
        (598, 0, 0)
    );
}

/// Asking for themselves is bounded in the same way.
#[test]
fn a_crowd_that_has_to_ask_does_so_over_ticks() {
    let host = gate_that_remembers(r#", "max_waiting": 10000"#);
    let _streams = crowd(&host, 600);
    answer(
        &host,
        &[(":status", "200"), ("x-auth-user", "u"), ("cache-control", "no-store")],
    );
    let steps: Vec<_> = (0..3)
        .map(|_| {
            let step = host.callouts().len();
            host.tick();
            step
        })
        .collect();
    assert_eq!(steps, [256, 512, 599]);
}

#[test]
fn more_than_may_wait_ask_or_are_refused() {
    let host = gate_that_remembers(r#", "max_waiting": 3"#);
    let streams = crowd(&host, 6);
    assert_eq!(host.callouts().len(), 3, "the first, and two for whom there is no room");
    assert_eq!(waiting(&host), 3);
    // Whichever answer comes first serves those who wait.
    let last = host.callouts()[2].token;
    host.answer(last, YES, "");
    assert_eq!(went_on(&streams), 4);
    for call in host.callouts() {
        host.answer(call.token, YES, "");
    }
    assert_eq!(went_on(&streams), 6);

    let host = gate_that_remembers(r#", "max_waiting": 3, "when_full": "refuse""#);
    let streams = crowd(&host, 6);
    assert_eq!(host.callouts().len(), 1);
    assert_eq!(count(&streams, |stream| status(stream) == Some(503)), 2);
    let reply = streams[5].reply().unwrap();
    assert!(reply.headers.get("retry-after").is_some(), "{:?}", reply.headers);
    assert_eq!(
        host.metric("meshgate_callouts_total.authenticator=account.result=too_many_waiting"),
        Some(2)
    );
    streams[1].done();
    let next = known(&host, "/gate/a");
    answer(&host, YES);
    assert_eq!((went_on(&streams), next.upstream().is_some()), (3, true));
}

#[test]
fn nobody_may_wait() {
    let host = gate_that_remembers(r#", "max_waiting": 0"#);
    crowd(&host, 3);
    assert_eq!(host.callouts().len(), 3);
}

/// A question goes out in the root's own callback, which Envoy's tick enters as well: neither does the
/// other's work.
#[test]
fn a_question_is_no_tick_and_a_tick_no_question() {
    let host = gate_that_remembers("");
    let old = known(&host, "/gate/a");
    host.set_time(options().now + 2000 * MS);
    let other = host.request(&headers("/gate/a", &[("authorization", "Bearer other")]));
    assert!(old.is_paused(), "its time is up, and no tick came");
    assert_eq!((host.callouts().len(), host.count("http_call auth")), (2, 2));
    host.tick();
    assert_eq!(host.count("http_call auth"), 2);
    assert_eq!((status(&old), other.is_paused()), (Some(503), true));
}

/// The old policy's requests wait on for the old policy's answer.
#[test]
fn a_policy_replaced_while_they_wait() {
    let mut host = gate_that_remembers("");
    let streams = crowd(&host, 300);
    let call = host.callout();
    assert!(host.configure(remembering("").replace("\"r1\"", "\"r2\"")));
    let fresh = known(&host, "/gate/a");
    assert_eq!(
        host.callouts().len(),
        2,
        "the new one remembers nothing, and waits for nothing, of the old"
    );
    host.answer(call.token, YES, "");
    host.tick();
    assert_eq!((went_on(&streams), fresh.is_paused()), (300, true));
    answer(&host, YES);
    assert!(fresh.upstream().is_some());
    streams.iter().for_each(Stream::done);
    assert_eq!(host.tick(), 1, "the old root went with its last request");
}

/// The request goes on at once, and one question goes out beside it.
#[test]
fn one_question_beside() {
    let host = gate_that_remembers(r#", "stale_while_revalidate": "10s""#);
    known(&host, "/gate/a");
    answer(&host, YES);
    host.advance(30_000 * MS);
    let streams = crowd(&host, 5);
    assert_eq!((went_on(&streams), host.callouts().len()), (5, 1));
    // Its request is long gone when the answer comes.
    streams.iter().for_each(Stream::done);
    answer(&host, &[(":status", "200"), ("x-auth-user", "u8")]);
    let later = known(&host, "/gate/a");
    assert_eq!(told(&later, "x-user-id").unwrap(), "u8");
    assert_eq!(answers(&host, "revalidated"), 5);
}

/// What a client forged under an identity header stays out on each of these ways.
#[test]
fn nothing_forged_passes_by_waiting() {
    let host = gate_that_remembers("");
    let forged = [
        CREDENTIAL,
        ("x-user-id", "mark"),
        ("x-user-groups", "mark"),
        ("x-internal-a", "mark"),
    ];
    let streams: Vec<_> = (0..3).map(|_| host.request(&headers("/gate/a", &forged))).collect();
    answer(&host, &[(":status", "200"), ("x-auth-user", "u7")]);
    let late = host.request(&headers("/gate/a", &forged));
    for stream in streams.iter().chain([&late]) {
        assert_unforged(&stream.upstream().unwrap(), "mark");
        assert_eq!(told(stream, "x-user-id").unwrap(), "u7");
    }
}

/// Who keeps its body back is not sent out to see whether the service is there, and keeps nobody from it.
#[test]
fn a_probe_is_one_that_goes_out() {
    let before = r#""principal": { "subject": "x-auth-user" },
        "send": {
          "body""#;
    assert_eq!(POLICY.matches(before).count(), 1);
    let breaker = format!(r#""breaker": {{ "failures": 3, "open_for": "5s" }}, {before}"#);
    let begin = options().now;
    let options = crate::host::HostOptions {
        allow_on_headers_stop_iteration: true,
        ..options()
    };
    let host = serving(&POLICY.replace(before, &breaker), options);
    for n in 0..3 {
        let path = format!("/taste/{n}");
        let credential = format!("Bearer {n}");
        let stream = host.request_with_body(&headers(&path, &[("authorization", &credential)]));
        stream.body("a", true);
        host.answer_timed_out(host.callout().token);
    }
    assert_eq!(status(&upload(&host, "/taste/a")), Some(503), "open");
    host.set_time(begin + 5000 * MS);
    let silent = upload(&host, "/taste/silent");
    assert!(silent.is_paused());
    let probe = upload(&host, "/taste/probe").body("a", true);
    assert_eq!((host.callouts().len(), probe.is_paused()), (1, true));
    silent.body("late", true);
    assert_eq!(
        (status(&silent), host.callouts().len()),
        (Some(503), 1),
        "one at a time"
    );
    answer(&host, YES);
    assert!(probe.upstream().is_some());
    let next = upload(&host, "/taste/next").body("a", true);
    answer(&host, YES);
    assert!(next.upstream().is_some());
}

/// Until the upstream has ended the session, the service says yes to whoever asks: nothing of that stays.
#[test]
fn a_logout_forgets_what_was_said_until_its_end() {
    let before = r#"{ "name": "closed","#;
    let logout = r#"{ "name": "logout", "match": { "paths": ["/logout"] }, "authenticate": ["account"], "forget": "credential" },"#;
    let policy = remembering("").replace(before, &format!("{logout} {before}"));
    for leaves in [false, true] {
        let host = serving(&policy, options());
        let logout = known(&host, "/logout");
        answer(&host, YES);
        assert!(logout.upstream().is_some());
        // The upstream thinks; meanwhile somebody asks and is remembered.
        host.set_time(options().now + 10 * MS);
        known(&host, "/gate/a");
        answer(&host, YES);
        assert!(known(&host, "/gate/a").upstream().is_some());
        let asks = known(&host, "/gate/a");
        assert!(asks.upstream().is_some(), "remembered by then");
        match leaves {
            false => drop(logout.response_headers(&[(":status", "204")])),
            true => logout.done(),
        }
        assert!(known(&host, "/gate/a").is_paused(), "asked anew; leaves: {leaves}");
        assert_eq!(host.callouts().len(), 1);
    }
}

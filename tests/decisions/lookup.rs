//! The index finds what a linear scan finds, and 10,000 rules cost what ten do.

use crate::properties::for_all;
use crate::text::{Pairs, Peer};
use meshgate::header::{HeaderName, Headers};
use meshgate::policy::{Action, Mode, Policy, Rule, RuleMode};
use meshgate::request::{Connection, Request};
use meshgate::rule::{Cidr, HostPattern, Match, PathPattern, RuleIndex, ValueMatch, find, unreachable};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

const HOSTS: &[&str] = &[
    "*",
    "a.com",
    "b.a.com",
    "*.a.com",
    "*.b.a.com",
    "*.com",
    "10.0.0.1",
    "[::1]",
];
const PATHS: &[&str] = &[
    "/**", "/", "/a", "/a/", "/a/**", "/a/b", "/a/*", "/*/b", "/{x}/**", "/{x}/b", "/a*/**", "/*b", "/a/b/**", "/*/*",
    "/b/{y}", "/a*b/c", "/*/b/**",
];
const METHODS: &[&str] = &["GET", "PUT", "CONNECT", "OPTIONS"];

fn some<T: Clone + std::fmt::Debug + 'static>(
    texts: &'static [&'static str],
    most: usize,
    parse: fn(&str) -> T,
) -> impl Strategy<Value = Vec<T>> {
    subsequence(texts.to_vec(), 0..=most).prop_map(move |texts| texts.into_iter().map(parse).collect())
}

fn plain_match() -> impl Strategy<Value = Match> {
    let hosts = some(HOSTS, 2, |text| HostPattern::parse(text).expect("a host"));
    let paths = some(PATHS, 3, |text| PathPattern::parse(text).expect("a path"));
    let methods = prop_oneof![2 => Just(Vec::new()), 1 => some(METHODS, 2, str::to_owned)];
    let headers = option::weighted(
        0.2,
        select(vec![
            ValueMatch::Exact("1".into()),
            ValueMatch::Present(false),
            ValueMatch::Prefix("1".into()),
        ]),
    );
    let ips = option::weighted(0.2, select(vec!["10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0"]));
    (hosts, paths, methods, headers, ips).prop_map(|(hosts, paths, methods, header, ip)| Match {
        hosts,
        paths,
        methods,
        headers: header
            .into_iter()
            .map(|value| (HeaderName::parse("x-h").expect("a name"), value))
            .collect(),
        client_ip: ip.into_iter().map(|ip| Cidr::parse(ip).expect("a range")).collect(),
        ..Match::default()
    })
}

fn matchers() -> impl Strategy<Value = Vec<(Match, RuleMode)>> {
    let not = option::weighted(0.25, plain_match().prop_filter("empty", |not| *not != Match::default()));
    let one = (plain_match(), not).prop_map(|(matcher, not)| Match {
        not: not.map(Box::new),
        ..matcher
    });
    vec(
        (
            one,
            select(vec![
                RuleMode::Enforce,
                RuleMode::Enforce,
                RuleMode::Enforce,
                RuleMode::Shadow,
            ]),
        ),
        1..12,
    )
}

fn request() -> impl Strategy<Value = (Pairs, Option<&'static str>)> {
    let host = select(vec![
        "a.com",
        "b.a.com",
        "c.b.a.com",
        "com",
        "x",
        "10.0.0.1",
        "[::1]",
        "A.com.:80",
    ]);
    let path = prop_oneof![1 => Just(String::new()), 9 => vec(select(vec!["", "a", "b", "c", "ab", "aab", "%61"]), 1..4).prop_map(|segments| format!("/{}", segments.join("/")))];
    let header = option::of(select(vec!["1", "12", "2"]));
    let preflight = option::weighted(0.2, select(METHODS));
    let ip = option::of(select(vec!["10.0.0.1", "10.1.2.3", "11.0.0.1"]));
    (select(METHODS), host, path, header, preflight, ip).prop_map(|(method, host, path, header, preflight, ip)| {
        let mut pairs = vec![(":method", method), (":authority", host)];
        match path.as_str() {
            "" => pairs = vec![(":method", "CONNECT"), (":authority", host)],
            path => pairs.push((":path", path)),
        }
        pairs.extend(header.map(|value| ("x-h", value)));
        pairs.extend(
            preflight
                .into_iter()
                .flat_map(|asked| [("origin", "o"), ("access-control-request-method", asked)]),
        );
        (
            pairs
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            ip,
        )
    })
}

fn policy(matchers: Vec<(Match, RuleMode)>) -> Policy {
    let rules: Vec<Arc<Rule>> = matchers
        .into_iter()
        .enumerate()
        .map(|(position, (matcher, mode))| {
            Arc::new(Rule {
                name: format!("r{position}").into(),
                position,
                matcher,
                paths_raw: Default::default(),
                mode,
                rate_limits: Vec::new(),
                action: Action::Refuse(404),
                strip_credentials: Arc::new([]),
                experiments: Default::default(),
                upstream: None,
            })
        })
        .collect();
    Policy {
        revision: "".into(),
        mode: Mode::Enforce,
        log: Default::default(),
        index: RuleIndex::build(rules.iter().map(|rule| &rule.matcher)),
        rules,
        strip: Default::default(),
        authenticators: vec![],
        identity: Default::default(),
        identity_headers: Default::default(),
        assertion: None,
        debug: None,
        experiments: vec![],
    }
}

fn read((pairs, ip): &(Pairs, Option<&'static str>)) -> Option<(Request, Peer)> {
    let headers: Headers = pairs.iter().map(|(name, value)| (name, value)).collect();
    let peer = Peer {
        ip: ip.and_then(|ip| ip.parse().ok()),
        ..Peer::default()
    };
    Some((Request::parse(Arc::new(headers)).ok()?, peer))
}

/// As the contract says it, one rule after the other.
fn scan(policy: &Policy, request: &Request, peer: &Peer) -> (Option<usize>, Vec<usize>) {
    let mut shadows = Vec::new();
    for rule in &policy.rules {
        let matcher = &rule.matcher;
        // CONNECT names no path: a rule has to list it, and asks for no path.
        let pathless = request.path.is_some()
            || (matcher.methods.iter().any(|method| method == "CONNECT")
                && (matcher.paths.is_empty()
                    || matcher.paths.iter().any(|path| path.tail && path.segments.is_empty())));
        let paths = request.path.is_none() || path_fits(matcher, request);
        if !(pathless && paths && fits(matcher, request, peer)) {
            continue;
        }
        let kept_away = matcher.not.as_ref().is_some_and(|not| {
            (not.paths.is_empty() || request.path.is_some()) && path_fits(not, request) && fits(not, request, peer)
        });
        match (kept_away, rule.mode) {
            (true, _) => {}
            (false, RuleMode::Shadow) => shadows.push(rule.position),
            (false, RuleMode::Enforce) => return (Some(rule.position), shadows),
        }
    }
    (None, shadows)
}

fn path_fits(matcher: &Match, request: &Request) -> bool {
    matcher.paths.is_empty()
        || request
            .path
            .as_ref()
            .is_some_and(|path| matcher.paths.iter().any(|pattern| pattern.matches(path)))
}

fn fits(matcher: &Match, request: &Request, peer: &Peer) -> bool {
    (matcher.hosts.is_empty() || matcher.hosts.iter().any(|host| host.matches(request.host.name())))
        && (matcher.methods.is_empty() || matcher.methods.iter().any(|method| method == request.intended_method()))
        && matcher
            .headers
            .iter()
            .all(|(name, value)| value.holds(request.headers.all(name.as_str())))
        && (matcher.client_ip.is_empty()
            || peer
                .source_ip()
                .is_some_and(|ip| matcher.client_ip.iter().any(|range| range.contains(ip))))
}

#[test]
fn the_index_finds_what_a_scan_finds() {
    let found = for_all(1_500, (matchers(), vec(request(), 8)), |(matchers, requests)| {
        let policy = policy(matchers);
        let mut hit = false;
        for request in requests {
            let Some((parsed, peer)) = read(&request) else { continue };
            let found = find(&policy, &parsed, &peer);
            let positions = (
                found.rule.map(|rule| rule.position),
                found.shadows.iter().map(|rule| rule.position).collect(),
            );
            prop_assert_eq!(&positions, &scan(&policy, &parsed, &peer), "{:?}", parsed);
            hit |= positions.0.is_some();
        }
        Ok(hit)
    });
    assert!(found > 750, "{found}");
}

#[test]
fn no_request_meets_an_unreachable_rule() {
    let hidden = for_all(1_500, (matchers(), vec(request(), 16)), |(matchers, requests)| {
        let borrowed: Vec<_> = matchers.iter().map(|(matcher, mode)| (matcher, *mode)).collect();
        let hidden: Vec<usize> = unreachable(&borrowed)
            .into_iter()
            .map(|(position, _)| position)
            .collect();
        let policy = policy(matchers.clone());
        for request in requests {
            let Some((parsed, peer)) = read(&request) else { continue };
            let found = find(&policy, &parsed, &peer);
            for rule in found.rule.iter().chain(&found.shadows) {
                prop_assert!(!hidden.contains(&rule.position), "r{} by {:?}", rule.position, parsed);
            }
        }
        Ok(!hidden.is_empty())
    });
    assert!(hidden > 150, "{hidden}");
}

/// Host and path of the rule at this place.
type Line = fn(usize) -> (String, String);

/// The last rule's request; the others differ by host, by path, or by both.
fn crowd(rules: usize, line: Line) -> (Policy, Request) {
    let matcher = |at: usize| {
        let (host, path) = line(at);
        (
            Match {
                hosts: vec![HostPattern::parse(&host).expect("a host")],
                paths: vec![PathPattern::parse(&path).expect("a path")],
                ..Match::default()
            },
            RuleMode::Enforce,
        )
    };
    let (host, path) = line(rules - 1);
    let headers: Headers = [
        (":method", "GET"),
        (":authority", &host.replace('*', "x")),
        (":path", &path.replace("**", "1/2").replace('*', "x")),
    ]
    .into_iter()
    .collect();
    let request = Request::parse(Arc::new(headers)).expect("a request");
    (policy((0..rules).map(matcher).collect()), request)
}

#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn fastest(policy: &Policy, request: &Request) -> Duration {
    let peer = Peer::default();
    let round = || {
        let start = Instant::now();
        for _ in 0..200 {
            black_box(find(black_box(policy), black_box(request), &peer));
        }
        start.elapsed()
    };
    (0..8).map(|_| round()).min().unwrap_or_default() / 200
}

/// The fastest of many rounds, and again where a neighbour was loud: only a cost that grows stays.
#[test]
fn ten_thousand_rules_cost_what_ten_do() {
    let shapes: [(&str, Line); 4] = [
        ("hosts", |at| (format!("h{at}.example.com"), "/**".into())),
        ("paths", |at| ("shop.example.com".into(), format!("/svc{at}/v1/**"))),
        ("below a capture", |at| ("*".into(), format!("/*/{at}"))),
        ("wildcards", |at| {
            (format!("*.h{at}.example.com"), format!("/a{}/**", at % 7))
        }),
    ];
    for (name, line) in shapes {
        let crowds = [10, 1_000, 10_000].map(|rules| crowd(rules, line));
        for (policy, request) in &crowds {
            let found = find(policy, request, &Peer::default())
                .rule
                .map(|rule| rule.position + 1);
            assert_eq!(found, Some(policy.rules.len()), "{name}");
        }
        let bounded = (0..10).any(|_| {
            let times = crowds.each_ref().map(|(policy, request)| fastest(policy, request));
            println!("{name}: 10, 1,000, 10,000 rules: {times:?}");
            let [ten, rest @ ..] = times;
            rest.iter().all(|time| *time <= ten * 3)
        });
        assert!(bounded, "{name}: the cost grows with the rules");
    }
}

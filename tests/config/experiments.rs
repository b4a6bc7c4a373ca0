//! What becomes of `experiments`.

use super::{BASE, faults};
use crate::command::meshgate;
use meshgate::config::{self, yaml};
use meshgate::experiment::{Coverage, Kind, Layer, Share, Unit, Variants};
use meshgate::policy::{Place, Policy};
use std::time::Duration;

#[track_caller]
fn parse(text: &str) -> Policy {
    yaml::parse(text).expect("a policy").policy
}

fn variants<'p>(policy: &'p Policy, name: &str) -> &'p Variants {
    let found = policy.experiments.iter().find(|experiment| &*experiment.name == name);
    match &found.expect("an experiment").kind {
        Kind::Variants(variants) => variants,
        Kind::Bucket(_) => panic!("{name} has a bucket"),
    }
}

fn names(policy: &Policy, rule: usize) -> Vec<&str> {
    let experiments = policy.rules[rule].experiments.iter();
    experiments.map(|experiment| &*experiment.name).collect()
}

#[test]
fn everything_is_read() {
    let policy = parse(BASE);
    let checkout = policy.rules[2].experiments.first().expect("an experiment");
    assert_eq!(checkout.units.len(), 4);
    assert_eq!(checkout.units[1], Unit::Cookie("mg_unit".into()));
    assert!(checkout.sticky);
    assert_eq!(checkout.seed, "checkout-2026");
    assert_eq!(checkout.exposure_window, Duration::from_secs(3600));
    let remember = checkout.remember.as_ref().expect("a cookie");
    assert_eq!(remember.max_age, Duration::from_secs(90 * 24 * 3600));
    assert!(!remember.on_cacheable);
    let checkout = variants(&policy, "checkout");
    assert_eq!(
        checkout.share,
        Share::Weights {
            weights: vec![0.9, 0.1],
            coverage: Coverage::Always(1.0)
        }
    );
    let layer = Layer {
        name: "pricing".into(),
        range: (0.0, 0.5),
    };
    assert_eq!(checkout.layer, Some(layer));
    assert_eq!(checkout.variants[1].headers[0].1, "blue");
    assert!(!checkout.audience.require.is_empty());
    let ramp = variants(&policy, "ramp");
    assert!(ramp.shadow);
    assert_eq!(
        ramp.share,
        Share::Weights {
            weights: vec![1.0],
            coverage: Coverage::Schedule(vec![(1_796_083_200, 0.01), (1_796_169_600, 1.0)])
        }
    );
    let moved = variants(&policy, "moved");
    assert_eq!(
        moved.share,
        Share::Ranges(vec![vec![(0.0, 0.3), (0.9, 1.0)], vec![(0.3, 0.6)]])
    );
}

#[test]
fn a_seed_is_the_name_unless_said() {
    let policy = parse(&BASE.replace(", seed: orders", ""));
    let orders = policy.rules[2]
        .experiments
        .iter()
        .find(|found| &*found.name == "orders");
    assert_eq!(orders.expect("an experiment").seed, "orders");
}

/// A client's own copies never arrive, and no auth service's.
#[test]
fn every_header_of_theirs_is_removed() {
    let policy = parse(BASE);
    for name in [
        "x-variant-checkout",
        "x_theme",
        "x.force.checkout",
        "x-bucket-orders",
        "x-variant-ramp",
        "X-Variant-Moved",
    ] {
        assert!(policy.strip.takes(name.as_bytes()), "{name}");
        assert!(policy.identity.contains(name.as_bytes()), "{name}");
    }
}

/// Of the rules that name the experiment.
#[test]
fn what_callers_choose_by_is_removed() {
    let policy = parse(&BASE.replace("cookie: force_checkout", "cookie: force_checkout, query: force"));
    let removed = |rule: usize, place: Place| policy.rules[rule].strip_credentials.contains(&place);
    assert!(removed(2, Place::Cookie("force_checkout".into())));
    assert!(removed(2, Place::Query("force".into())));
    assert!(!removed(4, Place::Cookie("force_checkout".into())));
    assert!(removed(2, Place::Query("access_token".into())));
}

/// As rate limits: rules that ask who calls take them, unless they say something themselves.
#[test]
fn defaults_are_for_rules_that_ask() {
    let text = BASE.replace("defaults: {", "defaults: { experiments: [unleashed, orders],");
    let policy = parse(&text);
    assert_eq!(names(&policy, 0), [""; 0]);
    assert_eq!(names(&policy, 1), [""; 0]);
    assert_eq!(names(&policy, 2), ["checkout", "ramp", "moved", "unleashed", "orders"]);
    assert_eq!(names(&policy, 4), ["unleashed", "orders"]);
    let none = parse(&text.replace(
        "  experiments: [checkout, ramp, moved, unleashed, orders]\n",
        "  experiments: []\n",
    ));
    assert_eq!(names(&none, 2), [""; 0]);
}

/// Somebody is known there by a cookie, and nobody by a subject.
#[test]
fn a_public_rule_takes_what_needs_no_caller() {
    let text = BASE.replace(
        "  rate_limit: [strangers, device]\n",
        "  rate_limit: [strangers, device]\n  experiments: [checkout, unleashed]\n",
    );
    assert_eq!(names(&parse(&text), 0), ["checkout", "unleashed"]);
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    let found = faults(yaml::parse(text));
    assert_eq!(found, [expected]);
}

#[test]
fn few_enough() {
    let one = |at: usize| format!("  e{at}: {{ unit: [client_ip], bucket_header: x-bucket-{at} }}\n");
    let many = |count: usize| -> String {
        let all: String = (0..count).map(one).collect();
        format!("version: 1\nexperiments:\n{all}rules: [{{ name: all, refuse: 404 }}]\n")
    };
    assert_eq!(parse(&many(256)).experiments.len(), 256);
    refused(
        &many(257),
        "experiments: 257 entries, at most 256: each has counters of its own in the proxy",
    );
    let rule = |count: usize| {
        let named: Vec<String> = (0..count).map(|at| format!("e{at}")).collect();
        let rule = format!(
            "{{ name: all, match: {{ hosts: [a.com], paths: [/] }}, authenticate: none, experiments: [{}] }}",
            named.join(", ")
        );
        many(32).replace("{ name: all, refuse: 404 }", &rule)
    };
    assert_eq!(names(&parse(&rule(16)), 0).len(), 16);
    refused(
        &rule(17),
        "rules[0].experiments: 17 entries, at most 16: each is computed for every request of the rule",
    );
}

#[test]
fn few_headers() {
    let variant = |at: usize, value: &str| {
        let headers: Vec<String> = (0..16).map(|nth| format!("x-{at}-{nth}: {value}")).collect();
        format!(
            "{{ name: v{at}, weight: 6.25%, headers: {{ {} }} }}",
            headers.join(", ")
        )
    };
    let policy = |experiments: usize, value: &str| -> String {
        let one = |at: usize| {
            let variants: Vec<String> = (0..16).map(|nth| variant(at * 16 + nth, value)).collect();
            let variants = variants.join(", ");
            format!("  e{at}: {{ unit: [client_ip], header: x-v-{at}, variants: [{variants}] }}\n")
        };
        let all: String = (0..experiments).map(one).collect();
        format!("version: 1\nexperiments:\n{all}rules: [{{ name: all, refuse: 404 }}]\n")
    };
    assert_eq!(parse(&policy(3, "a")).experiments.len(), 3);
    refused(
        &policy(4, "a"),
        "more than 1024 headers of experiments: each is removed from every request",
    );
    let long = faults(yaml::parse(&policy(1, &"a".repeat(256))));
    assert_eq!(
        long[0],
        "experiments.e0.variants[0].headers: 4182 bytes, at most 4096: they are set on every request of the variant"
    );
    assert_eq!(long.len(), 16);
}

/// A million of nonsense is told in no time.
#[test]
fn hostile_documents_end() {
    let nested = format!(
        "{{\"version\":1,\"experiments\":{{{}}}}}",
        "\"a\":{\"variants\":[{}]},".repeat(20_000)
    );
    assert!(config::parse(nested.as_bytes()).is_err());
}

/// `PATH: MESSAGE` of what `meshgate check` warns of; identity has its own.
fn warned(text: &str) -> Vec<String> {
    let (status, _, told) = meshgate(&["check", "-"], text);
    assert_eq!(status, 0, "{told}");
    let lines = told.lines().filter_map(|line| line.split_once("warning: "));
    let of_experiments = lines
        .map(|(_, told)| told.to_owned())
        .filter(|told| told.starts_with("experiments."));
    of_experiments.collect()
}

#[test]
fn what_is_likely_a_mistake() {
    assert_eq!(warned(BASE), [""; 0]);
    let rule = "experiments: [checkout, ramp, moved, unleashed, orders]";
    for (what, with, told) in [
        (
            rule,
            "experiments: [checkout, ramp, moved, unleashed]",
            "experiments.orders: no rule names this experiment",
        ),
        (
            "orders: { unit: [subject]",
            "orders: { unit: [\"cookie:c\", subject]",
            "experiments.orders: the unit changes when a caller signs in, and the variant with it: write sticky: first_seen, with a cookie",
        ),
        (
            "orders: { unit: [subject]",
            "orders: { unit: [\"cookie:c\", client_ip], remember: { cookie: c, max_age: 1d }",
            "experiments.orders.remember: gives nobody a cookie: unit has client_ip, which everybody has",
        ),
        (
            "coverage: 100% }]\n    header: x-variant-ramp",
            "coverage: 0.5% }]\n    header: x-variant-ramp",
            "experiments.ramp: a step of the schedule has less coverage than the one before: callers lose their variant",
        ),
        (
            "seed: orders",
            "seed: moved",
            "experiments.orders: has the seed of moved: who gets what in one gets it in the other",
        ),
        (
            "  anonymous: allow_missing\n",
            "  anonymous: allow_missing\n  experiments: [orders]\n",
            "experiments.orders: mixes issuers: the same subject of edge and employee is two callers, and one unit (rule proxied)",
        ),
    ] {
        let changed = BASE.replace(what, with);
        assert_ne!(changed, BASE, "{what}");
        assert_eq!(warned(&changed), [told], "{with}");
    }
}

/// Each at its own line, and not where its experiment begins.
#[test]
fn what_is_wrong_with_a_layer_points_at_it() {
    let overlapping = BASE.replace("range: [50%, 75.5%]", "range: [49.99%, 75.5%]");
    let (status, _, told) = meshgate(&["check", "-"], &overlapping);
    assert_eq!(status, 1, "{told}");
    let line = 1 + overlapping
        .lines()
        .position(|line| line.contains("49.99%"))
        .expect("a line");
    let message = "experiments.ramp.layer.range: overlaps that of checkout in layer \"pricing\"";
    assert!(told.contains(&format!("-:{line}:36: {message}\n")), "{told}");
}

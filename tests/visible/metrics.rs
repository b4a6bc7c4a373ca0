//! What /stats/prometheus says after traffic, held to docs/metrics.md and to Prometheus' own conventions.

use crate::outcomes::{POLICY, start};
use crate::prometheus::tool;
use crate::shipped::read;
use crate::support::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Name, type and labels of each metric of docs/metrics.md, and what it says.
fn documented() -> BTreeMap<String, (String, BTreeSet<String>, String)> {
    let page = read("docs/metrics.md");
    let (_, rest) = page.split_once("| metric | type | labels |").expect("the table");
    let rows = rest.lines().skip(2).take_while(|line| line.starts_with('|'));
    let quoted = |cell: &str| {
        cell.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let labels = quoted(cells[2]).into_iter().collect();
        (
            quoted(cells[0]).remove(0),
            (cells[1].to_owned(), labels, cells[3].replace('`', "")),
        )
    })
    .collect()
}

/// What no request of this test makes.
const NOT_HERE: [&str; 6] = [
    // Counted by the first that overruns, that is unreadable, or that Envoy refuses.
    "meshgate_rate_limit_overflows_total",
    "meshgate_deadlines_ignored_total",
    "meshgate_host_errors_total",
    // Of authenticators whose keys are fetched; see alerts.rs.
    "meshgate_key_fetches_total",
    "meshgate_keys_age_seconds",
    "meshgate_keys_refresh_seconds",
];

#[test]
fn what_is_exposed_is_documented_and_passes_promtool() {
    let (envoy, auth, _upstream) = start(&POLICY.replace(
        "cache: { ttl: 1h }",
        "cache: { ttl: 1h, max_entries: 8 }\n      breaker: { failures: 5, open_for: 300s }",
    ));
    let addr = envoy.listener("edge");
    let by = |caller: &str, path: &str| {
        get(path)
            .host("localhost")
            .header("authorization", format!("Bearer {caller}"))
    };
    for n in 0..30 {
        assert_eq!(h1(addr).send(&by(&n.to_string(), "/shop")).status, 200);
    }
    h1(addr).send(&get("/limited").host("localhost"));
    assert_eq!(h1(addr).send(&get("/limited").host("localhost")).status, 429);
    // Somebody waits for what another asked, which a gauge tells on a tick.
    let hang = Latch::new();
    let opened = hang.clone();
    auth.answer(move |_| {
        opened.wait(LONG);
        Reply::ok().header("x-auth-user", "ann")
    });
    let waiting: Vec<_> = (0..2).map(|_| h1(addr).start(&by("slow", "/shop")).unwrap()).collect();
    envoy.wait_for_stat("wasmcustom.meshgate_waiting.authenticator=account", |n| n == 1, SHORT);
    hang.open();
    for request in waiting {
        assert_eq!(request.response().unwrap().status, 200);
    }
    auth.stop();
    until("an open breaker", LONG, || {
        (0..6).for_each(|n| drop(h1(addr).send(&by(&format!("stranger{n}"), "/shop"))));
        (envoy.stat("wasmcustom.meshgate_breaker_open.authenticator=account") == Some(1)).then_some(())
    });
    // Histograms are put together every five seconds.
    let asked = "meshgate_callout_duration_count{authenticator=\"account\"} ";
    let text = until("the histogram", LONG, || {
        let text = envoy.prometheus();
        let count = text
            .lines()
            .find_map(|line| line.strip_prefix(asked))?
            .parse::<u64>()
            .ok()?;
        (count >= 31).then_some(text)
    });

    let documented = documented();
    let family = |name: &str| {
        let parts = ["_bucket", "_sum", "_count"];
        let base = parts.iter().find_map(|part| name.strip_suffix(part));
        base.filter(|base| documented.contains_key(*base))
            .unwrap_or(name)
            .to_owned()
    };
    let mut seen = BTreeSet::new();
    // Envoy writes no help; the page is it.
    let mut ours = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE meshgate_") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            let name = format!("meshgate_{name}");
            let (expected, _, help) = documented
                .get(&name)
                .unwrap_or_else(|| panic!("{name} is not documented"));
            assert_eq!(kind, expected, "{name}");
            writeln!(ours, "# HELP {name} {help}\n{line}").unwrap();
        } else if let Some((name, rest)) = line.split_once('{').filter(|(name, _)| name.starts_with("meshgate_")) {
            let labels = rest.split('}').next().unwrap_or_default();
            let names = labels
                .split("\",")
                .filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
            let names: BTreeSet<String> = names.filter(|name| name != "le").collect();
            assert_eq!(names, documented[&family(name)].1, "{line}");
            seen.insert(family(name));
            writeln!(ours, "{line}").unwrap();
        }
    }
    let expected = documented.keys().filter(|name| !NOT_HERE.contains(&name.as_str()));
    assert_eq!(seen, expected.cloned().collect());
    for (name, least) in [
        ("cache_evictions_total", 20),
        ("cache_entries", 1),
        ("cache_bytes", 200),
    ] {
        let prefix = format!("meshgate_{name}{{authenticator=\"account\"}} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&prefix)).expect(name);
        assert!(value.parse::<u64>().expect("a number") >= least, "{name}: {value}");
    }
    check(&ours);
}

fn check(metrics: &str) {
    let mut promtool = Command::new(tool("promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool");
    promtool
        .stdin
        .take()
        .expect("stdin")
        .write_all(metrics.as_bytes())
        .expect("written");
    let output = promtool.wait_with_output().expect("promtool's verdict");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

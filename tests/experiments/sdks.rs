//! A service that asks an SDK computes the very same variant: ours against the real `@growthbook/growthbook` and
//! `unleash-client` of npm.

use super::{Random, experiment, variant};
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const UNITS: usize = 100_000;

/// What callers are told apart by: numbers, addresses, mails, random ids, and names of all scripts.
fn units() -> Vec<String> {
    let mut random = Random(7);
    let names = [
        "Jürgen",
        "日本語",
        "Ωmega",
        "🦀🦀",
        "e\u{301}",
        "ÿ\u{100}\u{ffff}",
        "a\u{10ffff}b",
        "\u{7f}\u{80}",
    ];
    let unit = |at: usize| match at % 8 {
        0 => format!("user-{at}"),
        1 => at.to_string(),
        2 => format!("{:016x}{:016x}", random.next(), random.next()),
        3 => format!("mail{at}@example.com"),
        4 => format!("10.{}.{}.{}", random.below(256), random.below(256), random.below(256)),
        5 => format!("{}{at}", names[at / 8 % names.len()]),
        6 => format!("auth0|{:x}", random.next()),
        _ => "x".repeat(at % 70 + 1) + &at.to_string(),
    };
    (0..UNITS).map(unit).collect()
}

/// For each configuration the variant of each unit; -1: none. One process for all.
fn asked(configs: &[Value], units: &[String]) -> Vec<Vec<i64>> {
    let tool = Command::new(format!("{ROOT}/scripts/tool"))
        .arg("growthbook")
        .output()
        .expect("scripts/tool");
    let why = String::from_utf8_lossy(&tool.stderr);
    assert!(tool.status.success(), "no SDK to compare with: {why}");
    let mut node = Command::new("node")
        .arg(format!("{ROOT}/tests/experiments/sdk/assign.cjs"))
        .env("NODE_PATH", String::from_utf8(tool.stdout).expect("a path").trim())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node");
    let mut stdin = node.stdin.take().expect("stdin");
    let text = json!({ "configs": configs, "units": units }).to_string();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = node.wait_with_output().expect("node ends");
    writer.join().expect("a writer").expect("node reads");
    assert!(output.status.success(), "node failed");
    serde_json::from_slice(&output.stdout).expect("what the SDKs say")
}

/// One experiment, as we are told of it and as an SDK is.
struct Case {
    ours: String,
    theirs: Value,
}

fn growthbook() -> Vec<Case> {
    let case = |ours: &str, theirs| Case {
        ours: ours.to_owned(),
        theirs,
    };
    let even = "variants: [{ name: a, weight: 33.33% }, { name: b, weight: 33.33% }, { name: c, weight: 33.34% }]";
    // 0.1 + 0.2 is not 0.3: who stands at the edge is told by the same sums in the same order.
    vec![
        case(
            "seed: s, variants: [{ name: a, weight: 50% }, { name: b, weight: 50% }]",
            json!({ "seed": "s", "version": 2, "weights": [0.5, 0.5], "coverage": 1, "owners": [0, 1] }),
        ),
        case(
            "seed: s, hash: growthbook-v1, variants: [{ name: a, weight: 50% }, { name: b, weight: 50% }]",
            json!({ "seed": "s", "version": 1, "weights": [0.5, 0.5], "coverage": 1, "owners": [0, 1] }),
        ),
        case(
            &format!("seed: thirds, {even}"),
            json!({ "seed": "thirds", "version": 2, "weights": [0.3333, 0.3333, 0.3334], "coverage": 1, "owners": [0, 1, 2] }),
        ),
        case(
            &format!("seed: thirds, coverage: 77.77%, {even}"),
            json!({ "seed": "thirds", "version": 2, "weights": [0.3333, 0.3333, 0.3334], "coverage": 0.7777, "owners": [0, 1, 2] }),
        ),
        case(
            "seed: edges, variants: [{ name: a, weight: 10% }, { name: b, weight: 20% }, { name: c, weight: 70% }]",
            json!({ "seed": "edges", "version": 2, "weights": [0.1, 0.2, 0.7], "coverage": 1, "owners": [0, 1, 2] }),
        ),
        case(
            "seed: edges, hash: growthbook-v1, coverage: 60%, variants: [{ name: a, weight: 10% }, { name: b, weight: 20% }, { name: c, weight: 70% }]",
            json!({ "seed": "edges", "version": 1, "weights": [0.1, 0.2, 0.7], "coverage": 0.6, "owners": [0, 1, 2] }),
        ),
        case(
            "seed: many, coverage: 35.7%, variants: [{ name: a, weight: 0% }, { name: b, weight: 0.01% }, { name: c, weight: 12.34% }, { name: d, weight: 7.15% }, { name: e, weight: 80.5% }]",
            json!({ "seed": "many", "version": 2, "weights": [0, 0.0001, 0.1234, 0.0715, 0.805], "coverage": 0.357, "owners": [0, 1, 2, 3, 4] }),
        ),
        case(
            "seed: gray, coverage: 5%, variants: [{ name: a }]",
            // An SDK takes no experiment of one variation; of its ranges it takes one.
            json!({ "seed": "gray", "version": 2, "ranges": [[0, 0.05], [0, 0]], "owners": [0, 1] }),
        ),
        case(
            "seed: ranges, variants: [{ name: a, ranges: [[0%, 30%], [90%, 100%]] }, { name: b, ranges: [[30%, 60.01%]] }]",
            json!({ "seed": "ranges", "version": 2, "ranges": [[0, 0.3], [0.9, 1], [0.3, 0.6001]], "owners": [0, 0, 1] }),
        ),
        case(
            "seed: ranges, hash: growthbook-v1, variants: [{ name: a, ranges: [[0%, 30%], [90%, 100%]] }, { name: b, ranges: [[30%, 60.01%]] }]",
            json!({ "seed": "ranges", "version": 1, "ranges": [[0, 0.3], [0.9, 1], [0.3, 0.6001]], "owners": [0, 0, 1] }),
        ),
        case(
            "seed: layered, layer: { name: pricing, range: [0%, 50%] }, variants: [{ name: a, weight: 50% }, { name: b, weight: 50% }]",
            json!({ "seed": "layered", "version": 2, "weights": [0.5, 0.5], "coverage": 1, "owners": [0, 1], "namespace": ["pricing", 0, 0.5] }),
        ),
        case(
            "seed: layered, hash: growthbook-v1, coverage: 90%, layer: { name: pricing, range: [12.3%, 81.9%] }, variants: [{ name: a, weight: 50% }, { name: b, weight: 50% }]",
            json!({ "seed": "layered", "version": 1, "weights": [0.5, 0.5], "coverage": 0.9, "owners": [0, 1], "namespace": ["pricing", 0.123, 0.819] }),
        ),
        case(
            "seed: \"Größe 🦀\", variants: [{ name: a, weight: 50% }, { name: b, weight: 50% }]",
            json!({ "seed": "Größe 🦀", "version": 2, "weights": [0.5, 0.5], "coverage": 1, "owners": [0, 1] }),
        ),
    ]
}

fn unleash() -> Vec<Case> {
    let case = |ours: &str, theirs| Case {
        ours: ours.to_owned(),
        theirs,
    };
    vec![
        case(
            "seed: toggle, hash: murmur3, variants: [{ name: a, weight: 33.3% }, { name: b, weight: 33.3% }, { name: c, weight: 33.4% }]",
            json!({ "sdk": "unleash", "seed": "toggle", "percent": 100, "weights": [333, 333, 334] }),
        ),
        case(
            "seed: toggle, hash: murmur3, coverage: 37%, variants: [{ name: a, weight: 10% }, { name: b, weight: 20% }, { name: c, weight: 70% }]",
            json!({ "sdk": "unleash", "seed": "toggle", "percent": 37, "weights": [100, 200, 700] }),
        ),
        case(
            "seed: zero, hash: murmur3, coverage: 99%, variants: [{ name: a, weight: 0% }, { name: b, weight: 0.1% }, { name: c, weight: 99.9% }]",
            json!({ "sdk": "unleash", "seed": "zero", "percent": 99, "weights": [0, 1, 999] }),
        ),
        case(
            "seed: gray, hash: murmur3, coverage: 1%, variants: [{ name: a }]",
            json!({ "sdk": "unleash", "seed": "gray", "percent": 1, "weights": [1000] }),
        ),
        case(
            "seed: off, hash: murmur3, coverage: 0%, variants: [{ name: a }]",
            json!({ "sdk": "unleash", "seed": "off", "percent": 0, "weights": [1000] }),
        ),
        case(
            "seed: \"Größe 🦀\", hash: murmur3, coverage: 50%, variants: [{ name: a, weight: 50% }, { name: b, weight: 50% }]",
            json!({ "sdk": "unleash", "seed": "Größe 🦀", "percent": 50, "weights": [500, 500] }),
        ),
    ]
}

fn agree(cases: &[Case]) {
    let units = units();
    let configs: Vec<Value> = cases.iter().map(|case| case.theirs.clone()).collect();
    let answers = asked(&configs, &units);
    assert_eq!(answers.len(), cases.len());
    for (case, theirs) in cases.iter().zip(answers) {
        let ours = experiment(&case.ours);
        assert_eq!(theirs.len(), UNITS);
        let differing = units.iter().zip(theirs).find_map(|(unit, theirs)| {
            let ours = variant(&ours, unit.as_bytes()).map_or(-1, |at| at as i64);
            (ours != theirs).then_some((unit, ours, theirs))
        });
        assert_eq!(differing, None, "unit, ours, theirs: {}", case.ours);
    }
}

#[test]
fn growthbook_says_the_same() {
    agree(&growthbook());
}

#[test]
fn unleash_says_the_same() {
    agree(&unleash());
}

/// Its ranges are cumulative: a weight that is changed moves those between the old edges and the new ones, and we move
/// the very same callers.
#[test]
fn a_changed_weight_moves_whom_growthbook_moves() {
    let units = units();
    let shares = [[0.5, 0.3, 0.2], [0.4, 0.4, 0.2], [0.4, 0.3, 0.3]];
    let config = |weights: &[f64; 3]| json!({ "seed": "s", "version": 2, "weights": weights, "coverage": 1, "owners": [0, 1, 2] });
    let theirs = asked(&shares.each_ref().map(config), &units);
    let ours = shares.map(|[a, b, c]| {
        let [a, b, c] = [a, b, c].map(|share| share * 100.0);
        experiment(&format!(
            "seed: s, variants: [{{ name: a, weight: {a}% }}, {{ name: b, weight: {b}% }}, {{ name: c, weight: {c}% }}]"
        ))
    });
    for (before, after) in [(0, 1), (1, 2), (0, 2)] {
        let mut moved = 0;
        for (at, unit) in units.iter().enumerate() {
            let here = [before, after].map(|nth| variant(&ours[nth], unit.as_bytes()).map(|at| at as i64));
            let there = [before, after].map(|nth| Some(theirs[nth][at]));
            assert_eq!(here, there, "{unit}");
            moved += usize::from(here[0] != here[1]);
        }
        assert!((UNITS / 20..UNITS / 3).contains(&moved), "{moved}");
    }
}

/// As node reads a header: each byte a character of ISO-8859-1.
#[test]
fn bytes_that_are_no_utf8() {
    let bytes: Vec<Vec<u8>> = (0..1000_u32)
        .map(|at| [&[0xe9, 0xff, 0x80], at.to_string().as_bytes()].concat())
        .collect();
    let texts: Vec<String> = bytes
        .iter()
        .map(|bytes| bytes.iter().map(|byte| char::from(*byte)).collect())
        .collect();
    let cases = growthbook().into_iter().chain(unleash()).collect::<Vec<_>>();
    let configs: Vec<Value> = cases.iter().map(|case| case.theirs.clone()).collect();
    for (case, theirs) in cases.iter().zip(asked(&configs, &texts)) {
        let ours = experiment(&case.ours);
        let ours: Vec<i64> = bytes
            .iter()
            .map(|unit| variant(&ours, unit).map_or(-1, |at| at as i64))
            .collect();
        assert_eq!(ours, theirs, "{}", case.ours);
    }
}

//! What the documentation names is what the code has.

use meshgate::authn::CredentialFault;
use meshgate::authn::callout::CalloutFailure;
use meshgate::authn::credential::Ambiguous;
use meshgate::authz::Unmet;
use meshgate::decide::Used;
use meshgate::denial::{Denial, Outcome, ServiceDenial};
use meshgate::keyring::FetchFault;
use meshgate::policy::Place;
use meshgate::request::RequestFault;
use meshgate::strip::OVERRIDE_HEADERS;
use meshgate::upstream::TimeUp;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The words in backticks of the paragraph behind a marker.
fn words_behind(text: &str, marker: &str) -> BTreeSet<String> {
    let (_, rest) = text.split_once(marker).unwrap_or_else(|| panic!("no {marker}"));
    let paragraph = rest.split("\n\n").next().unwrap_or_default();
    quoted(paragraph).map(str::to_owned).collect()
}

#[track_caller]
fn same(marker: &str, words: impl Iterator<Item = &'static str>) {
    let expected: BTreeSet<String> = words.map(str::to_owned).collect();
    assert_eq!(words_behind(&read("docs/policy.md"), marker), expected);
}

#[test]
fn closed_lists_are_named_whole() {
    same("<!-- outcomes -->", Outcome::ALL.iter().map(|outcome| outcome.word()));
    same("<!-- answers -->", Used::WORDS.iter().copied());
    same("<!-- override headers -->", OVERRIDE_HEADERS.iter().copied());
}

/// Each way to refuse, with each reason that it can have; what the service's failures are called, they say themselves.
fn denials() -> Vec<Denial> {
    let scheme = || "Bearer".into();
    let of = |known| {
        move |unmet| Denial::Unmet {
            unmet,
            known,
            scopes: vec![],
            scheme: "Bearer".into(),
        }
    };
    let mut all = vec![
        Denial::AmbiguousCredential(Ambiguous(Place::Query("token".into()))),
        Denial::NoCredential { scheme: scheme() },
        Denial::KeysUnavailable {
            authenticator: "a".into(),
        },
        Denial::Service(ServiceDenial {
            status: 401,
            headers: vec![],
            body: None,
        }),
        Denial::NoRule,
        Denial::Preflight,
        Denial::IdentityTooLong,
        Denial::Unsigned,
        Denial::Closed(404),
        Denial::BodyTooLarge,
        Denial::ForgetWhat,
        Denial::AuthUnavailable(CalloutFailure::Host),
        Denial::TimeUp(TimeUp::Deadline),
        Denial::TimeUp(TimeUp::Timeout),
    ];
    all.extend(RequestFault::all().map(Denial::Malformed));
    all.extend(CredentialFault::all().map(|fault| Denial::Credential {
        authenticator: "a".into(),
        scheme: scheme(),
        fault,
    }));
    all.extend(Unmet::ALL.into_iter().map(of(true)));
    all.extend(Unmet::ALL.into_iter().map(of(false)));
    all
}

/// A new way to refuse does not compile here until it has a number, and has one in vain until `denials` makes it.
fn number(denial: &Denial) -> usize {
    match denial {
        Denial::Malformed(_) => 0,
        Denial::AmbiguousCredential(_) => 1,
        Denial::NoCredential { .. } => 2,
        Denial::Credential { .. } => 3,
        Denial::KeysUnavailable { .. } => 4,
        Denial::Service(_) => 5,
        Denial::Unmet { .. } => 6,
        Denial::NoRule => 7,
        Denial::Preflight => 8,
        Denial::IdentityTooLong => 9,
        Denial::Unsigned => 10,
        Denial::Closed(_) => 11,
        Denial::BodyTooLarge => 12,
        Denial::ForgetWhat => 13,
        Denial::AuthUnavailable(_) => 14,
        Denial::TimeUp(_) => 15,
        // Its causes are the policy's own words, the names of limits.
        Denial::RateLimited(_) => 16,
    }
}

/// The words in the first cells of the table behind a marker; the second says something.
#[track_caller]
fn explained(text: &str, marker: &str) -> BTreeSet<String> {
    let (_, rest) = text.split_once(marker).unwrap_or_else(|| panic!("no {marker}"));
    let rows = rest.lines().skip(3).take_while(|line| line.starts_with('|'));
    let mut words = Vec::new();
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert!(cells.len() == 4 && cells[2].len() > 20, "{row}");
        words.extend(quoted(cells[1]).map(str::to_owned));
    }
    let unique: BTreeSet<String> = words.iter().cloned().collect();
    assert_eq!(unique.len(), words.len(), "{marker}: twice the same in {words:?}");
    unique
}

#[test]
fn every_cause_is_explained() {
    let denials = denials();
    let numbers: BTreeSet<usize> = denials.iter().map(number).collect();
    assert!(numbers.iter().copied().eq(0..16), "one is not made: {numbers:?}");
    let mut causes: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for row in denials.iter().map(Denial::row) {
        causes.entry(row.outcome.word()).or_default().insert(row.cause.into());
    }
    let failures = CalloutFailure::WORDS.iter().map(|word| (*word).to_owned());
    causes.entry("auth_unavailable").or_default().extend(failures);
    let text = read("docs/causes.md");
    for (outcome, causes) in &causes {
        let marker = format!("<!-- causes: {outcome} -->");
        assert_eq!(explained(&text, &marker), *causes, "{outcome}");
    }
    let fetches = FetchFault::WORDS.iter().map(|word| (*word).to_owned());
    assert_eq!(explained(&text, "<!-- fetches -->"), fetches.collect());
    assert_eq!(text.matches("<!--").count(), causes.len() + 1);
}

#[test]
fn every_outcome_is_one_to_operate_by() {
    let outcomes = Outcome::ALL.iter().map(|outcome| outcome.word().to_owned());
    assert_eq!(
        explained(&read("docs/operating.md"), "<!-- operating: outcomes -->"),
        outcomes.collect()
    );
}

/// The parser's own lists of fields, read from its source.
fn fields() -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the parser's sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let source = fs::read_to_string(&path).expect("a source file");
            for list in source.split("now: &[").skip(1) {
                let list = list.split(']').next().unwrap_or_default();
                fields.extend(list.split('"').skip(1).step_by(2).map(str::to_owned));
            }
        }
    }
    fields
}

#[test]
fn every_field_is_documented() {
    let fields = fields();
    assert!(fields.len() > 50, "the parser's lists were not found: {fields:?}");
    // Cases of `meshgate test` have their own page.
    let text = read("docs/policy.md") + &read("docs/explain.md");
    let words: BTreeSet<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let missing: Vec<&String> = fields.iter().filter(|field| !words.contains(field.as_str())).collect();
    assert!(missing.is_empty(), "docs/policy.md does not name {missing:?}");
}

#[test]
fn every_outcome_of_the_readme_is_one() {
    let outcomes: BTreeSet<&str> = Outcome::ALL.iter().map(|outcome| outcome.word()).collect();
    let readme = read("README.md");
    let table = readme
        .split("## What happens when")
        .nth(1)
        .and_then(|rest| rest.split("\n\n").nth(1));
    let rows = table.expect("the table").lines().skip(2);
    let named = rows.filter_map(|row| row.rsplit('|').nth(1)?.trim().strip_prefix('`')?.strip_suffix('`'));
    let unknown: Vec<&str> = named.filter(|word| !outcomes.contains(word)).collect();
    assert!(unknown.is_empty(), "the README names {unknown:?}");
}

/// The cells of the rows of the table whose head begins so.
fn table(text: &str, head: &str) -> Vec<Vec<String>> {
    let (_, rest) = text.split_once(head).unwrap_or_else(|| panic!("no table {head}"));
    let rows = rest.lines().skip(2).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| {
        row.trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    rows.map(cells).collect()
}

fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

const METRICS: &str = "| metric | type | labels |";

/// A label without a tag stays in the name of its metric, and no query finds it.
#[test]
fn every_label_has_a_tag_in_the_shipped_bootstrap() {
    let rows = table(&read("docs/metrics.md"), METRICS);
    let labels: BTreeSet<String> = rows.iter().flat_map(|row| quoted(&row[2])).map(str::to_owned).collect();
    let bootstrap = read("envoy/envoy.yaml");
    let tags = bootstrap.lines().filter_map(|line| {
        let (name, regex) = line.trim().strip_prefix("- { tag_name: ")?.split_once(", regex: ")?;
        // A version has dots, and no label behind it.
        let value = if name == "version" { "[0-9.]+" } else { "[^.]+" };
        let regex = regex.split(" }").next().unwrap_or_default();
        assert_eq!(regex, format!(r#""(\\.{name}=({value}))""#));
        Some(name.to_owned())
    });
    assert_eq!(tags.collect::<BTreeSet<String>>(), labels);
}

/// The counter of experiments is counted where they are.
#[test]
fn every_metric_of_the_filter_is_documented() {
    let mut source = String::new();
    for file in ["gauges", "metrics", "report", "root", "fetching", "asking/calls"] {
        source += &read(&format!("src/filter/{file}.rs"));
    }
    let rows = table(&read("docs/metrics.md"), METRICS);
    let mut documented = BTreeSet::new();
    for row in &rows {
        let name = quoted(&row[0]).next().expect("a name").to_owned();
        assert_eq!(row[1] == "counter", name.ends_with("_total"), "{name}");
        let short = name.strip_prefix("meshgate_").expect("our prefix").to_owned();
        assert!(
            source.contains(&format!("\"{short}\""))
                || source.contains(&format!("\"{name}"))
                || short.ends_with("exposures_total"),
            "nothing counts {name}"
        );
        assert!(documented.insert(short), "{name} stands there twice");
    }
    let words = source.split('"').skip(1).step_by(2);
    let counted = words.filter(|word| word.ends_with("_total") && !word.contains(' '));
    let missing: Vec<&str> = counted.filter(|word| !documented.contains(*word)).collect();
    assert!(missing.is_empty(), "docs/metrics.md does not name {missing:?}");
}

/// The keys of a `json_format` of the shipped bootstrap, by what stands before it.
fn log_fields(bootstrap: &str, before: &str) -> BTreeSet<String> {
    let (_, rest) = bootstrap.split_once(before).expect(before);
    let (_, rest) = rest.split_once("json_format:\n").expect("json_format");
    let fields = rest.lines().map_while(|line| line.trim().split_once(": \"%"));
    fields.map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn every_field_of_the_logs_is_documented() {
    let (page, bootstrap) = (read("docs/metrics.md"), read("envoy/envoy.yaml"));
    for (heading, before) in [
        ("## Access log", "access_log:"),
        ("## Application log", "application_log_config:"),
    ] {
        let (_, rest) = page.split_once(heading).expect(heading);
        let rows = table(rest, "| field | what it is |");
        let documented = rows.iter().filter_map(|row| quoted(&row[0]).next()).map(str::to_owned);
        assert_eq!(
            documented.collect::<BTreeSet<_>>(),
            log_fields(&bootstrap, before),
            "{heading}"
        );
    }
}

/// Every header that the filter reads or writes by a name of its own.
#[test]
fn every_header_is_documented() {
    let pages: String = ["operating", "policy", "rate-limits", "metrics"]
        .map(|page| read(&format!("docs/{page}.md")))
        .concat();
    let known = |name: &str| {
        pages.contains(&format!("`{name}`")) || pages.contains(&format!("`{name}:")) || {
            // `x-b3-*`
            let mut stem = name;
            std::iter::from_fn(|| {
                stem = stem.rsplit_once('-')?.0;
                Some(format!("`{stem}-*`"))
            })
            .any(|pattern| pages.contains(&pattern))
        }
    };
    let is_header = |word: &&str| {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let ours = [
            "x-",
            "ratelimit-",
            "retry-after",
            "www-authenticate",
            "traceparent",
            "tracestate",
            "grpc-timeout",
        ];
        word.bytes().all(plain) && !word.ends_with('-') && ours.iter().any(|head| word.starts_with(head))
    };
    let mut seen = 0;
    let mut missing = BTreeSet::new();
    for file in sources(Path::new("src")) {
        let text = read(&file);
        let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
        for name in shipped.split('"').skip(1).step_by(2).filter(is_header) {
            seen += 1;
            if !known(name) {
                missing.insert(format!("{name} ({file})"));
            }
        }
    }
    assert!(seen > 30, "{seen} names");
    assert_eq!(missing, BTreeSet::new());
}

/// Of the module, less its tests.
fn sources(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).expect("a folder");
    let mut files = Vec::new();
    for entry in entries {
        let name = entry.expect("an entry").file_name().into_string().expect("text");
        let path = folder.join(&name);
        match (name.strip_suffix(".rs"), name.as_str()) {
            (Some("tests"), _) | (_, "bin" | "explain" | "schema" | "tests") => {}
            (Some(_), _) => files.push(path.to_str().expect("text").to_owned()),
            (None, _) => files.append(&mut sources(&path)),
        }
    }
    files
}

/// Of decisions, exposures and everything else that the filter writes itself.
#[test]
fn every_key_of_our_own_lines_is_documented() {
    let source = read("src/filter/report.rs") + &read("src/filter/log.rs");
    let pages = read("docs/policy.md") + &read("docs/metrics.md");
    let keys: BTreeSet<&str> = ["string(\"", "raw(\""]
        .into_iter()
        .flat_map(|call| source.split(call).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(keys.len() > 15, "{keys:?}");
    // A list of them stands in one pair of backticks.
    let named: BTreeSet<&str> = quoted(&pages).flat_map(str::split_whitespace).collect();
    let missing: Vec<&&str> = keys.iter().filter(|key| !named.contains(**key)).collect();
    assert!(missing.is_empty(), "no page names {missing:?}");
}

//! What the documentation names is what the code has.

use meshgate::authn::CredentialFault;
use meshgate::authn::callout::CalloutFailure;
use meshgate::decide::Used;
use meshgate::denial::Outcome;
use meshgate::keyring::FetchFault;
use meshgate::strip::OVERRIDE_HEADERS;
use std::collections::BTreeSet;
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
    paragraph.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[track_caller]
fn same(marker: &str, words: impl Iterator<Item = &'static str>) {
    let expected: BTreeSet<String> = words.map(str::to_owned).collect();
    assert_eq!(words_behind(&read("docs/policy.md"), marker), expected);
}

#[test]
fn closed_lists_are_named_whole() {
    same("<!-- outcomes -->", Outcome::ALL.iter().map(|outcome| outcome.word()));
    same("<!-- failures -->", CalloutFailure::WORDS.iter().copied());
    same("<!-- answers -->", Used::WORDS.iter().copied());
    same(
        "<!-- credential faults -->",
        CredentialFault::all().map(CredentialFault::word),
    );
    same("<!-- fetches -->", FetchFault::WORDS.iter().copied());
    same("<!-- override headers -->", OVERRIDE_HEADERS.iter().copied());
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

/// A label without a tag stays in the name of its metric, and no query finds it.
#[test]
fn every_label_has_a_tag_in_the_shipped_bootstrap() {
    let policy = read("docs/policy.md");
    let table = policy
        .split("| metric | labels |")
        .nth(1)
        .expect("the table of metrics");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let labels: BTreeSet<String> = rows
        .filter_map(|row| row.split('|').nth(2)?.split(':').next())
        .flat_map(|labels| labels.split('`').skip(1).step_by(2))
        .filter(|word| word.chars().all(|c| c.is_ascii_lowercase()))
        .map(str::to_owned)
        .collect();
    let bootstrap = read("envoy/envoy.yaml");
    let tags = bootstrap.lines().filter_map(|line| {
        let (name, regex) = line.trim().strip_prefix("- { tag_name: ")?.split_once(", regex: ")?;
        assert_eq!(regex, format!(r#""(\\.{name}=([^.]+))" }}"#));
        Some(name.to_owned())
    });
    assert_eq!(tags.collect::<BTreeSet<String>>(), labels);
}

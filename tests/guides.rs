//! What the guides quote is what is tested: every YAML or Lua block that names its file holds that file.

use meshgate::config::yaml;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const GUIDES: [&str; 4] = [
    "docs/migrate-from-kong.md",
    "docs/migrate-from-lua.md",
    "docs/migrate-from-ext-authz.md",
    "docs/clusters.md",
];

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The fenced blocks of YAML in a guide, each with the path in its first line, if there is one.
fn blocks(text: &str) -> Vec<(Option<String>, String)> {
    let fenced = text.split("```").skip(1).step_by(2);
    let yaml = fenced.filter_map(|block| block.strip_prefix("yaml\n"));
    yaml.map(|block| match block.split_once('\n') {
        Some((first, rest)) if first.starts_with("# examples/") => (Some(first[2..].to_owned()), rest.to_owned()),
        _ => (None, block.to_owned()),
    })
    .collect()
}

/// Every file under examples/migrate/.
fn examples() -> BTreeSet<String> {
    let mut folders = vec![Path::new(ROOT).join("examples/migrate")];
    let mut found = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path: PathBuf = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let name = path.strip_prefix(ROOT).expect("in it").to_str().expect("text");
                    found.insert(name.to_owned());
                }
            }
        }
    }
    found
}

#[test]
fn what_a_guide_quotes_is_the_example() {
    let mut quoted = BTreeSet::new();
    for guide in GUIDES {
        for (path, block) in blocks(&read(guide)) {
            let path = path.unwrap_or_else(|| panic!("{guide}: a block of YAML names no example:\n{block}"));
            assert_eq!(block, read(&path), "{guide} quotes another {path}");
            quoted.insert(path);
        }
    }
    let missing: Vec<_> = examples()
        .into_iter()
        .filter(|e| !quoted.contains(e) && !quoted_by_name(e))
        .collect();
    assert!(missing.is_empty(), "no guide shows {missing:?}");
}

/// Shown by a link, where a guide takes it apart instead.
fn quoted_by_name(path: &str) -> bool {
    GUIDES
        .iter()
        .any(|guide| read(guide).contains(&format!("](../{path})")))
}

/// Without a fault, and without a warning.
#[test]
fn every_policy_of_a_guide_is_one() {
    let policies: Vec<String> = examples()
        .into_iter()
        .filter(|path| read(path).starts_with("version: 1\n"))
        .collect();
    assert!(policies.len() >= 9, "{policies:?}");
    for path in policies {
        assert!(yaml::to_json(&read(&path)).is_ok(), "{path}");
        let check = Command::new(env!("CARGO_BIN_EXE_meshgate"))
            .args(["check", "--deny-warnings", &path])
            .current_dir(ROOT)
            .output()
            .expect("meshgate");
        let said = String::from_utf8_lossy(&check.stdout) + String::from_utf8_lossy(&check.stderr);
        assert!(check.status.success(), "{path}: {said}");
    }
}

#[test]
fn links_of_the_guides_lead_somewhere() {
    for guide in GUIDES.into_iter().chain(["docs/image.md"]) {
        let text = read(guide);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if !link.starts_with("http") && !file.is_empty() {
                assert!(Path::new(ROOT).join("docs").join(file).exists(), "{guide}: {link}");
            }
        }
    }
}

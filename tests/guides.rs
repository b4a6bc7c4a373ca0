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
    for guide in GUIDES.into_iter().chain(["docs/image.md", "docs/mesh.md"]) {
        let text = read(guide);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, place) = link.split_once('#').unwrap_or((link, ""));
            if link.starts_with("http") {
                continue;
            }
            assert!(Path::new(ROOT).join("docs").join(file).exists(), "{guide}: {link}");
            if !place.is_empty() {
                let page = if file.is_empty() {
                    guide.to_owned()
                } else {
                    format!("docs/{file}")
                };
                let page = read(&page);
                let headings = page.lines().filter_map(|l| l.strip_prefix('#'));
                let mut places = headings.map(|h| h.trim_start_matches('#').trim().to_lowercase().replace(' ', "-"));
                assert!(places.any(|p| p == place), "{guide}: {link}");
            }
        }
    }
}

/// What docs/mesh.md names of istio/ and of the scripts is there; its commands run in tests/mesh.
#[test]
fn the_mesh_has_what_its_page_names() {
    let page = read("docs/mesh.md");
    let mut named = BTreeSet::new();
    let words = page.split(|c: char| c.is_whitespace() || "`()[],;:'\"".contains(c));
    for word in words.map(|w| w.trim_end_matches(['.', '/'])) {
        let place = ["istio/", "envoy/", "tests/", "scripts/"]
            .iter()
            .any(|start| word.starts_with(start));
        // WAY is one of three, * an environment; module.yaml is the reader's own; istio/istiod is Helm's.
        let own = ["module.yaml", "istio/istiod", "istio/gateway"]
            .iter()
            .any(|end| word.ends_with(end));
        if place && !own {
            named.insert(word.replace("WAY", "envoyfilter").replace('*', "prod"));
        }
    }
    assert!(named.len() > 15, "{named:?}");
    let missing: Vec<_> = named
        .iter()
        .filter(|path| !Path::new(ROOT).join(path).exists())
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    // Files by their bare name are somewhere under istio/.
    let quoted = page.split('`').skip(1).step_by(2);
    let files: Vec<&str> = quoted
        .filter(|q| !q.contains([' ', '/']) && q.ends_with(".yaml"))
        .collect();
    assert!(files.len() > 5, "{files:?}");
    for file in files.into_iter().filter(|f| *f != "module.yaml") {
        assert!(find(&Path::new(ROOT).join("istio"), file), "{file}");
    }
    let makefile = read("Makefile");
    let commands = page
        .split('`')
        .chain(page.lines())
        .filter_map(|text| text.strip_prefix("make "));
    let targets: BTreeSet<&str> = commands
        .flat_map(|c| c.split('#').next().unwrap_or_default().split(' '))
        .collect();
    for target in targets.into_iter().filter(|t| !t.is_empty()) {
        assert!(makefile.contains(&format!("\n{target}:")), "make {target}");
    }
}

fn find(folder: &Path, name: &str) -> bool {
    fs::read_dir(folder).expect("a folder").any(|entry| {
        let path = entry.expect("an entry").path();
        path.ends_with(name) || path.is_dir() && find(&path, name)
    })
}

//! The schemas say what the decoder does: neither more nor less, as far as a schema can.

use super::{BASE, faults};
use crate::command::meshgate;
use jsonschema::Validator;
use meshgate::config::{self, yaml};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn schema(of: &str) -> Value {
    let (status, output, told) = meshgate(&["schema", "--of", of], "");
    assert_eq!((status, told.as_str()), (0, ""));
    serde_json::from_str(&output).expect("JSON")
}

fn validator(of: &str) -> Validator {
    let schema = schema(of);
    jsonschema::meta::validate(&schema).expect("a schema");
    jsonschema::validator_for(&schema).expect("a schema")
}

fn document(text: &str) -> Value {
    let json = yaml::to_json(text).expect("YAML");
    serde_json::from_str(&json).expect("JSON")
}

#[track_caller]
fn fits(validator: &Validator, document: &Value, what: &str) {
    let errors: Vec<String> = validator
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{what}: {errors:#?}");
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn what_is_shipped_fits() {
    let policy = validator("policy");
    for path in ["envoy/policy.yaml", "tests/config/base.yaml"] {
        fits(&policy, &document(&read(path)), path);
    }
    for (of, files) in [
        ("platform", &["platform.yaml"][..]),
        (
            "team",
            &["teams/orders.yaml", "teams/catalog.yaml", "teams/payments.yaml"],
        ),
        ("environment", &["env/test.yaml", "env/pre.yaml", "env/prod.yaml"]),
    ] {
        let validator = validator(of);
        for file in files {
            let text = read(&format!("examples/policy/{file}"));
            fits(&validator, &document(&text), file);
            assert!(text.starts_with("# yaml-language-server: $schema="), "{file}");
        }
    }
    for environment in ["test", "pre", "prod"] {
        let (_, json, _) = meshgate(&["build", "examples/policy", "--env", environment], "");
        fits(&policy, &serde_json::from_str(&json).expect("JSON"), environment);
    }
}

/// Those of a list stand as far in as the list does.
fn snippets(text: &str) -> impl Iterator<Item = String> {
    text.match_indices("```yaml\n").filter_map(|(at, fence)| {
        let (before, rest) = (text.get(..at)?, text.get(at + fence.len()..)?);
        let indent = before.rsplit('\n').next()?;
        let lines = rest.lines().map(|line| line.strip_prefix(indent).unwrap_or(line));
        let own: Vec<&str> = lines.take_while(|line| *line != "```").collect();
        Some(own.join("\n"))
    })
}

/// Every snippet of the documentation that is a policy, or a part of one.
#[test]
fn what_is_documented_fits() {
    let policy = validator("policy");
    let (mut seen, mut folder) = (0, 0);
    for file in markdown() {
        let text = fs::read_to_string(&file).expect("text");
        for snippet in snippets(&text) {
            let snippet = snippet.as_str();
            let what = format!("{}: {snippet}", file.display());
            let first = snippet.lines().next().unwrap_or_default();
            // `# teams/orders.yaml` says what it is; another language's comment, that it is none of ours.
            let of = match first.strip_prefix("# ") {
                Some("platform.yaml") => "platform",
                Some(name) if name.starts_with("teams/") => "team",
                Some(name) if name.starts_with("env/") => "environment",
                Some(name) if name.starts_with('.') => continue,
                // tests/guides.rs holds these to their files, and has the policies among them checked.
                Some(name) if name.starts_with("examples/") => continue,
                // What kustomize is told; tests/mesh/manifests.rs builds it.
                Some(name) if name.starts_with("istio/overlays/") => continue,
                _ => "",
            };
            let mut document = document(snippet);
            // Envoy's, which `meshgate build --into` reads; cases of `meshgate test`, and what kustomize is told.
            let no_policy = ["vm_config", "cases", "kind"];
            if no_policy.iter().any(|field| document.get(field).is_some()) {
                continue;
            }
            if !of.is_empty() {
                folder += 1;
                // A part of a platform's file has no version.
                document
                    .as_object_mut()
                    .expect("an object")
                    .entry("version")
                    .or_insert(json!(1));
                if of != "platform" {
                    document.as_object_mut().expect("an object").remove("version");
                }
                fits(&validator(of), &document, &what);
                continue;
            }
            let fields = document.as_object_mut().unwrap_or_else(|| panic!("{what}"));
            if fields.contains_key("upstream") {
                let mut part = document.take();
                part["name"] = json!("a");
                document = json!({ "rules": [part] });
            }
            let fields = document.as_object_mut().expect("an object");
            if ["cache", "breaker"].iter().any(|part| fields.contains_key(*part)) {
                let part = document.take();
                let mut callout = json!({ "protocol": "ext_authz_http", "timeout": "1s", "principal": { "subject": "x" }, "on_failure": "deny" });
                callout
                    .as_object_mut()
                    .expect("an object")
                    .extend(part.as_object().cloned().expect("an object"));
                document = json!({ "authenticators": { "a": { "callout": callout } } });
            }
            let fields = document.as_object_mut().expect("an object");
            fields.entry("version").or_insert(json!(1));
            fields.entry("rules").or_insert(json!([]));
            fits(&policy, &document, &what);
            seen += 1;
        }
    }
    assert!(seen >= 3 && folder >= 3, "{seen} snippets, {folder} of folders");
}

fn markdown() -> Vec<PathBuf> {
    let mut files = vec![Path::new(ROOT).join("README.md")];
    let mut open = vec![Path::new(ROOT).join("docs")];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => open.push(path),
                false if path.extension().is_some_and(|extension| extension == "md") => files.push(path),
                false => {}
            }
        }
    }
    files
}

/// Each list of fields in the decoder's source is the list of an object of the schemas: none was not found.
#[test]
fn every_field_of_the_decoder_is_there() {
    let mut objects = BTreeSet::new();
    for of in ["policy", "platform", "team"] {
        collect(&schema(of), &mut objects);
    }
    let mut missing = vec![];
    let mut lists = 0;
    let mut open = vec![Path::new(ROOT).join("src/config")];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).expect("the decoder's sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            // No policy's.
            if path.ends_with("cases.rs") {
                continue;
            }
            for list in fs::read_to_string(&path).expect("a source").split("now: &[").skip(1) {
                let list = list.split(']').next().unwrap_or_default();
                let fields: BTreeSet<String> = list.split('"').skip(1).step_by(2).map(str::to_owned).collect();
                lists += 1;
                if !objects.contains(&fields) {
                    missing.push((path.clone(), fields));
                }
            }
        }
    }
    // Of each field something is known.
    let unknown: Vec<_> = objects.iter().filter(|object| object.contains("?")).collect();
    assert!(unknown.is_empty(), "nothing is known of a field of {unknown:?}");
    assert!(lists > 40, "{lists} lists");
    assert!(missing.is_empty(), "{missing:#?}");
}

fn collect(schema: &Value, objects: &mut BTreeSet<BTreeSet<String>>) {
    match schema {
        Value::Object(fields) => {
            if let Some(properties) = fields.get("properties").and_then(Value::as_object) {
                let own = |field: &&String| *field != "environments" && *field != "teams";
                let mut names: BTreeSet<String> = properties.keys().filter(own).cloned().collect();
                if properties.values().any(|schema| *schema == json!({})) {
                    names.insert("?".into());
                }
                objects.insert(names);
            }
            fields.values().for_each(|inner| collect(inner, objects));
        }
        Value::Array(items) => items.iter().for_each(|inner| collect(inner, objects)),
        _ => {}
    }
}

/// Whatever a value is replaced by: what the decoder takes, the schema takes; and a value of a wrong kind, an unknown
/// field, word or unit neither takes.
#[test]
fn the_schema_agrees_with_the_decoder() {
    let policy = validator("policy");
    let base = document(BASE);
    let mut places = vec![];
    walk(&base, &mut String::new(), &mut places);
    let probes = [
        json!(null),
        json!(true),
        json!(7),
        json!(7.5),
        json!("qqq"),
        json!([]),
        json!(["qqq"]),
        json!([7]),
        json!({}),
        json!({ "qqq": 1 }),
    ];
    let (mut taken, mut refused) = (0, 0);
    for place in &places {
        for probe in &probes {
            let mut changed = base.clone();
            *changed.pointer_mut(place).expect("a place") = probe.clone();
            let decoded = config::parse(changed.to_string().as_bytes());
            let valid = policy.is_valid(&changed);
            let what = format!("{place} = {probe}");
            if decoded.is_ok() {
                assert!(valid, "{what}: the decoder takes it, the schema does not");
                taken += 1;
                continue;
            }
            let found = faults(decoded);
            let of_kind = |fault: &String| {
                let at = |sign: &str| fault.starts_with(sign) || fault.contains(&format!(": {sign}"));
                at("expected ") || at("unknown field ") || at("unknown word ") || fault.contains(" has no unit")
            };
            // Claims of claims, and what others call a key, may be anything in the schema.
            let deep = place.contains("/claims/plan/") || place.contains("/keys/inline/keys/");
            if !deep && found.iter().any(of_kind) {
                assert!(!valid, "{what}: the schema takes it, the decoder says {found:#?}");
                refused += 1;
            }
        }
        // Without it.
        let (parent, field) = place.rsplit_once('/').unwrap_or_default();
        let mut changed = base.clone();
        if let Some(fields) = changed.pointer_mut(parent).and_then(Value::as_object_mut) {
            fields.remove(&field.replace("~1", "/").replace("~0", "~"));
            let decoded = config::parse(changed.to_string().as_bytes());
            let valid = policy.is_valid(&changed);
            assert!(valid || decoded.is_err(), "without {place}");
        }
    }
    println!(
        "{} places, {taken} values taken by both, {refused} refused by both",
        places.len()
    );
    assert!(places.len() > 150 && taken > 50 && refused > 1000, "{taken} {refused}");
}

fn walk(value: &Value, path: &mut String, places: &mut Vec<String>) {
    if !path.is_empty() {
        places.push(path.clone());
    }
    let length = path.len();
    let mut step = |name: &str, inner: &Value| {
        path.push('/');
        path.push_str(&name.replace('~', "~0").replace('/', "~1"));
        walk(inner, path, places);
        path.truncate(length);
    };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, inner)| step(name, inner)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(index, inner)| step(&index.to_string(), inner)),
        _ => {}
    }
}

/// `${name}` stands for anything in a folder, and for nothing else in a file.
#[test]
fn values_stand_for_what_they_are() {
    let text = "version: 1\nmode: \"${mode}\"\nlog: { query: \"${shown}\" }\nteams: { a: { owns: [{ hosts: \"${hosts}\", paths: [\"${path}\"] }], may: [identity] } }\n\
        authenticators: { a: { environments: [test], callout: { protocol: \"${p}\", cluster: c, timeout: \"${t}00ms\", principal: { subject: x }, on_failure: deny, cache: { ttl: 1s, max_entries: \"${n}\" } } } }\n";
    let platform = validator("platform");
    fits(&platform, &document(text), text);
    assert!(!validator("policy").is_valid(&document(text)));
    for wrong in [
        "mode: \"$mode\"",
        "mode: off",
        "teams: { a: { may: [all] } }",
        "rules: [{ nane: x }]",
    ] {
        assert!(
            !platform.is_valid(&document(&format!("version: 1\n{wrong}\n"))),
            "{wrong}"
        );
    }
    let environment = validator("environment");
    for (text, fine) in [
        ("a: b\n", true),
        ("a: 1\nb: true\nc: [x, 1]\n", true),
        ("a: { b: c }\n", false),
        ("a-b: c\n", false),
        ("a: null\n", false),
    ] {
        assert_eq!(environment.is_valid(&document(text)), fine, "{text}");
    }
}

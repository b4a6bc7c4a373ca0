//! The command line as a whole.

use super::BASE;
use std::io::Write;
use std::process::{Command, Stdio};

/// Exit status, standard output, standard error.
#[track_caller]
pub fn meshgate(arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_meshgate"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary");
    let mut stdin = child.stdin.take().expect("standard input");
    // A usage error is told without reading.
    stdin.write_all(input.as_bytes()).unwrap_or_default();
    drop(stdin);
    let output = child.wait_with_output().expect("an output");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (
        output.status.code().expect("a status"),
        text(output.stdout),
        text(output.stderr),
    )
}

/// `BASE` has one thing that is worth a look.
fn spotless() -> String {
    BASE.replace(r#"x-user-id: "{subject}""#, r#"x-user-id: "{authenticator}:{subject}""#)
}

/// Nothing else is told of `BASE`.
#[track_caller]
fn only_its_warning(told: &str) {
    let lines: Vec<&str> = told.lines().collect();
    assert!(
        lines.len() == 3 && lines[0].contains(":25: warning: identity.headers.x-user-id: mixes issuers"),
        "{told}"
    );
}

#[test]
fn check() {
    assert_eq!(
        meshgate(&["check", "-"], &spotless()),
        (
            0,
            "-: fine: 5 rules, 3 authenticate, 1 public, 1 refuse\n".into(),
            String::new()
        )
    );
    let faulty = BASE
        .replace("refuse: 404", "refuse: 402")
        .replace("mode: enforce", "mode: off");
    assert_eq!(
        meshgate(&["check", "-"], &faulty),
        (
            1,
            String::new(),
            "-:5:7: mode: unknown word \"off\": write enforce or observe\n\
             \x20 5 | mode: off\n\
             \x20   |       ^^^\n\
             -:113:11: rules[1].refuse: expected the number 403, 404, 410, 451 or 503, found the number 402\n\
             \x20 113 |   refuse: 402\n\
             \x20     |           ^^^\n\
             2 faults\n"
                .into()
        )
    );
}

#[test]
fn warnings_are_no_faults() {
    let observing = spotless().replace("mode: enforce", "mode: observe");
    assert_eq!(meshgate(&["check", "-", "--deny-warnings"], &observing).0, 1);
    let (status, _, warnings) = meshgate(&["check", "-"], &observing);
    assert_eq!(status, 0);
    assert_eq!(
        warnings,
        "-:5:7: warning: mode: observe: nothing is refused, stripped or changed\n  \
         5 | mode: observe\n    |       ^^^^^^^\n"
    );
}

#[test]
fn build() {
    let (status, json, errors) = meshgate(&["build", "-"], BASE);
    assert_eq!(status, 0);
    only_its_warning(&errors);
    assert_eq!(json.trim_end(), meshgate::config::yaml::to_json(BASE).expect("JSON"));
    let (status, json, errors) = meshgate(&["build", "-"], "version: 2\n");
    assert_eq!((status, json.as_str(), errors.lines().count()), (1, "", 6));
}

#[test]
fn build_into() {
    let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/config/base.yaml");
    let (status, json, errors) = meshgate(&["build", policy, "--into", "-"], "a: ['${MESHGATE_POLICY}']\n");
    assert_eq!(status, 0);
    only_its_warning(&errors);
    let document: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let inner = document["a"][0].as_str().expect("text");
    assert_eq!(inner, meshgate::config::yaml::to_json(BASE).expect("JSON"));
    let (status, json, errors) = meshgate(&["build", policy, "--into", "-"], "a: 1\n");
    assert_eq!((status, json.as_str()), (1, ""));
    assert!(
        errors.ends_with("\n-: no text is exactly ${MESHGATE_POLICY}\n"),
        "{errors}"
    );
}

/// Each cluster that is not there, with what may be meant; nothing where others are told of in another way.
#[test]
fn clusters_are_compared_with_the_bootstrap() {
    let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/config/base.yaml");
    let bootstrap = "static_resources:
  listeners: ['${MESHGATE_POLICY}']
  clusters: [{ name: prox }, { name: edge }, { name: 'outbound|8080||auth.platform.svc.cluster.local' }]
";
    let warnings = [
        r#"authenticators.proxy.callout.cluster: the bootstrap has no cluster "proxy": did you mean prox?"#,
        r#"authenticators.employee.jwt.keys.remote.service: the bootstrap has no cluster "outbound|443||id.example.com""#,
        r#"authenticators.customer.jwt.keys.discovery.service: the bootstrap has no cluster "outbound|443||login.example.com""#,
        r#"authenticators.reseller.api_key.keys.remote.service: the bootstrap has no cluster "outbound|80||keys""#,
    ];
    for command in ["check", "build"] {
        let told = |bootstrap: &str| meshgate(&[command, policy, "--into", "-"], bootstrap);
        let (status, _, errors) = told(bootstrap);
        assert_eq!(status, 0);
        let lines = errors
            .lines()
            .filter_map(|line| line.split_once(": warning: "))
            .filter(|(_, told)| !told.contains("mixes issuers"));
        let (places, told_of): (Vec<&str>, Vec<&str>) = lines.unzip();
        assert_eq!(told_of, warnings, "{command}");
        assert!(places[0].starts_with(&format!("{policy}:")), "{places:?}");
        let cds = format!("{bootstrap}dynamic_resources: {{ cds_config: {{ ads: {{}} }} }}\n");
        let elsewhere = "an_envoy_filter: ['${MESHGATE_POLICY}']\n";
        for other in [cds.as_str(), elsewhere] {
            let (status, _, errors) = told(other);
            assert_eq!(status, 0, "{command} {other}");
            only_its_warning(&errors);
        }
    }
    let shipped = |name| format!("{}/envoy/{name}", env!("CARGO_MANIFEST_DIR"));
    let (policy, bootstrap) = (shipped("policy.yaml"), shipped("envoy.yaml"));
    let (status, _, errors) = meshgate(&["check", &policy, "--into", &bootstrap], "");
    assert_eq!((status, errors.as_str()), (0, ""));
}

/// The key in `NAME`, in that of the policy.
#[track_caller]
fn jwks(policy: &str, key: &str) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_meshgate"))
        .args(["jwks", policy])
        .env("MESHGATE_SIGNING_KEY", key)
        .output()
        .expect("the binary");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (
        output.status.code().expect("a status"),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn a_new_signing_key_is_one_and_another_each_time() {
    let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/config/base.yaml");
    let kid = || {
        let (status, key, complaint) = meshgate(&["key", "new", "--signing"], "");
        assert_eq!((status, complaint.as_str()), (0, ""));
        let (status, set, complaint) = jwks(policy, &key);
        assert_eq!((status, complaint.as_str()), (0, ""));
        let set: serde_json::Value = serde_json::from_str(&set).expect("JSON");
        let keys = set["keys"].as_array().expect("keys");
        assert_eq!((keys.len(), keys[0]["alg"].as_str()), (1, Some("ES256")));
        assert_eq!(keys[0].get("d"), None);
        keys[0]["kid"].as_str().expect("a kid").to_owned()
    };
    assert_ne!(kid(), kid());
    let secret = "MIGHAgEAMBMGByqGSM49AgEGCC";
    let (status, set, complaint) = jwks(policy, secret);
    assert_eq!((status, set.as_str()), (1, ""));
    let why = "identity.assertion.keys[0].env: the variable MESHGATE_SIGNING_KEY holds no private key in PEM";
    assert_eq!(complaint, format!("{policy}: {why}\n"));
    let without = meshgate(&["jwks", "-"], "version: 1\nrules: [{ name: a, refuse: 404 }]\n");
    assert_eq!(
        without,
        (1, String::new(), "-: there is no identity.assertion\n".into())
    );
}

#[test]
fn usage() {
    for arguments in [
        &["check"][..],
        &["check", "--all"],
        &["check", "a", "b"],
        &["build", "-", "--into"],
        &["build", "-", "--into", "-"],
        &["check", "-", "--into", "-"],
        &["frobnicate", "a"],
        &["jwks"],
        &["key", "old", "--signing"],
    ] {
        let (status, output, errors) = meshgate(arguments, "");
        assert_eq!((status, output.as_str()), (2, ""), "{arguments:?}");
        assert!(errors.contains("--help"), "{errors}");
    }
    let (status, _, errors) = meshgate(&["check", "/nowhere/policy.yaml"], "");
    assert_eq!(status, 2);
    assert!(errors.starts_with("meshgate: /nowhere/policy.yaml: "), "{errors}");
    let (status, output, _) = meshgate(&["--help"], "");
    assert!(status == 0 && output.contains("Usage: meshgate <COMMAND>"), "{output}");
    // Nothing is asked for: the same, as an error.
    let (status, output, errors) = meshgate(&[], "");
    assert!(
        (status, output.as_str()) == (2, "") && errors.contains("Usage: "),
        "{errors}"
    );
    let version = concat!("meshgate ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(meshgate(&["--version"], ""), (0, version.into(), String::new()));
}

#[test]
fn a_new_key_is_one_and_another_each_time() {
    let key = || {
        let (status, key, complaint) = meshgate(&["key", "new"], "");
        assert_eq!((status, complaint), (0, String::new()));
        key
    };
    let keys = [key(), key()];
    assert_ne!(keys[0], keys[1]);
    for key in keys {
        assert!(::meshgate::cache::SealKey::parse(&key).is_some(), "{key}");
    }
    assert_eq!(meshgate(&["key", "old"], "").0, 2);
}

/// The commands that `--help` lists, each with the words that lead to it.
fn commands(words: &[&str]) -> Vec<Vec<String>> {
    let (status, help, _) = meshgate(&[words, &["--help"]].concat(), "");
    assert_eq!(status, 0, "{words:?}");
    let listed = help
        .split("Commands:\n")
        .nth(1)
        .map(|rest| rest.split("\n\n").next().unwrap_or_default());
    let names = listed
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let mut found = vec![];
    for name in names.filter(|name| *name != "help") {
        let within = [words, &[name]].concat();
        let inner = commands(&within);
        match inner.is_empty() {
            true => found.push(within.iter().map(|word| (*word).to_owned()).collect()),
            false => found.extend(inner),
        }
    }
    found
}

#[test]
fn every_command_has_an_example_a_page_and_completions() {
    let commands = commands(&[]);
    assert!(commands.len() >= 7, "{commands:?}");
    let shells = ["bash", "zsh", "fish", "elvish", "powershell"];
    let scripts = shells.map(|shell| meshgate(&["completions", shell], "").1);
    for command in &commands {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let (_, help, _) = meshgate(&[&words[..], &["--help"]].concat(), "");
        let example = help.split("Example:\n").nth(1).unwrap_or_default();
        assert!(example.contains(&format!("meshgate {}", command.join(" "))), "{help}");
        let (status, page, _) = meshgate(&[&["man"][..], &words].concat(), "");
        assert!(
            status == 0 && page.contains(".SH SYNOPSIS") && page.contains("Example"),
            "{command:?}: {page}"
        );
        for script in &scripts {
            assert!(script.contains(words[words.len() - 1]), "{command:?}");
        }
    }
    assert_eq!(meshgate(&["man", "chekc"], "").0, 2);
    let (_, page, _) = meshgate(&["man"], "");
    assert!(
        page.contains("meshgate\\-check") && page.contains("Exit status"),
        "{page}"
    );
    // As a shell reads it.
    let checked = Command::new("bash").arg("-nc").arg(&scripts[0]).status().expect("bash");
    assert!(checked.success());
}

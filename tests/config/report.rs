//! How faults and warnings are told.

use super::BASE;
use crate::command::meshgate;
use serde_json::{Value, json};
use std::io::Read;
use std::os::fd::FromRawFd;
use std::process::{Command, Stdio};

const TEN: &str = "tests/config/ten";

/// One rule each, and what is worth a look: place, path, message.
#[test]
fn warnings() {
    let policy = |rules: &str, identity: &str| {
        format!(
            "version: 1\nidentity: {{ headers: {{ x-user: \"{identity}\" }} }}\nauthenticators:\n  \
             a: {{ callout: {{ protocol: ext_authz_http, cluster: a, timeout: 1s, principal: {{ subject: x-u }}, on_failure: deny }} }}\n  \
             k: {{ api_key: {{ from: [{{ header: x-key }}], keys: {{ remote: {{ cluster: k, authority: k, path: /k }} }} }} }}\n\
             rules:\n{rules}\n"
        )
    };
    let one = "- { name: x, match: { hosts: [h.test], paths: [PATH] }, authenticate: [k, a] }";
    let both = "{authenticator}:{subject}";
    for (rules, identity, expected) in [
        (one.replace("PATH", "/x/**"), both, &[][..]),
        (
            one.replace("PATH", "/x/*"),
            both,
            &["7:48: warning: rules[0].match.paths[0]: \"/x/*\" takes one segment: write /x/** for everything below, or /x/{id} where one is meant"],
        ),
        (one.replace("PATH", "\"/x/{id}\", /*.css"), both, &[]),
        (
            one.replace("PATH", "/x/**"),
            "{subject}",
            &["2:32: warning: identity.headers.x-user: mixes issuers: the same subject of k and a is two callers (rule x): write \"{authenticator}:{subject}\", or a header with {authenticator} beside it"],
        ),
        (one.replace("PATH", "/x/**"), "{groups}", &[]),
        (one.replace("PATH", "/x/**").replace("[k, a]", "[a]") + "\n- { name: y, match: { hosts: [h.test], paths: [/k] }, authenticate: [k] }", "{subject}", &[]),
        (
            "- { name: s, mode: shadow, match: { hosts: [\"*.test\"], paths: [\"/x/**\"] }, refuse: 404 }\n".to_owned()
                + &one.replace("PATH", "/x/y"),
            both,
            &["8:3: warning: rules[1] (x): only shadow rules cover it: nothing reaches it once s is enforced"],
        ),
        (
            "- { name: s, mode: shadow, match: { hosts: [\"*.test\"], paths: [\"/x/**\"], methods: [GET] }, refuse: 404 }\n".to_owned()
                + &one.replace("PATH", "/x/y"),
            both,
            &[],
        ),
    ] {
        let (status, _, told) = meshgate(&["check", "-"], &policy(&rules, identity));
        let told: Vec<&str> = told.lines().filter_map(|line| line.strip_prefix("-:")).collect();
        assert_eq!((status, told.as_slice()), (0, expected), "{rules} {identity}");
    }
}

#[test]
fn json_tells_what_text_tells() {
    let (status, output, told) = meshgate(&["check", TEN, "--format", "json"], "");
    assert_eq!((status, told.as_str()), (1, ""));
    let report: Value = serde_json::from_str(&output).expect("JSON");
    assert_eq!(
        (&report["fine"], report["faults"].as_array().expect("a list").len()),
        (&json!(false), 10)
    );
    assert_eq!(
        report["faults"][0],
        json!({
            "file": "tests/config/ten/platform.yaml",
            "line": 2,
            "column": 7,
            "end_column": 15,
            "path": "mode",
            "message": "unknown word \"enforced\": write enforce or observe",
        })
    );
    assert_eq!(report["warnings"], json!([]));
    let (status, output, _) = meshgate(
        &["check", "-", "--format", "json"],
        &BASE.replace("mode: enforce", "mode: observe"),
    );
    let report: Value = serde_json::from_str(&output).expect("JSON");
    assert_eq!(
        (status, &report["fine"], &report["faults"]),
        (0, &json!(true), &json!([]))
    );
    assert_eq!(report["warnings"][0]["path"], "mode");
}

/// What only some environments have says which.
#[test]
fn environments_are_named() {
    let folder = std::env::temp_dir().join(format!("meshgate-named-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("env")).expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("written");
    write(
        "platform.yaml",
        "version: 1\nrules: [{ name: a, refuse: \"${status}\", match: { hosts: [a b] } }]\n",
    );
    write("env/prod.yaml", "status: 404\n");
    write("env/test.yaml", "status: 405\n");
    let (status, output, _) = meshgate(&["check", folder.to_str().expect("text"), "--format", "json"], "");
    std::fs::remove_dir_all(folder).expect("removed");
    let report: Value = serde_json::from_str(&output).expect("JSON");
    let faults = report["faults"].as_array().expect("a list").iter();
    let named: Vec<(&str, &Value)> = faults
        .map(|f| (f["path"].as_str().expect("a path"), &f["environments"]))
        .collect();
    let message = report["faults"][0]["message"].as_str().expect("a message");
    assert_eq!(status, 1);
    assert_eq!(
        named,
        [
            ("rules[0].refuse", &json!(["test"])),
            ("rules[0].match.hosts[0]", &Value::Null)
        ]
    );
    assert!(
        message.ends_with("found the number 405 (${status} of env/test.yaml:1)"),
        "{message}"
    );
}

/// Structure of SARIF 2.1.0: what the standard requires of the objects that are used here, and that nothing dangles.
/// The log was also validated with the JSON schema of OASIS, which has no place in this repository.
#[test]
fn sarif() {
    let (status, output, told) = meshgate(&["check", TEN, "--format", "sarif"], "");
    assert_eq!((status, told.as_str()), (1, ""));
    let log: Value = serde_json::from_str(&output).expect("JSON");
    assert_eq!(log["version"], "2.1.0");
    assert!(
        log["$schema"]
            .as_str()
            .is_some_and(|uri| uri.ends_with("/sarif-schema-2.1.0.json"))
    );
    let run = &log["runs"][0];
    let driver = &run["tool"]["driver"];
    assert_eq!(
        (&driver["name"], &run["columnKind"]),
        (&json!("meshgate"), &json!("unicodeCodePoints"))
    );
    let results = run["results"].as_array().expect("results");
    assert_eq!(results.len(), 10);
    for result in results {
        let rule = result["ruleIndex"].as_u64().expect("an index") as usize;
        assert_eq!(driver["rules"][rule]["id"], result["ruleId"]);
        assert_eq!(result["level"], "error");
        assert!(result["message"]["text"].as_str().is_some_and(|text| !text.is_empty()));
        let place = &result["locations"][0]["physicalLocation"];
        let uri = place["artifactLocation"]["uri"].as_str().expect("a URI");
        assert!(
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(uri).is_file(),
            "{uri}"
        );
        let of = |name: &str| place["region"][name].as_u64().expect("a number");
        assert!(of("startLine") > 0 && of("startColumn") > 0 && of("endColumn") > of("startColumn"));
    }
    let (status, output, _) = meshgate(&["check", "-", "--format", "sarif"], BASE);
    let log: Value = serde_json::from_str(&output).expect("JSON");
    let results = log["runs"][0]["results"].as_array().expect("results");
    assert_eq!((status, results.len(), &results[0]["level"]), (0, 1, &json!("warning")));
}

/// Colours are for whoever looks at them.
#[test]
fn colours_only_on_a_terminal() {
    let on_terminal = |variable: Option<(&str, &str)>| {
        let (mut ours, mut theirs) = (0, 0);
        let null = std::ptr::null_mut();
        // SAFETY: two descriptors are written, and both are ours then.
        let (ours, theirs) = unsafe {
            assert_eq!(libc::openpty(&mut ours, &mut theirs, null, null.cast(), null.cast()), 0);
            (std::fs::File::from_raw_fd(ours), std::fs::File::from_raw_fd(theirs))
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_meshgate"));
        command.args(["check", TEN]).stdout(Stdio::null()).stderr(theirs);
        command.env("TERM", "xterm").env_remove("NO_COLOR").envs(variable);
        let mut child = command.spawn().expect("the binary");
        // Our copy of their end: reading ends when the last is closed.
        drop(command);
        let mut told = vec![];
        let mut ours = ours;
        // Linux reports the other end's closing as an error.
        ours.read_to_end(&mut told).unwrap_or_default();
        assert_eq!(child.wait().expect("a status").code(), Some(1));
        String::from_utf8(told).expect("UTF-8")
    };
    assert!(on_terminal(None).contains("\x1b[1;31m^^^^^^^^\x1b[0m"));
    for variable in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let told = on_terminal(Some(variable));
        assert!(told.contains("^^^^^^^^") && !told.contains('\x1b'), "{variable:?}");
    }
    let (_, _, told) = meshgate(&["check", TEN], "");
    assert!(!told.contains('\x1b'));
}

/// A policy in one line, and one that would move the cursor.
#[test]
fn lines_are_shown_as_far_as_they_help() {
    let (_, json, _) = meshgate(&["build", "-"], BASE);
    let (_, _, told) = meshgate(&["check", "-"], &json.replace("\"refuse\":404", "\"refuse\":402"));
    let lines: Vec<&str> = told.lines().take(3).collect();
    assert!(lines.iter().skip(1).all(|line| line.chars().count() < 140), "{told}");
    let at = lines[2].find('^').expect("a mark");
    let marked = lines[1]
        .char_indices()
        .map(|(_, c)| c)
        .skip(at)
        .take(3)
        .collect::<String>();
    assert_eq!((marked.as_str(), lines[2].matches('^').count()), ("402", 3), "{told}");
    let (_, _, told) = meshgate(&["check", "-"], "version: 1\nmode: \"\\e[2J\" # \u{9b}2J\n");
    assert!(!told.contains(['\x1b', '\u{9b}']), "{told:?}");
}

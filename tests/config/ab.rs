//! `meshgate ab`: how experiments split, and whom a changed policy would move.

use super::BASE;
use crate::command::meshgate;
use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A place of one test's own, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("meshgate-ab-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }

    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.0.join(name), text).expect("a file");
        self.path(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap_or_default();
    }
}

fn policy(experiments: &str) -> String {
    format!("version: 1\nrules: [{{ name: all, refuse: 404 }}]\nexperiments:\n{experiments}")
}

const HALVES: &str = "  colour: { unit: [subject], header: x-colour, variants: [{ name: red, weight: 50% }, { name: blue, weight: 50% }] }\n";

#[test]
fn the_split_is_a_table() {
    let (status, table, errors) = meshgate(&["ab", "-", "--count", "100000"], &policy(HALVES));
    assert_eq!((status, errors.as_str()), (0, ""));
    assert_eq!(
        table,
        "colour: 100,000 units, growthbook-v2, seed \"colour\"\n\
         \x20 variant   units   share      99% interval  policy\n\
         \x20 red      50,153  50.15%  49.75% to 50.56%  50%\n\
         \x20 blue     49,847  49.85%  49.44% to 50.25%  50%\n"
    );
}

/// Ten of a variant that is told half of them, and nobody else.
#[test]
fn units_of_a_file_and_who_is_moved() {
    let folder = Folder::new("moved");
    let old = folder.write("old.yaml", &policy(HALVES));
    let new = folder.write(
        "new.yaml",
        &policy(
            &HALVES
                .replace("red, weight: 50%", "red, weight: 60%")
                .replace("blue, weight: 50%", "blue, weight: 40%"),
        ),
    );
    let units: Vec<String> = (0..1000).map(|at| format!("u{at}\r\n\n")).collect();
    let units = folder.write("units.txt", &units.concat());
    let (moved, svg) = (folder.path("moved.tsv"), folder.path("split.svg"));
    let (status, table, errors) = meshgate(
        &[
            "ab",
            &new,
            "--against",
            &old,
            "--units",
            &units,
            "--moved",
            &moved,
            "--svg",
            &svg,
        ],
        "",
    );
    assert_eq!((status, errors.as_str()), (0, ""));
    assert!(table.starts_with("colour: 1,000 units, "), "{table}");
    let moved = fs::read_to_string(&moved).expect("the moved");
    let rows: Vec<&str> = moved.lines().collect();
    assert!((70..130).contains(&rows.len()), "{}", rows.len());
    assert!(
        rows.iter()
            .all(|row| row.starts_with("colour\tu") && row.ends_with("\tblue\tred")),
        "{moved}"
    );
    assert!(table.contains(&format!("    blue -> red: {}, ", rows.len())), "{table}");
    let first = rows[0].split('\t').nth(1).expect("a unit");
    assert!(
        table.contains(&format!("  first of them:\n    {first}: blue -> red\n")),
        "{table}"
    );
    let svg = fs::read_to_string(&svg).expect("a chart");
    assert!(
        svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && svg.contains(">colour<"),
        "{svg}"
    );
    let (_, same, _) = meshgate(&["ab", &old, "--against", &old, "--units", &units], "");
    assert!(same.ends_with("  nobody moves\n"), "{same}");
}

/// Whoever is moved moves in no other way than coverage says: in, and never around.
#[test]
fn a_schedule_goes_by_the_time_that_is_asked_for() {
    let at = |time: &str| {
        meshgate(
            &["ab", "-", "--experiment", "ramp", "--at", time, "--count", "20000"],
            BASE,
        )
        .1
    };
    assert!(at("2026-11-30T00:00:00Z").contains("coverage 0% by then"));
    assert!(at("2026-12-01T00:00:00Z").contains("coverage 1% by then"));
    let ramped = at("2026-12-02T00:00:00Z");
    assert!(
        ramped.contains("coverage 100% by then, layer pricing [50%, 75.5%]"),
        "{ramped}"
    );
}

/// Whoever has all or nothing is where the interval ends, which no rounding may move; for these counts it did.
#[test]
fn all_and_nothing_are_in_the_interval() {
    let all = HALVES
        .replace("red, weight: 50%", "red, weight: 100%")
        .replace("blue, weight: 50%", "blue, weight: 0%");
    for count in [1, 6, 7, 8, 21, 23, 25, 28, 1000] {
        let (status, table, _) = meshgate(&["ab", "-", "--count", &count.to_string()], &policy(&all));
        assert_eq!(status, 0, "{table}");
        assert!(!table.contains("not in the interval"), "{table}");
    }
}

/// Neither what is read, by whatever name, nor what a run before has written is lost to one that fails.
#[test]
fn nothing_is_lost_to_the_moved() {
    let folder = Folder::new("lost");
    let old = folder.write("old.yaml", &policy(HALVES));
    let new = folder.write("new.yaml", &policy(&HALVES.replace("colour:", "shape:")));
    let units = folder.write("units.txt", "ann\nbob\n");
    let link = folder.path("link");
    std::os::unix::fs::symlink(&units, &link).expect("a link");
    let platform = {
        fs::create_dir_all(folder.0.join("all/env")).expect("a folder");
        folder.write("all/env/prod.yaml", "{}\n");
        folder.write("all/platform.yaml", &policy(HALVES))
    };
    let around =
        folder.path("../").trim_end_matches('/').to_owned() + "/" + folder.0.file_name().unwrap().to_str().unwrap();
    let again = format!("{around}/old.yaml");
    for (input, output) in [
        (&new, "--moved"),
        (&old, "--moved"),
        (&units, "--moved"),
        (&link, "--moved"),
        (&again, "--moved"),
        (&new, "--svg"),
    ] {
        let before = fs::read(input).expect("an input");
        let arguments = ["ab", &new, "--against", &old, "--units", &units, output, input];
        refused(
            &arguments,
            "",
            2,
            &format!("{output} would overwrite what is read: {input}"),
        );
        assert_eq!(fs::read(input).expect("it is still there"), before);
    }
    let all = folder.path("all");
    let arguments = [
        "ab",
        &all,
        "--env",
        "prod",
        "--against",
        &all,
        "--units",
        &units,
        "--moved",
        &platform,
    ];
    refused(&arguments, "", 2, "would overwrite what is read");

    let moved = folder.write("moved.tsv", "of a run before\n");
    let long = folder.write("long.txt", &format!("ann\n{}", "x".repeat(70_000)));
    refused(
        &["ab", &old, "--against", &old, "--units", &long, "--moved", &moved],
        "",
        2,
        "line 2 is over",
    );
    assert_eq!(
        fs::read_to_string(&moved).expect("it is still there"),
        "of a run before\n"
    );
    let fine = meshgate(
        &["ab", &old, "--against", &old, "--units", &units, "--moved", &moved],
        "",
    );
    assert_eq!(
        (fine.0, fs::read_to_string(&moved).expect("the moved").as_str()),
        (0, "")
    );
    let left = fs::read_dir(&folder.0)
        .expect("the folder")
        .map(|e| e.expect("an entry").file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with('.')).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Whoever interrupts it finds what was there before, and nothing besides.
#[test]
fn an_interrupted_command_leaves_nothing_behind() {
    let folder = Folder::new("interrupted");
    let policy = folder.write("policy.yaml", &policy(HALVES));
    let moved = folder.write("moved.tsv", "before\n");
    let mut child = Command::new(env!("CARGO_BIN_EXE_meshgate"))
        .args(["ab", &policy, "--against", &policy, "--units", "-", "--moved", &moved])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary");
    // More than a pipe holds: what comes through was read, by a command that has opened its file.
    let mut units = child.stdin.take().expect("standard input");
    for at in 0..200_000 {
        writeln!(units, "unit-{at}").expect("read");
    }
    let pid = libc::pid_t::try_from(child.id()).expect("a process");
    // SAFETY: a signal to our own child, which nobody has waited for yet.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGINT) }, 0);
    let status = child.wait().expect("ended");
    assert_eq!(status.signal(), Some(libc::SIGINT));
    let there = fs::read_dir(&folder.0).expect("a folder").flatten();
    let mut there: Vec<String> = there
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    there.sort();
    assert_eq!(there, ["moved.tsv", "policy.yaml"]);
    assert_eq!(fs::read_to_string(&moved).expect("a file"), "before\n");
}

#[test]
fn what_is_new_or_gone_is_said() {
    let folder = Folder::new("gone");
    let old = folder.write("old.yaml", &policy(HALVES));
    let shapes = HALVES.replace("colour", "shape");
    let new = folder.write("new.yaml", &policy(&shapes));
    let (_, table, _) = meshgate(&["ab", &new, "--against", &old, "--count", "10"], "");
    assert!(table.ends_with("\nshape: new\n\ncolour: gone\n"), "{table}");
    let other = folder.write("other.yaml", &policy(&HALVES.replace("[subject]", "[client_ip]")));
    let (_, table, _) = meshgate(&["ab", &other, "--against", &old, "--count", "10"], "");
    assert!(
        table.ends_with("\ncolour: goes by other units, so that callers with several move besides\n"),
        "{table}"
    );
}

#[track_caller]
fn refused(arguments: &[&str], input: &str, status: i32, expected: &str) {
    let (found, output, errors) = meshgate(arguments, input);
    assert_eq!((found, output.as_str()), (status, ""), "{errors}");
    assert!(errors.contains(expected), "{errors}");
}

#[test]
fn what_cannot_be_done_is_told() {
    let halves = policy(HALVES);
    refused(
        &["ab", "-"],
        &policy(&HALVES.replace("50%", "51%")),
        1,
        "the weights are 102% together",
    );
    refused(
        &["ab", "-"],
        "version: 1\nrules: [{ name: all, refuse: 404 }]\n",
        2,
        "-: no experiments",
    );
    refused(
        &["ab", "-", "--experiment", "color"],
        &halves,
        2,
        "-: no experiment is named \"color\", but colour",
    );
    refused(
        &["ab", "-", "--units", "-"],
        &halves,
        2,
        "standard input can be one of the two",
    );
    refused(&["ab", "-", "--units", "/nowhere"], &halves, 2, "/nowhere: ");
    refused(&["ab", "-", "--at", "noon"], &halves, 2, "--at: \"noon\" is no time");
    refused(&["ab", "-", "--count", "0"], &halves, 2, "--count");
    refused(
        &["ab", "-", "--count", "10", "--svg", "/nowhere/a.svg"],
        &halves,
        2,
        "/nowhere/a.svg: ",
    );
    refused(
        &["ab", "-", "--count", "10", "--units", "x"],
        &halves,
        2,
        "cannot be used with",
    );
    refused(&["ab", "-", "--moved", "x"], &halves, 2, "--against");
    let folder = Folder::new("long");
    let (policy, empty) = (folder.write("p.yaml", &halves), folder.write("empty.txt", ""));
    refused(&["ab", &policy, "--units", &empty], "", 2, "no units");
    let blank = folder.write("blank.txt", "\n\r\n\n");
    refused(&["ab", &policy, "--units", &blank], "", 2, "no units");
    let long = folder.write("long.txt", &"x".repeat(70_000));
    refused(&["ab", &policy, "--units", &long], "", 2, "line 1 is over 65536 bytes");
}

//! The commands as a whole.

use std::path::PathBuf;
use std::process::Command;

/// Exit status, standard output, standard error.
#[track_caller]
pub fn meshgate(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_meshgate"))
        .args(arguments)
        .output()
        .expect("the binary");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (
        output.status.code().expect("a status"),
        text(output.stdout),
        text(output.stderr),
    )
}

/// Gone with its value.
pub struct TempFile(PathBuf);

impl TempFile {
    /// `name`: of one test alone.
    pub fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("meshgate-{}-{name}", std::process::id()));
        std::fs::write(&path, text).expect("a file");
        Self(path)
    }

    pub fn path(&self) -> &str {
        self.0.to_str().expect("text")
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap_or_default();
    }
}

#[test]
fn explain_says_by_its_status_what_becomes_of_the_request() {
    let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/envoy/policy.yaml");
    let reply = TempFile::new("reply.txt", "HTTP/1.1 200 OK\r\nx-auth-user: ann\r\n\r\n");
    let orders = "http://localhost/orders/1";
    let secret = ["-H", "Authorization: Bearer s3cret"];
    let [option, header] = secret;
    for (arguments, status, part) in [
        (
            vec![orders, option, header, "--auth-reply", reply.path()],
            0,
            "= x-user-id: ann",
        ),
        (vec![orders, option, header], 4, "would ask cluster auth"),
        (vec![orders], 3, "answered 401"),
        (vec![orders, "--as", "subject=bob"], 0, "= x-user-id: bob"),
        (
            vec!["POST http://localhost/admin/1", "--as", "subject=bob", "--json"],
            3,
            "\"cause\": \"groups\"",
        ),
    ] {
        let arguments: Vec<&str> = ["explain", policy].into_iter().chain(arguments).collect();
        let (is, output, errors) = meshgate(&arguments);
        assert_eq!((is, errors.as_str()), (status, ""), "{arguments:?}");
        assert!(output.contains(part) && !output.contains("s3cret"), "{output}");
    }
    for arguments in [
        vec!["explain", policy],
        vec!["explain", policy, "/orders"],
        vec!["explain", policy, orders, "--as", "bob"],
        vec!["explain", policy, orders, "--as", "subject=bob,authenticator=nobody"],
        vec![
            "explain",
            policy,
            orders,
            "--as",
            "subject=bob",
            "--auth-reply",
            reply.path(),
        ],
        vec!["explain", policy, orders, "--at", "noon"],
        vec!["explain", policy, orders, "--auth-reply", "nowhere"],
    ] {
        let (status, output, errors) = meshgate(&arguments);
        assert_eq!((status, output.as_str()), (2, ""), "{arguments:?} {errors}");
    }
    let faulty = TempFile::new("faulty.yaml", "version: 2\nrules: []\n");
    assert_eq!(meshgate(&["explain", faulty.path(), orders]).0, 1);
}

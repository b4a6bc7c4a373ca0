//! examples/migrate/: what is migrated from, where it can run here, and what is migrated to, beside each other.

mod canary;
mod clusters;
mod ext_authz;
mod kong;
mod lua;

use crate::policies;
use crate::shipped::read;
use crate::support::*;
use serde_json::{Value, json};

/// The documents of a file under examples/migrate/.
fn documents(name: &str) -> Vec<Value> {
    let text = read(&format!("examples/migrate/{name}"));
    let json = |text| serde_json::from_str(&policies::json(text)).expect("JSON");
    text.split("\n---\n").map(json).collect()
}

fn example(name: &str) -> Value {
    documents(name).remove(0)
}

/// A policy of the examples. A busy machine may need longer than the half second that a service is given there.
fn policy(name: &str) -> Value {
    let mut policy = example(name);
    let callout = &mut policy["authenticators"]["account"]["callout"];
    if !callout.is_null() {
        assert_eq!(callout["timeout"], "500ms");
        callout["timeout"] = json!("5s");
    } else {
        policy["authenticators"]
            .as_object_mut()
            .expect("authenticators")
            .remove("account");
    }
    policy
}

/// An upstream's view of these headers, each with all its values.
fn seen(received: &Received, names: &[&str]) -> Vec<Option<String>> {
    let of = |name: &&str| {
        let all: Vec<String> = received.headers.all(name).into_iter().map(message::lossy).collect();
        (!all.is_empty()).then(|| all.join(" + "))
    };
    names.iter().map(of).collect()
}

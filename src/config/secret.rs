//! Secrets: a policy names the environment variable that holds one, and never the secret itself.

use super::node::{Node, Value};
use super::read::{Fields, Known, VISIBLE};
use super::sink::{Checked, Sink};
use crate::policy::Secret;

const FIELDS: Known = Known {
    now: &["env"],
    later: &[],
};

/// `{ env: NAME }`
pub fn read(sink: &Sink, node: &Node) -> Checked<Secret> {
    let Value::Map(_) = &node.value else {
        let message = format!("expected an object: {VISIBLE}, so write {{ env: NAME }} and keep the secret there");
        return Err(sink.fault(node, message));
    };
    let fields = Fields::of(sink, node, &FIELDS)?;
    let node = fields.required("env", ": name the environment variable that holds the secret")?;
    let env = sink.text(node)?;
    if !is_variable(env) {
        // It may be the secret.
        let message = "no name of an environment variable: up to 128 of A-Z a-z 0-9 _, no digit first";
        return Err(sink.fault(node, message));
    }
    Ok(Secret { env: env.to_owned() })
}

fn is_variable(text: &str) -> bool {
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts && text.len() <= 128 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

//! A policy as the command line builds it: the tree that is decoded is the one that is written, so what was
//! checked is what Envoy gets.

use super::node::{Entry, Node, Value};
use super::{Fault, Faults, Mark, Parsed, advice, document, lint, write, yaml};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// A policy without faults.
#[derive(Debug)]
pub struct Built {
    /// Its warnings are those of the policy and what `check` finds besides.
    pub parsed: Parsed,
    pub document: Document,
}

/// What a policy was read from.
#[derive(Debug)]
pub struct Document(Node);

impl Document {
    /// The one document that Envoy is given, compact, keys in their order; it has a `revision`.
    pub fn json(&self) -> String {
        write::json(&self.0)
    }

    /// Each cluster that the policy names and this bootstrap of Envoy's does not have.
    pub fn unknown_clusters(&self, bootstrap: &str) -> Result<Vec<Fault>, Faults> {
        Ok(advice::unknown_clusters(&self.0, &yaml::read(bootstrap)?))
    }
}

/// They tell the policies of one company apart, and fit a log line.
const REVISION_BYTES: usize = 6;

impl Built {
    /// Of one file, in YAML or JSON.
    pub fn of_text(text: &str) -> Result<Self, Faults> {
        of_tree(yaml::read(text)?)
    }
}

/// `root` need not be numbered.
pub fn of_tree(mut root: Node) -> Result<Built, Faults> {
    name_revision(&mut root);
    let root = root.numbered();
    let mut parsed = document::read(&root)?;
    parsed.warnings.extend(advice::of(&root, &parsed.policy));
    parsed.warnings.extend(lint::warnings(&root, &parsed.policy));
    parsed.warnings.sort_by_key(|warning| warning.at.map(Mark::order));
    Ok(Built {
        parsed,
        document: Document(root),
    })
}

/// A policy that has no `revision` is named by its content: the same policy has the same name wherever and whenever it
/// is built, and a proxy that reports another name runs another policy.
fn name_revision(root: &mut Node) {
    let Value::Map(entries) = &root.value else { return };
    if entries.iter().any(|entry| entry.key == "revision") {
        return;
    }
    let digest = Sha256::digest(write::json(root));
    let at = root.at;
    let Value::Map(entries) = &mut root.value else { return };
    let mut named = String::from("sha256-");
    for byte in digest.iter().take(REVISION_BYTES) {
        write!(named, "{byte:02x}").unwrap_or_default();
    }
    let behind_version = entries.iter().position(|entry| entry.key == "version");
    let position = behind_version.map_or(0, |version| version + 1);
    let revision = Entry {
        key: "revision".into(),
        at,
        node: Node::new(Value::Text(named), at),
    };
    entries.insert(position, revision);
}

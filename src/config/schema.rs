//! JSON Schemas for editors, found out by asking the decoder: each place of a document is filled with a value of each
//! kind, and what the decoder notes and says of it becomes the schema of that place. There is no second list of fields
//! that could differ from the first.

mod ask;
mod folder;

use serde_json::{Value, json};

/// Which of a policy's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A policy of one file.
    Policy,
    /// `platform.yaml`
    Platform,
    /// `teams/NAME.yaml`
    Team,
    /// `env/NAME.yaml`
    Environment,
}

/// What `yaml-language-server` and its like take; they know draft 7 best.
const DRAFT: &str = "http://json-schema.org/draft-07/schema#";

/// The same bytes for the same version of Meshgate.
pub fn schema(kind: Kind) -> Value {
    let (title, mut schema) = match kind {
        Kind::Policy => ("a policy of Meshgate", ask::policy()),
        Kind::Platform => ("platform.yaml of a policy of Meshgate", folder::platform()),
        Kind::Team => ("a team's file of a policy of Meshgate", folder::team()),
        Kind::Environment => ("an environment's values of a policy of Meshgate", folder::environment()),
    };
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("$schema".into(), json!(DRAFT));
        fields.insert("title".into(), json!(title));
    }
    schema
}

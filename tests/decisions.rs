//! The core's decision tables: policy × request × answer of the service gives the whole step, text to text.

#[path = "decisions/answers.rs"]
mod answers;
#[path = "decisions/assertion.rs"]
mod assertion;
#[path = "decisions/callers.rs"]
mod callers;
#[path = "decisions/credentials.rs"]
mod credentials;
#[path = "decisions/debug.rs"]
mod debug;
#[path = "decisions/experiments.rs"]
mod experiments;
#[path = "decisions/exposures.rs"]
mod exposures;
#[path = "decisions/forms.rs"]
mod forms;
#[path = "decisions/identity.rs"]
mod identity;
#[path = "decisions/lookup.rs"]
mod lookup;
#[path = "decisions/memory.rs"]
mod memory;
#[path = "tokens/mint.rs"]
#[allow(dead_code, reason = "tests/tokens.rs makes more of it")]
mod mint;
#[path = "decisions/modes.rs"]
mod modes;
#[path = "decisions/paths.rs"]
mod paths;
#[path = "decisions/policies.rs"]
mod policies;
#[path = "decisions/properties.rs"]
mod properties;
#[path = "decisions/questions.rs"]
mod questions;
#[path = "decisions/rates.rs"]
mod rates;
#[path = "decisions/refusals.rs"]
mod refusals;
#[path = "decisions/require.rs"]
mod require;
#[path = "decisions/rules.rs"]
mod rules;
#[path = "decisions/script.rs"]
mod script;
#[path = "decisions/shared.rs"]
mod shared;
#[path = "decisions/sign_in.rs"]
mod sign_in;
#[path = "decisions/strip.rs"]
mod strip;
#[path = "decisions/text.rs"]
mod text;
#[path = "decisions/tokens.rs"]
mod tokens;
#[path = "decisions/upstream.rs"]
mod upstream;

//! An explanation, for a program.

use super::explanation::Explanation;

pub fn json(explanation: &Explanation) -> String {
    // Nothing in it can fail: no map has keys that are no text.
    serde_json::to_string_pretty(explanation).unwrap_or_default()
}

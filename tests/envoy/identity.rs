//! What the upstream is told of a known caller, and who is known.

mod accepted;
mod ambiguous;
mod values;

//! What becomes of a request under a policy, and why: `meshgate explain`, `test` and `diff`.
//!
//! Every verdict is that of [`crate::decide`], in a world where nothing is remembered. What is said besides (why an
//! earlier rule did not match, which part of a `require` holds) puts one condition at a time to the same code.

mod asked;
mod caller;
pub mod cases;
pub mod diff;
mod edges;
mod explanation;
mod json;
mod mask;
mod reply;
mod show;
mod shown;
mod text;
mod variants;
mod why;
mod world;

pub use asked::{Asked, From};
pub use caller::Known;
pub use explanation::{
    Answered, Caller, Decider, Earlier, Explanation, InExperiment, Looked, Passed, Question, Shadow, Upstream, Verdict,
};
pub use json::json;
pub use mask::MASKED;
pub use reply::{MAX_BYTES as MAX_REPLY_BYTES, Replied};
pub use text::text;
pub use why::explain;
pub use world::{Decided, Decision, Local, Undecided, Who, World};

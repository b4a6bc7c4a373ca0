//! A service is asked: what it is sent, and what becomes of its answer.

mod answers;
mod forward_auth;
mod native;
mod retries;
mod sent;

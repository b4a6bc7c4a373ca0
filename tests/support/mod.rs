//! The real-Envoy harness: an Envoy process, the servers around it, clients that send what they
//! are told byte for byte, and `Gate`, the usual set-up of all of them.
//!
//! A target takes it in with `#[path = "support/mod.rs"] mod support;` and uses parts of it.
#![allow(dead_code, unused_imports)]

pub mod client;
pub mod crowd;
pub mod envoy;
pub mod gate;
pub mod message;
pub mod probe;
pub mod prometheus;
pub mod stub;
pub mod tls;
pub mod wait;
pub mod wrk;

mod http1;

pub use client::{Client, Failure, Tunnel, Wire, client, h1, h2};
pub use crowd::{Latch, all_at_once};
pub use envoy::{Envoy, Options};
pub use gate::{Gate, GateBuilder, Replaced};
pub use message::{Headers, Request, Response, get, post, request};
pub use stub::{DeadPort, End, Received, Reply, Stub, dead_port};
pub use wait::{LONG, SHORT, until};
pub use wrk::Wrk;

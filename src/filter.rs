//! The adapter: what proxy-wasm calls, and what is said to it. Nothing is decided here.

mod act;
mod asking;
mod by_number;
mod collecting;
mod fetching;
mod ffi;
mod gauges;
mod host;
mod log;
mod metrics;
mod orders;
mod report;
mod root;
mod signatures;
mod stream;

#[cfg(target_arch = "wasm32")]
mod start {
    #![allow(unsafe_code, reason = "the SDK's macro defines the module's exported entry point")]
    proxy_wasm::main! {{ super::init(); }}
}

/// Called once for each VM.
pub fn init() {
    log::start();
    proxy_wasm::set_root_context(|context_id| Box::new(root::Root::new(context_id)));
}

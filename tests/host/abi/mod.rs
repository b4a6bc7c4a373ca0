//! The ABI: what the filter exports, what it imports, and how bytes pass between the two.

/// Notes a host call, and answers in its place where a test has planned a refusal.
macro_rules! call {
    ($call:expr) => {
        if let Some(refusal) = super::record($call) {
            return refusal;
        }
    };
}

mod calls;
mod maps;
mod store;
mod system;

use super::vm::{Refusal, with};
use proxy_wasm::types::Status;

/// `Action::Continue`; anything else holds the stream.
pub const CONTINUE: u32 = 0;

unsafe extern "C" {
    pub fn proxy_on_context_create(context: u32, root: u32);
    pub fn proxy_on_vm_start(context: u32, size: usize) -> bool;
    pub fn proxy_on_configure(context: u32, size: usize) -> bool;
    pub fn proxy_on_tick(context: u32);
    pub fn proxy_on_request_headers(context: u32, count: usize, end: bool) -> u32;
    pub fn proxy_on_request_body(context: u32, size: usize, end: bool) -> u32;
    pub fn proxy_on_request_trailers(context: u32, count: usize) -> u32;
    pub fn proxy_on_response_headers(context: u32, count: usize, end: bool) -> u32;
    pub fn proxy_on_response_body(context: u32, size: usize, end: bool) -> u32;
    pub fn proxy_on_http_call_response(context: u32, token: u32, headers: usize, body: usize, trailers: usize);
    pub fn proxy_on_grpc_receive(context: u32, token: u32, size: usize);
    pub fn proxy_on_grpc_close(context: u32, token: u32, status: u32);
    pub fn proxy_on_log(context: u32);
    pub fn proxy_on_done(context: u32) -> bool;
    pub fn proxy_on_delete(context: u32);
    fn proxy_on_memory_allocate(size: usize) -> *mut u8;
}

/// Notes a host call for `Host::calls`; a status where it is to be refused.
fn record(call: String) -> Option<Status> {
    with(|vm| {
        let planned = vm.refusals.iter_mut().find(|refusal| refusal.takes(&call));
        let refused = planned.and_then(Refusal::next);
        vm.calls.push(call);
        refused
    })
}

/// The status of a call that has nothing else to give.
fn status(result: Result<(), Status>) -> Status {
    result.err().unwrap_or(Status::Ok)
}

/// A copy of what the filter points at.
fn read(data: *const u8, size: usize) -> Vec<u8> {
    if data.is_null() || size == 0 {
        return Vec::new();
    }
    // SAFETY: the SDK passes the parts of a live slice.
    unsafe { std::slice::from_raw_parts(data, size) }.to_vec()
}

fn read_text(data: *const u8, size: usize) -> String {
    String::from_utf8_lossy(&read(data, size)).into_owned()
}

/// Hands bytes over in memory of exactly their length, as the SDK makes a `Vec` of it; nothing for
/// no bytes. The caller holds no borrow of the host's state: the allocator is the filter's.
fn give(bytes: &[u8], data: *mut *mut u8, size: *mut usize) -> Status {
    let mut buffer = std::ptr::null_mut();
    if !bytes.is_empty() {
        // SAFETY: the allocator gives `len` writable bytes.
        unsafe {
            buffer = proxy_on_memory_allocate(bytes.len());
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer, bytes.len());
        }
    }
    put(data, buffer);
    put(size, bytes.len());
    Status::Ok
}

/// Writes to where the filter wants a result.
fn put<T>(to: *mut T, value: T) {
    if !to.is_null() {
        // SAFETY: the SDK passes the address of a local.
        unsafe { to.write(value) }
    }
}

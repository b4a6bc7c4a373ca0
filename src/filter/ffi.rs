//! The proxy-wasm ABI 0.2.1, as far as the filter calls it itself. The SDK's own wrappers panic on a
//! status they do not expect and on text that is not UTF-8, and one panic takes a worker down;
//! these return what the host said.

#![allow(unsafe_code)] // The ABI is C functions over memory that the host allocates through us.

/// A host call that did not succeed: the status the host gave (proxy-wasm `WasmResult`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostError(pub u32);

pub const OK: u32 = 0;
pub const NOT_FOUND: u32 = 1;
pub const SERIALIZATION_FAILURE: u32 = 3;
/// Somebody else wrote meanwhile.
pub const CAS_MISMATCH: HostError = HostError(8);

#[cfg_attr(target_arch = "wasm32", link(wasm_import_module = "env"))]
unsafe extern "C" {
    fn proxy_log(level: u32, message: *const u8, size: usize) -> u32;
    fn proxy_get_log_level(level: *mut u32) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_get_buffer_bytes(kind: u32, start: usize, max: usize, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_set_header_map_pairs(map: u32, data: *const u8, size: usize) -> u32;
    fn proxy_replace_header_map_value(map: u32, key: *const u8, ks: usize, value: *const u8, vs: usize) -> u32;
    fn proxy_add_header_map_value(map: u32, key: *const u8, ks: usize, value: *const u8, vs: usize) -> u32;
    fn proxy_remove_header_map_value(map: u32, key: *const u8, ks: usize) -> u32;
    fn proxy_get_property(path: *const u8, ps: usize, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_set_property(path: *const u8, ps: usize, value: *const u8, vs: usize) -> u32;
    fn proxy_get_shared_data(key: *const u8, ks: usize, data: *mut *mut u8, size: *mut usize, cas: *mut u32) -> u32;
    fn proxy_set_shared_data(key: *const u8, ks: usize, value: *const u8, vs: usize, cas: u32) -> u32;
    fn proxy_continue_stream(kind: u32) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_call_foreign_function(
        name: *const u8,
        name_size: usize,
        arguments: *const u8,
        arguments_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, offset: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
}

// The SDK's own entry point, in this module.
unsafe extern "C" {
    fn proxy_on_tick(context_id: u32);
}

/// Runs the root's tick inside a stream's callback. The SDK brings an answer to the context whose callback sent the
/// question; while a stream's callback runs, it holds no root.
pub fn run_root(root_id: u32) {
    unsafe { proxy_on_tick(root_id) }
}

fn done(status: u32) -> Result<(), HostError> {
    match status {
        OK => Ok(()),
        status => Err(HostError(status)),
    }
}

/// Runs a call that hands bytes out. None where it handed out nothing.
fn bytes(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Option<Vec<u8>>, HostError> {
    let mut data: *mut u8 = std::ptr::null_mut();
    let mut size = 0usize;
    match call(&mut data, &mut size) {
        OK if data.is_null() => Ok(None),
        // SAFETY: the host got this memory from the SDK's `proxy_on_memory_allocate(size)`, which
        // makes it as a vector of exactly this length and capacity and keeps no hold of it.
        OK => Ok(Some(unsafe { Vec::from_raw_parts(data, size, size) })),
        NOT_FOUND => Ok(None),
        status => Err(HostError(status)),
    }
}

// SAFETY, for all calls below: pointers and lengths come from live slices or locals, and the host
// keeps none of them beyond the call.

pub fn log(level: u32, message: &str) {
    // Where even logging fails there is nobody to tell.
    let _ = unsafe { proxy_log(level, message.as_ptr(), message.len()) };
}

pub fn log_level() -> Result<u32, HostError> {
    let mut level = 0;
    done(unsafe { proxy_get_log_level(&mut level) })?;
    Ok(level)
}

/// An error of `NOT_FOUND` where the proxy has no such function.
pub fn call_foreign(name: &str, arguments: &[u8]) -> Result<Vec<u8>, HostError> {
    let mut data: *mut u8 = std::ptr::null_mut();
    let mut size = 0usize;
    done(unsafe {
        proxy_call_foreign_function(
            name.as_ptr(),
            name.len(),
            arguments.as_ptr(),
            arguments.len(),
            &mut data,
            &mut size,
        )
    })?;
    if data.is_null() {
        return Ok(Vec::new());
    }
    // SAFETY: as in `bytes`.
    Ok(unsafe { Vec::from_raw_parts(data, size, size) })
}

/// Nanoseconds since the Unix epoch.
pub fn now_ns() -> u64 {
    let mut time = 0;
    match unsafe { proxy_get_current_time_nanoseconds(&mut time) } {
        OK => time,
        _ => 0,
    }
}

pub fn set_tick_period(period_ms: u32) -> Result<(), HostError> {
    done(unsafe { proxy_set_tick_period_milliseconds(period_ms) })
}

pub fn buffer(kind: u32, max: usize) -> Result<Option<Vec<u8>>, HostError> {
    bytes(|data, size| unsafe { proxy_get_buffer_bytes(kind, 0, max, data, size) })
}

pub fn header_pairs(map: u32) -> Result<Option<Vec<u8>>, HostError> {
    bytes(|data, size| unsafe { proxy_get_header_map_pairs(map, data, size) })
}

pub fn set_header_pairs(map: u32, pairs: &[u8]) -> Result<(), HostError> {
    done(unsafe { proxy_set_header_map_pairs(map, pairs.as_ptr(), pairs.len()) })
}

pub fn replace_header(map: u32, name: &[u8], value: &[u8]) -> Result<(), HostError> {
    done(unsafe { proxy_replace_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len()) })
}

pub fn add_header(map: u32, name: &[u8], value: &[u8]) -> Result<(), HostError> {
    done(unsafe { proxy_add_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len()) })
}

pub fn remove_header(map: u32, name: &[u8]) -> Result<(), HostError> {
    done(unsafe { proxy_remove_header_map_value(map, name.as_ptr(), name.len()) })
}

/// `path`: its parts joined by zero bytes.
pub fn property(path: &[u8]) -> Result<Option<Vec<u8>>, HostError> {
    bytes(|data, size| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) })
}

pub fn set_property(path: &[u8], value: &[u8]) -> Result<(), HostError> {
    done(unsafe { proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) })
}

/// With the version of the value, for [`set_shared_data`].
pub fn shared_data(key: &str) -> Result<Option<(Vec<u8>, u32)>, HostError> {
    let (mut version, mut found) = (0, true);
    let value = bytes(|data, size| {
        let status = unsafe { proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &mut version) };
        found = status != NOT_FOUND;
        status
    })?;
    Ok(found.then(|| (value.unwrap_or_default(), version)))
}

/// `version`: only in place of that one; of 0, whatever is there.
pub fn set_shared_data(key: &str, value: &[u8], version: u32) -> Result<(), HostError> {
    done(unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), version) })
}

pub fn continue_stream(kind: u32) -> Result<(), HostError> {
    done(unsafe { proxy_continue_stream(kind) })
}

pub fn send_local_response(
    status: u32,
    details: &str,
    body: &[u8],
    headers: &[u8],
    grpc_status: i32,
) -> Result<(), HostError> {
    done(unsafe {
        proxy_send_local_response(
            status,
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            grpc_status,
        )
    })
}

pub fn set_effective_context(context: u32) -> Result<(), HostError> {
    done(unsafe { proxy_set_effective_context(context) })
}

pub fn define_metric(kind: u32, name: &str) -> Result<u32, HostError> {
    let mut id = 0;
    done(unsafe { proxy_define_metric(kind, name.as_ptr(), name.len(), &mut id) })?;
    Ok(id)
}

pub fn increment_metric(id: u32, offset: i64) -> Result<(), HostError> {
    done(unsafe { proxy_increment_metric(id, offset) })
}

pub fn record_metric(id: u32, value: u64) -> Result<(), HostError> {
    done(unsafe { proxy_record_metric(id, value) })
}

//! Orders to forget, from one worker to all others: one value of the proxy's shared data, changed by compare and swap.

use super::root::Plugin;
use super::{ffi, report};
use crate::cache::Generation;
use std::cell::Cell;

pub struct Orders {
    key: String,
    /// The version of the value that is known.
    seen: Cell<Option<u32>>,
}

/// Each worker that comes first makes the others try again.
const TRIES: usize = 16;

impl Orders {
    pub fn new(generation: &Generation) -> Self {
        Self {
            key: format!("meshgate.orders.{}", generation.hex()),
            seen: Cell::new(None),
        }
    }
}

/// At the end of a callback in which an order may have been given.
pub fn tell(plugin: &Plugin) {
    if !plugin.memory.borrow().orders_to_tell().is_empty() {
        exchange(plugin);
    }
}

/// On each tick. Where nothing was ordered it costs a read of a few bytes.
pub fn exchange(plugin: &Plugin) {
    let Orders { key, seen } = &plugin.orders;
    let mut memory = plugin.memory.borrow_mut();
    if !memory.remembers() {
        return;
    }
    for _ in 0..TRIES {
        let there = match ffi::shared_data(key) {
            Ok(there) => there,
            Err(error) => return report::host_error("get_shared_data", error),
        };
        let version = there.as_ref().map(|(_, version)| *version);
        if version.is_some() && version == seen.get() && memory.orders_to_tell().is_empty() {
            return;
        }
        let bytes = there.as_ref().map(|(bytes, _)| &bytes[..]);
        let Some(new) = memory.exchange(bytes, ffi::now_ns() / 1_000_000) else {
            return seen.set(version);
        };
        match ffi::set_shared_data(key, &new, version.unwrap_or(0)) {
            Ok(()) => return memory.told(),
            Err(ffi::CAS_MISMATCH) => {}
            Err(error) => return report::host_error("set_shared_data", error),
        }
    }
}

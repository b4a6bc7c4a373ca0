//! Log, clock, tick.

use super::super::vm::with;
use super::{put, read_text};
use proxy_wasm::types::{LogLevel, Status};

#[unsafe(no_mangle)]
extern "C" fn proxy_log(level: u32, data: *const u8, size: usize) -> Status {
    let level = match level {
        0 => LogLevel::Trace,
        1 => LogLevel::Debug,
        2 => LogLevel::Info,
        3 => LogLevel::Warn,
        4 => LogLevel::Error,
        5 => LogLevel::Critical,
        _ => return Status::BadArgument,
    };
    call!(format!("log {level:?}").to_lowercase());
    let text = read_text(data, size);
    with(|vm| {
        if level as u32 >= vm.log_level as u32 {
            vm.logs.push((level, text));
        }
    });
    Status::Ok
}

#[unsafe(no_mangle)]
extern "C" fn proxy_get_log_level(level: *mut LogLevel) -> Status {
    call!("get_log_level".into());
    put(level, with(|vm| vm.log_level));
    Status::Ok
}

#[unsafe(no_mangle)]
extern "C" fn proxy_get_current_time_nanoseconds(time: *mut u64) -> Status {
    call!("get_current_time_nanoseconds".into());
    put(time, with(|vm| vm.now_ns));
    Status::Ok
}

#[unsafe(no_mangle)]
extern "C" fn proxy_set_tick_period_milliseconds(period: u32) -> Status {
    call!(format!("set_tick_period_milliseconds {period}"));
    with(|vm| {
        let root = vm.root_of_context();
        vm.roots.entry(root).and_modify(|root| root.tick_period_ms = period);
    });
    Status::Ok
}

//! Log lines: one JSON object each, whatever comes in.

use super::ffi;
use crate::json::push_string;
use crate::time::rfc3339;
use log::{Level, LevelFilter};
use std::cell::Cell;

thread_local! {
    /// The proxy's level, as last seen. Of the module, as its thread is; `log::max_level` is of the
    /// process, and the mock host runs many modules in one.
    static LEVEL: Cell<LevelFilter> = const { Cell::new(LevelFilter::Info) };
}

/// Whether the proxy would write a line of this level: one that it would drop need not be made.
pub fn enabled(level: Level) -> bool {
    level <= LEVEL.get()
}

/// Levels as proxy-wasm numbers them.
fn host_level(level: Level) -> u32 {
    match level {
        Level::Trace => 0,
        Level::Debug => 1,
        Level::Info => 2,
        Level::Warn => 3,
        Level::Error => 4,
    }
}

/// A line in the making.
pub struct Line {
    level: Level,
    text: String,
}

impl Line {
    pub fn new(level: Level, message: &str, module: &str, file: &str, line: u32) -> Self {
        let mut text = String::with_capacity(512);
        text.push_str("{\"time\":\"");
        text.push_str(&rfc3339(ffi::now_ns()));
        text.push_str("\",\"level\":\"");
        text.push_str(&level.as_str().to_ascii_lowercase());
        text.push('"');
        let mut this = Self { level, text };
        this.string("msg", message);
        this.string("module", module);
        this.string("file", file);
        this.raw("line", &line.to_string());
        this
    }

    pub fn string(&mut self, name: &str, value: &str) {
        self.key(name);
        push_string(&mut self.text, value);
    }

    /// `value` is JSON already.
    pub fn raw(&mut self, name: &str, value: &str) {
        self.key(name);
        self.text.push_str(value);
    }

    fn key(&mut self, name: &str) {
        self.text.push(',');
        push_string(&mut self.text, name);
        self.text.push(':');
    }

    pub fn write(mut self) {
        if !enabled(self.level) {
            return;
        }
        self.text.push('}');
        ffi::log(host_level(self.level), &self.text);
    }
}

/// A line of the filter itself, with where it was written.
macro_rules! entry {
    ($level:expr, $message:expr) => {
        $crate::filter::log::Line::new($level, $message, module_path!(), file!(), line!())
    };
}
pub(crate) use entry;

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata) -> bool {
        enabled(metadata.level())
    }

    fn log(&self, record: &log::Record) {
        if self.enabled(record.metadata()) {
            let (module, file) = (
                record.module_path().unwrap_or_default(),
                record.file().unwrap_or_default(),
            );
            Line::new(
                record.level(),
                &record.args().to_string(),
                module,
                file,
                record.line().unwrap_or_default(),
            )
            .write();
        }
    }

    fn flush(&self) {}
}

/// Lines of ours and of libraries go to the proxy's log from here on; a panic says where it was.
pub fn start() {
    static LOGGER: Logger = Logger;
    // A second module start in one process (the mock host's threads) keeps the first logger, the same one.
    let _ = log::set_logger(&LOGGER);
    // The host answers no call yet; `follow_host_level` comes with the configuration.
    set_level(LevelFilter::Info);
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| {
        const CRITICAL: u32 = 5;
        ffi::log(CRITICAL, &panic.to_string());
    }));
}

/// Lines that the proxy would drop are not made: its level may change at run time.
pub fn follow_host_level() {
    set_level(match ffi::log_level() {
        Ok(0) => LevelFilter::Trace,
        Ok(1) => LevelFilter::Debug,
        Ok(3) => LevelFilter::Warn,
        Ok(4) => LevelFilter::Error,
        Ok(5..) => LevelFilter::Off,
        Ok(2) | Err(_) => LevelFilter::Info,
    });
}

fn set_level(level: LevelFilter) {
    LEVEL.set(level);
    log::set_max_level(level);
}

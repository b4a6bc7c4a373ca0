//! One policy in one VM.

use super::collecting::{self, Collecting};
use super::log::entry;
use super::report::{self, Counters};
use super::stream::Stream;
use super::{ffi, host, log as lines, metrics};
use crate::config::{self, Faults};
use crate::policy::{Mode, Policy};
use log::Level;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;
use std::rc::Rc;
use std::sync::Arc;

/// What all streams under one policy share.
pub struct Plugin {
    pub root_id: u32,
    pub policy: Arc<Policy>,
    pub counters: Counters,
    pub collecting: Collecting,
}

pub struct Root {
    context_id: u32,
    plugin: Option<Rc<Plugin>>,
}

/// Soon enough for «no body within 1 s», and a quarter of a microsecond of work each time.
const TICK_MS: u32 = 250;

/// Envoy takes a configuration of any size; see `config` for what a policy may be.
const MAX_CONFIGURATION_BYTES: usize = usize::MAX >> 1;

impl Root {
    pub fn new(context_id: u32) -> Self {
        Self {
            context_id,
            plugin: None,
        }
    }

    fn load(&mut self) -> Result<(), Faults> {
        let bytes = host::buffer(host::Buffer::PluginConfiguration, MAX_CONFIGURATION_BYTES).unwrap_or_default();
        let parsed = config::parse(&bytes)?;
        for warning in &parsed.warnings {
            entry!(Level::Warn, &warning.to_string()).write();
        }
        let policy = parsed.policy;
        let observing = policy.mode == Mode::Observe;
        metrics::set_gauge("policy_observing", &[], u64::from(observing));
        metrics::set_revision(&policy.revision);
        let mut loaded = entry!(Level::Info, "policy loaded");
        loaded.string("revision", &policy.revision);
        loaded.raw("rules", &policy.rules.len().to_string());
        loaded.write();
        self.plugin = Some(Rc::new(Plugin {
            root_id: self.context_id,
            policy: Arc::new(policy),
            counters: Counters::default(),
            collecting: Collecting::default(),
        }));
        Ok(())
    }
}

impl Context for Root {}

impl RootContext for Root {
    /// False keeps Envoy from starting, and on an update keeps the old policy serving.
    fn on_configure(&mut self, _size: usize) -> bool {
        lines::follow_host_level();
        if let Err(error) = ffi::set_tick_period(TICK_MS) {
            report::host_error("tick", error);
            return false;
        }
        let loaded = self.load();
        let result = if loaded.is_ok() { "accepted" } else { "rejected" };
        metrics::Counter::named("policy_loads_total", &[("result", result)]).increment();
        match loaded {
            Ok(()) => true,
            Err(faults) => {
                for fault in faults.iter() {
                    entry!(Level::Error, &format!("policy refused: {fault}")).write();
                }
                false
            }
        }
    }

    fn on_tick(&mut self) {
        lines::follow_host_level();
        if let Some(plugin) = &self.plugin {
            collecting::end_overdue(plugin, ffi::now_ns());
        }
    }

    fn create_http_context(&self, context_id: u32) -> Option<Box<dyn HttpContext>> {
        // The SDK panics on None. Streams are made only under a policy that was accepted; if one ever
        // were not, it refuses everything.
        Some(Box::new(Stream::new(context_id, self.plugin.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

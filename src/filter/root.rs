//! One policy in one VM.

use super::asking::{self, Asking};
use super::collecting::{self, Collecting};
use super::fetching::{self, Fetching};
use super::gauges::Gauges;
use super::log::entry;
use super::orders::{self, Orders};
use super::report::{self, Counters};
use super::stream::Stream;
use super::{ffi, host, log as lines, metrics};
use crate::cache::{Generation, Seed};
use crate::config::{self, Faults};
use crate::memory::Memory;
use crate::policy::{Mode, Policy};
use crate::rate_limit::Buckets;
use log::Level;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;
use std::cell::{Cell, RefCell};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::rc::Rc;
use std::sync::Arc;

/// What all streams under one policy share.
pub struct Plugin {
    pub root_id: u32,
    pub policy: Arc<Policy>,
    pub counters: Counters,
    pub collecting: Collecting,
    pub asking: Asking,
    pub fetching: Fetching,
    pub memory: RefCell<Memory>,
    pub orders: Orders,
    gauges: Gauges,
    tick_ms: Cell<u32>,
}

pub struct Root {
    context_id: u32,
    plugin: Option<Rc<Plugin>>,
}

/// An order to forget reaches every worker within two of them. A quarter of a microsecond of work each time.
const TICK_MS: u32 = 100;

/// Until the keys are there that another worker fetches: the first request may be here soon.
const QUICK_TICK_MS: u32 = 5;

/// Envoy takes a configuration of any size; see `config` for what a policy may be.
const MAX_CONFIGURATION_BYTES: usize = usize::MAX >> 1;

impl Root {
    pub fn new(context_id: u32) -> Self {
        Self {
            context_id,
            plugin: None,
        }
    }

    /// Those whom one callback may not let go on all together do not wait for the next quarter of a second.
    fn set_pace(&self, plugin: &Plugin) {
        let period_ms = match plugin.asking.has_released() {
            true => 1,
            false if plugin.fetching.is_awaited() => QUICK_TICK_MS,
            false => TICK_MS,
        };
        self.set_tick(plugin, period_ms);
    }

    fn set_tick(&self, plugin: &Plugin, period_ms: u32) {
        if plugin.tick_ms.replace(period_ms) != period_ms
            && let Err(error) = ffi::set_tick_period(period_ms)
        {
            report::host_error("tick", error);
        }
    }

    fn load(&mut self) -> Result<(), Faults> {
        let bytes = host::buffer(host::Buffer::PluginConfiguration, MAX_CONFIGURATION_BYTES).unwrap_or_default();
        let parsed = config::parse(&bytes)?;
        for warning in &parsed.warnings {
            entry!(Level::Warn, &warning.to_string()).write();
        }
        let policy = parsed.policy;
        let secrets = config::secrets(&policy, environment)?;
        let assertions = config::signing(&policy, environment)?;
        let generation = Generation::of(&bytes);
        let mut memory = Memory::new(&policy, seed()).with_assertions(assertions);
        // Exposures are addressed by the same seed.
        let limits = policy.rules.iter().any(|rule| !rule.rate_limits.is_empty());
        if limits || !policy.experiments.is_empty() {
            memory = memory.with_buckets(Buckets::shared(&host::HostStore, seed()));
        }
        memory.share(&policy, &generation, &secrets, ffi::now_ns() / 1_000_000);
        for (slot, keys) in secrets.key_sets {
            memory.set_keys(slot, keys);
        }
        let observing = policy.mode == Mode::Observe;
        metrics::set_gauge("policy_observing", &[], u64::from(observing));
        metrics::set_revision(&policy.revision);
        metrics::set_gauge("policy_generation", &[], generation.number().into());
        metrics::tell_build();
        let mut loaded = entry!(Level::Info, "policy loaded");
        loaded.string("revision", &policy.revision);
        loaded.raw("rules", &policy.rules.len().to_string());
        loaded.write();
        let plugin = Plugin {
            root_id: self.context_id,
            memory: memory.into(),
            fetching: Fetching::new(&policy),
            orders: Orders::new(&generation),
            gauges: Gauges::new(&policy),
            counters: Counters::new(&policy),
            policy: Arc::new(policy),
            collecting: Collecting::default(),
            asking: Asking::default(),
            tick_ms: TICK_MS.into(),
        };
        // What was ordered before does not concern this worker, which remembers nothing yet.
        orders::exchange(&plugin);
        fetching::take_what_is_there(&plugin, ffi::now_ns() / 1_000_000);
        self.set_pace(&plugin);
        self.plugin = Some(Rc::new(plugin));
        Ok(())
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, token_id: u32, _headers: usize, body_size: usize, _trailers: usize) {
        if let Some(plugin) = &self.plugin {
            if !fetching::answer_came(plugin, token_id, body_size) {
                asking::answer_came(plugin, token_id, body_size);
            }
            self.set_pace(plugin);
        }
    }
}

/// Of the VM, which sees those alone that `vm_config.environment_variables` names.
#[expect(
    clippy::disallowed_methods,
    reason = "the edge: read once for each policy, and handed in"
)]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The standard library keys its maps from the system's randomness (WASI `random_get`).
fn seed() -> Seed {
    let draw = || RandomState::new().build_hasher().finish();
    Seed(draw(), draw())
}

impl RootContext for Root {
    /// False keeps Envoy from starting, and on an update keeps the old policy serving.
    fn on_configure(&mut self, _size: usize) -> bool {
        lines::follow_host_level();
        if let Err(error) = ffi::set_tick_period(TICK_MS) {
            report::host_error("tick", error);
            return false;
        }
        // Both from the start: what a refused module counts goes with it, unless one that serves has the same counter.
        let [accepted, rejected] =
            ["accepted", "rejected"].map(|result| metrics::Counter::named("policy_loads_total", &[("result", result)]));
        let loaded = self.load();
        if loaded.is_ok() { accepted } else { rejected }.increment();
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
        let Some(plugin) = &self.plugin else {
            return lines::follow_host_level();
        };
        if asking::send_handed_over(plugin) {
            return;
        }
        lines::follow_host_level();
        let now_ns = ffi::now_ns();
        collecting::end_overdue(plugin, now_ns);
        asking::end_overdue(plugin, now_ns);
        fetching::tick(plugin, now_ns / 1_000_000);
        orders::exchange(plugin);
        plugin.gauges.tell(plugin);
        self.set_pace(plugin);
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

//! What stands right now, summed over all workers: each adds what changed since it last told.

use super::metrics::Gauge;
use super::root::Plugin;
use crate::policy::Policy;

/// By slot; told on ticks.
pub struct Gauges(Vec<Service>);

struct Service {
    entries: Gauge,
    bytes: Gauge,
    waiting: Gauge,
    breaker: Gauge,
}

impl Gauges {
    pub fn new(policy: &Policy) -> Self {
        let of = |name: &str| {
            let labels = [("authenticator", name)];
            let gauge = |metric| Gauge::named(metric, &labels);
            Service {
                entries: gauge("cache_entries"),
                bytes: gauge("cache_bytes"),
                waiting: gauge("waiting"),
                breaker: gauge("breaker_open"),
            }
        };
        Self(policy.authenticators.iter().map(|known| of(&known.name)).collect())
    }

    pub fn tell(&self, plugin: &Plugin) {
        let memory = plugin.memory.borrow();
        for (slot, service) in self.0.iter().enumerate() {
            if let Some(size) = memory.size(slot) {
                service.entries.set(size.entries as u64);
                service.bytes.set(size.bytes);
                service.waiting.set(plugin.asking.followers(slot) as u64);
            }
            if let Some(open) = memory.breaker_is_open(slot) {
                service.breaker.set(u64::from(open));
            }
        }
    }
}

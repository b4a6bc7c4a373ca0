//! What stands right now, summed over all workers: each adds what changed since it last told. And what is
//! counted far from any host.

use super::metrics::{Counter, Gauge};
use super::root::Plugin;
use crate::policy::{Authenticator, Policy};
use std::cell::Cell;

/// By slot; told on ticks.
pub struct Gauges(Vec<Service>);

struct Service {
    entries: Gauge,
    bytes: Gauge,
    waiting: Gauge,
    breaker: Gauge,
    evictions: Option<Counter>,
    told_evictions: Cell<u64>,
}

impl Gauges {
    pub fn new(policy: &Policy) -> Self {
        let of = |known: &Authenticator| {
            let labels = [("authenticator", &*known.name)];
            let callout = known.callout();
            let remembers = callout.is_some_and(|callout| callout.cache.is_some());
            let breaks = callout.is_some_and(|callout| callout.breaker.is_some());
            let gauge = |metric, shown| Gauge::named(metric, &labels, shown);
            Service {
                entries: gauge("cache_entries", remembers),
                bytes: gauge("cache_bytes", remembers),
                waiting: gauge("waiting", remembers),
                breaker: gauge("breaker_open", breaks),
                evictions: remembers.then(|| Counter::named("cache_evictions_total", &labels)),
                told_evictions: Cell::new(0),
            }
        };
        Self(policy.authenticators.iter().map(|known| of(known)).collect())
    }

    pub fn tell(&self, plugin: &Plugin) {
        let memory = plugin.memory.borrow();
        for (slot, service) in self.0.iter().enumerate() {
            if let Some(size) = memory.size(slot) {
                service.entries.set(size.entries as u64);
                service.bytes.set(size.bytes);
                service.waiting.set(plugin.asking.followers(slot) as u64);
                let told = service.told_evictions.replace(size.evictions);
                if let Some(evictions) = service.evictions {
                    evictions.add(size.evictions.saturating_sub(told));
                }
            }
            if let Some(open) = memory.breaker_is_open(slot) {
                service.breaker.set(u64::from(open));
            }
        }
    }
}

//! Counters, gauges and histograms. Labels come from the policy and from closed lists, never from a request:
//! the proxy frees no metric. A label is written `.name=value`, which the shipped `stats_tags` turn
//! into a label of Prometheus.

use super::ffi;
use crate::rule::PolicyMap;
use std::cell::{Cell, RefCell};
use std::fmt::Write;

#[derive(Clone, Copy)]
enum Kind {
    Counter = 0,
    Gauge = 1,
    Histogram = 2,
}

thread_local! {
    /// By full name. Of the module, not of a policy: the proxy gives a name defined twice a second id.
    static IDS: RefCell<Ids> = RefCell::default();
}

#[derive(Default)]
struct Ids {
    /// Into `ids`; one kind of map with those of a policy, whose words the names are made of.
    at: PolicyMap<Box<[u8]>, usize>,
    /// None where the proxy refused.
    ids: Vec<Option<u32>>,
}

fn id(kind: Kind, name: &str) -> Option<u32> {
    let find = |ids: &RefCell<Ids>| {
        let Ids { at, ids } = &mut *ids.borrow_mut();
        let known = at.get(name.as_bytes()).and_then(|at| ids.get(*at));
        known.copied().unwrap_or_else(|| {
            let id = ffi::define_metric(kind as u32, name).ok();
            at.insert(name.as_bytes().into(), ids.len());
            ids.push(id);
            id
        })
    };
    // Where a thread ends, gauges may go after the names: there is nothing left to tell.
    IDS.try_with(find).ok().flatten()
}

/// A metric's id, looked up by name once.
#[derive(Clone, Copy, Debug)]
pub struct Counter(Option<u32>);

impl Counter {
    pub fn named(name: &str, labels: &[(&str, &str)]) -> Self {
        Self(id(Kind::Counter, &with_labels(name, labels)))
    }

    pub fn increment(self) {
        self.add(1);
    }

    pub fn add(self, more: u64) {
        // The proxy takes no counter that stands still.
        if let (Some(id), Ok(more @ 1..)) = (self.0, i64::try_from(more)) {
            // A lost count is no reason to lose the request.
            let _ = ffi::increment_metric(id, more);
        }
    }
}

/// Whole numbers alone: the ABI takes no others.
#[derive(Clone, Copy, Debug)]
pub struct Histogram(Option<u32>);

impl Histogram {
    pub fn named(name: &str, labels: &[(&str, &str)]) -> Self {
        Self(id(Kind::Histogram, &with_labels(name, labels)))
    }

    pub fn record(self, value: u64) {
        if let Some(id) = self.0 {
            let _ = ffi::record_metric(id, value);
        }
    }
}

/// A worker's share of a gauge that is the sum over all workers.
pub struct Gauge {
    name: String,
    told: Cell<u64>,
}

impl Gauge {
    /// `shown`: stands at 0 from the start; else nothing does before there is something to say.
    pub fn named(name: &str, labels: &[(&str, &str)], shown: bool) -> Self {
        let name = with_labels(name, labels);
        if shown {
            id(Kind::Gauge, &name);
        }
        Self {
            name,
            told: Cell::new(0),
        }
    }

    pub fn set(&self, value: u64) {
        let told = self.told.get();
        if value == told {
            return;
        }
        let change = i64::try_from(i128::from(value) - i128::from(told));
        if let (Some(id), Ok(change)) = (id(Kind::Gauge, &self.name), change)
            && ffi::increment_metric(id, change).is_ok()
        {
            self.told.set(value);
        }
    }
}

/// The policy is gone, and what stood under it.
impl Drop for Gauge {
    fn drop(&mut self) {
        self.set(0);
    }
}

pub fn set_gauge(name: &str, labels: &[(&str, &str)], value: u64) {
    if let Some(id) = id(Kind::Gauge, &with_labels(name, labels)) {
        let _ = ffi::record_metric(id, value);
    }
}

/// Which build this is. Its dots stay: the tag of `version` knows them.
pub fn tell_build() {
    let name = concat!("meshgate_build_info.version=", env!("CARGO_PKG_VERSION"));
    if let Some(id) = id(Kind::Gauge, name) {
        let _ = ffi::record_metric(id, 1);
    }
}

/// `meshgate_policy_info` is 1 for the revision in force and 0 for those before it.
pub fn set_revision(revision: &str) {
    thread_local! {
        static IN_FORCE: RefCell<Option<String>> = const { RefCell::new(None) };
    }
    let before = IN_FORCE.replace(Some(revision.to_owned()));
    if let Some(before) = before.filter(|before| before != revision) {
        set_gauge("policy_info", &[("revision", &before)], 0);
    }
    set_gauge("policy_info", &[("revision", revision)], 1);
}

fn with_labels(name: &str, labels: &[(&str, &str)]) -> String {
    let mut full = format!("meshgate_{name}");
    for (label, value) in labels {
        let value: String = value
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || "_-/".contains(c) {
                    c
                } else {
                    '_'
                }
            })
            .collect();
        let value = if value.is_empty() { "none" } else { &value };
        // Writing to a String cannot fail.
        let _ = write!(full, ".{label}={value}");
    }
    full
}

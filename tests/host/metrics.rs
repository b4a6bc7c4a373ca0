//! Counters, gauges and histograms, by name, with Envoy's ids: the type is in the low two bits.

use proxy_wasm::types::Status;
use std::collections::BTreeMap;

#[derive(Default)]
pub struct Metrics {
    names: BTreeMap<u32, String>,
    values: BTreeMap<String, u64>,
    recorded: BTreeMap<String, Vec<u64>>,
    defined: u32,
    defined_before: u32,
}

const COUNTER: u32 = 0;
const GAUGE: u32 = 1;
const HISTOGRAM: u32 = 2;

impl Metrics {
    /// For a new VM in the same thread: nothing is counted yet. The ids stay, since what a module
    /// keeps of them in its thread outlives the VM here.
    pub fn restarted(self) -> Self {
        Self {
            names: self.names,
            defined: self.defined,
            defined_before: self.defined,
            ..Self::default()
        }
    }

    /// A new id each time, also for a name that is there already.
    pub fn define(&mut self, kind: u32, name: String) -> Result<u32, Status> {
        if kind > HISTOGRAM {
            return Err(Status::BadArgument);
        }
        self.defined += 1;
        let id = self.defined * 4 + kind;
        if kind == HISTOGRAM {
            self.recorded.entry(name.clone()).or_default();
        } else {
            self.values.entry(name.clone()).or_default();
        }
        self.names.insert(id, name);
        Ok(id)
    }

    pub fn increment(&mut self, id: u32, offset: i64) -> Result<(), Status> {
        let kind = id & 3;
        if kind > GAUGE {
            return Err(Status::BadArgument);
        }
        let value = self.value(id)?;
        if kind == COUNTER && offset <= 0 {
            return Err(Status::BadArgument);
        }
        *value = value.saturating_add_signed(offset);
        Ok(())
    }

    pub fn record(&mut self, id: u32, amount: u64) -> Result<(), Status> {
        match id & 3 {
            COUNTER => *self.value(id)? += amount,
            GAUGE => *self.value(id)? = amount,
            _ => {
                let name = self.names.get(&id).ok_or(Status::NotFound)?;
                self.recorded.entry(name.clone()).or_default().push(amount);
            }
        }
        Ok(())
    }

    pub fn get(&mut self, id: u32) -> Result<u64, Status> {
        if id & 3 > GAUGE {
            return Err(Status::BadArgument);
        }
        self.value(id).copied()
    }

    pub fn values(&self) -> &BTreeMap<String, u64> {
        &self.values
    }

    pub fn recorded(&self) -> &BTreeMap<String, Vec<u64>> {
        &self.recorded
    }

    /// How many ids were given out; each one costs Envoy memory for good.
    pub fn defined(&self) -> u32 {
        self.defined - self.defined_before
    }

    fn value(&mut self, id: u32) -> Result<&mut u64, Status> {
        let name = self.names.get(&id).ok_or(Status::NotFound)?;
        Ok(self.values.entry(name.clone()).or_default())
    }
}

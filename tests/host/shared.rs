//! Shared data and queues: one store per process and vm_id, so that two threads can be two workers.

use proxy_wasm::types::Status;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Clone it into the `HostOptions` of another thread to have a second worker of the same Envoy.
#[derive(Clone, Default)]
pub struct SharedData(Arc<Mutex<Store>>);

#[derive(Default)]
struct Store {
    entries: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    last_cas: u32,
    queues: Vec<(Vec<u8>, VecDeque<Vec<u8>>)>,
}

impl SharedData {
    pub fn get(&self, key: &[u8]) -> Option<(Vec<u8>, u32)> {
        self.store().entries.get(key).cloned()
    }

    /// A cas of 0 always writes; a key that is absent takes any cas.
    pub fn set(&self, key: &[u8], value: &[u8], cas: u32) -> Result<(), Status> {
        let mut store = self.store();
        if let Some((_, now)) = store.entries.get(key)
            && cas != 0
            && cas != *now
        {
            return Err(Status::CasMismatch);
        }
        store.last_cas += 1;
        let entry = (value.to_vec(), store.last_cas);
        store.entries.insert(key.to_vec(), entry);
        Ok(())
    }

    pub fn keys(&self) -> Vec<String> {
        self.store()
            .entries
            .keys()
            .map(|k| String::from_utf8_lossy(k).into_owned())
            .collect()
    }

    pub fn register_queue(&self, name: &[u8]) -> u32 {
        if let Some(id) = self.resolve_queue(name) {
            return id;
        }
        let mut store = self.store();
        store.queues.push((name.to_vec(), VecDeque::new()));
        u32::try_from(store.queues.len()).unwrap_or(u32::MAX)
    }

    pub fn resolve_queue(&self, name: &[u8]) -> Option<u32> {
        let at = self.store().queues.iter().position(|(n, _)| n == name)?;
        u32::try_from(at + 1).ok()
    }

    pub fn enqueue(&self, id: u32, value: &[u8]) -> Result<(), Status> {
        self.on_queue(id, |queue| queue.push_back(value.to_vec()))
    }

    pub fn dequeue(&self, id: u32) -> Result<Vec<u8>, Status> {
        self.on_queue(id, VecDeque::pop_front)?.ok_or(Status::Empty)
    }

    fn on_queue<R>(&self, id: u32, f: impl FnOnce(&mut VecDeque<Vec<u8>>) -> R) -> Result<R, Status> {
        let at = (id as usize).checked_sub(1).ok_or(Status::NotFound)?;
        let mut store = self.store();
        let (_, queue) = store.queues.get_mut(at).ok_or(Status::NotFound)?;
        Ok(f(queue))
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

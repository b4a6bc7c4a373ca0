//! The shipped module in an interpreter, driven as Envoy drives it.

use super::headers::HeaderMap;
use super::stubs;
use super::world::{Callout, Stream, World};
use std::path::PathBuf;
use wasmi::{Config, Engine, Error, Instance, Linker, Module, Store, WasmParams, WasmResults};

pub struct Vm {
    store: Store<World>,
    instance: Instance,
    root: u32,
    /// Instructions of the call that took the most, and of all calls.
    pub most: u64,
    pub total: u64,
}

/// A single callback that takes more instructions is taken for a runaway.
const FUEL: u64 = 500_000_000;

/// The file that `make wasm` makes, or the one that MESHGATE_WASM names.
pub fn shipped() -> Vec<u8> {
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("dist/meshgate.wasm");
    let path = std::env::var_os("MESHGATE_WASM").map_or_else(default, PathBuf::from);
    std::fs::read(&path).unwrap_or_else(|fault| {
        panic!(
            "{}: {fault}; `make wasm` builds it, MESHGATE_WASM names another",
            path.display()
        )
    })
}

pub fn parsed(wasm: &[u8]) -> Module {
    let mut config = Config::default();
    config.consume_fuel(true);
    Module::new(&Engine::new(&config), wasm).expect("a valid module")
}

impl Vm {
    /// A VM whose `_initialize` has run, with a root context and no policy yet.
    pub fn start(module: &Module, seed: u64) -> Result<Self, Error> {
        let mut store = Store::new(module.engine(), World::new(seed));
        store.set_fuel(FUEL)?;
        let mut linker = Linker::new(module.engine());
        stubs::link(&mut linker, module)?;
        let instance = linker.instantiate_and_start(&mut store, module)?;
        let mut vm = Self {
            store,
            instance,
            root: 0,
            most: 0,
            total: 0,
        };
        vm.call::<_, ()>(0, "_initialize", ())?;
        Ok(vm)
    }

    /// A new root context with a policy; whether it was accepted.
    pub fn configure(&mut self, policy: &[u8]) -> Result<bool, Error> {
        let root = self.new_context(0)?;
        let started: u32 = self.call(root, "proxy_on_vm_start", (root, 0u32))?;
        self.world().configuration = policy.to_vec();
        let accepted: u32 = self.call(root, "proxy_on_configure", (root, policy.len() as u32))?;
        if started != 0 && accepted != 0 {
            self.root = root;
        }
        Ok(started != 0 && accepted != 0)
    }

    pub fn tick(&mut self) -> Result<(), Error> {
        self.call(self.root, "proxy_on_tick", self.root)
    }

    /// A new stream gets its headers.
    pub fn request(&mut self, headers: HeaderMap, end: bool) -> Result<u32, Error> {
        let count = headers.len() as u32;
        let id = self.new_context(self.root)?;
        let stream = Stream {
            request: headers,
            request_open: true,
            paused: true,
            ..Stream::default()
        };
        self.world().streams.insert(id, stream);
        let action: u32 = self.call(id, "proxy_on_request_headers", (id, count, u32::from(end)))?;
        let stream = self.stream(id);
        if action == 0 && stream.replied.is_none() {
            (stream.paused, stream.request_open) = (false, false);
        }
        self.after(id)?;
        Ok(id)
    }

    pub fn body(&mut self, id: u32, bytes: Vec<u8>, end: bool) -> Result<(), Error> {
        let size = bytes.len() as u32;
        self.stream(id).body = bytes;
        self.call::<_, u32>(id, "proxy_on_request_body", (id, size, u32::from(end)))?;
        self.after(id)
    }

    pub fn trailers(&mut self, id: u32, trailers: HeaderMap) -> Result<(), Error> {
        let count = trailers.len() as u32;
        let stream = self.stream(id);
        (stream.trailers, stream.trailers_open) = (trailers, true);
        self.call::<_, u32>(id, "proxy_on_request_trailers", (id, count))?;
        self.stream(id).trailers_open = false;
        self.after(id)
    }

    pub fn response(&mut self, id: u32, headers: HeaderMap) -> Result<(), Error> {
        let count = headers.len() as u32;
        let stream = self.stream(id);
        (stream.response, stream.response_open) = (headers, true);
        self.call::<_, u32>(id, "proxy_on_response_headers", (id, count, 1u32))?;
        self.stream(id).response_open = false;
        Ok(())
    }

    /// The stream ends, whether or not it was answered; its calls are cancelled.
    pub fn done(&mut self, id: u32) -> Result<(), Error> {
        self.call::<_, ()>(id, "proxy_on_delete", id)?;
        let world = self.world();
        world.contexts.remove(&id);
        world.streams.remove(&id);
        world.callouts.retain(|callout| callout.context != id);
        Ok(())
    }

    /// Answers a call: no headers are a reset.
    pub fn answer(&mut self, callout: Callout, headers: Option<HeaderMap>, body: Vec<u8>) -> Result<(), Error> {
        let Callout { token, context, grpc } = callout;
        self.world().callouts.retain(|c| c.token != token);
        let (count, size) = (headers.as_ref().map_or(0, HeaderMap::len) as u32, body.len() as u32);
        let failed = headers.is_none();
        self.world().answer = Some((headers, body));
        match (grpc, failed) {
            (false, _) => {
                let args = (context, token, count, size, 0u32);
                self.call::<_, ()>(context, "proxy_on_http_call_response", args)?;
            }
            (true, false) => self.call(context, "proxy_on_grpc_receive", (context, token, size))?,
            (true, true) => self.call(context, "proxy_on_grpc_close", (context, token, 14u32))?,
        }
        self.world().answer = None;
        let waiting: Vec<u32> = self.world().streams.keys().copied().collect();
        waiting.into_iter().try_for_each(|id| self.after(id))
    }

    pub fn world(&mut self) -> &mut World {
        self.store.data_mut()
    }

    /// Memory of the module in bytes.
    pub fn memory(&self) -> usize {
        let memory = self.instance.get_memory(&self.store, "memory");
        memory.map_or(0, |memory| memory.data_size(&self.store))
    }

    fn stream(&mut self, id: u32) -> &mut Stream {
        self.world().streams.entry(id).or_default()
    }

    /// A local reply runs through the response callback once, as on Envoy.
    fn after(&mut self, id: u32) -> Result<(), Error> {
        let stream = self.stream(id);
        let Some(status) = stream.replied.filter(|_| stream.paused) else {
            return Ok(());
        };
        (stream.paused, stream.request_open) = (false, false);
        self.response(id, HeaderMap::of(&[(":status", status.to_string())]))
    }

    fn new_context(&mut self, root: u32) -> Result<u32, Error> {
        let id = self.world().new_id();
        self.world().contexts.insert(id);
        self.call::<_, ()>(id, "proxy_on_context_create", (id, root))?;
        Ok(id)
    }

    fn call<P: WasmParams, R: WasmResults>(&mut self, context: u32, name: &str, params: P) -> Result<R, Error> {
        self.store.set_fuel(FUEL)?;
        (self.world().current, self.world().effective) = (context, 0);
        let function = self.instance.get_typed_func::<P, R>(&self.store, name)?;
        let result = function.call(&mut self.store, params).map_err(|fault| {
            let said = self.store.data().logs.last().cloned().unwrap_or_default();
            Error::new(format!("{name}: {fault}; last log: {said}"))
        })?;
        let used = FUEL - self.store.get_fuel()?;
        self.most = self.most.max(used);
        self.total += used;
        Ok(result)
    }
}

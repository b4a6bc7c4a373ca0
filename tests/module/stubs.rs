//! The host functions as the module sees them: good enough to keep it going, never kind.

use super::headers::{HeaderMap, decode, encode};
use super::world::{Callout, World};
use wasmi::{Caller, Error, ExternType, Linker, Memory, Module, Val};

/// Defines every function that the module imports; what a proxy lacks answers as Envoy's stub does.
pub fn link(linker: &mut Linker<World>, module: &Module) -> Result<(), Error> {
    for import in module.imports() {
        let ExternType::Func(ty) = import.ty() else {
            return Err(Error::new(format!("imports {}, not a function", import.name())));
        };
        let name = import.name().to_string();
        let call = move |caller: Caller<'_, World>, args: &[Val], results: &mut [Val]| {
            let args: Vec<u64> = args.iter().map(number).collect();
            let answer = Guest::new(caller)?.call(&name, &args)?;
            if let Some(result) = results.first_mut() {
                *result = Val::I32(answer);
            }
            Ok(())
        };
        linker.func_new(import.module(), import.name(), ty.clone(), call)?;
    }
    Ok(())
}

const OK: i32 = 0;
const NOT_FOUND: i32 = 1;
const BAD_ARGUMENT: i32 = 2;
const CAS_MISMATCH: i32 = 8;
const INTERNAL_FAILURE: i32 = 10;
const EBADF: i32 = 8;
const ENOSYS: i32 = 52;

struct Guest<'a> {
    caller: Caller<'a, World>,
    memory: Memory,
}

impl<'a> Guest<'a> {
    fn new(caller: Caller<'a, World>) -> Result<Self, Error> {
        let memory = caller.get_export("memory").and_then(|e| e.into_memory());
        let memory = memory.ok_or_else(|| Error::new("the module exports no memory"))?;
        Ok(Self { caller, memory })
    }

    fn call(&mut self, name: &str, args: &[u64]) -> Result<i32, Error> {
        self.world().calls += 1;
        let a = |n: usize| args.get(n).map_or(0, |value| *value as u32);
        match name {
            "proxy_log" => {
                let text = self.text(a(1), a(2))?;
                self.world().logs.push(text);
            }
            "proxy_get_log_level" => {
                let level = self.world().log_level.to_le_bytes();
                self.put(a(0), &level)?;
            }
            "proxy_get_current_time_nanoseconds" => {
                let now = self.clock();
                self.put(a(0), &now)?;
            }
            "proxy_get_header_map_pairs" => {
                let pairs = self.world().map(a(0)).map(|m| encode(m.pairs()));
                self.give(&pairs.unwrap_or_default(), a(1), a(2))?;
            }
            "proxy_get_header_map_value" => {
                let key = self.bytes(a(1), a(2))?;
                let Some(map) = self.world().map(a(0)) else {
                    return Ok(BAD_ARGUMENT);
                };
                let Some(value) = map.first(&key).map(<[u8]>::to_vec) else {
                    return Ok(NOT_FOUND);
                };
                self.give(&value, a(3), a(4))?;
            }
            "proxy_set_header_map_pairs" => {
                let pairs = decode(&self.bytes(a(1), a(2))?);
                return Ok(self.change(a(0), |map| *map = HeaderMap::of(&pairs)));
            }
            "proxy_add_header_map_value" | "proxy_replace_header_map_value" => {
                let (key, value) = (self.bytes(a(1), a(2))?, self.bytes(a(3), a(4))?);
                let add = name == "proxy_add_header_map_value";
                let put = |map: &mut HeaderMap| match add {
                    true => map.add(&key, &value),
                    false => map.set(&key, &value),
                };
                return Ok(self.change(a(0), put));
            }
            "proxy_remove_header_map_value" => {
                let key = self.bytes(a(1), a(2))?;
                return Ok(self.change(a(0), |map| map.remove(&key)));
            }
            "proxy_get_buffer_bytes" => {
                let Some(bytes) = self.world().buffer(a(0)) else {
                    return Ok(NOT_FOUND);
                };
                let start = (a(1) as usize).min(bytes.len());
                let end = start.saturating_add(a(2) as usize).min(bytes.len());
                self.give(&bytes[start..end], a(3), a(4))?;
            }
            "proxy_http_call" => return self.dispatch(false, a(9)),
            "proxy_grpc_call" => return self.dispatch(true, a(11)),
            "proxy_get_status" => {
                self.put(a(0), &14u32.to_le_bytes())?;
                self.give(b"reset", a(1), a(2))?;
            }
            "proxy_send_local_response" => {
                decode(&self.bytes(a(5), a(6))?);
                if let Some(stream) = self.world().stream() {
                    stream.replied.get_or_insert(a(0));
                }
            }
            "proxy_continue_stream" => {
                if let Some(stream) = self.world().stream() {
                    (stream.paused, stream.request_open, stream.trailers_open) = (false, false, false);
                }
            }
            "proxy_set_effective_context" => {
                if !self.world().contexts.contains(&a(0)) {
                    return Ok(BAD_ARGUMENT);
                }
                self.world().effective = a(0);
            }
            "proxy_get_property" => {
                if !self.world().oddly(3) {
                    return Ok(NOT_FOUND);
                }
                let value = self.world().random.value();
                self.give(&value, a(2), a(3))?;
            }
            "proxy_get_shared_data" => {
                let key = self.bytes(a(0), a(1))?;
                let planted = self.world().oddly(6).then(|| self.world().random.bytes(400));
                let entry = planted.map(|bytes| (bytes, 7));
                let Some((value, cas)) = entry.or_else(|| self.world().shared.get(&key).cloned()) else {
                    return Ok(NOT_FOUND);
                };
                self.put(a(4), &cas.to_le_bytes())?;
                self.give(&value, a(2), a(3))?;
            }
            "proxy_set_shared_data" => {
                if self.world().oddly(6) {
                    return Ok(CAS_MISMATCH);
                }
                let (key, value) = (self.bytes(a(0), a(1))?, self.bytes(a(2), a(3))?);
                self.world().shared.insert(key, (value, 1));
            }
            "proxy_call_foreign_function" => return self.foreign(a(0), a(1), a(4), a(5)),
            "proxy_define_metric" => {
                self.world().metrics += 4;
                let id = self.world().metrics + a(0);
                self.put(a(3), &id.to_le_bytes())?;
            }
            name if name.starts_with("proxy_") => return Ok(OK),
            name => return self.wasi(name, &a),
        }
        Ok(OK)
    }

    fn wasi(&mut self, name: &str, a: &dyn Fn(usize) -> u32) -> Result<i32, Error> {
        match name {
            "random_get" => {
                let bytes: Vec<u8> = (0..a(1)).map(|_| self.world().random.number() as u8).collect();
                self.put(a(0), &bytes)?;
            }
            "clock_time_get" if a(0) > 1 => return Ok(58),
            "clock_time_get" => {
                let now = self.clock();
                self.put(a(2), &now)?;
            }
            "environ_sizes_get" => {
                let sizes = self.world().env.iter().map(|entry| entry.len() + 1);
                let (count, size) = sizes.fold((0u32, 0u32), |(n, sum), s| (n + 1, sum + s as u32));
                self.put(a(0), &count.to_le_bytes())?;
                self.put(a(1), &size.to_le_bytes())?;
            }
            "environ_get" => {
                let mut at = a(1);
                for (n, entry) in self.world().env.clone().into_iter().enumerate() {
                    self.put(a(0) + 4 * n as u32, &at.to_le_bytes())?;
                    self.put(at, entry.as_bytes())?;
                    self.put(at + entry.len() as u32, &[0])?;
                    at += entry.len() as u32 + 1;
                }
            }
            "args_sizes_get" => {
                self.put(a(0), &[0; 4])?;
                self.put(a(1), &[0; 4])?;
            }
            "fd_write" => {
                let mut text = Vec::new();
                for n in 0..a(2) {
                    let part = self.bytes(a(1) + 8 * n, 8)?;
                    let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|n| part[at + n]));
                    text.extend(self.bytes(word(0), word(4))?);
                }
                self.put(a(3), &(text.len() as u32).to_le_bytes())?;
                self.world().logs.push(String::from_utf8_lossy(&text).into_owned());
            }
            "args_get" | "sched_yield" => {}
            // 0 would send the C library's search for directories round for ever.
            "fd_prestat_get" | "fd_fdstat_get" => return Ok(EBADF),
            "proc_exit" => return Err(Error::new("the module called proc_exit")),
            _ => return Ok(ENOSYS),
        }
        Ok(0)
    }

    fn dispatch(&mut self, grpc: bool, token_at: u32) -> Result<i32, Error> {
        let world = self.world();
        match (world.oddly(16), world.oddly(16)) {
            (true, _) => return Ok(BAD_ARGUMENT + if grpc { 2 } else { 0 }),
            (_, true) => return Ok(INTERNAL_FAILURE),
            _ => {}
        }
        let (token, context) = (world.new_id(), world.context());
        world.callouts.push(Callout { token, context, grpc });
        self.put(token_at, &token.to_le_bytes())?;
        Ok(OK)
    }

    fn foreign(&mut self, name: u32, size: u32, data_at: u32, size_at: u32) -> Result<i32, Error> {
        if self.text(name, size)? != "verify_signature" {
            return Ok(if self.world().oddly(2) { NOT_FOUND } else { OK });
        }
        let chance = if self.world().hostile {
            self.world().random.below(6)
        } else {
            0
        };
        let bytes = match chance {
            0 => return Ok(NOT_FOUND),
            1 => return Ok(BAD_ARGUMENT),
            2 => Vec::new(),
            3 => self.world().random.bytes(20),
            _ => vec![8, 1],
        };
        self.give(&bytes, data_at, size_at)?;
        Ok(OK)
    }

    fn change(&mut self, map: u32, f: impl FnOnce(&mut HeaderMap)) -> i32 {
        match self.world().map(map).filter(|_| map < 3) {
            None => BAD_ARGUMENT,
            Some(headers) => {
                f(headers);
                OK
            }
        }
    }

    fn clock(&mut self) -> [u8; 8] {
        self.world().now_ns += 1_000_000;
        self.world().now_ns.to_le_bytes()
    }

    fn world(&mut self) -> &mut World {
        self.caller.data_mut()
    }

    fn bytes(&self, at: u32, size: u32) -> Result<Vec<u8>, Error> {
        let data = self.memory.data(&self.caller);
        let range = at as usize..(at as usize).saturating_add(size as usize);
        let bytes = data.get(range).map(<[u8]>::to_vec);
        bytes.ok_or_else(|| Error::new("the module passed memory that it does not have"))
    }

    fn text(&self, at: u32, size: u32) -> Result<String, Error> {
        Ok(String::from_utf8_lossy(&self.bytes(at, size)?).into_owned())
    }

    fn put(&mut self, at: u32, bytes: &[u8]) -> Result<(), Error> {
        let written = self.memory.write(&mut self.caller, at as usize, bytes);
        written.map_err(|fault| Error::new(format!("a result pointer is wrong: {fault}")))
    }

    /// Hands bytes over in memory that the module allocates; nothing for no bytes.
    fn give(&mut self, bytes: &[u8], data_at: u32, size_at: u32) -> Result<(), Error> {
        let size = bytes.len() as u32;
        let mut at = 0;
        if size > 0 {
            let allocate = self.caller.get_export("proxy_on_memory_allocate");
            let allocate = allocate.and_then(|e| e.into_func());
            let allocate = allocate.ok_or_else(|| Error::new("the module exports no allocator"))?;
            at = allocate.typed::<u32, u32>(&self.caller)?.call(&mut self.caller, size)?;
            self.put(at, bytes)?;
        }
        self.put(data_at, &at.to_le_bytes())?;
        self.put(size_at, &size.to_le_bytes())
    }
}

fn number(value: &Val) -> u64 {
    match value {
        Val::I32(n) => u64::from(*n as u32),
        Val::I64(n) => *n as u64,
        _ => 0,
    }
}

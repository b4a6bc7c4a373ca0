//! Properties, shared data, queues, metrics.

use super::super::headers::HeaderMap;
use super::super::vm::{Vm, with};
use super::{give, put, read, read_text, status};
use proxy_wasm::types::Status;

#[unsafe(no_mangle)]
extern "C" fn proxy_get_property(path: *const u8, path_size: usize, data: *mut *mut u8, size: *mut usize) -> Status {
    let path = read(path, path_size);
    call!(format!("get_property {}", dotted(&path)));
    match with(|vm| property(vm, &path)) {
        None => Status::NotFound,
        Some(value) => give(&value, data, size),
    }
}

#[unsafe(no_mangle)]
extern "C" fn proxy_set_property(path: *const u8, path_size: usize, value: *const u8, value_size: usize) -> Status {
    let (path, value) = (read(path, path_size), read(value, value_size));
    call!(format!("set_property {}", dotted(&path)));
    with(|vm| {
        // A root context has no stream whose state could be set.
        let Some(stream) = vm.stream() else {
            return Status::NotFound;
        };
        stream.properties.insert(path.clone(), value.clone());
        vm.properties_set.push((dotted(&path), value));
        Status::Ok
    })
}

#[unsafe(no_mangle)]
extern "C" fn proxy_get_shared_data(
    key: *const u8,
    key_size: usize,
    data: *mut *mut u8,
    size: *mut usize,
    cas: *mut u32,
) -> Status {
    let key = read(key, key_size);
    call!(format!("get_shared_data {}", String::from_utf8_lossy(&key)));
    let Some((value, version)) = with(|vm| vm.shared.get(&key)) else {
        return Status::NotFound;
    };
    put(cas, version);
    give(&value, data, size)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_set_shared_data(
    key: *const u8,
    key_size: usize,
    value: *const u8,
    value_size: usize,
    cas: u32,
) -> Status {
    let (key, value) = (read(key, key_size), read(value, value_size));
    call!(format!("set_shared_data {}", String::from_utf8_lossy(&key)));
    status(with(|vm| vm.shared.set(&key, &value, cas)))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_register_shared_queue(name: *const u8, size: usize, id: *mut u32) -> Status {
    let name = read(name, size);
    call!(format!("register_shared_queue {}", String::from_utf8_lossy(&name)));
    put(id, with(|vm| vm.shared.register_queue(&name)));
    Status::Ok
}

#[unsafe(no_mangle)]
extern "C" fn proxy_resolve_shared_queue(
    _vm: *const u8,
    _vm_size: usize,
    name: *const u8,
    size: usize,
    id: *mut u32,
) -> Status {
    let name = read(name, size);
    call!(format!("resolve_shared_queue {}", String::from_utf8_lossy(&name)));
    status(
        with(|vm| vm.shared.resolve_queue(&name))
            .map(|queue| put(id, queue))
            .ok_or(Status::NotFound),
    )
}

#[unsafe(no_mangle)]
extern "C" fn proxy_dequeue_shared_queue(id: u32, data: *mut *mut u8, size: *mut usize) -> Status {
    call!(format!("dequeue_shared_queue {id}"));
    let value = with(|vm| vm.shared.dequeue(id));
    value.map_or_else(|fault| fault, |value| give(&value, data, size))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_enqueue_shared_queue(id: u32, value: *const u8, size: usize) -> Status {
    call!(format!("enqueue_shared_queue {id}"));
    let value = read(value, size);
    status(with(|vm| vm.shared.enqueue(id, &value)))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_define_metric(kind: u32, name: *const u8, size: usize, id: *mut u32) -> Status {
    let name = read_text(name, size);
    call!(format!("define_metric {name}"));
    status(with(|vm| vm.metrics.define(kind, name)).map(|number| put(id, number)))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_get_metric(id: u32, value: *mut u64) -> Status {
    call!("get_metric".into());
    status(with(|vm| vm.metrics.get(id)).map(|number| put(value, number)))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_record_metric(id: u32, value: u64) -> Status {
    call!("record_metric".into());
    status(with(|vm| vm.metrics.record(id, value)))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_increment_metric(id: u32, offset: i64) -> Status {
    call!("increment_metric".into());
    status(with(|vm| vm.metrics.increment(id, offset)))
}

/// The stream's own value, the test's, or what follows from the request's headers.
fn property(vm: &mut Vm, path: &[u8]) -> Option<Vec<u8>> {
    let own = vm.stream().and_then(|stream| stream.properties.get(path)).cloned();
    let given = own.or_else(|| vm.properties.get(path).cloned());
    given.or_else(|| of_request(&vm.stream()?.request, &dotted(path)))
}

fn of_request(request: &HeaderMap, path: &str) -> Option<Vec<u8>> {
    let header = match path.strip_prefix("request.")? {
        "path" => ":path",
        "method" => ":method",
        "host" => ":authority",
        "scheme" => ":scheme",
        "id" => "x-request-id",
        "url_path" => {
            let path = request.first(b":path")?;
            return path.split(|b| *b == b'?').next().map(<[u8]>::to_vec);
        }
        other => other.strip_prefix("headers.")?,
    };
    request.first(header.as_bytes()).map(<[u8]>::to_vec)
}

fn dotted(path: &[u8]) -> String {
    String::from_utf8_lossy(path).replace('\0', ".")
}

//! Header maps and buffers: which are there depends on the phase, and so does the answer.

use super::super::headers::{HeaderMap, decode, encode};
use super::super::stream::StreamState;
use super::super::vm::{Vm, with};
use super::{give, put, read, read_text, status};
use proxy_wasm::types::Status;

#[unsafe(no_mangle)]
extern "C" fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> Status {
    call!(format!("get_header_map_pairs {}", name(map)));
    // An absent map is an empty one here, and only here.
    let pairs = with(|vm| match vm.raw_maps.get(name(map)) {
        Some(raw) => raw.clone(),
        None => readable(vm, map).map(|m| encode(m.pairs())).unwrap_or_default(),
    });
    give(&pairs, data, size)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_get_header_map_value(
    map: u32,
    key: *const u8,
    key_size: usize,
    data: *mut *mut u8,
    size: *mut usize,
) -> Status {
    let key = read_text(key, key_size);
    call!(format!("get_header_map_value {} {key}", name(map)));
    let value = with(|vm| match readable(vm, map) {
        None => Err(Status::BadArgument),
        Some(m) => m.first(key.as_bytes()).map(<[u8]>::to_vec).ok_or(Status::NotFound),
    });
    value.map_or_else(|fault| fault, |value| give(&value, data, size))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_set_header_map_pairs(map: u32, data: *const u8, size: usize) -> Status {
    call!(format!("set_header_map_pairs {}", name(map)));
    let pairs = decode(&read(data, size));
    change(map, |m| *m = HeaderMap::of(&pairs))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_add_header_map_value(
    map: u32,
    key: *const u8,
    key_size: usize,
    value: *const u8,
    value_size: usize,
) -> Status {
    let key = read_text(key, key_size);
    call!(format!("add_header_map_value {} {key}", name(map)));
    let value = read(value, value_size);
    change(map, |m| m.add(key.as_bytes(), &value))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_replace_header_map_value(
    map: u32,
    key: *const u8,
    key_size: usize,
    value: *const u8,
    value_size: usize,
) -> Status {
    let key = read_text(key, key_size);
    call!(format!("replace_header_map_value {} {key}", name(map)));
    let value = read(value, value_size);
    change(map, |m| m.set(key.as_bytes(), &value))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_remove_header_map_value(map: u32, key: *const u8, key_size: usize) -> Status {
    let key = read_text(key, key_size);
    call!(format!("remove_header_map_value {} {key}", name(map)));
    change(map, |m| m.remove(key.as_bytes()))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_get_header_map_size(map: u32, size: *mut usize) -> Status {
    call!(format!("get_header_map_size {}", name(map)));
    let bytes = with(|vm| writable(vm, map).map(|m| m.byte_size()));
    bytes.map_or(Status::BadArgument, |bytes| {
        put(size, bytes);
        Status::Ok
    })
}

#[unsafe(no_mangle)]
extern "C" fn proxy_get_buffer_bytes(
    buffer: u32,
    start: usize,
    max: usize,
    data: *mut *mut u8,
    size: *mut usize,
) -> Status {
    call!(format!("get_buffer_bytes {}", buffer_name(buffer)));
    let Some(bytes) = with(|vm| bytes_of(vm, buffer)) else {
        return Status::NotFound;
    };
    let end = start.saturating_add(max).min(bytes.len());
    give(bytes.get(start..end).unwrap_or_default(), data, size)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_get_buffer_status(buffer: u32, size: *mut usize, flags: *mut u32) -> Status {
    call!(format!("get_buffer_status {}", buffer_name(buffer)));
    let Some(bytes) = with(|vm| bytes_of(vm, buffer)) else {
        return Status::NotFound;
    };
    put(size, bytes.len());
    put(flags, 0);
    Status::Ok
}

#[unsafe(no_mangle)]
extern "C" fn proxy_set_buffer_bytes(
    buffer: u32,
    start: usize,
    size: usize,
    data: *const u8,
    data_size: usize,
) -> Status {
    call!(format!("set_buffer_bytes {}", buffer_name(buffer)));
    let new = read(data, data_size);
    status(with(|vm| {
        let stream = vm.stream().ok_or(Status::NotFound)?;
        let body = match buffer {
            0 if stream.open.body => &mut stream.body,
            1 if stream.open.response_body => &mut stream.response_body,
            _ => return Err(Status::NotFound),
        };
        let start = start.min(body.len());
        let end = start.saturating_add(size).min(body.len());
        body.splice(start..end, new);
        Ok(())
    }))
}

const REQUEST_HEADERS: u32 = 0;

fn change(map: u32, f: impl FnOnce(&mut HeaderMap)) -> Status {
    with(|vm| {
        let Some(headers) = writable(vm, map) else {
            return Status::BadArgument;
        };
        f(headers);
        if map == REQUEST_HEADERS
            && let Some(stream) = vm.stream()
        {
            stream.route_refreshes += 1;
        }
        Status::Ok
    })
}

fn writable(vm: &mut Vm, map: u32) -> Option<&mut HeaderMap> {
    open_map(vm.stream()?, map)
}

fn open_map(stream: &mut StreamState, map: u32) -> Option<&mut HeaderMap> {
    match map {
        REQUEST_HEADERS => stream.open.request.then_some(&mut stream.request),
        1 => stream.open.trailers.then_some(&mut stream.trailers),
        2 => stream.open.response.then_some(&mut stream.response),
        _ => None,
    }
}

fn readable(vm: &mut Vm, map: u32) -> Option<&HeaderMap> {
    match map {
        6 => return vm.answer.as_ref()?.headers.as_ref(),
        7 => {
            return vm.answer.as_ref().map(|a| &a.trailers).filter(|t| !t.is_empty());
        }
        _ => {}
    }
    let stream = vm.stream()?;
    match map {
        REQUEST_HEADERS if stream.open.log => Some(&stream.request),
        2 if stream.open.log => stream.client.as_ref(),
        _ => open_map(stream, map).map(|m| &*m),
    }
}

fn bytes_of(vm: &mut Vm, buffer: u32) -> Option<Vec<u8>> {
    match buffer {
        0 => vm.stream().filter(|s| s.open.body).map(|s| s.body.clone()),
        1 => vm
            .stream()
            .filter(|s| s.open.response_body)
            .map(|s| s.response_body.clone()),
        4 | 5 => vm.answer.as_ref().map(|a| a.body.clone()),
        6 => Some(vm.vm_configuration.clone()),
        7 => {
            let root = vm.context();
            vm.roots
                .get(&root)
                .filter(|r| r.configuring)
                .map(|r| r.configuration.clone())
        }
        _ => None,
    }
}

fn name(map: u32) -> &'static str {
    let names = [
        "request_headers",
        "request_trailers",
        "response_headers",
        "response_trailers",
    ];
    let more = [
        "grpc_initial_metadata",
        "grpc_trailing_metadata",
        "answer_headers",
        "answer_trailers",
    ];
    let mut all = names.iter().chain(&more);
    all.nth(map as usize).copied().unwrap_or("?")
}

fn buffer_name(buffer: u32) -> &'static str {
    let names = [
        "request_body",
        "response_body",
        "downstream_data",
        "upstream_data",
        "answer_body",
        "grpc_message",
        "vm_configuration",
        "plugin_configuration",
        "call_data",
    ];
    names.get(buffer as usize).copied().unwrap_or("?")
}

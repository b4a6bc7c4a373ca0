//! Calls to clusters, local replies, resuming, effective context, foreign functions.

use super::super::callout::{Callout, Cluster};
use super::super::headers::{HeaderMap, decode};
use super::super::reply::LocalReply;
use super::super::vm::{Deferred, with};
use super::{give, put, read, read_text, status};
use proxy_wasm::types::Status;
use std::time::Duration;

#[unsafe(no_mangle)]
extern "C" fn proxy_http_call(
    cluster: *const u8,
    cluster_size: usize,
    headers: *const u8,
    headers_size: usize,
    body: *const u8,
    body_size: usize,
    trailers: *const u8,
    trailers_size: usize,
    timeout_ms: u32,
    token: *mut u32,
) -> Status {
    let cluster = read_text(cluster, cluster_size);
    call!(format!("http_call {cluster}"));
    let mut headers = HeaderMap::of(&decode(&read(headers, headers_size)));
    let missing = [":method", ":path", ":authority"]
        .iter()
        .any(|n| headers.all(n).is_empty());
    if missing || i32::try_from(timeout_ms).is_err() {
        return Status::BadArgument;
    }
    let body = read(body, body_size);
    if !body.is_empty() {
        headers.set(b"content-length", body.len().to_string().as_bytes());
    }
    let trailers = HeaderMap::of(&decode(&read(trailers, trailers_size)));
    dispatch(
        cluster,
        headers,
        body,
        trailers,
        timeout_ms,
        None,
        token,
        Status::BadArgument,
    )
}

#[unsafe(no_mangle)]
extern "C" fn proxy_grpc_call(
    cluster: *const u8,
    cluster_size: usize,
    service: *const u8,
    service_size: usize,
    method: *const u8,
    method_size: usize,
    metadata: *const u8,
    metadata_size: usize,
    message: *const u8,
    message_size: usize,
    timeout_ms: u32,
    token: *mut u32,
) -> Status {
    let cluster = read_text(cluster, cluster_size);
    let grpc = (read_text(service, service_size), read_text(method, method_size));
    call!(format!("grpc_call {cluster} {}/{}", grpc.0, grpc.1));
    let headers = HeaderMap::of(&decode(&read(metadata, metadata_size)));
    let (body, none) = (read(message, message_size), HeaderMap::default());
    dispatch(
        cluster,
        headers,
        body,
        none,
        timeout_ms,
        Some(grpc),
        token,
        Status::ParseFailure,
    )
}

#[unsafe(no_mangle)]
extern "C" fn proxy_grpc_cancel(token: u32) -> Status {
    call!(format!("grpc_cancel {token}"));
    with(|vm| match vm.callouts.get(&token).is_some_and(|c| c.grpc.is_some()) {
        false => Status::NotFound,
        true => {
            let callout = vm.callouts.remove(&token);
            vm.cancelled.extend(callout);
            Status::Ok
        }
    })
}

#[unsafe(no_mangle)]
extern "C" fn proxy_grpc_close(token: u32) -> Status {
    proxy_grpc_cancel(token)
}

/// Streams of gRPC are not something the filter uses: no host is healthy for them.
#[unsafe(no_mangle)]
extern "C" fn proxy_grpc_stream(
    _cluster: *const u8,
    _cluster_size: usize,
    _service: *const u8,
    _service_size: usize,
    _method: *const u8,
    _method_size: usize,
    _metadata: *const u8,
    _metadata_size: usize,
    _token: *mut u32,
) -> Status {
    call!("grpc_stream".into());
    Status::InternalFailure
}

#[unsafe(no_mangle)]
extern "C" fn proxy_grpc_send(_: u32, _: *const u8, _: usize, _: bool) -> Status {
    call!("grpc_send".into());
    Status::NotFound
}

#[unsafe(no_mangle)]
extern "C" fn proxy_get_status(code: *mut u32, data: *mut *mut u8, size: *mut usize) -> Status {
    call!("get_status".into());
    let (number, text) = with(|vm| {
        vm.answer
            .as_ref()
            .map(|a| (a.grpc_status, a.grpc_message.clone()))
            .unwrap_or_default()
    });
    put(code, number);
    give(&text, data, size)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_send_local_response(
    code: u32,
    details: *const u8,
    details_size: usize,
    body: *const u8,
    body_size: usize,
    headers: *const u8,
    headers_size: usize,
    grpc_status: i32,
) -> Status {
    call!(format!("send_local_response {code}"));
    let reply = LocalReply {
        status: code,
        details: read_text(details, details_size),
        headers: HeaderMap::of(&decode(&read(headers, headers_size))),
        body: read(body, body_size),
        grpc_status: (grpc_status >= 0).then_some(grpc_status),
    };
    with(|vm| {
        let context = vm.context();
        if vm.streams.contains_key(&context) {
            vm.after_call.push_back(Deferred::Reply(context, reply));
        }
        vm.stop_iteration = true;
    });
    Status::Ok
}

#[unsafe(no_mangle)]
extern "C" fn proxy_continue_stream(kind: u32) -> Status {
    call!(format!("continue_stream {}", stream_name(kind)));
    with(|vm| {
        let context = vm.context();
        let Some(stream) = vm.stream() else {
            return Status::Ok;
        };
        let action = match kind {
            0 => Deferred::ContinueRequest(context),
            1 => Deferred::ContinueResponse(context),
            _ => return Status::BadArgument,
        };
        // Whichever is resumed, the request can no longer be touched.
        stream.open.request = false;
        stream.open.body = false;
        stream.open.trailers = false;
        vm.after_call.push_back(action);
        Status::Ok
    })
}

#[unsafe(no_mangle)]
extern "C" fn proxy_close_stream(kind: u32) -> Status {
    call!(format!("close_stream {}", stream_name(kind)));
    with(|vm| {
        let context = vm.context();
        if kind < 2 && vm.streams.contains_key(&context) {
            vm.after_call.push_back(Deferred::Reset(context));
        }
    });
    Status::Ok
}

#[unsafe(no_mangle)]
extern "C" fn proxy_set_effective_context(context: u32) -> Status {
    call!(format!("set_effective_context {context}"));
    with(|vm| match vm.is_alive(context) {
        false => Status::BadArgument,
        true => {
            vm.effective = context;
            Status::Ok
        }
    })
}

#[unsafe(no_mangle)]
extern "C" fn proxy_done() -> Status {
    call!("done".into());
    Status::NotFound // nothing is waiting: no callback of the filter defers its end
}

#[unsafe(no_mangle)]
extern "C" fn proxy_call_foreign_function(
    name: *const u8,
    name_size: usize,
    arguments: *const u8,
    arguments_size: usize,
    data: *mut *mut u8,
    size: *mut usize,
) -> Status {
    let name = read_text(name, name_size);
    call!(format!("call_foreign_function {name}"));
    let Some(function) = with(|vm| vm.foreign.get(&name).cloned()) else {
        return Status::NotFound;
    };
    let result = function(&read(arguments, arguments_size));
    if result.is_ok() && name == "clear_route_cache" {
        with(|vm| vm.stream().map(|stream| stream.route_refreshes += 1));
    }
    result.map_or_else(|fault| fault, |bytes| give(&bytes, data, size))
}

#[allow(clippy::too_many_arguments, reason = "what the two kinds of call have in common")]
fn dispatch(
    cluster: String,
    headers: HeaderMap,
    body: Vec<u8>,
    trailers: HeaderMap,
    timeout_ms: u32,
    grpc: Option<(String, String)>,
    token: *mut u32,
    unknown: Status,
) -> Status {
    let dispatched = with(|vm| {
        match vm.clusters.get(&cluster) {
            Some(Cluster::Unknown) => return Err(unknown),
            Some(Cluster::NoHealthyHost) => return Err(Status::InternalFailure),
            Some(Cluster::Healthy) | None => {}
        }
        let (token, timeout) = (vm.new_id(), Duration::from_millis(timeout_ms.into()));
        let (context, sent_at_ns) = (vm.context(), vm.now_ns);
        let callout = Callout {
            token,
            cluster,
            headers,
            body,
            trailers,
            timeout,
            context,
            grpc,
            sent_at_ns,
        };
        vm.callouts.insert(token, callout);
        Ok(token)
    });
    status(dispatched.map(|number| put(token, number)))
}

fn stream_name(kind: u32) -> &'static str {
    ["request", "response", "downstream", "upstream"]
        .get(kind as usize)
        .copied()
        .unwrap_or("?")
}

//! What the filter says to the proxy, in the filter's words.

use super::ffi::{self, HostError};
use super::report;
use crate::cache::{Refused, SharedStore, Version};
use crate::header::{Edits, Field, Headers, Tag};
use crate::request::Connection;
use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};

/// proxy-wasm `MapType`
#[derive(Clone, Copy)]
pub enum Map {
    RequestHeaders = 0,
    RequestTrailers = 1,
    ResponseHeaders = 2,
    CalloutHeaders = 6,
}

/// proxy-wasm `BufferType`
#[derive(Clone, Copy)]
pub enum Buffer {
    RequestBody = 0,
    CalloutBody = 4,
    PluginConfiguration = 7,
}

/// Everything in one call.
pub fn headers(map: Map) -> Result<Headers, HostError> {
    let bytes = ffi::header_pairs(map as u32)?;
    Headers::from_pairs(bytes.unwrap_or_default()).ok_or(HostError(ffi::SERIALIZATION_FAILURE))
}

/// At most `max` bytes from the start.
pub fn buffer(buffer: Buffer, max: usize) -> Result<Vec<u8>, HostError> {
    ffi::buffer(buffer as u32, max).map(Option::unwrap_or_default)
}

/// A single change costs 0.3 to 0.5 µs, writing all headers about 5: the latter is for requests of which much is
/// forged.
const REWRITE_FROM: usize = 16;

/// Changes the request's headers; `headers` is what they were.
pub fn edit(edits: &Edits, headers: &Headers) -> Result<(), HostError> {
    let map = Map::RequestHeaders as u32;
    if edits.len() >= REWRITE_FROM {
        return ffi::set_header_pairs(map, &serialise(edits.apply(headers).into_iter()));
    }
    // By the bits of their tags most names are told apart without another look.
    let bit = |name: &[u8]| Tag::of(name).bit();
    let set = edits.sets().fold(0, |set, (name, _)| set | bit(name));
    for name in &edits.remove {
        // Setting a name takes all its values away.
        if set & bit(name) == 0 || !edits.is_set(name) {
            ffi::remove_header(map, name)?;
        }
    }
    let mut met = 0;
    for (at, (name, value)) in edits.sets().enumerate() {
        // Adding costs the proxy half of replacing, and is the same where nothing of that name is left.
        let was_set = || edits.sets().take(at).any(|(before, _)| before == name);
        let is_there = headers.has(name) || (met & bit(name) != 0 && was_set());
        met |= bit(name);
        match is_there {
            true => ffi::replace_header(map, name, value)?,
            false => ffi::add_header(map, name, value)?,
        }
    }
    for (name, value) in &edits.add {
        ffi::add_header(map, name, value)?;
    }
    Ok(())
}

pub fn remove(map: Map, name: &[u8]) -> Result<(), HostError> {
    ffi::remove_header(map as u32, name)
}

pub fn add(map: Map, name: &[u8], value: &[u8]) -> Result<(), HostError> {
    ffi::add_header(map as u32, name, value)
}

/// In place of every value of that name.
pub fn set(map: Map, name: &[u8], value: &[u8]) -> Result<(), HostError> {
    ffi::replace_header(map as u32, name, value)
}

/// Filter state `wasm.NAME`, for access logs.
pub fn set_state(name: &str, value: &str) {
    // Only a log would miss it.
    let _ = ffi::set_property(name.as_bytes(), value.as_bytes());
}

pub fn resume_request() -> Result<(), HostError> {
    ffi::continue_stream(0)
}

pub fn reply(
    status: u16,
    details: &str,
    headers: &[Field],
    body: &[u8],
    grpc_status: Option<i32>,
) -> Result<(), HostError> {
    let headers = serialise(headers.iter().map(|(name, value)| (&name[..], &value[..])));
    ffi::send_local_response(u32::from(status), details, body, &headers, grpc_status.unwrap_or(-1))
}

fn serialise<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone) -> Vec<u8> {
    let length = |part: &[u8]| u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes();
    let size: usize = pairs.clone().map(|(name, value)| name.len() + value.len() + 10).sum();
    let mut bytes = Vec::with_capacity(size + 4);
    bytes.extend(u32::try_from(pairs.clone().count()).unwrap_or(u32::MAX).to_le_bytes());
    for (name, value) in pairs.clone() {
        bytes.extend(length(name));
        bytes.extend(length(value));
    }
    for (name, value) in pairs {
        bytes.extend_from_slice(name);
        bytes.push(0);
        bytes.extend_from_slice(value);
        bytes.push(0);
    }
    bytes
}

/// What the workers of this proxy share.
pub struct HostStore;

impl SharedStore for HostStore {
    fn get(&self, slot: &str) -> Option<Vec<u8>> {
        ffi::shared_data(slot)
            .unwrap_or_else(failed("get_shared_data"))?
            .0
            .into()
    }

    fn set(&self, slot: &str, bytes: &[u8]) {
        ffi::set_shared_data(slot, bytes, 0).unwrap_or_else(failed("set_shared_data"));
    }

    fn versioned(&self, slot: &str) -> Result<(Vec<u8>, Version), Refused> {
        // What is absent takes any version, and what somebody made meanwhile only its own: never 0, which always writes.
        const ABSENT: u32 = u32::MAX;
        let there = ffi::shared_data(slot).map_err(|error| refused("get_shared_data", error))?;
        let (bytes, version) = there.unwrap_or((Vec::new(), ABSENT));
        Ok((bytes, Version(version)))
    }

    fn replace(&self, slot: &str, bytes: &[u8], Version(version): Version) -> Result<bool, Refused> {
        match ffi::set_shared_data(slot, bytes, version) {
            Ok(()) => Ok(true),
            Err(ffi::CAS_MISMATCH) => Ok(false),
            Err(error) => Err(refused("set_shared_data", error)),
        }
    }
}

/// Counted each time and logged once: a proxy that refuses one refuses all, and every request would say so.
fn refused(deed: &'static str, error: HostError) -> Refused {
    thread_local! {
        static TOLD: Cell<bool> = const { Cell::new(false) };
    }
    match TOLD.replace(true) {
        false => report::host_error(deed, error),
        true => report::count_host_error(deed),
    }
    Refused
}

/// It is as if nothing were shared.
fn failed<T: Default>(deed: &'static str) -> impl FnOnce(HostError) -> T {
    move |error| {
        report::host_error(deed, error);
        T::default()
    }
}

/// The connection of the stream in whose context we run.
pub struct HostConnection;

impl Connection for HostConnection {
    fn source_ip(&self) -> Option<IpAddr> {
        let address = text(b"source\0address")?;
        let socket: Result<SocketAddr, _> = address.parse();
        socket.map(|socket| socket.ip()).or_else(|_| address.parse()).ok()
    }

    fn tls(&self) -> bool {
        text(b"connection\0tls_version").is_some_and(|version| !version.is_empty())
    }

    fn peer(&self) -> Option<String> {
        text(b"connection\0uri_san_peer_certificate").filter(|san| !san.is_empty())
    }
}

/// Where the route leads; empty where there is none.
pub fn chosen_cluster() -> String {
    text(b"xds\0cluster_name").unwrap_or_default()
}

fn text(path: &[u8]) -> Option<String> {
    String::from_utf8(ffi::property(path).ok()??).ok()
}

//! Clients that send what they are told, over either wire.
mod frames;
mod http1;
mod http2;

use std::net::SocketAddr;

use super::message::{Headers, Request, Response};
pub use http1::{Connection, Tunnel};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    H1,
    H2,
}

impl Wire {
    pub const BOTH: [Wire; 2] = [Wire::H1, Wire::H2];
}

/// Every request goes on a connection of its own; `connect` keeps one.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    pub wire: Wire,
    pub addr: SocketAddr,
}

pub fn client(wire: Wire, addr: SocketAddr) -> Client {
    Client { wire, addr }
}

pub fn h1(addr: SocketAddr) -> Client {
    client(Wire::H1, addr)
}

/// HTTP/2 with prior knowledge.
pub fn h2(addr: SocketAddr) -> Client {
    client(Wire::H2, addr)
}

/// Why there is no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    Refused,
    Timeout,
    /// The peer closed before the response was whole.
    Closed,
    /// The connection (HTTP/1) or the stream (HTTP/2) was reset.
    Reset,
    Malformed(String),
}

impl Client {
    /// The response; panics with the reason when there is none.
    #[track_caller]
    pub fn send(&self, request: &Request) -> Response {
        self.try_send(request).unwrap_or_else(|failure| {
            panic!(
                "no response over {:?} to {} {}: {failure:?}",
                self.wire,
                show(&request.method),
                show(&request.target)
            )
        })
    }

    pub fn try_send(&self, request: &Request) -> Result<Response, Failure> {
        self.start(request)?.response()
    }

    /// Sends the request and does not wait for the response.
    pub fn start(&self, request: &Request) -> Result<Pending, Failure> {
        Ok(match self.wire {
            Wire::H1 => {
                let mut connection = Connection::open(self.addr, request.timeout)?;
                connection.put(request)?;
                Pending(Kind::H1(connection, request.clone()))
            }
            Wire::H2 => Pending(Kind::H2(http2::Exchange::start(self.addr, request)?)),
        })
    }

    /// Exactly these bytes on a new TCP connection, and the response to them.
    pub fn raw(&self, bytes: impl AsRef<[u8]>) -> Result<Response, Failure> {
        let mut connection = Connection::open(self.addr, super::SHORT)?;
        connection.write(bytes)?;
        connection.read("GET")
    }

    /// Exactly these fields on an HTTP/2 stream, pseudo-headers too, whatever bytes they hold. The
    /// response has status and body only.
    pub fn raw_fields(&self, fields: &[(&[u8], &[u8])], body: &[u8]) -> Result<Response, Failure> {
        frames::exchange(self.addr, fields, body)
    }

    /// A raw HTTP/1.1 connection to write to and read from piece by piece.
    #[track_caller]
    pub fn connect(&self) -> Connection {
        Connection::open(self.addr, super::SHORT).unwrap_or_else(|f| panic!("connecting to {}: {f:?}", self.addr))
    }

    /// An upgrade (WebSocket handshake headers are added), or the response that refused it.
    pub fn upgrade(&self, request: &Request) -> Result<Tunnel, Response> {
        http1::upgrade(self.addr, request)
    }
}

/// A request under way.
pub struct Pending(Kind);

enum Kind {
    H1(Connection, Request),
    H2(http2::Exchange),
}

impl Pending {
    pub fn response(self) -> Result<Response, Failure> {
        match self.0 {
            Kind::H1(mut connection, request) => connection.read(&request.method),
            Kind::H2(exchange) => exchange.response(),
        }
    }

    /// The client goes away: the connection is closed.
    pub fn leave(self) {}
}

/// Request headers that make a WebSocket handshake.
pub fn websocket(request: &Request) -> Request {
    request
        .clone()
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
}

pub fn headers_of(map: &http::HeaderMap) -> Headers {
    Headers(
        map.iter()
            .map(|(n, v)| (n.as_str().into(), v.as_bytes().into()))
            .collect(),
    )
}

/// Panics on what the `http` crate does not let through (upper case is lowered by it).
#[track_caller]
pub fn map_of(headers: &Headers) -> http::HeaderMap {
    let mut map = http::HeaderMap::new();
    for (name, value) in headers.iter() {
        let name =
            http::HeaderName::from_bytes(name).unwrap_or_else(|_| panic!("HTTP/2 client: header name {}", show(name)));
        let value = http::HeaderValue::from_bytes(value)
            .unwrap_or_else(|_| panic!("HTTP/2 client: header value {}", show(value)));
        map.append(name, value);
    }
    map
}

fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

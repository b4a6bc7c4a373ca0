use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Failure, websocket};
use crate::support::http1::{Wire, put_chunk, put_chunked, put_head};
use crate::support::message::{Headers, Request, Response};
use crate::support::tls;

/// One HTTP/1.1 connection.
pub struct Connection {
    wire: Wire<Stream>,
}

impl Connection {
    pub fn open(addr: SocketAddr, timeout: Duration) -> Result<Self, Failure> {
        Ok(Self {
            wire: Wire::new(Stream::Plain(Bounded::open(addr, timeout)?)),
        })
    }

    pub fn open_tls(addr: SocketAddr, timeout: Duration, config: Arc<rustls::ClientConfig>) -> Result<Self, Failure> {
        let stream = tls::over(Bounded::open(addr, timeout)?, config).map_err(failure)?;
        Ok(Self {
            wire: Wire::new(Stream::Tls(Box::new(stream))),
        })
    }

    /// Request after request on the same connection.
    pub fn send(&mut self, request: &Request) -> Result<Response, Failure> {
        *self.wire.stream.end() = Instant::now() + request.timeout;
        self.put(request)?;
        self.read(&request.method)
    }

    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Failure> {
        self.wire.stream.write_all(bytes.as_ref()).map_err(failure)
    }

    /// Reads the response to a request of that method.
    pub fn read(&mut self, method: impl AsRef<[u8]>) -> Result<Response, Failure> {
        let mut informational = Vec::new();
        loop {
            let head = self.wire.head().map_err(failure)?.ok_or(Failure::Closed)?;
            let status = status(&head.start)?;
            if (100..200).contains(&status) && status != 101 {
                informational.push(status);
                continue;
            }
            let bodyless = method.as_ref() == b"HEAD" || matches!(status, 101 | 204 | 304);
            let (body, trailers) = match bodyless {
                true => Default::default(),
                false => self.wire.body(&head.headers, true).map_err(failure)?,
            };
            return Ok(Response {
                status,
                headers: head.headers,
                body,
                trailers,
                informational,
            });
        }
    }

    pub fn exactly(&mut self, length: usize) -> Result<Vec<u8>, Failure> {
        self.wire.exactly(length).map_err(failure)
    }

    /// Waits until the peer has closed; what it still sent.
    pub fn closed(&mut self) -> Result<Vec<u8>, Failure> {
        self.wire
            .body(&Headers::default(), true)
            .map(|(rest, _)| rest)
            .map_err(failure)
    }

    pub(super) fn put(&mut self, request: &Request) -> Result<(), Failure> {
        // A peer that refuses early may have answered: what it said counts, not that it hung up.
        match self.write(bytes_of(request)) {
            Err(Failure::Reset | Failure::Closed) => Ok(()),
            other => other,
        }
    }
}

/// A connection after `101`.
pub struct Tunnel {
    connection: Connection,
    pub response: Response,
}

impl Tunnel {
    #[track_caller]
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.connection.write(bytes).unwrap();
    }

    #[track_caller]
    pub fn read_exactly(&mut self, length: usize) -> Vec<u8> {
        self.connection.exactly(length).unwrap()
    }
}

pub(super) fn upgrade(addr: SocketAddr, request: &Request) -> Result<Tunnel, Response> {
    let request = websocket(request);
    let mut connection = Connection::open(addr, request.timeout).unwrap();
    let response = connection.send(&request).unwrap();
    if response.status == 101 {
        Ok(Tunnel { connection, response })
    } else {
        Err(response)
    }
}

/// `host` first, then the headers in order; framing headers are added unless the request has its own.
fn bytes_of(request: &Request) -> Vec<u8> {
    let mut headers = Headers::default();
    if let Some(authority) = &request.authority {
        headers.push("host", authority);
    }
    headers.0.extend(request.headers.0.iter().cloned());
    let own = headers.contains("content-length") || headers.contains("transfer-encoding");
    let chunked = request.chunked || !request.trailers.is_empty() || (request.unfinished && !own);
    if chunked && !own {
        headers.push("transfer-encoding", "chunked");
    } else if !own && (!request.body.is_empty() || request.method == b"POST") {
        headers.push("content-length", request.body.len().to_string());
    }
    let start = [&request.method[..], &request.target, b"HTTP/1.1"].join(&b' ');
    let mut out = Vec::new();
    put_head(&mut out, &start, &headers);
    match (chunked, request.unfinished) {
        (true, true) => put_chunk(&mut out, &request.body),
        (true, false) => put_chunked(&mut out, &request.body, &request.trailers),
        (false, _) => out.extend_from_slice(&request.body),
    }
    out
}

fn status(start: &[u8]) -> Result<u16, Failure> {
    let code = start
        .split(|b| *b == b' ')
        .nth(1)
        .and_then(|c| std::str::from_utf8(c).ok()?.parse().ok());
    code.ok_or_else(|| Failure::Malformed(start.escape_ascii().to_string()))
}

enum Stream {
    Plain(Bounded),
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, Bounded>>),
}

impl Stream {
    fn end(&mut self) -> &mut Instant {
        match self {
            Self::Plain(stream) => &mut stream.end,
            Self::Tls(stream) => &mut stream.sock.end,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(buffer),
            Self::Tls(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// A stream on which everything together ends at one time.
struct Bounded {
    stream: TcpStream,
    end: Instant,
}

impl Bounded {
    fn open(addr: SocketAddr, timeout: Duration) -> Result<Self, Failure> {
        let stream = TcpStream::connect_timeout(&addr, timeout).map_err(failure)?;
        let _ = stream.set_nodelay(true);
        Ok(Self {
            stream,
            end: Instant::now() + timeout,
        })
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            Err(io::ErrorKind::TimedOut.into())
        } else {
            Ok(Some(left))
        }
    }
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer)
    }
}

impl Write for Bounded {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn failure(error: io::Error) -> Failure {
    use io::ErrorKind::*;
    match error.kind() {
        ConnectionRefused => Failure::Refused,
        TimedOut | WouldBlock => Failure::Timeout,
        ConnectionReset | BrokenPipe | ConnectionAborted => Failure::Reset,
        UnexpectedEof => Failure::Closed,
        _ => Failure::Malformed(error.to_string()),
    }
}

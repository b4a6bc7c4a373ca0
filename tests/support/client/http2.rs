use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::SendStream;
use h2::client::{Connection, ResponseFuture, SendRequest};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use super::{Failure, headers_of, map_of, show};
use crate::support::message::{Request, Response};

/// One request on an HTTP/2 connection of its own.
pub(super) struct Exchange {
    runtime: Runtime,
    response: ResponseFuture,
    end: Instant,
    /// Held so that neither the stream nor the connection ends before the response is there.
    _held: (SendRequest<Bytes>, SendStream<Bytes>),
}

impl Exchange {
    pub fn start(addr: SocketAddr, request: &Request) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let end = Instant::now() + request.timeout;
        let (response, held) = bounded(&runtime, end, open(addr, request))?;
        Ok(Self {
            runtime,
            response,
            end,
            _held: held,
        })
    }

    pub fn response(self) -> Result<Response, Failure> {
        bounded(&self.runtime, self.end, collect(self.response))
    }
}

async fn open(
    addr: SocketAddr,
    request: &Request,
) -> Result<(ResponseFuture, (SendRequest<Bytes>, SendStream<Bytes>)), Failure> {
    let stream = TcpStream::connect(addr).await.map_err(|_| Failure::Refused)?;
    let _ = stream.set_nodelay(true);
    let mut settings = h2::client::Builder::new();
    settings
        .initial_window_size(1 << 24)
        .initial_connection_window_size(1 << 24)
        .max_header_list_size(1 << 24);
    let (sender, connection): (_, Connection<_, Bytes>) = settings.handshake(stream).await.map_err(failure)?;
    tokio::spawn(connection);
    let mut sender = sender.ready().await.map_err(failure)?;
    let ends_at_once = request.body.is_empty() && request.trailers.is_empty() && !request.unfinished;
    let (response, mut stream) = sender.send_request(head_of(request), ends_at_once).map_err(failure)?;
    if !ends_at_once {
        // An early refusal resets the sending half; the response still counts.
        let _ = put_body(&mut stream, request).await;
    }
    // Lets the connection's task write what is queued, for callers that only start a request.
    for _ in 0..4 {
        tokio::task::yield_now().await;
    }
    Ok((response, (sender, stream)))
}

async fn put_body(stream: &mut SendStream<Bytes>, request: &Request) -> Result<(), h2::Error> {
    let mut rest = Bytes::from(request.body.clone());
    let end_with_data = request.trailers.is_empty() && !request.unfinished;
    while !rest.is_empty() {
        stream.reserve_capacity(rest.len());
        let Some(granted) = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await else {
            return Ok(());
        };
        let part = rest.split_to(granted?.min(rest.len()));
        stream.send_data(part, end_with_data && rest.is_empty())?;
    }
    match request.trailers.is_empty() {
        true => Ok(()),
        false => stream.send_trailers(map_of(&request.trailers)),
    }
}

async fn collect(response: ResponseFuture) -> Result<Response, Failure> {
    let (parts, mut stream) = response.await.map_err(failure)?.into_parts();
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data.map_err(failure)?;
        let _ = stream.flow_control().release_capacity(data.len());
        body.extend_from_slice(&data);
    }
    let trailers = stream.trailers().await.map_err(failure)?;
    Ok(Response {
        status: parts.status.as_u16(),
        headers: headers_of(&parts.headers),
        body,
        trailers: trailers.map(|t| headers_of(&t)).unwrap_or_default(),
        informational: Vec::new(),
    })
}

fn head_of(request: &Request) -> http::Request<()> {
    let mut head = http::Request::new(());
    let target = http::uri::PathAndQuery::from_maybe_shared(request.target.clone()).unwrap_or_else(|_| {
        panic!(
            "HTTP/2 client: the http crate refuses :path {}; use raw_fields",
            show(&request.target)
        )
    });
    // A `#` and what follows it would be lost without a word.
    assert!(
        target.as_str().as_bytes() == request.target,
        "HTTP/2 client: the http crate changes :path {}; use raw_fields",
        show(&request.target)
    );
    let mut uri = http::uri::Parts::default();
    uri.path_and_query = Some(target);
    match &request.authority {
        Some(authority) => {
            uri.scheme = Some(http::uri::Scheme::HTTP);
            uri.authority = Some(
                http::uri::Authority::from_maybe_shared(authority.clone()).unwrap_or_else(|_| {
                    panic!(
                        "HTTP/2 client: the http crate refuses :authority {}; use raw_fields",
                        show(authority)
                    )
                }),
            );
            *head.version_mut() = http::Version::HTTP_2;
        }
        // The h2 crate lets a request without :authority through only as one that came over HTTP/1.
        None => *head.version_mut() = http::Version::HTTP_11,
    }
    *head.uri_mut() = http::Uri::from_parts(uri).unwrap();
    *head.method_mut() = http::Method::from_bytes(&request.method).unwrap();
    *head.headers_mut() = map_of(&request.headers);
    head
}

fn bounded<T>(runtime: &Runtime, end: Instant, what: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let left: Duration = end.saturating_duration_since(Instant::now());
    // The timer has to be made inside the runtime.
    runtime
        .block_on(async { tokio::time::timeout(left, what).await })
        .unwrap_or(Err(Failure::Timeout))
}

fn failure(error: h2::Error) -> Failure {
    match error.get_io() {
        Some(io) if io.kind() == std::io::ErrorKind::ConnectionReset => Failure::Reset,
        Some(_) => Failure::Closed,
        None if error.is_reset() || error.is_go_away() => Failure::Reset,
        None => Failure::Malformed(error.to_string()),
    }
}

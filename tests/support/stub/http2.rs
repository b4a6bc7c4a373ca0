use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use h2::{Reason, RecvStream, server::SendResponse};

use super::{End, Inner, Received, Reply};
use crate::support::client::{headers_of, map_of};
use crate::support::message::Headers;

/// Serves one HTTP/2 connection. Of the misbehaviours it knows resets, never and stalls; the rest
/// is a reset of the stream.
pub(super) fn connection(stream: TcpStream, number: usize, inner: Arc<Inner>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    stream.set_nonblocking(true).unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let stream = tokio::net::TcpStream::from_std(stream).unwrap();
        let mut settings = h2::server::Builder::new();
        settings
            .initial_window_size(1 << 24)
            .initial_connection_window_size(1 << 24);
        let Ok(mut connection) = settings.handshake::<_, Bytes>(stream).await else {
            return;
        };
        while let Some(Ok((request, respond))) = connection.accept().await {
            tokio::task::spawn_local(stream_of(request, respond, number, inner.clone()));
        }
    });
    inner.forget(number);
    // Handlers that block must not hold the connection's end up.
    runtime.shutdown_background();
}

async fn stream_of(
    request: http::Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    number: usize,
    inner: Arc<Inner>,
) {
    let request = receive(request, number).await;
    inner.record(&request);
    if !request.complete {
        return;
    }
    // The handler may wait for something: not on the thread that serves the connection.
    let (shared, seen) = (inner.clone(), request.clone());
    let Ok(reply) = tokio::task::spawn_blocking(move || {
        let reply = (shared.handler())(&seen);
        let gone = !reply.delay.is_zero() && shared.gone.wait(reply.delay);
        (!gone).then_some(reply)
    })
    .await
    else {
        return respond.send_reset(Reason::INTERNAL_ERROR);
    };
    if let Some(reply) = reply {
        let _ = answer(&mut respond, reply).await;
    }
}

async fn receive(request: http::Request<RecvStream>, connection: usize) -> Received {
    let (parts, mut stream) = request.into_parts();
    let mut headers = Headers::default();
    headers.push(":method", parts.method.as_str());
    if let Some(scheme) = parts.uri.scheme_str() {
        headers.push(":scheme", scheme);
    }
    if let Some(authority) = parts.uri.authority() {
        headers.push(":authority", authority.as_str());
    }
    let target = parts.uri.path_and_query().map_or("", |p| p.as_str()).to_owned();
    headers.push(":path", &target);
    headers.0.extend(headers_of(&parts.headers).0);
    let mut received = Received {
        method: parts.method.to_string(),
        target: target.into_bytes(),
        headers,
        body: Vec::new(),
        trailers: Headers::default(),
        connection,
        at: Instant::now(),
        complete: true,
    };
    while let Some(data) = stream.data().await {
        let Ok(data) = data else {
            received.complete = false;
            return received;
        };
        let _ = stream.flow_control().release_capacity(data.len());
        received.body.extend_from_slice(&data);
    }
    match stream.trailers().await {
        Ok(trailers) => received.trailers = trailers.map(|t| headers_of(&t)).unwrap_or_default(),
        Err(_) => received.complete = false,
    }
    received
}

async fn answer(respond: &mut SendResponse<Bytes>, reply: Reply) -> Result<(), h2::Error> {
    match reply.end {
        End::Whole | End::ResetInBody | End::StallInBody | End::RestAfter(_) => {}
        End::Never => return std::future::pending().await,
        End::RefusedStream => {
            respond.send_reset(Reason::REFUSED_STREAM);
            return Ok(());
        }
        _ => {
            respond.send_reset(Reason::INTERNAL_ERROR);
            return Ok(());
        }
    }
    let mut head = http::Response::builder().status(reply.status).body(()).unwrap();
    *head.headers_mut() = map_of(&reply.headers);
    let whole = reply.end == End::Whole;
    let pause = match reply.end {
        End::RestAfter(pause) => Some(pause),
        _ => None,
    };
    let empty = reply.body.is_empty() && reply.trailers.is_empty();
    let mut stream = respond.send_response(head, whole && empty)?;
    if whole && empty {
        return Ok(());
    }
    if !whole {
        let half = reply.body.len() / 2;
        stream.send_data(Bytes::copy_from_slice(&reply.body[..half]), false)?;
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
            stream.send_data(Bytes::copy_from_slice(&reply.body[half..]), reply.trailers.is_empty())?;
            if !reply.trailers.is_empty() {
                stream.send_trailers(map_of(&reply.trailers))?;
            }
            return Ok(());
        }
        if reply.end == End::StallInBody {
            return std::future::pending().await;
        }
        // What is queued goes out before the reset does.
        tokio::task::yield_now().await;
        stream.send_reset(Reason::INTERNAL_ERROR);
        return Ok(());
    }
    stream.send_data(Bytes::from(reply.body), reply.trailers.is_empty())?;
    if !reply.trailers.is_empty() {
        stream.send_trailers(map_of(&reply.trailers))?;
    }
    Ok(())
}

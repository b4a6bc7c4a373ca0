use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{End, Inner, Received, Reply};
use crate::support::http1::{Head, Wire, put_chunked, put_head};
use crate::support::message::{Headers, lossy};

/// Serves one HTTP/1.1 connection until either side has had enough.
pub(super) fn connection(stream: TcpStream, number: usize, inner: Arc<Inner>) {
    let mut wire = Wire::new(stream);
    let after = exchange(&mut wire, number, &inner).unwrap_or(After::Close);
    match after {
        // Closing the last handle with a linger of zero sends RST; a shutdown would send FIN first.
        After::Reset => {
            let _ = socket2::SockRef::from(&wire.stream).set_linger(Some(Duration::ZERO));
        }
        _ => {
            let _ = wire.stream.shutdown(Shutdown::Both);
        }
    }
    inner.forget(number);
}

#[derive(PartialEq, Eq)]
enum After {
    KeepAlive,
    Close,
    Reset,
}

fn exchange(wire: &mut Wire<TcpStream>, number: usize, inner: &Inner) -> io::Result<After> {
    while let Some(head) = wire.head()? {
        let request = receive(wire, head, number, inner)?;
        let reply = (inner.handler())(&request);
        let after = answer(wire, &request, reply, inner)?;
        if after != After::KeepAlive || says_close(&request.headers) {
            return Ok(after);
        }
    }
    Ok(After::Close)
}

fn receive(wire: &mut Wire<TcpStream>, head: Head, number: usize, inner: &Inner) -> io::Result<Received> {
    if head.headers.contains("expect") {
        wire.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let mut words = head.start.split(|b| *b == b' ');
    let mut request = Received {
        method: lossy(words.next().unwrap_or_default()),
        target: words.next().unwrap_or_default().to_vec(),
        headers: head.headers,
        body: Vec::new(),
        trailers: Headers::default(),
        connection: number,
        at: Instant::now(),
        complete: true,
    };
    match wire.body(&request.headers, false) {
        Ok((body, trailers)) => {
            (request.body, request.trailers) = (body, trailers);
            inner.record(&request);
            Ok(request)
        }
        Err(error) => {
            request.complete = false;
            inner.record(&request);
            Err(error)
        }
    }
}

fn answer(wire: &mut Wire<TcpStream>, request: &Received, reply: Reply, inner: &Inner) -> io::Result<After> {
    if !reply.delay.is_zero() && inner.gone.wait(reply.delay) {
        return Ok(After::Close);
    }
    match &reply.end {
        End::Close => return Ok(After::Close),
        End::Reset => return Ok(After::Reset),
        End::Never => return never(inner),
        End::Raw(bytes) => {
            wire.stream.write_all(bytes)?;
            return Ok(After::Close);
        }
        _ => {}
    }
    let head = head_of(&reply);
    if reply.end == End::HalfHeaders {
        wire.stream.write_all(&head[..head.len() / 2])?;
        return Ok(After::Close);
    }
    let mut out = head;
    let headers_end = out.len();
    if request.method != "HEAD" {
        if is_chunked(&reply) {
            put_chunked(&mut out, &reply.body, &reply.trailers);
        } else {
            out.extend_from_slice(&reply.body);
        }
    }
    match reply.end {
        End::ResetInBody | End::StallInBody => {
            wire.stream
                .write_all(&out[..headers_end + (out.len() - headers_end) / 2])?;
            if reply.end == End::StallInBody {
                never(inner)
            } else {
                reset_after_delivery(&wire.stream, inner)
            }
        }
        End::RestAfter(pause) => {
            let half = headers_end + (out.len() - headers_end) / 2;
            wire.stream.write_all(&out[..half])?;
            if inner.gone.wait(pause) {
                return Ok(After::Close);
            }
            wire.stream.write_all(&out[half..])?;
            Ok(After::KeepAlive)
        }
        End::Echo => {
            wire.stream.write_all(&out)?;
            echo(wire)
        }
        _ => {
            wire.stream.write_all(&out)?;
            Ok(if says_close(&reply.headers) {
                After::Close
            } else {
                After::KeepAlive
            })
        }
    }
}

fn head_of(reply: &Reply) -> Vec<u8> {
    let mut headers = reply.headers.clone();
    let bodyless = reply.status < 200 || reply.status == 204 || reply.status == 304;
    if is_chunked(reply) {
        headers.push("transfer-encoding", "chunked");
    } else if !bodyless && !headers.contains("content-length") {
        headers.push("content-length", reply.body.len().to_string());
    }
    let mut out = Vec::new();
    put_head(&mut out, format!("HTTP/1.1 {} Stub", reply.status).as_bytes(), &headers);
    out
}

fn is_chunked(reply: &Reply) -> bool {
    reply.chunked || !reply.trailers.is_empty()
}

fn says_close(headers: &Headers) -> bool {
    headers
        .text("connection")
        .is_some_and(|v| v.eq_ignore_ascii_case("close"))
}

/// A reset throws away what the peer has not read yet, so wait until it has taken it.
fn reset_after_delivery(stream: &TcpStream, inner: &Inner) -> io::Result<After> {
    use std::os::fd::AsRawFd;
    let mut unsent: libc::c_int = 0;
    for _ in 0..1000 {
        // SAFETY: TIOCOUTQ (bytes not acknowledged yet) writes one int through the pointer.
        unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &mut unsent) };
        if unsent == 0 || inner.gone.wait(Duration::from_millis(1)) {
            break;
        }
    }
    Ok(After::Reset)
}

fn never(inner: &Inner) -> io::Result<After> {
    inner.gone.wait(Duration::from_secs(3600));
    Ok(After::Close)
}

fn echo(wire: &mut Wire<TcpStream>) -> io::Result<After> {
    let ahead = std::mem::take(&mut wire.ahead);
    wire.stream.write_all(&ahead)?;
    let mut buffer = [0; 16 * 1024];
    loop {
        match wire.stream.read(&mut buffer)? {
            0 => return Ok(After::Close),
            n => wire.stream.write_all(&buffer[..n])?,
        }
    }
}

//! A programmable server: records what it receives, answers what it is told, misbehaves on demand.
mod http2;
mod reply;
mod serve;

use std::collections::HashMap;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::message::{Headers, lossy};
use super::{SHORT, crowd::Latch, wait};
pub use reply::{End, Reply};

/// One server on a port of its own; gone with its connections when dropped.
pub struct Stub {
    addr: SocketAddr,
    inner: Arc<Inner>,
    serve: Serve,
    listening: Mutex<Option<Listening>>,
    /// Bound and never listening, so that nobody else gets the port while the stub is stopped.
    _port: socket2::Socket,
}

type Serve = fn(TcpStream, usize, Arc<Inner>);

struct Listening {
    ends: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

/// A request as it came in.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: String,
    pub target: Vec<u8>,
    /// In order, with duplicates. Over HTTP/2 the pseudo-headers come first.
    pub headers: Headers,
    pub body: Vec<u8>,
    pub trailers: Headers,
    /// Which of the stub's connections it came on, counted from 0.
    pub connection: usize,
    pub at: Instant,
    /// False when the peer left before the end of the body.
    pub complete: bool,
}

impl Received {
    pub fn path(&self) -> String {
        lossy(&self.target)
    }

    /// The first header of that name, as text.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.text(name)
    }

    pub fn has(&self, name: &str) -> bool {
        self.headers.contains(name)
    }
}

type Handler = Box<dyn Fn(&Received) -> Reply + Send + Sync>;

struct Inner {
    handler: Mutex<Arc<Handler>>,
    received: Mutex<Vec<Received>>,
    open: Mutex<HashMap<usize, TcpStream>>,
    connections: AtomicUsize,
    /// Opened when the stub goes: ends delays and replies that never come.
    gone: Latch,
}

impl Stub {
    /// An HTTP/1.1 server with keep-alive.
    pub fn start(handler: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::with(any_port(), handler, serve::connection)
    }

    /// The same at an address that configurations name; only in a network of one's own.
    pub fn start_at(addr: SocketAddr, handler: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::with(addr, handler, serve::connection)
    }

    /// An HTTP/2 server with prior knowledge (h2c).
    pub fn start_h2(handler: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::with(any_port(), handler, http2::connection)
    }

    /// Answers with what it saw, as JSON.
    pub fn echo() -> Self {
        Self::start(Reply::echo)
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Answers otherwise from now on.
    pub fn answer(&self, handler: impl Fn(&Received) -> Reply + Send + Sync + 'static) {
        *self.inner.handler.lock().unwrap() = Arc::new(Box::new(handler));
    }

    pub fn received(&self) -> Vec<Received> {
        self.inner.received.lock().unwrap().clone()
    }

    /// How many requests came in, incomplete ones too.
    pub fn count(&self) -> usize {
        self.inner.received.lock().unwrap().len()
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.inner.connections.load(Ordering::SeqCst)
    }

    /// Forgets what came in so far.
    pub fn clear(&self) {
        self.inner.received.lock().unwrap().clear();
    }

    #[track_caller]
    pub fn last(&self) -> Received {
        self.received().pop().expect("the stub received a request")
    }

    /// Waits until `n` requests came in.
    #[track_caller]
    pub fn wait_for(&self, n: usize) -> Vec<Received> {
        self.wait_for_within(n, SHORT)
    }

    #[track_caller]
    pub fn wait_for_within(&self, n: usize, bound: Duration) -> Vec<Received> {
        let reason = format!("{n} requests at the stub {}", self.addr);
        wait::until(reason, bound, || Some(self.received()).filter(|r| r.len() >= n))
    }

    /// Refuses connections and ends those that are open, until `resume`.
    pub fn stop(&self) {
        let Some(Listening { ends, thread }) = self.listening.lock().unwrap().take() else {
            return;
        };
        ends.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then drops the listener.
        let _ = TcpStream::connect(self.addr);
        thread.join().unwrap();
        for stream in self.inner.open.lock().unwrap().drain().map(|(_, s)| s) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Serves again, on the same port.
    pub fn resume(&self) {
        let mut listening = self.listening.lock().unwrap();
        if listening.is_none() {
            *listening = Some(listen(self.addr, &self.inner, self.serve));
        }
    }

    fn with(addr: SocketAddr, handler: impl Fn(&Received) -> Reply + Send + Sync + 'static, serve: Serve) -> Self {
        let port = bound(addr);
        let addr = port.local_addr().unwrap().as_socket().unwrap();
        let inner = Arc::new(Inner {
            handler: Mutex::new(Arc::new(Box::new(handler))),
            received: Mutex::default(),
            open: Mutex::default(),
            connections: AtomicUsize::new(0),
            gone: Latch::new(),
        });
        Self {
            addr,
            listening: Mutex::new(Some(listen(addr, &inner, serve))),
            inner,
            serve,
            _port: port,
        }
    }
}

fn any_port() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// May be bound beside others of this process: only who listens gets connections.
fn bound(addr: SocketAddr) -> socket2::Socket {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&addr.into()).unwrap();
    socket
}

fn listen(addr: SocketAddr, inner: &Arc<Inner>, serve: Serve) -> Listening {
    let socket = bound(addr);
    socket.listen(1024).unwrap();
    let listener = TcpListener::from(socket);
    let (ends, shared) = (Arc::new(AtomicBool::new(false)), inner.clone());
    let told = ends.clone();
    let thread = spawn("stub-accept", move || {
        for stream in listener.incoming() {
            if told.load(Ordering::SeqCst) || shared.gone.wait(Duration::ZERO) {
                return;
            }
            let Ok(stream) = stream else { continue };
            let _ = stream.set_nodelay(true);
            let number = shared.connections.fetch_add(1, Ordering::SeqCst);
            if let Ok(copy) = stream.try_clone() {
                shared.open.lock().unwrap().insert(number, copy);
            }
            let shared = shared.clone();
            spawn("stub-connection", move || serve(stream, number, shared));
        }
    });
    Listening { ends, thread }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.inner.gone.open();
        self.stop();
    }
}

impl Inner {
    fn handler(&self) -> Arc<Handler> {
        self.handler.lock().unwrap().clone()
    }

    fn forget(&self, connection: usize) {
        self.open.lock().unwrap().remove(&connection);
    }

    fn record(&self, request: &Received) {
        self.received.lock().unwrap().push(request.clone());
    }
}

/// An address that refuses connections: bound, so nobody else gets it, and never listening.
pub struct DeadPort {
    addr: SocketAddr,
    _socket: socket2::Socket,
}

pub fn dead_port() -> DeadPort {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    DeadPort {
        addr: socket.local_addr().unwrap().as_socket().unwrap(),
        _socket: socket,
    }
}

impl DeadPort {
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> std::thread::JoinHandle<()> {
    std::thread::Builder::new()
        .name(name.into())
        .stack_size(512 * 1024)
        .spawn(run)
        .unwrap()
}

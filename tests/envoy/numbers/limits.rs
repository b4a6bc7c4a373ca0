use super::*;
use crate::support::{LONG, SHORT};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Ten requests at an instance, the others wait for their turn and get it.
#[test]
fn at_most_ten_at_once() {
    const REQUESTS: usize = 14;
    let site = Site::of(1, 1);
    for (cluster, path, instance) in site.each() {
        let (go_on, now, most) = (
            Latch::new(),
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicUsize::new(0)),
        );
        let (held, busy, top) = (go_on.clone(), now.clone(), most.clone());
        instance.answer(move |_| {
            top.fetch_max(busy.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            held.wait(LONG);
            busy.fetch_sub(1, Ordering::SeqCst);
            named(0)
        });
        std::thread::scope(|scope| {
            let all = scope.spawn(|| all_at_once(REQUESTS, |_| site.send(&by("ann", path)).status));
            let waiting = format!("cluster.{cluster}.upstream_rq_pending_active");
            site.envoy
                .wait_for_stat(&waiting, |n| n == (REQUESTS - 10) as u64, SHORT);
            instance.wait_for(10);
            assert_eq!(instance.count(), 10);
            go_on.open();
            assert_eq!(all.join().expect("answers"), [200; REQUESTS]);
        });
        assert_eq!(most.load(Ordering::SeqCst), 10, "{cluster}");
    }
}

/// The second answer ends a connection.
#[test]
fn two_requests_per_connection() {
    let site = Site::of(1, 1);
    for (_, path, instance) in site.each() {
        for _ in 0..8 {
            site.who(&by("ann", path));
        }
        let received = instance.received();
        let mut per_connection = BTreeMap::new();
        for one in &received {
            *per_connection.entry(one.connection).or_insert(0) += 1;
        }
        assert_eq!(per_connection.values().copied().max(), Some(2), "{per_connection:?}");
    }
}

/// An instance that takes no connection is given up after half a second. The fastest of some tries counts: the others
/// may have met a busy machine.
#[test]
fn half_a_second_to_connect() {
    const TRIES: usize = 4;
    let deaf = Deaf::new();
    let auth = auth();
    let shipped = Shipped::new().at("auth", &[auth.addr()]);
    let envoy = shipped.at("upstream", &[deaf.addr]).at("catalog", &[deaf.addr]).start();
    for (cluster, path) in [("upstream", "/orders/1"), ("catalog", "/catalog/1")] {
        let once = || {
            let begin = Instant::now();
            let answer = h1(envoy.listener("edge")).send(&by("ann", path));
            assert_eq!(answer.status, 503, "{cluster}");
            begin.elapsed()
        };
        let took = (0..TRIES).map(|_| once()).min().expect("some tries");
        assert!(took >= Duration::from_millis(490), "{cluster}: {took:?}");
        assert!(took < Duration::from_millis(900), "{cluster}: {took:?}");
        let given_up = envoy.stat(&format!("cluster.{cluster}.upstream_cx_connect_timeout"));
        assert!(given_up >= Some(TRIES as u64), "{cluster}: {given_up:?}");
    }
}

/// Listens and never answers: its queue is full.
struct Deaf {
    addr: SocketAddr,
    _socket: socket2::Socket,
    _queue: Vec<TcpStream>,
}

impl Deaf {
    fn new() -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        socket
            .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
            .expect("a port");
        socket.listen(0).expect("listens");
        let addr = socket.local_addr().expect("an address").as_socket().expect("of IP");
        // One more than the queue holds is not answered any more.
        let queue = std::iter::from_fn(|| TcpStream::connect_timeout(&addr, Duration::from_secs(1)).ok());
        Self {
            addr,
            _queue: queue.take(16).collect(),
            _socket: socket,
        }
    }
}

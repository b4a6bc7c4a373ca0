use super::*;
use crate::support::{LONG, SHORT};
use serde_json::json;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Ten requests at an instance, the others wait for their turn and get it.
#[test]
fn at_most_ten_at_once() {
    let site = Site::of(1, 1);
    for (cluster, path, instance) in site.each() {
        assert_eq!(most_at_once(&site, cluster, path, instance), 10, "{cluster}");
    }
}

/// A worker that has no connection may open one when the others have the ten.
#[test]
fn one_more_for_each_further_worker() {
    const WORKERS: usize = 3;
    let mut shipped = Shipped::new();
    shipped.1 = shipped.1.concurrency(WORKERS as u32);
    let site = Site::with(shipped, 1, 1);
    let [(cluster, path, instance), _] = site.each();
    let most = most_at_once(&site, cluster, path, instance);
    assert!((10..10 + WORKERS).contains(&most), "{most}");
}

/// As the comment in envoy.yaml has it for a service over HTTP/2.
#[test]
fn at_most_ten_over_http2() {
    let mut shipped = Shipped::new();
    let cluster = shipped.cluster("upstream");
    cluster["circuit_breakers"]["per_host_thresholds"][0]["max_connections"] = json!(5);
    let options =
        &mut cluster["typed_extension_protocol_options"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"];
    options["explicit_http_config"] = json!({"http2_protocol_options": {"max_concurrent_streams": 2}});
    let (auth, instance) = (auth(), Stub::start_h2(|_| named(0)));
    let site = Site {
        envoy: shipped
            .at("auth", &[auth.addr()])
            .at("upstream", &[instance.addr()])
            .start(),
        business: vec![instance],
        base: Vec::new(),
        _auth: auth,
    };
    assert_eq!(most_at_once(&site, "upstream", "/orders/1", &site.business[0]), 10);
}

/// How many of more requests than it may have an instance has at once. All are answered in the end.
fn most_at_once(site: &Site, cluster: &str, path: &str, instance: &Stub) -> usize {
    const REQUESTS: usize = 20;
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
        until("all to be there or to wait", SHORT, || {
            let waiting = site
                .envoy
                .stat(&format!("cluster.{cluster}.upstream_rq_pending_active"));
            let there = now.load(Ordering::SeqCst);
            (there + waiting.unwrap_or_default() as usize == REQUESTS).then_some(())
        });
        go_on.open();
        assert_eq!(all.join().expect("answers"), [200; REQUESTS]);
    });
    most.load(Ordering::SeqCst)
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

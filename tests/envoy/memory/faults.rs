//! Each way of failing, one after the other, on one Envoy: who is known keeps its answer.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const KNOWN: usize = 5;

struct Fault {
    what: &'static str,
    reply: fn(&Received) -> Reply,
    /// Whether a stranger gets in.
    works: bool,
}

fn fault(what: &'static str, works: bool, reply: fn(&Received) -> Reply) -> Fault {
    Fault { what, reply, works }
}

#[test]
fn known_callers_stay() {
    let cache = "ttl: 100ms, stale_if_error: 1h";
    for workers in [1, 4] {
        let gate = direct(policy("300ms", cache, "", ""))
            .auth(knows)
            .workers(workers)
            .start();
        // Every worker that a connection may come to knows them.
        let mut connections: Vec<_> = (0..2 * workers).map(|_| gate.h1().connect()).collect();
        let mut send = |token: &str| -> Vec<Response> {
            connections
                .iter_mut()
                .map(|connection| connection.send(&from(token)).unwrap())
                .collect()
        };
        for n in 0..KNOWN {
            assert!(send(&format!("known{n}")).iter().all(|response| response.status == 200));
        }
        for (number, Fault { what, reply, works }) in [
            fault("hangs", false, |_| Reply::never()),
            fault("is slow", true, |r| knows(r).delay(Duration::from_millis(50))),
            fault("resets", false, |_| Reply::reset()),
            fault("closes", false, |_| Reply::close()),
            fault("answers garbage", false, |_| Reply::raw("ceci n'est pas\r\n\r\n")),
            fault("answers 503", false, |_| Reply::status(503)),
            fault("answers 3 MB of headers", false, |r| knows(r).headers_of(3 << 20)),
            fault("is back again", true, knows),
        ]
        .into_iter()
        .enumerate()
        {
            gate.auth.answer(reply);
            gate.auth.clear();
            // Until the service was asked for each of them, so that no answer was fresh.
            for n in 0..KNOWN {
                let name = format!("known{n}");
                until(
                    format!("{name} to be asked for while the service {what}"),
                    SHORT,
                    || {
                        for response in send(&name) {
                            assert_eq!((response.status, &*seen(&response)), (200, &*name), "{what}");
                        }
                        let asked = gate.auth.received();
                        asked
                            .iter()
                            .any(|r| r.header("authorization").as_deref() == Some(&*name))
                            .then_some(())
                    },
                );
            }
            let expected = if works { 200 } else { 503 };
            for response in send(&format!("stranger{number}")) {
                assert_eq!(response.status, expected, "{what}");
            }
        }
        gate.envoy.assert_no_trap();
    }
}

/// One that a gateway gives is an outage; any other is the error of the request that met it: that one is refused,
/// and does not live on by what is remembered.
#[test]
fn one_error_in_ten() {
    for (status, survives) in [(500, false), (503, true)] {
        let cache = "ttl: 100ms, stale_if_error: 1h";
        let gate = direct(policy("5s", cache, "breaker: { failures: 1, open_for: 1s }", ""))
            .auth(knows)
            .start();
        let mut connection = gate.h1().connect();
        let mut send = |n: usize| connection.send(&from(&format!("known{}", n % KNOWN))).unwrap().status;
        (0..KNOWN).for_each(|n| assert_eq!(send(n), 200));
        let (count, errors) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
        let given = errors.clone();
        gate.auth
            .answer(move |request| match count.fetch_add(1, Ordering::SeqCst) % 10 {
                9 => {
                    given.fetch_add(1, Ordering::SeqCst);
                    Reply::status(status)
                }
                _ => knows(request),
            });
        let (mut n, mut lost) = (0, 0);
        until(format!("five answers of {status}"), LONG, || {
            for _ in 0..KNOWN {
                lost += usize::from(send(n) != 200);
                n += 1;
            }
            (errors.load(Ordering::SeqCst) >= 5).then_some(())
        });
        let expected = if survives { 0 } else { errors.load(Ordering::SeqCst) };
        assert_eq!(lost, expected, "{status}: of {n} requests");
    }
}

//! The service is away, under load: once for seconds, once for a minute.
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use super::*;

const TIMEOUT: Duration = Duration::from_millis(1000);
const KNOWN: usize = 20;
/// Between two requests of one client: hundreds of them a second are a load, and leave the machine to the tests beside.
const PAUSE: Duration = Duration::from_millis(5);
/// The outage that has to be survived.
const MINUTE: Duration = Duration::from_secs(60);

/// What came of a load: requests of known callers and those of them that were lost; how long strangers waited for
/// their refusal while the breaker was open.
#[derive(Default)]
struct Load {
    sent: usize,
    lost: Vec<String>,
    refused: Vec<Duration>,
}

/// Known callers and strangers, until the outage has lasted that long and been probed three times.
fn load(gate: &Gate, lasting: Duration, probes: impl Fn() -> u64 + Sync) -> Load {
    let began = Instant::now();
    let (over, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    let open = AtomicBool::new(false);
    let known = |worker: usize| {
        let mut lost = Vec::new();
        let mut connection = gate.h1().connect();
        for n in (worker..).step_by(2) {
            if over.load(Ordering::SeqCst) {
                break;
            }
            let name = format!("known{}", n % KNOWN);
            match connection.send(&from(&name)) {
                Ok(response) if response.status == 200 && seen(&response) == name => {}
                other => {
                    lost.push(format!("{name}: {other:?}"));
                    connection = gate.h1().connect();
                }
            }
            sent.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(PAUSE);
        }
        lost
    };
    let stranger = || {
        let mut refused = Vec::new();
        let mut connection = gate.h1().connect();
        for n in 0.. {
            if over.load(Ordering::SeqCst) {
                break;
            }
            let was_open = open.load(Ordering::SeqCst);
            let began = Instant::now();
            let response = connection.send(&from(&format!("stranger{n}"))).unwrap();
            assert_eq!(response.status, 503);
            if was_open && open.load(Ordering::SeqCst) {
                refused.push(began.elapsed());
            }
            std::thread::sleep(PAUSE);
        }
        refused
    };
    std::thread::scope(|scope| {
        let clients = [0, 1].map(|worker| scope.spawn(move || known(worker)));
        // Some who wait out the timeout at the beginning, so that the breaker sees them.
        let strangers: Vec<_> = (0..6).map(|_| scope.spawn(stranger)).collect();
        let gauge = "wasmcustom.meshgate_breaker_open.authenticator=account";
        let opened = wait::try_until(LONG, || (gate.envoy.stat(gauge) == Some(1)).then_some(()));
        open.store(opened.is_some(), Ordering::SeqCst);
        let before = probes();
        let probed = wait::try_until(lasting + LONG, || {
            (probes() >= before + 3 && began.elapsed() >= lasting).then_some(())
        });
        // Whatever came of it, the clients end.
        over.store(true, Ordering::SeqCst);
        assert!(
            (opened, probed) == (Some(()), Some(())),
            "opened {opened:?}, probed {probed:?}"
        );
        let lost = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        let refused = strangers
            .into_iter()
            .flat_map(|client| client.join().unwrap())
            .collect();
        Load {
            sent: sent.load(Ordering::SeqCst),
            lost,
            refused,
        }
    })
}

fn gate() -> Gate {
    let cache = "ttl: 300ms, stale_if_error: 1h";
    let gate = direct(policy("1000ms", cache, "breaker: { failures: 5, open_for: 500ms }", ""))
        .auth(knows)
        .log_level("error")
        .start();
    for n in 0..KNOWN {
        assert_eq!(gate.send(&from(&format!("known{n}"))).status, 200);
    }
    gate
}

#[track_caller]
fn survived(what: &str, load: &Load) {
    let Load { sent, lost, refused } = load;
    let (number, median) = (refused.len(), median(refused.clone()));
    println!("{what}: {sent} requests of known callers, {number} strangers refused, median {median:?}");
    assert!(
        lost.is_empty(),
        "{what}: {} of {sent} lost: {:?}",
        lost.len(),
        lost.first()
    );
    assert!(
        *sent > 100 && number > 100,
        "{what}: {sent} and {number} requests are no load"
    );
    assert!(median < TIMEOUT / 50, "{what}: {median:?}");
}

/// Back again: strangers get in, and known callers by a new answer.
#[track_caller]
fn is_back(gate: &Gate) {
    until("a stranger to be known", SHORT, || {
        (gate.send(&from("late")).status == 200).then_some(())
    });
    gate.auth.clear();
    until("a known caller to be asked for again", SHORT, || {
        let response = gate.send(&from("known0"));
        assert_eq!((response.status, &*seen(&response)), (200, "known0"));
        let asked = gate.auth.received();
        asked
            .iter()
            .any(|r| r.header("authorization").as_deref() == Some("known0"))
            .then_some(())
    });
    let gauge = "wasmcustom.meshgate_breaker_open.authenticator=account";
    gate.envoy.wait_for_stat(gauge, |open| open == 0, SHORT);
    gate.envoy.assert_no_trap();
}

#[test]
fn a_service_that_hangs_for_a_minute() {
    let gate = gate();
    gate.auth.answer(|_| Reply::never());
    let load = load(&gate, MINUTE, || gate.auth.count() as u64);
    survived("a service that hangs for a minute", &load);
    assert!(answers(&gate, "stale") > 0);
    gate.auth.answer(knows);
    is_back(&gate);
}

#[test]
fn a_service_that_is_stopped() {
    let gate = gate();
    gate.auth.stop();
    let failed = || metric(&gate, "callouts_total.authenticator=account.result=connect_failure");
    let load = load(&gate, Duration::ZERO, failed);
    survived("a service that is stopped", &load);
    gate.auth.resume();
    is_back(&gate);
}

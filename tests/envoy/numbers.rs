//! The numbers of envoy/envoy.yaml, from what clients and instances see.

mod ejected;
mod limits;
mod retries;

use crate::shipped::{Shipped, auth, by};
use crate::support::{Envoy, Latch, Received, Reply, Response, Stub, all_at_once, get, h1, until};
use std::collections::BTreeMap;
use std::time::Duration;

/// The shipped Envoy before so many instances of a business and of a base service.
struct Site {
    envoy: Envoy,
    business: Vec<Stub>,
    base: Vec<Stub>,
    _auth: Stub,
}

impl Site {
    fn of(business: usize, base: usize) -> Self {
        Self::with(Shipped::new(), business, base)
    }

    fn with(shipped: Shipped, business: usize, base: usize) -> Self {
        // Each instance names itself by its place in the list.
        let some = |count| {
            (0..count)
                .map(|i| Stub::start(move |_| named(i)))
                .collect::<Vec<Stub>>()
        };
        let addresses = |stubs: &[Stub]| stubs.iter().map(Stub::addr).collect::<Vec<_>>();
        let (business, base, auth) = (some(business), some(base), auth());
        let shipped = shipped.at("auth", &[auth.addr()]);
        let shipped = shipped
            .at("upstream", &addresses(&business))
            .at("catalog", &addresses(&base));
        Self {
            envoy: shipped.start(),
            business,
            base,
            _auth: auth,
        }
    }

    /// The first instance of each: cluster, path, stub.
    fn each(&self) -> [(&str, &str, &Stub); 2] {
        let [business, base] = [&self.business[0], &self.base[0]];
        [("upstream", "/orders/1", business), ("catalog", "/catalog/1", base)]
    }

    fn send(&self, request: &crate::support::Request) -> Response {
        h1(self.envoy.listener("edge")).send(request)
    }

    /// Which instance answers.
    #[track_caller]
    fn who(&self, request: &crate::support::Request) -> usize {
        let answer = self.send(request);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let name = answer.headers.text("x-instance").expect("an instance answered");
        name.parse().expect("a number")
    }
}

fn named(instance: usize) -> Reply {
    Reply::ok().header("x-instance", instance.to_string())
}

/// Callers of a business service are spread, and each stays; what a client writes into the header moves nobody.
#[test]
fn the_same_caller_meets_the_same_instance() {
    const CALLERS: usize = 24;
    let site = Site::of(4, 0);
    let names: Vec<String> = (0..CALLERS).map(|i| format!("caller-{i}")).collect();
    let homes: BTreeMap<&str, usize> = names
        .iter()
        .map(|n| (n.as_str(), site.who(&by(n, "/orders/1"))))
        .collect();
    let used: std::collections::BTreeSet<_> = homes.values().collect();
    assert!(used.len() > 1, "all callers at one instance: {homes:?}");
    for (caller, home) in &homes {
        for path in ["/orders/2", "/orders/3"] {
            assert_eq!(site.who(&by(caller, path)), *home, "{caller} at {path}");
        }
        for (spelling, other) in [
            ("x-user-id", "caller-0"),
            ("X-User-ID", "caller-1"),
            ("x-user-id", "caller-2"),
        ] {
            let forged = by(caller, "/orders/4").header(spelling, other);
            assert_eq!(site.who(&forged), *home, "{caller} as {other}");
        }
    }
    // Nobody is told apart by address, and all come from one.
    let public = get("/public/x").host("localhost");
    let home = site.who(&public);
    for name in &names {
        let forged = public.clone().header("x-user-id", name);
        assert_eq!(site.who(&forged), home, "nobody as {name}");
    }
}

/// Where the hash leads again and again, a second try still goes to somebody else.
#[test]
fn a_retry_goes_to_another_instance() {
    let mut shipped = Shipped::new();
    let policy = &mut shipped.hcm()["route_config"]["virtual_hosts"][0]["retry_policy"];
    policy["retry_on"] = serde_json::json!("5xx");
    // Envoy looks five times for another one along its ring: of six, once in 8,000 runs it would find none.
    let site = Site::with(shipped, 6, 0);
    let home = site.who(&by("ann", "/orders/1"));
    site.business[home].answer(|_| Reply::status(503));
    // Two errors in a row do not eject.
    for tries in 2..=3 {
        assert_ne!(site.who(&by("ann", "/orders/1")), home);
        assert_eq!(site.business[home].count(), tries);
    }
}

/// While one of two instances of a base service is busy, the other one gets more than its half: one in four goes to
/// the busy one (both draws hit it). With turns it would be one in two.
#[test]
fn the_less_busy_instance_gets_more() {
    const BUSY: usize = 5;
    const REQUESTS: usize = 400;
    let site = Site::of(0, 2);
    let go_on = Latch::new();
    let held = go_on.clone();
    site.base[0].answer(move |request: &Received| {
        if request.path() == "/catalog/slow" {
            held.wait(crate::support::LONG);
        }
        named(0)
    });
    let edge = site.envoy.listener("edge");
    let slow = || {
        site.base[0]
            .received()
            .iter()
            .filter(|r| r.path() == "/catalog/slow")
            .count()
    };
    let mut waiting = Vec::new();
    while slow() < BUSY {
        let before = site.base.iter().map(Stub::count).sum::<usize>();
        waiting.push(h1(edge).start(&by("ann", "/catalog/slow")).expect("sent"));
        until("an instance to get it", crate::support::SHORT, || {
            (site.base.iter().map(Stub::count).sum::<usize>() > before).then_some(())
        });
    }
    let mut at_busy = 0;
    for _ in 0..REQUESTS {
        at_busy += usize::from(site.who(&by("ann", "/catalog/quick")) == 0);
    }
    go_on.open();
    for one in waiting {
        assert_eq!(one.response().expect("an answer").status, 200);
    }
    // 100 of 400 with a deviation of 9, against 200.
    assert!(at_busy < 150, "{at_busy} of {REQUESTS} went to the busy instance");
}

//! One way of installing the filter in another's place, while a stranger tries to get by.
use crate::guide;
use crate::kube::{address, apply};
use crate::proxy::Proxy;
use crate::support::{LONG, Request, Stub, h1, until};
use crate::world::{GATEWAY, World, as_reader, asking};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Whether the chains of that port have the filter of that way.
fn has(proxy: &Proxy, port: u16, way: &str) -> bool {
    let chains = proxy.filters(port);
    chains
        .iter()
        .flatten()
        .filter(|f| f.contains("meshgate-"))
        .any(|f| match way {
            "envoyfilter" => f.starts_with("meshgate-"),
            "wasmplugin" => f.ends_with("~istio-translated-wasmplugin"),
            _ => f.contains(".meshgate-") && !f.contains('~'),
        })
}

/// One way in another's place, by the commands of docs/mesh.md: at no moment does anybody pass as whom they say.
pub fn exchanged(world: &World, old: &str, new: &str, rendered: &str) {
    const PATH: &str = "/orders/exchanged";
    world.forget();
    let (over, refused) = (AtomicBool::new(false), AtomicUsize::new(0));
    let everywhere = |way: &str, there: bool| {
        let places = [(&world.gateway, 80), (&world.sidecar, 8080), (&world.sidecar, 80)];
        until(format!("{way} in all listeners: {there}"), LONG, || {
            places
                .iter()
                .all(|(proxy, port)| has(proxy, *port, way) == there)
                .then_some(())
        });
    };
    let forged = |request: Request| {
        let request = request.header("x-user-id", "root").header("x-identity", "forged");
        h1(address(GATEWAY)).try_send(&request.header("x-variant-orders", "b"))
    };
    let passed = std::thread::scope(|scope| {
        let stranger = scope.spawn(|| {
            let mut passed = Vec::new();
            while !over.load(Ordering::SeqCst) {
                match forged(asking(PATH)) {
                    Ok(response) if response.status == 401 => drop(refused.fetch_add(1, Ordering::SeqCst)),
                    Ok(response) => passed.push(response.status),
                    // A connection that ends with its listener.
                    Err(_) => {}
                }
                // A caller who is known is refused while both are there, or is who they are.
                let _ = forged(as_reader(PATH, "ann"));
            }
            passed
        });
        // What does not come panics; the stranger ends all the same.
        let changed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let more = |what: &str| {
                let at = refused.load(Ordering::SeqCst);
                until(what, LONG, || (refused.load(Ordering::SeqCst) > at + 5).then_some(()));
            };
            more("refusals by the old way");
            apply(rendered);
            everywhere(new, true);
            more("refusals by both");
            guide::way_before(old);
            everywhere(old, false);
            more("refusals by the new way");
        }));
        over.store(true, Ordering::SeqCst);
        let passed = stranger.join().expect("a stranger");
        if let Err(why) = changed {
            std::panic::resume_unwind(why);
        }
        passed
    });
    assert!(passed.is_empty(), "a stranger got {passed:?}");
    for seen in [&world.app, &world.second].map(Stub::received).concat() {
        let user = seen.header("x-user-id");
        assert_eq!(user.as_deref(), Some("ann"), "{}", seen.path());
    }
}

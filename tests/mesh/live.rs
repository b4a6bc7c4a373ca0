//! Changes while requests are under way: nobody notices but those who are meant.
use crate::kube::{apply, patched};
use crate::report::Report;
use crate::subjects::{first, in_bucket, second};
use crate::support::{LONG, h1, until};
use crate::ways::WAYS;
use crate::world::{GATEWAY, World, as_reader, asking};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What is installed, with one text in place of another in the gateway's policy.
pub fn changed(world: &World, from: &str, to: &str) -> String {
    let rendered = WAYS[2].rendered(world);
    assert!(rendered.contains(from), "{from} is not in the manifests");
    rendered.replace(from, to)
}

/// Requests of a known caller all the while; how many there were, and the status of those that failed.
fn under_load(change: impl FnOnce()) -> (usize, Vec<u16>) {
    let (over, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let caller = |name: String| {
            let (over, sent) = (&over, &sent);
            scope.spawn(move || {
                let mut failed = Vec::new();
                while !over.load(Ordering::SeqCst) {
                    let request = as_reader("/orders/load", &name);
                    let status = h1(crate::kube::address(GATEWAY))
                        .try_send(&request)
                        .map_or(0, |r| r.status);
                    sent.fetch_add(1, Ordering::SeqCst);
                    if status != 200 {
                        failed.push(status);
                    }
                }
                failed
            })
        };
        let callers = [caller(first("ann")), caller(second("bob"))];
        until("load", LONG, || (sent.load(Ordering::SeqCst) > 50).then_some(()));
        // A change that does not come panics; the load ends all the same.
        let changed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(change));
        let at = sent.load(Ordering::SeqCst);
        until("load after the change", LONG, || {
            (sent.load(Ordering::SeqCst) > at + 50).then_some(())
        });
        over.store(true, Ordering::SeqCst);
        let failed = callers.into_iter().flat_map(|c| c.join().expect("a caller")).collect();
        if let Err(why) = changed {
            std::panic::resume_unwind(why);
        }
        (sent.load(Ordering::SeqCst), failed)
    })
}

pub fn checks(report: &mut Report, world: &World) {
    report.check("a policy is changed under load, and no request is lost", || {
        assert_eq!(world.send(&asking("/alive")).status, 403);
        let (sent, failed) = under_load(|| {
            apply(&changed(
                world,
                r#""paths":["/healthz"]},"authenticate":"none"},{"name":"catalog""#,
                r#""paths":["/alive"]},"authenticate":"none"},{"name":"catalog""#,
            ));
            until("the new policy", LONG, || {
                (world.send(&asking("/alive")).status == 200).then_some(())
            });
        });
        assert!(failed.is_empty(), "{} of {sent}: {failed:?}", failed.len());
        assert_eq!(world.send(&asking("/healthz")).status, 403);
    });
    report.check(
        "weights are moved under load: only callers between the old border and the new one move",
        || {
            let sides = || {
                [4999, 5000, 8999, 9000].map(|bucket| {
                    world.forget();
                    assert_eq!(world.send(&as_reader("/orders/7", &in_bucket(bucket))).status, 200);
                    world.second.count()
                })
            };
            assert_eq!(sides(), [0, 0, 0, 1]);
            let patch = r#"[{"op":"replace","path":"/spec/http/1/route/0/weight","value":5000},
            {"op":"replace","path":"/spec/http/1/route/1/weight","value":5000}]"#;
            let (sent, failed) = under_load(|| {
                patched("shop", patch);
            });
            assert!(failed.is_empty(), "{} of {sent}: {failed:?}", failed.len());
            until("the new weights", LONG, || (sides() == [0, 1, 1, 1]).then_some(()));
        },
    );
    report.check("the overlay applied again is what it was", || {
        apply(&WAYS[2].rendered(world));
        until("the old policy", LONG, || {
            (world.send(&asking("/alive")).status == 403).then_some(())
        });
    });
}

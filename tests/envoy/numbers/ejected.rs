use super::*;
use crate::support::{LONG, Request, SHORT};
use std::time::Instant;

/// A call that is not safe to repeat, so that one call is one try.
fn post(caller: &str) -> Request {
    Request {
        method: b"POST".to_vec(),
        ..by(caller, "/orders/1")
    }
}

/// Three errors in a row and the instance is left alone for half a minute, then it is back; a second time is as short
/// as the first. The only instance is never ejected.
#[test]
fn an_instance_that_fails_three_times_is_out_for_30_s() {
    let site = Site::of(3, 1);
    let home = site.who(&post("ann"));
    let fails = &site.business[home];
    let [(_, _, _), (_, path, alone)] = site.each();
    alone.answer(|_| Reply::status(503));

    // Two errors, an answer, two errors: not three in a row.
    for status in [500, 500, 200, 503, 503, 200] {
        fails.answer(move |_| Reply::status(status));
        assert_eq!(site.send(&post("ann")).status, status);
    }
    let out = eject(&site, home);
    for _ in 0..6 {
        assert_eq!(
            site.send(&Request {
                target: path.into(),
                ..post("ann")
            })
            .status,
            503
        );
    }
    assert_eq!(alone.count(), 6, "the only instance is asked whatever it answers");
    let outliers = site.envoy.stats("cluster.catalog.outlier_detection.");
    assert_eq!(outliers["cluster.catalog.outlier_detection.ejections_active"], 0);
    assert!(outliers["cluster.catalog.outlier_detection.ejections_overflow"] > 0);
    back(&site, home, out);
    // Ejections in a row are where Envoy would double the time. Not waited for: its length stands in the config.
    eject(&site, home);
    assert_eq!(ejections(&site), 2);
    let dump = site.envoy.config_dump().to_string();
    assert!(dump.contains(r#""max_ejection_time":"30s""#), "{dump}");
}

/// Two errors are borne, the third ejects. The moment before it.
fn eject(site: &Site, home: usize) -> Instant {
    let fails = &site.business[home];
    fails.answer(|_| Reply::status(503));
    let before = ejections(site);
    for _ in 0..2 {
        assert_eq!(site.send(&post("ann")).status, 503);
        assert_eq!(ejections(site), before);
    }
    let out = Instant::now();
    assert_eq!(site.send(&post("ann")).status, 503);
    until("the third error to count", SHORT, || {
        (ejections(site) > before).then_some(())
    });
    // The main thread ejects, and tells the workers.
    until("somebody else to answer", SHORT, || {
        (site.send(&post("ann")).status == 200).then_some(())
    });
    let failed = fails.count();
    for _ in 0..6 {
        assert_ne!(site.who(&post("ann")), home);
    }
    assert_eq!(fails.count(), failed);
    out
}

/// Well again, but asked only after 30 s, and at most one interval later.
fn back(site: &Site, home: usize, out: Instant) {
    site.business[home].answer(move |_| named(home));
    let at = until("the instance to be back", LONG, || {
        (site.who(&post("ann")) == home).then(Instant::now)
    });
    let away = at - out;
    assert!(away >= Duration::from_secs(30), "back after {away:?}");
    // An interval for Envoy to look, and time for a busy machine.
    assert!(away < Duration::from_secs(50), "back after {away:?}");
}

fn ejections(site: &Site) -> u64 {
    let name = "cluster.upstream.outlier_detection.ejections_enforced_consecutive_5xx";
    site.envoy.stat(name).unwrap_or_default()
}

//! The experiment of envoy/policy.yaml, and the routes of envoy/envoy.yaml that go by it.

use super::*;
use crate::shipped::{Shipped, auth, by};

/// Who meets which version is the policy's word alone.
#[test]
fn the_policy_says_who_meets_the_second_version() {
    let (auth, first, second) = (auth(), Stub::echo(), Stub::echo());
    let shipped = Shipped::whole().at("auth", &[auth.addr()]);
    let shipped = shipped.at("upstream", &[first.addr()]);
    let envoy = shipped.at("upstream-v2", &[second.addr()]).start();
    for (caller, variant, other) in [("alice", "control", "blue"), ("bob", "blue", "control")] {
        for forged in [None, Some(other)] {
            let request = by(caller, "/orders/1");
            let request = match forged {
                Some(other) => request.header("x-variant-checkout", other),
                None => request,
            };
            let (before, before_second) = (first.count(), second.count());
            assert_eq!(h1(envoy.listener("edge")).send(&request).status, 200);
            let (met, counts) = match variant {
                "blue" => (&second, (before, before_second + 1)),
                _ => (&first, (before + 1, before_second)),
            };
            assert_eq!((first.count(), second.count()), counts, "{caller}, {forged:?}");
            assert_eq!(met.last().headers.all("x-variant-checkout"), [variant.as_bytes()]);
        }
    }
}

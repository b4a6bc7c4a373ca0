//! The manifests of istio/ in a real mesh: a real API server, a real istiod, Istio's own agent around a real Envoy, and
//! no cluster. `make test-mesh` runs it, in a network and a process space of its own, so that fixed ports meet nobody
//! else's and nothing outlives it.
//!
//! It has a main of its own, since the checks share one mesh and tell one story: what is applied here is changed there.
//! Each is seen from outside: by a client, a service, the proxy's own dump, or istiod.

#[path = "../support/mod.rs"]
mod support;

#[path = "../tokens/mint.rs"]
#[allow(dead_code, reason = "tests/tokens.rs makes more of it")]
mod mint;

mod between;
mod exchange;
mod faults;
mod guide;
mod injected;
mod kube;
mod live;
mod manifests;
mod proxy;
mod report;
mod seen;
mod subjects;
mod traffic;
mod ways;
mod world;

use report::Report;
use world::World;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn main() {
    assert!(
        std::env::var_os("MESHGATE_MESH").is_some(),
        "MESHGATE_MESH does not name Istio's programs: run `make test-mesh`"
    );
    loopback_up();
    let mut report = Report::begin();
    manifests::on_paper(&mut report);
    report.say("starting etcd, the API server and istiod");
    let kube = kube::Kube::start();
    guide::checks(&mut report);
    manifests::in_the_api_server(&mut report, &kube);
    report.say("starting the gateway, a sidecar and the services around them");
    let world = World::start(kube);
    for way in ways::WAYS {
        ways::checks(&mut report, &world, way);
    }
    traffic::checks(&mut report, &world);
    between::checks(&mut report, &world);
    seen::checks(&mut report, &world);
    live::checks(&mut report, &world);
    faults::checks(&mut report, &world);
    drop(world);
    report.end();
}

/// A new network has its loopback down.
fn loopback_up() {
    // SAFETY: the request is zeroed, names the device, and both calls read and write nothing but it.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        let mut done = libc::ioctl(socket, libc::SIOCGIFFLAGS as _, &mut request);
        request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short;
        done |= libc::ioctl(socket, libc::SIOCSIFFLAGS as _, &request);
        libc::close(socket);
        assert_eq!(done, 0, "loopback: {}", std::io::Error::last_os_error());
    }
}

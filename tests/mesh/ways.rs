//! The three ways to install the filter are the same filter: in the same place, for the same callers.
use crate::ROOT;
use crate::exchange::exchanged;
use crate::kube::{address, apply, delete, kustomize};
use crate::proxy::Proxy;
use crate::report::Report;
use crate::subjects::first;
use crate::support::{LONG, get, h1, until};
use crate::world::{GATEWAY, HOST, ISSUER, OUTBOUND, TENANT, World, as_caller, as_reader, asking};
use serde_json::{Value, json};
use std::path::Path;

#[derive(Clone, Copy)]
pub struct Way(pub &'static str);

/// The first is what the rest of the checks runs on, so it is tried last.
pub const WAYS: [Way; 3] = [Way("wasmplugin"), Way("trafficextension"), Way("envoyfilter")];

impl Way {
    pub fn rendered(self, world: &World) -> String {
        match self.0 {
            "envoyfilter" => world.rendered("envoyfilter", &["istio/overlays/test"], &[]),
            way => {
                let parts = ["gateway", "sidecar-inbound", "sidecar-outbound"];
                let parts = parts.map(|part| format!("istio/components/{part}/{way}"));
                let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
                let text = world.rendered(way, &["istio/base", "istio/overlays/test/policy"], &parts);
                // The overlay's host and issuer, with the base's routes.
                text.replace(" shop.example.com", &format!(" {HOST}"))
                    .replace("id.example.com", ISSUER)
            }
        }
    }
}

/// Waits until the gateway answers as the policy says, and the sidecar takes its word away. Connections of before go on
/// with the listener of before, so that one request says little.
fn live(world: &World) {
    let passed = || {
        let request = as_reader("/orders/live", &first("probe"));
        let response = h1(address(GATEWAY)).try_send(&request).ok()?;
        (response.status == 200 && !world.app.received().last()?.has("x-identity")).then_some(())
    };
    until("both gates", LONG, || (0..10).all(|_| passed().is_some()).then_some(()));
}

fn before(name: &str) -> Option<&'static str> {
    let at = WAYS.iter().position(|way| way.0 == name)?;
    Some(WAYS[at.checked_sub(1)?].0)
}

fn position(filters: &[String], part: &str) -> usize {
    let found = filters.iter().position(|f| f.contains(part));
    found.unwrap_or_else(|| panic!("no {part} among {filters:?}"))
}

/// In every chain: this order of filters.
#[track_caller]
fn in_order(proxy: &Proxy, port: u16, order: &[&str]) {
    let chains = proxy.filters(port);
    assert!(!chains.is_empty(), "no HTTP at port {port}");
    for filters in chains {
        let places: Vec<usize> = order.iter().map(|part| position(&filters, part)).collect();
        assert!(places.is_sorted(), "{order:?} are not in this order: {filters:?}");
    }
}

/// What ECDS brought for the filter of that port; those of listeners that go stay in the dump for a while.
fn extension(proxy: &Proxy, port: u16, part: &str) -> Value {
    let filters = proxy.filters(port).concat();
    let name = &filters[position(&filters, part)];
    let config = proxy.extension(name).unwrap_or_else(|| panic!("no {name} by ECDS"));
    config["typed_config"]["config"].clone()
}

pub fn checks(report: &mut Report, world: &World, way: Way) {
    let name = way.0;
    let mut check = |what: &str, body: &dyn Fn()| report.check(format!("{name}: {what}"), body);
    let rendered = way.rendered(world);
    check("kubectl installs it, and the first request passes", &|| {
        match before(name) {
            None => apply(&rendered),
            Some(old) => exchanged(world, old, name, &rendered),
        }
        live(world);
        until("the sidecar", LONG, || world.sidecar.ready().then_some(()));
    });
    check(
        "the gateway has cors, Meshgate, jwt_authn, rbac and the router in this order",
        &|| {
            in_order(
                &world.gateway,
                80,
                &["filters.http.cors", "meshgate-gateway", "jwt_authn", "rbac", "router"],
            );
        },
    );
    check("a service's sidecar has Meshgate before jwt_authn and rbac", &|| {
        in_order(
            &world.sidecar,
            8080,
            &["meshgate-inbound", "jwt_authn", "rbac", "router"],
        );
    });
    check("its own calls meet the outbound policy, and only that", &|| {
        in_order(&world.sidecar, 80, &["meshgate-outbound", "router"]);
        for filters in world.sidecar.filters(80) {
            assert!(!filters.iter().any(|f| f.contains("meshgate-inbound")), "{filters:?}");
        }
    });
    check(
        "after a trap the filter starts again, and no request passes without it",
        &|| {
            for (proxy, port, part) in [
                (&world.gateway, 80, "meshgate-gateway"),
                (&world.sidecar, 8080, "meshgate-inbound"),
                (&world.sidecar, 80, "meshgate-outbound"),
            ] {
                let config = extension(proxy, port, part);
                assert_eq!(config["failure_policy"], "FAIL_RELOAD", "{config}");
                // As istio/metrics/prometheus.yml looks for it, and seen.rs.
                let named = match name {
                    "envoyfilter" => part.to_owned(),
                    "trafficextension" => format!(".{part}"),
                    _ => format!(".{part}~istio-translated-wasmplugin"),
                };
                let counters = proxy.stats("vm_reload_success");
                assert!(counters.contains(&format!("{named}.vm_reload_success: ")), "{counters}");
                if name == "envoyfilter" {
                    assert_eq!(config["reload_config"]["backoff"]["base_interval"], "0.100s");
                    assert_eq!(config["vm_config"]["vm_id"], part);
                }
            }
        },
    );
    check(
        "a known caller passes both gates, and is called the same behind each",
        &|| {
            world.forget();
            let ann = first("ann");
            let request = as_caller("/orders/7", &ann, "editor").header("x-user-id", "root");
            let request = request.header("x-tenant-id", "other").header("x_tenant_id", "other");
            let response = world.send(&request.header("x-identity", "forged"));
            assert_eq!(response.status, 200, "{}", response.text());
            let seen = world.app.last();
            assert_eq!(seen.header("x-user-id"), Some(ann));
            assert_eq!(seen.headers.all("x-user-id").len(), 1);
            assert_eq!(seen.headers.all("x-tenant-id"), [TENANT.as_bytes()]);
            assert!(!seen.has("x_tenant_id"), "{:?}", seen.headers);
            assert!(
                !seen.has("authorization") && !seen.has("x-bucket-orders"),
                "{:?}",
                seen.headers
            );
        },
    );
    check("nobody is refused, and reaches no service", &|| {
        world.forget();
        assert_eq!(world.send(&asking("/orders/7")).status, 401);
        assert_eq!(world.send(&asking("/nowhere")).status, 403);
        let other = get("/orders/7").host("other.example.com");
        assert!(world.send(&other).status >= 400);
        assert_eq!(world.app.count() + world.second.count() + world.catalog.count(), 0);
    });
    check(
        "an AuthorizationPolicy on an identity header refuses a forged one",
        &|| {
            world.forget();
            let forged = asking("/catalog/drafts/1").header("x-user-role", "editor");
            let response = world.send(&forged.header("x_user_role", "editor"));
            assert_eq!(
                (response.status, response.text().contains("RBAC")),
                (403, true),
                "{}",
                response.text()
            );
            assert_eq!(world.catalog.count(), 0);
            let editor = as_caller("/catalog/drafts/1", "ann", "editor");
            assert_eq!(world.send(&editor).status, 200);
            let reader = as_reader("/catalog/drafts/1", "bob").header("x-user-role", "editor");
            assert_eq!(world.send(&reader).status, 403);
        },
    );
    check("cors answers a preflight before Meshgate asks for a caller", &|| {
        let preflight = crate::support::request("OPTIONS", "/catalog/1")
            .host(HOST)
            .header("origin", "https://www.example.com")
            .header("access-control-request-method", "GET");
        let response = world.send(&preflight);
        let allowed = response.header("access-control-allow-origin");
        assert_eq!(
            (response.status, allowed.as_deref()),
            (200, Some("https://www.example.com"))
        );
    });
    check("a service's call goes out with retries and what it carried", &|| {
        world.forget();
        let request = get("/catalog/1")
            .host("catalog.shop.svc.cluster.local")
            .header("x-user-id", "ann");
        until("the sidecar's way out", LONG, || {
            let response = h1(address(OUTBOUND)).try_send(&request).ok()?;
            (response.status == 200).then_some(())
        });
        assert_eq!(world.catalog.last().header("x-user-id").as_deref(), Some("ann"));
    });
    rate_limit(report, world, way);
}

/// Envoy's own rate limit beside the filter, as istio/ratelimit installs it. Nobody counts, so that it lets everybody pass.
fn rate_limit(report: &mut Report, world: &World, way: Way) {
    report.check(
        format!(
            "{}: istio/ratelimit stands behind Meshgate, whose headers it counts by",
            way.0
        ),
        || {
            let service = json!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": {"name": "ratelimit", "namespace": "platform"},
                "spec": {"selector": {"app": "ratelimit"}, "ports": [{"name": "grpc", "port": 8081}]},
            });
            // Envoy takes no listener that names a cluster it does not have.
            apply(&service.to_string());
            let manifests = kustomize(&Path::new(ROOT).join("istio/ratelimit"));
            apply(&manifests);
            let has = || {
                let chains = world.gateway.filters(80);
                chains.iter().any(|c| c.iter().any(|f| f.contains("http.ratelimit")))
            };
            until("the rate limit", LONG, || has().then_some(()));
            in_order(
                &world.gateway,
                80,
                &["meshgate-gateway", "jwt_authn", "rbac", "http.ratelimit", "router"],
            );
            live(world);
            delete(&manifests);
            delete(&service.to_string());
            until("the rate limit to go", LONG, || (!has()).then_some(()));
            live(world);
        },
    );
}

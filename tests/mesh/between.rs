//! What docs/mesh.md says of callers that the shipped tree does not have: a service that calls another one, closed as shipped
//! and open with the page's lines, and those whom a plain port would lead to TLS.
use crate::ROOT;
use crate::kube::{apply, delete, documents, run};
use crate::manifests::built;
use crate::report::Report;
use crate::support::{LONG, get, until};
use crate::traffic::{GATEWAYS, asks, straight};
use crate::ways::WAYS;
use crate::world::{HOST, World};
use serde_json::{Value, json};
use std::fs;

pub fn checks(report: &mut Report, world: &World) {
    redirect(report, world);
    report.check(
        "docs/mesh.md: a service that calls another is refused, until its lines are there",
        || {
            let of = |path: &str, host: &str| asks(path, host, "x-user-id: root\r\n");
            let (stock, orders) = (
                of("/catalog/stock/1", "catalog.shop.svc.cluster.local"),
                of("/orders/7", HOST),
            );
            // That a rule of the shipped policy lets anybody pass changes nothing.
            let refused = straight(world, "shop/orders", &stock);
            assert!(
                refused.starts_with("HTTP/1.1 403") && refused.contains("RBAC"),
                "{refused}"
            );
            apply(&with_a_caller(&WAYS[2].rendered(world)));
            world.forget();
            until("the caller to be let in", LONG, || {
                straight(world, "shop/orders", &stock)
                    .starts_with("HTTP/1.1 200")
                    .then_some(())
            });
            let seen = world.app.last();
            assert_eq!(
                seen.headers.all("x-user-id"),
                [b"spiffe://cluster.local/ns/shop/sa/orders"]
            );
            for (workload, request) in [("shop/orders", &orders), ("shop/other", &stock), (GATEWAYS, &stock)] {
                world.forget();
                let refused = straight(world, workload, request);
                assert!(refused.starts_with("HTTP/1.1 401"), "{workload}: {refused}");
                assert_eq!(world.app.count(), 0);
            }
            apply(&WAYS[2].rendered(world));
            until("the caller to be kept out", LONG, || {
                straight(world, "shop/orders", &stock)
                    .starts_with("HTTP/1.1 403")
                    .then_some(())
            });
        },
    );
}

/// The gate answers before Envoy redirects.
fn redirect(report: &mut Report, world: &World) {
    report.check("docs/mesh.md: httpsRedirect comes behind the gate", || {
        let server = json!({
            "port": {"number": 80, "name": "http-redirect", "protocol": "HTTP"}, "bind": "127.0.0.10",
            "hosts": [format!("shop/{HOST}")], "tls": {"httpsRedirect": true},
        });
        let gateway = json!({
            "apiVersion": "networking.istio.io/v1", "kind": "Gateway",
            "metadata": {"name": "redirect", "namespace": "istio-ingress"},
            "spec": {"selector": {"istio": "ingressgateway"}, "servers": [server]},
        });
        let routes = json!({
            "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": {"name": "redirect", "namespace": "shop"},
            "spec": {"hosts": [HOST], "gateways": ["istio-ingress/redirect"], "http": [
                {"route": [{"destination": {"host": "catalog.shop.svc.cluster.local"}}]},
            ]},
        });
        let both = format!("{gateway}\n---\n{routes}");
        apply(&both);
        until("the redirect", LONG, || {
            (world.send(&get("/healthz").host(HOST)).status == 301).then_some(())
        });
        assert_eq!(world.send(&get("/orders/7").host(HOST)).status, 401);
        delete(&both);
    });
}

/// What is installed, with what docs/mesh.md says of a service that calls another.
fn with_a_caller(rendered: &str) -> String {
    let read = |path: &str| fs::read_to_string(format!("{ROOT}/{path}")).expect("a file");
    let page = read("docs/mesh.md");
    let lines = page
        .split("   ```yaml\n")
        .nth(1)
        .and_then(|rest| rest.split("   ```").next());
    let lines = lines
        .expect("its lines")
        .lines()
        .map(|line| format!("{}\n", &line[3..]));
    let lines: String = lines.collect();
    let (authenticators, rules) = lines.split_once("rules:\n").expect("rules");
    let policy = read("istio/policy/inbound.yaml")
        .replace("\nauthenticators:\n", &format!("\n{authenticators}"))
        .replace("- name: public\n", &format!("{rules}- name: public\n"));
    let file = run("inbound.yaml");
    fs::write(&file, policy).expect("a policy");
    let policy = built(&["build", file.to_str().expect("UTF-8")]).to_string();
    let mut all = documents(rendered);
    let place = |all: &[Value], kind: &str, name: &str| {
        let found = all
            .iter()
            .position(|o| o["kind"] == kind && o["metadata"]["name"] == name && o["metadata"]["namespace"] == "shop");
        found.unwrap_or_else(|| panic!("no {kind} {name}"))
    };
    let at = place(&all, "EnvoyFilter", "meshgate-inbound");
    let config = &mut all[at]["spec"]["configPatches"][0]["patch"]["value"]["typed_config"]["config"];
    config["configuration"]["value"] = json!(policy);
    let at = place(&all, "AuthorizationPolicy", "only-the-gateway");
    let principals = &mut all[at]["spec"]["rules"][0]["from"][0]["source"]["principals"];
    let account = page
        .split("1. In `only-the-gateway` of `shop`, `")
        .nth(1)
        .and_then(|rest| rest.split('`').next());
    principals
        .as_array_mut()
        .expect("principals")
        .push(json!(account.expect("an account")));
    let all: Vec<String> = all.iter().map(Value::to_string).collect();
    all.join("\n---\n")
}

//! What an operator sees: lines of the access log, the filter's counters, and what a Prometheus makes of them.
use crate::ROOT;
use crate::kube::{Process, address, logged, run};
use crate::proxy::Proxy;
use crate::report::Report;
use crate::subjects::{assigned, second};
use crate::support::prometheus;
use crate::support::{LONG, Reply, SHORT, Stub, get, h1, until};
use crate::world::{World, as_reader, asking};
use serde_json::{Value, json};
use std::fs;
use std::process::Command;

const PROMETHEUS: &str = "127.0.0.1:9090";
const OTHERS: &str = "127.0.0.18:15090";

pub fn checks(report: &mut Report, world: &World) {
    report.check("the access log has the filter's words", || {
        let subject = second("log");
        for _ in 0..2 {
            let answer = world.send(&as_reader("/orders/logged?secret=1", &subject));
            assert_eq!(answer.status, 200);
        }
        world.send(&asking("/orders/unknown"));
        let line = |proxy: &Proxy, part: &str, field: &str| {
            until(part, SHORT, || {
                let log = proxy.log();
                let mut lines = log.lines().filter(|l| l.starts_with('{') && l.contains(part));
                let found: Value = serde_json::from_str(lines.find(|l| l.contains(field))?).expect("JSON");
                Some(found)
            })
        };
        // The second one is remembered.
        let known = line(&world.gateway, "/orders/logged", "remembered");
        let variant = assigned(&subject).variant.expect("a variant");
        for (field, wanted) in [
            ("rule", "orders"),
            ("outcome", "allowed"),
            ("subject", subject.as_str()),
            ("cache", "remembered"),
            ("variant", &format!("orders-page={variant}")),
            ("protocol", "HTTP/1.1"),
        ] {
            let said = known[field].as_str().unwrap_or_else(|| panic!("{field}: {known}"));
            assert!(said.contains(wanted), "{field}: {known}");
        }
        let milliseconds = known["decided_ms"].as_str().map(str::parse::<f64>);
        assert!(matches!(milliseconds, Some(Ok(_))), "{known}");
        assert_eq!(known["client"], "127.0.0.1");
        assert!(
            known["cause"].is_null() && !known.to_string().contains("secret"),
            "{known}"
        );
        let unknown = line(&world.gateway, "/orders/unknown", "");
        assert_eq!(unknown["outcome"], "unauthenticated");
    });
    report.check("an operator sees the filter's counters", || {
        let counted = |proxy: &Proxy, counter: &str| proxy.count(&format!("wasmcustom.meshgate_{counter}"));
        let allowed = "requests_total.rule=orders.outcome=allowed";
        let before = counted(&world.gateway, allowed);
        assert_eq!(world.send(&as_reader("/orders/7", &second("counted"))).status, 200);
        until("one request more", SHORT, || {
            (counted(&world.gateway, allowed) == before + 1).then_some(())
        });
        assert!(counted(&world.sidecar, "requests_total.rule=service.outcome=allowed") > 0);
        // An exposure is told where the variant is computed, and not again where it is believed.
        let exposures = "exposures_total.experiment=orders-page.variant=";
        assert!(counted(&world.gateway, &format!("{exposures}b")) > 0);
        assert_eq!(counted(&world.sidecar, exposures), 0);
    });
    prometheus(report, world);
}

fn prometheus(report: &mut Report, world: &World) {
    // What the two other ways would call Envoy's counters: ways.rs has seen it.
    let others = Stub::start_at(address(OTHERS), |_| {
        Reply::ok().header("content-type", "text/plain; version=0.0.4").body(
            "envoy_wasm_shop_meshgate_inbound_vm_reload_success{} 0\n\
             envoy_wasm_shop_meshgate_outbound_istio_translated_wasmplugin_vm_reload_success{} 0\n",
        )
    });
    let process = started(world);
    report.check("Prometheus sees the labels of gateway and sidecar, and no name that holds one", || {
        for series in [
            r#"meshgate_requests_total{job="meshgate/istio-ingress/istio-ingressgateway",rule="orders",outcome="allowed",pod="gateway"} > 0"#,
            r#"meshgate_requests_total{job="meshgate/shop/orders",rule="service",outcome="allowed",pod="orders-v1"} > 0"#,
            r#"meshgate_requests_total{job="meshgate/shop/orders",rule="calls",outcome="public"} > 0"#,
            r#"meshgate_exposures_total{experiment="orders-page",variant="b"} > 0"#,
            r#"meshgate_answers_total{authenticator="account",from="remembered"} > 0"#,
            r#"meshgate_callout_duration_bucket{authenticator="account",le="60000"} > 0"#,
            r#"meshgate_build_info{job="meshgate/shop/orders",version="0.1.0"} == 1"#,
        ] {
            let series = series.replace("0.1.0", env!("CARGO_PKG_VERSION"));
            until(&series, LONG, || (!query(&series)?.is_empty()).then_some(()));
        }
        let unlabelled = query(r#"{__name__=~"meshgate_.+_(rule|outcome|authenticator|experiment|revision|version)_.+"}"#);
        assert_eq!(unlabelled, Some(Vec::new()));
    });
    report.check("the shipped rules hold for what it sees", || {
        for (what, count) in [
            // The port of the application is nobody's.
            (r#"up{job=~"meshgate(/.*)?"} == 1"#, 3),
            (r#"meshgate:remembered:ratio_rate5m{job="meshgate/istio-ingress/istio-ingressgateway",authenticator="account"} > 0"#, 1),
            // Of each filter, under the name that the alert asks for.
            (r#"envoy_wasm_meshgate_vm_reload_success{job="meshgate/shop/orders"}"#, 2),
            (r#"envoy_wasm_meshgate_vm_reload_success{job="meshgate/shop/others"}"#, 2),
            ("envoy_wasm_meshgate_vm_reload_success", 5),
            ("meshgate_policy_generation", 1),
            // Of Envoy's own that the dashboard asks for, these are kept by Istio's proxies, and those are not.
            ("envoy_server_memory_allocated", 2),
            (r#"{__name__=~"envoy_http_downstream_rq.*"}"#, 0),
            (r#"meshgate_policy_info{job="meshgate/shop/orders"} == 1"#, 2),
        ] {
            until(what, LONG, || {
                // A rate is of requests that came between two readings.
                world.send(&as_reader("/orders/7", &second("rated")));
                (query(what)?.len() == count).then_some(())
            });
        }
        let plugins = query("count by (plugin) (envoy_wasm_meshgate_vm_reload_success)").expect("plugins");
        let mut names: Vec<&str> = plugins.iter().filter_map(|p| p["metric"]["plugin"].as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["gateway", "inbound", "outbound"]);
        let firing = query(r#"ALERTS{alertname=~"MeshgateDown|MeshgatePoliciesDiffer"}"#);
        assert_eq!(firing, Some(Vec::new()));
    });
    drop(process);
    drop(others);
}

/// The shipped configuration and rules, where this Prometheus, which knows no Kubernetes, is told of pods what the API
/// server would tell it.
fn started(world: &World) -> Process {
    let shipped = fs::read_to_string(format!("{ROOT}/istio/metrics/prometheus.yml")).expect("prometheus.yml");
    let discovery = "  kubernetes_sd_configs:\n  - role: pod\n    namespaces: { names: [istio-ingress, shop] }\n";
    assert!(shipped.contains(discovery), "pods are found in another way");
    let pod = |at: String, namespace: &str, app: &str, name: &str, port: &str| {
        json!({"targets": [at], "labels": {
            "__meta_kubernetes_namespace": namespace, "__meta_kubernetes_pod_label_app": app,
            "__meta_kubernetes_pod_name": name, "__meta_kubernetes_pod_container_port_name": port,
        }})
    };
    let (gateway, sidecar) = (world.gateway.metrics(), world.sidecar.metrics());
    let pods = json!([
        pod(
            gateway.to_string(),
            "istio-ingress",
            "istio-ingressgateway",
            "gateway",
            "http-envoy-prom"
        ),
        pod(sidecar.to_string(), "shop", "orders", "orders-v1", "http-envoy-prom"),
        pod(OTHERS.into(), "shop", "others", "others", "http-envoy-prom"),
        pod("127.0.0.1:9080".into(), "shop", "orders", "orders-v1", "http"),
    ]);
    let config = shipped.replace(discovery, &format!("  static_configs: {pods}\n"));
    let often = "global: { scrape_interval: 1s, evaluation_interval: 1s }";
    let file = run("prometheus.yml");
    let text = format!("{often}\nrule_files: [\"{ROOT}/envoy/prometheus/rules/*.yml\"]\n{config}");
    fs::write(&file, text).expect("a configuration");
    let data = run("prometheus");
    let _ = fs::remove_dir_all(&data);
    let program = std::env::var("MESHGATE_PROMETHEUS").expect("MESHGATE_PROMETHEUS: run `make test-mesh`");
    let mut command = Command::new(program);
    command
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", data.display()))
        .arg(format!("--web.listen-address={PROMETHEUS}"));
    let process = logged(command, "prometheus.log");
    until("Prometheus (target/mesh/prometheus.log)", LONG, || {
        let ready = h1(address(PROMETHEUS))
            .try_send(&get("/-/ready").host("prometheus"))
            .ok()?;
        (ready.status == 200).then_some(())
    });
    process
}

/// The elements of an instant query; None while it cannot answer.
fn query(text: &str) -> Option<Vec<Value>> {
    prometheus::query(address(PROMETHEUS), text)
}

//! Each outcome once: in the log, in the access log, in the metrics, and where it matters as an alert.

use crate::policies::json;
use crate::prometheus::Prometheus;
use crate::shipped::Shipped;
use crate::support::*;
use crate::traffic::Traffic;
use meshgate::denial::Outcome;
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub const POLICY: &str = r#"
version: 1
revision: visible
log: { access: [rule, outcome, cause, subject, answer, duration] }
authenticators:
  account:
    callout:
      protocol: ext_authz_http
      cluster: auth
      timeout: 5s
      credential: ["header:authorization"]
      principal: { subject: x-auth-user }
      cache: { ttl: 1h }
      on_failure: deny
  lenient:
    callout:
      protocol: ext_authz_http
      cluster: auth
      timeout: 5s
      credential: ["header:authorization"]
      principal: { subject: x-auth-user }
      on_failure: allow
  reader:
    callout:
      protocol: ext_authz_http
      cluster: auth
      timeout: 5s
      principal: { subject: x-auth-user }
      send: { body: { max: 8B, host_flag: allow_on_headers_stop_iteration } }
      on_failure: deny
identity:
  headers: { x-user-id: "{subject}" }
  assertion: { header: x-identity, keys: [{ env: SIGNING_KEY }], issuer: gateway, audience: mesh, jwks_path: /jwks.json }
experiments:
  # The same callers again and again are told every second.
  checkout:
    unit: [subject]
    header: x-variant-checkout
    variants: [{ name: control, weight: 80% }, { name: blue, weight: 20% }]
    exposure: { window: 1s }
  quiet: { unit: [subject], header: x-variant-quiet, mode: shadow, variants: [{ name: loud }] }
rate_limits:
  few: { per: client_ip, requests: 1, window: 1h }
defaults: { authenticate: [account] }
rules:
- { name: public, match: { hosts: ["*"], paths: [/public] }, authenticate: none }
- { name: closed, match: { hosts: ["*"], paths: [/closed] }, refuse: 404 }
- { name: limited, match: { hosts: ["*"], paths: [/limited] }, authenticate: none, rate_limit: [few] }
- { name: maybe, match: { hosts: ["*"], paths: [/maybe] }, anonymous: allow_missing }
- { name: lenient, match: { hosts: ["*"], paths: [/lenient] }, authenticate: [lenient] }
- { name: staff, match: { hosts: ["*"], paths: [/staff] }, require: { groups: { any_of: [staff] } } }
- { name: upload, match: { hosts: ["*"], paths: [/upload] }, authenticate: [reader] }
- { name: late, match: { hosts: ["*"], paths: [/late] }, upstream: { timeout: 5s, deadline: { header: x-request-deadline, min: 50ms } } }
- { name: cors, match: { hosts: ["*"], paths: [/cors] }, cors: { preflight: pass } }
- { name: forget, match: { hosts: ["*"], paths: [/forget], methods: [POST] }, require: { authenticators: [account] }, forget: requested }
- { name: trial, match: { hosts: ["*"], paths: [/shop] }, authenticate: [lenient], mode: shadow }
- { name: shop, match: { hosts: ["*"], paths: [/shop] }, experiments: [checkout, quiet] }
"#;

const SIGNING_KEY: &str = include_str!("../assertion/p256.pem");

/// The shipped bootstrap around that policy, with an auth service that knows everybody but `bad`, and breaks on `broken`.
pub fn start(policy: &str) -> (Envoy, Stub, Stub) {
    let auth = Stub::start(|asked| match asked.header("authorization").as_deref() {
        Some("Bearer bad") => Reply::status(401),
        Some("Bearer broken") => Reply::close(),
        _ => Reply::ok().header("x-auth-user", "ann"),
    });
    let upstream = Stub::echo();
    let mut shipped = Shipped::with(&json(policy))
        .at("auth", &[auth.addr()])
        .at("upstream", &[upstream.addr()])
        .at("upstream-v2", &[upstream.addr()]);
    let config = &mut shipped.hcm()["http_filters"][0]["typed_config"]["config"];
    config["allow_on_headers_stop_iteration"] = json!(true);
    config["vm_config"]["environment_variables"] = json!({"key_values": {"SIGNING_KEY": SIGNING_KEY}});
    // As docker-compose.yaml starts it.
    shipped.1 = Options::new().log_level("warning").component_log_level("wasm:info");
    (shipped.start(), auth, upstream)
}

/// What an outcome is told by.
struct Row {
    outcome: Outcome,
    rule: &'static str,
    request: Request,
    status: u16,
    alert: Option<&'static str>,
}

fn rows() -> Vec<Row> {
    let by = |caller: &str, path: &str| get(path).header("authorization", format!("Bearer {caller}"));
    let row = |outcome, rule, request, status| Row {
        outcome,
        rule,
        request,
        status,
        alert: None,
    };
    let preflight = request("OPTIONS", "/cors")
        .header("origin", "https://shop.example.com")
        .header("access-control-request-method", "GET");
    vec![
        row(Outcome::Allowed, "shop", by("ann", "/shop"), 200),
        row(Outcome::Anonymous, "maybe", get("/maybe"), 200),
        Row {
            alert: Some("MeshgateFailedOpen"),
            ..row(Outcome::FailedOpen, "lenient", by("broken", "/lenient"), 200)
        },
        row(Outcome::Public, "public", get("/public"), 200),
        row(Outcome::Preflight, "cors", preflight, 200),
        row(Outcome::BadRequest, "none", get("/public%2fx"), 400),
        row(Outcome::Unauthenticated, "shop", get("/shop"), 401),
        row(Outcome::Denied, "shop", by("bad", "/shop"), 401),
        row(Outcome::Forbidden, "staff", by("ann", "/staff"), 403),
        row(Outcome::NoRule, "none", get("/elsewhere"), 403),
        row(Outcome::Closed, "closed", get("/closed"), 404),
        row(Outcome::BodyTooLarge, "upload", post("/upload", "more than eight"), 413),
        row(Outcome::RateLimited, "limited", get("/limited"), 429),
        Row {
            alert: Some("MeshgateAuthServiceFailing"),
            ..row(Outcome::AuthUnavailable, "shop", by("broken", "/shop"), 503)
        },
        row(
            Outcome::DeadlineExceeded,
            "late",
            by("ann", "/late").header("x-request-deadline", in_a_millisecond()),
            504,
        ),
        row(
            Outcome::Forgotten,
            "forget",
            post("/forget?all=true", "").header("authorization", "Bearer ann"),
            200,
        ),
        row(Outcome::Jwks, "none", get("/jwks.json"), 200),
        // Of a shadow rule whose authenticator is not the one that is asked.
        row(Outcome::NotAsked, "trial", by("ann", "/shop"), 200),
    ]
}

/// The instant by which the caller will have given up, in milliseconds since the epoch.
fn in_a_millisecond() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    (now.expect("after 1970").as_millis() + 1).to_string()
}

/// Every line of Envoy's output that was written whole.
pub fn lines(envoy: &Envoy) -> Vec<Value> {
    let log = envoy.log();
    let end = log.rfind('\n').map_or(0, |at| at + 1);
    log[..end]
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// Meshgate's own line about the request, out of Envoy's.
fn decision(lines: &[Value], id: &str) -> Option<Value> {
    let ours = lines.iter().filter_map(|line| {
        let (_, json) = line["message"].as_str()?.split_once("wasm log meshgate meshgate: ")?;
        Some(serde_json::from_str::<Value>(json).unwrap_or_else(|error| panic!("{error}: {json}")))
    });
    ours.into_iter().find(|line| line["request_id"] == id)
}

#[test]
fn each_outcome_is_in_log_access_log_metrics_and_alerts() {
    let (envoy, _auth, _upstream) = start(POLICY);
    let addr = envoy.listener("edge");
    let send = |request: &Request| h1(addr).send(&request.clone().host("localhost"));
    let prometheus = Prometheus::start(&[envoy.admin()]);
    let rows = rows();
    let driven: BTreeSet<&str> = rows.iter().map(|row| row.outcome.word()).collect();
    assert_eq!(driven, Outcome::ALL.iter().map(|outcome| outcome.word()).collect());
    // The one request that the limit lets through.
    assert_eq!(send(&get("/limited")).status, 200);

    for row in &rows {
        let (word, rule) = (row.outcome.word(), row.rule);
        let is_shadow = row.outcome == Outcome::NotAsked;
        let response = send(&row.request);
        assert_eq!(response.status, row.status, "{word}: {}", response.text());
        let id = response
            .header("x-request-id")
            .unwrap_or_else(|| panic!("{word}: {response:?}"));

        let said = until(format!("the line about {word}"), SHORT, || {
            decision(&lines(&envoy), &id)
        });
        match is_shadow {
            true => assert_eq!(said["shadow"], "trial=not_asked", "{said}"),
            false => assert_eq!(
                (&said["outcome"], &said["rule"]),
                (&json!(word), &json!(rule)),
                "{said}"
            ),
        }
        // Envoy keeps lines back until there are many, or ten seconds have gone by.
        let access = until(format!("the access log's line about {word}"), LONG, || {
            lines(&envoy).into_iter().find(|line| line["request_id"] == id.as_str())
        });
        assert_eq!(access["status"], row.status, "{access}");
        assert!(
            access["decided_ms"]
                .as_str()
                .is_some_and(|ms| ms.parse::<f64>().is_ok()),
            "{access}"
        );
        if !is_shadow {
            assert_eq!(
                (&access["outcome"], &access["rule"]),
                (&json!(word), &json!(rule)),
                "{access}"
            );
            assert_eq!(access["cause"].as_str().unwrap_or_default(), said["cause"], "{access}");
            assert_eq!(
                access["subject"].as_str().unwrap_or_default(),
                said["username"],
                "{access}"
            );
            assert_eq!(access["cache"], said["answer"], "{access}");
        }
        let metric = if is_shadow {
            "meshgate_shadow_requests_total"
        } else {
            "meshgate_requests_total"
        };
        let metric = format!("{metric}{{rule=\"{rule}\", outcome=\"{word}\"}}");
        until(&metric, SHORT, || {
            prometheus.query(&metric).filter(|all| all.len() == 1)
        });
        if let Some(alert) = row.alert {
            let again = row.request.clone().host("localhost");
            let traffic = Traffic::start(addr, move |_| again.clone());
            prometheus.fires(alert);
            drop(traffic);
            prometheus.resolves(alert);
        }
    }
    envoy.assert_no_trap();
}

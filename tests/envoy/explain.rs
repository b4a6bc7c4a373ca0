//! What `meshgate explain` says is what a real Envoy does.

mod generated;

use crate::mint::{self, key};
use crate::often::each_occurs;
use crate::policies::{self, log_lines};
use crate::support::*;
use generated::{DEMO_TARGETS, Generated, Numbers, SHOP_TARGETS, Surroundings, callouts_own, request_id};
use jsonwebtoken::Algorithm;
use meshgate::config;
use meshgate::config::folder::{File, Folder};
use meshgate::explain::{Decision, Local, Replied, Who, World, explain};
use meshgate::time::UnixTime;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const REQUESTS: usize = 1000;

/// The demo's own policy.
const POLICY: &str = include_str!("../../envoy/policy.yaml");

/// What the service says, as status and headers.
fn says(credential: &str) -> (u16, Vec<(&'static str, &'static str)>) {
    match credential {
        "Bearer alice" | "session=alice" => (
            200,
            vec![
                ("x-auth-user", "alice"),
                ("x-auth-groups", "staff,ops"),
                ("x-auth-tenant", "acme"),
            ],
        ),
        "Bearer bob" | "session=bob" => (200, vec![("x-auth-user", "b\u{f6}b, jr."), ("x-auth-groups", "staff")]),
        "Bearer odd" => (200, vec![("x-auth-groups", "ops")]),
        "Bearer mallory" => (403, vec![("x-why", "banned")]),
        "Bearer down" => (503, vec![]),
        _ => (401, vec![("www-authenticate", "Bearer realm=\"demo\"")]),
    }
}

fn credential(read: impl Fn(&str) -> Option<String>) -> String {
    read("authorization")
        .filter(|value| !value.is_empty())
        .or_else(|| read("cookie"))
        .unwrap_or_default()
}

/// What upstreams go by.
const LOOKED_AT: &[&str] = &[
    "x-support-agent",
    "x-api-key",
    "x-user-id",
    "x-user-groups",
    "x-tenant-id",
    "x-authenticated-by",
    "x-admin-id",
    "x-auth-user",
    "x_tenant.id",
    "x-internal-a",
    "x-envoy-retry-on",
    "x-original-url",
    "x-http-method-override",
    "authorization",
    "cookie",
    "x-variant",
    "x-variant-layout",
    "x-variant-checkout",
    "x-theme",
    "x-shown",
    "x-quiet",
    "x-bucket",
    "x-force",
];

/// Every kind, with nothing that is drawn by chance.
const EXPERIMENTS: &str = r#"
experiments:
  themed:
    unit: [subject, "cookie:u", "header:x-device"]
    sticky: first_seen
    header: x-variant
    outside: none
    coverage: 80%
    variants: [{ name: control, weight: 50% }, { name: blue, weight: 50%, headers: { x-theme: blue } }]
    audience: { headers: [{ name: x-device, present: true }] }
    layer: { name: l, range: [0%, 70%] }
    force: { header: x-force, require: { groups: { any_of: [ops] } } }
  shown: { unit: ["claim:tenant", "header:x-device"], header: x-shown, variants: [{ name: a, ranges: [[0%, 60%]] }] }
  quiet: { unit: ["header:x-device"], mode: shadow, header: x-quiet, variants: [{ name: a }] }
  routed: { unit: [subject, "header:x-device"], bucket_header: x-bucket }
"#;

#[test]
fn about_a_thousand_requests_with_experiments() {
    let around = Surroundings {
        hosts: &["localhost", "127.0.0.1"],
        targets: DEMO_TARGETS,
        credentials: callouts_own(),
        units: &[
            ("x-device", "one"),
            ("x-device", "two"),
            ("x-force", "blue"),
            ("x-variant", "forged"),
            ("x_bucket", "1"),
        ],
    };
    let mut policy: Value = serde_json::from_str(&policies::json(POLICY)).expect("JSON");
    let experiments: Value = serde_json::from_str(&policies::json(EXPERIMENTS)).expect("JSON");
    policy["experiments"] = experiments["experiments"].clone();
    for rule in policy["rules"].as_array_mut().expect("rules") {
        if rule.get("refuse").is_none() {
            rule["experiments"] = json!(["themed", "shown", "quiet", "routed"]);
        }
    }
    let outcomes = agree(&policy.to_string(), Local::default(), &around);
    each_occurs(
        &["allowed", "anonymous", "failed_open", "public", "preflight"],
        &outcomes,
        3,
    );
}

/// What the service answers, to questions and for its keys.
fn answers(asked: &Received) -> Reply {
    if asked.path() == "/jwks.json" {
        return Reply::ok().json(jwks());
    }
    let (status, headers) = says(&credential(|name| asked.header(name)));
    headers
        .iter()
        .fold(Reply::status(status), |reply, (name, value)| reply.header(name, value))
}

#[test]
fn about_a_thousand_requests_of_the_demo() {
    let around = Surroundings {
        hosts: &["localhost", "127.0.0.1", "LocalHost:10000", "localhost:10000"],
        targets: DEMO_TARGETS,
        credentials: callouts_own(),
        units: &[],
    };
    let mut policy: Value = serde_json::from_str(&policies::json(POLICY)).expect("JSON");
    // Nothing that is drawn by chance.
    let checkout = policy["experiments"]["checkout"].as_object_mut();
    checkout.expect("the experiment").remove("remember").expect("a cookie");
    let outcomes = agree(&policy.to_string(), Local::default(), &around);
    each_occurs(
        &[
            "allowed",
            "anonymous",
            "failed_open",
            "public",
            "preflight",
            "bad_request",
            "unauthenticated",
            "denied",
            "forbidden",
            "no_rule",
            "closed",
            "auth_unavailable",
        ],
        &outcomes,
        3,
    );
}

fn jwks() -> Value {
    let jwk = key("p256").jwk_with(r#""kid":"k1""#);
    json!({"keys": [serde_json::from_str::<Value>(&jwk).expect("JSON")]})
}

fn token(subject: &str, groups: &[&str], issuer: &str, now: u64, lives: i64) -> String {
    let header = json!({"alg": "ES256", "kid": "k1", "typ": "JWT"}).to_string();
    let expires = now.checked_add_signed(lives).expect("a time");
    let claims =
        json!({"iss": issuer, "aud": ["shop"], "sub": subject, "groups": groups, "iat": now - 700, "exp": expires});
    format!(
        "Bearer {}",
        mint::token(&header, &claims.to_string(), "p256", Algorithm::ES256)
    )
}

/// examples/policy as production builds it. What it remembers is nothing that a command line knows of: without.
#[test]
fn about_a_thousand_requests_of_the_example() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/policy");
    let names = [
        "platform.yaml",
        "teams/orders.yaml",
        "teams/catalog.yaml",
        "teams/payments.yaml",
        "env/prod.yaml",
        "env/pre.yaml",
        "env/test.yaml",
    ];
    let files = names.map(|name| File {
        name: name.to_owned(),
        text: std::fs::read_to_string(root.join(name)).expect("a file of the example"),
    });
    let Ok(built) = Folder::new(files.to_vec()).build(Some("prod"), &[]) else {
        panic!("the example has faults");
    };
    let mut policy: Value = serde_json::from_str(&built.document.json()).expect("JSON");
    let callout = policy["authenticators"]["account"]["callout"]
        .as_object_mut()
        .expect("a callout");
    callout.remove("cache");
    callout.remove("breaker");
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    let issuer = "https://id.example.com";
    let of_employees = [
        token("eve", &["support"], issuer, now, 3600),
        token("ed", &["editors"], issuer, now, 3600),
        token("ed", &["suspended"], issuer, now, 3600),
        token("old", &["support"], issuer, now, -600),
        token("else", &["support"], "https://elsewhere.example.com", now, 3600),
    ];
    let keys = ["acme-prod", "acme-test", ""].map(|key| ("x-api-key", key.to_owned()));
    let tokens = of_employees.into_iter().map(|token| ("authorization", token));
    let around = Surroundings {
        hosts: &[
            "shop.example.com",
            "pay.example.com",
            "Shop.example.com:8443",
            "shop.example.com",
        ],
        targets: SHOP_TARGETS,
        credentials: callouts_own().into_iter().chain(tokens).chain(keys).collect(),
        units: &[
            ("cookie", "visitor=v1"),
            ("cookie", "visitor=v7"),
            ("x-variant-layout", "forged"),
        ],
    };
    let local = Local {
        documents: vec![("employee".to_owned(), jwks().to_string().into_bytes())],
        now: UnixTime::from_secs(now),
        ..Local::default()
    };
    let outcomes = agree(&policy.to_string(), local, &around);
    each_occurs(
        &[
            "allowed",
            "anonymous",
            "public",
            "bad_request",
            "unauthenticated",
            "denied",
            "forbidden",
            "no_rule",
            "closed",
        ],
        &outcomes,
        3,
    );
}

fn agree(policy: &str, local: Local, around: &Surroundings) -> BTreeMap<&'static str, u32> {
    let parsed = config::parse(policy.as_bytes()).expect("a policy");
    let world = World::new(parsed.policy, local).expect("a world");
    let gate = Gate::builder()
        .policy(policy)
        .auth(answers)
        .hcm(json!({"preserve_external_request_id": true}))
        .start();
    if policy.contains("jwks.json") {
        let (_, token) = around
            .credentials
            .iter()
            .find(|(_, value)| value.len() > 100)
            .expect("a token");
        until("the keys are fetched", LONG, || {
            let probe = get("/orders/1").host("shop.example.com").header("authorization", token);
            (gate.send(&probe).status != 503).then_some(())
        });
    }
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut expected = Vec::new();
    for id in 0..REQUESTS {
        let generated = Generated::new(&mut numbers, id, around);
        let asked = generated.explained();
        let text = |name: &str| {
            asked
                .headers
                .first(name)
                .map(|value| String::from_utf8_lossy(value).into_owned())
        };
        let (status, headers) = says(&credential(text));
        let who = Who::Answered(Replied::new(status, headers.into_iter(), Vec::new()));
        let explanation = explain(&world, &asked, &who).expect("explained");
        let decided = world.decide(&mut world.memory(), &asked, &who).expect("decided");
        gate.upstream.clear();
        let response = gate.send(&generated.sent());
        let seen = gate.upstream.received();
        match decided.decision {
            Decision::Forward(forward) => {
                assert_eq!(
                    seen.len(),
                    1,
                    "{generated:?} is to go on, the client saw {}",
                    response.status
                );
                assert_eq!(response.status, 200, "{generated:?}");
                let told = forward.edits.apply(&asked.headers);
                let value = |name: &str| {
                    told.iter()
                        .find(|(other, _)| *other == name.as_bytes())
                        .map(|(_, value)| value.to_vec())
                };
                for name in LOOKED_AT {
                    // Envoy's router goes by what is set there, and takes it out.
                    let expected = value(name).filter(|_| !name.starts_with("x-envoy-"));
                    assert_eq!(
                        seen[0].headers.get(name).map(<[u8]>::to_vec),
                        expected,
                        "{name} of {generated:?}"
                    );
                }
                assert_eq!(seen[0].target, value(":path").expect("a path"), "{generated:?}");
            }
            Decision::Refuse(refuse) => {
                assert!(seen.is_empty(), "{generated:?} is to be refused");
                // Envoy answers gRPC with 200 and says the rest in headers.
                let status = if refuse.reply.grpc_status.is_some() {
                    200
                } else {
                    refuse.reply.status
                };
                assert_eq!(response.status, status, "{generated:?}");
                let grpc = refuse.reply.grpc_status.map(|status| status.to_string());
                assert_eq!(response.header("grpc-status"), grpc, "{generated:?}");
                let location = refuse.reply.headers.iter().find(|(name, _)| name == b"location");
                let location = location.map(|(_, value)| String::from_utf8_lossy(value).into_owned());
                assert_eq!(response.header("location"), location, "{generated:?}");
            }
            Decision::Undecided(missing) => panic!("{missing:?} of {generated:?}"),
        }
        let rule = explanation.rule.map_or("none".to_owned(), |rule| rule.name);
        let verdict = explanation.verdict;
        let gets = explanation.experiments.into_iter().filter_map(|experiment| {
            let by = match (experiment.shadow, &*experiment.why) {
                (true, _) => ":shadow",
                (false, "forced by the caller, who may") => ":forced",
                _ => "",
            };
            Some(format!("{}={}{by}", experiment.experiment, experiment.variant?))
        });
        let gets = gets.collect::<Vec<_>>().join(",");
        expected.push((rule, verdict.outcome.expect("decided"), verdict.cause, gets));
    }
    let lines = until("a line for each decision", LONG, || {
        let lines = log_lines(&gate.envoy.log()).into_iter();
        let decisions: BTreeMap<String, Value> = lines
            .filter(|line| line.get("outcome").is_some())
            .filter(|line| {
                line["request_id"]
                    .as_str()
                    .is_some_and(|id| id.starts_with("11111111-"))
            })
            .map(|line| (line["request_id"].as_str().unwrap_or_default().to_owned(), line))
            .collect();
        (decisions.len() >= REQUESTS).then_some(decisions)
    });
    let mut outcomes = BTreeMap::<&'static str, u32>::new();
    for (id, (rule, outcome, cause, gets)) in expected.iter().enumerate() {
        let line = &lines[&request_id(id)];
        let said = (line["rule"].as_str(), line["outcome"].as_str(), line["cause"].as_str());
        assert_eq!(
            said,
            (Some(rule.as_str()), Some(*outcome), Some(cause.as_str())),
            "{line}"
        );
        assert_eq!(line["variants"].as_str().unwrap_or_default(), gets, "{line}");
        *outcomes.entry(outcome).or_default() += 1;
    }
    println!("{REQUESTS} requests: {outcomes:?}");
    outcomes
}

/// `debug`: the operator's own question, to the gate that serves.
#[test]
fn a_caller_whom_the_policy_names_reads_how_it_was_decided() {
    let policy =
        format!("{POLICY}\ndebug: {{ header: x-meshgate-explain, require: {{ groups: {{ any_of: [ops] }} }} }}\n");
    let gate = Gate::builder()
        .policy(policies::json(&policy))
        .auth(|asked| {
            let (status, headers) = says(&credential(|name| asked.header(name)));
            headers
                .iter()
                .fold(Reply::status(status), |reply, (name, value)| reply.header(name, value))
        })
        .upstream(|_| Reply::ok().header("x-meshgate-explain", "the upstream's own"))
        .start();
    let told = |target: &str, who: &str| {
        let request = get(target)
            .host("localhost")
            .header("authorization", format!("Bearer {who}"));
        let request = request.header("X-Meshgate-Explain", "forged");
        let response = gate.send(&request);
        (response.status, response.header("x-meshgate-explain"))
    };
    let said = |text: &str| Some(text.to_owned());
    let allowed = said("rule=orders; outcome=allowed; authenticator=account; answer=asked; variants=checkout=control");
    assert_eq!(told("/orders/1", "alice"), (200, allowed));
    let upstreams = said("the upstream's own");
    assert_eq!(told("/orders/1", "bob"), (200, upstreams.clone()));
    assert_eq!(told("/admin/1", "bob"), (403, None));
    assert_eq!(told("/orders/1", "mallory"), (403, None));
    assert_eq!(told("/public/1", "alice"), (200, upstreams));
    for received in gate.upstream.received() {
        assert!(
            !received.has("x-meshgate-explain"),
            "the caller's own reached the upstream"
        );
    }
}

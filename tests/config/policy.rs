//! What a fine policy becomes.

use super::BASE;
use meshgate::authn::api_key::KnownKey;
use meshgate::authn::jwt::{Algorithm, Audiences, ClaimSource, TokenType};
use meshgate::authn::{Claim, ClaimPath};
use meshgate::config::{self, yaml};
use meshgate::header::{HeaderName, NamePattern};
use meshgate::policy::{
    Action, AllowStatus, Anonymous, ApiKeySource, Authenticator, AuthenticatorKind, Authority, Callout, Forwarded,
    KeySource, Mode, OnFailure, Place, Policy, Preflight, Protocol, Remote, Rule, RuleMode, TokenPlace,
};
use meshgate::rate_limit::{Per, Plan};
use meshgate::time::UnixTime;
use std::sync::Arc;
use std::time::Duration;

#[track_caller]
fn parse(text: &str) -> Policy {
    yaml::parse(text).expect("a policy").policy
}

#[track_caller]
fn authenticators(rule: &Rule) -> &[Arc<Authenticator>] {
    &rule.gate().expect("a gate").authenticators
}

#[track_caller]
fn callout(rule: &Rule) -> &Callout {
    let asked = authenticators(rule).last().expect("one");
    asked.callout().expect("a callout")
}

/// A policy of one callout, `fields` beside what each must have.
fn with_callout(fields: &str) -> String {
    format!(
        "version: 1
authenticators: {{ a: {{ callout: {{ timeout: 1s, principal: {{ subject: x-user }}, on_failure: deny, {fields} }} }} }}
rules: [{{ name: all, authenticate: [a] }}]"
    )
}

#[test]
fn the_document() {
    let policy = parse(BASE);
    assert_eq!(&*policy.revision, "3f2a9c1");
    assert_eq!(policy.mode, Mode::Enforce);
    assert_eq!(policy.log.query, ["page"]);
    let names: Vec<&str> = policy.rules.iter().map(|rule| &*rule.name).collect();
    assert_eq!(names, ["public", "closed", "tenants", "proxied", "rest"]);
    assert!(policy.rules.iter().enumerate().all(|(at, rule)| rule.position == at));
}

#[test]
fn what_is_stripped() {
    let policy = parse(BASE);
    for (name, taken) in [
        ("x-user-id", true),
        ("x_user.groups", true),
        ("x-webauth-user", true),
        ("x-auth-anything", true),
        ("x-internal-a", true),
        ("x-internal-trace", false),
        ("x-original-url", false),
        ("x-rewrite-url", true),
        ("x-tenant-a", false),
    ] {
        assert_eq!(policy.strip.takes(name.as_bytes()), taken, "{name}");
    }
}

#[test]
fn ext_authz_http() {
    let policy = parse(BASE);
    let callout = callout(&policy.rules[4]);
    assert_eq!(callout.protocol, Protocol::ExtAuthzHttp);
    assert_eq!(&*callout.cluster, "outbound|8080||auth.platform.svc.cluster.local");
    assert_eq!(callout.authority, Authority::Fixed("auth.platform".into()));
    assert_eq!(callout.path, "/check");
    assert_eq!(callout.timeout, Duration::from_millis(500));
    let retry = callout.retry.as_ref().expect("a retry");
    assert_eq!(retry.retry_on, "gateway-error,retriable-status-codes");
    assert_eq!(retry.retriable_status_codes, "503");
    assert_eq!(retry.per_try_timeout, Some(Duration::from_millis(200)));
    assert_eq!(callout.allow_status, AllowStatus::Listed(vec![200]));
    assert_eq!(callout.send.forwarded, Forwarded::default());
    assert_eq!(callout.send.body.map(|body| body.max_bytes), Some(8192));
    assert_eq!(
        callout.send.headers,
        [NamePattern::parse("x-tenant-*").expect("a pattern")]
    );
    let groups = callout.principal.groups.as_ref().expect("groups");
    let scopes = callout.principal.scopes.as_ref().expect("scopes");
    assert_eq!((groups.split.as_str(), scopes.split.as_str()), (";", " "));
    let sign_in = callout.on_deny.sign_in.as_ref().expect("a sign-in");
    assert_eq!(sign_in.before, "https://login.example.com/?rd=");
    assert_eq!(sign_in.after.as_deref(), Some(""));
    assert_eq!(sign_in.status, [401, 403]);
    assert_eq!(callout.on_failure, OnFailure::Deny);
}

#[test]
fn defaults_of_ext_authz_http() {
    let policy = parse(&with_callout("protocol: ext_authz_http, service: 'auth:80'"));
    let callout = callout(&policy.rules[0]);
    assert_eq!(&*callout.cluster, "outbound|80||auth");
    assert_eq!(callout.authority, Authority::Callers);
    assert_eq!(callout.path, "");
    assert_eq!(callout.allow_status, AllowStatus::Listed(vec![200]));
    assert_eq!(callout.credential, None);
    assert!(!callout.forward);
}

#[test]
fn defaults_of_forward_auth() {
    let policy = parse(&with_callout(
        "protocol: forward_auth, service: 'auth:80', path: /verify",
    ));
    let callout = callout(&policy.rules[0]);
    assert_eq!(callout.authority, Authority::Fixed("auth:80".into()));
    assert_eq!(callout.allow_status, AllowStatus::Any2xx);
    let every = Forwarded {
        method: true,
        proto: true,
        host: true,
        uri: true,
        for_: true,
    };
    assert_eq!(callout.send.forwarded, every);
}

#[test]
fn a_cluster_named_like_a_host_is_the_authority() {
    let policy = parse(&with_callout("protocol: forward_auth, cluster: auth.local, path: /"));
    let callout = callout(&policy.rules[0]);
    assert_eq!(&*callout.cluster, "auth.local");
    assert_eq!(callout.authority, Authority::Fixed("auth.local".into()));
}

#[test]
fn defaults_fill_absent_fields_whole() {
    let policy = parse(BASE);
    let tenants = policy.rules[2].gate().expect("a gate");
    assert_eq!(&*tenants.authenticators[0].name, "account");
    assert_eq!(tenants.preflight, Preflight::Pass);
    assert_eq!(tenants.anonymous, Anonymous::Deny);
    let proxied = policy.rules[3].gate().expect("a gate");
    assert_eq!(&*proxied.authenticators[8].name, "proxy");
    assert_eq!(proxied.anonymous, Anonymous::AllowMissing);
    assert_eq!(policy.rules[3].mode, RuleMode::Shadow);
    assert!(matches!(policy.rules[0].action, Action::Public));
    assert!(matches!(policy.rules[1].action, Action::Refuse(404)));
}

#[test]
fn rate_limits_are_what_they_say() {
    let text = BASE.replace("defaults: {", "defaults: { rate_limit: [tenant, strangers],");
    let policy = parse(&text);
    let limits = |rule: usize| -> Vec<&str> {
        policy.rules[rule]
            .rate_limits
            .iter()
            .map(|limit| &*limit.name)
            .collect()
    };
    assert_eq!(
        limits(0),
        ["strangers", "device"],
        "a public rule takes none from defaults"
    );
    assert_eq!(limits(1), [""; 0]);
    assert_eq!(limits(2), ["strangers", "tenant"]);
    assert_eq!(limits(4), ["tenant", "strangers"]);
    let [strangers, tenant] = [0, 1].map(|at| policy.rules[2].rate_limits[at].clone());
    let plan = |requests, secs, burst| Plan::new(requests, Duration::from_secs(secs), burst).expect("a plan");
    assert_eq!((&strangers.per, strangers.before_auth), (&Per::ClientIp, true));
    assert_eq!((strangers.plan, strangers.overrides.len()), (plan(300, 60, 300), 0));
    let claim = ClaimPath(vec!["tenant".into()]);
    assert_eq!((&tenant.per, tenant.before_auth), (&Per::Claim(claim), false));
    assert_eq!(
        (tenant.plan, tenant.overrides[0].1),
        (plan(100, 1, 200), plan(1000, 1, 2000))
    );
    assert!(
        Arc::ptr_eq(&tenant, &policy.rules[4].rate_limits[0]),
        "one for all rules that name it"
    );
}

#[test]
fn identity_is_the_global_and_then_the_rules() {
    let policy = parse(BASE);
    let names = |at: usize| -> Vec<&str> {
        let gate = policy.rules[at].gate().expect("a gate");
        gate.identity.iter().map(|header| header.name.as_str()).collect()
    };
    assert_eq!(names(2), ["x-user-id", "x-user-groups", "x-webauth-user"]);
    assert_eq!(names(4), ["x-user-id", "x-user-groups"]);
}

/// `account` withholds `authorization` and `session*`; `proxy`, which names no credential and forwards
/// what it has, would let `authorization` through, but `employee` of the same rule does not. Nobody
/// withholds `api_key` of the query.
#[test]
fn credentials_stop_here() {
    let policy = parse(&BASE.replace("cookie: force_checkout, ", ""));
    let places = |at: usize| -> Vec<String> {
        let shown = policy.rules[at].strip_credentials.iter().map(|place| match place {
            Place::Header(name) => name.as_str().to_owned(),
            Place::Cookie(name) => name.clone(),
            Place::CookiePrefix(name) => format!("{name}*"),
            Place::Query(name) => format!("?{name}"),
        });
        shown.collect()
    };
    let all = ["authorization", "x-api-key", "id_token", "session*", "?access_token"];
    assert_eq!(places(4), all);
    assert_eq!(places(2), all);
    assert_eq!(places(3), all);
    assert_eq!(places(0), all[1..]);
    let alone = parse(&BASE.replace(
        "[edge, employee, customer, legacy, pinned, partner, reseller, workload, proxy]",
        "[proxy]",
    ));
    assert!(
        !alone.rules[3]
            .strip_credentials
            .contains(&policy.rules[3].strip_credentials[0])
    );
    assert!(Arc::ptr_eq(
        &policy.rules[2].strip_credentials,
        &policy.rules[4].strip_credentials
    ));
}

#[test]
fn a_jwt_is_what_it_says() {
    let policy = parse(BASE);
    let jwt = |at: usize| match &authenticators(&policy.rules[3])[at].kind {
        AuthenticatorKind::Jwt(jwt) => jwt.clone(),
        other => panic!("{other:?}"),
    };
    let path = |text: &str| Some(ClaimPath(vec![text.into()]));
    let header = |prefix: &str| TokenPlace::Header {
        name: HeaderName::parse("authorization").expect("a name"),
        prefix: prefix.into(),
    };
    let employee = jwt(1);
    assert_eq!(employee.verification.issuer, "https://id.example.com");
    assert_eq!(employee.verification.audiences, Audiences::Listed(vec!["api".into()]));
    assert_eq!(
        employee.from,
        [
            header("Bearer "),
            TokenPlace::Cookie("id_token".into()),
            TokenPlace::Query("access_token".into())
        ]
    );
    let KeySource::Remote(remote) = &employee.keys else {
        panic!("{:?}", employee.keys)
    };
    assert_eq!(
        *remote,
        Remote {
            cluster: "outbound|443||id.example.com".into(),
            authority: "id.example.com:443".into(),
            path: "/jwks.json".into(),
            timeout: Duration::from_secs(2),
            refresh: Duration::from_secs(600),
        }
    );
    assert_eq!(
        employee.verification.principal,
        ClaimSource {
            subject: ClaimPath(vec!["sub".into()]),
            groups: Some(ClaimPath(vec!["realm_access".into(), "roles".into()])),
            scopes: path("scope"),
            claims: vec![
                ("tenant".into(), ClaimPath(vec!["tenant_id".into()])),
                ("roles".into(), ClaimPath(vec!["https://x/roles".into()])),
            ],
            members_of: None,
            variants: None,
        }
    );
    assert_eq!(employee.verification.max_lifetime, Some(Duration::from_secs(86_400)));

    // What is not said has the default of the contract.
    let customer = jwt(2);
    assert_eq!(customer.verification.audiences, Audiences::Any);
    assert_eq!(customer.verification.algorithms, [Algorithm::RS256, Algorithm::ES256]);
    assert_eq!(customer.from, [header("Bearer ")]);
    assert_eq!(customer.verification.principal.subject, ClaimPath(vec!["sub".into()]));
    assert_eq!(customer.verification.principal.groups, None);
    assert_eq!(customer.verification.clock_skew, Duration::from_secs(30));
    assert_eq!(
        (customer.verification.max_lifetime, customer.max_remembered),
        (None, 10_000)
    );
    assert!(!customer.forward);
    let KeySource::Discovery(metadata) = &customer.keys else {
        panic!("{:?}", customer.keys)
    };
    assert_eq!(metadata.path, "/realms/a/.well-known/openid-configuration");
    assert_eq!(metadata.timeout, Duration::from_secs(2));

    let legacy = jwt(3);
    assert_eq!(legacy.verification.algorithms, [Algorithm::HS256]);
    assert!(matches!(&legacy.keys, KeySource::Secret(secret) if secret.env == "LEGACY_SECRET"));
    let KeySource::Inline(set) = jwt(4).keys else {
        panic!("not inline")
    };
    let [key] = set.keys() else { panic!("{set:?}") };
    assert!(key.fits(Algorithm::ES256));
}

#[test]
fn keys_certificates_and_gates_are_what_they_say() {
    let policy = parse(BASE);
    let kind = |at: usize| &authenticators(&policy.rules[3])[at].kind;
    let AuthenticatorKind::ApiKey(partner) = kind(5) else {
        panic!("{:?}", kind(5))
    };
    let ApiKeySource::Inline(keys) = &partner.keys else {
        panic!("{partner:?}")
    };
    let object = [
        ("name".to_owned(), Claim::Scalar("gold".into())),
        ("parts".to_owned(), Claim::List(vec!["a".into(), "true".into()])),
    ];
    assert_eq!(keys.len(), 2);
    assert_eq!(
        keys.find(b"abc"),
        Some(&KnownKey {
            id: "acme-1".into(),
            subject: "acme".into(),
            expires: Some(UnixTime::from_secs(1_798_761_600)),
            groups: vec!["partners".into()],
            scopes: vec!["orders.read".into()],
            claims: vec![
                ("tenant".into(), Claim::Scalar("acme".into())),
                ("level".into(), Claim::Scalar("3".into())),
                ("plan".into(), Claim::Object(object.into())),
            ],
        })
    );
    let AuthenticatorKind::ApiKey(reseller) = kind(6) else {
        panic!("{:?}", kind(6))
    };
    assert!(matches!(&reseller.keys, ApiKeySource::Remote(remote) if remote.path == "/keys?all") && reseller.forward);
    let AuthenticatorKind::Mtls(workload) = kind(7) else {
        panic!("{:?}", kind(7))
    };
    assert!(workload.peers[0].matches("spiffe://cluster.local/ns/shop/sa/cart"));
    let AuthenticatorKind::Gate(edge) = kind(0) else {
        panic!("{:?}", kind(0))
    };
    assert_eq!(
        (edge.header.as_str(), &*edge.verification.issuer),
        ("x-identity", "meshgate")
    );
    assert_eq!(edge.verification.audiences, Audiences::Listed(vec!["mesh".into()]));
    assert_eq!(edge.verification.typ, TokenType::Assertion);
    assert_eq!(edge.peers.len(), 1);
}

#[test]
fn the_assertion_is_what_it_says() {
    let assertion = parse(BASE).assertion.expect("one");
    assert_eq!(assertion.header.as_str(), "x-identity");
    assert_eq!(
        (assertion.algorithm, assertion.ttl),
        (Algorithm::ES256, Duration::from_secs(60))
    );
    assert_eq!(assertion.keys[0].env, "MESHGATE_SIGNING_KEY");
    assert_eq!((&*assertion.issuer, &*assertion.audience.of("a")), ("meshgate", "mesh"));
    assert_eq!(assertion.jwks_path.as_deref(), Some("/.well-known/meshgate/jwks.json"));
}

/// The headers of assertions go as identity headers do, whoever sets them.
#[test]
fn assertions_are_stripped() {
    for other in ["x-identity", "x-earlier"] {
        let policy = parse(&BASE.replace("gate: { header: x-identity", &format!("gate: {{ header: {other}")));
        for name in ["x-identity", "x_identity", other] {
            assert!(policy.strip.takes(name.as_bytes()), "{name}");
            assert!(policy.identity.contains(name.as_bytes()), "{name}");
        }
    }
}

#[test]
fn warnings() {
    let text = BASE
        .replace("mode: enforce\n", "mode: observe\n")
        .replace("workload, proxy]\n", "workload]\n")
        .replace("rate_limit: [strangers, device]", "rate_limit: [strangers]");
    let parsed = yaml::parse(&text).expect("a policy");
    let warnings: Vec<String> = parsed.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "mode: observe: nothing is refused, stripped or changed",
            "authenticators.proxy: no rule asks this authenticator",
            "rate_limits.device: no rule names this limit"
        ]
    );
}

/// An issuer's set may hold keys that are for something else.
#[test]
fn a_key_that_is_not_used_is_a_warning() {
    let (before, behind) = BASE.split_once("{ keys: [{ kty: EC,").expect("the inline key");
    let text = format!("{before}{{ keys: [{{ kty: RSA, use: enc, n: AQAB, e: AQAB }}, {{ kty: EC,{behind}");
    let parsed = yaml::parse(&text).expect("a policy");
    let warnings: Vec<String> = parsed.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        ["authenticators.pinned.jwt.keys.inline.keys[0]: this key is not used: use is not sig"]
    );
}

/// What is missing in the environment is told at once, whatever it is for.
#[test]
fn all_missing_secrets_are_told() {
    let cache = "cache: { ttl: 30s, shared: { key: { env: CACHE_KEY } } }\n      on_failure: deny";
    let policy = parse(&BASE.replacen("on_failure: deny", cache, 1));
    let faults = config::secrets(&policy, |_| None).expect_err("nothing is there");
    assert_eq!(
        faults.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "authenticators.account.callout.cache.shared.key.env: the variable CACHE_KEY is not set: write what `meshgate key new` prints into vm_config.environment_variables",
            "authenticators.legacy.jwt.keys.secret: the variable LEGACY_SECRET is not set: name it in vm_config.environment_variables",
        ]
    );
    let value = "0".repeat(64);
    let secrets = config::secrets(&policy, |_| Some(value.clone())).expect("both");
    let slot = |name: &str| policy.authenticators.iter().position(|known| &*known.name == name);
    assert!(secrets.shared_key(slot("account").expect("one")).is_some());
    let keys: Vec<_> = secrets.key_sets.iter().map(|(slot, _)| Some(*slot)).collect();
    assert_eq!(keys, [slot("legacy")]);
}

/// While the service hangs, nobody would go on, whatever `on_failure` and `stale_if_error` say.
#[test]
fn a_callout_that_may_take_all_of_the_upstreams_time() {
    for (timeout, warned) in [("500ms", true), ("549ms", true), ("550ms", false), ("none", false)] {
        let policy = BASE.replace(
            "defaults: { authenticate: [account],",
            &format!("defaults: {{ authenticate: [account], upstream: {{ timeout: {timeout} }},"),
        );
        let json = meshgate::config::yaml::to_json(&policy).expect("YAML");
        let parsed = meshgate::config::parse(json.as_bytes()).expect("a policy");
        let of_account = parsed.warnings.iter().filter(|warning| {
            let warning = warning.to_string();
            warning.starts_with("rules[4] (rest): asking counts")
        });
        assert_eq!(
            of_account.count(),
            usize::from(warned),
            "{timeout}: {:?}",
            parsed.warnings
        );
    }
}

//! What a fine policy becomes.

use super::BASE;
use meshgate::config::yaml;
use meshgate::header::NamePattern;
use meshgate::policy::{
    Action, AllowStatus, Anonymous, Authenticator, AuthenticatorKind, Authority, Callout, Forwarded, Mode, OnFailure,
    Place, Policy, Preflight, Protocol, Rule, RuleMode,
};
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
    let AuthenticatorKind::Callout(callout) = &authenticators(rule).last().expect("one").kind;
    callout
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
    assert_eq!(&*proxied.authenticators[0].name, "proxy");
    assert_eq!(proxied.anonymous, Anonymous::AllowMissing);
    assert_eq!(policy.rules[3].mode, RuleMode::Shadow);
    assert!(matches!(policy.rules[0].action, Action::Public));
    assert!(matches!(policy.rules[1].action, Action::Refuse(404)));
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

/// `account` withholds `authorization` and `session*`; `proxy`, which names no credential and
/// forwards what it has, lets `authorization` through on its own rules.
#[test]
fn credentials_stop_here() {
    let policy = parse(BASE);
    let places = |at: usize| -> Vec<String> {
        let shown = policy.rules[at].strip_credentials.iter().map(|place| match place {
            Place::Header(name) => name.as_str().to_owned(),
            Place::Cookie(name) => name.clone(),
            Place::CookiePrefix(name) => format!("{name}*"),
        });
        shown.collect()
    };
    assert_eq!(places(4), ["authorization", "session*"]);
    assert_eq!(places(2), ["authorization", "session*"]);
    assert_eq!(places(3), ["session*"]);
    assert_eq!(places(0), ["session*"]);
    assert!(Arc::ptr_eq(
        &policy.rules[2].strip_credentials,
        &policy.rules[4].strip_credentials
    ));
}

#[test]
fn warnings() {
    let text = BASE
        .replace("mode: enforce\n", "mode: observe\n")
        .replace("  authenticate: [proxy]\n", "");
    let parsed = yaml::parse(&text).expect("a policy");
    let warnings: Vec<String> = parsed.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "mode: observe: nothing is refused, stripped or changed",
            "authenticators.proxy: no rule asks this authenticator"
        ]
    );
}

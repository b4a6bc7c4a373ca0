//! Tokens of several issuers, and what is remembered of them.

use crate::mint::{self, key};
use crate::text::{NOW, read_policy, read_request, show};
use jsonwebtoken::Algorithm;
use meshgate::authn::jwt::{Hash, Signatures};
use meshgate::authn::keys::KeySet;
use meshgate::cache::{NoStore, Seed};
use meshgate::decide::{Around, on_request};
use meshgate::memory::Memory;
use meshgate::policy::Policy;
use meshgate::time::UnixTime;
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

/// `staff` and `partners` are of one place, `shop` is also in the query, `fetched` has no keys as yet.
const POLICY: &str = r#"
version: 1
listener: { verified_peers: true }
identity: { headers: { x-user-id: "{subject}", x-groups: "{groups}", x-tenant: "{claims.tenant}", x-by: "{authenticator}" } }
authenticators:
  staff:
    jwt: { issuer: "https://staff", audiences: [api], keys: { inline: { keys: [RSA] } }, principal: { groups: groups, scopes: scope, claims: { tenant: tenant } }, max_lifetime: 1h }
  partners:
    jwt: { issuer: "https://partners", audiences: any, keys: { inline: { keys: [P256] } } }
  shop:
    jwt: { issuer: "https://shop", audiences: any, keys: { inline: { keys: [P256] } }, from: [{ cookie: id }, { query: access_token }] }
  fetched:
    jwt: { issuer: "https://fetched", audiences: any, keys: { remote: { service: "id:443", path: /jwks.json } } }
  edge:
    gate: { header: x-identity, issuer: meshgate, audience: mesh, keys: { inline: { keys: [P256] } }, peers: ["cluster.local/ns/ingress/sa/*"] }
  open:
    gate: { header: x-open, issuer: meshgate, audience: mesh, keys: { inline: { keys: [P256] } } }
  account:
    callout: { protocol: ext_authz_http, cluster: auth, timeout: 500ms, credential: ["header:authorization"], principal: { subject: x-auth-user }, on_failure: deny }
  session:
    callout: { protocol: ext_authz_http, cluster: auth, timeout: 500ms, credential: ["cookie:sid"], principal: { subject: x-auth-user }, on_failure: deny }
rules:
- { name: public, match: { hosts: ["*"], paths: ["/public/**"] }, authenticate: none }
- { name: staff, match: { paths: ["/staff/**"] }, authenticate: [staff] }
- { name: may, match: { paths: ["/may/**"] }, authenticate: [staff], anonymous: allow_missing }
- { name: any, match: { paths: ["/any/**"] }, authenticate: [staff], anonymous: allow_missing_or_failed }
- { name: both, match: { paths: ["/both/**"] }, authenticate: [staff, partners] }
- { name: shop, match: { paths: ["/shop/**"] }, authenticate: [staff, shop] }
- { name: fetched, match: { paths: ["/fetched/**"] }, authenticate: [fetched] }
- { name: asks, match: { paths: ["/asks/**"] }, authenticate: [staff, account] }
- { name: session, match: { paths: ["/session/**"] }, authenticate: [staff, session] }
- { name: gated, match: { paths: ["/gated/**"] }, authenticate: [edge, staff] }
- { name: open, match: { paths: ["/open/**"] }, authenticate: [open], require: { groups: { any_of: [ops] }, scopes: { all_of: [a, b] }, claims: { tenant: { any_of: [acme] } } } }
"#;

/// What one VM has, from request to request.
struct Vm {
    policy: Arc<Policy>,
    memory: Memory,
    now: u64,
    checks: Counted,
}

/// Pure Rust checks; how often it was asked for is counted.
#[derive(Default)]
struct Counted(Cell<usize>);

impl Signatures for Counted {
    fn verify(&self, _: Hash, _: &[u8], _: &[u8], _: &[u8]) -> Option<bool> {
        self.0.set(self.0.get() + 1);
        None
    }
}

impl Vm {
    fn new() -> Self {
        Self::of(POLICY)
    }

    fn of(policy: &str) -> Self {
        let jwk = |name: &str| key(name).jwk_with(&format!(r#""kid":"{name}""#));
        let policy = read_policy(&policy.replace("RSA", &jwk("rsa")).replace("P256", &jwk("p256")));
        Self {
            memory: Memory::new(&policy, Seed(1, 2)),
            policy,
            now: NOW.as_secs(),
            checks: Counted::default(),
        }
    }

    fn ask(&mut self, request: &str) -> String {
        let (headers, connection) = read_request(request);
        let mut around = Around {
            connection: &connection,
            memory: &mut self.memory,
            signatures: &self.checks,
            shared: &NoStore,
            now: UnixTime::from_secs(self.now),
        };
        show(&on_request(&self.policy, headers, true, &mut around))
    }

    #[track_caller]
    fn row(&mut self, request: &str, expected: &str) {
        let step = self.ask(request);
        let same = match expected.strip_suffix('…') {
            Some(start) => step.starts_with(start),
            None => step == expected,
        };
        assert!(same, "\n   {request}\n   {step}\n!= {expected}\n");
    }

    fn checks(&self) -> usize {
        self.checks.0.take()
    }
}

#[track_caller]
fn row(request: &str, expected: &str) {
    Vm::new().row(request, expected);
}

/// For five minutes, with `more` JSON members behind a comma each.
fn claims(issuer: &str, more: &str) -> String {
    let now = NOW.as_secs();
    let exp = now + 300;
    format!(r#"{{"iss":"{issuer}","sub":"ann","aud":"api","iat":{now},"exp":{exp}{more}}}"#)
}

fn rs256(claims: &str) -> String {
    mint::token(r#"{"alg":"RS256","kid":"rsa"}"#, claims, "rsa", Algorithm::RS256)
}

fn es256(claims: &str) -> String {
    mint::token(r#"{"alg":"ES256","kid":"p256"}"#, claims, "p256", Algorithm::ES256)
}

fn staff() -> String {
    rs256(&claims(
        "https://staff",
        r#","groups":["ops","sales"],"scope":"a b","tenant":"acme""#,
    ))
}

fn partner() -> String {
    es256(&claims("https://partners", ""))
}

fn assertion(more: &str) -> String {
    let claims = claims("meshgate", more).replace(r#""api""#, r#""mesh""#);
    let header = r#"{"alg":"ES256","kid":"p256","typ":"meshgate+jwt"}"#;
    mint::token(header, &claims, "p256", Algorithm::ES256)
}

const REFUSED: &str =
    "unauthenticated: the credential was not accepted; www-authenticate=Bearer error=\"invalid_token\"";

#[test]
fn a_token_says_who_calls_and_goes_no_further() {
    row(
        &format!("GET /staff/ | authorization: Bearer {}", staff()),
        "staff: forward allowed staff/ann; remove authorization; set x-user-id=ann; set x-groups=ops,sales; \
         set x-tenant=acme; set x-by=staff",
    );
    row(
        &format!("GET /public/ | authorization: Bearer {}", staff()),
        "public: forward public; remove authorization",
    );
    let shop = es256(&claims("https://shop", ""));
    row(
        &format!("GET /shop/?a=1&access_token={shop}"),
        "shop: forward allowed shop/ann; set :path=/shop/?a=1; set x-user-id=ann; set x-by=shop",
    );
    row(
        &format!("GET /shop/ | cookie: id={shop}"),
        "shop: forward allowed shop/ann; remove cookie; set x-user-id=ann; set x-by=shop",
    );
    row(
        &format!(
            "GET /staff/?a=1&access_token={shop} | authorization: Bearer {}",
            staff()
        ),
        "staff: forward allowed staff/ann; remove authorization; set :path=/staff/?a=1; set x-user-id=ann…",
    );
}

#[test]
fn what_is_wrong_is_the_operators_to_know() {
    let now = NOW.as_secs();
    let with = |from: &str, to: String| rs256(&claims("https://staff", "").replace(from, &to));
    for (token, why) in [
        ("opaque".to_owned(), "not_a_jwt"),
        (with(&format!("{}", now + 300), (now - 30).to_string()), "expired"),
        (with("\"api\"", "\"other\"".into()), "audience"),
        (with(&format!("{}", now + 300), (now + 3601).to_string()), "lifetime"),
        (format!("{}AA", staff()), "signature"),
        (es256(&claims("https://staff", "")), "unknown_key"),
        (rs256(&claims("https://nobody", "")), "issuer"),
        (rs256("{}"), "issuer"),
    ] {
        row(
            &format!("GET /staff/ | authorization: Bearer {token}"),
            &format!("staff: refuse 401 denied/{why}; {REFUSED}"),
        );
    }
    row(
        "GET /staff/ | authorization: Bearer",
        &format!("staff: refuse 401 denied/empty_credential; {REFUSED}"),
    );
    let missing = "staff: refuse 401 unauthenticated/no_credential; unauthenticated: this needs a credential; www-authenticate=Bearer";
    row("GET /staff/", missing);
    row("GET /staff/ | authorization: Basic YTpi", missing);
    row(
        &format!("GET /staff/ | authorization: Bearer {},Bearer {}", staff(), staff()),
        "staff: refuse 400 bad_request/ambiguous_credential…",
    );
}

#[test]
fn the_three_words_of_anonymous() {
    let bad = "authorization: Bearer opaque";
    row("GET /may/", "may: forward anonymous");
    row(
        &format!("GET /may/ | {bad}"),
        &format!("may: refuse 401 denied/not_a_jwt; {REFUSED}"),
    );
    row("GET /any/", "any: forward anonymous");
    row(
        &format!("GET /any/ | {bad}"),
        "any: forward anonymous/not_a_jwt; remove authorization",
    );
    let other = format!("authorization: Bearer {}", partner());
    row(
        &format!("GET /may/ | {other}"),
        &format!("may: refuse 401 denied/issuer; {REFUSED}"),
    );
}

#[test]
fn a_token_goes_to_its_issuer() {
    let mut vm = Vm::new();
    for _ in 0..2 {
        vm.row(
            &format!("GET /both/ | authorization: Bearer {}", staff()),
            "both: forward allowed staff/ann…",
        );
        vm.row(
            &format!("GET /both/ | authorization: Bearer {}", partner()),
            "both: forward allowed partners/ann; remove authorization; set x-user-id=ann; set x-by=partners",
        );
        // Refused where nobody takes it, though another rule's authenticator would, and had.
        vm.row(
            &format!("GET /staff/ | authorization: Bearer {}", partner()),
            &format!("staff: refuse 401 denied/issuer; {REFUSED}"),
        );
        vm.row(
            &format!(
                "GET /both/ | authorization: Bearer {}",
                rs256(&claims("https://nobody", ""))
            ),
            &format!("both: refuse 401 denied/issuer; {REFUSED}"),
        );
        // The issuer decides, and a key of another is none of its.
        vm.row(
            &format!(
                "GET /both/ | authorization: Bearer {}",
                rs256(&claims("https://partners", ""))
            ),
            &format!("both: refuse 401 denied/unknown_key; {REFUSED}"),
        );
        // An authenticator of that issuer comes later, but does not look there.
        let shop = es256(&claims("https://shop", ""));
        vm.row(
            &format!("GET /shop/ | authorization: Bearer {shop}"),
            &format!("shop: refuse 401 denied/issuer; {REFUSED}"),
        );
    }
}

#[test]
fn a_service_takes_tokens_of_issuers_that_nobody_here_knows() {
    let other = format!("authorization: Bearer {}", rs256(&claims("https://nobody", "")));
    row(&format!("GET /asks/ | {other}"), "ask auth 500ms…");
    row(
        &format!("GET /asks/ | authorization: Bearer {}", staff()),
        "asks: forward allowed staff/ann…",
    );
    row("GET /asks/ | authorization: Basic YTpi", "ask auth 500ms…");
    // Well-formed is what another's token is.
    row(
        "GET /asks/ | authorization: Bearer opaque",
        &format!("asks: refuse 401 denied/not_a_jwt; {REFUSED}"),
    );
    // The service does not look there.
    row(
        &format!("GET /session/ | {other} | cookie: sid=1"),
        &format!("session: refuse 401 denied/issuer; {REFUSED}"),
    );
    row("GET /session/ | cookie: sid=1", "ask auth 500ms…");
}

#[test]
fn a_token_that_was_seen_costs_no_signature() {
    let mut vm = Vm::new();
    let request = format!("GET /both/ | authorization: Bearer {}", staff());
    let known = "both: forward allowed staff/ann…";
    vm.row(&request, known);
    assert_eq!(vm.checks(), 1);
    vm.row(&request, known);
    vm.now += 329;
    vm.row(&request, known);
    assert_eq!(vm.checks(), 0);
    // Its end comes all the same.
    vm.now += 1;
    vm.row(&request, &format!("both: refuse 401 denied/expired; {REFUSED}"));
    // As does the end of keys.
    vm.now -= 330;
    vm.row(&request, known);
    vm.checks();
    let other = KeySet::parse(format!(r#"{{"keys":[{}]}}"#, key("p256").jwk_with(r#""kid":"x""#)).as_bytes());
    vm.memory.set_keys(0, other.expect("a set").0.into());
    vm.row(&request, &format!("both: refuse 401 denied/unknown_key; {REFUSED}"));
}

#[test]
fn a_bad_token_is_looked_at_once_in_five_seconds() {
    let mut vm = Vm::new();
    let mut token = staff();
    token.replace_range(token.len() - 8..token.len() - 6, "AA");
    let request = format!("GET /staff/ | authorization: Bearer {token}");
    let refused = format!("staff: refuse 401 denied/signature; {REFUSED}");
    for checks in [1, 0] {
        vm.row(&request, &refused);
        assert_eq!(vm.checks(), checks);
    }
    vm.now += 5;
    vm.row(&request, &refused);
    assert_eq!(vm.checks(), 1);
}

#[test]
fn keys_that_did_not_come_yet() {
    let mut vm = Vm::new();
    let token = |kid: &str| {
        let header = format!(r#"{{"alg":"ES256","kid":"{kid}"}}"#);
        mint::token(&header, &claims("https://fetched", ""), "p256", Algorithm::ES256)
    };
    let request = |kid: &str| format!("GET /fetched/ | authorization: Bearer {}", token(kid));
    vm.row(
        &request("a"),
        "fetched: refuse 503 auth_unavailable/keys_unavailable; auth_unavailable: who calls cannot be found out right now",
    );
    // What no key could make right is refused.
    vm.row(
        "GET /fetched/ | authorization: Bearer opaque",
        "fetched: refuse 401 denied/not_a_jwt…",
    );
    vm.row(
        &format!("GET /fetched/ | authorization: Bearer {}", partner()),
        "fetched: refuse 401 denied/issuer…",
    );
    let set = |kids: &[&str]| {
        let jwks: Vec<String> = kids
            .iter()
            .map(|kid| key("p256").jwk_with(&format!(r#""kid":"{kid}""#)))
            .collect();
        KeySet::parse(format!(r#"{{"keys":[{}]}}"#, jwks.join(",")).as_bytes())
            .expect("a set")
            .0
    };
    let slot = 3;
    assert_eq!(vm.memory.tokens(slot).and_then(|tokens| tokens.stranger()), None);
    vm.memory.set_keys(slot, set(&["a"]).into());
    vm.row(&request("a"), "fetched: forward allowed fetched/ann…");
    vm.now += 1;
    vm.row(
        &request("b"),
        &format!("fetched: refuse 401 denied/unknown_key; {REFUSED}"),
    );
    let stranger = vm.memory.tokens(slot).and_then(|tokens| tokens.stranger());
    assert_eq!(stranger, Some(Duration::from_secs(vm.now)));
    // Nothing is remembered of it: the next one finds the new key.
    vm.memory.set_keys(slot, set(&["a", "b"]).into());
    vm.row(&request("b"), "fetched: forward allowed fetched/ann…");
}

#[test]
fn what_an_earlier_gate_says() {
    let more = r#","groups":["ops"],"scope":"a b","claims":{"tenant":"acme","roles":["x"]},"auth":"staff""#;
    row(
        &format!("GET /open/ | x-open: {}", assertion(more)),
        "open: forward allowed open/ann; remove x-open; set x-user-id=ann; set x-groups=ops; set x-tenant=acme; set x-by=open",
    );
    row(
        &format!("GET /open/ | x-open: {}", assertion("")),
        "open: refuse 403 forbidden/groups open/ann…",
    );
    let refused = |request: &str, why: &str| {
        row(
            &format!("GET /open/ | x-open: {request}"),
            &format!("open: refuse 401 denied/{why}; {REFUSED}"),
        );
    };
    // A caller's token of the same issuer and key is no assertion, and the other way round.
    refused(&es256(&claims("meshgate", "").replace("\"api\"", "\"mesh\"")), "type");
    let mesh = claims("meshgate", "").replace(r#""api""#, r#""mesh""#);
    let jwt = r#"{"alg":"ES256","kid":"p256","typ":"JWT"}"#;
    refused(&mint::token(jwt, &mesh, "p256", Algorithm::ES256), "type");
    refused(&assertion("").replace('.', ""), "not_a_jwt");
    refused(&assertion(r#","aud":"x""#), "duplicate_member");
    row(
        &format!("GET /both/ | authorization: Bearer {}", assertion("")),
        "both: refuse 401 denied/issuer…",
    );
    row(
        &format!("GET /open/ | x-open: {} | x-open: {}", assertion(""), assertion("")),
        "open: refuse 400 bad_request/ambiguous_credential…",
    );
    row("GET /open/", "open: refuse 401 unauthenticated/no_credential…");
}

#[test]
fn assertions_are_taken_from_gates_alone() {
    let trusted = "@peer spiffe://cluster.local/ns/ingress/sa/gateway";
    let header = format!("x-identity: {}", assertion(""));
    row(
        &format!("GET /gated/ | {trusted} | {header}"),
        "gated: forward allowed edge/ann; remove x-identity; set x-user-id=ann; set x-by=edge",
    );
    for stranger in ["@peer spiffe://cluster.local/ns/shop/sa/cart", "@plain"] {
        row(
            &format!(
                "GET /gated/ | {stranger} | {header} | authorization: Bearer {}",
                staff()
            ),
            &format!("gated: refuse 401 denied/untrusted_peer; {REFUSED}"),
        );
    }
    row(
        &format!("GET /gated/ | {trusted} | authorization: Bearer {}", staff()),
        "gated: forward allowed staff/ann…",
    );
}

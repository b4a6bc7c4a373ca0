//! The table of warnings: what is likely a mistake and no fault.

use super::faults::{apply, read};
use meshgate::config::{self, yaml};

const BASE: &str = r#"
version: 1
authenticators:
  account:
    callout:
      protocol: ext_authz_http
      cluster: auth
      timeout: 1s
      credential: ["header:authorization"]
      principal: { subject: x-user, claims: { tenant: x-tenant } }
      on_failure: deny
  employee:
    jwt:
      issuer: https://id.example.com
      audiences: [api]
      algorithms: [ES256]
      principal: { claims: { plan: plan_id } }
      keys: { inline: { keys: [{ kty: EC, crv: P-256, x: f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU, y: x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0 }] } }
  partner:
    api_key:
      from: [{ header: x-api-key }]
      keys: { inline: [{ id: a, sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", subject: a, claims: { level: 3 } }] }
identity:
  headers: { x-tenant: "{claims.tenant}", x-plan: "{subject} {claims.plan.name}" }
  assertion: { header: x-identity, keys: [{ env: KEY }], issuer: a, audience: b, jwks_path: /.well-known/keys }
rules:
- { name: ours, match: { paths: ["/ours/**"] }, authenticate: [employee, account], require: { claims: { plan: gold } } }
- { name: theirs, authenticate: [partner], identity: { headers: { x-level: "{claims.level}" } } }
"#;

/// Changes of [`BASE`], and what is then told.
const TABLE: [(&[&str], &[&str]); 23] = [
    (&[], &[]),
    // Algorithms that no inline key fits.
    (
        &["set authenticators.employee.jwt.algorithms [ES256, RS256, EdDSA]"],
        &[
            "authenticators.employee.jwt.algorithms[1]: no inline key fits RS256: such tokens are refused",
            "authenticators.employee.jwt.algorithms[2]: no inline key fits EdDSA: such tokens are refused",
        ],
    ),
    (&["del authenticators.employee.jwt.algorithms"], &[]),
    (
        &[
            "del authenticators.employee.jwt.algorithms",
            "set authenticators.employee.jwt.keys.inline.keys [{ kty: OKP, crv: Ed25519, x: 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo }]",
        ],
        &[
            "authenticators.employee.jwt: no inline key fits RS256 or ES256, the default: list the algorithms of the keys",
        ],
    ),
    (
        &[
            "set authenticators.employee.jwt.algorithms [RS512]",
            "set authenticators.employee.jwt.keys { remote: { service: \"id:443\", path: / } }",
        ],
        &[],
    ),
    // Claims that nobody has.
    (
        &[
            "set rate_limits { t: { per: \"claim:tennant\", requests: 1, window: 1s, override: [{ when: { claims: { plann: gold } }, requests: 2 }] } }",
            "set rules.0.rate_limit [t]",
        ],
        &[
            r#"rate_limits.t.override[0].when.claims.plann: no authenticator that a rule asks gives the claim "plann": did you mean plan?"#,
            r#"rate_limits.t.per: no authenticator that a rule asks gives the claim "tennant": did you mean tenant?"#,
        ],
    ),
    (
        &["set identity.headers.x-tenant \"{claims.tennant}\""],
        &[
            r#"identity.headers.x-tenant: no authenticator that a rule asks gives the claim "tennant": did you mean tenant?"#,
        ],
    ),
    (
        &["set rules.1.identity.headers.x-more \"{subject} {claims.tenant}\""],
        &[r#"rules[1].identity.headers.x-more: no authenticator of rule theirs gives the claim "tenant""#],
    ),
    (
        &["set rules.0.require.claims { plam: gold }"],
        &[r#"rules[0].require.claims.plam: no authenticator of rule ours gives the claim "plam": did you mean plan?"#],
    ),
    (
        &["set defaults { identity: { headers: { x-a: \"{claims.lever}\" } } }"],
        &[
            r#"defaults.identity.headers.x-a: no authenticator that a rule asks gives the claim "lever": did you mean level?"#,
        ],
    ),
    (
        &[
            "set experiments.a { unit: [\"claim:tennant\", \"claim:plan.name\"], bucket_header: x-bucket-a }",
            "set experiments.b { unit: [subject], variants: [{ name: b }], coverage: 1%, header: x-b, audience: { claims: { plam: gold } }, force: { header: x-force, require: { claims: { tennant: a } } } }",
            "set rules.0.experiments [a, b]",
        ],
        &[
            r#"experiments.a.unit[0]: no authenticator that a rule asks gives the claim "tennant": did you mean tenant?"#,
            r#"experiments.b.audience.claims.plam: no authenticator that a rule asks gives the claim "plam": did you mean plan?"#,
            r#"experiments.b.force.require.claims.tennant: no authenticator that a rule asks gives the claim "tennant": did you mean tenant?"#,
        ],
    ),
    (
        &["set debug { header: x-debug, require: { claims: { tennant: a } } }"],
        &[
            r#"debug.require.claims.tennant: no authenticator that a rule asks gives the claim "tennant": did you mean tenant?"#,
        ],
    ),
    // What nobody meets.
    (
        &["set rules.0.require { groups: { any_of: [ops] }, scopes: { none_of: [a] } }"],
        &["rules[0].require.groups: no authenticator of rule ours gives groups: nobody meets it"],
    ),
    (
        &[
            "set defaults.require.scopes { all_of: [orders.read] }",
            "set rules.1.require { claims: { level: { any_of: [a, b], none_of: [b, a, c] } } }",
            "del rules.0.require",
        ],
        &[
            "defaults.require.scopes: no authenticator of rule ours gives scopes: nobody meets it",
            "rules[1].require.claims.level: none_of names all that any_of does: nobody meets it",
        ],
    ),
    (
        &[
            "set authenticators.account.callout.principal.groups x-groups",
            "set rules.0.require { groups: { all_of: [a, b], none_of: [b] } }",
        ],
        &["rules[0].require.groups: all_of and none_of both name \"b\": nobody meets it"],
    ),
    (
        &[
            "set authenticators.account.callout.principal.groups x-groups",
            "set rules.0.require { groups: { any_of: [a, b], none_of: [b] }, authenticators: [employee] }",
        ],
        &["rules[0].require.groups: no authenticator of rule ours gives groups: nobody meets it"],
    ),
    // Only the lists elsewhere, or the gate before, know what claims there are.
    (
        &[
            "set rules.1.identity.headers.x-more \"{claims.any}\"",
            "set authenticators.partner.api_key.keys { remote: { service: \"keys:80\", path: /keys } }",
        ],
        &[],
    ),
    (
        &[
            "set rules.1.identity.headers.x-more \"{claims.any}\"",
            "set authenticators.edge.gate { header: x-edge, issuer: e, audience: b, keys: { remote: { service: \"edge:80\", path: /keys } } }",
            "set rules.1.authenticate [edge, partner]",
        ],
        &[],
    ),
    // A key set in front of a rule's path.
    (
        &["set identity.assertion.jwks_path /ours/keys"],
        &[
            "rules[0].match.paths[0]: GET /ours/keys never meets rule ours: identity.assertion.jwks_path is answered first",
        ],
    ),
    (
        &[
            "set identity.assertion.jwks_path /ours/keys",
            "set rules.0.match.methods [POST]",
        ],
        &[],
    ),
    (
        &["set rules.0.match.paths [/ours, \"/{a}/{b}\"]"],
        &[
            "rules[0].match.paths[1]: GET /.well-known/keys never meets rule ours: identity.assertion.jwks_path is answered first",
        ],
    ),
    (&["set rules.0.match.paths [\"/.well-known/**\"]"], &[]),
    (&["set rules.1.match { paths: [\"/**\"] }"], &[]),
];

#[test]
fn table() {
    for (changes, expected) in TABLE {
        let mut policy = read(BASE);
        changes.iter().for_each(|change| apply(&mut policy, change));
        let text = policy.to_string();
        let parsed = yaml::parse(&text).unwrap_or_else(|faults| panic!("{changes:?}: {faults}"));
        let warnings: Vec<String> = parsed.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings, expected, "{changes:#?}");
        // Somebody reads the command line's; in the filter's log they would stand at each start of a worker.
        assert_eq!(config::parse(text.as_bytes()).expect("a policy").warnings, []);
    }
}

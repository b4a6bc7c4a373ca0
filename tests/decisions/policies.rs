//! Policies that many tables share.

/// One rule of every kind, and all that is stripped.
pub const SHOP: &str = r#"
version: 1
identity:
  headers: { x-user-id: "{subject}", x-user-groups: "{groups}" }
  strip: ["x-internal-*", "*-secret"]
  keep: [x-internal-trace, x-forwarded-prefix]
authenticators:
  account:
    callout:
      protocol: ext_authz_http
      cluster: auth
      timeout: 500ms
      credential: ["header:authorization", "cookie:session*"]
      principal: { subject: x-auth-user, groups: x-auth-groups, claims: { tenant: x-auth-tenant } }
      accept: { headers: ["x-auth-*"], append: [x-note], to_client: [set-cookie] }
      on_failure: deny
  lenient:
    callout:
      protocol: ext_authz_http
      cluster: lenient
      timeout: 500ms
      credential: ["header:x-api-key"]
      principal: { subject: x-auth-user }
      on_failure: allow
  keeper:
    callout:
      protocol: ext_authz_http
      cluster: keeper
      timeout: 500ms
      forward: true
      credential: ["header:x-kept"]
      principal: { subject: x-auth-user }
      on_failure: deny
rules:
- { name: public, match: { hosts: [shop.example.com], paths: ["/public/**"] }, authenticate: none }
- { name: closed, match: { paths: ["/closed/**"] }, refuse: 404 }
- { name: open, match: { paths: ["/open/**"] }, authenticate: [account], anonymous: allow_missing_or_failed }
- { name: lenient, match: { paths: ["/lenient/**"] }, authenticate: [lenient] }
- { name: keeper, match: { paths: ["/keeper/**"] }, authenticate: [keeper] }
- { name: cors, match: { paths: ["/cors/**"] }, authenticate: [account], cors: { preflight: pass } }
- { name: own, match: { paths: ["/own/**"] }, authenticate: [account], identity: { headers: { x-webauth-user: "{claims.tenant}" } } }
- { name: orders, match: { paths: ["/orders/**"] }, authenticate: [account] }
"#;

/// One rule that asks one service; `{more}` goes into the callout, `{rule}` into the rule.
pub fn one(more: &str, rule: &str) -> String {
    format!(
        r#"
version: 1
listener: {{ verified_peers: true }}
identity: {{ headers: {{ x-user-id: "{{subject}}" }} }}
authenticators:
  account:
    callout: {{ cluster: auth, timeout: 500ms, principal: {{ subject: x-auth-user, groups: x-auth-groups, scopes: x-auth-scopes, claims: {{ tenant: x-auth-tenant }} }}, {more} }}
rules:
- {{ name: r, authenticate: [account], {rule} }}
"#
    )
}

/// Rules alone, as a list of YAML lines; they may ask `account`, by the header `authorization`.
pub fn rules(lines: &str) -> String {
    let callout = "protocol: ext_authz_http, cluster: auth, timeout: 1s, on_failure: deny, \
                   credential: [\"header:authorization\"], principal: { subject: x-auth-user, groups: x-auth-groups }";
    format!(
        "version: 1\nlistener: {{ verified_peers: true }}\nauthenticators:\n  account:\n    callout: {{ {callout} }}\nrules:\n{lines}\n"
    )
}

//! Every way that a request can take through the filter.

use crate::policies::{json, knows_ada};
use crate::support::{Gate, GateBuilder, Request, get, request};

const POLICY: &str = r#"
version: 1
authenticators:
  account:
    callout:
      protocol: ext_authz_http
      cluster: auth
      timeout: 5s
      credential: ["header:authorization", "header:x-api-key", "cookie:session"]
      principal: { subject: x-auth-user }
      accept: { headers: ["x-auth-*"] }
      send: { headers: ["*"] }
      on_failure: deny
  unreachable:
    callout:
      protocol: ext_authz_http
      cluster: dead
      timeout: 5s
      credential: ["header:authorization"]
      principal: { subject: x-auth-user }
      on_failure: allow
identity:
  headers: { x-user-id: "{subject}", x-tenant-id: "{claims.tenant}" }
  strip: ["x-internal-*"]
defaults: { authenticate: [account] }
rules:
- { name: public, match: { hosts: [test], paths: ["/public/**"] }, authenticate: none }
- { name: anonymous, match: { paths: ["/anonymous/**"] }, anonymous: allow_missing_or_failed }
- { name: open, match: { paths: ["/open/**"] }, authenticate: [unreachable] }
- { name: refused, match: { paths: ["/refused/**"] }, refuse: 404 }
- { name: preflight, match: { paths: ["/preflight/**"] }, cors: { preflight: pass } }
- { name: allowed, match: { paths: ["/allowed/**"] } }
- { name: admin, match: { paths: ["/admin/**"] }, identity: { headers: { x-admin-id: "{subject}" } } }
"#;

pub fn policy() -> String {
    json(POLICY)
}

pub fn builder() -> GateBuilder {
    Gate::builder().policy(policy()).auth(knows_ada)
}

pub struct Way {
    pub name: &'static str,
    pub request: Request,
    pub status: u16,
    pub reaches_upstream: bool,
    /// What the upstream is told.
    pub user: Option<&'static str>,
}

pub fn all() -> Vec<Way> {
    let way = |name, request, status, user| Way {
        name,
        request,
        status,
        reaches_upstream: status == 200,
        user,
    };
    let ada = |path| get(path).header("authorization", "Bearer ada");
    let eve = |path| get(path).header("authorization", "Bearer eve");
    let preflight = |path| {
        request("OPTIONS", path)
            .header("origin", "https://app.test")
            .header("access-control-request-method", "PUT")
    };
    vec![
        way("public", get("/public/a"), 200, None),
        way("public with a credential", ada("/public/a"), 200, None),
        way("anonymous", get("/anonymous/a"), 200, None),
        way("anonymous with a bad credential", eve("/anonymous/a"), 200, None),
        way("known where nobody may be, too", ada("/anonymous/a"), 200, Some("ada")),
        way("failed open", ada("/open/a"), 200, None),
        way("preflight", preflight("/preflight/a"), 200, None),
        way("allowed", ada("/allowed/a"), 200, Some("ada")),
        way("denied", eve("/allowed/a"), 401, None),
        way("no credential", get("/allowed/a"), 401, None),
        way("refused", ada("/refused/a"), 404, None),
        way("preflight denied", preflight("/allowed/a"), 403, None),
        way("no rule", ada("/nothing"), 403, None),
    ]
}

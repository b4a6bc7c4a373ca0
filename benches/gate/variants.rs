//! What is compared: one entry each.

use crate::floor::Floor;
use crate::load::HEADERS;
use crate::policies;
use crate::world::Clusters;
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Clone)]
pub struct Variant {
    /// Names the listener, and the variant in JSON and in `Limit::of`.
    pub key: String,
    pub label: String,
    pub filter: Filter,
    pub path: &'static str,
    /// Instead of the usual token.
    pub bearer: Option<&'static str>,
    /// The request claims an identity.
    pub forged: bool,
    /// A token after the other, more than are remembered.
    pub many_tokens: bool,
    /// How many different paths are asked for in turn.
    pub keys: Option<usize>,
    /// Credentials come and go.
    pub churns: bool,
    /// Level of Envoy's `wasm` logger while it is measured.
    pub wasm_log: &'static str,
    /// What the upstream has to see, so that no filter is measured that does nothing:
    /// `user=%REQ(x-user-id)% auth=%REQ(x-auth-user)%`.
    pub seen: &'static str,
    pub limits: Vec<Limit>,
    /// A point of a growth curve: which, and how many of it there are.
    pub grows: Option<(&'static str, usize)>,
}

#[derive(Clone)]
pub enum Filter {
    None,
    /// `typed_config` of one of Envoy's own.
    Native(fn(&Clusters) -> Value),
    /// The probe of tests/support: a Wasm filter that adds one header.
    Probe,
    Floor(Floor),
    /// None: the shipped module.
    Meshgate {
        policy: Value,
        module: Option<PathBuf>,
    },
}

/// Added CPU time over that of another variant.
#[derive(Clone)]
pub struct Limit {
    pub of: &'static str,
    pub at_most: f64,
}

/// What the others are compared with.
pub const BASE: &str = "none";
/// Envoy's own way to ask a service.
pub const NATIVE: &str = "ext_authz";

pub fn all() -> Vec<Variant> {
    let ask = "/orders/4711/items?page=2";
    let public = "/static/app.js";
    vec![
        Variant::new(BASE, "no filter", Filter::None, ask, "user= auth="),
        Variant::new(
            NATIVE,
            "Envoy's ext_authz, HTTP",
            Filter::Native(ext_authz),
            ask,
            "user= auth=alice",
        ),
        Variant::new(
            "probe",
            "a Wasm filter that adds one header",
            Filter::Probe,
            ask,
            "user= auth=",
        ),
        Variant::new(
            "floor-public",
            "the host calls of a public request alone",
            Filter::Floor(Floor::Public),
            public,
            "user= auth=",
        ),
        Variant::new(
            "floor-remembered",
            "the host calls of a known caller alone",
            Filter::Floor(Floor::Remembered),
            ask,
            "user=alice auth=",
        ),
        Variant::new(
            "floor-whole",
            "the same with timeouts and retries",
            Filter::Floor(Floor::Whole),
            ask,
            "user=alice auth=",
        ),
        Variant::new(
            "floor-asked",
            "the host calls of a question alone",
            Filter::Floor(Floor::Asked),
            ask,
            "user=alice auth=",
        ),
        Variant::new(
            "floor-verified",
            "the host calls of a token checked alone",
            Filter::Floor(Floor::Verified),
            ask,
            "user= auth=",
        )
        .bearer(TOKEN),
        Variant::new(
            "jwt_authn",
            "Envoy's jwt_authn",
            Filter::Native(jwt_authn),
            ask,
            "user= auth=",
        )
        .bearer(TOKEN),
        Variant::new(
            "jwt_authn-cached",
            "Envoy's jwt_authn, its cache on",
            Filter::Native(jwt_authn_cached),
            ask,
            "user= auth=",
        )
        .bearer(TOKEN),
        Variant::new(
            "lua",
            "a Lua script that asks",
            Filter::Native(lua),
            ask,
            "user= auth=alice",
        ),
        Variant::new("public", "Meshgate, public rule", meshgate(10), public, "user= auth=")
            .limit(NATIVE, 0.20)
            .grows("rules", 10),
        Variant::new(
            "public-forged",
            "Meshgate, public, forged identity",
            meshgate(10),
            public,
            "user= auth=",
        )
        .forged(),
        Variant::new(
            "authenticated",
            "Meshgate, asks every time",
            meshgate(10),
            ask,
            "user=alice auth=",
        )
        .limit(NATIVE, 1.15),
        Variant::new(
            "remembered",
            "Meshgate, answer remembered",
            remembering(),
            ask,
            "user=alice auth=",
        )
        .limit(NATIVE, 0.20),
        Variant::new(
            "experiments-5",
            "Meshgate, remembered, 5 experiments",
            experimenting(5, 5),
            ask,
            "user=alice auth=",
        )
        .limit("remembered", 1.4),
        Variant::new(
            "experiments-200",
            "Meshgate, remembered, 200 experiments of other rules",
            experimenting(200, 0),
            ask,
            "user=alice auth=",
        )
        .limit("remembered", 1.05),
        Variant::new("whole", "Meshgate, whole policy", whole(), ask, "user=alice auth=").limit(NATIVE, 0.30),
        Variant::new(
            "jwt-first",
            "Meshgate, a JWT seen first",
            verifying(1),
            ask,
            "user= auth=",
        )
        .bearer(TOKEN)
        .many_tokens()
        .limit("jwt_authn", 1.1),
        Variant::new(
            "jwt-seen",
            "Meshgate, a JWT seen before",
            verifying(10_000),
            ask,
            "user= auth=",
        )
        .bearer(TOKEN)
        .limit("jwt_authn", 0.25),
        Variant::new(
            "logged",
            "Meshgate, public, decision lines",
            meshgate(10),
            public,
            "user= auth=",
        )
        .wasm_log("info"),
        Variant::new(
            "rules-1000",
            "Meshgate, public, 1,000 rules",
            meshgate(1_000),
            public,
            "user= auth=",
        )
        .grows("rules", 1_000)
        .limit("public", 1.2),
        Variant::new(
            "rules-10000",
            "Meshgate, public, 10,000 rules",
            meshgate(10_000),
            public,
            "user= auth=",
        )
        .grows("rules", 10_000)
        .limit("public", 1.2),
        Variant::new(
            "keys-10",
            "Meshgate, 10 API keys",
            api_keys(10),
            ask,
            "user=alice auth=",
        )
        .grows("API keys", 10),
        Variant::new(
            "keys-100000",
            "Meshgate, 100,000 API keys",
            api_keys(100_000),
            ask,
            "user=alice auth=",
        )
        .grows("API keys", 100_000)
        .limit("keys-10", 1.2),
        Variant::new(
            "entries-1000",
            "Meshgate, 1,000 answers remembered",
            remembering(),
            ask,
            "user=alice auth=",
        )
        .keys(1_000)
        .grows("remembered answers", 1_000),
        Variant::new(
            "entries-100000",
            "Meshgate, 100,000 answers remembered",
            remembering(),
            ask,
            "user=alice auth=",
        )
        .keys(100_000)
        .grows("remembered answers", 100_000)
        .limit("entries-1000", 1.2),
    ]
}

pub fn soak() -> Variant {
    Variant {
        churns: true,
        ..Variant::new(
            "soak",
            "Meshgate, credentials that come and go",
            Filter::Meshgate {
                policy: policies::small_memory(),
                module: None,
            },
            "/orders/4711/items?page=2",
            "user=alice auth=",
        )
    }
}

impl Variant {
    fn new(key: &str, label: &str, filter: Filter, path: &'static str, seen: &'static str) -> Self {
        Self {
            key: key.into(),
            label: label.into(),
            filter,
            path,
            bearer: None,
            forged: false,
            many_tokens: false,
            keys: None,
            churns: false,
            wasm_log: "warning",
            seen,
            limits: Vec::new(),
            grows: None,
        }
    }

    fn grows(mut self, what: &'static str, many: usize) -> Self {
        self.grows = Some((what, many));
        self
    }

    fn limit(mut self, of: &'static str, at_most: f64) -> Self {
        self.limits.push(Limit { of, at_most });
        self
    }

    fn bearer(mut self, token: &'static str) -> Self {
        self.bearer = Some(token);
        self
    }

    fn forged(mut self) -> Self {
        self.forged = true;
        self
    }

    fn many_tokens(mut self) -> Self {
        self.many_tokens = true;
        self
    }

    fn keys(mut self, keys: usize) -> Self {
        self.keys = Some(keys);
        self
    }

    fn wasm_log(mut self, level: &'static str) -> Self {
        self.wasm_log = level;
        self
    }

    /// The same with another module, if it is one of Meshgate's.
    pub fn beside(&self, module: &str) -> Option<Self> {
        let Filter::Meshgate { policy, .. } = &self.filter else {
            return None;
        };
        Some(Self {
            key: format!("{}@{module}", self.key),
            label: format!("{} ({})", self.label, module.rsplit('/').next().unwrap_or(module)),
            filter: Filter::Meshgate {
                policy: policy.clone(),
                module: Some(module.into()),
            },
            limits: Vec::new(),
            ..self.clone()
        })
    }
}

fn meshgate(rules: usize) -> Filter {
    Filter::Meshgate {
        policy: policies::with_rules(rules),
        module: None,
    }
}

fn remembering() -> Filter {
    Filter::Meshgate {
        policy: policies::remembering(),
        module: None,
    }
}

fn experimenting(defined: usize, named: usize) -> Filter {
    Filter::Meshgate {
        policy: policies::experimenting(defined, named),
        module: None,
    }
}

fn verifying(remembered: usize) -> Filter {
    let jwks = serde_json::from_str(JWKS).expect("JSON");
    Filter::Meshgate {
        policy: policies::verifying(jwks, remembered),
        module: None,
    }
}

/// 100,000 are a policy of 12 MiB.
fn api_keys(count: usize) -> Filter {
    let (_, token) = HEADERS
        .iter()
        .find(|(name, _)| *name == "authorization")
        .expect("a token");
    Filter::Meshgate {
        policy: policies::api_keys(count, token.trim_start_matches("Bearer ")),
        module: None,
    }
}

fn whole() -> Filter {
    Filter::Meshgate {
        policy: policies::whole(),
        module: None,
    }
}

/// Signed once, for all time: RS256, its key of 2048 bits was thrown away.
pub const TOKEN: &str = include_str!("token.txt");
/// Of the same key and caller.
pub const TOKENS: &str = include_str!("tokens.txt");
pub const JWKS: &str = include_str!("jwks.json");

fn jwt_authn(_: &Clusters) -> Value {
    jwt(json!({}))
}

fn jwt_authn_cached(_: &Clusters) -> Value {
    jwt(json!({"jwt_cache_config": {"jwt_cache_size": 1000}}))
}

fn jwt(more: Value) -> Value {
    let mut provider = json!({
        "issuer": "https://id.example.com",
        "audiences": ["api"],
        "local_jwks": {"inline_string": JWKS},
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        provider[name] = value.clone();
    }
    json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        "providers": {"id": provider},
        "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "id"}}],
    })
}

/// As teams write it by hand.
fn lua(_: &Clusters) -> Value {
    json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
        "default_source_code": {"inline_string": r#"
function envoy_on_request(handle)
  local request = handle:headers()
  local headers = handle:httpCall("auth", {
    [":method"] = request:get(":method"),
    [":path"] = request:get(":path"),
    [":authority"] = request:get(":authority"),
    ["authorization"] = request:get("authorization"),
  }, "", 500)
  if headers[":status"] ~= "200" then
    handle:respond({[":status"] = headers[":status"]}, "")
    return
  end
  handle:headers():replace("x-auth-user", headers["x-auth-user"])
  handle:headers():replace("x-auth-groups", headers["x-auth-groups"])
  handle:headers():replace("x-auth-tenant", headers["x-auth-tenant"])
end
"#},
    })
}

fn ext_authz(clusters: &Clusters) -> Value {
    json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
        "http_service": {
            "server_uri": {"uri": format!("http://{}", clusters.auth), "cluster": "auth", "timeout": "0.5s"},
            "authorization_response": {"allowed_upstream_headers": {"patterns": [
                {"exact": "x-auth-user"}, {"exact": "x-auth-groups"}, {"exact": "x-auth-tenant"},
            ]}},
        },
    })
}

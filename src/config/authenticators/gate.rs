//! `authenticators.NAME.gate`: the assertion of an earlier Meshgate.

use super::{jwt, keys};
use crate::authn::ClaimPath;
use crate::authn::jwt::{Algorithm, Audiences, ClaimSource, TokenType, Verification};
use crate::config::matching;
use crate::config::names;
use crate::config::node::Node;
use crate::config::read::{Fields, Known};
use crate::config::sink::{Checked, Sink};
use crate::policy::GateToken;
use std::time::Duration;

const FIELDS: Known = Known {
    now: &["header", "issuer", "audience", "keys", "peers"],
    later: &[],
};
const KEYS: Known = Known {
    now: &["inline", "remote"],
    later: &[],
};

/// As `identity.assertion.ttl` may be.
const LONGEST: Duration = Duration::from_secs(3600);

pub fn read(sink: &Sink, warnings: &Sink, node: &Node, verified_peers: bool) -> Checked<GateToken> {
    let fields = Fields::of(sink, node, &FIELDS)?;
    let header = fields
        .required("header", ": where the assertion stands, as x-identity")
        .and_then(|node| sink.parsed(node, names::identity));
    let named = |name: &'static str, remedy: &str| {
        fields
            .required(name, remedy)
            .and_then(|node| sink.parsed(node, |text| jwt::name(text, name)))
    };
    let issuer = named("issuer", ": identity.assertion.issuer of the earlier gate");
    let audience = named("audience", ": identity.assertion.audience of the earlier gate");
    let keys = fields
        .required(
            "keys",
            ": say where they are, { remote: { service: HOST:PORT, path: /jwks.json } }",
        )
        .and_then(|node| Fields::of(sink, node, &KEYS))
        .and_then(|fields| keys::source(sink, &fields, KEYS.now))
        .and_then(|source| keys::read(sink, warnings, &source, None));
    let peers = fields.optional("peers", |node| matching::peers(sink, node, verified_peers));
    Ok(GateToken {
        header: header?,
        verification: assertion(issuer?, audience?),
        keys: keys?,
        peers: peers?.unwrap_or_default(),
    })
}

/// What `identity.assertion` of the earlier gate signs.
fn assertion(issuer: String, audience: String) -> Verification {
    let member = |name: &str| Some(ClaimPath(vec![name.to_owned()]));
    Verification {
        typ: TokenType::Assertion,
        issuer,
        audiences: Audiences::Listed(vec![audience]),
        algorithms: vec![Algorithm::ES256, Algorithm::RS256],
        principal: ClaimSource {
            subject: jwt::sub(),
            groups: member("groups"),
            scopes: member("scope"),
            claims: vec![],
            members_of: member("claims"),
            variants: member("variants"),
        },
        clock_skew: jwt::CLOCK_SKEW,
        max_lifetime: Some(LONGEST),
    }
}

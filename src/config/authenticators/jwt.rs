//! `authenticators.NAME.jwt`

use super::claims::{self, path};
use super::keys::{self, Source};
use crate::authn::ClaimPath;
use crate::authn::jwt::{Algorithm, Audiences, ClaimSource, TokenType, Verification};
use crate::config::node::{Node, quoted};
use crate::config::place;
use crate::config::read::{Fields, Known};
use crate::config::sink::{Checked, Sink};
use crate::header::HeaderName;
use crate::policy::{Jwt, TokenPlace};
use std::time::Duration;

const FIELDS: Known = Known {
    now: &[
        "issuer",
        "audiences",
        "algorithms",
        "keys",
        "from",
        "principal",
        "clock_skew",
        "max_lifetime",
        "forward",
        "cache",
    ],
    later: &[],
};
const KEYS: Known = Known {
    now: &["inline", "remote", "discovery", "secret"],
    later: &[],
};
const PRINCIPAL: Known = Known {
    now: &["subject", "groups", "scopes", "claims"],
    later: &[],
};
const CACHE: Known = Known {
    now: &["max_entries"],
    later: &[],
};

/// RFC 7518 section 3.1 and RFC 8037; there is no `none`.
const ALGORITHMS: [(&str, Algorithm); 12] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
    ("HS256", Algorithm::HS256),
    ("HS384", Algorithm::HS384),
    ("HS512", Algorithm::HS512),
];

/// What clocks of servers differ by, well below the life of a token.
pub const CLOCK_SKEW: Duration = Duration::from_secs(30);
const MOST_SKEW: Duration = Duration::from_secs(300);
const SHORTEST_LIFETIME: Duration = Duration::from_secs(1);
const LONGEST_LIFETIME: Duration = Duration::from_secs(366 * 24 * 3600);
const REMEMBERED: usize = 10_000;
const MOST_REMEMBERED: u64 = 1_000_000;

pub fn read(sink: &Sink, warnings: &Sink, node: &Node) -> Checked<Jwt> {
    let fields = Fields::of(sink, node, &FIELDS)?;
    let issuer = fields
        .required("issuer", ": the iss of its tokens, as https://id.example.com")
        .and_then(|node| sink.parsed(node, |text| name(text, "issuer")));
    let audiences = fields
        .required(
            "audiences",
            ": list whom tokens are for, or write any where every audience will do",
        )
        .and_then(|node| audiences(sink, node));
    let algorithms = fields.optional("algorithms", |node| algorithms(sink, node));
    let keys = fields
        .required(
            "keys",
            ": say where they are, { remote: { service: HOST:PORT, path: /jwks.json } }",
        )
        .and_then(|node| Fields::of(sink, node, &KEYS))
        .and_then(|fields| keys::source(sink, &fields, KEYS.now));
    let source = keys
        .as_ref()
        .map_err(|faulted| *faulted)
        .and_then(|source| keys::read(sink, warnings, source, issuer.as_deref().ok()));
    let algorithms = match (algorithms, &keys) {
        (Ok(algorithms), Ok(source)) => fitting(sink, &fields, algorithms, source),
        (algorithms, _) => algorithms.map(Option::unwrap_or_default),
    };
    let from = fields.optional("from", |node| place::tokens(sink, node));
    let principal = fields.optional("principal", |node| principal(sink, node));
    let clock_skew = fields.optional("clock_skew", |node| sink.duration(node, Duration::ZERO..=MOST_SKEW));
    let max_lifetime = fields.optional("max_lifetime", |node| {
        sink.duration(node, SHORTEST_LIFETIME..=LONGEST_LIFETIME)
    });
    let forward = fields.optional("forward", |node| sink.flag(node));
    let max_remembered = fields.optional("cache", |node| cache(sink, node));
    Ok(Jwt {
        verification: Verification {
            typ: TokenType::Callers,
            issuer: issuer?,
            audiences: audiences?,
            algorithms: algorithms?,
            principal: principal?.unwrap_or_else(|| ClaimSource::subject(sub())),
            clock_skew: clock_skew?.unwrap_or(CLOCK_SKEW),
            max_lifetime: max_lifetime?,
        },
        keys: source?,
        from: from?.unwrap_or_else(bearer),
        forward: forward?.unwrap_or(false),
        max_remembered: max_remembered?.unwrap_or(REMEMBERED),
    })
}

/// An issuer or audience: text that is compared whole.
pub fn name(text: &str, what: &str) -> Result<String, String> {
    const LONGEST: usize = 1024;
    if text.is_empty() || text.len() > LONGEST || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(format!(
            "{} is no {what}: up to {LONGEST} bytes, no spaces",
            quoted(text)
        ));
    }
    Ok(text.to_owned())
}

fn audiences(sink: &Sink, node: &Node) -> Checked<Audiences> {
    match node.text() {
        Some("any") => Ok(Audiences::Any),
        Some(text) => {
            let message = format!(
                "expected a list, or the word any, found {0}: write [{text}]",
                quoted(text)
            );
            Err(sink.fault(node, message))
        }
        None => sink
            .distinct(node, |item| sink.parsed(item, |text| name(text, "audience")))
            .map(Audiences::Listed),
    }
}

fn algorithms(sink: &Sink, node: &Node) -> Checked<Vec<Algorithm>> {
    sink.distinct(node, |item| {
        if item.text().is_some_and(|text| text.eq_ignore_ascii_case("none")) {
            return Err(sink.fault(item, "none is no signature: anybody could write such a token"));
        }
        sink.word(item, &ALGORITHMS)
    })
}

/// Whoever can check such a signature can also make one.
fn is_shared_secret(algorithm: Algorithm) -> bool {
    matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512)
}

/// A public key that were taken for the secret of an HMAC would let everybody sign (RFC 8725 section 2.1).
fn fitting(
    sink: &Sink,
    fields: &Fields,
    algorithms: Option<Vec<Algorithm>>,
    source: &Source,
) -> Checked<Vec<Algorithm>> {
    let by_secret = source.word == "secret";
    let Some(algorithms) = algorithms else {
        return match by_secret {
            true => Err(sink.fault(
                fields.node,
                "missing field algorithms: beside keys.secret write [HS256]",
            )),
            false => Ok(vec![Algorithm::RS256, Algorithm::ES256]),
        };
    };
    let odd = |(_, one): &&(&str, Algorithm)| algorithms.contains(one) && is_shared_secret(*one) != by_secret;
    let Some((word, _)) = ALGORITHMS.iter().find(odd) else {
        return Ok(algorithms);
    };
    let given = source.word;
    let message = match by_secret {
        true => format!("{word} is no algorithm of a shared secret: beside keys.secret only HS256, HS384 or HS512"),
        false => format!("{word} needs keys.secret, and keys.{given} holds public keys"),
    };
    Err(sink.fault(fields.get("algorithms").unwrap_or(fields.node), message))
}

fn bearer() -> Vec<TokenPlace> {
    let name = HeaderName::parse("authorization");
    name.map(|name| TokenPlace::Header {
        name,
        prefix: "Bearer ".into(),
    })
    .into_iter()
    .collect()
}

pub fn sub() -> ClaimPath {
    ClaimPath(vec!["sub".into()])
}

fn principal(sink: &Sink, node: &Node) -> Checked<ClaimSource> {
    let fields = Fields::of(sink, node, &PRINCIPAL)?;
    let subject = fields.optional("subject", |node| path(sink, node));
    let groups = fields.optional("groups", |node| path(sink, node));
    let scopes = fields.optional("scopes", |node| path(sink, node));
    let claims = fields.optional("claims", |node| claims::named(sink, node, |node| path(sink, node)));
    Ok(ClaimSource {
        subject: subject?.unwrap_or_else(sub),
        groups: groups?,
        scopes: scopes?,
        claims: claims?.unwrap_or_default(),
        members_of: None,
        variants: None,
    })
}

fn cache(sink: &Sink, node: &Node) -> Checked<usize> {
    let fields = Fields::of(sink, node, &CACHE)?;
    let entries = fields.optional("max_entries", |node| sink.whole(node, 1..=MOST_REMEMBERED))?;
    Ok(entries.map_or(REMEMBERED, |entries| usize::try_from(entries).unwrap_or(REMEMBERED)))
}

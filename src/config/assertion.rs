//! `identity.assertion`: what the next gate is told, signed.

use super::authenticators::jwt;
use super::names;
use super::node::{Node, quoted};
use super::read::{Fields, Known, all};
use super::secret;
use super::service;
use super::sink::{Checked, Sink};
use crate::assertion::{self, Assertions, KeyFault};
use crate::authn::jwt::Algorithm;
use crate::config::{Fault, Faults};
use crate::policy::{Action, AssertedAudience, Assertion, Policy, Rule};
use crate::request::path::Path;
use crate::rule::HostPattern;
use std::sync::Arc;
use std::time::Duration;

const FIELDS: Known = Known {
    now: &["header", "algorithm", "keys", "issuer", "audience", "ttl", "jwks_path"],
    later: &[],
};
const TTL: Duration = Duration::from_secs(60);
const SHORTEST: Duration = Duration::from_secs(1);
/// Nobody can take an assertion back.
const LONGEST: Duration = Duration::from_secs(3600);
/// The one that signs, the next, and the last: each stands in the key set that others fetch.
const MOST_KEYS: usize = 3;

pub fn read(sink: &Sink, node: &Node) -> Checked<Assertion> {
    let fields = Fields::of(sink, node, &FIELDS)?;
    let header = fields
        .required("header", ": where the assertion stands, as x-identity")
        .and_then(|node| sink.parsed(node, names::identity));
    let algorithm = fields.optional("algorithm", |node| {
        sink.word(node, &[("ES256", Algorithm::ES256), ("RS256", Algorithm::RS256)])
    });
    let keys = fields
        .required(
            "keys",
            ": name the variable that holds the private key, [{ env: NAME }]",
        )
        .and_then(|node| {
            sink.at_most(node, MOST_KEYS, "one signs, the others are being exchanged")?;
            sink.distinct(node, |item| secret::read(sink, item))
        });
    let issuer = fields
        .required("issuer", ": by what name the next gate knows this one")
        .and_then(|node| sink.parsed(node, |text| jwt::name(text, "issuer")));
    let audience = fields
        .required("audience", ": whom it is for, as mesh")
        .and_then(|node| sink.parsed(node, AssertedAudience::parse));
    let ttl = fields.optional("ttl", |node| sink.duration(node, SHORTEST..=LONGEST));
    let jwks_path = fields.optional("jwks_path", |node| sink.parsed(node, jwks_path));
    Ok(Assertion {
        header: header?,
        algorithm: algorithm?.unwrap_or(Algorithm::ES256),
        keys: keys?,
        issuer: issuer?,
        audience: audience?,
        ttl: ttl?.unwrap_or(TTL),
        jwks_path: jwks_path?,
    })
}

/// In the form that requests are matched in, or it would never be asked for.
fn jwks_path(text: &str) -> Result<String, String> {
    let path = service::path(text)?;
    match Path::parse(path.as_bytes()) {
        Ok(normal) if normal.as_str() == path && normal.check(Default::default()).is_ok() => Ok(path),
        _ => Err(format!("path {} is not how requests are matched", quoted(text))),
    }
}

/// Whom the assertions of each rule are for. A host that no rule names is only the caller's word.
pub fn audiences(sink: &Sink, node: &Node, rules: &[Arc<Rule>], assertion: Option<&Assertion>) -> Checked<()> {
    let faults = rules.iter().zip(sink.items(node)?).filter_map(|(rule, node)| {
        let Action::Authenticate(gate) = &rule.action else {
            return None;
        };
        let Some(assertion) = assertion else {
            let message = "identity.audience: there is no identity.assertion that it could be of";
            return gate.audience.as_ref().map(|_| Err(sink.fault(node, message)));
        };
        let audience = gate.audience.as_ref().unwrap_or(&assertion.audience);
        let hosts = &rule.matcher.hosts;
        let named = !hosts.is_empty() && !hosts.contains(&HostPattern::Any);
        (audience.after.is_some() && !named).then(|| {
            let message = "the audience of its assertions is made from {host}: name the hosts in match.hosts";
            Err(sink.fault(node, message))
        })
    });
    all(faults).map(|_: Vec<()>| ())
}

/// What signs under this policy, or every key that is missing. `environment`: the value of a variable.
pub fn signing(policy: &Policy, environment: impl Fn(&str) -> Option<String>) -> Result<Option<Assertions>, Faults> {
    let Some(assertion) = &policy.assertion else {
        return Ok(None);
    };
    let fault = |KeyFault { index, env, why }| Fault {
        path: format!("identity.assertion.keys[{index}].env"),
        message: format!("the variable {env} {why}"),
        at: None,
    };
    match assertion::keys(assertion, environment) {
        Ok(keys) => Ok(Some(Assertions::new(assertion, keys))),
        Err(faults) => Err(Faults::of(faults.into_iter().map(fault).collect())),
    }
}

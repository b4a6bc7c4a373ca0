//! Where keys come from: `keys` of a token and of a gate, and the fetching that API keys share.

use crate::authn::keys::{KeySet, Warning};
use crate::config::node::{Node, Value, quoted};
use crate::config::read::{Fields, Known, VISIBLE, all, either};
use crate::config::secret;
use crate::config::service;
use crate::config::sink::{Checked, Sink};
use crate::config::write;
use crate::policy::{KeySource, Remote, Secret};
use std::time::Duration;

const REMOTE: Known = Known {
    now: &["service", "cluster", "authority", "path", "timeout", "refresh"],
    later: &[],
};
const SET: Known = Known {
    now: &["keys"],
    later: &[],
};

/// Nobody waits for a fetch: a late one only keeps the old keys longer.
const TIMEOUT: Duration = Duration::from_secs(2);
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(1);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);
/// As Envoy's own jwt_authn keeps a key set.
const REFRESH: Duration = Duration::from_secs(600);
/// Every worker of every proxy fetches for itself.
const SHORTEST_REFRESH: Duration = Duration::from_secs(10);
const LONGEST_REFRESH: Duration = Duration::from_secs(24 * 3600);
/// A provider has two to four.
const MOST_KEYS: usize = 100;

/// Private parts of a key: RFC 7518 sections 6.2.2 and 6.3.2, RFC 8037 section 2; `k` is a shared secret.
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// The field that says where keys come from.
pub struct Source<'a> {
    pub word: &'static str,
    pub node: &'a Node,
}

/// Exactly one of `words`.
pub fn source<'a>(sink: &Sink, fields: &Fields<'a>, words: &[&'static str]) -> Checked<Source<'a>> {
    let given = words.iter().filter_map(|word| {
        let node = fields.get(word)?;
        Some(Source { word, node })
    });
    let mut given: Vec<Source> = given.collect();
    match (given.pop(), given.len()) {
        (Some(source), 0) => Ok(source),
        (None, _) => {
            let words = either(words.iter().copied());
            Err(sink.fault(fields.node, format!("exactly one source of keys is needed: {words}")))
        }
        (Some(last), _) => {
            let words: Vec<&str> = given.iter().chain([&last]).map(|source| source.word).collect();
            let words = words.join(" and ");
            Err(sink.fault(
                fields.node,
                format!("exactly one source of keys is needed, found {words}"),
            ))
        }
    }
}

/// `issuer`: of a jwt; a gate has none that could be looked up.
pub fn read(sink: &Sink, warnings: &Sink, source: &Source, issuer: Option<&str>) -> Checked<KeySource> {
    match source.word {
        "inline" => inline(sink, warnings, source.node),
        "discovery" => discovery(sink, source.node, issuer).map(KeySource::Discovery),
        "secret" => secret(sink, source.node).map(KeySource::Secret),
        _ => remote(sink, source.node, None).map(KeySource::Remote),
    }
}

/// `path`: what stands for a missing one.
pub fn remote(sink: &Sink, node: &Node, path: Option<String>) -> Checked<Remote> {
    let fields = Fields::of(sink, node, &REMOTE)?;
    let asked = service::read(sink, &fields);
    let authority = service::authority(sink, &fields, asked.as_ref().ok());
    let path = match (fields.get("path"), path) {
        (Some(node), _) => sink.parsed(node, document),
        (None, Some(path)) => Ok(path),
        (None, None) => Err(sink.fault(node, "missing field path: where the keys are, as /jwks.json")),
    };
    let timeout = fields.optional("timeout", |node| {
        sink.duration(node, SHORTEST_TIMEOUT..=LONGEST_TIMEOUT)
    });
    let refresh = fields.optional("refresh", |node| {
        sink.duration(node, SHORTEST_REFRESH..=LONGEST_REFRESH)
    });
    let authority = authority?;
    Ok(Remote {
        cluster: asked?.cluster().into(),
        // None only where what is asked has a fault, which has ended this.
        authority: authority.unwrap_or_default(),
        path: path?,
        timeout: timeout?.unwrap_or(TIMEOUT),
        refresh: refresh?.unwrap_or(REFRESH),
    })
}

/// A path that may have a query, as key sets of some providers have.
fn document(text: &str) -> Result<String, String> {
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    service::path(path)?;
    match query.chars().find(|c| !c.is_ascii_graphic() || "#\\".contains(*c)) {
        Some(c) => Err(format!("unexpected character {c:?} in path {}", quoted(text))),
        None => Ok(text.to_owned()),
    }
}

fn discovery(sink: &Sink, node: &Node, issuer: Option<&str>) -> Checked<Remote> {
    let path = issuer.and_then(well_known);
    let Value::Map(entries) = &node.value else {
        return Err(sink.expected(node, "an object"));
    };
    let named = entries.iter().any(|entry| entry.key == "path");
    match (issuer, path) {
        (Some(issuer), None) if !named => {
            let issuer = quoted(issuer);
            let message = format!("the issuer {issuer} is no https:// URL to find metadata under: name the path");
            Err(sink.fault(node, message))
        }
        // Without an issuer, which is a fault of its own, any path does.
        (_, path) => remote(sink, node, Some(path.unwrap_or_default())),
    }
}

/// OpenID Connect Discovery 1.0 section 4: appended to the issuer, less a `/` at its end.
fn well_known(issuer: &str) -> Option<String> {
    let rest = issuer.strip_prefix("https://")?;
    let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default();
    let path = [path.trim_end_matches('/'), "/.well-known/openid-configuration"].concat();
    service::path(&path).ok()
}

fn secret(sink: &Sink, node: &Node) -> Checked<Secret> {
    secret::read(sink, node)
}

fn inline(sink: &Sink, warnings: &Sink, node: &Node) -> Checked<KeySource> {
    if let Value::List(_) = &node.value {
        let message = "expected an object, found a list: write a JWK set, { keys: […] }";
        return Err(sink.fault(node, message));
    }
    let fields = Fields::of(sink, node, &SET)?;
    let keys = fields.required("keys", ": write a JWK set, { keys: […] }")?;
    sink.at_most(keys, MOST_KEYS, "each may have to be tried")?;
    sink.some(keys, |key| public_key(sink, key))?;
    let warn = |unused: &[Warning]| {
        let items = sink.items(keys).unwrap_or_default();
        for warning in unused {
            if let Some(item) = items.get(warning.index) {
                warnings.fault(item, format!("this key is not used: {}", warning.why));
            }
        }
    };
    match KeySet::parse(write::json(node).as_bytes()) {
        Ok((set, unused)) => {
            warn(&unused);
            Ok(KeySource::Inline(set.into()))
        }
        Err(fault) => Err(sink.fault(node, fault.to_string())),
    }
}

/// That nothing in it is private; whether it is a key, whoever reads key sets says.
fn public_key(sink: &Sink, node: &Node) -> Checked<()> {
    let entries = sink.entries(node)?;
    let private = entries
        .iter()
        .filter(|entry| PRIVATE.contains(&entry.key.as_str()))
        .map(|entry| {
            let message = format!("{} is private, and {VISIBLE}", entry.key);
            Err(sink.fault_at(node, entry.at, message))
        });
    let kind = match entries.iter().find(|entry| entry.key == "kty") {
        Some(entry) => sink.word(&entry.node, &[("RSA", ()), ("EC", ()), ("OKP", ())]),
        None => Err(sink.fault(node, "missing field kty: write RSA, EC or OKP")),
    };
    all(private).map(|_: Vec<()>| ())?;
    kind
}

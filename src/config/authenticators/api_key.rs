//! `authenticators.NAME.api_key`

use super::{claims, keys};
use crate::authn::api_key::{ApiKeys, Digest, KnownKey};
use crate::config::node::{Node, quoted};
use crate::config::place;
use crate::config::read::{Fields, Known, all};
use crate::config::sink::{Checked, Sink};
use crate::policy::{ApiKey, ApiKeySource};
use crate::time::UnixTime;
use std::collections::HashSet;

const FIELDS: Known = Known {
    now: &["from", "keys", "forward"],
    later: &[],
};
const KEYS: Known = Known {
    now: &["inline", "remote"],
    later: &[],
};
const KEY: Known = Known {
    now: &["id", "sha256", "subject", "expires", "groups", "scopes", "claims"],
    later: &[],
};

pub fn read(sink: &Sink, node: &Node) -> Checked<ApiKey> {
    let fields = Fields::of(sink, node, &FIELDS)?;
    let from = fields
        .required("from", ": say where keys stand, [{ header: x-api-key }]")
        .and_then(|node| place::tokens(sink, node));
    let keys = fields
        .required("keys", ": list them under inline, or say where they are under remote")
        .and_then(|node| source(sink, node));
    let forward = fields.optional("forward", |node| sink.flag(node));
    Ok(ApiKey {
        from: from?,
        keys: keys?,
        forward: forward?.unwrap_or(false),
    })
}

fn source(sink: &Sink, node: &Node) -> Checked<ApiKeySource> {
    let fields = Fields::of(sink, node, &KEYS)?;
    let source = keys::source(sink, &fields, KEYS.now)?;
    match source.word {
        "inline" => list(sink, source.node).map(ApiKeySource::Inline),
        _ => keys::remote(sink, source.node, None).map(ApiKeySource::Remote),
    }
}

pub fn list(sink: &Sink, node: &Node) -> Checked<ApiKeys> {
    let known = sink.some(node, |item| key(sink, item))?;
    let mut ids = HashSet::with_capacity(known.len());
    let named_twice: Vec<bool> = known.iter().map(|(_, key)| !ids.insert(&*key.id)).collect();
    let mut keys = ApiKeys::with_capacity(known.len());
    let items = sink.items(node)?;
    let twice = known.into_iter().zip(named_twice).zip(items);
    let twice = twice.flat_map(|(((digest, key), named_twice), item)| {
        let named = match named_twice {
            false => Ok(()),
            true => Err(sink.fault(item, format!("another key has the id {}", quoted(&key.id)))),
        };
        let id = key.id.clone();
        let inserted = match keys.insert(digest, key) {
            true => Ok(()),
            false => Err(sink.fault(item, format!("{} is a key that is listed already", quoted(&id)))),
        };
        [named, inserted]
    });
    all(twice).map(|_: Vec<()>| ())?;
    Ok(keys)
}

fn key(sink: &Sink, node: &Node) -> Checked<(Digest, KnownKey)> {
    let fields = Fields::of(sink, node, &KEY)?;
    let id = fields
        .required("id", ": logs name the key by it")
        .and_then(|node| sink.parsed(node, id));
    let digest = fields
        .required("sha256", ": the SHA-256 of the key, as sha256sum prints it")
        .and_then(|node| digest(sink, node));
    let subject = fields
        .required("subject", ": who calls with it")
        .and_then(|node| sink.parsed(node, some_text));
    let expires = fields.optional("expires", |node| sink.parsed(node, UnixTime::parse));
    let texts = |name| fields.optional(name, |node| sink.distinct(node, |item| sink.parsed(item, some_text)));
    let (groups, scopes) = (texts("groups"), texts("scopes"));
    let claims = fields.optional("claims", |node| {
        claims::named(sink, node, |node| claims::value(sink, node))
    });
    Ok((
        digest?,
        KnownKey {
            id: id?.into(),
            subject: subject?,
            expires: expires?,
            groups: groups?.unwrap_or_default(),
            scopes: scopes?.unwrap_or_default(),
            claims: claims?.unwrap_or_default(),
        },
    ))
}

fn id(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@".contains(c);
    match !text.is_empty() && text.len() <= 128 && text.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{} is no id: up to 128 of a-z A-Z 0-9 _ - . / : @",
            quoted(text)
        )),
    }
}

/// The text is not shown: somebody may have written the key itself.
fn digest(sink: &Sink, node: &Node) -> Checked<Digest> {
    let digest = node.text().and_then(Digest::from_hex);
    let digest = digest.ok_or_else(|| sink.fault(node, "no SHA-256: write its 64 hexadecimal digits in quotes"))?;
    match digest == Digest::of(b"") {
        true => Err(sink.fault(node, "the SHA-256 of nothing: is the key itself missing?")),
        false => Ok(digest),
    }
}

fn some_text(text: &str) -> Result<String, String> {
    match text.is_empty() || text.chars().any(char::is_control) {
        true => Err(format!("{} is empty or holds a control character", quoted(text))),
        false => Ok(text.to_owned()),
    }
}

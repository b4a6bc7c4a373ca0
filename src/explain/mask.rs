//! What of a request is shown nowhere: credentials, by the places where they stand.

use super::shown::shown;
use crate::header::{NamePattern, NameSet};
use crate::policy::{AuthenticatorKind, Place, Policy};
use crate::request::query;

pub const MASKED: &str = "******";

/// In every policy, whatever its authenticators look at.
const ALWAYS: &[&str] = &["authorization", "proxy-authorization"];
/// A name that holds one of these (folded) holds a credential: services call theirs as they like.
const WORDS: &[&str] = &["token", "secret", "password", "api_key", "apikey", "credential", "jwt"];

#[derive(Debug, Default)]
pub struct Mask {
    headers: NameSet,
    parameters: Vec<String>,
}

impl Mask {
    pub fn of(policy: &Policy) -> Self {
        let always = ALWAYS.iter().filter_map(|name| NamePattern::parse(name).ok());
        let mut headers: Vec<NamePattern> = always.collect();
        let mut parameters = Vec::new();
        for authenticator in &policy.authenticators {
            if let AuthenticatorKind::Gate(gate) = &authenticator.kind {
                headers.push(NamePattern::exact(&gate.header));
            }
            for place in authenticator.places().iter() {
                match place {
                    Place::Header(name) => headers.push(NamePattern::exact(name)),
                    Place::Query(name) => parameters.push(name.clone()),
                    // All cookies are masked.
                    Place::Cookie(_) | Place::CookiePrefix(_) => {}
                }
            }
        }
        if let Some(assertion) = &policy.assertion {
            headers.push(NamePattern::exact(&assertion.header));
        }
        Self {
            headers: headers.into_iter().collect(),
            parameters,
        }
    }

    /// The value of a header as it may be shown.
    pub fn header(&self, name: &[u8], value: &[u8]) -> String {
        if self.hides(name) {
            return MASKED.to_owned();
        }
        match folded(name).as_str() {
            "cookie" | "cookie2" => cookies(value),
            "set_cookie" => set_cookie(value),
            _ => self.target(value),
        }
    }

    /// Whether a header of this name holds nothing but a credential.
    pub fn hides(&self, name: &[u8]) -> bool {
        let name_folded = folded(name);
        self.headers.contains(name) || WORDS.iter().any(|word| name_folded.contains(word))
    }

    pub fn hides_parameter(&self, name: &str) -> bool {
        let folded = folded(name.as_bytes());
        self.parameters.iter().any(|other| other == name) || WORDS.iter().any(|word| folded.contains(word))
    }

    /// A URL or any text: the parameters of its query that hold credentials are masked.
    pub fn target(&self, target: &[u8]) -> String {
        let mut pieces = target.splitn(2, |b| *b == b'?');
        let mut text = shown(pieces.next().unwrap_or_default());
        let Some(query) = pieces.next() else {
            return text;
        };
        for (at, (name, value)) in query::raw_parameters(query).enumerate() {
            text.push(if at == 0 { '?' } else { '&' });
            text.push_str(&shown(name));
            if let Some(value) = value {
                text.push('=');
                // A server that separates by `;` reads more parameters here than the one that is named.
                let hidden =
                    value.contains(&b';') || self.hides_parameter(&String::from_utf8_lossy(&query::decode(name)));
                text.push_str(&if hidden { MASKED.to_owned() } else { shown(value) });
            }
        }
        text
    }
}

fn folded(name: &[u8]) -> String {
    let fold = |b: &u8| match b.is_ascii_alphanumeric() {
        true => char::from(b.to_ascii_lowercase()),
        false => '_',
    };
    name.iter().map(fold).collect()
}

/// `a=******; b=******`
fn cookies(value: &[u8]) -> String {
    let masked = value
        .split(|b| *b == b';')
        .map(|cookie| match cookie.iter().position(|b| *b == b'=') {
            Some(at) => format!("{}={MASKED}", shown(cookie.get(..at).unwrap_or_default().trim_ascii())),
            None => MASKED.to_owned(),
        });
    masked.collect::<Vec<_>>().join("; ")
}

/// `a=******; Path=/`
fn set_cookie(value: &[u8]) -> String {
    let mut parts = value.splitn(2, |b| *b == b';');
    let mut text = cookies(parts.next().unwrap_or_default());
    if let Some(attributes) = parts.next() {
        text.push(';');
        text.push_str(&shown(attributes));
    }
    text
}

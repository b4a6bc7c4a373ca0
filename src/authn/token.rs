//! One token or key out of the places where it may stand.

use super::credential::is_one_credential;
use crate::header::HeaderName;
use crate::policy::{Place, TokenPlace};
use crate::request::{Request, query};
use std::borrow::Cow;

pub use super::credential::Ambiguous;

/// What the caller presents; None where no place holds anything. Empty: a scheme without its token. Places
/// that hold different texts could be read as two callers.
pub fn presented<'r>(from: &[TokenPlace], request: &'r Request) -> Result<Option<Cow<'r, [u8]>>, Ambiguous> {
    let mut found: Option<Cow<[u8]>> = None;
    for place in from {
        let held = match place {
            TokenPlace::Header { name, prefix } => in_header(name.as_str(), prefix, request),
            TokenPlace::Cookie(name) => in_cookie(name.as_bytes(), request),
            TokenPlace::Query(name) => in_query(name.as_bytes(), request),
        };
        match (&found, held.map_err(|Twice| Ambiguous(place.place()))?) {
            (_, None) => {}
            (None, held) => found = held,
            (Some(first), Some(second)) if *first == second => {}
            (Some(_), Some(_)) => return Err(Ambiguous(place.place())),
        }
    }
    Ok(found)
}

/// The whole value of a header.
pub fn alone_in<'r>(name: &HeaderName, request: &'r Request) -> Result<Option<Cow<'r, [u8]>>, Ambiguous> {
    in_header(name.as_str(), "", request).map_err(|Twice| Ambiguous(Place::Header(name.clone())))
}

/// The scheme that a challenge names: that of `authorization`, where a place says one.
pub fn scheme(from: &[TokenPlace]) -> Option<&str> {
    from.iter().find_map(|place| match place {
        TokenPlace::Header { name, prefix } if name.as_str() == "authorization" => {
            let scheme = prefix.trim_ascii_end();
            let token = !scheme.is_empty() && scheme.chars().all(crate::header::is_token);
            token.then_some(scheme)
        }
        _ => None,
    })
}

/// More than one credential, or one that is no text.
pub(super) struct Twice;

type Held<'r> = Result<Option<Cow<'r, [u8]>>, Twice>;

fn in_header<'r>(name: &str, prefix: &str, request: &'r Request) -> Held<'r> {
    let mut values = request.headers.all(name);
    match (values.next(), values.next()) {
        (None | Some([]), None) => Ok(None),
        (Some(value), None) if is_one_credential(value) => Ok(behind(prefix, value).map(Cow::Borrowed)),
        _ => Err(Twice),
    }
}

/// Envoy cuts spaces at the end of a value, so that `Bearer ` without a token comes as `Bearer`.
fn behind<'r>(prefix: &str, value: &'r [u8]) -> Option<&'r [u8]> {
    let prefix = prefix.as_bytes();
    match value.split_at_checked(prefix.len()) {
        Some((start, rest)) => start.eq_ignore_ascii_case(prefix).then(|| rest.trim_ascii()),
        None => value
            .eq_ignore_ascii_case(prefix.trim_ascii_end())
            .then_some(Default::default()),
    }
}

fn in_cookie<'r>(wanted: &[u8], request: &'r Request) -> Held<'r> {
    one(request
        .cookies()
        .filter(|(name, _)| *name == wanted)
        .map(|(_, value)| Cow::Borrowed(value)))
}

pub(super) fn in_query<'r>(wanted: &[u8], request: &'r Request) -> Held<'r> {
    one(request
        .query()
        .into_iter()
        .flat_map(query::parameters)
        .filter(|(name, _)| **name == *wanted)
        .map(|(_, value)| value))
}

fn one<'r>(mut values: impl Iterator<Item = Cow<'r, [u8]>>) -> Held<'r> {
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) if std::str::from_utf8(&value).is_ok() => Ok(Some(value).filter(|value| !value.is_empty())),
        _ => Err(Twice),
    }
}

#[cfg(test)]
mod tests {
    use super::behind;

    #[test]
    fn a_prefix_is_a_scheme() {
        for (prefix, value, expected) in [
            ("Bearer ", "Bearer abc", Some("abc")),
            ("Bearer ", "bearer  abc", Some("abc")),
            ("Bearer ", "Bearer", Some("")),
            ("Bearer ", "BEARER", Some("")),
            ("Bearer ", "Bear", None),
            ("Bearer ", "Bearerabc", None),
            ("Bearer ", "Basic YTpi", None),
            ("", "Bearer abc", Some("Bearer abc")),
            ("token=", "token=x", Some("x")),
        ] {
            assert_eq!(behind(prefix, value.as_bytes()), expected.map(str::as_bytes), "{value}");
        }
    }
}

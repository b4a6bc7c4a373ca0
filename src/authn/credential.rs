//! Where credentials stand in a request, and whether they say one thing only.

use super::token;
use crate::cache::CredentialTag;
use crate::header::{Edits, folds_alike};
use crate::policy::Place;
use crate::request::{Request, cookie, query};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// A place that holds what two readers could read as two credentials, or as different ones (400).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ambiguous(pub Place);

/// Whether any of the places holds something.
pub fn present(places: &[Place], request: &Request) -> Result<bool, Ambiguous> {
    let mut any = false;
    for place in places {
        any |= match place {
            Place::Header(name) => {
                let mut values = request.headers.all(name.as_str());
                match (values.next(), values.next()) {
                    (None | Some([]), None) => false,
                    (Some(value), None) if is_one_credential(value) => true,
                    _ => return Err(Ambiguous(place.clone())),
                }
            }
            Place::Cookie(_) | Place::CookiePrefix(_) => one_of_each(place, request)?,
            Place::Query(name) => match token::in_query(name.as_bytes(), request) {
                Ok(held) => held.is_some(),
                Err(token::Twice) => return Err(Ambiguous(place.clone())),
            },
        };
    }
    Ok(any)
}

/// Envoy joins repeated `authorization` headers by a comma before a filter sees them. So a comma is
/// fine only inside a scheme's parameters: `name=value` each (RFC 9110 section 11.4).
pub(super) fn is_one_credential(value: &[u8]) -> bool {
    is_plain(value) || is_one_of_many_forms(value)
}

/// ASCII without a comma, as nearly every credential is: eight bytes at a time, since a token has hundreds.
fn is_plain(value: &[u8]) -> bool {
    const COMMAS: u64 = u64::from_ne_bytes([b','; 8]);
    const LOW_BITS: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; 8]);
    let (words, rest) = value.as_chunks::<8>();
    let odd = words.iter().fold(0, |odd, word| {
        let word = u64::from_ne_bytes(*word);
        // A high bit is left of it exactly where a byte is zero, which a comma became.
        let commas = word ^ COMMAS;
        odd | word | (commas.wrapping_sub(LOW_BITS) & !commas)
    });
    odd & HIGH_BITS == 0 && rest.iter().all(|b| b.is_ascii() && *b != b',')
}

fn is_one_of_many_forms(value: &[u8]) -> bool {
    // The service would be asked about another text: calls carry UTF-8 only.
    if std::str::from_utf8(value).is_err() {
        return false;
    }
    if !value.contains(&b',') {
        return true;
    }
    let Some(space) = value.iter().position(|b| *b == b' ') else {
        return false;
    };
    let (scheme, rest) = value.split_at_checked(space).unwrap_or_default();
    let takes_token = [
        &b"bearer"[..],
        b"basic",
        b"negotiate",
        b"ntlm",
        b"token",
        b"apikey",
        b"dpop",
    ];
    !takes_token.iter().any(|token| scheme.eq_ignore_ascii_case(token)) && parameters(rest)
}

/// A comma inside quotes separates nothing. Quotes that nobody closes would hide a second credential.
fn parameters(list: &[u8]) -> bool {
    let mut quoted = false;
    let mut escaped = false;
    let mut split = list.split(|b| {
        let at_quote = quoted;
        match (*b, at_quote) {
            _ if escaped => escaped = false,
            (b'\\', true) => escaped = true,
            (b'"', _) => quoted = !at_quote,
            (b',', false) => return true,
            _ => {}
        }
        false
    });
    let all = split.all(|part| {
        let part = part.trim_ascii();
        let name = part.split(|b| *b == b'=').next().unwrap_or_default().trim_ascii();
        part.contains(&b'=') && !name.is_empty() && !name.iter().any(u8::is_ascii_whitespace)
    });
    all && !quoted
}

/// Two cookies of one name are two opinions about the session. One without a value is what a logout
/// leaves behind: it holds nothing.
fn one_of_each(place: &Place, request: &Request) -> Result<bool, Ambiguous> {
    let mut cookies: Vec<(&[u8], &[u8])> = taken(std::slice::from_ref(place), request).collect();
    if cookies.is_empty() {
        return Ok(false);
    }
    let count = cookies.len();
    let holds = cookies.iter().any(|(_, value)| !value.is_empty());
    let readable = cookies.iter().all(|(_, value)| std::str::from_utf8(value).is_ok());
    cookies.sort_unstable();
    cookies.dedup_by_key(|(name, _)| *name);
    match cookies.len() == count && readable {
        true => Ok(holds),
        false => Err(Ambiguous(place.clone())),
    }
}

impl Place {
    fn header(&self) -> Option<&str> {
        match self {
            Self::Header(name) => Some(name.as_str()),
            Self::Cookie(_) | Self::CookiePrefix(_) | Self::Query(_) => None,
        }
    }

    /// `name`: decoded.
    fn takes_parameter(&self, name: &[u8]) -> bool {
        matches!(self, Self::Query(parameter) if name == parameter.as_bytes())
    }

    pub fn takes_cookie(&self, name: &[u8]) -> bool {
        match self {
            Self::Header(_) | Self::Query(_) => false,
            Self::Cookie(cookie) => name == cookie.as_bytes(),
            Self::CookiePrefix(prefix) => name.starts_with(prefix.as_bytes()),
        }
    }
}

/// The cookies that are credentials.
fn taken<'r>(places: &[Place], request: &'r Request) -> impl Iterator<Item = (&'r [u8], &'r [u8])> {
    let cookies = request.cookies_in(|header| may_name(places, header));
    cookies.filter(|(name, _)| places.iter().any(|place| place.takes_cookie(name)))
}

/// Whether a header of cookies has to be split to know that none of them is a credential.
fn may_name(places: &[Place], header: &[u8]) -> bool {
    places.iter().any(|place| match place {
        Place::Header(_) | Place::Query(_) => false,
        Place::Cookie(text) | Place::CookiePrefix(text) => cookie::may_name(header, text.as_bytes()),
    })
}

/// Tells this request's credentials from all others, the same in every VM.
pub fn tag(places: &[Place], request: &Request) -> CredentialTag {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    for (name, value) in request.headers.iter() {
        if places
            .iter()
            .any(|place| matches!(place, Place::Header(n) if n.as_str().as_bytes() == name))
        {
            part(name);
            part(value);
        }
    }
    for (name, value) in taken(places, request) {
        part(name);
        part(value);
    }
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(hash.finalize());
    CredentialTag(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
}

/// When the first of the credentials ends that is a JWT, in milliseconds since the Unix epoch. Nothing is verified:
/// an answer can only be forgotten the earlier by it.
pub fn end_ms(places: &[Place], request: &Request) -> Option<u64> {
    let headers = request.headers.iter().filter(|(name, _)| {
        places
            .iter()
            .any(|place| matches!(place, Place::Header(n) if n.as_str().as_bytes() == *name))
    });
    let values = headers.chain(taken(places, request)).map(|(_, value)| value);
    values
        .filter_map(|value| jwt_end_ms(value.rsplit(|b| *b == b' ').next()?))
        .min()
}

/// `exp` of RFC 7519 section 4.1.4, in whole or broken seconds.
fn jwt_end_ms(token: &[u8]) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Claims {
        exp: f64,
    }
    let mut parts = token.split(|b| *b == b'.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || payload.len() > MAX_PAYLOAD_BYTES {
        return None;
    }
    let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    // Saturating: a negative or absurd number ends now, or never.
    Some((claims.exp * 1000.0) as u64)
}

/// Envoy takes no header beyond 60 KiB unless told so.
const MAX_PAYLOAD_BYTES: usize = 64 * 1024;

/// Takes the credentials out of what the upstream gets, headers in every spelling that a server
/// which folds names would read as one.
pub fn strip(places: &[Place], request: &Request, edits: &mut Edits) {
    let headers = &*request.headers;
    if let Some(target) = target_without(places, request) {
        edits.set(b":path", target);
    }
    let names = || places.iter().filter_map(Place::header);
    let mut there = names().filter_map(|name| {
        let mut alike = headers.alike(name);
        Some((alike.next()?, alike))
    });
    match (there.next(), there.next()) {
        (None, _) => {}
        (Some((first, others)), None) => {
            edits.remove(first);
            others.for_each(|name| edits.remove(name));
        }
        // Several: in the order of the headers.
        (Some(_), Some(_)) => {
            let is_credential = |other: &[u8]| names().any(|name| folds_alike(name.as_bytes(), other));
            let credentials = headers.iter().filter(|(name, _)| is_credential(name));
            credentials.for_each(|(name, _)| edits.remove(name));
        }
    }
    let is_cookie = |name: &[u8]| places.iter().any(|place| place.takes_cookie(name));
    let is_cut =
        |value: &[u8]| cookie::is_empty(value) || (may_name(places, value) && cookie::names(value).any(is_cookie));
    if headers.all("cookie").any(is_cut) && !edits.remove.contains(b"cookie") {
        let kept = headers
            .all("cookie")
            .filter_map(|value| cookie::without(value, is_cookie));
        match kept.collect::<Vec<_>>().join(&b"; "[..]) {
            nothing if nothing.is_empty() => edits.remove(b"cookie"),
            kept => edits.set(b"cookie", kept),
        }
    }
}

/// Path and query without the parameters that are credentials; None where there is none of them.
pub fn target_without(places: &[Place], request: &Request) -> Option<Vec<u8>> {
    if !places.iter().any(|place| matches!(place, Place::Query(_))) {
        return None;
    }
    let is_credential = |name: &[u8]| places.iter().any(|place| place.takes_parameter(name));
    let mut names = request.query().into_iter().flat_map(query::parameters);
    let holds = names.any(|(name, _)| is_credential(&name));
    holds.then(|| request.target_without(is_credential)).flatten()
}

/// The cookies that are credentials, as one `cookie` header for the service.
pub fn cookies(places: &[Place], request: &Request) -> Option<Vec<u8>> {
    let mut value = Vec::new();
    for (name, content) in taken(places, request) {
        if !value.is_empty() {
            value.extend_from_slice(b"; ");
        }
        value.extend_from_slice(name);
        value.push(b'=');
        value.extend_from_slice(content);
    }
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::HeaderName;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[test]
    fn a_comma_only_inside_parameters() {
        for one in [
            "Bearer abc",
            "Basic YTpi",
            "raw-token",
            "",
            "Digest username=\"a,b\", realm=\"x\", uri=\"/\"",
            "AWS4-HMAC-SHA256 Credential=AK/20260101/x, SignedHeaders=host;date, Signature=ab==",
            "Digest a=\"q\\\"x, Bearer y\", b=c",
        ] {
            assert!(is_one_credential(one.as_bytes()), "{one}");
        }
        for two in [
            "Bearer a,Bearer b",
            "Bearer a, b",
            "Basic YTpi,Basic Yjpj",
            "a,b",
            ",",
            "Bearer ,",
            "Digest a=b,Bearer x",
            "Digest a=b,Bearer x=",
            "bearer a=b,c=d",
            "Digest a=\"b\",",
            "Digest a=\"b,Bearer x",
            "DPoP a,b",
        ] {
            assert!(!is_one_credential(two.as_bytes()), "{two}");
        }
    }

    proptest! {
        #[test]
        fn what_is_plain_is_one(value in vec(prop_oneof![20 => 0x20..0x7fu8, 1 => any::<u8>(), 1 => Just(b',')], 0..40)) {
            prop_assert_eq!(is_plain(&value), value.iter().all(|b| b.is_ascii() && *b != b','));
            prop_assert_eq!(is_one_credential(&value), is_one_of_many_forms(&value));
        }

        #[test]
        fn headers_go_in_their_order(names in vec("[xk][-_.][ak]{0,2}", 0..6), placed in vec("[xk]-[ak]{0,2}", 0..3)) {
            let places: Vec<Place> = placed.iter().map(|name| Place::Header(HeaderName::parse(name).expect("fine"))).collect();
            let base = [(":method", "GET"), (":authority", "a"), (":path", "/")];
            let all = base.into_iter().chain(names.iter().map(|name| (&name[..], "x")));
            let request = Request::parse(std::sync::Arc::new(all.collect())).expect("fine");
            let mut edits = Edits::default();
            super::strip(&places, &request, &mut edits);
            let goes = |name: &&String| placed.iter().any(|place| folds_alike(place.as_bytes(), name.as_bytes()));
            let mut expected = Edits::default();
            names.iter().filter(goes).for_each(|name| expected.remove(name.as_bytes()));
            prop_assert_eq!(edits, expected);
        }
    }

    #[test]
    fn taken_out() {
        let places = [
            Place::Header(HeaderName::parse("authorization").expect("fine")),
            Place::Header(HeaderName::parse("x-api-key").expect("fine")),
            Place::CookiePrefix("session".into()),
        ];
        let strip = |pairs: &[(&str, &str)]| {
            let mut edits = Edits::default();
            let message = [(":method", "GET"), (":authority", "a"), (":path", "/?a=1&key=2")];
            let message = message.iter().chain(pairs).copied().collect();
            let request = Request::parse(std::sync::Arc::new(message)).expect("fine");
            super::strip(&places, &request, &mut edits);
            edits
        };
        let edits = strip(&[("authorization", "x"), ("cookie", "a=1; session=2"), ("cookie", "b=3")]);
        assert!(edits.remove.iter().eq([b"authorization"]));
        assert_eq!(edits.set, [(b"cookie".to_vec(), b"a=1; b=3".to_vec())]);
        let both = strip(&[("cookie", "session=2; sessionid=3")]);
        assert!(both.remove.iter().eq([b"cookie"]));
        assert!(strip(&[("cookie", "a=1;b=2")]).is_empty());
        let folded = strip(&[("x.api_key", "x"), ("x-api-key2", "y")]);
        assert!(folded.remove.iter().eq([b"x.api_key"]));
    }
}

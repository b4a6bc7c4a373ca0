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
    let mut cookies: Vec<(&[u8], &[u8])> = request.cookies().filter(|(name, _)| place.takes_cookie(name)).collect();
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
    for (name, value) in request.cookies() {
        if places.iter().any(|place| place.takes_cookie(name)) {
            part(name);
            part(value);
        }
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
    let cookies = request
        .cookies()
        .filter(|(name, _)| places.iter().any(|place| place.takes_cookie(name)));
    let values = headers.chain(cookies).map(|(_, value)| value);
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
    let is_header = |name: &[u8]| {
        places
            .iter()
            .any(|place| matches!(place, Place::Header(n) if folds_alike(n.as_str().as_bytes(), name)))
    };
    let cookies_go = edits.remove.contains(b"cookie");
    let is_cookie = |name: &[u8]| places.iter().any(|place| place.takes_cookie(name));
    let mut cut = false;
    for (name, value) in headers.iter() {
        if is_header(name) {
            edits.remove(name);
        } else if name == b"cookie" && !cookies_go {
            cut |= cookie::names(value).any(is_cookie) || cookie::is_empty(value);
        }
    }
    if cut {
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
    for (name, content) in request.cookies() {
        if places.iter().any(|place| place.takes_cookie(name)) {
            if !value.is_empty() {
                value.extend_from_slice(b"; ");
            }
            value.extend_from_slice(name);
            value.push(b'=');
            value.extend_from_slice(content);
        }
    }
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::HeaderName;

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

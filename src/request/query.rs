//! Parameters of a query, as HTML forms write them.

use super::path::escape;
use std::borrow::Cow;

/// Decoded name and value of each parameter, in order. Bytes that do not decode stay as they are.
pub fn parameters(query: &[u8]) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    raw_parameters(query).map(|(name, value)| (decode(name), decode(value.unwrap_or_default())))
}

/// Name and, behind `=`, value as they stand in the query.
pub fn raw_parameters(query: &[u8]) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    query
        .split(|b| *b == b'&')
        .filter(|part| !part.is_empty())
        .map(|part| match part.iter().position(|b| *b == b'=') {
            Some(at) => (part.get(..at).unwrap_or_default(), part.get(at + 1..)),
            None => (part, None),
        })
}

/// The query without the parameters that `drop` names, decoded; None where nothing is left.
pub fn without(query: &[u8], drop: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    let gone = |part: &[u8]| raw_parameters(part).next().is_some_and(|(name, _)| drop(&decode(name)));
    let kept: Vec<&[u8]> = query.split(|b| *b == b'&').filter(|part| !gone(part)).collect();
    let kept = kept.join(&b'&');
    (!kept.is_empty()).then_some(kept)
}

pub fn decode(raw: &[u8]) -> Cow<'_, [u8]> {
    if !raw.iter().any(|b| matches!(b, b'%' | b'+')) {
        return Cow::Borrowed(raw);
    }
    let mut decoded = Vec::with_capacity(raw.len());
    let mut rest = raw.iter().copied();
    while let Some(byte) = rest.next() {
        let mut behind = rest.clone();
        match byte {
            b'%' => match escape(&mut behind) {
                Some(value) => {
                    decoded.push(value);
                    rest = behind;
                }
                None => decoded.push(byte),
            },
            b'+' => decoded.push(b' '),
            _ => decoded.push(byte),
        }
    }
    Cow::Owned(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_stays_as_it_was() {
        let without = |query: &[u8]| super::without(query, |name| name == b"key");
        for (query, kept) in [
            (&b"key=1"[..], None),
            (b"key", None),
            (b"a=1&key=2&b=%2F", Some(&b"a=1&b=%2F"[..])),
            (b"%6bey=2&keys=3&&x", Some(b"keys=3&&x")),
            (b"Key=1", Some(b"Key=1")),
            (b"key=1&key=2", None),
        ] {
            assert_eq!(without(query).as_deref(), kept);
        }
    }

    #[test]
    fn decoded_in_order() {
        let all: Vec<_> = parameters(b"a=1&b=x+y%20z&&c&%61=%zz&d=%e9")
            .map(|(n, v)| (n.into_owned(), v.into_owned()))
            .collect();
        let expected: Vec<(&[u8], &[u8])> = vec![
            (b"a", b"1"),
            (b"b", b"x y z"),
            (b"c", b""),
            (b"a", b"%zz"),
            (b"d", b"\xe9"),
        ];
        assert_eq!(all.iter().map(|(n, v)| (&n[..], &v[..])).collect::<Vec<_>>(), expected);
    }
}

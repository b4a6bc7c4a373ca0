//! Cookies of a request (RFC 6265 section 5.4), read from all its `cookie` headers.

use super::scan;
use crate::bytes;

/// Name and value of each pair, in order; a part without `=` is no cookie and is passed over.
pub fn cookies(header: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    parts(header).filter_map(split)
}

/// False only where no name in it can begin with `text`, which then stands nowhere in it: nearly every header of
/// nearly every request, so that it need not be split.
pub fn may_name(header: &[u8], text: &[u8]) -> bool {
    scan::may_hold(header, text)
}

/// The header without the cookies that `drop` names; None when nothing is left.
pub fn without(header: &[u8], drop: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    let mut kept = Vec::with_capacity(header.len());
    for part in parts(header) {
        if part.is_empty() || drop(name(part)) {
            continue;
        }
        if !kept.is_empty() {
            kept.extend_from_slice(b"; ");
        }
        kept.extend_from_slice(part);
    }
    (!kept.is_empty()).then_some(kept)
}

/// The names by which [`without`] goes.
pub fn names(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    parts(header).map(name)
}

/// Whether nothing stands in it that [`without`] would keep.
pub fn is_empty(header: &[u8]) -> bool {
    header.iter().all(|b| *b == b';' || b.is_ascii_whitespace())
}

/// A part that is no cookie to us may be one to the upstream: its whole text is its name.
fn name(part: &[u8]) -> &[u8] {
    match bytes::find(b'=', part).and_then(|at| part.get(..at)) {
        Some(name) => name.trim_ascii(),
        None => part,
    }
}

fn parts(header: &[u8]) -> Parts<'_> {
    Parts { rest: Some(header) }
}

/// What stands between semicolons, spaces trimmed. One piece of code for all who read cookies.
struct Parts<'h> {
    rest: Option<&'h [u8]>,
}

impl<'h> Iterator for Parts<'h> {
    type Item = &'h [u8];

    #[inline(never)]
    fn next(&mut self) -> Option<&'h [u8]> {
        let rest = self.rest?;
        let end = bytes::find(b';', rest).unwrap_or(rest.len());
        self.rest = rest.get(end + 1..);
        rest.get(..end).map(<[u8]>::trim_ascii)
    }
}

#[inline(never)]
fn split(part: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes::find(b'=', part)?;
    let (name, value) = part.split_at_checked(at)?;
    Some((name.trim_ascii(), value.get(1..)?.trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pairs_in_order() {
        let all: Vec<_> = cookies(b"a=1; b = 2 ;;c; d==x; a=3").collect();
        assert_eq!(all, [(&b"a"[..], &b"1"[..]), (b"b", b"2"), (b"d", b"=x"), (b"a", b"3")]);
    }

    proptest! {
        #[test]
        fn names_and_emptiness_are_those_of_the_parts(header in "[a=; \t\n\u{e9}]{0,12}|[a-c=; ]{0,40}") {
            let header = header.as_bytes();
            let trimmed: Vec<&[u8]> = header.split(|b| *b == b';').map(<[u8]>::trim_ascii).collect();
            let name = |part: &'_ [u8]| match part.iter().position(|b| *b == b'=') {
                Some(at) => part[..at].trim_ascii().to_vec(),
                None => part.to_vec(),
            };
            prop_assert!(names(header).eq(trimmed.iter().map(|part| name(part))));
            prop_assert!(cookies(header).map(|(n, _)| n).eq(trimmed.iter().filter(|p| p.contains(&b'=')).map(|p| name(p))));
            prop_assert_eq!(is_empty(header), trimmed.iter().all(|part| part.is_empty()));
        }
    }

    #[test]
    fn the_rest_stays_as_it_was() {
        let drop = |name: &[u8]| name.starts_with(b"session");
        assert_eq!(
            without(b"a=1; session=x; sessionid=y;b=2", drop),
            Some(b"a=1; b=2".to_vec())
        );
        assert_eq!(without(b"session=x; session", drop), None);
    }
}

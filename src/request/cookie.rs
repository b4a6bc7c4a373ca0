//! Cookies of a request (RFC 6265 section 5.4), read from all its `cookie` headers.

/// Name and value of each pair, in order; a part without `=` is no cookie and is passed over.
pub fn cookies(header: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    parts(header).filter_map(split)
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
    parts(header).all(<[u8]>::is_empty)
}

/// A part that is no cookie to us may be one to the upstream: its whole text is its name.
fn name(part: &[u8]) -> &[u8] {
    split(part).map_or(part, |(name, _)| name)
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
        let end = rest.iter().position(|b| *b == b';').unwrap_or(rest.len());
        self.rest = rest.get(end + 1..);
        rest.get(..end).map(<[u8]>::trim_ascii)
    }
}

#[inline(never)]
fn split(part: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = part.iter().position(|b| *b == b'=')?;
    let (name, value) = part.split_at_checked(at)?;
    Some((name.trim_ascii(), value.get(1..)?.trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_in_order() {
        let all: Vec<_> = cookies(b"a=1; b = 2 ;;c; d==x; a=3").collect();
        assert_eq!(all, [(&b"a"[..], &b"1"[..]), (b"b", b"2"), (b"d", b"=x"), (b"a", b"3")]);
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

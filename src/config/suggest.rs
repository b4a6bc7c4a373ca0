//! `did you mean per_try_timeout?`

/// Longer names are not compared: the cost of a comparison grows with the square.
const LONGEST: usize = 64;
/// More candidates are not looked at, so that a policy of many wrong names stays cheap.
const CANDIDATES: usize = 200;

/// The candidate nearest to `name`, when one is near enough to be meant.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = folded(name)?;
    let allowed = name.len().div_ceil(3).clamp(1, 3);
    candidates
        .take(CANDIDATES)
        .filter_map(|candidate| Some((distance(&name, &folded(candidate)?), candidate)))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `: did you mean X?`, or nothing.
pub fn hint<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> String {
    match nearest(name, candidates) {
        Some(candidate) => format!(": did you mean {candidate}?"),
        None => String::new(),
    }
}

/// `perTryTimeout`, `per-try-timeout` and `per_try_timeout` are one.
fn folded(name: &str) -> Option<Vec<u8>> {
    (name.len() <= LONGEST).then(|| {
        name.bytes()
            .filter(u8::is_ascii_alphanumeric)
            .map(|b| b.to_ascii_lowercase())
            .collect()
    })
}

/// Levenshtein's.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (line, x) in a.iter().enumerate() {
        let mut left = line + 1;
        let mut diagonal = line;
        for (cell, y) in row.iter_mut().skip(1).zip(b) {
            let above = *cell;
            let changed = diagonal + usize::from(x != y);
            left = changed.min(above + 1).min(left + 1);
            diagonal = above;
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = line + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn distances() {
        assert_eq!(distance(b"", b"abc"), 3);
        assert_eq!(distance(b"kitten", b"sitting"), 3);
        assert_eq!(distance(b"timeout", b"timeout"), 0);
        assert_eq!(distance(b"abc", b""), 3);
    }

    #[test]
    fn near_misses() {
        let fields = || ["per_try_timeout", "attempts", "retry_on"].into_iter();
        assert_eq!(nearest("perTryTimeout", fields()), Some("per_try_timeout"));
        assert_eq!(nearest("attemps", fields()), Some("attempts"));
        assert_eq!(nearest("atempst", fields()), Some("attempts"));
        assert_eq!(nearest("timeout", fields()), None);
    }
}

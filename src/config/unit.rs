//! Durations and sizes: a number never stands without its unit.

use super::node::quoted;
use std::time::Duration;

const DURATION_UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];
const SIZE_UNITS: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// `500ms`, `2s`, `1m30s`, `24h`, `90d`: larger units first, each once.
pub fn duration(text: &str) -> Result<Duration, String> {
    millis(text)
        .map(Duration::from_millis)
        .ok_or_else(|| format!("{} is no duration: write 500ms, 2s or 1m30s", quoted(text)))
}

/// `512B`, `8KiB`, `16MiB`
pub fn size(text: &str) -> Result<u64, String> {
    bytes(text).ok_or_else(|| format!("{} is no size: write 512B, 8KiB or 16MiB", quoted(text)))
}

/// `60s`, `24h`, `1ms`
pub fn shown_duration(duration: Duration) -> String {
    const HOUR: u64 = 3600;
    const DAY: u64 = 24 * HOUR;
    match (duration.as_secs(), duration.subsec_nanos()) {
        (0, 0) => "0s".into(),
        (secs, 0) if secs.is_multiple_of(DAY) && secs >= 30 * DAY => format!("{}d", secs / DAY),
        (secs, 0) if secs.is_multiple_of(HOUR) => format!("{}h", secs / HOUR),
        _ => format!("{duration:?}"),
    }
}

/// In the largest unit that divides it.
pub fn shown_size(bytes: u64) -> String {
    let largest = SIZE_UNITS
        .iter()
        .rev()
        .find(|(_, factor)| bytes.is_multiple_of(*factor));
    match largest {
        Some((unit, factor)) if bytes > 0 => format!("{}{unit}", bytes / factor),
        _ => format!("{bytes}B"),
    }
}

fn millis(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total = 0_u64;
    let mut last = u64::MAX;
    while !rest.is_empty() {
        let (number, after) = number(rest)?;
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(letters)?;
        let factor = factor(unit, &DURATION_UNITS).filter(|factor| *factor < last)?;
        total = total.checked_add(number.checked_mul(factor)?)?;
        last = factor;
        rest = after;
    }
    (last != u64::MAX).then_some(total)
}

fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = number(text)?;
    number.checked_mul(factor(unit, &SIZE_UNITS)?)
}

fn number(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, rest) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, rest))
}

fn factor(unit: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    Some(*factor)
}

#[cfg(test)]
mod tests {
    use super::{bytes, millis};

    #[test]
    fn durations() {
        for (text, expected) in [
            ("500ms", Some(500)),
            ("2s", Some(2_000)),
            ("1m30s", Some(90_000)),
            ("24h", Some(86_400_000)),
            ("1d", Some(86_400_000)),
            ("1h1m1s1ms", Some(3_661_001)),
            ("0s", Some(0)),
            ("", None),
            ("5", None),
            ("s", None),
            ("1s1s", None),
            ("30s1m", None),
            ("1.5s", None),
            ("-1s", None),
            ("1 s", None),
            ("1S", None),
            ("99999999999999999999s", None),
            ("18446744073709551615h", None),
        ] {
            assert_eq!(millis(text), expected, "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("512B", Some(512)),
            ("8KiB", Some(8 << 10)),
            ("16MiB", Some(16 << 20)),
            ("8", None),
            ("8KB", None),
            ("8kib", None),
            ("1KiB1B", None),
            ("18446744073709551615GiB", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }
}

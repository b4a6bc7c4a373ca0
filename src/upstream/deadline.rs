//! Deadlines as callers write them; None where nobody can say what was meant.

use crate::time::UnixTime;

/// `2026-12-01T00:00:00.250Z` with any offset, or milliseconds since the epoch; in milliseconds since the epoch.
pub fn instant(text: &str) -> Option<u64> {
    if let Some(ms) = digits(text, 20) {
        return Some(ms);
    }
    // RFC 3339 section 5.6 lets T and Z be small.
    let text = text.to_ascii_uppercase();
    let (seconds, rest) = text.split_at_checked("2026-12-01T00:00:00".len())?;
    let (fraction, offset) = match rest.strip_prefix('.') {
        None => ("", rest),
        Some(rest) => rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?),
    };
    // Digits behind the third are cut: the deadline is never later than it says.
    let ms = fraction.bytes().chain(*b"000").take(3).try_fold(0, |ms, digit| {
        let digit = u64::from(digit).checked_sub(u64::from(b'0'))?;
        Some(ms * 10 + digit)
    })?;
    if rest.starts_with('.') && fraction.is_empty() {
        return None;
    }
    let whole = UnixTime::parse(&[seconds, offset].concat()).ok()?;
    Some(whole.as_ms().saturating_add(ms))
}

/// Milliseconds; 0 is Envoy's word for no limit, which shortens nothing.
pub fn millis(text: &str) -> Option<u64> {
    digits(text, 20).filter(|ms| *ms > 0)
}

/// At most eight digits and a unit, as gRPC over HTTP/2 writes it; in whole milliseconds, cut.
pub fn grpc(text: &str) -> Option<u64> {
    let (value, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let value = digits(value, 8)?;
    Some(match unit {
        "H" => value * 3_600_000,
        "M" => value * 60_000,
        "S" => value * 1000,
        "m" => value,
        "u" => value / 1000,
        "n" => value / 1_000_000,
        _ => return None,
    })
}

/// No sign, no space, no more than `most` of them.
fn digits(text: &str, most: usize) -> Option<u64> {
    let fits = text.len() <= most && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants() {
        for (text, ms) in [
            ("1796083200000", Some(1_796_083_200_000)),
            ("0", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("000000000000000000001", None),
            ("2026-12-01T00:00:00Z", Some(1_796_083_200_000)),
            ("2026-12-01t00:00:00.25z", Some(1_796_083_200_250)),
            ("2026-12-01T01:00:00.123999999+01:00", Some(1_796_083_200_123)),
            ("2026-12-01T00:00:00.9999999999999999999999Z", Some(1_796_083_200_999)),
            ("2026-12-01T00:00:00-00:00", Some(1_796_083_200_000)),
            ("2026-12-01T00:00:00.Z", None),
            ("2026-12-01T00:00:00.5", None),
            ("2026-12-01T00:00:00.+1Z", None),
            ("2026-12-01T00:00:00", None),
            ("2026-12-01 00:00:00Z", None),
            ("2026-12-01T23:59:60Z", None),
            ("1969-12-31T23:59:59Z", None),
            ("9999-12-31T23:59:59Z", None),
            ("-1", None),
            ("+5", None),
            ("1e3", None),
            ("1796083200000.5", None),
            (" 1796083200000", None),
            ("", None),
            ("2026-12-01T00:00:0\u{e9}Z", None),
        ] {
            assert_eq!(instant(text), ms, "{text}");
        }
    }

    #[test]
    fn spans() {
        for (text, ms) in [("250", Some(250)), ("0", None), ("-1", None), ("1.5", None), ("", None)] {
            assert_eq!(millis(text), ms, "{text}");
        }
        for (text, ms) in [
            ("250m", Some(250)),
            ("0m", Some(0)),
            ("1S", Some(1000)),
            ("2M", Some(120_000)),
            ("99999999H", Some(359_999_996_400_000)),
            ("1999u", Some(1)),
            ("999999n", Some(0)),
            ("100000000m", None),
            ("m", None),
            ("250", None),
            ("250ms", None),
            ("+5m", None),
            ("-5m", None),
            (" 5m", None),
            ("", None),
            ("5\u{b5}", None),
        ] {
            assert_eq!(grpc(text), ms, "{text}");
        }
    }
}

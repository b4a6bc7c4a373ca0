//! Instants: handed in as values, and as text.

/// A point in time, in nanoseconds since the Unix epoch. The core reads no clock: whoever calls it says
/// what time it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(u64);

impl UnixTime {
    pub const fn from_ns(ns: u64) -> Self {
        Self(ns)
    }

    /// As JWTs (RFC 7519, NumericDate) count.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    pub const fn as_ns(self) -> u64 {
        self.0
    }

    /// Whole milliseconds; what is over is cut.
    pub const fn as_ms(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Whole seconds; what is over is cut.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// RFC 3339 with an offset, to the second: `2027-01-01T00:00:00Z`, `2027-01-01T01:00:00+01:00`. A
    /// leap second is none of them, as Unix time has none.
    pub fn parse(text: &str) -> Result<Self, String> {
        seconds(text)
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map(Self::from_secs)
            .ok_or_else(|| format!("{text:?} is no time: write 2027-01-01T00:00:00Z, with an offset"))
    }
}

/// Since the epoch; None where it is no time, or one without an offset.
fn seconds(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once('T')?;
    let (time, offset) = rest.split_at_checked(8)?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let fits = (1970..=2200).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    let local = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    fits.then_some(local - self::offset(offset)?)
}

/// East of Greenwich, in seconds.
fn offset(text: &str) -> Option<i64> {
    let (sign, rest) = match text.strip_prefix('+') {
        Some(rest) => (1, rest),
        None if text == "Z" => return Some(0),
        None => (-1, text.strip_prefix('-')?),
    };
    let [hours, minutes] = numbers(rest, ':', [2, 2])?;
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Digits only, as many as `widths` says.
fn numbers<const N: usize>(text: &str, between: char, widths: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(between);
    let mut numbers = [0; N];
    for (number, width) in numbers.iter_mut().zip(widths) {
        let part = parts.next()?;
        let digits = part.len() == width && part.bytes().all(|b| b.is_ascii_digit());
        *number = part.parse().ok().filter(|_| digits)?;
    }
    parts.next().is_none().then_some(numbers)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Since 1970-01-01, the reverse of [`civil`].
pub(crate) fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let shifted_month = (month + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// RFC 3339 in UTC, to the millisecond, of nanoseconds since the Unix epoch.
pub fn rfc3339(now_ns: u64) -> String {
    let (days, ms) = (now_ns / 86_400_000_000_000, now_ns / 1_000_000 % 86_400_000);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
        ms % 1000
    )
}

/// Days since 1970-01-01 to year, month, day; years begin in March, so that the leap day comes last.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_with_their_offset() {
        for (text, secs) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T00:00:00Z", Some(951_782_400)),
            ("2027-01-01T00:00:00Z", Some(1_798_761_600)),
            ("2027-01-01T01:30:00+01:30", Some(1_798_761_600)),
            ("2026-12-31T19:00:00-05:00", Some(1_798_761_600)),
            ("1970-01-01T00:00:00+01:00", None),
            ("2027-01-01T00:00:00", None),
            ("2027-01-01 00:00:00Z", None),
            ("2027-01-01", None),
            ("2027-02-29T00:00:00Z", None),
            ("2027-13-01T00:00:00Z", None),
            ("2027-00-01T00:00:00Z", None),
            ("2027-01-01T24:00:00Z", None),
            ("2027-01-01T00:00:60Z", None),
            ("2027-1-1T00:00:00Z", None),
            ("+027-01-01T00:00:00Z", None),
            ("2027-01-01T00:00:00+1", None),
            ("2027-01-01T00:00:00Zz", None),
            ("2027-01-01T00:00:0\u{e9}Z", None),
            ("", None),
        ] {
            assert_eq!(UnixTime::parse(text).ok().map(UnixTime::as_secs), secs, "{text}");
        }
    }

    #[test]
    fn every_day_reads_back() {
        for day in (0..84_000).step_by(17) {
            let time = UnixTime::from_secs(day * 86_400 + 86_399);
            let text = rfc3339(time.as_ns()).replace(".000Z", "Z");
            assert_eq!(UnixTime::parse(&text), Ok(time), "{text}");
        }
    }

    #[test]
    fn known_instants() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_782_400_123_000_000), "2000-02-29T00:00:00.123Z");
        assert_eq!(rfc3339(1_795_132_799_999_999_999), "2026-11-19T23:59:59.999Z");
    }
}

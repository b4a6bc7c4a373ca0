//! How long an answer may be remembered, as the service itself says (RFC 9111). It shortens what
//! the policy allows and never lengthens it.

use crate::header::Headers;
use crate::time::days;
use std::time::Duration;

/// What the headers of one answer allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// None: as long as the policy says.
    pub max_age: Option<Duration>,
    /// Once stale it may not be used, whatever the policy says.
    pub must_revalidate: bool,
}

/// Why an answer is not remembered; the words of the log and the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRemembered {
    NoStore,
    SetCookie,
    Vary,
    Expired,
}

impl Freshness {
    /// `in_key`: whether a request header of this name (lower case) is part of what answers are
    /// remembered by. `now_s`: seconds since the Unix epoch.
    pub fn of(headers: &Headers, in_key: impl Fn(&[u8]) -> bool, now_s: u64) -> Result<Self, NotRemembered> {
        if headers.first("set-cookie").is_some() {
            return Err(NotRemembered::SetCookie);
        }
        let varies = |name: &[u8]| name == b"*" || !in_key(name);
        if elements(headers, "vary").any(|name| varies(&name)) {
            return Err(NotRemembered::Vary);
        }
        let control = CacheControl::of(headers);
        if control.no_store {
            return Err(NotRemembered::NoStore);
        }
        let max_age = match control.max_age {
            Some(max_age) => Some(max_age),
            // Without a readable `Date` its own clock is taken for ours.
            None => headers
                .only("expires")
                .map(|expires| match (http_date(expires), date(headers)) {
                    (Some(expires), date) => expires.saturating_sub(date.unwrap_or(now_s)),
                    (None, _) => 0,
                }),
        };
        let age = headers.first("age").and_then(seconds).unwrap_or(0);
        match max_age.map(|max_age| max_age.saturating_sub(age)) {
            Some(0) => Err(NotRemembered::Expired),
            left => Ok(Self {
                max_age: left.map(Duration::from_secs),
                must_revalidate: control.must_revalidate,
            }),
        }
    }
}

impl NotRemembered {
    pub fn word(self) -> &'static str {
        match self {
            Self::NoStore => "no_store",
            Self::SetCookie => "set_cookie",
            Self::Vary => "vary",
            Self::Expired => "expired",
        }
    }
}

/// Whether a response says that it is for one caller alone, to every cache that reads it.
pub fn is_private(headers: &Headers) -> bool {
    // A comma in quotes separates nothing: what stands behind one is not taken for a word of its own.
    let quoted = headers.all("cache-control").any(|value| value.contains(&b'"'));
    let mut said = elements(headers, "cache-control");
    !quoted && !is_targeted(headers) && said.any(|directive| matches!(&directive[..], b"private" | b"no-store"))
}

/// Some caches read a header of their own in place of `Cache-Control` (RFC 9213, and those before it).
fn is_targeted(headers: &Headers) -> bool {
    let own =
        |name: &[u8]| matches!(name, b"surrogate-control" | b"x-accel-expires") || name.ends_with(b"-cache-control");
    headers.iter().any(|(name, _)| own(name))
}

/// Whether a cache that serves many callers may keep a response. In doubt it may; what is stale at once is asked for anew.
pub fn may_be_shared(headers: &Headers) -> bool {
    if is_private(headers) {
        return false;
    }
    let (mut may, mut says_age) = (is_targeted(headers), false);
    for directive in elements(headers, "cache-control") {
        let mut parts = directive.splitn(2, |b| *b == b'=');
        match (parts.next().unwrap_or_default().trim_ascii(), parts.next()) {
            (b"public" | b"stale-while-revalidate" | b"stale-if-error", _) => may = true,
            (b"max-age" | b"s-maxage", age) => {
                says_age = true;
                may |= age.and_then(seconds) != Some(0);
            }
            _ => {}
        }
    }
    // `Expires: 0` and `-1` are long over; of a date in an older form nobody here knows.
    let is_number = |value: &[u8]| value.iter().all(|b| b.is_ascii_digit() || *b == b'-');
    let later = |value: &[u8]| match http_date(value) {
        Some(expires) => date(headers).is_none_or(|date| expires > date),
        None => !is_number(value),
    };
    may || !says_age && headers.all("expires").any(later)
}

#[derive(Default)]
struct CacheControl {
    no_store: bool,
    must_revalidate: bool,
    max_age: Option<u64>,
}

impl CacheControl {
    fn of(headers: &Headers) -> Self {
        let mut control = Self::default();
        let mut shared_age = None;
        for directive in elements(headers, "cache-control") {
            let mut parts = directive.splitn(2, |b| *b == b'=');
            let name = parts.next().unwrap_or_default().trim_ascii();
            let value = parts.next().map(|value| value.trim_ascii().trim_ascii_start());
            let age = || Some(value.and_then(seconds).unwrap_or(0));
            match name {
                // `no-cache` asks before each use, which is what not remembering does.
                b"no-store" | b"private" | b"no-cache" => control.no_store = true,
                b"must-revalidate" | b"proxy-revalidate" => control.must_revalidate = true,
                // The shorter of two that contradict each other.
                b"max-age" => control.max_age = control.max_age.into_iter().chain(age()).min(),
                b"s-maxage" => shared_age = shared_age.into_iter().chain(age()).min(),
                _ => {}
            }
        }
        // We are a shared cache; and an age that is for shared caches only implies revalidation.
        control.must_revalidate |= shared_age.is_some();
        control.max_age = shared_age.or(control.max_age);
        control
    }
}

/// Comma-separated elements of all headers of a name, lower case.
fn elements<'a>(headers: &'a Headers, name: &'a str) -> impl Iterator<Item = Vec<u8>> + 'a {
    let parts = headers.all(name).flat_map(|value| value.split(|b| *b == b','));
    parts
        .map(|part| part.trim_ascii().to_ascii_lowercase())
        .filter(|part| !part.is_empty())
}

/// Quoted or not; what is no number has no age left.
fn seconds(value: &[u8]) -> Option<u64> {
    let digits = value.trim_ascii();
    let digits = digits
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""))
        .unwrap_or(digits);
    match digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        true => None,
        // RFC 9111 section 1.2.2: more than fits is as good as for ever.
        false => Some(std::str::from_utf8(digits).ok()?.parse().unwrap_or(u64::from(u32::MAX))),
    }
}

fn date(headers: &Headers) -> Option<u64> {
    http_date(headers.only("date")?)
}

/// IMF-fixdate, `Sun, 06 Nov 1994 08:49:37 GMT`, the only form that may be sent (RFC 9110 section
/// 5.6.7). Seconds since the Unix epoch.
fn http_date(value: &[u8]) -> Option<u64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let text = std::str::from_utf8(value).ok()?.trim();
    let mut words = text.strip_suffix(" GMT")?.split(' ').skip(1);
    let day: i64 = words.next()?.parse().ok()?;
    let month = words.next()?;
    let month = 1 + i64::try_from(MONTHS.iter().position(|name| *name == month)?).ok()?;
    let year: i64 = words.next()?.parse().ok()?;
    let mut clock = words.next()?.split(':').map(str::parse::<i64>);
    let (hour, minute, second) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
    let time = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..61).contains(&second);
    let sane = (1970..10_000).contains(&year) && (1..=31).contains(&day) && time;
    let seconds = || days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    sane.then(seconds).and_then(|seconds| u64::try_from(seconds).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 784_111_777; // Sun, 06 Nov 1994 08:49:37 GMT

    #[track_caller]
    fn fresh(headers: &[(&str, &str)], max_age: Option<u64>, must_revalidate: bool) {
        let expected = Freshness {
            max_age: max_age.map(Duration::from_secs),
            must_revalidate,
        };
        assert_eq!(of(headers), Ok(expected));
    }

    fn of(headers: &[(&str, &str)]) -> Result<Freshness, NotRemembered> {
        let headers = headers.iter().copied().collect();
        Freshness::of(&headers, |name| name == b"authorization", NOW)
    }

    #[test]
    fn as_long_as_the_service_says() {
        fresh(&[], None, false);
        fresh(&[("cache-control", "max-age=60")], Some(60), false);
        fresh(&[("cache-control", "Max-Age=\"60\", must-revalidate")], Some(60), true);
        fresh(
            &[("cache-control", "max-age=60"), ("cache-control", "max-age=5")],
            Some(5),
            false,
        );
        fresh(&[("cache-control", "max-age=60, s-maxage=7")], Some(7), true);
        fresh(&[("cache-control", "max-age=60"), ("age", "50")], Some(10), false);
        fresh(
            &[("cache-control", "max-age=99999999999999999999999")],
            Some(u64::from(u32::MAX)),
            false,
        );
        fresh(&[("expires", "Sun, 06 Nov 1994 08:50:37 GMT")], Some(60), false);
        let dated = [
            ("date", "Sun, 06 Nov 1994 08:50:07 GMT"),
            ("expires", "Sun, 06 Nov 1994 08:50:37 GMT"),
        ];
        fresh(&dated, Some(30), false);
        fresh(&[("vary", "Authorization")], None, false);
        fresh(&[("cache-control", "public, immutable")], None, false);
    }

    #[test]
    fn not_at_all() {
        for (name, value, why) in [
            ("cache-control", "no-store", NotRemembered::NoStore),
            ("cache-control", "max-age=60, Private", NotRemembered::NoStore),
            ("cache-control", "private=\"x\"", NotRemembered::NoStore),
            ("cache-control", "no-cache", NotRemembered::NoStore),
            ("cache-control", "max-age=0", NotRemembered::Expired),
            ("cache-control", "max-age=-1", NotRemembered::Expired),
            ("cache-control", "max-age", NotRemembered::Expired),
            ("cache-control", "s-maxage=0, max-age=60", NotRemembered::Expired),
            ("expires", "0", NotRemembered::Expired),
            ("expires", "Sun, 06 Nov 1994 08:49:37 GMT", NotRemembered::Expired),
            ("set-cookie", "a=b", NotRemembered::SetCookie),
            ("vary", "*", NotRemembered::Vary),
            ("vary", "authorization, accept-language", NotRemembered::Vary),
        ] {
            assert_eq!(of(&[(name, value)]), Err(why), "{name}: {value}");
        }
        let aged = [("cache-control", "max-age=60"), ("age", "60")];
        assert_eq!(of(&aged), Err(NotRemembered::Expired));
    }
}

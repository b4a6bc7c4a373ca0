//! One normal form of a path. What rules match, what the auth service is asked about and what the
//! upstream serves is this form; whatever two servers might read differently is refused.

use super::text::Text;
use super::{PathLeniency, scan};
use crate::bytes;
use crate::header::Headers;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// A path without its query: percent-encoded unreserved characters decoded, raw non-ASCII UTF-8
/// encoded, hex digits in upper case. Begins with `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    text: Text,
    /// What rules match, where that is another text: see [`comparable`].
    matched: Option<Box<[u8]>>,
    /// Spellings met that a rule has to allow by `paths_raw`.
    pub oddities: PathLeniency,
}

/// Why a path is refused (400).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathFault {
    NotAbsolute,
    Fragment,
    Control,
    BadEscape,
    EncodedControl,
    EncodedBackslash,
    Backslash,
    NotUtf8,
    DotSegment,
    EncodedSlash,
    Semicolon,
    EmptySegment,
}

impl PathFault {
    pub const ALL: [Self; 12] = [
        Self::NotAbsolute,
        Self::Fragment,
        Self::Control,
        Self::BadEscape,
        Self::EncodedControl,
        Self::EncodedBackslash,
        Self::Backslash,
        Self::NotUtf8,
        Self::DotSegment,
        Self::EncodedSlash,
        Self::Semicolon,
        Self::EmptySegment,
    ];

    /// The word for logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotAbsolute => "path_not_absolute",
            Self::Fragment => "path_fragment",
            Self::Control => "path_control_character",
            Self::BadEscape => "path_bad_escape",
            Self::EncodedControl => "path_encoded_control_character",
            Self::EncodedBackslash => "path_encoded_backslash",
            Self::Backslash => "path_backslash",
            Self::NotUtf8 => "path_not_utf8",
            Self::DotSegment => "path_dot_segment",
            Self::EncodedSlash => "path_encoded_slash",
            Self::Semicolon => "path_semicolon",
            Self::EmptySegment => "path_empty_segment",
        }
    }
}

impl fmt::Display for PathFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAbsolute => "path does not begin with `/`",
            Self::Fragment => "path holds `#`",
            Self::Control => "path holds a control character or a space",
            Self::BadEscape => "path holds `%` without two hex digits",
            Self::EncodedControl => "path holds a percent-encoded control character",
            Self::EncodedBackslash => "path holds %5C",
            Self::Backslash => "path holds a backslash",
            Self::NotUtf8 => "path is not UTF-8",
            Self::DotSegment => "path holds a `.` or `..` segment",
            Self::EncodedSlash => "path holds %2F",
            Self::Semicolon => "path holds `;`",
            Self::EmptySegment => "path holds an empty segment",
        })
    }
}

impl Path {
    /// `raw` is the path of `:path`, its query cut off.
    pub fn parse(raw: &[u8]) -> Result<Self, PathFault> {
        Self::read(raw, None)
    }

    /// [`Self::parse`] for a path that stands in `headers`.
    pub(super) fn of(headers: &Arc<Headers>, raw: &[u8]) -> Result<Self, PathFault> {
        Self::read(raw, Some(headers))
    }

    fn read(raw: &[u8], headers: Option<&Arc<Headers>>) -> Result<Self, PathFault> {
        if raw.first() != Some(&b'/') {
            return Err(PathFault::NotAbsolute);
        }
        if scan::path_len(raw) == raw.len() {
            return Ok(Self {
                text: Text::as_it_came(raw, headers),
                matched: None,
                oddities: PathLeniency::default(),
            });
        }
        Self::in_any_form(raw)
    }

    /// What [`Self::parse`] says, at the cost of a look at every part of it.
    fn in_any_form(raw: &[u8]) -> Result<Self, PathFault> {
        let (text, oddities) = normalise(raw)?;
        Self::checked(text, oddities)
    }

    fn checked(text: String, mut oddities: PathLeniency) -> Result<Self, PathFault> {
        // As a server reads it that decodes before it splits: where a rule allows `%2F`, no dot
        // segment comes along behind one.
        let decoded = match oddities.encoded_slash || oddities.semicolon {
            true => Cow::Owned(text.replace("%2F", "/").replace("%3B", ";")),
            false => Cow::Borrowed(text.as_str()),
        };
        let mut segments = decoded.split('/').skip(1).peekable();
        while let Some(segment) = segments.next() {
            let name = segment.split(';').next().unwrap_or_default();
            if name == "." || name == ".." {
                return Err(PathFault::DotSegment);
            }
            // The empty text after the last slash is no segment: `/a/`, `/`.
            oddities.empty_segment |= segment.is_empty() && segments.peek().is_some();
        }
        let matched = match comparable(&text) {
            Cow::Borrowed(_) => None,
            Cow::Owned(matched) => Some(matched.into_bytes().into()),
        };
        Ok(Self {
            text: Text::made(text.into_bytes()),
            matched,
            oddities,
        })
    }

    pub fn as_str(&self) -> &str {
        // The one form is ASCII.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// False where it may have come in another form.
    pub(super) fn is_sent(&self) -> bool {
        self.text.is_sent()
    }

    /// As rules match them. `/a/b` has two, `/a/` has `a` and an empty one, `/` one empty one.
    pub fn segments(&self) -> Segments<'_> {
        Segments {
            rest: self.matched.as_deref().unwrap_or(self.as_bytes()).get(1..),
        }
    }

    /// The first spelling that `allowed` does not cover.
    pub fn check(&self, allowed: PathLeniency) -> Result<(), PathFault> {
        let odd = self.oddities;
        match () {
            () if odd.encoded_slash && !allowed.encoded_slash => Err(PathFault::EncodedSlash),
            () if odd.semicolon && !allowed.semicolon => Err(PathFault::Semicolon),
            () if odd.empty_segment && !allowed.empty_segment => Err(PathFault::EmptySegment),
            () => Ok(()),
        }
    }
}

/// What stands between slashes.
#[derive(Clone, Debug)]
pub struct Segments<'p> {
    rest: Option<&'p [u8]>,
}

impl<'p> Iterator for Segments<'p> {
    type Item = &'p [u8];

    fn next(&mut self) -> Option<&'p [u8]> {
        let rest = self.rest?;
        let Some(slash) = bytes::find(b'/', rest) else {
            self.rest = None;
            return Some(rest);
        };
        self.rest = rest.get(slash + 1..);
        rest.get(..slash)
    }
}

/// The normal form of the text of one pattern segment or whole path, and what it holds.
pub(crate) fn normalise(raw: &[u8]) -> Result<(String, PathLeniency), PathFault> {
    let mut oddities = PathLeniency::default();
    let mut text = String::with_capacity(raw.len());
    // What the path says once decoded: it has to be UTF-8, whichever way it is spelled.
    let mut decoded = Vec::with_capacity(raw.len());
    let mut rest = raw.iter().copied();
    while let Some(byte) = rest.next() {
        let (value, escaped) = match byte {
            b'%' => (escape(&mut rest).ok_or(PathFault::BadEscape)?, true),
            _ => (byte, false),
        };
        match (value, escaped) {
            (0..=0x1f | 0x7f, true) => return Err(PathFault::EncodedControl),
            (0..=0x20 | 0x7f, false) => return Err(PathFault::Control),
            (b'\\', true) => return Err(PathFault::EncodedBackslash),
            (b'\\', false) => return Err(PathFault::Backslash),
            (b'#', false) => return Err(PathFault::Fragment),
            (b'/', true) => oddities.encoded_slash = true,
            // Encoded, too: a server that decodes before it cuts parameters off sees the same.
            (b';', _) => oddities.semicolon = true,
            _ => {}
        }
        decoded.push(value);
        if (escaped && !is_unreserved(value)) || value >= 0x80 {
            push_escape(&mut text, value);
        } else {
            text.push(char::from(value));
        }
    }
    match std::str::from_utf8(&decoded) {
        Ok(_) => Ok((text, oddities)),
        Err(_) => Err(PathFault::NotUtf8),
    }
}

/// `:`, `@`, `+` and their like go on as they were spelled, since some servers tell `%2B` from `+`. Most
/// do not: to a rule both are one, and what no URI may hold raw (`|`) is one with its escape.
pub(crate) fn comparable(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|b| b == b'%' || is_never_raw(b)) {
        return Cow::Borrowed(text);
    }
    let mut matched = String::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let (value, escaped) = match byte {
            b'%' => (escape(&mut rest).unwrap_or(byte), true),
            _ => (byte, false),
        };
        match is_never_raw(value) || (escaped && !stands_raw(value)) {
            true => push_escape(&mut matched, value),
            false => matched.push(char::from(value)),
        }
    }
    Cow::Owned(matched)
}

/// RFC 3986 section 3.3, `pchar` less the unreserved and `;`, of which `paths_raw` speaks.
fn stands_raw(byte: u8) -> bool {
    b"!$&'()*+,=:@".contains(&byte)
}

/// Printable, and no part of a URI: whoever is strict escapes it.
fn is_never_raw(byte: u8) -> bool {
    b"\"<>^`{|}".contains(&byte)
}

/// The byte that two hex digits behind `%` stand for.
pub(super) fn escape(rest: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let high = char::from(rest.next()?).to_digit(16)?;
    let low = char::from(rest.next()?).to_digit(16)?;
    u8::try_from(high << 4 | low).ok()
}

/// RFC 3986 section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

pub(crate) fn push_escape(text: &mut String, byte: u8) {
    text.push('%');
    for nibble in [byte >> 4, byte & 0xf] {
        text.push(char::from_digit(u32::from(nibble), 16).map_or('0', |digit| digit.to_ascii_uppercase()));
    }
}

/// Percent-decoded text, as far as it is UTF-8; for comparing a captured segment with a claim.
pub fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => escape(&mut rest)?,
            _ => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    #[track_caller]
    fn normal(raw: &str, expected: &str) {
        let path = Path::parse(raw.as_bytes()).expect(raw);
        assert_eq!(path.as_str(), expected);
        path.check(PathLeniency::default()).expect(raw);
        assert_eq!(Path::parse(expected.as_bytes()), Ok(path), "idempotent");
    }

    #[track_caller]
    fn refused(raw: &[u8], fault: PathFault) {
        let result = Path::parse(raw).and_then(|path| path.check(PathLeniency::default()));
        assert_eq!(result, Err(fault), "{}", raw.escape_ascii());
    }

    #[test]
    fn one_form_for_every_spelling() {
        normal("/", "/");
        normal("/orders/1", "/orders/1");
        normal("/%6frders/%31", "/orders/1");
        normal("/%7Euser/a%2Db%5Fc%2e1", "/~user/a-b_c.1");
        normal("/caf%c3%a9", "/caf%C3%A9");
        normal("/café", "/caf%C3%A9");
        normal("/a%20b%25", "/a%20b%25");
        normal("/%252f", "/%252f");
        normal("/a/", "/a/");
        normal("/a:b@c!$&'()*+,=", "/a:b@c!$&'()*+,=");
        normal("/a%3ab%2B", "/a%3Ab%2B");
        normal("/a|b", "/a|b");
        normal("/...", "/...");
    }

    #[test]
    fn ambiguity_is_refused() {
        for dots in ["/.", "/..", "/a/../b", "/a/./b", "/a/%2e%2e/b", "/a/.%2E", "/%2e"] {
            refused(dots.as_bytes(), PathFault::DotSegment);
        }
        refused(b"/a/..;x/b", PathFault::DotSegment);
        refused(b"/a/%2e%2e%3bx/b", PathFault::DotSegment);
        refused(b"/a%2f..%2fb", PathFault::DotSegment);
        refused(b"/a%2fb", PathFault::EncodedSlash);
        refused(b"/a%2Fb", PathFault::EncodedSlash);
        refused(b"/a%5cb", PathFault::EncodedBackslash);
        refused(b"/a\\b", PathFault::Backslash);
        refused(b"/a%00", PathFault::EncodedControl);
        refused(b"/a%0d%0ab", PathFault::EncodedControl);
        refused(b"/a\x00", PathFault::Control);
        refused(b"/a b", PathFault::Control);
        refused(b"//a", PathFault::EmptySegment);
        refused(b"/a//b", PathFault::EmptySegment);
        refused(b"/a//", PathFault::EmptySegment);
        refused(b"/a;b=1", PathFault::Semicolon);
        refused(b"/a%3bb", PathFault::Semicolon);
        refused(b"/%", PathFault::BadEscape);
        refused(b"/%1", PathFault::BadEscape);
        refused(b"/%zz", PathFault::BadEscape);
        refused(b"/%ff", PathFault::NotUtf8);
        refused(b"/\xff", PathFault::NotUtf8);
        refused(b"/%C3(", PathFault::NotUtf8);
        refused(b"/a#b", PathFault::Fragment);
        refused(b"", PathFault::NotAbsolute);
        refused(b"*", PathFault::NotAbsolute);
        refused(b"http://a/", PathFault::NotAbsolute);
    }

    #[test]
    fn a_rule_may_allow_a_spelling() {
        let path = Path::parse(b"/a%2fb;c//d").expect("parses");
        let all = PathLeniency {
            encoded_slash: true,
            semicolon: true,
            empty_segment: true,
        };
        assert_eq!(path.check(all), Ok(()));
        assert_eq!(path.as_str(), "/a%2Fb;c//d");
        assert_eq!(
            path.check(PathLeniency {
                encoded_slash: true,
                ..PathLeniency::default()
            }),
            Err(PathFault::Semicolon)
        );
    }

    proptest! {
        /// Pieces that are nearly all in the normal form, and bytes of any kind among them.
        #[test]
        fn a_path_taken_as_it_came_is_what_a_full_look_says(
            pieces in vec(prop_oneof![
                6 => "[a-z0-9_.~!$&'()*+,=:@-]{0,4}".prop_map(String::into_bytes),
                4 => Just(b"/".to_vec()),
                1 => select(vec![".", "..", "?", "%2e", "%2F", ";", "\\", "|", "#", " ", "\u{e9}"])
                    .prop_map(|text| text.as_bytes().to_vec()),
                1 => vec(any::<u8>(), 1),
            ], 0..8),
        ) {
            let raw = [b"/".to_vec(), pieces.concat()].concat();
            prop_assert_eq!(Path::parse(&raw), Path::in_any_form(&raw), "{}", raw.escape_ascii());
        }
    }

    #[test]
    fn every_byte_is_read_as_a_full_look_reads_it() {
        for byte in 0..=u8::MAX {
            for raw in [
                [b'/', byte, b'/', b'a'],
                *b"/a//",
                [b'/', b'a', byte, b'b'],
                [b'/', b'a', b'/', byte],
            ] {
                assert_eq!(Path::parse(&raw), Path::in_any_form(&raw), "{}", raw.escape_ascii());
            }
        }
    }
}

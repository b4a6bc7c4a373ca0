//! Paths of a rule.

use crate::request::path::{Path, comparable, normalise};

/// The look-up goes one call deeper for each segment of a pattern, and a module's stack is 1 MiB.
const MAX_SEGMENTS: usize = 64;

/// `/orders/**`, `/t/{tenant}/*`, `/v*/items`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathPattern {
    pub segments: Vec<SegmentPattern>,
    /// Ends in `/**`: this and everything below it.
    pub tail: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SegmentPattern {
    /// In the normal form of [`Path`].
    Literal(String),
    /// `*`: one segment, not an empty one.
    One,
    /// `v*`, `*-old`, `a*b`: the texts around each `*`.
    Glob(Vec<String>),
    /// `{tenant}`: one segment, not an empty one.
    Capture(String),
}

impl PathPattern {
    /// Errors name the part that is wrong. The pattern is brought into the normal form of paths,
    /// so `/café` and `/caf%c3%a9` are one pattern.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(format!("path {text:?} does not begin with `/`"));
        };
        let (rest, tail) = match rest.strip_suffix("**") {
            Some("") => {
                return Ok(Self {
                    segments: vec![],
                    tail: true,
                });
            }
            Some(head) if head.ends_with('/') => (head.strip_suffix('/').unwrap_or(head), true),
            _ => (rest, false),
        };
        let segments = rest
            .split('/')
            .map(|segment| SegmentPattern::parse(segment).map_err(|why| format!("path {text:?}: {why}")))
            .collect::<Result<Vec<_>, _>>()?;
        if segments.len() > MAX_SEGMENTS {
            return Err(format!("path {text:?}: over {MAX_SEGMENTS} segments"));
        }
        let inner = segments.len().saturating_sub(usize::from(!tail));
        if segments.iter().take(inner).any(SegmentPattern::is_empty) {
            return Err(format!("path {text:?}: empty segment"));
        }
        let pattern = Self { segments, tail };
        let twice = |name: &&str| pattern.captures().filter(|other| other == name).count() > 1;
        if let Some(name) = pattern.captures().find(twice) {
            return Err(format!("path {text:?}: {{{name}}} stands twice"));
        }
        Ok(pattern)
    }

    /// The names in braces.
    pub fn captures(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            SegmentPattern::Capture(name) => Some(name.as_str()),
            _ => None,
        })
    }

    pub fn matches(&self, path: &Path) -> bool {
        let mut rest = path.segments();
        self.segments
            .iter()
            .all(|pattern| rest.next().is_some_and(|segment| pattern.matches(segment)))
            && (self.tail || rest.next().is_none())
    }

    /// What `{name}` stands for in a path that this pattern matches.
    pub fn capture<'p>(&self, name: &str, path: &'p Path) -> Option<&'p str> {
        let at = self
            .segments
            .iter()
            .position(|segment| matches!(segment, SegmentPattern::Capture(n) if n == name))?;
        std::str::from_utf8(path.segments().nth(at)?).ok()
    }
}

impl SegmentPattern {
    fn parse(text: &str) -> Result<Self, String> {
        // Nearly every segment: in its normal form already, and neither `.` nor `..`.
        if text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        {
            return Ok(Self::Literal(text.to_owned()));
        }
        if let Some(name) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            return match !name.is_empty() && name.chars().all(word) {
                true => Ok(Self::Capture(name.to_owned())),
                false => Err(format!("{text:?}: a capture is letters, digits and `_` in braces")),
            };
        }
        if text.contains(['{', '}']) {
            return Err(format!("{text:?}: a capture is one whole segment"));
        }
        if text.contains("**") {
            return Err("`**` may stand only at the end, after `/`".into());
        }
        let parts = text.split('*').map(literal).collect::<Result<Vec<_>, _>>()?;
        match <[String; 1]>::try_from(parts) {
            Ok([text]) if text == "." || text == ".." => {
                Err(format!("segment {text:?} never matches: such paths are refused"))
            }
            Ok([text]) => Ok(Self::Literal(text)),
            Err(parts) if parts.iter().all(String::is_empty) => Ok(Self::One),
            Err(parts) => Ok(Self::Glob(parts)),
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Literal(text) if text.is_empty())
    }

    pub fn matches(&self, segment: &[u8]) -> bool {
        match self {
            Self::Literal(text) => text.as_bytes() == segment,
            Self::One | Self::Capture(_) => !segment.is_empty(),
            Self::Glob(parts) => std::str::from_utf8(segment).is_ok_and(|segment| glob(parts, segment)),
        }
    }

    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::One | Self::Capture(_), other) => !other.is_empty(),
            (_, Self::Literal(text)) => self.matches(text.as_bytes()),
            (Self::Glob(ours), Self::Glob(theirs)) => ours == theirs,
            _ => false,
        }
    }
}

/// First and last part are anchored, the others found from the left: linear in the segment for
/// each part, without backtracking.
fn glob(parts: &[String], segment: &str) -> bool {
    let ([first, middle @ .., last], true) = (parts, parts.len() > 1) else {
        return false;
    };
    let Some(mut rest) = segment.strip_prefix(first.as_str()) else {
        return false;
    };
    for part in middle {
        match rest.find(part.as_str()) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last.as_str()) && !segment.is_empty()
}

fn literal(text: &str) -> Result<String, String> {
    if text.contains('?') {
        return Err(format!("{text:?}: leave the query out, match it by `query`"));
    }
    normalise(text.as_bytes())
        .map(|(text, _)| comparable(&text).into_owned())
        .map_err(|fault| format!("{text:?}: {fault}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn matches(pattern: &str, yes: &[&str], no: &[&str]) {
        let pattern = PathPattern::parse(pattern).expect("a pattern");
        for path in yes {
            assert!(
                pattern.matches(&Path::parse(path.as_bytes()).expect("a path")),
                "{path}"
            );
        }
        for path in no {
            assert!(
                !pattern.matches(&Path::parse(path.as_bytes()).expect("a path")),
                "{path}"
            );
        }
    }

    #[test]
    fn segments_and_tails() {
        matches(
            "/orders/**",
            &["/orders", "/orders/", "/orders/1/2"],
            &["/ordersx", "/", "/Orders"],
        );
        matches("/**", &["/", "/a", "/a/b/"], &[]);
        matches("/", &["/"], &["/a"]);
        matches("/a", &["/a"], &["/a/", "/a/b"]);
        matches("/a/", &["/a/"], &["/a"]);
        matches("/a/*/c", &["/a/b/c"], &["/a/c", "/a//c", "/a/b/b/c"]);
        matches("/a/*", &["/a/b"], &["/a/", "/a", "/a/b/"]);
        matches("/v*/x", &["/v1/x", "/v/x"], &["/w1/x"]);
        matches("/a*b*c", &["/abc", "/a1b2c", "/abbc"], &["/ac", "/ab", "/abcd", "/acb"]);
        matches("/*.php", &["/a.php", "/.php"], &["/a.phpx"]);
        matches("/t/{tenant}/**", &["/t/acme", "/t/acme/1"], &["/t/", "/t"]);
        matches("/café", &["/caf%c3%a9", "/café"], &["/cafe"]);
        matches("/%6frders", &["/orders"], &[]);
    }

    #[test]
    fn an_escape_is_one_with_what_it_stands_for() {
        matches(
            "/v1/*:cancel",
            &["/v1/7:cancel", "/v1/7%3Acancel", "/v1/7%3acancel"],
            &["/v1/7%253Acancel", "/v1/7"],
        );
        matches("/%40fs/**", &["/@fs/x", "/%40fs/x"], &["/%2540fs/x"]);
        matches(
            "/!$&'()+,=:@",
            &["/!$&'()+,=:@", "/%21%24%26%27%28%29%2B%2C%3D%3A%40"],
            &[],
        );
        matches("/%2a", &["/*", "/%2A"], &["/a"]);
        for pattern in ["/a|b\"<>^`", "/a%7cb%22%3c%3E%5e%60"] {
            matches(pattern, &["/a|b\"<>^`", "/a%7Cb%22%3C%3E%5E%60"], &["/a"]);
        }
        matches("/%7Bid%7D", &["/{id}", "/%7bid%7D"], &["/id"]);
        matches("/a%3Fb", &["/a%3fb"], &["/a"]);
    }

    #[test]
    fn captured() {
        let pattern = PathPattern::parse("/t/{tenant}/{id}/**").expect("fine");
        let path = Path::parse(b"/t/acme/7/x").expect("fine");
        assert_eq!(pattern.capture("tenant", &path), Some("acme"));
        assert_eq!(pattern.capture("id", &path), Some("7"));
        assert_eq!(pattern.capture("x", &path), None);
        let escaped = Path::parse(b"/t/a%40b/%257").expect("fine");
        assert_eq!(pattern.capture("tenant", &escaped), Some("a@b"));
        assert_eq!(pattern.capture("id", &escaped), Some("%257"));
    }

    #[test]
    fn refused() {
        for (text, message) in [
            ("", "path \"\" does not begin with `/`"),
            ("orders", "path \"orders\" does not begin with `/`"),
            ("/a**", "path \"/a**\": `**` may stand only at the end, after `/`"),
            ("/a/**/b", "path \"/a/**/b\": `**` may stand only at the end, after `/`"),
            ("/a//b", "path \"/a//b\": empty segment"),
            ("//", "path \"//\": empty segment"),
            (
                "/a/../b",
                "path \"/a/../b\": segment \"..\" never matches: such paths are refused",
            ),
            ("/{a}/{a}", "path \"/{a}/{a}\": {a} stands twice"),
            ("/x{a}", "path \"/x{a}\": \"x{a}\": a capture is one whole segment"),
            (
                "/{a-b}",
                "path \"/{a-b}\": \"{a-b}\": a capture is letters, digits and `_` in braces",
            ),
            (
                "/a?b",
                "path \"/a?b\": \"a?b\": leave the query out, match it by `query`",
            ),
            (
                "/a%zz",
                "path \"/a%zz\": \"a%zz\": path holds `%` without two hex digits",
            ),
        ] {
            assert_eq!(PathPattern::parse(text), Err(message.into()));
        }
    }
}

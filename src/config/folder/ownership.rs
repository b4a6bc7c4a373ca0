//! Hosts and paths as sets: whether one lies within another, and whether two share a request.

use crate::config::node::Node;
use crate::rule::{HostPattern, PathPattern, SegmentPattern};

/// One entry of `owns`: every path on every host.
pub struct Owned<'a> {
    pub hosts: Vec<(HostPattern, &'a Node)>,
    pub paths: Vec<(PathPattern, &'a Node)>,
    pub node: &'a Node,
}

impl Owned<'_> {
    pub fn has_host(&self, host: &HostPattern) -> bool {
        self.hosts.iter().any(|(own, _)| host_covers(own, host))
    }

    pub fn has_path(&self, path: &PathPattern) -> bool {
        self.paths.iter().any(|(own, _)| path_covers(own, path))
    }
}

/// A path of `ours`, and one of `theirs`, that some request has both of.
pub fn shared<'a>(ours: &Owned<'a>, theirs: &Owned<'a>) -> Option<(&'a Node, &'a Node)> {
    let one_host = |(host, _): &(HostPattern, _)| theirs.hosts.iter().any(|(other, _)| hosts_meet(host, other));
    if !ours.hosts.iter().any(one_host) {
        return None;
    }
    ours.paths.iter().find_map(|(path, node)| {
        let met = theirs.paths.iter().find(|(other, _)| paths_meet(path, other));
        met.map(|(_, other)| (*node, *other))
    })
}

fn host_covers(wide: &HostPattern, narrow: &HostPattern) -> bool {
    match (wide, narrow) {
        (HostPattern::Any, _) => true,
        (_, HostPattern::Exact(name)) => wide.matches(name),
        (HostPattern::Wildcard(wide), HostPattern::Wildcard(narrow)) => is_within(narrow, wide),
        _ => false,
    }
}

fn hosts_meet(one: &HostPattern, other: &HostPattern) -> bool {
    host_covers(one, other) || host_covers(other, one)
}

/// `a.example.com` is within `example.com`.
fn is_within(name: &str, parent: &str) -> bool {
    let before = name.strip_suffix(parent);
    before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

fn path_covers(wide: &PathPattern, narrow: &PathPattern) -> bool {
    let (own, other) = (&wide.segments, &narrow.segments);
    let long_enough = match (wide.tail, narrow.tail) {
        (true, _) => own.len() <= other.len(),
        (false, false) => own.len() == other.len(),
        (false, true) => false,
    };
    long_enough && own.iter().zip(other).all(|(own, other)| own.covers(other))
}

fn paths_meet(one: &PathPattern, other: &PathPattern) -> bool {
    let fits = match one.segments.len().cmp(&other.segments.len()) {
        std::cmp::Ordering::Less => one.tail,
        std::cmp::Ordering::Equal => true,
        std::cmp::Ordering::Greater => other.tail,
    };
    fits && one
        .segments
        .iter()
        .zip(&other.segments)
        .all(|(one, other)| segments_meet(one, other))
}

fn segments_meet(one: &SegmentPattern, other: &SegmentPattern) -> bool {
    match (one, other) {
        (SegmentPattern::Literal(text), pattern) | (pattern, SegmentPattern::Literal(text)) => {
            pattern.matches(text.as_bytes())
        }
        (SegmentPattern::Glob(one), SegmentPattern::Glob(other)) => globs_meet(one, other),
        // Some text is always long enough for a glob, and not empty.
        _ => true,
    }
}

/// `a*b` and `ac*` have `acb`: what is between is free, so beginnings and ends decide.
fn globs_meet(one: &[String], other: &[String]) -> bool {
    let ends = |parts: &[String]| Some((parts.first()?.clone(), parts.last()?.clone()));
    let (Some((begins, ends)), Some((other_begins, other_ends))) = (ends(one), ends(other)) else {
        return false;
    };
    let begin = begins.starts_with(&other_begins) || other_begins.starts_with(&begins);
    begin && (ends.ends_with(&other_ends) || other_ends.ends_with(&ends))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::path::Path;

    const PATHS: [&str; 17] = [
        "/", "/**", "/a", "/a/", "/a/**", "/a/b", "/a/b/**", "/a/*", "/a/{x}", "/*/b", "/{x}/**", "/a*", "/*a/**",
        "/a*b/c", "/b*/c", "/*b", "/a/*/c",
    ];
    const HOSTS: [&str; 6] = ["*", "*.a.com", "*.b.a.com", "a.com", "b.a.com", "xa.com"];
    const SEGMENTS: [&str; 10] = ["", "a", "b", "c", "ab", "ba", "aa", "bb", "axb", "bxa"];

    /// Every path of up to three of the segments; an empty one stands last only.
    fn samples() -> Vec<Path> {
        let mut texts = vec![];
        for one in SEGMENTS {
            texts.push(format!("/{one}"));
            for two in SEGMENTS.iter().filter(|_| !one.is_empty()) {
                texts.push(format!("/{one}/{two}"));
                let three = SEGMENTS.iter().filter(|_| !two.is_empty());
                texts.extend(three.map(|three| format!("/{one}/{two}/{three}")));
            }
        }
        let paths = texts.iter().map(|text| Path::parse(text.as_bytes()).expect("a path"));
        paths.collect()
    }

    /// Against what requests say: a path that the narrow one matches and the wide one does not, one that both match.
    #[test]
    fn paths_against_requests() {
        let parse = |text| PathPattern::parse(text).expect("a pattern");
        let samples = samples();
        for (one, other) in PATHS.iter().flat_map(|one| PATHS.map(|other| (*one, other))) {
            let (p, q) = (parse(one), parse(other));
            let escapes = samples.iter().any(|path| q.matches(path) && !p.matches(path));
            let both = samples.iter().any(|path| q.matches(path) && p.matches(path));
            assert_eq!(path_covers(&p, &q), !escapes, "{one} covers {other}");
            assert_eq!(paths_meet(&p, &q), both, "{one} meets {other}");
        }
    }

    #[test]
    fn hosts_against_requests() {
        let parse = |text| HostPattern::parse(text).expect("a pattern");
        let samples = ["a.com", "b.a.com", "x.b.a.com", "x.a.com", "xa.com", "com"];
        for (one, other) in HOSTS.iter().flat_map(|one| HOSTS.map(|other| (*one, other))) {
            let (p, q) = (parse(one), parse(other));
            let escapes = samples.iter().any(|name| q.matches(name) && !p.matches(name));
            let both = samples.iter().any(|name| q.matches(name) && p.matches(name));
            assert_eq!(host_covers(&p, &q), !escapes, "{one} covers {other}");
            assert_eq!(hosts_meet(&p, &q), both, "{one} meets {other}");
        }
    }
}

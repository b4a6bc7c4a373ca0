//! Rules that no request can reach, because earlier ones take all they could match.

use super::index::{RuleIndex, Trie};
use super::{HostPattern, Match, PathPattern, SegmentPattern};
use crate::order;
use crate::policy::RuleMode;

/// Rules that share host and path and differ only in what else they ask are compared each with each:
/// for a thousand of them that is half a million. Beyond this the search ends with what it has found;
/// a rule that it does not name is dead weight, never a hole.
const MAX_COMPARISONS: usize = 2_000_000;
/// The same for nodes of the index and the globs that stand in them: forty thousand globs side by side
/// would be compared each with each, and every worker of Envoy waits meanwhile.
const MAX_VISITS: usize = 20_000_000;

/// What may still be looked at.
struct Budget {
    comparisons: usize,
    visits: usize,
}

/// The matchers that no request can reach, each with the earlier ones that take all it could match.
/// Shadow rules take nothing from those behind them. Positions in policy order.
///
/// An earlier rule has to take a whole host and path of the later one; that two rules take half
/// of it each is not seen.
pub fn unreachable(matchers: &[(&Match, RuleMode)]) -> Vec<(usize, Vec<usize>)> {
    let mut before = RuleIndex::default();
    let mut found = Vec::new();
    let mut budget = Budget {
        comparisons: MAX_COMPARISONS,
        visits: MAX_VISITS,
    };
    for (position, (matcher, mode)) in matchers.iter().enumerate() {
        if let Some(by) = covered_by(&before, matchers, matcher, &mut budget) {
            found.push((position, by));
        }
        if *mode == RuleMode::Enforce {
            before.insert(position, matcher);
        }
    }
    found
}

fn covered_by(
    before: &RuleIndex,
    matchers: &[(&Match, RuleMode)],
    matcher: &Match,
    budget: &mut Budget,
) -> Option<Vec<usize>> {
    let mut by = Vec::new();
    for host in matcher.host_patterns() {
        for path in matcher.path_patterns() {
            let mut lists = Vec::new();
            for trie in tries_covering(before, host) {
                walk(trie, 0, &path.segments, path, &mut lists, &mut budget.visits)?;
            }
            let comparisons = lists.iter().map(|list| list.len()).sum();
            budget.comparisons = budget.comparisons.checked_sub(comparisons)?;
            // CONNECT without a path: any path fits, and only a rule that lists the method takes it.
            let pathless = path.tail && path.segments.is_empty() && matcher.lists_connect();
            let takes = |earlier: &Match| asks_no_more(earlier, matcher) && (!pathless || earlier.lists_connect());
            let candidates = lists.into_iter().flatten().copied();
            let takers = candidates.filter(|earlier| matchers.get(*earlier).is_some_and(|(m, _)| takes(m)));
            let taker = takers.min()?;
            by.push(taker);
        }
    }
    Some(order::distinct(by, usize::cmp))
}

fn tries_covering<'i>(before: &'i RuleIndex, host: &'i HostPattern) -> Vec<&'i Trie> {
    match host {
        HostPattern::Any => vec![before.any_trie()],
        HostPattern::Exact(name) => before.tries(name.as_bytes()).collect(),
        HostPattern::Wildcard(parent) => {
            let parents = parent.match_indices('.').filter_map(|(dot, _)| parent.get(dot + 1..));
            std::iter::once(parent.as_str())
                .chain(parents)
                .filter_map(|name| before.wildcard_trie(name.as_bytes()))
                .chain([before.any_trie()])
                .collect()
        }
    }
}

/// The rules whose path takes every path that `pattern` matches. None once `visits` are used up.
fn walk<'i>(
    trie: &'i Trie,
    at: usize,
    rest: &[SegmentPattern],
    pattern: &PathPattern,
    lists: &mut Vec<&'i [usize]>,
    visits: &mut usize,
) -> Option<()> {
    let Some(node) = trie.node(at) else { return Some(()) };
    *visits = visits.checked_sub(1 + node.globs.len())?;
    lists.push(&node.tails);
    let Some((segment, rest)) = rest.split_first() else {
        if !pattern.tail {
            lists.push(&node.ends);
        }
        return Some(());
    };
    let literal = match segment {
        SegmentPattern::Literal(text) => node.literal.get(text.as_bytes()).copied(),
        _ => None,
    };
    let empty = matches!(segment, SegmentPattern::Literal(text) if text.is_empty());
    let one = node.one.filter(|_| !empty);
    let globs = node
        .globs
        .iter()
        .filter(|(glob, _)| glob.covers(segment))
        .map(|(_, child)| *child);
    for child in literal.into_iter().chain(one).chain(globs) {
        walk(trie, child, rest, pattern, lists, visits)?;
    }
    Some(())
}

/// Whether `earlier`, host and path aside, holds whenever `later` does.
fn asks_no_more(earlier: &Match, later: &Match) -> bool {
    fn any_of<T>(earlier: &[T], later: &[T], covers: impl Fn(&T, &T) -> bool) -> bool {
        earlier.is_empty() || (!later.is_empty() && later.iter().all(|l| earlier.iter().any(|e| covers(e, l))))
    }
    fn all_of<T: PartialEq>(earlier: &[T], later: &[T]) -> bool {
        earlier.iter().all(|e| later.contains(e))
    }
    // Taken apart, so that a new condition cannot be forgotten here.
    let Match {
        hosts: _,
        paths: _,
        methods,
        headers,
        cookies,
        query,
        grpc,
        peers,
        client_ip,
        not,
    } = earlier;
    any_of(methods, &later.methods, |e, l| e == l)
        && any_of(grpc, &later.grpc, |e, l| {
            e.service == l.service && (e.method.is_none() || e.method == l.method)
        })
        && any_of(peers, &later.peers, |e, l| e == l)
        && any_of(client_ip, &later.client_ip, |e, l| e.covers(l))
        && all_of(headers, &later.headers)
        && all_of(cookies, &later.cookies)
        && all_of(query, &later.query)
        && (not.is_none() || *not == later.not)
}

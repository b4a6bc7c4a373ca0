//! From host and path to the rules that could match, without looking at the others: a trie of
//! path segments for every host that rules name.

use super::{HostPattern, Match, PathPattern, PolicyMap, SegmentPattern};
use crate::request::Request;
use crate::request::path::{Path, Segments};

/// Built once from all rules; answers «which rules could this request meet», in policy order.
#[derive(Debug, Default)]
pub struct RuleIndex {
    /// Places in `tries`.
    exact: PolicyMap<Box<[u8]>, usize>,
    /// By parent: `example.com` for `*.example.com`.
    wildcard: PolicyMap<Box<[u8]>, usize>,
    tries: Vec<Trie>,
    any: Trie,
}

impl RuleIndex {
    /// `matchers` in policy order.
    pub fn build<'a>(matchers: impl Iterator<Item = &'a Match>) -> Self {
        let mut index = Self::default();
        for (position, matcher) in matchers.enumerate() {
            index.insert(position, matcher);
        }
        index
    }

    pub(super) fn insert(&mut self, position: usize, matcher: &Match) {
        for host in matcher.host_patterns() {
            let new = self.tries.len();
            let at = match host {
                HostPattern::Exact(name) => *self.exact.entry(key(name)).or_insert(new),
                HostPattern::Wildcard(parent) => *self.wildcard.entry(key(parent)).or_insert(new),
                HostPattern::Any => usize::MAX,
            };
            if at == new {
                self.tries.push(Trie::default());
            }
            let trie = self.tries.get_mut(at).unwrap_or(&mut self.any);
            for path in matcher.path_patterns() {
                trie.insert(position, path);
            }
        }
    }

    /// Positions of the rules whose host and path fit, ascending, each once.
    pub fn candidates(&self, request: &Request) -> Candidates<'_> {
        let mut candidates = Candidates::default();
        self.tries(request.host.name_bytes())
            .for_each(|trie| trie.collect(request.path.as_ref(), &mut candidates));
        candidates
    }

    /// The tries of this name, of every parent of it, and of `*`.
    pub(super) fn tries<'i, 'n>(&'i self, name: &'n [u8]) -> impl Iterator<Item = &'i Trie> + use<'i, 'n> {
        let wildcard = (!self.wildcard.is_empty()).then(|| name.iter().enumerate().filter(|(_, b)| **b == b'.'));
        let parents = wildcard
            .into_iter()
            .flatten()
            .filter_map(|(dot, _)| self.wildcard_trie(name.get(dot + 1..)?));
        let exact = self.exact.get(name).and_then(|at| self.tries.get(*at));
        exact.into_iter().chain(parents).chain(std::iter::once(&self.any))
    }

    pub(super) fn wildcard_trie(&self, parent: &[u8]) -> Option<&Trie> {
        self.tries.get(*self.wildcard.get(parent)?)
    }

    pub(super) fn any_trie(&self) -> &Trie {
        &self.any
    }
}

/// As requests hold it, whose texts are bytes.
fn key(text: &str) -> Box<[u8]> {
    text.as_bytes().into()
}

/// Several ascending lists, read as one.
#[derive(Debug, Default)]
pub struct Candidates<'i> {
    /// Few requests meet more: these cost no allocation.
    few: [&'i [usize]; 4],
    more: Vec<&'i [usize]>,
}

impl<'i> Candidates<'i> {
    fn add(&mut self, list: &'i [usize]) {
        if list.is_empty() {
            return;
        }
        match self.few.iter_mut().find(|place| place.is_empty()) {
            Some(place) => *place = list,
            None => self.more.push(list),
        }
    }
}

impl Iterator for Candidates<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let lists = self.few.iter().chain(&self.more);
        let next = lists.filter_map(|list| list.first().copied()).min()?;
        for list in self.few.iter_mut().chain(&mut self.more) {
            // A rule may stand in several lists: all of them step over it.
            if list.first() == Some(&next) {
                *list = list.get(1..).unwrap_or_default();
            }
        }
        Some(next)
    }
}

/// Path patterns by segment. Nodes live in one vector; the first is the root.
#[derive(Debug)]
pub(super) struct Trie {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
pub(super) struct Node {
    pub literal: PolicyMap<Box<[u8]>, usize>,
    pub one: Option<usize>,
    pub globs: Vec<(SegmentPattern, usize)>,
    /// The same by their parts, so that building does not look through all of them.
    glob_at: PolicyMap<Box<[u8]>, usize>,
    /// Rules whose pattern ends here.
    pub ends: Vec<usize>,
    /// Rules whose pattern goes on with `/**` here.
    pub tails: Vec<usize>,
}

impl Node {
    /// Whether nothing that is left of a path can matter.
    fn is_last(&self) -> bool {
        self.ends.is_empty() && self.literal.is_empty() && self.one.is_none() && self.globs.is_empty()
    }
}

impl Default for Trie {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
        }
    }
}

impl Trie {
    fn insert(&mut self, position: usize, pattern: &PathPattern) {
        let mut at = 0;
        for segment in &pattern.segments {
            at = self.child(at, segment);
        }
        if let Some(node) = self.nodes.get_mut(at) {
            let list = if pattern.tail { &mut node.tails } else { &mut node.ends };
            if list.last() != Some(&position) {
                list.push(position);
            }
        }
    }

    fn child(&mut self, at: usize, segment: &SegmentPattern) -> usize {
        let new = self.nodes.len();
        let Some(node) = self.nodes.get_mut(at) else {
            return at;
        };
        let child = match segment {
            SegmentPattern::Literal(text) => *node.literal.entry(key(text)).or_insert(new),
            SegmentPattern::One | SegmentPattern::Capture(_) => *node.one.get_or_insert(new),
            // No segment holds a slash.
            SegmentPattern::Glob(parts) => *node.glob_at.entry(key(&parts.join("/"))).or_insert_with(|| {
                node.globs.push((segment.clone(), new));
                new
            }),
        };
        if child == new {
            self.nodes.push(Node::default());
        }
        child
    }

    pub(super) fn node(&self, at: usize) -> Option<&Node> {
        self.nodes.get(at)
    }

    /// A request without a path meets only rules that ask for none.
    fn collect<'i>(&'i self, path: Option<&Path>, candidates: &mut Candidates<'i>) {
        match path {
            Some(path) => self.walk(0, path.segments(), candidates),
            None => candidates.add(self.node(0).map_or(&[], |root| &root.tails)),
        }
    }

    /// Visits each node at most once for a path, however long the path is.
    fn walk<'i>(&'i self, at: usize, mut rest: Segments<'_>, candidates: &mut Candidates<'i>) {
        let Some(node) = self.node(at) else { return };
        candidates.add(&node.tails);
        if node.is_last() {
            return;
        }
        let Some(segment) = rest.next() else {
            candidates.add(&node.ends);
            return;
        };
        if let Some(child) = node.literal.get(segment) {
            self.walk(*child, rest.clone(), candidates);
        }
        if let (Some(child), false) = (node.one, segment.is_empty()) {
            self.walk(child, rest.clone(), candidates);
        }
        for (glob, child) in &node.globs {
            if glob.matches(segment) {
                self.walk(*child, rest.clone(), candidates);
            }
        }
    }
}

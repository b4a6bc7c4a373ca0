//! Requests at the edges of a matcher: what it just takes, and what it just does not.

use super::asked::Asked;
use super::caller::Known;
use crate::authn::{Claim, ClaimPath, Principal};
use crate::authz::{Condition, Wanted};
use crate::header::Headers;
use crate::policy::{Gate, Policy};
use crate::rule::{HostPattern, Match, PathPattern, SegmentPattern, ValueMatch};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

/// What stands for one segment, one label, one captured text.
const ANY: &str = "x1";
/// Of a rule with hundreds of hosts or paths the first stand for all.
const MOST_OF_A_LIST: usize = 64;

/// One request, before it is written down.
#[derive(Clone, Debug, Default)]
struct Draft {
    method: String,
    host: String,
    /// None: CONNECT.
    path: Option<String>,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    cookies: Vec<(String, String)>,
    ip: Option<IpAddr>,
    peer: Option<String>,
}

/// A request and callers who may be worth a look there.
#[derive(Debug)]
pub struct Edge {
    pub asked: Asked,
    /// At the edges of what the rule requires of callers; the first meets it.
    pub callers: Arc<[Known]>,
}

/// Each once, over all policies.
#[derive(Debug, Default)]
pub struct Edges {
    seen: BTreeSet<String>,
    pub found: Vec<Edge>,
    most: usize,
    /// A host that rules name, for those that name none: what they take others may take as well.
    known_host: Option<String>,
}

impl Edges {
    /// More are not looked for.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            ..Self::default()
        }
    }

    pub fn of(&mut self, policy: &Policy) {
        let patterns = policy.rules.iter().flat_map(|rule| &rule.matcher.hosts);
        self.known_host = patterns
            .filter(|pattern| **pattern != HostPattern::Any)
            .map(host)
            .next();
        for rule in &policy.rules {
            if self.is_full() {
                return;
            }
            let callers: Arc<[Known]> = rule.gate().map(callers).unwrap_or_default().into();
            self.around(&rule.matcher, &callers);
        }
        let jwks = policy
            .assertion
            .as_ref()
            .and_then(|assertion| assertion.jwks_path.clone());
        self.push(
            Draft {
                path: jwks.clone(),
                ..Draft::of(&Match::default())
            },
            &Arc::default(),
        );
    }

    pub fn is_full(&self) -> bool {
        self.found.len() >= self.most
    }

    /// One thing at a time is other than the rule wants it.
    fn around(&mut self, matcher: &Match, callers: &Arc<[Known]>) {
        let mut base = Draft::of(matcher);
        if let (Some(known), [] | [HostPattern::Any]) = (&self.known_host, matcher.hosts.as_slice()) {
            base.host.clone_from(known);
        }
        self.push(base.clone(), callers);
        // Elsewhere the first stands for all.
        let callers = &callers.first().cloned().into_iter().collect();
        for host in hosts(&matcher.hosts) {
            self.push(Draft { host, ..base.clone() }, callers);
        }
        for path in paths(&matcher.paths, base.path.as_deref()) {
            let path = Some(path);
            self.push(Draft { path, ..base.clone() }, callers);
        }
        let others = ["GET", "POST", "DELETE"].map(str::to_owned);
        for method in matcher.methods.iter().chain(&others) {
            let mut draft = base.clone();
            draft.method.clone_from(method);
            self.push(draft, callers);
        }
        let mut preflight = base.clone();
        preflight
            .headers
            .push(("origin".into(), "https://other.invalid".into()));
        preflight
            .headers
            .push(("access-control-request-method".into(), base.method.clone()));
        preflight.method = "OPTIONS".into();
        self.push(preflight, callers);
        self.conditions(matcher, &base, callers);
        if let Some(not) = &matcher.not {
            for draft in base.taken_away(not) {
                self.push(draft, callers);
            }
        }
    }

    fn conditions(&mut self, matcher: &Match, base: &Draft, callers: &Arc<[Known]>) {
        for (name, value) in &matcher.headers {
            let mut draft = base.clone();
            otherwise(&mut draft.headers, name.as_str(), value);
            self.push(draft, callers);
        }
        for (name, value) in &matcher.cookies {
            let mut draft = base.clone();
            otherwise(&mut draft.cookies, name, value);
            self.push(draft, callers);
        }
        for (name, value) in &matcher.query {
            let mut draft = base.clone();
            otherwise(&mut draft.query, name, value);
            self.push(draft, callers);
        }
        if !matcher.client_ip.is_empty() {
            let ip = Some(IpAddr::from([203, 0, 113, 9]));
            self.push(Draft { ip, ..base.clone() }, callers);
        }
        if !matcher.peers.is_empty() {
            let peer = Some(format!("spiffe://other.invalid/{ANY}"));
            self.push(Draft { peer, ..base.clone() }, callers);
            let peer = None;
            self.push(Draft { peer, ..base.clone() }, callers);
        }
        if !matcher.grpc.is_empty() {
            let mut draft = base.clone();
            draft.headers.retain(|(name, _)| name != "content-type");
            self.push(draft, callers);
        }
    }

    fn push(&mut self, draft: Draft, callers: &Arc<[Known]>) {
        if self.is_full() || (draft.path.is_none() && draft.method != "CONNECT") {
            return;
        }
        // Whom it is for counts, too: two rules may want other callers of one request.
        if self.seen.insert(format!("{draft:?} {callers:?}")) {
            self.found.push(Edge {
                asked: draft.asked(),
                callers: callers.clone(),
            });
        }
    }
}

impl Draft {
    /// What the matcher takes, its `not` aside.
    fn of(matcher: &Match) -> Self {
        let first_path = matcher.paths.first().map_or(format!("/{ANY}"), fitting);
        let mut draft = Self {
            method: matcher.methods.first().cloned().unwrap_or("GET".into()),
            host: matcher.hosts.first().map_or("other.invalid".to_owned(), host),
            path: Some(first_path),
            ip: Some(
                matcher
                    .client_ip
                    .first()
                    .map_or(IpAddr::from([192, 0, 2, 1]), |range| range.network),
            ),
            peer: matcher.peers.first().map(|peer| {
                let segments: Vec<_> = peer.0.iter().map(|s| if s == "*" { ANY } else { s }).collect();
                format!("spiffe://{}", segments.join("/"))
            }),
            ..Self::default()
        };
        draft.meet(matcher);
        draft
    }

    /// Headers and the like as the matcher wants them.
    fn meet(&mut self, matcher: &Match) {
        if let Some(grpc) = matcher.grpc.first() {
            self.headers.push(("content-type".into(), "application/grpc".into()));
            let method = grpc.method.as_deref().unwrap_or(ANY);
            self.path = Some(format!("/{}/{method}", grpc.service));
            self.method = "POST".into();
        }
        for (name, value) in &matcher.headers {
            as_wanted(&mut self.headers, name.as_str(), value);
        }
        for (name, value) in &matcher.cookies {
            as_wanted(&mut self.cookies, name, value);
        }
        for (name, value) in &matcher.query {
            as_wanted(&mut self.query, name, value);
        }
        if self.method == "CONNECT" {
            self.path = None;
        }
    }

    /// The same, but as `not` has it.
    fn taken_away(&self, not: &Match) -> Vec<Self> {
        let mut base = self.clone();
        if let Some(first) = not.hosts.first() {
            base.host = host(first);
        }
        if let Some(first) = not.methods.first() {
            base.method.clone_from(first);
        }
        if let Some(range) = not.client_ip.first() {
            base.ip = Some(range.network);
        }
        base.meet(not);
        let mut all = vec![base.clone()];
        for path in paths(&not.paths, base.path.as_deref()) {
            let path = Some(path);
            all.push(Self { path, ..base.clone() });
        }
        all
    }

    fn asked(self) -> Asked {
        let mut headers = Headers::default();
        let mut push = |name: &str, value: &str| headers.push(name.as_bytes(), &[value.as_bytes()]);
        push(":method", &self.method);
        push(":scheme", "https");
        push(":authority", &self.host);
        if let Some(mut path) = self.path {
            for (at, (name, value)) in self.query.iter().enumerate() {
                path.push(if at == 0 { '?' } else { '&' });
                path.push_str(&format!("{}={}", encoded(name), encoded(value)));
            }
            push(":path", &path);
        }
        for (name, value) in &self.headers {
            push(name, value);
        }
        if !self.cookies.is_empty() {
            let cookies: Vec<_> = self
                .cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            push("cookie", &cookies.join("; "));
        }
        Asked {
            headers: Arc::new(headers),
            body_bytes: None,
            from: super::From {
                ip: self.ip,
                tls: true,
                peer: self.peer,
            },
        }
    }
}

fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn host(host: &HostPattern) -> String {
    match host {
        HostPattern::Exact(name) => name.clone(),
        HostPattern::Wildcard(parent) => format!("{ANY}.{parent}"),
        HostPattern::Any => "other.invalid".to_owned(),
    }
}

/// Those that fit, the parent of a wildcard, a sibling of each, and one that nobody names.
fn hosts(patterns: &[HostPattern]) -> Vec<String> {
    let mut all = vec!["other.invalid".to_owned()];
    for pattern in patterns.iter().take(MOST_OF_A_LIST) {
        all.push(host(pattern));
        match pattern {
            HostPattern::Exact(name) => all.push(format!("{ANY}.{name}")),
            HostPattern::Wildcard(parent) => all.extend([parent.clone(), format!("{ANY}.{ANY}.{parent}")]),
            HostPattern::Any => {}
        }
    }
    all
}

fn fitting(pattern: &PathPattern) -> String {
    let mut path = String::new();
    for segment in &pattern.segments {
        path.push('/');
        match segment {
            SegmentPattern::Literal(literal) => path.push_str(literal),
            SegmentPattern::One | SegmentPattern::Capture(_) => path.push_str(ANY),
            SegmentPattern::Glob(parts) => path.push_str(&parts.join(ANY)),
        }
    }
    match path.is_empty() {
        true => "/".to_owned(),
        false => path,
    }
}

/// Of each that fits: itself, with a slash, a segment more, a sibling, its parent; and what only `paths_raw` takes.
fn paths(patterns: &[PathPattern], base: Option<&str>) -> Vec<String> {
    let mut all = Vec::new();
    for pattern in patterns.iter().take(MOST_OF_A_LIST) {
        let path = fitting(pattern);
        let below = path.strip_suffix('/').unwrap_or(&path);
        all.extend([
            path.clone(),
            format!("{below}/"),
            format!("{below}/{ANY}"),
            format!("{below}/{ANY}/{ANY}"),
            format!("{path}{ANY}"),
        ]);
        if let Some((parent, _)) = path.rsplit_once('/') {
            all.push(if parent.is_empty() {
                "/".to_owned()
            } else {
                parent.to_owned()
            });
        }
    }
    let base = base.unwrap_or("/");
    all.extend([format!("{base};a"), format!("{base}//a"), format!("{base}%2Fa")]);
    all
}

fn as_wanted(pairs: &mut Vec<(String, String)>, name: &str, value: &ValueMatch) {
    let text = match value {
        ValueMatch::Exact(text) | ValueMatch::Contains(text) => text.clone(),
        ValueMatch::Prefix(text) => format!("{text}{ANY}"),
        ValueMatch::Suffix(text) => format!("{ANY}{text}"),
        ValueMatch::Present(true) => ANY.to_owned(),
        ValueMatch::Present(false) => return,
    };
    pairs.push((name.to_owned(), text));
}

fn otherwise(pairs: &mut Vec<(String, String)>, name: &str, value: &ValueMatch) {
    pairs.retain(|(other, _)| other != name);
    if let ValueMatch::Present(false) = value {
        pairs.push((name.to_owned(), ANY.to_owned()));
    }
}

/// One whom `require` lets in, then those who have another of the values that would do, or one that must not be there.
/// None where it asks nothing of callers.
fn callers(gate: &Gate) -> Vec<Known> {
    let Some(Known(first)) = meeting(gate) else {
        return Vec::new();
    };
    let require = &gate.require;
    let mut all = vec![Known(first.clone())];
    for (at, values) in others(&require.groups) {
        let groups = at.map_or(first.groups.clone(), |first_of| without(&first.groups, first_of));
        all.push(Known(Principal {
            groups: groups.into_iter().chain(values).collect(),
            ..first.clone()
        }));
    }
    for (at, values) in others(&require.scopes) {
        let scopes = at.map_or(first.scopes.clone(), |first_of| without(&first.scopes, first_of));
        all.push(Known(Principal {
            scopes: scopes.into_iter().chain(values).collect(),
            ..first.clone()
        }));
    }
    all
}

/// Values to add, and which one they stand in place of.
fn others(condition: &Condition) -> Vec<(Option<String>, Option<String>)> {
    let first = condition.any_of.first().map(text);
    let instead = condition
        .any_of
        .iter()
        .skip(1)
        .map(|wanted| (first.clone(), Some(text(wanted))));
    let besides = condition.none_of.iter().map(|wanted| (None, Some(text(wanted))));
    let dropped = condition.all_of.iter().map(|wanted| (Some(text(wanted)), None));
    instead.chain(besides).chain(dropped).take(MOST_OF_A_LIST).collect()
}

fn without(values: &[String], gone: String) -> Vec<String> {
    values.iter().filter(|value| **value != gone).cloned().collect()
}

fn text(wanted: &Wanted) -> String {
    match wanted {
        Wanted::Text(text) => text.clone(),
        Wanted::PathCapture(_) => ANY.to_owned(),
    }
}

/// Somebody whom `require` lets in; None where it asks nothing of callers.
fn meeting(gate: &Gate) -> Option<Known> {
    let require = &gate.require;
    if require.is_empty() {
        return None;
    }
    let values = |condition: &Condition| -> Vec<String> {
        condition
            .any_of
            .iter()
            .take(1)
            .chain(&condition.all_of)
            .map(text)
            .collect()
    };
    let mut claims: Vec<(String, Claim)> = Vec::new();
    for (ClaimPath(names), condition) in &require.claims {
        let mut values = values(condition);
        let mut claim = match values.len() {
            1 => Claim::Scalar(values.remove(0)),
            0 => Claim::Scalar(ANY.to_owned()),
            _ => Claim::List(values),
        };
        let Some((first, inner)) = names.split_first() else {
            continue;
        };
        for name in inner.iter().rev() {
            claim = Claim::Object([(name.clone(), claim)].into_iter().collect());
        }
        claims.push((first.clone(), claim));
    }
    Some(Known(Principal {
        authenticator: require.authenticators.first().cloned().unwrap_or_default(),
        subject: "somebody".to_owned(),
        groups: values(&require.groups),
        scopes: values(&require.scopes),
        claims,
        variants: vec![],
    }))
}

//! Which rule a request meets: the first that matches, found at a cost that does not grow with
//! the number of rules.

mod cidr;
mod cover;
mod hash;
mod host;
mod index;
mod path;
mod value;
#[cfg(feature = "cli")]
mod why;

pub use cidr::Cidr;
pub use cover::unreachable;
pub use hash::{PolicyMap, WordHasher};
pub use host::HostPattern;
pub use index::RuleIndex;
pub use path::{PathPattern, SegmentPattern};
pub use value::ValueMatch;
#[cfg(feature = "cli")]
pub use why::Part;

use crate::header::HeaderName;
use crate::peer::PeerPattern;
use crate::policy::{Policy, Rule, RuleMode};
use crate::request::{Connection, Request, cookie, query};
use std::sync::Arc;

/// Every list is «any of», an empty one asks nothing; the lists themselves all have to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    pub hosts: Vec<HostPattern>,
    pub paths: Vec<PathPattern>,
    /// As sent: methods are case-sensitive (RFC 9110).
    pub methods: Vec<String>,
    /// All of these (and of cookies and query) must hold.
    pub headers: Vec<(HeaderName, ValueMatch)>,
    pub cookies: Vec<(String, ValueMatch)>,
    pub query: Vec<(String, ValueMatch)>,
    pub grpc: Vec<GrpcMatch>,
    pub peers: Vec<PeerPattern>,
    pub client_ip: Vec<Cidr>,
    /// A request that this matches is not matched.
    pub not: Option<Box<Match>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcMatch {
    pub service: String,
    /// None: every method of the service.
    pub method: Option<String>,
}

/// The rule that decides, if any, and the shadow rules met on the way to it.
#[derive(Debug)]
pub struct Found {
    pub rule: Option<Arc<Rule>>,
    pub shadows: Vec<Arc<Rule>>,
}

/// The first rule that matches. Shadow rules do not end the search.
pub fn find(policy: &Policy, request: &Request, connection: &dyn Connection) -> Found {
    let mut shadows = Vec::new();
    for position in policy.index.candidates(request) {
        let Some(rule) = policy.rules.get(position) else {
            continue;
        };
        if !rule.matcher.takes(request, connection) {
            continue;
        }
        match rule.mode {
            RuleMode::Shadow => shadows.push(rule.clone()),
            RuleMode::Enforce => {
                return Found {
                    rule: Some(rule.clone()),
                    shadows,
                };
            }
        }
    }
    Found { rule: None, shadows }
}

impl Match {
    /// `hosts`, or any where none is named.
    fn host_patterns(&self) -> &[HostPattern] {
        match self.hosts.as_slice() {
            [] => &[HostPattern::Any],
            hosts => hosts,
        }
    }

    /// `paths`, or any where none is named.
    fn path_patterns(&self) -> &[PathPattern] {
        const ANY: &[PathPattern] = &[PathPattern {
            segments: Vec::new(),
            tail: true,
        }];
        match self.paths.as_slice() {
            [] => ANY,
            paths => paths,
        }
    }

    /// Whether a request whose host and path fit is taken. CONNECT names no path: a rule without
    /// paths would take it unasked. Not so its `not`: that takes nothing, it keeps away.
    fn takes(&self, request: &Request, connection: &dyn Connection) -> bool {
        (request.path.is_some() || self.lists_connect()) && self.conditions_hold(request, connection)
    }

    fn lists_connect(&self) -> bool {
        self.methods.iter().any(|method| method == "CONNECT")
    }

    /// Whether host and path fit, too: for `not` and audiences, which the index does not hold.
    pub(crate) fn holds(&self, request: &Request, connection: &dyn Connection) -> bool {
        let path_fits = |pattern: &PathPattern| request.path.as_ref().is_some_and(|path| pattern.matches(path));
        (self.hosts.is_empty() || self.hosts.iter().any(|host| host.matches(request.host.name())))
            && (self.paths.is_empty() || self.paths.iter().any(path_fits))
            && self.conditions_hold(request, connection)
    }

    /// Everything but host and path. What costs a call into the proxy comes last.
    fn conditions_hold(&self, request: &Request, connection: &dyn Connection) -> bool {
        // Taken apart, so that a new condition cannot be forgotten here.
        let Self {
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
        } = self;
        let intended = |methods: &[String]| {
            let asked = request.intended_method();
            methods.iter().any(|method| method == asked)
        };
        (methods.is_empty() || intended(methods))
            && headers
                .iter()
                .all(|(name, value)| value.holds(request.headers.all(name.as_str())))
            && cookies.iter().all(|(name, value)| {
                let name = name.as_bytes();
                let cookies = request.cookies_in(|header| cookie::may_name(header, name));
                value.holds(cookies.filter(|(n, _)| *n == name).map(|(_, v)| v))
            })
            && query.iter().all(|(name, value)| {
                let parameters = query::parameters(request.query().unwrap_or_default());
                value.holds(parameters.filter(|(n, _)| n[..] == *name.as_bytes()).map(|(_, v)| v))
            })
            && (grpc.is_empty() || grpc.iter().any(|grpc| grpc.holds(request)))
            && (client_ip.is_empty()
                || connection
                    .source_ip()
                    .is_some_and(|ip| client_ip.iter().any(|range| range.contains(ip))))
            && (peers.is_empty()
                || connection
                    .peer()
                    .is_some_and(|peer| peers.iter().any(|pattern| pattern.matches(&peer))))
            && !not.as_ref().is_some_and(|not| not.holds(request, connection))
    }
}

impl GrpcMatch {
    /// gRPC's path is `/package.Service/Method`.
    fn holds(&self, request: &Request) -> bool {
        let Some(path) = request.path.as_ref().filter(|_| request.is_grpc()) else {
            return false;
        };
        let mut segments = path.segments();
        segments.next() == Some(self.service.as_bytes())
            && segments
                .next()
                .is_some_and(|method| self.method.as_ref().is_none_or(|wanted| wanted.as_bytes() == method))
            && segments.next().is_none()
    }
}

//! Why a rule does not take a request: each condition of its match alone, put to the code that decides.

use super::{Cidr, GrpcMatch, HostPattern, Match, PathPattern, RuleIndex, ValueMatch};
use crate::header::HeaderName;
use crate::peer::PeerPattern;
use crate::request::{Connection, Request};

/// A condition of a match.
#[derive(Clone, Copy, Debug)]
pub enum Part<'m> {
    Hosts(&'m [HostPattern]),
    Paths(&'m [PathPattern]),
    /// The request names no path, and the rule does not list CONNECT.
    NoPath,
    Methods(&'m [String]),
    Header(&'m HeaderName, &'m ValueMatch),
    Cookie(&'m str, &'m ValueMatch),
    Query(&'m str, &'m ValueMatch),
    Grpc(&'m [GrpcMatch]),
    ClientIp(&'m [Cidr]),
    Peers(&'m [PeerPattern]),
    Not(&'m Match),
}

impl Match {
    /// The conditions that do not hold; none where the rule takes the request. A rule of other hosts is not asked
    /// anything else.
    pub fn unmet(&self, request: &Request, connection: &dyn Connection) -> Vec<Part<'_>> {
        // Taken apart, so that a new condition cannot be forgotten here.
        let Self {
            hosts,
            paths,
            methods,
            headers,
            cookies,
            query,
            grpc,
            peers,
            client_ip,
            not,
        } = self;
        let any = Self::default;
        let placed = |alone: Self| {
            let index = RuleIndex::build(std::iter::once(&alone));
            index.candidates(request).next().is_some()
        };
        let holds = |alone: Self| alone.conditions_hold(request, connection);
        if !(hosts.is_empty() || hosts.iter().any(|host| host.matches(request.host.name()))) {
            return vec![Part::Hosts(hosts)];
        }
        let mut unmet = Vec::new();
        let mut note = |held: bool, part| {
            if !held {
                unmet.push(part);
            }
        };
        let path_fits = match &request.path {
            Some(path) => paths.is_empty() || paths.iter().any(|pattern| pattern.matches(path)),
            // What a request without one meets, the index alone knows.
            None => placed(Self {
                paths: paths.clone(),
                ..any()
            }),
        };
        note(path_fits, Part::Paths(paths));
        note(request.path.is_some() || self.lists_connect(), Part::NoPath);
        let alone = Self {
            methods: methods.clone(),
            ..any()
        };
        note(holds(alone), Part::Methods(methods));
        for pair in headers {
            let alone = Self {
                headers: vec![pair.clone()],
                ..any()
            };
            note(holds(alone), Part::Header(&pair.0, &pair.1));
        }
        for pair in cookies {
            let alone = Self {
                cookies: vec![pair.clone()],
                ..any()
            };
            note(holds(alone), Part::Cookie(&pair.0, &pair.1));
        }
        for pair in query {
            let alone = Self {
                query: vec![pair.clone()],
                ..any()
            };
            note(holds(alone), Part::Query(&pair.0, &pair.1));
        }
        let alone = Self {
            grpc: grpc.clone(),
            ..any()
        };
        note(holds(alone), Part::Grpc(grpc));
        let alone = Self {
            client_ip: client_ip.clone(),
            ..any()
        };
        note(holds(alone), Part::ClientIp(client_ip));
        let alone = Self {
            peers: peers.clone(),
            ..any()
        };
        note(holds(alone), Part::Peers(peers));
        if let Some(not) = not {
            let alone = Self {
                not: Some(not.clone()),
                ..any()
            };
            note(holds(alone), Part::Not(not));
        }
        unmet
    }
}

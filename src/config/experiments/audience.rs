//! Which callers an experiment is about, and which choose for themselves.

use super::one::Reader;
use crate::authz::Require;
use crate::config::matching;
use crate::config::names;
use crate::config::node::{Node, quoted};
use crate::config::place;
use crate::config::read::{Fields, Known};
use crate::config::require::{self, Around};
use crate::config::sink::Checked;
use crate::experiment::{Audience, Force};
use crate::policy::Place;
use crate::rule::Match;

const AUDIENCE: Known = Known {
    now: &[
        "groups",
        "scopes",
        "claims",
        "authenticators",
        "hosts",
        "headers",
        "cookies",
        "query",
        "client_ip",
        "peers",
    ],
    later: &[],
};
const FORCE: Known = Known {
    now: &["header", "cookie", "query", "require"],
    later: &[],
};

impl Reader<'_> {
    pub fn audience(&self, node: &Node) -> Checked<Audience> {
        let sink = self.sink;
        let fields = Fields::of(sink, node, &AUDIENCE)?;
        if fields.is_empty() {
            return Err(sink.fault(node, "empty audience: leave it out where every caller takes part"));
        }
        let matcher = matching::conditions(sink, &fields, self.verified_peers);
        let require = self.require(&fields);
        let (matcher, require): (Match, Require) = (matcher?, require?);
        Ok(Audience {
            // Of the connection, and so of nobody in particular: `matcher` has them.
            require: Require {
                peers: Vec::new(),
                ..require
            },
            matcher,
        })
    }

    /// Callers, not of one rule.
    fn require(&self, fields: &Fields) -> Checked<Require> {
        let sink = self.sink;
        let around = Around {
            rule: "",
            captured: None,
            authenticators: None,
            verified_peers: self.verified_peers,
        };
        let require = require::of_fields(sink, fields, &around)?;
        let known = self.authenticators.names();
        if let Some(name) = require.authenticators.iter().find(|name| !known.contains(&***name)) {
            let hint = sink.hint(name, known.iter().copied());
            return Err(sink.fault(fields.node, format!("no authenticator is named {}{hint}", quoted(name))));
        }
        match require.has_captures() {
            true => {
                let message = "{path.NAME} is of one rule, and an experiment may be of several";
                Err(sink.fault(fields.node, message))
            }
            false => Ok(require),
        }
    }

    pub fn force(&self, node: &Node) -> Checked<Force> {
        let sink = self.sink;
        let fields = Fields::of(sink, node, &FORCE)?;
        let header = fields.optional("header", |node| sink.parsed(node, names::identity).map(Place::Header));
        let cookie = fields.optional("cookie", |node| sink.parsed(node, place::one_cookie).map(Place::Cookie));
        let query = fields.optional("query", |node| sink.parsed(node, place::parameter).map(Place::Query));
        let require = fields
            .required("require", ": which callers may choose, as { groups: { any_of: [qa] } }")
            .and_then(|node| {
                let fields = Fields::of(sink, node, &require::FIELDS)?;
                match fields.is_empty() {
                    true => Err(sink.fault(node, "empty require: everybody could choose a variant")),
                    false => self.require(&fields),
                }
            });
        let mut places = Vec::new();
        for place in [header, cookie, query] {
            places.extend(place?);
        }
        if places.is_empty() {
            return Err(sink.fault(node, "nothing to choose by: write header, cookie or query"));
        }
        Ok(Force {
            places,
            require: require?,
        })
    }
}

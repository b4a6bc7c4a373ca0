//! `experiments`, and which of them a rule names.

#[cfg(feature = "cli")]
pub mod advice;
mod headers;
mod schedule;
mod share;

pub use headers::owned;

use super::authenticators::Authenticators;
use super::matching;
use super::names;
use super::node::{Entry, Node, quoted};
use super::place;
use super::read::{Fields, Known, all};
use super::require::{self, Around};
use super::sink::{Checked, Faulted, Sink};
use crate::authn::ClaimPath;
use crate::authz::Require;
use crate::experiment::{Audience, Coverage, Experiment, Force, Hash, Kind, Layer, Remember, Unit, Variants};
use crate::header::HeaderName;
use crate::policy::Place;
use crate::rule::Match;
use crate::strip::Strip;
use std::sync::Arc;
use std::time::Duration;

const EXPERIMENT: Known = Known {
    now: &[
        "unit",
        "sticky",
        "seed",
        "hash",
        "coverage",
        "variants",
        "outside",
        "audience",
        "layer",
        "schedule",
        "force",
        "header",
        "response_header",
        "remember",
        "bucket_header",
        "mode",
        "exposure",
    ],
    later: &[],
};
/// What says who gets what: Envoy's route says it where there is a bucket.
const OF_VARIANTS: [&str; 11] = [
    "hash",
    "coverage",
    "variants",
    "outside",
    "audience",
    "layer",
    "schedule",
    "force",
    "header",
    "response_header",
    "mode",
];
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
const LAYER: Known = Known {
    now: &["name", "range"],
    later: &[],
};
const REMEMBER: Known = Known {
    now: &["cookie", "max_age", "on_cacheable"],
    later: &[],
};
const EXPOSURE: Known = Known {
    now: &["window"],
    later: &[],
};
/// Each has counters of its own, one for each variant.
const MOST: usize = 256;
/// Each is computed for every request of the rule, about half a microsecond.
const MOST_OF_A_RULE: usize = 16;
/// They are looked for one after the other.
const MOST_UNITS: usize = 8;
/// It is hashed for every request.
const LONGEST_SEED: usize = 256;
/// Browsers keep no cookie longer (RFC 6265bis section 5.5).
const LONGEST_MEMORY: Duration = Duration::from_secs(400 * 24 * 3600);
const SHORTEST_MEMORY: Duration = Duration::from_secs(3600);
const WINDOW: Duration = Duration::from_secs(3600);
const LONGEST_WINDOW: Duration = Duration::from_secs(24 * 3600);

/// By name; one with faults is known, too.
pub struct Experiments<'a> {
    by_name: Vec<(&'a Entry, Checked<Arc<Experiment>>)>,
    /// None could be read: no name is unknown.
    faulted: Option<Faulted>,
}

impl<'a> Experiments<'a> {
    pub fn read(sink: &Sink, node: Option<&'a Node>, authenticators: &Authenticators, verified_peers: bool) -> Self {
        let entries = node.map_or(Ok(&[][..]), |node| {
            sink.at_most(node, MOST, "each has counters of its own in the proxy")?;
            sink.entries(node)
        });
        let experiments = entries.unwrap_or_default().iter();
        let around = Reader {
            sink,
            authenticators,
            verified_peers,
        };
        let found = Self {
            by_name: experiments.map(|entry| (entry, around.experiment(entry))).collect(),
            faulted: entries.err(),
        };
        found.layers(sink);
        found
    }

    /// `experiments` of a rule; `asks`: somebody may be known there.
    pub fn named(&self, sink: &Sink, node: &Node, asks: bool) -> Checked<Vec<Arc<Experiment>>> {
        sink.at_most(node, MOST_OF_A_RULE, "each is computed for every request of the rule")?;
        let names = sink.distinct(node, |item| {
            let name = sink.text(item)?;
            let found = self.find(name).ok_or_else(|| self.unknown(sink, item, name))?;
            match found {
                Ok(found) if !asks && found.units.iter().all(needs_caller) => {
                    let name = quoted(name);
                    let message = format!("{name} goes by the caller, and authenticate: none asks for none");
                    Err(sink.fault(item, message))
                }
                known => known.as_ref().map(|_| name).map_err(|faulted| *faulted),
            }
        })?;
        let found = names.into_iter().filter_map(|name| self.find(name)?.as_ref().ok());
        Ok(found.cloned().collect())
    }

    /// Those without a fault, in the order of the policy.
    pub fn all(&self) -> Vec<Arc<Experiment>> {
        let found = self.by_name.iter().filter_map(|(_, found)| found.as_ref().ok());
        found.cloned().collect()
    }

    /// Headers that are removed from every request as nobody's word but the caller's, and those of credentials.
    pub fn check_headers(&self, sink: &Sink, strip: &Strip, credentials: &[Place]) -> Checked<()> {
        let mut result = Ok(());
        for (entry, found) in &self.by_name {
            let Ok(found) = found else { continue };
            let mut fault = |message: String| result = Err(sink.fault(&entry.node, message));
            let (mut read, mut own) = (Vec::new(), found.headers());
            read.extend(found.units.iter().filter_map(|unit| match unit {
                Unit::Header(name) => Some(name),
                _ => None,
            }));
            if let Kind::Variants(variants) = &found.kind {
                read.extend(variants.audience.matcher.headers.iter().map(|(name, _)| name));
                for place in variants.force.iter().flat_map(|force| &force.places) {
                    match place {
                        Place::Header(name) => own.push(name),
                        Place::Cookie(name) | Place::Query(name) if credentials.contains(place) => {
                            fault(format!("force.{name} is a credential: choose another name"));
                        }
                        _ => {}
                    }
                }
            }
            let is_credential = |name: &HeaderName| credentials.contains(&Place::Header(name.clone()));
            for name in read {
                let text = name.as_str();
                if strip.takes(text.as_bytes()) {
                    fault(format!(
                        "goes by {text}, which is removed from every request: whoever calls can write it"
                    ));
                } else if is_credential(name) {
                    fault(format!("goes by {text}, a credential: write subject"));
                }
            }
            for name in own.into_iter().filter(|name| is_credential(name)) {
                let name = name.as_str();
                fault(format!("{name} is where a credential stands: choose another name"));
            }
        }
        result
    }

    /// Experiments of one layer share no caller, so they hash the same of them, and no part of the layer twice.
    fn layers(&self, sink: &Sink) {
        for (at, (entry, found)) in self.by_name.iter().enumerate() {
            let Some((found, layer)) = layered(found) else { continue };
            for (earlier, other) in self.by_name.iter().take(at) {
                let Some((other, others)) = layered(other) else {
                    continue;
                };
                let name = &earlier.key;
                if others.name != layer.name {
                    continue;
                }
                if others.range.0 < layer.range.1 && layer.range.0 < others.range.1 {
                    let message = format!("its range of layer {} overlaps that of {name}", quoted(&layer.name));
                    sink.fault(&entry.node, message);
                }
                if (&found.units, found.sticky) != (&other.units, other.sticky) {
                    let message = format!(
                        "layer {} holds {name}, of another unit: one caller could be in both",
                        quoted(&layer.name)
                    );
                    sink.fault(&entry.node, message);
                }
            }
        }
    }

    fn find(&self, name: &str) -> Option<&Checked<Arc<Experiment>>> {
        let found = self.by_name.iter().find(|(entry, _)| entry.key == name)?;
        Some(&found.1)
    }

    fn unknown(&self, sink: &Sink, node: &Node, name: &str) -> Faulted {
        if let Some(faulted) = self.faulted {
            return faulted;
        }
        let hint = sink.hint(name, self.by_name.iter().map(|(entry, _)| entry.key.as_str()));
        sink.fault(node, format!("no experiment is named {}{hint}", quoted(name)))
    }
}

fn layered(found: &Checked<Arc<Experiment>>) -> Option<(&Experiment, &Layer)> {
    match found {
        Ok(found) => match &found.kind {
            Kind::Variants(variants) => Some((found, variants.layer.as_ref()?)),
            Kind::Bucket(_) => None,
        },
        Err(_) => None,
    }
}

fn needs_caller(unit: &Unit) -> bool {
    matches!(unit, Unit::Subject | Unit::Claim(_))
}

/// What each experiment is read with.
struct Reader<'r> {
    sink: &'r Sink,
    authenticators: &'r Authenticators<'r>,
    verified_peers: bool,
}

impl Reader<'_> {
    fn experiment(&self, entry: &Entry) -> Checked<Arc<Experiment>> {
        let (sink, node) = (self.sink, &entry.node);
        let name = names::label(&entry.key).map_err(|message| sink.fault_at(node, entry.at, message));
        let fields = Fields::of(sink, node, &EXPERIMENT)?;
        let units = fields
            .required("unit", ": write [subject], or what else tells callers apart")
            .and_then(|node| {
                sink.at_most(node, MOST_UNITS, "they are looked for one after the other")?;
                sink.distinct(node, |item| {
                    sink.parsed(item, unit)?;
                    sink.text(item)
                })?;
                sink.list(node, |item| sink.parsed(item, unit))
            });
        let sticky = fields.optional("sticky", |node| {
            sink.word(node, &[("first_seen", true)])?;
            match units.as_deref().map(|units| units.iter().any(is_cookie)) {
                Ok(false) => Err(sink.fault(node, "first_seen keeps a cookie's unit, and unit names no cookie")),
                _ => Ok(()),
            }
        });
        let seed = fields.optional("seed", |node| sink.parsed(node, seed));
        let remember = fields.optional("remember", |node| remember(sink, node, units.as_deref().ok()));
        let window = fields.optional("exposure", |node| window(sink, node));
        let kind = match fields.get("bucket_header") {
            Some(node) => self.bucket(&fields, node),
            None => self.variants(&fields).map(Box::new).map(Kind::Variants),
        };
        name?;
        let (units, kind) = (units?, kind?);
        self.own_cookies(&fields, &units, &kind)?;
        Ok(Arc::new(Experiment {
            name: entry.key.as_str().into(),
            units,
            sticky: sticky?.is_some(),
            seed: seed?.unwrap_or_else(|| entry.key.clone()),
            remember: remember?,
            exposure_window: window?.unwrap_or(WINDOW),
            kind,
        }))
    }

    fn bucket(&self, fields: &Fields, node: &Node) -> Checked<Kind> {
        let beside = OF_VARIANTS.iter().filter_map(|name| fields.get(name));
        let message =
            "cannot stand beside bucket_header: the route has the weights, and two owners of one is an incident";
        let alone = all(beside.map(|node| Err(self.sink.fault(node, message))));
        let header = self.sink.parsed(node, names::identity)?;
        alone.map(|_: Vec<()>| Kind::Bucket(header))
    }

    fn variants(&self, fields: &Fields) -> Checked<Variants> {
        let sink = self.sink;
        let words = [
            ("growthbook-v2", Hash::GrowthBookV2),
            ("growthbook-v1", Hash::GrowthBookV1),
            ("murmur3", Hash::Murmur3),
        ];
        let hash = fields.optional("hash", |node| sink.word(node, &words));
        let known_hash = hash.unwrap_or_default().unwrap_or_default();
        let header = fields
            .required("header", ": what routes match on, as x-variant-checkout")
            .and_then(|node| sink.parsed(node, names::identity));
        let response_header = fields.optional("response_header", |node| sink.parsed(node, names::identity));
        let coverage = fields.optional("coverage", |node| share::coverage(sink, node, known_hash));
        let schedule = fields.optional("schedule", |node| schedule::read(sink, node, known_hash));
        let owners = match (fields.get("schedule"), fields.get("coverage")) {
            (Some(node), Some(_)) => Err(sink.fault(node, "cannot stand beside coverage: each step has its own")),
            _ => Ok(()),
        };
        let variants = fields
            .required(
                "variants",
                ": write [{ name: control, weight: 50% }, …], or bucket_header",
            )
            .and_then(|node| share::read(sink, fields, node, known_hash));
        let outside = fields.optional("outside", |node| sink.parsed(node, headers::value));
        let audience = fields.optional("audience", |node| self.audience(node));
        let layer = fields.optional("layer", |node| layer(sink, node));
        let force = fields.optional("force", |node| self.force(node));
        let shadow = fields.optional("mode", |node| sink.word(node, &[("enforce", false), ("shadow", true)]));
        owners?;
        let coverage = match schedule? {
            Some(steps) => Coverage::Schedule(steps),
            None => Coverage::Always(coverage?.unwrap_or(1.0)),
        };
        let (variants, share) = variants?;
        Ok(Variants {
            hash: hash?.unwrap_or_default(),
            header: header?,
            response_header: response_header?,
            variants,
            share: share.covered(coverage),
            outside: outside?,
            audience: audience?.unwrap_or_default(),
            layer: layer?,
            force: force?,
            shadow: shadow?.unwrap_or(false),
        })
    }

    fn audience(&self, node: &Node) -> Checked<Audience> {
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

    fn force(&self, node: &Node) -> Checked<Force> {
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

    /// A cookie that says who somebody is does not say what they want: it would be removed.
    fn own_cookies(&self, fields: &Fields, units: &[Unit], kind: &Kind) -> Checked<()> {
        let Kind::Variants(variants) = kind else {
            return Ok(());
        };
        let mut places = variants.force.iter().flat_map(|force| &force.places);
        let taken = places.any(|place| match place {
            Place::Cookie(name) => units.contains(&Unit::Cookie(name.clone())),
            Place::Header(name) => units.contains(&Unit::Header(name.clone())),
            _ => false,
        });
        match fields.get("force").filter(|_| taken) {
            Some(node) => Err(self
                .sink
                .fault(node, "is removed for the upstream, and unit names it, too")),
            None => Ok(()),
        }
    }
}

fn is_cookie(unit: &Unit) -> bool {
    matches!(unit, Unit::Cookie(_))
}

fn unit(text: &str) -> Result<Unit, String> {
    match (text, text.split_once(':')) {
        ("subject", _) => Ok(Unit::Subject),
        ("client_ip", _) => Ok(Unit::ClientIp),
        (_, Some(("claim", path))) => ClaimPath::parse(path).map(Unit::Claim),
        (_, Some(("cookie", name))) => place::one_cookie(name).map(Unit::Cookie),
        (_, Some(("header", name))) => names::of_callers(name).map(Unit::Header),
        _ => Err(format!(
            "unknown unit {}: write subject, claim:NAME, cookie:NAME, header:NAME or client_ip",
            quoted(text)
        )),
    }
}

fn seed(text: &str) -> Result<String, String> {
    match text.is_empty() || text.len() > LONGEST_SEED || text.chars().any(char::is_control) {
        true => Err(format!(
            "{} is no seed: 1 to {LONGEST_SEED} bytes, no control characters",
            quoted(text)
        )),
        false => Ok(text.to_owned()),
    }
}

fn remember(sink: &Sink, node: &Node, units: Option<&[Unit]>) -> Checked<Remember> {
    let fields = Fields::of(sink, node, &REMEMBER)?;
    let cookie = fields
        .required("cookie", ": one of unit's, as mg_unit")
        .and_then(|node| {
            let name = sink.parsed(node, place::one_cookie)?;
            match units.is_none_or(|units| units.contains(&Unit::Cookie(name.clone()))) {
                true => Ok(name),
                false => Err(sink.fault(node, format!("unit has no cookie:{name}: nobody would be known by it"))),
            }
        });
    let max_age = fields
        .required("max_age", ": how long a browser keeps it, as 90d")
        .and_then(|node| sink.duration(node, SHORTEST_MEMORY..=LONGEST_MEMORY));
    let on_cacheable = fields.optional("on_cacheable", |node| sink.flag(node));
    Ok(Remember {
        cookie: cookie?,
        max_age: max_age?,
        on_cacheable: on_cacheable?.unwrap_or(false),
    })
}

fn window(sink: &Sink, node: &Node) -> Checked<Duration> {
    let fields = Fields::of(sink, node, &EXPOSURE)?;
    let node = fields.required("window", ": one exposure of a caller is told once in this time, 1h")?;
    sink.duration(node, Duration::from_secs(1)..=LONGEST_WINDOW)
}

fn layer(sink: &Sink, node: &Node) -> Checked<Layer> {
    let fields = Fields::of(sink, node, &LAYER)?;
    let name = fields
        .required("name", ": what the experiments share that never share a caller")
        .and_then(|node| sink.parsed(node, |text| names::label(text).map(|()| text.to_owned())));
    let range = fields
        .required("range", ": which part of the callers, as [0%, 50%]")
        .and_then(|node| share::range(sink, node));
    Ok(Layer {
        name: name?,
        range: range.map(share::fractions)?,
    })
}

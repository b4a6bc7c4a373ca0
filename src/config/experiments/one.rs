//! One experiment, as it is written.

use super::{headers, schedule, share};
use crate::authn::ClaimPath;
use crate::config::authenticators::Authenticators;
use crate::config::names;
use crate::config::node::{Entry, Node, quoted};
use crate::config::place;
use crate::config::read::{Fields, Known, all};
use crate::config::sink::{Checked, Sink};
use crate::experiment::{Coverage, Experiment, Hash, Kind, Layer, Remember, Unit, Variants};
use crate::policy::Place;
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
/// They are looked for one after the other.
const MOST_UNITS: usize = 8;
/// It is hashed for every request.
const LONGEST_SEED: usize = 256;
/// Browsers keep no cookie longer (RFC 6265bis section 5.5).
const LONGEST_MEMORY: Duration = Duration::from_secs(400 * 24 * 3600);
const SHORTEST_MEMORY: Duration = Duration::from_secs(3600);
const WINDOW: Duration = Duration::from_secs(3600);
const LONGEST_WINDOW: Duration = Duration::from_secs(24 * 3600);

/// What each experiment is read with.
pub struct Reader<'r> {
    pub sink: &'r Sink,
    pub authenticators: &'r Authenticators<'r>,
    pub verified_peers: bool,
}

impl Reader<'_> {
    pub fn experiment(&self, entry: &Entry) -> Checked<Arc<Experiment>> {
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
            told_outside: None,
        }
        .made())
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

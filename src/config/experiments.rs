//! `experiments`, and which of them a rule names.

#[cfg(feature = "cli")]
pub mod advice;
mod audience;
mod headers;
mod one;
mod schedule;
mod share;

pub use headers::owned;

use super::authenticators::Authenticators;
use super::defined::Defined;
use super::node::{Node, quoted};
use super::sink::{Checked, Sink};
use crate::experiment::{Experiment, Kind, Layer, Unit};
use crate::header::HeaderName;
use crate::policy::Place;
use crate::strip::Strip;
use one::Reader;
use std::sync::Arc;

/// Each has counters of its own, one for each variant.
const MOST: usize = 256;
/// Each is computed for every request of the rule, about half a microsecond.
const MOST_OF_A_RULE: usize = 16;

pub struct Experiments<'a>(Defined<'a, Experiment>);

impl<'a> Experiments<'a> {
    pub fn read(sink: &Sink, node: Option<&'a Node>, authenticators: &Authenticators, verified_peers: bool) -> Self {
        let around = Reader {
            sink,
            authenticators,
            verified_peers,
        };
        let bound = ("experiment", MOST, "each has counters of its own in the proxy");
        let found = Self(Defined::read(sink, node, bound, |entry| around.experiment(entry)));
        found.layers(sink);
        found
    }

    /// `experiments` of a rule; `asks`: somebody may be known there.
    pub fn named(&self, sink: &Sink, node: &Node, asks: bool) -> Checked<Vec<Arc<Experiment>>> {
        sink.at_most(node, MOST_OF_A_RULE, "each is computed for every request of the rule")?;
        let by_caller = |found: &Experiment| found.units.iter().all(needs_caller);
        self.0.listed(sink, node, asks, by_caller)
    }

    /// Those without a fault, in the order of the policy.
    pub fn all(&self) -> Vec<Arc<Experiment>> {
        let found = self.0.iter().filter_map(|(_, found)| found.as_ref().ok());
        found.cloned().collect()
    }

    /// Headers that are removed from every request as nobody's word but the caller's, and those of credentials.
    pub fn check_headers(&self, sink: &Sink, strip: &Strip, credentials: &[Place]) -> Checked<()> {
        let mut result = Ok(());
        for (entry, found) in self.0.iter() {
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
        for (at, (entry, found)) in self.0.iter().enumerate() {
            let Some((found, layer)) = layered(found) else { continue };
            for (earlier, other) in self.0.iter().take(at) {
                let Some((other, others)) = layered(other) else {
                    continue;
                };
                let name = &earlier.key;
                if others.name != layer.name {
                    continue;
                }
                let own = entry.node.field("layer").unwrap_or(&entry.node);
                if others.range.0 < layer.range.1 && layer.range.0 < others.range.1 {
                    let message = format!("overlaps that of {name} in layer {}", quoted(&layer.name));
                    sink.fault(own.field("range").unwrap_or(own), message);
                }
                if (&found.units, found.sticky) != (&other.units, other.sticky) {
                    let message = format!(
                        "layer {} holds {name}, of another unit: one caller could be in both",
                        quoted(&layer.name)
                    );
                    sink.fault(own, message);
                }
            }
        }
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

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
use super::node::{Entry, Node, quoted};
use super::sink::{Checked, Faulted, Sink};
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

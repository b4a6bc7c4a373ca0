//! Where one caller stands in one experiment, and what is told of it.

use super::{Experiment, Kind};
use crate::cache::{Key, KeyHasher, Seed};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Assigned {
    pub experiment: Arc<Experiment>,
    pub stands: Stands,
    /// None: there is none, or it was not looked for.
    pub unit: Option<Hashed>,
}

/// The unit that this request goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashed {
    /// Which of `Experiment::units`. None: drawn for this request.
    pub source: Option<usize>,
    /// A word for what it came from: the same text as a subject and in a cookie is not the same caller.
    pub from: &'static str,
    pub value: Arc<[u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// The position of its variant.
    In(usize, By),
    /// The route decides.
    Bucket(u32),
    Out(Why),
}

/// Who chose a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Share,
    /// The caller, who may.
    Force,
    /// An earlier gate.
    Gate,
}

/// Why somebody takes no part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Audience,
    NoUnit,
    Layer,
    Share,
}

/// An assignment that was really used.
#[derive(Clone, Debug)]
pub struct Exposure {
    pub experiment: Arc<Experiment>,
    /// None: the cluster that the route chose.
    pub variant: Option<Arc<str>>,
    pub unit: Hashed,
    pub rule: Arc<str>,
}

impl Experiment {
    pub fn is_shadow(&self) -> bool {
        matches!(&self.kind, Kind::Variants(variants) if variants.shadow)
    }
}

impl Assigned {
    /// The variant's name, if it has one.
    pub fn variant(&self) -> Option<&Arc<str>> {
        match (&self.experiment.kind, self.stands) {
            (Kind::Variants(variants), Stands::In(at, _)) => Some(&variants.variants.get(at)?.name),
            _ => None,
        }
    }

    /// The unit, where this counts as an exposure: not what somebody else chose, who told it or need not.
    pub fn exposes(&self) -> Option<&Hashed> {
        let told = matches!(self.stands, Stands::In(_, By::Share) | Stands::Bucket(_));
        self.unit.as_ref().filter(|_| told)
    }

    pub fn exposure(&self, unit: &Hashed, rule: &Arc<str>) -> Exposure {
        Exposure {
            experiment: self.experiment.clone(),
            variant: self.variant().cloned(),
            unit: unit.clone(),
            rule: rule.clone(),
        }
    }

    /// Of this experiment and variant, as long as the policy is there.
    pub fn number(&self) -> u64 {
        let variant = match self.stands {
            Stands::In(at, _) => at as u64,
            Stands::Bucket(_) | Stands::Out(_) => u64::MAX,
        };
        // Golden ratio (Fibonacci hashing): addresses lie close to each other.
        (Arc::as_ptr(&self.experiment).addr() as u64 ^ variant << 48).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    /// [`Exposure::key`] of it.
    pub fn key(&self, seed: Seed) -> Key {
        let unit = self.exposes();
        let variant = self.variant().map(|name| &**name).unwrap_or_default();
        key(&self.experiment, variant, unit, seed)
    }
}

/// `checkout=blue,pricing=low:forced,orders=4711`: for logs. Who takes no part is left out.
pub fn told(all: &[Assigned]) -> String {
    let mut text = String::new();
    for assigned in all {
        let before = text.len();
        if before > 0 {
            text.push(',');
        }
        text.push_str(&assigned.experiment.name);
        text.push('=');
        match (assigned.variant(), assigned.stands) {
            (Some(variant), Stands::In(_, by)) => {
                text.push_str(variant);
                text.push_str(match by {
                    By::Share => "",
                    By::Force => ":forced",
                    By::Gate => ":gate",
                });
            }
            // Writing to a String cannot fail.
            (_, Stands::Bucket(bucket)) => write!(text, "{bucket}").unwrap_or_default(),
            _ => {
                text.truncate(before);
                continue;
            }
        }
        if assigned.experiment.is_shadow() {
            text.push_str(":shadow");
        }
    }
    text
}

impl Exposure {
    pub fn window(&self) -> Duration {
        self.experiment.exposure_window
    }

    /// Of all that makes two exposures one. `cluster`: empty, unless the route decides.
    pub fn key(&self, cluster: &str, seed: Seed) -> Key {
        let variant = self.variant.as_deref().unwrap_or(cluster);
        key(&self.experiment, variant, Some(&self.unit), seed)
    }

    /// The first 16 hex digits of SHA-256 over the seed, a zero byte and the unit: nobody reads who it was, and what
    /// the service tells of the same caller can be joined.
    pub fn hashed_unit(&self) -> String {
        let digest = Sha256::new_with_prefix(&self.experiment.seed)
            .chain_update([0])
            .chain_update(&self.unit.value)
            .finalize();
        let mut hex = String::new();
        for byte in digest.iter().take(8) {
            write!(hex, "{byte:02x}").unwrap_or_default();
        }
        hex
    }
}

fn key(experiment: &Experiment, variant: &str, unit: Option<&Hashed>, seed: Seed) -> Key {
    let mut hasher = KeyHasher::new(seed);
    hasher.part(b"exposure");
    let parts = [&experiment.name, experiment.seed.as_str(), variant];
    parts.iter().for_each(|part| hasher.part(part.as_bytes()));
    if let Some(unit) = unit {
        hasher.part(unit.from.as_bytes());
        hasher.part(&unit.value);
    }
    hasher.finish()
}

//! A/B: which variant a caller gets. The same unit gets the same variant on every proxy, in every worker and in
//! a service that asks an experiment SDK: nothing goes in but the unit, the policy and the time.

mod assign;
mod assigned;
mod hash;
#[cfg(feature = "cli")]
pub mod survey;

pub use assign::{Bucket, cumulative};
pub use assigned::{Assigned, By, Exposure, Hashed, Stands, Why, told};
pub use hash::Hash;

use crate::authn::ClaimPath;
use crate::authz::Require;
use crate::header::{Field, HeaderName};
use crate::policy::Place;
use crate::rule::Match;
use std::sync::Arc;
use std::time::Duration;

/// An experiment that rules name.
#[derive(Debug)]
pub struct Experiment {
    pub name: Arc<str>,
    /// Not empty: the first that the request has is hashed, as the bare value.
    pub units: Vec<Unit>,
    /// Once a cookie of `units` is there it counts before all others, also after login.
    pub sticky: bool,
    pub seed: String,
    /// Given to callers who have no unit.
    pub remember: Option<Remember>,
    /// One exposure of a caller is told once in this time.
    pub exposure_window: Duration,
    pub kind: Kind,
}

/// Who owns the weights: one place, never two.
#[derive(Debug)]
pub enum Kind {
    /// The policy.
    Variants(Box<Variants>),
    /// Envoy's route (`weighted_clusters.header_name`): this header holds the unit's bucket, 0 to 9,999.
    Bucket(HeaderName),
}

/// What a caller is told apart by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unit {
    Subject,
    Claim(ClaimPath),
    Cookie(String),
    Header(HeaderName),
    ClientIp,
}

/// A random unit in a cookie: `Secure; HttpOnly; SameSite=Lax; Path=/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remember {
    pub cookie: String,
    pub max_age: Duration,
    /// Also on responses that a shared cache may keep, and give to everybody.
    pub on_cacheable: bool,
}

#[derive(Debug)]
pub struct Variants {
    pub hash: Hash,
    /// For the upstream, and what routes match on.
    pub header: HeaderName,
    pub response_header: Option<HeaderName>,
    /// Not empty.
    pub variants: Vec<Variant>,
    pub share: Share,
    /// `header` of those who take no part. None: no header.
    pub outside: Option<String>,
    /// The same, as it is set.
    pub told_outside: Option<Arc<[Field]>>,
    /// Who may take part; both empty: everybody.
    pub audience: Audience,
    pub layer: Option<Layer>,
    pub force: Option<Force>,
    /// Computed, logged and counted; nothing is set and nothing routed.
    pub shadow: bool,
}

#[derive(Debug)]
pub struct Variant {
    pub name: Arc<str>,
    /// Set besides for the upstream.
    pub headers: Vec<(HeaderName, String)>,
    /// All that the upstream is told, as it is set.
    pub told: Arc<[Field]>,
}

/// Which part of all units gets which variant. Shares are 0.0 to 1.0, since experiment SDKs compute with such
/// numbers, and the very same ones decide at the edges.
#[derive(Clone, Debug, PartialEq)]
pub enum Share {
    /// One for each variant, together 1; a coverage below 1 shortens each from its end.
    Weights { weights: Vec<f64>, coverage: Coverage },
    /// Of each variant: from (inclusive), to (exclusive). What none holds takes no part.
    Ranges(Vec<Vec<(f64, f64)>>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Coverage {
    Always(f64),
    /// From this second (Unix time) on, in ascending order; 0 before the first.
    Schedule(Vec<(u64, f64)>),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audience {
    /// Nobody fails it, unless it is empty.
    pub require: Require,
    pub matcher: Match,
}

/// A namespace of GrowthBook's: experiments of one layer never share a caller.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    pub name: String,
    /// 0.0 to 1.0: from (inclusive), to (exclusive).
    pub range: (f64, f64),
}

/// Callers who meet `require` choose for themselves. What they choose by is removed for the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Force {
    /// Headers, cookies and query parameters; the first that names a variant decides.
    pub places: Vec<Place>,
    /// Not empty.
    pub require: Require,
}

impl Share {
    /// Whether the variant at this position has any, some time.
    pub fn has(&self, position: usize) -> bool {
        match self {
            Self::Weights { weights, .. } => weights.get(position).is_some_and(|weight| *weight > 0.0),
            Self::Ranges(ranges) => ranges.get(position).is_some_and(|of| !of.is_empty()),
        }
    }
}

impl Variants {
    /// What is set for the upstream, made once for all requests.
    pub fn made(self) -> Self {
        let field = |name: &HeaderName, value: &str| (name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec());
        let told = |variant: Variant| Variant {
            told: std::iter::once(field(&self.header, &variant.name))
                .chain(variant.headers.iter().map(|(name, value)| field(name, value)))
                .collect(),
            ..variant
        };
        Self {
            told_outside: self.outside.as_ref().map(|value| [field(&self.header, value)].into()),
            variants: self.variants.into_iter().map(told).collect(),
            ..self
        }
    }

    pub fn position(&self, name: &[u8]) -> Option<usize> {
        self.variants.iter().position(|variant| variant.name.as_bytes() == name)
    }
}

impl Unit {
    /// For logs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Claim(_) => "claim",
            Self::Cookie(_) => "cookie",
            Self::Header(_) => "header",
            Self::ClientIp => "client_ip",
        }
    }
}

impl Experiment {
    /// Every header that the upstream is told something in: removed from every request.
    pub fn headers(&self) -> Vec<&HeaderName> {
        match &self.kind {
            Kind::Bucket(header) => vec![header],
            Kind::Variants(variants) => {
                let extra = variants.variants.iter().flat_map(|variant| &variant.headers);
                let extra = extra.map(|(name, _)| name);
                std::iter::once(&variants.header).chain(extra).collect()
            }
        }
    }
}

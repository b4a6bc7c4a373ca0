//! Who is led where, by the experiments of the gateway's policy as the core computes them.
use crate::ROOT;
use meshgate::config;
use meshgate::experiment::Kind;
use meshgate::policy::Policy;
use meshgate::time::UnixTime;
use std::sync::LazyLock;

pub struct Assigned {
    /// Of `orders-page`. None: takes no part.
    pub variant: Option<String>,
    /// Of `orders-rollout`.
    pub bucket: u32,
}

/// As kustomize copies it into the manifests.
static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    let path = format!("{ROOT}/istio/overlays/test/policy/gateway.json");
    let built = std::fs::read(path).expect("a built policy");
    let built: serde_json::Value = serde_json::from_slice(&built).expect("JSON");
    let parsed = config::parse(built["text"].as_str().expect("text").as_bytes());
    parsed.expect("a policy").policy
});

pub fn assigned(subject: &str) -> Assigned {
    let experiment = |name: &str| {
        let found = POLICY.experiments.iter().find(|e| &*e.name == name);
        found.unwrap_or_else(|| panic!("no experiment {name}"))
    };
    let page = experiment("orders-page");
    let Kind::Variants(variants) = &page.kind else {
        panic!("orders-page has no variants");
    };
    // It has no schedule, so that any time will do.
    let at = variants.assign(&page.seed, subject.as_bytes(), UnixTime::from_secs(0));
    Assigned {
        variant: at.variant.map(|n| variants.variants[n].name.to_string()),
        bucket: experiment("orders-rollout").bucket(subject.as_bytes()),
    }
}

impl Assigned {
    /// By the variant where there is one, else by weights of 9,000 to 1,000.
    pub fn to_second(&self) -> bool {
        self.variant.as_ref().map_or(self.bucket >= 9000, |v| v == "b")
    }
}

/// The first of NAME-0, NAME-1 and so on for whom that holds.
pub fn who(name: &str, holds: impl Fn(&Assigned) -> bool) -> String {
    let mut all = (0..1_000_000).map(|n| format!("{name}-{n}"));
    all.find(|subject| holds(&assigned(subject))).expect("somebody")
}

/// Led to the first version, and also once the weights are even.
pub fn first(name: &str) -> String {
    who(name, |a| !a.to_second() && a.bucket < 5000)
}

/// Led to the second version by the variant alone.
pub fn second(name: &str) -> String {
    who(name, |a| a.to_second() && a.bucket < 5000)
}

/// Led by this bucket: takes no part in `orders-page`.
pub fn in_bucket(bucket: u32) -> String {
    who("weighed", |a| a.variant.is_none() && a.bucket == bucket)
}

use std::sync::atomic::Ordering;

use serde_json::Value;

use super::Gate;
use super::bootstrap::{FILTER, discovery, typed_config};
use super::builder::Filter;
use crate::support::{LONG, wait};

/// What Envoy made of a new configuration of the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    Taken,
    /// The old one goes on serving.
    Rejected,
}

impl Gate {
    /// Replaces the policy of a gate built with `.live()` and waits for Envoy's verdict.
    #[track_caller]
    pub fn replace_policy(&self, policy: impl ToString) -> Replaced {
        let Filter::Meshgate(plugin) = &self.filter else {
            panic!("this gate has no Meshgate filter")
        };
        let mut plugin = plugin.clone();
        plugin.policy = policy.to_string();
        self.replace_filter(&typed_config(&Filter::Meshgate(plugin)).unwrap())
    }

    /// Replaces the whole `typed_config` of the filter.
    #[track_caller]
    pub fn replace_filter(&self, typed_config: &Value) -> Replaced {
        let file = self.envoy.dir().join("ecds.json");
        assert!(
            file.exists(),
            "only a gate built with .live() can be given another filter"
        );
        let counter = |name: &str| {
            self.envoy
                .stat(&format!("extension_config_discovery.http_filter.{FILTER}.{name}"))
                .unwrap_or(0)
        };
        let (taken, rejected) = (counter("update_success"), counter("update_rejected"));
        let version = self.versions.fetch_add(1, Ordering::SeqCst) + 1;
        let new = file.with_extension("new");
        std::fs::write(&new, discovery(version, typed_config)).unwrap();
        std::fs::rename(new, file).unwrap();
        wait::until(
            format!("Envoy's verdict on version {version} of the filter"),
            LONG,
            || {
                if counter("update_rejected") > rejected {
                    return Some(Replaced::Rejected);
                }
                (counter("update_success") > taken).then_some(Replaced::Taken)
            },
        )
    }
}

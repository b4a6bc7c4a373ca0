//! `may`: what a team's rules do that others than the team would notice.

use super::{Folder, shown_place};
use crate::config::node::Node;
use crate::config::sink::Sink;

/// What the platform lets a team do; without a word, none of it.
#[derive(Clone, Copy, Default)]
pub struct May {
    experiments: bool,
    rate_limits: bool,
    anonymous: bool,
    identity: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Word {
    Experiments,
    RateLimits,
    Anonymous,
    Identity,
}

const WORDS: [(&str, Word); 4] = [
    ("experiments", Word::Experiments),
    ("rate_limits", Word::RateLimits),
    ("anonymous", Word::Anonymous),
    ("identity", Word::Identity),
];

impl May {
    /// What is faulty is let, so that no second fault tells of it.
    pub fn read(sink: &Sink, node: &Node) -> Self {
        let has = |words: &[Word], word| words.contains(&word);
        match sink.distinct(node, |item| sink.word(item, &WORDS)) {
            Ok(words) => Self {
                experiments: has(&words, Word::Experiments),
                rate_limits: has(&words, Word::RateLimits),
                anonymous: has(&words, Word::Anonymous),
                identity: has(&words, Word::Identity),
            },
            Err(_) => Self {
                experiments: true,
                rate_limits: true,
                anonymous: true,
                identity: true,
            },
        }
    }
}

/// `node`: the `experiments` of the team's file.
pub fn defines(sink: &Sink, folder: &Folder, (team, may, declared): (&str, &May, &Node), node: &Node) {
    if !may.experiments {
        let at = shown_place(folder, declared.at);
        let message = format!("defines experiments, and team {team} may not: may: [experiments] at {at} would let it");
        sink.fault(node, message);
    }
}

/// `declared`: where the platform names the team.
pub fn check(sink: &Sink, folder: &Folder, (team, may, declared): (&str, &May, &Node), rule: &Node) {
    let deny = |name: &str, word: &str, why: &str| {
        if let Some(node) = rule.field(name) {
            let at = shown_place(folder, declared.at);
            let message = format!("{why}, and team {team} may not: may: [{word}] at {at} would let it");
            sink.fault(node, message);
        }
    };
    let says = |name: &str, text: &str| rule.field(name).and_then(Node::text) == Some(text);
    if !may.anonymous {
        if says("authenticate", "none") {
            deny("authenticate", "anonymous", "lets everybody pass");
        }
        if !says("anonymous", "deny") {
            deny("anonymous", "anonymous", "lets callers pass as nobody");
        }
    }
    if !may.identity {
        deny(
            "identity",
            "identity",
            "its headers are removed from the requests of all teams",
        );
    }
    if !may.rate_limits {
        deny("rate_limit", "rate_limits", "limits rates");
    }
    if !may.experiments {
        deny("experiments", "experiments", "takes part in experiments");
    }
    if says("forget", "requested")
        && let Some(node) = rule.field("forget")
    {
        let message = "requested makes the filter forget callers of all teams: such a rule stands in platform.yaml";
        sink.fault(node, message);
    }
}

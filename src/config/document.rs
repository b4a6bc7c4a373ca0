//! The document as a whole: a tree becomes a policy, or all that is wrong with it.

use super::Parsed;
use super::assertion;
use super::authenticators::Authenticators;
use super::debug;
use super::experiments::Experiments;
use super::fault::Faults;
use super::identity::{self, Global, Union};
use super::node::{Node, Value, quoted};
use super::rate_limits::RateLimits;
use super::read::{Fields, Known, all};
use super::rules::{self, Scope};
use super::sink::{Checked, Sink, duplicates};
use super::upstream;
use crate::policy::{AccessFields, Action, Log, Mode, Place, Policy, Rule};
use crate::rule::RuleIndex;
use crate::strip::Strip;
use std::collections::HashSet;
use std::sync::Arc;

const FIELDS: Known = Known {
    now: &[
        "version",
        "requires",
        "revision",
        "mode",
        "log",
        "listener",
        "debug",
        "authenticators",
        "identity",
        "rate_limits",
        "experiments",
        "defaults",
        "rules",
    ],
    later: &[],
};
const LOG: Known = Known {
    now: &["query", "access"],
    later: &[],
};
const LISTENER: Known = Known {
    now: &["verified_peers"],
    later: &[],
};
/// It stands in every log line.
const LONGEST_REVISION: usize = 128;

/// What is noted while `root` is read, whatever is wrong with it.
#[cfg(feature = "cli")]
pub fn inspect(sink: &Sink, root: &Node) {
    drop(policy(sink, &Sink::default(), root));
}

pub fn read(root: &Node) -> Result<Parsed, Faults> {
    let faults = Sink::default();
    let warnings = Sink::default();
    duplicates(root, &faults);
    match policy(&faults, &warnings, root) {
        Ok(policy) if faults.is_empty() => Ok(Parsed {
            policy,
            warnings: warnings.located(root),
        }),
        _ => Err(faults.into_faults(root)),
    }
}

fn policy(sink: &Sink, warnings: &Sink, root: &Node) -> Checked<Policy> {
    let fields = Fields::of(sink, root, &FIELDS)?;
    let settings = settings(sink, warnings, &fields);
    let verified_peers = fields.optional("listener", |node| verified_peers(sink, node));
    let union = Union::of(sink, root);
    let global = fields.optional("identity", |node| identity::global(sink, node));
    // Where the word itself is faulty, what relies on it is not.
    let word = verified_peers.map_or(true, |word| word.unwrap_or(false));
    let authenticators = Authenticators::read(sink, warnings, fields.get("authenticators"), &union, word);
    let debug = fields.optional("debug", |node| debug::read(sink, node, authenticators.names(), word));
    let rate_limits = RateLimits::read(sink, fields.get("rate_limits"), word);
    let experiments = Experiments::read(sink, fields.get("experiments"), &authenticators, word);
    let shared: Arc<[_]> = match &global {
        Ok(Some(global)) => global.headers.clone().into(),
        _ => Arc::default(),
    };
    let defaults = fields.optional("defaults", |node| rules::defaults(sink, node));
    let scope = Scope {
        sink,
        authenticators: &authenticators,
        identity: &shared,
        rate_limits: &rate_limits,
        experiments: &experiments,
        upstream: defaults.and_then(|defaults| match defaults.and_then(|fields| fields.get("upstream")) {
            Some(node) => upstream::read(sink, node, true).map(Some),
            None => Ok(None),
        }),
        defaults,
        verified_peers: word,
    };
    let defaults = rules::check_defaults(&scope);
    let rules = fields
        .required("rules", ": a request that no rule matches is refused")
        .and_then(|node| rules::read(&scope, node));
    let shown = logs_no_credential(sink, &fields, &authenticators);
    let (settings, rules) = (settings?, rules?);
    shown?;
    verified_peers?;
    let debug = debug?;
    defaults?;
    warn_of_unused(warnings, &authenticators, &rules);
    rate_limits.warn_of_unused(warnings, &rules);
    let mut global = global?.unwrap_or_default();
    let assertion = global.assertion.take();
    let strip = strip(&union, &authenticators, global);
    let credentials: Vec<Place> = authenticators.places().collect();
    rate_limits.check_headers(sink, &strip, &credentials)?;
    experiments.check_headers(sink, &strip, &credentials)?;
    if let Some(node) = fields.get("rules") {
        callers_word(sink, node, &rules, &strip)?;
        upstream::fits(sink, warnings, node, &rules, &strip)?;
        assertion::audiences(sink, node, &rules, assertion.as_ref())?;
    }
    Ok(Policy {
        revision: settings.revision,
        mode: settings.mode,
        log: settings.log,
        index: RuleIndex::build(rules.iter().map(|rule| &rule.matcher)),
        rules,
        strip,
        identity_headers: shared,
        identity: union.patterns().collect(),
        authenticators: authenticators.all(),
        assertion,
        debug,
        experiments: experiments.all(),
    })
}

struct Settings {
    revision: Arc<str>,
    mode: Mode,
    log: Log,
}

fn settings(sink: &Sink, warnings: &Sink, fields: &Fields) -> Checked<Settings> {
    let version = version(sink, fields);
    let requires = fields.optional("requires", |node| requires(sink, node));
    let revision = fields.optional("revision", |node| sink.parsed(node, revision));
    let mode = fields.optional("mode", |node| mode(sink, warnings, node));
    let log = fields.optional("log", |node| log(sink, node));
    version?;
    requires?;
    Ok(Settings {
        revision: revision?.unwrap_or_default(),
        mode: mode?.unwrap_or(Mode::Enforce),
        log: log?.unwrap_or_default(),
    })
}

fn strip(union: &Union, authenticators: &Authenticators, global: Global) -> Strip {
    let always = union.patterns().chain(authenticators.accepted()).collect();
    Strip::new(always, global.strip, global.keep).with_trailers_of(authenticators.credential_headers())
}

fn version(sink: &Sink, fields: &Fields) -> Checked<()> {
    let node = fields.required("version", ": write version: 1")?;
    match &node.value {
        Value::Number(number) if number.as_u64() == Some(1) => Ok(()),
        Value::Number(number) => {
            let own = env!("CARGO_PKG_VERSION");
            Err(sink.fault(
                node,
                format!("version {number} is not known to meshgate {own}: write 1"),
            ))
        }
        _ => Err(sink.expected(node, "the number 1")),
    }
}

fn requires(sink: &Sink, node: &Node) -> Checked<()> {
    sink.parsed(node, |text| {
        let own = env!("CARGO_PKG_VERSION");
        let wanted = release(text).ok_or_else(|| format!("{} is no version: write \"1.0\"", quoted(text)))?;
        match release(own) {
            Some(own) if own >= wanted => Ok(()),
            _ => Err(format!("this is meshgate {own}, and the policy needs {text} or later")),
        }
    })
}

/// `1.0` or `1.0.3`
fn release(text: &str) -> Option<[u32; 3]> {
    if text.contains('+') {
        return None;
    }
    let mut numbers = text.split('.').map(|number| number.parse().ok());
    let (major, minor) = (numbers.next()??, numbers.next()??);
    let patch = numbers.next().unwrap_or(Some(0))?;
    numbers.next().is_none().then_some([major, minor, patch])
}

fn revision(text: &str) -> Result<Arc<str>, String> {
    if text.len() > LONGEST_REVISION || text.chars().any(char::is_control) {
        return Err(format!(
            "{} does not fit a log line: up to 128 bytes, no control characters",
            quoted(text)
        ));
    }
    Ok(text.into())
}

fn mode(sink: &Sink, warnings: &Sink, node: &Node) -> Checked<Mode> {
    let mode = sink.word(node, &[("enforce", Mode::Enforce), ("observe", Mode::Observe)])?;
    if mode == Mode::Observe {
        warnings.fault(node, "observe: nothing is refused, stripped or changed");
    }
    Ok(mode)
}

fn log(sink: &Sink, node: &Node) -> Checked<Log> {
    let fields = Fields::of(sink, node, &LOG)?;
    let query = fields.optional("query", |node| {
        sink.distinct(node, |item| sink.text(item).map(str::to_owned))
    });
    let words = ["rule", "outcome", "cause", "subject", "variant", "answer", "duration"].map(|word| (word, word));
    let access = fields.optional("access", |node| sink.distinct(node, |item| sink.word(item, &words)));
    let (query, access) = (query?.unwrap_or_default(), access?.unwrap_or_default());
    Ok(Log {
        query,
        access: AccessFields {
            rule: access.contains(&"rule"),
            outcome: access.contains(&"outcome"),
            cause: access.contains(&"cause"),
            subject: access.contains(&"subject"),
            variant: access.contains(&"variant"),
            answer: access.contains(&"answer"),
            duration: access.contains(&"duration"),
        },
    })
}

/// A parameter that holds a credential is no text for a log.
fn logs_no_credential(sink: &Sink, fields: &Fields, authenticators: &Authenticators) -> Checked<()> {
    let query = fields.get("log").and_then(|log| match &log.value {
        Value::Map(entries) => entries.iter().find(|entry| entry.key == "query"),
        _ => None,
    });
    let Some(Value::List(items)) = query.map(|entry| &entry.node.value) else {
        return Ok(());
    };
    let places: Vec<Place> = authenticators.places().collect();
    let credentials: HashSet<&str> = places
        .iter()
        .filter_map(|place| match place {
            Place::Query(name) => Some(name.as_str()),
            _ => None,
        })
        .collect();
    let shown = items.iter().filter_map(|item| {
        let name = item.text()?;
        let message = format!("{} holds a credential, and logs would show it", quoted(name));
        let holds = credentials.contains(name);
        holds.then(|| Err(sink.fault(item, message)))
    });
    all(shown).map(|_: Vec<()>| ())
}

fn verified_peers(sink: &Sink, node: &Node) -> Checked<bool> {
    let fields = Fields::of(sink, node, &LISTENER)?;
    let word = fields.optional("verified_peers", |node| sink.flag(node));
    Ok(word?.unwrap_or(false))
}

/// Headers that are removed from every request as nobody's word but the caller's: none of them opens a
/// rule. `refuse` may go by them, since that opens nothing; its `not` may not.
fn callers_word(sink: &Sink, node: &Node, rules: &[Arc<Rule>], strip: &Strip) -> Checked<()> {
    let faults = rules.iter().zip(sink.items(node)?).flat_map(|(rule, node)| {
        let own = (!matches!(rule.action, Action::Refuse(_))).then_some(&rule.matcher);
        let matchers = own.into_iter().chain(rule.matcher.not.as_deref());
        let names = matchers.flat_map(|matcher| matcher.headers.iter().map(|(name, _)| name.as_str()));
        let forged = names.filter(|name| strip.takes(name.as_bytes()));
        forged.map(move |name| {
            let message = format!("matches {name}, which is removed from every request: whoever calls can write it");
            Err(sink.fault(node, message))
        })
    });
    all(faults).map(|_: Vec<()>| ())
}

fn warn_of_unused(warnings: &Sink, authenticators: &Authenticators, rules: &[Arc<Rule>]) {
    let used: HashSet<&str> = rules
        .iter()
        .filter_map(|rule| match &rule.action {
            Action::Authenticate(gate) => Some(gate),
            Action::Refuse(_) | Action::Public => None,
        })
        .flat_map(|gate| gate.authenticators.iter().map(|asked| &*asked.name))
        .collect();
    for entry in authenticators.unused(&used) {
        warnings.fault_at(&entry.node, entry.at, "no rule asks this authenticator");
    }
}

//! `teams`: who owns what, and may what; and what the rules of a team's file do within it.

use super::may::{self, May};
use super::ownership::{self, Owned};
use super::{Folder, Kind, shown_place, tree, unknown};
use crate::config::names;
use crate::config::node::{Node, Value, quoted};
use crate::config::read::{Fields, Known};
use crate::config::sink::{Checked, Sink};
use crate::rule::{HostPattern, PathPattern};
use std::collections::BTreeMap;

const TEAM: Known = Known {
    now: &["owns", "may"],
    later: &[],
};
const OWNS: Known = Known {
    now: &["hosts", "paths"],
    later: &[],
};
/// The whole of a team's file.
pub const FILE: Known = Known {
    now: &["rules", "experiments"],
    later: &[],
};

/// One team, as the platform declares it.
struct Team<'a> {
    owns: Vec<Owned<'a>>,
    may: May,
    node: &'a Node,
    /// Where what it owns has a fault, nothing is outside of it.
    faulted: bool,
}

pub fn check(sink: &Sink, folder: &Folder, trees: &Node) {
    let platform = folder.kinds().find(|(_, kind)| *kind == Kind::Platform);
    let platform = platform.and_then(|(index, _)| tree(trees, index));
    let declared = platform.and_then(|platform| platform.field("teams"));
    let teams = match declared {
        Some(node) => read(sink, node),
        None => BTreeMap::new(),
    };
    no_overlap(sink, folder, &teams);
    for (index, kind) in folder.kinds() {
        let (Kind::Team(name), Some(file)) = (kind, tree(trees, index)) else {
            continue;
        };
        // It is no YAML.
        if matches!(file.value, Value::Null) && file.at.is_none() {
            continue;
        }
        match teams.get(name) {
            Some(team) => {
                if let Ok(fields) = Fields::of(sink, file, &FILE) {
                    if let Some(node) = fields.get("experiments") {
                        sink.entries(node).map(drop).unwrap_or_default();
                        may::defines(sink, folder, (name, &team.may, team.node), node);
                    }
                    rules(sink, folder, (name, team, &teams), &fields);
                }
            }
            None => {
                let message = unknown("teams of platform.yaml names no", name, teams.keys().copied());
                sink.fault(file, message);
            }
        }
    }
}

fn read<'a>(sink: &'a Sink, node: &'a Node) -> BTreeMap<&'a str, Team<'a>> {
    let mut teams = BTreeMap::new();
    for entry in sink.entries(node).unwrap_or_default() {
        if let Err(message) = label(&entry.key) {
            sink.fault_at(&entry.node, entry.at, message);
        }
        let mut team = Team {
            owns: vec![],
            may: May::default(),
            node: &entry.node,
            faulted: true,
        };
        if let Ok(fields) = Fields::of(sink, &entry.node, &TEAM) {
            let remedy = ": what its rules may be about, [{ hosts: [shop.example.com], paths: [\"/orders/**\"] }]";
            let owns = fields
                .required("owns", remedy)
                .and_then(|node| sink.some(node, |item| owned(sink, item)));
            if let Some(node) = fields.get("may") {
                team.may = May::read(sink, node);
            }
            team.faulted = owns.is_err();
            team.owns = owns.unwrap_or_default();
        }
        teams.insert(entry.key.as_str(), team);
    }
    teams
}

/// What is noted while `teams` is read.
pub fn inspect(sink: &Sink, node: &Node) {
    drop(read(sink, node));
}

fn label(name: &str) -> Result<(), String> {
    match name.contains('/') {
        true => Err(format!(
            "{} is no name of a team: it is also that of its file",
            quoted(name)
        )),
        false => names::label(name),
    }
}

fn owned<'a>(sink: &'a Sink, node: &'a Node) -> Checked<Owned<'a>> {
    let fields = Fields::of(sink, node, &OWNS)?;
    let hosts = fields
        .required("hosts", ": write [shop.example.com]")
        .and_then(|node| sink.some(node, |item| Ok((sink.parsed(item, HostPattern::parse)?, item))));
    let paths = fields
        .required("paths", ": write [\"/orders/**\"]")
        .and_then(|node| sink.some(node, |item| Ok((sink.parsed(item, PathPattern::parse)?, item))));
    Ok(Owned {
        hosts: hosts?,
        paths: paths?,
        node,
    })
}

/// Two owners of one path would make the order of files count.
fn no_overlap(sink: &Sink, folder: &Folder, teams: &BTreeMap<&str, Team>) {
    // In the order in which they are written, so that the later one has the fault.
    let mut written: Vec<(&&str, &Team)> = teams.iter().collect();
    written.sort_by_key(|(_, team)| team.node.id);
    for (position, (name, team)) in written.iter().enumerate() {
        for (other_name, other) in written.iter().take(position) {
            for (ours, theirs) in team
                .owns
                .iter()
                .flat_map(|ours| other.owns.iter().map(move |theirs| (ours, theirs)))
            {
                if let Some((item, place)) = ownership::shared(ours, theirs) {
                    let at = shown_place(folder, place.at);
                    let message = format!("team {name} and team {other_name} ({at}) both own some of it");
                    sink.fault(item, message);
                }
            }
        }
    }
}

fn rules(sink: &Sink, folder: &Folder, (name, team, teams): (&str, &Team, &BTreeMap<&str, Team>), fields: &Fields) {
    let Some(node) = fields.get("rules") else { return };
    for rule in sink.items(node).unwrap_or_default() {
        // No object: the decoder says so.
        let Value::Map(_) = rule.value else { continue };
        may::check(sink, folder, (name, &team.may, team.node), rule);
        if !team.faulted {
            inside(sink, folder, (name, team, teams), rule);
        }
    }
}

/// Every pair of host and path of a rule is one of its team's.
fn inside(sink: &Sink, folder: &Folder, (name, team, teams): (&str, &Team, &BTreeMap<&str, Team>), rule: &Node) {
    let matched = rule.field("match");
    let list = |list| match matched.and_then(|matched| matched.field(list)).map(|node| &node.value) {
        Some(Value::List(items)) => Some(items.as_slice()),
        _ => None,
    };
    let at = || shown_place(folder, team.owns.first().and_then(|owned| owned.node.at));
    let (Some(hosts), Some(paths)) = (list("hosts"), list("paths")) else {
        for missing in ["hosts", "paths"].into_iter().filter(|name| list(name).is_none()) {
            let message = format!(
                "takes more than team {name} owns ({}): match.{missing} is missing, and a team's rule names both",
                at()
            );
            sink.fault(rule, message);
        }
        return;
    };
    let hosts: Vec<(HostPattern, &Node)> = hosts.iter().filter_map(host).collect();
    let paths: Vec<(PathPattern, &Node)> = paths.iter().filter_map(path).collect();
    let mut outside = vec![];
    for (host, host_node) in &hosts {
        let of_host: Vec<&Owned> = team.owns.iter().filter(|owned| owned.has_host(host)).collect();
        if of_host.is_empty() {
            let text = quoted(host_node.text().unwrap_or_default());
            sink.fault(
                host_node,
                format!("host {text} is outside what team {name} owns ({})", at()),
            );
            continue;
        }
        for (path, path_node) in &paths {
            if of_host.iter().any(|owned| owned.has_path(path)) || outside.contains(&path_node.id) {
                continue;
            }
            outside.push(path_node.id);
            let owners = teams.iter().filter(|(other, _)| **other != name);
            let owner = owners.into_iter().find_map(|(other, theirs)| {
                let owned = theirs
                    .owns
                    .iter()
                    .find(|owned| owned.has_host(host) && owned.has_path(path))?;
                Some((*other, owned.node))
            });
            let (path, host) = (
                quoted(path_node.text().unwrap_or_default()),
                host_node.text().unwrap_or_default(),
            );
            let place = of_host
                .first()
                .and_then(|owned| owned.paths.first())
                .map(|(_, node)| *node);
            let own = shown_place(folder, place.and_then(|node| node.at));
            let mut message = format!("path {path} of {host} is outside what team {name} owns ({own})");
            if let Some((other, node)) = owner {
                let theirs = shown_place(folder, node.at);
                message.push_str(&format!(", and is team {other}'s ({theirs})"));
            }
            sink.fault(path_node, message);
        }
    }
}

/// What is none has its fault from the decoder.
fn host(node: &Node) -> Option<(HostPattern, &Node)> {
    Some((HostPattern::parse(node.text()?).ok()?, node))
}

fn path(node: &Node) -> Option<(PathPattern, &Node)> {
    Some((PathPattern::parse(node.text()?).ok()?, node))
}

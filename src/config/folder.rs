//! A policy of many files and many teams: `platform.yaml`, `teams/NAME.yaml`, `env/NAME.yaml`.
//!
//! The files become one tree, and the tree is decoded as any policy is: a folder has no second meaning of its own.
//! What only a folder has is checked before: who owns what, what a team may, values and environments.

mod environments;
mod may;
mod merge;
mod ownership;
mod place;
mod read;
pub(super) mod teams;
mod values;

use super::fault::{Fault, Faults, Mark};
use super::node::{Entry, Node, Value, quoted};
use super::sink::{Sink, duplicates};
use super::{Built, built, suggest};
use std::collections::HashSet;
use values::Values;

/// One file, named from the folder: `teams/orders.yaml`.
#[derive(Clone, Debug)]
pub struct File {
    pub name: String,
    pub text: String,
}

/// The files of a folder, read once; built for one environment or several.
#[derive(Debug)]
pub struct Folder {
    files: Vec<File>,
    /// As many as `files`; what is no YAML holds nothing. None: the last policy was made of them.
    trees: Option<Node>,
    /// By file: what kept it from being read.
    unread: Vec<Vec<Fault>>,
}

/// Which file is which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind<'a> {
    Platform,
    Team(&'a str),
    Environment(&'a str),
}

pub const PLATFORM: &str = "platform.yaml";

/// Faults and warnings of a folder name the file in their `at`.
#[derive(Debug)]
pub enum NotBuilt {
    Faults(Faults),
    /// What was asked for is not there: a file, an environment.
    Asked(String),
}

impl Folder {
    /// In the order of their names, whatever order they come in: the same files give the same bytes.
    pub fn new(mut files: Vec<File>) -> Self {
        files.sort_unstable_by(|one, other| sorted(one).cmp(&sorted(other)));
        let (trees, unread) = read::all(&files);
        Self {
            trees: Some(trees),
            files,
            unread,
        }
    }

    /// Faults count them.
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// By name, each a file of `env/`.
    pub fn environments(&self) -> Vec<&str> {
        let kinds = self.files.iter().filter_map(kind);
        let names = kinds.filter_map(|kind| match kind {
            Kind::Environment(name) => Some(name),
            _ => None,
        });
        names.collect()
    }

    /// `set`: values of the command line, in place of the environment's.
    pub fn build(&self, environment: Option<&str>, set: &[(String, String)]) -> Result<Built, NotBuilt> {
        let trees = self.trees.clone().unwrap_or_else(|| read::all(&self.files).0);
        self.build_of(trees, environment, set)
    }

    /// As [`Self::build`], for the last time: nothing is copied.
    pub fn build_last(&mut self, environment: Option<&str>, set: &[(String, String)]) -> Result<Built, NotBuilt> {
        let trees = self.trees.take().unwrap_or_else(|| read::all(&self.files).0);
        self.build_of(trees, environment, set)
    }

    fn build_of(
        &self,
        mut trees: Node,
        environment: Option<&str>,
        set: &[(String, String)],
    ) -> Result<Built, NotBuilt> {
        let chosen = self.chosen(environment)?;
        let sink = Sink::default();
        duplicates(&trees, &sink);
        let positions = merge::positions(&trees);
        // Its values are read as they are; what is narrowed and filled are the platform's and the teams'.
        let own = chosen.and_then(|index| tree(&trees, index)).cloned();
        let whole = self.unread.iter().enumerate().all(|(index, unread)| {
            let other = matches!(self.kind(index), Some(Kind::Environment(name)) if Some(name) != environment);
            unread.is_empty() || other
        });
        environments::narrow(&sink, self, &mut trees, environment);
        let values = Values::read(&sink, own.as_ref(), set);
        let place = chosen
            .and_then(|index| self.files.get(index))
            .map(|file| file.name.as_str());
        values.fill(&sink, self, &mut trees, place);
        // What nothing uses is told where everything could be read.
        if whole {
            values.unused(&sink).map_err(NotBuilt::Asked)?;
        }
        teams::check(&sink, self, &trees);
        let (merged, origins) = self.merge(trees, &positions);
        let decoded = merged.map(built::of_tree);
        let mut found: Vec<Fault> = self.unread_for(environment).cloned().collect();
        found.extend(self.located(sink).into_iter().map(without_file));
        match decoded {
            Some(Ok(mut built)) if found.is_empty() => {
                for warning in &mut built.parsed.warnings {
                    place::within_file(self, &origins, warning);
                }
                return Ok(built);
            }
            Some(Err(faults)) => {
                found.extend(faults.iter().cloned().map(|mut fault| {
                    place::within_file(self, &origins, &mut fault);
                    values.told(&mut fault, place);
                    fault
                }));
            }
            _ => {}
        }
        found.retain(|fault| !values.follows(fault));
        let mut seen = HashSet::new();
        found.retain(|fault| seen.insert((fault.at.map(Mark::order), fault.message.clone())));
        found.sort_by_key(|fault| fault.at.map(Mark::order));
        Err(NotBuilt::Faults(Faults::of(found)))
    }

    /// By the trees as they were read, which are read again where they are no more: a fault may take its time.
    fn located(&self, sink: Sink) -> Vec<Fault> {
        match &self.trees {
            _ if sink.is_empty() => vec![],
            Some(trees) => sink.located(trees),
            None => sink.located(&read::all(&self.files).0),
        }
    }

    /// The file of the environment.
    fn chosen(&self, environment: Option<&str>) -> Result<Option<usize>, NotBuilt> {
        if !self.files.iter().any(|file| kind(file) == Some(Kind::Platform)) {
            return Err(NotBuilt::Asked(format!("a folder without {PLATFORM}")));
        }
        let known = self.environments();
        let Some(name) = environment else {
            return match known.is_empty() {
                true => Ok(None),
                false => Err(NotBuilt::Asked(format!(
                    "for which environment? --env {}",
                    super::read::either(known.into_iter())
                ))),
            };
        };
        let position = self
            .files
            .iter()
            .position(|file| kind(file) == Some(Kind::Environment(name)));
        position.map(Some).ok_or_else(|| {
            let hint = suggest::hint(name, known.into_iter());
            NotBuilt::Asked(format!("there is no env/{name}.yaml{hint}"))
        })
    }

    fn kind(&self, index: usize) -> Option<Kind<'_>> {
        self.files.get(index).and_then(kind)
    }

    /// By position, what each file is.
    fn kinds(&self) -> impl Iterator<Item = (usize, Kind<'_>)> {
        let kinds = self.files.iter().enumerate();
        kinds.filter_map(|(index, file)| Some((index, kind(file)?)))
    }

    /// Of the platform, the teams, and this environment.
    fn unread_for<'a>(&'a self, environment: Option<&'a str>) -> impl Iterator<Item = &'a Fault> {
        let used = self
            .unread
            .iter()
            .enumerate()
            .filter(move |(index, _)| match self.kind(*index) {
                Some(Kind::Environment(name)) => Some(name) == environment,
                _ => true,
            });
        used.flat_map(|(_, faults)| faults)
    }
}

fn kind(file: &File) -> Option<Kind<'_>> {
    let stem = |folder: &str| {
        let name = file.name.strip_prefix(folder)?;
        name.strip_suffix(".yaml")
    };
    match file.name.as_str() {
        PLATFORM => Some(Kind::Platform),
        _ => stem("teams/")
            .map(Kind::Team)
            .or_else(|| stem("env/").map(Kind::Environment)),
    }
}

/// The platform, teams, environments; each by name.
fn sorted(file: &File) -> (u8, &str) {
    let group = match kind(file) {
        Some(Kind::Platform) => 0,
        Some(Kind::Team(_)) => 1,
        Some(Kind::Environment(_)) => 2,
        None => 3,
    };
    (group, file.name.as_str())
}

fn tree(trees: &Node, index: usize) -> Option<&Node> {
    match &trees.value {
        Value::Map(entries) => entries.get(index).map(|entry| &entry.node),
        _ => None,
    }
}

fn trees_mut(trees: &mut Node) -> &mut [Entry] {
    match &mut trees.value {
        Value::Map(entries) => entries,
        _ => &mut [],
    }
}

fn field_mut<'a>(node: &'a mut Node, name: &str) -> Option<&'a mut Node> {
    match &mut node.value {
        Value::Map(entries) => entries
            .iter_mut()
            .find(|entry| entry.key == name)
            .map(|entry| &mut entry.node),
        _ => None,
    }
}

/// Paths begin with the number of the file, which `at` has.
fn without_file(mut fault: Fault) -> Fault {
    let path = fault.path.trim_start_matches(|c: char| c.is_ascii_digit());
    fault.path = path.strip_prefix('.').unwrap_or(path).to_owned();
    fault
}

/// `platform.yaml:12:5`, or `teams/x.yaml` where the text knows no place.
fn shown_place(folder: &Folder, at: Option<Mark>) -> String {
    let Some(at) = at else { return PLATFORM.into() };
    let name = folder.files.get(at.file()).map_or("", |file| file.name.as_str());
    format!("{name}:{}:{}", at.line(), at.column())
}

/// `nothing is named "x": did you mean y?`
fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    format!("{what} {}{}", quoted(name), suggest::hint(name, known))
}

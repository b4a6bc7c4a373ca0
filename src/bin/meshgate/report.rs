//! What is wrong with a policy, as it is told: for people, for programs, for a code host.

mod json;
mod sarif;
mod text;

use clap::ValueEnum;
use meshgate::config::folder::File;
use meshgate::config::{Fault, Faults, Mark};
use std::collections::HashMap;
use std::io::Write;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Lines with the place marked
    Text,
    /// One object: faults and warnings with their places
    Json,
    /// SARIF 2.1.0, which code hosts show beside a change
    Sarif,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Fault,
    Warning,
}

/// One thing that is wrong, or worth a look.
pub struct Finding {
    pub severity: Severity,
    pub fault: Fault,
    /// Those that have it, where others have not.
    pub environments: Vec<String>,
}

pub struct Report {
    /// As the places of findings count them.
    files: Vec<File>,
    /// Faults first.
    findings: Vec<Finding>,
}

/// Where a finding is, and how many characters it takes there.
struct Spot<'a> {
    line: usize,
    column: usize,
    width: usize,
    text: &'a str,
}

impl Finding {
    pub fn faults(faults: &Faults) -> Vec<Self> {
        faults.iter().map(|fault| Self::new(Severity::Fault, fault)).collect()
    }

    pub fn warnings(warnings: &[Fault]) -> Vec<Self> {
        warnings
            .iter()
            .map(|fault| Self::new(Severity::Warning, fault))
            .collect()
    }

    fn new(severity: Severity, fault: &Fault) -> Self {
        Self {
            severity,
            fault: fault.clone(),
            environments: vec![],
        }
    }

    /// Of several environments, each once; in the order of files and lines.
    pub fn united(by_environment: Vec<(Option<String>, Vec<Self>)>) -> Vec<Self> {
        let count = by_environment.len();
        let mut united: Vec<Self> = vec![];
        let mut known: HashMap<_, usize> = HashMap::new();
        for (environment, findings) in by_environment {
            for finding in findings {
                let fault = &finding.fault;
                let key = (place(fault), fault.path.clone(), fault.message.clone());
                let position = *known.entry(key).or_insert(united.len());
                if position == united.len() {
                    united.push(finding);
                }
                if let Some(finding) = united.get_mut(position) {
                    finding.environments.extend(environment.clone());
                }
            }
        }
        for finding in &mut united {
            if finding.environments.len() == count {
                finding.environments.clear();
            }
        }
        united.sort_by_key(|finding| place(&finding.fault));
        united
    }

    /// Path, message, and where else than everywhere.
    fn told(&self) -> String {
        let fault = &self.fault;
        match self.environments.as_slice() {
            [] => fault.to_string(),
            some => format!("{fault} (in {})", some.join(", ")),
        }
    }
}

/// A closed standard error is nobody's concern.
pub fn complain(line: &str) {
    writeln!(std::io::stderr(), "{line}").unwrap_or_default();
}

fn place(fault: &Fault) -> Option<(usize, usize, usize)> {
    fault.at.map(Mark::order)
}

impl Report {
    pub fn new(files: Vec<File>, mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| finding.severity == Severity::Warning);
        Self { files, findings }
    }

    /// Of a file that is no policy.
    pub fn of(file: File, faults: &Faults) -> Self {
        Self::new(vec![file], Finding::faults(faults))
    }

    pub fn is_fine(&self) -> bool {
        self.count(Severity::Fault) == 0
    }

    pub fn count(&self, severity: Severity) -> usize {
        self.of_severity(severity).count()
    }

    /// On standard error, for people.
    pub fn complain(&self) {
        let text = text::text(self, text::colours());
        if !text.is_empty() {
            complain(text.trim_end());
        }
    }

    /// For programs.
    pub fn formatted(&self, format: Format) -> String {
        match format {
            Format::Text => text::text(self, false),
            Format::Json => json::json(self),
            Format::Sarif => sarif::sarif(self),
        }
    }

    fn of_severity(&self, severity: Severity) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.severity == severity)
    }

    fn file(&self, finding: &Finding) -> Option<&File> {
        self.files.get(finding.fault.at.map_or(0, |at| at.file()))
    }

    fn spot(&self, finding: &Finding) -> Option<Spot<'_>> {
        let at = finding.fault.at?;
        let file = self.files.get(at.file())?;
        let text = file.text.lines().nth(at.line().checked_sub(1)?)?;
        Some(Spot {
            line: at.line(),
            column: at.column(),
            width: text::width(text, at.column()),
            text,
        })
    }
}

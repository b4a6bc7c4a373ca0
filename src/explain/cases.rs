//! Requests, and whether what becomes of them is what is expected.

use super::asked::Asked;
use super::mask::Mask;
use super::variants;
use super::world::{Decided, Decision, Undecided, Who, World};
use crate::config::hint;
use crate::decide;
use crate::experiment::Kind;
use crate::header::{HeaderName, Headers};
use crate::request::Request;
use crate::rule;
use crate::time::UnixTime;
use std::fmt::Write;

/// Stands for an outcome where a service's answer or fetched keys are not given.
pub const UNDECIDED: &str = "undecided";

/// Stands for a variant where the caller takes no part.
pub const NO_PART: &str = "none";

/// One file of them.
#[derive(Debug)]
pub struct Cases {
    /// From the file's own folder.
    pub policy: Option<String>,
    pub at: Option<UnixTime>,
    pub cases: Vec<Case>,
}

#[derive(Debug)]
pub struct Case {
    pub name: String,
    /// Where it stands in its file.
    pub line: Option<usize>,
    pub asked: Asked,
    pub who: Who,
    pub expect: Expect,
}

/// None: whatever it is.
#[derive(Debug, Default)]
pub struct Expect {
    pub outcome: Option<&'static str>,
    /// `none`: no rule.
    pub rule: Option<String>,
    /// Of the filter's own answer.
    pub status: Option<u16>,
    pub cause: Option<String>,
    pub authenticator: Option<String>,
    pub subject: Option<String>,
    /// What the upstream sees; None: nothing under that name. Several values are joined by `, `.
    pub upstream: Vec<(HeaderName, Option<String>)>,
    /// Of the filter's own answer, or what it adds to the upstream's.
    pub response: Vec<(HeaderName, Option<String>)>,
    /// By experiment: a variant, a bucket, or [`NO_PART`].
    pub variant: Vec<(String, String)>,
}

/// What came of a case.
#[derive(Debug)]
pub struct Tried<'c> {
    pub case: &'c Case,
    /// What is not as expected; empty where the case holds.
    pub wrong: Vec<String>,
}

/// What came of all cases of a policy.
#[derive(Debug, Default)]
pub struct Coverage {
    /// By position: whether a case met the rule, shadow rules among them.
    met: Vec<bool>,
}

impl Coverage {
    pub fn of(world: &World) -> Self {
        Self {
            met: vec![false; world.policy.rules.len()],
        }
    }

    fn meets(&mut self, position: usize) {
        if let Some(met) = self.met.get_mut(position) {
            *met = true;
        }
    }

    pub fn met(&self) -> usize {
        self.met.iter().filter(|met| **met).count()
    }

    pub fn rules(&self) -> usize {
        self.met.len()
    }

    /// The rules that no case met.
    pub fn missed<'w>(&self, world: &'w World) -> Vec<&'w str> {
        let rules = world.policy.rules.iter().zip(&self.met);
        rules.filter(|(_, met)| !**met).map(|(rule, _)| &*rule.name).collect()
    }
}

/// Each case meets a world that remembers nothing.
pub fn tried<'c>(world: &World, case: &'c Case, coverage: &mut Coverage) -> Tried<'c> {
    let decided = match world.decide(&mut world.memory(), &case.asked, &case.who) {
        Ok(decided) => decided,
        Err(fault) => {
            let wrong = vec![fault];
            return Tried { case, wrong };
        }
    };
    let rule = met(world, case, &decided, coverage);
    let mut wrong = Wrong {
        found: Vec::new(),
        mask: Mask::of(&world.policy),
    };
    let Expect {
        outcome,
        rule: wanted,
        status,
        cause,
        authenticator,
        subject,
        upstream,
        response,
        variant,
    } = &case.expect;
    let record = decided.record();
    let is = record.map_or(UNDECIDED, |record| record.outcome.word());
    if outcome.is_some_and(|outcome| outcome != is) {
        let why = match (&decided.decision, record) {
            (Decision::Undecided(Undecided::Answer { authenticator }), _) => {
                format!(", for what the service of {authenticator} answers is not given")
            }
            (Decision::Undecided(Undecided::Keys { authenticator }), _) => {
                format!(", for the keys of {authenticator} are not given")
            }
            (_, Some(record)) if !record.cause.is_empty() => format!(" ({})", record.cause),
            _ => String::new(),
        };
        wrong.note(format!(
            "outcome is {is}{why}, expected {}",
            outcome.unwrap_or_default()
        ));
    }
    wrong.compare("rule", wanted.as_deref(), Some(rule.as_deref().unwrap_or("none")));
    wrong.compare("cause", cause.as_deref(), record.map(|record| &*record.cause));
    let by = record.and_then(|record| record.authenticator.as_deref());
    wrong.compare("authenticator", authenticator.as_deref(), by);
    wrong.compare(
        "subject",
        subject.as_deref(),
        record.and_then(|record| record.subject.as_deref()),
    );
    let (sees, gets, answered) = seen(world, case, &decided);
    if let Some(status) = status
        && answered != Some(*status)
    {
        let is = answered.map_or("the upstream's".to_owned(), |status| status.to_string());
        wrong.note(format!("status is {is}, expected {status}"));
    }
    wrong.headers("upstream", upstream, sees.as_deref());
    wrong.headers("response", response, Some(&gets));
    for (experiment, expected) in variant {
        if let Err(unknown) = exists(world, experiment, expected) {
            wrong.note(unknown);
            continue;
        }
        let all = record.map(|record| &*record.variants).unwrap_or_default();
        let here = all.iter().find(|assigned| *assigned.experiment.name == **experiment);
        let is = here.map(|assigned| variants::gets(assigned).unwrap_or_else(|| NO_PART.to_owned()));
        wrong.compare(&format!("variant of {experiment}"), Some(expected), is.as_deref());
    }
    Tried {
        case,
        wrong: wrong.found,
    }
}

/// Whether the policy has the experiment, and the experiment what is expected of it; the error says what there is.
fn exists(world: &World, experiment: &str, expected: &str) -> Result<(), String> {
    let all = &world.policy.experiments;
    let Some(known) = all.iter().find(|known| *known.name == *experiment) else {
        let hint = hint(experiment, all.iter().map(|known| &*known.name));
        return Err(format!("no experiment is named {experiment:?}{hint}"));
    };
    let variants = match &known.kind {
        Kind::Variants(variants) => &variants.variants,
        Kind::Bucket(_) if expected.parse().is_ok_and(|bucket: u32| bucket < 10_000) => return Ok(()),
        Kind::Bucket(_) if expected == NO_PART => return Ok(()),
        Kind::Bucket(_) => {
            return Err(format!(
                "{experiment} has a bucket, 0 to 9999 or none, and not {expected:?}"
            ));
        }
    };
    let mut names = variants.iter().map(|variant| &*variant.name).chain([NO_PART]);
    match names.any(|name| name == expected) {
        true => Ok(()),
        false => {
            let hint = hint(expected, variants.iter().map(|variant| &*variant.name));
            Err(format!("no variant of {experiment} is named {expected:?}{hint}"))
        }
    }
}

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// What the upstream sees, if it sees anything, what is sent or added to the client, and the status of an own answer.
fn seen(world: &World, case: &Case, decided: &Decided) -> (Option<Pairs>, Pairs, Option<u16>) {
    let told = decided.record().and_then(|record| decide::told(&world.policy, record));
    match &decided.decision {
        Decision::Forward(forward) => {
            let headers = forward.edits.apply(&case.asked.headers).into_iter();
            let sees = headers.map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
            let variants = forward.on_response.variants.as_ref();
            let edits = variants
                .map(|variants| variants.edits(&Headers::default()))
                .unwrap_or_default();
            let added = forward.on_response.to_client.iter().cloned().chain(told);
            let gets = added.chain(edits.set).chain(edits.add).collect();
            (Some(sees), gets, None)
        }
        Decision::Refuse(refuse) => {
            let gets = refuse.reply.headers.iter().cloned().chain(told).collect();
            (None, gets, Some(refuse.reply.status))
        }
        Decision::Undecided(_) => (None, Vec::new(), None),
    }
}

/// The name of the rule that decides.
fn met(world: &World, case: &Case, decided: &Decided, coverage: &mut Coverage) -> Option<String> {
    if let Some(record) = decided.record() {
        record
            .shadows
            .iter()
            .for_each(|(rule, _)| coverage.meets(rule.position));
        let rule = record.rule.as_ref()?;
        coverage.meets(rule.position);
        return Some(rule.name.to_string());
    }
    let request = Request::parse(case.asked.headers.clone()).ok()?;
    let found = rule::find(&world.policy, &request, &case.asked.from);
    found.shadows.iter().for_each(|rule| coverage.meets(rule.position));
    let rule = found.rule?;
    coverage.meets(rule.position);
    Some(rule.name.to_string())
}

struct Wrong {
    found: Vec<String>,
    mask: Mask,
}

impl Wrong {
    fn note(&mut self, text: String) {
        self.found.push(text);
    }

    fn compare(&mut self, what: &str, expected: Option<&str>, is: Option<&str>) {
        if let Some(expected) = expected
            && is != Some(expected)
        {
            let is = is.map_or("nothing".to_owned(), |is| format!("{is:?}"));
            self.note(format!("{what} is {is}, expected {expected:?}"));
        }
    }

    /// `pairs`: None where nobody sees any.
    fn headers(&mut self, who: &str, expected: &[(HeaderName, Option<String>)], pairs: Option<&[(Vec<u8>, Vec<u8>)]>) {
        for (name, expected) in expected {
            let Some(pairs) = pairs else {
                self.note(format!("{who} sees nothing, expected {}", name.as_str()));
                return;
            };
            let values = pairs.iter().filter(|(other, _)| other == name.as_str().as_bytes());
            let values: Vec<&[u8]> = values.map(|(_, value)| &value[..]).collect();
            let is = (!values.is_empty()).then(|| values.join(&b", "[..]));
            if is.as_deref() == expected.as_deref().map(str::as_bytes) {
                continue;
            }
            let shown = |value: Option<&[u8]>| match value {
                None => "absent".to_owned(),
                Some(value) => format!("{:?}", self.mask.header(name.as_str().as_bytes(), value)),
            };
            let (is, expected) = (shown(is.as_deref()), shown(expected.as_deref().map(str::as_bytes)));
            self.note(format!("{who} {} is {is}, expected {expected}", name.as_str()));
        }
    }
}

/// What a test runner says: each case that does not hold, or with `all` each case.
pub fn summary(file: &str, tried: &[Tried], all: bool) -> String {
    let mut out = String::new();
    for Tried { case, wrong } in tried {
        let name: String = case
            .name
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        if wrong.is_empty() {
            if all {
                writeln!(out, "ok    {name}").unwrap_or_default();
            }
            continue;
        }
        let line = case.line.map(|line| format!(":{line}")).unwrap_or_default();
        writeln!(out, "FAIL  {name} ({file}{line})").unwrap_or_default();
        for wrong in wrong {
            writeln!(out, "      {wrong}").unwrap_or_default();
        }
    }
    out
}

/// The same for what runs tests, as JUnit's XML.
pub fn junit(files: &[(String, Vec<Tried>)]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let failures = |tried: &[Tried]| tried.iter().filter(|tried| !tried.wrong.is_empty()).count();
    let (cases, failed) = files.iter().fold((0, 0), |(cases, failed), (_, tried)| {
        (cases + tried.len(), failed + failures(tried))
    });
    writeln!(
        out,
        "<testsuites name=\"meshgate\" tests=\"{cases}\" failures=\"{failed}\">"
    )
    .unwrap_or_default();
    for (file, tried) in files {
        let (name, count, failed) = (escaped(file), tried.len(), failures(tried));
        writeln!(
            out,
            "  <testsuite name=\"{name}\" tests=\"{count}\" failures=\"{failed}\" errors=\"0\">"
        )
        .unwrap_or_default();
        for Tried { case, wrong } in tried {
            let line = case.line.map(|line| format!(" line=\"{line}\"")).unwrap_or_default();
            let head = format!(
                "    <testcase name=\"{}\" classname=\"{name}\" file=\"{name}\"{line}",
                escaped(&case.name)
            );
            match wrong.as_slice() {
                [] => writeln!(out, "{head}/>").unwrap_or_default(),
                [first, ..] => {
                    let all = escaped(&wrong.join("\n"));
                    let first = escaped(first);
                    writeln!(
                        out,
                        "{head}>\n      <failure message=\"{first}\">{all}</failure>\n    </testcase>"
                    )
                    .unwrap_or_default();
                }
            }
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// XML 1.0 has no way to write most control characters.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'.. => out.push(c),
            _ => out.push('\u{fffd}'),
        }
    }
    out
}

//! An explanation, for a person.

use super::explanation::{Earlier, Explanation, InExperiment, Passed, Question, Upstream};
use std::fmt::Write;

/// `all`: rules of other hosts as well, one by one.
pub fn text(explanation: &Explanation, all: bool) -> String {
    let mut out = Out(String::new());
    let Explanation {
        request,
        revision,
        enforced,
        removed,
        rewritten,
        host,
        path,
        rule,
        earlier,
        shadows,
        authenticators,
        caller,
        require,
        question,
        experiments,
        notes,
        verdict,
    } = explanation;
    out.line(request);
    if !revision.is_empty() {
        out.row("revision", revision);
    }
    if !removed.is_empty() {
        out.row("removed", &removed.join(", "));
    }
    if !rewritten.is_empty() {
        out.row("removed", &format!("a part of {}", rewritten.join(", ")));
    }
    if let Some(host) = host {
        out.row("host", host);
    }
    if let Some(path) = path {
        out.row("path", path);
    }
    out.earlier(earlier, all);
    match rule {
        Some(rule) => out.row(
            "rule",
            &format!("{} ({} of {}) {}", rule.name, rule.number, rule.of, rule.does),
        ),
        None => out.row("rule", "none"),
    }
    for shadow in shadows {
        out.row("shadow", &format!("{} would say {}", shadow.rule, shadow.outcome));
    }
    for looked in authenticators {
        let detail = match looked.detail.as_str() {
            "" => String::new(),
            detail => format!(": {detail}"),
        };
        out.row(
            "known",
            &format!("{} ({}) {}{detail}", looked.authenticator, looked.kind, looked.says),
        );
    }
    if let Some(question) = question {
        out.question(question);
    }
    if let Some(caller) = caller {
        out.row("caller", &format!("{} of {}", caller.subject, caller.authenticator));
        for (word, values) in [("groups", &caller.groups), ("scopes", &caller.scopes)] {
            if !values.is_empty() {
                out.row("", &format!("{word}: {}", values.join(", ")));
            }
        }
        for (name, claim) in &caller.claims {
            out.row("", &format!("claim {name}: {claim}"));
        }
    }
    for Passed { part, met } in require {
        let word = match met {
            Some(true) => "met",
            Some(false) => "not met",
            None => "is asked",
        };
        out.row("require", &format!("{part}: {word}"));
    }
    experiments.iter().for_each(|experiment| out.experiment(experiment));
    if let Some(upstream) = &verdict.upstream {
        out.upstream(upstream);
    }
    for (name, value) in &verdict.to_client {
        out.row("response", &format!("+ {name}: {value}"));
    }
    for note in notes {
        out.row("note", note);
    }
    if !enforced {
        out.row(
            "note",
            "mode: observe: nothing is changed, this is what would have been done",
        );
    }
    let cause = match verdict.cause.as_str() {
        "" => String::new(),
        cause => format!(" ({cause})"),
    };
    let said = format!("{}{cause}", verdict.outcome.unwrap_or_default());
    match (&verdict.reply, &verdict.missing) {
        (Some(reply), _) => {
            let grpc = reply
                .grpc_status
                .map(|status| format!(", grpc-status {status}"))
                .unwrap_or_default();
            out.row("verdict", &format!("answered {}{grpc}: {said}", reply.status));
            for (name, value) in &reply.headers {
                out.row("", &format!("{name}: {value}"));
            }
            for line in reply.body.lines() {
                out.row("", line);
            }
        }
        (None, Some(missing)) => out.row("verdict", &format!("undecided: it depends on {missing}")),
        (None, None) => out.row("verdict", &format!("goes on: {said}")),
    }
    out.0
}

struct Out(String);

impl Out {
    fn line(&mut self, text: &str) {
        // Bodies of others and names of callers speak to no terminal.
        self.0
            .extend(text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }));
        self.0.push('\n');
    }

    fn row(&mut self, word: &str, text: &str) {
        write!(self.0, "  {word:<9} ").unwrap_or_default();
        self.line(text);
    }

    fn earlier(&mut self, earlier: &[Earlier], all: bool) {
        let (others, near): (Vec<_>, Vec<_>) = earlier.iter().partition(|rule| rule.of_other_hosts && !all);
        for rule in near {
            let shadow = if rule.shadow { " (shadow)" } else { "" };
            let why = match rule.why.as_slice() {
                [] => "matches, and the search goes on".to_owned(),
                why => why.join("; "),
            };
            self.row("not", &format!("{} ({}){shadow}: {why}", rule.rule, rule.number));
        }
        match others.as_slice() {
            [] => {}
            [one] => self.row("not", &format!("{} ({}): of another host", one.rule, one.number)),
            others => self.row("not", &format!("{} rules of other hosts", others.len())),
        }
    }

    fn question(&mut self, question: &Question) {
        let verb = if question.answered.is_some() {
            "asked"
        } else {
            "would ask"
        };
        self.row(
            verb,
            &format!("cluster {}, {} ms", question.cluster, question.timeout_ms),
        );
        for (name, value) in &question.headers {
            self.row("", &format!("{name}: {value}"));
        }
        if let Some(answered) = &question.answered {
            self.row("answered", answered);
        }
    }

    fn experiment(&mut self, experiment: &InExperiment) {
        let InExperiment {
            experiment,
            variant,
            shadow,
            unit,
            why,
        } = experiment;
        let gets = match variant {
            Some(variant) => format!("= {variant}"),
            None => "takes no part".to_owned(),
        };
        let shadow = if *shadow { " (shadow)" } else { "" };
        let unit = unit.as_ref().map(|unit| format!("unit: {unit}; ")).unwrap_or_default();
        self.row("variant", &format!("{experiment} {gets}{shadow}: {unit}{why}"));
    }

    fn upstream(&mut self, upstream: &Upstream) {
        for name in &upstream.removed {
            self.row("upstream", &format!("- {name}"));
        }
        for (name, value) in &upstream.set {
            // Envoy's router goes by them and takes them out.
            let whom = if name.starts_with("x-envoy-") {
                "router"
            } else {
                "upstream"
            };
            self.row(whom, &format!("= {name}: {value}"));
        }
        for (name, value) in &upstream.added {
            self.row("upstream", &format!("+ {name}: {value}"));
        }
    }
}

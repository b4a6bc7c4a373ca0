//! A decision with its reasons, as values that may be shown: credentials are masked in all of them.

use serde::Serialize;

/// Fields are what `--json` prints.
#[derive(Debug, Serialize)]
pub struct Explanation {
    pub request: String,
    pub revision: String,
    /// False under `mode: observe`: this is what would have been done.
    pub enforced: bool,
    /// Names of what is removed before anything else is looked at, credentials of the rule besides.
    pub removed: Vec<String>,
    /// Names of what a part is taken out of: a credential among cookies, or in the query.
    pub rewritten: Vec<String>,
    /// As rules match them.
    pub host: Option<String>,
    pub path: Option<String>,
    pub rule: Option<Decider>,
    /// Before the one that decides, or all.
    pub earlier: Vec<Earlier>,
    pub shadows: Vec<Shadow>,
    pub authenticators: Vec<Looked>,
    pub caller: Option<Caller>,
    pub require: Vec<Passed>,
    pub question: Option<Question>,
    pub experiments: Vec<InExperiment>,
    pub notes: Vec<String>,
    pub verdict: Verdict,
}

#[derive(Debug, Serialize)]
pub struct Decider {
    pub name: String,
    /// From 1.
    pub number: usize,
    pub of: usize,
    pub does: String,
}

#[derive(Debug, Serialize)]
pub struct Earlier {
    pub rule: String,
    pub number: usize,
    pub shadow: bool,
    /// It is none of the request's host, which is all that was looked at.
    pub of_other_hosts: bool,
    /// What does not hold; of a shadow rule that matches, nothing.
    pub why: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct Shadow {
    pub rule: String,
    pub outcome: &'static str,
}

#[derive(Debug, Serialize)]
pub struct Looked {
    pub authenticator: String,
    pub kind: &'static str,
    /// `not mine`, `known`, `refused`, `keys missing`, `asks`, `ambiguous` or, of a caller who is given, `given`.
    pub says: &'static str,
    pub detail: String,
}

#[derive(Debug, Serialize)]
pub struct Caller {
    pub authenticator: String,
    pub subject: String,
    pub groups: Vec<String>,
    pub scopes: Vec<String>,
    pub claims: Vec<(String, String)>,
}

#[derive(Debug, Serialize)]
pub struct Passed {
    pub part: String,
    /// None: nobody is known yet.
    pub met: Option<bool>,
}

/// What the request gets of one experiment of its rule.
#[derive(Debug, Serialize)]
pub struct InExperiment {
    pub experiment: String,
    /// Or the bucket that the route goes by. None: it takes no part.
    pub variant: Option<String>,
    /// Computed, and told nobody.
    pub shadow: bool,
    /// Where the unit stands; its value may be a secret.
    pub unit: Option<String>,
    pub why: String,
}

/// What the service is asked.
#[derive(Debug, Serialize)]
pub struct Question {
    pub cluster: String,
    pub timeout_ms: u128,
    pub headers: Vec<(String, String)>,
    /// The status that was given, or the word of the failure.
    pub answered: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct Verdict {
    /// `forward`, `refuse` (or answered by the filter itself), or `undecided`.
    pub decision: &'static str,
    pub outcome: Option<&'static str>,
    pub cause: String,
    pub authenticator: Option<String>,
    pub subject: Option<String>,
    pub credential_id: Option<String>,
    /// What would have to be known.
    pub missing: Option<String>,
    pub upstream: Option<Upstream>,
    /// Added to the response.
    pub to_client: Vec<(String, String)>,
    pub reply: Option<Answered>,
}

#[derive(Debug, Serialize)]
pub struct Upstream {
    pub removed: Vec<String>,
    pub set: Vec<(String, String)>,
    pub added: Vec<(String, String)>,
    /// All that the upstream sees.
    pub headers: Vec<(String, String)>,
}

/// What the client gets.
#[derive(Debug, Serialize)]
pub struct Answered {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
    pub grpc_status: Option<i32>,
}

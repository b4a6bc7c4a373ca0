//! A decision with its reasons: what the deciding code says when it is asked one thing at a time.

use super::asked::Asked;
use super::caller::Known;
use super::explanation::{
    Answered, Caller, Decider, Earlier, Explanation, Looked, Passed, Question, Shadow, Upstream, Verdict,
};
use super::mask::Mask;
use super::show;
use super::shown::shown;
use super::variants;
use super::world::{Decided, Decision, Undecided, Who, World};
use crate::authn::callout::Question as Asking;
use crate::authn::{Claim, Finding, Principal, credential};
use crate::authz::{self, Facts};
use crate::decide::{self, Forward, Record};
use crate::denial::{Outcome, Reply};
use crate::header::{Field, Headers, Names};
use crate::policy::{Action, Anonymous, AuthenticatorKind, Gate, Place, Rule, RuleMode};
use crate::request::Request;
use crate::rule::{self, Part};

/// The error says why the question itself makes no sense.
pub fn explain(world: &World, asked: &Asked, who: &Who) -> Result<Explanation, String> {
    let decided = world.decide(&mut world.memory(), asked, who)?;
    let mask = Mask::of(&world.policy);
    let policy = &world.policy;
    let mut edits = policy.strip.edits(&asked.headers);
    let mut explanation = Explanation {
        request: line(asked, &mask),
        revision: policy.revision.to_string(),
        enforced: decide::strips(policy),
        removed: Vec::new(),
        rewritten: Vec::new(),
        host: None,
        path: None,
        rule: None,
        earlier: Vec::new(),
        shadows: Vec::new(),
        authenticators: Vec::new(),
        caller: None,
        require: Vec::new(),
        question: decided.question.as_ref().map(|question| asking(question, who, &mask)),
        experiments: decided
            .record()
            .map(|record| variants::of(&record.variants, world.now))
            .unwrap_or_default(),
        notes: world.notes.clone(),
        verdict: verdict(&decided, asked, &mask),
    };
    if let Ok(request) = Request::parse(asked.headers.clone()) {
        explanation.host = Some(request.host.name().to_owned());
        explanation.path = request.path.as_ref().map(|path| path.as_str().to_owned());
        let by_itself = decided.record().is_some_and(|record| record.outcome == Outcome::Jwks);
        let found = match by_itself {
            true => None,
            false => rule::find(policy, &request, &asked.from).rule,
        };
        let end = match &found {
            Some(rule) => rule.position,
            None if by_itself => 0,
            None => policy.rules.len(),
        };
        let earlier = policy.rules.iter().take(end);
        explanation.earlier = earlier.map(|rule| passed_over(rule, &request, asked, &mask)).collect();
        if let Some(rule) = &found {
            credential::strip(&rule.strip_credentials, &request, &mut edits);
            explanation.rule = Some(decider(rule, policy.rules.len()));
            let known = rule
                .gate()
                .and_then(|gate| of_callers(world, asked, who, &decided, (rule, gate, &request), &mut explanation));
            if let Some(record) = decided.record() {
                let facts = Facts {
                    principal: known.as_ref(),
                    request: &request,
                    rule,
                    connection: &asked.from,
                };
                variants::not_forced(&record.variants, &facts, &mut explanation.experiments);
            }
        }
        if !matches!(who, Who::Shown) && found.as_ref().is_none_or(|rule| rule.gate().is_none()) {
            explanation
                .notes
                .push("nobody is asked who calls: what was given is not used".to_owned());
        }
    }
    explanation.removed = names(&edits.remove);
    explanation.rewritten = edits.set.iter().map(|(name, _)| shown(name)).collect();
    explanation.shadows = decided.record().map(shadows).unwrap_or_default();
    Ok(explanation)
}

/// What is looked at where a rule asks who calls, and who does.
fn of_callers(
    world: &World,
    asked: &Asked,
    who: &Who,
    decided: &Decided,
    (rule, gate, request): (&Rule, &Gate, &Request),
    explanation: &mut Explanation,
) -> Option<Principal> {
    if request.is_preflight() {
        explanation
            .notes
            .push("a CORS preflight: nobody is asked who calls".to_owned());
        return None;
    }
    let mut known = decided.principal.as_deref().cloned();
    match who {
        Who::Known(Known(given)) => {
            let named = decided.record().and_then(|record| record.authenticator.clone());
            let authenticator = named.unwrap_or_else(|| given.authenticator.clone());
            explanation.authenticators.push(Looked {
                kind: kind_of(gate, &authenticator),
                authenticator: authenticator.to_string(),
                says: "given",
                detail: "the caller is given: nothing that the request shows was looked at".to_owned(),
            });
            known = Some(Principal {
                authenticator,
                ..given.clone()
            });
        }
        Who::Shown | Who::Answered(_) => {
            let mut memory = world.memory();
            for (authenticator, finding) in decide::said(gate, request, &mut world.around(&mut memory, asked)) {
                if let Ok(Finding::Known { principal, .. }) = &finding {
                    known = Some(Principal::clone(principal));
                }
                let (says, detail) = says(finding);
                explanation.authenticators.push(Looked {
                    authenticator: authenticator.name.to_string(),
                    kind: kind(&authenticator.kind),
                    says,
                    detail,
                });
            }
        }
    }
    if matches!(who, Who::Answered(_)) && explanation.question.is_none() {
        explanation
            .notes
            .push("no service was asked: the reply that was given is not used".to_owned());
    }
    let facts = Facts {
        principal: known.as_ref(),
        request,
        rule,
        connection: &asked.from,
    };
    let undecided = matches!(decided.decision, Decision::Undecided(_));
    let parts = gate.require.parts(&facts).into_iter();
    explanation.require = parts
        .map(|(part, met)| Passed {
            part: required(part),
            met: (!undecided).then_some(met),
        })
        .collect();
    explanation.caller = known.as_ref().map(caller);
    known
}

fn line(asked: &Asked, mask: &Mask) -> String {
    let part = |name| asked.headers.first(name).unwrap_or_default();
    let (method, authority) = (shown(part(":method")), shown(part(":authority")));
    match asked.headers.first(":path") {
        Some(target) => format!(
            "{method} {}://{authority}{}",
            shown(part(":scheme")),
            mask.target(target)
        ),
        None => format!("{method} {authority}"),
    }
}

fn passed_over(rule: &Rule, request: &Request, asked: &Asked, mask: &Mask) -> Earlier {
    let unmet = rule.matcher.unmet(request, &asked.from);
    Earlier {
        rule: rule.name.to_string(),
        number: rule.position + 1,
        shadow: rule.mode == RuleMode::Shadow,
        of_other_hosts: matches!(unmet.as_slice(), [Part::Hosts(_)]),
        why: unmet
            .into_iter()
            .map(|part| missed(part, request, asked, mask))
            .collect(),
    }
}

/// Why a condition does not hold.
fn missed(part: Part, request: &Request, asked: &Asked, mask: &Mask) -> String {
    match part {
        Part::Hosts(hosts) => format!("host is not {}", show::list(hosts, show::host)),
        Part::Paths(paths) => format!("path is not {}", show::list(paths, show::path)),
        Part::NoPath => "the request names no path, and the rule does not list CONNECT".to_owned(),
        Part::Methods(methods) => {
            let asks = if request.is_preflight() {
                "the method that the preflight asks for"
            } else {
                "method"
            };
            format!(
                "{asks} {} is not {}",
                shown(request.intended_method().as_bytes()),
                methods.join(", ")
            )
        }
        Part::Header(name, wanted) => {
            let masked = mask.hides(name.as_str().as_bytes());
            format!("header {} is not {}", name.as_str(), show::value(wanted, masked))
        }
        Part::Cookie(name, wanted) => format!("cookie {name} is not {}", show::value(wanted, true)),
        Part::Query(name, wanted) => {
            format!(
                "query parameter {name} is not {}",
                show::value(wanted, mask.hides_parameter(name))
            )
        }
        Part::Grpc(services) => format!("it is no gRPC call of {}", show::list(services, show::grpc)),
        Part::ClientIp(ranges) => {
            let ip = asked.from.ip.map_or("unknown".to_owned(), |ip| ip.to_string());
            format!("client ip {ip} is not in {}", show::list(ranges, show::range))
        }
        Part::Peers(peers) => {
            let peer = asked.from.peer.as_deref().unwrap_or("unknown");
            format!(
                "peer {} is not {}",
                shown(peer.as_bytes()),
                show::list(peers, show::peer)
            )
        }
        Part::Not(not) => format!("its `not` takes the request away: {}", show::matcher(not, mask)),
    }
}

fn decider(rule: &Rule, of: usize) -> Decider {
    let does = match &rule.action {
        Action::Refuse(status) => format!("refuse: {status}"),
        Action::Public => "authenticate: none".to_owned(),
        Action::Authenticate(gate) => {
            let names = show::list(&gate.authenticators, |asked| asked.name.to_string());
            let anonymous = match gate.anonymous {
                Anonymous::Deny => "deny",
                Anonymous::AllowMissing => "allow_missing",
                Anonymous::AllowMissingOrFailed => "allow_missing_or_failed",
            };
            format!("authenticate: [{names}], anonymous: {anonymous}")
        }
    };
    Decider {
        name: rule.name.to_string(),
        number: rule.position + 1,
        of,
        does,
    }
}

fn kind_of(gate: &Gate, name: &str) -> &'static str {
    let found = gate.authenticators.iter().find(|asked| *asked.name == *name);
    found.map_or("", |asked| kind(&asked.kind))
}

fn kind(kind: &AuthenticatorKind) -> &'static str {
    match kind {
        AuthenticatorKind::Callout(_) => "callout",
        AuthenticatorKind::Jwt(_) => "jwt",
        AuthenticatorKind::ApiKey(_) => "api_key",
        AuthenticatorKind::Mtls(_) => "mtls",
        AuthenticatorKind::Gate(_) => "gate",
    }
}

fn says(finding: Result<Finding, credential::Ambiguous>) -> (&'static str, String) {
    match finding {
        Err(credential::Ambiguous(place)) => (
            "ambiguous",
            format!("{} does not hold one readable credential", place_name(&place)),
        ),
        Ok(Finding::NotMine) => (
            "not mine",
            "none of its places holds a credential of its own".to_owned(),
        ),
        Ok(Finding::OfAnother(fault)) => ("not mine", fault.word().to_owned()),
        Ok(Finding::Known { credential_id, .. }) => {
            ("known", credential_id.map(|id| format!("by {id}")).unwrap_or_default())
        }
        Ok(Finding::Refused { fault, credential_id }) => {
            let id = credential_id.map(|id| format!(" of {id}")).unwrap_or_default();
            ("refused", format!("{}{id}", fault.word()))
        }
        Ok(Finding::KeysUnavailable) => ("keys missing", "its keys are fetched by the proxy".to_owned()),
        Ok(Finding::Ask { callout, present }) => {
            let shows = if present {
                "with the credential"
            } else {
                "without a credential"
            };
            ("asks", format!("cluster {} {shows}", callout.cluster))
        }
    }
}

fn place_name(place: &Place) -> String {
    match place {
        Place::Header(name) => format!("header {}", name.as_str()),
        Place::Cookie(name) => format!("cookie {name}"),
        Place::CookiePrefix(prefix) => format!("cookies {prefix}*"),
        Place::Query(name) => format!("query parameter {name}"),
    }
}

fn required(part: authz::Part) -> String {
    match part {
        authz::Part::Authenticators(names) => {
            format!("authenticators [{}]", show::list(names, ToString::to_string))
        }
        authz::Part::Groups(condition) => format!("groups {}", show::condition(condition)),
        authz::Part::Scopes(condition) => format!("scopes {}", show::condition(condition)),
        authz::Part::Claim(path, condition) => {
            format!("claim {} {}", path.0.join("."), show::condition(condition))
        }
        authz::Part::Peers(peers) => format!("peers [{}]", show::list(peers, show::peer)),
    }
}

fn caller(principal: &Principal) -> Caller {
    Caller {
        authenticator: principal.authenticator.to_string(),
        subject: principal.subject.clone(),
        groups: principal.groups.clone(),
        scopes: principal.scopes.clone(),
        claims: principal
            .claims
            .iter()
            .map(|(name, claim)| (name.clone(), claimed(claim)))
            .collect(),
    }
}

fn claimed(claim: &Claim) -> String {
    match claim {
        Claim::Scalar(text) => text.clone(),
        Claim::List(elements) => elements.join(", "),
        Claim::Object(members) => {
            let members = members
                .iter()
                .map(|(name, claim)| format!("{name}: {}", claimed(claim)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
    }
}

fn asking(question: &Asking, who: &Who, mask: &Mask) -> Question {
    Question {
        cluster: question.cluster.to_string(),
        timeout_ms: question.timeout.as_millis(),
        headers: pairs(question.headers.iter(), mask),
        answered: match who {
            Who::Answered(reply) => Some(reply.status()),
            Who::Shown | Who::Known(_) => None,
        },
    }
}

fn verdict(decided: &Decided, asked: &Asked, mask: &Mask) -> Verdict {
    let mut verdict = Verdict {
        decision: decided.decision.word(),
        outcome: None,
        cause: String::new(),
        authenticator: None,
        subject: None,
        credential_id: None,
        missing: None,
        upstream: None,
        to_client: Vec::new(),
        reply: None,
    };
    if let Some(record) = decided.record() {
        verdict.outcome = Some(record.outcome.word());
        verdict.cause = record.cause.to_string();
        verdict.authenticator = record.authenticator.as_ref().map(ToString::to_string);
        verdict.subject.clone_from(&record.subject);
        verdict.credential_id = record.credential_id.as_ref().map(ToString::to_string);
    }
    match &decided.decision {
        Decision::Forward(forward) => {
            verdict.upstream = Some(upstream(forward, asked, mask));
            verdict.to_client = fields(&forward.on_response.to_client, mask);
            if let Some(variants) = &forward.on_response.variants {
                // As of a response that says nothing of caches.
                let edits = variants.edits(&Headers::default());
                verdict.to_client.extend(fields(&edits.set, mask));
                verdict.to_client.extend(fields(&edits.add, mask));
            }
        }
        Decision::Refuse(refuse) => {
            verdict.reply = Some(answered(&refuse.reply, mask));
        }
        Decision::Undecided(Undecided::Answer { authenticator }) => {
            verdict.authenticator = Some(authenticator.to_string());
            verdict.missing = Some(format!("what the service of {authenticator} answers"));
        }
        Decision::Undecided(Undecided::Keys { authenticator }) => {
            verdict.authenticator = Some(authenticator.to_string());
            verdict.missing = Some(format!("the keys of {authenticator}, which the proxy has"));
        }
    }
    verdict
}

fn upstream(forward: &Forward, asked: &Asked, mask: &Mask) -> Upstream {
    let edits = &forward.edits;
    Upstream {
        removed: names(&edits.remove),
        set: pairs(edits.sets().map(|(name, value)| (&name[..], &value[..])), mask),
        added: fields(&edits.add, mask),
        headers: pairs(edits.apply(&asked.headers).into_iter(), mask),
    }
}

fn answered(reply: &Reply, mask: &Mask) -> Answered {
    Answered {
        status: reply.status,
        headers: fields(&reply.headers, mask),
        body: String::from_utf8_lossy(&reply.body).into_owned(),
        grpc_status: reply.grpc_status,
    }
}

fn shadows(record: &Record) -> Vec<Shadow> {
    let shadows = record.shadows.iter().map(|(rule, outcome)| Shadow {
        rule: rule.name.to_string(),
        outcome: outcome.word(),
    });
    shadows.collect()
}

fn fields(fields: &[Field], mask: &Mask) -> Vec<(String, String)> {
    pairs(fields.iter().map(|(name, value)| (&name[..], &value[..])), mask)
}

fn pairs<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>, mask: &Mask) -> Vec<(String, String)> {
    pairs
        .map(|(name, value)| (shown(name), mask.header(name, value)))
        .collect()
}

fn names(names: &Names) -> Vec<String> {
    names.iter().map(shown).collect()
}

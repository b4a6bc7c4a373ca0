//! Several requests and answers with one memory, as a script:
//!
//! ```text
//! GET /a | authorization: a    -> asks
//! < 200 | x-auth-user: ann     -> asked allowed ann
//! +29s
//! GET /a | authorization: a    -> remembered allowed ann
//! ```
//!
//! A body that the service sees takes 40 ms to come, and is asked about then.
//!
//! `<` answers the oldest question that is open, `<<` the newest; `+` lets time pass. Behind `->` stands whose
//! word the decision went by, the outcome, the caller and, where it was refused, the status, else the upstream's timeout
//! if one is set; `; asks` where a question goes out beside.

use crate::text::{Peer, read_answer, read_policy, read_request};
use meshgate::cache::{NoStore, Seed};
use meshgate::decide::{Around, Awaiting, Call, Heard, Step, Used, on_request};
use meshgate::memory::Memory;
use meshgate::policy::{Policy, RQ_TIMEOUT};
use meshgate::time::UnixTime;
use std::sync::Arc;
use std::time::Duration;

/// 2027-01-15T08:00:00Z, when each script begins.
pub const BEGIN_S: u64 = 1_800_000_000;

#[track_caller]
pub fn play(policy: &str, script: &str) {
    let policy = read_policy(policy);
    let mut stage = Stage {
        memory: Memory::new(&policy, Seed(1, 2)),
        policy,
        now_ms: BEGIN_S * 1000,
        open: Vec::new(),
    };
    let lines = || script.lines().map(str::trim).filter(|line| !line.is_empty());
    let (mut expected, mut seen) = (String::new(), String::new());
    for line in lines() {
        let (input, told) = line
            .split_once(" -> ")
            .map_or((line, ""), |(input, told)| (input.trim(), told.trim()));
        let saw = stage.act(input);
        // A row that says nothing of an answer does not look.
        let told = if told == "…" { &saw } else { told };
        expected += &format!("{input} -> {told}\n");
        seen += &format!("{input} -> {saw}\n");
    }
    assert!(expected == seen, "expected:\n{expected}\nseen:\n{seen}");
}

struct Stage {
    policy: Arc<Policy>,
    memory: Memory,
    now_ms: u64,
    open: Vec<Open>,
}

/// A question, and who waits for its answer.
struct Open {
    call: Call,
    awaiting: Option<(Awaiting, Peer)>,
}

impl Stage {
    fn act(&mut self, input: &str) -> String {
        if let Some(time) = input.strip_prefix('+') {
            self.now_ms += u64::try_from(duration(time).as_millis()).expect("a short time");
            return String::new();
        }
        if let Some(answer) = input.strip_prefix("<<") {
            let open = self.open.pop().expect("an open question");
            return self.answer(open, answer.trim());
        }
        if let Some(answer) = input.strip_prefix('<') {
            assert!(!self.open.is_empty(), "no question is open: {input}");
            let open = self.open.remove(0);
            return self.answer(open, answer.trim());
        }
        let (headers, peer) = read_request(input);
        let policy = self.policy.clone();
        let step = on_request(&policy, headers, peer.ends, &mut self.around(&peer));
        self.carry_out(step, peer)
    }

    fn answer(&mut self, open: Open, answer: &str) -> String {
        let now_ms = self.now_ms;
        let heard = open
            .call
            .on_answer(read_answer(answer), &mut self.memory, &NoStore, now_ms);
        let kept = matches!(heard, Heard::Said { kept: true, .. });
        let told = match open.awaiting {
            None => format!("heard {}", heard.word()),
            Some((awaiting, peer)) => {
                let step = awaiting.on_heard(heard, Used::Asked, &mut self.around(&peer));
                self.carry_out(step, peer)
            }
        };
        if kept { format!("{told}; kept") } else { told }
    }

    fn carry_out(&mut self, step: Step, peer: Peer) -> String {
        let mut told = match step.record() {
            None => String::new(),
            Some(record) => {
                let caller = match (&record.subject, &step) {
                    (Some(subject), Step::Refuse(refuse)) => format!("{subject} {}", refuse.reply.status),
                    (None, Step::Refuse(refuse)) => refuse.reply.status.to_string(),
                    (subject, _) => subject.as_deref().unwrap_or("nobody").to_owned(),
                };
                format!("{} {} {caller}", record.used.word(), record.outcome.word())
            }
        };
        let refresh = match step {
            Step::Ask(mut ask) => {
                if ask.question.body.is_some() && !peer.ends {
                    self.now_ms += 40;
                }
                if let Err(failure) = ask.call.leave(&mut self.memory, self.now_ms) {
                    let heard = Heard::Failed(failure);
                    let step = ask.awaiting.on_heard(heard, Used::Asked, &mut self.around(&peer));
                    return self.carry_out(step, peer);
                }
                let awaiting = Some((ask.awaiting, peer));
                self.open.push(Open {
                    call: ask.call,
                    awaiting,
                });
                return "asks".to_owned();
            }
            Step::Forward(forward) => {
                let mut sets = forward.edits.sets();
                if let Some((_, ms)) = sets.find(|(name, _)| name == RQ_TIMEOUT.as_bytes()) {
                    told += &format!(" {}ms", String::from_utf8_lossy(ms));
                }
                forward.refresh
            }
            Step::Refuse(refuse) => {
                let retry = refuse.reply.headers.iter().find(|(name, _)| name == b"retry-after");
                if let Some((_, seconds)) = retry {
                    told += &format!(" retry-after={}", String::from_utf8_lossy(seconds));
                }
                refuse.refresh
            }
        };
        if let Some(mut refresh) = refresh
            && refresh.call.leave(&mut self.memory, self.now_ms).is_ok()
        {
            self.open.push(Open {
                call: refresh.call,
                awaiting: None,
            });
            told += "; asks";
        }
        told
    }

    fn around<'a>(&'a mut self, peer: &'a Peer) -> Around<'a> {
        Around {
            connection: peer,
            memory: &mut self.memory,
            shared: &NoStore,
            signatures: &meshgate::authn::jwt::InRust,
            now: UnixTime::from_ns(self.now_ms * 1_000_000),
        }
    }
}

fn duration(text: &str) -> Duration {
    let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("a time: {text}"));
    match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(ms), _) => Duration::from_millis(number(ms)),
        (None, Some(s)) => Duration::from_secs(number(s)),
        _ => panic!("a time: {text}"),
    }
}

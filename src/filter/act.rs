//! What a decision comes to in the proxy.

use super::ffi::HostError;
use super::root::Plugin;
use super::signatures::HostSignatures;
use super::{ffi, host, orders, report};
use crate::authn::callout::{Answer, CalloutFailure, Question};
use crate::decide::{
    self, Around, Awaiting, Call, Forward, Heard, OfVariants, OnResponse, Refuse, ResponseEdits, Step, Used,
};
use crate::denial::{Outcome, Reply};
use crate::experiment::Exposure;
use crate::header::Headers;
use crate::memory::Order;
use crate::time::UnixTime;
use proxy_wasm::types::Status;
use std::borrow::Cow;
use std::sync::Arc;

#[derive(Clone)]
pub struct InFlight {
    pub headers: Arc<Headers>,
    pub started_ns: u64,
}

/// What is to be done when the response comes; None where that is nothing, as for nearly all.
pub type Then = Option<Box<OnResponse>>;

/// Changes what the upstream sees, and tells of the decision.
pub fn forward_request(plugin: &Plugin, request: &InFlight, forward: &mut Forward) -> Result<Then, HostError> {
    // The host chooses the route anew after each change of a header, as its ABI 0.2.1 promises.
    host::edit(&forward.edits, &request.headers)?;
    report::decision(
        &plugin.policy,
        &plugin.counters,
        &request.headers,
        &forward.record,
        request.started_ns,
    );
    for exposure in &forward.exposures {
        report::exposure(&plugin.counters, exposure, None);
    }
    let mut then = std::mem::take(&mut forward.on_response);
    then.told = decide::told(&plugin.policy, &forward.record);
    Ok((!then.is_empty()).then(|| then.into()))
}

/// The same for a stream whose own callbacks do not run, in its context. None: it goes no further.
pub fn go_on(plugin: &Plugin, request: &InFlight, step: Step) -> Option<Then> {
    let failed = || decide::host_failed(&plugin.policy, &request.headers);
    let mut forward = match step {
        Step::Forward(forward) => forward,
        Step::Refuse(refuse) => {
            refuse_request(plugin, request, &refuse);
            return None;
        }
        // An answer asks nothing more; if one ever did, the request goes no further.
        Step::Ask(_) => {
            refuse_request(plugin, request, &failed());
            return None;
        }
    };
    let then = match forward_request(plugin, request, &mut forward) {
        Ok(then) => then,
        Err(error) => {
            report::host_error("change_headers", error);
            refuse_request(plugin, request, &failed());
            return None;
        }
    };
    match host::resume_request() {
        Ok(()) => Some(then),
        Err(error) => {
            report::host_error("resume", error);
            // Decided and told already: this only ends the wait.
            reply(&failed());
            None
        }
    }
}

pub fn refuse_request(plugin: &Plugin, request: &InFlight, refuse: &Refuse) {
    report::decision(
        &plugin.policy,
        &plugin.counters,
        &request.headers,
        &refuse.record,
        request.started_ns,
    );
    match decide::told(&plugin.policy, &refuse.record) {
        None => reply(refuse),
        Some(told) => {
            let mut telling = refuse.reply.clone();
            telling.headers.push(told);
            send(&telling, refuse.record.outcome);
        }
    }
}

pub fn reply(refuse: &Refuse) {
    send(&refuse.reply, refuse.record.outcome);
}

fn send(reply: &Reply, outcome: Outcome) {
    let details = format!("meshgate_{}", outcome.word());
    if let Err(error) = host::reply(reply.status, &details, &reply.headers, &reply.body, reply.grpc_status) {
        report::host_error("reply", error);
        // A header that the proxy does not take must not keep the refusal from the caller.
        let _ = host::reply(reply.status, &details, &[], b"", reply.grpc_status);
    }
}

pub fn strip_trailers(plugin: &Plugin) -> Result<(), HostError> {
    if !decide::strips(&plugin.policy) {
        return Ok(());
    }
    let trailers = host::headers(host::Map::RequestTrailers)?;
    let names = decide::trailers_to_remove(&plugin.policy, &trailers);
    names
        .iter()
        .try_for_each(|name| host::remove(host::Map::RequestTrailers, name))
}

/// What experiments do to the response whose headers have come.
pub fn tell_variants(plugin: &Plugin, mut variants: OfVariants) -> Result<(), HostError> {
    by_route(plugin, std::mem::take(&mut variants.by_route));
    let response = match variants.reads_response() {
        true => host::headers(host::Map::ResponseHeaders)?,
        false => Headers::default(),
    };
    let ResponseEdits { set, add } = variants.edits(&response);
    let map = host::Map::ResponseHeaders;
    set.iter().try_for_each(|(name, value)| host::set(map, name, value))?;
    add.iter().try_for_each(|(name, value)| host::add(map, name, value))
}

/// The route has chosen where experiments without variants lead.
fn by_route(plugin: &Plugin, exposures: Vec<Exposure>) {
    if exposures.is_empty() {
        return;
    }
    let cluster = host::chosen_cluster();
    for exposure in exposures {
        let now = UnixTime::from_ns(ffi::now_ns());
        let mut memory = plugin.memory.borrow_mut();
        if memory.first_exposure(&exposure, &cluster, &host::HostStore, now) {
            report::exposure(&plugin.counters, &exposure, Some(&cluster));
        }
    }
}

/// A logout is over, as far as the upstream is concerned.
pub fn forget_again(plugin: &Plugin, orders: Vec<Order>) {
    for order in orders {
        plugin.memory.borrow_mut().give(order, ffi::now_ns() / 1_000_000);
    }
}

/// Whether a question may go out now.
pub fn leave(plugin: &Plugin, call: &mut Call, now_ns: u64) -> Result<(), CalloutFailure> {
    call.leave(&mut plugin.memory.borrow_mut(), now_ns / 1_000_000)
}

/// Takes in what came of a call, and counts it.
pub fn answered(plugin: &Plugin, call: &Call, answer: Answer, now_ns: u64) -> Heard {
    let mut memory = plugin.memory.borrow_mut();
    let heard = call.on_answer(answer, &mut memory, &host::HostStore, now_ns / 1_000_000);
    drop(memory);
    orders::tell(plugin);
    plugin.counters.count_callout(call.authenticator().slot, heard.word());
    heard
}

/// Goes on with a request whose answer is here, in its stream's context.
pub fn heard(plugin: &Plugin, awaiting: Awaiting, heard: Heard, used: Used, now_ns: u64) -> Step {
    with_around(plugin, now_ns, |around| awaiting.on_heard(heard, used, around))
}

/// What decisions look at besides the request.
pub fn with_around<T>(plugin: &Plugin, now_ns: u64, decide: impl FnOnce(&mut Around) -> T) -> T {
    let decided = decide(&mut Around {
        connection: &host::HostConnection,
        memory: &mut plugin.memory.borrow_mut(),
        signatures: &HostSignatures,
        shared: &host::HostStore,
        now: UnixTime::from_ns(now_ns),
    });
    orders::tell(plugin);
    decided
}

/// In the root's context: the call is its own.
pub fn call(question: &Question, body: Option<&[u8]>) -> Result<u32, CalloutFailure> {
    // As ext_authz writes what is not UTF-8; a credential never is (see `credential::present`).
    fn text(bytes: &[u8]) -> Cow<'_, str> {
        match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) => String::from_utf8_lossy(bytes)
                .replace(char::REPLACEMENT_CHARACTER, "!")
                .into(),
        }
    }
    let lossy: Vec<(Cow<str>, Cow<str>)>;
    let headers = match question.headers.texts() {
        Some(texts) => texts,
        None => {
            let fields = question.headers.iter();
            lossy = fields.map(|(name, value)| (text(name), text(value))).collect();
            lossy.iter().map(|(name, value)| (&**name, &**value)).collect()
        }
    };
    let sent = proxy_wasm::hostcalls::dispatch_http_call(&question.cluster, headers, body, vec![], question.timeout);
    sent.map_err(|status| match status {
        Status::BadArgument => CalloutFailure::UnknownCluster,
        _ => CalloutFailure::NoHost,
    })
}

//! What a decision comes to in the proxy.

use super::ffi::HostError;
use super::root::Plugin;
use super::{ffi, host, report};
use crate::authn::callout::{Answer, CalloutFailure};
use crate::decide::{self, Ask, Awaiting, Forward, Refuse, Step};
use crate::header::{Field, Headers};
use proxy_wasm::types::Status;
use std::borrow::Cow;
use std::sync::Arc;

#[derive(Clone)]
pub struct InFlight {
    pub headers: Arc<Headers>,
    pub started_ns: u64,
}

/// What is to be added to the response.
pub fn forward_request(plugin: &Plugin, request: &InFlight, forward: Forward) -> Result<Vec<Field>, HostError> {
    if !forward.edits.is_empty() {
        // The host chooses the route anew after each change of a header, as its ABI 0.2.1 promises.
        host::edit(&forward.edits, &request.headers)?;
    }
    report::decision(
        &plugin.policy,
        &plugin.counters,
        &request.headers,
        &forward.record,
        request.started_ns,
    );
    Ok(forward.to_client)
}

pub fn refuse_request(plugin: &Plugin, request: &InFlight, refuse: &Refuse) {
    report::decision(
        &plugin.policy,
        &plugin.counters,
        &request.headers,
        &refuse.record,
        request.started_ns,
    );
    reply(refuse);
}

pub fn reply(refuse: &Refuse) {
    let reply = &refuse.reply;
    let details = format!("meshgate_{}", refuse.record.outcome.word());
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
    let mut names = decide::trailers_to_remove(&plugin.policy, &trailers).into_iter();
    names.try_for_each(|name| host::remove(host::Map::RequestTrailers, &name))
}

/// Goes on with the request, and counts what its question came to.
pub fn answered(plugin: &Plugin, awaiting: Awaiting, answer: Answer) -> Step {
    let authenticator = awaiting.authenticator();
    let step = awaiting.on_answer(answer, &host::HostConnection);
    if let Some(record) = step.record() {
        plugin.counters.count_callout(authenticator, record.callout_result());
    }
    step
}

/// The call belongs to the root, so that a client that leaves does not take its answer along.
pub fn call(plugin: &Plugin, context_id: u32, ask: &Ask, body: Option<&[u8]>) -> Result<u32, CalloutFailure> {
    // As ext_authz writes what is not UTF-8; a credential never is (see `credential::present`).
    fn text(bytes: &[u8]) -> Cow<'_, str> {
        match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) => String::from_utf8_lossy(bytes)
                .replace(char::REPLACEMENT_CHARACTER, "!")
                .into(),
        }
    }
    let question = &ask.question;
    let texts: Vec<_> = question
        .headers
        .iter()
        .map(|(name, value)| (text(name), text(value)))
        .collect();
    let headers = texts.iter().map(|(name, value)| (&**name, &**value)).collect();
    ffi::set_effective_context(plugin.root_id).map_err(|_| CalloutFailure::Host)?;
    let sent = proxy_wasm::hostcalls::dispatch_http_call(&question.cluster, headers, body, vec![], question.timeout);
    ffi::set_effective_context(context_id).map_err(|_| CalloutFailure::Host)?;
    sent.map_err(|status| match status {
        Status::BadArgument => CalloutFailure::UnknownCluster,
        _ => CalloutFailure::NoHost,
    })
}

//! One request through the filter.

use super::act::{InFlight, answered, call, forward_request, refuse_request, reply, strip_trailers};
use super::collecting::Waiting;
use super::ffi::HostError;
use super::root::Plugin;
use super::{ffi, host, report};
use crate::authn::callout::{Answer, CalloutFailure, MAX_DENIAL_BODY_BYTES};
use crate::decide::{self, Ask, Step};
use crate::header::{Field, Headers};
use crate::policy::SendBody;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;
use std::rc::Rc;
use std::sync::Arc;

pub struct Stream {
    context_id: u32,
    plugin: Option<Rc<Plugin>>,
    state: State,
}

enum State {
    /// No header has come.
    New,
    /// The body is being collected; what waits for it stands in `Plugin::collecting`.
    Collecting,
    /// The service was asked.
    Asking {
        token: u32,
        waiting: Box<Waiting>,
    },
    /// On its way; what is added to its response.
    Forwarded {
        to_client: Vec<Field>,
    },
    Refused,
}

impl Stream {
    pub fn new(context_id: u32, plugin: Option<Rc<Plugin>>) -> Self {
        Self {
            context_id,
            plugin,
            state: State::New,
        }
    }

    /// Does what was decided, and says whether the request goes on.
    fn carry_out(&mut self, plugin: &Rc<Plugin>, request: InFlight, step: Step, end_of_stream: bool) -> Action {
        match step {
            Step::Forward(forward) => match forward_request(plugin, &request, *forward) {
                Ok(to_client) => {
                    self.state = State::Forwarded { to_client };
                    Action::Continue
                }
                Err(error) => {
                    report::host_error("change_headers", error);
                    self.state = State::Refused;
                    refuse_request(plugin, &request, &decide::host_failed(&plugin.policy, &request.headers));
                    Action::Pause
                }
            },
            Step::Refuse(refuse) => {
                self.state = State::Refused;
                refuse_request(plugin, &request, &refuse);
                Action::Pause
            }
            Step::Ask(ask) if ask.question.body.is_some() && !end_of_stream => {
                let waiting = Waiting { request, ask };
                plugin.collecting.insert(self.context_id, waiting, ffi::now_ns());
                self.state = State::Collecting;
                Action::Pause
            }
            Step::Ask(ask) => self.dispatch(plugin, request, ask, None),
        }
    }

    fn dispatch(&mut self, plugin: &Rc<Plugin>, request: InFlight, ask: Box<Ask>, body: Option<&[u8]>) -> Action {
        match call(plugin, self.context_id, &ask, body) {
            Ok(token) => {
                let waiting = Waiting { request, ask };
                self.state = State::Asking {
                    token,
                    waiting: Box::new(waiting),
                };
                Action::Pause
            }
            Err(failure) => {
                let step = answered(plugin, ask.awaiting, Answer::Failure(failure));
                self.carry_out(plugin, request, step, true)
            }
        }
    }

    /// The decision came after the proxy was told to hold the request back.
    fn resume(&mut self, plugin: &Plugin, request: &InFlight, action: Action) {
        if action == Action::Continue
            && let Err(error) = host::resume_request()
        {
            report::host_error("resume", error);
            self.state = State::Refused;
            // Decided and told already: this only ends the wait.
            reply(&decide::host_failed(&plugin.policy, &request.headers));
        }
    }

    fn take_collecting(&self) -> Option<Waiting> {
        self.plugin.as_ref()?.collecting.take(self.context_id)
    }

    /// All of the body is here, or as much as the service may see.
    fn body_collected(&mut self, whole: bool, size: usize) -> Action {
        let (Some(plugin), Some(waiting)) = (self.plugin.clone(), self.take_collecting()) else {
            return Action::Pause;
        };
        let Waiting { request, mut ask } = waiting;
        let wish = ask.question.body;
        let (max, partial) = wish.map_or((0, false), |wish| (wish.max_bytes, wish.allow_partial));
        if size > max && !partial {
            let step = answered(&plugin, ask.awaiting, Answer::BodyTooLarge);
            return self.carry_out(&plugin, request, step, true);
        }
        let body = host::buffer(host::Buffer::RequestBody, max).unwrap_or_default();
        if body.len() < size.min(max) {
            let step = answered(&plugin, ask.awaiting, Answer::Failure(CalloutFailure::Host));
            return self.carry_out(&plugin, request, step, true);
        }
        ask.question.complete(body.len(), !whole || size > max);
        self.dispatch(&plugin, request, ask, Some(&body))
    }

    /// The trailers may hold what a caller forged, so they go nowhere, and neither does the request
    /// that they end.
    fn fail_in_trailers(&mut self, plugin: &Plugin, error: HostError) -> Action {
        report::host_error("change_trailers", error);
        let refuse = |headers: &Headers| decide::host_failed(&plugin.policy, headers);
        let collecting = self.take_collecting();
        match (collecting, std::mem::replace(&mut self.state, State::Refused)) {
            (Some(waiting), _) => refuse_request(plugin, &waiting.request, &refuse(&waiting.request.headers)),
            (None, State::Asking { waiting, .. }) => {
                refuse_request(plugin, &waiting.request, &refuse(&waiting.request.headers));
            }
            // Decided and told already.
            (None, State::Forwarded { .. }) => reply(&refuse(&Headers::default())),
            (None, State::New | State::Collecting | State::Refused) => {}
        }
        Action::Pause
    }

    /// Something came behind the headers: what is to be collected of it, if it is.
    fn piece_came(&mut self) -> Option<SendBody> {
        let plugin = self.plugin.as_ref()?;
        if !matches!(self.state, State::Collecting) {
            return None;
        }
        if plugin.collecting.has_gone_on(self.context_id) {
            self.state = State::Forwarded { to_client: Vec::new() };
        }
        plugin.collecting.piece_came(self.context_id)
    }

    fn held_back(&self) -> Action {
        match self.state {
            State::Forwarded { .. } => Action::Continue,
            State::New | State::Collecting | State::Asking { .. } | State::Refused => Action::Pause,
        }
    }
}

impl Context for Stream {
    fn on_http_call_response(&mut self, token_id: u32, _headers: usize, body_size: usize, _trailers: usize) {
        let State::Asking { token, .. } = &self.state else {
            return;
        };
        if *token != token_id {
            return;
        }
        let State::Asking { waiting, .. } = std::mem::replace(&mut self.state, State::Refused) else {
            return;
        };
        let Some(plugin) = self.plugin.clone() else { return };
        let Waiting { request, ask } = *waiting;
        let answer = match host::headers(host::Map::CalloutHeaders) {
            Err(_) => Answer::Failure(CalloutFailure::Garbled),
            Ok(headers) => {
                let wanted = body_size > 0 && body_size <= MAX_DENIAL_BODY_BYTES && ask.awaiting.reads_body(&headers);
                let body = wanted
                    .then(|| host::buffer(host::Buffer::CalloutBody, body_size).ok())
                    .flatten();
                Answer::Reply { headers, body }
            }
        };
        let step = answered(&plugin, ask.awaiting, answer);
        let action = self.carry_out(&plugin, request.clone(), step, true);
        self.resume(&plugin, &request, action);
    }

    fn on_done(&mut self) -> bool {
        self.take_collecting();
        true
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _count: usize, end_of_stream: bool) -> Action {
        let Some(plugin) = self.plugin.clone() else {
            self.state = State::Refused;
            let _ = host::reply(503, "meshgate_no_policy", &[], b"", None);
            return Action::Pause;
        };
        let started_ns = ffi::now_ns();
        let (headers, step) = match host::headers(host::Map::RequestHeaders) {
            Ok(headers) => {
                let headers = Arc::new(headers);
                let step = decide::on_request(&plugin.policy, headers.clone(), &host::HostConnection);
                (headers, step)
            }
            Err(error) => {
                report::host_error("read_headers", error);
                (Arc::default(), decide::on_unreadable(&plugin.policy))
            }
        };
        self.carry_out(&plugin, InFlight { headers, started_ns }, step, end_of_stream)
    }

    /// Held back while a verdict is pending: with `allow_on_headers_stop_iteration` a pause of the
    /// headers alone lets the body, and the request with it, through.
    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        if let Some(wish) = self.piece_came()
            && (end_of_stream || size > wish.max_bytes)
        {
            return self.body_collected(end_of_stream, size);
        }
        self.held_back()
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        if let Some(plugin) = self.plugin.clone()
            && let Err(error) = strip_trailers(&plugin)
        {
            return self.fail_in_trailers(&plugin, error);
        }
        if let Some(wish) = self.piece_came() {
            let seen = wish.max_bytes.saturating_add(1);
            let size = host::buffer(host::Buffer::RequestBody, seen).unwrap_or_default().len();
            return self.body_collected(true, size);
        }
        self.held_back()
    }

    fn on_http_response_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        if let State::Forwarded { to_client } = &mut self.state {
            for (name, value) in to_client.drain(..) {
                if let Err(error) = host::add(host::Map::ResponseHeaders, &name, &value) {
                    report::host_error("change_response", error);
                }
            }
        }
        Action::Continue
    }
}

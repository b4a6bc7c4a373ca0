//! One request through the filter.

use super::act::{self, InFlight, Then, forward_request, refuse_request, reply, strip_trailers};
use super::asking::{self, Outcome, Told};
use super::collecting::Waiting;
use super::ffi::HostError;
use super::root::Plugin;
use super::signatures::HostSignatures;
use super::{ffi, host, orders, report};
use crate::authn::callout::CalloutFailure;
use crate::decide::{self, Around, Ask, Heard, OnResponse, Refresh, Step, Used};
use crate::header::Headers;
use crate::policy::SendBody;
use crate::time::UnixTime;
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
    /// The service was asked; what waits for it stands in `Plugin::asking`.
    Asking,
    /// On its way; what is done when its response comes.
    Forwarded(Then),
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
            Step::Forward(mut forward) => {
                self.refresh(plugin, forward.refresh.take());
                match forward_request(plugin, &request, &mut forward) {
                    Ok(then) => {
                        self.state = State::Forwarded(then);
                        Action::Continue
                    }
                    Err(error) => {
                        report::host_error("change_headers", error);
                        self.state = State::Refused;
                        refuse_request(plugin, &request, &decide::host_failed(&plugin.policy, &request.headers));
                        Action::Pause
                    }
                }
            }
            Step::Refuse(mut refuse) => {
                self.refresh(plugin, refuse.refresh.take());
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
            // Its headers have come just now.
            Step::Ask(ask) => {
                let now_ns = request.started_ns;
                self.dispatch(plugin, request, ask, None, now_ns)
            }
        }
    }

    fn dispatch(
        &mut self,
        plugin: &Rc<Plugin>,
        request: InFlight,
        ask: Box<Ask>,
        body: Option<Vec<u8>>,
        now_ns: u64,
    ) -> Action {
        match asking::ask(plugin, self.context_id, request, ask, body, now_ns) {
            Outcome::Waits => {
                self.state = State::Asking;
                Action::Pause
            }
            Outcome::Decided(request, step) => self.carry_out(plugin, request, step, true),
        }
    }

    fn refresh(&self, plugin: &Plugin, refresh: Option<Box<Refresh>>) {
        if let Some(refresh) = refresh {
            asking::refresh(plugin, self.context_id, *refresh);
        }
    }

    /// The answer came while this stream was not called.
    fn follow(&mut self) {
        if let (State::Asking, Some(plugin)) = (&self.state, &self.plugin) {
            match plugin.asking.tell(self.context_id) {
                Told::Waits => {}
                Told::GoneOn(then) => self.state = State::Forwarded(then),
                Told::Refused => self.state = State::Refused,
            }
        }
    }

    fn forget_again(&mut self) {
        if let (State::Forwarded(Some(then)), Some(plugin)) = (&mut self.state, &self.plugin) {
            act::forget_again(plugin, std::mem::take(&mut then.forget));
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
        let now_ns = ffi::now_ns();
        let wish = ask.question.body;
        let (max, partial) = wish.map_or((0, false), |wish| (wish.max_bytes, wish.allow_partial));
        if size > max && !partial {
            let step = act::with_around(&plugin, now_ns, |around| ask.awaiting.on_body_too_large(around));
            return self.carry_out(&plugin, request, step, true);
        }
        let body = host::buffer(host::Buffer::RequestBody, max).unwrap_or_default();
        if body.len() < size.min(max) {
            let failed = Heard::Failed(CalloutFailure::Host);
            let step = act::heard(&plugin, ask.awaiting, failed, Used::Asked, now_ns);
            return self.carry_out(&plugin, request, step, true);
        }
        ask.question.complete(body.len(), !whole || size > max);
        self.dispatch(&plugin, request, ask, Some(body), now_ns)
    }

    /// The trailers may hold what a caller forged, so they go nowhere, and neither does the request
    /// that they end.
    fn fail_in_trailers(&mut self, plugin: &Plugin, error: HostError) -> Action {
        report::host_error("change_trailers", error);
        let refuse = |headers: &Headers| decide::host_failed(&plugin.policy, headers);
        self.follow();
        let collecting = self.take_collecting();
        match (collecting, std::mem::replace(&mut self.state, State::Refused)) {
            (Some(waiting), _) => refuse_request(plugin, &waiting.request, &refuse(&waiting.request.headers)),
            (None, State::Asking) => {
                if let Some(request) = plugin.asking.leave(self.context_id) {
                    refuse_request(plugin, &request, &refuse(&request.headers));
                }
            }
            // Decided and told already.
            (None, State::Forwarded(_)) => reply(&refuse(&Headers::default())),
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
            self.state = State::Forwarded(None);
        }
        plugin.collecting.piece_came(self.context_id)
    }

    fn held_back(&mut self) -> Action {
        self.follow();
        match self.state {
            State::Forwarded(_) => Action::Continue,
            State::New | State::Collecting | State::Asking | State::Refused => Action::Pause,
        }
    }
}

/// The proxy is done with the stream.
impl Drop for Stream {
    fn drop(&mut self) {
        // The client may be gone before the upstream has answered, and before this stream knew that it went on.
        self.follow();
        self.forget_again();
        match (&self.state, &self.plugin) {
            (State::Collecting, _) => drop(self.take_collecting()),
            (State::Asking, Some(plugin)) => drop(plugin.asking.leave(self.context_id)),
            _ => {}
        }
    }
}

impl Context for Stream {}

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
                let step = decide::on_request(
                    &plugin.policy,
                    headers.clone(),
                    end_of_stream,
                    &mut Around {
                        connection: &host::HostConnection,
                        memory: &mut plugin.memory.borrow_mut(),
                        signatures: &HostSignatures,
                        shared: &host::HostStore,
                        now: UnixTime::from_ns(started_ns),
                    },
                );
                orders::tell(&plugin);
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
        self.follow();
        self.forget_again();
        if let State::Forwarded(then) = &mut self.state
            && let Some(then) = then.take()
        {
            let OnResponse {
                to_client,
                told,
                variants,
                ..
            } = *then;
            let add = |(name, value): (Vec<u8>, Vec<u8>)| host::add(host::Map::ResponseHeaders, &name, &value);
            let set = |(name, value): (Vec<u8>, Vec<u8>)| host::set(host::Map::ResponseHeaders, &name, &value);
            for changed in to_client.into_iter().map(add).chain(told.map(set)) {
                if let Err(error) = changed {
                    report::host_error("change_response", error);
                }
            }
            if let (Some(variants), Some(plugin)) = (variants, &self.plugin)
                && let Err(error) = act::tell_variants(plugin, *variants)
            {
                report::host_error("change_response", error);
            }
        }
        Action::Continue
    }
}

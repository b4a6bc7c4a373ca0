//! One HTTP stream: drives the filter through its phases and keeps what came of it.

use super::abi;
use super::headers::HeaderMap;
use super::reply;
pub use super::reply::LocalReply;
use super::vm::{enter, with};
use std::collections::{BTreeMap, VecDeque};

/// A handle to a stream of the current thread's VM; copy it freely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    pub id: u32,
}

/// What the host keeps of a stream, also when it is over.
#[derive(Default)]
pub struct StreamState {
    pub root: u32,
    pub request: HeaderMap,
    pub trailers: HeaderMap,
    pub response: HeaderMap,
    /// Maps and buffers that the filter may touch now.
    pub open: Open,
    pub body: Vec<u8>,
    pub response_body: Vec<u8>,
    pub upstream: Option<HeaderMap>,
    pub upstream_body: Vec<u8>,
    pub upstream_trailers: Option<HeaderMap>,
    pub reply: Option<LocalReply>,
    pub client: Option<HeaderMap>,
    pub client_body: Vec<u8>,
    pub reset: bool,
    pub deleted: bool,
    pub properties: BTreeMap<Vec<u8>, Vec<u8>>,
    pub route_refreshes: usize,
    flow: Flow,
    held: Vec<u8>,
    /// The filter saw the trailers and stopped there.
    trailers_held: bool,
    waiting: VecDeque<Piece>,
}

#[derive(Default)]
pub struct Open {
    pub request: bool,
    pub body: bool,
    pub trailers: bool,
    pub response: bool,
    pub response_body: bool,
    /// While the access log is written, both header maps may be read, not written.
    pub log: bool,
}

#[derive(Default, PartialEq, Eq)]
enum Flow {
    #[default]
    Running,
    /// Nothing more reaches the filter until it resumes.
    StoppedAll,
    /// Headers wait, body callbacks go on (`allow_on_headers_stop_iteration`).
    StoppedHeaders,
    StoppedData,
}

enum Piece {
    Body(Vec<u8>, bool),
    Trailers(HeaderMap),
}

impl StreamState {
    pub fn is_over(&self) -> bool {
        self.reply.is_some() || self.reset || self.deleted
    }

    /// Lets the headers go on to the upstream, which a CR, LF or NUL in them ends.
    fn forward(&mut self) {
        self.flow = Flow::Running;
        if self.upstream.is_none() && self.request.is_poisoned() {
            self.reply = Some(reply::invalid_headers());
        } else if self.upstream.is_none() {
            self.upstream = Some(self.request.clone());
        }
    }
}

impl Stream {
    /// The client's headers; `end` when there is neither body nor trailers.
    pub(super) fn start(root: u32, headers: HeaderMap, end: bool) -> Self {
        let count = headers.len();
        let id = with(|vm| {
            let id = vm.new_id();
            vm.streams.insert(
                id,
                StreamState {
                    root,
                    request: headers,
                    ..Default::default()
                },
            );
            id
        });
        enter(id, || unsafe { abi::proxy_on_context_create(id, root) });
        at(id, |s| s.open.request = true);
        let (action, stopped) = enter(id, || unsafe { abi::proxy_on_request_headers(id, count, end) });
        let lenient = with(|vm| vm.allow_on_headers_stop_iteration);
        at(id, |s| {
            match (stopped || action != abi::CONTINUE, lenient && !stopped) {
                (false, _) => {
                    s.open.request = false;
                    if !s.is_over() {
                        s.forward();
                    }
                }
                (true, true) => s.flow = Flow::StoppedHeaders,
                (true, false) => s.flow = Flow::StoppedAll,
            }
        });
        Self { id }
    }

    /// A piece of the request's body. It waits while the filter has stopped everything.
    pub fn body(&self, bytes: impl AsRef<[u8]>, end: bool) -> Self {
        self.push(Piece::Body(bytes.as_ref().to_vec(), end))
    }

    pub fn trailers(&self, pairs: &[(&str, &str)]) -> Self {
        self.push(Piece::Trailers(HeaderMap::of(pairs)))
    }

    /// The upstream's response headers; gives what the client sees, none if the filter holds them.
    pub fn response_headers(&self, pairs: &[(&str, &str)]) -> Option<HeaderMap> {
        run_response_headers(self.id, HeaderMap::of(pairs), false);
        self.client()
    }

    /// A piece of the upstream's body.
    pub fn response_body(&self, bytes: impl AsRef<[u8]>, end: bool) {
        run_response_body(self.id, bytes.as_ref(), end);
    }

    /// The end of the stream, or the client leaving before it: on_log, on_done, on_delete.
    pub fn done(&self) {
        let id = self.id;
        assert!(!at(id, |s| s.deleted), "stream {id} is done already");
        at(id, |s| s.open.log = true);
        enter(id, || unsafe { abi::proxy_on_log(id) });
        at(id, |s| s.open = Open::default());
        enter(id, || unsafe { abi::proxy_on_done(id) });
        enter(id, || unsafe { abi::proxy_on_delete(id) });
        with(|vm| {
            vm.streams.get_mut(&id).expect("a stream").deleted = true;
            vm.cancel_callouts_of(id);
        });
        super::retire_roots();
    }

    /// The request's headers as they stand, forwarded or not.
    pub fn request(&self) -> HeaderMap {
        at(self.id, |s| s.request.clone())
    }

    /// What the upstream saw; none while the request is held or when it was refused.
    pub fn upstream(&self) -> Option<HeaderMap> {
        at(self.id, |s| s.upstream.clone())
    }

    pub fn upstream_body(&self) -> Vec<u8> {
        at(self.id, |s| s.upstream_body.clone())
    }

    pub fn upstream_trailers(&self) -> Option<HeaderMap> {
        at(self.id, |s| s.upstream_trailers.clone())
    }

    /// The filter's own answer.
    pub fn reply(&self) -> Option<LocalReply> {
        at(self.id, |s| s.reply.clone())
    }

    /// The response headers that left for the client.
    pub fn client(&self) -> Option<HeaderMap> {
        at(self.id, |s| s.client.clone())
    }

    /// The response body that left for the client.
    pub fn client_body(&self) -> Vec<u8> {
        at(self.id, |s| s.client_body.clone())
    }

    pub fn is_paused(&self) -> bool {
        at(self.id, |s| !s.is_over() && s.flow != Flow::Running)
    }

    pub fn is_reset(&self) -> bool {
        at(self.id, |s| s.reset)
    }

    /// How often Envoy had to choose the route again because of what the filter did.
    pub fn route_refreshes(&self) -> usize {
        at(self.id, |s| s.route_refreshes)
    }

    fn push(&self, piece: Piece) -> Self {
        at(self.id, |s| s.waiting.push_back(piece));
        pump(self.id);
        *self
    }
}

/// What `resume_http_request` comes to once the callback has returned.
pub fn continue_request(id: u32) {
    at(id, |s| {
        if s.is_over() || s.flow == Flow::Running {
            return;
        }
        s.forward();
        s.upstream_body.append(&mut s.held);
        if std::mem::take(&mut s.trailers_held) {
            s.upstream_trailers = Some(s.trailers.clone());
        }
    });
    pump(id);
}

pub fn continue_response(id: u32) {
    at(id, |s| s.client = Some(s.response.clone()));
}

/// What a local reply comes to: it runs through the filter's response callbacks.
pub fn send_reply(id: u32, reply: LocalReply) {
    let client = at(id, |s| {
        if s.is_over() {
            return None;
        }
        if s.client.is_some() {
            s.reset = true; // the response had begun: Envoy can only cut it
            return None;
        }
        s.open = Open::default();
        let client = reply.rendered(&s.request);
        s.reply = Some(reply);
        Some(client)
    });
    let Some((headers, body)) = client else {
        return;
    };
    run_response_headers(id, headers, body.is_empty());
    if !body.is_empty() {
        run_response_body(id, &body, true);
    }
}

pub fn reset(id: u32) {
    at(id, |s| s.reset = true);
}

/// Looks at or changes one stream.
pub fn at<R>(id: u32, f: impl FnOnce(&mut StreamState) -> R) -> R {
    with(|vm| f(vm.streams.get_mut(&id).expect("a stream of this host")))
}

fn run_response_headers(id: u32, headers: HeaderMap, end: bool) {
    let count = headers.len();
    at(id, |s| {
        s.response = headers;
        s.open.response = true;
    });
    let (action, _) = enter(id, || unsafe { abi::proxy_on_response_headers(id, count, end) });
    if action == abi::CONTINUE {
        at(id, |s| {
            s.open.response = false;
            s.client = Some(s.response.clone());
        });
    }
}

fn run_response_body(id: u32, bytes: &[u8], end: bool) {
    at(id, |s| {
        s.response_body = bytes.to_vec();
        s.open.response_body = true;
    });
    enter(id, || unsafe { abi::proxy_on_response_body(id, bytes.len(), end) });
    at(id, |s| {
        s.open.response_body = false;
        s.client_body.append(&mut s.response_body);
    });
}

/// Hands waiting pieces to the filter as far as it lets them.
fn pump(id: u32) {
    loop {
        let next = at(id, |s| match s.is_over() || s.flow == Flow::StoppedAll {
            true => None,
            false => s.waiting.pop_front(),
        });
        match next {
            None => return,
            Some(Piece::Body(bytes, end)) => run_body(id, &bytes, end),
            Some(Piece::Trailers(trailers)) => run_trailers(id, trailers),
        }
    }
}

fn run_body(id: u32, bytes: &[u8], end: bool) {
    let size = at(id, |s| {
        s.body = std::mem::take(&mut s.held);
        s.body.extend_from_slice(bytes);
        s.open.body = true;
        s.body.len()
    });
    let (action, stopped) = enter(id, || unsafe { abi::proxy_on_request_body(id, size, end) });
    at(id, |s| {
        let body = std::mem::take(&mut s.body);
        if stopped || s.is_over() {
            return;
        }
        if action == abi::CONTINUE {
            // Also when the headers are still held: this is how a verdict can be bypassed.
            s.open.body = false;
            s.forward();
            s.upstream_body.extend(body);
        } else {
            s.held = body;
            if s.flow == Flow::Running {
                s.flow = Flow::StoppedData;
            }
        }
    });
}

fn run_trailers(id: u32, trailers: HeaderMap) {
    let count = trailers.len();
    at(id, |s| {
        s.trailers = trailers;
        s.open.trailers = true;
        // What the filter has held back of the body can still be read.
        s.body = std::mem::take(&mut s.held);
    });
    let (action, stopped) = enter(id, || unsafe { abi::proxy_on_request_trailers(id, count) });
    at(id, |s| {
        s.held = std::mem::take(&mut s.body);
        if stopped || s.is_over() {
            return;
        }
        if action == abi::CONTINUE {
            s.open.trailers = false;
            s.forward();
            s.upstream_body.append(&mut s.held);
            s.upstream_trailers = Some(s.trailers.clone());
        } else {
            s.trailers_held = true;
            if s.flow == Flow::Running {
                s.flow = Flow::StoppedData;
            }
        }
    });
}

//! A host for the filter: every `proxy_*` call it imports, defined natively, behaving as Envoy does.
//!
//! The filter's code runs unchanged in the test's own thread, and one thread is one VM.

mod abi;
mod callout;
mod headers;
mod metrics;
mod reply;
mod selftest;
mod shared;
mod stand_in;
mod stream;
mod vm;

pub use callout::{Callout, Cluster};
pub use headers::HeaderMap;
pub use reply::LocalReply;
pub use shared::SharedData;
pub use stream::Stream;

use callout::Answer;
use proxy_wasm::types::{LogLevel, Status};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use vm::{Refusal, Root, begins, enter, with};

/// One VM with the filter in it; belongs to the thread that started it.
pub struct Host {
    accepted: bool,
    not_send: PhantomData<*const ()>,
}

/// How the VM differs from a plain one.
pub struct HostOptions {
    /// What `_initialize` would call: registers the filter's root context.
    pub init: fn(),
    pub vm_configuration: Vec<u8>,
    pub log_level: LogLevel,
    pub allow_on_headers_stop_iteration: bool,
    pub shared: SharedData,
    pub now: SystemTime,
}

impl HostOptions {
    pub fn new(init: fn()) -> Self {
        Self {
            init,
            vm_configuration: Vec::new(),
            log_level: LogLevel::Trace,
            allow_on_headers_stop_iteration: false,
            shared: SharedData::default(),
            now: UNIX_EPOCH + Duration::from_secs(1_767_323_045), // 2026-01-02T03:04:05Z
        }
    }
}

impl Host {
    /// Starts a VM and gives it its policy.
    pub fn start(policy: impl AsRef<[u8]>, options: HostOptions) -> Self {
        take_over_logging();
        with(|vm| {
            vm.reset();
            vm.vm_configuration = options.vm_configuration;
            vm.log_level = options.log_level;
            vm.allow_on_headers_stop_iteration = options.allow_on_headers_stop_iteration;
            vm.shared = options.shared;
            vm.foreign
                .insert("clear_route_cache".into(), Rc::new(|_| Ok(Vec::new())));
        });
        let mut host = Self {
            accepted: false,
            not_send: PhantomData,
        };
        host.set_time(options.now);
        one_at_a_time(options.init);
        host.configure(policy);
        host
    }

    /// Whether the policy given last was accepted.
    pub fn accepted(&self) -> bool {
        self.accepted
    }

    /// An update: a new root context in the same VM. If it is refused, the old one keeps serving.
    pub fn configure(&mut self, policy: impl AsRef<[u8]>) -> bool {
        let policy = policy.as_ref();
        let (id, vm_size) = with(|vm| {
            let id = vm.new_id();
            let root = Root {
                configuration: policy.to_vec(),
                ..Root::default()
            };
            vm.roots.insert(id, root);
            (id, vm.vm_configuration.len())
        });
        enter(id, || unsafe { abi::proxy_on_context_create(id, 0) });
        let (started, _) = enter(id, || unsafe { abi::proxy_on_vm_start(id, vm_size) });
        with(|vm| {
            vm.roots.entry(id).and_modify(|root| root.configuring = true);
        });
        self.accepted = started && enter(id, || unsafe { abi::proxy_on_configure(id, policy.len()) }).0;
        with(|vm| {
            if self.accepted {
                vm.root = id;
                vm.roots.entry(id).and_modify(|root| root.configuring = false);
            } else {
                vm.roots.remove(&id);
                vm.cancel_callouts_of(id);
            }
        });
        retire_roots();
        self.accepted
    }

    /// A request without body.
    pub fn request(&self, headers: &[(&str, &str)]) -> Stream {
        self.request_map(HeaderMap::of(headers), true)
    }

    /// A request whose body or trailers follow.
    pub fn request_with_body(&self, headers: &[(&str, &str)]) -> Stream {
        self.request_map(HeaderMap::of(headers), false)
    }

    /// A request of any bytes.
    pub fn request_map(&self, headers: HeaderMap, end: bool) -> Stream {
        let root = with(|vm| vm.root);
        assert!(root != 0, "no policy was ever accepted: {:?}", self.logs());
        Stream::start(root, headers, end)
    }

    /// The calls in flight, oldest first.
    pub fn callouts(&self) -> Vec<Callout> {
        with(|vm| vm.callouts.values().cloned().collect())
    }

    /// The only call in flight.
    #[track_caller]
    pub fn callout(&self) -> Callout {
        let mut callouts = self.callouts();
        assert_eq!(callouts.len(), 1, "callouts in flight: {callouts:?}");
        callouts.remove(0)
    }

    /// Calls that Envoy dropped because the context that owned them went away.
    pub fn cancelled(&self) -> Vec<Callout> {
        with(|vm| vm.cancelled.clone())
    }

    /// The service answers.
    #[track_caller]
    pub fn answer(&self, token: u32, headers: &[(&str, &str)], body: impl AsRef<[u8]>) {
        self.answer_map(token, HeaderMap::of(headers), body, &[]);
    }

    /// The service answers with any bytes, and trailers.
    #[track_caller]
    pub fn answer_map(&self, token: u32, headers: HeaderMap, body: impl AsRef<[u8]>, trailers: &[(&str, &str)]) {
        let (body, trailers) = (body.as_ref().to_vec(), HeaderMap::of(trailers));
        let answer = Answer {
            headers: Some(headers),
            body,
            trailers,
            ..Answer::default()
        };
        callout::deliver(token, answer);
    }

    /// The stream to the service was reset: the filter is told of zero headers.
    #[track_caller]
    pub fn answer_failed(&self, token: u32) {
        callout::deliver(token, Answer::default());
    }

    /// The timeout passed: Envoy makes a 504 of its own.
    #[track_caller]
    pub fn answer_timed_out(&self, token: u32) {
        callout::deliver(token, callout::synthetic("504", "upstream request timeout"));
    }

    /// Nobody listens there: Envoy makes a 503 of its own.
    #[track_caller]
    pub fn answer_refused(&self, token: u32) {
        let text = "upstream connect error or disconnect/reset before headers. \
                    reset reason: remote connection failure";
        callout::deliver(token, callout::synthetic("503", text));
    }

    /// The message of a gRPC call, or its status and text.
    #[track_caller]
    pub fn answer_grpc(&self, token: u32, answer: Result<&[u8], (u32, &str)>) {
        let answer = answer.map(<[u8]>::to_vec).map_err(|(code, text)| (code, text.into()));
        callout::deliver_grpc(token, answer);
    }

    pub fn set_cluster(&self, name: &str, cluster: Cluster) {
        with(|vm| vm.clusters.insert(name.into(), cluster));
    }

    /// One tick of every root that asked for ticks; gives how many did.
    pub fn tick(&self) -> usize {
        let ticking = |root: &(&u32, &Root)| root.1.tick_period_ms > 0;
        let roots: Vec<u32> = with(|vm| vm.roots.iter().filter(ticking).map(|(id, _)| *id).collect());
        for &id in &roots {
            enter(id, || unsafe { abi::proxy_on_tick(id) });
        }
        roots.len()
    }

    /// The period that the serving root asked for; zero when it does not tick.
    pub fn tick_period(&self) -> Duration {
        let period = with(|vm| vm.roots.get(&vm.root).map_or(0, |root| root.tick_period_ms));
        Duration::from_millis(period.into())
    }

    pub fn set_time(&self, now: SystemTime) {
        let since = now.duration_since(UNIX_EPOCH).expect("a time after 1970");
        with(|vm| vm.now_ns = u64::try_from(since.as_nanos()).expect("a time before 2554"));
    }

    /// Lets time pass; calls whose timeout that exceeds are answered with Envoy's 504.
    pub fn advance(&self, by: Duration) {
        let due: Vec<u32> = with(|vm| {
            vm.now_ns += u64::try_from(by.as_nanos()).expect("a short time");
            let now = vm.now_ns;
            let late = |c: &&Callout| {
                let limit = u64::try_from(c.timeout.as_nanos()).unwrap_or(u64::MAX);
                limit > 0 && c.grpc.is_none() && now - c.sent_at_ns >= limit
            };
            vm.callouts.values().filter(late).map(|c| c.token).collect()
        });
        for token in due {
            self.answer_timed_out(token);
        }
    }

    /// A property of every stream, unless the stream has its own.
    pub fn set_property(&self, path: &[&str], value: impl AsRef<[u8]>) {
        let path = path.join("\0").into_bytes();
        with(|vm| vm.properties.insert(path, value.as_ref().to_vec()));
    }

    /// What the filter set, in order, with the path joined by dots.
    pub fn properties_set(&self) -> Vec<(String, Vec<u8>)> {
        with(|vm| vm.properties_set.clone())
    }

    /// Gives the host a foreign function, such as `verify_signature`; any other is not found.
    pub fn set_foreign(&self, name: &str, function: impl Fn(&[u8]) -> Result<Vec<u8>, Status> + 'static) {
        with(|vm| vm.foreign.insert(name.into(), Rc::new(function)));
    }

    pub fn shared(&self) -> SharedData {
        with(|vm| vm.shared.clone())
    }

    pub fn logs(&self) -> Vec<(LogLevel, String)> {
        with(|vm| vm.logs.clone())
    }

    /// Counters and gauges by name.
    pub fn metrics(&self) -> BTreeMap<String, u64> {
        with(|vm| vm.metrics.values().clone())
    }

    pub fn metric(&self, name: &str) -> Option<u64> {
        with(|vm| vm.metrics.values().get(name).copied())
    }

    pub fn histogram(&self, name: &str) -> Vec<u64> {
        with(|vm| vm.metrics.recorded().get(name).cloned().unwrap_or_default())
    }

    /// How many metric ids were given out.
    pub fn metrics_defined(&self) -> u32 {
        with(|vm| vm.metrics.defined())
    }

    /// Every host call since the last `take_calls`, in order: `get_property source.address`.
    pub fn calls(&self) -> Vec<String> {
        with(|vm| vm.calls.clone())
    }

    pub fn take_calls(&self) -> Vec<String> {
        with(|vm| std::mem::take(&mut vm.calls))
    }

    /// How many of the recorded calls begin with these words.
    pub fn count(&self, words: &str) -> usize {
        with(|vm| vm.calls.iter().filter(|call| begins(call, words)).count())
    }

    /// Every call that begins with these words is refused from now on.
    pub fn refuse(&self, words: &str, status: Status) {
        self.refuse_some(words, status, 0, usize::MAX);
    }

    /// After so many that go well, so many calls that begin with these words are refused.
    pub fn refuse_some(&self, words: &str, status: Status, after: usize, times: usize) {
        let words = words.into();
        with(|vm| {
            vm.refusals.push(Refusal {
                words,
                status,
                after,
                times,
            })
        });
    }

    /// Everything goes well again.
    pub fn refuse_nothing(&self) {
        with(|vm| {
            vm.refusals.clear();
            vm.raw_maps.clear();
        });
    }

    /// Reading this header map gives these bytes, whatever they are.
    pub fn set_raw_map(&self, name: &str, bytes: impl AsRef<[u8]>) {
        with(|vm| vm.raw_maps.insert(name.into(), bytes.as_ref().to_vec()));
    }

    pub fn set_log_level(&self, level: LogLevel) {
        with(|vm| vm.log_level = level);
    }
}

/// Ends the roots of earlier policies that no stream uses any more.
fn retire_roots() {
    let unused: Vec<u32> = with(|vm| {
        let used = |id: u32| vm.streams.values().any(|s| s.root == id && !s.deleted);
        vm.roots
            .keys()
            .copied()
            .filter(|&id| id != vm.root && !used(id))
            .collect()
    });
    for id in unused {
        enter(id, || unsafe { abi::proxy_on_done(id) });
        enter(id, || unsafe { abi::proxy_on_delete(id) });
        with(|vm| {
            vm.roots.remove(&id);
            vm.cancel_callouts_of(id);
        });
    }
}

/// The SDK installs its logger with a check that two threads can both pass, and a panic hook that
/// sends a failed assertion to the mock's log; so it is done once, here, and the hook taken out.
fn take_over_logging() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        proxy_wasm::set_log_level(LogLevel::Trace);
        drop(std::panic::take_hook());
    });
}

fn one_at_a_time(init: fn()) {
    static LOCK: Mutex<()> = Mutex::new(());
    let _guard = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    init();
}

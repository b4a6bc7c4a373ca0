//! A filter that does what a request's `x-do` header says, so that the host can be tested itself.

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel, MapType, MetricType};
use std::time::Duration;

/// Registers the stand-in's root context with the SDK of this thread.
pub fn init() {
    proxy_wasm::set_root_context(|id| Box::new(Root { id, requests: 0 }));
}

struct Root {
    id: u32,
    requests: u32,
}

struct Http {
    id: u32,
    root: u32,
    requests: u32,
    pending: bool,
}

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, headers: usize, _: usize, _: usize) {
        say(format!("root got {token}: {headers}"));
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        let policy = self.get_plugin_configuration().unwrap_or_default();
        assert_eq!(policy.len(), size);
        self.requests = hostcalls::define_metric(MetricType::Counter, "requests").unwrap();
        if policy == b"tick" {
            self.set_tick_period(Duration::from_millis(5));
        }
        policy != b"refuse"
    }

    fn on_tick(&mut self) {
        say(format!("call: {:?}", dispatch("auth").is_ok()));
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Http {
            id,
            root: self.id,
            requests: self.requests,
            pending: false,
        }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl HttpContext for Http {
    fn on_http_request_headers(&mut self, count: usize, _: bool) -> Action {
        let headers = self.get_http_request_headers_bytes();
        assert_eq!(headers.len(), count);
        hostcalls::increment_metric(self.requests, 1).unwrap();
        let what = headers.into_iter().find(|(n, _)| n == "x-do").map(|(_, v)| v);
        match what.as_deref() {
            Some(b"set") => {
                self.set_http_request_header("x-user-id", Some("u1"));
                self.remove_http_request_header("x-do");
                Action::Continue
            }
            Some(b"poison") => {
                self.set_http_request_header_bytes("x-bad", Some(b"a\r\nb"));
                Action::Continue
            }
            Some(b"refuse") => {
                self.send_http_response(403, vec![("x-why", "no")], Some(b"no entry"));
                Action::Continue
            }
            Some(b"ask") => self.ask("auth"),
            Some(b"ask-root") => {
                hostcalls::set_effective_context(self.root).unwrap();
                let action = self.ask("auth");
                hostcalls::set_effective_context(self.id).unwrap();
                action
            }
            Some(b"ask-grpc") => {
                let timeout = Duration::from_secs(1);
                self.dispatch_grpc_call("auth", "a.Auth", "Check", vec![], Some(b"?"), timeout)
                    .unwrap();
                self.pending = true;
                Action::Pause
            }
            Some(b"look") => {
                let address = self.get_property(vec!["source", "address"]);
                say(format!("address {:?}", address.map(|a| String::from_utf8(a).unwrap())));
                self.set_property(vec!["verdict"], Some(b"ok"));
                say(format!(
                    "path {:?}",
                    self.get_property(vec!["request", "path"]).is_some()
                ));
                say(format!(
                    "verify {:?}",
                    self.call_foreign_function("verify_signature", Some(b"x"))
                ));
                say(format!(
                    "route {:?}",
                    self.call_foreign_function("clear_route_cache", None)
                ));
                Action::Continue
            }
            Some(b"drop") => {
                self.reset_http_request();
                Action::Pause
            }
            Some(b"time") => {
                let took = hostcalls::define_metric(MetricType::Histogram, "took").unwrap();
                hostcalls::record_metric(took, 7).unwrap();
                say(format!("wrong kind {:?}", hostcalls::increment_metric(took, 1)));
                say(format!("now {:?}", self.get_current_time()));
                Action::Continue
            }
            Some(b"lease") => {
                let (_, cas) = self.get_shared_data("lease");
                say(format!("first {:?}", self.set_shared_data("lease", Some(b"me"), cas)));
                say(format!(
                    "stale {:?}",
                    self.set_shared_data("lease", Some(b"me"), Some(77))
                ));
                say(format!("read {:?}", self.get_shared_data("lease").0));
                Action::Continue
            }
            _ => Action::Continue,
        }
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        say(format!("body {size} {end} headers {}", remove_request_header("x-any")));
        if self.pending { Action::Pause } else { Action::Continue }
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        self.set_http_response_header("x-seen", Some("yes"));
        say(format!("response, request headers {}", remove_request_header("x-any")));
        Action::Continue
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        self.set_http_request_trailer("x-user-id", None);
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, _: bool) -> Action {
        self.set_http_response_body(0, size, b"");
        Action::Continue
    }

    fn on_log(&mut self) {
        let path = self.get_http_request_header(":path");
        say(format!("log {path:?}, writable {}", remove_request_header("x-any")));
    }
}

impl Context for Http {
    fn on_http_call_response(&mut self, _: u32, headers: usize, body: usize, trailers: usize) {
        self.pending = false;
        let status = hostcalls::get_map_bytes(MapType::HttpCallResponseHeaders).unwrap();
        let status = status.into_iter().find(|(n, _)| n == ":status").map(|(_, v)| v);
        let text = self.get_http_call_response_body(0, usize::MAX).unwrap_or_default();
        assert_eq!(text.len(), body);
        say(format!("answer {headers} {body} {trailers}"));
        match status.as_deref() {
            Some(b"200") => {
                self.set_http_request_header_bytes("x-user-id", Some(&text));
                self.resume_http_request();
                say(format!("resumed, headers {}", remove_request_header("x-any")));
            }
            Some(_) => self.send_http_response(403, vec![], None),
            None => self.send_http_response(503, vec![], None),
        }
    }

    fn on_grpc_call_response(&mut self, _: u32, status: u32, size: usize) {
        self.pending = false;
        say(format!("grpc {status} {size} {:?}", self.get_grpc_status().1));
        self.resume_http_request();
    }
}

impl Http {
    fn ask(&mut self, cluster: &str) -> Action {
        match dispatch(cluster) {
            Ok(_) => {
                self.pending = true;
                Action::Pause
            }
            Err(fault) => {
                say(format!("dispatch {fault:?}"));
                Action::Continue
            }
        }
    }
}

fn dispatch(cluster: &str) -> Result<u32, proxy_wasm::types::Status> {
    let headers = vec![(":method", "GET"), (":path", "/check"), (":authority", "auth")];
    hostcalls::dispatch_http_call(cluster, headers, None, vec![], Duration::from_millis(500))
}

fn say(text: String) {
    hostcalls::log(LogLevel::Info, &text).unwrap();
}

/// The raw status, since the SDK panics on anything but `Ok`.
fn remove_request_header(name: &str) -> u32 {
    unsafe extern "C" {
        fn proxy_remove_header_map_value(map: u32, key: *const u8, size: usize) -> u32;
    }
    // SAFETY: the parts of a live string.
    unsafe { proxy_remove_header_map_value(0, name.as_ptr(), name.len()) }
}

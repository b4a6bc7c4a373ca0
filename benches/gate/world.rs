//! The Envoy that is measured, and the one that plays upstream and auth service.

use crate::cpu;
use crate::load::{self, Load, Requests};
use crate::settings::Settings;
use crate::support::envoy::RunDir;
use crate::support::gate::cluster;
use crate::support::{Envoy, LONG, Options, get, h1, probe};
use crate::variants::{Filter, TOKENS, Variant};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub struct World {
    measured: Envoy,
    /// Kept for its process.
    _servers: Envoy,
    wrk: PathBuf,
    log_level: std::cell::Cell<&'static str>,
    /// Where the scripts that vary the path begin.
    next_key: std::cell::Cell<usize>,
}

/// What native filters have to name.
pub struct Clusters {
    pub auth: SocketAddr,
}

/// What one variant cost in one round.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    pub us_per_request: f64,
    pub load: Load,
}

/// Istio's default.
const LOG_LEVEL: &str = "warning";
/// The filter follows the proxy's log level every 250 ms.
const FOLLOWS_LOG_LEVEL: Duration = Duration::from_millis(400);
/// A request with it is answered with what the upstream saw.
const SHOW: &str = "x-bench-show";

impl World {
    pub fn start(settings: &Settings, variants: &[Variant]) -> Self {
        let servers = Options::default().log_level("error").start(servers());
        let (upstream, auth) = (servers.listener("upstream"), servers.listener("auth"));
        let run = RunDir::new();
        let made = |name: &str, module: Vec<u8>| {
            let path = run.path().join(name);
            std::fs::write(&path, module).unwrap();
            path
        };
        let clusters = Clusters { auth };
        let listeners: Vec<Value> = variants
            .iter()
            .map(|variant| {
                listener(
                    &variant.key,
                    http_filters(settings, variant, &clusters, &made),
                    json!([
                        {"match": {"prefix": "/"}, "route": {"cluster": "upstream"}},
                    ]),
                )
            })
            .collect();
        let bootstrap = json!({"static_resources": {
            "listeners": listeners,
            "clusters": [cluster("upstream", &[upstream]), cluster("auth", &[auth])],
        }});
        let options = Options {
            ready_within: LONG * 2,
            ..Options::default().log_level(LOG_LEVEL)
        };
        let measured = options.start_in(run, bootstrap);
        cpu::pin(measured.pid(), 0);
        cpu::pin(servers.pid(), 1);
        // wrk inherits its core from here.
        cpu::pin(std::process::id(), 1);
        Self {
            measured,
            _servers: servers,
            wrk: settings.wrk.clone(),
            log_level: LOG_LEVEL.into(),
            next_key: 0.into(),
        }
    }

    /// `Envoy 1.40.0`
    pub fn version(&self) -> String {
        let binary = std::env::var_os("MESHGATE_ENVOY").expect("checked when it was started");
        let output = Command::new(binary).arg("--version").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = text
            .split('/')
            .find(|part| part.starts_with(|c: char| c.is_ascii_digit()) && part.contains('.'));
        format!("Envoy {}", version.unwrap_or("of unknown version"))
    }

    /// Does the variant do what it is measured for?
    pub fn check(&self, variant: &Variant) {
        let mut request = get(variant.path).header(SHOW, "1");
        for (name, value) in self.requests(variant, None).headers() {
            request = match name {
                "Host" => request.host(&value),
                _ => request.header(name, &value),
            };
        }
        let response = h1(self.measured.listener(&variant.key)).send(&request);
        let seen = response.header("x-seen").unwrap_or_default();
        assert_eq!(
            (response.status, &*seen),
            (200, variant.seen),
            "{}: {}",
            variant.label,
            response.text()
        );
    }

    pub fn measure(&self, variant: &Variant, seconds: u64) -> Measured {
        self.log_at(variant.wasm_log);
        let addr = self.measured.listener(&variant.key);
        let logged = self.log_bytes();
        let before = cpu::time(self.measured.pid());
        let script = match variant.churns {
            true => Some(self.churn()),
            false if variant.many_tokens => Some(self.many_tokens()),
            false => variant.keys.map(|keys| self.script(keys)),
        };
        let load = load::run(&self.wrk, addr, &self.requests(variant, script.as_deref()), seconds);
        if let Some(keys) = variant.keys {
            self.next_key.set((self.next_key.get() + load.requests as usize) % keys);
        }
        let spent = cpu::time(self.measured.pid()) - before;
        let lines_came = self.log_bytes() - logged > load.requests * 100;
        assert_eq!(
            lines_came,
            variant.wasm_log == "info",
            "decision lines: {}",
            variant.label
        );
        Measured {
            us_per_request: spent.as_secs_f64() * 1e6 / load.requests as f64,
            load,
        }
    }

    /// Until every key was asked for and may be remembered. What Envoy's memory grew by, in MiB.
    pub fn fill(&self, variant: &Variant) -> Option<f64> {
        let keys = variant.keys?;
        let before = self.resident_kib();
        let mut sent = 0;
        while sent < keys as u64 * 2 {
            sent += self.measure(variant, 2).load.requests;
        }
        Some((self.resident_kib() as f64 - before as f64) / 1024.0)
    }

    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.measured.pid())).expect("Envoy runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kib.and_then(|kib| kib.parse().ok()).expect("VmRSS in kB")
    }

    fn requests<'a>(&self, variant: &'a Variant, script: Option<&'a Path>) -> Requests<'a> {
        Requests {
            path: variant.path,
            bearer: variant.bearer,
            forged: variant.forged,
            script,
        }
    }

    /// One path after the other, and from the start again. Each run of wrk goes on where the last one ended.
    fn script(&self, keys: usize) -> PathBuf {
        let path = self.measured.dir().join(format!("paths-{keys}.lua"));
        let from = self.next_key.get() % keys;
        let text = format!(
            "local n = {from}\nrequest = function()\n  n = n + 1\n  return wrk.format(nil, '/orders/' .. n % {keys})\nend\n"
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Each comes again after all others, and long after it was forgotten.
    fn many_tokens(&self) -> PathBuf {
        let path = self.measured.dir().join("tokens.lua");
        let tokens: Vec<String> = TOKENS.lines().map(|token| format!("'Bearer {token}'")).collect();
        let text = format!(
            "local tokens, n = {{{}}}, 0\nlocal headers = {{}}\n\
             init = function() for k, v in pairs(wrk.headers) do headers[k] = v end end\n\
             request = function()\n  n = n + 1\n  headers['authorization'] = tokens[n % #tokens + 1]\n  \
             return wrk.format(nil, nil, headers)\nend\n",
            tokens.join(",")
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Every other request brings a credential that nobody saw before, the others one of the last thousand.
    fn churn(&self) -> PathBuf {
        let path = self.measured.dir().join("churn.lua");
        let from = self.next_key.replace(self.next_key.get() + 10_000_000);
        let text = format!(
            "local n, odd = {from}, false\nlocal headers = {{}}\n\
             init = function() for k, v in pairs(wrk.headers) do headers[k] = v end end\n\
             request = function()\n  odd = not odd\n  local token = n\n  if odd then n = n + 1 token = n\n  \
             else token = n - math.random(0, 999) end\n  headers['authorization'] = 'Bearer ' .. token\n  \
             return wrk.format(nil, nil, headers)\nend\n"
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn assert_sound(&self) {
        self.measured.assert_no_trap();
    }

    fn log_at(&self, level: &'static str) {
        if self.log_level.replace(level) != level {
            let answer = self.measured.post(&format!("/logging?wasm={level}"));
            assert_eq!(answer.status, 200, "{}", answer.text());
            std::thread::sleep(FOLLOWS_LOG_LEVEL);
        }
    }

    fn log_bytes(&self) -> u64 {
        let path = self.measured.dir().join("envoy.log");
        std::fs::metadata(path).map_or(0, |data| data.len())
    }
}

/// `made` keeps a module that is made for the bench.
fn http_filters(
    settings: &Settings,
    variant: &Variant,
    clusters: &Clusters,
    made: &dyn Fn(&str, Vec<u8>) -> PathBuf,
) -> Value {
    let router = json!({
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
    });
    let typed_config = match &variant.filter {
        Filter::None => return json!([router]),
        Filter::Native(of) => of(clusters),
        Filter::Probe => wasm(variant, &made("probe.wasm", probe::module()), "bench"),
        Filter::Floor(floor) => {
            let module = made(&format!("{}.wasm", variant.key), floor.module());
            wasm(variant, &module, "bench")
        }
        Filter::Meshgate { policy, module } => wasm(
            variant,
            module.as_ref().unwrap_or(&settings.module),
            &policy.to_string(),
        ),
    };
    json!([{"name": variant.key, "typed_config": typed_config}, router])
}

/// Each in a VM of its own, as a mesh has one policy.
fn wasm(variant: &Variant, module: &Path, configuration: &str) -> Value {
    json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
        "config": {
            "name": variant.key,
            "root_id": "meshgate",
            "vm_config": {
                "vm_id": variant.key,
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"filename": module}},
            },
            "configuration": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": configuration},
            "failure_policy": "FAIL_RELOAD",
            "reload_config": {"backoff": {"base_interval": "0.1s"}},
        },
    })
}

/// Answers cost less by an Envoy than by anything of ours, and steadily so.
fn servers() -> Value {
    let answer = |headers: &[(&str, &str)]| {
        let headers: Vec<Value> = headers
            .iter()
            .map(|(name, value)| json!({"header": {"key": name, "value": value}}))
            .collect();
        json!({"direct_response": {"status": 200}, "response_headers_to_add": headers})
    };
    let route = |matcher: Value, mut answer: Value| {
        answer["match"] = matcher;
        answer
    };
    let anything = json!({"prefix": "/"});
    let shown = json!({"prefix": "/", "headers": [{"name": SHOW, "present_match": true}]});
    let router = || {
        json!([{
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
        }])
    };
    let upstream = json!([
        route(
            shown,
            answer(&[("x-seen", "user=%REQ(x-user-id)% auth=%REQ(x-auth-user)%")])
        ),
        route(anything.clone(), answer(&[("content-type", "text/plain")])),
    ]);
    let bearer = json!({"prefix": "/", "headers": [{"name": "authorization", "string_match": {"prefix": "Bearer "}}]});
    let auth = json!([
        route(
            bearer,
            answer(&[
                ("x-auth-user", "alice"),
                ("x-auth-groups", "staff,sales"),
                ("x-auth-tenant", "acme"),
            ])
        ),
        route(anything, json!({"direct_response": {"status": 401}})),
    ]);
    json!({"static_resources": {"listeners": [
        listener("upstream", router(), upstream),
        listener("auth", router(), auth),
    ]}})
}

fn listener(name: &str, http_filters: Value, routes: Value) -> Value {
    json!({
        "name": name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": name,
                "use_remote_address": true,
                "http_filters": http_filters,
                "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
            },
        }]}],
    })
}

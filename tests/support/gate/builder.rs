use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Gate;
use super::bootstrap::{self, Addresses, cluster_h2};
use crate::support::envoy::{Envoy, Options, RunDir};
use crate::support::stub::{DeadPort, Received, Reply, Stub, dead_port};

/// Everything has a usual value; what a test says replaces it.
pub struct GateBuilder {
    pub(super) filter: Filter,
    /// By ECDS from a file, so that it can be replaced.
    pub(super) live: bool,
    pub(super) hcm: Value,
    pub(super) before: Vec<Value>,
    pub(super) after: Vec<Value>,
    pub(super) clusters: Vec<Value>,
    pub(super) route_config: Option<Value>,
    pub(super) access_log: Option<Value>,
    pub(super) bootstrap: Value,
    options: Options,
    upstream: Option<Stub>,
    auth: Option<Stub>,
}

/// What stands in the middle of the chain.
#[derive(Clone, Debug)]
pub(super) enum Filter {
    None,
    Meshgate(Plugin),
    /// Any other HTTP filter's `typed_config`.
    Other(Value),
}

/// The fields of Envoy's `PluginConfig` that tests vary.
#[derive(Clone, Debug)]
pub(super) struct Plugin {
    pub module: PathBuf,
    pub policy: String,
    pub environment: Value,
    pub stop_iteration: bool,
    /// Merged into the `PluginConfig`.
    pub more: Value,
}

impl Default for GateBuilder {
    fn default() -> Self {
        Self {
            filter: Filter::None,
            live: false,
            hcm: json!({}),
            before: Vec::new(),
            after: Vec::new(),
            clusters: Vec::new(),
            route_config: None,
            access_log: None,
            bootstrap: json!({}),
            options: Options::default(),
            upstream: None,
            auth: None,
        }
    }
}

impl GateBuilder {
    /// Puts the Meshgate filter in, with this policy (JSON text or a `Value`).
    pub fn policy(mut self, policy: impl ToString) -> Self {
        self.plugin().policy = policy.to_string();
        self
    }

    /// Another module than the one that `MESHGATE_WASM` names.
    pub fn module(mut self, path: impl AsRef<Path>) -> Self {
        self.plugin().module = path.as_ref().to_owned();
        self
    }

    /// `PluginConfig.allow_on_headers_stop_iteration`.
    pub fn allow_on_headers_stop_iteration(mut self, allow: bool) -> Self {
        self.plugin().stop_iteration = allow;
        self
    }

    /// A variable of the VM's environment.
    pub fn vm_env(mut self, name: &str, value: &str) -> Self {
        self.plugin().environment[name] = json!(value);
        self
    }

    /// Merged into the `PluginConfig`, such as `{"failure_policy": "FAIL_CLOSED"}`.
    pub fn plugin_config(mut self, more: Value) -> Self {
        merge(&mut self.plugin().more, more);
        self
    }

    /// Another HTTP filter's `typed_config` in the place of Meshgate.
    pub fn filter(mut self, typed_config: Value) -> Self {
        self.filter = Filter::Other(typed_config);
        self
    }

    /// Delivers the filter by ECDS from a file, so that `replace_policy` works.
    pub fn live(mut self) -> Self {
        self.live = true;
        self
    }

    /// Answers in place of the echo.
    pub fn upstream(self, handler: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        self.upstream_stub(Stub::start(handler))
    }

    /// Answers in place of a plain 200.
    pub fn auth(self, handler: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        self.auth_stub(Stub::start(handler))
    }

    /// An upstream over HTTP/2 (h2c).
    pub fn upstream_h2(self, handler: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let stub = Stub::start_h2(handler);
        self.cluster(cluster_h2("upstream", &[stub.addr()])).upstream_stub(stub)
    }

    /// An auth service over HTTP/2, as gRPC needs it.
    pub fn auth_h2(self, handler: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let stub = Stub::start_h2(handler);
        self.cluster(cluster_h2("auth", &[stub.addr()])).auth_stub(stub)
    }

    /// A stub that is there already, over HTTP/1.1 unless `.cluster(cluster_h2(..))` says otherwise.
    pub fn upstream_stub(mut self, stub: Stub) -> Self {
        self.upstream = Some(stub);
        self
    }

    pub fn auth_stub(mut self, stub: Stub) -> Self {
        self.auth = Some(stub);
        self
    }

    /// Merged into the HTTP connection manager.
    pub fn hcm(mut self, fields: Value) -> Self {
        merge(&mut self.hcm, fields);
        self
    }

    pub fn normalize_path(self, on: bool) -> Self {
        self.hcm(json!({"normalize_path": on}))
    }

    pub fn merge_slashes(self, on: bool) -> Self {
        self.hcm(json!({"merge_slashes": on}))
    }

    pub fn use_remote_address(self, on: bool) -> Self {
        self.hcm(json!({"use_remote_address": on}))
    }

    pub fn websocket(self) -> Self {
        self.hcm(json!({"upgrade_configs": [{"upgrade_type": "websocket"}]}))
    }

    /// A whole HTTP filter (`name`, `typed_config`) before ours.
    pub fn filter_before(mut self, filter: Value) -> Self {
        self.before.push(filter);
        self
    }

    /// A whole HTTP filter between ours and the router.
    pub fn filter_after(mut self, filter: Value) -> Self {
        self.after.push(filter);
        self
    }

    /// Another cluster, or one in place of a usual one with the same name.
    pub fn cluster(mut self, cluster: Value) -> Self {
        self.clusters.push(cluster);
        self
    }

    /// In place of "everything to `upstream`".
    pub fn route_config(mut self, route_config: Value) -> Self {
        self.route_config = Some(route_config);
        self
    }

    /// The routes of the one virtual host.
    pub fn routes(self, routes: Value) -> Self {
        self.route_config(json!({"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]}))
    }

    /// An access log with these fields, read by `Gate::access_log`.
    pub fn access_log(mut self, json_format: Value) -> Self {
        self.access_log = Some(json_format);
        self
    }

    /// As in a bootstrap's `stats_config.stats_tags`.
    pub fn stats_tags(self, tags: Value) -> Self {
        self.bootstrap(json!({"stats_config": {"stats_tags": tags}}))
    }

    /// Merged into the bootstrap.
    pub fn bootstrap(mut self, fields: Value) -> Self {
        merge(&mut self.bootstrap, fields);
        self
    }

    pub fn workers(mut self, n: u32) -> Self {
        self.options.concurrency = n;
        self
    }

    pub fn log_level(mut self, level: &str) -> Self {
        self.options.log_level = level.into();
        self
    }

    pub fn component_log_level(mut self, levels: &str) -> Self {
        self.options = self.options.component_log_level(levels);
        self
    }

    /// A variable of Envoy's own environment (`vm_config.environment_variables.host_env_keys`).
    pub fn envoy_env(mut self, name: &str, value: &str) -> Self {
        self.options = self.options.env(name, value);
        self
    }

    #[track_caller]
    pub fn start(mut self) -> Gate {
        let Prepared {
            upstream,
            auth,
            dead,
            run,
            bootstrap,
        } = self.prepare();
        let envoy: Envoy = self.options.start_in(run, bootstrap);
        Gate {
            envoy,
            upstream,
            auth,
            dead,
            filter: self.filter,
            versions: 1.into(),
        }
    }

    /// Envoy has to refuse this set-up at start; its log.
    #[track_caller]
    pub fn expect_refused(mut self) -> String {
        // The servers live until Envoy has answered.
        let prepared = self.prepare();
        self.options.expect_refused_in(prepared.run, prepared.bootstrap)
    }

    fn prepare(&mut self) -> Prepared {
        let (upstream, auth) = self.stubs();
        let (dead, run) = (dead_port(), RunDir::new());
        let addresses = Addresses {
            upstream: upstream.addr(),
            auth: auth.addr(),
            dead: dead.addr(),
        };
        let bootstrap = bootstrap::of(self, &addresses, &run);
        Prepared {
            upstream,
            auth,
            dead,
            run,
            bootstrap,
        }
    }

    fn stubs(&mut self) -> (Stub, Stub) {
        let upstream = self.upstream.take().unwrap_or_else(Stub::echo);
        (
            upstream,
            self.auth.take().unwrap_or_else(|| Stub::start(|_| Reply::ok())),
        )
    }

    fn plugin(&mut self) -> &mut Plugin {
        if !matches!(self.filter, Filter::Meshgate(_)) {
            self.filter = Filter::Meshgate(Plugin {
                module: shipped_module(),
                policy: String::new(),
                environment: json!({}),
                stop_iteration: false,
                more: json!({}),
            });
        }
        match &mut self.filter {
            Filter::Meshgate(plugin) => plugin,
            _ => unreachable!("set just above"),
        }
    }
}

/// Objects are merged, everything else is replaced.
pub fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

/// The one that `MESHGATE_WASM` names.
pub fn shipped_module() -> PathBuf {
    match std::env::var_os("MESHGATE_WASM") {
        Some(path) => path.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/meshgate.wasm"),
    }
}

/// What an Envoy is started with.
struct Prepared {
    upstream: Stub,
    auth: Stub,
    dead: DeadPort,
    run: RunDir,
    bootstrap: Value,
}

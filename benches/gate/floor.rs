//! Modules that decide nothing: they make the host calls that the filter has to make, with what they say written
//! into them. What they cost is the proxy's share, and the least that any filter of this interface could cost.

use crate::headers;
use crate::load::HEADERS;
use crate::signed;

/// Whose host calls.
#[derive(Clone, Copy)]
pub enum Floor {
    /// Reads the headers and the clock, takes two headers away, counts once.
    Public,
    /// Sets who calls as well, and counts twice.
    Remembered,
    /// Sets timeouts and retries as well.
    Whole,
    /// As `Remembered`, after it has asked the service.
    Asked,
    /// As `Public`, after the proxy has checked a token's signature.
    Verified,
}

const IDENTITY: [(&str, &str); 4] = [
    ("x-user-id", "alice"),
    ("x-user-groups", "staff,sales"),
    ("x-tenant-id", "acme"),
    ("x-authenticated-by", "account"),
];
const CARRIED: [(&str, &str); 5] = [
    ("x-envoy-upstream-rq-timeout-ms", "2000"),
    ("x-envoy-upstream-rq-per-try-timeout-ms", "500"),
    (
        "x-envoy-retry-on",
        "connect-failure,refused-stream,retriable-status-codes",
    ),
    ("x-envoy-max-retries", "2"),
    ("x-envoy-retriable-status-codes", "503"),
];

impl Floor {
    pub fn module(self) -> Vec<u8> {
        let mut data = Data::default();
        let mut removes = |name: &str| format!("(drop (call $remove (i32.const 0) {}))", data.put(name.as_bytes()));
        let removed = [removes("authorization"), removes("x-envoy-internal")].concat();
        let mut adds = |fields: &[(&str, &str)]| -> String {
            let add = |(name, value): &(&str, &str)| {
                let (name, value) = (data.put(name.as_bytes()), data.put(value.as_bytes()));
                format!("(drop (call $add (i32.const 0) {name} {value}))")
            };
            fields.iter().map(add).collect()
        };
        let count = "(drop (call $count (i32.load (i32.const 24)) (i64.const 1)))";
        let changes = match self {
            Self::Public => [&removed, count].concat(),
            Self::Verified => [&data.verifies(), &removed, count].concat(),
            Self::Remembered | Self::Asked => [&removed, &adds(&IDENTITY), count, count].concat(),
            Self::Whole => [&removed, &adds(&IDENTITY), &adds(&CARRIED), count, count].concat(),
        };
        let (on_headers, on_answer) = match self {
            Self::Asked => (data.asks(), [TAKES_ANSWER, &changes, GOES_ON].concat()),
            _ => ([&changes, "(i32.const 0)"].concat(), String::new()),
        };
        let metric = data.put(b"floor");
        let text = format!(
            r#"(module {IMPORTS}
            (memory (export "memory") 20)
            (func (export "proxy_abi_version_0_2_1"))
            ;; All that is handed over lands in the same place.
            (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 65536))
            (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 1))
            (func (export "proxy_on_configure") (param i32 i32) (result i32)
                (drop (call $define (i32.const 0) {metric} (i32.const 24))) (i32.const 1))
            (func (export "proxy_on_context_create") (param i32 i32))
            (func (export "proxy_on_delete") (param i32))
            (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
                (drop (call $now (i32.const 8)))
                (drop (call $pairs (i32.const 0) (i32.const 16) (i32.const 20)))
                {on_headers})
            (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32) {on_answer})
            (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) (i32.const 0))
            {})"#,
            data.segment()
        );
        wat::parse_str(text).expect("text of a module")
    }
}

const IMPORTS: &str = r#"
    (import "env" "proxy_get_current_time_nanoseconds" (func $now (param i32) (result i32)))
    (import "env" "proxy_get_header_map_pairs" (func $pairs (param i32 i32 i32) (result i32)))
    (import "env" "proxy_remove_header_map_value" (func $remove (param i32 i32 i32) (result i32)))
    (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_increment_metric" (func $count (param i32 i64) (result i32)))
    (import "env" "proxy_set_effective_context" (func $as (param i32) (result i32)))
    (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
    (import "env" "proxy_call_foreign_function"
        (func $foreign (param i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_http_call"
        (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))"#;

/// An answer comes to the root: whose it is stands where the question put it, by its token.
const TAKES_ANSWER: &str = "
    (drop (call $now (i32.const 8)))
    (drop (call $pairs (i32.const 6) (i32.const 16) (i32.const 20)))
    (drop (call $as (i32.load (i32.add (i32.const 131072)
        (i32.shl (i32.and (local.get 1) (i32.const 65535)) (i32.const 2))))))";
const GOES_ON: &str = "(drop (call $continue (i32.const 0)))";

/// What a module says, from its address 1024 on.
#[derive(Default)]
struct Data(Vec<u8>);

impl Data {
    const AT: usize = 1024;

    /// Address and length, as arguments.
    fn put(&mut self, bytes: &[u8]) -> String {
        let at = Self::AT + self.0.len();
        self.0.extend(bytes);
        format!("(i32.const {at}) (i32.const {})", bytes.len())
    }

    fn asks(&mut self) -> String {
        let credential = HEADERS.iter().find(|(name, _)| *name == "authorization");
        let (_, credential) = credential.expect("a token");
        let question = [
            (":method", "GET"),
            (":path", "/orders/4711/items?page=2"),
            (":authority", "shop.example.com"),
            ("authorization", credential),
        ];
        let question = headers::encode(&question.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())));
        let (cluster, question, none) = (self.put(b"auth"), self.put(&question), self.put(b""));
        format!(
            "(drop (call $call {cluster} {question} (i32.const 0) (i32.const 0) {none} (i32.const 500) (i32.const 28)))
            (i32.store (i32.add (i32.const 131072)
                (i32.shl (i32.and (i32.load (i32.const 28)) (i32.const 65535)) (i32.const 2))) (local.get 0))
            (i32.const 1)"
        )
    }

    /// Ends the module where the signature does not hold, which answers no request.
    fn verifies(&mut self) -> String {
        let (verify, arguments) = (self.put(b"verify_signature"), self.put(&signed::arguments()));
        format!(
            "(if (call $foreign {verify} {arguments} (i32.const 32) (i32.const 36)) (then unreachable))
            (if (i32.ne (i32.load16_u (i32.load (i32.const 32))) (i32.const 0x0108)) (then unreachable))"
        )
    }

    fn segment(&self) -> String {
        let bytes: String = self.0.iter().map(|byte| format!("\\{byte:02x}")).collect();
        format!("(data (i32.const {}) \"{bytes}\")", Self::AT)
    }
}

use crate::policies::{account, knows_ada};
use crate::seen::see;
use crate::support::{Gate, Request, Wire, request};

const RULES: &str = r#"
rules:
- { name: open, match: { paths: ["/open/**"], methods: [PUT] }, cors: { preflight: pass }, require: { groups: { any_of: [ops] } } }
- { name: options, match: { paths: ["/options/**"], methods: [OPTIONS] } }
- { name: closed, match: { paths: ["/closed/**"], methods: [PUT] } }
- { name: refused, match: { paths: ["/refused/**"] }, refuse: 404 }
"#;

type Pairs = &'static [(&'static str, &'static str)];

const PUT: Pairs = &[("origin", "https://app.test"), ("access-control-request-method", "PUT")];
const DELETE: Pairs = &[
    ("origin", "https://app.test"),
    ("access-control-request-method", "DELETE"),
];
const NO_ORIGIN: Pairs = &[("access-control-request-method", "PUT")];
const NO_METHOD: Pairs = &[("origin", "https://app.test")];
const TWICE: Pairs = &[
    ("origin", "https://app.test"),
    ("access-control-request-method", "PUT"),
    ("access-control-request-method", "DELETE"),
];

/// (method, path, headers, status)
const ROWS: [(&str, &str, Pairs, u16); 12] = [
    ("OPTIONS", "/open/a", PUT, 200),
    ("OPTIONS", "/open/a", DELETE, 403),
    ("OPTIONS", "/open/a", NO_ORIGIN, 403),
    ("OPTIONS", "/open/a", NO_METHOD, 403),
    ("OPTIONS", "/open/a", TWICE, 403),
    ("OPTIONS", "/closed/a", PUT, 403),
    ("OPTIONS", "/refused/a", PUT, 404),
    ("OPTIONS", "/other", PUT, 403),
    // No preflight: an ordinary request with that method.
    ("OPTIONS", "/options/a", NO_METHOD, 401),
    // Matched by the method it asks for, and no rule takes that here.
    ("OPTIONS", "/options/a", PUT, 403),
    // Only OPTIONS is a preflight.
    ("PUT", "/open/a", PUT, 401),
    ("GET", "/open/a", PUT, 403),
];

#[test]
fn a_preflight_passes_where_the_rule_of_the_asked_method_lets_it() {
    let gate = Gate::builder().policy(account(RULES)).auth(knows_ada).start();
    for wire in Wire::BOTH {
        for (method, path, headers, status) in ROWS {
            let add = |request: Request, (name, value): &(&str, &str)| request.header(name, value);
            let seen = see(&gate, wire, &headers.iter().fold(request(method, path), add));
            let case = format!("{method} {path} {headers:?} over {wire:?}: {}", seen.response.text());
            assert_eq!(seen.status, status, "{case}");
            assert_eq!(seen.upstream.len(), usize::from(status == 200), "{case}");
            assert!(seen.auth.is_empty(), "nobody is asked about a preflight: {case}");
        }
        // A credential makes it no better and is not asked about.
        let with_credential = request("OPTIONS", "/closed/a").header("authorization", "Bearer ada");
        let add = |request: Request, (name, value): &(&str, &str)| request.header(name, value);
        let seen = see(&gate, wire, &PUT.iter().fold(with_credential, add));
        assert_eq!((seen.status, seen.auth.len()), (403, 0));
    }
}

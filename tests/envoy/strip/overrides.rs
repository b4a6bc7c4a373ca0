use super::ways;
use crate::policies::{account, knows_ada};
use crate::seen::see;
use crate::support::{Gate, Wire, get};

/// By each of these some framework takes another method, path or host than the one that was asked for.
const OVERRIDES: [&str; 24] = [
    "x-original-url",
    "X-Original-URL",
    "x_original_url",
    "x.original.url",
    "x-original-uri",
    "x-original-method",
    "x-original-host",
    "x-rewrite-url",
    "X-Rewrite-Url",
    "x~rewrite_url",
    "x-override-url",
    "x-http-method-override",
    "X_HTTP_Method_Override",
    "x-http-method",
    "x-method-override",
    "x-http-host-override",
    "x-host",
    "x-forwarded-method",
    "x-forwarded-uri",
    "x-forwarded-path",
    "x-forwarded-prefix",
    "x-forwarded-host",
    "x-forwarded-server",
    "forwarded",
];

#[test]
fn no_header_tells_the_upstream_another_request_than_the_one_that_was_matched() {
    let gate = ways::builder().start();
    for way in ways::all() {
        for wire in Wire::BOTH {
            for name in OVERRIDES {
                let request = way
                    .request
                    .clone()
                    .header(name, "/forged")
                    .body("x")
                    .trailer(name, "/forged");
                let seen = see(&gate, wire, &request);
                let case = format!("{} over {wire:?}, sent {name}: {}", way.name, seen.response.text());
                assert_eq!(seen.status, way.status, "{case}");
                for request in seen.upstream.iter().chain(&seen.auth) {
                    let mut all = request.headers.iter().chain(request.trailers.iter());
                    assert!(
                        all.all(|(_, value)| value != b"/forged"),
                        "{case}: {:?}",
                        request.headers
                    );
                }
            }
        }
    }
}

#[test]
fn an_operator_may_keep_some_of_them_and_no_identity_header() {
    let policy = account(
        r#"
rules:
- { name: everything }
"#,
    )
    .replace(
        r#""identity":{"#,
        r#""identity":{"strip":["x-internal-*"],"keep":["x-original-url","x-internal-trace"],"#,
    );
    let gate = Gate::builder().policy(policy).auth(knows_ada).start();
    for wire in Wire::BOTH {
        let rows = [
            ("x-original-url", true),
            ("x_original_url", true),
            ("x-rewrite-url", false),
            ("x-internal-trace", true),
            ("x-internal-other", false),
        ];
        for (name, kept) in rows {
            let request = get("/a").header("authorization", "Bearer ada").header(name, "sent");
            let seen = see(&gate, wire, &request);
            let arrived = seen.at_upstream().headers.iter().any(|(_, value)| value == b"sent");
            assert_eq!(arrived, kept, "{name} over {wire:?}");
        }
    }
}

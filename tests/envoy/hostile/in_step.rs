use crate::policies::{account, knows_ada};
use crate::support::{Gate, Reply, get};

/// What a client reads behind such a status it takes for the next response on its connection.
#[test]
fn a_refusal_that_has_no_content_leaves_the_connection_in_step() {
    let gate = Gate::builder()
        .policy(account("rules: [{ name: everything }]"))
        .auth(|request| {
            match request
                .header("authorization")
                .unwrap_or_default()
                .strip_prefix("Bearer no-")
            {
                Some(status) => Reply::status(status.parse().unwrap()).header("content-type", "text/html"),
                None => knows_ada(request),
            }
        })
        .start();
    let mut connection = gate.h1().connect();
    for status in [204, 205, 304, 403] {
        let refused = get("/").header("authorization", format!("Bearer no-{status}"));
        let response = connection.send(&refused).unwrap();
        assert_eq!(response.status, status);
        assert_eq!(response.body.is_empty(), status != 403, "{status}: {}", response.text());
        let next = connection.send(&get("/").header("authorization", "Bearer ada"));
        assert_eq!(next.map(|response| response.status), Ok(200), "after {status}");
    }
    assert_eq!(gate.upstream.count(), 4);
}

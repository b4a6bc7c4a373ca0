//! Refusals of gRPC calls.
use super::*;

#[test]
fn every_refusal_of_a_grpc_call_is_a_grpc_status() {
    let gate = start();
    for row in rows() {
        let about = row.what;
        // Is no POST, as gRPC is.
        if about == "a preflight" {
            continue;
        }
        gate.auth.answer(row.reply);
        let mut request = row
            .request
            .header("content-type", "application/grpc+proto")
            .header("te", "trailers");
        if request.method == b"GET" {
            request.method = b"POST".to_vec();
        }
        let response = gate.h2().send(&request);
        assert_eq!(response.status, 200, "{about}");
        let status = response.header("grpc-status");
        assert_eq!(
            status,
            Some(row.grpc_status.to_string()),
            "{about}: {:?}",
            response.headers
        );
        let message = response.header("grpc-message").unwrap_or_default();
        assert!(!message.is_empty() && !message.contains('{'), "{about}: {message}");
        assert!(response.body.is_empty(), "{about}");
        assert_eq!(
            response.header("content-type").as_deref(),
            Some("application/grpc"),
            "{about}"
        );
    }
    assert_eq!(gate.upstream.count(), 0);
}

#[test]
fn the_services_own_page_does_not_reach_a_grpc_caller() {
    let gate = start();
    gate.auth.answer(|_| {
        Reply::status(403)
            .header("content-type", "text/html")
            .body("<h1>no</h1>")
    });
    let call = post("/any/", "")
        .header("authorization", "Bearer abc")
        .header("content-type", "application/grpc");
    let response = gate.h2().send(&call);
    assert_eq!(
        (response.status, response.header("grpc-status").as_deref()),
        (200, Some("7"))
    );
    assert!(!response.text().contains("h1"), "{}", response.text());
}

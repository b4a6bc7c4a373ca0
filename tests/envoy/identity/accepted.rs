use crate::policies::account;
use crate::seen::see;
use crate::support::{Gate, Reply, Wire, get};

/// Patterns as wide as a policy may have them.
fn gate() -> Gate {
    let accept = r#""accept":{"headers":["x-auth-*","x-user-*","x-ten*"],"append":["x-more","x-list-*"]},"on_failure""#;
    let policy = account("rules: [{ name: everything }]").replace(r#""on_failure""#, accept);
    Gate::builder()
        .policy(policy)
        .auth(|_| {
            Reply::ok()
                .header("x-auth-user", "ada")
                .header("x-auth-tier", "gold")
                .header("x-auth-twice", "1")
                .header("x-auth-twice", "2")
                .header("x-more", "service")
                // None of these is the service's to say.
                .header("x-user-id", "root")
                .header("X_User_Id", "root")
                .header("x.tenant.id", "root")
                .header("x-user-hop", "hop")
                .header("connection", "x-user-hop")
                .header("x-user-name", "Ada")
        })
        .start()
}

#[test]
fn accepted_headers_are_the_services_and_never_the_clients() {
    let gate = gate();
    for wire in Wire::BOTH {
        let request = get("/")
            .header("authorization", "Bearer any")
            .header("x-auth-tier", "forged")
            .header("X_Auth_Tier", "forged")
            .header("x.auth.other", "forged")
            .header("x-user-name", "forged")
            .header("x-more", "client");
        let seen = see(&gate, wire, &request);
        let headers = &seen.at_upstream().headers;
        let rows: [(&str, &[&[u8]]); 10] = [
            ("x-user-id", &[b"ada"]),
            ("x-auth-user", &[b"ada"]),
            ("x-auth-tier", &[b"gold"]),
            ("x-auth-twice", &[b"1", b"2"]),
            ("x-user-name", &[b"Ada"]),
            ("x-more", &[b"client", b"service"]),
            ("x-user-hop", &[]),
            ("x_user_id", &[]),
            ("x.tenant.id", &[]),
            ("x-tenant-id", &[]),
        ];
        for (name, values) in rows {
            assert_eq!(headers.all(name), values, "{name} over {wire:?}");
        }
        assert!(headers.iter().all(|(_, value)| value != b"forged"), "{headers:?}");
    }
}

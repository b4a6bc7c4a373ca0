use crate::policies::{account, knows_ada};
use crate::seen::see;
use crate::support::{Gate, Wire, get};
use serde_json::json;

const RULES: &str = r#"
rules:
- { name: office, match: { client_ip: [10.0.0.0/8, "2001:db8::/32"] }, identity: { headers: { x-rule: office } } }
- { name: here, match: { client_ip: [127.0.0.0/8] }, identity: { headers: { x-rule: here } } }
- { name: elsewhere, identity: { headers: { x-rule: elsewhere } } }
"#;

/// use_remote_address, trusted hops, X-Forwarded-For, the rule that is met
const ROWS: [(bool, u32, &[&str], &str); 19] = [
    (true, 0, &[], "here"),
    (true, 0, &["10.1.1.1"], "here"),
    (true, 0, &["8.8.8.8, 10.1.1.1"], "here"),
    (true, 0, &["10.1.1.1", "10.1.1.1"], "here"),
    (true, 0, &["2001:db8::1"], "here"),
    (true, 1, &[], "here"),
    (true, 1, &["10.1.1.1"], "office"),
    (true, 1, &["2001:db8::1"], "office"),
    (true, 1, &["8.8.8.8, 10.1.1.1"], "office"),
    // The hop in front of us says 8.8.8.8; what stands before it is the client's own word.
    (true, 1, &["10.1.1.1, 8.8.8.8"], "elsewhere"),
    (true, 1, &["10.1.1.1", "8.8.8.8"], "elsewhere"),
    (true, 1, &["10.1.1.1, nonsense"], "here"),
    // Without use_remote_address Envoy believes the last entry, whoever wrote it: that listener has to
    // stand behind a proxy that writes it.
    (false, 0, &[], "here"),
    (false, 0, &["10.1.1.1"], "office"),
    (false, 0, &["10.1.1.1, 8.8.8.8"], "elsewhere"),
    (false, 0, &["8.8.8.8", "10.1.1.1"], "office"),
    (false, 1, &["10.1.1.1, 8.8.8.8"], "office"),
    (false, 1, &["10.1.1.1"], "here"),
    (false, 1, &[], "here"),
];

#[test]
fn a_clients_address_is_the_listeners_word_and_no_header_of_the_clients() {
    for listener in [(true, 0), (true, 1), (false, 0), (false, 1)] {
        let (remote, hops) = listener;
        let gate = Gate::builder()
            .policy(account(RULES))
            .auth(knows_ada)
            .hcm(json!({"use_remote_address": remote, "xff_num_trusted_hops": hops}))
            .start();
        for (remote, hops, forwarded_for, rule) in ROWS.into_iter().filter(|row| (row.0, row.1) == listener) {
            for wire in Wire::BOTH {
                let request = get("/")
                    .header("authorization", "Bearer ada")
                    .header("x-real-ip", "10.1.1.1");
                let add = |request: crate::support::Request, value: &&str| request.header("x-forwarded-for", value);
                let seen = see(&gate, wire, &forwarded_for.iter().fold(request, add));
                let met = seen.at_upstream().header("x-rule");
                let case = format!("{forwarded_for:?}, use_remote_address {remote}, {hops} hops, {wire:?}");
                assert_eq!(met.as_deref(), Some(rule), "{case}");
            }
        }
    }
}

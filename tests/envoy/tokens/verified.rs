use super::*;
use crate::seen::see;
use crate::support::Wire;

fn inline() -> Value {
    policy(
        json!({"inline": {"keys": [jwk("rsa", "rsa"), jwk("p256", "p256"), jwk("p384", "p384"), jwk("ed25519", "ed")]}}),
    )
}

fn token(algorithm: Algorithm, kid: &str, name: &str) -> String {
    let header = json!({"alg": format!("{algorithm:?}"), "kid": kid}).to_string();
    mint::token(&header, &claims(ISSUER), name, algorithm)
}

/// Those that this Envoy checks, and those that it does not.
#[test]
fn signatures() {
    let mut policy = inline();
    policy["authenticators"]["staff"]["jwt"]["algorithms"] =
        json!(["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"]);
    let gate = Gate::start(policy);
    for (algorithm, kid, name) in [
        (Algorithm::RS256, "rsa", "rsa"),
        (Algorithm::RS384, "rsa", "rsa"),
        (Algorithm::RS512, "rsa", "rsa"),
        (Algorithm::PS256, "rsa", "rsa"),
        (Algorithm::ES256, "p256", "p256"),
        (Algorithm::ES384, "p384", "p384"),
        (Algorithm::EdDSA, "ed", "ed25519"),
    ] {
        let good = token(algorithm, kid, name);
        for round in ["first", "again"] {
            assert_eq!(with(&gate, &good).status, 200, "{algorithm:?}, {round}");
        }
        let mut bad = good;
        bad.replace_range(bad.len() - 12..bad.len() - 8, "AAAA");
        let refused = with(&gate, &bad);
        assert_eq!(refused.status, 401, "{algorithm:?}");
        assert_eq!(
            refused.header("www-authenticate").as_deref(),
            Some("Bearer error=\"invalid_token\"")
        );
    }
}

#[test]
fn a_token_stops_here_wherever_it_stands() {
    let gate = Gate::start(inline());
    let token = token(Algorithm::ES256, "p256", "p256");
    for wire in Wire::BOTH {
        let requests = [
            get("/a?x=1").header("authorization", format!("Bearer {token}")),
            get("/a?x=1").header("cookie", format!("a=1; id={token}")),
            get(format!("/a?access_token={token}&x=1")),
            get(format!("/a?x=1&access_token={token}"))
                .header("authorization", format!("bearer {token}"))
                .header("cookie", format!("id={token}; a=1")),
        ];
        for request in requests {
            let seen = see(&gate, wire, &request);
            let upstream = seen.at_upstream();
            assert_eq!(upstream.header("x-user-id").as_deref(), Some("ann"));
            assert_eq!(upstream.path(), "/a?x=1");
            let all = format!(
                "{:?}",
                upstream.headers.iter().map(|(_, v)| v.to_vec()).collect::<Vec<_>>()
            );
            assert!(!upstream.has("authorization") && !all.contains(&format!("{:?}", token.as_bytes())));
            for (name, value) in upstream.headers.iter() {
                let held = value
                    .windows(20)
                    .any(|part| token.as_bytes().windows(20).next() == Some(part));
                assert!(!held, "{} holds the token", String::from_utf8_lossy(name));
            }
        }
    }
}

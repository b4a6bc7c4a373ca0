use super::ways::{self, Way};
use crate::seen::{Seen, see};
use crate::support::{Headers, Wire};

/// One name, as many ways as HTTP lets it be written and a server may fold it into `X_USER_ID`.
const SPELLINGS: [&str; 20] = [
    "x-user-id",
    "X-User-Id",
    "X-USER-ID",
    "x_user_id",
    "X_USER_ID",
    "x.user.id",
    "X.User.Id",
    "x~user~id",
    "x-user_id",
    "x_user-id",
    "x.user-id",
    "x-user~id",
    "x_user.id",
    "x!user!id",
    "x#user$id",
    "x%user&id",
    "x'user*id",
    "x+user^id",
    "x`user|id",
    "x~USER_id",
];

/// Other names that are nobody's but ours: identity without a value here, of another rule, accepted
/// from the auth service, listed in `identity.strip`.
const OTHERS: [&str; 8] = [
    "x-tenant-id",
    "X_Tenant.Id",
    "x-admin-id",
    "x.admin~id",
    "x-auth-user",
    "X_Auth_Anything",
    "x-internal-role",
    "x~internal_Role",
];

const VALUES: [&[u8]; 3] = [b"forged", b"", b"forged\xff\xfe"];

/// As a server that folds names sees them.
fn folded(name: &[u8]) -> String {
    let fold = |b: &u8| {
        if b.is_ascii_alphanumeric() {
            b.to_ascii_lowercase()
        } else {
            b'_'
        }
    };
    String::from_utf8(name.iter().map(fold).collect()).unwrap()
}

fn is_ours(name: &[u8]) -> bool {
    let name = folded(name);
    ["x_user_id", "x_tenant_id", "x_admin_id"].contains(&name.as_str())
        || name.starts_with("x_auth_")
        || name.starts_with("x_internal_")
}

/// What of `headers` tells who calls.
fn ours(headers: &Headers) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let told = headers.iter().filter(|(name, _)| is_ours(name));
    told.map(|(name, value)| (text(name), text(value))).collect()
}

#[track_caller]
fn check(way: &Way, wire: Wire, sent: &str, seen: &Seen) {
    let case = format!("{} over {wire:?}, sent {sent}", way.name);
    assert_eq!(seen.status, way.status, "{case}: {}", seen.response.text());
    assert_eq!(seen.upstream.len(), usize::from(way.reaches_upstream), "{case}");
    let mut told: Vec<(String, String)> = Vec::new();
    if let Some(user) = way.user {
        // The accepted header first, as the service gave it; then ours.
        told.push(("x-auth-user".into(), user.into()));
        told.push(("x-user-id".into(), user.into()));
    }
    for request in &seen.upstream {
        let mut seen = ours(&request.headers);
        seen.sort();
        assert_eq!(seen, told, "{case}: headers at the upstream");
        assert_eq!(ours(&request.trailers), [], "{case}: trailers at the upstream");
    }
    // A service that is asked about everything must not be told who calls, either.
    for request in &seen.auth {
        assert_eq!(ours(&request.headers), [], "{case}: headers at the auth service");
    }
}

#[test]
fn no_spelling_of_an_identity_header_passes_on_any_way() {
    let gate = ways::builder().start();
    for way in ways::all() {
        for wire in Wire::BOTH {
            for name in SPELLINGS.into_iter().chain(OTHERS) {
                for value in VALUES {
                    let request = way.request.clone().header(name, value);
                    check(&way, wire, name, &see(&gate, wire, &request));
                }
            }
        }
    }
    gate.envoy.assert_no_trap();
}

#[test]
fn nor_do_all_of_them_at_once_twice() {
    let gate = ways::builder().start();
    for way in ways::all() {
        for wire in Wire::BOTH {
            let names = SPELLINGS.into_iter().chain(OTHERS);
            let forge = |request: crate::support::Request, name| request.header(name, "forged").header(name, "again");
            let request = names.fold(way.request.clone(), forge);
            check(&way, wire, "everything", &see(&gate, wire, &request));
        }
    }
    gate.envoy.assert_no_trap();
}

#[test]
fn trailers_forge_nothing() {
    let gate = ways::builder().start();
    for way in ways::all() {
        for wire in Wire::BOTH {
            for name in SPELLINGS.into_iter().chain(OTHERS) {
                let request = way
                    .request
                    .clone()
                    .body("body")
                    .trailer("x-fine", "1")
                    .trailer(name, "forged");
                let seen = see(&gate, wire, &request);
                check(&way, wire, &format!("trailer {name}"), &seen);
                if way.reaches_upstream {
                    let other = seen.at_upstream().trailers.text("x-fine");
                    assert_eq!(other.as_deref(), Some("1"), "{}: other trailers arrive", way.name);
                }
            }
        }
    }
    gate.envoy.assert_no_trap();
}

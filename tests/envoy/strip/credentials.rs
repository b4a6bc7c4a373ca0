use super::ways;
use crate::policies::{account, knows_ada};
use crate::seen::see;
use crate::support::{Gate, Request, Wire, get};

/// (what is sent, what the upstream gets of `authorization`, `x-api-key` and `cookie`)
type Row = (
    &'static [(&'static str, &'static str)],
    &'static [(&'static str, &'static str)],
);

const WITHHELD: [Row; 12] = [
    (&[("authorization", "Bearer ada")], &[]),
    (&[("Authorization", "Bearer ada")], &[]),
    (&[("cookie", "session=ada")], &[]),
    (&[("cookie", "a=1; session=ada; b=2")], &[("cookie", "a=1; b=2")]),
    (&[("cookie", "session=ada; a=1")], &[("cookie", "a=1")]),
    (&[("cookie", "a=1;session=ada")], &[("cookie", "a=1")]),
    (
        &[("cookie", "a=1; SESSION=ada; session=ada")],
        &[("cookie", "a=1; SESSION=ada")],
    ),
    (
        &[("cookie", "sessions=1; session=ada; xsession=2")],
        &[("cookie", "sessions=1; xsession=2")],
    ),
    (&[("cookie", "session = ada; a=1")], &[("cookie", "a=1")]),
    (&[("cookie", "a=1"), ("cookie", "session=ada")], &[("cookie", "a=1")]),
    (&[("authorization", "Bearer ada"), ("x-api-key", "k")], &[]),
    (
        &[("authorization", "Bearer ada"), ("X_Api_Key", "k"), ("x.api.key", "k")],
        &[],
    ),
];

fn with(request: Request, headers: &[(&str, &str)]) -> Request {
    headers
        .iter()
        .fold(request, |request, (name, value)| request.header(name, value))
}

#[track_caller]
fn arrives(gate: &Gate, path: &str, rows: &[Row]) {
    for wire in Wire::BOTH {
        for (sent, expected) in rows {
            let seen = see(gate, wire, &with(get(path), sent));
            let case = format!("{path} {sent:?} over {wire:?}");
            assert_eq!(seen.status, 200, "{case}: {}", seen.response.text());
            let mut arrived: Vec<(String, String)> = Vec::new();
            for (name, value) in seen.at_upstream().headers.iter() {
                let name = String::from_utf8_lossy(name).to_ascii_lowercase();
                if ["authorization", "cookie"].contains(&name.as_str()) || name.ends_with("key") {
                    arrived.push((name, String::from_utf8_lossy(value).into_owned()));
                }
            }
            let expected: Vec<(String, String)> = expected
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect();
            assert_eq!(arrived, expected, "{case}");
        }
    }
}

#[test]
fn credentials_stop_here_also_where_nobody_asks_for_them() {
    let gate = ways::builder()
        .auth(|_| crate::support::Reply::ok().header("x-auth-user", "ada"))
        .start();
    for path in ["/allowed/a", "/public/a", "/anonymous/a"] {
        arrives(&gate, path, &WITHHELD);
    }
}

#[test]
fn forward_true_lets_them_through_as_they_came() {
    let policy = account("rules: [{ name: everything }]").replace(r#""on_failure""#, r#""forward":true,"on_failure""#);
    let gate = Gate::builder().policy(policy).auth(knows_ada).start();
    let rows: [Row; 3] = [
        (&[("authorization", "Bearer ada")], &[("authorization", "Bearer ada")]),
        (&[("cookie", "session=ada")], &[("cookie", "session=ada")]),
        (&[("cookie", "a=1;session=ada;b")], &[("cookie", "a=1;session=ada;b")]),
    ];
    arrives(&gate, "/a", &rows);
}

use crate::policies::account;
use crate::seen::{Seen, see};
use crate::support::{Gate, Reply, Wire, get};
use meshgate::identity::{decode_list, decode_scalar};

type Pairs = &'static [(&'static str, &'static str)];

fn gate() -> Gate {
    Gate::start(account("rules: [{ name: everything }]"))
}

/// Asks with an auth service that answers so.
fn told(gate: &Gate, wire: Wire, status: u16, answer: &[(&str, Vec<u8>)]) -> Seen {
    let answer: Vec<(String, Vec<u8>)> = answer
        .iter()
        .map(|(name, value)| (name.to_string(), value.clone()))
        .collect();
    gate.auth.answer(move |_| {
        let add = |reply: Reply, (name, value): &(String, Vec<u8>)| reply.header(name, value);
        answer.iter().fold(Reply::status(status), add)
    });
    see(gate, wire, &get("/").header("authorization", "Bearer any"))
}

fn bytes(pairs: &[(&'static str, &'static str)]) -> Vec<(&'static str, Vec<u8>)> {
    pairs
        .iter()
        .map(|(name, value)| (*name, value.as_bytes().to_vec()))
        .collect()
}

/// (what the service says, what the upstream reads)
const TOLD: [(Pairs, Pairs); 16] = [
    (&[("x-auth-user", "ada")], &[("x-user-id", "ada")]),
    (&[("X-Auth-User", "Ada Lovelace")], &[("x-user-id", "Ada Lovelace")]),
    (
        &[("x-auth-user", "José Ñandú")],
        &[("x-user-id", "Jos%C3%A9 %C3%91and%C3%BA")],
    ),
    (&[("x-auth-user", "日本")], &[("x-user-id", "%E6%97%A5%E6%9C%AC")]),
    (&[("x-auth-user", "100%")], &[("x-user-id", "100%25")]),
    (&[("x-auth-user", "a%2Cb")], &[("x-user-id", "a%252Cb")]),
    (&[("x-auth-user", "a,b;c=\"d\"")], &[("x-user-id", "a,b;c=\"d\"")]),
    (&[("x-auth-user", "a\tb")], &[("x-user-id", "a%09b")]),
    (
        &[("x-auth-user", "ada"), ("x-auth-groups", "staff;a,b;x y;50%;José")],
        &[
            ("x-user-groups", "staff,a%2Cb,x%20y,50%25,Jos%C3%A9"),
            ("x-user-id", "ada"),
        ],
    ),
    (
        &[("x-auth-user", "ada"), ("x-auth-groups", ";; a ; ;b;")],
        &[("x-user-groups", "a,b"), ("x-user-id", "ada")],
    ),
    (
        &[("x-auth-user", "ada"), ("x-auth-groups", "a;b"), ("x-auth-groups", "c")],
        &[("x-user-groups", "a,b,c"), ("x-user-id", "ada")],
    ),
    (
        &[("x-auth-user", "ada"), ("x-auth-groups", "")],
        &[("x-user-id", "ada")],
    ),
    (
        &[("x-auth-user", "ada"), ("x-auth-tenant", "acme, inc.")],
        &[("x-tenant-id", "acme, inc."), ("x-user-id", "ada")],
    ),
    (
        &[("x-auth-user", "ada"), ("x-auth-tenant", "")],
        &[("x-user-id", "ada")],
    ),
    (
        &[("x-auth-user", "ada"), ("x-user-id", "root"), ("x-tenant-id", "root")],
        &[("x-user-id", "ada")],
    ),
    (
        &[("x-auth-user", "ada"), ("x-auth-role", "root")],
        &[("x-user-id", "ada")],
    ),
];

#[test]
fn values_are_written_so_that_no_parser_misreads_them() {
    let gate = gate();
    for wire in Wire::BOTH {
        for (answer, expected) in TOLD {
            let seen = told(&gate, wire, 200, &bytes(answer));
            assert_eq!(seen.status, 200, "{answer:?} over {wire:?}: {}", seen.response.text());
            let mut arrived: Vec<(String, String)> = Vec::new();
            for (name, value) in seen.at_upstream().headers.iter() {
                let name = String::from_utf8_lossy(name).into_owned();
                if name.starts_with("x-user") || name.starts_with("x-tenant") || name.starts_with("x-auth") {
                    arrived.push((name, String::from_utf8(value.to_vec()).unwrap()));
                }
            }
            arrived.sort();
            let expected: Vec<(String, String)> = expected
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect();
            assert_eq!(arrived, expected, "{answer:?} over {wire:?}");
        }
    }
}

#[test]
fn an_upstream_that_decodes_reads_what_the_service_said() {
    let gate = gate();
    let users = [
        "ada",
        "José, 100%",
        "%41",
        "a%2",
        "日本 日本",
        "\u{1f600}",
        "a=b&c",
        "Ω\u{a0}Ω",
    ];
    let groups = ["staff", "a,b", "x y", "50%", "%2C", "Größe", ",", "%"];
    for wire in Wire::BOTH {
        for user in users {
            let answer = bytes(&[("x-auth-user", user)]);
            let answer = [answer, vec![("x-auth-groups", groups.join(";").into_bytes())]].concat();
            let seen = told(&gate, wire, 200, &answer);
            let upstream = seen.at_upstream();
            assert_eq!(
                decode_scalar(&upstream.header("x-user-id").unwrap()).as_deref(),
                Some(user)
            );
            let read = decode_list(&upstream.header("x-user-groups").unwrap());
            assert_eq!(read, Some(groups.map(str::to_owned).to_vec()), "{user} over {wire:?}");
        }
    }
}

#[test]
fn what_does_not_fit_4_kib_is_refused_and_never_cut() {
    let gate = gate();
    let user = |text: String| vec![("x-auth-user", text.into_bytes())];
    let groups = |text: String| [user("ada".into()), vec![("x-auth-groups", text.into_bytes())]].concat();
    let rows = [
        (user("a".repeat(4096)), 200),
        (user("a".repeat(4097)), 403),
        // Each character becomes six.
        (user("é".repeat(682)), 200),
        (user("é".repeat(683)), 403),
        (groups(["group"; 682].join(";")), 200),
        (groups(["group"; 684].join(";")), 403),
    ];
    for wire in Wire::BOTH {
        for (answer, status) in &rows {
            let seen = told(&gate, wire, 200, answer);
            let size: usize = answer.iter().map(|(_, value)| value.len()).sum();
            assert_eq!(
                seen.status,
                *status,
                "{size} bytes over {wire:?}: {}",
                seen.response.text()
            );
            assert_eq!(seen.upstream.len(), usize::from(*status == 200), "{size} bytes");
        }
    }
}

/// A yes that does not say who calls is a failure of the service, never a nameless caller.
#[test]
fn a_yes_without_one_subject_is_no_yes() {
    let gate = gate();
    let rows: [&[(&str, &[u8])]; 7] = [
        &[],
        &[("x-auth-user", b"")],
        &[("x-auth-user", b"  ")],
        &[("x-auth-user", b"ada"), ("x-auth-user", b"eve")],
        &[("x-auth-user", b"a\xff")],
        &[("x-auth-user", b"ada"), ("x-auth-groups", b"a\xff")],
        &[
            ("x-auth-user", b"ada"),
            ("x-auth-tenant", b"a"),
            ("x-auth-tenant", b"b"),
        ],
    ];
    for wire in Wire::BOTH {
        for row in rows {
            let answer: Vec<(&str, Vec<u8>)> = row.iter().map(|(name, value)| (*name, value.to_vec())).collect();
            let seen = told(&gate, wire, 200, &answer);
            assert_eq!((seen.status, seen.upstream.len()), (503, 0), "{row:?} over {wire:?}");
        }
    }
    gate.envoy.assert_no_trap();
}

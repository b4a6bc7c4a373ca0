use crate::policies::{account, knows_ada};
use crate::seen::see;
use crate::support::{Gate, Request, Wire, get};

type Pairs = &'static [(&'static str, &'static [u8])];

/// Two readers could read two callers.
const AMBIGUOUS: [Pairs; 17] = [
    &[("authorization", b"Bearer ada"), ("authorization", b"Bearer eve")],
    &[("authorization", b"Bearer ada"), ("authorization", b"Bearer ada")],
    &[("Authorization", b"Bearer ada"), ("AUTHORIZATION", b"Basic YTpi")],
    &[("authorization", b"Bearer ada,Bearer eve")],
    &[("authorization", b"Bearer ada, Bearer eve")],
    &[("authorization", b"Bearer ada,")],
    &[("authorization", b",Bearer ada")],
    &[("authorization", b"Bearer ,ada")],
    &[("authorization", b"Basic YTpi,Basic Yjpj")],
    &[("authorization", b"ada,eve")],
    &[("authorization", b"Digest a=b,Bearer ada")],
    &[("authorization", b"Digest a=\"b\", Bearer ada")],
    &[("cookie", b"session=ada; session=eve")],
    &[("cookie", b"session=ada;session=ada")],
    &[("cookie", b"session=ada"), ("cookie", b"session=eve")],
    &[("cookie", b"session=ada; a=1"), ("cookie", b"b=2; session=eve")],
    &[("authorization", b"Bearer ada"), ("cookie", b"session=a; session=b")],
];

/// A comma that separates nothing, and cookies of other names.
const CLEAR: [Pairs; 8] = [
    &[("authorization", b"Bearer ada")],
    // Envoy joins nothing to an empty one.
    &[("authorization", b""), ("authorization", b"Bearer ada")],
    &[("authorization", b"Bearer ada"), ("authorization", b"")],
    &[("authorization", b"Digest username=\"a,b\", realm=\"x\"")],
    &[(
        "authorization",
        b"AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host;date, Signature=c",
    )],
    &[("cookie", b"session=ada; Session=eve; sessions=eve")],
    &[("cookie", b"session=ada"), ("cookie", b"a=1; a=2")],
    &[("authorization", b"Bearer ada"), ("cookie", b"session=eve")],
];

fn with(headers: Pairs) -> Request {
    headers
        .iter()
        .fold(get("/"), |request, (name, value)| request.header(name, value))
}

#[test]
fn two_credentials_in_one_place_are_400_and_nobody_is_asked() {
    let gate = Gate::builder()
        .policy(account("rules: [{ name: everything }]"))
        .auth(knows_ada)
        .start();
    for wire in Wire::BOTH {
        for row in AMBIGUOUS {
            let seen = see(&gate, wire, &with(row));
            let case = format!("{:?} over {wire:?}", with(row).headers);
            assert!(
                seen.is_bad_request(),
                "{case}: {} {}",
                seen.status,
                seen.response.text()
            );
            assert!(seen.is_refused_by_the_filter(), "{case}: {}", seen.response.text());
        }
        for row in CLEAR {
            let seen = see(&gate, wire, &with(row));
            assert_eq!(
                seen.auth.len(),
                1,
                "{:?} over {wire:?}: {}",
                with(row).headers,
                seen.status
            );
        }
    }
}

//! Key sets: what is used of them, and what is said of the rest.

use crate::mint::{encode, key};
use meshgate::authn::keys::{KeySet, KeySetFault, MAX_KEYS, MAX_SET_BYTES};

#[track_caller]
fn refused(set: impl AsRef<[u8]>, fault: KeySetFault) {
    assert_eq!(
        KeySet::parse(set.as_ref()).map(|(keys, _)| keys.keys().len()),
        Err(fault)
    );
}

/// What is wrong with the one key of a set.
#[track_caller]
fn unused(jwk: &str, why: &str) {
    match KeySet::parse(format!(r#"{{"keys":[{jwk}]}}"#).as_bytes()) {
        Err(KeySetFault::NoUsableKey(warnings)) => {
            let warnings: Vec<&str> = warnings.iter().map(|warning| warning.why).collect();
            assert_eq!(warnings, [why], "{jwk}");
        }
        other => panic!("{why}: {other:?}"),
    }
}

#[test]
fn no_set() {
    for text in ["", "{", "null!", "{\"keys\":[}", "\u{feff}{}", "{} {}"] {
        refused(text, KeySetFault::NotJson);
    }
    for text in [
        "[]",
        "null",
        "{}",
        r#"{"keys":{}}"#,
        r#"{"Keys":[]}"#,
        r#"{"keys":null}"#,
        r#""keys""#,
    ] {
        refused(text, KeySetFault::NotASet);
    }
    refused(r#"{"keys":[],"keys":[]}"#, KeySetFault::DuplicateMember);
    let twice = key("rsa").jwk_with("").replacen('{', r#"{"n":"AQAB","#, 1);
    refused(format!(r#"{{"keys":[{twice}]}}"#), KeySetFault::DuplicateMember);
    refused(r#"{"x":[[[[[[[]]]]]]],"keys":[]}"#, KeySetFault::TooDeep);
    refused(r#"{"keys":[]}"#, KeySetFault::NoUsableKey(vec![]));
    refused(vec![b' '; MAX_SET_BYTES + 1], KeySetFault::TooLarge);
    let many = vec![key("ed25519").jwk_with(""); MAX_KEYS + 1].join(",");
    refused(format!(r#"{{"keys":[{many}]}}"#), KeySetFault::TooManyKeys);
    refused(b"{\"keys\":[{\"kid\":\"\xff\"}]}", KeySetFault::NotJson);
}

#[test]
fn the_usable_among_others() {
    let set = format!(
        r#"{{"keys":[{},{},{{"kty":"oct","kid":"s","k":"AAAA"}},7],"next":"https://evil.example"}}"#,
        key("rsa").jwk_with(r#""kid":"a","use":"sig","key_ops":["verify"],"alg":"RS256","x5c":["x"]"#),
        key("rsa").jwk_with(r#""kid":"b","use":"enc""#),
    );
    let (keys, warnings) = KeySet::parse(set.as_bytes()).expect("one is usable");
    let kids: Vec<_> = keys.keys().iter().map(|key| key.kid()).collect();
    assert_eq!(kids, [Some("a")]);
    let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "keys[1] (kid \"b\"): use is not sig",
            "keys[2] (kid \"s\"): holds a private key: it is public now, replace it",
            "keys[3]: not a JSON object",
        ]
    );
    let error = KeySet::parse(br#"{"keys":[1]}"#).expect_err("no key");
    assert_eq!(
        error.to_string(),
        "no usable key in the set; keys[0]: not a JSON object"
    );
}

#[test]
fn private_and_secret_keys() {
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        for kind in ["rsa", "p256", "ed25519"] {
            let jwk = key(kind).jwk_with(&format!(r#""{name}":"AAAA""#));
            unused(&jwk, "holds a private key: it is public now, replace it");
        }
    }
    unused(r#"{"kty":"oct"}"#, "kty is none of RSA, EC and OKP");
}

#[test]
fn members_of_another_type() {
    let rsa = |more: &str| key("rsa").jwk_with(more);
    unused(&rsa(r#""kid":1"#), "kid is not a text");
    unused(&rsa(r#""alg":null"#), "alg is not a text");
    unused(&rsa(r#""kty":["RSA"]"#), "kty is not a text");
    unused(&rsa(r#""use":["sig"]"#), "use is not a text");
    unused(&rsa(r#""key_ops":"verify""#), "key_ops does not list verify");
    unused(&rsa(r#""key_ops":["sign"]"#), "key_ops does not list verify");
    unused(&rsa(r#""key_ops":[]"#), "key_ops does not list verify");
    unused(&rsa(r#""use":"SIG""#), "use is not sig");
    unused(&rsa(r#""alg":"RSA-OAEP""#), "alg is not known here");
    unused(&rsa(r#""alg":"none""#), "alg is not known here");
    unused(&rsa(r#""alg":"rs256""#), "alg is not known here");
    unused(&rsa(r#""alg":"ES256""#), "alg is not for a key of this type");
    unused(&rsa(r#""alg":"HS256""#), "alg is not for a key of this type");
    unused(
        &key("p256").jwk_with(r#""alg":"ES384""#),
        "alg is not for a key of this type",
    );
    unused(&rsa(r#""kty":"rsa""#), "kty is none of RSA, EC and OKP");
    unused(r#"{"n":"AQAB"}"#, "without kty");
    unused(r#"{"kty":"EC"}"#, "without crv");
}

/// A modulus of so many bits, its lowest one as given.
fn modulus(bits: usize, odd: bool) -> String {
    let mut bytes = vec![0xa5; bits.div_ceil(8)];
    bytes[0] = 1 << ((bits - 1) % 8);
    let last = bytes.len() - 1;
    bytes[last] = if odd { 1 } else { 2 };
    encode(bytes)
}

#[test]
fn rsa_keys() {
    let with = |n: &str, e: &str| format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#);
    let n = |bits| modulus(bits, true);
    let usable = |jwk: &str| drop(crate::world::key_set(&[jwk]));
    usable(&with(&n(2048), "AQAB"));
    usable(&with(&n(8192), "Aw"));
    usable(&with(&n(3072), "_____w"));
    // Zeros in front change no number.
    usable(&with(&encode([vec![0; 4], vec![0xc5; 256]].concat()), "AAEAAQ"));
    unused(&with(&n(2047), "AQAB"), "RSA key of less than 2048 bits");
    unused(&key("rsa-weak").jwk_with(""), "RSA key of less than 2048 bits");
    unused(&with(&n(512), "AQAB"), "RSA key of less than 2048 bits");
    unused(
        &with(&encode([vec![0; 256], vec![0xff; 128]].concat()), "AQAB"),
        "RSA key of less than 2048 bits",
    );
    unused(&with("", "AQAB"), "RSA key of less than 2048 bits");
    unused(&with("AA", "AQAB"), "RSA key of less than 2048 bits");
    unused(&with(&n(8193), "AQAB"), "RSA key of more than 8192 bits");
    unused(&with(&modulus(2048, false), "AQAB"), "RSA modulus is even");
    for e in ["", "AA", "AQ", "Ag", "BA", "AQAA", "AQAAAAE", "AAAAAQAAAAE"] {
        unused(&with(&n(2048), e), "RSA exponent is not odd, from 3 to 2^32");
    }
    unused(&with(&n(2048), "AQAB="), "e is not base64url");
    unused(&with("+/8", "AQAB"), "n is not base64url");
    unused(r#"{"kty":"RSA","n":"AQAB"}"#, "e is not base64url");
    unused(r#"{"kty":"RSA","n":65537,"e":"AQAB"}"#, "n is not base64url");
}

#[test]
fn points() {
    let spoilt = |name: &str, coordinate: &str| {
        let mut bytes = crate::mint::decode(key(name).jwk[coordinate].as_str().expect("text"));
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        key(name).jwk_with(&format!(r#""{coordinate}":"{}""#, encode(bytes)))
    };
    for name in ["p256", "p384"] {
        unused(&spoilt(name, "x"), "point is not on the curve");
        unused(&spoilt(name, "y"), "point is not on the curve");
        unused(
            &key(name).jwk_with(r#""x":"AQ""#),
            "coordinate of another length than the curve's",
        );
        let zero = encode(vec![0; if name == "p256" { 32 } else { 48 }]);
        unused(
            &key(name).jwk_with(&format!(r#""x":"{zero}","y":"{zero}""#)),
            "point is not on the curve",
        );
    }
    unused(
        &key("p256").jwk_with(r#""crv":"P-384""#),
        "coordinate of another length than the curve's",
    );
    unused(
        &key("p256").jwk_with(r#""crv":"P-521""#),
        "crv is neither P-256 nor P-384",
    );
    unused(
        &key("p256").jwk_with(r#""crv":"secp256k1""#),
        "crv is neither P-256 nor P-384",
    );
    unused(&key("p256").jwk_with(r#""kty":"OKP""#), "crv is not Ed25519");
    unused(&key("ed25519").jwk_with(r#""crv":"X25519""#), "crv is not Ed25519");
    unused(&key("ed25519").jwk_with(r#""crv":"Ed448""#), "crv is not Ed25519");
    unused(&key("ed25519").jwk_with(r#""x":"AQ""#), "x is not 32 bytes");
    // The neutral point, and one of order eight.
    unused(
        &key("ed25519").jwk_with(&format!(r#""x":"{}""#, encode([&[1][..], &[0; 31]].concat()))),
        "point of small order",
    );
    unused(
        &key("ed25519").jwk_with(r#""x":"xxdqcD1N2E-6PAt2DRBnDyogU_osOczGTsf9d5KsA3o""#),
        "point of small order",
    );
}

#[test]
fn secrets() {
    for length in [0, 1, 31] {
        assert_eq!(
            KeySet::secret(&vec![7; length]).map(drop),
            Err(KeySetFault::ShortSecret)
        );
    }
    let secret = KeySet::secret(&[b'S'; 32]).expect("long enough");
    assert_eq!(
        format!("{:?}", secret.keys()[0]),
        "Key { kid: None, algorithm: None, material: Secret(Secret(…)) }"
    );
}

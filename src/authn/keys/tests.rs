use super::*;
use crate::authn::jwt::base64url;

/// What a proxy reads must be what OpenSSL writes: the same bytes.
#[test]
fn public_keys_in_der() {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/tokens/test-keys.json")).expect("JSON");
    let mut compared = 0;
    for (name, key) in file["keys"].as_object().expect("keys") {
        let Ok((keys, _)) = KeySet::parse(format!(r#"{{"keys":[{}]}}"#, key["jwk"]).as_bytes()) else {
            assert_eq!(name, "rsa-weak");
            continue;
        };
        let spki = match keys.keys()[0].material() {
            Material::Rsa(rsa) => &rsa.spki,
            Material::P256(p256) => &p256.spki,
            Material::P384(p384) => &p384.spki,
            Material::Ed25519(_) | Material::Secret(_) => continue,
        };
        let expected = key["spki"].as_str().expect("text");
        assert_eq!(Some(spki), base64url(expected.as_bytes()).as_ref(), "{name}");
        compared += 1;
    }
    assert_eq!(compared, 5);
}

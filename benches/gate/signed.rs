//! What the proxy is asked about the bench's token: one signature, as `verify_signature` takes it.

use crate::variants::{JWKS, TOKEN};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// `VerifySignatureArguments`: hash_function = 1, public_key = 2, signature = 3, text = 4.
pub fn arguments() -> Vec<u8> {
    let (message, signature) = TOKEN.trim().rsplit_once('.').expect("a token of three parts");
    let fields = [b"sha256".to_vec(), public_key(), decoded(signature), message.into()];
    let fields = (1_u8..).zip(fields).map(|(number, value)| {
        // No value of two tokens' length has more than two bytes of seven bits.
        let [low, high] = [value.len() & 0x7f, value.len() >> 7].map(|bits| bits as u8);
        [vec![number << 3 | 2, low | 0x80, high], value].concat()
    });
    fields.collect::<Vec<_>>().concat()
}

/// SubjectPublicKeyInfo (RFC 3279 section 2.3.1).
fn public_key() -> Vec<u8> {
    const RSA_ENCRYPTION: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
    let keys: Value = serde_json::from_str(JWKS).expect("keys");
    let number = |name: &str| {
        let bytes = decoded(keys["keys"][0][name].as_str().expect("a number of an RSA key"));
        der(0x02, &[vec![0], bytes].concat()[usize::from(name == "e")..])
    };
    let key = der(0x30, &[number("n"), number("e")].concat());
    let bits = der(0x03, &[vec![0], key].concat());
    der(0x30, &[der(0x30, RSA_ENCRYPTION), bits].concat())
}

fn der(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = match u16::try_from(value.len()).expect("a short value").to_be_bytes() {
        [0, low @ 0..0x80] => vec![low],
        [0, low] => vec![0x81, low],
        [high, low] => vec![0x82, high, low],
    };
    [vec![tag], length, value.to_vec()].concat()
}

fn decoded(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

//! Tokens made of any text, signed with the test keys.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use jsonwebtoken::{Algorithm, EncodingKey};
use std::collections::BTreeMap;
use std::sync::LazyLock;

pub struct TestKey {
    pub jwk: serde_json::Map<String, serde_json::Value>,
    private: Vec<u8>,
    pub spki: Vec<u8>,
    pub pem: String,
}

static KEYS: LazyLock<BTreeMap<String, TestKey>> = LazyLock::new(|| {
    let file: serde_json::Value = serde_json::from_str(include_str!("test-keys.json")).expect("JSON");
    let keys = file["keys"].as_object().expect("keys");
    let bytes = |value: &serde_json::Value| decode(value.as_str().expect("text"));
    let read = |key: &serde_json::Value| TestKey {
        jwk: key["jwk"].as_object().expect("a JWK").clone(),
        private: bytes(&key["private_der"]),
        spki: bytes(&key["spki"]),
        pem: key["pem"].as_str().expect("text").to_owned(),
    };
    keys.iter().map(|(name, key)| (name.clone(), read(key))).collect()
});

pub fn key(name: &str) -> &'static TestKey {
    &KEYS[name]
}

impl TestKey {
    /// The public JWK, with `more` members in place of or beside its own.
    pub fn jwk_with(&self, more: &str) -> String {
        let mut jwk = self.jwk.clone();
        let more: serde_json::Value = serde_json::from_str(&format!("{{{more}}}")).expect("JSON members");
        jwk.extend(more.as_object().expect("an object").clone());
        serde_json::Value::from(jwk).to_string()
    }

    pub fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
        let key = match self.jwk["kty"].as_str() {
            Some("RSA") => EncodingKey::from_rsa_der(&self.private),
            Some("EC") => EncodingKey::from_ec_der(&self.private),
            _ => EncodingKey::from_ed_der(&self.private),
        };
        sign_with(&key, algorithm, message)
    }
}

pub fn sign_with(key: &EncodingKey, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
    let signer = (DEFAULT_PROVIDER.signer_factory)(&algorithm, key).expect("a signer");
    signer.try_sign(message).expect("a signature")
}

pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

/// Header and payload, encoded.
pub fn message(header: &str, claims: &str) -> String {
    format!("{}.{}", encode(header), encode(claims))
}

pub fn signed(message: &str, key_name: &str, algorithm: Algorithm) -> String {
    let signature = key(key_name).sign(algorithm, message.as_bytes());
    format!("{message}.{}", encode(signature))
}

pub fn token(header: &str, claims: &str, key_name: &str, algorithm: Algorithm) -> String {
    signed(&message(header, claims), key_name, algorithm)
}

pub fn hs(header: &str, claims: &str, secret: &[u8], algorithm: Algorithm) -> String {
    let message = message(header, claims);
    let signature = sign_with(&EncodingKey::from_secret(secret), algorithm, message.as_bytes());
    format!("{message}.{}", encode(signature))
}

/// The token's three parts.
pub fn parts(token: &str) -> [String; 3] {
    let parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    parts.try_into().expect("three parts")
}

//! An issuer, what a policy asks of its tokens, and a case: a token and its refusal.

use crate::mint::{self, key};
use meshgate::authn::ClaimPath;
use meshgate::authn::jwt::{
    Algorithm, Audiences, ClaimSource, Hash, Signatures, TokenFault, TokenType, Unverified, Verification, Verified,
};
use meshgate::authn::keys::KeySet;
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

pub const NOW: u64 = 1_800_000_000;
pub const ISSUER: &str = "https://id.example.com";

#[derive(Clone)]
pub struct World {
    pub verification: Verification,
    pub keys: KeySet,
    pub now: Duration,
}

impl World {
    /// One RSA key, one of each curve, named by their types.
    pub fn new() -> Self {
        let keys = ["rsa", "p256", "p384", "ed25519"].map(|name| key(name).jwk_with(&format!(r#""kid":"{name}""#)));
        let path = |text| ClaimPath::parse(text).expect("a path");
        let claims = ["tenant", "big", "object", "list"].map(|name| (name.to_owned(), path(name)));
        Self {
            keys: key_set(&keys),
            verification: Verification {
                typ: TokenType::Callers,
                issuer: ISSUER.into(),
                audiences: Audiences::Listed(vec!["api".into(), "web".into()]),
                algorithms: vec![
                    Algorithm::RS256,
                    Algorithm::ES256,
                    Algorithm::ES384,
                    Algorithm::PS256,
                    Algorithm::EdDSA,
                ],
                principal: ClaimSource {
                    subject: path("sub"),
                    groups: Some(path("realm_access.roles")),
                    scopes: Some(path("scope")),
                    claims: claims.into(),
                    members_of: None,
                    variants: None,
                },
                clock_skew: Duration::from_secs(30),
                max_lifetime: None,
            },
            now: Duration::from_secs(NOW),
        }
    }

    pub fn keys(self, keys: KeySet) -> Self {
        Self { keys, ..self }
    }

    pub fn algorithms(mut self, algorithms: &[Algorithm]) -> Self {
        self.verification.algorithms = algorithms.to_vec();
        self
    }

    pub fn max_lifetime(mut self, secs: u64) -> Self {
        self.verification.max_lifetime = Some(Duration::from_secs(secs));
        self
    }

    pub fn at(self, now: Duration) -> Self {
        Self { now, ..self }
    }

    pub fn verify(&self, token: &[u8], signatures: &dyn Signatures) -> Result<Verified, TokenFault> {
        let authenticator: Arc<str> = "employee".into();
        let verified = meshgate::authn::jwt::verify(
            token,
            &self.verification,
            &self.keys,
            &authenticator,
            self.now,
            signatures,
        );
        // The two ways in are one.
        let again = Unverified::read(token).and_then(|token| {
            token.verify(
                &self.verification,
                &self.keys,
                &authenticator,
                self.now,
                &meshgate::authn::jwt::InRust,
            )
        });
        assert_eq!(verified, again);
        verified
    }
}

/// `jwks`: JSON objects. Every key must be usable.
#[track_caller]
pub fn key_set<S: AsRef<str>>(jwks: &[S]) -> KeySet {
    let jwks: Vec<&str> = jwks.iter().map(AsRef::as_ref).collect();
    let (keys, warnings) = KeySet::parse(format!(r#"{{"keys":[{}]}}"#, jwks.join(",")).as_bytes()).expect("a key set");
    assert_eq!(warnings, []);
    keys
}

/// Counts what a stranger can make it do; the checking itself is left to pure Rust.
#[derive(Default)]
pub struct Counting(pub RefCell<Vec<(Hash, usize, usize)>>);

impl Signatures for Counting {
    fn verify(&self, hash: Hash, key: &[u8], _: &[u8], signature: &[u8]) -> Option<bool> {
        self.0.borrow_mut().push((hash, key.len(), signature.len()));
        None
    }
}

/// A token, and the word it is refused with.
#[derive(Clone)]
pub struct Case {
    pub name: String,
    pub token: Vec<u8>,
    pub word: &'static str,
    pub world: World,
}

impl Case {
    pub fn new(name: impl Into<String>, token: impl Into<Vec<u8>>, word: &'static str) -> Self {
        Self {
            name: name.into(),
            token: token.into(),
            word,
            world: World::new(),
        }
    }

    pub fn within(self, world: World) -> Self {
        Self { world, ..self }
    }

    /// What is not as it should be.
    pub fn wrong(&self) -> Option<String> {
        let counting = Counting::default();
        let verdict = self.world.verify(&self.token, &counting);
        let found = verdict.map_or_else(TokenFault::word, |_| "accepted");
        let checks = counting.0.borrow().len();
        if found != self.word {
            return Some(format!("{}: {found}, expected {}", self.name, self.word));
        }
        // Whatever is wrong besides the signature shows before it costs one; who calls is read after it.
        let allowed = match self.word {
            "signature" => 4,
            "subject" | "claims" | "no_verifier" => 1,
            _ => 0,
        };
        (checks > allowed).then(|| format!("{}: {checks} signature checks", self.name))
    }
}

/// Claims that are good, with `more` in place of or beside them: JSON members, a comma before each.
pub fn claims(more: &str) -> String {
    let mut members: serde_json::Map<String, serde_json::Value> = [
        ("iss", ISSUER.into()),
        ("sub", "alice".into()),
        ("aud", "api".into()),
        ("exp", (NOW + 300).into()),
        ("iat", (NOW - 10).into()),
    ]
    .map(|(name, value): (&str, serde_json::Value)| (name.to_owned(), value))
    .into_iter()
    .collect();
    let more: serde_json::Value = serde_json::from_str(&format!("{{{more}}}")).expect("JSON members");
    for (name, value) in more.as_object().expect("an object") {
        match value.as_str() {
            Some("(absent)") => members.remove(name),
            _ => members.insert(name.clone(), value.clone()),
        };
    }
    serde_json::Value::from(members).to_string()
}

/// A good token but for its claims, signed by the RSA key.
pub fn with_claims(more: &str) -> String {
    mint::token(RS256, &claims(more), "rsa", Algorithm::RS256)
}

pub fn good() -> String {
    with_claims("")
}

pub const RS256: &str = r#"{"alg":"RS256","kid":"rsa","typ":"JWT"}"#;
pub const ES256: &str = r#"{"alg":"ES256","kid":"p256"}"#;

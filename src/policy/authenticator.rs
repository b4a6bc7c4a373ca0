//! How a caller can be known: one noun for each kind of authenticator, and where credentials stand.

use super::Callout;
use crate::authn::api_key::ApiKeys;
use crate::authn::jwt::Verification;
use crate::authn::keys::KeySet;
use crate::header::HeaderName;
use crate::peer::PeerPattern;
use std::borrow::Cow;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

#[derive(Debug)]
pub struct Authenticator {
    pub name: Arc<str>,
    /// Its place among all of the policy: what is remembered is kept by it.
    pub slot: usize,
    pub kind: AuthenticatorKind,
}

#[derive(Debug)]
pub enum AuthenticatorKind {
    /// A service is asked.
    Callout(Arc<Callout>),
    /// A token of an identity provider (RFC 7519), checked here.
    Jwt(Jwt),
    /// A key that is looked up here.
    ApiKey(ApiKey),
    /// The client certificate that the listener validated.
    Mtls(Mtls),
    /// The signed assertion of an earlier Meshgate.
    Gate(GateToken),
}

impl Authenticator {
    /// Where its credential may stand; of a callout that is always asked, what it most likely goes by.
    /// A certificate stands in no place of the request, and an assertion is no caller's.
    pub fn places(&self) -> Cow<'_, [Place]> {
        let of = |from: &[TokenPlace]| from.iter().map(TokenPlace::place).collect();
        match &self.kind {
            AuthenticatorKind::Callout(callout) => callout.credential_places().into(),
            AuthenticatorKind::Jwt(jwt) => of(&jwt.from),
            AuthenticatorKind::ApiKey(api_key) => of(&api_key.from),
            AuthenticatorKind::Mtls(_) | AuthenticatorKind::Gate(_) => Cow::default(),
        }
    }

    /// Whether the credential goes on to the upstream.
    pub fn forwards(&self) -> bool {
        match &self.kind {
            AuthenticatorKind::Callout(callout) => callout.forward,
            AuthenticatorKind::Jwt(jwt) => jwt.forward,
            AuthenticatorKind::ApiKey(api_key) => api_key.forward,
            AuthenticatorKind::Mtls(_) | AuthenticatorKind::Gate(_) => false,
        }
    }

    /// Of a token that is verified here.
    pub fn keys(&self) -> Option<&KeySource> {
        match &self.kind {
            AuthenticatorKind::Jwt(jwt) => Some(&jwt.keys),
            AuthenticatorKind::Gate(gate) => Some(&gate.keys),
            AuthenticatorKind::Callout(_) | AuthenticatorKind::ApiKey(_) | AuthenticatorKind::Mtls(_) => None,
        }
    }

    pub fn callout(&self) -> Option<&Arc<Callout>> {
        match &self.kind {
            AuthenticatorKind::Callout(callout) => Some(callout),
            _ => None,
        }
    }
}

impl Callout {
    /// Where the credential stands; `authorization` where the policy names no place.
    pub fn credential_places(&self) -> &[Place] {
        self.credential.as_deref().unwrap_or(always_asked())
    }
}

/// Where the credential of a callout stands whose policy names no place.
pub fn always_asked() -> &'static [Place] {
    static AUTHORIZATION: LazyLock<Vec<Place>> = LazyLock::new(|| {
        let name = HeaderName::parse("authorization");
        name.map(Place::Header).into_iter().collect()
    });
    &AUTHORIZATION
}

/// Where a credential may stand in a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    Header(HeaderName),
    /// A cookie by its name; cookie names are case-sensitive (RFC 6265).
    Cookie(String),
    /// All cookies whose name begins so.
    CookiePrefix(String),
    /// A parameter of the query by its decoded name, case-sensitive.
    Query(String),
}

/// Where one token or key stands, and what stands before it there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TokenPlace {
    Header {
        name: HeaderName,
        /// Compared without case, as schemes are (RFC 9110 section 11.1); a value that does not begin so
        /// holds another credential. Empty: the whole value is the token.
        prefix: String,
    },
    Cookie(String),
    Query(String),
}

impl TokenPlace {
    pub fn place(&self) -> Place {
        match self {
            Self::Header { name, .. } => Place::Header(name.clone()),
            Self::Cookie(name) => Place::Cookie(name.clone()),
            Self::Query(name) => Place::Query(name.clone()),
        }
    }
}

/// Tokens of one issuer.
#[derive(Clone, Debug)]
pub struct Jwt {
    /// What is asked of each. HS* stands alone, and only with [`KeySource::Secret`].
    pub verification: Verification,
    pub keys: KeySource,
    /// Not empty, each place once.
    pub from: Vec<TokenPlace>,
    /// Whether the token goes on to the upstream.
    pub forward: bool,
    /// Tokens whose signature was checked and that are remembered: 1 to 1,000,000.
    pub max_remembered: usize,
}

/// Where the keys come from that signatures are checked with.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// Public keys.
    Inline(Arc<KeySet>),
    Remote(Remote),
    /// The provider's metadata (OpenID Connect Discovery 1.0 section 4), whose `jwks_uri` names the key
    /// set; that is fetched from the same cluster.
    Discovery(Remote),
    Secret(Secret),
}

/// A document that is fetched again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// The Envoy cluster.
    pub cluster: Arc<str>,
    pub authority: String,
    /// Begins with `/`; may hold a query.
    pub path: String,
    /// 1 ms to 60 s.
    pub timeout: Duration,
    /// 10 s to 24 h.
    pub refresh: Duration,
}

/// A secret by the name of the environment variable that holds it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Secret {
    pub env: String,
}

/// Keys that the gate itself knows.
#[derive(Debug)]
pub struct ApiKey {
    /// Not empty, each place once.
    pub from: Vec<TokenPlace>,
    pub keys: ApiKeySource,
    /// Whether the key goes on to the upstream.
    pub forward: bool,
}

#[derive(Debug)]
pub enum ApiKeySource {
    Inline(ApiKeys),
    /// A list as `inline` has it, fetched again and again.
    Remote(Remote),
}

/// Callers by their client certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mtls {
    /// Not empty.
    pub peers: Vec<PeerPattern>,
}

/// The assertion that an earlier Meshgate signed.
#[derive(Clone, Debug)]
pub struct GateToken {
    /// Where it stands. Removed from every request, as identity headers are.
    pub header: HeaderName,
    pub verification: Verification,
    /// [`KeySource::Inline`] or [`KeySource::Remote`].
    pub keys: KeySource,
    /// Who may bring assertions, by certificate. Empty: whoever can reach us.
    pub peers: Vec<PeerPattern>,
}

impl GateToken {
    /// Assertions that are remembered as checked.
    pub const MAX_REMEMBERED: usize = 10_000;
}

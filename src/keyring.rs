//! Documents that are fetched again and again: key sets, and lists of API keys. When each is due, and what came.
//!
//! One VM fetches for all of an Envoy. What they know of a document together is its [`Status`]; whoever changes it
//! first to «busy» is the one.

mod status;

pub use status::{Deed, STRANGER_PAUSE_MS, Status, next};

use crate::authn::api_key::ApiKeys;
use crate::authn::callout::{CalloutFailure, Question};
use crate::authn::json::{self, Json};
use crate::authn::keys::{KeySet, MAX_SET_BYTES, Warning};
use crate::config;
use crate::header::Headers;
use crate::policy::{ApiKeySource, Authenticator, AuthenticatorKind, KeySource, Remote};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::sync::Arc;

/// As a policy may be, which may hold such a list, too.
pub const MAX_LIST_BYTES: usize = config::MAX_BYTES;
const MAX_METADATA_BYTES: usize = 64 * 1024;
/// Provider metadata is flat but for a few lists.
const MAX_METADATA_DEPTH: usize = 8;
const MAX_PATH_BYTES: usize = 2048;

/// What an authenticator needs to have fetched.
#[derive(Clone, Debug)]
pub struct Source {
    pub authenticator: Arc<str>,
    /// Where in the policy's memory it belongs.
    pub slot: usize,
    pub remote: Remote,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Keys,
    /// Metadata of this issuer first.
    Discovery(String),
    List,
}

/// Which document of a source is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    Metadata,
    /// At this path.
    Content(String),
}

/// What came, ready to be used.
#[derive(Debug)]
pub enum Content {
    Keys(KeySet, Vec<Warning>),
    List(ApiKeys),
}

/// What a good answer comes to.
#[derive(Debug)]
pub enum Came {
    /// The metadata says where the rest is.
    Ask(Page),
    Content(Content),
}

/// Why there is nothing new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchFault {
    Call(CalloutFailure),
    /// Neither 200 nor a failure: a redirect, say.
    Status(u16),
    TooLarge,
    /// In words for the operator.
    Document(String),
    /// The metadata is another issuer's (OpenID Connect Discovery 1.0 section 4.3).
    Issuer,
}

impl Source {
    /// None where nothing is fetched.
    pub fn of(authenticator: &Authenticator) -> Option<Self> {
        let (remote, what) = match (&authenticator.kind, authenticator.keys()) {
            (_, Some(KeySource::Remote(remote))) => (remote, What::Keys),
            (AuthenticatorKind::Jwt(jwt), Some(KeySource::Discovery(remote))) => {
                (remote, What::Discovery(jwt.verification.issuer.clone()))
            }
            (AuthenticatorKind::ApiKey(api_key), _) => match &api_key.keys {
                ApiKeySource::Remote(remote) => (remote, What::List),
                ApiKeySource::Inline(_) => return None,
            },
            _ => return None,
        };
        Some(Self {
            authenticator: authenticator.name.clone(),
            slot: authenticator.slot,
            remote: remote.clone(),
            what,
        })
    }

    /// What all VMs know it by: where it is, not who uses it, so that a changed policy has it at once.
    pub fn name(&self) -> String {
        let (word, issuer) = match &self.what {
            What::Keys => ("keys", ""),
            What::Discovery(issuer) => ("discovery", issuer.as_str()),
            What::List => ("list", ""),
        };
        let Remote {
            cluster,
            authority,
            path,
            ..
        } = &self.remote;
        let mut hash = Sha256::new();
        for part in [word, issuer, cluster, authority, path] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let digest: [u8; 32] = hash.finalize().into();
        let mut name = String::from("meshgate.fetched.");
        for byte in digest.iter().take(16) {
            name.push_str(&format!("{byte:02x}"));
        }
        name
    }

    pub fn first_page(&self) -> Page {
        match &self.what {
            What::Discovery(_) => Page::Metadata,
            What::Keys | What::List => Page::Content(self.remote.path.clone()),
        }
    }

    /// How long at most until the last page is here, or is not.
    pub fn longest_ms(&self) -> u64 {
        let pages = match &self.what {
            What::Discovery(_) => 2,
            What::Keys | What::List => 1,
        };
        const GRACE_MS: u64 = 1000;
        millis(self.remote.timeout).saturating_mul(pages) + GRACE_MS
    }

    pub fn refresh_ms(&self) -> u64 {
        millis(self.remote.refresh)
    }

    pub fn question(&self, page: &Page) -> Question {
        let path = match page {
            Page::Metadata => &self.remote.path,
            Page::Content(path) => path,
        };
        let fields = [
            (":method", "GET"),
            (":path", path.as_str()),
            (":authority", self.remote.authority.as_str()),
            ("accept", "application/json"),
        ];
        let fields = fields.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        Question {
            cluster: self.remote.cluster.clone(),
            headers: fields.into_iter().collect::<Headers>(),
            body: None,
            timeout: self.remote.timeout,
        }
    }

    pub fn max_bytes(&self, page: &Page) -> usize {
        match (page, &self.what) {
            (Page::Metadata, _) => MAX_METADATA_BYTES,
            (Page::Content(_), What::List) => MAX_LIST_BYTES,
            (Page::Content(_), What::Keys | What::Discovery(_)) => MAX_SET_BYTES,
        }
    }

    pub fn on_page(&self, page: &Page, body: &[u8]) -> Result<Came, FetchFault> {
        if body.len() > self.max_bytes(page) {
            return Err(FetchFault::TooLarge);
        }
        match (page, &self.what) {
            (Page::Metadata, What::Discovery(issuer)) => keys_page(body, issuer).map(Came::Ask),
            _ => self.read(body).map(Came::Content),
        }
    }

    /// What another VM fetched, or this one.
    pub fn read(&self, body: &[u8]) -> Result<Content, FetchFault> {
        match &self.what {
            What::List => config::api_keys(body).map(Content::List).map_err(|faults| {
                FetchFault::Document(faults.iter().next().map(ToString::to_string).unwrap_or_default())
            }),
            What::Keys | What::Discovery(_) => KeySet::parse(body)
                .map(|(keys, unused)| Content::Keys(keys, unused))
                .map_err(|fault| FetchFault::Document(fault.to_string())),
        }
    }
}

/// Where the metadata says that the keys are: the path of `jwks_uri`, since a cluster is what a proxy can ask.
fn keys_page(body: &[u8], issuer: &str) -> Result<Page, FetchFault> {
    let garbled = |what: &str| FetchFault::Document(format!("provider metadata {what}"));
    let metadata = json::read(body.to_vec(), MAX_METADATA_DEPTH);
    let Ok(Json::Object(members)) = metadata.as_ref().map(|metadata| metadata.value()) else {
        return Err(garbled("is no JSON object"));
    };
    if members.get("issuer").and_then(Json::text) != Some(issuer) {
        return Err(FetchFault::Issuer);
    }
    let uri = members.get("jwks_uri").and_then(Json::text).unwrap_or_default();
    let rest = uri.strip_prefix("https://").or_else(|| uri.strip_prefix("http://"));
    let path = rest.and_then(|rest| rest.find('/').and_then(|at| rest.get(at..)));
    let readable =
        |path: &&str| path.len() <= MAX_PATH_BYTES && path.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    match path.filter(readable) {
        Some(path) => Ok(Page::Content(path.to_owned())),
        None => Err(garbled("has no jwks_uri with a path")),
    }
}

impl FetchFault {
    /// Every word of the metric but `fetched` and `taken`, which are no faults, and those of calls.
    pub const WORDS: &'static [&'static str] = &["bad_status", "too_large", "bad_document", "wrong_issuer"];

    pub fn word(&self) -> &'static str {
        match self {
            Self::Call(failure) => failure.word(),
            Self::Status(_) => "bad_status",
            Self::TooLarge => "too_large",
            Self::Document(_) => "bad_document",
            Self::Issuer => "wrong_issuer",
        }
    }

    /// For a log line.
    pub fn detail(&self) -> Cow<'static, str> {
        match self {
            Self::Call(failure) => failure.detail(),
            Self::Status(status) => format!("the answer is {status}, and no document").into(),
            Self::TooLarge => "the document is too large".into(),
            Self::Document(why) => why.clone().into(),
            Self::Issuer => "the provider's metadata names another issuer than the policy".into(),
        }
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;

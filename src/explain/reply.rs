//! What the auth service says: `--auth-reply FILE`.

use crate::authn::callout::{Answer, CalloutFailure, MAX_DENIAL_BODY_BYTES};
use crate::header::{HeaderName, Headers};

/// Twice what an Envoy takes of headers, and the longest body that is passed on.
pub const MAX_BYTES: usize = 128 * 1024 + MAX_DENIAL_BODY_BYTES;

/// A reply of the service, or why there is none.
#[derive(Clone, Debug)]
pub struct Replied {
    said: Said,
}

#[derive(Clone, Debug)]
enum Said {
    Reply { headers: Headers, body: Vec<u8> },
    Failure(CalloutFailure),
}

/// Those that the service or the way to it can cause.
const FAILURES: &[CalloutFailure] = &[
    CalloutFailure::UnknownCluster,
    CalloutFailure::NoHost,
    CalloutFailure::ConnectFailure,
    CalloutFailure::Timeout,
    CalloutFailure::Reset,
    CalloutFailure::BadResponse,
    CalloutFailure::Garbled,
];

impl Replied {
    /// As `curl -i` prints it: a status line (`HTTP/1.1 200 OK`, or `200`), headers, an empty line, the body. Or the word
    /// of a failure, as `timeout`.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MAX_BYTES {
            return Err(format!("{} bytes, at most {MAX_BYTES}", bytes.len()));
        }
        let mut rest = bytes;
        let mut line = || {
            let end = rest.iter().position(|b| *b == b'\n');
            let (line, behind) = match end {
                Some(end) => rest.split_at_checked(end).unwrap_or_default(),
                None => (rest, &b""[..]),
            };
            rest = behind.get(1..).unwrap_or_default();
            String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned()
        };
        let first = line();
        if let Some(failure) = failure(first.trim()) {
            return Ok(Self {
                said: Said::Failure(failure),
            });
        }
        let status = status(&first)?;
        let mut headers = Vec::new();
        loop {
            let text = line();
            if text.is_empty() {
                break;
            }
            let Some((name, value)) = text.split_once(':') else {
                return Err("a header of the reply is no `name: value`".into());
            };
            headers.push((HeaderName::parse(name.trim())?, value.trim().to_owned()));
        }
        let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Ok(Self::new(status, headers, rest.to_vec()))
    }

    pub fn new<'a>(status: u16, headers: impl Iterator<Item = (&'a str, &'a str)>, body: Vec<u8>) -> Self {
        let status = status.to_string();
        let mut all: Headers = [(":status", status)].into_iter().collect();
        headers.for_each(|(name, value)| all.push(name.as_bytes(), &[value.as_bytes()]));
        // By it an answer of the service is told from one that Envoy makes up.
        all.push(b"x-envoy-upstream-service-time", &[b"0"]);
        Self {
            said: Said::Reply { headers: all, body },
        }
    }

    pub fn failed(word: &str) -> Result<Self, String> {
        let said = failure(word).map(Said::Failure);
        let words: Vec<_> = FAILURES.iter().map(|failure| failure.word()).collect();
        said.map(|said| Self { said })
            .ok_or_else(|| format!("unknown failure {word:?}: {}", words.join(", ")))
    }

    /// `200`, or the word of the failure.
    pub fn status(&self) -> String {
        match &self.said {
            Said::Reply { headers, .. } => {
                String::from_utf8_lossy(headers.first(":status").unwrap_or_default()).into_owned()
            }
            Said::Failure(failure) => failure.word().to_owned(),
        }
    }

    /// As the filter reads it.
    pub(super) fn answer(&self) -> Answer {
        match &self.said {
            Said::Reply { headers, body } => Answer::Reply {
                headers: headers.clone(),
                body: Some(body.clone()).filter(|body| body.len() <= MAX_DENIAL_BODY_BYTES),
            },
            Said::Failure(failure) => Answer::Failure(*failure),
        }
    }
}

fn failure(word: &str) -> Option<CalloutFailure> {
    FAILURES.iter().copied().find(|failure| failure.word() == word)
}

fn status(line: &str) -> Result<u16, String> {
    let mut words = line.split_whitespace();
    let word = match words.next() {
        Some(version) if version.starts_with("HTTP/") => words.next(),
        word => word,
    };
    let status = word.filter(|word| word.len() == 3).and_then(|word| word.parse().ok());
    status
        .filter(|status| (100..=599).contains(status))
        .ok_or_else(|| format!("{line:?} is no status line: write HTTP/1.1 200 OK, or a word as timeout"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_as_curl_prints_it() {
        let reply =
            Replied::parse(b"HTTP/1.1 401 Unauthorized\r\nX-Auth-User: al: ice\r\n\r\nno\r\nmore").expect("a reply");
        let Answer::Reply { headers, body } = reply.answer() else {
            panic!("a reply");
        };
        assert_eq!(headers.first(":status"), Some(&b"401"[..]));
        assert_eq!(headers.first("x-auth-user"), Some(&b"al: ice"[..]));
        assert_eq!(body.as_deref(), Some(&b"no\r\nmore"[..]));
        assert_eq!(Replied::parse(b"200").expect("a reply").status(), "200");
        assert_eq!(Replied::parse(b"timeout\n").expect("a failure").status(), "timeout");
    }

    #[test]
    fn refused() {
        for bytes in [
            &b""[..],
            b"OK",
            b"999",
            b"HTTP/1.1",
            b"200\nnonsense\n\n",
            b"200\n: a\n",
            b"+20",
        ] {
            assert!(Replied::parse(bytes).is_err(), "{}", bytes.escape_ascii());
        }
        assert!(Replied::parse(&vec![b'2'; MAX_BYTES + 1]).is_err());
    }
}

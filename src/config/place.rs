//! Where a credential may stand: `header:authorization` and `cookie:session*` of a callout,
//! `{ header: x-api-key }` where one token or key is read.

use super::names;
use super::node::{Node, quoted};
use super::read::{Fields, Known};
use super::sink::{Checked, Sink};
use crate::header::HeaderName;
use crate::policy::{Place, TokenPlace};

const MOST: usize = 16;
const TOKEN: Known = Known {
    now: &["header", "prefix", "cookie", "query"],
    later: &[],
};
const LONGEST_PREFIX: usize = 64;

/// `credential` of a callout.
pub fn all(sink: &Sink, node: &Node) -> Checked<Vec<Place>> {
    few(sink, node)?;
    sink.distinct(node, |item| sink.parsed(item, place))
}

/// `from` of a token or key.
pub fn tokens(sink: &Sink, node: &Node) -> Checked<Vec<TokenPlace>> {
    few(sink, node)?;
    sink.distinct(node, |item| token(sink, item))
}

fn few(sink: &Sink, node: &Node) -> Checked<()> {
    sink.at_most(node, MOST, "each is looked for in every request")
}

fn place(text: &str) -> Result<Place, String> {
    match text.split_once(':') {
        Some(("header", name)) => header(name).map(Place::Header),
        Some(("cookie", name)) => cookie(name),
        _ => Err(format!(
            "unknown place {}: write header:NAME, cookie:NAME or cookie:PREFIX*",
            quoted(text)
        )),
    }
}

fn token(sink: &Sink, node: &Node) -> Checked<TokenPlace> {
    if let Some(text) = node.text() {
        let message = format!(
            "expected an object, found {}: write {{ header: NAME }}, {{ cookie: NAME }} or {{ query: NAME }}",
            quoted(text)
        );
        return Err(sink.fault(node, message));
    }
    let fields = Fields::of(sink, node, &TOKEN)?;
    let prefix = fields.optional("prefix", |node| sink.parsed(node, prefix));
    let misplaced = match (fields.get("prefix"), fields.get("header")) {
        (Some(node), None) => Err(sink.fault(node, "only beside header: a cookie or parameter is the token alone")),
        _ => Ok(()),
    };
    let kinds = ["header", "cookie", "query"].map(|kind| fields.get(kind));
    let mut found = match kinds {
        [Some(node), None, None] => sink.parsed(node, header).map(|name| TokenPlace::Header {
            name,
            prefix: String::new(),
        }),
        [None, Some(node), None] => sink.parsed(node, token_cookie),
        [None, None, Some(node)] => sink.parsed(node, parameter).map(TokenPlace::Query),
        _ => Err(sink.fault(node, "exactly one place is needed: header, cookie or query")),
    };
    misplaced?;
    if let (Ok(TokenPlace::Header { prefix: held, .. }), Some(prefix)) = (&mut found, prefix?) {
        *held = prefix;
    }
    found
}

fn header(text: &str) -> Result<HeaderName, String> {
    let name = HeaderName::parse(text)?;
    let folded = names::fold(&name);
    if text.contains('*') {
        return Err(format!("{}: a header is named whole, without `*`", quoted(text)));
    }
    if name.as_str() == "cookie" {
        return Err("all cookies are no credential: name one of them".into());
    }
    if names::is_wire(&folded) || names::is_envoys(&folded) {
        return Err(format!("{} cannot hold a credential", quoted(text)));
    }
    Ok(name)
}

fn cookie(text: &str) -> Result<Place, String> {
    let (name, prefix) = match text.strip_suffix('*') {
        Some(name) => (name, true),
        None => (text, false),
    };
    if name.is_empty() {
        return Err("empty cookie name".into());
    }
    // RFC 6265: a cookie's name is a token, as a header's is; but its case counts.
    HeaderName::parse(name).map_err(|message| message.replace("header name", "cookie name"))?;
    if name.contains('*') {
        return Err(format!("{}: `*` may stand once, at the end", quoted(text)));
    }
    Ok(if prefix {
        Place::CookiePrefix(name.to_owned())
    } else {
        Place::Cookie(name.to_owned())
    })
}

fn token_cookie(text: &str) -> Result<TokenPlace, String> {
    match cookie(text)? {
        Place::Cookie(name) => Ok(TokenPlace::Cookie(name)),
        _ => Err(format!("{}: a token stands in one cookie, named whole", quoted(text))),
    }
}

/// The name of one cookie.
pub fn one_cookie(text: &str) -> Result<String, String> {
    match cookie(text)? {
        Place::Cookie(name) => Ok(name),
        _ => Err(format!("{}: one cookie, named whole", quoted(text))),
    }
}

pub fn parameter(text: &str) -> Result<String, String> {
    match text.chars().find(|c| !c.is_ascii_graphic() || "&=#%+;".contains(*c)) {
        Some(c) => Err(format!(
            "unexpected character {c:?} in query parameter {}",
            quoted(text)
        )),
        None if text.is_empty() => Err("empty name of a query parameter".into()),
        None => Ok(text.to_owned()),
    }
}

fn prefix(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.len() <= LONGEST_PREFIX && text.chars().all(|c| matches!(c, ' '..='~'));
    if !fits || text.starts_with(' ') {
        return Err(format!("{} is no prefix: write \"Bearer \"", quoted(text)));
    }
    Ok(text.to_owned())
}

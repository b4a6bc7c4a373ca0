//! Where a credential may stand: `header:authorization`, `cookie:session*`.

use crate::config::names;
use crate::config::node::{Node, quoted};
use crate::config::sink::{Checked, Sink};
use crate::header::HeaderName;
use crate::policy::Place;

const MOST: usize = 16;

pub fn read(sink: &Sink, node: &Node) -> Checked<Vec<Place>> {
    sink.at_most(node, MOST, "each is looked for in every request")?;
    sink.distinct(node, |item| sink.parsed(item, place))
}

fn place(text: &str) -> Result<Place, String> {
    match text.split_once(':') {
        Some(("header", name)) => header(name),
        Some(("cookie", name)) => cookie(name),
        _ => Err(format!(
            "unknown place {}: write header:NAME, cookie:NAME or cookie:PREFIX*",
            quoted(text)
        )),
    }
}

fn header(text: &str) -> Result<Place, String> {
    let name = HeaderName::parse(text)?;
    let folded = names::fold(&name);
    if name.as_str() == "cookie" {
        return Err("all cookies are no credential: write cookie:NAME".into());
    }
    if names::is_wire(&folded) || names::is_envoys(&folded) {
        return Err(format!("{} cannot hold a credential", quoted(text)));
    }
    Ok(Place::Header(name))
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

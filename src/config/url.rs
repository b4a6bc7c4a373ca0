//! The sign-in address: an absolute URL with at most one `{url}`.

use super::address;
use super::node::quoted;

/// The text before and after `{url}`.
pub fn template(text: &str) -> Result<(String, Option<String>), String> {
    let shown = quoted(text);
    if let Some(c) = text.chars().find(|c| !c.is_ascii_graphic() || "\"<>\\".contains(*c)) {
        return Err(format!("unexpected character {c:?} in URL {shown}"));
    }
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
        .ok_or_else(|| format!("{shown} does not start with https:// or http://"))?;
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    address::authority(host).map_err(|_| format!("{shown} names no host"))?;
    let (before, after) = match text.split_once("{url}") {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    };
    if after.is_some_and(|after| after.contains("{url}")) {
        return Err(format!("{shown} has more than one {{url}}"));
    }
    if [before, after.unwrap_or_default()].concat().contains(['{', '}']) {
        return Err(format!("{shown}: the only part in braces is {{url}}"));
    }
    Ok((before.to_owned(), after.map(str::to_owned)))
}

#[cfg(test)]
mod tests {
    use super::template;

    #[test]
    fn templates() {
        let split = |before: &str, after: Option<&str>| Ok((before.into(), after.map(Into::into)));
        assert_eq!(template("https://a/?rd={url}&x"), split("https://a/?rd=", Some("&x")));
        assert_eq!(template("http://a:80"), split("http://a:80", None));
        for text in [
            "",
            "//a/",
            "ftp://a",
            "https:///x",
            "https://{url}/",
            "https://a/{url}{url}",
            "https://a/{rd}",
            "https://a/ b",
            "https://u@a/",
        ] {
            assert!(template(text).is_err(), "{text}");
        }
    }
}

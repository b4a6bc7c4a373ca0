//! What the upstream is told of the caller, in headers that are set or removed, never appended.

mod encode;

pub use encode::{decode_list, decode_scalar, encode_element, encode_scalar};

use crate::authn::{Claim, ClaimPath, Principal};
use crate::header::{Field, HeaderName};
use std::sync::Arc;

/// A header and how it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityHeader {
    pub name: HeaderName,
    pub template: Template,
}

/// `"{subject}"`, `"user:{claims.email}"`: text and parts of the principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(pub Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Printable ASCII.
    Text(String),
    Subject,
    Authenticator,
    Groups,
    Scopes,
    Claim(ClaimPath),
}

/// What the upstream is told of this caller. A name that stands twice is set last as the rule says.
pub fn headers(headers: &[IdentityHeader], principal: &Principal) -> Result<Arc<[Field]>, TooLong> {
    let mut fields: Vec<Field> = Vec::with_capacity(headers.len());
    // What is kept takes no more room than it needs: it may be remembered.
    let mut value = String::with_capacity(USUAL_VALUE_BYTES);
    for header in headers {
        value.clear();
        if header.template.write(principal, &mut value)? {
            let name = header.name.as_str().as_bytes();
            fields.retain(|(other, _)| other != name);
            fields.push((name.to_vec(), value.as_bytes().to_vec()));
        }
    }
    Ok(fields.into())
}

/// A rendered value was over [`MAX_VALUE_BYTES`]: it is refused, never cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// Most values grow no further.
const USUAL_VALUE_BYTES: usize = 128;

/// Room for many groups, and far below the 60 KiB that Envoy allows for all headers together.
pub const MAX_VALUE_BYTES: usize = 4096;

impl Template {
    /// `{subject} {authenticator} {groups} {scopes} {claims.a.b}` and printable ASCII; `{{` and
    /// `}}` are braces.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("empty template".into());
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let tail = rest.get(first.len_utf8()..).unwrap_or_default();
            rest = match (first, tail.chars().next()) {
                ('{', Some('{')) | ('}', Some('}')) => {
                    literal.push(first);
                    tail.get(1..).unwrap_or_default()
                }
                ('{', _) => {
                    let Some((name, behind)) = tail.split_once('}') else {
                        return Err(format!("template {text:?}: `{{` without `}}`"));
                    };
                    if !literal.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut literal)));
                    }
                    parts.push(Part::parse(name).map_err(|why| format!("template {text:?}: {why}"))?);
                    behind
                }
                ('}', _) => return Err(format!("template {text:?}: `}}` without `{{`: write `}}}}`")),
                (' '..='~', _) => {
                    literal.push(first);
                    tail
                }
                _ => return Err(format!("template {text:?}: {first:?} is not printable ASCII")),
            };
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self(parts))
    }

    /// Onto what is empty. False where a part is absent: the header then does not go out at all.
    fn write(&self, principal: &Principal, value: &mut String) -> Result<bool, TooLong> {
        for part in &self.0 {
            if !part.render(principal, value) {
                return Ok(false);
            }
            if value.len() > MAX_VALUE_BYTES {
                return Err(TooLong);
            }
        }
        Ok(true)
    }
}

impl Part {
    /// The one place that names what a template may hold.
    fn parse(name: &str) -> Result<Self, String> {
        match name {
            "subject" => Ok(Self::Subject),
            "authenticator" => Ok(Self::Authenticator),
            "groups" => Ok(Self::Groups),
            "scopes" => Ok(Self::Scopes),
            _ => match name.strip_prefix("claims.") {
                Some(path) => ClaimPath::parse(path).map(Self::Claim),
                None => Err(format!(
                    "unknown part {{{name}}}: subject, authenticator, groups, scopes or claims.NAME"
                )),
            },
        }
    }

    /// False where the principal has no such part.
    fn render(&self, principal: &Principal, value: &mut String) -> bool {
        match self {
            Self::Text(text) => value.push_str(text),
            Self::Subject => encode_scalar(&principal.subject, value),
            Self::Authenticator => encode_scalar(&principal.authenticator, value),
            Self::Groups => return render_list(&principal.groups, value),
            Self::Scopes => return render_list(&principal.scopes, value),
            Self::Claim(path) => match principal.claim(path) {
                Some(Claim::Scalar(text)) if !text.is_empty() => encode_scalar(text, value),
                Some(Claim::List(elements)) => return render_list(elements, value),
                _ => return false,
            },
        }
        true
    }
}

/// An empty element could not be told from no element: it is left out.
fn render_list(elements: &[String], value: &mut String) -> bool {
    let mut any = false;
    for element in elements.iter().filter(|element| !element.is_empty()) {
        if any {
            value.push(',');
        }
        encode_element(element, value);
        any = true;
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl Template {
        fn render(&self, principal: &Principal) -> Result<Option<String>, TooLong> {
            let mut value = String::new();
            Ok(self.write(principal, &mut value)?.then_some(value))
        }
    }

    fn principal() -> Principal {
        Principal {
            authenticator: "account".into(),
            subject: "José, 100%".into(),
            groups: vec!["staff".into(), "a,b".into(), "".into(), "x y".into()],
            scopes: vec![],
            claims: [
                ("tenant".to_owned(), Claim::Scalar("acme".into())),
                ("empty".to_owned(), Claim::Scalar(String::new())),
            ]
            .into(),
            variants: vec![],
        }
    }

    #[track_caller]
    fn renders(template: &str, expected: Option<&str>) {
        let template = Template::parse(template).expect("a template");
        assert_eq!(template.render(&principal()), Ok(expected.map(str::to_owned)));
    }

    #[test]
    fn rendered() {
        renders("{subject}", Some("Jos%C3%A9, 100%25"));
        renders("{groups}", Some("staff,a%2Cb,x%20y"));
        renders("{scopes}", None);
        renders("{authenticator}/{claims.tenant}", Some("account/acme"));
        renders("{claims.tenant} {claims.none}", None);
        renders("{claims.empty}", None);
        renders("{{{authenticator}}}", Some("{account}"));
    }

    #[test]
    fn over_the_limit_is_refused() {
        let mut principal = principal();
        principal.subject = "é".repeat(MAX_VALUE_BYTES / 6 + 1);
        let template = Template::parse("{subject}").expect("a template");
        assert_eq!(template.render(&principal), Err(TooLong));
    }

    #[test]
    fn faulty_templates() {
        for (text, message) in [
            ("", "empty template"),
            ("{subject", "template \"{subject\": `{` without `}`"),
            ("subject}", "template \"subject}\": `}` without `{`: write `}}`"),
            (
                "{claims.}",
                "template \"{claims.}\": claim path \"\" holds an empty name",
            ),
            ("a\nb", "template \"a\\nb\": '\\n' is not printable ASCII"),
            (
                "{user}",
                "template \"{user}\": unknown part {user}: subject, authenticator, groups, scopes or claims.NAME",
            ),
        ] {
            assert_eq!(Template::parse(text), Err(message.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn what_is_rendered_is_read(subject in "\\PC{1,40}|.{1,40}", groups in proptest::collection::vec("(?s).{1,12}", 1..6)) {
            let mut principal = principal();
            principal.subject = subject.clone();
            principal.groups = groups.clone();
            let render = |text: &str| Template::parse(text).expect("a template").render(&principal).expect("short").expect("there");
            let scalar = render("{subject}");
            prop_assert_eq!(scalar.trim_matches([' ', '\t']), &scalar);
            prop_assert!(scalar.bytes().all(|b| (0x20..0x7f).contains(&b)));
            prop_assert_eq!(decode_scalar(&scalar), Some(subject));
            prop_assert_eq!(decode_list(&render("{groups}")), Some(groups));
        }
    }
}

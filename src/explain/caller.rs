//! A caller who is known beforehand: `--as subject=alice,groups=ops,sales`.

use crate::authn::{Claim, Principal};

/// Whose authenticator is the rule's first, unless it is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known(pub Principal);

impl Known {
    /// `NAME=VALUE` with commas between; what has no `=` is one more value of the name before.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut fields: Vec<(&str, Vec<&str>)> = Vec::new();
        for part in text.split(',') {
            match (part.split_once('='), fields.last_mut()) {
                (Some((name, value)), _) => fields.push((name, vec![value])),
                (None, Some((_, values))) => values.push(part),
                (None, None) => return Err(format!("{part:?} is no NAME=VALUE: write subject=alice,groups=ops")),
            }
        }
        let mut principal = Principal::nobody();
        for (name, values) in fields {
            let text = || match values.as_slice() {
                [one] => Ok((*one).to_owned()),
                _ => Err(format!("{name} has one value")),
            };
            let list = || values.iter().map(|value| (*value).to_owned());
            match name {
                "subject" => principal.subject = text()?,
                "authenticator" => principal.authenticator = text()?.into(),
                "groups" => principal.groups.extend(list()),
                "scopes" => principal.scopes.extend(list()),
                _ => match name.strip_prefix("claims.") {
                    Some(claim) if !claim.is_empty() => {
                        let value = match values.as_slice() {
                            [one] => Claim::Scalar((*one).to_owned()),
                            _ => Claim::List(list().collect()),
                        };
                        principal.claims.retain(|(other, _)| other != claim);
                        principal.claims.push((claim.to_owned(), value));
                    }
                    _ => {
                        return Err(format!(
                            "unknown {name:?}: subject, authenticator, groups, scopes or claims.NAME"
                        ));
                    }
                },
            }
        }
        match principal.subject.is_empty() {
            true => Err("a known caller has a subject: write subject=alice".into()),
            false => Ok(Self(principal)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read() {
        let text = "subject=al=ice,groups=ops,sales,scopes=a,claims.tenant=acme,claims.r=1,2,authenticator=account";
        let Known(principal) = Known::parse(text).expect("a caller");
        assert_eq!(principal.subject, "al=ice");
        assert_eq!(principal.groups, ["ops", "sales"]);
        assert_eq!(principal.scopes, ["a"]);
        assert_eq!(&*principal.authenticator, "account");
        let claims = [
            ("tenant".to_owned(), Claim::Scalar("acme".into())),
            ("r".to_owned(), Claim::List(vec!["1".into(), "2".into()])),
        ];
        assert_eq!(principal.claims, claims);
    }

    #[test]
    fn refused() {
        for text in [
            "",
            "alice",
            "groups=ops",
            "subject=",
            "subject=a,b",
            "subject=a,name=b",
            "subject=a,claims.=b",
        ] {
            assert!(Known::parse(text).is_err(), "{text}");
        }
    }
}

//! A whole outcome as bytes.

use crate::authn::callout::Accepted;
use crate::authn::{Claim, Principal};
use crate::cache::Remembered;
use crate::denial::ServiceDenial;
use crate::header::Field;
use crate::wire::{Reader, Writer};
use std::sync::Arc;

const GONE: u8 = 0;
const KNOWN: u8 = 1;
const DENIED: u8 = 2;

const SCALAR: u8 = 0;
const LIST: u8 = 1;

/// None where it cannot be said: no service has claims within claims.
pub fn write(to: &mut Writer, answer: Option<&Remembered>) -> Option<()> {
    match answer {
        None => to.byte(GONE),
        Some(Remembered::Known(principal, accepted)) => {
            to.byte(KNOWN);
            to.bytes(principal.subject.as_bytes());
            texts(to, &principal.groups);
            texts(to, &principal.scopes);
            to.count(principal.claims.len());
            for (name, claim) in &principal.claims {
                to.bytes(name.as_bytes());
                write_claim(to, claim)?;
            }
            write_fields(to, &accepted.set);
            write_fields(to, &accepted.append);
            to.count(accepted.remove.len());
            accepted.remove.iter().for_each(|name| to.bytes(name));
            write_fields(to, &accepted.to_client);
        }
        Some(Remembered::Denied(denial)) => {
            to.byte(DENIED);
            to.number(denial.status.into());
            write_fields(to, &denial.headers);
            to.count(denial.body.iter().len());
            denial.body.iter().for_each(|body| to.bytes(body));
        }
    }
    Some(())
}

/// The inner None: it is gone. The service is not written; a seal is of one.
pub fn read(from: &mut Reader, authenticator: &Arc<str>) -> Option<Option<Remembered>> {
    Some(match from.byte()? {
        GONE => None,
        KNOWN => {
            let principal = Principal {
                authenticator: authenticator.clone(),
                subject: from.text()?,
                groups: from.list(Reader::text)?,
                scopes: from.list(Reader::text)?,
                claims: from.list(|from| Some((from.text()?, read_claim(from)?)))?,
                variants: vec![],
            };
            let accepted = Accepted {
                set: from.list(field)?,
                append: from.list(field)?,
                remove: from.list(|from| from.bytes().map(<[u8]>::to_vec))?,
                to_client: from.list(field)?,
                identity: None,
            };
            Some(Remembered::Known(Arc::new(principal), accepted))
        }
        DENIED => Some(Remembered::Denied(ServiceDenial {
            status: from.number()?.try_into().ok()?,
            headers: from.list(field)?,
            body: from.list(|from| from.bytes().map(<[u8]>::to_vec))?.pop(),
        })),
        _ => return None,
    })
}

fn texts(to: &mut Writer, texts: &[String]) {
    to.count(texts.len());
    texts.iter().for_each(|text| to.bytes(text.as_bytes()));
}

fn write_fields(to: &mut Writer, fields: &[Field]) {
    to.count(fields.len());
    for (name, value) in fields {
        to.bytes(name);
        to.bytes(value);
    }
}

fn field(from: &mut Reader) -> Option<Field> {
    Some((from.bytes()?.to_vec(), from.bytes()?.to_vec()))
}

fn write_claim(to: &mut Writer, claim: &Claim) -> Option<()> {
    match claim {
        Claim::Scalar(text) => {
            to.byte(SCALAR);
            to.bytes(text.as_bytes());
        }
        Claim::List(elements) => {
            to.byte(LIST);
            texts(to, elements);
        }
        Claim::Object(_) => return None,
    }
    Some(())
}

fn read_claim(from: &mut Reader) -> Option<Claim> {
    Some(match from.byte()? {
        SCALAR => Claim::Scalar(from.text()?),
        LIST => Claim::List(from.list(Reader::text)?),
        _ => return None,
    })
}

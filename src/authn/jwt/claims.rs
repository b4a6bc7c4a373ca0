//! Whom a token is for, and who it says is calling.

use super::fault::TokenFault;
use super::signature::Signed;
use super::{Audiences, ClaimSource};
use crate::authn::json::{Json, Object};
use crate::authn::{Claim, ClaimPath, Principal};
use crate::identity::MAX_VALUE_BYTES;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Doubles are exact up to here; above, two numbers could become one text, and two callers one.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// `aud` is a text or a list of texts (RFC 7519 section 4.1.3).
pub fn audience(claims: Object, audiences: &Audiences) -> Result<(), TokenFault> {
    let Audiences::Listed(ours) = audiences else {
        return Ok(());
    };
    let is_ours = |aud: &str| ours.iter().any(|our| our == aud);
    let holds = match claims.get("aud") {
        Some(Json::Text(aud)) => is_ours(aud),
        Some(Json::List(auds)) => {
            auds.iter().all(|aud| aud.text().is_some()) && auds.iter().filter_map(Json::text).any(is_ours)
        }
        _ => false,
    };
    if holds { Ok(()) } else { Err(TokenFault::Audience) }
}

pub fn principal(signed: Signed, source: &ClaimSource, authenticator: &Arc<str>) -> Result<Principal, TokenFault> {
    let claims = signed.claims();
    let subject = match find(claims, &source.subject) {
        Some(Json::Text(text)) if !text.is_empty() => text.to_owned(),
        Some(Json::Number(number)) => exact(number).ok_or(TokenFault::Subject)?,
        _ => return Err(TokenFault::Subject),
    };
    let mut taken = Vec::new();
    for (name, path) in &source.claims {
        if let Some(claim) = find(claims, path).and_then(claim) {
            taken.push((name.clone(), claim));
        }
    }
    if let Some(Json::Object(members)) = source.members_of.as_ref().and_then(|path| find(claims, path)) {
        let members = members.sorted().into_iter();
        taken.extend(members.filter_map(|(name, value)| Some((name.to_owned(), claim(value)?))));
    }
    let principal = Principal {
        authenticator: authenticator.clone(),
        subject,
        groups: list(claims, source.groups.as_ref(), |text| vec![text.to_owned()])?,
        scopes: list(claims, source.scopes.as_ref(), |text| {
            text.split(' ').map(str::to_owned).collect()
        })?,
        claims: taken,
        variants: variants(claims, source.variants.as_ref()),
    };
    match fits(&principal) {
        true => Ok(principal),
        false => Err(TokenFault::Claims),
    }
}

/// More than a rule would name. What is left out is computed here, as it would be without the earlier gate.
const MAX_VARIANTS: usize = 64;

fn variants(claims: Object, path: Option<&ClaimPath>) -> Vec<(String, String)> {
    let Some(Json::Object(members)) = path.and_then(|path| find(claims, path)) else {
        return vec![];
    };
    let texts = members
        .sorted()
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value.text()?.to_owned())));
    texts.take(MAX_VARIANTS).collect()
}

fn find<'t>(claims: Object<'t>, path: &ClaimPath) -> Option<Json<'t>> {
    let (first, rest) = path.0.split_first()?;
    rest.iter().try_fold(claims.get(first)?, |value, name| match value {
        Json::Object(members) => members.get(name),
        _ => None,
    })
}

/// A list that cannot be read whole is no empty list: `none_of` would be met by it.
fn list(
    claims: Object,
    path: Option<&ClaimPath>,
    split: impl Fn(&str) -> Vec<String>,
) -> Result<Vec<String>, TokenFault> {
    let elements = match path.and_then(|path| find(claims, path)) {
        None | Some(Json::Null) => Some(vec![]),
        Some(Json::Text(text)) => Some(split(text)),
        Some(Json::List(elements)) => elements.iter().map(scalar).collect(),
        Some(_) => None,
    };
    let mut elements = elements.ok_or(TokenFault::Claims)?;
    elements.retain(|element| !element.is_empty());
    Ok(elements)
}

/// None: the caller has no such claim, which meets no condition. So it is where a list holds more than
/// scalars, or a number has no exact text.
fn claim(value: Json) -> Option<Claim> {
    match value {
        Json::List(elements) => elements.iter().map(scalar).collect::<Option<_>>().map(Claim::List),
        Json::Object(members) => {
            let members = members.sorted().into_iter();
            let members = members.filter_map(|(name, value)| Some((name.to_owned(), claim(value)?)));
            let mut object = BTreeMap::new();
            object.extend(members);
            Some(Claim::Object(object))
        }
        _ => scalar(value).map(Claim::Scalar),
    }
}

fn scalar(value: Json) -> Option<String> {
    match value {
        Json::Text(text) => Some(text.to_owned()),
        Json::Bool(value) => Some(value.to_string()),
        Json::Number(number) => exact(number),
        Json::Null | Json::List(_) | Json::Object(_) => None,
    }
}

fn exact(number: &serde_json::Number) -> Option<String> {
    let whole = number.is_u64() || number.is_i64();
    let small = || number.as_f64().is_some_and(|value| value.abs() < MAX_EXACT);
    (whole || small()).then(|| number.to_string())
}

/// No text is longer than what an identity header holds.
fn fits(principal: &Principal) -> bool {
    let short = |text: &String| text.len() <= MAX_VALUE_BYTES;
    short(&principal.subject)
        && principal.groups.iter().chain(&principal.scopes).all(short)
        && principal.claims.iter().all(|(_, claim)| is_short(claim))
        && principal.variants.iter().all(|(_, variant)| short(variant))
}

fn is_short(claim: &Claim) -> bool {
    match claim {
        Claim::Object(members) => members.values().all(is_short),
        _ => claim
            .texts()
            .is_some_and(|texts| texts.iter().all(|text| text.len() <= MAX_VALUE_BYTES)),
    }
}

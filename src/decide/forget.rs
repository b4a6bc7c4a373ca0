//! Requests that make the filter forget.

use super::Around;
use crate::authn::{Caller, WhyNobody, credential};
use crate::denial::{Denial, Reply, Style};
use crate::memory::Order;
use crate::policy::{Forget, Gate, Policy};
use crate::request::{Request, query};
use std::borrow::Cow;

pub(super) enum Forgotten {
    /// The request goes on; these were given.
    Orders(Vec<Order>),
    /// The filter answers itself.
    Answered(Reply),
}

pub(super) fn of(
    policy: &Policy,
    gate: &Gate,
    caller: &Caller,
    request: &Request,
    around: &mut Around,
) -> Result<Forgotten, Denial> {
    match gate.forget {
        Forget::Nothing => Ok(Forgotten::Orders(Vec::new())),
        // A stranger who logs out all day must not crowd out the orders of those who are known: what a refused
        // credential was good for ended as it was refused.
        Forget::Credential if matches!(caller, Caller::Nobody(WhyNobody::NoCredential | WhyNobody::Refused)) => {
            Ok(Forgotten::Orders(Vec::new()))
        }
        Forget::Credential => {
            let mut orders = Vec::new();
            for authenticator in &gate.authenticators {
                let Some(callout) = authenticator.callout() else {
                    continue;
                };
                let tag = credential::tag(callout.credential_places(), request);
                orders.push(Order::Credential(tag.0));
                if let Some(principal) = caller
                    .principal()
                    .filter(|known| known.authenticator == authenticator.name)
                {
                    orders.push(Order::Subject {
                        slot: Some(authenticator.slot),
                        subject: principal.subject.clone(),
                    });
                }
            }
            for order in &orders {
                around.memory.give(order.clone(), around.now.as_ms());
            }
            Ok(Forgotten::Orders(orders))
        }
        Forget::Requested => {
            let order = requested(policy, request).ok_or(Denial::ForgetWhat)?;
            around.memory.give(order, around.now.as_ms());
            let style = match request.is_grpc() {
                true => Style::Grpc,
                false => Style::Json,
            };
            Ok(Forgotten::Answered(Reply::forgotten(&style)))
        }
    }
}

/// `?subject=alice`, `?subject=alice&authenticator=account` or `?all=true`, and nothing else.
fn requested(policy: &Policy, request: &Request) -> Option<Order> {
    let slot = |name: String| {
        policy
            .authenticators
            .iter()
            .find(|known| *known.name == *name)
            .map(|known| known.slot)
    };
    let (mut subject, mut authenticator, mut all) = (None, None, None);
    for (name, value) in query::parameters(request.query()?) {
        let place = match &name[..] {
            b"subject" => &mut subject,
            b"authenticator" => &mut authenticator,
            b"all" => &mut all,
            _ => return None,
        };
        if place.replace(text(value)?).is_some() {
            return None;
        }
    }
    match (subject, authenticator, all.as_deref()) {
        (None, None, Some("true")) => Some(Order::Everything),
        (Some(subject), None, None) if !subject.is_empty() => Some(Order::Subject { slot: None, subject }),
        (Some(subject), Some(name), None) if !subject.is_empty() => Some(Order::Subject {
            slot: Some(slot(name)?),
            subject,
        }),
        _ => None,
    }
}

fn text(value: Cow<[u8]>) -> Option<String> {
    String::from_utf8(value.into_owned()).ok()
}

//! Where a browser is sent instead of being shown a refusal.

use crate::authn::{callout, credential};
use crate::denial::Style;
use crate::policy::{Rule, SignIn};
use crate::request::path::push_escape;
use crate::request::{Connection, Request};
use crate::rule::HostPattern;

pub(super) fn style(rule: &Rule, request: &Request, status: u16, connection: &dyn Connection) -> Style {
    let sign_in = rule
        .gate()
        .into_iter()
        .flat_map(|gate| &gate.authenticators)
        .find_map(|authenticator| {
            let asked = authenticator.callout()?;
            asked
                .on_deny
                .sign_in
                .as_ref()
                .filter(|sign_in| sign_in.status.contains(&status))
        });
    let location = sign_in
        .filter(|_| crate::denial::navigates(request))
        .and_then(|sign_in| location(sign_in, rule, request, connection));
    match location {
        Some(location) => Style::Redirect {
            location,
            see_other: !matches!(request.method(), "GET" | "HEAD"),
        },
        None => Style::Json,
    }
}

/// None where the rule names no host that this one could be: nobody is sent back to a host that
/// only the caller vouches for.
fn location(sign_in: &SignIn, rule: &Rule, request: &Request, connection: &dyn Connection) -> Option<String> {
    let Some(after) = &sign_in.after else {
        return Some(sign_in.before.clone());
    };
    let named = |host: &HostPattern| *host != HostPattern::Any && host.matches(request.host.name());
    if !rule.matcher.hosts.iter().any(named) {
        return None;
    }
    // A credential in an address would stand in histories and logs of two sites.
    let target = credential::target_without(&rule.strip_credentials, request).or_else(|| request.target())?;
    let mut location = sign_in.before.clone();
    let parts = [
        callout::scheme(connection).as_bytes(),
        b"://",
        request.host.authority().as_bytes(),
        &target,
    ];
    for byte in parts.into_iter().flatten().copied() {
        match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => location.push(char::from(byte)),
            false => push_escape(&mut location, byte),
        }
    }
    location.push_str(after);
    Some(location)
}

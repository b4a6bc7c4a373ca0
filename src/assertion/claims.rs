//! What an assertion says. The next gate reads it back into the same principal.

use super::Chosen;
use crate::authn::{Claim, Principal};
use crate::json::push_string;

pub fn write(
    issuer: &str,
    audience: &str,
    (principal, variants): (&Principal, &[Chosen]),
    now_s: u64,
    ttl_s: u64,
) -> String {
    let mut out = String::with_capacity(512);
    out.push_str("{\"iss\":");
    push_string(&mut out, issuer);
    out.push_str(",\"aud\":");
    push_string(&mut out, audience);
    out.push_str(",\"sub\":");
    push_string(&mut out, &principal.subject);
    let expires_s = now_s.saturating_add(ttl_s);
    out.push_str(&format!(",\"iat\":{now_s},\"exp\":{expires_s},\"auth\":"));
    push_string(&mut out, &principal.authenticator);
    out.push_str(",\"groups\":");
    push_list(&mut out, &principal.groups);
    out.push_str(",\"scope\":");
    push_scopes(&mut out, &principal.scopes);
    out.push_str(",\"claims\":");
    push_object(&mut out, principal.claims.iter().map(|(name, claim)| (name, claim)));
    for (at, (experiment, variant)) in variants.iter().enumerate() {
        out.push_str(if at == 0 { ",\"variants\":{" } else { "," });
        push_string(&mut out, experiment);
        out.push(':');
        push_string(&mut out, variant);
    }
    out.push_str(if variants.is_empty() { "}" } else { "}}" });
    out
}

/// A text as RFC 8693 section 4.2 has it. A list where a scope holds a space: the text would be read as two scopes.
fn push_scopes(out: &mut String, scopes: &[String]) {
    match scopes.iter().any(|scope| scope.contains(' ')) {
        true => push_list(out, scopes),
        false => push_string(out, &scopes.join(" ")),
    }
}

fn push_list(out: &mut String, elements: &[String]) {
    out.push('[');
    for (at, element) in elements.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        push_string(out, element);
    }
    out.push(']');
}

fn push_object<'a>(out: &mut String, members: impl Iterator<Item = (&'a String, &'a Claim)>) {
    out.push('{');
    for (at, (name, claim)) in members.enumerate() {
        if at > 0 {
            out.push(',');
        }
        push_string(out, name);
        out.push(':');
        match claim {
            Claim::Scalar(text) => push_string(out, text),
            Claim::List(elements) => push_list(out, elements),
            Claim::Object(members) => push_object(out, members.iter()),
        }
    }
    out.push('}');
}

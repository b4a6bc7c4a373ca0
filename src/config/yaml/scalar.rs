//! What a plain scalar is: the core schema of YAML 1.2 (section 10.3.2). `on` and `yes` are text.

use crate::config::node::{Value, quoted};
use serde_json::Number;

/// None: text. Errors for what JSON cannot hold.
pub fn resolve(text: &str) -> Result<Option<Value>, String> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Some(Value::Null)),
        "true" | "True" | "TRUE" => return Ok(Some(Value::Bool(true))),
        "false" | "False" | "FALSE" => return Ok(Some(Value::Bool(false))),
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err(format!("{} has no form in JSON", quoted(text)));
    }
    if !is_number(text, unsigned) {
        return Ok(None);
    }
    number(text)
        .map(|number| Some(Value::Number(number)))
        .ok_or_else(|| format!("number {} is out of range", quoted(text)))
}

fn is_number(text: &str, unsigned: &str) -> bool {
    // Nearly every text of a policy.
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return false;
    }
    let based = |prefix, digit: fn(char) -> bool| {
        text.strip_prefix(prefix)
            .is_some_and(|digits: &str| !digits.is_empty() && digits.chars().all(digit))
    };
    based("0x", |c| c.is_ascii_hexdigit()) || based("0o", |c| c.is_digit(8)) || is_decimal(unsigned)
}

/// `12`, `12.`, `.5`, `1.5e-3`
fn is_decimal(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    digits(whole) && digits(fraction) && (!whole.is_empty() || !fraction.is_empty()) && exponent_fits
}

fn number(text: &str) -> Option<Number> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok().map(Number::from);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return u64::from_str_radix(digits, 8).ok().map(Number::from);
    }
    if let Ok(number) = text.parse::<u64>() {
        return Some(number.into());
    }
    match text.parse::<i64>() {
        Ok(number) => Some(number.into()),
        Err(_) => Number::from_f64(text.parse().ok()?),
    }
}

#[cfg(test)]
mod tests {
    use super::resolve;
    use crate::config::node::Value;

    fn shown(text: &str) -> String {
        match resolve(text) {
            Ok(None) => format!("{text:?}"),
            Ok(Some(Value::Null)) => "null".into(),
            Ok(Some(Value::Bool(value))) => value.to_string(),
            Ok(Some(Value::Number(number))) => number.to_string(),
            Ok(Some(_)) => "more".into(),
            Err(message) => message,
        }
    }

    #[test]
    fn core_schema() {
        for (text, expected) in [
            ("", "null"),
            ("~", "null"),
            ("True", "true"),
            ("tRue", "\"tRue\""),
            ("on", "\"on\""),
            ("yes", "\"yes\""),
            ("12", "12"),
            ("-12", "-12"),
            ("+12", "12"),
            ("007", "7"),
            ("0o17", "15"),
            ("0x1F", "31"),
            ("-0x1F", "\"-0x1F\""),
            ("0b1", "\"0b1\""),
            ("1_000", "\"1_000\""),
            ("1:30", "\"1:30\""),
            ("1.5", "1.5"),
            (".5", "0.5"),
            ("5.", "5.0"),
            (".", "\".\""),
            ("e5", "\"e5\""),
            ("1e3", "1000.0"),
            ("1e", "\"1e\""),
            ("18446744073709551615", "18446744073709551615"),
            ("2026-01-01", "\"2026-01-01\""),
            ("-", "\"-\""),
            (".inf", "\".inf\" has no form in JSON"),
            ("1e999", "number \"1e999\" is out of range"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }
}

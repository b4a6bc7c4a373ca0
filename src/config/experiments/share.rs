//! Weights, ranges and coverage: hundredths of a percent, as the numbers that experiment SDKs compute with.

use super::headers;
use crate::config::names;
use crate::config::node::{Node, Value, quoted};
use crate::config::read::{Fields, Known, all};
use crate::config::sink::{Checked, Sink};
use crate::experiment::{Coverage, Hash, Share, Variant};
use std::sync::Arc;

const VARIANT: Known = Known {
    now: &["name", "weight", "ranges", "headers"],
    later: &[],
};
/// Of those who take no part, in cases, changes and their like: no variant's name.
const OUTSIDE: &str = "none";
/// Each has a counter of its own.
const MOST: usize = 16;
/// Of one variant; they are tried one after the other.
const MOST_RANGES: usize = 64;
/// Hundredths of a percent.
pub const WHOLE: u32 = 10_000;

/// From, to; hundredths of a percent.
type Range = (u32, u32);

/// A share that is not covered yet.
pub enum Uncovered {
    Weights(Vec<f64>),
    Ranges(Vec<Vec<(f64, f64)>>),
}

impl Uncovered {
    pub fn covered(self, coverage: Coverage) -> Share {
        match self {
            Self::Weights(weights) => Share::Weights { weights, coverage },
            Self::Ranges(ranges) => Share::Ranges(ranges),
        }
    }
}

/// One variant's part, as it is written.
enum Part {
    Weight(u32),
    Ranges(Vec<Range>),
    Nothing,
}

/// `variants`; `beside`: the fields of the experiment.
pub fn read(sink: &Sink, beside: &Fields, node: &Node, hash: Hash) -> Checked<(Vec<Variant>, Uncovered)> {
    sink.at_most(node, MOST, "each has a counter of its own")?;
    let found = sink.some(node, |item| variant(sink, item, hash))?;
    let items = sink.items(node)?;
    let mut result = Ok(());
    for (at, ((one, _), item)) in found.iter().zip(items).enumerate() {
        if found.iter().take(at).any(|(other, _)| other.name == one.name) {
            let message = format!("another variant is named {}", quoted(&one.name));
            result = Err(sink.fault(item, message));
        }
    }
    let alone = found.len() == 1;
    let (variants, parts): (Vec<Variant>, Vec<Part>) = found.into_iter().unzip();
    let share = match parts.first() {
        Some(Part::Ranges(_)) => ranges(sink, beside, node, &parts).map(Uncovered::Ranges),
        Some(Part::Nothing) if alone => Ok(Uncovered::Weights(vec![1.0])),
        _ => weights(sink, node, &parts).map(Uncovered::Weights),
    };
    result?;
    Ok((variants, share?))
}

fn variant(sink: &Sink, node: &Node, hash: Hash) -> Checked<(Variant, Part)> {
    let fields = Fields::of(sink, node, &VARIANT)?;
    let name = fields.required("name", ": the value of the header").and_then(|node| {
        sink.parsed(node, names::label)?;
        match sink.text(node)? {
            OUTSIDE => Err(sink.fault(node, "none is the word for those who take no part: choose another name")),
            name => Ok(name),
        }
    });
    let headers = fields.optional("headers", |node| headers::read(sink, node));
    let weight = fields.optional("weight", |node| {
        let weight = percent(sink, node)?;
        tenths(sink, node, weight, hash)
    });
    let ranges = fields.optional("ranges", |node| {
        sink.at_most(node, MOST_RANGES, "they are tried one after the other")?;
        sink.some(node, |item| {
            let (from, to) = range(sink, item)?;
            tenths(sink, item, from, hash)?;
            tenths(sink, item, to, hash)?;
            Ok((from, to))
        })
    });
    let part = match (weight?, ranges?) {
        (Some(_), Some(_)) => Err(sink.fault(node, "weight or ranges: two owners of one variant is an incident")),
        (Some(weight), None) => Ok(Part::Weight(weight)),
        (None, Some(ranges)) => Ok(Part::Ranges(ranges)),
        (None, None) => Ok(Part::Nothing),
    };
    let variant = Variant {
        name: name?.into(),
        headers: headers?.unwrap_or_default(),
        told: Arc::default(),
    };
    Ok((variant, part?))
}

fn weights(sink: &Sink, node: &Node, parts: &[Part]) -> Checked<Vec<f64>> {
    let weights = all(parts.iter().zip(sink.items(node)?).map(|(part, item)| match part {
        Part::Weight(weight) => Ok(*weight),
        Part::Ranges(_) => Err(sink.fault(item, "ranges beside the weights of others: write one of them for all")),
        Part::Nothing => Err(sink.fault(item, "missing field weight: write 50%, 100% together")),
    }))?;
    let sum: u32 = weights.iter().sum();
    match sum == WHOLE {
        true => Ok(weights.into_iter().map(fraction).collect()),
        false => {
            let message = format!("the weights are {} together, not 100%", shown(sum));
            Err(sink.fault(node, message))
        }
    }
}

fn ranges(sink: &Sink, beside: &Fields, node: &Node, parts: &[Part]) -> Checked<Vec<Vec<(f64, f64)>>> {
    let others = ["coverage", "schedule"].into_iter().filter_map(|name| beside.get(name));
    all(others.map(|node| Err(sink.fault(node, "cannot stand beside ranges, which say who takes part"))))
        .map(|_: Vec<()>| ())?;
    let found = all(parts.iter().zip(sink.items(node)?).map(|(part, item)| match part {
        Part::Ranges(ranges) => Ok(ranges),
        _ => Err(sink.fault(item, "missing field ranges: other variants have them")),
    }))?;
    let mut seen: Vec<Range> = Vec::new();
    for (from, to) in found.iter().copied().flatten().copied() {
        if let Some((other, others)) = seen.iter().find(|(other, others)| *other < to && from < *others) {
            let (from, to, other, others) = (shown(from), shown(to), shown(*other), shown(*others));
            let message = format!("[{from}, {to}] overlaps [{other}, {others}]");
            return Err(sink.fault(node, message));
        }
        seen.push((from, to));
    }
    let fractions = found
        .into_iter()
        .map(|ranges| ranges.iter().copied().map(fractions).collect());
    Ok(fractions.collect())
}

/// `[0%, 30%]`
pub fn range(sink: &Sink, node: &Node) -> Checked<Range> {
    let ends = sink.list(node, |item| percent(sink, item))?;
    match ends.as_slice() {
        [from, to] if from < to => Ok((*from, *to)),
        [_, _] => Err(sink.fault(node, "an empty range: write [0%, 30%], from below to")),
        _ => Err(sink.fault(node, "a range has two ends: write [0%, 30%]")),
    }
}

pub fn coverage(sink: &Sink, node: &Node, hash: Hash) -> Checked<f64> {
    let value = percent(sink, node)?;
    match hash == Hash::Murmur3 && value % 100 != 0 {
        true => {
            let message = format!(
                "{} is no whole percent, and murmur3 rolls out in whole percent",
                shown(value)
            );
            Err(sink.fault(node, message))
        }
        false => Ok(fraction(value)),
    }
}

/// `12.5%` in hundredths of a percent.
fn percent(sink: &Sink, node: &Node) -> Checked<u32> {
    if let Value::Number(number) = &node.value {
        // SDKs write a half as 0.5, and half a percent is rarely meant.
        let whole = number.as_f64().filter(|part| *part > 0.0 && *part <= 1.0);
        return Err(match whole {
            Some(part) => {
                let part = shown((part * f64::from(WHOLE) + 0.5) as u32);
                let message = format!("expected a share, found the number {number}: write {part}, or {number}%");
                sink.fault(node, message)
            }
            None => sink.expected(node, &format!("a share, {number}%")),
        });
    }
    sink.parsed(node, |text| {
        hundredths(text).ok_or_else(|| {
            format!(
                "{} is no share: write 12.5%, 0% to 100%, two decimals at most",
                quoted(text)
            )
        })
    })
}

fn hundredths(text: &str) -> Option<u32> {
    let number = text.strip_suffix('%')?;
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || whole.len() > 3 || decimals.len() > 2 {
        return None;
    }
    let decimals = decimals.parse::<u32>().ok()? * if decimals.len() == 1 { 10 } else { 1 };
    let value = whole.parse::<u32>().ok()? * 100 + decimals;
    (value <= WHOLE).then_some(value)
}

/// Unleash deals out a thousand places.
fn tenths(sink: &Sink, node: &Node, value: u32, hash: Hash) -> Checked<u32> {
    match hash == Hash::Murmur3 && !value.is_multiple_of(10) {
        true => {
            let message = format!("{} is no tenth of a percent, and murmur3 has 1000 places", shown(value));
            Err(sink.fault(node, message))
        }
        false => Ok(value),
    }
}

/// The number that an SDK is given: `33.33%` is 0.3333.
fn fraction(hundredths: u32) -> f64 {
    f64::from(hundredths) / f64::from(WHOLE)
}

pub fn fractions((from, to): Range) -> (f64, f64) {
    (fraction(from), fraction(to))
}

fn shown(hundredths: u32) -> String {
    let (whole, rest) = (hundredths / 100, hundredths % 100);
    match rest {
        0 => format!("{whole}%"),
        _ if rest % 10 == 0 => format!("{whole}.{}%", rest / 10),
        _ => format!("{whole}.{rest:02}%"),
    }
}

#[cfg(test)]
mod tests {
    use super::{hundredths, shown};

    #[test]
    fn percents() {
        for (text, expected) in [
            ("0%", Some(0)),
            ("100%", Some(10_000)),
            ("100.00%", Some(10_000)),
            ("33.33%", Some(3_333)),
            ("33.3%", Some(3_330)),
            ("0.01%", Some(1)),
            ("100.01%", None),
            ("101%", None),
            ("33.333%", None),
            ("33.%", None),
            (".5%", None),
            ("-1%", None),
            ("+1%", None),
            ("1e1%", None),
            ("50", None),
            ("50 %", None),
            ("%", None),
        ] {
            assert_eq!(hundredths(text), expected, "{text}");
        }
    }

    #[test]
    fn shown_as_written() {
        for text in ["0%", "100%", "33.33%", "33.3%", "0.01%"] {
            assert_eq!(hundredths(text).map(shown).as_deref(), Some(text));
        }
    }
}

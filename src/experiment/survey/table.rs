//! A survey for a terminal.

use super::{Survey, described, grouped, percent};
use std::fmt::Write;

const HEAD: [&str; 5] = ["variant", "units", "share", "99% interval", "policy"];

pub fn table(surveys: &[Survey]) -> String {
    let mut text = String::new();
    for survey in surveys {
        if !text.is_empty() {
            text.push('\n');
        }
        one(&mut text, survey);
    }
    text
}

/// In columns decimals stand below each other.
fn fixed(share: f64) -> String {
    format!("{:.2}%", share * 100.0)
}

fn one(text: &mut String, survey: &Survey) {
    let (name, described, units) = (survey.name(), described(survey), grouped(survey.units()));
    let _ = writeln!(text, "{name}: {units} units, {described}");
    let mut rows = vec![HEAD.map(str::to_owned)];
    for part in survey.parts() {
        let (low, high) = part.interval;
        // One of a hundred is outside by chance.
        let outside = part.told < low || part.told > high;
        rows.push([
            part.name,
            grouped(part.units),
            fixed(part.share),
            format!("{} to {}", fixed(low), fixed(high)),
            percent(part.told) + if outside { ", not in the interval" } else { "" },
        ]);
    }
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..HEAD.len()).filter_map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(at, (cell, width))| match at {
            0 | 4 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        let line: Vec<String> = cells.collect();
        let _ = writeln!(text, "  {}", line.join("  ").trim_end());
    }
    let Some((moves, shown)) = survey.moves() else {
        return;
    };
    let moved: u64 = moves.iter().map(|one| one.units).sum();
    if moved == 0 {
        text.push_str("  nobody moves\n");
        return;
    }
    let share = percent(moved as f64 / survey.units().max(1) as f64);
    let _ = writeln!(text, "  moved: {} units, {share}", grouped(moved));
    for one in moves {
        let share = percent(one.units as f64 / survey.units().max(1) as f64);
        let _ = writeln!(text, "    {} -> {}: {}, {share}", one.from, one.to, grouped(one.units));
    }
    text.push_str("  first of them:\n");
    for moved in shown {
        let _ = writeln!(
            text,
            "    {}: {} -> {}",
            moved.unit.escape_debug(),
            moved.from,
            moved.to
        );
    }
}

//! The report for a terminal.

use serde_json::Value;

const HEAD: [&str; 8] = [
    "CPU time of the Envoy process",
    "µs/request",
    "added",
    "±",
    "of ext_authz",
    "limit",
    "p50/p99 ms",
    "requests/s",
];

pub fn of(report: &Value) -> String {
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(report["variants"].as_array().into_iter().flatten().map(row));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let mut text = String::from("\n");
    for (at, row) in rows.iter().enumerate() {
        let cells = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
        if at == 0 {
            text += &"─".repeat(widths.iter().sum::<usize>() + 2 * (HEAD.len() - 1));
            text.push('\n');
        }
    }
    text
}

fn row(variant: &Value) -> [String; 8] {
    let number = |name: &str| variant[name].as_f64().unwrap_or(f64::NAN);
    // Less than nothing is what noise makes of nothing.
    let is_base = variant["key"] == crate::variants::BASE;
    let added = |text: String| if is_base { String::new() } else { text };
    let limits = variant["limits"].as_array().into_iter().flatten().map(|limit| {
        format!(
            "{:.2} {} {} × {}",
            limit["ratio"].as_f64().unwrap_or(f64::NAN),
            if limit["met"] == true { "≤" } else { "MISSED" },
            limit["at_most"],
            limit["of"].as_str().unwrap_or_default(),
        )
    });
    [
        variant["label"].as_str().unwrap_or_default().to_owned(),
        format!("{:.1}", number("us_per_request")),
        added(format!("{:.1}", number("us_added"))),
        added(format!("{:.1}", number("us_added_spread"))),
        added(format!("{:.2}", number("of_ext_authz"))),
        limits.collect::<Vec<_>>().join(", "),
        format!("{:.2}/{:.2}", number("p50_ms"), number("p99_ms")),
        format!("{:.0}", number("requests_per_second")),
    ]
}

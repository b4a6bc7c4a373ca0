//! The report as a bar chart: CPU time that each variant adds to a request.

use crate::curve;
use serde_json::Value;
use std::fmt::Write;

const LEFT: f64 = 300.0;
const BARS: f64 = 400.0;
const RIGHT: f64 = 200.0;
const TOP: f64 = 64.0;
const STEP: f64 = 30.0;
const BAR: f64 = 18.0;

pub fn of(report: &Value) -> String {
    let variants: Vec<&Value> = report["variants"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|variant| variant["key"] != crate::variants::BASE)
        .collect();
    let added = |variant: &Value| variant["us_added"].as_f64().unwrap_or(0.0).max(0.0);
    let most = variants.iter().map(|variant| added(variant)).fold(1.0, f64::max);
    let (width, height) = (LEFT + BARS + RIGHT, TOP + STEP * variants.len() as f64 + 24.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"#222\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    text(
        &mut svg,
        16.0,
        24.0,
        "start",
        "font-size=\"16\" font-weight=\"600\"",
        "CPU time added to a request",
    );
    let settings = &report["settings"];
    let made = format!(
        "{}, one worker, {} request headers, median of {} rounds, less is better",
        report["envoy"].as_str().unwrap_or_default(),
        settings["request_headers"],
        settings["rounds"],
    );
    text(&mut svg, 16.0, 43.0, "start", "fill=\"#666\"", &made);
    for (at, variant) in variants.iter().enumerate() {
        let y = TOP + STEP * at as f64;
        let middle = y + BAR * 0.75;
        let length = BARS * added(variant) / most;
        let colour = match variant["label"].as_str() {
            Some(label) if label.starts_with("Meshgate") => "#2a6fb0",
            _ => "#9aa3ab",
        };
        text(
            &mut svg,
            LEFT - 10.0,
            middle,
            "end",
            "",
            variant["label"].as_str().unwrap_or_default(),
        );
        let _ = writeln!(
            svg,
            "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"2\" fill=\"{colour}\"/>"
        );
        let value = format!(
            "{:.1} µs, {:.2} of ext_authz",
            added(variant),
            variant["of_ext_authz"].as_f64().unwrap_or(0.0)
        );
        text(&mut svg, LEFT + length + 8.0, middle, "start", "fill=\"#444\"", &value);
    }
    svg.push_str("</svg>\n");
    svg
}

/// What one request costs as the policy and the memory grow; the axis is in powers of ten.
pub fn growth(report: &Value) -> String {
    let mut lines: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    for variant in report["variants"].as_array().into_iter().flatten() {
        let (Some(what), Some(many)) = (variant["grows"]["what"].as_str(), variant["grows"]["many"].as_f64()) else {
            continue;
        };
        let point = (many.log10(), variant["us_added"].as_f64().unwrap_or(0.0));
        match lines.iter_mut().find(|(name, _)| name == what) {
            Some((_, points)) => points.push(point),
            None => lines.push((what.to_owned(), vec![point])),
        }
    }
    let lines: Vec<curve::Line> = lines.iter().map(|(name, points)| (&**name, &points[..])).collect();
    curve::draw(
        "What a request costs as things grow",
        "how many, as a power of ten",
        "µs of CPU added to a request",
        &lines,
    )
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, style: &str, content: &str) {
    let content = content.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" {style}>{content}</text>"
    );
}

//! Lines over an axis, as SVG.

use std::fmt::Write;

const LEFT: f64 = 64.0;
const TOP: f64 = 56.0;
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 260.0;
const RIGHT: f64 = 200.0;
const BOTTOM: f64 = 48.0;
const COLOURS: [&str; 4] = ["#2a6fb0", "#c2571a", "#3a8f4d", "#7a4fb0"];

/// A named line; both axes begin at zero, or the first at its own start where that is positive.
pub type Line<'a> = (&'a str, &'a [(f64, f64)]);

pub fn draw(title: &str, across: &str, up: &str, lines: &[Line]) -> String {
    let all = || lines.iter().flat_map(|(_, points)| points.iter());
    let most = |of: fn(&(f64, f64)) -> f64| all().map(of).fold(1e-9, f64::max);
    let (right, top) = (most(|point| point.0), most(|point| point.1) * 1.15);
    let x = |value: f64| LEFT + WIDTH * value / right;
    let y = |value: f64| TOP + HEIGHT - HEIGHT * value / top;
    let (width, height) = (LEFT + WIDTH + RIGHT, TOP + HEIGHT + BOTTOM);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"#222\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"16\" y=\"26\" font-size=\"16\" font-weight=\"600\">{title}</text>\n\
         <text x=\"16\" y=\"45\" fill=\"#666\">{up}</text>\n"
    );
    for step in 0..=4 {
        let value = top * f64::from(step) / 4.0;
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#e3e6e8\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#666\">{value:.0}</text>",
            LEFT + WIDTH,
            LEFT - 8.0,
            y(value) + 4.0,
            at = y(value),
        );
        let value = right * f64::from(step) / 4.0;
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#666\">{}</text>",
            x(value),
            TOP + HEIGHT + 18.0,
            (value * 10.0).round() / 10.0,
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#666\">{across}</text>",
        LEFT + WIDTH / 2.0,
        TOP + HEIGHT + 38.0
    );
    for (at, (name, points)) in lines.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        let path: Vec<String> = points
            .iter()
            .map(|(a, b)| format!("{:.1},{:.1}", x(*a), y(*b)))
            .collect();
        let end = points.last().copied().unwrap_or_default();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{name}</text>",
            path.join(" "),
            x(end.0) + 8.0,
            y(end.1) + 4.0
        );
    }
    svg + "</svg>\n"
}

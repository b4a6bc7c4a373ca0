//! A survey as a bar chart: what came out, its interval, and what the policy says.

use super::{Survey, described, grouped, percent};
use std::fmt::Write;

const LEFT: f64 = 190.0;
const BARS: f64 = 480.0;
const RIGHT: f64 = 250.0;
const TOP: f64 = 76.0;
const GROUP: f64 = 52.0;
const STEP: f64 = 28.0;
const BAR: f64 = 16.0;
/// Told apart also by those who see colours otherwise (Okabe and Ito).
const COLOURS: [&str; 7] = [
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a800",
];
const NOBODYS: &str = "#c3c8cd";

pub fn chart(surveys: &[Survey]) -> String {
    let rows: f64 = surveys
        .iter()
        .map(|survey| survey.parts().len() as f64 * STEP + GROUP)
        .sum();
    let (width, height) = (LEFT + BARS + RIGHT, TOP + rows + 46.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"#222\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    let units = surveys.first().map_or(0, Survey::units);
    text(
        &mut svg,
        (20.0, 30.0),
        "font-size=\"18\" font-weight=\"600\"",
        "Who gets what",
    );
    let made = format!(
        "{} units; whiskers: 99% interval; dark mark: what the policy says",
        grouped(units)
    );
    text(&mut svg, (20.0, 52.0), "fill=\"#666\"", &made);
    axis(&mut svg, height - 40.0);
    let mut y = TOP;
    for survey in surveys {
        y = one(&mut svg, y, survey);
    }
    svg.push_str("</svg>\n");
    svg
}

fn axis(svg: &mut String, bottom: f64) {
    for tenth in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let x = LEFT + BARS * tenth;
        let top = TOP + 22.0;
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{top:.1}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\" stroke=\"#e4e7ea\"/>"
        );
        let style = "fill=\"#888\" font-size=\"11\" text-anchor=\"middle\"";
        text(svg, (x, bottom + 16.0), style, &percent(tenth));
    }
}

fn one(svg: &mut String, top: f64, survey: &Survey) -> f64 {
    text(
        svg,
        (20.0, top + 16.0),
        "font-size=\"14\" font-weight=\"600\"",
        survey.name(),
    );
    // Behind the name, whose width is not known: right-aligned.
    let style = "fill=\"#666\" font-size=\"12\" text-anchor=\"end\"";
    text(svg, (LEFT + BARS + RIGHT - 20.0, top + 16.0), style, &described(survey));
    let mut y = top + 28.0;
    for (at, part) in survey.parts().iter().enumerate() {
        let middle = y + BAR / 2.0;
        let colour = match part.name.starts_with('(') {
            true => NOBODYS,
            false => COLOURS.get(at % COLOURS.len()).copied().unwrap_or(NOBODYS),
        };
        text(
            svg,
            (LEFT - 12.0, middle + 4.5),
            "text-anchor=\"end\"",
            &shortened(&part.name),
        );
        let (length, (low, high), told) = (BARS * part.share, part.interval, LEFT + BARS * part.told);
        let (low, high) = (LEFT + BARS * low, LEFT + BARS * high);
        let (above, below) = (middle - 5.0, middle + 5.0);
        let (from, to) = (y - 3.0, y + BAR + 3.0);
        let _ = write!(
            svg,
            "<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"2\" fill=\"{colour}\"/>\n\
             <path d=\"M{low:.1} {middle:.1}H{high:.1}M{low:.1} {above:.1}V{below:.1}M{high:.1} {above:.1}V{below:.1}\" \
             stroke=\"#333\" stroke-width=\"1.2\" fill=\"none\"/>\n\
             <line x1=\"{told:.1}\" y1=\"{from:.1}\" x2=\"{told:.1}\" y2=\"{to:.1}\" stroke=\"#111\" stroke-width=\"2\"/>\n"
        );
        let (share, units, said) = (percent(part.share), grouped(part.units), percent(part.told));
        let value = format!("{share} · {units} · policy {said}");
        text(
            svg,
            (high.max(told).max(LEFT + length) + 10.0, middle + 4.5),
            "fill=\"#444\"",
            &value,
        );
        y += STEP;
    }
    if let Some((moves, _)) = survey.moves() {
        let moved: u64 = moves.iter().map(|one| one.units).sum();
        let share = percent(moved as f64 / survey.units().max(1) as f64);
        let (colour, told) = match moved {
            0 => ("#888", "nobody moves".to_owned()),
            _ => ("#a33", format!("moved: {} units, {share}", grouped(moved))),
        };
        let style = format!("fill=\"{colour}\" font-size=\"12\"");
        text(svg, (LEFT, y + 10.0), &style, &told);
    }
    top + survey.parts().len() as f64 * STEP + GROUP
}

/// A name of 64 letters would stand in the bar.
fn shortened(name: &str) -> String {
    const MOST: usize = 22;
    match name.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", name.get(..end).unwrap_or_default()),
        None => name.to_owned(),
    }
}

fn text(svg: &mut String, (x, y): (f64, f64), style: &str, content: &str) {
    let content = content.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" {style}>{content}</text>");
}

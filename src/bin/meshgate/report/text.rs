//! For people: the place, what is wrong there, the line, and a mark under it.

use super::{Finding, Report, Severity, Spot};
use std::io::IsTerminal;

/// Longer lines are cut around the mark: a policy may be one line of megabytes.
const SHOWN: usize = 120;
const BEFORE: usize = 60;

const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[1;33m";
const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

pub fn text(report: &Report, colours: bool) -> String {
    let mut out = String::new();
    for finding in &report.findings {
        add(report, finding, colours, &mut out);
    }
    out
}

/// Only where somebody looks at them, and does not ask otherwise (no-color.org).
#[expect(clippy::disallowed_methods, reason = "the edge where it is read")]
pub fn colours() -> bool {
    let says = |name, text: &str| std::env::var_os(name).is_some_and(|value| value == text);
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !refused && !says("TERM", "dumb")
}

fn add(report: &Report, finding: &Finding, colours: bool, out: &mut String) {
    let paint = |colour, text: &str| match colours {
        true => format!("{colour}{text}{PLAIN}"),
        false => text.to_owned(),
    };
    let name = report.file(finding).map_or("", |file| file.name.as_str());
    let place = match finding.fault.at {
        Some(at) => format!("{name}:{}:{}:", at.line(), at.column()),
        None => format!("{name}:"),
    };
    let (colour, word) = match finding.severity {
        Severity::Fault => (RED, ""),
        Severity::Warning => (YELLOW, "warning: "),
    };
    let (place, word) = (paint(BOLD, &place), paint_some(&paint, colour, word));
    out.push_str(&format!("{place} {word}{}\n", harmless(&finding.told())));
    if let Some(spot) = report.spot(finding) {
        let (line, mark) = marked(&spot);
        let number = spot.line.to_string();
        let margin = " ".repeat(number.len());
        out.push_str(&format!("{} {line}\n", paint(DIM, &format!("  {number} |"))));
        out.push_str(&format!(
            "{} {}\n",
            paint(DIM, &format!("  {margin} |")),
            paint_mark(&paint, colour, &mark)
        ));
    }
}

fn paint_some(paint: &impl Fn(&'static str, &str) -> String, colour: &'static str, text: &str) -> String {
    match text {
        "" => String::new(),
        text => paint(colour, text),
    }
}

/// The blanks before it have no colour.
fn paint_mark(paint: &impl Fn(&'static str, &str) -> String, colour: &'static str, mark: &str) -> String {
    let marks = mark.trim_start_matches([' ', '\t']);
    let blanks = mark.strip_suffix(marks).unwrap_or_default();
    format!("{blanks}{}", paint(colour, marks))
}

/// The line, or what of it fits, and the marks under it.
fn marked(spot: &Spot) -> (String, String) {
    let length = spot.text.chars().count();
    let (skipped, cut) = match length > SHOWN {
        true => (spot.column.saturating_sub(BEFORE), length),
        false => (0, 0),
    };
    let mut shown: String = spot.text.chars().skip(skipped).take(SHOWN).collect();
    let lead = if skipped > 0 { "…" } else { "" };
    if cut > skipped + SHOWN {
        shown.push('…');
    }
    let column = spot.column.saturating_sub(1 + skipped);
    // A tab above is a tab below, whatever its width.
    let blanks = shown.chars().take(column).map(|c| if c == '\t' { '\t' } else { ' ' });
    let blanks: String = lead.chars().map(|_| ' ').chain(blanks).collect();
    let marks = "^".repeat(spot.width.clamp(1, SHOWN.saturating_sub(column).max(1)));
    (format!("{lead}{}", harmless(&shown)), format!("{blanks}{marks}"))
}

/// How many characters the word has that begins at `column`: a quoted text, or all up to what ends a plain one.
pub fn width(line: &str, column: usize) -> usize {
    let mut rest = line.chars().skip(column.saturating_sub(1)).peekable();
    let quote = rest.peek().copied().filter(|c| matches!(c, '"' | '\''));
    let mut width = 0;
    let mut blanks = 0;
    let mut before = ' ';
    for c in rest {
        match quote {
            Some(quote) if width > 0 && c == quote && before != '\\' => return width + 1,
            Some(_) => width += 1,
            None if matches!(c, ',' | '{' | '}' | '[' | ']') || (c == '#' && blanks > 0) => break,
            None if c == ' ' && before == ':' => {
                // A field: its name is what is marked.
                return width.saturating_sub(1).max(1);
            }
            None if c.is_whitespace() => blanks += 1,
            None => {
                width += blanks + 1;
                blanks = 0;
            }
        }
        before = c;
    }
    match before {
        ':' if width > 1 => width - 1,
        _ => width.max(1),
    }
}

/// What a policy says moves nobody's cursor.
fn harmless(text: &str) -> String {
    let shown = |c: char| {
        if c.is_control() && c != '\t' && c != '\n' {
            '\u{fffd}'
        } else {
            c
        }
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::width;

    #[test]
    fn what_is_marked() {
        for (line, column, marked) in [
            ("mode: off", 7, "off"),
            ("mode: off", 1, "mode"),
            ("  rules:", 3, "rules"),
            ("a: { b: c d, e: f }", 9, "c d"),
            ("a: [x, \"y z\", w]", 8, "\"y z\""),
            ("a: two words  # why", 4, "two words"),
            ("a: http://x/y", 4, "http://x/y"),
            ("- { a: 1 }", 3, "{"),
            ("x", 9, "x"),
            ("'it''s'", 1, "'it'"),
        ] {
            assert_eq!(width(line, column), marked.chars().count(), "{line} at {column}");
        }
    }
}

//! SARIF 2.1.0 (OASIS): what code hosts show beside the lines of a change.

use super::{Finding, Report, Severity};
use serde_json::{Value, json};

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
const HELP: &str = "meshgate check";

pub fn sarif(report: &Report) -> String {
    let results: Vec<Value> = report.findings.iter().map(|finding| result(report, finding)).collect();
    let rule = |id: &str, what: &str, level: &str| {
        json!({
            "id": id,
            "shortDescription": { "text": what },
            "help": { "text": HELP },
            "defaultConfiguration": { "level": level },
        })
    };
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "meshgate",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": [
                    rule("fault", "the policy is not loaded", "error"),
                    rule("warning", "worth a look", "warning"),
                ],
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{log:#}\n")
}

fn result(report: &Report, finding: &Finding) -> Value {
    let (rule, index, level) = match finding.severity {
        Severity::Fault => ("fault", 0, "error"),
        Severity::Warning => ("warning", 1, "warning"),
    };
    let name = report.file(finding).map_or("-", |file| file.name.as_str());
    // Without a place a host shows it at the file's head.
    let region = match (report.spot(finding), finding.fault.at) {
        (Some(spot), _) => json!({
            "startLine": spot.line,
            "startColumn": spot.column,
            "endColumn": spot.column + spot.width,
            "snippet": { "text": spot.text },
        }),
        (None, Some(at)) => json!({ "startLine": at.line(), "startColumn": at.column() }),
        (None, None) => json!({ "startLine": 1 }),
    };
    json!({
        "ruleId": rule,
        "ruleIndex": index,
        "level": level,
        "message": { "text": finding.told() },
        "locations": [{ "physicalLocation": { "artifactLocation": { "uri": uri(name) }, "region": region } }],
    })
}

/// A path as a relative reference (RFC 3986).
fn uri(name: &str) -> String {
    let mut uri = String::new();
    for byte in name.strip_prefix("./").unwrap_or(name).bytes() {
        match byte {
            b if b.is_ascii_alphanumeric() || b"-._~/".contains(&b) => uri.push(char::from(b)),
            b'\\' => uri.push('/'),
            b => uri.push_str(&format!("%{b:02X}")),
        }
    }
    uri
}

//! For programs: one object.

use super::{Finding, Report, Severity};
use serde_json::{Value, json};

pub fn json(report: &Report) -> String {
    let listed = |severity| -> Vec<Value> {
        let findings = report.of_severity(severity);
        findings.map(|finding| one(report, finding)).collect()
    };
    let object = json!({
        "fine": report.is_fine(),
        "faults": listed(Severity::Fault),
        "warnings": listed(Severity::Warning),
    });
    format!("{object:#}\n")
}

fn one(report: &Report, finding: &Finding) -> Value {
    let fault = &finding.fault;
    let mut object = json!({ "path": fault.path, "message": fault.message });
    let Some(fields) = object.as_object_mut() else {
        return object;
    };
    let mut put = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    if let Some(file) = report.file(finding) {
        put("file", file.name.as_str().into());
    }
    if let Some(at) = fault.at {
        put("line", at.line().into());
        put("column", at.column().into());
    }
    if let Some(spot) = report.spot(finding) {
        put("end_column", (spot.column + spot.width).into());
    }
    if !finding.environments.is_empty() {
        put("environments", finding.environments.clone().into());
    }
    object
}

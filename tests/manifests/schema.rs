//! Istio's CRDs, and what a manifest has that they do not allow. Kubernetes would drop an unknown field with no more
//! than a warning; here it is a fault.

use super::{ROOT, documents};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

pub struct Schemas(Vec<Value>);

impl Schemas {
    pub fn of_istio() -> Self {
        let tool = Command::new(format!("{ROOT}/scripts/tool")).arg("istio-crds").output();
        let tool = tool.expect("scripts/tool");
        let why = String::from_utf8_lossy(&tool.stderr);
        assert!(tool.status.success(), "no CRDs of Istio to check against: {why}");
        let path = String::from_utf8(tool.stdout).expect("a path");
        Self(documents(Path::new(path.trim())))
    }

    /// Each as `path: what`.
    pub fn faults(&self, manifest: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        match self.schema(manifest) {
            Some(schema) => check(schema, &manifest["spec"], "spec", &mut faults),
            None => faults.push(format!("{} {}: unknown", manifest["apiVersion"], manifest["kind"])),
        }
        if !manifest["metadata"]["namespace"].is_string() {
            faults.push("metadata.namespace: missing".into());
        }
        faults
    }

    fn schema(&self, manifest: &Value) -> Option<&Value> {
        let (group, version) = manifest["apiVersion"].as_str()?.split_once('/')?;
        let mut all = self.0.iter().map(|crd| &crd["spec"]);
        let crd = all.find(|s| s["group"] == group && s["names"]["kind"] == manifest["kind"])?;
        let mut versions = crd["versions"].as_array()?.iter();
        let found = versions.find(|v| v["name"] == version)?;
        Some(&found["schema"]["openAPIV3Schema"]["properties"]["spec"])
    }
}

fn check(schema: &Value, value: &Value, path: &str, faults: &mut Vec<String>) {
    let mut fault = |what: &str| faults.push(format!("{path}: {what}"));
    let right = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        _ => schema["x-kubernetes-int-or-string"] == true || schema["x-kubernetes-preserve-unknown-fields"] == true,
    };
    if !right {
        return fault(&format!(
            "no {}",
            schema["type"].as_str().unwrap_or("value of a known type")
        ));
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        return fault("none of the words");
    }
    for name in schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        if value.get(name).is_none() {
            fault(&format!("{name} is missing"));
        }
    }
    for (i, item) in value.as_array().into_iter().flatten().enumerate() {
        check(&schema["items"], item, &format!("{path}[{i}]"), faults);
    }
    for (name, field) in value.as_object().into_iter().flatten() {
        let (path, known) = (format!("{path}.{name}"), &schema["properties"][name]);
        let any = &schema["additionalProperties"];
        match (known.is_object(), any.is_object()) {
            (true, _) => check(known, field, &path, faults),
            (false, true) => check(any, field, &path, faults),
            _ if schema["x-kubernetes-preserve-unknown-fields"] == true => {}
            _ => faults.push(format!("{path}: unknown field")),
        }
    }
}

//! The files of a folder: parts of a policy, in which `${name}` may stand for a value.

use super::ask;
use crate::config::folder::teams;
use serde_json::{Map, Value as Json, json};

/// As `${shop_host}`.
const VALUE: &str = r"\$\{[A-Za-z_][A-Za-z0-9_]*\}";

/// What may say in which environments it exists.
const RULE: &str = "/properties/rules/items";
const AUTHENTICATOR: &str = "/properties/authenticators/additionalProperties";
const FORCE: &str = "/properties/experiments/additionalProperties/properties/force";

pub fn platform() -> Json {
    let mut schema = ask::policy();
    for kept in [RULE, AUTHENTICATOR, FORCE] {
        allow_environments(schema.pointer_mut(kept));
    }
    // Rules may all be the teams'.
    if let Some(required) = schema.pointer_mut("/required").and_then(Json::as_array_mut) {
        required.retain(|field| field != "rules");
    }
    if let Some(properties) = properties(&mut schema) {
        properties.insert("teams".into(), ask::object(teams::inspect));
    }
    with_values(schema)
}

pub fn team() -> Json {
    let mut policy = ask::policy();
    for kept in [RULE, FORCE] {
        allow_environments(policy.pointer_mut(kept));
    }
    let all = properties(&mut policy).map(std::mem::take).unwrap_or_default();
    let own = all
        .into_iter()
        .filter(|(field, _)| teams::FILE.now.contains(&field.as_str()));
    let own: Map<String, Json> = own.collect();
    with_values(json!({ "type": "object", "additionalProperties": false, "properties": own }))
}

pub fn environment() -> Json {
    let plain = json!({ "type": ["string", "number", "boolean"] });
    let value = json!({ "anyOf": [plain, { "type": "array", "items": plain }] });
    let name = json!({ "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,63}$" });
    json!({ "type": ["object", "null"], "propertyNames": name, "additionalProperties": value })
}

fn properties(schema: &mut Json) -> Option<&mut Map<String, Json>> {
    schema.get_mut("properties").and_then(Json::as_object_mut)
}

fn allow_environments(schema: Option<&mut Json>) {
    if let Some(properties) = schema.and_then(properties) {
        let names = json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 });
        properties.insert("environments".into(), names);
    }
}

/// Wherever a value stands, `${name}` may stand for it. What is any text already takes it.
fn with_values(schema: Json) -> Json {
    let Json::Object(fields) = schema else { return schema };
    let whole = fields.get("type").and_then(Json::as_str).map(str::to_owned);
    let constrained = fields.contains_key("pattern");
    let fields: Map<String, Json> = fields
        .into_iter()
        .map(|(name, value)| match (name.as_str(), value) {
            ("properties", Json::Object(all)) => {
                let all: Map<String, Json> = all
                    .into_iter()
                    .map(|(name, schema)| (name, with_values(schema)))
                    .collect();
                (name, Json::Object(all))
            }
            ("items" | "additionalProperties", inner) => (name, with_values(inner)),
            ("anyOf", Json::Array(kinds)) => (name, Json::Array(kinds.into_iter().map(with_values).collect())),
            (_, value) => (name, value),
        })
        .collect();
    let value = match whole.as_deref() {
        // A part of a duration may be a value.
        Some("string") if constrained => json!({ "type": "string", "pattern": VALUE }),
        Some("number" | "integer" | "boolean" | "array") => {
            json!({ "type": "string", "pattern": format!("^{VALUE}$") })
        }
        None if fields.contains_key("enum") => json!({ "type": "string", "pattern": VALUE }),
        _ => return Json::Object(fields),
    };
    json!({ "anyOf": [fields, value] })
}

//! The shape of the settings, as the types describe it: what keys there are, and what they take.

use schemars::schema_for;
use serde_json::Value;

use super::Settings;

/// The JSON Schema of all settings.
pub(super) fn whole() -> Value {
    schema_for!(Settings).to_value()
}

/// The schema behind a reference, or behind what may be absent.
pub(super) fn resolve<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    let schema = schema["anyOf"].as_array().and_then(|options| options.first()).unwrap_or(schema);
    let reference = schema["$ref"].as_str().and_then(|r| r.strip_prefix('#'));
    reference.and_then(|pointer| root.pointer(pointer)).unwrap_or(schema)
}

/// What may be written for a key that takes one of a few words; none if it takes anything else.
pub(super) fn spellings(key: &str) -> Option<String> {
    let root = whole();
    let mut at = &root;
    for name in key.split('.') {
        let below = resolve(at, &root);
        at = match &below["properties"][name] {
            Value::Null => &below["additionalProperties"],
            property => property,
        };
    }
    Some(words(at)).filter(|words| !words.is_empty())
}

/// The words an enumeration takes, quoted; empty if it is none.
pub(super) fn words(property: &Value) -> String {
    let first = property["anyOf"].as_array().and_then(|options| options.first()).unwrap_or(property);
    let words: Vec<&str> = match (&first["oneOf"], &first["enum"]) {
        (Value::Array(options), _) => options.iter().filter_map(|o| o["const"].as_str()).collect(),
        (_, Value::Array(values)) => values.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", ")
}

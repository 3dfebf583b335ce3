//! Keys that do not exist, and the nearest that do.

use serde_json::Value;

use super::schema;

/// A sentence about the first unknown key; none if all are known.
pub(super) fn find(tree: &Value) -> Option<String> {
    let schema = schema::whole();
    search(tree, &schema, &schema, "")
}

fn search(tree: &Value, schema: &Value, root: &Value, path: &str) -> Option<String> {
    let schema = schema::resolve(schema, root);
    let (Value::Object(given), Some(known)) = (tree, schema.as_object()) else { return None };
    let properties = known.get("properties").and_then(Value::as_object);
    let any_name = known.get("additionalProperties").filter(|p| p.is_object());
    if properties.is_none() && any_name.is_none() {
        return None; // a value given as a table: the types will say so
    }
    for (name, value) in given {
        let at = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let below = properties.and_then(|p| p.get(name)).or(any_name);
        match below {
            Some(below) => {
                if let Some(sentence) = search(value, below, root, &at) {
                    return Some(sentence);
                }
            }
            None => {
                let names = properties.into_iter().flat_map(|p| p.keys());
                return Some(sentence(&at, path, name, names));
            }
        }
    }
    None
}

fn sentence<'a>(at: &str, path: &str, name: &str, known: impl Iterator<Item = &'a String>) -> String {
    let known: Vec<&String> = known.collect();
    let distance = |other: &&&String| strsim::damerau_levenshtein(name, other);
    let hint = match known.iter().min_by_key(distance) {
        Some(nearest) if strsim::damerau_levenshtein(name, nearest) <= name.len().div_ceil(2) => {
            let dot = if path.is_empty() { "" } else { "." };
            format!("did you mean `{path}{dot}{nearest}`?")
        }
        _ => format!("known here: {}", known.iter().map(|n| n.as_str()).collect::<Vec<_>>().join(", ")),
    };
    format!("unknown setting `{at}`: {hint}")
}

//! The reference page, made of the settings' own documentation.

use std::fmt::Write;

use schemars::schema_for;
use serde_json::Value;

use super::{HistorySection, NamespaceSettings, Settings, schema};

/// docs/configuration.md, as Markdown.
pub fn reference() -> String {
    let whole = schema::whole();
    let defaults = serde_json::to_value(Settings::default()).unwrap_or_default();
    let mut page = String::from(HEAD);
    for (name, part) in properties(&whole) {
        let description = text(part, "description");
        if name == "namespaces" {
            let one = schema_for!(NamespaceSettings).to_value();
            let defaults = serde_json::to_value(NamespaceSettings::default()).unwrap_or_default();
            section(&mut page, "namespaces.NAME", description, &one, &one, &defaults);
        } else {
            let below = schema::resolve(part, &whole);
            section(&mut page, name, description, below, &whole, &defaults[name]);
        }
    }
    page
}

const HEAD: &str = "# Configuration\n\n\
<!-- Made by `cargo xtask docs` from the settings' own documentation: edit crates/gateway/src/settings. -->\n\n\
A node needs none: `tidegate` alone listens on loopback and works from memory. Settings come from a TOML\n\
file that is named (`--config FILE`, or `TIDEGATE_CONFIG`), then the environment, then flags; later ones win.\n\
In the environment `[server] listen` is `TIDEGATE_SERVER__LISTEN` (two underscores; lists with commas); other\n\
`TIDEGATE_…` variables are ignored, save `TIDEGATE_LOG`, the filter of the log (`info`, `tidegate_gateway=debug`).\n\
`tidegate config check` says what is wrong, `tidegate config show` what is in force.\n\n\
Durations are texts such as `\"25s\"` or `\"30d\"`, sizes such as `\"64KiB\"`.\n\n\
While every public listener is on loopback, `auth.anonymous`, `server.page` and\n\
`namespaces.default.publish = \"anyone\"` are on. Otherwise they are off until set, and `serve` refuses to\n\
start without a way in: `auth.hmac_secret`, or `auth.anonymous = true`.\n";

/// A section, and the sections in it.
fn section(
    page: &mut String,
    title: &str,
    description: &str,
    schema: &Value,
    root: &Value,
    defaults: &Value,
) {
    let _ = write!(page, "\n## [{title}]\n\n{description}\n\n");
    table(page, schema, defaults);
    for (name, part) in properties(schema) {
        let inner = schema::resolve(part, root);
        if inner["properties"].is_object() {
            let _ = write!(page, "\n### [{title}.{name}]\n\n{}\n\n", text(inner, "description"));
            table(page, inner, &inner_defaults(name));
        }
    }
}

/// The defaults of a section that is not there by default.
fn inner_defaults(name: &str) -> Value {
    match name {
        "history" => serde_json::to_value(HistorySection::default()).unwrap_or_default(),
        _ => Value::Null,
    }
}

fn table(page: &mut String, schema: &Value, defaults: &Value) {
    page.push_str("| key | type | default | meaning |\n| --- | --- | --- | --- |\n");
    for (name, property) in properties(schema) {
        let default = match &defaults[name.as_str()] {
            Value::Null => String::from("–"),
            value => format!("`{value}`"),
        };
        let meaning = text(property, "description").replace('\n', " ");
        let _ = writeln!(page, "| `{name}` | {} | {default} | {meaning} |", kind(property));
    }
}

/// The type of a value, in words.
fn kind(property: &Value) -> String {
    let words = schema::words(property);
    if !words.is_empty() {
        return words;
    }
    let first = property["anyOf"].as_array().and_then(|options| options.first()).unwrap_or(property);
    let name = match &first["type"] {
        Value::Array(types) => types.first().and_then(Value::as_str).unwrap_or("any"),
        other => other.as_str().unwrap_or("any"),
    };
    match (first["format"].as_str(), name) {
        (Some(format @ ("duration" | "size")), _) => format.to_owned(),
        (_, "array") => "text or list of texts".to_owned(),
        (_, "string") => "text".to_owned(),
        (_, "integer") => "number".to_owned(),
        (_, "boolean") => "`true`, `false`".to_owned(),
        (_, "any") => "section".to_owned(),
        (_, other) => other.to_owned(),
    }
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flatten()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

//! A list that may be written as one text: `"a"`, `"a,b"` (the environment has no lists) or `["a", "b"]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A list of texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct List(pub Vec<String>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "a text or a list of texts")]
enum Written {
    One(String),
    Many(Vec<String>),
}

impl List {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Written> for List {
    fn from(written: Written) -> Self {
        match written {
            Written::Many(items) => Self(items),
            Written::One(text) => {
                Self(text.split(',').map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned).collect())
            }
        }
    }
}

impl JsonSchema for List {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "List".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "array", "items": {"type": "string"}})
    }
}

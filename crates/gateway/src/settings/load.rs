//! Reads the world: a file that was named, the environment, flags. The only place that does.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use config::{Config, ConfigError, Environment, File, FileFormat};
use serde_json::Value;

use super::{Settings, schema, unknown};

/// Variables that are no settings although they start with the prefix.
const PREFIX: &str = "TIDEGATE_";

/// The longest file that is read, in bytes: a device named by mistake has no end.
const MAX_FILE: u64 = 1 << 20;

/// Why settings cannot be read. The message names key, value and source.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file is not there, or is no TOML.
    #[error("cannot read {0}: {1}")]
    File(PathBuf, String),
    /// A key that does not exist.
    #[error("{0}")]
    Unknown(String),
    /// A value of the wrong kind.
    #[error("{0}")]
    Value(String),
}

/// Where settings come from, later ones winning: file, environment, flags.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// A TOML file; none is read unless it is named.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: HashMap<String, String>,
    /// Flags, as key and value: `("redis.url", "redis://…")`.
    pub flags: Vec<(String, String)>,
}

impl Sources {
    /// The process' environment and nothing else. Variables of others may hold any bytes.
    ///
    /// # Errors
    /// [`LoadError::Value`] for a setting that is not UTF-8.
    pub fn from_environment() -> Result<Self, LoadError> {
        let mut environment = HashMap::new();
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str().filter(|name| ours(name)) else { continue };
            let value = value.into_string().map_err(|_| LoadError::Value(format!("{name} is not UTF-8")))?;
            environment.insert(name.to_owned(), value);
        }
        Ok(Self { environment, ..Self::default() })
    }

    /// Reads all sources.
    ///
    /// # Errors
    /// [`LoadError`] for what cannot be read, does not exist or has the wrong kind.
    pub fn load(self) -> Result<Settings, LoadError> {
        let mut builder = Config::builder();
        if let Some(path) = self.file {
            let text = read(&path).map_err(|error| LoadError::File(path.clone(), error.to_string()))?;
            // Parsed once by itself: config's own error would not name the file.
            toml::from_str::<toml::Table>(&text)
                .map_err(|error| LoadError::File(path.clone(), error.to_string()))?;
            builder = builder.add_source(File::from_str(&text, FileFormat::Toml));
        }
        let environment = self.environment.into_iter().filter(|(name, _)| ours(name)).collect();
        builder = builder.add_source(
            Environment::with_prefix("TIDEGATE")
                .prefix_separator("_")
                .separator("__")
                .ignore_empty(true)
                .source(Some(environment)),
        );
        for (key, value) in self.flags {
            builder =
                builder.set_override(&key, value).map_err(|error| LoadError::Value(error.to_string()))?;
        }
        let config = builder.build().map_err(|error| LoadError::Value(explain(&error)))?;
        let tree: Value =
            config.clone().try_deserialize().map_err(|error| LoadError::Value(explain(&error)))?;
        if let Some(sentence) = unknown::find(&tree) {
            return Err(LoadError::Unknown(sentence));
        }
        config.try_deserialize().map_err(|error| LoadError::Value(explain(&error)))
    }
}

/// Only names with two underscores are settings: Kubernetes makes TIDEGATE_SERVICE_HOST.
fn ours(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|rest| rest.contains("__"))
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = std::fs::File::open(path)?.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if read as u64 > MAX_FILE {
        return Err(io::Error::other(format!("a configuration has at most {MAX_FILE} bytes")));
    }
    Ok(text)
}

/// The key first, then what is wrong.
fn explain(error: &ConfigError) -> String {
    match error {
        ConfigError::At { error, key: Some(key), .. } => match (error.to_string(), schema::spellings(key)) {
            // serde's words for an enumeration name the type, not what may be written.
            (words, Some(known)) => match words.split_once("variant constructor ") {
                Some((_, given)) => format!("{key}: {given:?} was given, one of {known} is needed"),
                None => format!("{key}: {words}"),
            },
            (words, None) => format!("{key}: {words}"),
        },
        ConfigError::Type { key: Some(key), unexpected, expected, .. } => {
            format!("{key}: {unexpected} was given, {expected} is needed")
        }
        other => other.to_string(),
    }
}

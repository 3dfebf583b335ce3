//! The report as JSON: written whole, read back only when it is of the version that is known here.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::{Report, VERSION};

impl Report {
    /// Writes it as JSON.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(path, text + "\n").with_context(|| path.display().to_string())
    }

    /// Reads one that was written before.
    ///
    /// # Errors
    /// When it is no report, or of another version.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text).context("no JSON")?;
        let Some(version) = value.get("version").and_then(Value::as_u64) else {
            bail!("no report of a run: it names no version");
        };
        ensure!(
            version == u64::from(VERSION),
            "a report of version {version}; this program reads version {VERSION}: run the scenario again"
        );
        serde_json::from_value(value).context("no report of a run")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample;

    #[test]
    fn what_is_written_is_read_back_the_same() {
        let report = sample();
        assert_eq!(Report::parse(&serde_json::to_string_pretty(&report).unwrap()).unwrap(), report);
    }

    #[test]
    fn fields_that_come_later_do_not_matter() {
        let mut value = serde_json::to_value(sample()).unwrap();
        value["weather"] = "fair".into();
        assert_eq!(Report::parse(&value.to_string()).unwrap(), sample());
    }

    #[test]
    fn other_versions_and_other_files_are_refused_by_name() {
        let mut value = serde_json::to_value(sample()).unwrap();
        value["version"] = 2.into();
        for (text, part) in [
            (value.to_string(), "version 2; this program reads version 1"),
            ("{\"rounds\":[]}".to_owned(), "names no version"),
            ("{\"version\":1}".to_owned(), "no report of a run"),
            ("hello".to_owned(), "no JSON"),
        ] {
            let error = Report::parse(&text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}

//! What is demanded of a figure, and whether it was met.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Report;
use super::units::Unit;

/// One demand and its verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// Which figure: its name in files, as `p99_us`.
    pub figure: String,
    /// Its name for people.
    pub name: String,
    /// What it counts.
    pub unit: Unit,
    /// It may be so much.
    pub at_most: Option<f64>,
    /// It must be so much.
    pub at_least: Option<f64>,
    /// It was; `None` when it was not measured, which does not meet anything.
    pub value: Option<f64>,
    /// Whether it is within both.
    pub met: bool,
}

impl Threshold {
    /// Judges the figure `key` of a report.
    #[must_use]
    pub fn judge(report: &Report, key: &str, at_most: Option<f64>, at_least: Option<f64>) -> Self {
        let figure = report.figure(key);
        let value = figure.as_ref().map(|figure| figure.value);
        Self {
            figure: key.to_owned(),
            name: figure.as_ref().map_or(key, |figure| &figure.name).to_owned(),
            unit: figure.as_ref().map_or(Unit::Count, |figure| figure.unit),
            at_most,
            at_least,
            value,
            met: value.is_some_and(|value| {
                at_most.is_none_or(|most| value <= most) && at_least.is_none_or(|least| value >= least)
            }),
        }
    }

    /// The demand in words.
    #[must_use]
    pub fn demand(&self) -> String {
        let most = self.at_most.map(|most| format!("at most {}", self.unit.show(most)));
        let least = self.at_least.map(|least| format!("at least {}", self.unit.show(least)));
        most.into_iter().chain(least).collect::<Vec<_>>().join(", ")
    }

    /// What was measured, in words.
    #[must_use]
    pub fn measured(&self) -> String {
        self.value.map_or_else(|| "not measured".to_owned(), |value| self.unit.show(value))
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}, is {}", self.name, self.demand(), self.measured())
    }
}

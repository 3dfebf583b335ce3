//! Two reports side by side: every figure with its ratio, and what got worse.
//!
//! Reports and a tolerance come in; lines and one verdict leave. Faults have no tolerance: one more is worse.

use std::fmt;

use super::figures::{Better, Figure};
use super::{Report, Shape};

/// How a figure of B is beside that of A.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Within the tolerance.
    Same,
    /// Better by more than the tolerance.
    Better,
    /// Worse by more than the tolerance.
    Worse,
    /// Not judged.
    Told,
    /// Only one of them has it.
    Missing,
}

/// One figure of both.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Of A, or of B where A has none.
    pub figure: Figure,
    /// A's value.
    pub a: Option<f64>,
    /// B's value.
    pub b: Option<f64>,
    /// B's beside A's.
    pub change: Change,
}

/// All figures of both.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// In the order of the table.
    pub lines: Vec<Line>,
    /// Where the scenarios differ, in words.
    pub differences: Vec<String>,
}

impl Comparison {
    /// Compares B with A. `tolerance` is a share: 0.1 lets a figure be a tenth worse.
    #[must_use]
    pub fn new(a: &Report, b: &Report, tolerance: f64) -> Self {
        let (ours, theirs) = (a.figures(), b.figures());
        let mut lines: Vec<Line> = Vec::new();
        for figure in ours.iter().chain(theirs.iter()) {
            if lines.iter().any(|line| line.figure.key == figure.key) {
                continue;
            }
            let value =
                |of: &[Figure]| of.iter().find(|other| other.key == figure.key).map(|found| found.value);
            let (a, b) = (value(&ours), value(&theirs));
            let change = a.zip(b).map_or(Change::Missing, |(a, b)| judge(figure.better, a, b, tolerance));
            lines.push(Line { figure: figure.clone(), a, b, change });
        }
        Self { lines, differences: differences(&a.scenario, &b.scenario) }
    }

    /// Whether any figure got worse.
    #[must_use]
    pub fn worse(&self) -> bool {
        self.lines.iter().any(|line| line.change == Change::Worse)
    }
}

fn judge(better: Better, a: f64, b: f64, tolerance: f64) -> Change {
    // As a figure of which less is better.
    let (a, b) = match better {
        Better::Told => return Change::Told,
        Better::None | Better::Less => (a, b),
        Better::More => (b, a),
    };
    let tolerance = if better == Better::None { 0.0 } else { tolerance };
    if b > a * (1.0 + tolerance) {
        Change::Worse
    } else if a > b * (1.0 + tolerance) {
        Change::Better
    } else {
        Change::Same
    }
}

/// The URL may differ: that is what one compares.
fn differences(a: &Shape, b: &Shape) -> Vec<String> {
    let name = |shape: &Shape| shape.name.clone().unwrap_or_else(|| "none".to_owned());
    let of = |shape: &Shape| {
        [
            ("name", name(shape)),
            ("door", shape.door.clone()),
            ("connections", shape.connections.to_string()),
            ("channels", shape.channels.to_string()),
            ("rate", shape.rate.clone()),
            ("payload", shape.payload.to_string()),
            ("processes", shape.processes.to_string()),
        ]
    };
    let pairs = of(a).into_iter().zip(of(b));
    pairs.filter(|(a, b)| a != b).map(|((what, a), (_, b))| format!("{what} {a} in A, {b} in B")).collect()
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<28} {:>14} {:>14} {:>8}", "", "A", "B", "B ÷ A")?;
        for Line { figure, a, b, change } in &self.lines {
            let show =
                |value: &Option<f64>| value.map_or_else(|| "–".to_owned(), |value| figure.unit.show(value));
            let ratio = match a.zip(*b) {
                Some((a, b)) if a > 0.0 => format!("{:.2}", b / a),
                _ => "–".to_owned(),
            };
            let mark = match change {
                Change::Same | Change::Told => "",
                Change::Better => "  better",
                Change::Worse => "  WORSE",
                Change::Missing => "  only in one",
            };
            writeln!(f, "{:<28} {:>14} {:>14} {ratio:>8}{mark}", figure.name, show(a), show(b))?;
        }
        let worse = self.lines.iter().filter(|line| line.change == Change::Worse).count();
        match worse {
            0 => writeln!(f, "nothing got worse"),
            1 => writeln!(f, "1 figure got WORSE"),
            _ => writeln!(f, "{worse} figures got WORSE"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample;
    use crate::report::units::Unit;

    fn change(edit: impl Fn(&mut Report), key: &str) -> (Change, bool) {
        let mut b = sample();
        edit(&mut b);
        let comparison = Comparison::new(&sample(), &b, 0.1);
        let line = comparison.lines.iter().find(|line| line.figure.key == key).unwrap();
        (line.change, comparison.worse())
    }

    #[test]
    fn a_report_beside_itself_is_the_same() {
        let comparison = Comparison::new(&sample(), &sample(), 0.0);
        assert!(!comparison.worse() && comparison.differences.is_empty());
        assert!(comparison.to_string().ends_with("nothing got worse\n"));
    }

    #[test]
    fn worse_is_what_leaves_the_tolerance_in_the_wrong_direction() {
        let latency = |factor: f64| move |report: &mut Report| report.latency.p99_us *= factor;
        assert_eq!(change(latency(1.09), "p99_us"), (Change::Same, false));
        assert_eq!(change(latency(1.11), "p99_us"), (Change::Worse, true));
        assert_eq!(change(latency(0.5), "p99_us"), (Change::Better, false));
        let rate = |factor: f64| move |report: &mut Report| report.totals.deliveries_per_second *= factor;
        assert_eq!(change(rate(0.95), "deliveries_per_second"), (Change::Same, false));
        assert_eq!(change(rate(0.8), "deliveries_per_second"), (Change::Worse, true));
        assert_eq!(change(rate(2.0), "deliveries_per_second"), (Change::Better, false));
    }

    #[test]
    fn one_fault_more_is_worse_and_one_slow_delivery_is_not() {
        assert_eq!(change(|report| report.faults.lost = 1, "lost"), (Change::Worse, true));
        assert_eq!(change(|report| report.latency.max_us *= 10.0, "max_us"), (Change::Told, false));
    }

    #[test]
    fn a_figure_that_one_has_not_is_said_and_not_judged() {
        assert_eq!(change(|report| report.server = None, "memory"), (Change::Missing, false));
        let comparison = Comparison::new(&Report { server: None, ..sample() }, &sample(), 0.1);
        assert!(comparison.to_string().contains("only in one"));
    }

    #[test]
    fn what_a_scenario_adds_is_compared_too() {
        let with = |value| {
            let figure = Figure::new("caught_up_us", "caught up", value, Unit::Microseconds, Better::Less);
            sample().with_figures(vec![figure])
        };
        assert!(Comparison::new(&with(1e6), &with(2e6), 0.1).worse());
        assert!(!Comparison::new(&with(1e6), &with(1e6), 0.1).worse());
    }

    #[test]
    fn other_scenarios_are_told_another_address_is_not() {
        let mut other = sample();
        other.scenario.url = "ws://elsewhere".to_owned();
        assert!(Comparison::new(&sample(), &other, 0.1).differences.is_empty());
        other.scenario.connections = 20;
        let comparison = Comparison::new(&sample(), &other, 0.1);
        assert_eq!(comparison.differences, ["connections 10 in A, 20 in B"]);
    }
}

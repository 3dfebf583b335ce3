//! What a scenario measures beside deliveries: how connections came in, came back and were ended. And what must hold then.
//!
//! Counts come in; figures and demands go to the report, which shows and compares them.

use crate::report::Report;
use crate::report::figures::{Better, Figure};
use crate::report::threshold::Threshold;
use crate::report::units::Unit;
use crate::scenario::plan::Plan;
use crate::tally::Tally;

/// The figures of a run that took `ramp` nanoseconds until all were in, with so many failed attempts to connect.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts and times of one run")]
pub fn figures(plan: &Plan, (ramp, failures): (u64, u64), tally: &Tally) -> Vec<Figure> {
    use Better::{Less, More, None, Told};
    use Unit::{Count, Microseconds, PerSecond};
    let figure = Figure::new;
    let scenario = &plan.scenario;
    let (own, limits) = (scenario.own(), &plan.thresholds);
    // Some hundred connections are in within milliseconds: only who asks for it judges that.
    let if_asked = |asked: bool, better| if asked { better } else { Told };
    let per_second = if ramp > 0 { f64::from(own) * 1e9 / ramp as f64 } else { 0.0 };
    let connects = tally.connects.percentiles();
    let mut figures = vec![
        figure(
            "connects_per_second",
            "connects",
            per_second,
            PerSecond,
            if_asked(limits.connects_per_second.is_some(), More),
        ),
        figure(
            "connect_p99_us",
            "connect p99",
            connects.p99_us,
            Microseconds,
            if_asked(limits.connect_p99.is_some(), Less),
        ),
        figure("connect_failures", "failed to connect", failures as f64, Count, None),
    ];
    if scenario.storms > 0 {
        let expected = u64::from(scenario.storms) * u64::from(own);
        let missing = expected.saturating_sub(tally.returned);
        let returns = tally.returns.percentiles();
        figures.extend([
            figure("came_back", "came back", tally.returned as f64, Count, Told),
            figure("not_back", "not back", missing as f64, Count, None),
            figure("unrecovered", "not recovered", tally.unrecovered as f64, Count, None),
            figure("caught_up_p50_us", "caught up p50", returns.p50_us, Microseconds, Less),
        ]);
        // As long as somebody is not back, nobody knows the longest.
        if missing == 0 {
            figures.push(figure("caught_up_max_us", "caught up max", returns.max_us, Microseconds, Less));
        }
    }
    if scenario.slow.is_some() {
        let ended: u64 = tally.slow_ended.values().sum();
        let latency = tally.slow_latency.percentiles();
        figures.extend([
            figure("slow_ended", "slow, ended", ended as f64, Count, Told),
            figure("slow_p50_us", "slow, p50", latency.p50_us, Microseconds, Told),
            figure("slow_p99_us", "slow, p99", latency.p99_us, Microseconds, Told),
        ]);
    }
    if scenario.churn > 0.0 {
        figures.extend([
            figure("joined", "moved on", tally.joined as f64, Count, Told),
            figure("parted", "by unsubscribing", tally.parted as f64, Count, Told),
        ]);
    }
    if tally.pings > 0 {
        figures.push(figure("pings", "pings", tally.pings as f64, Count, Told));
    }
    figures
}

/// The limits of the scenario; and after storms all must be back with everything, whatever it says.
#[must_use]
pub fn demands(plan: &Plan, report: &Report) -> Vec<Threshold> {
    let mut demands = plan.thresholds.judge(report);
    if plan.scenario.storms > 0 {
        for key in ["not_back", "unrecovered"] {
            demands.push(Threshold::judge(report, key, Some(0.0), None));
        }
    }
    demands
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::Faults;
    use crate::receiver::Heard;
    use crate::report::Times;
    use crate::scenario::settings::Settings;

    fn judged(returned: u64, unrecovered: u64) -> Report {
        let text = "connections = 10\nstorms = 2\ndoors = 'native'\n[thresholds]\ncaught_up = '1s'";
        let plan = Plan::new(Settings::read(text).unwrap()).unwrap();
        let mut tally = Tally { delivered: 5, returned, unrecovered, ..Tally::default() };
        tally.returns.record(500_000_000);
        let figures = figures(&plan, (1_000_000_000, 0), &tally);
        let outcome = Heard { tally, faults: Faults::default() };
        let report = Report::new(&plan.scenario, "20".to_owned(), Times::default(), 5, &outcome, Vec::new());
        let report = report.with_figures(figures);
        let demands = demands(&plan, &report);
        report.with_thresholds(demands)
    }

    #[test]
    fn after_storms_all_must_be_back_with_everything() {
        let well = judged(20, 0);
        assert!(well.passed(), "{well}");
        assert_eq!(well.figure("connects_per_second").unwrap().value, 10.0);
        assert!(!judged(20, 1).passed());
        let ill = judged(19, 0);
        assert!(!ill.passed());
        let limit = ill.thresholds.iter().find(|limit| limit.figure == "caught_up_max_us").unwrap();
        assert_eq!((limit.value, limit.met), (None, false), "somebody never caught up");
    }
}

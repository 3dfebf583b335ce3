//! What is drawn of a report: each picture's lines, axes and words.

use super::chart::{Axis, Chart, Line};
use super::scale::Scale;
use crate::latency::Percentiles;
use crate::report::Report;
use crate::report::units::Unit;
use crate::series::Second;

/// Shorter parts than this at the end say more of where the cut was than of the server.
const SHORTEST: f64 = 0.25;

const MIB: f64 = 1024.0 * 1024.0;

type Of = fn(&Percentiles) -> f64;
const PERCENTILES: [(&str, &str, Of); 5] = [
    ("max", "c5", |latency| latency.max_us),
    ("p99.9", "c4", |latency| latency.p999_us),
    ("p99", "c3", |latency| latency.p99_us),
    ("p90", "c2", |latency| latency.p90_us),
    ("p50", "c1", |latency| latency.p50_us),
];

/// All pictures of a report, as far as there is something to draw.
#[must_use]
pub fn all(report: &Report) -> Vec<Chart> {
    let rows: Vec<&Second> = report.series.iter().filter(|row| row.length >= SHORTEST).collect();
    let events: Vec<&Second> = rows.iter().copied().filter(|row| row.counts()).collect();
    let mut charts = Vec::new();
    charts.extend(latency(&events));
    charts.extend(curve(report));
    if !events.is_empty() {
        charts.push(deliveries(&events));
        charts.push(connections(&rows));
        charts.push(cpu(&rows));
        charts.extend(memory(&rows));
        charts.extend(missing(&events));
    }
    charts
}

fn latency(rows: &[&Second]) -> Option<Chart> {
    let told = || rows.iter().filter_map(|row| row.latency.as_ref());
    let least = told().map(|latency| latency.p50_us).min_by(f64::total_cmp)?;
    let most = told().map(|latency| latency.max_us).max_by(f64::total_cmp)?;
    let line = |&(name, class, of): &(&'static str, &'static str, Of)| Line {
        name,
        class,
        points: rows.iter().map(|row| Some((row.at, of(row.latency.as_ref()?)))).collect(),
    };
    let values = |row: &Second| {
        let show = |latency: &Percentiles| PERCENTILES.map(|(_, _, of)| Unit::Microseconds.show(of(latency)));
        row.latency.as_ref().map_or_else(Vec::new, |latency| show(latency).to_vec())
    };
    Some(Chart {
        title: "Latency over time",
        note: "from the time an event was due to its delivery, of each second; logarithmic",
        across: time(rows),
        up: up(Scale::log(least.max(1.0), most), Unit::Microseconds, 5.0),
        lines: PERCENTILES.iter().map(line).collect(),
        filled: false,
        before: None,
        places: places(rows, values),
    })
}

/// The percentile curve: each step to the right is a tenth of the deliveries before.
#[expect(clippy::cast_precision_loss, reason = "shown in three digits")]
fn curve(report: &Report) -> Option<Chart> {
    let (first, last) = (report.curve.first()?, report.curve.last()?);
    // The slowest of n is drawn where one of 2n would be: 100 % is infinitely far.
    let rarest = 2.0 * last.count as f64;
    let rarity = |quantile: f64| (1.0 / (1.0 - quantile)).min(rarest);
    let points = report.curve.iter().map(|point| (rarity(point.quantile), point.us));
    let points: Vec<(f64, f64)> = std::iter::once((1.0, first.us)).chain(points).collect();
    let percent = |decade: i32| match decade {
        0 => "50 %".to_owned(),
        1 => "90 %".to_owned(),
        2 => "99 %".to_owned(),
        _ => format!("99.{} %", "9".repeat(usize::try_from(decade - 2).unwrap_or(0))),
    };
    // 0 % has no room beside 50 %.
    let decades = (0..=8).map(|decade| (10_f64.powi(decade).max(2.0), percent(decade)));
    let ticks: Vec<(f64, String)> = decades.filter(|tick| tick.0 <= rarest).collect();
    let place = |point: &crate::latency::Point| {
        let share = if point.quantile < 1.0 { short_percent(point.quantile) } else { "slowest".to_owned() };
        (rarity(point.quantile), share, vec![Unit::Microseconds.show(point.us)])
    };
    Some(Chart {
        title: "Latency by percentile",
        note: "this share of all deliveries came within that time (HDR histogram)",
        across: Axis { scale: Scale::exact_log(1.0, rarest.max(10.0)), ticks, name: "share of deliveries" },
        up: up(Scale::from_zero(last.us, 1.0), Unit::Microseconds, 4.0),
        lines: vec![Line { name: "", class: "c3", points: points.into_iter().map(Some).collect() }],
        filled: true,
        before: None,
        places: report.curve.iter().map(place).collect(),
    })
}

/// With as many digits as tell it from 100 %.
fn short_percent(quantile: f64) -> String {
    let places = (-(1.0 - quantile).log10()).ceil().clamp(1.0, 8.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 8")]
    let places = places as usize - 1;
    format!("{:.places$} %", quantile * 100.0)
}

fn deliveries(rows: &[&Second]) -> Chart {
    let values = rows.iter().map(|row| Some(row.deliveries_per_second)).collect();
    single("Deliveries a second", "events that arrived at connections", rows, "c3", values, Unit::PerSecond)
}

#[expect(clippy::cast_precision_loss, reason = "shown in three digits")]
fn connections(rows: &[&Second]) -> Chart {
    let values = rows.iter().map(|row| Some(row.open as f64)).collect();
    let mut chart = single("Connections", "open, subscriptions confirmed", rows, "c3", values, Unit::Count);
    // There was none at first.
    if let (Some(row), Some(line)) = (rows.first().filter(|row| !row.counts()), chart.lines.first_mut()) {
        line.points.insert(0, Some((row.at - row.length, 0.0)));
    }
    chart
}

fn cpu(rows: &[&Second]) -> Chart {
    let server: Vec<_> = rows.iter().map(|row| row.cores).collect();
    let own: Vec<_> = rows.iter().map(|row| Some(row.generator_cores)).collect();
    let watched = server.iter().any(Option::is_some);
    let most = server.iter().chain(&own).flatten().copied().fold(0.0, f64::max);
    let mut lines = vec![line("generator", "other", rows, &own)];
    if watched {
        lines.insert(0, line("server", "c3", rows, &server));
    }
    let values = |row: &Second| {
        let server =
            watched.then(|| row.cores.map_or_else(|| "–".to_owned(), |cores| Unit::Cores.show(cores)));
        server.into_iter().chain([Unit::Cores.show(row.generator_cores)]).collect()
    };
    Chart {
        title: "CPU",
        note: if watched {
            "in cores: 1 is one core all the time"
        } else {
            "in cores; the server was not watched"
        },
        across: time(rows),
        up: up(Scale::from_zero(most, 1.0), Unit::Cores, 4.0),
        lines,
        filled: watched,
        before: before(rows),
        places: places(rows, values),
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown in three digits")]
fn memory(rows: &[&Second]) -> Option<Chart> {
    let values: Vec<_> = rows.iter().map(|row| row.memory.map(|memory| memory as f64)).collect();
    values.iter().flatten().next()?;
    Some(single("Memory of the server", "resident, without files", rows, "c3", values, Unit::Bytes))
}

/// Only where anything was missing at any time: else the verdict says it.
#[expect(clippy::cast_precision_loss, reason = "shown in three digits")]
fn missing(rows: &[&Second]) -> Option<Chart> {
    let values: Vec<_> = rows.iter().map(|row| Some(row.missing as f64)).collect();
    values.iter().flatten().find(|&&missing| missing > 0.0)?;
    let note = "overtaken by a later event on the same connection, so far";
    Some(single("Events missing", note, rows, "bad", values, Unit::Count))
}

fn single(
    title: &'static str,
    note: &'static str,
    rows: &[&Second],
    class: &'static str,
    values: Vec<Option<f64>>,
    unit: Unit,
) -> Chart {
    let most = values.iter().flatten().copied().fold(0.0, f64::max);
    let grain = match unit {
        Unit::Bytes if most < 2.0 * MIB => 1024.0,
        Unit::Bytes => MIB,
        _ => 1.0,
    };
    let shown = rows.iter().zip(&values);
    let shown = shown.filter_map(|(row, value)| Some((row.at, heading(row), vec![unit.show((*value)?)])));
    Chart {
        title,
        note,
        across: time(rows),
        up: up(Scale::from_zero(most, grain), unit, 4.0),
        lines: vec![line("", class, rows, &values)],
        filled: true,
        before: before(rows),
        places: shown.collect(),
    }
}

fn line(name: &'static str, class: &'static str, rows: &[&Second], values: &[Option<f64>]) -> Line {
    let points = rows.iter().zip(values).map(|(row, value)| Some((row.at, (*value)?))).collect();
    Line { name, class, points }
}

fn up(scale: Scale, unit: Unit, count: f64) -> Axis {
    let ticks = scale.ticks(count).into_iter().map(|tick| (tick, unit.label(tick))).collect();
    Axis { scale, ticks, name: "" }
}

/// The axis of time: what happened within a second is drawn at its end.
fn time(rows: &[&Second]) -> Axis {
    let last = rows.last().map_or(1.0, |row| row.at);
    // Of the opening the beginning is seen too.
    let first = rows.first().map_or(0.0, |row| if row.counts() { row.at } else { row.at - row.length });
    let scale = Scale::exact(first.min(1.0), last);
    let ticks = scale.ticks(8.0).into_iter().map(|tick| (tick, format!("{tick}"))).collect();
    Axis { scale, ticks, name: "seconds since the first event was due" }
}

fn before(rows: &[&Second]) -> Option<(f64, &'static str)> {
    rows.first().filter(|row| !row.counts()).map(|_| (0.0, "opening"))
}

fn places(rows: &[&Second], values: impl Fn(&Second) -> Vec<String>) -> Vec<(f64, String, Vec<String>)> {
    rows.iter().map(|row| (row.at, heading(row), values(row))).filter(|place| !place.2.is_empty()).collect()
}

fn heading(row: &Second) -> String {
    format!("second to {:.1} s", row.at)
}

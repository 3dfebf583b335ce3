//! The text of the page: verdict, key figures, demands, pictures, and all figures in a table.

use std::fmt::Write;

use super::chart::Chart;
use super::{charts, escape};
use crate::report::figures::{Better, Figure};
use crate::report::units::{Unit, date};
use crate::report::{Report, Shape};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("hover.js");
/// No request leaves the page, whatever is written in it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";
/// The figures that one looks for first, and what stands below them.
const TILES: [(&str, &str); 8] = [
    ("deliveries_per_second", "deliveries"),
    ("delivered", "deliveries in all"),
    ("lost", "events lost"),
    ("cpu_us_per_delivery", "server CPU a delivery"),
    ("p50_us", "latency, median"),
    ("p99_us", "latency, 99 %"),
    ("p999_us", "latency, 99.9 %"),
    ("memory", "server memory, most"),
];

/// The whole page.
#[must_use]
pub fn page(report: &Report) -> String {
    let title = escape(&title(&report.scenario));
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\"/>\n\
         <title>Load test: {title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"
    );
    header(report, &title, &mut out);
    tiles(report, &mut out);
    let _ = writeln!(out, "<section class=\"charts\" aria-label=\"Pictures\">");
    out.extend(charts::all(report).into_iter().map(Chart::draw));
    out += "</section>\n<section class=\"tables\">\n<div>\n";
    demands(report, &mut out);
    scenario(report, &mut out);
    out += "</div>\n";
    figures(report, &mut out);
    let _ = write!(
        out,
        "</section>\n<footer>Made by {}. Latency counts from the time an event was due, so whoever falls behind cannot hide it.\
         </footer>\n</main>\n<div id=\"tip\" hidden=\"hidden\"></div>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        escape(&report.generator)
    );
    out
}

fn title(scenario: &Shape) -> String {
    scenario.name.clone().unwrap_or_else(|| {
        let channels = f64::from(scenario.channels);
        format!(
            "{} connections on {} {}",
            Unit::Count.show(f64::from(scenario.connections)),
            Unit::Count.show(channels),
            if scenario.channels == 1 { "channel" } else { "channels" }
        )
    })
}

fn header(report: &Report, title: &str, out: &mut String) {
    let (class, sign, word) =
        if report.passed() { ("good", "✓", "All well") } else { ("bad", "✗", "Failed") };
    let _ = writeln!(
        out,
        "<header>\n<p class=\"kind\">Load test · {}</p>\n<h1>{title}</h1>\n\
         <p class=\"verdict\"><strong class=\"pill {class}\"><span aria-hidden=\"true\">{sign}</span> {word}</strong> {}</p>\n</header>",
        date(report.made_at),
        escape(&verdict(report))
    );
}

/// The verdict in one sentence.
#[expect(clippy::cast_precision_loss, reason = "counts of one run")]
fn verdict(report: &Report) -> String {
    let delivered = Unit::Count.show(report.totals.delivered as f64);
    if report.totals.delivered == 0 {
        return "Nothing was delivered.".to_owned();
    }
    let faults: Vec<String> = report
        .figures()
        .into_iter()
        .filter(|figure| figure.better == Better::None && figure.value > 0.0)
        .map(|figure| format!("{} {}", Unit::Count.show(figure.value), figure.name))
        .collect();
    let unmet: Vec<String> =
        report.thresholds.iter().filter(|threshold| !threshold.met).map(ToString::to_string).collect();
    let mut sentence = if report.faults.none() {
        format!("All {delivered} deliveries came once and in order.")
    } else {
        format!("Of {delivered} deliveries:")
    };
    if !faults.is_empty() {
        let _ = write!(sentence, " {}.", faults.join(", "));
    }
    match unmet.as_slice() {
        [] => {}
        [one] => sentence += &format!(" Not met: {one}."),
        more => sentence += &format!(" {} demands are not met.", more.len()),
    }
    sentence
}

fn tiles(report: &Report, out: &mut String) {
    // Two rows either way.
    let class = if report.server.is_some() { "tiles" } else { "tiles three" };
    let _ = writeln!(out, "<section class=\"{class}\" aria-label=\"Key figures\">");
    for (key, name) in TILES {
        let Some(figure) = report.figure(key) else { continue };
        let alarm = figure.better == Better::None && figure.value > 0.0;
        let class = if alarm { "tile alarm" } else { "tile" };
        let _ = writeln!(out, "<div class=\"{class}\">{}<span>{name}</span></div>", data(&figure));
    }
    out.push_str("</section>\n");
}

/// A figure with its exact value beside the one to read.
fn data(figure: &Figure) -> String {
    let shown = escape(&figure.unit.show(figure.value));
    // The unit is smaller than the number.
    let shown = match shown.find([' ', '/']) {
        Some(at) => format!("{}<small>{}</small>", &shown[..at], &shown[at..]),
        None => shown,
    };
    format!(
        "<data class=\"figure\" data-figure=\"{}\" value=\"{}\">{shown}</data>",
        escape(&figure.key),
        figure.value
    )
}

/// What was demanded: no faults ever, and the thresholds.
fn demands(report: &Report, out: &mut String) {
    let mut rows = String::new();
    let mut row = |name: &str, demand: &str, measured: &str, met: bool| {
        let (class, word) = if met { ("good", "✓ met") } else { ("bad", "✗ not met") };
        let _ = writeln!(
            rows,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td><span class=\"mark {class}\">{word}</span></td></tr>",
            escape(name),
            escape(demand),
            escape(measured)
        );
    };
    let figures = report.figures();
    let never = ["lost", "twice", "reordered", "stray"];
    for figure in figures.iter().filter(|figure| never.contains(&&*figure.key)) {
        row(&figure.name, "none", &figure.unit.show(figure.value), figure.value == 0.0);
    }
    for threshold in &report.thresholds {
        row(&threshold.name, &threshold.demand(), &threshold.measured(), threshold.met);
    }
    let _ = writeln!(
        out,
        "<div class=\"card\"><h2>Demands</h2>\n<table><thead><tr><th scope=\"col\">figure</th><th scope=\"col\">demanded</th>\
         <th scope=\"col\">measured</th><th scope=\"col\"></th></tr></thead><tbody>\n{rows}</tbody></table></div>"
    );
}

fn scenario(report: &Report, out: &mut String) {
    let scenario = &report.scenario;
    let count = |value: u32| Unit::Count.show(f64::from(value));
    let rate = if report.totals.published == 0 || scenario.rate == "max" {
        scenario.rate.clone()
    } else {
        format!("{} a second", scenario.rate)
    };
    let rows = [
        ("gateway", scenario.url.clone()),
        ("door", scenario.door.clone()),
        ("connections", count(scenario.connections)),
        ("channels", count(scenario.channels)),
        ("events", rate),
        ("payload", format!("{} bytes", scenario.payload)),
        ("processes of the generator", count(scenario.processes)),
    ];
    out.push_str("<div class=\"card\"><h2>Scenario</h2>\n<table><tbody>\n");
    for (name, value) in rows {
        let _ = writeln!(out, "<tr><th scope=\"row\">{name}</th><td>{}</td></tr>", escape(&value));
    }
    for (what, reasons) in [("ended", &report.totals.ended), ("ended, slow", &report.totals.slow_ended)] {
        for (reason, count) in reasons {
            let _ =
                writeln!(out, "<tr><th scope=\"row\">{what}: {}</th><td>{count}</td></tr>", escape(reason));
        }
    }
    out.push_str("</tbody></table></div>\n");
}

fn figures(report: &Report, out: &mut String) {
    out.push_str("<div class=\"card\"><h2>All figures</h2>\n<table><tbody>\n");
    for figure in report.figures() {
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\">{}</th><td>{}</td></tr>",
            escape(&figure.name),
            data(&figure)
        );
    }
    out.push_str("</tbody></table></div>\n");
}

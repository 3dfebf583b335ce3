//! One picture: lines over two axes, drawn as SVG.
//!
//! Points and scales come in. What is under the pointer is worked out here too, as text for each place along
//! the horizontal axis, so that the page's script only has to show it.

use std::fmt::Write;

use super::escape;
use super::scale::Scale;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 270.0;
const LEFT: f64 = 58.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = HEIGHT - 42.0;
/// Between the names of two lines.
const NAME_HEIGHT: f64 = 14.0;

/// A line and how it is told.
#[derive(Clone, Debug)]
pub struct Line {
    /// Beside its end; empty for the only line of a picture.
    pub name: &'static str,
    /// Its class in the styles: its colour.
    pub class: &'static str,
    /// Where it goes; `None` breaks it.
    pub points: Vec<Option<(f64, f64)>>,
}

/// One picture.
pub struct Chart {
    /// What it shows.
    pub title: &'static str,
    /// How to read it.
    pub note: &'static str,
    /// The horizontal axis: values, label of each tick, and its name.
    pub across: Axis,
    /// The vertical one.
    pub up: Axis,
    /// Topmost first.
    pub lines: Vec<Line>,
    /// Whether the area below the first line is filled.
    pub filled: bool,
    /// Up to here the picture is shaded, and what that is called.
    pub before: Option<(f64, &'static str)>,
    /// At each place: where, its heading, and the value of each line.
    pub places: Vec<(f64, String, Vec<String>)>,
}

/// One axis and its words.
pub struct Axis {
    /// From values to pixels.
    pub scale: Scale,
    /// Where there is something to read, and what.
    pub ticks: Vec<(f64, String)>,
    /// What it counts.
    pub name: &'static str,
}

impl Chart {
    /// The picture with its heading.
    #[must_use]
    pub fn draw(self) -> String {
        let named = self.lines.iter().any(|line| !line.name.is_empty());
        let right = WIDTH - if named { 72.0 } else { 14.0 };
        let across = self.across.scale.clone().on(LEFT, right);
        let up = self.up.scale.clone().on(BOTTOM, TOP);
        let mut out = format!(
            "<figure class=\"card\"><figcaption><h3>{}</h3><p>{}</p></figcaption>\n<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             role=\"img\" aria-label=\"{}\" data-places=\"{}\" data-top=\"{TOP}\" data-bottom=\"{BOTTOM}\">\n",
            escape(self.title),
            escape(self.note),
            escape(self.title),
            escape(&self.places(&across)),
        );
        if let Some((until, name)) = self.before {
            let width = across.at(until) - LEFT;
            let _ = writeln!(
                out,
                "<rect class=\"before\" x=\"{LEFT}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{:.1}\"/>",
                BOTTOM - TOP
            );
            if width > 52.0 {
                let _ = writeln!(
                    out,
                    "<text class=\"faint\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{name}</text>",
                    LEFT + width / 2.0,
                    TOP + 13.0
                );
            }
        }
        for (value, label) in &self.up.ticks {
            let y = up.at(*value);
            let class = if *value == up.from() { "base" } else { "grid" };
            let _ = writeln!(
                out,
                "<line class=\"{class}\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 8.0,
                y + 4.0,
                escape(label)
            );
        }
        let _ = writeln!(
            out,
            "<line class=\"base\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{BOTTOM}\" y2=\"{BOTTOM}\"/>"
        );
        for (value, label) in &self.across.ticks {
            let x = across.at(*value);
            let _ = writeln!(
                out,
                "<line class=\"base\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{BOTTOM}\" y2=\"{:.1}\"/>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                BOTTOM + 4.0,
                BOTTOM + 17.0,
                escape(label)
            );
        }
        let _ = writeln!(
            out,
            "<text class=\"faint\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            f64::midpoint(LEFT, right),
            HEIGHT - 6.0,
            escape(self.across.name)
        );
        // The first line lies on top.
        for (index, line) in self.lines.iter().enumerate().rev() {
            line.draw(&across, &up, self.filled && index == 0, &mut out);
        }
        self.names(&up, right, &mut out);
        out += "<line class=\"cursor\" x1=\"0\" x2=\"0\" y1=\"0\" y2=\"0\"/>\n</svg></figure>\n";
        out
    }

    /// Each line's name beside its end, pushed apart where they would lie on each other.
    fn names(&self, up: &Scale, right: f64, out: &mut String) {
        let end = |line: &Line| line.points.iter().rev().flatten().next().map(|&(_, value)| up.at(value));
        let mut names: Vec<(f64, &Line)> = self
            .lines
            .iter()
            .filter(|line| !line.name.is_empty())
            .filter_map(|line| Some((end(line)?, line)))
            .collect();
        names.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut lowest = TOP - NAME_HEIGHT;
        for (y, _) in &mut names {
            *y = y.max(lowest + NAME_HEIGHT);
            lowest = *y;
        }
        let mut highest = BOTTOM + NAME_HEIGHT;
        for (y, _) in names.iter_mut().rev() {
            *y = y.min(highest - NAME_HEIGHT);
            highest = *y;
        }
        for (y, line) in names {
            let _ = writeln!(
                out,
                "<line class=\"key {}\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"name\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                line.class,
                right + 6.0,
                right + 16.0,
                right + 20.0,
                y + 4.0,
                escape(line.name)
            );
        }
    }

    /// For the script: pixel, heading and lines of text for each place.
    fn places(&self, across: &Scale) -> String {
        let place = |(value, heading, values): &(f64, String, Vec<String>)| {
            let rows = self.lines.iter().zip(values).map(|(line, value)| (line.name, line.class, value));
            let x = (across.at(*value) * 10.0).round() / 10.0;
            serde_json::json!([x, heading, rows.collect::<Vec<_>>()])
        };
        serde_json::Value::from(self.places.iter().map(place).collect::<Vec<_>>()).to_string()
    }
}

impl Line {
    fn draw(&self, across: &Scale, up: &Scale, filled: bool, out: &mut String) {
        for part in self.points.split(Option::is_none) {
            let spots: Vec<(f64, f64)> =
                part.iter().flatten().map(|&(x, y)| (across.at(x), up.at(y))).collect();
            let (Some(first), Some(last)) = (spots.first(), spots.last()) else { continue };
            if spots.len() == 1 {
                let _ = writeln!(
                    out,
                    "<circle class=\"dot {}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"/>",
                    self.class, first.0, first.1
                );
                continue;
            }
            let path = spots.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ");
            if filled {
                let _ = writeln!(
                    out,
                    "<polygon class=\"area {}\" points=\"{:.1},{BOTTOM} {path} {:.1},{BOTTOM}\"/>",
                    self.class, first.0, last.0
                );
            }
            let _ = writeln!(out, "<polyline class=\"line {}\" points=\"{path}\"/>", self.class);
        }
    }
}

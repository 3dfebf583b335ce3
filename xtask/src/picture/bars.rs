//! Bars of parts, one below the other, as an SVG. It must not know what they stand for.

use std::fmt::Write as _;

/// All lengths are those of the SVG's own units.
const WIDTH: f64 = 860.0;
const MARGIN: f64 = 24.0;
const BAR: f64 = 26.0;
/// From the title of one bar to that of the next.
const STEP: f64 = 88.0;
/// A letter of the legend, generously: how wide a text gets is the reader's font's.
const LETTER: f64 = 7.2;

/// A bar with its title; each part has its line of the legend below.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) title: String,
    pub(super) parts: Vec<Part>,
    /// What a bar over the full width would be.
    pub(super) whole: f64,
}

#[derive(Debug)]
pub(super) struct Part {
    pub(super) of: String,
    pub(super) size: f64,
    pub(super) colour: &'static str,
}

impl Bar {
    /// One over the full width.
    pub(super) fn full(title: String, parts: Vec<Part>) -> Self {
        let whole = parts.iter().map(|part| part.size).sum();
        Self { title, parts, whole }
    }
}

/// The SVG: text on white, so that it reads on a dark page, too.
pub(super) fn svg(label: &str, bars: &[Bar]) -> String {
    let height = STEP * bars.len() as f64 + MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"{label}\" font-family=\"system-ui, sans-serif\" font-size=\"13\">\n\
         <!-- Made by `cargo xtask docs`: xtask/src/picture.rs. -->\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" rx=\"8\" fill=\"#ffffff\"/>\n"
    );
    for (at, bar) in bars.iter().enumerate() {
        one(&mut svg, bar, MARGIN + STEP * at as f64);
    }
    svg.push_str("</svg>\n");
    svg
}

fn one(svg: &mut String, bar: &Bar, top: f64) {
    let Bar { title, parts, whole } = bar;
    let scale = (WIDTH - 2.0 * MARGIN) / whole;
    let (mut left, mut words) = (MARGIN, MARGIN);
    let (base, rect, legend) = (top + 10.0, top + 20.0, top + 62.0);
    let _ = writeln!(
        svg,
        "<text x=\"{MARGIN}\" y=\"{base}\" font-weight=\"600\" fill=\"#1b1f24\">{title}</text>"
    );
    for Part { of, size, colour } in parts {
        let width = size * scale;
        let _ = writeln!(
            svg,
            "<rect x=\"{left:.1}\" y=\"{rect}\" width=\"{:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>",
            (width - 1.0).max(0.0) // a thin gap between neighbours
        );
        let _ = writeln!(
            svg,
            "<rect x=\"{words:.1}\" y=\"{}\" width=\"11\" height=\"11\" fill=\"{colour}\"/>\
             <text x=\"{:.1}\" y=\"{legend}\" fill=\"#3a4149\">{of}</text>",
            legend - 10.0,
            words + 16.0
        );
        left += width;
        words += 34.0 + LETTER * of.chars().count() as f64;
    }
}

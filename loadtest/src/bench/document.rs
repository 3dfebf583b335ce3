//! The findings for people: one table with the bars, and the page that says how they came about.

use std::fmt::Write;

use super::fan_out::{PAYLOAD, Sample, WARM_UP};
use super::ratio::Ratio;
use super::{Findings, Subject};

/// One line of the table.
#[derive(Clone, Debug, PartialEq)]
struct Line {
    row: u32,
    work: String,
    figure: &'static str,
    bar: &'static str,
    measured: String,
    met: bool,
}

impl Findings {
    /// The table, in Markdown, readable as it is.
    #[must_use]
    pub fn table(&self) -> String {
        let mut lines = vec![["row", "work", "figure", "bar", "measured", "met"].map(str::to_owned)];
        lines.extend(self.lines().into_iter().map(|line| {
            let met = if line.met { "yes" } else { "**no**" };
            [
                line.row.to_string(),
                line.work,
                line.figure.to_owned(),
                line.bar.to_owned(),
                line.measured,
                met.to_owned(),
            ]
        }));
        grid(&lines)
    }

    /// The whole page.
    #[must_use]
    pub fn document(&self) -> String {
        let machine = &self.machine;
        let rounds = self.rounds.iter().filter(|round| round.row == 1).count();
        let verdict = if self.correct() {
            "In every measurement each event came to each subscriber once and in order, and no connection was ended."
        } else {
            "**Events were lost, doubled or out of order, or connections ended: these figures do not count.**"
        };
        format!(
            "# First figures\n\n\
             Ratios to the floor, measured in the same run; absolute times move with the machine. F is a server that\n\
             only upgrades and then writes one prepared frame to each socket with one blocking send\n\
             (`tidegate-loadtest floor`): what the kernel alone costs.\n\n\
             {table}\n\
             {verdict}\n\n\
             ## How\n\n\
             - {cores} shared cores, {memory} GiB, Linux {kernel}, loopback, congestion control {congestion}; load average {load:.1} before.\n\
             - `cargo xtask bench` builds the gateway as the image has it: release, feature `jemalloc`.\n\
             - Server on core {server}, generator and Redis on core {other}. Floor and gateway take turns, a fresh process each time,\n  \
               {rounds} rounds; the median of the paired ratios and their range.\n\
             - {subscribers} subscribers of one channel, {PAYLOAD} bytes, published through Redis; {warm_up} s of warming up, then {seconds} s measured.\n  \
               Row 2 keeps {window} events under way; the floor sends as fast as its blocking writes return.\n\
             - CPU is the scheduler's count for all threads of the server while measured, for each *confirmed* delivery:\n  \
               one that the generator has read and checked. Latency counts from the due time (in row 2: from the publish).\n\
             - Memory is what the process has more of its own (RssAnon) than before the first connection, after 30 s with pings.\n\n\
             `tidegate-loadtest bench` makes this page anew; every round is in the JSON file beside it.\n\n\
             ## Medians\n\n\
             {medians}",
            table = self.table(),
            cores = machine.cores,
            memory = machine.memory_gib,
            kernel = machine.kernel,
            congestion = machine.congestion_control,
            load = machine.load,
            server = super::process::SERVER_CORE,
            other = super::process::OTHER_CORE,
            subscribers = self.subscribers,
            warm_up = WARM_UP.as_secs(),
            seconds = self.seconds,
            window = self.window,
            medians = self.medians(),
        )
    }

    fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        let fan_out = |row, work: &str, subject| {
            let ratio = |figure: fn(&Sample) -> f64| self.ratio(row, subject, figure);
            (
                format!("{} × {work}, {}", self.subscribers, name(subject)),
                ratio(|sample| sample.cpu_us),
                [ratio(|sample| sample.deliveries_per_second), ratio(|sample| sample.latency.p99_us)],
            )
        };
        for subject in [Subject::Plain, Subject::Native] {
            if let (work, Some(cpu), _) = fan_out(1, "20/s", subject) {
                let (figure, met) = ("CPU a delivery ÷ F", cpu.median <= 1.10);
                lines.push(Line { row: 1, work, figure, bar: "≤ 1.10", measured: cpu.to_string(), met });
            }
        }
        for subject in [Subject::Plain, Subject::Native] {
            if let (work, _, [Some(speed), Some(p99)]) = fan_out(2, "full speed", subject) {
                let (figure, met) = ("deliveries/s ÷ F's", speed.median >= 7.0);
                lines.push(Line {
                    row: 2,
                    work: work.clone(),
                    figure,
                    bar: "≥ 7",
                    measured: speed.to_string(),
                    met,
                });
                let (figure, met) = ("p99 ÷ F's", p99.median <= 1.0);
                lines.push(Line { row: 2, work, figure, bar: "≤ 1", measured: p99.to_string(), met });
            }
        }
        for rest in &self.rests {
            let work = format!("{} idle, {}", rest.connections, name(rest.subject));
            let (kib, cpu) = (rest.bytes / 1024.0, rest.cpu_us_per_second);
            let measured = format!("{kib:.2} KiB");
            let figure = "memory a connection";
            lines.push(Line {
                row: 6,
                work: work.clone(),
                figure,
                bar: "≤ 1.25 KiB",
                measured,
                met: kib <= 1.25,
            });
            let figure = "CPU a connection";
            let measured = format!("{cpu:.2} µs/s");
            lines.push(Line { row: 7, work, figure, bar: "≤ 0.5 µs/s", measured, met: cpu <= 0.5 });
        }
        lines
    }

    fn samples(&self, row: u32, subject: Subject) -> impl Iterator<Item = &Sample> {
        let samples =
            self.rounds.iter().filter(move |round| round.row == row).flat_map(|round| &round.samples);
        samples.filter(move |sample| sample.subject == subject)
    }

    fn ratio(&self, row: u32, subject: Subject, figure: fn(&Sample) -> f64) -> Option<Ratio> {
        let (ours, floor) =
            (self.samples(row, subject).map(figure), self.samples(row, Subject::Floor).map(figure));
        Ratio::of(ours.zip(floor))
    }

    /// Absolute figures, for whoever knows the machine.
    fn medians(&self) -> String {
        let mut lines = vec![
            ["row", "server", "CPU a delivery", "deliveries/s", "cores", "p50", "p99"].map(str::to_owned),
        ];
        for row in [1, 2] {
            for subject in [Subject::Floor, Subject::Plain, Subject::Native] {
                // A ratio to one is a plain median.
                let median = |figure: fn(&Sample) -> f64| {
                    Ratio::of(self.samples(row, subject).map(|sample| (figure(sample), 1.0)))
                        .map(|ratio| ratio.median)
                };
                let (Some(cpu), Some(speed), Some(cores)) =
                    (median(|s| s.cpu_us), median(|s| s.deliveries_per_second), median(|s| s.cores))
                else {
                    continue;
                };
                let p50 = median(|s| s.latency.p50_us).unwrap_or(0.0) / 1e3;
                let p99 = median(|s| s.latency.p99_us).unwrap_or(0.0) / 1e3;
                lines.push([
                    row.to_string(),
                    name(subject).to_owned(),
                    format!("{cpu:.2} µs"),
                    format!("{speed:.0}"),
                    format!("{cores:.2}"),
                    format!("{p50:.1} ms"),
                    format!("{p99:.1} ms"),
                ]);
            }
        }
        let mut text = grid(&lines);
        for rest in &self.rests {
            let _ = writeln!(
                text,
                "\nRow 9, in passing: {} connections opened and subscribed by the {} door for {:.0} µs of CPU each.",
                rest.connections,
                name(rest.subject),
                rest.open_cpu_us
            );
        }
        text
    }
}

fn name(subject: Subject) -> &'static str {
    match subject {
        Subject::Floor => "floor",
        Subject::Plain => "plain",
        Subject::Native => "native JSON",
    }
}

/// A Markdown table with aligned columns; the first line is the head.
fn grid<const N: usize>(lines: &[[String; N]]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (cell, width) in line.iter().zip(widths) {
            let _ = write!(text, "| {cell:width$} ");
        }
        text.push_str("|\n");
        if number == 0 {
            for width in widths {
                let _ = write!(text, "|{}", "-".repeat(width + 2));
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests;

//! The findings for people: one table with the bars, and the page that says how they came about.

use std::fmt::Write;

use super::finding::{Figure, Findings, Measurement};
use super::flow::{PAYLOAD, WARM_UP};
use super::grid::grid;
use super::process::{OTHER_CORE, SERVER_CORE};
use super::ratio::Ratio;

impl Findings {
    /// The table, in Markdown, readable as it is.
    #[must_use]
    pub fn table(&self) -> String {
        let head = ["row", "work", "figure", "bar", "measured", "met", "Bun", "Socket.IO"];
        let mut lines = vec![head.map(str::to_owned)];
        lines.extend(self.lines().into_iter().map(|line| {
            let met = match line.met {
                Some(true) => "yes",
                Some(false) => "**no**",
                None => "",
            };
            let [bun, socket_io] = line.peers;
            let figure = line.figure.to_owned();
            [line.row.to_string(), line.work, figure, line.bar, line.measured, met.to_owned(), bun, socket_io]
        }));
        grid(&lines)
    }

    /// The whole page.
    #[must_use]
    pub fn document(&self) -> String {
        let machine = &self.machine;
        format!(
            "# Benchmarks\n\n\
             <!-- Made by `cargo xtask bench` from results/benchmarks.json; `cargo xtask docs` makes it anew. -->\n\n\
             Ratios to a floor, measured in the same run; absolute times move with the machine. F is a server that only upgrades and then writes one\n\
             prepared frame to each socket with one blocking send (`tidegate-loadtest floor`): what the kernel alone costs. R is a bare loop that reads a Redis\n\
             subscription and does one blocking send for each subscriber of the room (`room-floor`): what waking up costs anyway at many small publishes.\n\n\
             {verdict}\n\n\
             {table}\n\
             {notes}\
             ## How\n\n\
             - {day}; {cores} shared cores, {memory} GiB, Linux {kernel}, loopback, congestion control {congestion}; load average {load:.1} before. {programs}.\n\
             - `cargo xtask bench` builds the gateway as the image has it: release, feature `jemalloc`. `--rows 3,4` measures only these, `--quick` is for development.\n\
             - Server on core {SERVER_CORE}, generator and Redis on core {OTHER_CORE} (row 12: callers on core {SERVER_CORE}). Floor, gateway and peers take turns, fresh processes each time,\n  \
               {rounds} rounds (rows 6, 7 and what rests in row 13: one); the median of the paired ratios and their range. {warm_up} s of warming up, then {seconds} s measured; {PAYLOAD} bytes.\n\
             - CPU is the scheduler's count for all threads of the server while measured, for each *confirmed* delivery: one that the generator has read and\n  \
               checked. Latency counts from the due time (at full speed: from the publish). Row 2 keeps {window} events under way; the floor sends as fast as its\n  \
               blocking writes return.\n\
             - Memory is what the process has more of its own (RssAnon) than before the first connection; in row 6 after 30 s with pings, in row 8 14 s after the last echo, each\n  \
               connection on a channel of its own.\n\
             - Row 10: ten stored events a channel, the drop, two more events, then all come back at once, without backing off, each to be given these two. Commands are what\n  \
               `INFO commandstats` counts, calls inside functions included, for each connection and channel.\n\
             - Row 11: both nodes on core {SERVER_CORE}. Row 13: rates in total stay the same within a work; where sockets become more, their cost is held against the floor's.\n\
             - Peers: Bun's built-in server (uWebSockets) and Socket.IO with its Redis adapter, as their documentation sets them up (`loadtest/peers`), one process each.\n  \
               Their columns are the same figure in the same rounds, beside the plain door, which is the nearest to theirs. Events reach them through Redis: Bun subscribes to the\n  \
               gateway's own channels, one for each room; Socket.IO hears what its Redis emitter publishes. In row 8 Bun sends a client's message through Redis like the gateway,\n  \
               Socket.IO's adapter to Redis and directly to the room. \"At 62 %\" behind a figure: of the deliveries that fell due while measured only so many came meanwhile.\n\
             - Peers are not in rows 5 and 10: neither keeps events, so who comes back there would only connect, which is row 9. In row 9 they check no tokens; rows 11 to 13\n  \
               hold nodes and functions of ours against themselves.\n\n\
             ## Medians\n\n\
             {medians}",
            verdict = self.verdict(),
            table = self.table(),
            notes = self.notes(),
            day = self.day,
            cores = machine.cores,
            memory = machine.memory_gib,
            kernel = machine.kernel,
            congestion = machine.congestion_control,
            load = machine.load,
            programs = self.programs.join(", "),
            rounds = self.rounds,
            warm_up = WARM_UP.as_secs(),
            seconds = self.seconds,
            window = self.window,
            medians = self.medians(),
        )
    }

    fn verdict(&self) -> &'static str {
        if self.quick {
            "**A quick run, for development, with fewer connections than the works say: these figures do not count.**"
        } else if self.correct() {
            "In every measurement of the gateway and the floors each event came to each subscriber once and in order, and no connection was ended."
        } else {
            "**Events were lost, doubled or out of order, or connections ended: these figures do not count.**"
        }
    }

    /// What was left out, who fell behind, and what peers did wrong.
    fn notes(&self) -> String {
        let mut text = String::new();
        for line in self.failed.iter().chain(&self.skipped).cloned().chain(self.shortfalls()) {
            let _ = writeln!(text, "- {line}");
        }
        if text.is_empty() { text } else { format!("Not measured, or not as it should be:\n\n{text}\n") }
    }

    /// Absolute figures, for whoever knows the machine.
    fn medians(&self) -> String {
        let head = ["row", "work", "server", "CPU a delivery", "a second", "cores", "p50", "p99"];
        let mut lines = vec![head.map(str::to_owned)];
        let mut known = Vec::new();
        for Measurement { row, case, subject, .. } in &self.measurements {
            if known.contains(&(row, case, subject)) {
                continue;
            }
            known.push((row, case, subject));
            // A ratio to one is a plain median.
            let median = |figure, scale: f64, digits: usize, unit: &str| {
                let figures = self.figures(*row, case, *subject, figure).into_iter();
                Ratio::of(figures.map(|(_, value)| (value * scale, 1.0)))
                    .map_or_else(String::new, |ratio| format!("{:.digits$}{unit}", ratio.median))
            };
            let cells = [
                median(Figure::CpuUs, 1.0, 2, " µs"),
                median(Figure::PerSecond, 1.0, 0, ""),
                median(Figure::Cores, 1.0, 2, ""),
                median(Figure::P50Us, 1e-3, 1, " ms"),
                median(Figure::P99Us, 1e-3, 1, " ms"),
            ];
            if cells[2].is_empty() {
                continue;
            }
            let [cpu, speed, cores, p50, p99] = cells;
            lines.push([row.to_string(), case.clone(), subject.to_string(), cpu, speed, cores, p50, p99]);
        }
        grid(&lines)
    }
}

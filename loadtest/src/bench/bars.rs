//! The bars, and what was measured held against them: one line of the table each.

use super::case;
use super::finding::{Figure, Findings};
use super::ratio::Ratio;
use super::subject::Subject::{self, Floor, Native, Paced, Plain, Redis, RoomFloor};

/// What a figure is divided by, round by round.
#[derive(Clone, Copy, Debug)]
enum Against {
    /// Nothing: it counts as it is.
    Alone,
    /// Another server's in the same work.
    Server(Subject),
    /// The same server's in another work of the row.
    Work(&'static str),
}

/// What must hold for the median.
#[derive(Clone, Copy, Debug)]
enum Limit {
    Most(f64),
    Least(f64),
    /// Nothing: shown to compare with.
    None,
}

/// How a number is written: a factor, digits, and the unit behind it.
type Unit = (f64, usize, &'static str);

const RATIO: Unit = (1.0, 2, "");
const KIB: Unit = (1.0 / 1024.0, 2, " KiB");
const MICROS: Unit = (1.0, 0, " µs");
const MICROS_A_SECOND: Unit = (1.0, 2, " µs/s");
const SECONDS: Unit = (1.0, 2, " s");
const MILLIS: Unit = (1e-3, 1, " ms");
const COUNT: Unit = (1.0, 3, "");
const A_SECOND: Unit = (1.0, 0, "/s");

/// One bar.
#[derive(Clone, Copy, Debug)]
struct Bar {
    row: u32,
    /// The row whose measurements it looks at.
    from: u32,
    case: &'static str,
    subject: Subject,
    figure: Figure,
    name: &'static str,
    against: Against,
    limit: Limit,
    unit: Unit,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The row of the performance table.
    pub row: u32,
    /// The work and who did it.
    pub work: String,
    /// What is measured.
    pub figure: &'static str,
    /// What is wanted; empty where nothing is.
    pub bar: String,
    /// The median and the range.
    pub measured: String,
    /// Whether the bar is met.
    pub met: Option<bool>,
    /// The same figure of the peers: Bun, Socket.IO.
    pub peers: [String; 2],
}

impl Findings {
    /// A line for each bar that was measured.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        bars().into_iter().filter_map(|bar| bar.line(self)).collect()
    }
}

impl Bar {
    fn line(self, findings: &Findings) -> Option<Line> {
        let ratio = self.ratio(findings, self.subject)?;
        let (sign, bound, met) = match self.limit {
            Limit::Most(most) => ("≤ ", most, Some(ratio.median * self.unit.0 <= most)),
            Limit::Least(least) => ("≥ ", least, Some(ratio.median * self.unit.0 >= least)),
            Limit::None => ("", 0.0, None),
        };
        let bar = if met.is_some() { format!("{sign}{bound}{}", self.unit.2) } else { String::new() };
        let behind = |subject| findings.behind(self.from, self.case, subject).unwrap_or_default();
        let peer = |peer| {
            self.ratio(findings, peer)
                .map_or_else(String::new, |ratio| self.write(ratio.median) + self.unit.2 + &behind(peer))
        };
        // A peer has one door, so it stands beside one line only, and not where it has no such work.
        let peers = match self.subject {
            Plain => [peer(Subject::Bun), peer(Subject::SocketIo)],
            _ => [String::new(), String::new()],
        };
        let measured = if ratio.low < ratio.high {
            let [median, low, high] = [ratio.median, ratio.low, ratio.high].map(|value| self.write(value));
            format!("{median}{} [{low}–{high}]", self.unit.2)
        } else {
            self.write(ratio.median) + self.unit.2
        };
        let measured = measured + &behind(self.subject);
        let work = match self.subject {
            Redis => self.case.to_owned(),
            subject => format!("{}, {subject}", self.case),
        };
        Some(Line { row: self.row, work, figure: self.name, bar, measured, met, peers })
    }

    fn write(&self, value: f64) -> String {
        format!("{:.*}", self.unit.1, value * self.unit.0)
    }

    /// The paired ratios, or the figures themselves.
    fn ratio(&self, findings: &Findings, subject: Subject) -> Option<Ratio> {
        let ours = findings.figures(self.from, self.case, subject, self.figure);
        let base = match self.against {
            Against::Alone => return Ratio::of(ours.into_iter().map(|(_, value)| (value, 1.0))),
            Against::Server(server) => findings.figures(self.from, self.case, server, self.figure),
            Against::Work(work) => findings.figures(self.from, work, subject, self.figure),
        };
        let base = |round| base.iter().find(|other| other.0 == round).map(|other| other.1);
        Ratio::of(ours.into_iter().filter_map(|(round, value)| Some((value, base(round)?))))
    }
}

/// All bars, in the order of the table.
fn bars() -> Vec<Bar> {
    use Against::{Alone, Server, Work};
    use Limit::{Least, Most, None};

    let bar = |row, case, subject, (figure, name): (Figure, &'static str), against, limit, unit| Bar {
        row,
        from: if row == 7 { 6 } else { row },
        case,
        subject,
        figure,
        name,
        against,
        limit,
        unit,
    };
    let cpu_to_f = (Figure::CpuUs, "CPU a delivery ÷ F");
    let cpu_to_r = (Figure::CpuUs, "CPU a delivery ÷ R");
    let mut bars = Vec::new();
    for door in [Plain, Native] {
        bars.push(bar(1, case::LOW_RATE, door, cpu_to_f, Server(Floor), Most(1.1), RATIO));
    }
    for door in [Plain, Native] {
        let speed = (Figure::PerSecond, "deliveries/s ÷ F's");
        bars.push(bar(2, case::FULL_SPEED, door, speed, Server(Floor), Least(7.0), RATIO));
        let late = (Figure::P99Us, "p99 ÷ F's");
        bars.push(bar(2, case::FULL_SPEED, door, late, Server(Floor), Most(1.0), RATIO));
    }
    for (row, case, usual, paced) in [(3, case::ROOMS, 1.25, 1.0), (4, case::DIRECT, 1.3, 0.7)] {
        for (subject, most) in [(Plain, usual), (Native, usual), (Paced, paced)] {
            bars.push(bar(row, case, subject, cpu_to_r, Server(RoomFloor), Most(most), RATIO));
        }
    }
    let extra = (Figure::CpuUs, "CPU a delivery ÷ live");
    bars.push(bar(5, case::KEPT, Native, extra, Work(case::LIVE), Most(1.15), RATIO));
    let memory = (Figure::Bytes, "memory a connection");
    for door in [Plain, Native] {
        bars.push(bar(6, case::IDLE, door, memory, Alone, Most(1.25), KIB));
    }
    for door in [Plain, Native] {
        let cpu = (Figure::IdleUs, "CPU a connection");
        bars.push(bar(7, case::IDLE, door, cpu, Alone, Most(0.5), MICROS_A_SECOND));
    }
    for door in [Plain, Native] {
        bars.push(bar(8, case::ECHO, door, memory, Alone, Most(1.25), KIB));
    }
    for (case, most) in [(case::NO_TOKEN, 50.0), (case::TOKEN, 60.0)] {
        for door in [Plain, Native] {
            let cpu = (Figure::OpenUs, "CPU a connection");
            bars.push(bar(9, case, door, cpu, Alone, Most(most), MICROS));
        }
    }
    for (case, commands) in
        [(case::SHARED_NEW, 0.1), (case::OWN_NEW, 4.0), (case::SHARED_SAME, 0.1), (case::OWN_SAME, 4.0)]
    {
        let time = (Figure::Seconds, "until all are caught up");
        bars.push(bar(10, case, Native, time, Alone, Most(4.0), SECONDS));
        let count = (Figure::Commands, "Redis commands a channel");
        bars.push(bar(10, case, Native, count, Alone, Most(commands), COUNT));
    }
    let late = (Figure::P99Us, "publish → socket, p99");
    bars.push(bar(11, case::HALF, Plain, late, Alone, Most(5.0), MILLIS));
    let calls = (Figure::PerSecond, "calls a second");
    bars.push(bar(12, case::PUBLISH, Redis, calls, Alone, None, A_SECOND));
    bars.push(bar(12, case::FUNCTION, Redis, calls, Alone, Least(90_000.0), A_SECOND));
    bars.push(bar(12, case::KEYED, Redis, calls, Alone, Least(60_000.0), A_SECOND));
    let grown = (Figure::CpuUs, "CPU a delivery ÷ the first's");
    let beside_f = (Figure::CpuToFloor, "(CPU ÷ F) ÷ the first's");
    let beside_r = (Figure::CpuToFloor, "(CPU ÷ R) ÷ the first's");
    for (works, figure) in [
        (case::CONNECTIONS, beside_f),
        (case::CHANNELS, beside_r),
        (case::NODES, grown),
        (case::SUBSCRIPTIONS, grown),
    ] {
        for (_, case) in &works[1..] {
            bars.push(bar(13, case, Plain, figure, Work(works[0].1), Most(1.1), RATIO));
        }
    }
    for (_, case) in &case::RESTING[1..] {
        for figure in [
            (Figure::OpenUs, "CPU to connect ÷ the first's"),
            (Figure::IdleUs, "CPU at rest ÷ the first's"),
            (Figure::Bytes, "memory ÷ the first's"),
        ] {
            bars.push(bar(13, case, Plain, figure, Work(case::RESTING[0].1), Most(1.1), RATIO));
        }
    }
    bars
}

#[cfg(test)]
mod tests;

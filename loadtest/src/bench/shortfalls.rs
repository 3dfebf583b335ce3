//! What did not go as it should, though it was measured: who fell behind the rate, and what peers lost.

use super::finding::{Figure, Findings, Measurement};
use super::ratio::Ratio;
use super::subject::Subject;

/// Who holds less of a rate has fallen behind. Above it there is only the edge of what was measured: at 20 events a
/// second for a second, one event.
const HELD: f64 = 0.9;

impl Findings {
    /// What to say behind a figure whose server did not hold the rate: `CPU a delivery` is little worth there.
    #[must_use]
    pub fn behind(&self, row: u32, case: &str, subject: Subject) -> Option<String> {
        let held = self.figures(row, case, subject, Figure::Held);
        let held = Ratio::of(held.into_iter().map(|(_, held)| (held, 1.0)))?.median;
        (held < HELD).then(|| format!(" at {:.0} %", held * 100.0))
    }

    /// A sentence for each work and server. What of ours is lost makes all figures void, so it is not listed here.
    #[must_use]
    pub fn shortfalls(&self) -> Vec<String> {
        let mut works: Vec<(u32, &str, Subject)> = Vec::new();
        for Measurement { row, case, subject, .. } in &self.measurements {
            if !works.contains(&(*row, case.as_str(), *subject)) {
                works.push((*row, case.as_str(), *subject));
            }
        }
        works.into_iter().flat_map(|(row, case, subject)| self.shortfall(row, case, subject)).collect()
    }

    fn shortfall(&self, row: u32, case: &str, subject: Subject) -> Vec<String> {
        let rounds: Vec<&Measurement> = self
            .measurements
            .iter()
            .filter(|known| known.row == row && known.case == case && known.subject == subject)
            .collect();
        let mut said = Vec::new();
        let (who, all) = (format!("{subject} in row {row}, {case}"), rounds.len());
        let held = rounds.iter().filter_map(|known| known.get(Figure::Held)).fold(1.0, f64::min);
        if held < HELD {
            let percent = held * 100.0;
            said.push(format!("{who}: held {percent:.0} % of the rate at worst (of {all} rounds)"));
        }
        let wrong = |known: &&Measurement| !known.faults.none() || known.ended > 0;
        if subject.is_peer() && rounds.iter().any(wrong) {
            let lost: u64 = rounds.iter().map(|known| known.faults.lost).sum();
            let ended: u64 = rounds.iter().map(|known| known.ended).sum();
            let count = rounds.iter().filter(|known| wrong(known)).count();
            let more =
                match rounds.iter().map(|known| known.faults.twice + known.faults.reordered).sum::<u64>() {
                    0 => String::new(),
                    more => format!(", {more} twice or out of order"),
                };
            said.push(format!(
                "{who}: {lost} deliveries lost{more}, {ended} connections ended ({count} of {all} rounds)"
            ));
        }
        said
    }
}

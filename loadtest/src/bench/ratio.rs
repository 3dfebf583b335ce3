//! Paired ratios: ours and the floor's of the same round, so what both suffered cancels out.

use std::fmt;

/// The median of the rounds' ratios and their range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// Half of the rounds were lower.
    pub median: f64,
    /// The lowest.
    pub low: f64,
    /// The highest.
    pub high: f64,
}

impl Ratio {
    /// Of pairs (ours, the floor's); `None` without any.
    #[must_use]
    pub fn of(pairs: impl IntoIterator<Item = (f64, f64)>) -> Option<Self> {
        let mut ratios: Vec<f64> = pairs.into_iter().map(|(ours, floor)| ours / floor).collect();
        ratios.sort_by(f64::total_cmp);
        let (&low, &high) = (ratios.first()?, ratios.last()?);
        let middle = ratios.len() / 2;
        let median = if ratios.len() % 2 == 1 {
            ratios[middle]
        } else {
            f64::midpoint(ratios[middle - 1], ratios[middle])
        };
        Some(Self { median, low, high })
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} [{:.2}–{:.2}]", self.median, self.low, self.high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_pairs_is_not_the_ratio_of_medians() {
        let ratio = Ratio::of([(2.0, 1.0), (9.0, 10.0), (10.0, 10.0)]).unwrap();
        assert_eq!(ratio, Ratio { median: 1.0, low: 0.9, high: 2.0 });
        assert_eq!(ratio.to_string(), "1.00 [0.90–2.00]");
        assert_eq!(Ratio::of([(1.0, 1.0), (3.0, 1.0)]).unwrap().median, 2.0);
        assert_eq!(Ratio::of([]), None);
    }
}

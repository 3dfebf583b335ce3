//! One axis: from numbers to pixels, and where its ticks are.

/// How numbers are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Evenly.
    Linear,
    /// By their order of magnitude.
    Log,
}

/// One axis.
#[derive(Clone, Debug)]
pub struct Scale {
    kind: Kind,
    from: f64,
    to: f64,
    /// Ticks are round in this: 1, or a MiB.
    grain: f64,
    start: f64,
    length: f64,
}

impl Scale {
    /// From 0 to a number not below `most` that is round in units of `grain`.
    #[must_use]
    pub fn from_zero(most: f64, grain: f64) -> Self {
        let step = step(most.max(f64::MIN_POSITIVE) / grain, 4.0) * grain;
        let to = if most > 0.0 { (most / step - 1e-9).ceil() * step } else { grain };
        Self { grain, ..Self::exact(0.0, to) }
    }

    /// Exactly these bounds.
    #[must_use]
    pub fn exact(from: f64, to: f64) -> Self {
        let to = if to > from { to } else { from + 1.0 };
        Self { kind: Kind::Linear, from, to, grain: 1.0, start: 0.0, length: 1.0 }
    }

    /// Orders of magnitude, with a little room around `least` and `most`.
    #[must_use]
    pub fn log(least: f64, most: f64) -> Self {
        let least = least.max(f64::MIN_POSITIVE);
        let from = [5.0, 2.0, 1.0].map(|part| part * decade(least)).into_iter().find(|&at| at <= least);
        let to = [1.0, 2.0, 5.0, 10.0].map(|part| part * decade(most.max(least)));
        let to = to.into_iter().find(|&at| at >= most.max(least));
        let (from, to) = (from.unwrap_or(least), to.unwrap_or(most));
        let to = if to > from { to } else { from * 10.0 };
        Self::exact_log(from, to)
    }

    /// Orders of magnitude, with exactly these bounds.
    #[must_use]
    pub fn exact_log(from: f64, to: f64) -> Self {
        Self { kind: Kind::Log, ..Self::exact(from, to) }
    }

    /// The same on the pixels from `start` to `end`.
    #[must_use]
    pub fn on(self, start: f64, end: f64) -> Self {
        Self { start, length: end - start, ..self }
    }

    /// Where `value` is; what lies outside is at the edge.
    #[must_use]
    pub fn at(&self, value: f64) -> f64 {
        let value = value.clamp(self.from, self.to);
        let share = match self.kind {
            Kind::Linear => (value - self.from) / (self.to - self.from),
            Kind::Log => (value / self.from).log10() / (self.to / self.from).log10(),
        };
        self.start + share * self.length
    }

    /// The smallest value.
    #[must_use]
    pub fn from(&self) -> f64 {
        self.from
    }

    /// Round numbers to write at the axis: about `count` of them.
    #[must_use]
    pub fn ticks(&self, count: f64) -> Vec<f64> {
        match self.kind {
            Kind::Linear => {
                let step = step((self.to - self.from) / self.grain, count) * self.grain;
                let first = (self.from / step).ceil();
                let last = (self.to / step + 1e-9).floor();
                let mut ticks = Vec::new();
                let mut index = first;
                while index <= last {
                    // Without the sign of a zero.
                    ticks.push(index * step + 0.0);
                    index += 1.0;
                }
                ticks
            }
            Kind::Log => {
                // 1, 2, 5 where there is room; else powers of ten.
                let decades = (self.to / self.from).log10();
                let parts: &[f64] = if decades * 3.0 <= count + 1.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
                let mut ticks = Vec::new();
                let mut power = decade(self.from);
                while power <= self.to {
                    let within = parts.iter().map(|part| part * power);
                    ticks.extend(within.filter(|&at| at >= self.from * 0.999 && at <= self.to * 1.001));
                    power *= 10.0;
                }
                ticks
            }
        }
    }
}

/// The power of ten at or below.
fn decade(value: f64) -> f64 {
    10_f64.powf((value.log10() + 1e-9).floor())
}

/// 1, 2 or 5 times a power of ten, so that `length` has about `count` of them.
fn step(length: f64, count: f64) -> f64 {
    let rough = length / count;
    let power = decade(rough);
    let parts = [1.0, 2.0, 5.0, 10.0];
    parts.into_iter().find(|part| part * power >= rough * 0.999).unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_axes_end_at_round_numbers() {
        assert_eq!(Scale::from_zero(8_700.0, 1.0).ticks(4.0), [0.0, 5_000.0, 10_000.0]);
        assert_eq!(Scale::from_zero(0.37, 1.0).ticks(4.0), [0.0, 0.1, 0.2, 0.30000000000000004, 0.4]);
        assert_eq!(Scale::exact(-0.8, 0.9).ticks(2.0)[0].to_string(), "0");
        assert_eq!(Scale::exact(-1.3, 10.2).ticks(6.0), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(Scale::from_zero(0.0, 1.0).ticks(1.0), [0.0, 1.0]);
        assert_eq!(Scale::from_zero(3000.0, 1024.0).ticks(4.0), [0.0, 1024.0, 2048.0, 3072.0]);
    }

    #[test]
    fn log_axes_hold_what_they_should() {
        let scale = Scale::log(130.0, 45_000.0).on(0.0, 100.0);
        assert!((scale.at(100.0), scale.at(50_000.0)) == (0.0, 100.0));
        assert_eq!(scale.ticks(5.0), [100.0, 1_000.0, 10_000.0]);
        assert_eq!(Scale::log(150.0, 180.0).ticks(5.0), [100.0, 200.0]);
        assert_eq!(Scale::log(100.0, 100.0).ticks(5.0).len(), 4);
    }

    #[test]
    fn what_lies_outside_is_at_the_edge_and_pixels_may_go_up() {
        let scale = Scale::exact(0.0, 10.0).on(200.0, 0.0);
        assert_eq!([scale.at(-5.0), scale.at(5.0), scale.at(50.0)], [200.0, 100.0, 0.0]);
    }
}

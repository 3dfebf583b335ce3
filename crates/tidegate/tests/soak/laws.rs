//! What "flat" means: the laws of a long run, as arithmetic over samples. It knows no process and no clock.

use std::time::Duration;

/// Bytes that a node's memory may rise between two halves of a run that does nothing new: pages that the allocator keeps, and
/// thread arenas that fill at their leisure. Three times what was seen, in runs of 8 s and of 4 minutes.
const SLACK: f64 = (768 << 10) as f64;
/// Bytes for each visit between the two windows. The smallest thing that a connection could leave behind for good, an entry of a
/// table, is as large: 16 bytes of key and value, and the table doubles; a forgotten connection is twenty times that.
const EACH_VISIT: f64 = 32.0;
/// Descriptors that the medians of two windows may differ by: clients come and go while one counts.
const FILES: f64 = 8.0;

/// What a process had at some moment of the run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) at: Duration,
    pub(crate) memory: u64,
    pub(crate) files: usize,
}

/// One series after the warm-up, which is the first quarter: the middle of the second quarter, the middle of the last, and a
/// straight line through all since.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trend {
    pub(crate) before: f64,
    pub(crate) after: f64,
    /// Of the line by least squares, per second.
    pub(crate) slope: f64,
    /// Between the middles of the two windows: half a run.
    pub(crate) seconds: f64,
}

impl Trend {
    /// # Panics
    /// When a quarter has no samples.
    fn of(samples: &[Sample], value: impl Fn(&Sample) -> f64) -> Self {
        let end = samples.last().expect("samples").at.as_secs_f64();
        let points: Vec<(f64, f64)> =
            samples.iter().map(|sample| (sample.at.as_secs_f64(), value(sample))).collect();
        let window =
            |from: f64, to: f64| points.iter().filter(move |(at, _)| (from * end..=to * end).contains(at));
        let since: Vec<&(f64, f64)> = window(0.25, 1.0).collect();
        Self {
            before: median(window(0.25, 0.5).map(|point| point.1)),
            after: median(window(0.75, 1.0).map(|point| point.1)),
            slope: slope(&since),
            seconds: end / 2.0,
        }
    }

    /// How much more at the end: the larger of the difference of the medians and of what the line says.
    pub(crate) fn rise(&self) -> f64 {
        (self.after - self.before).max(self.slope * self.seconds)
    }
}

/// What is not flat in these samples of a node that had so many visits in the whole run.
pub(crate) fn not_flat(samples: &[Sample], visits: usize) -> Vec<String> {
    let mut faults = Vec::new();
    let (memory, files) = trends(samples);
    let bound = bound(visits);
    if memory.rise() > bound {
        faults.push(format!("memory rises by {:.0} KiB, bound {:.0} KiB", kib(memory.rise()), kib(bound)));
    }
    if files.rise() > FILES {
        faults.push(format!("descriptors rise by {:.0}, bound {FILES}", files.rise()));
    }
    faults
}

/// Of memory, and of descriptors.
pub(crate) fn trends(samples: &[Sample]) -> (Trend, Trend) {
    (Trend::of(samples, |sample| sample.memory as f64), Trend::of(samples, |sample| sample.files as f64))
}

/// What memory may rise by: half the visits lie between the two windows.
pub(crate) fn bound(visits: usize) -> f64 {
    SLACK + EACH_VISIT * visits as f64 / 2.0
}

pub(crate) fn kib(bytes: f64) -> f64 {
    bytes / 1024.0
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn slope(points: &[&(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let middle = |of: fn(&(f64, f64)) -> f64| points.iter().map(|point| of(point)).sum::<f64>() / count;
    let (x, y) = (middle(|point| point.0), middle(|point| point.1));
    let (mut up, mut along) = (0.0, 0.0);
    for (at, value) in points {
        up += (at - x) * (value - y);
        along += (at - x).powi(2);
    }
    up / along
}

/// A run of 1,000 s with these values.
fn run(value: impl Fn(u64) -> (u64, usize)) -> Vec<Sample> {
    let sample = |second| {
        let (memory, files) = value(second);
        Sample { at: Duration::from_secs(second), memory, files }
    };
    (0..=1000).map(sample).collect()
}

#[test]
fn what_rises_at_first_and_then_stays_is_flat() {
    let warm = run(|second| ((5 << 20) + second.min(240) * 40_000, 30 + usize::from(second % 2 == 0)));
    assert_eq!(not_flat(&warm, 0), Vec::<String>::new());
    let falling = run(|second| ((9 << 20) - second * 1000, 30));
    assert_eq!(not_flat(&falling, 0), Vec::<String>::new());
}

#[test]
fn what_goes_on_rising_is_found() {
    let (memory, files) = trends(&run(|second| ((5 << 20) + second * 2000, 30)));
    assert!((memory.slope - 2000.0).abs() < 1e-6 && (memory.rise() - 1e6).abs() < 1e4, "{memory:?}");
    assert!(files.rise().abs() < 1e-6, "{files:?}");
    // 20 visits a second that leave 100 bytes each.
    assert_eq!(not_flat(&run(|second| ((5 << 20) + second * 2000, 30)), 20_000).len(), 0, "within the bound");
    assert_eq!(not_flat(&run(|second| ((5 << 20) + second * 2300, 30)), 20_000).len(), 1);
    assert_eq!(not_flat(&run(|second| (5 << 20, 30 + second as usize / 50)), 20_000).len(), 1);
}

#[test]
fn a_late_step_is_found_by_the_medians() {
    let step = run(|second| (if second < 700 { 5 << 20 } else { 7 << 20 }, 30));
    assert_eq!(not_flat(&step, 0).len(), 1);
}

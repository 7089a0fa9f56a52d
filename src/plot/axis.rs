//! Where an axis begins and ends, and the ticks upon it.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// A stretch of numbers; of logarithms, where the axis has their scale.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    from: f64,
    to: f64,
    ticks: Vec<f64>,
    log: bool,
    /// Decimals of the labels, or of their significands where they have exponents.
    decimals: usize,
    exponents: bool,
}

/// About as many ticks as an axis of either kind has room for.
const X_TICKS: f64 = 10.0;
const Y_TICKS: f64 = 5.0;

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (start, end): (i32, i32)) -> i32 {
        start + ((value - self.from) / (self.to - self.from) * f64::from(end - start)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.from..self.to
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, &at: &f64) -> String {
        let decimals = self.decimals;
        match self {
            Self { log: true, .. } => format!("1e{at:.0}"),
            Self { exponents: true, .. } => format!("{at:.decimals$e}"),
            _ => format!("{at:.decimals$}"),
        }
    }
}

impl Axis {
    /// Of steps from 1 to `last`.
    pub fn steps(last: usize) -> Self {
        let last = last.max(1) as f64;
        let step = round_step((last / X_TICKS).max(1.0));
        let ticks = ticks(1.0, last, step);
        // One step alone stands in the middle.
        let (from, to) = if last > 1.0 { (1.0, last) } else { (0.5, 1.5) };
        Self { from, to, ticks, log: false, decimals: 0, exponents: false }
    }

    /// Of powers of ten, given by their logarithms; there is room on both sides, so that the first label is not in the corner.
    pub fn powers(logarithms: &[f64]) -> Self {
        let (low, high) = logarithms.iter().fold((f64::MAX, f64::MIN), |(low, high), &v| (low.min(v), high.max(v)));
        let (low, high) = match low {
            _ if low < high => (low, high),
            // One power alone stands in the middle.
            _ if low == high => (low - 0.5, low + 0.5),
            _ => (-0.5, 0.5),
        };
        let room = 0.03 * (high - low);
        let (from, to) = (low - room, high + room);
        let step = round_step(((to - from) / X_TICKS).max(1.0));
        Self { from, to, ticks: ticks(from, to, step), log: true, decimals: 0, exponents: false }
    }

    /// Of finite values, with room for all of them; ticks stand at both ends.
    pub fn values(values: &[f64], log: bool) -> Self {
        let (mut low, mut high) = values.iter().fold((f64::MAX, f64::MIN), |(low, high), &v| (low.min(v), high.max(v)));
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        // Values that hardly differ do not fill the axis: its labels would be all digits. One alone has room around it.
        let size = low.abs().max(high.abs());
        let span = (high - low).max(size * if low == high { 0.5 } else { 1e-4 });
        let span = if span > 0.0 { span } else { 1.0 };
        let step = round_step(if log { (span / Y_TICKS).max(1.0) } else { span / Y_TICKS });
        let (from, mut to) = ((low / step).floor() * step, (high / step).ceil() * step);
        if from == to {
            to += step;
        }
        let (tens, finest) = (from.abs().max(to.abs()).log10().floor(), step.log10().floor());
        let exponents = !log && !(-4.0..5.0).contains(&tens);
        let decimals = if exponents { tens - finest } else { -finest };
        Self { from, to, ticks: ticks(from, to, step), log, decimals: decimals.max(0.0) as usize, exponents }
    }
}

/// 1, 2 or 5 times a power of ten: the smallest that is not below `least`.
fn round_step(least: f64) -> f64 {
    let tens = 10.0f64.powf(least.log10().floor());
    // Not quite: 0.2 / 0.1 may be a little above 2.
    [1.0, 2.0, 5.0].map(|times| times * tens).into_iter().find(|&step| step >= 0.999_999 * least).unwrap_or(10.0 * tens)
}

/// The multiples of `step` between two numbers, both included.
fn ticks(from: f64, to: f64, step: f64) -> Vec<f64> {
    let (first, last) = ((from / step - 1e-6).ceil() as i64, (to / step + 1e-6).floor() as i64);
    (first..=last).map(|k| k as f64 * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(values: &[f64], log: bool) -> Vec<String> {
        let axis = Axis::values(values, log);
        axis.ticks.iter().map(|at| axis.format_ext(at)).collect()
    }

    #[test]
    fn ticks_are_round_and_span_the_values() {
        assert_eq!(labels(&[0.07, 0.93], false), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(&[0.951, 0.979], false), ["0.95", "0.96", "0.97", "0.98"]);
        assert_eq!(labels(&[1.038_407_5], false), ["1.0", "1.2"]);
        assert_eq!(labels(&[0.694_121, 0.694_147], false), ["0.69412", "0.69414", "0.69416"]);
        assert_eq!(labels(&[2e-7, 9e-7], false), ["2.0e-7", "4.0e-7", "6.0e-7", "8.0e-7", "1.0e-6"]);
        assert_eq!(labels(&[-3e7, 1e8], false), ["-5.0e7", "0.0e0", "5.0e7", "1.0e8"]);
        assert_eq!(labels(&[], false), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(&[-7.3, -4.5], true), ["1e-8", "1e-7", "1e-6", "1e-5", "1e-4"]);
    }

    #[test]
    fn steps_have_whole_ticks() {
        let ticks = |last| Axis::steps(last).ticks;
        assert_eq!(ticks(5), [1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(ticks(100), [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0]);
        assert_eq!(ticks(2345), [500.0, 1000.0, 1500.0, 2000.0]);
        assert_eq!((ticks(1), ticks(0)), (vec![1.0], vec![1.0]));
    }

    #[test]
    fn powers_have_ticks_at_whole_ones_and_room_on_both_sides() {
        let axis = Axis::powers(&[-6.0, -0.5]);
        assert_eq!(axis.ticks, [-6.0, -5.0, -4.0, -3.0, -2.0, -1.0]);
        assert!(axis.from < -6.0 && axis.to > -0.5);
        assert_eq!((Axis::powers(&[-2.0]).ticks, Axis::powers(&[]).ticks), (vec![-2.0], vec![0.0]));
    }
}

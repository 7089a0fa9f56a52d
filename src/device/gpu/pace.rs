//! How much of a plan goes to one submit, by measurement: many short runs, or a part of a long one.
//!
//! A submit should last 10 to 30 ms: long enough that its cost does not show, short enough that the progress bar stays
//! alive. None may last as long as a driver's watchdog lets it: 2 s on recent Linux kernels.

use std::ops::Range;
use std::time::Duration;

use crate::plan::Step;

/// How long a submit should last.
const GOAL: Duration = Duration::from_millis(20);
/// How long it may.
pub(super) const LONGEST: Duration = Duration::from_millis(500);
/// Runs that it has at most.
const MOST: usize = 1024;

/// How long one run of a plan takes, as last measured, and how it is cut; of the first of plans that take turns, how long any
/// of them does.
#[derive(Debug)]
pub(super) struct Pace {
    run: Option<Duration>,
    /// The launches of each submit of a run, in order: all, unless they take too long.
    parts: Vec<Range<usize>>,
    /// What those parts of a run took that are done.
    measured: Vec<(Range<usize>, Duration)>,
}

/// How long a step takes on a device slower than any GPU that Kiln is for: what counts until a run was measured.
pub(super) fn guess(step: &Step) -> Duration {
    const FLOPS: u64 = 20_000_000_000;
    const BYTES: u64 = 4_000_000_000;
    let (flops, bytes) = (step.op.flops(&step.io), step.bytes_moved());
    Duration::from_secs_f64(flops as f64 / FLOPS as f64 + bytes as f64 / BYTES as f64)
}

impl Pace {
    /// Of a plan that has not run: `guesses` are of its launches.
    pub fn new(guesses: &[Duration], longest: Duration) -> Self {
        let guesses: Vec<_> = guesses.iter().enumerate().map(|(i, &guess)| (i..i + 1, guess)).collect();
        Self { run: None, parts: regroup(&guesses, longest), measured: Vec::new() }
    }

    /// Runs that fit a submit.
    pub fn group(&self) -> usize {
        match self.run {
            Some(run) => (GOAL.as_nanos() / run.as_nanos().max(1)).clamp(1, MOST as u128) as usize,
            None => 1,
        }
    }

    /// Whether it was measured.
    pub fn is_known(&self) -> bool {
        self.run.is_some()
    }

    /// The launches of each submit of a run.
    pub fn parts(&self) -> &[Range<usize>] {
        &self.parts
    }

    /// The launches of a run.
    fn launches(&self) -> usize {
        self.parts.last().map_or(0, |last| last.end)
    }

    /// Learns from `runs` whole runs that took so long.
    pub fn learn(&mut self, runs: usize, took: Duration, longest: Duration) {
        let run = took / runs as u32;
        self.run = Some(run);
        if run > longest {
            self.parts = regroup(&[(0..self.launches(), run)], longest);
        }
    }

    /// Learns from a part of a run.
    pub fn learn_part(&mut self, part: Range<usize>, took: Duration, longest: Duration) {
        if part.start == 0 {
            self.measured.clear();
        }
        let is_last = part.end == self.launches();
        self.measured.push((part, took));
        if is_last {
            self.run = Some(self.measured.iter().map(|(_, took)| *took).sum());
            self.parts = regroup(&self.measured, longest);
        }
    }
}

/// The parts of a run, none of which is to take longer than `longest` but a launch alone: neighbours go together that take less,
/// and what takes longer is cut into equal numbers of launches.
fn regroup(measured: &[(Range<usize>, Duration)], longest: Duration) -> Vec<Range<usize>> {
    let mut parts: Vec<(Range<usize>, Duration)> = Vec::new();
    for (range, took) in measured {
        let pieces = took.as_nanos().div_ceil(longest.as_nanos().max(1)).clamp(1, range.len().max(1) as u128) as usize;
        let each = *took / pieces as u32;
        for i in 0..pieces {
            let piece = range.start + i * range.len() / pieces..range.start + (i + 1) * range.len() / pieces;
            match parts.last_mut() {
                Some((last, sum)) if *sum + each <= longest => (last.end, *sum) = (piece.end, *sum + each),
                _ => parts.push((piece, each)),
            }
        }
    }
    parts.into_iter().map(|(part, _)| part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_run_is_cut_where_it_takes_too_long_and_put_together_where_it_does_not() {
        let whole = [(0..10, ms(900))];
        assert_eq!(regroup(&whole, LONGEST), [0..5, 5..10]);
        assert_eq!(regroup(&whole, ms(1)), (0..10).map(|i| i..i + 1).collect::<Vec<_>>());
        assert_eq!(regroup(&whole, Duration::ZERO).len(), 10);
        assert_eq!(regroup(&whole, ms(900)), std::slice::from_ref(&(0..10)));
        let parts = [(0..2, ms(100)), (2..3, ms(2000)), (3..4, ms(300)), (4..8, ms(150)), (8..9, ms(100))];
        assert_eq!(regroup(&parts, LONGEST), [0..2, 2..3, 3..8, 8..9]);
        assert!(regroup(&[], LONGEST).is_empty());
    }

    #[test]
    fn a_pace_finds_the_parts_of_a_long_run_and_forgets_those_of_a_short_one() {
        let mut pace = Pace::new(&[ms(1); 4], LONGEST);
        assert_eq!((pace.parts(), pace.is_known(), pace.group()), (std::slice::from_ref(&(0..4)), false, 1));
        pace.learn(1, ms(1800), LONGEST);
        assert_eq!(pace.parts(), [0..1, 1..2, 2..3, 3..4]);
        for launch in 0..4 {
            pace.learn_part(launch..launch + 1, ms(250), LONGEST);
        }
        assert_eq!((pace.parts(), pace.group()), (&[0..2, 2..4][..], 1));
        // A run whose first part alone was seen counts for nothing.
        pace.learn_part(0..2, ms(9), LONGEST);
        for part in [0..2, 2..4] {
            pace.learn_part(part, ms(2), LONGEST);
        }
        assert_eq!((pace.parts(), pace.group()), (std::slice::from_ref(&(0..4)), 5));
    }

    #[test]
    fn a_plan_that_has_not_run_is_cut_by_a_guess() {
        assert_eq!(Pace::new(&[ms(400), ms(90), ms(20), ms(3000)], LONGEST).parts(), [0..2, 2..3, 3..4]);
        assert!(Pace::new(&[], LONGEST).parts().is_empty());
    }
}

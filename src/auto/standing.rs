//! How trials stand: what their folds came to together, and which of them go on.

use std::cmp::Ordering;
use std::ops::Range;

use super::fold::Course;
use super::measure::Measure;

/// What the folds of a trial came to at one epoch, the same in each.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Standing {
    /// The epoch, from 1, whose mean loss was the lowest.
    pub epochs: usize,
    /// That loss.
    pub loss: f64,
    /// The metric of each fold then.
    pub scores: Vec<f64>,
}

impl Standing {
    /// Of some folds; `None` where the first epoch of one of them had no loss that is a number. A fold that was given up keeps its
    /// last values.
    pub fn of(courses: &[Course]) -> Option<Self> {
        if courses.is_empty() || courses.iter().any(|course| course.losses.is_empty()) {
            return None;
        }
        let at = |values: &[f64], epoch: usize| values[epoch.min(values.len() - 1)];
        let longest = courses.iter().map(|course| course.losses.len()).max().unwrap_or(0);
        let loss = |epoch: usize| mean(courses.iter().map(|course| at(&course.losses, epoch)));
        let best = (0..longest).min_by(|&a, &b| loss(a).total_cmp(&loss(b)))?;
        let scores = courses.iter().map(|course| at(&course.scores, best)).collect();
        Some(Self { epochs: best + 1, loss: loss(best), scores })
    }

    /// The mean of the folds.
    pub fn score(&self) -> f64 {
        mean(self.scores.iter().copied())
    }

    /// Whether the folds do not tell it from a better one: that is ahead by one standard error of the folds' differences at most.
    pub fn is_as_good(&self, best: &Self, measure: &Measure) -> bool {
        let sign = if measure.rises { 1.0 } else { -1.0 };
        let ahead: Vec<f64> = best.scores.iter().zip(&self.scores).map(|(best, own)| sign * (best - own)).collect();
        mean(ahead.iter().copied()) <= deviation(&ahead) / (ahead.len() as f64).sqrt()
    }

    /// Which of two is the better one, which is the lesser: by the metric, where that is equal by the loss.
    pub fn better(&self, other: &Self, measure: &Measure) -> Ordering {
        measure.better(self.score(), other.score()).then(self.loss.total_cmp(&other.loss))
    }
}

pub(super) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), value| (sum + value, count + 1));
    sum / count as f64
}

/// How far values are from their mean: their standard deviation, over one less than they are.
pub(super) fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values.iter().copied());
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (values.len().max(2) - 1) as f64).sqrt()
}

/// Of trials that are tried together, how many are trained on which folds: all on the first, the better half of them on the second,
/// the better half of these on the rest. (trials, folds) by rung.
pub(super) fn rungs(trials: usize, folds: usize) -> Vec<(usize, Range<usize>)> {
    let mut rungs: Vec<(usize, Range<usize>)> = Vec::new();
    for (stay, folds) in [(trials, 0..1), (trials.div_ceil(2), 1..2), (trials.div_ceil(4), 2..folds)] {
        match rungs.last_mut() {
            Some((before, until)) if *before == stay => until.end = folds.end,
            _ if folds.is_empty() => {}
            _ => rungs.push((stay, folds)),
        }
    }
    rungs
}

/// The trainings of so many trials that are tried together.
pub(super) fn trainings(trials: usize, folds: usize) -> usize {
    rungs(trials, folds).into_iter().map(|(trials, folds)| trials * folds.len()).sum()
}

/// How many trials are tried together after so many others: 1, 1, 2, 4, then always 8. Small first, so that a short budget is kept and
/// the first two are trained on all folds.
pub(super) fn together(done: usize) -> usize {
    match done {
        0 | 1 => 1,
        2 | 3 => 2,
        4..8 => 4,
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Metric;

    fn course(losses: &[f64], scores: &[f64]) -> Course {
        Course { losses: losses.into(), scores: scores.into() }
    }

    #[test]
    fn folds_stand_at_the_epoch_of_their_lowest_mean_loss() {
        // The second was given up after two epochs and keeps its last values.
        let courses = [course(&[3.0, 2.0, 1.0], &[0.1, 0.2, 0.3]), course(&[1.0, 2.0], &[0.5, 0.6])];
        let standing = Standing::of(&courses).unwrap();
        assert_eq!(standing, Standing { epochs: 3, loss: 1.5, scores: vec![0.3, 0.6] });
        assert!((standing.score() - 0.45).abs() < 1e-12);
        // Of equal epochs the first.
        assert_eq!(Standing::of(&[course(&[1.0, 1.0], &[0.0, 1.0])]).unwrap().epochs, 1);
        assert_eq!(Standing::of(&[course(&[1.0], &[0.5]), course(&[], &[])]), None);
        assert_eq!(Standing::of(&[]), None);
    }

    #[test]
    fn the_metric_decides_and_the_loss_where_it_is_equal() {
        let standing = |score: f64, loss: f64| Standing { epochs: 1, loss, scores: vec![score] };
        let of = |metric| Measure::plain(metric);
        let (rises, falls) = (of(Metric::Accuracy), of(Metric::RootMeanSquaredError));
        assert_eq!(standing(0.9, 2.0).better(&standing(0.8, 1.0), &rises), Ordering::Less);
        assert_eq!(standing(0.9, 2.0).better(&standing(0.8, 1.0), &falls), Ordering::Greater);
        assert_eq!(standing(0.9, 2.0).better(&standing(0.9, 1.0), &rises), Ordering::Greater);
        assert_eq!(standing(f64::NAN, 0.0).better(&standing(0.1, 9.0), &rises), Ordering::Greater);
        assert_eq!(standing(f64::NAN, 0.0).better(&standing(1e9, 9.0), &falls), Ordering::Greater);
    }

    #[test]
    fn what_the_folds_do_not_tell_apart_is_as_good() {
        let standing = |scores: [f64; 4]| Standing { epochs: 1, loss: 0.0, scores: scores.into() };
        let best = standing([0.9, 0.7, 0.8, 1.0]);
        let (rises, falls) = (Measure::plain(Metric::Accuracy), Measure::plain(Metric::RootMeanSquaredError));
        assert!(best.is_as_good(&best, &rises));
        // Behind in each fold, by little; then by as much on the mean, by one fold alone.
        assert!(!standing([0.89, 0.69, 0.79, 0.99]).is_as_good(&best, &rises));
        assert!(standing([0.9, 0.7, 0.8, 0.96]).is_as_good(&best, &rises));
        assert!(!best.is_as_good(&standing([0.89, 0.69, 0.79, 0.99]), &falls));
        assert!(!standing([0.9, 0.7, 0.8, f64::NAN]).is_as_good(&best, &rises));
    }

    #[test]
    fn every_rung_has_the_better_half() {
        assert_eq!(rungs(8, 5), [(8, 0..1), (4, 1..2), (2, 2..5)]);
        assert_eq!(rungs(1, 5), [(1, 0..5)]);
        assert_eq!(rungs(2, 5), [(2, 0..1), (1, 1..5)]);
        assert_eq!(rungs(3, 2), [(3, 0..1), (2, 1..2)]);
        assert_eq!((trainings(8, 5), trainings(1, 5), trainings(3, 2)), (18, 5, 5));
        for folds in 2..12 {
            let trained: Vec<usize> = rungs(8, folds).into_iter().flat_map(|(_, folds)| folds).collect();
            assert_eq!(trained, (0..folds).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_deviation_is_that_of_a_sample() {
        assert!((deviation(&[1.0, 2.0, 3.0, 4.0]) - 1.290_994_448_735_805_6).abs() < 1e-15);
        assert_eq!((deviation(&[3.0, 3.0]), deviation(&[3.0])), (0.0, 0.0));
    }
}

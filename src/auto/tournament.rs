//! Which trials are trained on which folds, how many there are, and which is the best.

use std::time::Duration;

use super::fold::Course;
use super::measure::Measure;
use super::standing::{Standing, rungs, together, trainings};
use crate::error::{Error, Result};

/// What ends a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Limit {
    /// So many trials.
    Trials(usize),
    /// Time, of which as much is kept as so many trainings take.
    Time { budget: Duration, kept: f64 },
}

/// A trial and a fold that it is trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub trial: usize,
    pub fold: usize,
}

/// Trains each job; courses come in the order of the jobs. `None` where the search is to end at once.
pub(super) type Train<'a> = dyn Fn(&[Job], usize) -> Result<Option<Vec<Course>>> + 'a;

/// What a search is made by: everything that takes time is somebody else's.
pub(super) struct Tournament<'a> {
    pub folds: usize,
    pub limit: Limit,
    pub measure: &'a Measure,
    /// Is told the jobs and how many trials there are before them.
    pub train: &'a Train<'a>,
    /// Since the search began.
    pub elapsed: &'a dyn Fn() -> Duration,
    /// Is told the best so far.
    pub leads: &'a dyn Fn(&Standing),
}

/// How the trials stand at the end.
#[derive(Debug, PartialEq)]
pub(super) struct Ranking {
    /// Those that were trained on all folds, the best first.
    pub ranked: Vec<(usize, Standing)>,
    /// How many there were.
    pub trials: usize,
    /// How many of them had a loss that is no number in the first epoch of a fold.
    pub diverged: usize,
}

/// What became of trials that were tried together.
struct Round {
    /// Those that were trained on all folds.
    finished: Vec<(usize, Standing)>,
    /// How many had a loss that is no number.
    diverged: usize,
}

impl Tournament<'_> {
    pub fn run(&self) -> Result<Ranking> {
        let (mut ranking, mut trained) = (Ranking { ranked: Vec::new(), trials: 0, diverged: 0 }, 0);
        loop {
            let count = self.next(ranking.trials, trained);
            if count == 0 {
                break;
            }
            let Some(Round { finished, diverged }) = self.round(ranking.trials, count)? else { break };
            trained += trainings(count, self.folds);
            ranking.trials += count;
            ranking.diverged += diverged;
            ranking.ranked.extend(finished);
            // Equal ones stay in their order: that of their numbers.
            ranking.ranked.sort_by(|(_, a), (_, b)| a.better(b, self.measure));
            ranking.ranked.first().iter().for_each(|(_, best)| (self.leads)(best));
        }
        match (ranking.trials, ranking.ranked.is_empty()) {
            (0, _) => Err(Error::argument("search", "was stopped before its first trial was done; there is no model")),
            (trials, true) => {
                let message =
                    format!("the loss of all {trials} trials is no number: values may be too large, or too many");
                Err(Error::argument("data", message))
            }
            _ => Ok(ranking),
        }
    }

    /// How many trials are tried next; 0 ends the search.
    fn next(&self, trials: usize, trained: usize) -> usize {
        let most = together(trials);
        match self.limit {
            Limit::Trials(all) => most.min(all - trials),
            // There is one at least.
            Limit::Time { .. } if trials == 0 => most,
            Limit::Time { budget, kept } => {
                let elapsed = (self.elapsed)().as_secs_f64();
                let each = elapsed / trained as f64;
                let fits = |count: &usize| {
                    elapsed + (trainings(*count, self.folds) as f64 + kept) * each <= budget.as_secs_f64()
                };
                (1..=most).rev().find(fits).unwrap_or(0)
            }
        }
    }

    /// Tries some trials together. `None` where the search ends within it.
    fn round(&self, first: usize, count: usize) -> Result<Option<Round>> {
        let mut left: Vec<(usize, Vec<Course>)> = (first..first + count).map(|trial| (trial, Vec::new())).collect();
        let mut diverged = 0;
        for (stay, folds) in rungs(count, self.folds) {
            left.truncate(stay);
            let jobs: Vec<Job> =
                left.iter().flat_map(|&(trial, _)| folds.clone().map(move |fold| Job { trial, fold })).collect();
            let Some(courses) = (self.train)(&jobs, first + count)? else { return Ok(None) };
            let mut courses = courses.into_iter();
            left.iter_mut().for_each(|(_, own)| own.extend(courses.by_ref().take(folds.len())));
            let before = left.len();
            left.retain(|(_, own)| Standing::of(own).is_some());
            diverged += before - left.len();
            left.sort_by(|(_, a), (_, b)| match (Standing::of(a), Standing::of(b)) {
                (Some(a), Some(b)) => a.better(&b, self.measure),
                _ => std::cmp::Ordering::Equal,
            });
        }
        let finished = left.into_iter().filter_map(|(trial, own)| Some((trial, Standing::of(&own)?)));
        Ok(Some(Round { finished: finished.collect(), diverged }))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;
    use crate::nn::Metric;

    /// How good a trial is on a fold: 6 is the best, the first fold is easier for odd ones.
    fn course(job: &Job) -> Course {
        let score = 1.0 / (1.0 + job.trial.abs_diff(6) as f64)
            + if job.fold == 0 { 0.001 * (job.trial % 2) as f64 } else { 0.0 };
        Course { losses: vec![1.0, 0.5], scores: vec![0.0, score] }
    }

    /// Each training takes so many seconds. What came of it, and the jobs of each call.
    fn run(limit: Limit, seconds: f64, course: &dyn Fn(&Job) -> Course) -> (Result<Ranking>, Vec<Vec<Job>>) {
        let (clock, calls) = (Cell::new(0.0), RefCell::new(Vec::new()));
        let train = |jobs: &[Job], _: usize| {
            clock.set(clock.get() + seconds * jobs.len() as f64);
            calls.borrow_mut().push(jobs.to_vec());
            Ok(Some(jobs.iter().map(course).collect()))
        };
        let (measure, elapsed) = (Measure::plain(Metric::Accuracy), || Duration::from_secs_f64(clock.get()));
        let tournament =
            Tournament { folds: 5, limit, measure: &measure, train: &train, elapsed: &elapsed, leads: &|_| () };
        let found = tournament.run();
        (found, calls.into_inner())
    }

    #[test]
    fn the_best_is_kept() {
        let (found, calls) = run(Limit::Trials(23), 1.0, &course);
        let found = found.unwrap();
        assert_eq!((found.trials, found.diverged, found.ranked[0].0), (23, 0, 6));
        assert_eq!(found.ranked[0].1.scores, [1.0; 5]);
        // 1 of 1, twice, 1 of 2, 1 of 4 and 2 of each 8 had all folds.
        assert_eq!(found.ranked.len(), 1 + 1 + 1 + 1 + 2 + 2);
        let of_fold = |fold| calls.iter().flatten().filter(|job| job.fold == fold).count();
        assert_eq!([0, 1, 2, 3, 4].map(of_fold), [23, 1 + 1 + 1 + 2 + 4 + 4, 8, 8, 8]);
    }

    #[test]
    fn time_decides_how_many_trials_there_are_and_nothing_else() {
        for (seconds, budget) in [(0.1, 6.0), (0.1, 2.0), (1.0, 1.0), (0.5, 9.0)] {
            let limit = Limit::Time { budget: Duration::from_secs_f64(budget), kept: 2.0 };
            let (timed, calls) = run(limit, seconds, &course);
            let timed = timed.unwrap();
            let trained = calls.iter().map(Vec::len).sum::<usize>();
            // One is tried whatever it takes; the last training has its time.
            assert!(trained == 5 || (trained as f64 + 2.0) * seconds <= budget + 1e-9, "{trained} of {seconds} s");
            let (counted, same) = run(Limit::Trials(timed.trials), 99.0, &course);
            assert_eq!((counted.unwrap(), same), (timed, calls));
        }
        let trials = |budget| {
            run(Limit::Time { budget: Duration::from_secs(budget), kept: 2.0 }, 0.1, &course).0.unwrap().trials
        };
        assert!(trials(60) > 200 && trials(0) == 1);
    }

    #[test]
    fn what_diverges_is_left_behind() {
        let lost = |job: &Job| if job.trial.is_multiple_of(2) { Course::default() } else { course(job) };
        let (found, _) = run(Limit::Trials(15), 1.0, &lost);
        let found = found.unwrap();
        assert_eq!((found.trials, found.diverged, found.ranked[0].0), (15, 8, 5));
        let (none, _) = run(Limit::Trials(3), 1.0, &|_| Course::default());
        assert!(none.unwrap_err().to_string().starts_with("data: the loss of all 3 trials is no number"));
    }

    #[test]
    fn a_search_that_is_stopped_has_what_was_done_before() {
        let stopped_after = |calls: usize| {
            let left = Cell::new(calls);
            let train = |jobs: &[Job], _: usize| {
                left.set(left.get().saturating_sub(1));
                Ok(Some(jobs.iter().map(course).collect()).filter(|_| left.get() > 0))
            };
            let measure = Measure::plain(Metric::Accuracy);
            let (folds, limit, elapsed) = (5, Limit::Trials(50), || Duration::ZERO);
            Tournament { folds, limit, measure: &measure, train: &train, elapsed: &elapsed, leads: &|_| () }.run()
        };
        // Within the first trial, and within the second four.
        assert!(stopped_after(1).unwrap_err().to_string().contains("stopped before its first trial"));
        assert_eq!(stopped_after(5).unwrap(), run(Limit::Trials(4), 1.0, &course).0.unwrap());
    }
}

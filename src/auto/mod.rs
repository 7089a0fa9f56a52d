//! A network for data, found by trying many: widths, depth, learning rate, dropout, weight decay and weights of classes.

mod fold;
mod measure;
mod network;
mod report;
mod settings;
mod space;
mod standing;
mod task;
mod tournament;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Instant;
use crate::data::{Dataset, Fold, KFold, Split};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::nn::{Metric, Misnamed, Model, OrName};
use crate::threads;
use fold::{Course, Epochs, Parts, Training};
use measure::Measure;
pub use report::{Ranked, Report, Score};
pub use settings::Settings;
use space::Space;
use standing::Standing;
use task::{Kind, Task};
use tournament::{Job, Limit, Tournament};

/// A search for the network that predicts best what it did not see: many settings are tried by k-fold cross-validation, bad ones are
/// left after a fold or two, and of those that the folds do not tell from the best the smallest is trained on all of the data. Samples and, where they are values, targets are scaled by the
/// rows that are trained on; the model does it itself and takes samples as the data have them.
///
/// Classes are told apart by class indices, values are `f32` targets: see [`Dataset`]. Samples that are pictures, by their shape, have
/// convolutions.
///
/// Settings follow from the seed and a trial's number. The clock decides only how many trials there are, which the [`Report`] says:
/// [`Search::trials`] with that number repeats a search to the bit on the same device, whatever the number of its threads.
///
/// ```
/// use kiln::auto::Search;
/// use kiln::prelude::*;
/// // Two numbers, and whether their sum is above 0.
/// let x: Vec<[f32; 2]> = (0..60).map(|i| [(i as f32).sin(), (i as f32 * 1.7).cos()]).collect();
/// let above: Vec<u32> = x.iter().map(|[a, b]| u32::from(a + b > 0.0)).collect();
/// let data = Dataset::new(Tensor::new([60, 2], x.concat())?, Tensor::new([60], above)?)?;
///
/// // In place of `trials(3)`, `budget(Duration::from_secs(60))` tries as many as there is time for.
/// let mut found = Search::new(&data).trials(3).device(Device::cpu()).run()?;
/// println!("{}", found.report);
/// assert!(found.report.best().score.mean > found.report.baseline.mean);
/// assert!(found.model.evaluate(&data)?.get("accuracy") > Some(0.8));
/// # Ok::<(), kiln::Error>(())
/// ```
pub struct Search<'a> {
    data: &'a Dataset,
    parts: Box<Parts<'a>>,
    budget: Duration,
    trials: Option<usize>,
    folds: usize,
    metric: Option<Metric>,
    seed: u64,
    device: Option<Device>,
    workers: Option<usize>,
    epochs: Option<Epochs>,
    stops: Box<dyn Fn() -> bool + Sync + 'a>,
    progress: Box<dyn FnMut(&Progress) + Send + 'a>,
    misnamed: Misnamed,
}

/// How far a search is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// The trials that are done or under way.
    pub trials: usize,
    /// Networks that were trained on a fold.
    pub trained: usize,
    /// The best trial so far, once one is done.
    pub best: Option<Score>,
}

/// What a search found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Found {
    /// The network of the best trial, trained on all of the data; its note `auto` is the report.
    pub model: Model,
    /// What was tried.
    pub report: Report,
}

/// The key of a search in its model's notes.
pub const NOTE: &str = "auto";

impl<'a> Search<'a> {
    /// For a minute, by five folds, by accuracy of classes or R² of values, on [`Device::auto`], with the seed 0.
    pub fn new(data: &'a Dataset) -> Self {
        Self {
            data,
            parts: Box::new(|fold| Ok(Split { train: data.subset(&fold.train)?, test: data.subset(&fold.test)? })),
            budget: Duration::from_secs(60),
            trials: None,
            folds: 5,
            metric: None,
            seed: 0,
            device: None,
            workers: None,
            epochs: None,
            stops: Box::new(|| false),
            progress: Box::new(|_| ()),
            misnamed: Misnamed::default(),
        }
    }

    /// How rows become samples where that is learned of them, as what stands for missing values is: of the rows to train on alone. Unless
    /// told, samples are taken as they stand in the data. The data are all rows, made by themselves.
    #[must_use]
    pub fn prepare_by(mut self, prepare: impl Fn(&Fold) -> Result<Split> + Sync + 'a) -> Self {
        self.parts = Box::new(prepare);
        self
    }

    /// How long it may take, the last training included. It is longer where the first trial takes longer.
    #[must_use]
    pub fn budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    /// So many trials, however long they take, in place of a budget.
    #[must_use]
    pub fn trials(mut self, trials: usize) -> Self {
        self.trials = Some(trials);
        self
    }

    /// The parts that the data are cut into, each measured on once: 2 or more. Of classes each has the same share.
    #[must_use]
    pub fn folds(mut self, folds: usize) -> Self {
        self.folds = folds;
        self
    }

    /// What the trials are compared by, on the rows that they did not see: of classes [`Metric::Accuracy`] unless told,
    /// `sparse_categorical_crossentropy`, `f1_score` or `auc`, each class against the rest; of values [`const@Metric::R2Score`] unless told, `rmse`,
    /// `mae` or `mse`. Whatever it is, equal ones are told apart by the loss, and a trial's epochs are those of its lowest loss.
    #[must_use]
    pub fn metric(mut self, metric: impl OrName<Metric>) -> Self {
        let given = self.misnamed.read(metric.given());
        self.metric = given.or(self.metric);
        self
    }

    /// Of the folds, the settings, the initial weights and the order of samples.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Where to train. On the CPU its threads train several networks side by side.
    #[must_use]
    pub fn device(mut self, device: Device) -> Self {
        self.device = Some(device);
        self
    }

    /// Asked after each epoch whether the search is to end. What was tried by then is what it found.
    #[must_use]
    pub fn stop_when(mut self, stops: impl Fn() -> bool + Sync + 'a) -> Self {
        self.stops = Box::new(stops);
        self
    }

    /// Called after each training, by whatever thread made it.
    #[must_use]
    pub fn on_progress(mut self, call: impl FnMut(&Progress) + Send + 'a) -> Self {
        self.progress = Box::new(call);
        self
    }

    /// Searches.
    ///
    /// # Errors
    /// [`Error::Argument`] where the data have nothing to learn, there are fewer rows than folds, a setting is out of its range, no
    /// trial's loss is a number, or the search was stopped before its first trial was done; and what the device reports.
    pub fn run(self) -> Result<Found> {
        let begin = Instant::now();
        self.misnamed.check()?;
        if self.trials == Some(0) {
            return Err(Error::argument("trials", "0 find nothing; give 1 or more"));
        }
        let task = Task::of(self.data)?;
        let measure = Measure::new(self.metric.unwrap_or_else(|| task.metric()), &task)?;
        let device = self.device.clone().map_or_else(Device::auto, Ok)?;
        let folds = KFold::drawn(self.folds, self.seed, self.data.y())?;
        let rows = folds[0].train.len();
        let space = Space::of(&task, rows);
        let stops = &*self.stops;
        let (parts, epochs) = (&*self.parts, self.epochs.unwrap_or_else(|| Epochs::of(rows)));
        let training = Training { task: &task, parts, measure: &measure, epochs, seed: self.seed, stops };
        let baseline = baseline(&training, &folds, &device)?;

        let settings = |trial| space.settings(self.seed, trial);
        let workers = self.workers.unwrap_or_else(|| if device.is_gpu() { 1 } else { threads::cores() });
        let (trained, best, progress) = (AtomicUsize::new(0), Mutex::new(None), Mutex::new(self.progress));
        let train = |jobs: &[Job], trials: usize| -> Result<Option<Vec<Course>>> {
            let one = |job: &Job, pool: &threads::Pool| {
                if stops() {
                    return Ok(Course::default());
                }
                let device = device.clone().with_pool(pool.clone());
                let course = training.run((job.trial, &settings(job.trial)), &folds[job.fold], device)?;
                let trained = trained.fetch_add(1, Ordering::Relaxed) + 1;
                let best = *best.lock().unwrap_or_else(PoisonError::into_inner);
                (progress.lock().unwrap_or_else(PoisonError::into_inner))(&Progress { trials, trained, best });
                Ok(course)
            };
            let courses = threads::map_side_by_side(jobs, workers, &one)?.into_iter().collect::<Result<Vec<_>>>()?;
            Ok(Some(courses).filter(|_| !stops()))
        };
        let leads = |standing: &Standing| {
            *best.lock().unwrap_or_else(PoisonError::into_inner) = Some(Score::of(&standing.scores));
        };
        // The last training has more rows, and the processor for itself.
        let kept = 1.5 * workers as f64;
        let limit = self.trials.map_or(Limit::Time { budget: self.budget, kept }, Limit::Trials);
        let elapsed = || begin.elapsed();
        let mut found =
            Tournament { folds: self.folds, limit, measure: &measure, train: &train, elapsed: &elapsed, leads: &leads }
                .run()?;
        smallest_first(&mut found.ranked, &measure, |trial| task.weights(&settings(trial)))?;
        let report = Report {
            metric: measure.metric.name().into(),
            trials: found.trials,
            diverged: found.diverged,
            folds: self.folds,
            seed: self.seed,
            baseline,
            ranked: Report::ranked(&found.ranked, settings),
        };
        let mut model = last(&training, report.best(), (self.data, device))?;
        model.set_note(NOTE, report.clone());
        Ok(Found { model, report })
    }
}

/// Brings the smallest of those to the front that the folds do not tell from the best, the best of equally small ones: what more
/// weights gained is by chance, as far as can be known.
fn smallest_first(
    ranked: &mut [(usize, Standing)],
    measure: &Measure,
    weights: impl Fn(usize) -> Result<usize>,
) -> Result<()> {
    let best = ranked[0].1.clone();
    let mut smallest = (0, usize::MAX);
    for (place, (trial, standing)) in ranked.iter().enumerate() {
        if place == 0 || standing.is_as_good(&best, measure) {
            let weights = weights(*trial)?;
            if weights < smallest.1 {
                smallest = (place, weights);
            }
        }
    }
    ranked[..=smallest.0].rotate_right(1);
    Ok(())
}

/// What the folds come to by the same answer for every row.
fn baseline(training: &Training<'_>, folds: &[Fold], device: &Device) -> Result<Score> {
    let scores = folds.iter().map(|fold| {
        let Split { train, test } = (training.parts)(fold)?;
        let mut model = training.task.baseline(&train, training.measure.compiled(), device.clone())?;
        training.measure.of_model(&mut model, &test)
    });
    Ok(Score::of(&scores.collect::<Result<Vec<_>>>()?))
}

/// The network of a trial, trained on all of the data.
fn last(training: &Training<'_>, best: &Ranked, (data, device): (&Dataset, Device)) -> Result<Model> {
    let task = training.task;
    let own = training.measure.compiled().into_iter();
    let usual: &[Metric] = match task.kind {
        Kind::Classes(_) => &[Metric::Accuracy],
        Kind::Values(_) => &[Metric::R2Score, Metric::RootMeanSquaredError, Metric::MeanAbsoluteError],
    };
    let metrics: Vec<Metric> = usual.iter().copied().chain(own.filter(|own| !usual.contains(own))).collect();
    let mut model = task.network(&best.settings, data, metrics)?.device(device).seed(training.seed_of(best.trial));
    let fit = training.fit(&best.settings, data, best.epochs);
    model.fit(data, fit)?;
    Ok(model.named(NOTE).into_model())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Tensor;

    /// So many rows of three numbers, of which the first two matter.
    fn samples(rows: usize) -> Vec<[f32; 3]> {
        (0..rows).map(|i| [1.0, 1.7, 2.3].map(|step| (i as f32 * step + 0.5).sin())).collect()
    }

    fn classes(rows: usize) -> Dataset {
        let x = samples(rows);
        let y: Vec<u32> = x.iter().map(|[a, b, _]| u32::from(a + b > 0.0)).collect();
        Dataset::new(Tensor::new([rows, 3], x.concat()).unwrap(), Tensor::new([rows], y).unwrap()).unwrap()
    }

    fn values(rows: usize) -> Dataset {
        let x = samples(rows);
        let y: Vec<f32> = x.iter().map(|[a, b, _]| 1000.0 + 200.0 * a - 50.0 * b).collect();
        Dataset::new(Tensor::new([rows, 3], x.concat()).unwrap(), Tensor::new([rows, 1], y).unwrap()).unwrap()
    }

    /// Short trainings: some steps tell what there is to tell.
    fn search(data: &Dataset, trials: usize) -> Search<'_> {
        let search = Search::new(data).trials(trials).folds(3).seed(7).device(Device::cpu());
        Search { epochs: Some(Epochs { most: 80, patience: 10 }), ..search }
    }

    #[track_caller]
    fn refused(search: Search<'_>, part: &str) {
        let error = search.run().unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }

    #[test]
    fn a_search_repeats_to_the_byte_whatever_the_number_of_workers() {
        let data = classes(40);
        let run = |workers: usize, seed: u64| {
            let mut search = search(&data, 4).seed(seed);
            search.workers = Some(workers);
            let mut found = search.run().unwrap();
            (found.report, found.model.to_bytes().unwrap())
        };
        let first = run(1, 7);
        assert_eq!(first, run(1, 7));
        assert_eq!(first, run(3, 7));
        assert_ne!(first.1, run(1, 8).1);
        // The file says what was done.
        let kept = Model::from_bytes(&first.1).unwrap().note::<Report>(NOTE).unwrap().unwrap();
        assert_eq!(kept, first.0);
        assert_eq!((kept.trials, kept.folds, kept.seed), (4, 3, 7));
    }

    #[test]
    fn classes_are_told_apart_and_values_found_in_their_own_units() {
        let data = classes(60);
        let mut found = search(&data, 3).run().unwrap();
        let best = found.report.best().clone();
        assert!(best.score.mean > 0.85 && found.report.baseline.mean < 0.7, "{}", found.report);
        assert!(found.model.evaluate(&data).unwrap().get("accuracy") > Some(0.9));
        assert_eq!(found.model.epoch(), best.epochs);

        let data = values(60);
        let mut found = search(&data, 3).run().unwrap();
        assert!(found.report.best().score.mean > 0.8 && found.report.baseline.mean < 0.1, "{}", found.report);
        let predicted = found.model.predict(data.x()).unwrap().to_vec::<f32>();
        assert!((predicted.iter().sum::<f32>() / 60.0 - 1000.0).abs() < 50.0, "{predicted:?}");
        let report = search(&data, 1).metric("rmse").run().unwrap().report;
        assert!(
            report.best().score.mean < report.baseline.mean && report.metric == "root_mean_squared_error",
            "{report}"
        );
    }

    #[test]
    fn areas_and_losses_are_measured_too() {
        let data = classes(40);
        let area = search(&data, 1).metric("auc").run().unwrap().report;
        assert_eq!(area.baseline, Score { mean: 0.5, deviation: 0.0 });
        assert!(area.best().score.mean > 0.9, "{area}");
        let loss = search(&data, 1).metric("sparse_categorical_crossentropy").run().unwrap().report;
        assert!(loss.best().score.mean < loss.baseline.mean, "{loss}");
        assert!((loss.baseline.mean - 0.69).abs() < 0.02, "{loss}");
        assert!(search(&data, 1).metric("f1_score").run().unwrap().report.best().score.mean > 0.8);
    }

    #[test]
    fn of_equally_good_ones_the_smallest_is_taken() {
        let standing = |scores: [f64; 3]| Standing { epochs: 1, loss: 0.0, scores: scores.into() };
        let all = [[0.9, 0.9, 0.9], [0.9, 0.9, 0.8], [0.8, 0.9, 0.9], [0.8, 0.8, 0.8]].map(standing);
        let first = |weights: [usize; 4]| {
            let mut ranked: Vec<(usize, Standing)> = (0..).zip(all.clone()).collect();
            smallest_first(&mut ranked, &Measure::plain(Metric::Accuracy), |trial| Ok(weights[trial])).unwrap();
            ranked.into_iter().map(|(trial, _)| trial).collect::<Vec<_>>()
        };
        assert_eq!(first([5, 4, 3, 1]), [2, 0, 1, 3]);
        assert_eq!(first([5, 3, 3, 1]), [1, 0, 2, 3]);
        assert_eq!(first([3, 3, 3, 1]), [0, 1, 2, 3]);
    }

    #[test]
    fn pictures_have_convolutions() {
        // A bright column on the left or on the right.
        let row = |i: usize| {
            (0..64).map(
                move |at| if at % 8 == if i.is_multiple_of(2) { 1 } else { 6 } { 250u8 } else { (at * i % 97) as u8 },
            )
        };
        let x = Tensor::new([20, 8, 8], (0..20).flat_map(row).collect::<Vec<_>>()).unwrap();
        let data = Dataset::new(x, Tensor::new([20], (0..20).map(|i| i % 2).collect::<Vec<u32>>()).unwrap()).unwrap();
        let mut found = search(&data, 1).run().unwrap();
        assert_eq!(found.report.best().settings.filters, [16]);
        assert_eq!(found.model.evaluate(&data).unwrap().get("accuracy"), Some(1.0));
    }

    #[test]
    fn what_cannot_be_searched_is_said() {
        let x = Tensor::new([6, 1], vec![0.0f32, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        let of = |y: Vec<u32>| Dataset::new(x.clone(), Tensor::new([6], y).unwrap()).unwrap();
        refused(search(&of(vec![3; 6]), 1), "data: all 6 labels are 3: there is nothing to tell apart");
        refused(search(&of(vec![0, 1, 0, 1, 0, 900]), 1), "the label 900 makes 901 classes of 6 samples");
        let constant = Dataset::new(x.clone(), Tensor::new([6], vec![2.5f32; 6]).unwrap()).unwrap();
        refused(search(&constant, 1), "data: all 6 targets are 2.5: there is nothing to learn");
        let few = of(vec![0, 1, 0, 1, 0, 1]);
        refused(search(&few, 1).folds(7), "folds: 7 folds of 6 samples; give 2 to 6");
        refused(search(&few, 1).folds(1), "folds: 1 folds of 6 samples; give 2 to 6");
        refused(search(&few, 0), "trials: 0 find nothing; give 1 or more");
        refused(search(&few, 1).metric("acuracy"), "did you mean \"accuracy\"?");
        refused(search(&few, 1).metric("r2_score"), "r2_score: takes one-hot targets or values");
        refused(search(&values(20), 1).metric("accuracy"), "metric: accuracy is of classes, the targets are values");
        let lost = classes(20).with_sample_weight(vec![f32::MAX; 20]).unwrap();
        refused(search(&lost, 2), "data: the loss of all 2 trials is no number");
        refused(search(&few, 1).stop_when(|| true), "search: was stopped before its first trial was done");
    }

    #[test]
    fn a_search_that_is_stopped_trains_the_best_so_far() {
        let (data, seen) = (classes(40), AtomicUsize::new(0));
        let stopped = search(&data, 50).stop_when(|| seen.load(Ordering::Relaxed) > 4);
        let stopped = stopped.on_progress(|now| seen.store(now.trained, Ordering::Relaxed)).run().unwrap().report;
        // Five trainings are one trial of three folds, and two of the next trials' four.
        assert_eq!(stopped, search(&data, 1).run().unwrap().report);
    }
}

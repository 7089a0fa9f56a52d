//! `fit`, `evaluate` and `predict`: the loop over epochs. What happens within one is the device's.

use std::time::{Duration, Instant};

use super::progress::Progress;
use super::session::Session;
use super::trace::{Key, Mode, Model, Part, Source};
use super::{CheckFinite, History, Logs, finite};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::nn::Metric;
use crate::plan::BufferId;
use crate::random::shuffled;
use crate::tensor::Tensor;

/// The settings of [`Sequential::fit`](crate::nn::Sequential::fit), with Keras' names and defaults.
pub struct Fit<'a> {
    pub(crate) epochs: usize,
    pub(crate) batch_size: usize,
    pub(crate) shuffle: bool,
    pub(crate) validation_split: f64,
    pub(crate) validation_data: Option<&'a Dataset>,
    pub(crate) seed: Option<u64>,
    pub(crate) verbose: u8,
    pub(crate) check_finite: CheckFinite,
    pub(crate) on_epoch_end: Option<EpochEnd<'a>>,
}

/// Called with the epoch, from 1, and its values.
type EpochEnd<'a> = Box<dyn FnMut(usize, &Logs) + 'a>;

impl Default for Fit<'_> {
    fn default() -> Self {
        Self {
            epochs: 1,
            batch_size: 32,
            shuffle: true,
            validation_split: 0.0,
            validation_data: None,
            seed: None,
            verbose: 1,
            check_finite: CheckFinite::default(),
            on_epoch_end: None,
        }
    }
}

impl<'a> Fit<'a> {
    /// One epoch in batches of 32, shuffled, without validation.
    pub fn new() -> Self {
        Self::default()
    }

    /// How often the whole set is gone through; default 1.
    #[must_use]
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.epochs = epochs;
        self
    }

    /// Samples a step; default 32. The last batch of an epoch may be smaller.
    #[must_use]
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// Whether each epoch takes the samples in an order of its own; default true.
    #[must_use]
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.shuffle = shuffle;
        self
    }

    /// The share of the samples, the last ones, that is kept for validation; default 0.
    #[must_use]
    pub fn validation_split(mut self, share: f64) -> Self {
        self.validation_split = share;
        self
    }

    /// A set to validate on after each epoch; overrides [`Fit::validation_split`].
    #[must_use]
    pub fn validation_data(mut self, data: &'a Dataset) -> Self {
        self.validation_data = Some(data);
        self
    }

    /// The seed of the order of samples; default the model's.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// 0 prints nothing, 1 a bar on a terminal and a line an epoch elsewhere, 2 a line an epoch; default 1.
    #[must_use]
    pub fn verbose(mut self, verbose: u8) -> Self {
        self.verbose = verbose;
        self
    }

    /// When to look whether the loss is still finite; default [`CheckFinite::Epoch`]. A loss that is not stops the run.
    #[must_use]
    pub fn check_finite(mut self, when: CheckFinite) -> Self {
        self.check_finite = when;
        self
    }

    /// Called after each epoch with its number, from 1, and its values.
    #[must_use]
    pub fn on_epoch_end(mut self, call: impl FnMut(usize, &Logs) + 'a) -> Self {
        self.on_epoch_end = Some(Box::new(call));
        self
    }
}

/// The rows of a run: where they lie and how they are cut into steps.
struct Rows {
    source: Source,
    count: usize,
    batch: usize,
}

impl Rows {
    fn steps(&self) -> usize {
        self.count.div_ceil(self.batch)
    }

    /// The rows of a step, counted from 0: the last one may have fewer.
    fn batch_of(&self, step: usize) -> usize {
        self.batch.min(self.count - step * self.batch)
    }

    /// The key of a step of so many rows.
    fn key(&self, mode: Mode, part: Part, batch: usize) -> Key {
        Key { mode, part, source: self.source.clone(), batch, rows: self.count, steps: self.steps() }
    }

    /// What a run consists of, in order: the full batches, then what is left.
    fn plans(&self, session: &mut Session, model: &Model<'_>, mode: Mode, parts: &[Part]) -> Result<Vec<Round>> {
        let rounds = [(self.batch, self.count / self.batch), (self.count % self.batch, 1)];
        let rounds = rounds.into_iter().filter(|&(batch, times)| batch > 0 && times > 0);
        let keys = rounds.clone().flat_map(|(batch, _)| parts.iter().map(move |&part| self.key(mode, part, batch)));
        let plans = session.plans(model, &keys.collect::<Vec<_>>())?;
        let plans = plans.chunks(parts.len());
        Ok(plans.zip(rounds).map(|(plans, (_, times))| Round { plans: plans.to_vec(), times }).collect())
    }
}

/// Steps that run the same plans: one for each part of a step.
struct Round {
    plans: Vec<usize>,
    times: usize,
}

/// A batch of evaluation: its size changes no result beyond rounding.
const EVALUATION_BATCH: usize = 500;
/// At most this often a second the running values are read back.
const PEEK_EVERY: Duration = Duration::from_millis(200);

/// One run over rows: starts the plans in turn, shows how it goes, and returns the log of every step.
async fn run(session: &mut Session, rounds: &[Round], log: usize, progress: &Watch<'_>) -> Result<Vec<f64>> {
    let (mut done, mut last_peek) = (0, Instant::now());
    for round in rounds {
        let end = done + round.times;
        while done < end {
            done += session.executor().run_some(round.plans[0], end - done)?;
            let mut seen = None;
            if progress.bar.is_some_and(Progress::wants_values) && last_peek.elapsed() > PEEK_EVERY {
                seen = session.executor().peek(BufferId::Log, 0..log)?;
                last_peek = if seen.is_some() { Instant::now() } else { last_peek };
            }
            let logs = seen.map(|log| progress.means(&log.to_f64(), done));
            if let Some(bar) = progress.bar {
                bar.update(done, logs.as_ref());
            }
        }
    }
    Ok(session.executor().read(BufferId::Log, 0..log).await?.to_f64())
}

/// As [`run`], but looks at the loss and the gradients of each step before its update.
async fn run_checked(
    session: &mut Session,
    model: &Model<'_>,
    (rows, rounds): (&Rows, &[Round]),
    watch: &Watch<'_>,
    epoch: usize,
) -> Result<Vec<f64>> {
    let width = watch.columns.len();
    let each = rounds.iter().flat_map(|round| std::iter::repeat_n(&round.plans, round.times));
    for (step, plans) in each.enumerate() {
        session.executor().run(plans[0], 1)?;
        let loss = session.executor().read(BufferId::Log, step * width..step * width + 1).await?.to_f64()[0];
        let gradients = session.gradients().await?;
        if !loss.is_finite() || gradients.iter().any(|g| g.values().to_f64().iter().any(|v| !v.is_finite())) {
            let loss = loss / rows.batch_of(step) as f64;
            return Err(lost_at(session, model, rows, (epoch, step, loss), true).await);
        }
        session.executor().run(plans[1], 1)?;
        if let Some(bar) = watch.bar {
            bar.update(step + 1, None);
        }
    }
    Ok(session.executor().read(BufferId::Log, 0..rows.steps() * width).await?.to_f64())
}

/// The error of a step, counted from 0, whose loss or gradients are not finite. The clock stands at it.
async fn lost_at(
    session: &mut Session,
    model: &Model<'_>,
    rows: &Rows,
    (epoch, step, loss): (usize, usize, f64),
    intact: bool,
) -> Error {
    let key = rows.key(Mode::Train, Part::All, rows.batch_of(step));
    let origin = finite::origin(session, model, &key, intact).await;
    Error::NotFinite { epoch, step: step + 1, loss, origin }
}

/// A column of the log: its name, and the metric where it is not the loss.
type Column = (String, Option<Metric>);

/// What a run's log means.
struct Watch<'a> {
    /// What shows how it goes, where anything does.
    bar: Option<&'a Progress>,
    columns: Vec<Column>,
    batch: usize,
    rows: usize,
}

impl Watch<'_> {
    /// Loss and metrics over the samples of the first `steps` steps.
    fn means(&self, log: &[f64], steps: usize) -> Logs {
        let (width, mut logs) = (self.columns.len(), Logs::default());
        let samples = (steps * self.batch).min(self.rows);
        for (column, (name, metric)) in self.columns.iter().enumerate() {
            let total: f64 = log.chunks(width).take(steps).map(|row| row[column]).sum();
            let mean = total / samples.max(1) as f64;
            logs.push(name, metric.map_or(mean, |metric| metric.of_mean(mean)));
        }
        logs
    }

    /// The mean loss of each batch.
    fn batch_losses<'b>(&'b self, log: &'b [f64]) -> impl Iterator<Item = f64> + 'b {
        let samples = |step: usize| self.batch.min(self.rows - step * self.batch);
        log.chunks(self.columns.len()).enumerate().map(move |(step, row)| row[0] / samples(step) as f64)
    }
}

/// Trains, from the step after `iteration` on; returns what was measured and the last step.
pub(crate) async fn fit(
    session: &mut Session,
    model: &Model<'_>,
    data: &Dataset,
    mut options: Fit<'_>,
    start: (u64, u64),
) -> Result<(History, u64)> {
    let (seed, mut iteration) = (options.seed.unwrap_or(start.0), start.1);
    let (count, validation) = split(data, &options)?;
    let source = session.set_dataset(0, data)?;
    let validation = match (options.validation_data, validation) {
        (Some(set), _) => Some((session.set_dataset(2, set)?, 0, set.len())),
        (None, 0) => None,
        (None, held_back) => Some((source.clone(), count, held_back)),
    };
    let rows = Rows { source, count, batch: options.batch_size };
    let optimizer = model.optimizer.expect("checked before fitting");
    let mut history = History::default();
    for epoch in 1..=options.epochs {
        let steps = rows.steps();
        let checked = options.check_finite == CheckFinite::Step;
        let parts = if checked { &[Part::BeforeUpdate, Part::Update][..] } else { &[Part::All] };
        let plans = rows.plans(session, model, Mode::Train, parts)?;
        let order = if options.shuffle { shuffled(count as u32, seed, iteration) } else { (0..count as u32).collect() };
        session.start(order, iteration)?;
        session.write_schedule(optimizer, iteration, steps)?;
        let bar = Progress::new(options.verbose, epoch, options.epochs, steps);
        let watch = Watch { bar: Some(&bar), columns: columns(model, ""), batch: rows.batch, rows: count };
        let log = match checked {
            true => run_checked(session, model, (&rows, &plans), &watch, epoch).await?,
            false => run(session, &plans, steps * watch.columns.len(), &watch).await?,
        };
        let losses: Vec<f64> = watch.batch_losses(&log).collect();
        let lost = losses.iter().position(|loss| !loss.is_finite());
        if let (Some(step), CheckFinite::Epoch) = (lost, options.check_finite) {
            session.set_clock(step, step * rows.batch, iteration + step as u64)?;
            return Err(lost_at(session, model, &rows, (epoch, step, losses[step]), false).await);
        }
        let mut logs = watch.means(&log, steps);
        if let Some((source, first, held_back)) = &validation {
            let (first, rows) = (*first as u32, evaluation_rows(source.clone(), *held_back));
            let values = measure(session, model, &rows, first, "val_").await?;
            values.iter().for_each(|(name, value)| logs.push(name, value));
        }
        bar.finish(&logs);
        if let Some(call) = &mut options.on_epoch_end {
            call(epoch, &logs);
        }
        history.push(logs, losses);
        iteration += steps as u64;
    }
    Ok((history, iteration))
}

/// Makes everything ready for `steps` training steps in the order of the data; returns their plan and its key.
pub(crate) fn start_training(
    session: &mut Session,
    model: &Model<'_>,
    data: &Dataset,
    batch: usize,
    steps: usize,
) -> Result<(usize, Key)> {
    let rows = Rows { source: session.set_dataset(0, data)?, count: steps * batch, batch };
    let key = rows.key(Mode::Train, Part::All, batch);
    let plan = session.plans(model, std::slice::from_ref(&key))?[0];
    session.start((0..rows.count as u32).collect(), 0)?;
    session.write_schedule(model.optimizer.expect("checked before training"), 0, steps)?;
    Ok((plan, key))
}

/// How many samples train and how many are held back, with every setting checked.
fn split(data: &Dataset, options: &Fit<'_>) -> Result<(usize, usize)> {
    let share = options.validation_split;
    if !(0.0..1.0).contains(&share) {
        return Err(Error::argument(
            "validation_split",
            format!("{share} is no share; give 0 or more and less than 1"),
        ));
    }
    // Keras takes the last part, before shuffling, and rounds the training part down.
    let held_back = options.validation_data.is_none() && share > 0.0;
    let count = if held_back { (data.len() as f64 * (1.0 - share)).floor() as usize } else { data.len() };
    if count == 0 {
        let message = format!("{share} of {} samples leaves none to train on; give less", data.len());
        return Err(Error::argument("validation_split", message));
    }
    if options.batch_size == 0 || options.batch_size > count {
        let message = format!("{} does not fit the {count} samples to train on; give 1 to {count}", options.batch_size);
        return Err(Error::argument("batch_size", message));
    }
    Ok((count, data.len() - count))
}

/// `loss`, then the metrics.
fn columns(model: &Model<'_>, prefix: &str) -> Vec<Column> {
    let metrics = model.metrics.iter().map(|m| (m.name(), Some(*m)));
    std::iter::once(("loss", None)).chain(metrics).map(|(name, m)| (format!("{prefix}{name}"), m)).collect()
}

fn evaluation_rows(source: Source, count: usize) -> Rows {
    Rows { source, count, batch: EVALUATION_BATCH.min(count) }
}

/// Loss and metrics over rows from `first` on, without training.
async fn measure(session: &mut Session, model: &Model<'_>, rows: &Rows, first: u32, prefix: &str) -> Result<Logs> {
    let plans = rows.plans(session, model, Mode::Evaluate, &[Part::All])?;
    session.start((first..first + rows.count as u32).collect(), 0)?;
    let watch = Watch { bar: None, columns: columns(model, prefix), batch: rows.batch, rows: rows.count };
    let log = run(session, &plans, rows.steps() * watch.columns.len(), &watch).await?;
    Ok(watch.means(&log, rows.steps()))
}

/// Loss and metrics of a whole set.
pub(crate) async fn evaluate(session: &mut Session, model: &Model<'_>, data: &Dataset) -> Result<Logs> {
    let rows = evaluation_rows(session.set_dataset(2, data)?, data.len());
    measure(session, model, &rows, 0, "").await
}

/// Bytes of predictions that stay on the device before they are read back.
const PREDICTION_BYTES: usize = 64 << 20;

/// The model's output for every row of `x`; `output` is the shape of one row's.
pub(crate) async fn predict(
    session: &mut Session,
    model: &Model<'_>,
    (x, scale): (&Tensor, f32),
    output: &[usize],
) -> Result<Tensor> {
    let source = session.set_data(2, x, None, scale)?;
    let width: usize = output.iter().product();
    let batch = EVALUATION_BATCH.min(x.rows());
    let at_once = (PREDICTION_BYTES / (4 * width * batch)).max(1) * batch;
    let mut all = Vec::with_capacity(x.rows() * width);
    for first in (0..x.rows()).step_by(at_once) {
        let count = at_once.min(x.rows() - first);
        let rows = Rows { source: source.clone(), count, batch: batch.min(count) };
        let plans = rows.plans(session, model, Mode::Predict, &[Part::All])?;
        session.start((first as u32..(first + rows.count) as u32).collect(), 0)?;
        for round in plans {
            session.executor().run(round.plans[0], round.times)?;
        }
        all.extend(session.executor().read(BufferId::Predictions, 0..rows.count * width).await?.to_f32());
    }
    Tensor::new([&[x.rows()], output].concat(), all)
}

//! The loop of `fit` over epochs. What happens within one is the device's, unless somebody looks at every step.

use std::time::{Duration, Instant};

use super::callbacks::Callback;
use super::class_weight::ClassWeight;
use super::evaluation::measure;
use super::feed::{Expected, Feed};
use super::fit::FirstStep;
use super::progress::Progress;
use super::rows::{Round, Rows, Watch, round_of};
use super::run::Validation;
use super::session::Session;
use super::trace::{Key, Mode, Model, Part};
use super::{CheckFinite, Fit, History, Logs, Run, finite};
use crate::data::{Dataset, Source};
use crate::error::{Error, Result};
use crate::nn::Sequential;
use crate::plan::BufferId;
use crate::random::shuffled;

/// At most this often a second the running values are read back.
const PEEK_EVERY: Duration = Duration::from_millis(200);

/// The callbacks of a run.
type Callbacks<'a> = [Box<dyn Callback + 'a>];

/// Who sees how an epoch goes.
pub(super) struct Audience<'e, 'a> {
    bar: &'e Progress,
    callbacks: &'e mut Callbacks<'a>,
}

impl Audience<'_, '_> {
    /// Whether anybody sees the running values.
    fn wants_values(&self) -> bool {
        self.bar.wants_values() || self.callbacks.iter().any(|c| c.wants_progress())
    }

    /// After some steps, with the values so far if they are known.
    fn update(&mut self, done: usize, logs: Option<&Logs>) -> Result<()> {
        self.bar.update(done, logs);
        let Some(logs) = logs else { return Ok(()) };
        self.callbacks.iter_mut().filter(|c| c.wants_progress()).try_for_each(|c| c.on_progress(done, logs))
    }
}

/// Trains, from the model's last step on; returns what was measured.
pub(crate) async fn fit(model: &mut Sequential, data: &dyn Source, mut options: Fit<'_>, seed: u64) -> Result<History> {
    let (count, held_back) = options.split(data.len())?;
    let expected = model.expected()?;
    let class_weight = ClassWeight::new(&options.class_weight, &expected.output)?;
    let (session, _) = model.parts();
    let feed = Feed::new(session, 0, data, Expected { class_weight, ..expected.clone() })?;
    let validation = match (options.validation_data, held_back) {
        (Some(set), _) => Some((Feed::new(session, 3, set, expected)?, 0, set.len())),
        (None, 0) => None,
        (None, held_back) => Some((feed.held_back(), count, held_back)),
    };
    model.set_inputs(feed.inputs(data));
    let mut rows = Rows::new(&feed, count, options.batch_size);
    let mut callbacks = std::mem::take(&mut options.callbacks);
    let mut run = Run::new(model, &options, rows.steps());
    run.validation = validation.as_ref().map(|&(_, first, count)| Validation {
        source: options.validation_data.unwrap_or(data),
        rows: first..first + count,
    });
    let mut history = History::default();
    callbacks.iter_mut().try_for_each(|c| c.on_train_begin(&mut run))?;
    for epoch in (options.initial_epoch..options.epochs).map(|done| done + 1) {
        if run.stops() {
            break;
        }
        run.begin_epoch(epoch);
        callbacks.iter_mut().try_for_each(|c| c.on_epoch_begin(&mut run))?;
        let order =
            if options.shuffle { shuffled(count as u32, seed, run.iteration()) } else { (0..count as u32).collect() };
        let bar = Progress::new(options.verbose, epoch, options.epochs, rows.steps());
        let losses =
            train_epoch(&mut run, (&mut callbacks, &mut options.on_first_step), &mut rows, order, &bar).await?;
        if let Some((feed, first, count)) = &validation {
            let (session, model) = run.model.parts();
            let values = measure(session, &model, (feed, *first, *count), "val_").await?;
            values.iter().for_each(|(name, value)| run.log(name, value));
        }
        bar.finish(run.logs());
        callbacks.iter_mut().try_for_each(|c| c.on_epoch_end(&mut run))?;
        history.push(run.logs().clone(), losses);
    }
    callbacks.iter_mut().try_for_each(|c| c.on_train_end(&mut run))?;
    Ok(history)
}

/// One epoch: leaves its means in the run's logs and returns the mean loss of each batch.
async fn train_epoch(
    run: &mut Run<'_>,
    (callbacks, first_step): (&mut Callbacks<'_>, &mut Option<FirstStep<'_>>),
    rows: &mut Rows<'_>,
    order: Vec<u32>,
    bar: &Progress,
) -> Result<Vec<f64>> {
    let (start, check) = (run.iteration(), run.check_finite);
    let parts = match check {
        CheckFinite::Step => &[Part::BeforeUpdate, Part::Update][..],
        _ => &[Part::All],
    };
    let (session, model) = run.model.parts();
    let optimizer = model.optimizer.expect("checked before fitting");
    // A cycle of accumulated gradients goes on where the last epoch left it.
    let cycle = optimizer.options().gradient_accumulation_steps.unwrap_or(1).min(rows.steps() as u64);
    let updates: Vec<bool> = (1..=cycle).map(|t| optimizer.options().updates(start + t)).collect();
    let rounds = rows.plans(session, &model, (Mode::Train, parts), &updates)?;
    rows.start(session, order, start)?;
    session.write_schedule(optimizer, start, rows.steps())?;
    let watch = Watch::new(&model, "", rows);
    let log = if check == CheckFinite::Step || callbacks.iter().any(|c| c.wants_batches()) {
        run_each(run, (callbacks, first_step), (rows, &rounds), &watch, bar).await?
    } else {
        run_all(session, (rows, &rounds), &watch, first_step, Some(Audience { bar, callbacks })).await?
    };
    run.end_epoch(start, log.len() / watch.width(), watch.means(&log));
    let losses: Vec<f64> = watch.batch_losses(&log).collect();
    let lost = losses.iter().position(|loss| !loss.is_finite());
    if let (Some(step), CheckFinite::Epoch) = (lost, check) {
        let session = run.model.parts().0;
        rows.ready(session, step)?;
        session.set_clock(step, step * rows.batch, start + step as u64)?;
        return Err(lost_at(run, rows, (step, losses[step]), false).await);
    }
    Ok(losses)
}

/// One run over rows: starts the plans in turn, shows how it goes, and returns the log of every step.
pub(super) async fn run_all(
    session: &mut Session,
    (rows, rounds): (&mut Rows<'_>, &[Round]),
    watch: &Watch,
    first_step: &mut Option<FirstStep<'_>>,
    mut audience: Option<Audience<'_, '_>>,
) -> Result<Vec<f64>> {
    let (width, mut last_peek) = (watch.width(), Instant::now());
    // The rows of the log that were looked at so far, and their sums: each is fetched once.
    let (mut seen, mut totals) = (0, vec![0.0; width]);
    rows.each_stretch(session, |session, steps| {
        let mut done = steps.start;
        if let Some(call) = first_step.take() {
            session.executor().run(rounds[0].plans[0][0], 1)?;
            session.executor().finish()?;
            call();
            done += 1;
        }
        while done < steps.end {
            let (round, end) = round_of(rounds, done);
            done += session.executor().run_some(&round.plans[0], done..end.min(steps.end))?;
            let Some(audience) = &mut audience else { continue };
            let mut logs = None;
            if audience.wants_values() && last_peek.elapsed() > PEEK_EVERY {
                // What comes in was asked for at an earlier call, and has the rows that were done then.
                if let Some(rows) = session.executor().peek(BufferId::Log, seen * width..done * width)? {
                    watch.add(&mut totals, &rows.to_f64());
                    seen += rows.len() / width;
                    logs = Some(watch.means_of(&totals, seen));
                    last_peek = Instant::now();
                }
            }
            audience.update(done, logs.as_ref())?;
        }
        Ok(())
    })?;
    Ok(session.executor().read(BufferId::Log, 0..rows.steps() * width).await?.to_f64())
}

/// As [`run_all`], one step at a time: for callbacks that want batches, and to look at the loss and the gradients of
/// each step before its update. Ends early where the run is stopped.
async fn run_each(
    run: &mut Run<'_>,
    (callbacks, first_step): (&mut Callbacks<'_>, &mut Option<FirstStep<'_>>),
    (rows, rounds): (&mut Rows<'_>, &[Round]),
    watch: &Watch,
    bar: &Progress,
) -> Result<Vec<f64>> {
    let (start, width, mut log) = (run.iteration(), watch.width(), Vec::new());
    let mut totals = vec![0.0; width];
    let each = rounds.iter().flat_map(|round| std::iter::repeat_n(&round.plans, round.times));
    for (step, plans) in each.enumerate() {
        let mut plans = plans.iter().map(|cycle| cycle[step % cycle.len()]);
        run.begin_step(step + 1);
        callbacks.iter_mut().filter(|c| c.wants_batches()).try_for_each(|c| c.on_batch_begin(run))?;
        let rate_changed = run.rate_changed();
        let (session, model) = run.model.parts();
        if rate_changed {
            session.write_schedule(model.optimizer.expect("checked before fitting"), start, rows.steps())?;
        }
        rows.ready(session, step)?;
        plans.next().map_or(Ok(()), |plan| session.executor().run(plan, 1))?;
        let row = session.executor().read(BufferId::Log, step * width..(step + 1) * width).await?.to_f64();
        if let Some(update) = plans.next() {
            let loss = row[0];
            let gradients = session.gradients().await?;
            if !loss.is_finite() || gradients.iter().any(|g| g.values().to_f64().iter().any(|v| !v.is_finite())) {
                return Err(lost_at(run, rows, (step, loss / rows.batch_of(step) as f64), true).await);
            }
            session.executor().run(update, 1)?;
        }
        if let Some(call) = first_step.take() {
            session.executor().finish()?;
            call();
        }
        watch.add(&mut totals, &row);
        log.extend(row);
        run.end_step(watch.means_of(&totals, step + 1));
        callbacks.iter_mut().filter(|c| c.wants_batches()).try_for_each(|c| c.on_batch_end(run))?;
        Audience { bar, callbacks }.update(step + 1, Some(run.logs()))?;
        if run.stops() {
            break;
        }
    }
    Ok(log)
}

/// The error of a step, counted from 0, whose loss or gradients are not finite. The clock stands at it.
async fn lost_at(run: &mut Run<'_>, rows: &Rows<'_>, (step, loss): (usize, f64), intact: bool) -> Error {
    let epoch = run.epoch();
    let (session, model) = run.model.parts();
    // Without an update: what is clipped there are gradients of other steps, too.
    let key = rows.key(Mode::Train, Part::All, rows.batch_of(step), false);
    let origin = finite::origin(session, &model, &key, intact).await;
    Error::NotFinite { epoch, step: step + 1, loss, origin }
}

/// Makes everything ready for `steps` training steps in the order of the data; returns their plan and its key.
pub(crate) fn start_training(
    session: &mut Session,
    model: &Model<'_>,
    data: &Dataset,
    batch: usize,
    steps: usize,
) -> Result<(usize, Key)> {
    let rows = Rows::resting(session.set_dataset(0, data, data.sample_weight())?, steps * batch, batch);
    let key = rows.key(Mode::Train, Part::All, batch, true);
    let plan = session.plans(model, std::slice::from_ref(&key))?[0];
    session.start((0..rows.count as u32).collect(), 0)?;
    session.write_schedule(model.optimizer.expect("checked before training"), 0, steps)?;
    Ok((plan, key))
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn steps_go_many_to_a_start_unless_somebody_wants_batches() {
        let x = Tensor::new([100, 1], (0..100).map(|i| i as f32 / 100.0).collect::<Vec<_>>()).unwrap();
        let data = Dataset::new(x.clone(), x).unwrap();
        let starts_of = |optimizer: Box<dyn Optimizer>, callback: LambdaCallback<'_>| {
            let mut model = Sequential::new().add(Dense::new(1)).device(Device::cpu());
            model.compile(optimizer, Loss::MeanSquaredError, []).unwrap();
            model.fit(&data, Fit::new().batch_size(1).verbose(0).callback(callback)).unwrap();
            model.parts().0.executor().starts()
        };
        let starts = |callback| starts_of(Box::<Sgd>::default(), callback);
        // A hundred steps, sixteen at once at most.
        assert_eq!(starts(LambdaCallback::new()), 7);
        assert_eq!(starts(LambdaCallback::new().on_epoch_end(|_| Ok(())).on_train_begin(|_| Ok(()))), 7);
        assert_eq!(starts(LambdaCallback::new().on_batch_begin(|_| Ok(()))), 100);
        let accumulated = Sgd::default().gradient_accumulation_steps(3);
        assert_eq!(starts_of(Box::new(accumulated), LambdaCallback::new()), 7);
    }
}

//! The loop of `fit` over epochs. What happens within one is the device's, unless somebody looks at every step.

use std::ops::{ControlFlow, Range};
use std::time::Duration;

use super::callbacks::{Callback, Hook};
use super::class_weight::ClassWeight;
use super::evaluation::{measure, measure_with_room, planned};
use super::feed::{Expected, Feed, ORDER};
use super::fit::FirstStep;
use super::position::Position;
use super::progress::Progress;
use super::rows::{Round, Rows, Watch, round_of};
use super::run::Validation;
use super::session::Session;
use super::trace::{Definition, Key, Mode, Part};
use super::{CheckFinite, Fit, History, Logs, Run, finite};
use crate::clock::Instant;
use crate::data::{Dataset, Source};
use crate::error::{Error, Result};
use crate::memory;
use crate::nn::Model;
use crate::nn::network::MOST_COLUMNS;
use crate::plan::BufferId;
use crate::random::{SHUFFLE, shuffled_with};

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
pub(crate) async fn fit(model: &mut Model, data: &dyn Source, mut options: Fit<'_>, seed: u64) -> Result<History> {
    let (count, held_back) = options.split(data.len())?;
    let expected = model.expected()?;
    let class_weight = ClassWeight::new(&options.class_weight, &expected.outputs)?;
    let feed = feed(model, data, Expected { class_weight, ..expected.clone() }, (&options, count, held_back)).await?;
    let (session, _) = model.parts();
    let mut validation = match (options.validation_data, held_back) {
        (Some(set), _) => Some((Feed::new(session, MOST_COLUMNS, set, expected).await?, Some(set), 0..set.len())),
        (None, 0) => None,
        (None, held_back) => Some((feed.held_back(), None, count..count + held_back)),
    };
    model.set_inputs(feed.inputs(data)?);
    let mut rows = Rows::new(&feed, count, options.batch_size);
    let (shuffle, batch_size) = (options.shuffle, rows.batch);
    let whole = Position { step: 0, samples: count, batch_size, shuffle, seed, totals: Vec::new() };
    let mut begun = resumed(model, &options, &whole)?;
    let mut callbacks = std::mem::take(&mut options.callbacks);
    let dropped = model.dropped_masks()?;
    let mut run = Run::new(model, &options, rows.steps());
    dropped.iter().for_each(|line| run.say(line));
    run.validation =
        validation.as_ref().map(|(_, own, rows)| Validation { source: own.unwrap_or(data), rows: rows.clone() });
    let mut history = History::default();
    call(&mut callbacks, Hook::TrainBegin, &mut run).await?;
    if run.backup.is_some() {
        run.model.back_up().await?;
    }
    for epoch in (options.initial_epoch..options.epochs).map(|done| done + 1) {
        if run.stops() {
            break;
        }
        let position = begun.take().unwrap_or_else(|| whole.clone());
        run.begin_epoch(epoch, position.step);
        call(&mut callbacks, Hook::EpochBegin, &mut run).await?;
        run.model.use_averages(false)?;
        let bar = Progress::new(options.verbose, epoch, options.epochs, rows.steps());
        let trained =
            train_epoch(&mut run, (&mut callbacks, &mut options.on_first_step), &mut rows, position, &bar).await;
        // The weights of an epoch that failed are not of the place that the run had come to.
        let losses = trained.inspect_err(|_| run.model.reached.position = None)?;
        if let Some(validation) = &mut validation {
            validate(&mut run, &mut callbacks, validation).await?;
        }
        bar.finish(run.logs());
        call(&mut callbacks, Hook::EpochEnd, &mut run).await?;
        if run.backup.is_some() {
            run.model.back_up().await?;
        }
        history.push(run.logs().clone(), losses);
    }
    if run.epoch() > 0 {
        run.model.finalize()?;
    }
    call(&mut callbacks, Hook::TrainEnd, &mut run).await?;
    let (session, _) = model.parts();
    for feed in [Some(&feed), validation.as_ref().map(|(feed, ..)| feed)].into_iter().flatten() {
        feed.end(session).await?;
    }
    Ok(history)
}

/// Calls a hook of each callback, and waits for what that waits for.
async fn call(callbacks: &mut Callbacks<'_>, hook: Hook, run: &mut Run<'_>) -> Result<()> {
    let of_batches = matches!(hook, Hook::BatchBegin | Hook::BatchEnd);
    for callback in callbacks.iter_mut().filter(|c| !of_batches || c.wants_batches()) {
        match hook {
            Hook::TrainBegin => callback.on_train_begin(run),
            Hook::TrainEnd => callback.on_train_end(run),
            Hook::EpochBegin => callback.on_epoch_begin(run),
            Hook::EpochEnd => callback.on_epoch_end(run),
            Hook::TestBegin => callback.on_test_begin(run),
            Hook::TestEnd => callback.on_test_end(run),
            Hook::BatchBegin => callback.on_batch_begin(run),
            Hook::BatchEnd => callback.on_batch_end(run),
        }?;
        if let Some(waiting) = callback.after(hook, run) {
            waiting.await?;
        }
    }
    Ok(())
}

/// Measures what is validated on, and logs it.
async fn validate<'d>(
    run: &mut Run<'_>,
    callbacks: &mut Callbacks<'_>,
    (feed, own, rows): &mut (Feed<'d>, Option<&'d dyn Source>, Range<usize>),
) -> Result<()> {
    call(callbacks, Hook::TestBegin, run).await?;
    let (session, model) = run.model.parts();
    let values = match own {
        Some(own) => measure_with_room(session, &model, (feed, *own), "val_").await?,
        None => measure(session, &model, (feed, rows.start, rows.len()), "val_").await?,
    };
    values.iter().for_each(|(name, value)| run.log(name, value));
    call(callbacks, Hook::TestEnd, run).await
}

/// The set that is trained on, with all that an epoch needs beside it made ready: the set streams where it leaves no room.
async fn feed<'d>(
    model: &mut Model,
    data: &'d dyn Source,
    expected: Expected,
    (options, count, held_back): (&Fit<'_>, usize, usize),
) -> Result<Feed<'d>> {
    let start = model.reached.iteration - model.reached.position.as_ref().map_or(0, |position| position.step as u64);
    let (session, model) = model.parts();
    let mut feed = Feed::new(session, 0, data, expected).await?;
    let ready = async |session: &mut Session, feed: &Feed<'_>| {
        let rows = Rows::new(feed, count, options.batch_size);
        epoch_plans(session, &model, &rows, start, options.check_finite).await?;
        if held_back > 0 {
            planned(session, &model, &feed.held_back(), held_back).await?;
        }
        Ok(())
    };
    let tried = ready(session, &feed).await;
    match feed.makes_room(session, data, &tried).await? {
        true => ready(session, &feed).await?,
        false => tried?,
    }
    Ok(feed)
}

/// Where within an epoch the run goes on that the model is of; `now` is the run's whole epoch.
fn resumed(model: &mut Model, options: &Fit<'_>, now: &Position) -> Result<Option<Position>> {
    let reached = &model.reached;
    let Some(position) = reached.position.clone().filter(|_| options.initial_epoch == reached.epoch) else {
        return Ok(None);
    };
    let (_, model) = model.parts();
    position.check(now, model.log_width())?;
    Ok(Some(position))
}

/// The plans of an epoch before which so many steps were made.
async fn epoch_plans(
    session: &mut Session,
    model: &Definition<'_>,
    rows: &Rows<'_>,
    start: u64,
    check: CheckFinite,
) -> Result<Vec<Round>> {
    let parts = match check {
        CheckFinite::Step => &[Part::BeforeUpdate, Part::Update][..],
        _ => &[Part::All],
    };
    let options = model.optimizer.expect("checked before fitting").options();
    // A cycle of accumulated gradients goes on where the last epoch left it.
    let cycle = options.gradient_accumulation_steps.unwrap_or(1).min(rows.steps() as u64);
    let updates: Vec<bool> = (1..=cycle).map(|t| options.updates(start + t)).collect();
    rows.plans(session, model, (Mode::Train, parts), &updates).await
}

/// One epoch, from where it was left: leaves its means in the run's logs and returns the mean loss of each batch.
async fn train_epoch(
    run: &mut Run<'_>,
    (callbacks, first_step): (&mut Callbacks<'_>, &mut Option<FirstStep<'_>>),
    rows: &mut Rows<'_>,
    mut position: Position,
    bar: &Progress,
) -> Result<Vec<f64>> {
    let (first, check) = (position.step, run.check_finite);
    // The steps before the epoch's first.
    let start = run.iteration() - first as u64;
    run.model.reached.position = None;
    let (session, model) = run.model.parts();
    let optimizer = model.optimizer.expect("checked before fitting");
    let rounds = epoch_plans(session, &model, rows, start, check).await?;
    let count = position.samples as u32;
    let mut order = memory::list(0..count, ORDER)?;
    if position.shuffle {
        order = shuffled_with(order, position.seed, SHUFFLE, start);
    }
    rows.start(session, order, start).await?;
    session.set_clock(first, first * rows.batch, start + first as u64).await?;
    session.write_schedule(optimizer, start, rows.steps()).await?;
    let watch = Watch::new(&model, "", rows);
    position.totals.resize(watch.width(), 0.0);
    let log = if check == CheckFinite::Step || callbacks.iter().any(|c| c.wants_batches()) {
        run_each(run, (callbacks, first_step), (rows, &rounds), (&watch, position.clone()), bar).await?
    } else {
        run_in_parts(run, (callbacks, first_step), (rows, &rounds), (&watch, position.clone()), bar).await?
    };
    watch.add(&mut position.totals, &log);
    let steps = first + log.len() / watch.width();
    run.end_epoch(start, steps, watch.means_of(&position.totals, steps));
    let losses: Vec<f64> = watch.batch_losses(&log, first).collect();
    let lost = losses.iter().position(|loss| !loss.is_finite());
    if let (Some(lost), CheckFinite::Epoch) = (lost, check) {
        let (session, step) = (run.model.parts().0, first + lost);
        rows.ready(session, step).await?;
        session.set_clock(step, step * rows.batch, start + step as u64).await?;
        return Err(lost_at(run, rows, (step, losses[lost]), false).await);
    }
    Ok(losses)
}

/// As [`run_all`], with a backup from time to time.
async fn run_in_parts(
    run: &mut Run<'_>,
    (callbacks, first_step): (&mut Callbacks<'_>, &mut Option<FirstStep<'_>>),
    (rows, rounds): (&mut Rows<'_>, &[Round]),
    (watch, mut position): (&Watch, Position),
    bar: &Progress,
) -> Result<Vec<f64>> {
    let (start, every, mut log) = (run.iteration() - position.step as u64, run.backup, Vec::new());
    loop {
        let audience = Audience { bar, callbacks: &mut *callbacks };
        let (session, from) = (run.model.parts().0, (watch, position.step, &position.totals[..]));
        let part = run_all(session, (&mut *rows, rounds), from, first_step, (Some(audience), every)).await?;
        watch.add(&mut position.totals, &part);
        position.step += part.len() / watch.width();
        log.extend(part);
        if position.step == rows.steps() {
            return Ok(log);
        }
        run.back_up_at(start, position.clone()).await?;
    }
}

/// One run over rows, from its step `first` on: starts the plans in turn, shows how it goes, and returns the log of every
/// step; of those that began before `every` was over, where that is given. `totals` are the sums of the log of the steps
/// before.
pub(super) async fn run_all(
    session: &mut Session,
    (rows, rounds): (&mut Rows<'_>, &[Round]),
    (watch, first, totals): (&Watch, usize, &[f64]),
    first_step: &mut Option<FirstStep<'_>>,
    (mut audience, every): (Option<Audience<'_, '_>>, Option<Duration>),
) -> Result<Vec<f64>> {
    let (width, begin) = (watch.width(), Instant::now());
    let (mut last_peek, mut end) = (begin, first);
    let is_over = || every.is_some_and(|every| begin.elapsed() >= every);
    session.executor().forget_peek();
    // The rows of the log that were looked at so far, and their sums: each is fetched once.
    let (mut seen, mut totals) = (first, totals.to_vec());
    rows.each_stretch(session, first, async |session, steps| {
        let mut done = steps.start;
        if let Some(call) = first_step.take() {
            let turns = &round_of(rounds, done).0.plans[0];
            session.executor().run_async(turns[done % turns.len()], 1).await?;
            session.executor().finish_async().await?;
            call();
            done += 1;
        }
        while done < steps.end {
            let (round, round_end) = round_of(rounds, done);
            done += session.executor().run_some_async(&round.plans[0], done..round_end.min(steps.end)).await?;
            end = done;
            if is_over() {
                return Ok(ControlFlow::Break(()));
            }
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
        end = done;
        Ok(ControlFlow::Continue(()))
    })
    .await?;
    if first == end {
        return Ok(Vec::new());
    }
    Ok(session.executor().read_async(BufferId::Log, first * width..end * width).await?.to_f64())
}

/// As [`run_all`], one step at a time: for callbacks that want batches, and to look at the loss and the gradients of
/// each step before its update. Ends early where the run is stopped.
async fn run_each(
    run: &mut Run<'_>,
    (callbacks, first_step): (&mut Callbacks<'_>, &mut Option<FirstStep<'_>>),
    (rows, rounds): (&mut Rows<'_>, &[Round]),
    (watch, mut position): (&Watch, Position),
    bar: &Progress,
) -> Result<Vec<f64>> {
    let (start, width, mut log) = (run.iteration() - position.step as u64, watch.width(), Vec::new());
    let mut last_backup = Instant::now();
    let each = rounds.iter().flat_map(|round| std::iter::repeat_n(&round.plans, round.times));
    for (step, plans) in each.enumerate().skip(position.step) {
        let mut plans = plans.iter().map(|cycle| cycle[step % cycle.len()]);
        run.begin_step(step + 1);
        call(callbacks, Hook::BatchBegin, run).await?;
        let rate_changed = run.rate_changed();
        let (session, model) = run.model.parts();
        if rate_changed {
            session.write_schedule(model.optimizer.expect("checked before fitting"), start, rows.steps()).await?;
        }
        rows.ready(session, step).await?;
        if let Some(plan) = plans.next() {
            session.executor().run_async(plan, 1).await?;
        }
        let row = session.executor().read_async(BufferId::Log, step * width..(step + 1) * width).await?.to_f64();
        if let Some(update) = plans.next() {
            let loss = row[0];
            let gradients = session.gradients().await?;
            if !loss.is_finite() || gradients.iter().any(|g| g.values().to_f64().iter().any(|v| !v.is_finite())) {
                return Err(lost_at(run, rows, (step, loss / rows.batch_of(step) as f64), true).await);
            }
            session.executor().run_async(update, 1).await?;
        }
        if let Some(call) = first_step.take() {
            session.executor().finish_async().await?;
            call();
        }
        watch.add(&mut position.totals, &row);
        position.step = step + 1;
        log.extend(row);
        run.end_step(watch.means_of(&position.totals, step + 1), position.clone());
        call(callbacks, Hook::BatchEnd, run).await?;
        Audience { bar, callbacks }.update(step + 1, Some(run.logs()))?;
        if run.stops() {
            break;
        }
        if run.backup.is_some_and(|every| last_backup.elapsed() >= every) {
            run.back_up_at(start, position.clone()).await?;
            last_backup = Instant::now();
        }
    }
    Ok(log)
}

/// The error of a step, counted from 0, whose loss or gradients are not finite. The clock stands at it.
async fn lost_at(run: &mut Run<'_>, rows: &Rows<'_>, (step, loss): (usize, f64), intact: bool) -> Error {
    let epoch = run.epoch();
    let (session, model) = run.model.parts();
    let origin = finite::origin(session, &model, (rows, rows.batch_of(step)), intact).await;
    Error::NotFinite { epoch, step: step + 1, loss, origin }
}

/// Makes everything ready for `steps` training steps in the order of the data; returns their plan and its key.
pub(crate) async fn start_training(
    session: &mut Session,
    model: &Definition<'_>,
    (data, expected): (&Dataset, Expected),
    batch: usize,
    steps: usize,
) -> Result<(usize, Key)> {
    let feed = Feed::resting(session, 0, data, expected).await?;
    let rows = Rows::new(&feed, steps * batch, batch);
    let key = rows.key(Mode::Train, Part::All, batch, true);
    let plan = session.plans(model, std::slice::from_ref(&key)).await?[0];
    session.start(memory::list(0..rows.count as u32, ORDER)?, 0).await?;
    session.write_schedule(model.optimizer.expect("checked before training"), 0, steps).await?;
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

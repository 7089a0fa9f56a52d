//! `evaluate` and `predict`.

use super::Logs;
use super::feed::{CHUNK_BYTES, Expected, Feed, ORDER};
use super::rows::{Round, Rows, Watch};
use super::session::Session;
use super::trace::{Mode, Model, Part};
use super::training::run_all;
use crate::data::Source;
use crate::error::{Error, Result};
use crate::memory;
use crate::plan::BufferId;
use crate::tensor::{Tensor, Values};

/// A batch of evaluation: its size changes no result beyond rounding.
pub(super) const EVALUATION_BATCH: usize = 500;

/// Where a set lies that is neither trained nor validated on: a callback may evaluate one between two epochs.
const COLUMN: usize = 6;

/// What evaluates `count` rows, made ready.
pub(super) fn planned<'d>(
    session: &mut Session,
    model: &Model<'_>,
    feed: &Feed<'d>,
    count: usize,
) -> Result<(Rows<'d>, Vec<Round>)> {
    let rows = Rows::new(feed, count, EVALUATION_BATCH);
    let plans = rows.plans(session, model, (Mode::Evaluate, &[Part::All]), &[false])?;
    Ok((rows, plans))
}

/// Loss and metrics over `count` rows from `first` on, without training.
pub(super) async fn measure(
    session: &mut Session,
    model: &Model<'_>,
    (feed, first, count): (&Feed<'_>, usize, usize),
    prefix: &str,
) -> Result<Logs> {
    let (mut rows, plans) = planned(session, model, feed, count)?;
    rows.start(session, memory::list(first as u32..(first + count) as u32, ORDER)?, 0)?;
    let watch = Watch::new(model, prefix, &rows);
    let mut totals = vec![0.0; watch.width()];
    let log = run_all(session, (&mut rows, &plans), (&watch, 0, &totals), &mut None, (None, None)).await?;
    watch.add(&mut totals, &log);
    Ok(watch.means_of(&totals, rows.steps()))
}

/// [`measure`] of a whole set, which streams where the device has no memory for it and the plans.
pub(super) async fn measure_with_room<'d>(
    session: &mut Session,
    model: &Model<'_>,
    (feed, data): (&mut Feed<'d>, &'d dyn Source),
    prefix: &str,
) -> Result<Logs> {
    let measured = measure(session, model, (feed, 0, data.len()), prefix).await;
    match feed.makes_room(session, data, &measured)? {
        true => measure(session, model, (feed, 0, data.len()), prefix).await,
        false => measured,
    }
}

/// Loss and metrics of a whole set.
pub(crate) async fn evaluate(
    session: &mut Session,
    model: &Model<'_>,
    data: &dyn Source,
    expected: Expected,
) -> Result<Logs> {
    let mut feed = Feed::new(session, COLUMN, data, expected)?;
    measure_with_room(session, model, (&mut feed, data), "").await
}

/// Bytes of predictions that stay on the device before they are read back.
const PREDICTION_BYTES: usize = 64 << 20;

/// The model's output for every row of `x`, in the device's float: f32, or f64 on the reference.
pub(crate) async fn predict(session: &mut Session, model: &Model<'_>, (x, scale): (&Tensor, f32)) -> Result<Tensor> {
    let width: usize = model.output.iter().product();
    let batch = EVALUATION_BATCH.min(x.rows());
    let batches = |bytes: usize, row_bytes: usize| (bytes / (row_bytes * batch).max(1)).max(1) * batch;
    let mut at_once = batches(PREDICTION_BYTES, 4 * width);
    let resting = match session.holds(x).then(|| session.set_data(COLUMN, x, None, scale)) {
        Some(Err(Error::Memory { .. })) => {
            session.release_data(COLUMN)?;
            None
        }
        tried => tried.transpose()?,
    };
    if resting.is_none() {
        at_once = at_once.min(batches(CHUNK_BYTES, x.shape().len() / x.rows() * x.dtype().size()));
    }
    let mut all = Values::F32(Vec::new());
    for first in (0..x.rows()).step_by(at_once) {
        let count = at_once.min(x.rows() - first);
        let (source, start) = match &resting {
            Some(source) => (source.clone(), first),
            None => {
                let piece = x.take(&(first..first + count).collect::<Vec<_>>())?;
                (session.set_data(COLUMN, &piece, None, scale)?, 0)
            }
        };
        let rows = Rows::resting(source, count, batch.min(count));
        let plans = rows.plans(session, model, (Mode::Predict, &[Part::All]), &[false])?;
        session.start(memory::list(start as u32..(start + count) as u32, ORDER)?, 0)?;
        for round in plans {
            session.executor().run(round.plans[0][0], round.times)?;
        }
        let outputs = session.executor().read(BufferId::Predictions, 0..count * width).await?;
        append(&mut all, outputs, x.rows() * width)?;
    }
    Tensor::new([&[x.rows()], model.output].concat(), all)
}

/// Adds elements to those before, which are of the same type; with the first ones room is made for all, `len`.
fn append(all: &mut Values, more: Values, len: usize) -> Result<()> {
    const WHAT: &str = "the predictions";
    match (&mut *all, more) {
        (Values::F64(all), Values::F64(more)) => all.extend(more),
        (Values::F32(all), Values::F32(more)) if !all.is_empty() => all.extend(more),
        (_, Values::F64(more)) => {
            let mut first = memory::room(len, WHAT)?;
            first.extend(more);
            *all = Values::F64(first);
        }
        (_, more) => {
            let mut first = memory::room(len, WHAT)?;
            first.extend(more.to_f32());
            *all = Values::F32(first);
        }
    }
    Ok(())
}

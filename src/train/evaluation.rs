//! `evaluate` and `predict`.

use super::Logs;
use super::feed::{CHUNK_BYTES, Expected, Feed, ORDER};
use super::rows::{Round, Rows, Watch};
use super::session::Session;
use super::trace::{Definition, Mode, Part};
use super::training::run_all;
use crate::data::Source;
use crate::error::{Error, Result};
use crate::memory;
use crate::nn::layers::recurrent;
use crate::nn::network::{Built, MOST_COLUMNS};
use crate::plan::BufferId;
use crate::tensor::{Shape, Tensor, Values};

/// A batch of evaluation: its size changes no result beyond rounding.
const EVALUATION_BATCH: usize = 500;

/// Numbers of what a layer makes of such a batch, at most: 128 MB in f32.
const EVALUATION_NUMBERS: usize = 32 << 20;

/// The rows of a batch of evaluation and of prediction: as many as a stateful layer has states for, where there is one; of large samples
/// fewer.
pub(super) fn at_once(built: &Built) -> usize {
    let kept = built.parameters.iter().find(|p| p.is_state && recurrent::is_kept(&p.name));
    let of_sample = built.shapes.iter().flatten().chain(&built.samples).map(Shape::len).max().unwrap_or_default();
    let rows = (EVALUATION_NUMBERS / of_sample.max(1)).clamp(1, EVALUATION_BATCH);
    kept.and_then(|state| state.shape.first().copied()).unwrap_or(rows)
}

/// Where a set lies that is neither trained nor validated on: a callback may evaluate one between two epochs.
const COLUMN: usize = 2 * MOST_COLUMNS;

/// What evaluates `count` rows, made ready.
pub(super) async fn planned<'d>(
    session: &mut Session,
    model: &Definition<'_>,
    feed: &Feed<'d>,
    count: usize,
) -> Result<(Rows<'d>, Vec<Round>)> {
    let rows = Rows::new(feed, count, model.at_once);
    let plans = rows.plans(session, model, (Mode::Evaluate, &[Part::All]), &[false]).await?;
    Ok((rows, plans))
}

/// Loss and metrics over `count` rows from `first` on, without training.
pub(super) async fn measure(
    session: &mut Session,
    model: &Definition<'_>,
    (feed, first, count): (&Feed<'_>, usize, usize),
    prefix: &str,
) -> Result<Logs> {
    let (mut rows, plans) = planned(session, model, feed, count).await?;
    rows.start(session, memory::list(first as u32..(first + count) as u32, ORDER)?, 0).await?;
    let watch = Watch::new(model, prefix, &rows);
    let mut totals = vec![0.0; watch.width()];
    let log = run_all(session, (&mut rows, &plans), (&watch, 0, &totals), &mut None, (None, None)).await?;
    watch.add(&mut totals, &log);
    Ok(watch.means_of(&totals, rows.steps()))
}

/// [`measure`] of a whole set, which streams where the device has no memory for it and the plans.
pub(super) async fn measure_with_room<'d>(
    session: &mut Session,
    model: &Definition<'_>,
    (feed, data): (&mut Feed<'d>, &'d dyn Source),
    prefix: &str,
) -> Result<Logs> {
    let measured = measure(session, model, (feed, 0, data.len()), prefix).await;
    match feed.makes_room(session, data, &measured).await? {
        true => measure(session, model, (feed, 0, data.len()), prefix).await,
        false => measured,
    }
}

/// Loss and metrics of a whole set.
pub(crate) async fn evaluate(
    session: &mut Session,
    model: &Definition<'_>,
    data: &dyn Source,
    expected: Expected,
) -> Result<Logs> {
    let mut feed = Feed::new(session, COLUMN, data, expected).await?;
    measure_with_room(session, model, (&mut feed, data), "").await
}

/// Bytes of predictions that stay on the device before they are read back.
const PREDICTION_BYTES: usize = 64 << 20;

/// The model's outputs for every row of its inputs, each with what it is multiplied by, in the device's float: f32, or f64 on
/// the reference.
pub(crate) async fn predict(
    session: &mut Session,
    model: &Definition<'_>,
    inputs: &[(&Tensor, f32)],
) -> Result<Vec<Tensor>> {
    let rows = inputs[0].0.rows();
    let widths: Vec<usize> = model.outputs.iter().map(Shape::len).collect();
    let batch = model.at_once.min(rows);
    let batches = |bytes: usize, row_bytes: usize| (bytes / (row_bytes * batch).max(1)).max(1) * batch;
    let mut at_once = batches(PREDICTION_BYTES, 4 * widths.iter().sum::<usize>());
    let fit = inputs.iter().all(|(x, _)| session.holds(x));
    let resting = match fit {
        true => match session.put_inputs(COLUMN, inputs).await {
            Err(Error::Memory { .. }) => {
                session.release_data(COLUMN).await?;
                None
            }
            tried => Some(tried?),
        },
        false => None,
    };
    if resting.is_none() {
        let row_bytes = inputs.iter().map(|(x, _)| x.shape().len() / rows * x.dtype().size()).sum();
        at_once = at_once.min(batches(CHUNK_BYTES, row_bytes));
    }
    let mut all = vec![Values::F32(Vec::new()); widths.len()];
    for first in (0..rows).step_by(at_once) {
        let count = at_once.min(rows - first);
        let (source, start) = match &resting {
            Some(source) => (source.clone(), first),
            None => {
                let rows: Vec<usize> = (first..first + count).collect();
                let pieces = inputs.iter().map(|(x, _)| x.take(&rows)).collect::<Result<Vec<_>>>()?;
                let pieces = pieces.iter().zip(inputs).map(|(piece, (_, scale))| (piece, *scale)).collect::<Vec<_>>();
                (session.put_inputs(COLUMN, &pieces).await?, 0)
            }
        };
        let rounds = Rows::resting(source, count, batch.min(count));
        let plans = rounds.plans(session, model, (Mode::Predict, &[Part::All]), &[false]).await?;
        session.start(memory::list(start as u32..(start + count) as u32, ORDER)?, 0).await?;
        for round in plans {
            session.executor().run_async(round.plans[0][0], round.times).await?;
        }
        for (i, (all, width)) in all.iter_mut().zip(&widths).enumerate() {
            let outputs = session.executor().read_async(BufferId::Predictions(i), 0..count * width).await?;
            append(all, outputs, rows * width)?;
        }
    }
    let shaped = |(all, shape): (Values, &Shape)| Tensor::new([&[rows], &shape[..]].concat(), all);
    all.into_iter().zip(model.outputs).map(shaped).collect()
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

//! `evaluate` and `predict`.

use super::Logs;
use super::feed::{CHUNK_BYTES, Expected, Feed};
use super::rows::{Rows, Watch};
use super::session::Session;
use super::trace::{Mode, Model, Part};
use super::training::run_all;
use crate::data::Source;
use crate::error::Result;
use crate::plan::BufferId;
use crate::tensor::Tensor;

/// A batch of evaluation: its size changes no result beyond rounding.
pub(super) const EVALUATION_BATCH: usize = 500;

/// Where a set lies that is neither trained nor validated on: a callback may evaluate one between two epochs.
const COLUMN: usize = 6;

/// Loss and metrics over `count` rows from `first` on, without training.
pub(super) async fn measure(
    session: &mut Session,
    model: &Model<'_>,
    (feed, first, count): (&Feed<'_>, usize, usize),
    prefix: &str,
) -> Result<Logs> {
    let mut rows = Rows::new(feed, count, EVALUATION_BATCH);
    let plans = rows.plans(session, model, (Mode::Evaluate, &[Part::All]), &[false])?;
    rows.start(session, (first as u32..(first + count) as u32).collect(), 0)?;
    let watch = Watch::new(model, prefix, &rows);
    let log = run_all(session, (&mut rows, &plans), &watch, &mut None, None).await?;
    Ok(watch.means(&log))
}

/// Loss and metrics of a whole set.
pub(crate) async fn evaluate(
    session: &mut Session,
    model: &Model<'_>,
    data: &dyn Source,
    expected: Expected,
) -> Result<Logs> {
    let feed = Feed::new(session, COLUMN, data, expected)?;
    measure(session, model, (&feed, 0, data.len()), "").await
}

/// Bytes of predictions that stay on the device before they are read back.
const PREDICTION_BYTES: usize = 64 << 20;

/// The model's output for every row of `x`, in the device's float: f32, or f64 on the reference.
pub(crate) async fn predict(session: &mut Session, model: &Model<'_>, (x, scale): (&Tensor, f32)) -> Result<Tensor> {
    let width: usize = model.output.iter().product();
    let batch = EVALUATION_BATCH.min(x.rows());
    let batches = |bytes: usize, row_bytes: usize| (bytes / (row_bytes * batch)).max(1) * batch;
    let mut at_once = batches(PREDICTION_BYTES, 4 * width);
    let resting = if session.holds(x) { Some(session.set_data(COLUMN, x, None, scale)?) } else { None };
    if resting.is_none() {
        at_once = at_once.min(batches(CHUNK_BYTES, x.shape().len() / x.rows() * x.dtype().size()));
    }
    let mut pieces = Vec::new();
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
        session.start((start as u32..(start + count) as u32).collect(), 0)?;
        for round in plans {
            session.executor().run(round.plans[0][0], round.times)?;
        }
        let outputs = session.executor().read(BufferId::Predictions, 0..count * width).await?;
        pieces.push(Tensor::new([&[count], model.output].concat(), outputs)?);
    }
    match pieces.pop() {
        Some(all) if pieces.is_empty() => Ok(all),
        last => Tensor::concatenate(&pieces.iter().chain(&last).collect::<Vec<_>>(), 0),
    }
}

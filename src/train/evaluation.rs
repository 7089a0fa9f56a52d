//! `evaluate` and `predict`.

use super::Logs;
use super::rows::{Rows, Watch};
use super::session::Session;
use super::trace::{Mode, Model, Part, Source};
use super::training::run_all;
use crate::data::Dataset;
use crate::error::Result;
use crate::plan::BufferId;
use crate::tensor::Tensor;

/// A batch of evaluation: its size changes no result beyond rounding.
const EVALUATION_BATCH: usize = 500;

/// Where a set lies that is neither trained nor validated on: a callback may evaluate one between two epochs.
const COLUMN: usize = 4;

/// Loss and metrics over `count` rows from `first` on, without training.
pub(super) async fn measure(
    session: &mut Session,
    model: &Model<'_>,
    (source, first, count): (Source, usize, usize),
    prefix: &str,
) -> Result<Logs> {
    let rows = Rows { source, count, batch: EVALUATION_BATCH.min(count) };
    let plans = rows.plans(session, model, Mode::Evaluate, &[Part::All])?;
    session.start((first as u32..(first + count) as u32).collect(), 0)?;
    let watch = Watch::new(model, prefix, &rows);
    let log = run_all(session, &plans, &watch, &mut None, None).await?;
    Ok(watch.means(&log, rows.steps()))
}

/// Loss and metrics of a whole set.
pub(crate) async fn evaluate(session: &mut Session, model: &Model<'_>, data: &Dataset) -> Result<Logs> {
    let source = session.set_dataset(COLUMN, data)?;
    measure(session, model, (source, 0, data.len()), "").await
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
    let source = session.set_data(COLUMN, x, None, scale)?;
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

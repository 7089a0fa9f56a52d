//! One batch at a time: a step by hand, and gradients without one.

use super::Logs;
use super::feed::{Feed, ORDER};
use super::finite;
use super::rows::{Rows, Watch};
use super::trace::{Mode, Part};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::memory;
use crate::nn::Model;
use crate::plan::BufferId;
use crate::tensor::Tensor;

/// Runs the part of a training step on all rows of a set, which is the model's next one; returns what it measured.
async fn step(model: &mut Model, batch: &Dataset, part: Part) -> Result<Logs> {
    let expected = model.expected()?;
    let (start, count) = (model.reached.iteration, batch.len());
    let (session, definition) = model.parts();
    let optimizer = definition.optimizer.expect("checked before training");
    let feed = Feed::resting(session, 0, batch, expected).await?;
    let mut rows = Rows::new(&feed, count, count);
    let updates = optimizer.options().updates(start + 1);
    let plan = rows.plans(session, &definition, (Mode::Train, &[part]), &[updates]).await?[0].plans[0][0];
    rows.start(session, memory::list(0..count as u32, ORDER)?, start).await?;
    session.write_schedule(optimizer, start, 1).await?;
    session.executor().run_async(plan, 1).await?;
    let watch = Watch::new(&definition, "", &rows);
    let mut totals = vec![0.0; watch.width()];
    watch.add(&mut totals, &session.executor().read_async(BufferId::Log, 0..watch.width()).await?.to_f64());
    let logs = watch.means_of(&totals, 1);
    let loss = logs.get("loss").expect("always there");
    if !loss.is_finite() {
        session.set_clock(0, 0, start).await?;
        let origin = finite::origin(session, &definition, (&rows, count), part != Part::All).await;
        return Err(Error::NotFinite { epoch: model.reached.epoch + 1, step: start as usize + 1, loss, origin });
    }
    let inputs = feed.inputs(batch)?;
    model.widen_inputs(inputs);
    Ok(logs)
}

/// Trains on a batch: the model's next step.
pub(crate) async fn train(model: &mut Model, batch: &Dataset) -> Result<Logs> {
    let logs = step(model, batch, Part::All).await;
    if matches!(logs, Ok(_) | Err(Error::NotFinite { .. })) {
        // A run that was left within an epoch cannot go on there.
        model.reached.position = None;
        model.reached.iteration += 1;
    }
    logs
}

/// What the next step on a batch would update by, for each weight; nothing of the model changes.
pub(crate) async fn gradients(model: &mut Model, batch: &Dataset) -> Result<Vec<Tensor>> {
    step(model, batch, Part::BeforeUpdate).await?;
    model.parts().0.gradients().await
}

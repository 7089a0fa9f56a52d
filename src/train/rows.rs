//! A run over rows of a data set: how they are cut into steps, and what the log of the steps means.

use std::ops::Range;

use super::Logs;
use super::feed::{Feed, Stream};
use super::session::Session;
use super::trace::{Key, Mode, Model, Part, Source};
use crate::error::Result;
use crate::nn::Metric;

/// The rows of a run: where they lie and how they are cut into steps.
pub(super) struct Rows<'d> {
    pub source: Source,
    pub count: usize,
    pub batch: usize,
    /// What brings them to the device, where they do not rest there.
    stream: Option<Stream<'d>>,
}

impl<'d> Rows<'d> {
    pub fn new(feed: &Feed<'d>, count: usize, batch: usize) -> Self {
        let (source, stream) = feed.run(count, batch);
        Self { source, count, batch, stream }
    }

    /// Rows that all rest on the device.
    pub fn resting(source: Source, count: usize, batch: usize) -> Self {
        Self { source, count, batch, stream: None }
    }

    /// Sets out on a run over rows in this order.
    pub fn start(&mut self, session: &mut Session, order: Vec<u32>, iteration: u64) -> Result<()> {
        match &mut self.stream {
            Some(stream) => stream.start(session, order, iteration),
            None => session.start(order, iteration),
        }
    }

    /// Sees to it that the rows of a step are on the device.
    pub fn ready(&mut self, session: &mut Session, step: usize) -> Result<()> {
        self.stream.as_mut().map_or(Ok(()), |stream| stream.ready(session, step))
    }

    /// Calls for the run's steps, in order: for all at once, or for those whose rows are on the device.
    pub fn each_stretch(
        &mut self,
        session: &mut Session,
        mut call: impl FnMut(&mut Session, Range<usize>) -> Result<()>,
    ) -> Result<()> {
        let steps = self.steps();
        match &mut self.stream {
            Some(stream) => stream.each_stretch(session, steps, call),
            None => call(session, 0..steps),
        }
    }

    pub fn steps(&self) -> usize {
        self.count.div_ceil(self.batch)
    }

    /// The rows of a step, counted from 0: the last one may have fewer.
    pub fn batch_of(&self, step: usize) -> usize {
        self.batch.min(self.count - step * self.batch)
    }

    /// The key of a step of so many rows.
    pub fn key(&self, mode: Mode, part: Part, batch: usize) -> Key {
        Key { mode, part, source: self.source.clone(), batch, rows: self.count, steps: self.steps() }
    }

    /// What a run consists of, in order: the full batches, then what is left.
    pub fn plans(&self, session: &mut Session, model: &Model<'_>, mode: Mode, parts: &[Part]) -> Result<Vec<Round>> {
        let rounds = [(self.batch, self.count / self.batch), (self.count % self.batch, 1)];
        let rounds = rounds.into_iter().filter(|&(batch, times)| batch > 0 && times > 0);
        let keys = rounds.clone().flat_map(|(batch, _)| parts.iter().map(move |&part| self.key(mode, part, batch)));
        let plans = session.plans(model, &keys.collect::<Vec<_>>())?;
        let plans = plans.chunks(parts.len());
        Ok(plans.zip(rounds).map(|(plans, (_, times))| Round { plans: plans.to_vec(), times }).collect())
    }
}

/// Steps that run the same plans: one for each part of a step.
#[derive(Debug)]
pub(super) struct Round {
    pub plans: Vec<usize>,
    pub times: usize,
}

/// The plans of a step, counted from 0, and the first step after those that run the same.
pub(super) fn round_of(rounds: &[Round], step: usize) -> (&[usize], usize) {
    let mut end = 0;
    let round = rounds.iter().find(|round| {
        end += round.times;
        step < end
    });
    (&round.expect("a step of the run").plans, end)
}

/// What the log of a run over rows means.
#[derive(Debug)]
pub(super) struct Watch {
    /// The name of each column, and the metric where it is not the loss.
    columns: Vec<(String, Option<Metric>)>,
    batch: usize,
    rows: usize,
}

impl Watch {
    /// `loss`, then the metrics, each behind a prefix.
    pub fn new(model: &Model<'_>, prefix: &str, rows: &Rows<'_>) -> Self {
        let metrics = model.metrics.iter().map(|m| (m.name(), Some(*m)));
        let columns = std::iter::once(("loss", None)).chain(metrics);
        let columns = columns.map(|(name, m)| (format!("{prefix}{name}"), m)).collect();
        Self { columns, batch: rows.batch, rows: rows.count }
    }

    /// Numbers a step.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// Loss and metrics over the samples of the first `steps` steps.
    pub fn means(&self, log: &[f64], steps: usize) -> Logs {
        let column = |c: usize| log.chunks(self.width()).take(steps).map(|row| row[c]).sum();
        self.means_of(&(0..self.width()).map(column).collect::<Vec<f64>>(), steps)
    }

    /// The same, from the sum of each column over these steps.
    pub fn means_of(&self, totals: &[f64], steps: usize) -> Logs {
        let (samples, mut logs) = ((steps * self.batch).min(self.rows), Logs::default());
        for ((name, metric), total) in self.columns.iter().zip(totals) {
            let mean = total / samples.max(1) as f64;
            logs.set(name, metric.map_or(mean, |metric| metric.of_mean(mean)));
        }
        logs
    }

    /// The mean loss of each batch.
    pub fn batch_losses<'b>(&'b self, log: &'b [f64]) -> impl Iterator<Item = f64> + 'b {
        let samples = |step: usize| self.batch.min(self.rows - step * self.batch);
        log.chunks(self.columns.len()).enumerate().map(move |(step, row)| row[0] / samples(step) as f64)
    }
}

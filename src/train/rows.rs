//! A run over rows of a data set: how they are cut into steps, and what the log of the steps means.

use std::ops::{ControlFlow, Range};

use super::Logs;
use super::feed::{Feed, Stream};
use super::session::Session;
use super::trace::{Definition, Key, Logged, Mode, Part, Resident};
use crate::error::Result;

/// The rows of a run: where they lie and how they are cut into steps.
pub(super) struct Rows<'d> {
    pub source: Resident,
    pub count: usize,
    pub batch: usize,
    /// What brings them to the device, where they do not rest there.
    stream: Option<Stream<'d>>,
}

impl<'d> Rows<'d> {
    /// Steps of `batch` rows, or one of all where there are no more.
    pub fn new(feed: &Feed<'d>, count: usize, batch: usize) -> Self {
        let batch = batch.min(count);
        let (source, stream) = feed.run(count, batch);
        Self { source, count, batch, stream }
    }

    /// Rows that all rest on the device.
    pub fn resting(source: Resident, count: usize, batch: usize) -> Self {
        Self { source, count, batch, stream: None }
    }

    /// Sets out on a run over rows in this order.
    pub async fn start(&mut self, session: &mut Session, order: Vec<u32>, iteration: u64) -> Result<()> {
        match &mut self.stream {
            Some(stream) => stream.start(session, order, iteration).await,
            None => session.start(order, iteration).await,
        }
    }

    /// Sees to it that the rows of a step are on the device.
    pub async fn ready(&mut self, session: &mut Session, step: usize) -> Result<()> {
        match &mut self.stream {
            Some(stream) => stream.ready(session, step).await,
            None => Ok(()),
        }
    }

    /// Calls for the run's steps from `first` on, in order: for all at once, or for those whose rows are on the device; until a
    /// call says that it stops.
    pub async fn each_stretch(
        &mut self,
        session: &mut Session,
        first: usize,
        mut call: impl AsyncFnMut(&mut Session, Range<usize>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let steps = first..self.steps();
        match &mut self.stream {
            _ if steps.is_empty() => Ok(()),
            Some(stream) => stream.each_stretch(session, steps, call).await,
            None => call(session, steps).await.map(drop),
        }
    }

    pub fn steps(&self) -> usize {
        self.count.div_ceil(self.batch)
    }

    /// The rows of a step, counted from 0: the last one may have fewer.
    pub fn batch_of(&self, step: usize) -> usize {
        self.batch.min(self.count - step * self.batch)
    }

    /// The key of a step of so many rows; `updates`: see there.
    pub fn key(&self, mode: Mode, part: Part, batch: usize, updates: bool) -> Key {
        Key { mode, part, source: self.source.clone(), batch, rows: self.count, steps: self.steps(), updates }
    }

    /// What a run consists of, in order: the full batches, then what is left. `updates` says it of the first steps, and
    /// those after them repeat it.
    pub async fn plans(
        &self,
        session: &mut Session,
        model: &Definition<'_>,
        (mode, parts): (Mode, &[Part]),
        updates: &[bool],
    ) -> Result<Vec<Round>> {
        let rounds = [(self.batch, self.count / self.batch), (self.count % self.batch, 1)];
        let rounds = rounds.into_iter().filter(|&(batch, times)| batch > 0 && times > 0);
        let keys = rounds.clone().flat_map(|(batch, _)| {
            parts.iter().flat_map(move |&part| updates.iter().map(move |&updates| self.key(mode, part, batch, updates)))
        });
        let plans = session.plans(model, &keys.collect::<Vec<_>>()).await?;
        let mut cycles = plans.chunks(updates.len()).map(<[usize]>::to_vec);
        Ok(rounds.map(|(_, times)| Round { plans: cycles.by_ref().take(parts.len()).collect(), times }).collect())
    }
}

/// Steps of so many rows.
#[derive(Debug)]
pub(super) struct Round {
    /// For each part of a step, the plans that steps run in turn, from the run's first one on.
    pub plans: Vec<Vec<usize>>,
    pub times: usize,
}

/// The round of a step, counted from 0, and the first step after it.
pub(super) fn round_of(rounds: &[Round], step: usize) -> (&Round, usize) {
    let mut end = 0;
    let round = rounds.iter().find(|round| {
        end += round.times;
        step < end
    });
    (round.expect("a step of the run"), end)
}

/// What the log of a run over rows means.
#[derive(Debug)]
pub(super) struct Watch {
    /// What is logged, each with a prefix to its name.
    logged: Vec<Logged>,
    batch: usize,
    rows: usize,
}

impl Watch {
    /// All that a model logs, each behind a prefix.
    pub fn new(model: &Definition<'_>, prefix: &str, rows: &Rows<'_>) -> Self {
        let named = |logged: Logged| Logged { name: format!("{prefix}{}", logged.name), ..logged };
        Self { logged: model.logged().into_iter().map(named).collect(), batch: rows.batch, rows: rows.count }
    }

    /// Numbers a step.
    pub fn width(&self) -> usize {
        self.logged.iter().map(|logged| logged.width).sum()
    }

    /// Adds the log of some steps to the sum of each column.
    pub fn add(&self, totals: &mut [f64], log: &[f64]) {
        for row in log.chunks(self.width()) {
            let mut first = 0;
            for &Logged { metric, width, .. } in &self.logged {
                let (totals, row) = (&mut totals[first..first + width], &row[first..first + width]);
                match metric {
                    Some(metric) => metric.add(totals, row),
                    None => totals[0] += row[0],
                }
                first += width;
            }
        }
    }

    /// Loss and metrics over the samples of the first steps, from the sum of each column over them.
    pub fn means_of(&self, totals: &[f64], steps: usize) -> Logs {
        let samples = (steps * self.batch).clamp(1, self.rows) as f64;
        let (mut logs, mut first) = (Logs::default(), 0);
        for logged in &self.logged {
            let totals = &totals[first..first + logged.width];
            logs.set(&logged.name, logged.of_sums(totals, samples));
            first += logged.width;
        }
        logs
    }

    /// The mean loss of each batch, the log's first row being that of the step `first`.
    pub fn batch_losses<'b>(&'b self, log: &'b [f64], first: usize) -> impl Iterator<Item = f64> + 'b {
        let samples = |step: usize| self.batch.min(self.rows - step * self.batch);
        (first..).zip(log.chunks(self.width())).map(move |(step, row)| row[0] / samples(step) as f64)
    }
}

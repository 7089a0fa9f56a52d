//! How samples come to the device: a set that it holds rests there; of any other come chunks in the order of the run, each
//! read while the device works on the one before.

use std::ops::Range;
use std::{panic, thread};

use super::session::Session;
use super::trace::Source;
use crate::data::{self, Dataset};
use crate::error::{Error, Result};
use crate::graph::Type;
use crate::nn::Loss;
use crate::plan::BufferId;
use crate::tensor::{DType, Tensor};

/// Bytes a chunk: some tens of steps of a small model, so that few starts are cut short, and little memory.
pub(super) const CHUNK_BYTES: usize = 8 << 20;

/// What the targets must be.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub loss: Loss,
    /// The shape of the model's output for a sample.
    pub output: Vec<usize>,
}

impl Expected {
    pub fn check(&self, data: &Dataset) -> Result<()> {
        self.loss.check_targets(data, &self.output)
    }
}

/// A set that runs take their rows from.
#[derive(Clone)]
pub(crate) struct Feed<'d> {
    /// As plans read it: all rows where it rests on the device, else the first.
    source: Source,
    stream: Option<(&'d dyn data::Source, Expected)>,
}

/// The types of samples and targets.
fn types(data: &Dataset) -> [Type; 2] {
    [data.x(), data.y()].map(|tensor: &Tensor| Type { shape: tensor.shape().clone(), dtype: tensor.dtype() })
}

/// The same types, of so many rows.
fn of_rows(types: [Type; 2], rows: usize) -> [Type; 2] {
    types.map(|Type { shape, dtype }| Type { shape: [&[rows], &shape[1..]].concat().into(), dtype })
}

impl<'d> Feed<'d> {
    /// Puts a set on the device, as columns `column` and `column + 1`, if it holds it.
    pub fn new(session: &mut Session, column: usize, data: &'d dyn data::Source, expected: Expected) -> Result<Self> {
        if let Some(set) = data.resident().filter(|set| session.holds(set.x()) && session.holds(set.y())) {
            return Ok(Self { source: session.set_dataset(column, set)?, stream: None });
        }
        let first = data.read(&[0])?;
        let [x, y] = types(&first);
        let source = Source { column, x, y, scale: f64::from(first.scale()).to_bits() };
        Ok(Self { source, stream: Some((data, expected)) })
    }

    /// What samples are multiplied by, where they are bytes.
    pub fn byte_scale(&self) -> Option<f32> {
        (self.source.x.dtype == DType::U8).then(|| f64::from_bits(self.source.scale) as f32)
    }

    /// For a run of `count` rows in batches: what its plans read, and what brings it there.
    pub fn run(&self, count: usize, batch: usize) -> (Source, Option<Stream<'d>>) {
        let Some((data, expected)) = &self.stream else { return (self.source.clone(), None) };
        let Source { x, y, .. } = &self.source;
        let row_bytes = [x, y].iter().map(|ty| ty.shape.len() * ty.dtype.size()).sum::<usize>();
        let rows = ((CHUNK_BYTES / (row_bytes * batch)).max(1) * batch).min(count);
        let [x, y] = of_rows([x.clone(), y.clone()], rows);
        let source = Source { x, y, ..self.source };
        let stream = Stream {
            data: *data,
            expected: expected.clone(),
            source: source.clone(),
            rows,
            steps: rows.div_ceil(batch),
            order: Vec::new(),
            first: None,
        };
        (source, Some(stream))
    }
}

/// A set on its way to the device.
pub(crate) struct Stream<'d> {
    data: &'d dyn data::Source,
    expected: Expected,
    source: Source,
    /// Rows and steps a chunk; the last one may have fewer.
    rows: usize,
    steps: usize,
    /// The rows of the run, in its order.
    order: Vec<u32>,
    /// The first step whose rows are on the device.
    first: Option<usize>,
}

impl Stream<'_> {
    /// Sets out on a run.
    pub fn start(&mut self, session: &mut Session, order: Vec<u32>, iteration: u64) -> Result<()> {
        session.reserve(&self.source)?;
        let within_chunk = (0..order.len() as u32).map(|row| row % self.rows as u32).collect();
        (self.order, self.first) = (order, None);
        session.start(within_chunk, iteration)
    }

    /// The rows of the chunk whose first step is `step`.
    fn read(&self, step: usize) -> Result<Dataset> {
        let first = step / self.steps * self.rows;
        let rows = &self.order[first..self.order.len().min(first + self.rows)];
        let chunk = self.data.read(&rows.iter().map(|&row| row as usize).collect::<Vec<_>>())?;
        let Source { x, y, scale, .. } = &self.source;
        let wanted = of_rows([x.clone(), y.clone()], rows.len());
        if types(&chunk) != wanted || f64::from(chunk.scale()).to_bits() != *scale {
            let [[x, y], [wanted_x, wanted_y]] = [types(&chunk), wanted];
            let message = format!(
                "read gave samples {x} and targets {y}; after its first row {wanted_x} and {wanted_y} of the same scale \
                 were expected"
            );
            return Err(Error::shape("Source", message));
        }
        self.expected.check(&chunk)?;
        Ok(chunk)
    }

    fn put(&mut self, session: &mut Session, step: usize, chunk: &Dataset) -> Result<()> {
        self.first = Some(step);
        let column = self.source.column;
        session.executor().write(BufferId::Data(column), chunk.x().values())?;
        session.executor().write(BufferId::Data(column + 1), chunk.y().values())
    }

    /// Brings the rows of a step to the device, unless they are there.
    pub fn ready(&mut self, session: &mut Session, step: usize) -> Result<()> {
        let first = step / self.steps * self.steps;
        if self.first == Some(first) {
            return Ok(());
        }
        let chunk = self.read(first)?;
        self.put(session, first, &chunk)
    }

    /// Calls for stretches of the run's `steps` steps, in order, whose rows are on the device.
    pub fn each_stretch(
        &mut self,
        session: &mut Session,
        steps: usize,
        mut call: impl FnMut(&mut Session, Range<usize>) -> Result<()>,
    ) -> Result<()> {
        let mut chunk = self.read(0)?;
        for first in (0..steps).step_by(self.steps) {
            self.put(session, first, &chunk)?;
            let end = first + self.steps;
            if end >= steps {
                return call(session, first..steps);
            }
            chunk = thread::scope(|scope| {
                let reader = thread::Builder::new().name("kiln-read".into()).spawn_scoped(scope, || self.read(end));
                let called = call(session, first..end);
                let next = match reader {
                    Ok(reader) => reader.join().unwrap_or_else(|panic| panic::resume_unwind(panic)),
                    // The system has no thread to give.
                    Err(_) => self.read(end),
                };
                called.and(next)
            })?;
        }
        Ok(())
    }
}

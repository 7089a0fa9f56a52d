//! How samples come to the device: a set that it holds rests there; of any other come chunks in the order of the run, each
//! read while the device works on the one before.

use std::borrow::Cow;
use std::ops::{ControlFlow, Range};
use std::{panic, thread};

use super::class_weight::ClassWeight;
use super::session::Session;
use super::trace::Resident;
use super::{Inputs, range};
use crate::data::{self, Column, Dataset};
use crate::device::blocking;
use crate::error::{Error, Result};
use crate::graph::Type;
use crate::memory;
use crate::nn::{Loss, Table};
use crate::tensor::{DType, Shape, Tensor};

/// What memory is asked for.
pub(super) const ORDER: &str = "the order of the samples";

/// Bytes a chunk: some tens of steps of a small model, so that few starts are cut short, and little memory.
pub(super) const CHUNK_BYTES: usize = 8 << 20;

/// What the samples and targets must be, and what samples weigh by them.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    /// The names of the model's inputs.
    pub inputs: Vec<String>,
    /// Of each input the table whose rows its numbers are, if they are.
    pub tables: Vec<Option<Table>>,
    /// The name of each output, its loss, and its shape for a sample.
    pub outputs: Vec<(String, Loss, Shape)>,
    pub class_weight: Option<ClassWeight>,
}

/// A set's columns in the order of a model's inputs and outputs.
pub(crate) struct Ordered<'d> {
    pub inputs: Vec<&'d Column>,
    pub targets: Vec<&'d Column>,
}

impl Ordered<'_> {
    /// Samples, targets and weights.
    pub fn tensors<'t>(&'t self, weights: Option<&'t Tensor>) -> impl Iterator<Item = &'t Tensor> {
        self.inputs.iter().chain(&self.targets).map(|column| column.tensor()).chain(weights)
    }
}

impl Expected {
    /// The columns for the model.
    pub fn ordered<'d>(&self, data: &'d Dataset) -> Result<Ordered<'d>> {
        let outputs: Vec<String> = self.outputs.iter().map(|(name, ..)| name.clone()).collect();
        let inputs = data::ordered("inputs", data.inputs(), &self.inputs)?;
        Ok(Ordered { inputs, targets: data::ordered("targets", data.targets(), &outputs)? })
    }

    pub fn check(&self, data: &Dataset) -> Result<()> {
        let columns = self.ordered(data)?;
        let several = self.outputs.len() > 1;
        for ((name, loss, output), column) in self.outputs.iter().zip(columns.targets) {
            let checked = loss.check_targets(if several { name } else { "y" }, column.tensor(), output);
            checked.map_err(|e| if several { Error::shape(format!("output {name:?}"), e.to_string()) } else { e })?;
        }
        for ((name, table), column) in self.inputs.iter().zip(&self.tables).zip(columns.inputs) {
            data::check_scale("with_scale", column.scale())?;
            let name = if self.inputs.len() > 1 { name } else { "x" };
            table.as_ref().map_or(Ok(()), |table| table.check(name, column.tensor(), column.scale()))?;
        }
        Ok(())
    }

    /// The weight of each row, the set's own or its class', if it has one.
    fn weights<'d>(&self, data: &'d Dataset) -> Result<Option<Cow<'d, Tensor>>> {
        match (&self.class_weight, data.sample_weight()) {
            (None, own) => Ok(own.map(Cow::Borrowed)),
            (Some(classes), None) => Ok(Some(Cow::Owned(classes.of(data)?))),
            (Some(_), Some(_)) => {
                let message = "the samples have weights of their own; give one or the other, or multiply them yourself";
                Err(Error::argument("class_weight", message))
            }
        }
    }

    /// What the device has of a set that begins at a column.
    fn resident(&self, column: usize, data: &Dataset, weighted: bool) -> Result<Resident> {
        let Ordered { inputs, targets } = self.ordered(data)?;
        let inputs = inputs.iter().map(|x| (Type::of(x.tensor()), f64::from(x.scale()).to_bits())).collect();
        let targets = targets.iter().map(|y| Type::of(y.tensor())).collect();
        Ok(Resident { column, inputs, targets, weighted })
    }
}

/// A set that runs take their rows from.
#[derive(Clone)]
pub(crate) struct Feed<'d> {
    /// As plans read it: all rows where it rests on the device, else the first.
    source: Resident,
    expected: Expected,
    /// What is read where it does not rest.
    stream: Option<&'d dyn data::Source>,
}

/// The same columns of so many rows.
fn of_rows(resident: &Resident, rows: usize) -> Resident {
    let cut = |ty: &Type| Type { shape: [&[rows], &ty.shape[1..]].concat().into(), dtype: ty.dtype };
    let inputs = resident.inputs.iter().map(|(x, scale)| (cut(x), *scale)).collect();
    Resident { inputs, targets: resident.targets.iter().map(cut).collect(), ..*resident }
}

impl<'d> Feed<'d> {
    /// Puts a set on the device, from `column` on, if it holds it and has the memory.
    pub async fn new(
        session: &mut Session,
        column: usize,
        data: &'d dyn data::Source,
        expected: Expected,
    ) -> Result<Self> {
        // A weight has no more bytes than a target.
        let fits = |set: &Dataset, session: &Session| {
            set.inputs().iter().chain(set.targets()).all(|column| session.holds(column.tensor()))
        };
        if let Some(set) = data.resident().filter(|set| fits(set, session)) {
            match Self::resting(session, column, set, expected.clone()).await {
                Ok(feed) => return Ok(feed),
                Err(Error::Memory { .. }) => session.release_data(column).await?,
                Err(e) => return Err(e),
            }
        }
        Self::streamed(column, data, expected)
    }

    /// A set that is on the device, from `column` on.
    pub async fn resting(session: &mut Session, column: usize, set: &Dataset, expected: Expected) -> Result<Self> {
        let weights = expected.weights(set)?;
        let source = expected.resident(column, set, weights.is_some())?;
        session.put(&source, &expected.ordered(set)?, weights.as_deref()).await?;
        Ok(Self { source, expected, stream: None })
    }

    /// A set that is read as its rows are needed.
    fn streamed(column: usize, data: &'d dyn data::Source, expected: Expected) -> Result<Self> {
        let first = data.read(&[0])?;
        if first.len() != 1 {
            let message = format!("read gave {} samples for its first row; expected 1", first.len());
            return Err(Error::shape("Source", message));
        }
        let weighted = expected.weights(&first)?.is_some();
        let source = expected.resident(column, &first, weighted)?;
        Ok(Self { source, expected, stream: Some(data) })
    }

    /// Whether the device's memory ended, as a try says, because the set rests there; it streams from then on.
    pub async fn makes_room<R>(
        &mut self,
        session: &mut Session,
        data: &'d dyn data::Source,
        tried: &Result<R>,
    ) -> Result<bool> {
        if self.stream.is_some() || !matches!(tried, Err(Error::Memory { .. })) {
            return Ok(false);
        }
        session.release_data(self.source.column).await?;
        *self = Self::streamed(self.source.column, data, self.expected.clone())?;
        Ok(true)
    }

    /// Frees the place of the rows of a set that streams: those of its last chunk are of no use to another run.
    pub async fn end(&self, session: &mut Session) -> Result<()> {
        if self.stream.is_some() { session.release_data(self.source.column).await } else { Ok(()) }
    }

    /// The same rows, to validate on: classes have weights in training only.
    pub fn held_back(&self) -> Self {
        let mut feed = self.clone();
        if feed.expected.class_weight.take().is_some() {
            feed.source.weighted = false;
        }
        feed
    }

    /// What a model remembers of the samples in `data`, which are fed: of each input.
    pub fn inputs(&self, data: &dyn data::Source) -> Result<Vec<Inputs>> {
        let ranges = match data.resident() {
            Some(set) => self.expected.ordered(set)?.inputs.iter().map(|column| range(column.tensor())).collect(),
            None => vec![None; self.source.inputs.len()],
        };
        let inputs = self.source.inputs.iter().zip(ranges).map(|((x, scale), range)| Inputs {
            bytes: x.dtype == DType::U8,
            scale: f64::from_bits(*scale) as f32,
            range,
        });
        Ok(inputs.collect())
    }

    /// For a run of `count` rows in batches: what its plans read, and what brings it there.
    pub fn run(&self, count: usize, batch: usize) -> (Resident, Option<Stream<'d>>) {
        let Some(data) = self.stream else { return (self.source.clone(), None) };
        let row_bytes: usize = self.source.columns().map(|(_, ty)| ty.shape.len() * ty.dtype.size()).sum();
        let rows = ((CHUNK_BYTES / (row_bytes * batch).max(1)).max(1) * batch).min(count);
        let source = of_rows(&self.source, rows);
        let stream = Stream {
            data,
            expected: self.expected.clone(),
            source: source.clone(),
            rows,
            steps: rows.div_ceil(batch),
            order: Vec::new(),
            first: None,
        };
        (source, Some(stream))
    }
}

/// Rows and what each weighs, if they do not all weigh the same.
type Chunk = (Dataset, Option<Tensor>);

/// A set on its way to the device.
pub(crate) struct Stream<'d> {
    data: &'d dyn data::Source,
    expected: Expected,
    source: Resident,
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
    pub async fn start(&mut self, session: &mut Session, order: Vec<u32>, iteration: u64) -> Result<()> {
        session.reserve(&self.source)?;
        let within_chunk = memory::list((0..order.len() as u32).map(|row| row % self.rows as u32), ORDER)?;
        (self.order, self.first) = (order, None);
        session.start(within_chunk, iteration).await
    }

    /// The rows of the chunk whose first step is `step`, and their weights.
    fn read(&self, step: usize) -> Result<Chunk> {
        let first = step / self.steps * self.rows;
        let rows = &self.order[first..self.order.len().min(first + self.rows)];
        let chunk = self.data.read(&rows.iter().map(|&row| row as usize).collect::<Vec<_>>())?;
        let wanted = of_rows(&self.source, rows.len());
        let found = self.expected.resident(wanted.column, &chunk, wanted.weighted)?;
        if found != wanted {
            let told = |set: &Resident| {
                let list = |types: Vec<String>| types.join(", ");
                let inputs = list(set.inputs.iter().map(|(x, _)| x.to_string()).collect());
                (inputs, list(set.targets.iter().map(Type::to_string).collect()))
            };
            let ((x, y), (wanted_x, wanted_y)) = (told(&found), told(&wanted));
            let message = format!(
                "read gave samples {x} and targets {y}; after its first row {wanted_x} and {wanted_y} of the same scale \
                 were expected"
            );
            return Err(Error::shape("Source", message));
        }
        self.expected.check(&chunk)?;
        let weights = self.expected.weights(&chunk)?.map(Cow::into_owned);
        if weights.is_some() != self.source.weighted {
            let [found, wanted] = if weights.is_some() { ["with", "without"] } else { ["without", "with"] };
            let message = format!("read gave samples {found} weights; its first row came {wanted}");
            return Err(Error::shape("Source", message));
        }
        Ok((chunk, weights))
    }

    async fn put(&mut self, session: &mut Session, step: usize, (chunk, weights): &Chunk) -> Result<()> {
        self.first = Some(step);
        session.write(&self.source, &self.expected.ordered(chunk)?, weights.as_ref()).await
    }

    /// Brings the rows of a step to the device, unless they are there.
    pub async fn ready(&mut self, session: &mut Session, step: usize) -> Result<()> {
        let first = step / self.steps * self.steps;
        if self.first == Some(first) {
            return Ok(());
        }
        let chunk = self.read(first)?;
        self.put(session, first, &chunk).await
    }

    /// What a call gives, and the chunk whose first step is `step`, which a thread reads meanwhile.
    fn beside<R>(&self, step: usize, call: impl FnOnce() -> Result<R>) -> Result<(R, Chunk)> {
        thread::scope(|scope| {
            let reader = thread::Builder::new().name("kiln-read".into()).spawn_scoped(scope, || self.read(step));
            let called = call();
            let next = match reader {
                Ok(reader) => reader.join().unwrap_or_else(|panic| panic::resume_unwind(panic)),
                // The system has no thread to give.
                Err(_) => self.read(step),
            };
            called.and_then(|called| Ok((called, next?)))
        })
    }

    /// Calls for stretches of these steps, in order, whose rows are on the device, until a call says that it stops.
    pub async fn each_stretch(
        &mut self,
        session: &mut Session,
        steps: Range<usize>,
        mut call: impl AsyncFnMut(&mut Session, Range<usize>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let begin = steps.start / self.steps * self.steps;
        let mut chunk = self.read(begin)?;
        for chunk_start in (begin..steps.end).step_by(self.steps) {
            self.put(session, chunk_start, &chunk).await?;
            let (first, end) = (chunk_start.max(steps.start), chunk_start + self.steps);
            if end >= steps.end {
                return call(session, first..steps.end).await.map(drop);
            }
            let next = if cfg!(feature = "threads") && blocking::is_allowed().await {
                let (called, next) = self.beside(end, || blocking::block_on(call(session, first..end)))?;
                if called.is_break() {
                    return Ok(());
                }
                next
            } else if call(session, first..end).await?.is_break() {
                return Ok(());
            } else {
                // The device still works on what it was given last.
                self.read(end)?
            };
            chunk = next;
        }
        Ok(())
    }
}

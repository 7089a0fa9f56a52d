//! The plan: what a graph becomes before it runs. Steps in order and the places they read and write, as plain data that
//! knows no wgpu; both executors walk the same one, and [`fmt::Display`] prints it.

mod build;
mod memory;
mod show;

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::graph::Phase;
use crate::ops::{Io, Op};
use crate::tensor::{DType, Shape};

pub use show::Report;

/// A buffer. `Constants` and `Temp` are a plan's own, the others belong to the session and all its plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BufferId {
    /// All trainable tensors.
    Params,
    /// Their gradients.
    Grads,
    /// An optimizer's moment; behind the last one the sums of gradients, where they are accumulated, and the averages of weights.
    Moment(usize),
    /// A copy of all trainable tensors that a callback keeps.
    Snapshot(usize),
    /// A column of the resident data set.
    Data(usize),
    /// The order in which batches take its rows.
    Order,
    /// What varies by step.
    Clock,
    /// The optimizer's scalars by step.
    Schedule,
    /// Sums of loss and metrics by step.
    Log,
    /// The predictions of an output by row.
    Predictions(usize),
    /// Written by the caller.
    Input(usize),
    /// Read by the caller.
    Output(usize),
    /// The numbers that a plan knows before it runs.
    Constants,
    /// Reused from step to step.
    Temp(usize),
    /// What the launches of one step hand to each other, on devices whose kernels need it: there are two.
    Scratch(usize),
}

impl BufferId {
    /// Whether the buffer belongs to one plan.
    pub fn is_plans_own(self) -> bool {
        matches!(self, Self::Constants | Self::Temp(_) | Self::Scratch(_))
    }
}

impl fmt::Display for BufferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moment(i) => write!(f, "moment{i}"),
            Self::Snapshot(i) => write!(f, "snapshot{i}"),
            Self::Data(i) => write!(f, "data{i}"),
            Self::Input(i) => write!(f, "input{i}"),
            Self::Output(i) => write!(f, "output{i}"),
            Self::Temp(i) => write!(f, "t{i}"),
            Self::Scratch(i) => write!(f, "scratch{i}"),
            Self::Predictions(0) => write!(f, "predictions"),
            Self::Predictions(i) => write!(f, "predictions{i}"),
            other => write!(f, "{}", format!("{other:?}").to_lowercase()),
        }
    }
}

/// A stretch of a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The buffer.
    pub buffer: BufferId,
    /// The elements of it.
    pub range: Range<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.buffer)?;
        let arenas = [BufferId::Params, BufferId::Grads, BufferId::Schedule, BufferId::Constants];
        if arenas.contains(&self.buffer) || matches!(self.buffer, BufferId::Moment(_)) {
            write!(f, "[{}..{}]", self.range.start, self.range.end)?;
        }
        Ok(())
    }
}

/// What a buffer has to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Which one.
    pub id: BufferId,
    /// Element type.
    pub dtype: DType,
    /// Elements.
    pub len: usize,
    /// Elements a row, where rows of bytes are padded to whole words on a GPU.
    pub row_len: usize,
}

impl Buffer {
    /// Bytes on a GPU: rows of bytes take whole words.
    pub fn len_bytes(&self) -> usize {
        match self.dtype {
            DType::U8 => self.len / self.row_len.max(1) * self.row_len.next_multiple_of(4),
            other => self.len * other.size(),
        }
    }
}

/// An op on places.
#[derive(Clone, Debug)]
pub struct Step {
    /// What it computes.
    pub op: Arc<dyn Op>,
    /// The types at those places.
    pub io: Io,
    /// What it reads.
    pub inputs: Vec<Place>,
    /// What it writes; an effect changes what is there.
    pub outputs: Vec<Place>,
    /// When it runs.
    pub phase: Phase,
    /// The layer that it belongs to.
    pub layer: Arc<str>,
}

/// Steps in order, and the buffers they need.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it is for, as messages and `kiln plan` name it.
    pub name: String,
    /// The steps.
    pub steps: Vec<Step>,
    /// Every buffer that a step touches.
    pub buffers: Vec<Buffer>,
    /// What `Constants` holds.
    pub constants: Vec<f64>,
}

impl Plan {
    /// Leaves out the steps of other phases, and the buffers that none of the rest touches.
    pub(crate) fn retain(&mut self, keep: impl Fn(Phase) -> bool) {
        self.steps.retain(|step| keep(step.phase));
        let places = self.steps.iter().flat_map(|step| step.inputs.iter().chain(&step.outputs));
        let touched: HashSet<BufferId> = places.map(|place| place.buffer).collect();
        self.buffers.retain(|buffer| touched.contains(&buffer.id));
    }

    /// That each step can run: what it writes is nothing that it reads, and nothing twice.
    ///
    /// # Errors
    /// [`Error::Shape`] that names the step and the buffer.
    pub(crate) fn check(&self) -> Result<()> {
        self.steps.iter().try_for_each(Step::check)
    }
}

impl Step {
    fn check(&self) -> Result<()> {
        let written: HashSet<BufferId> = self.outputs.iter().map(|place| place.buffer).collect();
        if let Some(place) = self.inputs.iter().find(|place| written.contains(&place.buffer)) {
            let message = format!("reads and writes the buffer of {} in one step, which no device does", place.buffer);
            return Err(self.error(message + "; copy what it reads into another leaf in a step before"));
        }
        let mut outputs: Vec<&Place> = self.outputs.iter().filter(|place| !place.range.is_empty()).collect();
        outputs.sort_unstable_by_key(|place| (place.buffer, place.range.start));
        let meet = |pair: &&[&Place]| pair[0].buffer == pair[1].buffer && pair[0].range.end > pair[1].range.start;
        match outputs.windows(2).find(meet) {
            Some(pair) => Err(self.error(format!("writes elements of {} twice in one step", pair[0].buffer))),
            None => Ok(()),
        }
    }

    fn error(&self, message: String) -> Error {
        let name = self.op.name();
        let op = if self.layer.is_empty() { name.into() } else { format!("layer {:?}, {name}", &*self.layer) };
        Error::shape(op, message)
    }
}

/// Segments of an arena start at multiples of this many elements: 256 bytes of f32, which every device can bind at.
pub const SEGMENT_ALIGNMENT: usize = 64;

/// Where each trainable tensor lies in the arenas. The padding between segments stays zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arena {
    segments: Vec<Range<usize>>,
}

impl Arena {
    /// Lays out tensors of these shapes one after the other.
    pub fn new<'a>(shapes: impl IntoIterator<Item = &'a Shape>) -> Self {
        let mut start = 0;
        let segments = shapes.into_iter().map(|shape| {
            let segment = start..start + shape.len();
            start = segment.end.next_multiple_of(SEGMENT_ALIGNMENT);
            segment
        });
        Self { segments: segments.collect() }
    }

    /// The elements of each tensor.
    pub fn segments(&self) -> &[Range<usize>] {
        &self.segments
    }

    /// Neighbouring tensors of one kind, taken together, with their padding, and what kind they are of.
    pub(crate) fn stretches<K: Copy + PartialEq>(&self, kinds: impl Iterator<Item = K>) -> Vec<(Range<usize>, K)> {
        let mut stretches: Vec<(Range<usize>, K)> = Vec::new();
        for (segment, kind) in self.segments.iter().zip(kinds) {
            let end = segment.end.next_multiple_of(SEGMENT_ALIGNMENT);
            match stretches.last_mut() {
                Some((stretch, last)) if *last == kind => stretch.end = end,
                _ => stretches.push((segment.start..end, kind)),
            }
        }
        stretches
    }

    /// Elements with padding.
    pub fn len(&self) -> usize {
        self.segments.last().map_or(0, |last| last.end.next_multiple_of(SEGMENT_ALIGNMENT))
    }

    /// Whether there is no tensor.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }
}

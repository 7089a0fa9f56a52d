//! Leaves: values that no node makes, and which of them have elements in common.

use std::mem::{Discriminant, discriminant};
use std::ops::Range;
use std::sync::Arc;

/// What a value is that no node makes: something the session keeps, or a constant.
#[derive(Clone, Debug, PartialEq)]
pub enum Leaf {
    /// The trainable tensor of this index; a segment of the parameter arena.
    Param(usize),
    /// All trainable tensors, one after the other.
    Params,
    /// The gradients of all trainable tensors, laid out like [`Leaf::Params`].
    Grads,
    /// The gradient of the trainable tensor of this index; a segment of the gradient arena.
    Grad(usize),
    /// An optimizer's moment of this index, laid out like [`Leaf::Params`].
    Moment(usize),
    /// A column of the resident data set: 0 the samples, 1 the targets.
    Data(usize),
    /// u32 row numbers of the data set, in the order in which batches take them.
    Order,
    /// What varies by step: see [`crate::ops::clock`].
    Clock,
    /// The optimizer's scalars, one row a step.
    Schedule,
    /// Sums of loss and metrics, one row a step.
    Log,
    /// The predictions of an output, a row for each row of the data set.
    Predictions(usize),
    /// A value that the caller writes before a run.
    Input(usize),
    /// A value that the caller reads after a run.
    Output(usize),
    /// Every element is this number.
    Fill(f64),
    /// These numbers, in row-major order.
    Constant(Arc<[f64]>),
    /// Some neighbouring elements of one of those that the session keeps, from this one on.
    From(Box<Self>, usize),
}

/// One of the stores that the session keeps: leaves of one store lie in one buffer.
pub(crate) type Store = (Discriminant<Leaf>, usize);

/// Which elements of a store a leaf is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stretch {
    /// The segment of the trainable tensor of this index. Where it lies is for the plan to say.
    Segment(usize),
    /// Neighbouring elements.
    Elements(Range<usize>),
}

impl Leaf {
    /// Where a leaf of so many elements lies; `None` for a constant, which nothing changes.
    pub(crate) fn stretch(&self, len: usize) -> Option<(Store, Stretch)> {
        let whole = Stretch::Elements(0..len);
        Some(match self {
            Self::Fill(_) | Self::Constant(_) => return None,
            Self::Param(i) => ((discriminant(&Self::Params), 0), Stretch::Segment(*i)),
            Self::Grad(i) => ((discriminant(&Self::Grads), 0), Stretch::Segment(*i)),
            Self::Moment(i) | Self::Data(i) | Self::Input(i) | Self::Output(i) | Self::Predictions(i) => {
                ((discriminant(self), *i), whole)
            }
            Self::From(leaf, first) => match leaf.stretch(len)? {
                (store, Stretch::Elements(range)) => (store, Stretch::Elements(range.start + first..range.end + first)),
                segment => segment,
            },
            Self::Params | Self::Grads | Self::Order | Self::Clock | Self::Schedule | Self::Log => {
                ((discriminant(self), 0), whole)
            }
        })
    }
}

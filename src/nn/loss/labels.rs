//! Cross-entropy with integer labels: of any number of axes, of which some may not count, and weighed by class.

use crate::error::{Error, Result};
use crate::graph::{Graph, Id};
use crate::nn::mask;
use crate::ops::binary::Binary;
use crate::ops::cast::Cast;
use crate::ops::one_hot::OneHot;
use crate::ops::reshape::Reshape;
use crate::ops::softmax_cross_entropy::SoftmaxCrossEntropy;
use crate::ops::sum::Sum;
use crate::ops::take::Take;
use crate::ops::unary::Unary;
use crate::tensor::Shape;

/// Integer labels (...) for scores (..., classes), and what each of them counts for.
///
/// ```
/// use kiln::device::{Device, Function};
/// use kiln::graph::{Graph, Leaf, Type};
/// use kiln::nn::loss::Labels;
/// use kiln::ops::binary::Binary;
/// use kiln::{Tensor, graph::Aggregation};
/// // The mean loss of pixels, of which those that are labelled 255 are of no class.
/// let mut g = Graph::new();
/// let logits = g.leaf(Leaf::Input(0), Type::float([1, 2, 2, 3]));
/// let labels = g.leaf(Leaf::Input(1), Type::u32([1, 2, 2]));
/// let labels = Labels { ignore_class: Some(255), ..Labels::new(labels) };
/// let [losses, counts] = labels.crossentropy(&mut g, logits)?;
/// let [sum, count] = [losses, counts].map(|x| g.reduce(Aggregation::Sum, x, None, false));
/// let mean = g.apply(Binary::Div, &[sum?, count?])?;
/// g.output(0, mean)?;
/// let inputs = [Tensor::new([1, 2, 2, 3], vec![0.0f32; 12])?, Tensor::new([1, 2, 2], vec![0u32, 255, 2, 1])?];
/// let loss = Function::new(&Device::cpu(), &g)?.call(&inputs)?[0].values().to_f64()[0];
/// assert!((loss - 3f64.ln()).abs() < 1e-6);
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Labels {
    /// The labels, u32.
    pub labels: Id,
    /// The label of what is of no class and counts nothing: Keras' `ignore_class`, ONNX's `ignore_index`.
    pub ignore_class: Option<u32>,
    /// What a label of each class counts for, (classes,); 1 unless told.
    pub class_weights: Option<Id>,
}

impl Labels {
    /// Labels each of which counts for 1.
    pub fn new(labels: Id) -> Self {
        Self { labels, ignore_class: None, class_weights: None }
    }

    /// `-log softmax(logits)[label]` of each label times what it counts for, and what it counts for, both in the labels' shape. The
    /// weighted mean is the sum of the former over the sum of the latter.
    ///
    /// # Errors
    /// [`Error::Shape`] where labels and logits do not fit.
    pub fn crossentropy(&self, graph: &mut Graph, logits: Id) -> Result<[Id; 2]> {
        self.counted(graph, |graph, labels| crossentropy(graph, logits, labels))
    }

    /// `-log_probabilities[label]` of each label, where those were made before; else as [`Labels::crossentropy`].
    ///
    /// # Errors
    /// As there.
    pub fn negative_log_likelihood(&self, graph: &mut Graph, log_probabilities: Id) -> Result<[Id; 2]> {
        self.counted(graph, |graph, labels| {
            let shape = graph.shape(log_probabilities).clone();
            let classes = shape.last().copied().unwrap_or(1);
            let hot = graph.apply(OneHot { classes }, &[labels])?;
            expect_labels(graph, log_probabilities, labels)?;
            let own = graph.apply(Binary::Mul, &[hot, log_probabilities])?;
            let own = graph.apply(Sum::new(shape.rank() - 1..shape.rank()), &[own])?;
            graph.apply(Unary::Neg, &[own])
        })
    }

    fn counted(&self, graph: &mut Graph, losses: impl Fn(&mut Graph, Id) -> Result<Id>) -> Result<[Id; 2]> {
        let (labels, counts) = match self.ignore_class {
            Some(class) => {
                let (labels, counts) = without(graph, self.labels, class)?;
                (labels, Some(counts))
            }
            None => (self.labels, None),
        };
        let weights = self.class_weights.map(|weights| graph.apply(Take, &[weights, labels])).transpose()?;
        let weights = match (counts, weights) {
            (Some(counts), Some(weights)) => graph.apply(Binary::Mul, &[counts, weights])?,
            (Some(weights), None) | (None, Some(weights)) => weights,
            (None, None) => graph.fill(1.0, graph.shape(labels).clone()),
        };
        let losses = losses(graph, labels)?;
        Ok([graph.apply(Binary::Mul, &[losses, weights])?, weights])
    }
}

/// That scores have the labels' shape, and the classes behind it.
fn expect_labels(graph: &Graph, scores: Id, labels: Id) -> Result<()> {
    let (shape, labels) = (graph.shape(scores), graph.shape(labels));
    if shape.rank() == labels.rank() + 1 && shape.starts_with(labels) {
        return Ok(());
    }
    let message = format!("takes scores (..., classes) and labels (...), was given {shape} and {labels}");
    Err(graph.in_layer(Error::shape("sparse_categorical_crossentropy", message)))
}

/// Labels in the shape of the rows of scores (..., classes), where there is one for each: an axis of 1 more or less is no other.
pub(super) fn of_rows(graph: &mut Graph, scores: Id, labels: Id) -> Result<Id> {
    let shape = graph.shape(scores).clone();
    let rows: Shape = shape[..shape.rank().saturating_sub(1)].into();
    let fits = *graph.shape(labels) != rows && graph.shape(labels).len() == rows.len();
    if fits { graph.apply(Reshape(rows), &[labels]) } else { Ok(labels) }
}

/// Cross-entropy of logits (..., classes) and labels (...), each of which is a class.
pub(super) fn crossentropy(graph: &mut Graph, logits: Id, labels: Id) -> Result<Id> {
    let (shape, own) = (graph.shape(logits).clone(), graph.shape(labels).clone());
    if shape.rank() <= 2 {
        return graph.apply(SoftmaxCrossEntropy, &[logits, labels]);
    }
    expect_labels(graph, logits, labels)?;
    let (rows, classes) = shape.as_rows();
    let logits = graph.apply(Reshape([rows, classes].into()), &[logits])?;
    let labels = graph.apply(Reshape([rows].into()), &[labels])?;
    let losses = graph.apply(SoftmaxCrossEntropy, &[logits, labels])?;
    graph.apply(Reshape(own), &[losses])
}

/// The labels with class 0 in place of one that is none, and 1 where they had another, else 0.
fn without(graph: &mut Graph, labels: Id, class: u32) -> Result<(Id, Id)> {
    let numbers = graph.apply(Cast::ToFloat, &[labels])?;
    let class = graph.fill(f64::from(class), []);
    let counts = graph.apply(Binary::NotEqual, &[numbers, class])?;
    let kept = graph.apply(Binary::Mul, &[numbers, counts])?;
    Ok((graph.apply(Cast::ToU32, &[kept])?, counts))
}

/// Labels without those of one class, and what losses are multiplied by so that their mean is that of the others: of those
/// that `shares`, which are the same of a mask, let count.
pub(super) fn ignoring(graph: &mut Graph, labels: Id, class: u32, shares: Option<Id>) -> Result<(Id, Id)> {
    let (labels, mut counts) = without(graph, labels, class)?;
    if let Some(shares) = shares {
        let zero = graph.fill(0.0, []);
        let holds = graph.apply(Binary::Greater, &[shares, zero])?;
        counts = mask::weighed(graph, counts, holds)?;
    }
    Ok((labels, mask::shares(graph, counts)?))
}

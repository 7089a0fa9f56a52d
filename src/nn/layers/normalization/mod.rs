//! Layers that bring values to a mean and a spread, <https://keras.io/api/layers/normalization_layers/>.

mod adapted;
mod batch;
mod group;
mod layer;
mod rms;
mod unit;

pub use adapted::Normalization;
pub use batch::BatchNormalization;
pub use group::GroupNormalization;
pub use layer::LayerNormalization;
pub use rms::RmsNormalization;
pub use unit::UnitNormalization;

use std::sync::Arc;

use super::weight::Weight;
use crate::error::Result;
use crate::graph::{Aggregation, Graph, Id};
use crate::nn::loss::EPSILON;
use crate::nn::{Config, Initializer, KerasObject, Misnamed, Scope, mask};
use crate::ops::binary::Binary;
use crate::ops::normalize::Normalize;
use crate::ops::reshape::Reshape;
use crate::ops::scale_shift::{OfStatistics, ScaleShift};
use crate::ops::transpose::Transpose;
use crate::ops::unary::Unary;
use crate::tensor::{Shape, axis_of};

/// A factor and an offset, learned for each feature: gamma and beta.
#[derive(Clone, Debug)]
struct Affine {
    center: bool,
    scale: bool,
    beta: Weight,
    gamma: Weight,
    misnamed: Misnamed,
}

impl Default for Affine {
    fn default() -> Self {
        let [beta, gamma] = [Initializer::Zeros, Initializer::Ones].map(Weight::new);
        Self { center: true, scale: true, beta, gamma, misnamed: Misnamed::default() }
    }
}

impl Affine {
    fn from_config(config: &mut Config) -> Result<Self> {
        let default = Self::default();
        Ok(Self {
            center: config.take_or("center", default.center)?,
            scale: config.take_or("scale", default.scale)?,
            beta: Weight::from_config(config, "beta", default.beta.initializer)?,
            gamma: Weight::from_config(config, "gamma", default.gamma.initializer)?,
            ..default
        })
    }

    fn keep(&self, config: Config) -> Config {
        let config = config.with("center", self.center).with("scale", self.scale);
        Weight::keep_all(config, &[("beta", &self.beta), ("gamma", &self.gamma)])
    }

    /// What a layer that Keras has keeps of it.
    fn keras(&self, layer: KerasObject) -> KerasObject {
        let layer = layer.with("center", self.center).with("scale", self.scale);
        Weight::keras_all(layer, &[("beta", &self.beta), ("gamma", &self.gamma)])
    }

    /// Asks for the weights, of shape `own`.
    fn asked(&self, scope: &mut Scope<'_>, own: &Shape) -> Result<Learned> {
        self.misnamed.check_in(scope)?;
        let mut ask =
            |wanted: bool, name, weight: &Weight| wanted.then(|| weight.ask(scope, name, own.clone())).transpose();
        Ok(Learned { gamma: ask(self.scale, "gamma", &self.gamma)?, beta: ask(self.center, "beta", &self.beta)? })
    }
}

/// The weights of an [`Affine`].
struct Learned {
    gamma: Option<Id>,
    beta: Option<Id>,
}

impl Learned {
    /// gamma y + beta, both `laid_out` to go with y.
    fn applied(&self, graph: &mut Graph, y: Id, laid_out: &Shape) -> Result<Id> {
        [(self.gamma, Binary::Mul), (self.beta, Binary::Add)].into_iter().try_fold(y, |y, (weight, op)| {
            let Some(weight) = weight else { return Ok(y) };
            let weight = reshaped(graph, weight, laid_out)?;
            graph.apply(op, &[y, weight])
        })
    }

    /// gamma (x - mean) / sqrt(variance + epsilon) + beta by statistics of the weights' shape: a scale and a shift, which the
    /// product that made x can do as it stores.
    fn normalized(
        &self,
        graph: &mut Graph,
        x: Id,
        [mean, variance]: [Id; 2],
        laid_out: &Shape,
        epsilon: f64,
    ) -> Result<Id> {
        let own = graph.shape(mean).clone();
        let gamma = self.gamma.unwrap_or_else(|| graph.fill(1.0, own.clone()));
        let beta = self.beta.unwrap_or_else(|| graph.fill(0.0, own.clone()));
        let rows = graph.apply_all(Arc::new(OfStatistics { epsilon }), &[mean, variance, gamma, beta])?;
        if laid_out.last() == own.last() {
            return Reshape::under(graph, x, |graph, x| graph.apply(ScaleShift, &[x, rows[0], rows[1]]));
        }
        let [scale, shift] = [reshaped(graph, rows[0], laid_out)?, reshaped(graph, rows[1], laid_out)?];
        graph.apply(ScaleShift, &[x, scale, shift])
    }
}

/// The setter of layers that normalize over some axes.
macro_rules! axes_setter {
    () => {
        /// Sets the axes that are normalized over, the batch's counted; default the last alone.
        #[must_use]
        pub fn axes(mut self, axes: impl Into<Vec<isize>>) -> Self {
            self.axes = axes.into();
            self
        }
    };
}
use axes_setter;

/// The setters that layers with a variance and an [`Affine`] have.
macro_rules! affine_setters {
    () => {
        /// Sets what is added to the variance; default 0.001.
        #[must_use]
        pub fn epsilon(mut self, epsilon: f64) -> Self {
            self.epsilon = epsilon;
            self
        }

        /// Whether an offset beta is added; default true.
        #[must_use]
        pub fn center(mut self, center: bool) -> Self {
            self.affine.center = center;
            self
        }

        /// Whether it is multiplied by a factor gamma; default true.
        #[must_use]
        pub fn scale(mut self, scale: bool) -> Self {
            self.affine.scale = scale;
            self
        }

        $crate::nn::layers::weight::weight_setters!(affine.beta, affine.misnamed: "beta", "starts", Zeros
            => beta_initializer, beta_regularizer, beta_constraint);
        $crate::nn::layers::weight::weight_setters!(affine.gamma, affine.misnamed: "gamma", "starts", Ones
            => gamma_initializer, gamma_regularizer, gamma_constraint);
    };
}
use affine_setters;

fn reshaped(graph: &mut Graph, x: Id, shape: &Shape) -> Result<Id> {
    if graph.shape(x) == shape { Ok(x) } else { graph.apply(Reshape(shape.clone()), &[x]) }
}

/// An axis of x that is not the samples', counted from the first.
fn feature_axis(scope: &Scope<'_>, x: Id, axis: isize) -> Result<usize> {
    let shape = scope.graph.shape(x);
    let axis = axis_of("axis", axis, shape).map_err(|e| scope.error(e.to_string()))?;
    if axis == 0 {
        return Err(scope.error(format!("axis 0 of {shape} is the samples'; give 1 or more, or -1 for the last")));
    }
    Ok(axis)
}

/// Such axes, in order, each once.
fn feature_axes(scope: &Scope<'_>, x: Id, axes: &[isize]) -> Result<Vec<usize>> {
    let mut found = axes.iter().map(|&axis| feature_axis(scope, x, axis)).collect::<Result<Vec<_>>>()?;
    found.sort_unstable();
    if found.is_empty() || found.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(scope.error(format!("the axes {axes:?} are none, or name one twice")));
    }
    Ok(found)
}

/// The shape of what belongs to some axes of x by itself, and laid out to go with x, without the samples' axis.
fn features(shape: &Shape, axes: &[usize]) -> (Shape, Shape) {
    let own: Vec<usize> = axes.iter().map(|&axis| shape[axis]).collect();
    let laid_out: Vec<usize> = (1..shape.rank()).map(|a| if axes.contains(&a) { shape[a] } else { 1 }).collect();
    (own.into(), laid_out.into())
}

/// That epsilon keeps a division from zero.
fn check_epsilon(scope: &Scope<'_>, epsilon: f64) -> Result<()> {
    if epsilon > 0.0 && epsilon.is_finite() {
        return Ok(());
    }
    Err(scope.error(format!("epsilon is {epsilon}; give a small number above 0, such as 0.001")))
}

/// [`features`] of one axis, laid out.
fn along(shape: &Shape, axis: usize) -> Shape {
    features(shape, &[axis]).1
}

/// y = (x - mean) / sqrt(variance + epsilon), with mean and variance over some axes, which these no longer have.
struct Normalized {
    y: Id,
    mean: Id,
    variance: Id,
}

impl Normalized {
    /// Over these axes, which are in order.
    fn of(graph: &mut Graph, x: Id, axes: &[usize], epsilon: f64) -> Result<Self> {
        let (rank, first, count) = (graph.shape(x).rank(), axes[0], axes.len());
        if axes.iter().copied().eq(first..first + count) {
            return Self::of_neighbours(graph, x, Normalize { axes: first..first + count, epsilon });
        }
        let order: Vec<usize> = (0..rank).filter(|axis| !axes.contains(axis)).chain(axes.iter().copied()).collect();
        let mut back = vec![0; rank];
        order.iter().enumerate().for_each(|(place, &axis)| back[axis] = place);
        let moved = graph.apply(Transpose(order), &[x])?;
        let normalized = Self::of_neighbours(graph, moved, Normalize { axes: rank - count..rank, epsilon })?;
        Ok(Self { y: graph.apply(Transpose(back), &[normalized.y])?, ..normalized })
    }

    /// [`Normalized::of`] with statistics of what the mask lets count, as Keras has them.
    fn masked(graph: &mut Graph, x: Id, mask: Id, axes: &[usize], epsilon: f64) -> Result<Self> {
        let shape = graph.shape(x).clone();
        let ones = graph.fill(1.0, shape);
        let weights = mask::weighed(graph, ones, mask)?;
        let axes: Vec<isize> = axes.iter().map(|&axis| axis as isize).collect();
        let sum = |graph: &mut Graph, x| graph.reduce(Aggregation::Sum, x, Some(&axes), true);
        let count = sum(graph, weights)?;
        let least = graph.fill(EPSILON, []);
        let count = graph.apply(Binary::Add, &[count, least])?;
        let zero = graph.fill(0.0, []);
        let counted = mask::chosen(graph, mask, [x, zero])?;
        let total = sum(graph, counted)?;
        let mean = graph.apply(Binary::Div, &[total, count])?;
        let centered = graph.apply(Binary::Sub, &[x, mean])?;
        let counted = mask::chosen(graph, mask, [centered, zero])?;
        let squares = graph.apply(Unary::Square, &[counted])?;
        let total = sum(graph, squares)?;
        let variance = graph.apply(Binary::Div, &[total, count])?;
        let y = divided(graph, centered, variance, epsilon)?;
        let own: Shape = [graph.shape(mean).len()].into();
        Ok(Self { y, mean: reshaped(graph, mean, &own)?, variance: reshaped(graph, variance, &own)? })
    }

    fn of_neighbours(graph: &mut Graph, x: Id, op: Normalize) -> Result<Self> {
        let outputs = graph.apply_all(Arc::new(op), &[x])?;
        Ok(Self { y: outputs[0], mean: outputs[1], variance: outputs[2] })
    }
}

/// x / sqrt(square + epsilon)
fn divided(graph: &mut Graph, x: Id, square: Id, epsilon: f64) -> Result<Id> {
    let epsilon = graph.fill(epsilon, []);
    let sum = graph.apply(Binary::Add, &[square, epsilon])?;
    let root = graph.apply(Unary::Sqrt, &[sum])?;
    graph.apply(Binary::Div, &[x, root])
}

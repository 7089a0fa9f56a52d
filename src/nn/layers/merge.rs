//! Several values as one, <https://keras.io/api/layers/merging_layers/>.

use super::Layer;
use crate::error::Result;
use crate::graph::{Aggregation, Graph, Id};
use crate::nn::{Config, KerasObject, Scope, Setting, mask};
use crate::ops::binary::Binary;
use crate::ops::concat::Concat;
use crate::ops::matmul::MatMul;
use crate::ops::reshape::Reshape;
use crate::ops::transpose::Transpose;
use crate::ops::unary::Unary;
use crate::tensor::{Shape, axis_of};

/// Element-wise merges of two values or more of shapes that broadcast to one.
macro_rules! merges {
    ($($(#[$doc:meta])* $name:ident: $op:expr, $scaled:expr;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, Default)]
            pub struct $name;

            impl Layer for $name {
                fn kind(&self) -> &'static str {
                    stringify!($name)
                }

                fn keras(&self, name: &str) -> Result<KerasObject> {
                    Ok(KerasObject::layer(self.kind(), name))
                }

                fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
                    let count = inputs.len();
                    let merged = merged(scope, inputs, $op)?;
                    if !$scaled {
                        return Ok(vec![merged]);
                    }
                    let share = scope.graph.fill(1.0 / count as f64, []);
                    let y = scope.graph.apply(Binary::Mul, &[merged, share])?;
                    if let Some(mask) = scope.mask(merged) {
                        scope.set_mask(y, mask)?;
                    }
                    Ok(vec![y])
                }
            }
        )*
    };
}

merges! {
    /// y = a + b + ...
    Add: Binary::Add, false;
    /// y = a * b * ..., element by element
    Multiply: Binary::Mul, false;
    /// y = (a + b + ...) / how many there are
    Average: Binary::Add, true;
    /// y, the largest of each element
    Maximum: Binary::Max, false;
    /// y, the smallest of each element
    Minimum: Binary::Min, false;
}

/// y = a - b, of two values
///
/// ```
/// use kiln::prelude::*;
/// let (a, b) = (Input::new([3]), Input::new([3]));
/// let difference = Subtract.apply((&a, &b))?;
/// let mut model = Model::new((&a, &b), difference)?.device(Device::cpu());
/// let (x, y) = (Tensor::from([[3.0f32, 2.0, 1.0]]), Tensor::from([[1.0f32; 3]]));
/// assert_eq!(model.predict_all(&[&x, &y])?[0], Tensor::from([[2.0f32, 1.0, 0.0]]));
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Subtract;

impl Layer for Subtract {
    fn kind(&self) -> &'static str {
        "Subtract"
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        Ok(KerasObject::layer(self.kind(), name))
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [_, _] = scope.expect(inputs)?;
        Ok(vec![merged(scope, inputs, Binary::Sub)?])
    }
}

/// All values by an operation, from the first on. Where all have masks, what any of them lets count counts.
fn merged(scope: &mut Scope<'_>, inputs: &[Id], op: Binary) -> Result<Id> {
    if inputs.len() < 2 {
        return Err(scope.error(format!("takes two inputs or more, was given {}", inputs.len())));
    }
    let rank = inputs.iter().map(|&x| scope.graph.shape(x).rank()).max().unwrap_or(0);
    let masks: Vec<Option<Id>> = inputs.iter().map(|&x| scope.mask(x)).collect();
    let inputs = inputs.iter().map(|&x| of_rank(scope.graph, x, rank)).collect::<Result<Vec<_>>>()?;
    check_shapes(scope, &inputs)?;
    let all: Option<Vec<Id>> = masks.iter().copied().collect();
    let all = mask::any(scope.graph, &all.unwrap_or_default())?;
    let y = match op {
        Binary::Mul if masks.iter().any(Option::is_some) => product(scope.graph, &inputs, &masks, all)?,
        Binary::Max | Binary::Min if masks.iter().any(Option::is_some) => extreme(scope.graph, &inputs, &masks, op)?,
        _ => inputs[1..].iter().try_fold(inputs[0], |a, &b| scope.graph.apply(op, &[a, b]))?,
    };
    if let Some(mask) = all {
        scope.set_mask(y, mask)?;
    }
    Ok(y)
}

/// That values of one rank broadcast to one shape.
fn check_shapes(scope: &Scope<'_>, inputs: &[Id]) -> Result<()> {
    let mut all = scope.graph.shape(inputs[0]).clone();
    for &x in &inputs[1..] {
        let shape = scope.graph.shape(x);
        all = Shape::broadcast("merge", &[&all, shape]).map_err(|_| {
            scope.error(format!("{all} and {shape} do not go together: extents are equal, or one of them is 1"))
        })?;
    }
    Ok(())
}

/// The product of values, where what a mask leaves out is 1, as Keras has it; what all leave out, by the mask of all, is 0.
fn product(graph: &mut Graph, inputs: &[Id], masks: &[Option<Id>], all: Option<Id>) -> Result<Id> {
    let one = graph.fill(1.0, []);
    let mut factors = Vec::with_capacity(inputs.len());
    for (&x, mask) in inputs.iter().zip(masks) {
        factors.push(match *mask {
            Some(mask) => mask::chosen(graph, mask, [x, one])?,
            None => x,
        });
    }
    let y = factors[1..].iter().try_fold(factors[0], |a, &b| graph.apply(Binary::Mul, &[a, b]))?;
    let Some(all) = all else { return Ok(y) };
    let zero = graph.fill(0.0, []);
    mask::chosen(graph, all, [y, zero])
}

/// The largest or smallest of values, each of which, as Keras has it, gives way to the others where its mask leaves it out.
fn extreme(graph: &mut Graph, inputs: &[Id], masks: &[Option<Id>], op: Binary) -> Result<Id> {
    let (mut y, mut so_far) = (inputs[0], masks[0]);
    for (&x, &mask) in inputs.iter().zip(masks).skip(1) {
        let x = mask.map_or(Ok(x), |mask| mask::chosen(graph, mask, [x, y]))?;
        y = so_far.map_or(Ok(y), |mask| mask::chosen(graph, mask, [y, x]))?;
        so_far = match (so_far, mask) {
            (Some(a), Some(b)) => mask::any(graph, &[a, b])?,
            _ => None,
        };
        y = graph.apply(op, &[y, x])?;
    }
    Ok(y)
}

/// The same values with axes of 1 behind the batch's, up to a rank.
fn of_rank(graph: &mut Graph, x: Id, rank: usize) -> Result<Id> {
    let shape = graph.shape(x).clone();
    if shape.rank() == rank {
        return Ok(x);
    }
    let ones = vec![1; rank - shape.rank()];
    graph.apply(Reshape([&shape[..1], &ones, &shape[1..]].concat().into()), &[x])
}

/// The values one after the other along an axis, which counts with the batch's and from the end where it is negative.
///
/// ```
/// use kiln::prelude::*;
/// let both = Concatenate::new().apply((&Input::new([3]), &Input::new([2])))?;
/// assert_eq!(both.shape().to_string(), "(5,)");
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Concatenate {
    axis: isize,
}

impl Default for Concatenate {
    fn default() -> Self {
        Self::new()
    }
}

impl Concatenate {
    /// Along the last axis.
    pub fn new() -> Self {
        Self { axis: -1 }
    }

    /// Sets the axis; default -1.
    #[must_use]
    pub fn axis(mut self, axis: isize) -> Self {
        self.axis = axis;
        self
    }

    pub(super) fn from_config(config: &mut Config) -> Result<Self> {
        Ok(Self { axis: config.take_or("axis", -1)? })
    }
}

impl Layer for Concatenate {
    fn kind(&self) -> &'static str {
        "Concatenate"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let Some(&first) = inputs.first().filter(|_| inputs.len() > 1) else {
            return Err(scope.error(format!("takes two inputs or more, was given {}", inputs.len())));
        };
        let axis =
            axis_of("Concatenate", self.axis, scope.graph.shape(first)).map_err(|e| scope.error(e.to_string()))?;
        if axis == 0 {
            return Err(scope.error("axis 0 is the samples'; give 1 or more, or -1 for the last"));
        }
        let y = scope.graph.apply(Concat(axis), inputs)?;
        if let Some(mask) = joined(scope, inputs, axis)? {
            scope.set_mask(y, mask)?;
        }
        Ok(vec![y])
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        Ok(KerasObject::layer(self.kind(), name).with("axis", self.axis))
    }

    fn config(&self) -> Config {
        Config::new(self.kind()).with("axis", self.axis)
    }
}

/// The mask of values that are put one after the other: their masks are, too, those of values without one being ones; along the
/// last axis, which masks do not have, what any lets count counts.
fn joined(scope: &mut Scope<'_>, inputs: &[Id], axis: usize) -> Result<Option<Id>> {
    let masks: Vec<Option<Id>> = inputs.iter().map(|&x| scope.mask(x)).collect();
    if masks.iter().all(Option::is_none) {
        return Ok(None);
    }
    let graph = &mut *scope.graph;
    let mut whole = Vec::with_capacity(inputs.len());
    for (&x, mask) in inputs.iter().zip(masks) {
        let shape = graph.shape(x).clone();
        let last = shape.rank() - 1;
        let ones = graph.fill(1.0, &shape[..last]);
        whole.push(mask.map_or(Ok(ones), |mask| mask::weighed(graph, ones, mask))?);
        if axis == last && whole.len() == inputs.len() {
            return mask::any(graph, &whole);
        }
    }
    graph.apply(Concat(axis), &whole).map(Some)
}

/// The products of two values summed over an axis of each, sample by sample: of (batch, i, k) and (batch, k, j) over the axes
/// 2 and 1 (batch, i, j); of two rows (batch, k) over 1 and 1 (batch, 1).
///
/// ```
/// use kiln::prelude::*;
/// let product = Dot::new([2, 1]).apply((&Input::new([4, 3]), &Input::new([3, 5])))?;
/// assert_eq!(product.shape().to_string(), "(4, 5)");
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Dot {
    axes: [isize; 2],
    normalize: bool,
}

impl Dot {
    /// Over an axis of either, the batch's counted; negative ones count from the end.
    pub fn new(axes: [isize; 2]) -> Self {
        Self { axes, normalize: false }
    }

    /// Whether both are scaled to length 1 along their axes first, so that the product is the cosine; default false.
    #[must_use]
    pub fn normalize(mut self, normalize: bool) -> Self {
        self.normalize = normalize;
        self
    }

    pub(super) fn from_config(config: &mut Config) -> Result<Self> {
        let axes: Vec<isize> = config.take("axes")?;
        let axes = <[isize; 2]>::try_from(axes).map_err(|axes| {
            crate::Error::argument("axes", format!("{axes:?} are not two axes, one of either input"))
        })?;
        Ok(Self { axes, normalize: config.take_or("normalize", false)? })
    }

    /// x as (batch, others, summed), the summed axis being of this number.
    fn operand(&self, scope: &mut Scope<'_>, x: Id, axis: isize) -> Result<Id> {
        let shape = scope.graph.shape(x).clone();
        let axis = axis_of("Dot", axis, &shape).map_err(|e| scope.error(e.to_string()))?;
        if axis == 0 || shape.rank() > 3 {
            let message = format!("sums {shape} over axis {axis}; expected axis 1 or 2 of two or three axes");
            return Err(scope.error(message));
        }
        let x = match (shape.rank(), axis) {
            (2, _) => scope.graph.apply(Reshape([shape[0], 1, shape[1]].into()), &[x])?,
            (_, 1) => scope.graph.apply(Transpose(vec![0, 2, 1]), &[x])?,
            _ => x,
        };
        if !self.normalize {
            return Ok(x);
        }
        // As Keras: by the length, of 1e-7 at least.
        let graph = &mut *scope.graph;
        let squares = graph.apply(Unary::Square, &[x])?;
        let sums = graph.reduce(Aggregation::Sum, squares, Some(&[2]), true)?;
        let least = graph.fill(1e-14, []);
        let sums = graph.apply(Binary::Max, &[sums, least])?;
        let lengths = graph.apply(Unary::Sqrt, &[sums])?;
        graph.apply(Binary::Div, &[x, lengths])
    }
}

impl Layer for Dot {
    fn kind(&self) -> &'static str {
        "Dot"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [a, b] = scope.expect(inputs)?;
        // Masks end here, as in Keras, without a word.
        let _ = [a, b].map(|x| scope.mask(x));
        let ranks = [a, b].map(|x| scope.graph.shape(x).rank());
        let x = [self.operand(scope, a, self.axes[0])?, self.operand(scope, b, self.axes[1])?];
        let [a, b] = x.map(|x| scope.graph.shape(x).clone());
        if a[2] != b[2] {
            return Err(
                scope.error(format!("the axes summed over have {} and {} elements; expected one number", a[2], b[2]))
            );
        }
        let y = scope.graph.apply(MatMul::stacked(false, true), &x)?;
        let shape = match ranks {
            [2, 2] => vec![a[0], 1],
            [2, _] => vec![a[0], b[1]],
            [_, 2] => vec![a[0], a[1]],
            _ => return Ok(vec![y]),
        };
        Ok(vec![scope.graph.apply(Reshape(shape.into()), &[y])?])
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        let [a, b] = self.axes;
        let axes = if a == b { a.into() } else { Setting::from(vec![a, b]) };
        Ok(KerasObject::layer(self.kind(), name).with("axes", axes).with("normalize", self.normalize))
    }

    fn config(&self) -> Config {
        Config::new(self.kind()).with("axes", self.axes.to_vec()).with("normalize", self.normalize)
    }
}

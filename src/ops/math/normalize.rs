//! Brings values to mean 0 and variance 1 over neighbouring axes: what batch, layer and group normalization do before they
//! scale and shift. One op with its statistics as outputs: a chain of means, differences and squares would go through memory
//! eight times.

use std::ops::Range;

use super::binary::Binary;
use super::case::{positive, random};
use super::cpu::{CpuArgs, CpuOp, Real, for_each_rows, map, map_pairs, vectorised};
use super::dispatch::{Binding, Dispatch, LIB_GRID, LIB_REDUCTION, Module, Target};
use super::expand::Expand;
use super::reduction::{Kernel, Shares};
use super::sum::around;
use super::sums::{Moments, sum_rows};
use super::unary::Unary;
use super::{Case, Io, Op, expect_inputs};
use crate::error::{Error, Result};
#[cfg(feature = "onnx")]
use crate::graph::onnx::Writer;
use crate::graph::{Graph, Id, Type};
use crate::kernel::room::{SIDE_BY_SIDE, repeat, with_room};
use crate::tensor::{DType, Shape, Tensor};
use crate::threads::{Chunks, for_each_block};

const MODULE: Module = Module {
    stem: "normalize",
    source: include_str!("../../../shaders/normalize.wgsl"),
    libs: &[LIB_GRID, LIB_REDUCTION],
};
const GRADIENT_MODULE: Module = Module {
    stem: "normalize_gradient",
    source: include_str!("../../../shaders/normalize_gradient.wgsl"),
    libs: &[LIB_GRID, LIB_REDUCTION],
};

/// y = (x - mean) / sqrt(variance + epsilon), mean and variance of x over `axes`, which these no longer have
#[derive(Clone, Debug)]
pub struct Normalize {
    /// Neighbouring axes, together one element or more.
    pub axes: Range<usize>,
    /// What keeps the division from zero: above 0.
    pub epsilon: f64,
}

/// dx = (dy - mean(dy) - y mean(dy y)) / sqrt(variance + epsilon) of y, variance and dy, and the sums of dy and of dy y over
/// the axes
#[derive(Clone, Debug)]
pub struct NormalizeGrad(pub Normalize);

impl Normalize {
    /// y of means along axes that are not the last.
    #[cfg(feature = "onnx")]
    fn of_means(&self, writer: &mut Writer<'_>, x: Id, y: Id) -> Result<()> {
        let x = writer.plain(x)?;
        let axes = writer.ints(&self.axes.clone().map(|axis| axis as i64).collect::<Vec<_>>());
        let epsilon = writer.number(self.epsilon);
        let mean = writer.add("ReduceMean", &[&x, &axes], vec![("keepdims", 1i64.into())]);
        let centered = writer.add("Sub", &[&x, &mean], vec![]);
        let squares = writer.add("Mul", &[&centered, &centered], vec![]);
        let variance = writer.add("ReduceMean", &[&squares, &axes], vec![("keepdims", 1i64.into())]);
        let sum = writer.add("Add", &[&variance, &epsilon], vec![]);
        let root = writer.add("Sqrt", &[&sum], vec![]);
        let name = writer.add("Div", &[&centered, &root], vec![]);
        writer.give_plain(y, name);
        Ok(())
    }

    /// The types of y and of its statistics.
    fn types(&self, x: &Type) -> Result<[Type; 3]> {
        let (shape, axes) = (&x.shape, &self.axes);
        if axes.end > shape.rank() || axes.start > axes.end || shape[axes.clone()].contains(&0) {
            let message = format!("axes {axes:?} are not among those of {shape}, or are empty");
            return Err(Error::shape("normalize", message));
        }
        if !(self.epsilon > 0.0 && self.epsilon.is_finite()) {
            return Err(Error::shape("normalize", format!("epsilon is {}; give a number above 0", self.epsilon)));
        }
        let statistic = Type::float([&shape[..axes.start], &shape[axes.end..]].concat());
        Ok([x.clone(), statistic.clone(), statistic])
    }

    /// What has the statistics' shape as x has it, times a number.
    fn expand(&self, g: &mut Graph, statistic: Id, shape: &Shape, scale: f64) -> Result<Id> {
        let expand = Expand { axis: self.axes.start, extents: shape[self.axes.clone()].to_vec(), scale };
        g.apply(expand, &[statistic])
    }
}

/// y = f(x, z, column) for x, z and y by rows of so many columns; `column` makes three numbers of each.
fn by_columns<T: Real>(
    [x, z]: [&[T]; 2],
    y: &mut [T],
    columns: usize,
    column: impl Fn(usize) -> [T; 3],
    f: impl Fn(T, T, [T; 3]) -> T + Sync,
) {
    if columns == 0 {
        return;
    }
    let wide = columns * (SIDE_BY_SIDE / columns).max(1);
    with_room(3 * wide, |room: &mut [T]| {
        for at in 0..columns {
            column(at).into_iter().enumerate().for_each(|(i, made)| room[i * wide + at] = made);
        }
        room.chunks_mut(wide).for_each(|room| repeat(room, columns));
        let ((a, b), c) = (room[..2 * wide].split_at(wide), &room[2 * wide..]);
        for_each_rows(y, columns, |first, y| {
            let at = first * columns..first * columns + y.len();
            let rows = x[at.clone()].chunks(wide).zip(z[at].chunks(wide));
            vectorised!(for (y, (x, z)) in y.chunks_mut(wide).zip(rows) {
                let columns = a.iter().zip(b).zip(c);
                for ((y, (&x, &z)), ((&a, &b), &c)) in y.iter_mut().zip(x.iter().zip(z)).zip(columns) {
                    *y = f(x, z, [a, b, c]);
                }
            });
        });
    });
}

/// Calls `f(outer, y, a, b)` for the parts of y (outer, n, inner) and of a and b (outer, inner), at once where there are many.
fn each_block<T: Real>(
    [_, n, inner]: [usize; 3],
    y: &mut [T],
    [a, b]: [&mut [T]; 2],
    f: impl Fn(usize, &mut [T], &mut [T], &mut [T]) + Sync + Send,
) {
    let (block, inner) = ((n * inner).max(1), inner.max(1));
    // As many numbers a thread takes at least.
    let few = (1usize << 14).div_ceil(block);
    let blocks = [Chunks(y, block), Chunks(a, inner), Chunks(b, inner)];
    for_each_block(blocks, few, &|outer, [y, a, b]| f(outer, y, a, b));
}

impl<T: Real> CpuOp<T> for Normalize {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let extents = around(&args.io.inputs[0].shape, &self.axes);
        let [_, n, inner] = extents;
        let (x, [y, mean, variance]) = (args.real(0), args.out());
        let (share, epsilon) = (T::of(1.0 / n as f64), T::of(self.epsilon));
        each_block(extents, y, [mean, variance], |outer, y, mean, variance| {
            let x = &x[outer * n * inner..][..n * inner];
            if let ([mean], [variance]) = (&mut *mean, &mut *variance) {
                let moments = Moments::of(x);
                (*mean, *variance) = (moments.mean(), moments.squares * share);
                let (mean, factor) = (*mean, (*variance + epsilon).sqrt().recip());
                return map(x, y, |x| (x - mean) * factor);
            }
            let of_sum = |sums: &mut [T]| sums.iter_mut().for_each(|sum| *sum *= share);
            sum_rows(x, mean);
            of_sum(mean);
            let zero = T::zero();
            by_columns([x, x], y, inner, |i| [mean[i], zero, zero], |x, _, [mean, ..]| (x - mean) * (x - mean));
            sum_rows(y, variance);
            of_sum(variance);
            let column = |i: usize| [mean[i], (variance[i] + epsilon).sqrt().recip(), zero];
            by_columns([x, x], y, inner, column, |x, _, [mean, factor, _]| (x - mean) * factor);
        });
    }
}

impl Op for Normalize {
    fn name(&self) -> &'static str {
        "normalize"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs("normalize", inputs, &[DType::F32])?;
        Ok(self.types(&inputs[0])?.into())
    }

    fn grad(&self, g: &mut Graph, x: &[Id], y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        let shape = g.shape(x[0]).clone();
        let n: usize = shape[self.axes.clone()].iter().product();
        let mut terms = Vec::new();
        if let Some(dy) = dy[0] {
            terms.push(g.apply_all(std::sync::Arc::new(NormalizeGrad(self.clone())), &[y[0], y[2], dy])?[0]);
        }
        if let Some(mean) = dy[1] {
            terms.push(self.expand(g, mean, &shape, 1.0 / n as f64)?);
        }
        if let Some(variance) = dy[2] {
            // 2 (x - mean) / n, where x - mean is y times its divisor.
            let epsilon = g.fill(self.epsilon, []);
            let square = g.apply(Binary::Add, &[y[2], epsilon])?;
            let divisor = g.apply(Unary::Sqrt, &[square])?;
            let weighed = g.apply(Binary::Mul, &[variance, divisor])?;
            let weighed = self.expand(g, weighed, &shape, 2.0 / n as f64)?;
            terms.push(g.apply(Binary::Mul, &[weighed, y[0]])?);
        }
        let mut terms = terms.into_iter();
        let first = terms.next();
        let sum = first.map(|first| terms.try_fold(first, |sum, term| g.apply(Binary::Add, &[sum, term])));
        Ok(vec![sum.transpose()?])
    }

    #[cfg(feature = "onnx")]
    fn onnx(&self, writer: &mut Writer<'_>) -> Result<()> {
        let (x, outputs) = (writer.inputs()[0], writer.outputs());
        if outputs[1..].iter().any(|&y| writer.is_read(y)) {
            return Err(writer.refused("leaves mean and variance to others"));
        }
        let own = writer.graph().shape(x)[self.axes.clone()].to_vec();
        if self.axes.end < writer.rank(x) {
            return self.of_means(writer, x, outputs[0]);
        }
        // The operator multiplies and adds, too.
        let mut given = outputs[0];
        let (mut scale, mut shift) = (None, None);
        for (operation, weight) in [(Binary::Mul, &mut scale), (Binary::Add, &mut shift)] {
            let Some((reader, id)) = super::onnx::followed_by(writer, given, operation) else { continue };
            let found = writer.constant(id)?;
            if found.shape().iter().skip_while(|&&extent| extent == 1).ne(own.iter().skip_while(|&&extent| extent == 1))
            {
                break;
            }
            let name = writer.name_of(id).map_or_else(|| operation.name().to_string(), str::to_string);
            *weight = Some(writer.weight(&name, Tensor::new(own.clone(), found.into_values())?));
            writer.take_over(reader);
            given = writer.graph().nodes()[reader].outputs[0];
        }
        let x = writer.plain(x)?;
        let scale = match scale {
            Some(scale) => scale,
            None => writer.floats("gamma", &Tensor::new(own.clone(), vec![1.0f32; own.iter().product()])?),
        };
        let mut names = vec![&*x, &*scale];
        names.extend(shift.as_deref());
        let attributes = vec![("axis", self.axes.start.into()), ("epsilon", self.epsilon.into())];
        let name = writer.add("LayerNormalization", &names, attributes);
        writer.give_plain(given, name);
        Ok(())
    }

    fn gpu(&self, io: &Io, target: &Target) -> Vec<Dispatch> {
        let own = (0..3).map(Binding::Output).collect();
        let kernel = |entries, own| Kernel::new(MODULE, entries, own);
        let first = kernel(["parts_alone", "parts_shared"], Vec::new());
        let second = kernel(["normalize", "normalize_shared"], own).constant("EPSILON", self.epsilon);
        let extents = around(&io.inputs[0].shape, &self.axes);
        Shares::new(extents, target).launches(Binding::Input(0), (&first, 3), &second, target)
    }

    fn flops(&self, io: &Io) -> u64 {
        6 * io.inputs[0].shape.len() as u64
    }
}

impl<T: Real> CpuOp<T> for NormalizeGrad {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let extents = around(&args.io.inputs[0].shape, &self.0.axes);
        let [_, n, inner] = extents;
        let (y, variance, dy) = (args.real(0), args.real(1), args.real(2));
        let (share, epsilon) = (T::of(1.0 / n as f64), T::of(self.0.epsilon));
        let [dx, sums, products] = args.out();
        each_block(extents, dx, [sums, products], |outer, dx, sums, products| {
            let y = &y[outer * n * inner..][..n * inner];
            let dy = &dy[outer * n * inner..][..n * inner];
            let variance = &variance[outer * inner..][..inner];
            sum_rows(dy, sums);
            map_pairs(y, dy, dx, |y, dy| y * dy);
            sum_rows(dx, products);
            let factor = |variance: T| (variance + epsilon).sqrt().recip();
            if let ([sum], [product], [variance]) = (&*sums, &*products, variance) {
                let (sum, product, factor) = (*sum * share, *product * share, factor(*variance));
                return map_pairs(y, dy, dx, |y, dy| (dy - sum - y * product) * factor);
            }
            let column = |i: usize| [sums[i] * share, products[i] * share, factor(variance[i])];
            by_columns([y, dy], dx, inner, column, |y, dy, [sum, product, factor]| (dy - sum - y * product) * factor);
        });
    }
}

impl Op for NormalizeGrad {
    fn name(&self) -> &'static str {
        "normalize_grad"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs("normalize_grad", inputs, &[DType::F32; 3])?;
        let types = self.0.types(&inputs[0])?;
        if inputs[1] != types[1] || inputs[2] != types[0] {
            let message = format!("the variance {} and dy {} are not those of {}", inputs[1], inputs[2], inputs[0]);
            return Err(Error::shape("normalize_grad", message));
        }
        Ok(types.into())
    }

    fn gpu(&self, io: &Io, target: &Target) -> Vec<Dispatch> {
        let y = Binding::Input(0);
        let kernel = |entries, own| Kernel::new(GRADIENT_MODULE, entries, own).constant("EPSILON", self.0.epsilon);
        let outputs = (0..3).map(Binding::Output);
        let first = kernel(["parts_alone", "parts_shared"], vec![y]);
        let second =
            kernel(["gradient", "gradient_shared"], [y, Binding::Input(1)].into_iter().chain(outputs).collect());
        let shares = Shares::new(around(&io.inputs[0].shape, &self.0.axes), target);
        let mut launches = shares.launches(Binding::Input(2), (&first, 2), &second, target);
        if shares.is_whole() {
            launches = launches.into_iter().map(|launch| shares.keeping(launch, "gradient_kept", 8)).collect();
        }
        launches
    }

    fn flops(&self, io: &Io) -> u64 {
        8 * io.inputs[0].shape.len() as u64
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let shapes: [(&str, &[usize], Range<usize>); 10] = [
        ("rows of (5, 7)", &[5, 7], 1..2),
        ("columns of (9, 6)", &[9, 6], 0..1),
        ("the middle of (3, 4, 5, 2)", &[3, 4, 5, 2], 1..3),
        ("the first two of (6, 7, 3)", &[6, 7, 3], 0..2),
        ("all of (11,)", &[11], 0..1),
        ("rows of (257, 65)", &[257, 65], 1..2),
        ("columns of (300, 33)", &[300, 33], 0..1),
        ("rows of (2, 70000)", &[2, 70_000], 1..2),
        ("columns of (200000, 2)", &[200_000, 2], 0..1),
        ("single numbers of (3, 1)", &[3, 1], 1..2),
    ];
    for ((label, shape, axes), seed) in shapes.into_iter().zip(800..) {
        let op = Normalize { axes: axes.clone(), epsilon: 1e-3 };
        let n: usize = shape[axes.clone()].iter().product();
        let statistic = [&shape[..axes.start], &shape[axes.end..]].concat();
        let case = Case::new(label, op.clone(), vec![random(shape, seed)]).sums(n.max(16));
        cases.push(if n < 1000 { case.wrt(&[0]) } else { case });
        let inputs = vec![random(shape, seed + 100), positive(statistic, seed + 200), random(shape, seed + 300)];
        cases.push(Case::new(label, NormalizeGrad(op), inputs).sums(n.max(16)));
    }
    // What a mean of squares less the square of the mean would lose: 100 and eighths. (The mean itself has seven digits.)
    let far: Vec<f32> = (0..512).map(|i| 100.0 + (i % 7) as f32 / 8.0).collect();
    let op = || Normalize { axes: 1..2, epsilon: 1e-3 };
    let far = Tensor::new([2, 256], far).expect("as many");
    cases.push(Case::new("far from zero", op(), vec![far]).sums(20_000));
    let same = Tensor::new([2, 5], vec![2.5f32; 10]).expect("ten");
    cases.push(Case::new("rows of one number", op(), vec![same]).sums(16));
    cases
}

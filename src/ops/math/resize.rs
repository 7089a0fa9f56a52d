//! A tensor with another number of elements along one axis, as Keras' `ops.image.resize` without `antialias` has it: each between
//! two of x, or the nearest one. Places are quotients of whole numbers, so that all devices take the same ones.

use super::case::random;
use super::cpu::{CpuArgs, CpuOp, Real, for_each_row, vectorised};
use super::dispatch::{Dispatch, LIB_GRID, Module, Params, Target};
use super::sum::around;
use super::{Case, Io, Op, expect_inputs, only};
use crate::error::{Error, Result};
#[cfg(feature = "onnx")]
use crate::graph::onnx::{Writer, place};
use crate::graph::{Graph, Id, Type};
use crate::tensor::{DType, Shape};

const MODULE: Module =
    Module { stem: "resize", source: include_str!("../../../shaders/resize.wgsl"), libs: &[LIB_GRID] };

/// Elements along the axis, at most: the gradient's kernel loops over them.
const LARGEST: usize = 16_000;

/// How a value between elements or pixels is made of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interpolation {
    /// By the two along each axis that it lies between, each weighed by how near it is.
    #[default]
    Bilinear,
    /// The one that it is nearest to.
    Nearest,
}

crate::config::named!(Interpolation: "bilinear" = Bilinear, "nearest" = Nearest);

/// y of x with `extent` elements along an axis; what lies beyond the first and the last is these
#[derive(Clone, Copy, Debug)]
pub struct Resize {
    /// The axis.
    pub axis: usize,
    /// Elements of y along it.
    pub extent: usize,
    /// How the elements between those of x are made.
    pub interpolation: Interpolation,
}

/// dx of dy, where x has `extent` elements along the axis: each the sum of the dy that it went to, in their order
#[derive(Clone, Copy, Debug)]
pub struct ResizeGrad {
    /// The axis.
    pub axis: usize,
    /// Elements of x along it.
    pub extent: usize,
    /// How the elements of y were made.
    pub interpolation: Interpolation,
}

/// Where the elements of y come from along the axis.
#[derive(Clone, Copy)]
struct Scale {
    x_extent: usize,
    y_extent: usize,
    interpolation: Interpolation,
}

impl Scale {
    /// The two elements of x that an element of y lies between, and the share of the second.
    fn taps<T: Real>(self, o: usize) -> ([usize; 2], T) {
        let (middle, parts) = ((2 * o + 1) * self.x_extent, 2 * self.y_extent);
        match self.interpolation {
            Interpolation::Nearest => ([middle / parts; 2], T::zero()),
            Interpolation::Bilinear => {
                let at = middle.saturating_sub(self.y_extent);
                let k = at / parts;
                let share = T::of((at % parts) as f64) / T::of(parts as f64);
                ([k, (k + 1).min(self.x_extent - 1)], share)
            }
        }
    }

    fn launch(self, entry: &'static str, inner: usize, io: &Io) -> Dispatch {
        let n = io.outputs[0].shape.len();
        let params = Params::new().u32("n", n).u32("inner", inner);
        let params = params.u32("x_extent", self.x_extent).u32("y_extent", self.y_extent);
        Dispatch::over(MODULE, entry, io, params, n).constant("NEAREST", self.interpolation as u32)
    }
}

/// The shape with another extent along an axis, where it has such an axis and both extents are within what kernels take.
fn with_extent(op: &str, shape: &Shape, axis: usize, extent: usize) -> Result<Vec<Type>> {
    let Some(&own) = shape.get(axis) else {
        return Err(Error::shape(op, format!("axis {axis} is not among those of {shape}")));
    };
    if let Some(refused) = [own, extent].into_iter().find(|extent| !(1..=LARGEST).contains(extent)) {
        let message =
            format!("takes 1 to {LARGEST} elements along an axis, was given {refused} for axis {axis} of {shape}");
        return Err(Error::shape(op, message));
    }
    let mut resized = shape.to_vec();
    resized[axis] = extent;
    Ok(vec![Type::float(resized)])
}

impl Resize {
    fn scale(self, io: &Io) -> Scale {
        let x_extent = io.inputs[0].shape[self.axis];
        Scale { x_extent, y_extent: self.extent, interpolation: self.interpolation }
    }
}

impl<T: Real> CpuOp<T> for Resize {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let scale = self.scale(args.io);
        let [_, extent, inner] = around(&args.io.inputs[0].shape, &(self.axis..self.axis + 1));
        let (x, [y]) = (args.real(0), args.out());
        for_each_row(y, self.extent * inner, |row, y| {
            let x = &x[row * extent * inner..][..extent * inner];
            vectorised!(for (o, y) in y.chunks_exact_mut(inner).enumerate() {
                let (places, share) = scale.taps::<T>(o);
                let [first, second] = places.map(|k| &x[k * inner..][..inner]);
                if scale.interpolation == Interpolation::Nearest {
                    y.copy_from_slice(first);
                    continue;
                }
                let rest = T::one() - share;
                y.iter_mut().zip(first).zip(second).for_each(|((y, &a), &b)| *y = rest * a + share * b);
            });
        });
    }
}

impl Op for Resize {
    fn name(&self) -> &'static str {
        "resize"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs("resize", inputs, &[DType::F32])?;
        with_extent("resize", &inputs[0].shape, self.axis, self.extent)
    }

    fn grad(&self, g: &mut Graph, x: &[Id], _y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        let back = ResizeGrad { axis: self.axis, extent: g.shape(x[0])[self.axis], interpolation: self.interpolation };
        Ok(vec![Some(g.apply(back, &[only(dy)])?)])
    }

    #[cfg(feature = "onnx")]
    fn onnx(&self, writer: &mut Writer<'_>) -> Result<()> {
        let x = writer.inputs()[0];
        let axis = place(&writer.order(x), self.axis);
        let mut attributes =
            vec![("axes", vec![axis as i64].into()), ("coordinate_transformation_mode", "half_pixel".into())];
        match self.interpolation {
            Interpolation::Bilinear => attributes.push(("mode", "linear".into())),
            Interpolation::Nearest => {
                attributes.extend([("mode", "nearest".into()), ("nearest_mode", "round_prefer_ceil".into())]);
            }
        }
        writer.map(|writer, x| {
            let extent = writer.ints(&[self.extent as i64]);
            writer.add("Resize", &[x, "", "", &extent], attributes)
        })
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let [.., inner] = around(&io.inputs[0].shape, &(self.axis..self.axis + 1));
        vec![self.scale(io).launch("resize", inner, io)]
    }

    fn flops(&self, io: &Io) -> u64 {
        3 * io.outputs[0].shape.len() as u64
    }
}

impl ResizeGrad {
    fn scale(self, io: &Io) -> Scale {
        let y_extent = io.inputs[0].shape[self.axis];
        Scale { x_extent: self.extent, y_extent, interpolation: self.interpolation }
    }
}

impl<T: Real> CpuOp<T> for ResizeGrad {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let scale = self.scale(args.io);
        let [_, extent, inner] = around(&args.io.inputs[0].shape, &(self.axis..self.axis + 1));
        let (dy, [dx]) = (args.real(0), args.out());
        for_each_row(dx, self.extent * inner, |row, dx| {
            dx.fill(T::zero());
            let dy = &dy[row * extent * inner..][..extent * inner];
            vectorised!(for (o, dy) in dy.chunks_exact(inner).enumerate() {
                let (places, share) = scale.taps::<T>(o);
                let taken = places.into_iter().zip([T::one() - share, share]).filter(|(_, weight)| *weight > T::zero());
                for (k, weight) in taken {
                    let dx = &mut dx[k * inner..][..inner];
                    dx.iter_mut().zip(dy).for_each(|(dx, &dy)| *dx += weight * dy);
                }
            });
        });
    }
}

impl Op for ResizeGrad {
    fn name(&self) -> &'static str {
        "resize_grad"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs("resize_grad", inputs, &[DType::F32])?;
        with_extent("resize_grad", &inputs[0].shape, self.axis, self.extent)
    }

    fn grad(&self, g: &mut Graph, x: &[Id], _y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        let again = Resize { axis: self.axis, extent: g.shape(x[0])[self.axis], interpolation: self.interpolation };
        Ok(vec![Some(g.apply(again, &[only(dy)])?)])
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let [.., inner] = around(&io.inputs[0].shape, &(self.axis..self.axis + 1));
        vec![self.scale(io).launch("resize_grad", inner, io)]
    }

    fn flops(&self, io: &Io) -> u64 {
        4 * io.inputs[0].shape.len() as u64
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let shapes: [(&[usize], usize, usize); 9] = [
        (&[1, 1, 1, 1], 1, 1),
        (&[2, 3, 5, 1], 1, 6),
        (&[2, 3, 5, 3], 2, 10),
        (&[1, 7, 2, 5], 1, 3),
        (&[3, 1, 4], 1, 9),
        (&[2, 13, 3], 1, 1),
        (&[5, 2, 3], 1, 17),
        (&[2, 3, 11], 2, 7),
        (&[1, 3, 5000], 2, 5003),
    ];
    for ((shape, axis, extent), seed) in shapes.into_iter().zip(750..) {
        for interpolation in [Interpolation::Bilinear, Interpolation::Nearest] {
            let label = format!("axis {axis} of {shape:?} to {extent}, {interpolation:?}");
            let nearest = interpolation == Interpolation::Nearest;
            let op = Resize { axis, extent, interpolation };
            let case = Case::new(label.clone(), op, vec![random(shape, seed)]).wrt(&[0]);
            cases.push(if nearest { case.ulps(0.0) } else { case.sums(2) });
            let mut dy = shape.to_vec();
            dy[axis] = extent;
            let back = ResizeGrad { axis, extent: shape[axis], interpolation };
            cases.push(
                Case::new(label, back, vec![random(dy, seed)]).sums(2 * extent.div_ceil(shape[axis]) + 2).wrt(&[0]),
            );
        }
    }
    cases
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taps(x_extent: usize, y_extent: usize, interpolation: Interpolation) -> Vec<([usize; 2], f64)> {
        (0..y_extent).map(|o| Scale { x_extent, y_extent, interpolation }.taps(o)).collect()
    }

    #[test]
    fn places_are_by_the_middles_of_pixels() {
        let twice = [([0, 1], 0.0), ([0, 1], 0.25), ([0, 1], 0.75), ([1, 1], 0.25)];
        assert_eq!(taps(2, 4, Interpolation::Bilinear), twice);
        assert_eq!(taps(4, 2, Interpolation::Bilinear), [([0, 1], 0.5), ([2, 3], 0.5)]);
        assert_eq!(taps(3, 3, Interpolation::Bilinear), [([0, 1], 0.0), ([1, 2], 0.0), ([2, 2], 0.0)]);
        let nearest = |x, y| taps(x, y, Interpolation::Nearest).into_iter().map(|(k, _)| k[0]).collect::<Vec<_>>();
        assert_eq!((nearest(2, 6), nearest(5, 3), nearest(4, 2)), (vec![0, 0, 0, 1, 1, 1], vec![0, 2, 4], vec![1, 3]));
    }

    #[test]
    fn axes_and_extents_that_there_are_not_are_refused() {
        let x = [Type::float([2, 3])];
        let of = |axis, extent| Resize { axis, extent, interpolation: Interpolation::Nearest }.outputs(&x);
        assert!(of(2, 4).unwrap_err().to_string().contains("axis 2 is not among those of (2, 3)"));
        assert!(of(1, 0).unwrap_err().to_string().contains("1 to 16000 elements along an axis, was given 0"));
        assert!(of(1, LARGEST + 1).is_err() && of(1, LARGEST).is_ok());
    }
}

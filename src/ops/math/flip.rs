//! Flips each image of a batch, or does not, one as likely as the other. Which are flipped is [`super::philox`]'s, the
//! same on every device.

use super::case::{clock, random};
use super::cpu::{CpuArgs, CpuOp, Real, for_each_piece};
use super::dispatch::{Dispatch, LIB_GRID, Module, Params, Target};
use super::philox::{LIB_PHILOX, word};
use super::{Case, Io, Op, clock as clock_op, expect_inputs, only};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Type};
use crate::tensor::DType;

const MODULE: Module =
    Module { stem: "flip", source: include_str!("../../../shaders/flip.wgsl"), libs: &[LIB_GRID, LIB_PHILOX] };

/// y of images x (batch, height, width, ...) and the clock; the gradient is the same op on dy.
#[derive(Clone, Copy, Debug)]
pub struct Flip {
    /// 1 turns images upside down, 2 left to right.
    pub axis: usize,
    /// Tells one op of a model from another.
    pub salt: u32,
}

/// The extents of images (batch, height, width, ...), and the elements of a pixel.
pub(crate) fn image(op: &str, x: &Type) -> Result<[usize; 4]> {
    match *x.shape {
        [batch, height, width, ref pixel @ ..] => Ok([batch, height, width, pixel.iter().product()]),
        _ => Err(Error::shape(op, format!("expected images (batch, height, width, ...), was given {x}"))),
    }
}

impl Flip {
    /// Elements of an image, places along the axis, and elements from one place to the next.
    fn extents(self, io: &Io) -> (usize, usize, usize) {
        let [_, height, width, pixel] = image("flip", &io.inputs[0]).expect("the shape rule has seen it");
        let (extent, stride) = if self.axis == 1 { (height, width * pixel) } else { (width, pixel) };
        (height * width * pixel, extent, stride)
    }

    fn flips(self, sample: usize, clock: &[u32]) -> bool {
        word((2 * sample + self.axis - 1) as u32, self.salt, clock) >> 31 == 1
    }
}

impl<T: Real> CpuOp<T> for Flip {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let (len, extent, stride) = self.extents(args.io);
        let (x, clock, [y]) = (args.real(0), args.u32(1), args.out());
        for_each_piece(y, |start, y| {
            for (i, y) in (start..).zip(y) {
                let place = i / stride % extent;
                let source =
                    if self.flips(i / len, clock) { i + (extent - 1 - place) * stride - place * stride } else { i };
                *y = x[source];
            }
        });
    }
}

impl Op for Flip {
    fn name(&self) -> &'static str {
        "flip"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs("flip", inputs, &[DType::F32, DType::U32])?;
        clock_op::check(inputs, 1)?;
        image("flip", &inputs[0])?;
        if !(1..=2).contains(&self.axis) {
            return Err(Error::shape(
                "flip",
                format!("axis {} is none of an image: 1 is its height, 2 its width", self.axis),
            ));
        }
        Ok(vec![inputs[0].clone()])
    }

    fn grad(&self, g: &mut Graph, x: &[Id], _y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        Ok(vec![Some(g.apply(*self, &[only(dy), x[1]])?), None])
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let n = io.outputs[0].shape.len();
        let (len, extent, stride) = self.extents(io);
        let params = Params::new().u32("n", n).u32("len", len).u32("extent", extent).u32("stride", stride);
        let params = params.u32("axis", self.axis).u32("salt", self.salt as usize);
        vec![Dispatch::over(MODULE, "flip", io, params, n)]
    }

    fn flops(&self, _io: &Io) -> u64 {
        0
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let shapes: [&[usize]; 5] = [&[1, 1, 1], &[5, 2, 3], &[6, 3, 1, 3], &[8, 1, 7, 2], &[33, 5, 4, 3]];
    let cases = shapes.iter().zip(700..).flat_map(|(&shape, seed)| {
        [1, 2].map(|axis| {
            let op = Flip { axis, salt: seed as u32 };
            let label = format!("{shape:?} along axis {axis}");
            Case::new(label, op, vec![random(shape, seed), clock(seed as u32, 2)]).wrt(&[0]).ulps(0.0)
        })
    });
    cases.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_images_are_flipped_each_axis_by_itself() {
        let flips = |axis, step| {
            let op = Flip { axis, salt: 3 };
            (0..10_000).map(|sample| op.flips(sample, &[0, 0, step, 9])).collect::<Vec<_>>()
        };
        let [height, width, later] = [flips(1, 0), flips(2, 0), flips(2, 1)];
        // Standard deviation 50: five of them.
        let near_half = |count: usize| count.abs_diff(5000) < 250;
        assert!([&height, &width, &later].iter().all(|flips| near_half(flips.iter().filter(|flip| **flip).count())));
        let equal = |a: &[bool], b: &[bool]| a.iter().zip(b).filter(|(a, b)| a == b).count();
        assert!(near_half(equal(&height, &width)) && near_half(equal(&width, &later)));
    }
}

//! Images, each under an affine map of its own about its middle, with values between pixels interpolated. Maps are whole numbers,
//! as [`super::random_map`] makes them: where a pixel comes from must not hang on how a device rounds.

use super::binary::Binary;
use super::case::{integers, random};
use super::cpu::{CpuArgs, CpuOp, Real, SliceMut, for_each_row};
use super::dispatch::{Binding, Dispatch, LIB_FILL, LIB_GRID, Module, Params, Target};
use super::flip::image;
use super::reshape::Reshape;
use super::resize::Interpolation;
use super::take::TakeGrad;
use super::translate::Fill;
use super::{Case, Io, Op, expect_inputs, only};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Type};
use crate::tensor::{DType, Tensor};

const MODULE: Module =
    Module { stem: "affine", source: include_str!("../../../shaders/affine.wgsl"), libs: &[LIB_GRID, LIB_FILL] };

/// Numbers of a map: a row of two factors, in [`UNIT`]s, and an offset, in [`PARTS`] of a pixel, for rows and for columns.
pub const NUMBERS: usize = 6;
/// The factor that changes nothing.
pub const UNIT: i32 = 1 << 16;
/// Parts of a pixel.
pub const PARTS: i32 = 256;

/// Pixels of an image along an axis, at most: with factors up to 2 places stay within 31 bits.
pub(super) const LARGEST: usize = 8_192;

/// No pixel.
const NONE: u32 = u32::MAX;

/// y of images x (batch, height, width, ...) and u32 maps (batch, [`NUMBERS`]): the pixel at v rows and u columns from the middle is
/// taken from `m[0] v + m[1] u` rows and `m[3] v + m[4] u` columns from there, and `m[2]` and `m[5]` further
#[derive(Clone, Copy, Debug, Default)]
pub struct Affine {
    /// What stands beyond the edges.
    pub fill: Fill,
    /// That number, where [`Affine::fill`] is [`Fill::Constant`].
    pub fill_value: f64,
    /// How values between pixels are made.
    pub interpolation: Interpolation,
}

/// Which pixels each place of the images that maps make is made of, and by which weights: u32 numbers (pixels, 4), counted over the
/// batch and 2^32 - 1 where there is none, and weights (pixels, 4); of maps (batch, [`NUMBERS`])
#[derive(Clone, Copy, Debug)]
struct AffineTaps {
    affine: Affine,
    /// Height and width of the images.
    extents: [usize; 2],
}

/// Where the pixels of one image come from.
struct Map<'a> {
    affine: Affine,
    extents: [usize; 2],
    numbers: &'a [u32],
}

impl Map<'_> {
    /// The pixels of the image that a place is made of, with their weights; a pixel that is none is the number to fill with.
    fn taps<T: Real>(&self, r: usize, c: usize) -> [(Option<usize>, T); 4] {
        let m = |i: usize| self.numbers[i] as i32;
        let extents = self.extents.map(|extent| extent as i32);
        // In half pixels. Numbers that no map has wrap around, as they do on GPUs.
        let [v, u] = [2 * r as i32 - extents[0] + 1, 2 * c as i32 - extents[1] + 1];
        let at = [0, 1].map(|axis| {
            let moved = m(3 * axis).wrapping_mul(v).wrapping_add(m(3 * axis + 1).wrapping_mul(u));
            (PARTS / 2 * (extents[axis] - 1)).wrapping_add(m(3 * axis + 2)).wrapping_add(moved.wrapping_add(256) >> 9)
        });
        let place = |axis: usize, k: i32| self.affine.fill.place(k, extents[axis]);
        let pixel = |r: Option<i32>, c: Option<i32>| Some(r? as usize * self.extents[1] + c? as usize);
        if self.affine.interpolation == Interpolation::Nearest {
            let [r, c] = [0, 1].map(|axis| place(axis, at[axis].wrapping_add(PARTS / 2) >> 8));
            let none = (None, T::zero());
            return [(pixel(r, c), T::one()), none, none, none];
        }
        let [rows, columns] = [0, 1].map(|axis| {
            let share = T::of(f64::from(at[axis] & (PARTS - 1)) / f64::from(PARTS));
            let whole = at[axis] >> 8;
            [(place(axis, whole), T::one() - share), (place(axis, whole.wrapping_add(1)), share)]
        });
        let tap = |i: usize, k: usize| (pixel(rows[i].0, columns[k].0), rows[i].1 * columns[k].1);
        [tap(0, 0), tap(0, 1), tap(1, 0), tap(1, 1)]
    }
}

impl<T: Real> CpuOp<T> for Affine {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let [_, height, width, size] = image("affine", &args.io.inputs[0]).expect("the shape rule has seen it");
        let (x, maps, [y]) = (args.real(0), args.u32(1), args.out());
        let value = T::of(self.fill_value);
        for_each_row(y, height * width * size, |sample, y| {
            let x = &x[sample * y.len()..][..y.len()];
            let numbers = &maps[sample * NUMBERS..][..NUMBERS];
            let map = Map { affine: *self, extents: [height, width], numbers };
            for (i, y) in y.chunks_exact_mut(size).enumerate() {
                let taps = map.taps::<T>(i / width, i % width);
                for (channel, y) in y.iter_mut().enumerate() {
                    let element = |pixel: Option<usize>| pixel.map_or(value, |pixel| x[pixel * size + channel]);
                    let [a, b, c, d] = taps.map(|(pixel, weight)| (element(pixel), weight));
                    *y = match self.interpolation {
                        Interpolation::Nearest => a.0,
                        Interpolation::Bilinear => (a.1 * a.0 + b.1 * b.0) + (c.1 * c.0 + d.1 * d.0),
                    };
                }
            }
        });
    }
}

impl Op for Affine {
    fn name(&self) -> &'static str {
        "affine"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs("affine", inputs, &[DType::F32, DType::U32])?;
        let [batch, height, width, _] = image("affine", &inputs[0])?;
        if *inputs[1].shape != [batch, NUMBERS] {
            let message = format!("expected maps ({batch}, {NUMBERS}), was given {}", inputs[1].shape);
            return Err(Error::shape("affine", message));
        }
        if height.max(width) > LARGEST {
            let message =
                format!("takes images of at most {LARGEST} pixels along an axis, was given {height} x {width}");
            return Err(Error::shape("affine", message));
        }
        Ok(vec![inputs[0].clone()])
    }

    fn grad(&self, g: &mut Graph, x: &[Id], _y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        let shape = g.shape(x[0]).clone();
        let [batch, height, width, size] = image("affine", g.ty(x[0]))?;
        let rows = batch * height * width;
        let taps = g.apply_all(std::sync::Arc::new(AffineTaps { affine: *self, extents: [height, width] }), &[x[1]])?;
        let dy = g.apply(Reshape([rows, 1, size].into()), &[only(dy)])?;
        let weights = g.apply(Reshape([rows, 4, 1].into()), &[taps[1]])?;
        let weighed = g.apply(Binary::Mul, &[weights, dy])?;
        let dx = g.apply(TakeGrad { rows }, &[taps[0], weighed])?;
        Ok(vec![Some(g.apply(Reshape(shape), &[dx])?), None])
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let [_, height, width, size] = image("affine", &io.inputs[0]).expect("the shape rule has seen it");
        let bindings = [Binding::Input(1), Binding::Params, Binding::Input(0), Binding::Output(0)];
        vec![self.launch("affine", io, io.outputs[0].shape.len(), [height, width, size], &bindings)]
    }

    fn flops(&self, io: &Io) -> u64 {
        7 * io.outputs[0].shape.len() as u64
    }
}

impl Affine {
    fn launch(self, entry: &'static str, io: &Io, n: usize, extents: [usize; 3], bindings: &[Binding]) -> Dispatch {
        let [height, width, size] = extents;
        let params = Params::new().u32("n", n).u32("height", height).u32("width", width).u32("pixel", size);
        let launch = Dispatch::over(MODULE, entry, io, params.f32("value", self.fill_value), n);
        Dispatch { bindings: bindings.into(), ..launch }
            .constant("FILL", f64::from(self.fill as u8))
            .constant("NEAREST", f64::from(self.interpolation as u8))
    }
}

impl<T: Real> CpuOp<T> for AffineTaps {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let (maps, [height, width]) = (args.u32(0), self.extents);
        let [SliceMut::U32(pixels), SliceMut::Real(weights)] = std::mem::take(&mut args.outputs) else {
            unreachable!("the shape rule makes the types");
        };
        for (i, (pixels, weights)) in pixels.chunks_exact_mut(4).zip(weights.chunks_exact_mut(4)).enumerate() {
            let (sample, k) = (i / (height * width), i % (height * width));
            let map = Map { affine: self.affine, extents: self.extents, numbers: &maps[sample * NUMBERS..] };
            for (to, (pixel, weight)) in map.taps(k / width, k % width).into_iter().enumerate() {
                pixels[to] = pixel.map_or(NONE, |pixel| (sample * height * width + pixel) as u32);
                weights[to] = weight;
            }
        }
    }
}

impl Op for AffineTaps {
    fn name(&self) -> &'static str {
        "affine_taps"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs("affine_taps", inputs, &[DType::U32])?;
        let &[batch, NUMBERS] = &inputs[0].shape[..] else {
            let message = format!("expected maps (batch, {NUMBERS}), was given {}", inputs[0].shape);
            return Err(Error::shape("affine_taps", message));
        };
        let pixels = batch.saturating_mul(self.extents[0] * self.extents[1]);
        Ok(vec![Type::u32([pixels, 4]), Type::float([pixels, 4])])
    }

    fn grad(&self, _g: &mut Graph, _x: &[Id], _y: &[Id], _dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        Ok(vec![None])
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let bindings = [Binding::Input(0), Binding::Params, Binding::Output(0), Binding::Output(1)];
        let [height, width] = self.extents;
        vec![self.affine.launch("affine_taps", io, io.outputs[0].shape[0], [height, width, 1], &bindings)]
    }
}

pub(crate) fn cases() -> Vec<Case> {
    use Fill::{Constant, Nearest, Reflect, Wrap};
    let mut cases = Vec::new();
    let shapes: [&[usize]; 6] = [&[3, 1, 1], &[5, 2, 3], &[3, 5, 4, 3], &[2, 1, 9, 1, 2], &[2, 13, 1, 5], &[2, 28, 28]];
    for (shape, seed) in shapes.into_iter().zip(760..) {
        for fill in [Reflect, Nearest, Wrap, Constant] {
            for interpolation in [Interpolation::Bilinear, Interpolation::Nearest] {
                let affine = Affine { fill, fill_value: 0.5, interpolation };
                let (label, maps) = (format!("{shape:?}, {fill:?}, {interpolation:?}"), some_maps(shape[0], seed));
                let case = Case::new(label.clone(), affine, vec![random(shape, seed), maps.clone()]).wrt(&[0]);
                cases.push(if interpolation == Interpolation::Nearest { case.ulps(0.0) } else { case.sums(4) });
                let taps = AffineTaps { affine, extents: [shape[1], shape[2]] };
                cases.push(Case::new(label, taps, vec![maps]).ulps(0.0));
            }
        }
    }
    cases
}

/// Maps with factors up to 1.5 and offsets up to two pixels, of either sign.
fn some_maps(batch: usize, seed: u64) -> Tensor {
    let (factor, offset) = (3 * UNIT / 2, 2 * PARTS);
    let drawn = integers([batch, NUMBERS], u32::MAX, DType::U32, seed);
    let numbers = drawn.to_vec::<u32>().into_iter().enumerate().map(|(i, word)| {
        let most = if i % 3 == 2 { offset } else { factor };
        ((word % (2 * most + 1) as u32) as i32 - most) as u32
    });
    Tensor::new([batch, NUMBERS], numbers.collect::<Vec<_>>()).expect("as many as before")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(
        numbers: [i32; NUMBERS],
        affine: Affine,
        extents: [usize; 2],
        r: usize,
        c: usize,
    ) -> Vec<(Option<usize>, f64)> {
        let numbers = numbers.map(|number| number as u32);
        let taps = Map { affine, extents, numbers: &numbers }.taps::<f64>(r, c);
        taps.into_iter().filter(|(_, weight)| *weight > 0.0).collect()
    }

    #[test]
    fn a_map_that_changes_nothing_leaves_each_pixel() {
        for interpolation in [Interpolation::Bilinear, Interpolation::Nearest] {
            let affine = Affine { interpolation, ..Affine::default() };
            for (r, c) in [(0, 0), (1, 2), (4, 5)] {
                assert_eq!(of([UNIT, 0, 0, 0, UNIT, 0], affine, [5, 6], r, c), [(Some(r * 6 + c), 1.0)]);
            }
        }
    }

    #[test]
    fn a_quarter_turn_takes_columns_for_rows() {
        // Row 0 of y is column 2 of x, from the bottom up.
        let quarter = |r, c| of([0, UNIT, 0, -UNIT, 0, 0], Affine::default(), [3, 3], r, c);
        assert_eq!([quarter(0, 0), quarter(0, 2), quarter(1, 1)], [2, 8, 4].map(|pixel| vec![(Some(pixel), 1.0)]));
    }

    #[test]
    fn offsets_are_parts_of_pixels_and_beyond_the_edge_is_none() {
        let affine = Affine { fill: Fill::Constant, ..Affine::default() };
        let moved = of([UNIT, 0, 0, 0, UNIT, 3 * PARTS / 4], affine, [1, 2], 0, 1);
        assert_eq!(moved, [(Some(1), 0.25), (None, 0.75)]);
        assert_eq!(of([UNIT, 0, -PARTS, 0, UNIT, 0], affine, [1, 2], 0, 1), [(None, 1.0)]);
    }

    #[test]
    fn images_and_maps_that_do_not_go_together_are_refused() {
        let of = |x: [usize; 3], maps: [usize; 2]| {
            Affine::default().outputs(&[Type::float(x), Type::u32(maps)]).map_err(|e| e.to_string())
        };
        assert!(of([2, 3, 4], [2, 6]).is_ok());
        assert!(of([2, 3, 4], [1, 6]).unwrap_err().contains("expected maps (2, 6), was given (1, 6)"));
        assert!(of([1, 1, LARGEST + 1], [1, 6]).unwrap_err().contains("at most 8192 pixels"));
    }
}

//! Moves each image of a batch by an offset of its own, up to a reach in either direction, with values between pixels
//! interpolated. Offsets are [`super::philox`]'s, in 256ths of a pixel: whole numbers, so that no device rounds them.

use super::case::{clock, random};
use super::cpu::{CpuArgs, CpuOp, Real, for_each_row};
use super::dispatch::{Binding, Dispatch, LIB_FILL, LIB_GRID, Module, Params, Target};
use super::flip::image;
use super::philox::{LIB_PHILOX, word};
use super::{Case, Io, Op, clock as clock_op, expect_inputs, only};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Type};
use crate::tensor::DType;

const MODULE: Module = Module {
    stem: "translate",
    source: include_str!("../../../shaders/translate.wgsl"),
    libs: &[LIB_GRID, LIB_PHILOX, LIB_FILL],
};

/// Parts of a pixel.
const PARTS: i32 = 256;

/// Pixels of an image along an axis, at most: the gradient's kernel loops over one.
const LARGEST: usize = 16_000;

/// What stands beyond an image's edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fill {
    /// The image mirrored at its edge: `c b a | a b c | c b a`.
    #[default]
    Reflect,
    /// The edge's own pixel: `a a a | a b c | c c c`.
    Nearest,
    /// The image again: `a b c | a b c | a b c`.
    Wrap,
    /// Zeros, or the number that a layer has for it.
    Constant,
}

impl Fill {
    /// The place, within the image, of one that may lie outside.
    pub(crate) fn place(self, k: i32, extent: i32) -> Option<i32> {
        match self {
            Self::Reflect => {
                let m = k.rem_euclid(2 * extent);
                Some(m.min(2 * extent - 1 - m))
            }
            Self::Nearest => Some(k.clamp(0, extent - 1)),
            Self::Wrap => Some(k.rem_euclid(extent)),
            Self::Constant => (0..extent).contains(&k).then_some(k),
        }
    }
}

/// y of images x (batch, height, width, ...) and the clock: `y[o] = x[o - offset]`.
#[derive(Clone, Copy, Debug)]
pub struct Translate {
    /// The largest offset down and to the right, up and to the left: the share of the height and the width, 0 to 1.
    pub reach: [f64; 2],
    /// What stands beyond the edges.
    pub fill: Fill,
    /// Tells one op of a model from another.
    pub salt: u32,
    /// Whether it is the transposed map, which the gradient is: each element of x goes to where y took it from.
    pub transposed: bool,
}

/// How the places along one axis of an image are taken from others.
#[derive(Clone, Copy)]
struct Shift {
    fill: Fill,
    extent: i32,
    /// In parts of a pixel.
    offset: i32,
}

impl Shift {
    /// The two places that a place is taken from, with their weights in parts.
    fn taps(self, place: i32) -> [(Option<i32>, i32); 2] {
        let at = place * PARTS - self.offset;
        let (whole, part) = (at.div_euclid(PARTS), at.rem_euclid(PARTS));
        [(whole, PARTS - part), (whole + 1, part)].map(|(k, weight)| (self.fill.place(k, self.extent), weight))
    }

    /// The places, with their weights, that a place is made of, or, transposed, goes into.
    fn terms<T: Real>(self, place: i32, transposed: bool) -> Vec<(usize, T)> {
        let weighed = |(to, weight): (i32, i32)| (to as usize, T::of(f64::from(weight) / f64::from(PARTS)));
        let from = |place: i32| self.taps(place).into_iter().filter_map(|(from, weight)| Some((from?, weight)));
        if !transposed {
            return from(place).map(weighed).collect();
        }
        let into = (0..self.extent).map(|o| (o, from(o).filter(|(k, _)| *k == place).map(|(_, weight)| weight).sum()));
        into.filter(|&(_, weight)| weight > 0).map(weighed).collect()
    }
}

impl Translate {
    /// The largest offset along an axis, in parts of a pixel.
    fn reach(self, axis: usize, extent: usize) -> u32 {
        (self.reach[axis] * extent as f64 * f64::from(PARTS)).round() as u32
    }

    /// Of an image: along its height, then along its width.
    fn shifts(self, sample: usize, extents: [usize; 2], clock: &[u32]) -> [Shift; 2] {
        [0, 1].map(|axis| {
            let reach = self.reach(axis, extents[axis]);
            let random = u64::from(word((2 * sample + axis) as u32, self.salt, clock));
            // Multiply-shift maps 32 random bits to 0..=2 reach.
            let offset = (random * u64::from(2 * reach + 1)) >> 32;
            Shift { fill: self.fill, extent: extents[axis] as i32, offset: offset as i32 - reach as i32 }
        })
    }
}

impl<T: Real> CpuOp<T> for Translate {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let [_, height, width, pixel] = image(self.name(), &args.io.inputs[0]).expect("the shape rule has seen it");
        let (x, clock, [y]) = (args.real(0), args.u32(1), args.out());
        for_each_row(y, height * width * pixel, |sample, y| {
            let x = &x[sample * y.len()..];
            let shifts = self.shifts(sample, [height, width], clock);
            let [rows, columns] = shifts.map(|shift| {
                (0..shift.extent).map(|place| shift.terms::<T>(place, self.transposed)).collect::<Vec<_>>()
            });
            for (i, y) in y.iter_mut().enumerate() {
                let (row, column, channel) = (&rows[i / (width * pixel)], &columns[i / pixel % width], i % pixel);
                let across = |r: usize| {
                    let taken = column.iter().map(|&(c, weight)| weight * x[(r * width + c) * pixel + channel]);
                    taken.sum::<T>()
                };
                *y = row.iter().map(|&(r, weight)| weight * across(r)).sum();
            }
        });
    }
}

impl Op for Translate {
    fn name(&self) -> &'static str {
        if self.transposed { "translate_grad" } else { "translate" }
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs(self.name(), inputs, &[DType::F32, DType::U32])?;
        clock_op::check(inputs, 1)?;
        let [_, height, width, _] = image(self.name(), &inputs[0])?;
        if self.reach.iter().any(|reach| !(0.0..=1.0).contains(reach)) {
            return Err(Error::shape(self.name(), format!("the reach {:?} is not in 0..=1", self.reach)));
        }
        if height.max(width) > LARGEST {
            let message =
                format!("takes images of at most {LARGEST} pixels along an axis, was given {height} x {width}");
            return Err(Error::shape(self.name(), message));
        }
        Ok(vec![inputs[0].clone()])
    }

    fn grad(&self, g: &mut Graph, x: &[Id], _y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        Ok(vec![Some(g.apply(Self { transposed: !self.transposed, ..*self }, &[only(dy), x[1]])?), None])
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let [_, height, width, pixel] = image(self.name(), &io.inputs[0]).expect("the shape rule has seen it");
        let n = io.outputs[0].shape.len();
        let [reach_0, reach_1] = [(0, height), (1, width)].map(|(axis, extent)| self.reach(axis, extent) as usize);
        let params = Params::new().u32("n", n).u32("height", height).u32("width", width).u32("pixel", pixel);
        let params = params.u32("reach_0", reach_0).u32("reach_1", reach_1).u32("salt", self.salt as usize);
        let launch = |bindings: [Binding; 4]| {
            let launch = Dispatch::over(MODULE, self.name(), io, params.clone(), n);
            Dispatch { bindings: bindings.into(), ..launch }.constant("FILL", f64::from(self.fill as u8))
        };
        let (x, y, between) = (Binding::Input(0), Binding::Output(0), Binding::Scratch(n));
        let [clock, params] = [Binding::Input(1), Binding::Params];
        if !self.transposed {
            return vec![launch([x, clock, y, params])];
        }
        let along = |axis: u8, bindings| launch(bindings).constant("AXIS", axis);
        vec![along(1, [x, clock, between, params]), along(0, [between, clock, y, params])]
    }

    fn flops(&self, io: &Io) -> u64 {
        8 * io.outputs[0].shape.len() as u64
    }
}

pub(crate) fn cases() -> Vec<Case> {
    use Fill::{Constant, Nearest, Reflect, Wrap};
    let mut cases = Vec::new();
    let shapes: [(&[usize], [f64; 2]); 5] = [
        (&[3, 1, 1], [1.0, 1.0]),
        (&[5, 2, 3], [0.5, 1.0]),
        (&[7, 5, 4, 3], [0.3, 0.0]),
        (&[2, 1, 9, 1, 2], [0.0, 0.9]),
        (&[4, 28, 28], [0.1, 0.2]),
    ];
    for ((shape, reach), seed) in shapes.into_iter().zip(720..) {
        for fill in [Reflect, Nearest, Wrap, Constant] {
            let inputs = || vec![random(shape, seed), clock(seed as u32, 3)];
            for transposed in [false, true] {
                let op = Translate { reach, fill, salt: seed as u32, transposed };
                let label = format!("{shape:?} by {reach:?}, {fill:?}");
                // Each row and each column that a place goes into, at most as many as a mirror shows it.
                cases.push(Case::new(label, op, inputs()).sums(if transposed { 16 } else { 4 }).wrt(&[0]));
            }
        }
    }
    // More pixels than an adapter may let one invocation loop over.
    let op = Translate { reach: [0.001, 0.03], fill: Reflect, salt: 730, transposed: true };
    cases.push(Case::new("(1, 257, 256)", op, vec![random([1, 257, 256], 730), clock(730, 3)]).sums(32));
    cases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_beyond_the_edges_are_as_documented() {
        let places = |fill: Fill| (-3..6).map(|k| fill.place(k, 3)).collect::<Vec<_>>();
        let known = |places: [i32; 9]| places.map(Some).to_vec();
        assert_eq!(places(Fill::Reflect), known([2, 1, 0, 0, 1, 2, 2, 1, 0]));
        assert_eq!(places(Fill::Nearest), known([0, 0, 0, 0, 1, 2, 2, 2, 2]));
        assert_eq!(places(Fill::Wrap), known([0, 1, 2, 0, 1, 2, 0, 1, 2]));
        assert_eq!(places(Fill::Constant)[2..7], [None, Some(0), Some(1), Some(2), None]);
    }

    #[test]
    fn offsets_reach_as_far_as_they_may_and_no_further() {
        let op = Translate { reach: [0.25, 0.5], fill: Fill::Reflect, salt: 1, transposed: false };
        let shifts: Vec<[Shift; 2]> = (0..20_000).map(|sample| op.shifts(sample, [8, 10], &[0, 0, 2, 3])).collect();
        for (axis, reach) in [(0, 2 * PARTS), (1, 5 * PARTS)] {
            let offsets: Vec<i32> = shifts.iter().map(|shift| shift[axis].offset).collect();
            let (least, most) = (offsets.iter().min().unwrap(), offsets.iter().max().unwrap());
            assert!(*least >= -reach && *least < 2 - reach && *most <= reach && *most > reach - 2, "{least} {most}");
            let mean = offsets.iter().sum::<i32>() as f64 / 20_000.0;
            // The deviation of a mean of so many is reach / 245.
            assert!(mean.abs() < f64::from(reach) / 50.0, "{mean}");
        }
        let still = Translate { reach: [0.0; 2], ..op };
        assert!(still.shifts(5, [8, 10], &[0, 0, 2, 3]).iter().all(|shift| shift.offset == 0));
    }

    #[test]
    fn images_of_more_pixels_than_a_kernel_loops_over_are_refused() {
        let op = Translate { reach: [0.1; 2], fill: Fill::Wrap, salt: 1, transposed: false };
        let inputs = |height: usize| vec![Type::float([1, height, 1]), Type::u32([clock_op::WORDS])];
        assert!(op.outputs(&inputs(LARGEST)).is_ok());
        let error = op.outputs(&inputs(LARGEST + 1)).unwrap_err().to_string();
        assert!(error.contains("16000 pixels along an axis") && error.contains("16001 x 1"), "{error}");
    }

    /// An offset of one and a half pixels to the right.
    #[test]
    fn values_between_pixels_are_interpolated() {
        let shift = Shift { fill: Fill::Constant, extent: 3, offset: 3 * PARTS / 2 };
        assert_eq!(
            [0, 1, 2].map(|place| shift.terms::<f64>(place, false)),
            [vec![], vec![(0, 0.5)], vec![(0, 0.5), (1, 0.5)]]
        );
        assert_eq!(
            [0, 1, 2].map(|place| shift.terms::<f64>(place, true)),
            [vec![(1, 0.5), (2, 0.5)], vec![(2, 0.5)], vec![]]
        );
    }

    /// What Keras 3.15.1's RandomTranslation gives for one offset: half a pixel down, one and a quarter to the left.
    #[test]
    fn images_are_moved_as_keras_moves_them() {
        let x = [[0.0, 1.0, 2.0, 3.0], [4.0, 8.0, 16.0, 32.0], [5.0, 10.0, 20.0, 40.0]];
        let below = [[5.625, 11.125], [11.25, 22.5]];
        let keras = [
            (Fill::Reflect, [1.25, 2.25, 3.0, 2.75], [[17.5, 15.375], [36.0, 31.5]]),
            (Fill::Nearest, [1.25, 2.25, 3.0, 3.0], [[17.5, 17.5], [36.0, 36.0]]),
            (Fill::Wrap, [6.875, 13.625, 16.75, 3.25], [[13.625, 2.625], [28.125, 5.625]]),
            (Fill::Constant, [0.625, 1.125, 1.125, 0.0], [[13.125, 0.0], [27.0, 0.0]]),
        ];
        for (fill, first, rest) in keras {
            let down = Shift { fill, extent: 3, offset: PARTS / 2 };
            let left = Shift { fill, extent: 4, offset: -5 * PARTS / 4 };
            let across = |r: usize, c: i32| left.terms::<f64>(c, false).iter().map(|(k, w)| w * x[r][*k]).sum::<f64>();
            let at = |r: i32, c: i32| down.terms::<f64>(r, false).iter().map(|(k, w)| w * across(*k, c)).sum::<f64>();
            let row = |r: i32| [0, 1, 2, 3].map(|c| at(r, c));
            let wanted = |r: usize| [below[r][0], below[r][1], rest[r][0], rest[r][1]];
            assert_eq!([row(0), row(1), row(2)], [first, wanted(0), wanted(1)], "{fill:?}");
        }
    }
}

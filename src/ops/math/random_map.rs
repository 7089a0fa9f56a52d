//! Affine maps drawn at random, one a sample, in the whole numbers that [`super::affine`] takes: rotations and zooms about the
//! middle, and shifts by whole pixels. The draws are [`super::philox`]'s, and sines are made of whole numbers, so that all devices have the same maps to the bit.

use super::affine::{LARGEST, NUMBERS, PARTS, UNIT};
use super::case::clock;
use super::cpu::{CpuArgs, CpuOp, Real};
use super::dispatch::{Dispatch, LIB_GRID, Module, Params, Target};
use super::philox::{LIB_PHILOX, word};
use super::{Case, Io, Op, clock as clock_op, expect_inputs};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Type};
use crate::tensor::DType;

const MODULE: Module = Module {
    stem: "random_map",
    source: include_str!("../../../shaders/random_map.wgsl"),
    libs: &[LIB_GRID, LIB_PHILOX],
};

/// Parts of a whole turn.
const TURN: f64 = (1 << 24) as f64;

/// u32 maps (batch, 6), of the clock
#[derive(Clone, Copy, Debug)]
pub struct RandomMap {
    /// How many maps there are.
    pub batch: usize,
    /// What they do.
    pub draw: Draw,
    /// Tells one op of a model from another.
    pub salt: u32,
}

/// What is drawn, evenly between two ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Draw {
    /// A rotation by a share of a whole turn, -1 to 1.
    Rotation([f64; 2]),
    /// What heights and widths are multiplied by to find where a pixel is taken from, 0 to 2. Without the second widths are as heights.
    Zoom([f64; 2], Option<[f64; 2]>),
    /// How many rows and columns further a pixel is taken from: 0 to these, each as likely.
    Shift([usize; 2]),
}

/// Whole numbers from `low` on, one of `range + 1`.
#[derive(Clone, Copy)]
struct Span {
    low: i32,
    range: u32,
}

impl Span {
    fn new(ends: [f64; 2], unit: f64) -> Self {
        let [low, high] = ends.map(|end| (end * unit).round() as i32);
        Self { low, range: (high - low).unsigned_abs() }
    }

    /// Multiply-shift maps 32 random bits to the numbers.
    fn of(self, random: u32) -> i32 {
        let above = (u64::from(random) * (u64::from(self.range) + 1)) >> 32;
        self.low + above as i32
    }
}

impl RandomMap {
    /// The spans of the two numbers that are drawn.
    fn spans(self) -> [Span; 2] {
        match self.draw {
            Draw::Rotation(turns) => [Span::new(turns, TURN); 2],
            Draw::Zoom(height, width) => [height, width.unwrap_or(height)].map(|ends| Span::new(ends, f64::from(UNIT))),
            Draw::Shift(most) => most.map(|most| Span { low: 0, range: most as u32 }),
        }
    }

    /// Whether the second number is the first.
    fn is_same(self) -> bool {
        matches!(self.draw, Draw::Rotation(_) | Draw::Zoom(_, None))
    }

    fn map(self, sample: usize, clock: &[u32]) -> [i32; NUMBERS] {
        let random = |k: usize| word((2 * sample + k) as u32, self.salt, clock);
        let [first, second] = self.spans();
        let number = first.of(random(0));
        let other = if self.is_same() { number } else { second.of(random(1)) };
        match self.draw {
            Draw::Rotation(_) => {
                let [cos, sin] = on_the_circle(number as u32);
                [cos, sin, 0, -sin, cos, 0]
            }
            Draw::Zoom(..) => [number, 0, 0, 0, other, 0],
            Draw::Shift(_) => [UNIT, 0, PARTS * number, 0, UNIT, PARTS * other],
        }
    }
}

/// The terms of sin(t pi/2) / t in powers of -t^2, in parts of 2^-30.
const TERMS: [u32; 6] = [1_686_629_713, 693_598_668, 85_569_306, 5_026_995, 172_272, 3_864];

/// Cosine and sine, in [`UNIT`]s, of an angle in parts of a [`TURN`].
fn on_the_circle(angle: u32) -> [i32; 2] {
    let (quarter, rest) = ((angle >> 22) & 3, angle & 0x3f_ffff);
    // Of a quarter turn in 2^-32; what is nearest to the whole one stands for it.
    let t = [(1 << 22) - rest, rest].map(|part| (u64::from(part) << 10).min(u64::from(u32::MAX)));
    let [cos, sin] = t.map(|t| {
        let high = |a: u64, b: u64| (a * b) >> 32;
        let z = high(t, t);
        let sum = TERMS.iter().rev().fold(0, |sum, &term| u64::from(term) - high(z, sum));
        ((high(t, sum) + (1 << 13)) >> 14) as i32
    });
    match quarter {
        0 => [cos, sin],
        1 => [-sin, cos],
        2 => [-cos, -sin],
        _ => [sin, -cos],
    }
}

impl<T: Real> CpuOp<T> for RandomMap {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let (clock, maps) = (args.u32(0), args.out_u32());
        for (sample, map) in maps.chunks_exact_mut(NUMBERS).enumerate() {
            map.copy_from_slice(&self.map(sample, clock).map(|number| number as u32));
        }
    }
}

impl Op for RandomMap {
    fn name(&self) -> &'static str {
        match self.draw {
            Draw::Rotation(_) => "random_map_rotation",
            Draw::Zoom(..) => "random_map_zoom",
            Draw::Shift(_) => "random_map_shift",
        }
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs(self.name(), inputs, &[DType::U32])?;
        clock_op::check(inputs, 0)?;
        let (ends, within) = match self.draw {
            Draw::Rotation(turns) => (vec![turns], -1.0..=1.0),
            Draw::Zoom(height, width) => ([height].into_iter().chain(width).collect(), 0.0..=2.0),
            Draw::Shift(most) => (most.map(|most| [0.0, most as f64]).to_vec(), 0.0..=LARGEST as f64),
        };
        if let Some(ends) =
            ends.iter().find(|[low, high]| !(within.contains(low) && within.contains(high) && low <= high))
        {
            let message = format!("draws between two numbers of {within:?}, the lower one first; was given {ends:?}");
            return Err(Error::shape(self.name(), message));
        }
        Ok(vec![Type::u32([self.batch, NUMBERS])])
    }

    fn grad(&self, _g: &mut Graph, _x: &[Id], _y: &[Id], _dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        Ok(vec![None])
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let [first, second] = self.spans();
        let word = |number: i32| number as u32 as usize;
        let params = Params::new().u32("n", self.batch).u32("salt", self.salt as usize);
        let params = params.u32("low_0", word(first.low)).u32("low_1", word(second.low));
        let params = params.u32("range_0", first.range as usize).u32("range_1", second.range as usize);
        let entry = match self.draw {
            Draw::Rotation(_) => "rotation",
            Draw::Zoom(..) => "zoom",
            Draw::Shift(_) => "shift",
        };
        vec![Dispatch::over(MODULE, entry, io, params.u32("same", usize::from(self.is_same())), self.batch)]
    }

    fn flops(&self, _io: &Io) -> u64 {
        0
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let draws = [
        ("any angle", Draw::Rotation([-1.0, 1.0])),
        ("a fifth of a turn", Draw::Rotation([-0.2, 0.2])),
        ("no rotation", Draw::Rotation([0.0, 0.0])),
        ("a quarter", Draw::Rotation([0.25, 0.25])),
        ("any zoom", Draw::Zoom([0.0, 2.0], Some([0.5, 1.5]))),
        ("one zoom for both", Draw::Zoom([0.8, 1.2], None)),
        ("any of seven columns", Draw::Shift([0, 6])),
        ("any place", Draw::Shift([300, 1])),
    ];
    let cases = draws.into_iter().zip(770..).flat_map(|((label, draw), seed)| {
        [1, 3, 257].map(|batch| {
            let op = RandomMap { batch, draw, salt: seed };
            Case::new(format!("{label}, {batch}"), op, vec![clock(seed, 2)]).ulps(0.0)
        })
    });
    cases.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sines_are_right_to_the_last_part() {
        for i in 0..=4096u32 {
            let angle = i.wrapping_mul(4099) % (1 << 24);
            let radians = f64::from(angle) / TURN * std::f64::consts::TAU;
            for (found, wanted) in on_the_circle(angle).into_iter().zip([radians.cos(), radians.sin()]) {
                let wanted = wanted * f64::from(UNIT);
                assert!((f64::from(found) - wanted).abs() < 0.502, "{angle}: {found}, expected {wanted}");
            }
        }
        let quarters = [[UNIT, 0], [0, UNIT], [-UNIT, 0], [0, -UNIT]];
        assert_eq!([0, 1, 2, 3].map(|quarter| on_the_circle(quarter << 22)), quarters);
        // Below 0 and beyond a turn.
        assert_eq!([-1i32 << 22, 5 << 22].map(|angle| on_the_circle(angle as u32)), [quarters[3], quarters[1]]);
    }

    fn drawn(draw: Draw) -> Vec<[i32; NUMBERS]> {
        let op = RandomMap { batch: 20_000, draw, salt: 4 };
        (0..op.batch).map(|sample| op.map(sample, &[0, 0, 2, 3])).collect()
    }

    /// As Keras draws them: evenly.
    #[test]
    fn angles_and_factors_are_even_between_their_ends() {
        let even = |numbers: Vec<f64>, ends: [f64; 2]| {
            let [low, high] = ends;
            let share = |number: f64| (number - low) / (high - low);
            assert!(numbers.iter().all(|number| (-1e-4..=1.0001).contains(&share(*number))));
            for quarter in 0..4 {
                let count =
                    numbers.iter().filter(|number| (share(**number) * 4.0).floor() == f64::from(quarter)).count();
                // Of 20,000 a quarter; the standard deviation is 61.
                assert!(count.abs_diff(5000) < 310, "quarter {quarter} of {ends:?}: {count}");
            }
        };
        let maps = drawn(Draw::Rotation([-0.2, 0.3]));
        let angle = |m: &[i32; NUMBERS]| f64::from(m[1]).atan2(f64::from(m[0])) / std::f64::consts::TAU;
        even(maps.iter().map(angle).collect(), [-0.2, 0.3]);
        assert!(maps.iter().all(|m| m[0] == m[4] && m[1] == -m[3] && m[2] == 0 && m[5] == 0));
        let factor = |number: i32| f64::from(number) / f64::from(UNIT);
        let maps = drawn(Draw::Zoom([0.5, 1.0], Some([1.0, 1.75])));
        even(maps.iter().map(|m| factor(m[0])).collect(), [0.5, 1.0]);
        even(maps.iter().map(|m| factor(m[4])).collect(), [1.0, 1.75]);
        let apart = maps.iter().filter(|m| (factor(m[0]) < 0.75) == (factor(m[4]) < 1.375)).count();
        assert!(apart.abs_diff(10_000) < 360, "heights and widths hang together: {apart}");
        assert!(drawn(Draw::Zoom([0.5, 1.5], None)).iter().all(|m| m[0] == m[4]));
        let maps = drawn(Draw::Shift([3, 3]));
        for i in [2, 5] {
            even(maps.iter().map(|m| f64::from(m[i] / PARTS) + 0.5).collect(), [0.0, 4.0]);
        }
        assert!(maps.iter().all(|m| [m[0], m[1], m[3], m[4]] == [UNIT, 0, 0, UNIT]));
        assert!(drawn(Draw::Rotation([0.0, 0.0])).iter().all(|m| *m == [UNIT, 0, 0, 0, UNIT, 0]));
    }

    #[test]
    fn ends_that_are_none_are_refused() {
        let clock = [Type::u32([clock_op::WORDS])];
        for draw in [
            Draw::Rotation([0.5, 0.25]),
            Draw::Rotation([-1.5, 0.0]),
            Draw::Zoom([0.5, 2.5], None),
            Draw::Shift([0, 8_193]),
        ] {
            let refused = RandomMap { batch: 1, draw, salt: 0 }.outputs(&clock).unwrap_err().to_string();
            assert!(refused.contains("the lower one first"), "{refused}");
        }
    }
}

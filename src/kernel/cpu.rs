//! The CPU side of an op: plain loops over slices, generic over f32 (to train) and f64 (to check).

use super::Io;
pub use super::real::Real;
use crate::tensor::{first_of, is_above};
use crate::threads::{self, Chunks, for_each_chunk};

/// What is done to rows of a result while they are in the cache, given the index of their first element.
pub type Finish<'a, T> = &'a (dyn Fn(usize, &mut [T]) + Sync);

/// An input's elements.
#[derive(Clone, Copy, Debug)]
pub enum Slice<'a, T> {
    /// Floats.
    Real(&'a [T]),
    /// Unsigned integers.
    U32(&'a [u32]),
    /// Bytes.
    U8(&'a [u8]),
}

/// An output's elements.
#[derive(Debug)]
pub enum SliceMut<'a, T> {
    /// Floats.
    Real(&'a mut [T]),
    /// Unsigned integers.
    U32(&'a mut [u32]),
}

impl<T> SliceMut<'_, T> {
    /// The elements of a range, and those behind it.
    pub(crate) fn cut(self, range: std::ops::Range<usize>) -> (Self, Self) {
        match self {
            Self::Real(all) => {
                let (one, rest) = all[range.start..].split_at_mut(range.len());
                (Self::Real(one), Self::Real(rest))
            }
            Self::U32(all) => {
                let (one, rest) = all[range.start..].split_at_mut(range.len());
                (Self::U32(one), Self::U32(rest))
            }
        }
    }
}

/// What a CPU op works on.
#[derive(Debug)]
pub struct CpuArgs<'a, T> {
    /// Shapes and types.
    pub io: &'a Io,
    /// The inputs.
    pub inputs: &'a [Slice<'a, T>],
    /// The outputs; an effect's hold what its targets held before.
    pub outputs: &'a mut [SliceMut<'a, T>],
}

impl<'a, T: Real> CpuArgs<'a, T> {
    /// The float input of this index.
    ///
    /// # Panics
    /// Where it is none: the op's shape rule checks the types.
    pub fn real(&self, i: usize) -> &'a [T] {
        match self.inputs[i] {
            Slice::Real(x) => x,
            other => panic!("input {i} is not float: {:?}", std::mem::discriminant(&other)),
        }
    }

    /// The u32 input of this index.
    ///
    /// # Panics
    /// Where it is none: the op's shape rule checks the types.
    pub fn u32(&self, i: usize) -> &'a [u32] {
        match self.inputs[i] {
            Slice::U32(x) => x,
            other => panic!("input {i} is not u32: {:?}", std::mem::discriminant(&other)),
        }
    }

    /// All outputs, where they are N floats.
    ///
    /// # Panics
    /// Where they are not: the op's shape rule makes the types.
    pub fn out<const N: usize>(&mut self) -> [&'a mut [T]; N] {
        let outputs = std::mem::take(&mut self.outputs);
        let count = outputs.len();
        let outputs: &mut [_; N] = outputs.try_into().unwrap_or_else(|_| panic!("{count} outputs, the op writes {N}"));
        outputs.each_mut().map(|output| match output {
            SliceMut::Real(y) => &mut **y,
            SliceMut::U32(_) => panic!("a float output is u32"),
        })
    }

    /// The one output, where it is u32.
    ///
    /// # Panics
    /// Where it is not: the op's shape rule makes the types.
    pub fn out_u32(&mut self) -> &'a mut [u32] {
        match std::mem::take(&mut self.outputs) {
            [SliceMut::U32(y)] => y,
            _ => panic!("the output is not u32"),
        }
    }
}

/// The CPU implementation of an op in one float type.
pub trait CpuOp<T: Real> {
    /// Computes the outputs from the inputs.
    fn cpu(&self, args: CpuArgs<'_, T>);
}

/// Fewer elements than this are not worth a second thread.
const PARALLEL_FROM: usize = 16_384;

/// What an expression gives, compiled for the widest vectors that the processor has. Results do not depend on them: nothing is
/// reordered.
///
/// A macro and no function: only what becomes a part of the function that knows the vectors is compiled for them. The closure does,
/// by its attribute; what it calls must, too, which `#[inline(always)]` says.
#[cfg(target_arch = "x86_64")]
macro_rules! vectorised {
    ($made:expr) => {{
        let once = $crate::kernel::cpu::Once;
        match pulp::Arch::new() {
            pulp::Arch::V4(vectors) => vectors.vectorize(
                #[inline(always)]
                || {
                    let _moved = once;
                    $made
                },
            ),
            pulp::Arch::V3(vectors) => vectors.vectorize(
                #[inline(always)]
                || {
                    let _moved = once;
                    $made
                },
            ),
            _ => $crate::kernel::cpu::as_it_is(|| $made),
        }
    }};
}

/// What a closure moves, so that it can be called once alone. Between a caller that asks for such a one and a closure that could be called
/// again the compiler puts a function, which becomes a part of neither.
#[cfg(target_arch = "x86_64")]
pub(crate) struct Once;

/// What an expression gives: other processors have one kind of vectors, for which everything is compiled.
#[cfg(not(target_arch = "x86_64"))]
macro_rules! vectorised {
    ($made:expr) => {
        $crate::kernel::cpu::as_it_is(|| $made)
    };
}
pub(crate) use vectorised;

/// Calls a closure: where it returns, what called this goes on.
#[inline(always)]
pub(crate) fn as_it_is<R>(f: impl FnOnce() -> R) -> R {
    f()
}

/// Calls `f(row, y_row)` for each row of `width` elements of `y`, in parallel where it pays.
pub fn for_each_row<T: Send>(y: &mut [T], width: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    let width = width.max(1);
    for_each_rows(y, width, |first, y| y.chunks_mut(width).enumerate().for_each(|(r, row)| f(first + r, row)));
}

/// Calls `f(first row, rows)` for pieces of `y` of whole rows of `width` elements, in parallel where it pays.
pub(crate) fn for_each_rows<T: Send>(y: &mut [T], width: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    if y.len() < PARALLEL_FROM {
        return f(0, y);
    }
    let rows = (y.len() / width).div_ceil(threads::count()).max(1);
    for_each_chunk(Chunks(y, rows * width), 1, &|piece, y| f(piece * rows, y));
}

/// [`for_each_row`] where a row is made of many numbers: it pays by `work`, how many they are for all rows.
pub(crate) fn for_each_row_of<T: Send>(
    work: usize,
    y: &mut [T],
    width: usize,
    f: impl Fn(usize, &mut [T]) + Sync + Send,
) {
    let width = width.max(1);
    if work < 8 * PARALLEL_FROM || y.len() <= width {
        return y.chunks_mut(width).enumerate().for_each(|(r, row)| f(r, row));
    }
    let few = (y.len() / width).div_ceil(8 * threads::count()).max(1);
    for_each_chunk(Chunks(y, width), few, &f);
}

/// Calls `f(start, y_piece)` for pieces of `y`, in parallel where it pays; `start` is the piece's first index.
pub fn for_each_piece<T: Send>(y: &mut [T], f: impl Fn(usize, &mut [T]) + Sync) {
    for_each_rows(y, 1, f);
}

/// Where the largest of a row stands, the first of several; where there is a NaN, the first of those.
pub fn first_largest<T: Real>(x: &[T]) -> usize {
    const LANES: usize = 32;
    let (rows, rest) = x.as_chunks::<LANES>();
    if rows.is_empty() {
        return first_of(x, is_above);
    }
    // By lanes, which are vectors; a comparison with a NaN is false.
    let (largest, has_nan) = vectorised!({
        let (mut lanes, mut others) = (rows[0], [false; LANES]);
        for row in rows {
            for i in 0..LANES {
                lanes[i] = if row[i] > lanes[i] { row[i] } else { lanes[i] };
                others[i] |= row[i].is_nan();
            }
        }
        let largest = lanes.into_iter().chain(rest.iter().copied()).fold(lanes[0], |a, b| if b > a { b } else { a });
        (largest, others.contains(&true) || rest.iter().any(|x| x.is_nan()))
    });
    let is_it = |&x: &T| if has_nan { x.is_nan() } else { x == largest };
    x.iter().position(is_it).unwrap_or(0)
}

/// y = f(x) for each element, in parallel where it pays.
pub fn map<T: Real>(x: &[T], y: &mut [T], f: impl Fn(T) -> T + Sync) {
    for_each_piece(y, |start, y| vectorised!(y.iter_mut().zip(&x[start..]).for_each(|(y, &x)| *y = f(x))));
}

/// y = f(a, b) for each element, in parallel where it pays.
pub fn map_pairs<T: Real>(a: &[T], b: &[T], y: &mut [T], f: impl Fn(T, T) -> T + Sync) {
    for_each_piece(y, |start, y| {
        let operands = a[start..].iter().zip(&b[start..]);
        vectorised!(y.iter_mut().zip(operands).for_each(|(y, (&a, &b))| *y = f(a, b)));
    });
}

/// Calls `update(g, [w, ...])` for each element of a gradient and of the N arenas that an optimizer changes with it,
/// and keeps the numbers that it returns.
pub fn for_each_update<T: Real, const N: usize>(
    g: &[T],
    state: [&mut [T]; N],
    update: impl Fn(T, [T; N]) -> [T; N] + Copy + Send + Sync,
) where
    Arity: ArityLoop<T, N>,
{
    let most = g.len().div_ceil(threads::count()).max(PARALLEL_FROM);
    update_pieces(most, Update { g, state, update });
}

/// Runs an update in pieces of at most `most` elements, but for rounding: halves of halves, in parallel.
fn update_pieces<T: Real, F, const N: usize>(most: usize, all: Update<'_, T, F, N>)
where
    F: Fn(T, [T; N]) -> [T; N] + Copy + Send + Sync,
    Arity: ArityLoop<T, N>,
{
    let pieces = all.g.len().div_ceil(most.max(1));
    if pieces < 2 {
        return pulp::Arch::new().dispatch(all);
    }
    let (one, other) = all.split_at(pieces / 2 * most);
    threads::join(|| update_pieces(most, one), || update_pieces(most, other));
}

/// An optimizer's loop over a piece of the arenas. A type and no closure, because only a method can be told to become
/// part of the function that is compiled for wide vectors. The update is copied, numbers and all: what is reached through
/// a reference could change with every number written, and would be read anew each time.
struct Update<'a, T, F, const N: usize> {
    g: &'a [T],
    state: [&'a mut [T]; N],
    update: F,
}

impl<T, F: Copy, const N: usize> Update<'_, T, F, N> {
    /// The first elements, and those from `at` on.
    fn split_at(self, at: usize) -> (Self, Self) {
        let Self { g, state, update } = self;
        let (g, rest) = g.split_at(at);
        let mut tails: [&mut [T]; N] = std::array::from_fn(|_| &mut [][..]);
        let mut tail = tails.iter_mut();
        let state = state.map(|all| {
            let (head, behind) = all.split_at_mut(at);
            *tail.next().expect("one for each") = behind;
            head
        });
        (Self { g, state, update }, Self { g: rest, state: tails, update })
    }
}

impl<T: Real, F: Fn(T, [T; N]) -> [T; N] + Copy, const N: usize> pulp::WithSimd for Update<'_, T, F, N>
where
    Arity: ArityLoop<T, N>,
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        Arity::each(self.g, self.state, self.update);
    }
}

/// The number of arenas that an optimizer changes.
#[derive(Debug)]
pub struct Arity;

/// An optimizer's loop for N arenas. Each number has one of its own: of slices in an array the compiler reads the
/// addresses anew for every element, and makes no vectors of the loop.
pub trait ArityLoop<T, const N: usize> {
    /// Calls `update` for each element and keeps what it returns.
    fn each(g: &[T], state: [&mut [T]; N], update: impl Fn(T, [T; N]) -> [T; N] + Copy);
}

macro_rules! arity {
    ($n:literal: $($s:ident),+) => {
        impl<T: Real> ArityLoop<T, $n> for Arity {
            #[inline(always)]
            fn each(g: &[T], state: [&mut [T]; $n], update: impl Fn(T, [T; $n]) -> [T; $n] + Copy) {
                let [$($s),+] = state;
                // Of one length for the compiler to see: no bounds are checked in the loop.
                let n = g.len();
                $(let $s = &mut $s[..n];)+
                for i in 0..n {
                    [$($s[i]),+] = update(g[i], [$($s[i]),+]);
                }
            }
        }
    };
}
arity!(1: a);
arity!(2: a, b);
arity!(3: a, b, c);
arity!(4: a, b, c, d);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_largest_is_that_of_single_numbers() {
        let odd = [0.0f32, -0.0, 1.0, f32::NEG_INFINITY, f32::INFINITY, f32::NAN];
        for (len, seed) in (1..200).flat_map(|len| (0..9).map(move |seed| (len, seed))) {
            // Of few kinds of numbers, so that there are ties, with a NaN or infinities in every third row each.
            let kinds = [3, 5, 6][seed % 3];
            let x: Vec<f32> = (0..len).map(|i| odd[(i * 7919 + seed * 104_729 + i * i) % 1009 % kinds]).collect();
            assert_eq!(first_largest(&x), first_of(&x, is_above), "{x:?}");
            let ascending: Vec<f64> = (0..len).map(|i| (i % (seed + 40)) as f64).collect();
            assert_eq!(first_largest(&ascending), first_of(&ascending, is_above), "{len} {seed}");
        }
    }

    /// Where it is not, every loop is made of single numbers, and a fused multiply-add is a call.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn loops_take_the_vectors_that_the_processor_has() {
        let has_vectors = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let taken = pulp::Arch::new();
        assert!(!has_vectors || !matches!(taken, pulp::Arch::Scalar), "{taken:?}");
    }
}

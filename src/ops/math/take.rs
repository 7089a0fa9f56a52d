//! Rows of a table by their numbers, as Keras' `ops.take` along axis 0: what an embedding does. (Its name keeps it from
//! [`super::gather`], which has no gradient: it makes batches of the resident data by the session's own order and clock.)
//!
//! A number that is no row gives a row of NaN, as Keras on JAX does: nothing is read there, and the fault shows in the
//! loss. No gradient goes that way.

use std::cell::Cell;

use super::case::{integers, random};
use super::cpu::{CpuArgs, CpuOp, Real, for_each_row, vectorised};
use super::dispatch::{Binding, Dispatch, LIB_GRID, Module, Params, Target};
use super::{Case, Io, Op, expect_inputs, only};
use crate::error::{Error, Result};
#[cfg(feature = "onnx")]
use crate::graph::onnx::Writer;
use crate::graph::{Graph, Id, Type};
use crate::tensor::{DType, Tensor};

const MODULE: Module = Module { stem: "take", source: include_str!("../../../shaders/take.wgsl"), libs: &[LIB_GRID] };
const GRADIENT_MODULE: Module =
    Module { stem: "take_gradient", source: include_str!("../../../shaders/take_gradient.wgsl"), libs: &[LIB_GRID] };
/// BLOCK, WAYS and FEW of take_gradient.wgsl.
const BLOCK: usize = 64;
const WAYS: usize = 4;
const FEW: usize = 256;

/// y, the rows of x by `indices`; inputs x (n, ...) and u32 indices of any shape, which stands before the row's in y's
#[derive(Clone, Copy, Debug)]
pub struct Take;

/// dx (rows, ...) of u32 indices and dy: each row the sum of the dy that it went to, in their order, so that two runs
/// give the same bits. The indices are sorted once, and each run of equal ones is summed by one owner.
#[derive(Clone, Copy, Debug)]
pub struct TakeGrad {
    /// The rows of x.
    pub rows: usize,
}

impl<T: Real> CpuOp<T> for Take {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let width = args.io.inputs[0].shape[1..].iter().product();
        let (x, indices, [y]) = (args.real(0), args.u32(1), args.out());
        for_each_row(y, width, |r, y| match x.chunks(width.max(1)).nth(indices[r] as usize) {
            Some(x) => y.copy_from_slice(x),
            None => y.fill(T::nan()),
        });
    }
}

impl Op for Take {
    fn name(&self) -> &'static str {
        "take"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs("take", inputs, &[DType::F32, DType::U32])?;
        match inputs[0].shape.split_first() {
            Some((1.., row)) => Ok(vec![Type::float([&inputs[1].shape, row].concat())]),
            _ => Err(Error::shape("take", format!("takes one row or more, was given {}", inputs[0]))),
        }
    }

    fn grad(&self, g: &mut Graph, x: &[Id], _y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        let rows = g.shape(x[0])[0];
        Ok(vec![Some(g.apply(TakeGrad { rows }, &[x[1], only(dy)])?), None])
    }

    #[cfg(feature = "onnx")]
    fn onnx(&self, writer: &mut Writer<'_>) -> Result<()> {
        let (inputs, y) = (writer.inputs(), writer.outputs()[0]);
        let names = [writer.plain(inputs[0])?, writer.plain(inputs[1])?];
        let name = writer.add("Gather", &[&names[0], &names[1]], vec![("axis", 0i64.into())]);
        writer.give_plain(y, name);
        Ok(())
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let (x, n) = (&io.inputs[0].shape, io.outputs[0].shape.len());
        let params = Params::new().u32("n", n).u32("rows", x[0]).u32("width", x.len() / x[0]);
        vec![Dispatch::over(MODULE, "forward", io, params.f32("missing", f64::NAN), n)]
    }

    fn flops(&self, _io: &Io) -> u64 {
        0
    }
}

/// Terms of a row that are summed one after the other on the CPU: sums of these are added in turn.
const CPU_BLOCK: usize = 1024;

/// Columns of a row that are summed at once on the CPU.
const CPU_COLUMNS: usize = 64;

thread_local! {
    /// The end of each row's positions, and the positions by row, kept from step to step.
    static SORTED: Cell<[Vec<u32>; 2]> = const { Cell::new([Vec::new(), Vec::new()]) };
}

/// Sorts the positions of indices by these, those of one index by their order, by counting. Of each row `ends` gets where
/// its positions end, which is where those of the next begin. What is no row is left out.
fn sort_by_row(indices: &[u32], rows: usize, ends: &mut Vec<u32>, positions: &mut Vec<u32>) {
    ends.clear();
    ends.resize(rows, 0);
    positions.clear();
    positions.resize(indices.len(), 0);
    for &row in indices {
        if let Some(count) = ends.get_mut(row as usize) {
            *count += 1;
        }
    }
    // From counts to beginnings, each of which then moves to its end.
    let mut before = 0;
    for end in ends.iter_mut() {
        before += std::mem::replace(end, before);
    }
    for (position, &row) in (0..).zip(indices) {
        if let Some(end) = ends.get_mut(row as usize) {
            positions[*end as usize] = position;
            *end += 1;
        }
    }
}

impl<T: Real> CpuOp<T> for TakeGrad {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let (indices, dy, [dx]) = (args.u32(0), args.real(1), args.out());
        let width = (dx.len() / self.rows).max(1);
        // Taken out meanwhile: a core that waits may begin another gradient.
        let mut sorted = SORTED.take();
        let [ends, positions] = &mut sorted;
        sort_by_row(indices, self.rows, ends, positions);
        for_each_row(dx, width, |row, dx| {
            let first = if row == 0 { 0 } else { ends[row - 1] as usize };
            let positions = &positions[first..ends[row] as usize];
            vectorised!(for (i, dx) in dx.chunks_mut(CPU_COLUMNS).enumerate() {
                dx.fill(T::zero());
                for block in positions.chunks(CPU_BLOCK) {
                    let mut sums = [T::zero(); CPU_COLUMNS];
                    for &position in block {
                        let dy = &dy[position as usize * width + i * CPU_COLUMNS..][..dx.len()];
                        sums.iter_mut().zip(dy).for_each(|(sum, &dy)| *sum += dy);
                    }
                    dx.iter_mut().zip(&sums).for_each(|(dx, &sum)| *dx += sum);
                }
            });
        });
        SORTED.set(sorted);
    }
}

impl Op for TakeGrad {
    fn name(&self) -> &'static str {
        "take_grad"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs("take_grad", inputs, &[DType::U32, DType::F32])?;
        match inputs[1].shape.strip_prefix(&*inputs[0].shape) {
            Some(row) if self.rows > 0 => Ok(vec![Type::float([&[self.rows], row].concat())]),
            _ => Err(Error::shape("take_grad", format!("dy {} is no row for each of {}", inputs[1], inputs[0]))),
        }
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        Gradient::new(self.rows, io).launches()
    }

    fn flops(&self, io: &Io) -> u64 {
        io.inputs[1].shape.len() as u64
    }
}

/// The launches of the gradient, and where in their scratch they read and write: see take_gradient.wgsl.
struct Gradient<'a> {
    io: &'a Io,
    rows: usize,
    count: usize,
    width: usize,
    /// How many sums each level has: blocks of [`BLOCK`] pairs, and of as many of the level before.
    levels: Vec<usize>,
}

/// A launch's fields of the uniform, where it has them.
#[derive(Default)]
struct Fields {
    read: usize,
    write: usize,
    run: usize,
    sums: usize,
    levels: usize,
}

impl<'a> Gradient<'a> {
    fn new(rows: usize, io: &'a Io) -> Self {
        let (count, width) = (io.inputs[0].shape.len(), io.outputs[0].shape.len() / rows);
        let mut levels = Vec::new();
        let mut items = count;
        while items > FEW {
            items /= BLOCK;
            levels.push(items);
        }
        Self { io, rows, count, width, levels }
    }

    /// Where the rows' first pairs are kept, behind two copies of the pairs.
    fn starts(&self) -> usize {
        4 * self.count
    }

    /// Where the sums of a level begin.
    fn sums(&self, level: usize) -> usize {
        self.starts() + self.rows + 1 + self.width * self.levels[..level].iter().sum::<usize>()
    }

    fn launch(&self, entry: &'static str, n: usize, others: &[Binding], fields: &Fields) -> Dispatch {
        let Fields { read, write, run, sums, levels } = *fields;
        let params = Params::new().u32("n", n).u32("count", self.count).u32("rows", self.rows);
        let params = params.u32("width", self.width).u32("read", read).u32("write", write).u32("run", run);
        let params = params.u32("sums", sums).u32("levels", levels);
        let scratch = Binding::Scratch(self.sums(self.levels.len()));
        let bindings = [&[scratch, Binding::Params], others].concat();
        Dispatch { bindings, ..Dispatch::over(GRADIENT_MODULE, entry, self.io, params, n) }
    }

    fn launches(&self) -> Vec<Dispatch> {
        let (indices, dy, dx) = (Binding::Input(0), Binding::Input(1), Binding::Output(0));
        let mut launches = vec![self.launch("sort_blocks", self.count, &[indices], &Fields::default())];
        // From one copy of the pairs to the other.
        let (mut read, mut write, mut run) = (0, 2 * self.count, BLOCK);
        while run < self.count {
            launches.push(self.launch("merge", self.count, &[], &Fields { read, write, run, ..Fields::default() }));
            (read, write, run) = (write, read, WAYS * run);
        }
        let write = self.starts();
        launches.push(self.launch("find_rows", self.rows + 1, &[], &Fields { read, write, ..Fields::default() }));
        for (level, &blocks) in self.levels.iter().enumerate() {
            let fields = Fields {
                read,
                write: self.sums(level),
                run: BLOCK.pow(level as u32 + 1),
                sums: self.sums(level.saturating_sub(1)),
                levels: level + 1,
            };
            launches.push(self.launch("add_blocks", blocks * self.width, &[dy], &fields));
        }
        let fields = Fields { read, write, sums: self.sums(0), levels: self.levels.len(), ..Fields::default() };
        launches.push(self.launch("gradient", self.rows * self.width, &[dy, dx], &fields));
        launches
    }
}

/// Many indices and few, many rows and few: runs of one and of all, and what is no row between them.
fn gradient_cases() -> Vec<Case> {
    let of = |label: &str, rows: usize, width: usize, index: &dyn Fn(usize) -> u32, count: usize| {
        let indices = Tensor::new([count], (0..count).map(index).collect::<Vec<_>>()).expect("one a place");
        let (dy, longest) = (random([count, width], 392), longest_run(&indices, rows));
        Case::new(label, TakeGrad { rows }, vec![indices, dy]).sums(longest)
    };
    let spread = |i: usize| (i as u32).wrapping_mul(2_654_435_761);
    vec![
        of("70,000 equal indices", 3, 2, &|_| 1, 70_000),
        of("200,000 equal indices", 2, 1, &|_| 1, 200_000),
        of("70,000 distinct indices", 70_000, 2, &|i| (69_999 - i) as u32, 70_000),
        of("200,000 indices of 200,000 rows", 200_000, 1, &|i| spread(i) % 200_000, 200_000),
        of("70,000 indices of 7 rows, one of them none", 6, 3, &|i| spread(i) % 7, 70_000),
        of("runs that begin and end within blocks", 5, 1, &|i| [4, 0, 3, u32::MAX][(i / 4_111) % 4], 20_000),
        of("200,000 rows of 300 indices", 200_000, 1, &|i| spread(i) % 200_000, 300),
        of("65 indices, the last no row", 65, 5, &|i| i as u32 + 1, 65),
    ]
}

/// The largest number of indices that are one row.
fn longest_run(indices: &Tensor, rows: usize) -> usize {
    let mut counts = vec![0; rows];
    for index in indices.values().to_f64() {
        if let Some(count) = counts.get_mut(index as usize) {
            *count += 1;
        }
    }
    counts.into_iter().max().unwrap_or(0)
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, (label, x, indices)) in [
        ("one of one number", vec![1], vec![1]),
        ("a scalar index into (5, 3)", vec![5, 3], vec![]),
        ("(2, 3) of (7, 2, 3)", vec![7, 2, 3], vec![2, 3]),
        ("(257,) of (10, 5), many of them the same", vec![10, 5], vec![257]),
    ]
    .into_iter()
    .enumerate()
    {
        let (seed, rows) = (370 + 3 * i as u64, x[0]);
        let dy = random([&indices[..], &x[1..]].concat(), seed + 2);
        let terms = indices.iter().product();
        let (x, indices) = (random(x, seed), integers(indices, rows as u32, DType::U32, seed + 1));
        cases.push(Case::new(label, Take, vec![x, indices.clone()]).wrt(&[0]).ulps(0.0));
        cases.push(Case::new(label, TakeGrad { rows }, vec![indices, dy]).sums(terms));
    }
    let outside = Tensor::new([4], vec![3u32, 2, u32::MAX, 0]).expect("four");
    let label = "indices that are no row";
    cases.push(Case::new(label, Take, vec![random([3, 2], 390), outside.clone()]).ulps(0.0));
    cases.push(Case::new(label, TakeGrad { rows: 3 }, vec![outside, random([4, 2], 391)]).ulps(0.0));
    cases.extend(gradient_cases());
    cases
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::AdapterKind;

    fn launches(count: usize, rows: usize, width: usize) -> Vec<Dispatch> {
        let inputs = vec![Type::u32([count]), Type::float([count, width])];
        let io = Io { inputs, outputs: vec![Type::float([rows, width])] };
        TakeGrad { rows }.gpu(&io, &Target::new(AdapterKind::Software))
    }

    #[test]
    fn what_the_gradient_costs_grows_with_indices_and_rows_not_with_their_product() {
        let invocations = |count: usize, rows: usize, width: usize| -> usize {
            launches(count, rows, width).iter().map(|launch| launch.params.fields()[0].1 as usize).sum()
        };
        // Words of a vocabulary: one invocation for each pair at each of five launches, for each row, sum and element.
        let (words, vocabulary, width) = (10_240, 10_000, 64);
        let elements = vocabulary * width;
        assert!(invocations(words, vocabulary, width) <= 5 * words + vocabulary + 1 + words * width / 63 + elements);
        assert_eq!(launches(1 << 24, 10, 1).len(), 1 + 9 + 1 + 3 + 1);
    }

    /// The loops of take_gradient.wgsl end by its constants alone: BLOCK, WAYS searches of 32 steps, three times FEW a level.
    #[test]
    fn levels_leave_few_sums_to_the_owner_of_a_row() {
        for (count, levels) in
            [(1, 0), (256, 0), (257, 1), (16_447, 1), (16_448, 2), (70_000, 2), (200_000, 2), (1 << 28, 4)]
        {
            let gradient = launches(count, 3, 1).pop().expect("the last");
            assert_eq!(gradient.params.fields().last(), Some(&("levels", levels)), "{count}");
        }
    }

    #[test]
    fn positions_are_sorted_by_row_and_keep_their_order() {
        let (mut ends, mut positions) = (Vec::new(), Vec::new());
        sort_by_row(&[2, 0, 7, 2, 1, 0, u32::MAX], 4, &mut ends, &mut positions);
        assert_eq!((ends.as_slice(), &positions[..5]), (&[2, 3, 5, 5][..], &[1, 5, 4, 0, 3][..]));
    }
}

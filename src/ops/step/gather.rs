//! Takes a batch from the resident data set: `y[i] = scale * data[order[first + i]]`, where `first` is the clock's
//! count of rows already taken, for one column of the set or for two (samples and targets) at once. Pixels become floats
//! here; labels stay integers. What is no row of the data is NaN, and as a label [`u32::MAX`], which is no class.

use super::case::{clock, integers, random};
use super::cpu::{CpuArgs, CpuOp, Real, Slice, SliceMut, for_each_row, vectorised};
use super::dispatch::{Binding, Dispatch, LIB_GRID, Module, Params, Target};
use super::{Case, Io, Op, clock as clock_op};
use crate::error::{Error, Result};
use crate::graph::Type;
use crate::tensor::{DType, Tensor};

const MODULE: Module =
    Module { stem: "gather", source: include_str!("../../../shaders/gather.wgsl"), libs: &[LIB_GRID] };

/// A batch of rows of each column; inputs: the columns (N, ...), u32 row numbers, the clock.
#[derive(Clone, Debug)]
pub struct Gather {
    /// Rows to take.
    pub batch: usize,
    /// What each column's bytes and floats are multiplied by; ignored for u32.
    pub scales: Vec<f64>,
}

/// The batch of one column: its rows, those of `order` from `first` on.
fn take<T: Real>(data: Slice<'_, T>, y: &mut SliceMut<'_, T>, width: usize, (order, first): (&[u32], usize), scale: T) {
    let row = |r: usize| {
        let row = order.get(first + r).map_or(usize::MAX, |&row| row as usize * width);
        row..row.saturating_add(width)
    };
    match (data, y) {
        (Slice::U32(data), SliceMut::U32(y)) => {
            y.chunks_mut(width.max(1)).enumerate().for_each(|(r, y)| match data.get(row(r)) {
                Some(x) => y.copy_from_slice(x),
                None => y.fill(u32::MAX),
            });
        }
        (Slice::U8(data), SliceMut::Real(y)) => for_each_row(y, width, |r, y| match data.get(row(r)) {
            Some(x) => vectorised!(y.iter_mut().zip(x).for_each(|(y, &x)| *y = T::of_u8(x) * scale)),
            None => y.fill(T::nan()),
        }),
        (Slice::Real(data), SliceMut::Real(y)) => for_each_row(y, width, |r, y| match data.get(row(r)) {
            Some(x) => vectorised!(y.iter_mut().zip(x).for_each(|(y, &x)| *y = x * scale)),
            None => y.fill(T::nan()),
        }),
        _ => unreachable!("the shape rule makes u32 of u32, floats of everything else"),
    }
}

impl<T: Real> CpuOp<T> for Gather {
    fn cpu(&self, args: CpuArgs<'_, T>) {
        let columns = self.scales.len();
        let first = args.u32(columns + 1)[1] as usize;
        let order = (args.u32(columns), first);
        for (i, (y, &scale)) in args.outputs.iter_mut().zip(&self.scales).enumerate() {
            let width = args.io.outputs[i].shape.len() / self.batch;
            take(args.inputs[i], y, width, order, T::of(scale));
        }
    }
}

impl Op for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        let columns = self.scales.len();
        if !(1..=2).contains(&columns) || inputs.len() != columns + 2 {
            let message = format!("takes one or two columns, order and clock, was given {} inputs", inputs.len());
            return Err(Error::shape("gather", message));
        }
        let order = &inputs[columns];
        clock_op::check(inputs, columns + 1)?;
        if self.batch == 0 || order.dtype != DType::U32 || order.shape.rank() != 1 || order.shape.len() < self.batch {
            let message = format!("expected u32 row numbers for a batch of {}, was given {order}", self.batch);
            return Err(Error::shape("gather", message));
        }
        let batch = |data: &Type| {
            let Some((1.., row)) = data.shape.split_first() else {
                return Err(Error::shape("gather", format!("expected rows of data, was given {data}")));
            };
            let dtype = if data.dtype == DType::U32 { DType::U32 } else { DType::F32 };
            Ok(Type { shape: [&[self.batch], row].concat().into(), dtype })
        };
        let batches = inputs[..columns].iter().map(batch).collect::<Result<Vec<_>>>()?;
        let [first, last] = [&inputs[0], &inputs[columns - 1]];
        if first.shape[0] != last.shape[0] {
            return Err(Error::shape("gather", format!("the columns {first} and {last} have different rows")));
        }
        Ok(batches)
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let columns = self.scales.len();
        let mut params = Params::new().u32("batch", self.batch).u32("rows", io.inputs[0].shape[0]);
        params = params.u32("entries", io.inputs[columns].shape.len()).f32("missing", f64::NAN);
        let (mut constants, mut invocations) = (Vec::new(), 0);
        let names = [("KIND_0", "width_0", "words_0", "scale_0"), ("KIND_1", "width_1", "words_1", "scale_1")];
        for (i, (kind_of, width_of, words_of, scale_of)) in names.into_iter().enumerate() {
            // Of a second column that there is not, nothing is made.
            let Some(&scale) = self.scales.get(i) else {
                params = params.u32(width_of, 0).u32(words_of, 0).f32(scale_of, 0.0);
                continue;
            };
            let width = io.outputs[i].shape.len() / self.batch;
            // A row of bytes is padded to whole words, so an invocation unpacks one word; of the others it takes one
            // element.
            let (kind, words) = match io.inputs[i].dtype {
                DType::U8 => (0.0, width.div_ceil(4)),
                DType::U32 => (1.0, width),
                _ => (2.0, width),
            };
            params = params.u32(width_of, width).u32(words_of, words).f32(scale_of, scale);
            constants.push((kind_of, kind));
            invocations += self.batch * words;
        }
        let mut bindings = vec![
            Binding::Input(0),
            Binding::Input(columns),
            Binding::Input(columns + 1),
            Binding::Output(0),
            Binding::Params,
        ];
        if columns == 2 {
            bindings.extend([Binding::Input(1), Binding::Output(1)]);
        }
        let row = io.outputs[0].shape.len() / self.batch;
        let entry = match (columns, io.inputs[0].dtype == DType::U8 && row.is_multiple_of(4)) {
            (1, false) => "one",
            (1, true) => "one_vec4",
            (_, false) => "two",
            (_, true) => "two_vec4",
        };
        vec![Dispatch { bindings, constants, ..Dispatch::over(MODULE, entry, io, params, invocations) }]
    }

    fn flops(&self, _io: &Io) -> u64 {
        0
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let order = Tensor::new([9], vec![4u32, 0, 6, 2, 5, 1, 3, 6, 0]).expect("nine");
    let case = |label: &str, columns: Vec<Tensor>, batch, first| {
        let op = Gather { batch, scales: [1.0 / 255.0, 3.0][..columns.len()].to_vec() };
        Case::new(label, op, [columns, vec![order.clone(), clock(3, first)]].concat())
    };
    let bytes = |width| integers([7, width], 256, DType::U8, 90 + width as u64);
    let labels = || integers([7], 10, DType::U32, 92);
    let mut cases: Vec<Case> =
        [1, 3, 4, 5, 784].map(|width| case(&format!("rows of {width} bytes"), vec![bytes(width)], 5, 3)).into();
    cases.push(case("the last row of bytes", vec![integers([7, 2, 3], 256, DType::U8, 91)], 1, 8));
    cases.push(case("labels", vec![labels()], 6, 2).ulps(0.0));
    cases.push(case("floats of (7, 3, 5)", vec![random([7, 3, 5], 93)], 4, 0));
    cases.push(case("bytes and labels", vec![bytes(5), labels()], 5, 3));
    cases.push(case("bytes and bytes", vec![bytes(784), bytes(3)], 5, 4));
    cases.push(case("floats and floats", vec![random([7, 2], 94), random([7, 3], 95)], 9, 0));
    cases.push(case("labels and bytes", vec![labels(), bytes(4)], 4, 5));
    for (label, columns, first) in [
        ("rows of 8 bytes, some that there are not", vec![bytes(8)], 4),
        ("labels and bytes, some that there are not", vec![labels(), bytes(5)], 0),
        ("floats and labels, some that there are not", vec![random([7, 3], 96), labels()], 6),
    ] {
        // The clock's rows may come to the end of the order, too.
        let order = Tensor::new([8], vec![4u32, 7, 6, u32::MAX, 5, 1, 1 << 30, 0]).expect("eight");
        let op = Gather { batch: 5, scales: vec![0.5; columns.len()] };
        cases.push(Case::new(label, op, [columns, vec![order, clock(3, first)]].concat()));
    }
    cases
}

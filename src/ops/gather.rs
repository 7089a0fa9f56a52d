//! Takes a batch from the resident data set: `y[i] = scale * data[order[first + i]]`, where `first` is the clock's
//! count of rows already taken, for one column of the set or for two (samples and targets) at once. Pixels become floats
//! here; labels stay integers.

use super::case::{clock, integers, random};
use super::cpu::{CpuArgs, CpuOp, Real, Slice, SliceMut, for_each_row};
use super::dispatch::{Binding, Dispatch, LIB_GRID, Module, Params, Target};
use super::{Case, Io, Op, clock as clock_op};
use crate::error::{Error, Result};
use crate::graph::Type;
use crate::tensor::{DType, Tensor};

const MODULE: Module = Module { stem: "gather", source: include_str!("../../shaders/gather.wgsl"), libs: &[LIB_GRID] };

/// A batch of rows of each column; inputs: the columns (N, ...), u32 row numbers, the clock.
#[derive(Clone, Debug)]
pub struct Gather {
    /// Rows to take.
    pub batch: usize,
    /// What each column's bytes and floats are multiplied by; ignored for u32.
    pub scales: Vec<f64>,
}

/// The batch of one column.
fn take<T: Real>(data: Slice<'_, T>, y: &mut SliceMut<'_, T>, order: &[u32], scale: T) {
    let width = match y {
        SliceMut::Real(y) => y.len() / order.len(),
        SliceMut::U32(y) => y.len() / order.len(),
    };
    let row = |r: usize| order[r] as usize * width..(order[r] as usize + 1) * width;
    match (data, y) {
        (Slice::U32(data), SliceMut::U32(y)) => {
            y.chunks_mut(width.max(1)).enumerate().for_each(|(r, y)| y.copy_from_slice(&data[row(r)]));
        }
        (Slice::U8(data), SliceMut::Real(y)) => for_each_row(y, width, |r, y| {
            y.iter_mut().zip(&data[row(r)]).for_each(|(y, &x)| *y = T::of_u8(x) * scale);
        }),
        (Slice::Real(data), SliceMut::Real(y)) => {
            for_each_row(y, width, |r, y| y.iter_mut().zip(&data[row(r)]).for_each(|(y, &x)| *y = x * scale));
        }
        _ => unreachable!("the shape rule makes u32 of u32, floats of everything else"),
    }
}

impl<T: Real> CpuOp<T> for Gather {
    fn cpu(&self, args: CpuArgs<'_, T>) {
        let columns = self.scales.len();
        let first = args.u32(columns + 1)[1] as usize;
        let order = &args.u32(columns)[first..first + self.batch];
        for ((&data, y), &scale) in args.inputs.iter().zip(args.outputs).zip(&self.scales) {
            take(data, y, order, T::of(scale));
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
        inputs[..columns].iter().map(batch).collect()
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let columns = self.scales.len();
        let mut params = Params::new().u32("batch", self.batch);
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

pub(super) fn cases() -> Vec<Case> {
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
    cases
}

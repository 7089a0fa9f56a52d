//! Takes a batch from the resident data set: `y[i] = scale * data[order[first + i]]`, where `first` is the clock's
//! count of rows already taken. Pixels become floats here; labels stay integers.

use super::case::{clock, integers, random};
use super::cpu::{CpuArgs, CpuOp, Real, Slice, for_each_row};
use super::dispatch::{Dispatch, LIB_GRID, Module, Params, Target};
use super::{Case, Io, Op, clock as clock_op};
use crate::error::{Error, Result};
use crate::graph::Type;
use crate::tensor::{DType, Tensor};

const MODULE: Module = Module { stem: "gather", source: include_str!("../../shaders/gather.wgsl"), libs: &[LIB_GRID] };

/// A batch of rows; inputs: the data (N, ...), u32 row numbers, the clock. Floats and bytes are scaled to floats.
#[derive(Clone, Copy, Debug)]
pub struct Gather {
    /// Rows to take.
    pub batch: usize,
    /// The factor; ignored for u32.
    pub scale: f64,
}

impl<T: Real> CpuOp<T> for Gather {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let (order, first) = (args.u32(1), args.u32(2)[1] as usize);
        let order = &order[first..first + self.batch];
        let width = args.io.outputs[0].shape.len() / self.batch;
        let row = |r: usize| order[r] as usize * width..(order[r] as usize + 1) * width;
        let scale = T::of(self.scale);
        match args.inputs[0] {
            Slice::U32(data) => {
                let y = args.out_u32();
                y.chunks_mut(width).enumerate().for_each(|(r, y)| y.copy_from_slice(&data[row(r)]));
            }
            Slice::U8(data) => {
                let [y] = args.out();
                for_each_row(y, width, |r, y| {
                    y.iter_mut().zip(&data[row(r)]).for_each(|(y, &x)| *y = T::of_u8(x) * scale);
                });
            }
            Slice::Real(data) => {
                let [y] = args.out();
                for_each_row(y, width, |r, y| y.iter_mut().zip(&data[row(r)]).for_each(|(y, &x)| *y = x * scale));
            }
        }
    }
}

impl Op for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        let [data, order, _] = inputs else {
            return Err(Error::shape("gather", format!("takes data, order and clock, was given {}", inputs.len())));
        };
        clock_op::check(inputs, 2)?;
        if order.dtype != DType::U32 || order.shape.rank() != 1 || order.shape.len() < self.batch {
            let message = format!("expected u32 row numbers for a batch of {}, was given {order}", self.batch);
            return Err(Error::shape("gather", message));
        }
        let Some((_, row)) = data.shape.split_first() else {
            return Err(Error::shape("gather", format!("expected rows of data, was given {data}")));
        };
        let dtype = if data.dtype == DType::U32 { DType::U32 } else { DType::F32 };
        Ok(vec![Type { shape: [&[self.batch], row].concat().into(), dtype }])
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let width = io.outputs[0].shape.len() / self.batch;
        // A row of bytes is padded to whole words, so an invocation unpacks one word; of the others it takes one element.
        let (entry, words) = match io.inputs[0].dtype {
            DType::U8 => ("bytes", width.div_ceil(4)),
            DType::U32 => ("integers", width),
            _ => ("floats", width),
        };
        let params = Params::new().u32("batch", self.batch).u32("width", width).u32("words", words);
        vec![Dispatch::over(MODULE, entry, io, params.f32("scale", self.scale), self.batch * words)]
    }

    fn flops(&self, _io: &Io) -> u64 {
        0
    }
}

pub(super) fn cases() -> Vec<Case> {
    let order = Tensor::new([9], vec![4u32, 0, 6, 2, 5, 1, 3, 6, 0]).expect("nine");
    let case = |label: &str, data: Tensor, batch, first| {
        let op = Gather { batch, scale: 1.0 / 255.0 };
        Case::new(label, op, vec![data, order.clone(), clock(3, first)])
    };
    let mut cases: Vec<Case> = [1, 3, 4, 5, 784]
        .map(|width| {
            let data = integers([7, width], 256, DType::U8, 90 + width as u64);
            case(&format!("rows of {width} bytes"), data, 5, 3)
        })
        .into();
    cases.push(case("the last row of bytes", integers([7, 2, 3], 256, DType::U8, 91), 1, 8));
    cases.push(case("labels", integers([7], 10, DType::U32, 92), 6, 2).ulps(0.0));
    cases.push(case("floats of (7, 3, 5)", random([7, 3, 5], 93), 4, 0));
    cases
}

//! Integer labels as rows of `classes` numbers: 1 where the label says, 0 elsewhere. A label that is no class gives a row
//! of zeros, as Keras' `ops.one_hot` does.

use super::case::integers;
use super::cpu::{CpuArgs, CpuOp, Real, for_each_row};
use super::dispatch::{Dispatch, LIB_GRID, Module, Params, Target};
use super::{Case, Io, Op, expect_inputs};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Type};
use crate::tensor::{DType, Tensor};

const MODULE: Module =
    Module { stem: "one_hot", source: include_str!("../../../shaders/one_hot.wgsl"), libs: &[LIB_GRID] };

/// y (..., classes) of u32 labels (...)
#[derive(Clone, Copy, Debug)]
pub struct OneHot {
    /// The numbers of a row, 1 or more.
    pub classes: usize,
}

impl<T: Real> CpuOp<T> for OneHot {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let (labels, [y]) = (args.u32(0), args.out());
        for_each_row(y, self.classes, |row, y| {
            y.fill(T::zero());
            if let Some(hit) = y.get_mut(labels[row] as usize) {
                *hit = T::one();
            }
        });
    }
}

impl Op for OneHot {
    fn name(&self) -> &'static str {
        "one_hot"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs("one_hot", inputs, &[DType::U32])?;
        if self.classes == 0 {
            return Err(Error::shape("one_hot", "classes is 0, expected 1 or more"));
        }
        Ok(vec![Type::float([&inputs[0].shape[..], &[self.classes]].concat())])
    }

    fn grad(&self, _g: &mut Graph, _x: &[Id], _y: &[Id], _dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        Ok(vec![None])
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let n = io.outputs[0].shape.len();
        vec![Dispatch::over(MODULE, "one_hot", io, Params::new().u32("n", n).u32("classes", self.classes), n)]
    }

    fn flops(&self, _io: &Io) -> u64 {
        0
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let case = |label: &str, classes, labels| Case::new(label, OneHot { classes }, vec![labels]).ulps(0.0);
    let outside = Tensor::new([4], vec![3u32, 2, u32::MAX, 0]).expect("four");
    vec![
        case("one of one", 1, integers([1], 1, DType::U32, 360)),
        case("a scalar", 3, integers([], 3, DType::U32, 361)),
        case("(5, 3) of 17", 17, integers([5, 3], 17, DType::U32, 362)),
        case("labels that are no class", 3, outside),
    ]
}

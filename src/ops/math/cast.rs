//! The elements in another type: whole numbers as floats, and floats as whole numbers, which lose their fraction; below 0 and NaN
//! become 0, what is beyond u32 its largest.

use super::case::{integers, random};
use super::cpu::{CpuArgs, CpuOp, Real, for_each_piece, vectorised};
use super::dispatch::{Dispatch, LIB_GRID, LIB_NAN, Module, Params, Target};
use super::{Case, Io, Op, expect_inputs};
use crate::error::Result;
#[cfg(feature = "onnx")]
use crate::graph::onnx::{FLOAT, INT64, Writer};
use crate::graph::{Graph, Id, Type};
use crate::tensor::{DType, Tensor};

const MODULE: Module =
    Module { stem: "cast", source: include_str!("../../../shaders/cast.wgsl"), libs: &[LIB_GRID, LIB_NAN] };

/// y, the elements of x in the other type that graphs have
///
/// ```
/// use kiln::graph::Aggregation;
/// use kiln::ops::binary::Binary;
/// use kiln::ops::cast::Cast;
/// use kiln::prelude::*;
/// // How far a number is from an integer label.
/// let off = Metric::custom("off", |g, predicted, labels| {
///     let wanted = g.apply(Cast::ToFloat, &[labels])?;
///     let found = g.reduce(Aggregation::Max, predicted, Some(&[-1]), false)?;
///     g.apply(Binary::Sub, &[found, wanted])
/// });
/// let mut model = Sequential::new().add(Activation::Linear).device(Device::cpu());
/// model.compile("sgd", Loss::SparseCategoricalCrossentropyFromLogits, [off])?;
/// let data = Dataset::new(Tensor::from([[3.0f32, 1.0], [0.0, 2.0]]), Tensor::from([1u32, 0]))?;
/// assert_eq!(model.evaluate(&data)?.get("off"), Some(2.0));
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cast {
    /// u32 as floats; from 2^24 on the nearest that there is in f32.
    ToFloat,
    /// Floats as u32, towards 0; below 0 and NaN are 0, from 2^32 on it is the largest.
    ToU32,
}

impl<T: Real> CpuOp<T> for Cast {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        match self {
            Self::ToFloat => {
                let (x, [y]) = (args.u32(0), args.out());
                for_each_piece(y, |start, y| {
                    vectorised!(y.iter_mut().zip(&x[start..]).for_each(|(y, &x)| *y = T::of(f64::from(x))));
                });
            }
            Self::ToU32 => {
                let (x, y) = (args.real(0), args.out_u32());
                for_each_piece(y, |start, y| {
                    vectorised!(y.iter_mut().zip(&x[start..]).for_each(|(y, &x)| *y = x.f64() as u32));
                });
            }
        }
    }
}

impl Op for Cast {
    fn name(&self) -> &'static str {
        match self {
            Self::ToFloat => "to_float",
            Self::ToU32 => "to_u32",
        }
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        let [from, to] = match self {
            Self::ToFloat => [DType::U32, DType::F32],
            Self::ToU32 => [DType::F32, DType::U32],
        };
        expect_inputs(self.name(), inputs, &[from])?;
        Ok(vec![Type { shape: inputs[0].shape.clone(), dtype: to }])
    }

    /// Whole numbers have none.
    fn grad(&self, _g: &mut Graph, _x: &[Id], _y: &[Id], _dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        Ok(vec![None])
    }

    #[cfg(feature = "onnx")]
    fn onnx(&self, writer: &mut Writer<'_>) -> Result<()> {
        let to = match self {
            Self::ToFloat => FLOAT,
            Self::ToU32 => INT64,
        };
        writer.follow("Cast", vec![("to", to.into())])
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let n = io.outputs[0].shape.len();
        vec![Dispatch::over(MODULE, self.name(), io, Params::new().u32("n", n), n)]
    }

    fn flops(&self, _io: &Io) -> u64 {
        0
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let edges = vec![0.0, -0.0, 0.99, 1.0, -1.5, 4_294_967_040.0, 4.3e9, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
    let edges = Tensor::new([edges.len()], edges).expect("as many");
    let large = Tensor::new([4], vec![u32::MAX, 1 << 31, (1 << 24) + 1, 16_777_219]).expect("four");
    let case = |label: &str, op, x| Case::new(label, op, vec![x]).ulps(0.0);
    vec![
        case("a scalar", Cast::ToFloat, integers([], 9, DType::U32, 370)),
        case("(300, 7)", Cast::ToFloat, integers([300, 7], 1 << 24, DType::U32, 371)),
        case("beyond 2^24", Cast::ToFloat, large).ulps(1.0),
        case("(300, 7)", Cast::ToU32, random([300, 7], 372)),
        case("fractions, ends and NaN", Cast::ToU32, edges),
    ]
}

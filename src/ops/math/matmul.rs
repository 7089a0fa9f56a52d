//! The matrix product, either side transposed, with an epilogue: `y = f(a b + bias)`, `y = f((a b + bias) scale + shift)`, or
//! `y = (a b) * f'(h)`.
//!
//! Operands of more than two axes count as rows of their last axis, or, stacked, as matrices of their last two, each times
//! its like. A plain matrix on the right of a stack is the former. What follows goes into the epilogue: see [`Op::absorb`].

mod cases;

use std::sync::Arc;

use super::cpu::{CpuArgs, CpuOp, Real, for_each_row};
use super::dispatch::{Dispatch, Params, Target};
use super::epilogue::Epilogue;
use super::launches::Launches;
use super::product::Product;
use super::{Case, Io, Op, expect_inputs, only};
use crate::error::{Error, Result};
#[cfg(feature = "onnx")]
use crate::graph::onnx::Writer;
use crate::graph::{Graph, Id, Type};
use crate::tensor::{DType, Shape};

pub use crate::kernel::matmul::{Form, Kernel, Problem};
pub(crate) use cases::cases;
pub use cases::{case_of, case_of_problem, epilogues};

/// y (M, N) = op(a) op(b); op(a) is (M, K), op(b) is (K, N). Stacked, all three have the same axes before these.
#[derive(Clone, Copy, Debug)]
pub struct MatMul {
    /// Whether a is stored (K, M).
    pub trans_a: bool,
    /// Whether b is stored (N, K).
    pub trans_b: bool,
    /// Whether the operands are stacks of matrices: one product for each matrix of a and that of b in its place.
    pub stacked: bool,
    /// What is done to each element of the product.
    pub epilogue: Epilogue,
}

impl MatMul {
    /// The bare product; `true` for an operand that is stored transposed.
    pub fn new(trans_a: bool, trans_b: bool) -> Self {
        Self { trans_a, trans_b, stacked: false, epilogue: Epilogue::None }
    }

    /// The products of two stacks of matrices, (..., M, K) and (..., K, N), or those stored transposed.
    pub fn stacked(trans_a: bool, trans_b: bool) -> Self {
        Self { stacked: true, ..Self::new(trans_a, trans_b) }
    }

    /// Rows and columns of an operand's matrices as they are stored.
    fn matrix(&self, shape: &Shape) -> (usize, usize) {
        let (rows, columns) = shape.as_rows();
        (if self.stacked { shape[shape.rank() - 2] } else { rows }, columns)
    }

    /// M, N and K.
    fn extents(&self, inputs: &[Type]) -> [usize; 3] {
        let [(rows_a, columns_a), (rows_b, columns_b)] = [0, 1].map(|i| self.matrix(&inputs[i].shape));
        let (m, k) = if self.trans_a { (columns_a, rows_a) } else { (rows_a, columns_a) };
        [m, if self.trans_b { rows_b } else { columns_b }, k]
    }

    /// How many products there are.
    fn stacks(&self, inputs: &[Type]) -> usize {
        let a = &inputs[0].shape;
        if self.stacked { a[..a.rank() - 2].iter().product() } else { 1 }
    }

    /// What the choice of a kernel goes by, for operands of these types.
    pub fn problem(&self, inputs: &[Type]) -> Problem {
        let transposed = [self.trans_a, self.trans_b];
        Problem { form: Form::Matrices, stacks: self.stacks(inputs), extents: self.extents(inputs), transposed }
    }
}

impl<T: Real> CpuOp<T> for MatMul {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let extents @ [m, n, k] = self.extents(&args.io.inputs);
        let (a, b, [y]) = (args.real(0), args.real(1), args.out());
        let product = |a, b| Product { a, b, extents, trans_a: self.trans_a, trans_b: self.trans_b };
        if self.stacked {
            for_each_row(y, m * n, |i, y| T::multiply(&product(&a[i * m * k..][..m * k], &b[i * k * n..][..k * n]), y));
        } else {
            T::multiply(&product(a, b), y);
        }
        self.epilogue.finish(&args, y, n);
    }
}

impl Op for MatMul {
    fn name(&self) -> &'static str {
        self.epilogue.choose([
            "matmul",
            "matmul+bias",
            "matmul+activation",
            "matmul+scale_shift",
            "matmul+activation_grad",
        ])
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs(self.name(), inputs, &[DType::F32; 5][..2 + self.epilogue.extras()])?;
        let (a, b) = (&inputs[0].shape, &inputs[1].shape);
        if a.rank() < 2 || b.rank() < 2 {
            return Err(Error::shape(self.name(), format!("{a} times {b}: expected two axes or more on either side")));
        }
        if self.stacked && a[..a.rank() - 2] != b[..b.rank() - 2] {
            let message = format!("{a} times {b}: the axes before the last two differ, expected stacks of one shape");
            return Err(Error::shape(self.name(), message));
        }
        let k_of = |shape: &Shape, rows: bool| {
            let (r, c) = self.matrix(shape);
            if rows { r } else { c }
        };
        let (ka, kb) = (k_of(a, self.trans_a), k_of(b, !self.trans_b));
        if ka != kb || ka == 0 {
            let how = |t: bool| if t { " transposed" } else { "" };
            let (how_a, how_b) = (how(self.trans_a), how(self.trans_b));
            let message =
                format!("{a}{how_a} times {b}{how_b}: the inner extents are {ka} and {kb}, expected one number");
            return Err(Error::shape(self.name(), message));
        }
        let [m, n, _] = self.extents(inputs);
        let shape = match (self.stacked, self.trans_a) {
            (true, _) => [&a[..a.rank() - 2], &[m, n]].concat(),
            (false, true) => vec![m, n],
            (false, false) => [&a[..a.rank() - 1], &[n]].concat(),
        };
        let output = Type::float(shape);
        self.epilogue.check(self.name(), &inputs[2..], &output)?;
        Ok(vec![output])
    }

    fn grad(&self, g: &mut Graph, x: &[Id], _y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        if self.epilogue != Epilogue::None {
            return Err(Error::shape(self.name(), "has no gradient; call gradients before the graph is fused"));
        }
        let (a, b, dy) = (x[0], x[1], only(dy));
        let mut product = |trans_a, trans_b, x: [Id; 2]| g.apply(Self { trans_a, trans_b, ..*self }, &x);
        // da = dy b', db = a' dy, each laid out as its operand is stored.
        let da = match self.trans_a {
            false => product(false, !self.trans_b, [dy, b])?,
            true => product(self.trans_b, true, [b, dy])?,
        };
        let db = match self.trans_b {
            false => product(!self.trans_a, false, [a, dy])?,
            true => product(true, self.trans_a, [dy, a])?,
        };
        Ok(vec![Some(da), Some(db)])
    }

    /// A row that is added, a row that it is scaled by and one that it is shifted by, an activation; or the gradient of one.
    fn absorb(&self, next: &dyn Op, operand: usize, y: &Type, others: &[Type]) -> Option<Arc<dyn Op>> {
        let epilogue = self.epilogue.and(next, operand, y, others)?;
        Some(Arc::new(Self { epilogue, ..*self }))
    }

    #[cfg(feature = "onnx")]
    fn onnx(&self, writer: &mut Writer<'_>) -> Result<()> {
        let (inputs, y) = (writer.inputs(), writer.outputs()[0]);
        let (a, b) = (inputs[0], inputs[1]);
        let ranks = [a, b].map(|x| writer.rank(x));
        if self.epilogue != Epilogue::None || !self.stacked && (ranks[1] != 2 || self.trans_a && ranks[0] != 2) {
            return Err(writer.refused("multiplies rows of more axes than two"));
        }
        let bias = super::onnx::followed_by(writer, y, super::binary::Binary::Add).filter(|(_, bias)| {
            let (bias, wide) = (writer.graph().shape(*bias), writer.graph().shape(y));
            ranks == [2, 2] && bias.rank() == 1 && bias.last() == wide.last()
        });
        if let Some((reader, bias)) = bias {
            let names = [writer.plain(a)?, writer.plain(b)?, writer.plain(bias)?];
            let flags = vec![("transA", i64::from(self.trans_a).into()), ("transB", i64::from(self.trans_b).into())];
            let name = writer.add("Gemm", &[&names[0], &names[1], &names[2]], flags);
            let sum = writer.graph().nodes()[reader].outputs[0];
            writer.take_over(reader);
            writer.give_plain(sum, name);
            return Ok(());
        }
        let order = |rank: usize, turned: bool| {
            let mut order: Vec<usize> = (0..rank).collect();
            if turned {
                order.swap(rank - 2, rank - 1);
            }
            order
        };
        let a = writer.ordered(a, &order(ranks[0], self.trans_a))?;
        let b = writer.ordered(b, &order(ranks[1], self.trans_b))?;
        let name = writer.add("MatMul", &[&a, &b], vec![]);
        writer.give_plain(y, name);
        Ok(())
    }

    fn gpu(&self, io: &Io, target: &Target) -> Vec<Dispatch> {
        let (problem, params, epilogue) = (self.problem(&io.inputs), Params::new(), self.epilogue);
        Launches { io, problem, params, constants: Vec::new(), epilogue }.of(target)
    }

    fn flops(&self, io: &Io) -> u64 {
        let [m, n, k] = self.extents(&io.inputs).map(|extent| extent as u64);
        2 * self.stacks(&io.inputs) as u64 * m * n * k
    }
}

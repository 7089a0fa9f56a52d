//! The matrix product, either side transposed, with an epilogue: `y = f(a b + bias)`, or `y = (a b) * f'(h)`.
//!
//! Operands of more than two axes count as rows of their last axis, or, stacked, as matrices of their last two, each times
//! its like. A plain matrix on the right of a stack is the former. The epilogue is what fusion moves in: see `graph/fuse.rs`.

use super::activation::Function;
use super::binary::changed;
use super::case::random;
use super::cpu::{CpuArgs, CpuOp, Real, for_each_row};
use super::dispatch::{
    AdapterKind, Binding, Dispatch, LIB_ACTIVATION, LIB_PRODUCT, MOST_WORKGROUPS, Module, Params, Target,
};
use super::product::Product;
use super::{Case, Io, Op, expect_inputs, only};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Type};
use crate::tensor::{DType, Shape};

const LIBS: &[&str] = &[LIB_ACTIVATION, LIB_PRODUCT];
const MODULE: Module = Module { stem: "matmul", source: include_str!("../../shaders/matmul.wgsl"), libs: LIBS };
const SUBGROUP_MODULE: Module =
    Module { stem: "matmul_subgroup", source: include_str!("../../shaders/matmul_subgroup.wgsl"), libs: LIBS };

/// What happens to each element of the product before it is stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Epilogue {
    /// Nothing.
    None,
    /// A bias (N,), the third input, is added.
    Bias,
    /// An activation, after the bias where there is one.
    Activate {
        /// Whether the third input is a bias (N,).
        bias: bool,
        /// The activation.
        activation: Function,
    },
    /// Times the gradient of an activation whose output h (M, N) is the third input.
    ActivateGrad(Function),
}

impl Epilogue {
    /// Whether there is a third input.
    fn has_extra(self) -> bool {
        self.has_bias() || matches!(self, Self::ActivateGrad(_))
    }

    fn has_bias(self) -> bool {
        matches!(self, Self::Bias | Self::Activate { bias: true, .. })
    }
}

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
        self.finish(&args, y, n);
    }
}

impl MatMul {
    /// Applies the epilogue on the CPU.
    fn finish<T: Real>(&self, args: &CpuArgs<'_, T>, y: &mut [T], n: usize) {
        match self.epilogue {
            Epilogue::None => {}
            Epilogue::Bias => {
                let bias = args.real(2);
                for_each_row(y, n, |_, y| y.iter_mut().zip(bias).for_each(|(y, &b)| *y += b));
            }
            // Relu, which most products end with, is named apart: known to the compiler it is one instruction of a
            // vector, while a choice of function made for each element is made alone.
            Epilogue::Activate { bias, activation: Function::Relu } => {
                activate(y, n, bias.then(|| args.real(2)), |x| Function::Relu.of(x));
            }
            Epilogue::Activate { bias, activation } => {
                activate(y, n, bias.then(|| args.real(2)), |x| activation.of(x));
            }
            Epilogue::ActivateGrad(Function::Relu) => weigh(y, n, args.real(2), |h| Function::Relu.gradient(h)),
            Epilogue::ActivateGrad(activation) => weigh(y, n, args.real(2), |h| activation.gradient(h)),
        }
    }
}

/// y = f(y + bias), row by row
fn activate<T: Real>(y: &mut [T], n: usize, bias: Option<&[T]>, f: impl Fn(T) -> T + Sync) {
    match bias {
        Some(bias) => for_each_row(y, n, |_, y| y.iter_mut().zip(bias).for_each(|(y, &b)| *y = f(*y + b))),
        None => for_each_row(y, n, |_, y| y.iter_mut().for_each(|y| *y = f(*y))),
    }
}

/// y = y * f(h), row by row
fn weigh<T: Real>(y: &mut [T], n: usize, h: &[T], f: impl Fn(T) -> T + Sync) {
    for_each_row(y, n, |row, y| y.iter_mut().zip(&h[row * n..]).for_each(|(y, &h)| *y *= f(h)));
}

impl Op for MatMul {
    fn name(&self) -> &'static str {
        match self.epilogue {
            Epilogue::None => "matmul",
            Epilogue::Bias => "matmul+bias",
            Epilogue::Activate { .. } => "matmul+activation",
            Epilogue::ActivateGrad(_) => "matmul+activation_grad",
        }
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        let count = if self.epilogue.has_extra() { 3 } else { 2 };
        expect_inputs(self.name(), inputs, &[DType::F32; 3][..count])?;
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
        if let Some(extra) = inputs.get(2) {
            let fits = if self.epilogue.has_bias() { *extra.shape == [n] } else { extra.shape == output.shape };
            if !fits {
                return Err(Error::shape(self.name(), format!("the third input {extra} does not fit {output}")));
            }
        }
        Ok(vec![output])
    }

    fn grad(&self, g: &mut Graph, x: &[Id], _y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        assert_eq!(self.epilogue, Epilogue::None, "fusion comes after differentiation");
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

    fn gpu(&self, io: &Io, target: &Target) -> Vec<Dispatch> {
        let stacks = self.stacks(&io.inputs);
        (0..stacks).step_by(MOST_WORKGROUPS).map(|first| self.launch(io, target, [first, stacks])).collect()
    }

    fn flops(&self, io: &Io) -> u64 {
        let [m, n, k] = self.extents(&io.inputs);
        2 * (self.stacks(&io.inputs) * m * n * k) as u64
    }
}

impl MatMul {
    /// The launch that makes the products from `first` on, at most [`MOST_WORKGROUPS`] of them.
    fn launch(&self, io: &Io, target: &Target, [first, stacks]: [usize; 2]) -> Dispatch {
        let extents @ [m, n, k] = self.extents(&io.inputs);
        // The kernels' fifth binding must hold something: without a third input, b a second time.
        let extra = if self.epilogue.has_extra() { 2 } else { 1 };
        let bindings =
            vec![Binding::Input(0), Binding::Input(1), Binding::Output(0), Binding::Params, Binding::Input(extra)];
        let params = Params::new().u32("m", m).u32("n", n).u32("k", k).u32("first", first).u32("stacks", stacks);
        let Kernel { module, entry, constants, tile: [tile_m, tile_n] } = match target.kind {
            AdapterKind::Hardware => tiled(extents, stacks),
            AdapterKind::Software => self.direct(extents, target.subgroup_size),
        };
        let workgroups =
            [n.div_ceil(tile_n), m.div_ceil(tile_m), (stacks - first).min(MOST_WORKGROUPS)].map(|x| x as u32);
        let launch = Dispatch { module, entry, constants, bindings, params, workgroups }
            .constant("TRANS_A", self.trans_a)
            .constant("TRANS_B", self.trans_b)
            .constant("STACKED", self.stacked)
            .constant("BIAS", self.epilogue.has_bias());
        match self.epilogue {
            Epilogue::None | Epilogue::Bias => launch,
            Epilogue::Activate { activation, .. } => activation.specialise(launch, "ACTIVATION"),
            Epilogue::ActivateGrad(activation) => activation.specialise(launch, "ACTIVATION_GRAD"),
        }
    }

    /// The kernel for software adapters: no workgroup memory, and 8 invocations, which are the lanes of their vectors.
    fn direct(&self, [m, n, k]: [usize; 3], subgroup_size: Option<u32>) -> Kernel {
        let (a_row, b_row) = (if self.trans_a { m } else { k }, if self.trans_b { k } else { n });
        let vec4 = [a_row, b_row, n].iter().all(|extent| extent.is_multiple_of(4));
        if vec4 && m >= 16 && n >= 16 && subgroup_size == Some(8) {
            return Kernel { module: SUBGROUP_MODULE, entry: "subgroup_32x8", constants: vec![], tile: [32, 64] };
        }
        let (entry, tile) = match (vec4, m) {
            (true, 0..=4) => ("direct_vec4_4x4", 4),
            (true, _) if m >= 16 && n >= 16 => ("direct_vec4_16x16", 16),
            (true, _) => ("direct_vec4", 8),
            (false, 0..=4) => ("direct_guarded_4x4", 4),
            (false, _) => ("direct_guarded", 8),
        };
        // Of the ways to lay out 8 invocations that which leaves the fewest idle at the edges.
        let groups = |x: usize| n.div_ceil(x * tile) * m.div_ceil(8 / x * tile);
        let x = [8, 4, 2, 1].into_iter().min_by_key(|&x| groups(x)).expect("four ways");
        let constants = vec![("WG_X", x as f64), ("WG_Y", (8 / x) as f64)];
        Kernel { module: MODULE, entry, constants, tile: [8 / x * tile, x * tile] }
    }
}

/// A kernel, its own constants, and the rows and columns of y that a workgroup makes.
struct Kernel {
    module: Module,
    entry: &'static str,
    constants: Vec<(&'static str, f64)>,
    tile: [usize; 2],
}

/// The kernel for GPUs: tiles in workgroup memory, the largest that still give every core something to do.
fn tiled([m, n, _]: [usize; 3], stacks: usize) -> Kernel {
    // A large card has some hundred cores, and each wants two workgroups.
    const ENOUGH: usize = 256;
    let groups = |bm: usize, bn: usize| m.div_ceil(bm) * n.div_ceil(bn) * stacks;
    let (entry, [bm, bn, bk]) = match (m, n) {
        (_, 0..=16) => ("tiled_4x4", [128, 16, 16]),
        (0..=16, _) => ("tiled_4x4", [16, 128, 16]),
        // 128 x 128 x 16 would pass the 16 KiB of workgroup memory that every device has.
        _ if groups(128, 128) >= ENOUGH => ("tiled_8x8", [128, 128, 8]),
        _ if groups(64, 64) >= ENOUGH => ("tiled_8x8", [64, 64, 16]),
        _ => ("tiled_4x4", [32, 32, 16]),
    };
    let constants = [("BM", bm), ("BN", bn), ("BK", bk)].map(|(name, value)| (name, value as f64));
    Kernel { module: MODULE, entry, constants: constants.into(), tile: [bm, bn] }
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, (trans_a, trans_b)) in [(false, false), (true, false), (false, true), (true, true)].into_iter().enumerate()
    {
        // Small and odd, multiples of every tile, primes around them, and the shapes of a classifier's layers.
        for [m, n, k] in [
            [1, 1, 1],
            [2, 3, 1],
            [3, 5, 7],
            [4, 4, 4],
            [8, 12, 6],
            [16, 16, 64],
            [9, 31, 33],
            [65, 64, 20],
            [97, 10, 13],
            [12, 10, 128],
            [128, 10, 257],
            [128, 127, 16],
            [132, 68, 36],
            [10, 512, 97],
        ] {
            let op = MatMul::new(trans_a, trans_b);
            let case = case_of(op, [m, n, k], 200 + i as u64);
            cases.push(if m * n * k <= 800 { case.wrt(&[0, 1]) } else { case });
        }
    }
    // Enough tiles for the larger workgroup tiles.
    cases.push(case_of(MatMul::new(false, false), [1028, 1032, 5], 204));
    cases.push(case_of(MatMul::new(true, false), [2052, 2048, 4], 205));
    cases.extend(epilogue_cases());
    let sequences = vec![random([2, 3, 5], 220), random([5, 4], 221)];
    cases.push(Case::new("rows of (2, 3, 5)", MatMul::new(false, false), sequences).wrt(&[0, 1]).sums(5));
    cases.extend(stacked_cases());
    cases
}

/// An epilogue is a pipeline of its own in every kernel, which a software adapter compiles for up to a second. So bias and
/// one function run in every kernel, the others, which are no more to a kernel than another number, in one each.
fn epilogue_cases() -> Vec<Case> {
    let shapes = [
        (false, false, [5, 7, 3]),
        (false, true, [33, 12, 10]),
        (false, false, [97, 10, 31]),
        (false, false, [3, 6, 5]),
        (false, false, [2, 8, 12]),
        (false, true, [12, 20, 8]),
    ];
    // One takes long to compile; the other has enough tiles for the larger workgroup tiles.
    let larger = [(true, false, [36, 20, 97]), (false, false, [1028, 1032, 5])];
    let mut cases = Vec::new();
    for (i, epilogue) in epilogues().into_iter().enumerate() {
        let everywhere = match epilogue {
            Epilogue::Activate { activation: f, .. } | Epilogue::ActivateGrad(f) => f == Function::Tanh,
            Epilogue::None | Epilogue::Bias => true,
        };
        let one = i % shapes.len();
        let chosen = if everywhere { [&shapes[..], &larger].concat() } else { vec![shapes[one]] };
        cases.extend(chosen.into_iter().map(|(trans_a, trans_b, extents)| {
            case_of(MatMul { epilogue, ..MatMul::new(trans_a, trans_b) }, extents, 210 + i as u64)
        }));
    }
    cases
}

/// Every epilogue but none.
pub fn epilogues() -> Vec<Epilogue> {
    let mut all = vec![Epilogue::Bias];
    for activation in Function::ALL {
        all.extend([false, true].map(|bias| Epilogue::Activate { bias, activation }));
        all.push(Epilogue::ActivateGrad(activation));
    }
    all
}

/// A case of random operands for any extents M, N, K.
pub fn case_of(op: MatMul, extents: [usize; 3], seed: u64) -> Case {
    stacked_case(op, &[], extents, seed)
}

/// Each kernel and each way to store an operand, fused epilogues, and more products than a grid holds. Few, because each
/// is a pipeline of its own.
fn stacked_cases() -> Vec<Case> {
    let stacked = MatMul::stacked;
    let relu = Epilogue::Activate { bias: true, activation: Function::Relu };
    let tanh = Epilogue::ActivateGrad(Function::Tanh);
    vec![
        stacked_case(stacked(false, false), &[2, 3], [3, 5, 7], 222).wrt(&[0, 1]),
        stacked_case(stacked(true, true), &[2], [17, 18, 5], 223).wrt(&[0, 1]),
        stacked_case(stacked(false, false), &[3], [4, 8, 12], 224),
        stacked_case(stacked(true, true), &[3], [8, 12, 4], 225),
        stacked_case(stacked(false, true), &[2], [20, 36, 16], 226),
        stacked_case(MatMul { epilogue: relu, ..stacked(false, false) }, &[2], [5, 8, 4], 227),
        stacked_case(MatMul { epilogue: tanh, ..stacked(false, false) }, &[2], [5, 7, 3], 228),
        stacked_case(stacked(false, false), &[MOST_WORKGROUPS + 2], [1, 1, 1], 229),
    ]
}

/// [`case_of`] with these axes before each matrix.
fn stacked_case(op: MatMul, stacks: &[usize], [m, n, k]: [usize; 3], seed: u64) -> Case {
    let matrices = |rows: usize, columns: usize| [stacks, &[rows, columns]].concat();
    let a = random(if op.trans_a { matrices(k, m) } else { matrices(m, k) }, seed);
    let b = random(if op.trans_b { matrices(n, k) } else { matrices(k, n) }, seed + 50);
    let extra = match op.epilogue {
        Epilogue::None => None,
        Epilogue::ActivateGrad(f) => Some(changed(&random(matrices(m, n), seed + 100), |x| f.of(x))),
        _ if op.epilogue.has_bias() => Some(random([n], seed + 100)),
        _ => None,
    };
    let transposed = |t: bool| if t { "'" } else { "" };
    let (ta, tb) = (transposed(op.trans_a), transposed(op.trans_b));
    let stacks = if op.stacked { format!("{} of ", Shape::from(stacks)) } else { String::new() };
    let label = format!("{stacks}({m}, {k}){ta} x ({k}, {n}){tb} {:?}", op.epilogue);
    let own = match op.epilogue {
        Epilogue::None => 2.0,
        // What the sum is off, absolutely, the exponential is off relatively: some K ulps where the sum is large.
        Epilogue::Activate { activation: Function::Exponential, .. } => 16.0 + k as f64,
        // An activation adds a few ulps of its own to those of the sum.
        _ => 16.0,
    };
    Case::new(label, op, [a, b].into_iter().chain(extra).collect()).ulps(own).sums(k)
}

#[cfg(test)]
mod tests {
    use std::any::Any;
    use std::mem::discriminant;

    use super::*;

    #[test]
    fn cases_have_every_epilogue_and_each_kind_of_it_in_every_kernel() {
        let mut launched: Vec<(&str, Epilogue)> = Vec::new();
        for case in cases() {
            let inputs: Vec<Type> = case.inputs.iter().map(|t| Type::float(t.shape().clone())).collect();
            let op = (&*case.op as &dyn Any).downcast_ref::<MatMul>().expect("a product's cases are products");
            let io = Io { outputs: op.outputs(&inputs).expect("cases are legal"), inputs };
            for target in Target::all() {
                launched.extend(op.gpu(&io, &target).iter().map(|launch| (launch.entry, op.epilogue)));
            }
        }
        for epilogue in epilogues() {
            assert!(launched.iter().any(|&(_, e)| e == epilogue), "{epilogue:?} has no case");
            for (kernel, _) in &launched {
                let same = |e| discriminant(&e) == discriminant(&epilogue);
                assert!(
                    launched.iter().any(|&(k, e)| k == *kernel && same(e)),
                    "{kernel} has no case like {epilogue:?}"
                );
            }
        }
    }
}

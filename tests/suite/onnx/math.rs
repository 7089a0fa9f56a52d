//! Products, reductions and element-wise functions.

use kiln::graph::{Aggregation, Id};
use kiln::nn::Activation;
use kiln::ops::binary::Binary;
use kiln::ops::cast::Cast;
use kiln::ops::log_softmax::LogSoftmax;
use kiln::ops::matmul::MatMul;
use kiln::ops::one_hot::OneHot;
use kiln::ops::softmax::Softmax;
use kiln::ops::unary::Unary;
use kiln::{Result, Tensor};

use super::Translation;
use super::call::{Call, on_graph};

pub fn translation(operator: &str) -> Option<Translation> {
    Some(match operator {
        "Gemm" => |case, device| on_graph(case, device, gemm),
        "MatMul" => |case, device| on_graph(case, device, matmul),
        "Softmax" | "LogSoftmax" | "Hardmax" => |case, device| on_graph(case, device, softmax),
        "ArgMax" | "ArgMin" => |case, device| on_graph(case, device, place),
        _ if operator.starts_with("Reduce") => |case, device| on_graph(case, device, reduction),
        _ if ACTIVATIONS.contains(&operator) => |case, device| on_graph(case, device, activation),
        _ => return None,
    })
}

const ACTIVATIONS: [&str; 18] = [
    "Relu",
    "LeakyRelu",
    "Elu",
    "Selu",
    "Sigmoid",
    "Tanh",
    "HardSigmoid",
    "HardSwish",
    "Softplus",
    "Softsign",
    "Gelu",
    "Mish",
    "Celu",
    "PRelu",
    "ThresholdedRelu",
    "Swish",
    "Clip",
    "Exp",
];

fn gemm(call: &mut Call<'_>) -> Result<Vec<Id>> {
    let product = MatMul::new(call.case.flag("transA"), call.case.flag("transB"));
    let (a, b) = (call.x(0), call.x(1));
    let mut y = call.g.apply(product, &[a, b])?;
    y = call.number(Binary::Mul, y, call.case.number("alpha", 1.0))?;
    if call.has(2) {
        let c = call.x(2);
        let c = call.number(Binary::Mul, c, call.case.number("beta", 1.0))?;
        y = call.with(Binary::Add, y, c)?;
    }
    Ok(vec![y])
}

/// NumPy's product: a vector is a row on the left and a column on the right, stacks are broadcast.
fn matmul(call: &mut Call<'_>) -> Result<Vec<Id>> {
    let (mut a, mut b) = (call.x(0), call.x(1));
    let [rank_a, rank_b] = [a, b].map(|x| call.shape(x).len());
    if rank_a == 1 {
        a = call.reshaped(a, [1, call.shape(a)[0]])?;
    }
    if rank_b == 1 {
        b = call.reshaped(b, [call.shape(b)[0], 1])?;
    }
    let stack = |call: &Call<'_>, x| {
        let shape = call.shape(x);
        shape[..shape.len() - 2].to_vec()
    };
    let (of_a, of_b) = (stack(call, a), stack(call, b));
    let extent = |of: &[usize], from_last: usize| of.len().checked_sub(from_last).map_or(1, |i| of[i]);
    let common = (1..=of_a.len().max(of_b.len())).rev().map(|i| extent(&of_a, i).max(extent(&of_b, i)));
    let common: Vec<usize> = common.collect();
    for x in [&mut a, &mut b] {
        let shape = call.shape(*x);
        let whole = [&common[..], &shape[shape.len() - 2..]].concat();
        let ones = call.g.fill(1.0, whole);
        *x = call.with(Binary::Mul, *x, ones)?;
    }
    let y = call.g.apply(MatMul::stacked(false, false), &[a, b])?;
    let mut shape = call.shape(y);
    if rank_b == 1 {
        shape.pop();
    }
    if rank_a == 1 {
        shape.remove(common.len());
    }
    Ok(vec![call.reshaped(y, shape)?])
}

fn softmax(call: &mut Call<'_>) -> Result<Vec<Id>> {
    let (x, axis) = (call.x(0), call.case.int("axis", -1));
    Ok(vec![match call.case.operator.as_str() {
        "Softmax" => Softmax::over(&mut call.g, x, axis)?,
        "LogSoftmax" => LogSoftmax::over(&mut call.g, x, axis)?,
        _ => {
            let axis = call.axis(x, axis);
            let shape = call.shape(x);
            let place = call.g.reduce(Aggregation::ArgMax, x, Some(&[axis as isize]), false)?;
            let hot = call.map(OneHot { classes: shape[axis] }, place)?;
            let last = shape.len() - 1;
            let order: Vec<usize> = (0..axis).chain([last]).chain(axis..last).collect();
            call.transposed(hot, order)?
        }
    }])
}

/// The axes that a reduction names, as an input or, in older versions, an attribute; none for all.
fn axes(call: &Call<'_>) -> Option<Vec<isize>> {
    let given = call.case.tensor(1).map(|axes| axes.values().to_f64());
    let given = given.map(|axes| axes.iter().map(|&axis| axis as u32 as i32 as isize).collect());
    given.or_else(|| call.case.ints("axes")).filter(|axes: &Vec<isize>| !axes.is_empty())
}

fn reduction(call: &mut Call<'_>) -> Result<Vec<Id>> {
    let (x, axes) = (call.x(0), axes(call));
    let operator = call.case.operator.trim_start_matches("Reduce");
    let before = match operator {
        "L1" => call.map(Unary::Abs, x)?,
        "L2" | "SumSquare" => call.map(Unary::Square, x)?,
        "LogSumExp" => call.map(Unary::Exp, x)?,
        _ => x,
    };
    let how = match operator {
        "Mean" => Aggregation::Mean,
        "Max" => Aggregation::Max,
        "Min" => Aggregation::Min,
        "Prod" => Aggregation::Prod,
        _ => Aggregation::Sum,
    };
    let keepdims = call.case.int("keepdims", 1) == 1;
    let none = axes.is_none() && call.case.flag("noop_with_empty_axes");
    let reduced = if none { before } else { call.g.reduce(how, before, axes.as_deref(), keepdims)? };
    Ok(vec![match operator {
        "L2" => call.map(Unary::Sqrt, reduced)?,
        "LogSum" | "LogSumExp" => call.map(Unary::Log, reduced)?,
        // A graph gives what it makes.
        _ if none => call.number(Binary::Add, reduced, 0.0)?,
        _ => reduced,
    }])
}

fn place(call: &mut Call<'_>) -> Result<Vec<Id>> {
    let (x, axis) = (call.x(0), [call.case.int("axis", 0)]);
    let keepdims = call.case.int("keepdims", 1) == 1;
    let (place, extreme) = match call.case.operator.as_str() {
        "ArgMax" => (Aggregation::ArgMax, Aggregation::Max),
        _ => (Aggregation::ArgMin, Aggregation::Min),
    };
    if !call.case.flag("select_last_index") {
        return Ok(vec![call.g.reduce(place, x, Some(&axis), keepdims)?]);
    }
    // The largest place of those that hold the extreme.
    let most = call.reduced(extreme, x, Some(&axis))?;
    let holds = call.with(Binary::Equal, x, most)?;
    let mut along = vec![1; call.shape(x).len()];
    let at = call.axis(x, axis[0]);
    along[at] = call.shape(x)[at];
    let count = (0..along[at]).map(|i| i as f32).collect::<Vec<_>>();
    let places = call.g.constant(&Tensor::new(along, count)?);
    let places = call.with(Binary::Mul, holds, places)?;
    let last = call.g.reduce(Aggregation::Max, places, Some(&axis), keepdims)?;
    Ok(vec![call.map(Cast::ToU32, last)?])
}

fn activation(call: &mut Call<'_>) -> Result<Vec<Id>> {
    let x = call.x(0);
    let alpha = |default| call.case.number("alpha", default);
    let named = match call.case.operator.as_str() {
        "Relu" => Activation::Relu,
        "LeakyRelu" => Activation::LeakyRelu { negative_slope: alpha(0.01) },
        "Elu" => Activation::Elu { alpha: alpha(1.0) },
        "Sigmoid" => Activation::Sigmoid,
        "Tanh" => Activation::Tanh,
        "HardSwish" => Activation::HardSilu,
        "Softplus" => Activation::Softplus,
        "Softsign" => Activation::Softsign,
        "Gelu" if call.case.text("approximate") == "tanh" => Activation::GeluTanh,
        "Gelu" => Activation::Gelu,
        "Mish" => Activation::Mish,
        _ => return Ok(vec![composed(call, x)?]),
    };
    Ok(vec![named.append(&mut call.g, x)?])
}

/// Activations that Keras has no name for, of those that it has one for.
fn composed(call: &mut Call<'_>, x: Id) -> Result<Id> {
    let case = call.case;
    let alpha = |default| case.number("alpha", default);
    match case.operator.as_str() {
        "Selu" => {
            let y = Activation::Elu { alpha: alpha(1.673_263_2) }.append(&mut call.g, x)?;
            call.number(Binary::Mul, y, case.number("gamma", 1.050_701))
        }
        "Celu" => {
            let scaled = call.number(Binary::Mul, x, 1.0 / alpha(1.0))?;
            let y = Activation::Elu.append(&mut call.g, scaled)?;
            call.number(Binary::Mul, y, alpha(1.0))
        }
        "HardSigmoid" => {
            let y = call.number(Binary::Mul, x, alpha(0.2))?;
            let y = call.number(Binary::Add, y, case.number("beta", 0.5))?;
            let y = call.number(Binary::Max, y, 0.0)?;
            call.number(Binary::Min, y, 1.0)
        }
        "ThresholdedRelu" => {
            let above = call.number(Binary::Greater, x, alpha(1.0))?;
            call.with(Binary::Mul, x, above)
        }
        "Swish" => {
            let y = call.number(Binary::Mul, x, alpha(1.0))?;
            let y = Activation::Sigmoid.append(&mut call.g, y)?;
            call.with(Binary::Mul, x, y)
        }
        "PRelu" => {
            let (above, below) = (call.number(Binary::Max, x, 0.0)?, call.number(Binary::Min, x, 0.0)?);
            let slope = call.x(1);
            let below = call.with(Binary::Mul, below, slope)?;
            call.with(Binary::Add, above, below)
        }
        "Clip" => {
            let mut y = call.number(Binary::Add, x, 0.0)?;
            for (i, op) in [(1, Binary::Max), (2, Binary::Min)] {
                if call.has(i) {
                    let bound = call.x(i);
                    y = call.with(op, y, bound)?;
                }
            }
            Ok(y)
        }
        other => unreachable!("{other} has a name"),
    }
}

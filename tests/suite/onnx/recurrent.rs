//! Recurrence. The steps of ONNX' sequences stand first unless told otherwise, and the gates of its LSTM in another order.

use std::sync::Arc;

use kiln::graph::Id;
use kiln::ops::activation::Function;
use kiln::ops::binary::Binary;
use kiln::ops::concat::Concat;
use kiln::ops::matmul::MatMul;
use kiln::ops::recurrence::{Cell, Recurrence};
use kiln::ops::slice::Slice;
use kiln::{Result, Tensor};

use super::call::{Call, on_graph};
use super::{Case, Translation};

/// Inputs by their places.
const X: usize = 0;
const W: usize = 1;
const R: usize = 2;
const B: usize = 3;
const LENGTHS: usize = 4;
const FIRST_STATES: [usize; 2] = [5, 6];
const PEEPHOLES: usize = 7;

pub fn translation(operator: &str) -> Option<Translation> {
    ["RNN", "LSTM", "GRU"].contains(&operator).then_some(|case, device| on_graph(case, device, recurrent))
}

/// Why the op does not have a recurrent case.
pub fn refusal(case: &Case) -> Option<String> {
    translation(&case.operator)?;
    if case.tensor(PEEPHOLES).is_some() {
        return Some("gates that read the state of the cell (peepholes), which Keras lacks, too".into());
    }
    if case.flag("input_forget") {
        return Some("an input gate that is what the forget gate leaves, which Keras lacks, too".into());
    }
    if case.number("clip", 0.0) != 0.0 {
        return Some("what activations read within a limit, which Keras lacks, too".into());
    }
    let count = case.tensor(W)?.shape()[0];
    let refused = (0..count).any(|way| activations(case, way).is_none());
    refused.then(|| "activations that the op recurrence lacks".into())
}

fn cell(case: &Case) -> Cell {
    match case.operator.as_str() {
        "RNN" => Cell::Simple,
        "LSTM" => Cell::Lstm,
        _ if case.flag("linear_before_reset") => Cell::GruResetAfter,
        _ => Cell::Gru,
    }
}

/// The activation and that of the gates of one way over the sequences, if the op has them: ONNX names f of the gates, g of what goes into the
/// state and h of what comes out of it, and Kiln's g and h are one.
fn activations(case: &Case, way: usize) -> Option<[Option<Function>; 2]> {
    let usual = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let usual = match case.operator.as_str() {
        "RNN" => usual(&["Tanh"]),
        "LSTM" => usual(&["Sigmoid", "Tanh", "Tanh"]),
        _ => usual(&["Sigmoid", "Tanh"]),
    };
    let count = usual.len();
    let Some(given) = case.texts("activations") else {
        return Some([Some(Function::Tanh), Some(Function::Sigmoid)]);
    };
    // Numbers of those that have one, of all ways in their order.
    let mut numbers = case.numbers("activation_alpha").into_iter();
    let all: Option<Vec<Function>> = given
        .iter()
        .map(|name| {
            Some(match name.as_str() {
                "Relu" => Function::Relu,
                "Sigmoid" => Function::Sigmoid,
                "Tanh" => Function::Tanh,
                "LeakyRelu" => Function::LeakyRelu { negative_slope: numbers.next().unwrap_or(0.01) },
                "Elu" => Function::Elu { alpha: numbers.next().unwrap_or(1.0) },
                _ => return None,
            })
        })
        .collect();
    match all?[count * way..][..count] {
        [f] => Some([Some(f), None]),
        [f, g] => Some([Some(g), Some(f)]),
        [f, g, h] if g == h => Some([Some(g), Some(f)]),
        _ => None,
    }
}

/// Neighbours along an axis.
fn part(call: &mut Call<'_>, x: Id, axis: usize, first: usize, count: usize) -> Result<Id> {
    let part = Slice::along(&call.shape(x).into(), axis, first..first + count);
    call.map(part, x)
}

fn joined(call: &mut Call<'_>, axis: usize, parts: &[Id]) -> Result<Id> {
    if let [only] = parts { Ok(*only) } else { call.g.apply(Concat(axis), parts) }
}

/// What belongs to one way, without the axis of ways, and its gates in Kiln's order: rows of units, of each bias behind each other.
fn of_way(call: &mut Call<'_>, input: usize, way: usize, units: usize) -> Result<Id> {
    let x = call.x(input);
    let x = part(call, x, 0, way, 1)?;
    let shape = call.shape(x)[1..].to_vec();
    let x = call.reshaped(x, shape.clone())?;
    // ONNX has i, o, f, g.
    let order: &[usize] = if cell(call.case) == Cell::Lstm { &[0, 2, 3, 1] } else { return Ok(x) };
    let rows = order.len() * units;
    let firsts = (0..shape[0] / rows).flat_map(|i| order.iter().map(move |gate| i * rows + gate * units));
    let parts = firsts.map(|first| part(call, x, 0, first, units)).collect::<Result<Vec<_>>>()?;
    joined(call, 0, &parts)
}

/// What is added to x times W, and what the op itself adds to h times R.
fn biases(call: &mut Call<'_>, way: usize, units: usize) -> Result<[Id; 2]> {
    let width = cell(call.case).gates() * units;
    if !call.has(B) {
        return Ok([width, units].map(|count| call.g.fill(0.0, [count])));
    }
    let both = of_way(call, B, way, units)?;
    let (of_w, of_r) = (part(call, both, 0, 0, width)?, part(call, both, 0, width, width)?);
    if cell(call.case) != Cell::GruResetAfter {
        return Ok([call.with(Binary::Add, of_w, of_r)?, of_r]);
    }
    let (gates, inner) = (part(call, of_r, 0, 0, 2 * units)?, part(call, of_r, 0, 2 * units, units)?);
    let zeros = call.g.fill(0.0, [units]);
    let gates = joined(call, 0, &[gates, zeros])?;
    Ok([call.with(Binary::Add, of_w, gates)?, inner])
}

/// Ones at the steps that a sequence has: (batch, steps).
fn mask(call: &mut Call<'_>, steps: usize) -> Result<Id> {
    let lengths = call.case.tensor(LENGTHS).expect("lengths").values().to_f64();
    let seen = lengths.iter().flat_map(|&length| (0..steps).map(move |t| f32::from((t as f64) < length)));
    let seen = Tensor::new([lengths.len(), steps], seen.collect::<Vec<_>>())?;
    Ok(call.g.constant(&seen))
}

/// The first states of one way: (batch, states, units).
fn first_states(call: &mut Call<'_>, way: usize, [rows, states, units]: [usize; 3]) -> Result<Id> {
    let one = |&input: &usize| {
        if !call.has(input) {
            return Ok(call.g.fill(0.0, [rows, 1, units]));
        }
        let state = call.x(input);
        let axis = usize::from(call.case.flag("layout"));
        let state = part(call, state, axis, way, 1)?;
        call.reshaped(state, [rows, 1, units])
    };
    let parts = FIRST_STATES[..states].iter().map(one).collect::<Result<Vec<_>>>()?;
    joined(call, 1, &parts)
}

/// h behind each step of x (batch, steps, features) and the last states, (batch, 1, steps, units) and (batch, states, units).
fn walk(call: &mut Call<'_>, x: Id, mask: Option<Id>, way: usize) -> Result<[Id; 2]> {
    let cell = cell(call.case);
    let (rows, steps) = (call.shape(x)[0], call.shape(x)[1]);
    let recurrent = call.x(R);
    let units = call.shape(recurrent)[2];
    let [kernel, recurrent] = [W, R].map(|input| of_way(call, input, way, units));
    let [of_x, inner] = biases(call, way, units)?;
    let kernel = call.transposed(kernel?, [1, 0])?;
    let x = call.g.apply(MatMul::new(false, false), &[x, kernel])?;
    let x = call.with(Binary::Add, x, of_x)?;
    let recurrent = call.transposed(recurrent?, [1, 0])?;
    let first = first_states(call, way, [rows, cell.states(), units])?;
    let [activation, recurrent_activation] = activations(call.case, way).expect("the op has them");
    let backwards = way == 1 || call.case.text("direction") == "reverse";
    let op =
        Recurrence { activation, recurrent_activation, backwards, masked: mask.is_some(), ..Recurrence::new(cell) };
    let inner = (cell == Cell::GruResetAfter).then_some(inner);
    let inputs: Vec<Id> = [x, recurrent, first].into_iter().chain(inner).chain(mask).collect();
    let outputs = call.g.apply_all(Arc::new(op), &inputs)?;
    let mut y = outputs[0];
    if let Some(mask) = mask {
        // Behind the end of a sequence the op has its last state, ONNX has zeros.
        let mask = call.reshaped(mask, [rows, steps, 1])?;
        y = call.with(Binary::Mul, y, mask)?;
    }
    Ok([call.reshaped(y, [rows, 1, steps, units])?, outputs[1]])
}

fn recurrent(call: &mut Call<'_>) -> Result<Vec<Id>> {
    let batch_first = call.case.flag("layout");
    let mut x = call.x(X);
    if !batch_first {
        x = call.transposed(x, [1, 0, 2])?;
    }
    let mask = if call.has(LENGTHS) { Some(mask(call, call.shape(x)[1])?) } else { None };
    let weights = call.x(W);
    let count = call.shape(weights)[0];
    let ways = (0..count).map(|way| walk(call, x, mask, way)).collect::<Result<Vec<_>>>()?;
    let mut outputs = Vec::new();
    if call.case.wants(0) {
        let parts: Vec<Id> = ways.iter().map(|way| way[0]).collect();
        let y = joined(call, 1, &parts)?;
        outputs.push(call.transposed(y, if batch_first { [0, 2, 1, 3] } else { [2, 1, 0, 3] })?);
    }
    for state in 0..cell(call.case).states() {
        if call.case.wants(1 + state) {
            let parts = ways.iter().map(|way| part(call, way[1], 1, state, 1)).collect::<Result<Vec<_>>>()?;
            let last = joined(call, 1, &parts)?;
            outputs.push(if batch_first { last } else { call.transposed(last, [1, 0, 2])? });
        }
    }
    Ok(outputs)
}

//! Checks of ops: a kernel against the f64 reference, a gradient against finite differences.

use crate::device::{Device, Executor};
use crate::error::Result;
use crate::graph::{Graph, Id, Leaf, Type};
use crate::ops::binary::Binary;
use crate::ops::case::random;
use crate::ops::copy::Copy;
use crate::ops::sum::Sum;
use crate::ops::{Case, all_cases};
use crate::plan::{Arena, Buffer, BufferId, Plan};
use crate::tensor::{DType, Tensor, Values};

/// What a case came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The op's name.
    pub op: &'static str,
    /// The case's label.
    pub case: String,
    /// The worst error in ulps, or what is wrong.
    pub result: Result<f64, String>,
}

/// Elements written behind each output before a run, which must be there after it.
const SENTINELS: usize = 67;
const SENTINEL: f32 = -12_345.678;

/// Runs every case of every op on an executor's device against the f64 reference.
///
/// # Errors
/// What the device reports; a wrong result is a [`Finding`].
pub fn check_ops(device: &Device) -> Result<Vec<Finding>> {
    let (mut tested, mut reference) = (Executor::new(device)?, Executor::new(&Device::reference())?);
    all_cases().iter().map(|case| check_case(case, &mut tested, &mut reference)).collect()
}

/// Runs one case on two executors and compares.
///
/// # Errors
/// What the device reports; a wrong result is a [`Finding`].
pub fn check_case(case: &Case, tested: &mut Executor, reference: &mut Executor) -> Result<Finding> {
    let (found, wanted) = (outputs(case, tested)?, outputs(case, reference)?);
    let compare = || -> Result<f64, String> {
        let mut worst = 0.0f64;
        for (found, wanted) in found.iter().zip(&wanted) {
            let (found, written_past) = found.split_at(found.len() - SENTINELS);
            if written_past.iter().any(|&x| x != f64::from(SENTINEL) && x != f64::from(SENTINEL.to_bits())) {
                return Err(format!("wrote past the end of its output of {} elements", found.len()));
            }
            worst = worst.max(case.compare(&wanted[..found.len()], found)?);
        }
        Ok(worst)
    };
    Ok(Finding { op: case.op.name(), case: case.label.clone(), result: compare() })
}

/// The graph of a case: its inputs as `Input` leaves, its outputs or targets as `Output` leaves.
fn graph(case: &Case) -> Result<(Graph, Vec<Type>)> {
    let mut g = Graph::new();
    let leaf = |(i, t): (usize, &Tensor)| (i, Type { shape: t.shape().clone(), dtype: t.dtype() });
    let inputs: Vec<Id> = case.inputs.iter().enumerate().map(leaf).map(|(i, ty)| g.leaf(Leaf::Input(i), ty)).collect();
    let targets: Vec<Id> =
        case.targets.iter().enumerate().map(leaf).map(|(i, ty)| g.leaf(Leaf::Output(i), ty)).collect();
    if targets.is_empty() {
        let outputs = g.apply_all(case.op.clone(), &inputs)?;
        for (i, &y) in outputs.iter().enumerate() {
            let place = g.leaf(Leaf::Output(i), g.ty(y).clone());
            g.effect(Copy, &[y], &[place])?;
        }
        let types = g.types(&outputs);
        return Ok((g, types));
    }
    g.effect_dyn(case.op.clone(), &inputs, &targets)?;
    let types = g.types(&targets);
    Ok((g, types))
}

/// What a case's outputs hold after a run, the sentinels behind them included.
fn outputs(case: &Case, executor: &mut Executor) -> Result<Vec<Vec<f64>>> {
    let (g, types) = graph(case)?;
    executor.forget_plans()?;
    for (i, ty) in types.iter().enumerate() {
        let (id, len) = (BufferId::Output(i), ty.shape.len());
        executor.allocate(&Buffer { id, dtype: ty.dtype, len: len + SENTINELS, row_len: len })?;
        executor.write(id, &before(case.targets.get(i), ty.dtype, len))?;
    }
    let plan = executor.load(&Plan::new(&case.label, &g, &Arena::default()))?;
    for (i, tensor) in case.inputs.iter().enumerate() {
        executor.write(BufferId::Input(i), tensor.values())?;
    }
    executor.run(plan, 1)?;
    let read = |(i, ty): (usize, &Type)| {
        let values = pollster::block_on(executor.read(BufferId::Output(i), 0..ty.shape.len() + SENTINELS))?;
        Ok(values.to_f64())
    };
    types.iter().enumerate().map(read).collect()
}

/// What an output holds before a run: its initial state if it has one, then sentinels.
fn before(target: Option<&Tensor>, dtype: DType, len: usize) -> Values {
    if dtype == DType::U32 {
        let mut words = match target.map(Tensor::values) {
            Some(Values::U32(words)) => words.clone(),
            _ => vec![SENTINEL.to_bits(); len],
        };
        words.resize(len + SENTINELS, SENTINEL.to_bits());
        return Values::U32(words);
    }
    let mut floats = target.map_or_else(|| vec![SENTINEL; len], |t| t.values().to_f32());
    floats.resize(len + SENTINELS, SENTINEL);
    Values::F32(floats)
}

/// Compares the gradients of a case, in f64, with central differences of the scalar `sum of r * op(x * s)`: the op in
/// the middle of a graph, r a random cotangent. Returns the worst error relative to the largest derivative.
///
/// # Errors
/// What the reference reports; a case without gradients to check gives 0.
pub fn check_gradient(case: &Case) -> Result<f64> {
    let mut worst = 0.0f64;
    for &wrt in &case.wrt {
        worst = worst.max(check_gradient_of(case, wrt)?);
    }
    Ok(worst)
}

/// At most this many elements of an input are moved.
const MOVED: usize = 24;
const STEP: f64 = 1e-5;

fn check_gradient_of(case: &Case, wrt: usize) -> Result<f64> {
    let mut executor = Executor::new(&Device::reference())?;
    let (loss, gradient) = (differentiable(case, wrt, false)?, differentiable(case, wrt, true)?);
    let mut load = |graph: &Graph| executor.load(&Plan::new("gradient check", graph, &Arena::default()));
    let (loss, gradient) = (load(&loss)?, load(&gradient)?);
    for (i, tensor) in case.inputs.iter().enumerate() {
        executor.write(BufferId::Input(i), tensor.values())?;
    }
    let cotangent = random([differentiated(case)?], 77);
    executor.write(BufferId::Input(case.inputs.len()), cotangent.values())?;
    executor.run(gradient, 1)?;
    let x = case.inputs[wrt].values().to_f64();
    let found = pollster::block_on(executor.read(BufferId::Output(1), 0..x.len()))?.to_f64();
    let mut at = |x: &[f64]| -> Result<f64> {
        executor.write(BufferId::Input(wrt), &Values::F64(x.to_vec()))?;
        executor.run(loss, 1)?;
        Ok(pollster::block_on(executor.read(BufferId::Output(0), 0..1))?.to_f64()[0])
    };
    let largest = found.iter().fold(1e-3f64, |most, d| most.max(d.abs()));
    let stride = x.len().div_ceil(MOVED);
    let mut worst = 0.0f64;
    for i in (0..x.len()).step_by(stride) {
        let mut moved = x.clone();
        moved[i] = x[i] + STEP;
        let above = at(&moved)?;
        moved[i] = x[i] - STEP;
        let difference = (above - at(&moved)?) / (2.0 * STEP);
        worst = worst.max((difference - found[i]).abs() / largest);
    }
    Ok(worst)
}

/// The elements of the output that is differentiated.
fn differentiated(case: &Case) -> Result<usize> {
    let types: Vec<Type> = case.inputs.iter().map(|t| Type { shape: t.shape().clone(), dtype: t.dtype() }).collect();
    Ok(case.op.outputs(&types)?[0].shape.len())
}

/// The graph of the scalar, or of its gradient with respect to one input.
fn differentiable(case: &Case, wrt: usize, gradient: bool) -> Result<Graph> {
    let mut g = Graph::new();
    let mut inputs = Vec::new();
    for (i, t) in case.inputs.iter().enumerate() {
        inputs.push(g.leaf(Leaf::Input(i), Type { shape: t.shape().clone(), dtype: t.dtype() }));
    }
    let x = inputs[wrt];
    let scale = g.fill(1.25, []);
    inputs[wrt] = g.apply(Binary::Mul, &[x, scale])?;
    let y = g.apply_all(case.op.clone(), &inputs)?[0];
    let cotangent = g.leaf(Leaf::Input(case.inputs.len()), g.ty(y).clone());
    let weighted = g.apply(Binary::Mul, &[y, cotangent])?;
    let loss = g.apply(Sum::new(0..g.shape(weighted).rank()), &[weighted])?;
    let (value, place) =
        if gradient { (g.gradients(loss, &[x])?[0], Leaf::Output(1)) } else { (loss, Leaf::Output(0)) };
    let place = g.leaf(place, g.ty(value).clone());
    g.effect(Copy, &[value], &[place])?;
    Ok(g)
}

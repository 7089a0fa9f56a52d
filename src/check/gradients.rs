//! An op's gradient rule: in f64 against finite differences, and its graph on a device against the reference.

use super::Finding;
use super::ops::relative_error;
use crate::device::{Device, Executor};
use crate::error::Result;
use crate::graph::{Graph, Leaf, Type};
use crate::ops::Case;
use crate::ops::binary::Binary;
use crate::ops::case::random;
use crate::ops::copy::Copy;
use crate::ops::sum::Sum;
use crate::plan::{Arena, Buffer, BufferId, Plan};
use crate::tensor::Values;

/// Compares the gradients of a case, in f64, with central differences of the scalar `sum of r * op(x * s)`: the op in
/// the middle of a graph, r a random cotangent. Returns the worst error relative to the largest derivative.
///
/// # Errors
/// What the reference reports; a case without gradients to check gives 0.
pub fn check_gradient(case: &Case) -> Result<f64> {
    let mut reference = Executor::new(&Device::reference())?;
    let mut worst = 0.0f64;
    for &wrt in &case.wrt {
        worst = worst.max(check_gradient_of(case, wrt, &mut reference)?.0);
    }
    Ok(worst)
}

/// Central differences of step 1e-5 in f64 are good to about 1e-9 where the op is smooth.
const MOST_OFF: f64 = 1e-7;

/// Checks the gradients of a case on the reference as [`check_gradient`] does, then on a device against the reference.
///
/// # Errors
/// What the device reports; a wrong result is a [`Finding`].
pub fn check_gradient_on(case: &Case, tested: &mut Executor, reference: &mut Executor) -> Result<Finding> {
    let (mut worst, mut relative, mut allowed) = (0.0f64, 0.0f64, 0.0f64);
    for &wrt in &case.wrt {
        let ruler = ruler(case, wrt)?;
        allowed = allowed.max(ruler.ulps);
        let fail = |what: String| {
            let what = format!("gradient with respect to input {wrt}: {what}");
            Ok(Finding::new(case, ruler.ulps, 0.0, Err(what)))
        };
        let (off, wanted) = check_gradient_of(case, wrt, reference)?;
        // NaN is no success either.
        if !matches!(off.partial_cmp(&MOST_OFF), Some(std::cmp::Ordering::Less)) {
            return fail(format!("the rule is {off:.1e} off finite differences in f64, allowed {MOST_OFF:.0e}"));
        }
        let found = gradient(case, wrt, tested)?;
        match ruler.compare(&wanted, &found) {
            Ok(ulps) => worst = worst.max(ulps),
            Err(what) => return fail(what),
        }
        relative = relative.max(relative_error(&wanted, &found));
    }
    Ok(Finding::new(case, allowed, relative, Ok(worst)))
}

/// What a gradient is measured by: the case's own tolerance, some steps long, and what its sums may cost. How many
/// terms those have is not known, but no more than the longest axis, or than are broadcast to one element.
fn ruler(case: &Case, wrt: usize) -> Result<Case> {
    let longest = case.inputs.iter().flat_map(|t| t.shape().iter().copied()).max().unwrap_or(1);
    let broadcast = differentiated(case)? / case.inputs[wrt].shape().len().max(1);
    Ok(case.clone().ulps(4.0 * case.ulps).sums(longest.max(broadcast)))
}

/// At most this many elements of an input are moved.
const MOVED: usize = 24;
const STEP: f64 = 1e-5;

/// The error of the gradient against differences, and the gradient.
fn check_gradient_of(case: &Case, wrt: usize, executor: &mut Executor) -> Result<(f64, Vec<f64>)> {
    let found = gradient(case, wrt, executor)?;
    let loss = differentiable(case, wrt, false)?;
    let loss = executor.load(&Plan::new("gradient check", &loss, &Arena::default())?)?;
    let x = case.inputs[wrt].values().to_f64();
    let mut at = |x: &[f64]| -> Result<f64> {
        executor.write(BufferId::Input(wrt), &Values::F64(x.to_vec()))?;
        executor.run(loss, 1)?;
        Ok(executor.read(BufferId::Output(0), 0..1)?.to_f64()[0])
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
        let error = (difference - found[i]).abs() / largest;
        worst = if error.is_nan() { f64::INFINITY } else { worst.max(error) };
    }
    Ok((worst, found))
}

/// The gradient of the scalar with respect to one input, with all inputs and the cotangent written.
fn gradient(case: &Case, wrt: usize, executor: &mut Executor) -> Result<Vec<f64>> {
    executor.forget_plans()?;
    let graph = differentiable(case, wrt, true)?;
    let plan = executor.load(&Plan::new("gradient check", &graph, &Arena::default())?)?;
    let cotangent = random([differentiated(case)?], 77);
    for (i, tensor) in case.inputs.iter().chain([&cotangent]).enumerate() {
        // The gradient of a copy or a slice reads no input: its plan has no buffer for it, the loss's has.
        let (id, dtype, len) = (BufferId::Input(i), tensor.dtype(), tensor.shape().len());
        executor.allocate(&Buffer { id, dtype, len, row_len: len })?;
        executor.write(id, tensor.values())?;
    }
    executor.run(plan, 1)?;
    let len = case.inputs[wrt].shape().len();
    Ok(executor.read(BufferId::Output(1), 0..len)?.to_f64())
}

/// The elements of the output that is differentiated.
fn differentiated(case: &Case) -> Result<usize> {
    let types: Vec<Type> = case.inputs.iter().map(Type::of).collect();
    Ok(case.op.outputs(&types)?[0].shape.len())
}

/// The graph of the scalar, or of its gradient with respect to one input.
fn differentiable(case: &Case, wrt: usize, gradient: bool) -> Result<Graph> {
    let mut g = Graph::new();
    let mut inputs = Vec::new();
    for (i, t) in case.inputs.iter().enumerate() {
        inputs.push(g.leaf(Leaf::Input(i), Type::of(t)));
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

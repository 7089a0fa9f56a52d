//! Normalizations, by Kiln's layers where those have weights.

use kiln::device::Device;
use kiln::graph::{Aggregation, Id};
use kiln::nn::layers::{BatchNormalization, GroupNormalization, LayerNormalization, RmsNormalization};
use kiln::ops::binary::Binary;
use kiln::ops::unary::Unary;
use kiln::{Result, Tensor};

use super::call::{Call, by_layer, on_graph};
use super::{Case, Translation};

pub fn translation(operator: &str) -> Option<Translation> {
    Some(match operator {
        "BatchNormalization" => batch,
        "LayerNormalization" => layer,
        "RMSNormalization" => rms,
        "GroupNormalization" | "InstanceNormalization" => group,
        "MeanVarianceNormalization" => |case, device| on_graph(case, device, mean_variance),
        "LpNormalization" => |case, device| on_graph(case, device, lp),
        _ => return None,
    })
}

fn given(case: &Case, i: usize) -> &Tensor {
    case.tensor(i).expect("an input that is not left out")
}

/// With moving statistics the layer in inference; else with those of the batch, which go into the moving ones.
fn batch(case: &Case, device: &Device) -> Result<Vec<Tensor>> {
    let epsilon = case.number("epsilon", 1e-5);
    if !case.flag("training_mode") {
        let layer = BatchNormalization::new().axis(1).epsilon(epsilon);
        let weights = [1, 2, 3, 4].map(|i| given(case, i));
        return Ok(vec![by_layer(device, layer, given(case, 0), &weights)?]);
    }
    on_graph(case, device, |call| {
        let x = call.x(0);
        let shape = call.shape(x);
        let axes: Vec<usize> = (0..shape.len()).filter(|&axis| axis != 1).collect();
        let [mut y, mean, variance] = call.normalized(x, &axes, epsilon)?;
        let along: Vec<usize> = (0..shape.len()).map(|axis| if axis == 1 { shape[1] } else { 1 }).collect();
        for (i, op) in [(1, Binary::Mul), (2, Binary::Add)] {
            let weight = call.x(i);
            let weight = call.reshaped(weight, along.clone())?;
            y = call.with(op, y, weight)?;
        }
        let momentum = call.case.number("momentum", 0.9);
        let mut outputs = vec![y];
        for (i, found) in [(3, mean), (4, variance)] {
            let moving = call.x(i);
            let moving = call.number(Binary::Mul, moving, momentum)?;
            let found = call.number(Binary::Mul, found, 1.0 - momentum)?;
            outputs.push(call.with(Binary::Add, moving, found)?);
        }
        Ok(outputs)
    })
}

/// The same numbers behind an axis of one sample, as Kiln's layers normalize none over samples; and the axes from `axis` on.
fn one_sample(case: &Case) -> Result<(Tensor, Vec<isize>)> {
    let x = given(case, 0);
    let rank = x.shape().rank() as isize;
    let axis = case.int("axis", -1);
    let axis = if axis < 0 { axis + rank } else { axis };
    let one = Tensor::new([&[1], &x.shape()[..]].concat(), x.values().clone())?;
    Ok((one, (axis + 1..rank + 1).collect()))
}

fn without_sample(y: &Tensor) -> Result<Tensor> {
    Tensor::new(y.shape()[1..].to_vec(), y.values().clone())
}

fn layer(case: &Case, device: &Device) -> Result<Vec<Tensor>> {
    let (x, axes) = one_sample(case)?;
    let epsilon = case.number("epsilon", 1e-5);
    let layer = LayerNormalization::new().axes(axes.clone()).epsilon(epsilon);
    let y = by_layer(device, layer, &x, &[given(case, 1), given(case, 2)])?;
    let statistics = on_graph(case, device, |call| {
        let x = call.x(0);
        let axes: Vec<usize> = axes.iter().map(|&axis| axis as usize - 1).collect();
        let [_, mean, variance] = call.normalized(x, &axes, epsilon)?;
        let variance = call.number(Binary::Add, variance, epsilon)?;
        let root = call.map(Unary::Sqrt, variance)?;
        let inverse = call.map(Unary::Reciprocal, root)?;
        let shape = call.shape(x).into_iter().enumerate();
        let kept: Vec<usize> = shape.map(|(axis, n)| if axes.contains(&axis) { 1 } else { n }).collect();
        Ok(vec![call.reshaped(mean, kept.clone())?, call.reshaped(inverse, kept)?])
    })?;
    let outputs = [without_sample(&y)?].into_iter().chain(statistics);
    Ok(outputs.take(case.outputs.len()).collect())
}

fn rms(case: &Case, device: &Device) -> Result<Vec<Tensor>> {
    let (x, axes) = one_sample(case)?;
    let layer = RmsNormalization::new().axes(axes).epsilon(case.number("epsilon", 1e-5));
    Ok(vec![without_sample(&by_layer(device, layer, &x, &[given(case, 1)])?)?])
}

/// An instance is a group of one channel.
fn group(case: &Case, device: &Device) -> Result<Vec<Tensor>> {
    let x = given(case, 0);
    let groups = case.int("num_groups", x.shape()[1] as isize) as usize;
    let layer = GroupNormalization::new(groups).axis(1).epsilon(case.number("epsilon", 1e-5));
    Ok(vec![by_layer(device, layer, x, &[given(case, 1), given(case, 2)])?])
}

fn mean_variance(call: &mut Call<'_>) -> Result<Vec<Id>> {
    let x = call.x(0);
    let axes = call.case.ints("axes").unwrap_or_else(|| vec![0, 2, 3]);
    let axes: Vec<usize> = axes.into_iter().map(|axis| call.axis(x, axis)).collect();
    Ok(vec![call.normalized(x, &axes, 1e-12)?[0]])
}

fn lp(call: &mut Call<'_>) -> Result<Vec<Id>> {
    let (x, axis) = (call.x(0), [call.case.int("axis", -1)]);
    let is_square = call.case.int("p", 2) == 2;
    let terms = call.map(if is_square { Unary::Square } else { Unary::Abs }, x)?;
    let mut norm = call.reduced(Aggregation::Sum, terms, Some(&axis))?;
    if is_square {
        norm = call.map(Unary::Sqrt, norm)?;
    }
    // Nothing is nothing at any length.
    let norm = call.number(Binary::Max, norm, 1e-12)?;
    Ok(vec![call.with(Binary::Div, x, norm)?])
}

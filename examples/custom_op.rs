//! An op, its kernel and a layer of one's own: snake, y = x + sin(a x)^2 / a, whose units learn their a.
//!
//! Kiln has no such op, and needs no change to take it. From Ziyin and others, "Neural networks fail to learn periodic
//! functions and how to fix it", <https://arxiv.org/abs/2006.08195>.
//!
//! `cargo run --release --example custom_op [-- --device NAME]` checks op, kernel and gradient as `kiln check` checks
//! Kiln's own, then trains a small net with it on a sine and says how far it is off beyond the points that it was shown. A second
//! layer, [`CenteredMean`], has several inputs, a state and a mask.

mod common;

use std::sync::Arc;

use kiln::DType;
use kiln::check::{self, Bench};
use kiln::graph::{Graph, Id, Type};
use kiln::nn::{Config, Scope};
use kiln::ops::binary::Binary;
use kiln::ops::case::random;
use kiln::ops::cpu::for_each_row;
use kiln::ops::dispatch::LIB_GRID;
use kiln::ops::reshape::Reshape;
use kiln::ops::sum::Sum;
use kiln::ops::{Case, CpuArgs, CpuOp, Dispatch, Io, Module, Op, Params, Real, Target, expect_inputs, only};
use kiln::prelude::*;

/// The kernels, with Kiln's way of counting invocations before them.
const MODULE: Module = Module { stem: "custom_op", source: include_str!("custom_op.wgsl"), libs: &[LIB_GRID] };

/// y (..., units) of x (..., units) and a (units,)
#[derive(Clone, Copy, Debug)]
pub struct Snake;

/// dx and da, both in the shape of x, of x, a and dy
#[derive(Clone, Copy, Debug)]
pub struct SnakeGrad;

/// The loops on the processor: in f32 to train, in f64 as the reference for both.
impl<T: Real> CpuOp<T> for Snake {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let (x, a, [y]) = (args.real(0), args.real(1), args.out());
        for_each_row(y, a.len(), |row, y| {
            for ((y, &x), &a) in y.iter_mut().zip(&x[row * a.len()..]).zip(a) {
                *y = x + (a * x).sin().powi(2) / a;
            }
        });
    }
}

impl Op for Snake {
    fn name(&self) -> &'static str {
        "snake"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        check_types("snake", inputs, 2)?;
        Ok(vec![inputs[0].clone()])
    }

    /// The kernel leaves a da for each element; one of Kiln's ops sums them up for each unit.
    fn grad(&self, g: &mut Graph, x: &[Id], _y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        let slopes = g.apply_all(Arc::new(SnakeGrad), &[x[0], x[1], only(dy)])?;
        let rows = 0..g.shape(x[0]).rank() - 1;
        Ok(vec![Some(slopes[0]), Some(g.apply(Sum::new(rows), &[slopes[1]])?)])
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        launch("forward", io)
    }
}

impl<T: Real> CpuOp<T> for SnakeGrad {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let (x, a, dy, [dx, da]) = (args.real(0), args.real(1), args.real(2), args.out());
        for i in 0..x.len() {
            let a = a[i % a.len()];
            let double = (T::of(2.0) * a * x[i]).sin();
            dx[i] = dy[i] * (T::one() + double);
            da[i] = dy[i] * (x[i] * double - (a * x[i]).sin().powi(2) / a) / a;
        }
    }
}

impl Op for SnakeGrad {
    fn name(&self) -> &'static str {
        "snake_grad"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        check_types("snake_grad", inputs, 3)?;
        Ok(vec![inputs[0].clone(); 2])
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        launch("gradient", io)
    }
}

/// That there are x, one a for each unit and, to differentiate, dy.
fn check_types(op: &str, inputs: &[Type], count: usize) -> Result<()> {
    expect_inputs(op, inputs, &vec![DType::F32; count])?;
    let (x, a) = (&inputs[0], &inputs[1]);
    if x.shape.rank() < 2 || *a.shape != x.shape[x.shape.rank() - 1..] {
        return Err(Error::shape(op, format!("takes rows of units and an a for each unit, was given {x} and {a}")));
    }
    Ok(())
}

fn launch(entry: &'static str, io: &Io) -> Vec<Dispatch> {
    let n = io.inputs[0].shape.len();
    let params = Params::new().u32("n", n).u32("units", io.inputs[1].shape.len());
    vec![Dispatch::over(MODULE, entry, io, params, n)]
}

/// What the op is checked on: few elements and many, more than one row, an extent that no tile divides.
pub fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (seed, shape) in [(1, vec![1, 1]), (2, vec![3, 5]), (3, vec![2, 3, 4]), (4, vec![257, 3])] {
        let a = random([shape[shape.len() - 1]], seed) + 1.5;
        let (x, dy) = (random(shape.clone(), seed), random(shape.clone(), seed + 10));
        let label = format!("{shape:?}");
        // A sine's error is absolute, so small elements are measured by the others' size.
        // WGSL promises sin to 2^-11 only, and more than twice that is left where the slope's parts cancel. SwiftShader
        // needs it; other devices are off by an ulp or two.
        let ulps = 32_768.0;
        let case = Case::new(&label, Snake, vec![x.clone(), a.clone()]).ulps(ulps).sums(1);
        cases.push(case.wrt(&[0, 1]));
        cases.push(Case::new(label, SnakeGrad, vec![x, a, dy]).ulps(ulps).sums(1));
    }
    Ok(cases)
}

/// Checks the cases on a device against the reference, gradients also against finite differences, and prints a table.
/// Returns what failed.
pub fn check_op(device: &Device) -> Result<Vec<check::Finding>> {
    println!("{device}\n{}", check::heading());
    let (mut bench, mut failures) = (Bench::new(device)?, Vec::new());
    for item in check::items_of(device, cases()?, false)? {
        let row = item.run(&mut bench)?;
        println!("{}", item.line(&row));
        failures.extend(row.failures);
    }
    Ok(failures)
}

/// A layer of it: from (batch, ..., units) to the same. Each unit's a starts at the same number, above 0.
#[derive(Clone, Copy, Debug)]
pub struct SnakeLayer {
    pub start: f64,
}

impl Layer for SnakeLayer {
    fn kind(&self) -> &'static str {
        "Snake"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        let Some(&units) = scope.graph.shape(x)[1..].last() else {
            return Err(scope.error("expected samples of one or more axes, was given single numbers"));
        };
        let a = scope.parameter("a", [units], Initializer::Constant(self.start))?;
        Ok(vec![scope.graph.apply(Snake, &[x, a])?])
    }
}

/// A layer of several inputs, a state and a mask: of sequences (batch, steps, units) and what each step counts
/// (batch, steps, 1) the mean over the steps, less a running mean of such means. Steps that the sequence's mask passes over count
/// nothing.
#[derive(Clone, Copy, Debug)]
pub struct CenteredMean {
    /// What share of the running mean a step keeps.
    pub momentum: f64,
}

impl Layer for CenteredMean {
    fn kind(&self) -> &'static str {
        "CenteredMean"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x, mut counts] = scope.expect(inputs)?;
        let [rows, steps, units] = **scope.graph.shape(x) else {
            return Err(scope.error("takes sequences (batch, steps, units)"));
        };
        // Where no layer before has set a mask there is none, and every step counts.
        if let Some(mask) = scope.mask(x) {
            let mask = scope.graph.apply(Reshape([rows, steps, 1].into()), &[mask])?;
            counts = scope.graph.apply(Binary::Mul, &[counts, mask])?;
        }
        let counted = scope.graph.apply(Binary::Mul, &[x, counts])?;
        let sum = scope.graph.apply(Sum::new(1..2), &[counted])?;
        let count = scope.graph.apply(Sum::new(1..2), &[counts])?;
        let least = scope.graph.fill(1e-7, []);
        let count = scope.graph.apply(Binary::Max, &[count, least])?;
        let mean = scope.graph.apply(Binary::Div, &[sum, count])?;
        // A state changes as the layer says, not by the optimizer; it is saved and counted as not trained.
        let running = scope.state("running_mean", [units], Initializer::Zeros)?;
        if scope.training().is_some() {
            let shares = [self.momentum, (1.0 - self.momentum) / rows as f64].map(|share| scope.graph.fill(share, []));
            let found = scope.graph.apply(Sum::new(0..1), &[mean])?;
            let kept = scope.graph.apply(Binary::Mul, &[running, shares[0]])?;
            let taken = scope.graph.apply(Binary::Mul, &[found, shares[1]])?;
            let next = scope.graph.apply(Binary::Add, &[kept, taken])?;
            scope.set_state("running_mean", next)?;
        }
        Ok(vec![scope.graph.apply(Binary::Sub, &[mean, running])?])
    }

    fn config(&self) -> Config {
        Config::new(self.kind()).with("momentum", self.momentum)
    }
}

/// What stands for a step that is not there.
pub const PADDING: f32 = -9.0;

/// Sequences of 1 to `steps` steps of two numbers in a tensor of that many, and the mean of the first numbers, 1 added.
pub fn sequences(steps: usize, padded: usize) -> Result<Dataset> {
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for i in 0..64 {
        let len = 1 + i % steps;
        let step = |j: usize| [((i * 7 + j * 5) % 13) as f32 / 6.0 - 1.0, ((i * 3 + j) % 11) as f32 / 5.0 - 1.0];
        x.extend((0..padded).flat_map(|j| if j < len { step(j) } else { [PADDING; 2] }));
        y.push(1.0 + (0..len).map(|j| step(j)[0]).sum::<f32>() / len as f32);
    }
    let counts = Tensor::new([64, padded, 1], vec![1.0f32; 64 * padded])?;
    Dataset::new([("steps", Tensor::new([64, padded, 2], x)?), ("counts", counts)], Tensor::new([64, 1], y)?)
}

/// A model of sequences of any number of steps.
pub fn pooled(device: &Device, steps: usize) -> Result<Model> {
    let (x, counts) = (Input::new([steps, 2]).named("steps"), Input::new([steps, 1]).named("counts"));
    let mean = CenteredMean { momentum: 0.9 }.apply([&Masking::new(f64::from(PADDING)).apply(&x)?, &counts.value()])?;
    let mut model = Model::new([&x, &counts], Dense::new(1).apply(mean)?)?.device(device.clone());
    model.compile(Adam { learning_rate: 0.05, ..Adam::default() }, Loss::MeanSquaredError, [])?;
    Ok(model)
}

/// sin(3 x) at points evenly in a range.
fn sine(points: usize, from: f32, to: f32) -> Result<Dataset> {
    let x: Vec<f32> = (0..points).map(|i| from + (to - from) * i as f32 / points as f32).collect();
    let y = x.iter().map(|x| (3.0 * x).sin()).collect::<Vec<_>>();
    Dataset::new(Tensor::new([points, 1], x)?, Tensor::new([points, 1], y)?)
}

/// Trains one hidden layer on a sine from -2 to 2; the mean squared error there, and from 2 to 4.
pub fn train(device: &Device, activation: impl Layer + 'static, epochs: usize) -> Result<[f64; 2]> {
    let mut model = Sequential::new().add(Dense::new(32)).add(activation).add(Dense::new(1)).device(device.clone());
    model.compile(Adam::new(0.01), Loss::MeanSquaredError, [])?;
    let seen = sine(128, -2.0, 2.0)?;
    model.fit(&seen, Fit::new().epochs(epochs).batch_size(32).verbose(0))?;
    let mut error = |data: &Dataset| -> Result<f64> { Ok(model.evaluate(data)?.get("loss").expect("always there")) };
    Ok([error(&seen)?, error(&sine(64, 2.0, 4.0)?)?])
}

pub fn main() -> anyhow::Result<()> {
    let device = common::device()?;
    for device in [Device::cpu(), device.clone()].iter().take(1 + usize::from(device.is_gpu())) {
        let failures = check_op(device)?;
        anyhow::ensure!(failures.is_empty(), "{failures:#?}");
        println!();
    }
    println!("mean squared error      seen   beyond");
    for (name, [seen, beyond]) in
        [("snake", train(&device, SnakeLayer { start: 3.0 }, 300)?), ("tanh", train(&device, Activation::Tanh, 300)?)]
    {
        println!("{name:<18} {seen:>9.5} {beyond:>8.5}");
    }
    let mut model = pooled(&device, 6)?;
    model.fit(&sequences(6, 6)?, Fit::new().epochs(40).batch_size(16).verbose(0))?;
    let error = model.evaluate(&sequences(6, 6)?)?.get("loss").expect("always there");
    println!("\nmeans of sequences of 1 to 6 steps: mean squared error {error:.6}");
    Ok(())
}

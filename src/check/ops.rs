//! An op's case on a device against the same case on the reference.

use super::Finding;
use crate::device::{Device, Executor};
use crate::error::Result;
use crate::graph::{Graph, Id, Leaf, Type};
use crate::ops::case::clock;
use crate::ops::clock::{Advance, WORDS};
use crate::ops::optimizer::SCALARS;
use crate::ops::{Case, all_cases};
use crate::plan::{Arena, Buffer, BufferId, Plan};
use crate::tensor::{DType, Tensor, Values};

/// Elements written behind each output before a run, which must be there after it.
const SENTINELS: usize = 67;
const SENTINEL: f32 = -12_345.678;

/// Where an optimizer's op has its clock.
const CLOCK_INPUT: usize = 2;

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
    check(case, 1, tested, reference)
}

/// Runs an optimizer's case for several steps, each on what the one before has left, and compares what is there then.
///
/// # Errors
/// What the device reports; a wrong result is a [`Finding`].
pub fn check_steps(case: &Case, steps: usize, tested: &mut Executor, reference: &mut Executor) -> Result<Finding> {
    let mut case = case.clone();
    let rows = case.inputs[1].values().to_f32();
    let last = rows.len() / SCALARS - 1;
    // The case's schedule is shorter: its last row stands for all later ones.
    let row = |step: usize| &rows[step.min(last) * SCALARS..][..SCALARS];
    case.inputs[1] = Tensor::new([steps, SCALARS], (0..steps).flat_map(row).copied().collect::<Vec<_>>())?;
    case.inputs[CLOCK_INPUT] = clock(0, 0);
    // Errors of single steps add up, less than in proportion: they have both signs.
    case.ulps *= (steps as f64).sqrt();
    check(&case, steps, tested, reference)
}

/// Whether the case is of an optimizer's op: gradients, schedule and clock in, arenas changed.
pub(super) fn is_optimizer(case: &Case) -> bool {
    let [gradients, schedule, clock] = case.inputs.as_slice() else { return false };
    let arenas = !case.targets.is_empty() && case.targets.iter().all(|t| t.shape() == gradients.shape());
    arenas && schedule.shape().get(1) == Some(&SCALARS) && **clock.shape() == [WORDS] && clock.dtype() == DType::U32
}

fn check(case: &Case, steps: usize, tested: &mut Executor, reference: &mut Executor) -> Result<Finding> {
    let (found, wanted) = (written(case, steps, tested)?, written(case, steps, reference)?);
    let (mut worst, mut relative) = (0.0f64, 0.0f64);
    for (i, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
        match compare(case, found, wanted) {
            Ok((ulps, r)) => (worst, relative) = (worst.max(ulps), relative.max(r)),
            Err(what) => return Ok(Finding::new(case, case.ulps, 0.0, Err(format!("output {i}: {what}")))),
        }
    }
    Ok(Finding::new(case, case.ulps, relative, Ok(worst)))
}

/// The worst error of an output in ulps and relative to its largest element; sentinels lie behind both.
fn compare(case: &Case, found: &[f64], wanted: &[f64]) -> Result<(f64, f64), String> {
    let (found, written_past) = found.split_at(found.len() - SENTINELS);
    if written_past.iter().any(|&x| x != f64::from(SENTINEL) && x != f64::from(SENTINEL.to_bits())) {
        return Err(format!("wrote past the end of its output of {} elements", found.len()));
    }
    let wanted = &wanted[..found.len()];
    Ok((case.compare(wanted, found)?, relative_error(wanted, found)))
}

/// The largest error relative to the largest finite element.
pub(super) fn relative_error(wanted: &[f64], found: &[f64]) -> f64 {
    let finite = |x: f64| if x.is_finite() { x.abs() } else { 0.0 };
    let largest = wanted.iter().fold(0.0f64, |most, &x| most.max(finite(x)));
    let error = wanted.iter().zip(found).fold(0.0f64, |most, (&w, &f)| most.max(finite(w - f)));
    if error == 0.0 { 0.0 } else { error / largest }
}

/// The graph of a case: its inputs as `Input` leaves, its outputs or targets as `Output` leaves. Over several steps the
/// clock is the session's, and advances.
pub(crate) fn graph(case: &Case, steps: usize) -> Result<(Graph, Vec<Type>)> {
    let mut g = Graph::new();
    let leaf = |i: usize| if steps > 1 && i == CLOCK_INPUT { Leaf::Clock } else { Leaf::Input(i) };
    let inputs: Vec<Id> = case.inputs.iter().enumerate().map(|(i, t)| g.leaf(leaf(i), Type::of(t))).collect();
    let targets: Vec<Id> = case.targets.iter().enumerate().map(|(i, t)| g.leaf(Leaf::Output(i), Type::of(t))).collect();
    if targets.is_empty() {
        let outputs = g.apply_all(case.op.clone(), &inputs)?;
        for (i, &y) in outputs.iter().enumerate() {
            g.output(i, y)?;
        }
        let types = g.types(&outputs);
        return Ok((g, types));
    }
    g.effect_dyn(case.op.clone(), &inputs, &targets)?;
    if steps > 1 {
        g.effect(Advance { batch: 1 }, &[], &[inputs[CLOCK_INPUT]])?;
    }
    let types = g.types(&targets);
    Ok((g, types))
}

/// What a case's outputs, or its targets, hold after a run on an executor.
///
/// # Errors
/// [`crate::Error::Shape`] where the op does not take the case's inputs, and what the device reports.
pub fn outputs(case: &Case, executor: &mut Executor) -> Result<Vec<Vec<f64>>> {
    Loaded::new(case, executor)?.outputs(case, executor)
}

/// What a case's outputs hold after a run, the sentinels behind them included.
fn written(case: &Case, steps: usize, executor: &mut Executor) -> Result<Vec<Vec<f64>>> {
    Loaded::of(case, steps, executor)?.written(case, executor)
}

/// A case that an executor has ready: cases of the same op on inputs of the same shapes run without another plan. The next case
/// that the executor is given takes its place.
#[derive(Debug)]
pub struct Loaded {
    plan: usize,
    steps: usize,
    /// What the outputs, or the targets, are.
    types: Vec<Type>,
}

impl Loaded {
    /// Makes ready for cases like this one.
    ///
    /// # Errors
    /// As [`outputs`].
    pub fn new(case: &Case, executor: &mut Executor) -> Result<Self> {
        Self::of(case, 1, executor)
    }

    fn of(case: &Case, steps: usize, executor: &mut Executor) -> Result<Self> {
        let (g, types) = graph(case, steps)?;
        executor.forget_plans()?;
        for (i, ty) in types.iter().enumerate() {
            let (id, len) = (BufferId::Output(i), ty.shape.len());
            executor.allocate(&Buffer { id, dtype: ty.dtype, len: len + SENTINELS, row_len: len })?;
        }
        let plan = executor.load(&Plan::new(&case.label, &g, &Arena::default())?)?;
        Ok(Self { plan, steps, types })
    }

    /// [`outputs`] of a case like that it was made for.
    ///
    /// # Errors
    /// What the device reports.
    pub fn outputs(&self, case: &Case, executor: &mut Executor) -> Result<Vec<Vec<f64>>> {
        let mut outputs = self.written(case, executor)?;
        outputs.iter_mut().for_each(|y| y.truncate(y.len() - SENTINELS));
        Ok(outputs)
    }

    fn written(&self, case: &Case, executor: &mut Executor) -> Result<Vec<Vec<f64>>> {
        for (i, ty) in self.types.iter().enumerate() {
            executor.write(BufferId::Output(i), &before(case.targets.get(i), ty.dtype, ty.shape.len()))?;
        }
        for (i, tensor) in case.inputs.iter().enumerate() {
            let id = if self.steps > 1 && i == CLOCK_INPUT { BufferId::Clock } else { BufferId::Input(i) };
            executor.write(id, tensor.values())?;
        }
        executor.run(self.plan, self.steps)?;
        let read = |(i, ty): (usize, &Type)| {
            let values = executor.read(BufferId::Output(i), 0..ty.shape.len() + SENTINELS)?;
            Ok(values.to_f64())
        };
        self.types.iter().enumerate().map(read).collect()
    }
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

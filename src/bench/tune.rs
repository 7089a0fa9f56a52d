//! Which kernel is the fastest for a product: every candidate measured, the winner checked. `kiln tune` prints it.

use std::any::Any;
use std::time::Duration;

use super::Meter;
use crate::check::check_case;
use crate::device::{Device, Executor};
use crate::error::{Error, Result};
use crate::graph::Type;
use crate::ops::activation::Function;
use crate::ops::conv::{self, Conv};
use crate::ops::convolution::Pass;
use crate::ops::matmul::{Form, Kernel, MatMul, Problem, case_of_problem};
use crate::ops::{AdapterKind, Case, Epilogue, Target, Tuning, recurrence};
use crate::plan::Plan;

/// A choice takes at most this share of the built-in one's time, or it is not made: a difference that the next
/// measurement might turn round is worth no second set of bits.
const MARGIN: f64 = 0.95;

/// Rounds that built-in choice and best candidate are measured in, in turn, before the latter displaces the former.
const REMATCHES: usize = 3;

/// A product, or a convolution's, to find the fastest kernel for.
#[derive(Clone, Debug)]
pub struct Trial {
    op: Product,
    inputs: Vec<Type>,
    problem: Problem,
}

#[derive(Clone, Copy, Debug)]
enum Product {
    Matrices(MatMul),
    Images(Conv),
}

/// What a [`Trial`] came to.
#[derive(Clone, Debug)]
pub struct Tuned {
    /// The product.
    pub problem: Problem,
    /// The built-in choice.
    pub built_in: Kernel,
    /// The median time of the built-in choice.
    pub built_in_time: Duration,
    /// The fastest kernel that is right: the built-in choice, where no other is faster by a margin of 5%.
    pub kernel: Kernel,
    /// Its median time.
    pub time: Duration,
    /// How many kernels were measured.
    pub candidates: usize,
    /// Kernels that the device refused, or that were wrong, with what was; none of these is chosen.
    pub refused: Vec<(Kernel, String)>,
}

impl Tuned {
    /// Whether a kernel displaces the built-in choice.
    pub fn displaces(&self) -> bool {
        self.kernel != self.built_in
    }

    /// Makes the choice, or takes an earlier one back where the built-in kernel is the best.
    pub fn apply(&self, tuning: &mut Tuning) {
        tuning.choose(self.problem, self.displaces().then(|| self.kernel.clone()));
    }
}

/// The products that are tuned where nothing else is asked for: those of `kiln bench`, but the largest on a processor, where
/// each takes seconds.
pub fn default_problems(kind: AdapterKind) -> Vec<Problem> {
    let all = super::products().into_iter().map(|p| Problem {
        form: Form::Matrices,
        stacks: 1,
        extents: p.extents,
        transposed: p.transposed,
    });
    let most = if kind == AdapterKind::Software { 1 << 30 } else { usize::MAX };
    all.filter(|problem| problem.extents.iter().product::<usize>() <= most).collect()
}

impl Trial {
    /// The bare product of matrices.
    ///
    /// # Errors
    /// [`Error::Argument`] for that of a convolution, whose extents do not say how the kernel goes over the images.
    pub fn of(problem: Problem) -> Result<Self> {
        if problem.form != Form::Matrices {
            let message =
                format!("{problem} is a convolution's: give a set and --layers, whose convolutions are measured");
            return Err(Error::argument("shape", message));
        }
        let Problem { stacks, extents: [m, n, k], transposed: [trans_a, trans_b], .. } = problem;
        let stack = if stacks > 1 { vec![stacks] } else { vec![] };
        let side = |transposed: bool, rows: usize, columns: usize| {
            let matrix = if transposed { [columns, rows] } else { [rows, columns] };
            Type::float([&stack[..], &matrix].concat())
        };
        let op = MatMul { stacked: stacks > 1, ..MatMul::new(trans_a, trans_b) };
        Ok(Self { op: Product::Matrices(op), inputs: vec![side(trans_a, m, k), side(trans_b, k, n)], problem })
    }

    /// Every product of a plan as the device runs it, every pass of its convolutions, and what its recurrences multiply at each step,
    /// once.
    pub fn of_plan(plan: &Plan, target: &Target) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for step in &plan.steps {
            let (op, inputs) = (&*step.op as &dyn Any, &step.io.inputs);
            let trial = |op, problem| Self { op, inputs: inputs.clone(), problem };
            let trials: Vec<Self> = match (op.downcast_ref::<MatMul>(), op.downcast_ref::<Conv>()) {
                (Some(op), _) => vec![trial(Product::Matrices(*op), op.problem(inputs))],
                (_, Some(op)) => {
                    let problems = op.problems(inputs).expect("the plan has it");
                    problems.into_iter().map(|problem| trial(Product::Images(*op), problem)).collect()
                }
                _ => {
                    let problem = recurrence::product_of_step(op, &step.io, target);
                    problem.map(|problem| Self::of(problem).expect("it is of matrices")).into_iter().collect()
                }
            };
            for trial in trials {
                if all.iter().all(|known| known.problem != trial.problem) {
                    all.push(trial);
                }
            }
        }
        all
    }

    /// What is to be computed.
    pub fn problem(&self) -> Problem {
        self.problem
    }

    /// Measures every candidate on a device in rounds of at least `round` each. The fastest must win again when it and the
    /// built-in choice are measured in turn, and give what the reference does with every kind of epilogue.
    ///
    /// # Errors
    /// What the device reports of the built-in kernel.
    pub fn run(&self, device: &Device, round: Duration) -> Result<Tuned> {
        let candidates = self.problem.candidates(&device.target());
        let (built_in, others) = candidates.split_first().expect("the built-in choice is one");
        let built_in_time = self.time(device, built_in, round, Duration::MAX)?;
        let (mut times, mut refused) = (Vec::new(), Vec::new());
        for kernel in others {
            // One that takes twice as long is out after its first run, which may still warm caches up.
            match self.time(device, kernel, round, 2 * built_in_time + Duration::from_millis(1)) {
                Ok(time) => times.push((kernel, time)),
                Err(e) => refused.push((kernel.clone(), e.to_string())),
            }
        }
        let rematch = |kernel: &&Kernel| {
            let mut least = [Duration::MAX; 2];
            for _ in 0..REMATCHES {
                for (least, kernel) in least.iter_mut().zip([built_in, kernel]) {
                    *least = self.time(device, kernel, round, Duration::MAX)?.min(*least);
                }
            }
            Ok(least)
        };
        let chosen = choose(built_in_time, times, rematch, |kernel| {
            let checked = self.check(device, kernel);
            refused.extend(checked.as_ref().err().map(|fault| ((*kernel).clone(), fault.clone())));
            checked.is_ok()
        })?;
        let (kernel, [built_in_time, time]) = chosen.unwrap_or((built_in, [built_in_time; 2]));
        Ok(Tuned {
            problem: self.problem,
            built_in: built_in.clone(),
            built_in_time,
            kernel: kernel.clone(),
            time,
            candidates: candidates.len(),
            refused,
        })
    }

    /// The device with this kernel for products.
    fn with(device: &Device, kernel: &Kernel, problems: &[Problem]) -> Device {
        let mut tuning = Tuning::default();
        problems.iter().for_each(|problem| tuning.choose(*problem, Some(kernel.clone())));
        device.clone().tuned(tuning)
    }

    fn time(&self, device: &Device, kernel: &Kernel, round: Duration, patience: Duration) -> Result<Duration> {
        let mut meter = Meter::new(&Self::with(device, kernel, &[self.problem]), round)?;
        meter.patience = patience;
        let timing = match self.op {
            Product::Matrices(op) => meter.op(op, &self.inputs),
            Product::Images(op) => meter.op(op, &self.inputs),
        };
        Ok(timing?.duration)
    }

    /// The epilogues that a kernel is checked with: its own, and of each kind one.
    fn epilogues(&self) -> Vec<Epilogue> {
        let activation = Function::Tanh;
        let each = [
            Epilogue::None,
            Epilogue::Bias,
            Epilogue::Activate { bias: true, activation },
            Epilogue::ScaleShift { bias: true, activation: None },
            Epilogue::ActivateGrad(activation),
        ];
        match self.op {
            Product::Images(Conv { pass: Pass::Kernel, .. }) => vec![Epilogue::None],
            Product::Matrices(MatMul { epilogue, .. }) | Product::Images(Conv { epilogue, .. }) => {
                [&[epilogue][..], &each].concat()
            }
        }
    }

    /// The product of random numbers with an epilogue, and what its kernels are chosen by. Of a convolution it has fewer images where
    /// they are many.
    fn case(&self, epilogue: Epilogue, seed: u64) -> Result<(Case, Vec<Problem>)> {
        match self.op {
            Product::Matrices(_) => Ok((case_of_problem(self.problem, epilogue, seed), vec![self.problem])),
            Product::Images(op) => {
                let op = Conv { epilogue, ..op };
                let case = conv::case_of_types(op, &self.inputs[..2], seed)?;
                let problems = op.problems(&case.io()?.inputs)?;
                Ok((case, problems))
            }
        }
    }

    /// That a kernel gives what the reference does, on random numbers, with every kind of epilogue; or what is wrong.
    fn check(&self, device: &Device, kernel: &Kernel) -> Result<(), String> {
        let words = |e: Error| e.to_string();
        let mut reference = Executor::new(&Device::reference()).map_err(words)?;
        for (epilogue, seed) in self.epilogues().into_iter().zip(300..) {
            let (case, problems) = self.case(epilogue, seed).map_err(words)?;
            let mut tested = Executor::new(&Self::with(device, kernel, &problems)).map_err(words)?;
            let finding = check_case(&case, &mut tested, &mut reference).map_err(words)?;
            finding.result.map_err(|fault| format!("{}: {fault}", case.label))?;
        }
        Ok(())
    }
}

/// Of measured kernels the fastest that beats the built-in choice by the margin, at once and in a rematch, and is right;
/// with its time and the built-in one's in the rematch.
fn choose<K>(
    built_in: Duration,
    mut times: Vec<(K, Duration)>,
    mut rematch: impl FnMut(&K) -> Result<[Duration; 2]>,
    mut is_right: impl FnMut(&K) -> bool,
) -> Result<Option<(K, [Duration; 2])>> {
    let wins = |built_in: Duration, time: Duration| time <= built_in.mul_f64(MARGIN);
    times.sort_by_key(|&(_, time)| time);
    for (kernel, time) in times {
        if !wins(built_in, time) {
            break;
        }
        let again = rematch(&kernel)?;
        if wins(again[0], again[1]) && is_right(&kernel) {
            return Ok(Some((kernel, again)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_right_kernel_displaces_the_built_in_one_by_a_margin() {
        let us = Duration::from_micros;
        let chosen = |times: &[(&'static str, u64)], wrong: &[&str], unlucky: &[&str]| {
            let times = times.iter().map(|&(kernel, time)| (kernel, us(time))).collect::<Vec<_>>();
            let rematch = |kernel: &&str| {
                let time = times.iter().find(|(k, _)| k == kernel).unwrap().1;
                Ok([us(1000), if unlucky.contains(kernel) { us(970) } else { time }])
            };
            choose(us(1000), times.clone(), rematch, |kernel| !wrong.contains(kernel)).unwrap().map(|(k, _)| k)
        };
        let times = [("a", 900), ("b", 700), ("c", 800), ("d", 960)];
        assert_eq!(chosen(&times, &[], &[]), Some("b"));
        assert_eq!(chosen(&times, &["b"], &[]), Some("c"), "a wrong kernel is never chosen, however fast");
        assert_eq!(chosen(&times, &["b"], &["c"]), Some("a"), "nor one that was fast once");
        assert_eq!(chosen(&times, &["a", "b", "c"], &[]), None, "nor one that is faster by 4%");
        assert_eq!(chosen(&[], &[], &[]), None);
    }

    #[test]
    fn default_problems_are_fewer_on_a_processor() {
        let [software, hardware] = [AdapterKind::Software, AdapterKind::Hardware].map(default_problems);
        assert!(software.len() >= 10 && software.len() < hardware.len());
        assert_eq!(software[0].to_string(), "256x256x256:nn");
        assert!(hardware.iter().any(|problem| problem.to_string() == "784x512x128:tn"));
    }
}

//! How fast a device is: its peaks, products, the kernels of a training step, whole models. `kiln bench` prints it.
//!
//! Every time is the median of several rounds, each long enough that the clock and the start of a submit do not show.

mod models;
mod nets;
pub mod tune;

use std::borrow::Borrow;
use std::hint::black_box;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

pub use models::{Model, ModelTime, STANDARD};
pub use nets::synthetic;

use crate::check::graph_of;
use crate::clock::Instant;
use crate::device::{Device, Executor};
pub use crate::device::{Peaks, Timing};
use crate::error::Result;
use crate::graph::{Graph, Id, Leaf, Type};
use crate::kernel::cpu::vectorised;
use crate::ops::conv::Conv;
use crate::ops::convolution::Pass;
use crate::ops::copy::Copy;
use crate::ops::matmul::MatMul;
use crate::ops::max_pool::{MaxPool, MaxPoolGrad};
use crate::ops::normalize::{Normalize, NormalizeGrad};
use crate::ops::peak::Peak;
use crate::ops::pool::Area;
use crate::ops::sum::Sum;
use crate::ops::window::Window;
use crate::ops::{Case, Op, case};
use crate::plan::{Arena, BufferId, Plan};
use crate::tensor::Tensor;
use crate::threads::cores;

/// Numbers of the long sum that is timed: more than a cache holds.
pub const SUMMED: usize = 1 << 24;

/// The rows and columns of the matrix that [`Meter::layer_norm`] takes.
pub const NORMALIZED: [usize; 2] = [4096, 512];

/// The images (batch, height, width, channels) that [`Meter::max_pool`] takes, by windows of 2 by 2.
pub const POOLED: [usize; 4] = [200, 24, 24, 64];

/// A convolution of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// What it is in a network.
    pub what: &'static str,
    /// The images (batch, height, width, channels).
    pub images: [usize; 4],
    /// Height and width of its kernel.
    pub size: [usize; 2],
    /// The channels that it makes.
    pub filters: usize,
    /// How many groups the channels are cut into: as many as there are where each is by itself.
    pub groups: usize,
}

/// The convolutions that are timed: those of a net for MNIST's images, and one of each channel by itself.
pub fn convolutions() -> [Convolution; 3] {
    let of = |what, images, filters, groups| Convolution { what, images, size: [3; 2], filters, groups };
    [
        of("first", [32, 28, 28, 1], 32, 1),
        of("second", [32, 26, 26, 32], 64, 1),
        of("depthwise", [32, 26, 26, 32], 32, 32),
    ]
}

/// Rounds that a median is taken of.
const ROUNDS: usize = 5;

/// A matrix product of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// What it is in a network: a square, or the product of a layer's forward pass or of one of its gradients.
    pub what: &'static str,
    /// Rows, columns, and the extent that is summed over.
    pub extents: [usize; 3],
    /// Whether each operand is stored transposed.
    pub transposed: [bool; 2],
}

/// The products that are timed: squares, and the three of a layer of 784 inputs and 512 units at several batches.
pub fn products() -> Vec<Product> {
    let square = |n| Product { what: "square", extents: [n; 3], transposed: [false; 2] };
    let layer = |batch| {
        [
            Product { what: "forward", extents: [batch, 512, 784], transposed: [false, false] },
            Product { what: "dW", extents: [784, 512, batch], transposed: [true, false] },
            Product { what: "dX", extents: [batch, 784, 512], transposed: [false, true] },
        ]
    };
    [256, 512, 1024, 2048, 4096].map(square).into_iter().chain([32, 128, 1024].into_iter().flat_map(layer)).collect()
}

/// Runs and times plans on a device.
#[derive(Debug)]
pub struct Meter {
    executor: Executor,
    round: Duration,
    /// A run that takes longer than this is not repeated.
    patience: Duration,
}

impl Meter {
    /// A meter whose rounds take at least `round` each.
    ///
    /// # Errors
    /// [`crate::Error::Device`] where the system gives no threads.
    pub fn new(device: &Device, round: Duration) -> Result<Self> {
        Ok(Self { executor: Executor::new(device)?, round, patience: Duration::MAX })
    }

    /// The device's peaks.
    ///
    /// # Errors
    /// What the device reports.
    pub fn peaks(&mut self) -> Result<Peaks> {
        // As many chains as fill the device, and so long that starting them does not show.
        let chains = self.op(Peak { rounds: 2048 }, &[Type::float([1 << 17])])?;
        let copy = self.copy(1 << 23)?;
        Ok(Peaks { flops_per_second: chains.flops_per_second(), bytes_per_second: copy.bytes_per_second() })
    }

    /// What a launch costs that has nothing to do.
    ///
    /// # Errors
    /// What the device reports.
    pub fn launch(&mut self) -> Result<Duration> {
        Ok(self.copy(1)?.duration)
    }

    /// A product.
    ///
    /// # Errors
    /// What the device reports.
    pub fn product(&mut self, product: Product) -> Result<Timing> {
        let ([m, n, k], [trans_a, trans_b]) = (product.extents, product.transposed);
        let a = Type::float(if trans_a { [k, m] } else { [m, k] });
        let b = Type::float(if trans_b { [n, k] } else { [k, n] });
        self.op(MatMul::new(trans_a, trans_b), &[a, b])
    }

    /// The sum of [`SUMMED`] numbers.
    ///
    /// # Errors
    /// What the device reports.
    pub fn sum(&mut self) -> Result<Timing> {
        self.op(Sum::new(0..1), &[Type::float([SUMMED])])
    }

    /// A processor's read of as many numbers as [`Meter::sum`] has, on all its cores, that does next to nothing with them.
    ///
    /// # Panics
    /// Never: reading memory cannot fail.
    pub fn read(&self) -> Timing {
        let words = vec![1u64; SUMMED / 2];
        let read = |words: &[u64]| vectorised!(words.iter().fold(0, |sum: u64, &word| sum.wrapping_add(word)));
        let duration = median(self.round, self.patience, |runs| {
            std::thread::scope(|scope| {
                for words in words.chunks(words.len().div_ceil(cores())) {
                    scope.spawn(move || (0..runs).for_each(|_| _ = black_box(read(black_box(words)))));
                }
            });
            Ok(())
        });
        Timing { duration: duration.expect("reading cannot fail"), flops: 0, bytes: 4 * SUMMED as u64 }
    }

    /// An op, of random inputs.
    ///
    /// # Errors
    /// What the device reports, or [`crate::Error::Shape`] where the op does not take such inputs.
    pub fn op(&mut self, op: impl Op, inputs: &[Type]) -> Result<Timing> {
        let mut g = Graph::new();
        let leaves: Vec<Id> = inputs.iter().enumerate().map(|(i, ty)| g.leaf(Leaf::Input(i), ty.clone())).collect();
        for (i, y) in g.apply_all(Arc::new(op), &leaves)?.into_iter().enumerate() {
            g.output(i, y)?;
        }
        self.time(&g, inputs)
    }

    /// The normalization of the rows of a matrix of [`NORMALIZED`] rows and columns, and its gradient. The bytes are the least that
    /// either moves: each operand once.
    ///
    /// # Errors
    /// What the device reports.
    pub fn layer_norm(&mut self) -> Result<[Timing; 2]> {
        let (x, row) = (Type::float(NORMALIZED), Type::float([NORMALIZED[0]]));
        let op = Normalize { axes: 1..2, epsilon: 1e-3 };
        Ok([self.op(op.clone(), slice::from_ref(&x))?, self.op(NormalizeGrad(op), &[x.clone(), row, x])?])
    }

    /// The largest of each 2 by 2 pixels of images of [`POOLED`], and its gradient. The bytes are the least that either moves: each
    /// operand once.
    ///
    /// # Errors
    /// What the device reports.
    pub fn max_pool(&mut self) -> Result<[Timing; 2]> {
        let area = Area::Window(Window { strides: [2; 2], ..Window::new([2; 2]) });
        let x = Type::float(POOLED);
        let y = area.pooled("max_pool", &x)?;
        Ok([self.op(MaxPool(area), slice::from_ref(&x))?, self.op(MaxPoolGrad::new(area), &[x, y])?])
    }

    /// The forward pass of a convolution, its gradient with respect to the images and that with respect to the kernel. The bytes are
    /// the least that each moves: each operand once.
    ///
    /// # Errors
    /// What the device reports, or [`crate::Error::Shape`] where the kernel does not fit the images.
    pub fn convolution(&mut self, convolution: Convolution) -> Result<[Timing; 3]> {
        let Convolution { images: [batch, height, width, channels], size, filters, groups, .. } = convolution;
        let window = Window::new(size);
        let [rows, columns] = window.output("conv", [height, width])?;
        let x = Type::float([batch, height, width, channels]);
        let w = Type::float([size[0], size[1], channels / groups.max(1), filters]);
        let y = Type::float([batch, rows, columns, filters]);
        let (forward, backward) = (Conv::new(window, groups), Conv::transposed(window, groups, [height, width]));
        Ok([
            self.op(forward, &[x.clone(), w.clone()])?,
            self.op(backward, &[y.clone(), w])?,
            self.op(Conv { pass: Pass::Kernel, ..forward }, &[x, y])?,
        ])
    }

    fn copy(&mut self, len: usize) -> Result<Timing> {
        let ty = Type::float([len]);
        let mut g = Graph::new();
        let (x, y) = (g.leaf(Leaf::Input(0), ty.clone()), g.leaf(Leaf::Output(0), ty.clone()));
        g.effect(Copy, &[x], &[y])?;
        self.time(&g, &[ty])
    }

    fn time(&mut self, graph: &Graph, inputs: &[Type]) -> Result<Timing> {
        let plan = Plan::new("bench", graph, &Arena::default())?;
        self.executor.forget_plans()?;
        let random = inputs.iter().zip(0..).map(|(ty, seed)| case::random(ty.shape.clone(), seed));
        let loaded = load(&mut self.executor, &plan, random)?;
        let duration = median(self.round, self.patience, |runs| {
            self.executor.run(loaded, runs)?;
            self.executor.finish()
        })?;
        Ok(Timing { duration, flops: plan.flops(), bytes: plan.bytes_moved() })
    }
}

/// An op with its inputs on a device, ready to run again and again.
#[derive(Debug)]
pub struct Ready {
    executor: Executor,
    plan: usize,
}

impl Ready {
    /// Loads the op of a case; an effect's targets start from zeros.
    ///
    /// # Errors
    /// What the device reports, or [`crate::Error::Shape`] where the op does not take such inputs.
    pub fn new(device: &Device, case: &Case) -> Result<Self> {
        let mut executor = Executor::new(device)?;
        let plan = Plan::new(&case.label, &graph_of(case, 1)?.0, &Arena::default())?;
        let plan = load(&mut executor, &plan, case.inputs.iter())?;
        Ok(Self { executor, plan })
    }

    /// How long so many runs take.
    ///
    /// # Errors
    /// What the device reports.
    pub fn run(&mut self, times: usize) -> Result<Duration> {
        let start = Instant::now();
        self.executor.run(self.plan, times)?;
        self.executor.finish()?;
        Ok(start.elapsed())
    }
}

/// Loads a plan and writes its inputs; returns its plan's number.
fn load<T: Borrow<Tensor>>(executor: &mut Executor, plan: &Plan, inputs: impl Iterator<Item = T>) -> Result<usize> {
    let plan = executor.load(plan)?;
    for (i, input) in inputs.enumerate() {
        executor.write(BufferId::Input(i), input.borrow().values())?;
    }
    Ok(plan)
}

/// The median time of one run over several rounds of at least `round`, after a first one that is not counted; the second
/// one's alone where that passes `patience`.
fn median(round: Duration, patience: Duration, mut run: impl FnMut(usize) -> Result<()>) -> Result<Duration> {
    let mut timed = |runs: usize| -> Result<Duration> {
        let start = Instant::now();
        run(runs)?;
        Ok(start.elapsed())
    };
    timed(1)?;
    let mut runs = 1;
    let mut elapsed = timed(runs)?;
    if elapsed > patience {
        return Ok(elapsed);
    }
    while elapsed < round {
        // What is known so far says how many fit; not more than ten times as many, since it was a short look.
        let fit = round.as_secs_f64() / elapsed.as_secs_f64().max(1e-9) * runs as f64 * 1.1;
        runs = (fit.ceil() as usize).clamp(runs + 1, 10 * runs);
        elapsed = timed(runs)?;
    }
    let mut rounds = vec![elapsed];
    for _ in 1..ROUNDS {
        rounds.push(timed(runs)?);
    }
    rounds.sort_unstable();
    Ok(rounds[ROUNDS / 2] / runs as u32)
}

//! Loops on the CPU are compiled to vectors: those of optimizers, of activations, and of small products. One that is not takes several
//! times as long, which no test sees. `cargo bench --bench vectors` ends with an error that names it; it takes seconds, and
//! wants a machine that does little else.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use kiln::bench::Ready;
use kiln::nn::optimizer::{self, SCALARS};
use kiln::ops::activation::{Activate, Function};
use kiln::ops::case::{self, Case, random};
use kiln::ops::cpu::{Slice, SliceMut};
use kiln::ops::matmul::{MatMul, case_of};
use kiln::ops::softmax::Softmax;
use kiln::ops::{CpuArgs, CpuOp, Real};
use kiln::prelude::*;

/// So few that one thread goes through them.
const PARAMETERS: usize = 16_000;
/// Looks, of which the shortest counts: others may work beside.
const LOOKS: usize = 200;

/// The shortest of some looks.
fn shortest(look: impl FnMut(usize) -> Duration) -> Duration {
    (0..LOOKS).map(look).min().expect("some looks")
}

/// The time of RMSprop's loop where each number is seen by itself.
fn one_by_one() -> Duration {
    let vector = |seed| random([PARAMETERS], seed).values().to_f32();
    let (g, mut w, mut v) = (vector(1), vector(2), vec![0.0f32; PARAMETERS]);
    shortest(|_| {
        let start = Instant::now();
        for ((&g, w), v) in g.iter().zip(&mut w).zip(&mut v) {
            let g = black_box(g);
            *v = 0.9 * *v + 0.1 * g * g;
            *w -= 0.001 * g / (*v + 1e-7).sqrt();
        }
        black_box(&mut w);
        start.elapsed()
    })
}

/// The time of an optimizer's op on as many parameters.
fn update(optimizer: &dyn Optimizer) -> Duration {
    let row = optimizer.scalars(1).map(|scalar| scalar as f32).to_vec();
    let schedule = Tensor::new([1, SCALARS], row).expect("one row");
    let inputs = vec![random([PARAMETERS], 1), schedule, case::clock(0, 0)];
    let targets = (0..=optimizer.moments()).map(|i| random([PARAMETERS], 2 + i as u64)).collect();
    let case = Case { op: optimizer.update(), ..Case::new("optimizer", Softmax, inputs).changes(targets) };
    let mut ready = Ready::new(&Device::cpu(), &case).expect("an optimizer");
    shortest(|_| ready.run(8).expect("an update") / 8)
}

/// Those that take a root and a quotient of each number, whose cost no other work hides: four or more fit a vector on
/// every processor, so that a loop takes a quarter of the time at most. Half is asked for.
fn optimizers() -> Vec<String> {
    let single = one_by_one();
    let slow = |name: &str| {
        let vectors = update(&*optimizer::by_name(name).expect("an optimizer"));
        println!("{name}: {vectors:?}, RMSprop number by number {single:?}");
        (vectors >= single / 2).then(|| name.to_string())
    };
    ["rmsprop", "adam", "adamw", "adagrad", "adadelta", "nadam"].into_iter().filter_map(slow).collect()
}

/// The time of an activation of numbers, each by itself and by its op.
fn activation(function: Function) -> [Duration; 2] {
    let case = Case::new("activation", Activate(function), vec![random([PARAMETERS], 3)]);
    let (io, x) = (case.io().expect("an activation"), case.inputs[0].values().to_f32());
    let mut y = vec![0.0; PARAMETERS];
    let single = shortest(|_| {
        let start = Instant::now();
        y.iter_mut().zip(&x).for_each(|(y, &x)| *y = black_box(function.of(black_box(x))));
        start.elapsed()
    });
    let vectors = shortest(|_| {
        let start = Instant::now();
        let (inputs, outputs) = (&[Slice::Real(&x)], &mut [SliceMut::Real(&mut y)]);
        Activate(function).cpu(CpuArgs { io: &io, inputs, outputs });
        start.elapsed()
    });
    [single, vectors]
}

/// Those that recurrent layers have: a loop that does not become part of what is compiled for the processor's vectors takes twice as
/// long and more.
fn activations() -> Vec<String> {
    let slow = |function: Function| {
        let [single, vectors] = activation(function);
        println!("{}: {vectors:?}, number by number {single:?}", function.name());
        (vectors >= single / 3).then(|| function.name().to_string())
    };
    [Function::Sigmoid, Function::Tanh].into_iter().filter_map(slow).collect()
}

/// The time of a product on one thread, in f32 or f64.
fn product<T: Real>(case: &Case) -> Duration
where
    MatMul: CpuOp<T>,
{
    let io = case.io().expect("a product");
    let floats = |tensor: &Tensor| tensor.values().to_f64().into_iter().map(T::of).collect::<Vec<_>>();
    let (a, b) = (floats(&case.inputs[0]), floats(&case.inputs[1]));
    let mut y = vec![T::zero(); io.outputs[0].shape.len()];
    let op = (&*case.op as &dyn std::any::Any).downcast_ref::<MatMul>().expect("a product");
    shortest(|_| {
        let start = Instant::now();
        let (inputs, outputs) = (&[Slice::Real(&a), Slice::Real(&b)], &mut [SliceMut::Real(&mut y)]);
        op.cpu(CpuArgs { io: &io, inputs, outputs });
        start.elapsed()
    })
}

/// Each width of a strip, then either operand transposed. The library's product in f64 takes twice what it takes in f32; a
/// call within the innermost loop of the kernels for f32, where the compiler does not inline what it should, five times.
fn products() -> Vec<String> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    let shapes = [
        ([48, 64, 256], false, false),
        ([48, 48, 256], false, false),
        ([48, 32, 256], false, false),
        ([48, 16, 256], false, false),
        ([48, 100, 256], false, false),
        ([96, 64, 128], true, false),
        ([64, 96, 256], false, true),
    ];
    let slow = |(extents, trans_a, trans_b)| {
        let case = case_of(MatMul::new(trans_a, trans_b), extents, 1);
        let (kernel, library) = pool.install(|| (product::<f32>(&case), product::<f64>(&case)));
        println!("{}: {kernel:?}, by the library in f64 {library:?}", case.label);
        (kernel >= library).then_some(case.label)
    };
    shapes.into_iter().filter_map(slow).collect()
}

fn main() -> ExitCode {
    let slow = [optimizers(), activations(), products()].concat();
    if slow.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("not made of vectors: {}", slow.join(", "));
    ExitCode::FAILURE
}

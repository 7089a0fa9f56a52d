//! Loops on the CPU are compiled to vectors: those of optimizers, of activations and softmax, and of small products. One that is not
//! takes several times as long, which no test sees. `cargo bench --bench vectors` ends with an error that names it; it takes seconds,
//! and wants a machine that does little else.

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kiln::bench::Ready;
use kiln::nn::optimizer::{self, SCALARS};
use kiln::ops::activation::{Activate, Function};
use kiln::ops::case::{self, Case, random};
use kiln::ops::cpu::{Slice, SliceMut};
use kiln::ops::curve::{Bend, BendGrad, Curve};
use kiln::ops::log_softmax::LogSoftmax;
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

/// The time of a case's op, in f32 or f64.
fn time_of<T: Real, O: CpuOp<T> + 'static>(case: &Case) -> Duration {
    let io = case.io().expect("an op and its inputs");
    let floats = |tensor: &Tensor| tensor.values().to_f64().into_iter().map(T::of).collect::<Vec<_>>();
    let inputs: Vec<Vec<T>> = case.inputs.iter().map(floats).collect();
    let inputs: Vec<Slice<'_, T>> = inputs.iter().map(|input| Slice::Real(input)).collect();
    let mut y = vec![T::zero(); io.outputs[0].shape.len()];
    let op = (&*case.op as &dyn std::any::Any).downcast_ref::<O>().expect("the op of the case");
    shortest(|_| {
        let start = Instant::now();
        op.cpu(CpuArgs { io: &io, inputs: &inputs, outputs: &mut [SliceMut::Real(&mut y)] });
        start.elapsed()
    })
}

/// Those that take an exponential, which the processor's library has in f64, number by number: a loop in f32 that does not become part of
/// what is compiled for the processor's vectors takes as long.
fn activations() -> Vec<String> {
    let numbers = || vec![random([PARAMETERS], 3)];
    let slower = |name: String, times: u32, [single, vectors]: [Duration; 2]| {
        println!("{name}: {vectors:?}, number by number in f64 {single:?}");
        (vectors >= single / times).then_some(name)
    };
    let slow = |name: String, times| slower(name, 3, times);
    let functions = [Function::Sigmoid, Function::Tanh, Function::Elu { alpha: 1.0 }].into_iter().filter_map(|f| {
        let case = Case::new("activation", Activate(f), numbers());
        slow(f.name().to_string(), [time_of::<f64, Activate>(&case), time_of::<f32, Activate>(&case)])
    });
    let curves = [Curve::Gelu, Curve::GeluTanh, Curve::Silu, Curve::Mish, Curve::Softplus].into_iter().flat_map(|f| {
        let case = Case::new("curve", Bend(f), numbers());
        let gradient = Case::new("its gradient", BendGrad(f), [numbers(), numbers()].concat());
        [
            // In f32 gelu takes two exponentials and a series.
            slower(format!("{f:?}"), 2, [time_of::<f64, Bend>(&case), time_of::<f32, Bend>(&case)]),
            slow(
                format!("{f:?}'s gradient"),
                [time_of::<f64, BendGrad>(&gradient), time_of::<f32, BendGrad>(&gradient)],
            ),
        ]
    });
    let rows = Case::new("rows", Softmax, vec![random([160, 100], 3)]);
    let logarithms = Case { op: Arc::new(LogSoftmax), ..rows.clone() };
    // Beside the exponentials they take the largest and the sum.
    let of_rows = [
        slower("softmax".into(), 2, [time_of::<f64, Softmax>(&rows), time_of::<f32, Softmax>(&rows)]),
        slower(
            "log_softmax".into(),
            2,
            [time_of::<f64, LogSoftmax>(&logarithms), time_of::<f32, LogSoftmax>(&logarithms)],
        ),
    ];
    functions.chain(curves.flatten()).chain(of_rows.into_iter().flatten()).collect()
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
        let (kernel, library) = pool.install(|| (time_of::<f32, MatMul>(&case), time_of::<f64, MatMul>(&case)));
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

//! Optimizers' loops are compiled to vectors: one that is not takes as long as a loop over single numbers, which no
//! other test would see.

use std::hint::black_box;
use std::time::{Duration, Instant};

use kiln::bench::Ready;
use kiln::nn::optimizer::{self, SCALARS};
use kiln::ops::case::{self, Case, random};
use kiln::ops::softmax::Softmax;
use kiln::prelude::*;

/// So few that one thread goes through them.
const PARAMETERS: usize = 16_000;
/// Looks, of which the shortest counts: others may work beside.
const LOOKS: usize = 200;

/// The time of RMSprop's loop where each number is seen by itself.
fn one_by_one() -> Duration {
    let vector = |seed| random([PARAMETERS], seed).values().to_f32();
    let (g, mut w, mut v) = (vector(1), vector(2), vec![0.0f32; PARAMETERS]);
    let look = |_| {
        let start = Instant::now();
        for ((&g, w), v) in g.iter().zip(&mut w).zip(&mut v) {
            let g = black_box(g);
            *v = 0.9 * *v + 0.1 * g * g;
            *w -= 0.001 * g / (*v + 1e-7).sqrt();
        }
        black_box(&mut w);
        start.elapsed()
    };
    (0..LOOKS).map(look).min().expect("some looks")
}

/// The time of an optimizer's op on as many parameters.
fn time(optimizer: &dyn Optimizer) -> Duration {
    let row = optimizer.scalars(1).map(|scalar| scalar as f32).to_vec();
    let inputs = vec![random([PARAMETERS], 1), Tensor::new([1, SCALARS], row).unwrap(), case::clock(0, 0)];
    let targets = (0..=optimizer.moments()).map(|i| random([PARAMETERS], 2 + i as u64)).collect();
    let case = Case { op: optimizer.update(), ..Case::new("optimizer", Softmax, inputs).changes(targets) };
    let mut ready = Ready::new(&Device::cpu(), &case).unwrap();
    (0..LOOKS).map(|_| ready.run(8).unwrap() / 8).min().expect("some looks")
}

/// Those that take a root and a quotient of each number, whose cost no other work hides: four or more fit a vector on
/// every processor, so that a loop takes a quarter of the time at most. Half is asked for.
#[test]
fn loops_of_optimizers_are_vectors() {
    let single = one_by_one();
    for name in ["rmsprop", "adam", "adamw", "adagrad", "adadelta", "nadam"] {
        let vectors = time(&*optimizer::by_name(name).unwrap());
        assert!(vectors < single / 2, "{name} takes {vectors:?}, RMSprop number by number {single:?}");
    }
}

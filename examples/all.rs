//! Every example in one program, which runs the example that it is called by the name of.
//!
//! The tests run the examples so: one program links in a twentieth of the time that twenty take.
//! By hand: `cargo build --example all`, then a link `softmax` to `target/debug/examples/all` runs the example `softmax`.
#![allow(clippy::duplicate_mod, reason = "each example has examples/common as a module of its own")]

use std::path::Path;

macro_rules! examples {
    ($($name:ident in $file:literal),* $(,)?) => {
        $(#[path = $file] mod $name;)*

        /// The `main` of the example of this name.
        fn example(name: &str) -> Option<fn() -> anyhow::Result<()>> {
            match name {
                $(stringify!($name) => Some($name::main),)*
                _ => None,
            }
        }
    };
}

examples! {
    airline in "airline.rs",
    autoencoder in "autoencoder.rs",
    constants in "constants.rs",
    convolution in "convolution.rs",
    custom_op in "custom_op.rs",
    exam in "exam.rs",
    fashion_autoencoder in "fashion_autoencoder.rs",
    fashion_dropout in "fashion_dropout.rs",
    fashion_early_stopping in "fashion_early_stopping.rs",
    fashion_logistic in "fashion_logistic.rs",
    fashion_named in "fashion_named.rs",
    fashion_optimizers in "fashion_optimizers.rs",
    fashion_relu in "fashion_relu.rs",
    fashion_residual in "fashion_residual.rs",
    fashion_resnet in "fashion_resnet.rs",
    fashion_sigmoid in "fashion_sigmoid.rs",
    fashion_softmax in "fashion_softmax.rs",
    hours in "hours.rs",
    memory in "memory.rs",
    mnist in "mnist.rs",
    mnist_99 in "mnist_99.rs",
    mnist_cnn in "mnist_cnn.rs",
    mnist_lstm in "mnist_lstm.rs",
    moby_lstm in "moby_lstm.rs",
    moby_transformer in "moby_transformer.rs",
    perceptron in "perceptron.rs",
    sequence_to_sequence in "sequence_to_sequence.rs",
    sequence_to_vector in "sequence_to_vector.rs",
    serve_load in "serve_load.rs",
    softmax in "softmax.rs",
    tensorboard in "tensorboard.rs",
    tensors in "tensors.rs",
    two_heads in "two_heads.rs",
    vector_to_sequence in "vector_to_sequence.rs",
    xor in "xor.rs",
    zoo in "zoo.rs",
}

fn main() -> anyhow::Result<()> {
    let program = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&program).file_stem().unwrap_or_default().to_string_lossy();
    match example(&name) {
        Some(main) => main(),
        None => anyhow::bail!("there is no example {name}: call this program by an example's name"),
    }
}

//! Fashion-MNIST by a small residual network: three stages of two blocks, each stage with smaller images of more channels.
//!
//! `cargo run --release --example fashion_resnet [-- --device NAME --limit N --epochs N]` trains on images that are flipped by chance,
//! in batches of 128, and prints the test accuracy.

mod common;

use kiln::nn::{Value, Values};
use kiln::prelude::*;

const BATCH: usize = 128;

/// A convolution without a bias: batch normalization has one.
fn convolved(x: impl Into<Values>, filters: usize, kernel: usize, strides: usize) -> Result<Value> {
    Conv2D::new(filters, kernel).strides(strides).padding("same").use_bias(false).apply(x)
}

fn normalized(x: impl Into<Values>, filters: usize, strides: usize) -> Result<Value> {
    BatchNormalization::new().apply(convolved(x, filters, 3, strides)?)
}

/// Two convolutions, to whose result what they were given is added.
fn block(x: &Value, filters: usize, strides: usize) -> Result<Value> {
    let inner = Activation::Relu.apply(normalized(x, filters, strides)?)?;
    let inner = normalized(inner, filters, 1)?;
    let short = if strides == 1 { x.clone() } else { convolved(x, filters, 1, strides)? };
    Activation::Relu.apply(Add.apply([short, inner])?)
}

fn model() -> Result<Model> {
    let pixels = Input::new([28, 28]).named("pixels");
    let images = Reshape::new([28, 28, 1]).apply(&pixels)?;
    let mut x = Activation::Relu.apply(normalized(RandomFlip::horizontal().apply(images)?, 16, 1)?)?;
    for (filters, strides) in [(16, 1), (16, 1), (32, 2), (32, 1), (64, 2), (64, 1)] {
        x = block(&x, filters, strides)?;
    }
    let features = GlobalAveragePooling2D::new().apply(x)?;
    Model::new(&pixels, Dense::new(10).activation("softmax").apply(features)?)
}

pub fn main() -> anyhow::Result<()> {
    let args = common::Args::read(8)?;
    let data = kiln::data::fashion_mnist()?;
    let train = data.train.head(args.limit);
    let rate = common::one_cycle(0.01, args.epochs * train.len().div_ceil(BATCH), 5);
    let mut model = model()?.device(args.device);
    model.compile(Scheduled::new(Adam::default(), rate), "sparse_categorical_crossentropy", ["accuracy"])?;
    print!("{}", model.summary()?);
    model.fit(&train, Fit::new().epochs(args.epochs).batch_size(BATCH))?;
    for (name, value) in model.evaluate(&data.test)?.iter() {
        println!("test {name}: {value:.4}");
    }
    Ok(())
}

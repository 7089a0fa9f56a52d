//! The nets that are no chain, and samples for all of them.

use crate::data::Dataset;
use crate::error::Result;
use crate::nn::layers::{
    Add, BatchNormalization, Conv2D, Dense, Embedding, GlobalAveragePooling2D, Input, Layer, LayerNormalization,
    MultiHeadAttention,
};
use crate::nn::{Activation, Model, Value};
use crate::random::{stream, uniform};
use crate::tensor::Tensor;

/// Tokens of a sample of [`words`].
pub const LENGTH: usize = 64;
/// How many tokens there are to choose from.
const WORDS: usize = 256;
/// The numbers that stand for a token.
const WIDTH: usize = 64;

/// Three stages of two blocks with batch normalization: of 16, 32 and 64 filters, the images half as large at each.
pub fn resnet() -> Result<Model> {
    let conv = |x: &Value, filters, kernel, strides| {
        Conv2D::new(filters, kernel).strides(strides).padding("same").use_bias(false).apply(x)
    };
    let normalized = |x: &Value, filters, strides| BatchNormalization::new().apply(conv(x, filters, 3, strides)?);
    let pixels = Input::new([28, 28, 1]);
    let mut x = Activation::Relu.apply(normalized(&pixels.value(), 16, 1)?)?;
    for (filters, strides) in [(16, 1), (16, 1), (32, 2), (32, 1), (64, 2), (64, 1)] {
        let inner = Activation::Relu.apply(normalized(&x, filters, strides)?)?;
        let inner = normalized(&inner, filters, 1)?;
        let short = if strides == 1 { x } else { conv(&x, filters, 1, strides)? };
        x = Activation::Relu.apply(Add.apply([short, inner])?)?;
    }
    let features = GlobalAveragePooling2D::new().apply(x)?;
    Model::new(&pixels, Dense::new(10).activation(Activation::Softmax).apply(features)?)
}

/// Two blocks of attention with four heads, each to the tokens before it, and of two dense layers; each sum is normalized.
pub fn transformer() -> Result<Model> {
    let added = |x: &Value, y: &Value| LayerNormalization::new().apply(Add.apply([x, y])?);
    let tokens = Input::new([LENGTH]);
    let mut x = Embedding::new(WORDS, WIDTH).apply(&tokens)?;
    for _ in 0..2 {
        let attended = MultiHeadAttention::new(4, WIDTH / 4).use_causal_mask(true).apply([&x, &x])?;
        x = added(&x, &attended)?;
        let wide = Dense::new(4 * WIDTH).activation(Activation::Relu).apply(&x)?;
        x = added(&x, &Dense::new(WIDTH).apply(&wide)?)?;
    }
    Model::new(&tokens, Dense::new(WORDS).activation(Activation::Softmax).apply(&x)?)
}

/// Pixels with something to learn in them: each class has a pattern of its own, under noise. Pixels without any would
/// leave most units of the hidden layer dead, and a dead unit's gradients cost some processors less, some more.
///
/// # Panics
/// Where there are no samples.
pub fn synthetic(samples: usize) -> Dataset {
    let mut rng = stream(0, "bench", 0);
    let mut bytes = |n: usize| -> Vec<u8> {
        let mut bytes = vec![0; n];
        rand::Rng::fill_bytes(&mut rng, &mut bytes);
        bytes
    };
    // A fifth of the pixels are lit, as in handwriting.
    let patterns: Vec<Vec<u8>> = (0..10).map(|_| bytes(784)).collect();
    let noise = bytes(samples * 784);
    let pixel = |i: usize| {
        let lit = patterns[i / 784 % 10][i % 784] < 51;
        if lit { 128 + noise[i] / 2 } else { noise[i] / 8 }
    };
    let x = Tensor::new([samples, 28, 28, 1], (0..samples * 784).map(pixel).collect::<Vec<u8>>());
    let y = Tensor::new([samples], (0..samples).map(|i| (i % 10) as u8).collect::<Vec<u8>>());
    Dataset::new(x.expect("a pixel an element"), y.expect("a label a sample")).expect("there are samples")
}

/// Series of ten classes, each of which has a frequency of its own in every number of a step, under noise.
///
/// # Panics
/// Where there are no samples.
pub fn waves(samples: usize, [steps, numbers]: [usize; 2]) -> Dataset {
    let noise = uniform(samples * steps * numbers, 0.5, 0, "bench waves", 0);
    let value = |i: usize| {
        let (sample, step, number) = (i / numbers / steps, i / numbers % steps, i % numbers);
        noise[i] + (0.05 * ((1 + sample % 10) * step) as f32 + number as f32).sin()
    };
    let x = Tensor::new([samples, steps, numbers], (0..noise.len()).map(value).collect::<Vec<f32>>());
    let y = Tensor::new([samples], (0..samples).map(|i| (i % 10) as u32).collect::<Vec<u32>>());
    Dataset::new(x.expect("a number an element"), y.expect("a label a sample")).expect("there are samples")
}

/// Tokens that go on by an equal stride within a sample, of ten strides, each with the token behind it.
///
/// # Panics
/// Where there are no samples.
pub fn words(samples: usize) -> Dataset {
    let tokens = |first: usize| {
        let token = |i: usize| ((7 * (i / LENGTH) + (first + i % LENGTH) * (1 + i / LENGTH % 10)) % WORDS) as u32;
        Tensor::new([samples, LENGTH], (0..samples * LENGTH).map(token).collect::<Vec<u32>>())
    };
    Dataset::new(tokens(0).expect("a token an element"), tokens(1).expect("one more each")).expect("there are samples")
}

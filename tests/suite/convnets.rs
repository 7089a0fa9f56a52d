//! Keras' own trajectories of nets of images and sequences (`scripts/golden-convnets`): the notes' CNN in small, residual blocks with
//! batch normalization, grouped and dilated convolutions, causal ones, transposed ones, depthwise and separable ones.

use kiln::nn::layers::{
    AveragePooling1D, AveragePooling2D, Conv1D, Conv1DTranspose, Conv2D, Conv2DTranspose, Cropping2D, DepthwiseConv1D,
    DepthwiseConv2D, GlobalAveragePooling2D, GlobalMaxPooling1D, MaxPooling2D, SeparableConv2D,
};
use kiln::nn::optimizer::Optimizer;
use kiln::nn::{Value, Values};
use kiln::prelude::*;

use crate::networks::{Net, follow_keras};

const TANH: Activation = Activation::Tanh;

fn chain(input: &[usize]) -> Sequential {
    Sequential::new().add(Input::new(input.to_vec()).named(if input.len() == 3 { "images" } else { "steps" }))
}

fn cnn() -> Result<Model> {
    let mut model = chain(&[8, 8, 1])
        .add(Conv2D::new(4, 3).activation("relu").named("conv_a"))
        .add(Conv2D::new(6, 3).activation("relu").named("conv_b"))
        .add(MaxPooling2D::new(2))
        .add(Flatten)
        .add(Dense::new(8).activation("relu").named("hidden"))
        .add(Dense::new(3).activation("softmax").named("kind"))
        .into_model();
    let adam = Adam { learning_rate: 0.007_812_5, ..Adam::default() };
    model.compile(adam, Loss::SparseCategoricalCrossentropy, [Metric::Accuracy])?;
    Ok(model)
}

/// A convolution of this size and strides without a bias, and the batch normalization behind it.
fn normalized(x: impl Into<Values>, filters: usize, [size, strides]: [usize; 2], name: &str) -> Result<Value> {
    let conv = Conv2D::new(filters, size).strides(strides).padding("same").use_bias(false);
    let y = conv.named(format!("{name}_conv")).apply(x)?;
    BatchNormalization::new().momentum(0.75).named(format!("{name}_norm")).apply(y)
}

fn resnet() -> Result<Model> {
    let x = Input::new([8, 8, 2]).named("images");
    let mut h = Activation::Relu.apply(normalized(&x, 4, [3, 1], "first")?)?;
    for (block, filters, strides) in [("a", 4, 1), ("b", 6, 2)] {
        let inner = Activation::Relu.apply(normalized(&h, filters, [3, strides], &format!("{block}_1"))?)?;
        let inner = normalized(&inner, filters, [3, 1], &format!("{block}_2"))?;
        let short = if strides == 1 { h } else { normalized(&h, filters, [1, strides], &format!("{block}_short"))? };
        h = Activation::Relu.apply(Add.apply([&inner, &short])?)?;
    }
    let h = GlobalAveragePooling2D::new().apply(h)?;
    let mut model = Model::new(&x, Dense::new(3).activation("softmax").named("kind").apply(h)?)?;
    let sgd = Sgd { learning_rate: 0.0625, momentum: 0.5, ..Sgd::default() };
    model.compile(sgd, Loss::SparseCategoricalCrossentropy, [Metric::Accuracy])?;
    Ok(model)
}

/// A chain that is trained by squared errors.
fn by_error(chain: Sequential, optimizer: impl Optimizer + 'static) -> Result<Model> {
    let mut model = chain.into_model();
    model.compile(optimizer, Loss::MeanSquaredError, [Metric::MeanAbsoluteError])?;
    Ok(model)
}

fn grouped() -> Result<Model> {
    let chain = chain(&[8, 7, 4])
        .add(Conv2D::new(6, 3).strides([2, 1]).padding("same").groups(2).activation(TANH).named("grouped"))
        .add(Conv2D::new(4, 2).dilation_rate([1, 2]).activation(TANH).named("dilated"))
        .add(AveragePooling2D::new(3).strides(2).padding("same"))
        .add(Flatten)
        .add(Dense::new(2).named("last"));
    by_error(chain, RmsProp { learning_rate: 0.007_812_5, ..RmsProp::default() })
}

fn causal() -> Result<Model> {
    let chain = chain(&[9, 3])
        .add(Conv1D::new(4, 3).padding("causal").dilation_rate(2).activation(TANH).named("causal"))
        .add(Conv1D::new(5, 2).strides(2).padding("same").activation(TANH).named("same"))
        .add(AveragePooling1D::new(2).strides(1).padding("same"))
        .add(GlobalMaxPooling1D::new())
        .add(Dense::new(2).named("last"));
    by_error(chain, Adam { learning_rate: 0.015_625, ..Adam::default() })
}

fn transposed() -> Result<Model> {
    let chain = chain(&[7, 8, 2])
        .add(Conv2D::new(4, 3).strides(2).padding("same").activation(TANH).named("down"))
        .add(Conv2D::new(3, 2).activation(TANH).named("code"))
        .add(Conv2DTranspose::new(4, 2).activation(TANH).named("back"))
        .add(Conv2DTranspose::new(3, [3, 4]).strides([1, 2]).padding("same").activation(TANH).named("wide"))
        .add(Conv2DTranspose::new(2, 2).strides([2, 1]).output_padding([1, 0]).use_bias(false).named("tall"))
        .add(Cropping2D::new([[1, 1], [0, 1]]).named("last"));
    by_error(chain, Adam { learning_rate: 0.03125, ..Adam::default() })
}

fn separable() -> Result<Model> {
    let chain = chain(&[8, 7, 3])
        .add(DepthwiseConv2D::new(3).depth_multiplier(2).padding("same").activation(TANH).named("depthwise"))
        .add(SeparableConv2D::new(5, 3).strides(2).padding("same").activation(TANH).named("separable"))
        .add(Flatten)
        .add(Dense::new(2).named("last"));
    by_error(chain, RmsProp { learning_rate: 0.007_812_5, ..RmsProp::default() })
}

fn steps() -> Result<Model> {
    let chain = chain(&[9, 3])
        .add(DepthwiseConv1D::new(2).strides(2).padding("same").activation(TANH).named("depthwise"))
        .add(Conv1DTranspose::new(3, 3).strides(2).padding("same").activation(TANH).named("back"))
        .add(Flatten)
        .add(Dense::new(2).named("last"));
    by_error(chain, Adam { learning_rate: 0.015_625, ..Adam::default() })
}

#[test]
fn nets_of_images_follow_keras() {
    let nets: [Net; 7] = [
        ("cnn", cnn),
        ("resnet", resnet),
        ("grouped", grouped),
        ("causal", causal),
        ("transposed", transposed),
        ("separable", separable),
        ("steps", steps),
    ];
    follow_keras("keras-convnets.json", &nets);
}

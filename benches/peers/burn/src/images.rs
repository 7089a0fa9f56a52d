//! Nets of convolutions: the notes' CNN, LeNet-5 and a small residual network.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{AdaptiveAvgPool2d, AdaptiveAvgPool2dConfig, MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

use crate::common::CLASSES;

/// Pixels of a row and of a column.
const SIDE: usize = 28;

#[derive(Module, Debug)]
pub struct Cnn {
    first: Conv2d,
    second: Conv2d,
    pool: MaxPool2d,
    quarter: Dropout,
    hidden: Linear,
    half: Dropout,
    output: Linear,
}

impl Cnn {
    pub fn new(device: &Device) -> Self {
        Self {
            first: Conv2dConfig::new([1, 32], [3, 3]).init(device),
            second: Conv2dConfig::new([32, 64], [3, 3]).init(device),
            pool: MaxPool2dConfig::new([2, 2]).init(),
            quarter: DropoutConfig::new(0.25).init(),
            hidden: LinearConfig::new(12 * 12 * 64, 128).init(device),
            half: DropoutConfig::new(0.5).init(),
            output: LinearConfig::new(128, CLASSES).init(device),
        }
    }

    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let x = relu(self.second.forward(relu(self.first.forward(images(x)))));
        let x = self.quarter.forward(self.pool.forward(x)).flatten(1, 3);
        self.output.forward(self.half.forward(relu(self.hidden.forward(x))))
    }
}

#[derive(Module, Debug)]
pub struct LeNet {
    first: Conv2d,
    second: Conv2d,
    pool: MaxPool2d,
    hidden: [Linear; 2],
    output: Linear,
}

impl LeNet {
    pub fn new(device: &Device) -> Self {
        Self {
            first: Conv2dConfig::new([1, 6], [5, 5]).with_padding(PaddingConfig2d::Same).init(device),
            second: Conv2dConfig::new([6, 16], [5, 5]).init(device),
            pool: MaxPool2dConfig::new([2, 2]).init(),
            hidden: [LinearConfig::new(5 * 5 * 16, 120), LinearConfig::new(120, 84)].map(|linear| linear.init(device)),
            output: LinearConfig::new(84, CLASSES).init(device),
        }
    }

    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let x = self.pool.forward(relu(self.first.forward(images(x))));
        let x = self.pool.forward(relu(self.second.forward(x))).flatten(1, 3);
        let x = self.hidden.iter().fold(x, |x, linear| relu(linear.forward(x)));
        self.output.forward(x)
    }
}

/// A convolution and batch normalization.
#[derive(Module, Debug)]
pub struct Normalized {
    conv: Conv2d,
    norm: BatchNorm,
}

impl Normalized {
    fn new(channels: [usize; 2], stride: usize, device: &Device) -> Self {
        let norm = BatchNormConfig::new(channels[1]).with_epsilon(1e-3).with_momentum(0.01);
        Self { conv: conv(channels, 3, stride, device), norm: norm.init(device) }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.norm.forward(self.conv.forward(x))
    }
}

#[derive(Module, Debug)]
pub struct Block {
    first: Normalized,
    second: Normalized,
    short: Option<Conv2d>,
}

impl Block {
    fn new([channels, filters]: [usize; 2], stride: usize, device: &Device) -> Self {
        Self {
            first: Normalized::new([channels, filters], stride, device),
            second: Normalized::new([filters, filters], 1, device),
            short: (stride > 1).then(|| conv([channels, filters], 1, stride, device)),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let inner = self.second.forward(relu(self.first.forward(x.clone())));
        let short = match &self.short {
            Some(conv) => conv.forward(x),
            None => x,
        };
        relu(short + inner)
    }
}

#[derive(Module, Debug)]
pub struct ResNet {
    first: Normalized,
    blocks: Vec<Block>,
    pool: AdaptiveAvgPool2d,
    output: Linear,
}

impl ResNet {
    pub fn new(device: &Device) -> Self {
        let blocks = [([16, 16], 1), ([16, 16], 1), ([16, 32], 2), ([32, 32], 1), ([32, 64], 2), ([64, 64], 1)];
        Self {
            first: Normalized::new([1, 16], 1, device),
            blocks: blocks.into_iter().map(|(channels, stride)| Block::new(channels, stride, device)).collect(),
            pool: AdaptiveAvgPool2dConfig::new([1, 1]).init(),
            output: LinearConfig::new(64, CLASSES).init(device),
        }
    }

    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let x = relu(self.first.forward(images(x)));
        let x = self.blocks.iter().fold(x, |x, block| block.forward(x));
        self.output.forward(self.pool.forward(x).flatten(1, 3))
    }
}

/// Of (batch, 784) the images, which burn has with channels first.
fn images(x: Tensor<2>) -> Tensor<4> {
    let [batch, _] = x.dims();
    x.reshape([batch, 1, SIDE, SIDE])
}

/// A convolution without a bias, which makes images smaller by its stride alone.
fn conv(channels: [usize; 2], kernel: usize, stride: usize, device: &Device) -> Conv2d {
    let config = Conv2dConfig::new(channels, [kernel; 2]).with_stride([stride; 2]);
    config.with_padding(PaddingConfig2d::Same).with_bias(false).init(device)
}

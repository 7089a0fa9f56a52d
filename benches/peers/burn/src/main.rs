//! Burn: its CPU backend flex, or wgpu with fusion and autotuning.

#[path = "../../common.rs"]
mod common;
mod images;
mod sequences;

use burn::module::Module;
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer, RmsPropConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};
use common::{CLASSES, LENGTH, PIXELS, Product, Result, Runs, SCORED, SERIES};
use images::{Cnn, LeNet, ResNet};
use sequences::{Recurrent, Transformer};

#[cfg(feature = "flex")]
fn device() -> Device {
    Device::flex()
}

#[cfg(not(feature = "flex"))]
fn device() -> Device {
    Device::wgpu(Default::default())
}

#[derive(Module, Debug)]
struct Mlp {
    hidden: Linear,
    output: Linear,
}

impl Mlp {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.output.forward(relu(self.hidden.forward(x)))
    }
}

#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one")]
enum Net {
    Mlp(Mlp),
    Cnn(Cnn),
    LeNet(LeNet),
    ResNet(ResNet),
    Recurrent(Recurrent),
    Transformer(Transformer),
}

impl Net {
    /// Numbers of a sample of the net of this name.
    fn width(name: &str) -> usize {
        match name {
            "lstm50" => SERIES[0] * SERIES[1],
            "transformer" => LENGTH,
            _ => PIXELS,
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Mlp(net) => net.forward(x),
            Self::Cnn(net) => net.forward(x),
            Self::LeNet(net) => net.forward(x),
            Self::ResNet(net) => net.forward(x),
            Self::Recurrent(net) => net.forward(x),
            Self::Transformer(net) => net.forward(x),
        }
    }
}

struct Burn {
    device: Device,
    /// Numbers of a sample.
    width: usize,
    /// Taken while a step updates it.
    model: Option<Net>,
    optimizer: ModuleOptimizer,
    criterion: CrossEntropyLoss,
    loss: Option<Tensor<1>>,
}

impl Burn {
    fn training(device: Device, width: usize, model: Net, optimizer: ModuleOptimizer) -> Self {
        let criterion = CrossEntropyLossConfig::new().init(&device);
        Self { device, width, model: Some(model), optimizer, criterion, loss: None }
    }

    fn samples(&self, x: Vec<f32>) -> Tensor<2> {
        let rows = x.len() / self.width;
        Tensor::from_data(TensorData::new(x, [rows, self.width]), &self.device)
    }
}

impl common::Peer for Burn {
    const NAME: &'static str = if cfg!(feature = "flex") { "burn-flex" } else { "burn-wgpu" };

    fn new(hidden: usize, _: usize) -> Result<Self> {
        let device = device().autodiff();
        let model = Mlp {
            hidden: LinearConfig::new(PIXELS, hidden).init(&device),
            output: LinearConfig::new(hidden, CLASSES).init(&device),
        };
        let optimizer = RmsPropConfig::new().with_alpha(0.9).with_momentum(0.0).with_epsilon(1e-7).init();
        Ok(Self::training(device, PIXELS, Net::Mlp(model), optimizer))
    }

    fn of_name(net: &str) -> Result<Self> {
        let device = device().autodiff();
        let model = match net {
            "cnn" => Net::Cnn(Cnn::new(&device)),
            "lenet" => Net::LeNet(LeNet::new(&device)),
            "resnet" => Net::ResNet(ResNet::new(&device)),
            "lstm" => Net::Recurrent(Recurrent::lstm([28, 28], &device)),
            "gru" => Net::Recurrent(Recurrent::gru([28, 28], &device)),
            "simple_rnn" => Net::Recurrent(Recurrent::simple([28, 28], &device)),
            "lstm50" => Net::Recurrent(Recurrent::lstm(SERIES, &device)),
            "transformer" => Net::Transformer(Transformer::new(&device)),
            _ => return Err(format!("there is no net {net}").into()),
        };
        Ok(Self::training(device, Net::width(net), model, AdamConfig::new().with_epsilon(1e-7).init()))
    }

    fn step(&mut self, x: Vec<f32>, y: &[u8]) -> Result<()> {
        let x = self.samples(x);
        let y: Vec<i32> = y.iter().map(|&label| label.into()).collect();
        let rows = y.len();
        let y: Tensor<1, Int> = Tensor::from_data(TensorData::new(y, [rows]), &self.device);
        let model = self.model.take().ok_or("an earlier step failed")?;
        let loss = self.criterion.forward(model.forward(x), y);
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        self.model = Some(self.optimizer.step(1e-3, model, gradients));
        self.loss = Some(loss);
        Ok(())
    }

    fn loss(&mut self) -> Result<f32> {
        let loss = self.loss.clone().ok_or("there was no step")?;
        let value = loss.into_data().try_to_vec::<f32>()?[0];
        self.device.sync()?;
        Ok(value)
    }

    fn scores(&mut self, x: Vec<f32>) -> Result<Vec<f32>> {
        assert_eq!(x.len(), SCORED * PIXELS);
        let model = self.model.as_ref().ok_or("a step failed")?;
        Ok(model.forward(self.samples(x)).into_data().try_to_vec()?)
    }

    fn product(product: &Product) -> Result<Runs> {
        let device = device();
        let ([a_shape, b_shape], [a, b]) = (product.shapes(), product.operands());
        let stored = |values, shape: [usize; 2]| Tensor::<2>::from_data(TensorData::new(values, shape), &device);
        let (a, b) = (stored(a, a_shape), stored(b, b_shape));
        // Views, as its own gradients of a product are made of.
        let a = if product.transposed[0] { a.transpose() } else { a };
        let b = if product.transposed[1] { b.transpose() } else { b };
        device.sync()?;
        Ok(Box::new(move |count| {
            for _ in 0..count {
                let _y = a.clone().matmul(b.clone());
            }
            Ok(device.sync()?)
        }))
    }
}

fn main() -> Result<()> {
    common::run::<Burn>()
}

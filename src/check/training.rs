//! Steps of whole nets on a device against the reference: batches, losses, gradients and weights.

use super::Finding;
use super::ops::relative_error;
use crate::data::Dataset;
use crate::device::Device;
use crate::error::Result;
use crate::nn::layers::Dense;
use crate::nn::optimizer::{Adam, Optimizer, RmsProp, Sgd};
use crate::nn::{Activation, Loss, Sequential};
use crate::ops::Case;
use crate::ops::case::{integers, random};
use crate::ops::copy::Copy;
use crate::tensor::DType;
use crate::train::Fit;

/// A net and what it is trained on. Two batches and a half: the short last one has a plan of its own.
struct Net {
    label: &'static str,
    /// Of a sample, the hidden layers and the output.
    units: &'static [usize],
    activation: Activation,
    optimizer: fn() -> Box<dyn Optimizer>,
    batch: usize,
    pixels: bool,
}

const NETS: [Net; 4] = [
    Net {
        label: "12-17-9-3, tanh, momentum",
        units: &[12, 17, 9, 3],
        activation: Activation::Tanh,
        optimizer: || Box::new(Sgd { learning_rate: 0.1, momentum: 0.9, nesterov: true, ..Sgd::default() }),
        batch: 6,
        pixels: false,
    },
    Net {
        label: "13-31-5, relu, Adam",
        units: &[13, 31, 5],
        activation: Activation::Relu,
        optimizer: || Box::new(Adam::default()),
        batch: 16,
        pixels: false,
    },
    Net {
        label: "784-64-10, sigmoid, RMSprop, pixels",
        units: &[784, 64, 10],
        activation: Activation::Sigmoid,
        optimizer: || Box::new(RmsProp::default()),
        batch: 32,
        pixels: true,
    },
    Net {
        label: "784-512-10, tanh, SGD, pixels",
        units: &[784, 512, 10],
        activation: Activation::Tanh,
        optimizer: || Box::new(Sgd::default()),
        batch: 128,
        pixels: true,
    },
];

/// What a net's steps may be off, in ulps of a tensor's root mean square: three layers' sums of some hundred terms.
const ALLOWED: f64 = 256.0;

/// What the nets came to.
pub(super) fn findings(device: &Device) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for net in &NETS {
        let (found, wanted) = (net.train(device)?, net.train(&Device::reference())?);
        let ruler = Case::new(net.label, Copy, Vec::new()).ulps(ALLOWED - 2.0).sums(1);
        for ((what, found), (_, wanted)) in found.iter().zip(&wanted) {
            let result = ruler.compare(wanted, found);
            let relative = if result.is_ok() { relative_error(wanted, found) } else { 0.0 };
            let finding = Finding::of("training", format!("{}: {what}", net.label), result);
            findings.push(Finding { allowed: ruler.ulps, relative, elements: found.len(), ..finding });
        }
    }
    Ok(findings)
}

impl Net {
    /// The losses of three steps, and gradients and weights after the last.
    fn train(&self, device: &Device) -> Result<Vec<(String, Vec<f64>)>> {
        let (sample, classes) = (self.units[0], self.units[self.units.len() - 1]);
        let rows = 2 * self.batch + self.batch / 2;
        let x = match self.pixels {
            true => integers([rows, sample], 256, DType::U8, 5),
            false => random([rows, sample], 5),
        };
        let data = Dataset::new(x, integers([rows], classes as u32, DType::U32, 6))?;
        let hidden = self.units[1..self.units.len() - 1].iter();
        let mut model = hidden.fold(Sequential::new().seed(11).device(device.clone()), |model, &units| {
            model.add(Dense::new(units).activation(self.activation))
        });
        model = model.add(Dense::new(classes).activation(Activation::Softmax));
        model.compile((self.optimizer)(), Loss::SparseCategoricalCrossentropy, [])?;
        let history = model.fit(&data, Fit::new().batch_size(self.batch).verbose(0))?;
        let mut all = vec![("losses".to_string(), history.batch_losses().to_vec())];
        let paths = model.parameter_paths()?;
        for (kind, tensors) in [("gradient", model.gradients()?), ("weights", model.weights()?)] {
            let named = paths.iter().zip(tensors);
            all.extend(named.map(|(path, t)| (format!("{kind} of {path}"), t.values().to_f64())));
        }
        Ok(all)
    }
}

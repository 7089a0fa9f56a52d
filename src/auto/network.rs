//! The networks that are tried, and the one that looks at nothing, which they are compared with.

use super::Settings;
use super::task::{Kind, Task};
use crate::data::{Dataset, Scaler, class_counts};
use crate::device::Device;
use crate::error::Result;
use crate::nn::layers::{Conv2D, Dense, Dropout, Flatten, MaxPooling2D, Normalization, Reshape};
use crate::nn::optimizer::Adam;
use crate::nn::{Activation, IntoMetrics, Model, Sequential};
use crate::tensor::{Tensor, Values};

impl Task {
    /// The network of some settings, compiled. It brings samples to mean 0 and deviation 1 by those of `train`; pictures are
    /// taken as they are.
    pub fn network(&self, settings: &Settings, train: &Dataset, metrics: impl IntoMetrics) -> Result<Sequential> {
        let scaling = settings.filters.is_empty().then(|| {
            let Scaler { center, scale } = Scaler::standardize(train);
            let variance: Vec<f64> = scale.iter().map(|scale| scale * scale).collect();
            Normalization::new().mean_and_variance(center, variance)
        });
        let mut model = self.layers(settings, scaling);
        model.set_target_scaler(self.target_scaler(train)?)?;
        let Settings { learning_rate, weight_decay, .. } = *settings;
        model.compile(Adam { learning_rate, weight_decay, ..Adam::default() }, self.loss(), metrics)?;
        Ok(model)
    }

    /// How many weights the network of some settings has.
    pub fn weights(&self, settings: &Settings) -> Result<usize> {
        let mut model = self.layers(settings, None);
        model.build(self.sample.clone())?;
        Ok(model.summary()?.parameters())
    }

    fn layers(&self, settings: &Settings, scaling: Option<Normalization>) -> Sequential {
        let dropped = |model: Sequential| match settings.dropout {
            rate if rate > 0.0 => model.add(Dropout::new(rate)),
            _ => model,
        };
        let mut model = Sequential::new();
        if let Some(picture) = self.picture.filter(|_| !settings.filters.is_empty()) {
            if self.sample.rank() < 3 {
                model = model.add(Reshape::new(picture.map(|extent| extent as isize)));
            }
            for &filters in &settings.filters {
                let convolution = Conv2D::new(filters, 3).padding("same").activation(settings.activation);
                model = model.add(convolution).add(MaxPooling2D::new(2));
            }
            model = dropped(model.add(Flatten));
        } else if self.sample.rank() != 1 {
            model = model.add(Flatten);
        }
        model = scaling.into_iter().fold(model, Sequential::add);
        for &units in &settings.hidden {
            model = dropped(model.add(Dense::new(units).activation(settings.activation)));
        }
        model.add(self.output())
    }

    fn output(&self) -> Dense {
        let output = Dense::new(self.outputs());
        match self.kind {
            Kind::Classes(_) => output.activation(Activation::Softmax),
            Kind::Values(_) => output,
        }
    }

    /// What predicts the same for every sample: each class with its share in `train`, or the mean.
    pub fn baseline(&self, train: &Dataset, metrics: impl IntoMetrics, device: Device) -> Result<Model> {
        let mut model = Sequential::new().add(Flatten).add(self.output()).device(device);
        model.compile("sgd", self.loss(), metrics)?;
        model.build(self.sample.clone())?;
        let outputs = self.outputs();
        let bias: Vec<f32> = match (self.kind, train.y().values()) {
            (Kind::Classes(classes), Values::U32(labels)) => {
                let counts = class_counts(labels, classes).into_iter();
                // As likely as half a sample, where there is none.
                counts.map(|count| libm::log((count as f64).max(0.5)) as f32).collect()
            }
            (_, values) => {
                let mut sums = vec![0.0; outputs];
                values.to_f64().iter().enumerate().for_each(|(at, value)| sums[at % outputs] += value);
                sums.iter().map(|sum| (sum / train.len() as f64) as f32).collect()
            }
        };
        let width = self.sample.iter().product::<usize>();
        model.set_weights(&[
            Tensor::new([width, outputs], vec![0.0f32; width * outputs])?,
            Tensor::new([outputs], bias)?,
        ])?;
        Ok(model.into_model())
    }
}

//! What a model gives for samples.

use super::{About, Built, Model, Network};
use crate::data;
use crate::device::blocking::block_on;
use crate::error::{Error, Result};
use crate::tensor::{Shape, Tensor};
use crate::train::evaluation;

impl Model {
    /// The model's output for each sample: (samples, ...), of `f32`, or of `f64` on the reference. Samples are scaled as those
    /// were that [`Model::fit`] had, by [`Model::input_scale`].
    ///
    /// # Errors
    /// As [`Model::fit`] and [`Model::input_scale`]; [`Error::Model`] where the model has several inputs or outputs:
    /// [`Model::predict_all`].
    pub fn predict(&mut self, x: &Tensor) -> Result<Tensor> {
        block_on(self.predict_async(x))
    }

    /// [`Model::predict`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub async fn predict_async(&mut self, x: &Tensor) -> Result<Tensor> {
        self.one_output()?;
        Ok(self.predict_all_async(&[x]).await?.remove(0))
    }

    /// The model's outputs, in their order, for samples of each input, in their order.
    ///
    /// # Errors
    /// As [`Model::fit`] and [`Model::input_scale`].
    pub fn predict_all(&mut self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        block_on(self.predict_all_async(inputs))
    }

    /// [`Model::predict_all`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Model::predict_all`].
    pub async fn predict_all_async(&mut self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        self.predict_scaled(&scaled(&self.about, inputs)?).await
    }

    /// [`Model::predict_all`] of samples each with what they are multiplied by.
    pub(super) async fn predict_scaled(&mut self, inputs: &[(&Tensor, f32)]) -> Result<Vec<Tensor>> {
        check_inputs(&self.network, inputs)?;
        self.build_for(samples(inputs))?;
        self.open().await?;
        let (session, model) = self.parts();
        evaluation::predict(session, &model, inputs).await
    }

    /// That the model has one output.
    pub(super) fn one_output(&self) -> Result<()> {
        one_output(&self.about, &self.network)
    }
}

/// That the model has one output.
pub(super) fn one_output(about: &About, network: &Network) -> Result<()> {
    if network.outputs.len() == 1 {
        return Ok(());
    }
    let names = network.output_names();
    Err(about.error(format!("has {} outputs ({}); call predict_all", names.len(), names.join(", "))))
}

/// The samples of each input with what they are multiplied by.
pub(super) fn scaled<'x>(about: &About, inputs: &[&'x Tensor]) -> Result<Vec<(&'x Tensor, f32)>> {
    inputs.iter().enumerate().map(|(i, &x)| Ok((x, about.scale_of_input(i, x)?))).collect()
}

/// That there are samples of each input, as many of one as of another.
pub(super) fn check_inputs(network: &Network, inputs: &[(&Tensor, f32)]) -> Result<()> {
    data::places("inputs", &vec![None; inputs.len()], &network.input_names())?;
    for &(x, scale) in inputs {
        if x.shape().is_scalar() || x.shape().is_empty() {
            return Err(Error::shape("predict", format!("expected one or more samples, was given {}", x.shape())));
        }
        if x.rows() != inputs[0].0.rows() {
            let message = format!("{} samples of one input, {} of another", inputs[0].0.rows(), x.rows());
            return Err(Error::shape("predict", message));
        }
        data::check_scale("with_scale", scale)?;
    }
    let names = network.input_names();
    for ((name, table), &(x, scale)) in names.iter().zip(network.tables()).zip(inputs) {
        let name = if names.len() > 1 { name } else { "x" };
        table.map_or(Ok(()), |table| table.check(name, x, scale))?;
    }
    Ok(())
}

/// The shape of a sample of each input.
pub(super) fn samples(inputs: &[(&Tensor, f32)]) -> Vec<Shape> {
    inputs.iter().map(|(x, _)| x.shape()[1..].to_vec().into()).collect()
}

/// That samples are of the shapes for which the model was built.
pub(super) fn check_shapes(about: &About, built: &Built, samples: &[Shape]) -> Result<()> {
    if built.samples == samples {
        return Ok(());
    }
    let list = |shapes: &[Shape]| shapes.iter().map(Shape::to_string).collect::<Vec<_>>().join(", ");
    let (own, given) = (list(&built.samples), list(samples));
    let message = format!("the model was built for samples of {own}, these are {given}");
    Err(Error::shape(format!("model {:?}", about.name), message))
}

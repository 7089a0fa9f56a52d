//! What a model gives for samples.

use super::Model;
use crate::data;
use crate::device::blocking::block_on;
use crate::error::{Error, Result};
use crate::tensor::Tensor;
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
        let mut scaled = Vec::with_capacity(inputs.len());
        for (i, &x) in inputs.iter().enumerate() {
            scaled.push((x, self.scale_of_input(i, x)?));
        }
        self.predict_scaled(&scaled).await
    }

    /// [`Model::predict_all`] of samples each with what they are multiplied by.
    pub(in crate::nn) async fn predict_scaled(&mut self, inputs: &[(&Tensor, f32)]) -> Result<Vec<Tensor>> {
        let names = self.network.input_names();
        data::places("inputs", &vec![None; inputs.len()], &names)?;
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
        self.build_for(inputs.iter().map(|(x, _)| x.shape()[1..].to_vec().into()).collect())?;
        self.open().await?;
        let (session, model) = self.parts();
        evaluation::predict(session, &model, inputs).await
    }

    /// That the model has one output.
    pub(in crate::nn) fn one_output(&self) -> Result<()> {
        let names = self.network.output_names();
        if names.len() == 1 {
            return Ok(());
        }
        Err(self.error(format!("has {} outputs ({}); call predict_all", names.len(), names.join(", "))))
    }
}

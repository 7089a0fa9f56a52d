//! Training by hand: a batch at a time, for loops that `fit` does not have.

use super::Model;
use crate::data::Dataset;
use crate::device::blocking::block_on;
use crate::error::Result;
use crate::tensor::Tensor;
use crate::train::{Logs, batch};

impl Model {
    /// One step of training on all samples of a set, which are one batch; returns the loss and the metrics of these samples, with the
    /// weights before the update. Step for step the same as [`Model::fit`] with these batches in this order. (In Keras 3
    /// metrics go on from call to call until `reset_metrics`.)
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let x = Tensor::from([[0.0f32], [1.0], [2.0], [3.0]]);
    /// let data = Dataset::new(x.clone(), &(&x * 2.0) + 1.0)?;
    /// let mut model = Sequential::new().add(Dense::new(1)).device(Device::cpu());
    /// model.compile(Sgd::new(0.1), "mse", [])?;
    /// let losses = (0..200).map(|_| Ok(model.train_on_batch(&data)?.get("loss").unwrap()));
    /// let losses = losses.collect::<Result<Vec<f64>>>()?;
    /// assert!(losses[0] > 1.0 && losses[199] < 0.001);
    /// assert!(model.test_on_batch(&data)?.get("loss").unwrap() < 0.001);
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Model::fit`]; [`crate::Error::Memory`] where the device does not hold the batch.
    pub fn train_on_batch(&mut self, batch: &Dataset) -> Result<Logs> {
        block_on(self.train_on_batch_async(batch))
    }

    /// [`Model::train_on_batch`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Model::train_on_batch`].
    pub async fn train_on_batch_async(&mut self, batch: &Dataset) -> Result<Logs> {
        self.check_source(batch)?;
        self.use_averages(false)?;
        self.open().await?;
        batch::train(self, batch).await
    }

    /// The loss and the metrics of a batch, without training: [`Model::evaluate`] under Keras' name.
    ///
    /// # Errors
    /// As [`Model::evaluate`].
    pub fn test_on_batch(&mut self, batch: &Dataset) -> Result<Logs> {
        self.evaluate(batch)
    }

    /// The gradients of the mean loss of a batch with respect to each weight, by the weights' names and in the order of
    /// [`Model::weights`]; nothing of the model changes. They are those that the next step on it would update by: as it
    /// trains, dropout included, and as the optimizer clips them, unless gradients are accumulated. Those of weights that are
    /// not trained are zeros.
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let data = Dataset::new(Tensor::from([[2.0f32]]), Tensor::from([[5.0f32]]))?;
    /// let mut model = Sequential::new().add(Dense::new(1).kernel_initializer("ones")).device(Device::cpu());
    /// model.compile("sgd", "mse", [])?;
    /// // d (2 k + b - 5)^2 at k = 1 and b = 0.
    /// let gradients = model.gradients_on_batch(&data)?;
    /// assert_eq!(gradients[0], ("dense/kernel".to_string(), Tensor::from([[-12.0f32]])));
    /// assert_eq!(gradients[1], ("dense/bias".to_string(), Tensor::from([-6.0f32])));
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Model::train_on_batch`].
    pub fn gradients_on_batch(&mut self, batch: &Dataset) -> Result<Vec<(String, Tensor)>> {
        block_on(self.gradients_on_batch_async(batch))
    }

    /// [`Model::gradients_on_batch`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Model::train_on_batch`].
    pub async fn gradients_on_batch_async(&mut self, batch: &Dataset) -> Result<Vec<(String, Tensor)>> {
        self.check_source(batch)?;
        self.open().await?;
        let gradients = batch::gradients(self, batch).await?;
        Ok(self.parameter_paths()?.into_iter().zip(gradients).collect())
    }
}

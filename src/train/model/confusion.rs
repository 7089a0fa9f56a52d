//! Which classes a model takes samples for.

use super::Model;
use crate::data::{self, Dataset};
use crate::device::blocking::block_on;
use crate::error::Result;
use crate::nn::ConfusionMatrix;

impl Model {
    /// Which classes the samples of each class are taken for. The model need not be compiled; it may be of one output, for
    /// two classes.
    ///
    /// # Errors
    /// As [`Model::predict`] and [`ConfusionMatrix::new`].
    pub fn confusion_matrix(&mut self, data: &Dataset) -> Result<ConfusionMatrix> {
        block_on(self.confusion_matrix_async(data))
    }

    /// [`Model::confusion_matrix`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Model::confusion_matrix`].
    pub async fn confusion_matrix_async(&mut self, data: &Dataset) -> Result<ConfusionMatrix> {
        self.one_output()?;
        let inputs = data::ordered("inputs", data.inputs(), &self.input_names())?;
        let scaled: Vec<_> = inputs.iter().map(|x| (x.tensor(), x.scale())).collect();
        let predictions = self.predict_scaled(&scaled).await?;
        ConfusionMatrix::new(&predictions[0], data.y())
    }
}

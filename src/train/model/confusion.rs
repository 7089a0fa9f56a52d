//! Which classes a model takes samples for.

use std::ops::Range;

use super::Model;
use crate::data::{self, Dataset, Source};
use crate::device::blocking::block_on;
use crate::error::Result;
use crate::nn::ConfusionMatrix;
use crate::train::evaluation;

impl Model {
    /// Which classes the samples of each class are taken for: those of a source are read a batch at a time. The model need not be
    /// compiled; it may be of one output, for two classes.
    ///
    /// # Errors
    /// As [`Model::predict`] and [`ConfusionMatrix::new`], and what the source returns.
    pub fn confusion_matrix(&mut self, data: &dyn Source) -> Result<ConfusionMatrix> {
        block_on(self.confusion_matrix_async(data))
    }

    /// [`Model::confusion_matrix`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Model::confusion_matrix`].
    pub async fn confusion_matrix_async(&mut self, data: &dyn Source) -> Result<ConfusionMatrix> {
        self.confused(data, 0..data.len()).await
    }

    /// [`Model::confusion_matrix`] of some rows.
    pub(crate) async fn confused(&mut self, data: &dyn Source, rows: Range<usize>) -> Result<ConfusionMatrix> {
        self.one_output()?;
        let at_once = evaluation::at_once(self.built()?);
        let batch = |first: usize| (first..rows.end.min(first + at_once)).collect::<Vec<_>>();
        let mut all = self.confused_at_once(&data.read(&batch(rows.start))?).await?;
        for first in rows.clone().step_by(at_once).skip(1) {
            all.add(&self.confused_at_once(&data.read(&batch(first))?).await?);
        }
        Ok(all)
    }

    async fn confused_at_once(&mut self, data: &Dataset) -> Result<ConfusionMatrix> {
        let inputs = data::ordered("inputs", data.inputs(), &self.input_names())?;
        let scaled: Vec<_> = inputs.iter().map(|x| (x.tensor(), x.scale())).collect();
        let predictions = self.predict_scaled(&scaled).await?;
        ConfusionMatrix::new(&predictions[0], data.y())
    }
}

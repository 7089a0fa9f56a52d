//! Trained models of tables, to be asked by record.

use std::path::Path;

use super::{Prediction, Preprocessor, Value};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::nn::Model;
use crate::tensor::Tensor;
use crate::train::Predictor;

/// A model that was trained on a table, to be asked by the names of its columns. Several threads may ask it at once; clones are the same
/// one.
///
/// ```
/// use kiln::data::Csv;
/// use kiln::prelude::*;
/// use kiln::table::{Prediction, TableModel, TableOptions};
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/exam.csv");
/// # let table = TableOptions::new(Csv::new().label("result")).test_split(0.3).open([path])?;
/// # let (preprocessor, split) = table.prepare(&table.split()?)?;
/// # let mut model = Sequential::new().add(Dense::new(2).activation("softmax")).device(Device::cpu());
/// # model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])?;
/// # model.fit(&split.train, Fit::new())?;
/// # preprocessor.keep(&mut model);
/// # let folder = std::env::temp_dir().join(format!("kiln-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let file = folder.join("exam.safetensors");
/// # model.save(&file)?;
/// let exam = TableModel::load(&file)?;
/// match exam.predict([("hours", 3.5)])? {
///     Prediction::Class { name, probabilities, .. } => println!("{name}, of {probabilities:?}"),
///     Prediction::Values(values) => println!("{values:?}"),
/// }
/// let both = exam.predict_all([[("hours", 3.5)], [("hours", 9.0)]])?;
/// assert_eq!(both.len(), 2);
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TableModel {
    preprocessor: Preprocessor,
    predictor: Predictor,
}

impl TableModel {
    /// The model of a file, on the processor: a record is answered there before a GPU has begun.
    ///
    /// # Errors
    /// Those of [`Model::load`]; [`Error::Format`] where the model was trained on no table.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mut model = Model::load(path)?.device(Device::cpu());
        let none = || {
            Error::format(path, "knows no table; `kiln train TABLE.csv --save` and Preprocessor::keep write what does")
        };
        let preprocessor = Preprocessor::of(&model)?.ok_or_else(none)?;
        Self::new(preprocessor, &mut model)
    }

    /// That of a model as it is now, on the device that it has, with what was kept of its table.
    ///
    /// # Errors
    /// Those of [`Model::predictor`]; [`Error::Shape`] where the model is not for such samples, or gives not as many outputs as the
    /// table has classes or targets.
    pub fn new(preprocessor: Preprocessor, model: &mut Model) -> Result<Self> {
        let (own, width) = (model.sample_shape()?, preprocessor.encoding().width());
        if own[..] != [width] {
            return Err(Error::shape(
                "TableModel",
                format!("the model takes samples of {own}, the table has ({width},)"),
            ));
        }
        let (outputs, classes) = (model.output_shape()?.clone(), preprocessor.classes().len());
        let wanted = if classes == 0 { preprocessor.targets().len() } else { classes };
        if outputs[..] != [wanted] && !(classes == 2 && outputs[..] == [1]) {
            return Err(Error::shape(
                "TableModel",
                format!("the model gives {outputs}, the table has {wanted} answers"),
            ));
        }
        Ok(Self { preprocessor, predictor: model.predictor()? })
    }

    /// What was kept of the table: columns, classes, targets.
    pub fn preprocessor(&self) -> &Preprocessor {
        &self.preprocessor
    }

    /// What the model says of a record, which has a value by name for each column.
    ///
    /// # Errors
    /// Those of [`Preprocessor::samples`].
    pub fn predict<N: Into<String>, V: Into<Value>>(
        &self,
        record: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Prediction> {
        Ok(self.predict_all([record])?.remove(0))
    }

    /// [`TableModel::predict`] of several records at once.
    ///
    /// # Errors
    /// As [`TableModel::predict`], with the number of the record, and where there are none.
    pub fn predict_all<R, N, V>(&self, records: impl IntoIterator<Item = R>) -> Result<Vec<Prediction>>
    where
        R: IntoIterator<Item = (N, V)>,
        N: Into<String>,
        V: Into<Value>,
    {
        self.predict_samples(&self.preprocessor.samples(records)?)
    }

    /// [`TableModel::predict`] of samples as [`Preprocessor::samples`] and [`Preprocessor::read_samples`] make them.
    ///
    /// # Errors
    /// Those of [`Model::predict`].
    pub fn predict_samples(&self, samples: &Tensor) -> Result<Vec<Prediction>> {
        self.preprocessor.predictions(&self.predictor.predict(samples)?)
    }
}

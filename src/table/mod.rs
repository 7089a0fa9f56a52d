//! Tables, from files to trained models: how rows become samples, kept with the model, and its answers in the table's own words.
//!
//! [`TableOptions`] opens a table. [`TableData`] says which of its rows are trained on and makes samples of them by a
//! [`Preprocessor`], which a model keeps: it does the same to further files and to records, and says in the table's own names and units
//! what the model gives.
//!
//! ```no_run
//! use kiln::data::Csv;
//! use kiln::prelude::*;
//! use kiln::table::{TableModel, TableOptions};
//!
//! let table = TableOptions::new(Csv::new().label("species")).standardize(true).open(["iris.csv"])?;
//! let (preprocessor, split) = table.prepare(&table.split()?)?;
//! let mut model = Sequential::new().add(Dense::new(3).activation("softmax"));
//! model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])?;
//! model.fit(&split.train, Fit::new().epochs(100).batch_size(32))?;
//! preprocessor.keep(&mut model);
//! model.save("iris.safetensors")?;
//!
//! let iris = TableModel::load("iris.safetensors")?;
//! let flower = [("sepal length", 5.1), ("sepal width", 3.5), ("petal length", 1.4), ("petal width", 0.2)];
//! println!("{:?}", iris.predict(flower)?);
//! # Ok::<(), kiln::Error>(())
//! ```

mod baseline;
mod files;
mod fill;
mod kept;
mod model;
mod options;
mod prediction;
mod preprocessor;
mod record;
mod report;

pub use baseline::Baseline;
pub use files::files;
pub use fill::FillMissing;
pub use model::TableModel;
pub use options::{ClassWeight, TableData, TableOptions};
pub use prediction::Prediction;
pub use preprocessor::{Preprocessor, TableRows, TableSamples};
pub use record::Value;
pub use report::{Column, DroppedRows, Report, TargetRange, Targets};

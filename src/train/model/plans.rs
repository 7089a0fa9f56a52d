//! The plans of a model's steps, before there is data.

use super::{Model, definition};
use crate::error::{Error, Result};
use crate::graph::Type;
use crate::plan::Plan;
use crate::tensor::{DType, Shape};
use crate::train::evaluation;
use crate::train::session::make_plan;
use crate::train::trace::{Key, Mode, Part, Resident};

impl Model {
    /// The plan of a training step on `rows` samples in batches: see `kiln plan`.
    ///
    /// # Errors
    /// [`Error::Model`] where the model was not built or compiled, [`Error::Shape`] where layers do not fit,
    /// [`Error::Argument`] where there are no samples.
    pub fn training_plan(&self, batch: usize, rows: usize) -> Result<Plan> {
        self.plan(Mode::Train, batch, rows)
    }

    /// The plan of a step of [`Model::evaluate`] over `rows` samples.
    ///
    /// # Errors
    /// As [`Model::training_plan`].
    pub fn evaluation_plan(&self, rows: usize) -> Result<Plan> {
        self.plan(Mode::Evaluate, evaluation::at_once(self.built()?).min(rows), rows)
    }

    /// The plan of a step on resting pixels.
    fn plan(&self, mode: Mode, batch: usize, rows: usize) -> Result<Plan> {
        if batch == 0 || rows == 0 {
            return Err(Error::argument(
                "batch",
                format!("{batch} of {rows} samples are no step; give 1 or more of each"),
            ));
        }
        let built = self.built()?;
        let model = definition(&self.about, &self.network, built, self.compiled.as_ref());
        if model.objectives.is_empty() {
            return Err(self.not_compiled());
        }
        let input = |sample: &Shape| {
            let x = Type { shape: [&[rows], &sample[..]].concat().into(), dtype: DType::U8 };
            (x, (1.0f64 / 255.0).to_bits())
        };
        let inputs = built.samples.iter().map(input).collect();
        let targets =
            model.objectives.iter().zip(&built.outputs).map(|(o, shape)| o.loss.targets(rows, shape)).collect();
        let source = Resident { column: 0, inputs, targets, weighted: false };
        let steps = rows.div_ceil(batch);
        let key = Key { mode, part: Part::All, source, batch, rows, steps, updates: mode == Mode::Train };
        make_plan(&model, &mut built.parameters.clone(), &key)
    }
}

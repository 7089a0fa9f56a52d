//! Targets that are scaled in training, and predictions in their own units.

use super::{About, Model};
use crate::data::Scaler;
use crate::device::blocking::block_on;
use crate::error::{Error, Result};
use crate::nn::Config;

/// The key in a model's configuration.
const SCALERS: &str = "target_scalers";

impl Model {
    /// Trains on scaled targets from here on, `None` on targets as they are: prices of some hundred thousand train as badly as
    /// samples do that are not scaled. Data keep their own units, and so do metrics and what the model predicts; the loss
    /// alone is of scaled targets. The scaler is kept in the model's file. Of several outputs it is for the first one:
    /// [`Model::set_target_scaler_of`].
    ///
    /// ```
    /// use kiln::data::Scaler;
    /// use kiln::prelude::*;
    /// let x = Tensor::from([[0.0f32], [1.0], [2.0]]);
    /// let prices = Tensor::from([[200_000.0f32], [300_000.0], [400_000.0]]);
    /// let data = Dataset::new(x.clone(), prices)?;
    /// let mut model = Sequential::new().add(Dense::new(1)).device(Device::cpu());
    /// model.set_target_scaler(Scaler::standardize_targets(&data)?)?;
    /// model.compile(Sgd::new(0.1), "mse", ["mae"])?;
    /// let history = model.fit(&data, Fit::new().epochs(200).verbose(0))?;
    /// assert!(history.get("loss")[199] < 1e-4 && history.get("mean_absolute_error")[0] > 10_000.0);
    /// assert!((model.predict(&x)?[[2, 0]] - 400_000.0).abs() < 2_000.0);
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] where a column's scale is 0 or a number is not finite; and what the device reports. That the
    /// scaler has a column for each number of the output is checked where the model runs.
    pub fn set_target_scaler(&mut self, scaler: impl Into<Option<Scaler>>) -> Result<()> {
        self.set_scaler(0, scaler.into())
    }

    /// [`Model::set_target_scaler`] of the output of this name.
    ///
    /// # Errors
    /// As there; [`Error::Argument`] that lists the names, where there is no such output.
    pub fn set_target_scaler_of(&mut self, output: &str, scaler: impl Into<Option<Scaler>>) -> Result<()> {
        let names = self.output_names();
        let Some(index) = names.iter().position(|name| name == output) else {
            return Err(Error::argument("output", crate::suggest::unknown(output, &names)));
        };
        self.set_scaler(index, scaler.into())
    }

    fn set_scaler(&mut self, output: usize, scaler: Option<Scaler>) -> Result<()> {
        let scaler = scaler.map(Scaler::checked).transpose()?;
        let scalers = &mut self.about.targets;
        scalers.resize(scalers.len().max(output + 1), None);
        scalers[output] = scaler;
        self.session.as_mut().map_or(Ok(()), |session| block_on(session.forget_trained()))
    }

    /// What the targets of an output are scaled by, counted from 0, where they are.
    pub fn target_scaler(&self, output: usize) -> Option<&Scaler> {
        self.about.target_scaler(output)
    }
}

impl About {
    /// [`Model::target_scaler`] of an output.
    pub(crate) fn target_scaler(&self, output: usize) -> Option<&Scaler> {
        self.targets.get(output).and_then(Option::as_ref)
    }
}

/// Adds what is known to a model's configuration.
pub(super) fn keep(scalers: &[Option<Scaler>], config: Config) -> Config {
    if scalers.iter().all(Option::is_none) { config } else { config.with(SCALERS, scalers.to_vec()) }
}

/// Takes it out of one.
pub(super) fn take(config: &mut Config) -> Result<Vec<Option<Scaler>>> {
    config.take_or(SCALERS, Vec::new())
}

//! The moving averages of a model's weights, where its optimizer keeps them: see [`Optimizer::use_ema`].

use super::{Loaded, Model};
use crate::error::{Error, Result};
use crate::nn::optimizer;
#[cfg(doc)]
use crate::nn::optimizer::Optimizer;
use crate::train::session::Average;

impl Model {
    /// The index of the averages among the optimizer's arenas.
    ///
    /// # Errors
    /// [`Error::Argument`] where it keeps none.
    pub(crate) fn average(&self) -> Result<usize> {
        let average = self.compiled.as_ref().and_then(|compiled| optimizer::average(&*compiled.optimizer));
        average.ok_or_else(|| {
            let message = "the optimizer keeps no averages of weights; compile with one of use_ema(true)";
            Error::argument("use_ema", message)
        })
    }

    /// Sees to it that the model has the averages for its weights, or the weights themselves; what it has not, its averages' place
    /// has.
    pub(crate) fn use_averages(&mut self, wanted: bool) -> Result<()> {
        if self.reached.averaged == wanted {
            return Ok(());
        }
        self.move_averages(&self.trained(), Average::Swapped)?;
        self.reached.averaged = wanted;
        Ok(())
    }

    /// Ends training, where averages are kept: the weights are their averages from here on, and those are kept, too.
    pub(crate) fn finalize(&mut self) -> Result<()> {
        if self.average().is_err() {
            return Ok(());
        }
        let averaged = std::mem::take(&mut self.reached.averaged);
        self.move_averages(&self.trained(), if averaged { Average::OfWeights } else { Average::ToWeights })
    }

    /// Which weights are trained; nothing where the model was not built.
    pub(super) fn trained(&self) -> Vec<bool> {
        self.built.get().map_or_else(Vec::new, |built| built.parameters.iter().map(|p| p.trainable).collect())
    }

    /// Where weights are trained that were not before: their averages begin with them.
    pub(super) fn begin_averages(&mut self, before: &[bool]) -> Result<()> {
        if self.average().is_err() {
            return Ok(());
        }
        let thawed: Vec<bool> = self.trained().iter().zip(before).map(|(now, before)| *now && !before).collect();
        self.move_averages(&thawed, Average::OfWeights)
    }

    /// Of some weights: where they are, on the device or still in what it is to have.
    fn move_averages(&mut self, which: &[bool], to: Average) -> Result<()> {
        let average = self.average()?;
        if let Some(session) = &mut self.session {
            return session.copy_average(which, to, average);
        }
        let Some(Loaded { weights, moments }) = &mut self.loaded else { return Ok(()) };
        // None where the model was compiled anew.
        let averages = moments.get_mut(average).into_iter().flatten();
        for ((weight, average), _) in weights.iter_mut().zip(averages).zip(which).filter(|(_, which)| **which) {
            match to {
                Average::ToWeights => weight.clone_from(average),
                Average::OfWeights => average.clone_from(weight),
                Average::Swapped => std::mem::swap(weight, average),
            }
        }
        Ok(())
    }
}

//! The moving averages of a model's weights, where its optimizer keeps them: see [`Optimizer::use_ema`].

use super::Model;
use crate::error::{Error, Result};
#[cfg(doc)]
use crate::nn::optimizer::Optimizer;
use crate::nn::{Parameter, optimizer};
use crate::train::session::{Average, Session};

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
        self.move_averages(Average::Swapped)?;
        self.reached.averaged = wanted;
        Ok(())
    }

    /// Ends training, where averages are kept: the weights are their averages from here on, and those are kept, too.
    pub(crate) fn finalize(&mut self) -> Result<()> {
        if self.average().is_err() {
            return Ok(());
        }
        let averaged = std::mem::take(&mut self.reached.averaged);
        self.move_averages(if averaged { Average::OfWeights } else { Average::ToWeights })
    }

    fn move_averages(&mut self, to: Average) -> Result<()> {
        let average = self.average()?;
        self.open()?;
        let trained = trained(&self.built()?.parameters, |p| p.trainable);
        self.parts().0.copy_average(trained.into_iter(), to, average)
    }

    /// Before the weights of a layer are trained that were not: their averages begin with them.
    pub(super) fn begin_averages(&mut self, layer: &str) -> Result<()> {
        let (Ok(average), Some(built)) = (self.average(), self.built.get()) else { return Ok(()) };
        let thawed = trained(&built.parameters, |p| p.layer == layer && !p.is_state && !p.trainable);
        if let Some(loaded) = &mut self.loaded
            && let Some(averages) = loaded.moments.get_mut(average)
        {
            let both = averages.iter_mut().zip(&loaded.weights).zip(&thawed);
            both.filter(|(_, thawed)| **thawed).for_each(|((average, weight), _)| average.clone_from(weight));
        }
        let copy = |session: &mut Session| session.copy_average(thawed.into_iter(), Average::OfWeights, average);
        self.session.as_mut().map_or(Ok(()), copy)
    }
}

/// For each parameter, whether it is one of those.
fn trained(parameters: &[Parameter], which: impl Fn(&Parameter) -> bool) -> Vec<bool> {
    parameters.iter().map(which).collect()
}

//! What a run of `fit` measured.

/// Names and values of one epoch, in the order in which they are printed: `loss`, the metrics, then the same of the
/// validation set with `val_` before them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Logs(Vec<(String, f64)>);

impl Logs {
    /// The value of this name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(n, _)| n == name).map(|&(_, value)| value)
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// Sets the value of this name, which goes to the end where it is new.
    pub(crate) fn set(&mut self, name: &str, value: f64) {
        match self.0.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_string(), value)),
        }
    }
}

/// The course of a run: values by epoch, and the loss of every batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    epochs: Vec<Logs>,
    batch_losses: Vec<f64>,
}

impl History {
    /// The values of each epoch.
    pub fn epochs(&self) -> &[Logs] {
        &self.epochs
    }

    /// One name's values by epoch, as Keras' `history.history["loss"]`; empty where there is no such name.
    pub fn get(&self, name: &str) -> Vec<f64> {
        self.epochs.iter().filter_map(|logs| logs.get(name)).collect()
    }

    /// The mean loss of every batch in the order trained, each before its update.
    pub fn batch_losses(&self) -> &[f64] {
        &self.batch_losses
    }

    /// Draws each value by epoch, the training's and the validation's together, as PNG or SVG: as the name ends.
    ///
    /// # Errors
    /// Those of [`crate::plot::check_path`].
    #[cfg(feature = "plot")]
    pub fn plot(&self, path: impl AsRef<std::path::Path>) -> crate::Result<()> {
        use crate::plot::{Chart, Panel};
        let mut chart = Chart::new("Training", "epoch");
        let logs = self.epochs.first().into_iter().flat_map(Logs::iter);
        for (name, _) in logs.filter(|(name, _)| !name.starts_with("val_")) {
            let panel = Panel::new(name).curve("training", &self.get(name));
            let validation = self.get(&format!("val_{name}"));
            chart = chart.panel(if validation.is_empty() { panel } else { panel.curve("validation", &validation) });
        }
        chart.save(path)
    }

    pub(crate) fn push(&mut self, logs: Logs, batch_losses: impl IntoIterator<Item = f64>) {
        self.epochs.push(logs);
        self.batch_losses.extend(batch_losses);
    }
}

//! What a run of `fit` measured.

/// Names and values of one epoch, in the order in which they are printed: `loss`, the metrics, then the same of the
/// validation set with `val_` before them.
///
/// ```
/// use kiln::prelude::*;
/// let mut model = Sequential::new().add(Dense::new(1)).device(Device::cpu());
/// model.compile("sgd", "mse", ["mae"])?;
/// let logs = model.evaluate(&Dataset::new(Tensor::from([[1.0f32]]), Tensor::from([[2.0f32]]))?)?;
/// for (name, value) in logs.iter() {
///     println!("{name}: {value:.4}");
/// }
/// assert!(logs.get("loss").is_some() && logs.get("accuracy").is_none());
/// # Ok::<(), kiln::Error>(())
/// ```
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
///
/// ```
/// use kiln::prelude::*;
/// let data = Dataset::new(Tensor::from([[1.0f32]]), Tensor::from([[2.0f32]]))?;
/// let mut model = Sequential::new().add(Dense::new(1)).device(Device::cpu());
/// model.compile("sgd", "mse", [])?;
/// let history = model.fit(&data, Fit::new().epochs(3).verbose(0))?;
/// let loss = history.get("loss");
/// assert!(loss.len() == 3 && loss[2] < loss[0]);
/// # Ok::<(), kiln::Error>(())
/// ```
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

    /// The mean loss of every batch in the order trained, each before its update: of every batch of this run, where an earlier
    /// one began its first epoch.
    pub fn batch_losses(&self) -> &[f64] {
        &self.batch_losses
    }

    /// Draws each value by epoch, the training's and the validation's together, as PNG or SVG: as the name ends.
    ///
    /// # Errors
    /// Those of [`crate::plot::check_path`].
    #[cfg(feature = "plot")]
    pub fn plot(&self, path: impl AsRef<std::path::Path>) -> crate::Result<()> {
        self.chart(None).save(path)
    }

    /// [`History::plot`] with a dot on the losses of the epoch whose weights the model has, counted from 1 in this run: what early
    /// stopping went back to.
    ///
    /// # Errors
    /// Those of [`crate::plot::check_path`].
    #[cfg(feature = "plot")]
    pub fn plot_best(&self, path: impl AsRef<std::path::Path>, epoch: usize) -> crate::Result<()> {
        self.chart(Some(epoch)).save(path)
    }

    #[cfg(feature = "plot")]
    fn chart(&self, best: Option<usize>) -> crate::plot::Chart {
        use crate::plot::{Chart, Panel};
        let mut chart = Chart::new("Training", "epoch");
        let logs = self.epochs.first().into_iter().flat_map(Logs::iter);
        for (name, _) in logs.filter(|(name, _)| !name.starts_with("val_")) {
            let mut panel = Panel::new(name).curve("training", &self.get(name));
            let validation = self.get(&format!("val_{name}"));
            if !validation.is_empty() {
                panel = panel.curve("validation", &validation);
            }
            if let Some(epoch) = best.filter(|_| name == "loss") {
                let values = if validation.is_empty() { self.get(name) } else { validation };
                let only = |(i, value)| if i + 1 == epoch { value } else { f64::NAN };
                let dot: Vec<f64> = values.into_iter().enumerate().map(only).collect();
                panel = panel.curve(format!("weights of epoch {epoch}"), &dot);
            }
            chart = chart.panel(panel);
        }
        chart
    }

    /// Every name, in the order in which they came.
    fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for (name, _) in self.epochs.iter().flat_map(Logs::iter) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// A table as text: a line of names, `epoch` first, then a line an epoch, from 1. What an epoch lacks is `NA`.
    pub fn to_csv(&self) -> String {
        let names = self.names();
        let lines = self.epochs.iter().zip(1..).map(|(logs, epoch)| csv_values(epoch, logs, &names, ','));
        std::iter::once(csv_header(&names, ',')).chain(lines).collect()
    }

    /// Keras' `history.history` as JSON: each name with the list of its values by epoch. What is not finite, or lacking, is
    /// null.
    pub fn to_json(&self) -> String {
        let list = |name: &str| {
            let values = self.epochs.iter().map(|logs| match logs.get(name) {
                Some(value) if value.is_finite() => value.to_string(),
                _ => "null".to_string(),
            });
            format!("{}: [{}]", json_string(name), values.collect::<Vec<_>>().join(", "))
        };
        format!("{{{}}}", self.names().into_iter().map(list).collect::<Vec<_>>().join(", "))
    }

    pub(crate) fn push(&mut self, logs: Logs, batch_losses: impl IntoIterator<Item = f64>) {
        self.epochs.push(logs);
        self.batch_losses.extend(batch_losses);
    }
}

/// The first line of a table of epochs.
pub(super) fn csv_header(names: &[&str], separator: char) -> String {
    let fields = std::iter::once("epoch").chain(names.iter().copied()).map(|name| csv_field(name, separator));
    fields.collect::<Vec<_>>().join(&separator.to_string()) + "\n"
}

/// An epoch's line of a table.
pub(super) fn csv_values(epoch: usize, logs: &Logs, names: &[&str], separator: char) -> String {
    let values = names.iter().map(|name| logs.get(name).map_or("NA".to_string(), |value| value.to_string()));
    std::iter::once(epoch.to_string()).chain(values).collect::<Vec<_>>().join(&separator.to_string()) + "\n"
}

/// A text in quotes where it could be taken for more than one field (RFC 4180).
fn csv_field(text: &str, separator: char) -> String {
    match text.contains([separator, '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_string(),
    }
}

/// A text as JSON has it.
fn json_string(text: &str) -> String {
    let escaped = text.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> History {
        let mut history = History::default();
        let epochs = [vec![("loss", 0.1), ("a,\"b\"\\\n", 1e-9)], vec![("loss", f64::NAN), ("later", f64::INFINITY)]];
        for epoch in epochs {
            let mut logs = Logs::default();
            epoch.into_iter().for_each(|(name, value)| logs.set(name, value));
            history.push(logs, []);
        }
        history
    }

    #[test]
    fn a_table_keeps_every_digit_and_quotes_names() {
        let text = "epoch,loss,\"a,\"\"b\"\"\\\n\",later\n1,0.1,0.000000001,NA\n2,NaN,NA,inf\n";
        assert_eq!(history().to_csv(), text);
        assert_eq!(History::default().to_csv(), "epoch\n");
    }

    #[test]
    fn json_has_null_for_what_is_no_number() {
        let text = r#"{"loss": [0.1, null], "a,\"b\"\\\u000a": [0.000000001, null], "later": [null, null]}"#;
        assert_eq!(history().to_json(), text);
        assert_eq!(History::default().to_json(), "{}");
    }
}

//! Layers of a model that drop masks.

use super::Model;
use crate::error::Result;

impl Model {
    /// A line for each layer that is given a mask and neither takes it nor lets it through, of which Keras warns. [`Model::fit`] prints
    /// them unless it is told to print nothing.
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let words = Embedding::new(100, 8).mask_zero(true);
    /// let model = Sequential::new().add(Input::new([5])).add(words).add(Flatten).add(Dense::new(1));
    /// let said = model.dropped_masks()?;
    /// assert!(said[0].starts_with("layer \"flatten\" (Flatten) drops the mask"));
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::Model`] where the model was not built.
    pub fn dropped_masks(&self) -> Result<Vec<String>> {
        let line = |(path, kind): (&str, &str)| {
            format!(
                "layer {path:?} ({kind}) drops the mask of its input: it does not take one, and layers behind it see none"
            )
        };
        Ok(self.built()?.dropped.iter().map(|dropped| line((&dropped.path, dropped.kind))).collect())
    }
}

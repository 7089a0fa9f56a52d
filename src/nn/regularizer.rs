//! Penalties on a layer's weights, <https://keras.io/api/layers/regularizers/>.

use super::{Config, Configured, KerasObject};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id};
use crate::ops::Op;
use crate::ops::binary::Binary;
use crate::ops::unary::Unary;

/// `l1 * sum |w| + l2 * sum w²`, added to the loss: Keras' `L1L2`, of which `L1` and `L2` have one part.
///
/// The loss that is logged has it, in training and in evaluation, as in Keras.
/// The gradient of `|w|` at 0 is 0; Keras on JAX has 1 there.
///
/// ```
/// use kiln::prelude::*;
/// let dense = Dense::new(1).kernel_initializer("ones").kernel_regularizer(Regularizer::l2(0.5));
/// let mut model = Sequential::new().add(dense).device(Device::cpu());
/// model.compile("sgd", "mse", [])?;
/// let data = Dataset::new(Tensor::from([[1.0f32, 2.0]]), Tensor::from([[3.0f32]]))?;
/// // No error, and half of 1² + 1².
/// assert_eq!(model.evaluate(&data)?.get("loss"), Some(1.0));
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Regularizer {
    /// What the sum of absolute values is multiplied by, 0 or more.
    pub l1: f64,
    /// What the sum of squares is multiplied by, 0 or more.
    pub l2: f64,
}

impl Regularizer {
    /// Absolute values alone; Keras' default is 0.01.
    pub fn l1(l1: f64) -> Self {
        Self { l1, l2: 0.0 }
    }

    /// Squares alone; Keras' default is 0.01.
    pub fn l2(l2: f64) -> Self {
        Self { l1: 0.0, l2 }
    }

    /// Both.
    pub fn l1_l2(l1: f64, l2: f64) -> Self {
        Self { l1, l2 }
    }

    /// The penalty of Keras' name with Keras' factor, 0.01: one of [`Regularizer::NAMES`].
    ///
    /// # Errors
    /// [`Error::Argument`] that lists the names, and the likeliest one.
    pub fn by_name(name: &str) -> Result<Self> {
        match name.to_lowercase().as_str() {
            "l1" => Ok(Self::l1(0.01)),
            "l2" => Ok(Self::l2(0.01)),
            "l1_l2" => Ok(Self::l1_l2(0.01, 0.01)),
            _ => Err(Error::argument("regularizer", crate::suggest::unknown(name, &Self::NAMES))),
        }
    }

    /// The names that [`Regularizer::by_name`] knows.
    pub const NAMES: [&str; 3] = ["l1", "l2", "l1_l2"];

    /// That both factors are numbers, 0 or more.
    pub(super) fn check(&self) -> Result<()> {
        for (name, factor) in [("l1", self.l1), ("l2", self.l2)] {
            if !(factor >= 0.0 && factor.is_finite()) {
                let message = format!("{factor} is no penalty; give a number of 0 or more, such as 0.01");
                return Err(Error::argument(format!("{name} of a regularizer"), message));
            }
        }
        Ok(())
    }

    /// The penalty as Keras serializes it: `L1` or `L2` where one part is 0, else `L1L2`.
    pub fn keras(self) -> KerasObject {
        let object = |class| KerasObject::new("keras.regularizers", class);
        match (self.l1 != 0.0, self.l2 != 0.0) {
            // Of this one alone Keras keeps the number in its own type.
            (true, false) => object("L1").with("l1", f64::from(self.l1 as f32)),
            (false, true) => object("L2").with("l2", self.l2),
            _ => object("L1L2").with("l1", self.l1).with("l2", self.l2),
        }
    }

    /// The losses of samples (batch,), each with the penalty of w added, so that their mean has it once.
    pub(crate) fn append(&self, g: &mut Graph, losses: Id, w: Id) -> Result<Id> {
        let losses = add(g, losses, w, self.l1, Unary::Abs)?;
        add(g, losses, w, self.l2, Unary::Square)
    }
}

/// Losses plus `factor * sum size(w)`.
fn add(g: &mut Graph, losses: Id, w: Id, factor: f64, size: impl Op) -> Result<Id> {
    if factor == 0.0 {
        return Ok(losses);
    }
    let sizes = g.apply(size, &[w])?;
    let penalty = g.sum_of_all(sizes, factor)?;
    g.apply(Binary::Add, &[losses, penalty])
}

impl Configured for Regularizer {
    fn config(&self) -> Config {
        Config::new("L1L2").with("l1", self.l1).with("l2", self.l2)
    }

    fn from_config(config: &mut Config) -> Result<Self> {
        let default = match config.class() {
            "L1L2" => Self::l1_l2(0.0, 0.0),
            name => Self::by_name(name).map_err(|_| {
                let known = [&Self::NAMES[..], &["L1L2"]].concat();
                Error::argument("regularizer", crate::suggest::unknown(name, &known))
            })?,
        };
        Ok(Self { l1: config.take_or("l1", default.l1)?, l2: config.take_or("l2", default.l2)? })
    }
}

//! How a layer's weight is made and held.

use crate::error::Result;
use crate::graph::Id;
use crate::nn::{Config, Constraint, Initializer, KerasObject, Regularizer, Scope};
use crate::tensor::Shape;

/// What a weight starts from, what its size adds to the loss, and within what it is held.
#[derive(Clone, Debug)]
pub(super) struct Weight {
    pub initializer: Initializer,
    pub regularizer: Option<Regularizer>,
    pub constraint: Option<Constraint>,
}

impl Weight {
    /// One that starts from this, and nothing else.
    pub fn new(initializer: Initializer) -> Self {
        Self { initializer, regularizer: None, constraint: None }
    }

    /// The settings of the weight of a name, taken out of `config`: `kernel_initializer` and its like.
    pub fn from_config(config: &mut Config, name: &str, default: Initializer) -> Result<Self> {
        Ok(Self {
            initializer: config.take_or(&format!("{name}_initializer"), default)?,
            regularizer: config.take_or(&format!("{name}_regularizer"), None)?,
            constraint: config.take_or(&format!("{name}_constraint"), None)?,
        })
    }

    /// Adds the settings of weights by name: what all start from, their penalties, their constraints.
    pub fn keep_all(config: Config, weights: &[(&str, &Self)]) -> Config {
        let initializers = weights.iter().map(|(name, w)| (format!("{name}_initializer"), w.initializer));
        let regularizers = weights.iter().map(|(name, w)| (format!("{name}_regularizer"), w.regularizer));
        // A weight without a constraint has no setting, so that versions before constraints read the file.
        let constraints =
            weights.iter().filter_map(|(name, w)| Some((format!("{name}_constraint"), w.constraint.clone()?)));
        config.with_all(initializers).with_all(regularizers).with_all(constraints)
    }

    /// Adds the settings of weights by name, as Keras has them.
    pub fn keras_all(layer: KerasObject, weights: &[(&str, &Self)]) -> KerasObject {
        let initializers = weights.iter().map(|(name, w)| (format!("{name}_initializer"), w.initializer.keras()));
        let regularizers =
            weights.iter().map(|(name, w)| (format!("{name}_regularizer"), w.regularizer.map(Regularizer::keras)));
        let constraints = weights
            .iter()
            .map(|(name, w)| (format!("{name}_constraint"), w.constraint.as_ref().map(Constraint::keras)));
        layer.with_all(initializers).with_all(regularizers).with_all(constraints)
    }

    /// Asks for the weight.
    pub fn ask(&self, scope: &mut Scope<'_>, name: &str, shape: impl Into<Shape>) -> Result<Id> {
        let id = scope.regularized(name, shape, self.initializer, self.regularizer)?;
        scope.constrain(name, self.constraint.as_ref())?;
        Ok(id)
    }
}

/// The three setters of a weight of a layer, given the fields that have the weight and what was misnamed, what the weight is called
/// and that it starts, and what from unless told otherwise.
macro_rules! weight_setters {
    (
        $($weight:ident).+, $($misnamed:ident).+: $what:literal, $starts:literal, $default:ident
        => $initializer:ident, $regularizer:ident, $constraint:ident
    ) => {
        #[doc = concat!("Sets what ", $what, " ", $starts, " from; default [`Initializer::", stringify!($default), "`].")]
        #[must_use]
        pub fn $initializer(mut self, initializer: impl OrName<Initializer>) -> Self {
            self.$($misnamed).+.set(&mut self.$($weight).+.initializer, initializer);
            self
        }

        #[doc = concat!("Sets a penalty on ", $what, ", added to the loss; default none.")]
        #[must_use]
        pub fn $regularizer(mut self, regularizer: impl OrName<Regularizer>) -> Self {
            self.$($weight).+.regularizer = self.$($misnamed).+.read(regularizer.given());
            self
        }

        #[doc = concat!("Sets a bound that updates leave ", $what, " within; default none.")]
        #[must_use]
        pub fn $constraint(mut self, constraint: impl OrName<Constraint>) -> Self {
            self.$($weight).+.constraint = self.$($misnamed).+.read(constraint.given());
            self
        }
    };
}
pub(super) use weight_setters;

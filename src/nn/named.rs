//! Keras' names as text, where it takes what they stand for.

use std::str::FromStr;

use super::layers::{DataFormat, Fill, Interpolation, MergeMode, Padding};
use super::metric::Metric;
use super::optimizer::{self, Optimizer};
use super::{Activation, Constraint, Initializer, Loss, Regularizer, Scope};
use crate::error::{Error, Result};

/// A `T`, or Keras' name of one as text: what settings are given as. A name stands for Keras' defaults.
///
/// A builder that is given a name which there is not keeps the error until the model is built or compiled, which returns it.
///
/// ```
/// use kiln::prelude::*;
/// let hidden = Dense::new(16).activation("tanh").kernel_initializer("he_normal");
/// let mut model = Sequential::new().add(Input::new([2])).add(hidden).add(Dense::new(1).activation("sigmoid"));
/// model.compile("adam", "binary_crossentropy", ["accuracy"])?;
/// let said = model.compile("adam", "binary_crosentropy", []).unwrap_err().to_string();
/// assert!(said.contains("did you mean \"binary_crossentropy\"?"));
/// # Ok::<(), kiln::Error>(())
/// ```
#[diagnostic::on_unimplemented(message = "`{Self}` is neither a `{T}` nor text with the name of one")]
pub trait OrName<T> {
    /// What is meant.
    ///
    /// # Errors
    /// [`Error::Argument`] that lists the names, and the likeliest one.
    fn given(self) -> Result<T>;
}

macro_rules! named {
    ($($type:ty => $by_name:expr),*) => {$(
        impl OrName<$type> for &str {
            fn given(self) -> Result<$type> {
                $by_name(self)
            }
        }

        impl OrName<$type> for &String {
            fn given(self) -> Result<$type> {
                $by_name(self)
            }
        }

        impl OrName<$type> for String {
            fn given(self) -> Result<$type> {
                $by_name(&self)
            }
        }
    )*};
}
named!(Box<dyn Optimizer> => optimizer::by_name);

/// By Keras' name.
macro_rules! plain {
    ($($type:ident),*) => {$(
        named!($type => $type::by_name);

        impl OrName<Self> for $type {
            fn given(self) -> Result<Self> {
                Ok(self)
            }
        }

        impl FromStr for $type {
            type Err = Error;

            fn from_str(name: &str) -> Result<Self> {
                Self::by_name(name)
            }
        }
    )*};
}
plain!(
    Activation,
    Constraint,
    DataFormat,
    Fill,
    Initializer,
    Interpolation,
    Loss,
    MergeMode,
    Metric,
    Padding,
    Regularizer
);

impl<O: Optimizer + 'static> OrName<Box<dyn Optimizer>> for O {
    fn given(self) -> Result<Box<dyn Optimizer>> {
        Ok(Box::new(self))
    }
}

/// Metrics, or names of such: `[]`, `[Metric::Accuracy]`, `["mae", "accuracy"]`, and lists and slices of either.
///
/// An array of names has 16 at most; a `Vec` has any number.
#[diagnostic::on_unimplemented(message = "`{Self}` is no list of metrics, nor of their names")]
pub trait IntoMetrics {
    /// What is meant.
    ///
    /// # Errors
    /// [`Error::Argument`] that lists the names, and the likeliest one.
    fn into_metrics(self) -> Result<Vec<Metric>>;
}

impl<const N: usize> IntoMetrics for [Metric; N] {
    fn into_metrics(self) -> Result<Vec<Metric>> {
        Ok(self.to_vec())
    }
}

impl IntoMetrics for Vec<Metric> {
    fn into_metrics(self) -> Result<Vec<Metric>> {
        Ok(self)
    }
}

impl IntoMetrics for &[Metric] {
    fn into_metrics(self) -> Result<Vec<Metric>> {
        Ok(self.to_vec())
    }
}

macro_rules! metrics_by_names {
    ($($list:ty),*) => {$(
        impl IntoMetrics for $list {
            fn into_metrics(self) -> Result<Vec<Metric>> {
                self.into_iter().map(|name| Metric::by_name(name.as_ref())).collect()
            }
        }
    )*};
}
metrics_by_names!(Vec<&str>, Vec<String>, &[&str], &[String]);

/// For each length but 0, so that `[]` can only be an array of metrics, and needs no type.
macro_rules! arrays_of_names {
    ($($len:literal),*) => {
        metrics_by_names!($([&str; $len], [String; $len]),*);
    };
}
arrays_of_names!(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);

/// What is wrong with the first setting of a builder that was given by no name that there is. The builder returns itself, so
/// that the error waits until something returns a `Result`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Misnamed(Option<(String, String)>);

impl Misnamed {
    /// What is meant; nothing, and the error noted, where the name is none.
    pub fn read<T>(&mut self, given: Result<T>) -> Option<T> {
        match given {
            Ok(value) => Some(value),
            Err(Error::Argument { name, message }) => self.note(name, message),
            Err(other) => self.note("setting".into(), other.to_string()),
        }
    }

    fn note<T>(&mut self, name: String, message: String) -> Option<T> {
        self.0.get_or_insert((name, message));
        None
    }

    /// Sets what is meant, unless the name is none.
    pub fn set<T>(&mut self, setting: &mut T, given: impl OrName<T>) {
        self.read(given.given()).into_iter().for_each(|value| *setting = value);
    }

    /// That every name was known.
    pub fn check(&self) -> Result<()> {
        self.0.as_ref().map_or(Ok(()), |(name, message)| Err(Error::argument(name, message)))
    }

    /// [`Misnamed::check`] of a layer.
    pub fn check_in(&self, scope: &Scope<'_>) -> Result<()> {
        self.check().map_err(|e| scope.error(e.to_string()))
    }
}

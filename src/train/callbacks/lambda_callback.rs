//! Keras' `LambdaCallback`: closures as a callback.

use std::fmt;

use super::Callback;
use crate::error::Result;
use crate::train::Run;

/// A closure for any of a [`Callback`]'s calls.
///
/// ```
/// use kiln::prelude::*;
/// let stop_when_good = LambdaCallback::new().on_epoch_end(|run| {
///     if run.logs().get("accuracy") > Some(0.99) {
///         run.stop_training();
///     }
///     Ok(())
/// });
/// let fit = Fit::new().epochs(100).callback(stop_when_good);
/// ```
#[derive(Default)]
pub struct LambdaCallback<'a> {
    train_begin: Option<Call<'a>>,
    train_end: Option<Call<'a>>,
    epoch_begin: Option<Call<'a>>,
    epoch_end: Option<Call<'a>>,
    batch_begin: Option<Call<'a>>,
    batch_end: Option<Call<'a>>,
}

type Call<'a> = Box<dyn FnMut(&mut Run<'_>) -> Result<()> + 'a>;

impl fmt::Debug for LambdaCallback<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LambdaCallback").finish_non_exhaustive()
    }
}

macro_rules! setters {
    ($($field:ident $setter:ident $when:literal)*) => {
        impl<'a> LambdaCallback<'a> {
            /// A callback that does nothing.
            pub fn new() -> Self {
                Self::default()
            }

            $(
                #[doc = $when]
                #[must_use]
                pub fn $setter(mut self, call: impl FnMut(&mut Run<'_>) -> Result<()> + 'a) -> Self {
                    self.$field = Some(Box::new(call));
                    self
                }
            )*
        }

        impl Callback for LambdaCallback<'_> {
            fn wants_batches(&self) -> bool {
                self.batch_begin.is_some() || self.batch_end.is_some()
            }

            $(
                fn $setter(&mut self, run: &mut Run<'_>) -> Result<()> {
                    self.$field.as_mut().map_or(Ok(()), |call| call(run))
                }
            )*
        }
    };
}

setters! {
    train_begin on_train_begin "Before the first epoch."
    train_end on_train_end "After the last epoch; not after an error."
    epoch_begin on_epoch_begin "Before an epoch's first step."
    epoch_end on_epoch_end "After an epoch and its validation."
    batch_begin on_batch_begin "Before each training step: see [`Callback::wants_batches`] for what it costs."
    batch_end on_batch_end "After each training step: see [`Callback::wants_batches`] for what it costs."
}

//! `Adam::new(0.01)`, and so for each optimizer.

use super::{Adadelta, Adagrad, Adam, Adamax, Lion, Nadam, RmsProp, Sgd};

macro_rules! new {
    ($($optimizer:ident),*) => {$(
        impl $optimizer {
            #[doc = concat!("`", stringify!($optimizer), "` of this learning rate, all else Keras' defaults.")]
            ///
            /// ```
            #[doc = concat!("use kiln::prelude::*;\nlet rate = ", stringify!($optimizer), "::new(0.02).learning_rate;")]
            /// assert_eq!(rate, 0.02);
            /// ```
            pub fn new(learning_rate: f64) -> Self {
                Self { learning_rate, ..Self::default() }
            }
        }
    )*};
}
new!(Adadelta, Adagrad, Adam, Adamax, Lion, Nadam, RmsProp, Sgd);

//! Images turned over at random, <https://keras.io/api/layers/preprocessing_layers/image_augmentation/random_flip/>.

use super::{Layer, expect_images};
use crate::error::Result;
use crate::graph::Id;
use crate::nn::Scope;
use crate::ops::flip::Flip;

/// In training each image (height, width, ...) is flipped with probability 1/2, along each axis by itself; elsewhere
/// y = x.
#[derive(Clone, Copy, Debug)]
pub struct RandomFlip {
    axes: &'static [usize],
}

impl RandomFlip {
    /// Left to right, as Keras' mode `horizontal`.
    pub fn horizontal() -> Self {
        Self { axes: &[2] }
    }

    /// Upside down, as Keras' mode `vertical`.
    pub fn vertical() -> Self {
        Self { axes: &[1] }
    }

    /// Both, as Keras' mode `horizontal_and_vertical`.
    pub fn horizontal_and_vertical() -> Self {
        Self { axes: &[1, 2] }
    }
}

impl Layer for RandomFlip {
    fn kind(&self) -> &'static str {
        "RandomFlip"
    }

    fn call(&self, scope: &mut Scope<'_>, x: Id) -> Result<Id> {
        expect_images(scope, x)?;
        let (clock, salt) = (scope.training(), scope.salt());
        self.axes.iter().try_fold(x, |x, &axis| match clock {
            Some(clock) => scope.graph.apply(Flip { axis, salt }, &[x, clock]),
            None => Ok(x),
        })
    }
}

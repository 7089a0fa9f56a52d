//! How a window goes over an image: what convolution and pooling share.

use crate::error::{Error, Result};

/// A window that goes over the two spatial axes of images, down and to the right. An axis of a single pixel is what 1D is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Rows and columns of the window.
    pub size: [usize; 2],
    /// How far it goes at once, down and to the right.
    pub strides: [usize; 2],
    /// How far its neighbouring rows and columns are apart.
    pub dilation: [usize; 2],
    /// What is added to the image above and below it, then left and right of it.
    pub pads: [[usize; 2]; 2],
}

/// What is added at the edges of images for a window to go over them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Padding {
    /// Nothing: the window stays inside.
    #[default]
    Valid,
    /// As much as makes an output of `ceil(extent / stride)`; where that is odd, one more behind than before.
    Same,
    /// Before a sequence alone, so that no output sees what comes later.
    Causal,
}

impl Window {
    /// A window of this size that goes a pixel at a time, over the image alone.
    pub fn new(size: [usize; 2]) -> Self {
        Self { size, strides: [1; 2], dilation: [1; 2], pads: [[0; 2]; 2] }
    }

    /// How many pixels it spans along an axis.
    pub fn reach(&self, axis: usize) -> usize {
        (self.size[axis] - 1).saturating_mul(self.dilation[axis]).saturating_add(1)
    }

    /// The same window with what a padding adds to images of this extent.
    #[must_use]
    pub fn padded(mut self, padding: Padding, image: [usize; 2]) -> Self {
        for (axis, extent) in image.into_iter().enumerate() {
            let (reach, stride) = (self.reach(axis), self.strides[axis]);
            self.pads[axis] = match padding {
                Padding::Valid => [0; 2],
                Padding::Same => {
                    let needed = (extent.div_ceil(stride).saturating_sub(1)) * stride + reach;
                    let added = needed.saturating_sub(extent);
                    [added / 2, added - added / 2]
                }
                Padding::Causal => [reach - 1, 0],
            };
        }
        self
    }

    /// Rows and columns of the output over an image of this extent.
    ///
    /// # Errors
    /// [`Error::Shape`] of `op` where an extent is 0 or the window is larger than the image with what is added to it.
    pub fn output(&self, op: &str, image: [usize; 2]) -> Result<[usize; 2]> {
        let Self { size, strides, dilation, .. } = *self;
        for (what, extents) in [("size", size), ("strides", strides), ("dilation", dilation)] {
            if extents.contains(&0) {
                let [rows, columns] = extents;
                return Err(Error::shape(op, format!("the window's {what} are {rows} and {columns}; give 1 or more")));
            }
        }
        let mut output = [0; 2];
        for axis in 0..2 {
            let all = image[axis].saturating_add(self.pads[axis][0]).saturating_add(self.pads[axis][1]);
            let reach = self.reach(axis);
            if reach > all {
                let [rows, columns] = image;
                let message = format!(
                    "a window of {reach} along axis {} does not fit an image of {rows} by {columns} with {} pixels added",
                    axis + 1,
                    all - image[axis]
                );
                return Err(Error::shape(op, message));
            }
            output[axis] = (all - reach) / self.strides[axis] + 1;
        }
        Ok(output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_padding_is_uneven_behind() {
        let window = Window { strides: [2, 2], ..Window::new([3, 2]) }.padded(Padding::Same, [8, 7]);
        assert_eq!(window.pads, [[0, 1], [0, 1]]);
        assert_eq!(window.output("x", [8, 7]).unwrap(), [4, 4]);
        let causal = Window { dilation: [1, 3], ..Window::new([1, 3]) }.padded(Padding::Causal, [1, 5]);
        assert_eq!((causal.pads, causal.output("x", [1, 5]).unwrap()), ([[0, 0], [6, 0]], [1, 5]));
    }
}

//! Layers over images and sequences that learn nothing: edges, sizes, and augmentation,
//! <https://keras.io/api/layers/preprocessing_layers/image_augmentation/>.

mod crop;
mod cropping;
mod moved;
mod random_flip;
mod random_rotation;
mod random_tone;
mod random_translation;
mod random_zoom;
mod resizing;
mod up_sampling;
mod zero_padding;

pub use crop::{CenterCrop, RandomCrop};
pub use cropping::{Cropping1D, Cropping2D};
pub use moved::Factor;
pub use random_flip::RandomFlip;
pub use random_rotation::RandomRotation;
pub use random_tone::{RandomBrightness, RandomContrast};
pub use random_translation::RandomTranslation;
pub use random_zoom::RandomZoom;
pub use resizing::Resizing;
pub use up_sampling::{UpSampling1D, UpSampling2D};
pub use zero_padding::{ZeroPadding1D, ZeroPadding2D};

use crate::config::{FromSetting, Setting, named};
use crate::error::Result;
use crate::graph::{Graph, Id};
use crate::nn::Scope;
use crate::nn::layers::{Pair, by_name};
use crate::ops::pad::Pad;
pub use crate::ops::resize::Interpolation;
use crate::ops::resize::Resize;
use crate::ops::slice::{Cut, Slice};
pub use crate::ops::translate::Fill;

named!(Fill: "reflect" = Reflect, "nearest" = Nearest, "wrap" = Wrap, "constant" = Constant);
by_name!(Fill: "fill_mode", Interpolation: "interpolation");

/// How many rows above and below an image, and how many columns left and right of it: `1` of each, `[1, 2]` rows and columns at both
/// ends, `[[1, 2], [3, 4]]` or `((1, 2), (3, 4))` at each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edges(pub [[usize; 2]; 2]);

impl From<usize> for Edges {
    fn from(all: usize) -> Self {
        Self([[all; 2]; 2])
    }
}

impl From<[usize; 2]> for Edges {
    fn from(each: [usize; 2]) -> Self {
        Self(each.map(|both| [both; 2]))
    }
}

impl From<(usize, usize)> for Edges {
    fn from((rows, columns): (usize, usize)) -> Self {
        [rows, columns].into()
    }
}

impl From<[[usize; 2]; 2]> for Edges {
    fn from(each: [[usize; 2]; 2]) -> Self {
        Self(each)
    }
}

impl From<((usize, usize), (usize, usize))> for Edges {
    fn from((rows, columns): ((usize, usize), (usize, usize))) -> Self {
        Self([rows.into(), columns.into()])
    }
}

/// A list of two lists, as Keras has it.
impl From<Edges> for Setting {
    fn from(edges: Edges) -> Self {
        edges.0.map(Pair).to_vec().into()
    }
}

/// Any of the forms that [`Edges`] is made from.
impl FromSetting for Edges {
    fn from_setting(setting: &Setting) -> Result<Self, String> {
        if let Setting::Int(_) = setting {
            return usize::from_setting(setting).map(Self::from);
        }
        let each: Vec<Pair> = Vec::from_setting(setting)?;
        let two: [Pair; 2] = each.try_into().map_err(|each: Vec<_>| format!("expected two, found {}", each.len()))?;
        Ok(Self(two.map(|pair| pair.0)))
    }
}

/// x with this many elements of a value added before and behind it, along the axes from `first` on.
fn padded(scope: &mut Scope<'_>, x: Id, first: usize, edges: &[[usize; 2]], value: f64) -> Result<Id> {
    if edges.iter().all(|edge| *edge == [0, 0]) {
        return Ok(x);
    }
    let mut shape = scope.graph.shape(x).clone().to_vec();
    let mut before = vec![0; shape.len()];
    let mut is_countable = true;
    for (axis, edge) in (first..).zip(edges) {
        before[axis] = edge[0];
        let extent = edge.iter().try_fold(shape[axis], |extent, &more| extent.checked_add(more));
        is_countable &= extent.is_some();
        shape[axis] = extent.unwrap_or(usize::MAX);
    }
    let elements = shape.iter().try_fold(1usize, |all, &extent| all.checked_mul(extent));
    if !is_countable || elements.is_none_or(|all| u32::try_from(all).is_err()) {
        let message = format!("padding {edges:?} makes 2^32 elements or more of {}", scope.graph.shape(x));
        return Err(scope.error(message));
    }
    let op = Pad { before, step: vec![1; shape.len()], shape: shape.into(), value };
    scope.graph.apply(op, &[x])
}

/// x without this many elements at its beginning and its end, along the axes from `first` on.
fn cropped(scope: &mut Scope<'_>, x: Id, first: usize, edges: &[[usize; 2]]) -> Result<Id> {
    let shape = scope.graph.shape(x).clone();
    let mut cuts: Vec<Cut> = shape.iter().map(|&extent| Cut::new(0, extent)).collect();
    for (axis, &[before, behind]) in (first..).zip(edges) {
        if before.saturating_add(behind) >= shape[axis] {
            let message =
                format!("cropping {edges:?} leaves nothing of axis {axis} of {shape}; give less than {}", shape[axis]);
            return Err(scope.error(message));
        }
        cuts[axis] = Cut::new(before, shape[axis] - behind);
    }
    if edges.iter().all(|edge| *edge == [0, 0]) {
        return Ok(x);
    }
    scope.graph.apply(Slice(cuts), &[x])
}

/// x with other extents along the axes from `first` on, one axis after the other.
fn resized(graph: &mut Graph, x: Id, first: usize, extents: &[usize], interpolation: Interpolation) -> Result<Id> {
    (first..).zip(extents).try_fold(x, |x, (axis, &extent)| {
        let is_so = graph.shape(x)[axis] == extent;
        if is_so { Ok(x) } else { graph.apply(Resize { axis, extent, interpolation }, &[x]) }
    })
}

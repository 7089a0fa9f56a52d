//! Parts of a tensor in NumPy's notation.

use super::layout::View;
use super::{Shape, Tensor};
use crate::error::{Error, Result};

const OP: &str = "Tensor::slice";

/// What is taken along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// One place; the axis goes.
    At(isize),
    /// `start:stop:step`, each of them optional.
    Range(Option<isize>, Option<isize>, isize),
    /// `...`: as many whole axes as are left.
    Rest,
}

impl Part {
    const ALL: Self = Self::Range(None, None, 1);

    fn parse(text: &str) -> Result<Self> {
        let refused = |why: &str| Error::argument(OP, format!("{text:?} {why}"));
        let number = |word: &str| match word.trim() {
            "" => Ok(None),
            word => word.parse::<isize>().map(Some).map_err(|_| {
                refused(&format!("is no part: {word:?} is no whole number; a part is a number, a:b, a:b:step or ..."))
            }),
        };
        let words: Vec<&str> = text.split(':').collect();
        match words.as_slice() {
            ["..."] => Ok(Self::Rest),
            [at] => number(at)?.map(Self::At).ok_or_else(|| refused("is no part: write : for a whole axis")),
            [start, stop] => Ok(Self::Range(number(start)?, number(stop)?, 1)),
            [start, stop, step] => match number(step)?.unwrap_or(1) {
                0 => Err(refused("has step 0, which never arrives")),
                step => Ok(Self::Range(number(start)?, number(stop)?, step)),
            },
            _ => Err(refused("has more than the two colons of start:stop:step")),
        }
    }
}

/// The first place, and how many are taken, of a range along an axis; bounds outside it are clipped, as in Python.
fn places(start: Option<isize>, stop: Option<isize>, step: isize, extent: usize) -> (usize, usize) {
    let extent = extent as isize;
    let (lowest, highest) = if step < 0 { (-1, extent - 1) } else { (0, extent) };
    let clip = |bound: isize| if bound < 0 { (bound + extent).max(lowest) } else { bound.min(highest) };
    let (from, to) = if step < 0 { (highest, lowest) } else { (lowest, highest) };
    let (first, end) = (start.map_or(from, clip), stop.map_or(to, clip));
    let way = if step < 0 { first - end } else { end - first };
    let count = usize::try_from(way).unwrap_or(0).div_ceil(step.unsigned_abs());
    // With nothing to take the first place may lie outside: it is not looked at.
    (usize::try_from(first).unwrap_or(0), count)
}

/// One part an axis: `...` is spelt out, and axes that are not named are whole.
fn parts(text: &str, shape: &Shape) -> Result<Vec<Part>> {
    let mut parts = match text.trim() {
        "" => Vec::new(),
        text => text.split(',').map(|part| Part::parse(part.trim())).collect::<Result<Vec<_>>>()?,
    };
    let rests = parts.iter().filter(|&&part| part == Part::Rest).count();
    if rests > 1 {
        return Err(Error::argument(OP, format!("{text:?} has more than one ...")));
    }
    let named = parts.len() - rests;
    if named > shape.rank() {
        let message = format!("{text:?} names {named} axes, the shape {shape} has {}", shape.rank());
        return Err(Error::shape(OP, message));
    }
    let at = parts.iter().position(|&part| part == Part::Rest).unwrap_or(parts.len());
    parts.splice(at..(at + rests), std::iter::repeat_n(Part::ALL, shape.rank() - named));
    Ok(parts)
}

impl Tensor {
    /// A part of the tensor, in NumPy's notation: for each axis a place, which drops it, or `start:stop:step`, where
    /// bounds may count from the end or be left out, and steps may go backwards; `...` stands for the axes between.
    ///
    /// ```
    /// use kiln::Tensor;
    /// let t = Tensor::from([[1u8, 2, 3], [4, 5, 6], [7, 8, 9]]);
    /// assert_eq!(t.slice("1:, -2:")?, Tensor::from([[5u8, 6], [8, 9]]));
    /// assert_eq!(t.slice("..., 0")?, Tensor::from([1u8, 4, 7]));
    /// assert_eq!(t.slice("-1, ::-1")?, Tensor::from([9u8, 8, 7]));
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] that names the part which cannot be read; [`Error::Shape`] for more parts than axes or a
    /// place outside its axis. Bounds outside are clipped, as in NumPy.
    pub fn slice(&self, text: &str) -> Result<Self> {
        let whole = View::of(&self.shape);
        let mut view = View { first: 0, extents: Vec::new(), strides: Vec::new() };
        for (axis, part) in parts(text, &self.shape)?.into_iter().enumerate() {
            let (extent, stride) = (self.shape[axis], whole.strides[axis]);
            match part {
                Part::At(at) => {
                    let place = if at < 0 { at + extent as isize } else { at };
                    let place = usize::try_from(place).ok().filter(|&place| place < extent).ok_or_else(|| {
                        let message = format!("place {at} of {text:?} is outside axis {axis} of {}", self.shape);
                        Error::shape(OP, message)
                    })?;
                    view.first += place * stride as usize;
                }
                Part::Range(start, stop, step) => {
                    let (first, count) = places(start, stop, step, extent);
                    view.first += first * stride as usize;
                    view.extents.push(count);
                    // A step past the only element is never taken, and might not fit.
                    view.strides.push(if count > 1 { step * stride } else { 0 });
                }
                Part::Rest => unreachable!("spelt out"),
            }
        }
        Ok(view.tensor(self))
    }
}

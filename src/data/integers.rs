//! Whole numbers of files, as samples and as class indices.

use crate::tensor::{Shape, Tensor, Values};

/// As `f32`, where it holds them exactly.
pub(super) fn values(shape: &Shape, integers: impl Iterator<Item = i128>) -> Result<Tensor, String> {
    let exact = |x: i128| Some(x as f32).filter(|&y| y as i128 == x);
    converted(shape, integers, exact, "f32 does not hold exactly")
}

/// As class indices.
pub(super) fn labels(shape: &Shape, integers: impl Iterator<Item = i128>) -> Result<Tensor, String> {
    converted(shape, integers, |x| u32::try_from(x).ok(), "is no class index: they count from 0; values are floats")
}

/// In another type; one that has no value there is refused for this reason.
fn converted<T>(
    shape: &Shape,
    integers: impl Iterator<Item = i128>,
    to: impl Fn(i128) -> Option<T>,
    refusal: &str,
) -> Result<Tensor, String>
where
    Values: From<Vec<T>>,
{
    let refused = |at, number| format!("the number {number} at {} {refusal}", shape.position(at));
    let each = integers.enumerate().map(|(at, number)| to(number).ok_or_else(|| refused(at, number)));
    Tensor::new(shape.clone(), each.collect::<Result<Vec<T>, _>>()?).map_err(|e| e.to_string())
}

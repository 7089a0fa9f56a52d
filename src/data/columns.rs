//! The arrays of a set: of one input or several, and of one target or several.

use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// One array of a [`Dataset`](super::Dataset): a row for each sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub(super) name: Option<String>,
    pub(super) tensor: Tensor,
    pub(super) scale: f32,
}

impl Column {
    /// The name of the input or output that it is for, where it has one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The rows at rest, not yet scaled.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// What an element is multiplied by when it is batched; 1 for targets.
    pub fn scale(&self) -> f32 {
        self.scale
    }

    /// The same column of other rows.
    pub(super) fn with(&self, tensor: Tensor) -> Self {
        Self { name: self.name.clone(), tensor, scale: self.scale }
    }
}

/// One array or several, by position or by name: what [`Dataset::new`](super::Dataset::new) takes. A tensor, tuples and lists of
/// tensors, and lists of names with tensors.
#[derive(Clone, Debug)]
pub struct Columns(pub(super) Vec<(Option<String>, Tensor)>);

impl From<Tensor> for Columns {
    fn from(tensor: Tensor) -> Self {
        Self(vec![(None, tensor)])
    }
}

impl From<(Tensor, Tensor)> for Columns {
    fn from((a, b): (Tensor, Tensor)) -> Self {
        vec![a, b].into()
    }
}

impl From<(Tensor, Tensor, Tensor)> for Columns {
    fn from((a, b, c): (Tensor, Tensor, Tensor)) -> Self {
        vec![a, b, c].into()
    }
}

impl From<Vec<Tensor>> for Columns {
    fn from(tensors: Vec<Tensor>) -> Self {
        Self(tensors.into_iter().map(|tensor| (None, tensor)).collect())
    }
}

impl<S: Into<String>, const N: usize> From<[(S, Tensor); N]> for Columns {
    fn from(named: [(S, Tensor); N]) -> Self {
        Vec::from(named).into()
    }
}

impl<S: Into<String>> From<Vec<(S, Tensor)>> for Columns {
    fn from(named: Vec<(S, Tensor)>) -> Self {
        Self(named.into_iter().map(|(name, tensor)| (Some(name.into()), tensor)).collect())
    }
}

/// The columns that a model's `wanted` names are for: see [`places`].
pub(crate) fn ordered<'d>(what: &str, columns: &'d [Column], wanted: &[String]) -> Result<Vec<&'d Column>> {
    let names: Vec<Option<&str>> = columns.iter().map(Column::name).collect();
    Ok(places(what, &names, wanted)?.into_iter().map(|place| &columns[place]).collect())
}

/// The places of a model's `wanted` names among what is given: by name where that has names and the model more than one, else
/// by position. `what` they are, inputs or targets.
pub(crate) fn places(what: &str, given: &[Option<&str>], wanted: &[String]) -> Result<Vec<usize>> {
    let refused = |message: String| Error::argument(what, message);
    if given.len() != wanted.len() {
        let names = wanted.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        return Err(refused(format!("the model has {} ({names}), the data {}", wanted.len(), given.len())));
    }
    if wanted.len() == 1 || given.iter().all(Option::is_none) {
        return Ok((0..given.len()).collect());
    }
    if let Some(double) = given.iter().enumerate().find_map(|(i, name)| name.filter(|_| given[..i].contains(name))) {
        return Err(refused(format!("two are named {double:?}")));
    }
    let names: Vec<&str> = given.iter().flatten().copied().collect();
    let place = |name: &String| match given.iter().position(|given| *given == Some(name.as_str())) {
        Some(place) => Ok(place),
        None => Err(refused(format!("the data have none for {name:?}; theirs are {}", names.join(", ")))),
    };
    wanted.iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::places;

    #[test]
    fn columns_are_found_by_name_or_else_by_position() {
        let wanted = ["image".to_string(), "age".to_string()];
        assert_eq!(places("inputs", &[Some("age"), Some("image")], &wanted).unwrap(), [1, 0]);
        assert_eq!(places("inputs", &[None, None], &wanted).unwrap(), [0, 1]);
        assert_eq!(places("inputs", &[Some("pixels")], &wanted[..1]).unwrap(), [0]);
        for (given, part) in [
            (vec![Some("age"), Some("images")], "none for \"image\""),
            (vec![Some("age"), Some("age")], "two are named \"age\""),
            (vec![Some("age"), None], "none for \"image\""),
            (vec![None], "the model has 2 (\"image\", \"age\"), the data 1"),
        ] {
            let error = places("inputs", &given, &wanted).unwrap_err().to_string();
            assert!(error.contains(part) && error.starts_with("inputs: "), "{error}");
        }
    }
}

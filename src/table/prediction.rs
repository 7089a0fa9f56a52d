//! A model's outputs in the table's own names and units.

use super::Preprocessor;
use crate::error::{Error, Result};
use crate::nn::metric::classes_of;
use crate::tensor::Tensor;

/// What a model says of a sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Prediction {
    /// The likeliest class, and the probability of each, in the classes' order.
    Class {
        /// Its index.
        class: usize,
        /// Its name.
        name: String,
        /// The name of each class and its probability.
        probabilities: Vec<(String, f64)>,
    },
    /// The name of each target and its value, in its own units.
    Values(Vec<(String, f64)>),
}

/// [`Preprocessor::predictions`].
pub(super) fn of(preprocessor: &Preprocessor, outputs: &Tensor) -> Result<Vec<Prediction>> {
    let classes = preprocessor.classes();
    let width = outputs.shape().iter().skip(1).product::<usize>();
    let (names, what) = match classes {
        [] => (preprocessor.targets(), "targets"),
        classes => (classes, "classes"),
    };
    // One output tells two classes apart.
    let is_single = classes.len() == 2 && width == 1;
    if width != names.len() && !is_single || outputs.shape().is_scalar() {
        let (shape, count) = (outputs.shape(), names.len());
        return Err(Error::shape("predictions", format!("outputs of shape {shape} are not of {count} {what}")));
    }
    let outputs = outputs.reshape(&[outputs.rows() as isize, width as isize])?;
    let numbers = outputs.values().to_f64();
    let named = |row: &[f64]| names.iter().cloned().zip(row.iter().copied()).collect();
    if classes.is_empty() {
        return Ok(numbers.chunks(width).map(|row| Prediction::Values(named(row))).collect());
    }
    let of_row = |(row, class): (&[f64], usize)| {
        let probabilities = if is_single { named(&[1.0 - row[0], row[0]]) } else { named(row) };
        Prediction::Class { class, name: names[class].clone(), probabilities }
    };
    Ok(numbers.chunks(width).zip(classes_of(&outputs)?).map(of_row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Csv;
    use crate::table::TableOptions;

    fn preprocessor(csv: Csv) -> Preprocessor {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/exam.csv");
        let table = TableOptions::new(csv).test_split(0.3).open([file]).unwrap();
        table.prepare(&table.split().unwrap()).unwrap().0
    }

    #[test]
    fn classes_and_values_have_their_names() {
        let exam = preprocessor(Csv::new().label("result"));
        let named = |fail: f64, pass: f64| vec![("fail".to_string(), fail), ("pass".to_string(), pass)];
        let both = exam.predictions(&Tensor::from([[0.75f64, 0.25], [0.0, 1.0]])).unwrap();
        let first = Prediction::Class { class: 0, name: "fail".into(), probabilities: named(0.75, 0.25) };
        assert_eq!((both.len(), &both[0]), (2, &first));
        let single = exam.predictions(&Tensor::from([[0.25f64], [0.75]])).unwrap();
        assert_eq!(single[0], first);
        assert_eq!(single[1], Prediction::Class { class: 1, name: "pass".into(), probabilities: named(0.25, 0.75) });
        let hours = preprocessor(Csv::new().targets(["hours"]).words(["result"]));
        assert_eq!(
            hours.predictions(&Tensor::from([[3.5f64]])).unwrap(),
            [Prediction::Values(vec![("hours".into(), 3.5)])]
        );
        for outputs in [Tensor::from([[1.0f64, 2.0, 3.0]]), Tensor::from(1.0f64)] {
            assert!(exam.predictions(&outputs).unwrap_err().to_string().contains("are not of 2 classes"));
        }
    }
}

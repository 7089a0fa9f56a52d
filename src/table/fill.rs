//! What stands in for missing fields, as the rows to train on have it.

use crate::data::Encoding;
use crate::error::{Error, Result};
use crate::tensor::{Tensor, Values};

/// What stands in a missing field. In a column of words mean and median are as [`FillMissing::MostFrequent`].
///
/// ```
/// use kiln::table::FillMissing;
/// assert_eq!(FillMissing::by_name("median"), FillMissing::Median);
/// assert_eq!(FillMissing::by_name("0"), FillMissing::Value("0".into()));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum FillMissing {
    /// The mean of the column's numbers.
    Mean,
    /// The one in the middle of the column's numbers in order, or the mean of the two that are.
    Median,
    /// The number or the word that most rows have; of several the smallest number, or the first word in order.
    MostFrequent,
    /// This number; in a column of words this word, which is one more of the column's where rows lack theirs.
    Value(String),
}

impl FillMissing {
    /// By the names of scikit-learn's `SimpleImputer`: `mean`, `median`, `most-frequent`. Any other text is a value.
    pub fn by_name(text: &str) -> Self {
        match text {
            "mean" => Self::Mean,
            "median" => Self::Median,
            "most-frequent" | "most_frequent" => Self::MostFrequent,
            value => Self::Value(value.into()),
        }
    }

    /// The word that a missing field of a column of words becomes.
    pub(super) fn word(&self) -> Option<&str> {
        match self {
            Self::Value(text) => Some(text),
            _ => None,
        }
    }

    /// What stands in each column of samples, by the samples to train on: NaN where nothing does.
    pub(super) fn learn(&self, encoding: &Encoding, train: &Tensor) -> Result<Vec<f64>> {
        let Values::F32(x) = train.values() else { unreachable!("a table's samples are f32") };
        let (width, mut fill) = (encoding.width(), Vec::with_capacity(encoding.width()));
        for (name, words) in encoding.columns() {
            let at = fill.len();
            let column = |place: usize| x.iter().skip(at + place).step_by(width).copied();
            match words {
                None => fill.push(self.number(name, column(0))?),
                Some(words) => {
                    let chosen = match self {
                        Self::Value(text) => words.iter().position(|word| word == text),
                        _ => most(words.len(), |word| column(word).filter(|&is| is == 1.0).count()),
                    };
                    // A word that is none of the column's fills nothing: no row lacked its own.
                    let is =
                        |place| if chosen.is_none() { f64::NAN } else { f64::from(u8::from(chosen == Some(place))) };
                    fill.extend((0..words.len()).map(is));
                }
            }
        }
        Ok(fill)
    }

    /// Of a column of numbers.
    fn number(&self, name: &str, column: impl Iterator<Item = f32> + Clone) -> Result<f64> {
        let has_gaps = column.clone().any(f32::is_nan);
        if let Self::Value(text) = self {
            let number = text.parse::<f32>().ok().filter(|number| number.is_finite());
            if number.is_none() && has_gaps {
                let message = format!(
                    "column {name:?} is one of numbers, {text:?} is none; give a number, mean, median or most-frequent"
                );
                return Err(Error::argument("fill_missing", message));
            }
            return Ok(number.map_or(f64::NAN, f64::from));
        }
        let mut numbers: Vec<f64> = column.filter(|number| !number.is_nan()).map(f64::from).collect();
        if numbers.is_empty() {
            let message =
                format!("column {name:?} has no number in the rows to train on; leave it out by Csv::without");
            return Err(Error::argument("fill_missing", message));
        }
        if *self == Self::Mean {
            return Ok(numbers.iter().sum::<f64>() / numbers.len() as f64);
        }
        numbers.sort_by(f64::total_cmp);
        let middle = numbers.len() / 2;
        if *self == Self::Median {
            let even = numbers.len().is_multiple_of(2);
            return Ok(if even { f64::midpoint(numbers[middle - 1], numbers[middle]) } else { numbers[middle] });
        }
        let runs: Vec<&[f64]> = numbers.chunk_by(|a, b| a == b).collect();
        Ok(runs[most(runs.len(), |run| runs[run].len()).expect("there are numbers")][0])
    }
}

/// The first of those that have the most.
fn most(count: usize, of: impl Fn(usize) -> usize) -> Option<usize> {
    (0..count).rev().max_by_key(|&i| of(i))
}

/// Fills samples in.
pub(super) fn fill(encoding: &Encoding, fill: &[f64], x: Tensor) -> Result<Tensor> {
    let shape = x.shape().clone();
    let Values::F32(mut x) = x.into_values() else { unreachable!("a table's samples are f32") };
    for (row, sample) in x.chunks_mut(fill.len()).enumerate() {
        for (place, (number, fill)) in
            sample.iter_mut().zip(fill).enumerate().filter(|(_, (number, _))| number.is_nan())
        {
            if fill.is_nan() {
                let column = name_of(encoding, place);
                let message =
                    format!("a field of sample {row} is missing, and no value was learned to fill in; give one");
                return Err(Error::argument(format!("column {column:?}"), message));
            }
            *number = *fill as f32;
        }
    }
    Tensor::new(shape, x)
}

/// The name of the table's column that a column of samples is of.
fn name_of(encoding: &Encoding, place: usize) -> &str {
    let mut end = 0;
    let mut columns = encoding.columns();
    let found = columns.find(|(_, words)| {
        end += words.map_or(1, <[String]>::len);
        place < end
    });
    found.map_or("", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Csv;

    /// What is learned of a table, and its samples filled in.
    fn filled(how: &str, text: &str) -> Result<(Vec<f64>, Tensor)> {
        let how = FillMissing::by_name(how);
        let csv = Csv::new().label("kind").filled_later(how.word());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, text).unwrap();
        let (encoding, rows) = csv.rows([path])?;
        let learned = how.learn(&encoding, &rows.x)?;
        let x = fill(&encoding, &learned, rows.x)?;
        Ok((learned, x))
    }

    const TABLE: &str = "a,b,kind\n1,x,k\n,y,k\n3,y,k\n8,,k\n3,z,k\n";

    #[test]
    fn each_way_fills_numbers_and_words() {
        for (how, wanted) in
            [("mean", [3.75, 0.0, 1.0, 0.0]), ("median", [3.0, 0.0, 1.0, 0.0]), ("most-frequent", [3.0, 0.0, 1.0, 0.0])]
        {
            let (learned, x) = filled(how, TABLE).unwrap();
            assert_eq!(learned, wanted, "{how}");
            assert_eq!((x[[1, 0]] as f64, x[[3, 2]]), (wanted[0], 1.0), "{how}");
        }
        // Of as many, the smallest and the first.
        let (learned, _) = filled("most-frequent", "a,b,kind\n2,x,k\n1,w,k\n,,k\n").unwrap();
        assert_eq!(learned, [1.0, 1.0, 0.0]);
        let (learned, _) = filled("median", "a,kind\n1,k\n4,k\n,k\n2,k\n3,k\n").unwrap();
        assert_eq!(learned, [2.5]);
    }

    #[test]
    fn a_value_is_a_number_or_a_word_of_its_own() {
        let (learned, x) = filled("0", TABLE).unwrap();
        assert_eq!(learned, [0.0, 1.0, 0.0, 0.0, 0.0]);
        assert_eq!(x.shape().to_string(), "(5, 5)");
        let (learned, _) = filled("none", "a,b,kind\n1,x,k\n2,,k\n").unwrap();
        assert!(learned[0].is_nan() && learned[1..] == [1.0, 0.0], "{learned:?}");
        let error = filled("none", TABLE).unwrap_err().to_string();
        assert!(error.contains("fill_missing: column \"a\" is one of numbers, \"none\" is none"), "{error}");
    }

    #[test]
    fn a_column_without_a_number_fills_nothing() {
        let error = filled("mean", "a,b,kind\n,1,k\n,2,k\n").unwrap_err().to_string();
        assert!(error.contains("column \"a\" has no number in the rows to train on"), "{error}");
    }
}

//! How a table is opened, and the table that was.

use std::path::Path;

use super::files::all_files;
use super::preprocessor::checksum;
use super::{FillMissing, Preprocessor, Report};
use crate::data::{Csv, Encoding, Fold, KFold, Rows, Scaler, Split, class_counts};
use crate::error::{Error, Result};
use crate::printable::printable;
use crate::tensor::{Tensor, Values};

/// What the rows of a class count for in the loss, in training.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ClassWeight {
    /// The same for all.
    #[default]
    Equal,
    /// As much for all rows of a class together as for those of any other: rows over classes times the class's rows, of those to train
    /// on, as scikit-learn's `balanced` has it.
    Balanced,
    /// So much for the rows of these labels, 1 for the others.
    Given(Vec<(String, f32)>),
}

impl ClassWeight {
    /// One weight of each class, or none at all where all are equal.
    fn given(&self, encoding: &Encoding) -> Result<Vec<f64>> {
        let refused = |message: String| Error::argument("class_weight", message);
        let classes = encoding.classes();
        let is_told = *self != Self::Equal && *self != Self::Given(Vec::new());
        if is_told && classes.is_empty() {
            return Err(refused("the targets are numbers, which are of no classes; leave it out".into()));
        }
        let Self::Given(given) = self else { return Ok(Vec::new()) };
        let mut weights = vec![1.0; if given.is_empty() { 0 } else { classes.len() }];
        for (i, (label, weight)) in given.iter().enumerate() {
            let unknown =
                || refused(format!("no row has the label {label:?}; there are {}", printable(&classes.join(", "))));
            let class = encoding.class_of(label).ok_or_else(unknown)?;
            weights[class] = f64::from(*weight);
            if given[..i].iter().any(|(other, _)| encoding.class_of(other) == Some(class)) {
                return Err(refused(format!("{label:?} is named twice")));
            }
        }
        Ok(weights)
    }

    /// Those that follow from the targets to train on.
    fn balanced(&self, classes: usize, train: &Tensor) -> Option<Vec<f64>> {
        let (Self::Balanced, Values::U32(labels)) = (self, train.values()) else { return None };
        let weight = |rows: usize| labels.len() as f64 / (classes * rows.max(1)) as f64;
        Some(class_counts(labels, classes).into_iter().map(weight).collect())
    }
}

/// How a table becomes what a model trains and is measured on.
///
/// ```
/// use kiln::data::Csv;
/// use kiln::table::{FillMissing, TableOptions};
/// let csv = Csv::new().label("type").without(["name"]);
/// let options = TableOptions::new(csv).standardize(true).fill_missing(FillMissing::Median).test_split(0.25);
/// let table = options.open(["examples/data/zoo.csv"])?;
/// let (preprocessor, split) = table.prepare(&table.split()?)?;
/// assert_eq!((preprocessor.classes().len(), split.train.len() + split.test.len()), (7, 101));
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TableOptions {
    csv: Csv,
    standardize: bool,
    class_weight: ClassWeight,
    fill_missing: Option<FillMissing>,
    test_split: f64,
    split_seed: u64,
}

impl TableOptions {
    /// A table that is read so: a fifth of its rows are measured on, and samples stay as they stand there.
    pub fn new(csv: Csv) -> Self {
        Self {
            csv,
            standardize: false,
            class_weight: ClassWeight::Equal,
            fill_missing: None,
            test_split: 0.2,
            split_seed: 0,
        }
    }

    /// Whether each column of samples is brought to mean 0 and standard deviation 1, as the rows to train on have them.
    #[must_use]
    pub fn standardize(mut self, standardize: bool) -> Self {
        self.standardize = standardize;
        self
    }

    /// What the rows of each class count for in training.
    #[must_use]
    pub fn class_weight(mut self, class_weight: ClassWeight) -> Self {
        self.class_weight = class_weight;
        self
    }

    /// What stands in missing fields of samples, learned of the rows to train on; default nothing: [`Csv::missing`] says what becomes of
    /// their rows. With [`crate::data::Missing::DropRow`] beside it rows without a target are left out, no others.
    #[must_use]
    pub fn fill_missing(mut self, fill: FillMissing) -> Self {
        self.fill_missing = Some(fill);
        self
    }

    /// The share of rows to measure on, the same of each class; default 0.2. With 0 all rows are trained on.
    #[must_use]
    pub fn test_split(mut self, share: f64) -> Self {
        self.test_split = share;
        self
    }

    /// What decides which rows these are; default 0.
    #[must_use]
    pub fn split_seed(mut self, seed: u64) -> Self {
        self.split_seed = seed;
        self
    }

    /// Reads the table whole: a file, or several with the same columns, their rows one after the other. A folder stands for the
    /// [`files`](super::files) in it.
    ///
    /// # Errors
    /// Those of [`Csv::read`]; [`Error::Argument`] for an option that does not fit the table, and for labels that are plainly numbers to
    /// predict: more than 20 different ones, each in fewer than 10 rows. [`Csv::words`] takes them for classes.
    pub fn open<P: AsRef<Path>>(&self, paths: impl IntoIterator<Item = P>) -> Result<TableData> {
        let fill = self.fill_missing.as_ref();
        let csv = fill.map_or_else(|| self.csv.clone(), |fill| self.csv.clone().filled_later(fill.word()));
        let (encoding, rows) = csv.rows(all_files(paths)?)?;
        encoding.check_classes(rows.x.rows())?;
        let class_weight = self.class_weight.given(&encoding)?;
        let data = TableData { options: self.clone(), class_weight, encoding, rows };
        // Before anything is trained on: an option that cannot be is an error.
        data.preprocessor().checked()?;
        Ok(data)
    }
}

/// A table that was opened: its rows as they stand there, and what its columns are.
#[derive(Clone, Debug)]
pub struct TableData {
    options: TableOptions,
    encoding: Encoding,
    class_weight: Vec<f64>,
    rows: Rows,
}

impl TableData {
    /// What its columns are.
    pub fn encoding(&self) -> &Encoding {
        &self.encoding
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.x.rows()
    }

    /// Whether there are no rows, which no table opens with.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The targets of all rows: class indices `(n,)`, or values `(n, targets)`.
    pub fn targets(&self) -> &Tensor {
        self.rows.targets()
    }

    /// Which rows are trained on and which measured on, by the options: the same each time.
    ///
    /// # Errors
    /// [`Error::Argument`] where a part would be without rows, or without rows of a class.
    pub fn split(&self) -> Result<Fold> {
        split(self.targets(), self.options.test_split, self.options.split_seed)
    }

    /// Cross validation within some of the rows, such as those to train on: `k` folds in an order drawn by the seed, of classes with the
    /// same share of each.
    ///
    /// # Errors
    /// Those of [`KFold::folds`].
    pub fn folds(&self, rows: &[usize], k: usize, seed: u64) -> Result<Vec<Fold>> {
        let folds = KFold::drawn(k, seed, &self.targets().take(rows)?)?;
        Ok(folds.iter().map(|fold| fold.among(rows)).collect())
    }

    /// Samples of some rows to train on and of others to measure on, and what made them: all that is learned of the data is learned of
    /// the first alone.
    ///
    /// # Errors
    /// [`Error::Shape`] for rows that are not there; [`Error::Argument`] for numbers beyond `f32` once they are scaled, and where nothing
    /// can be learned to fill in.
    pub fn prepare(&self, fold: &Fold) -> Result<(Preprocessor, Split)> {
        let (train, mut preprocessor) = (self.rows.take(&fold.train)?, self.preprocessor());
        let fill = self.options.fill_missing.as_ref();
        preprocessor.fill = fill.map(|fill| fill.learn(&self.encoding, &train.x)).transpose()?;
        if let Some(weights) = self.options.class_weight.balanced(self.encoding.classes().len(), train.targets()) {
            preprocessor.class_weight = weights;
        }
        let train = preprocessor.filled(train)?.dataset()?;
        preprocessor.scaler = self.options.standardize.then(|| Scaler::standardize(&train));
        let test = match &fold.test[..] {
            [] => train.head(0),
            places => preprocessor.prepared(self.rows.take(places)?)?,
        };
        let train = preprocessor.scaled(&train)?;
        Ok((preprocessor, Split { train, test }))
    }

    /// What the table holds, and what became of it in these parts.
    ///
    /// # Errors
    /// Those of [`Baseline::of`](super::Baseline::of).
    pub fn report(&self, preprocessor: &Preprocessor, split: &Split) -> Result<Report> {
        Report::of(&self.rows, preprocessor, split)
    }

    /// That of which nothing is learned yet.
    fn preprocessor(&self) -> Preprocessor {
        Preprocessor {
            encoding: self.encoding.clone(),
            fill: None,
            scaler: None,
            class_weight: self.class_weight.clone(),
            test_split: self.options.test_split,
            split_seed: self.options.split_seed,
            rows: self.len(),
            crc: checksum(&self.rows),
        }
    }
}

/// Which of the rows with these targets are trained on.
pub(super) fn split(targets: &Tensor, share: f64, seed: u64) -> Result<Fold> {
    match targets.values() {
        _ if share == 0.0 => Ok(Fold { train: (0..targets.rows()).collect(), test: Vec::new() }),
        Values::U32(_) => Fold::stratified(targets, share, seed),
        _ => Fold::shuffled(targets.rows(), share, seed),
    }
}

//! Parts of a data set to train on and to measure on: once, or in as many folds as wanted.

use super::{Dataset, Split};
use crate::error::{Error, Result};
use crate::random::{shuffled, shuffled_with};
use crate::tensor::{Tensor, Values};

/// The numbers of the rows to train on, and of those to measure on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    /// Rows to train on.
    pub train: Vec<usize>,
    /// Rows to measure on.
    pub test: Vec<usize>,
}

impl Fold {
    fn of(&self, data: &Dataset) -> Result<Split> {
        Ok(Split { train: data.subset(&self.train)?, test: data.subset(&self.test)? })
    }
}

impl Dataset {
    /// Cuts off a share of the samples to measure on, in an order shuffled by the seed. As scikit-learn has it, their
    /// number is rounded up.
    ///
    /// # Errors
    /// [`Error::Argument`] where the share leaves one of the parts without samples.
    pub fn train_test_split(&self, test_share: f64, seed: u64) -> Result<Split> {
        Fold::shuffled(self.len(), test_share, seed)?.of(self)
    }

    /// As [`Dataset::train_test_split`], with the same share of each class in both parts, as near as whole samples allow.
    ///
    /// # Errors
    /// As [`Dataset::train_test_split`]; [`Error::Argument`] where the targets are no class indices, a class has a single
    /// sample, or a part would have fewer samples than there are classes.
    pub fn stratified_split(&self, test_share: f64, seed: u64) -> Result<Split> {
        Fold::stratified(self.y(), test_share, seed)?.of(self)
    }
}

impl Fold {
    /// The same fold of these rows of a larger set: the fold counts among them, what comes back in that set.
    #[must_use]
    pub fn among(&self, rows: &[usize]) -> Self {
        let own = |places: &[usize]| places.iter().map(|&place| rows[place]).collect();
        Self { train: own(&self.train), test: own(&self.test) }
    }

    /// [`Dataset::train_test_split`] of so many samples.
    pub(crate) fn shuffled(samples: usize, test_share: f64, seed: u64) -> Result<Self> {
        let held = test_count(samples, test_share)?;
        let order: Vec<usize> = shuffled(samples as u32, seed, 0).into_iter().map(|row| row as usize).collect();
        let (test, train) = order.split_at(held);
        Ok(Self { train: train.to_vec(), test: test.to_vec() })
    }

    /// [`Dataset::stratified_split`] of samples with these targets.
    pub(crate) fn stratified(y: &Tensor, test_share: f64, seed: u64) -> Result<Self> {
        let (samples, held) = (y.rows(), test_count(y.rows(), test_share)?);
        let classes = classes("stratified_split", y)?;
        if let Some(lonely) = classes.iter().find(|rows| rows.len() == 1) {
            let message = format!("row {} is the only one of its class: it cannot be in both parts", lonely[0]);
            return Err(Error::argument("stratified_split", message));
        }
        if held.min(samples - held) < classes.len() {
            let (left, count) = (samples - held, classes.len());
            let message =
                format!("{held} samples to measure on and {left} to train on are too few for {count} classes");
            return Err(Error::argument("test_share", message));
        }
        let counts = apportioned(held, &classes.iter().map(Vec::len).collect::<Vec<_>>());
        let (mut train, mut test) = (Vec::new(), Vec::new());
        for (k, (rows, count)) in (0..).zip(classes.into_iter().zip(counts)) {
            let rows = shuffled_with(rows, seed, "stratify", k);
            test.extend_from_slice(&rows[..count]);
            train.extend_from_slice(&rows[count..]);
        }
        let mixed = |rows, index| shuffled_with(rows, seed, "shuffle", index);
        Ok(Self { train: mixed(train, 0), test: mixed(test, 1) })
    }
}

/// How many samples each of so many classes has.
pub(crate) fn class_counts(labels: &[u32], classes: usize) -> Vec<usize> {
    let mut counts = vec![0; classes];
    labels.iter().for_each(|&label| counts[label as usize] += 1);
    counts
}

fn test_count(samples: usize, share: f64) -> Result<usize> {
    let held = (share * samples as f64).ceil();
    if share > 0.0 && held >= 1.0 && held < samples as f64 {
        return Ok(held as usize);
    }
    let message = format!("{share} of {samples} samples leaves a part without any; give more than 0, less than 1");
    Err(Error::argument("test_share", message))
}

/// The rows of each class that has any, in the order of the class indices.
fn classes(what: &str, y: &Tensor) -> Result<Vec<Vec<usize>>> {
    let Values::U32(labels) = y.values() else {
        let message = format!("needs class indices as targets, these are {} values", y.dtype());
        return Err(Error::argument(what, message));
    };
    if labels.len() != y.rows() {
        let message = format!("needs one class index a sample, the targets are {}", y.shape());
        return Err(Error::argument(what, message));
    }
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by_key(|&row| labels[row]);
    Ok(order.chunk_by(|&a, &b| labels[a] == labels[b]).map(<[usize]>::to_vec).collect())
}

/// Shares `total` out in proportion: each has its quota rounded down, and those with the largest rests one more.
fn apportioned(total: usize, of: &[usize]) -> Vec<usize> {
    let sum: usize = of.iter().sum();
    let mut counts: Vec<usize> = of.iter().map(|&n| n * total / sum).collect();
    let mut by_rest: Vec<usize> = (0..of.len()).collect();
    by_rest.sort_by_key(|&i| std::cmp::Reverse(of[i] * total % sum));
    let left = total - counts.iter().sum::<usize>();
    by_rest[..left].iter().for_each(|&i| counts[i] += 1);
    counts
}

/// Cross validation: every sample is measured on once, by a model trained on the other folds.
///
/// ```
/// use kiln::{Tensor, data::{Dataset, KFold}};
/// let x = Tensor::new([5, 1], vec![0.0f32, 1.0, 2.0, 3.0, 4.0])?;
/// let data = Dataset::new(x, Tensor::from([0u32, 1, 0, 1, 0]))?;
/// let rows: Vec<Vec<usize>> = KFold::new(3).folds(&data)?.into_iter().map(|fold| fold.test).collect();
/// assert_eq!(rows, [vec![0, 1], vec![2, 3], vec![4]]);
/// for fold in KFold::new(2).stratified().shuffle(7).split(&data)? {
///     assert_eq!(fold.train.len() + fold.test.len(), 5);
/// }
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct KFold {
    folds: usize,
    seed: Option<u64>,
    stratified: bool,
}

impl KFold {
    /// So many folds of neighbouring rows; the first ones have a row more where the rows do not come out even.
    pub fn new(folds: usize) -> Self {
        Self { folds, seed: None, stratified: false }
    }

    /// Draws each fold's rows from all over the set by a seed.
    #[must_use]
    pub fn shuffle(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Gives each fold the same share of each class, as near as whole samples allow.
    #[must_use]
    pub fn stratified(mut self) -> Self {
        self.stratified = true;
        self
    }

    /// The rows of each fold, ascending.
    ///
    /// # Errors
    /// [`Error::Argument`] for fewer than two folds, or more than there are samples; stratified, where the targets are no
    /// class indices or no class has as many samples as there are folds.
    pub fn folds(&self, data: &Dataset) -> Result<Vec<Fold>> {
        self.folds_of(data.y())
    }

    /// So many folds of samples with these targets, in an order drawn by a seed: of class indices with the same share of each class.
    pub(crate) fn drawn(folds: usize, seed: u64, y: &Tensor) -> Result<Vec<Fold>> {
        let folds = Self::new(folds).shuffle(seed);
        if matches!(y.values(), Values::U32(_)) { folds.stratified() } else { folds }.folds_of(y)
    }

    /// [`KFold::folds`] of samples with these targets.
    pub(crate) fn folds_of(&self, y: &Tensor) -> Result<Vec<Fold>> {
        let (n, k) = (y.rows(), self.folds);
        if k < 2 || k > n {
            return Err(Error::argument("folds", format!("{k} folds of {n} samples; give 2 to {n}")));
        }
        let fold_of = if self.stratified { self.dealt(y)? } else { self.cut(n) };
        let rows = |wanted: &dyn Fn(usize) -> bool| (0..n).filter(|&row| wanted(fold_of[row])).collect();
        Ok((0..k).map(|fold| Fold { train: rows(&|other| other != fold), test: rows(&|own| own == fold) }).collect())
    }

    /// The set's two parts, fold by fold; each is made when its turn comes.
    ///
    /// # Errors
    /// As [`KFold::folds`].
    pub fn split(self, data: &Dataset) -> Result<impl Iterator<Item = Split>> {
        let folds = self.folds(data)?.into_iter();
        Ok(folds.map(|fold| fold.of(data).expect("the folds' rows are the set's")))
    }

    /// Each row's fold: neighbours in order.
    fn cut(&self, n: usize) -> Vec<usize> {
        let order = self.seed.map_or_else(|| (0..n as u32).collect(), |seed| shuffled(n as u32, seed, 0));
        let (small, larger) = (n / self.folds, n % self.folds);
        let sizes = (0..self.folds).map(|fold| small + usize::from(fold < larger));
        let folds = sizes.enumerate().flat_map(|(fold, size)| std::iter::repeat_n(fold, size));
        let mut fold_of = vec![0; n];
        order.into_iter().zip(folds).for_each(|(row, fold)| fold_of[row as usize] = fold);
        fold_of
    }

    /// Each row's fold: class after class, the rows are dealt out like cards.
    fn dealt(&self, y: &Tensor) -> Result<Vec<usize>> {
        let classes = classes("KFold::stratified", y)?;
        let most = classes.iter().map(Vec::len).max().unwrap_or(0);
        if most < self.folds {
            let message = format!("{} folds, the largest class has {most} samples; give fewer", self.folds);
            return Err(Error::argument("folds", message));
        }
        let mixed = |(k, rows): (u64, Vec<usize>)| match self.seed {
            Some(seed) => shuffled_with(rows, seed, "stratify", k),
            None => rows,
        };
        let mut fold_of = vec![0; y.rows()];
        let order = (0..).zip(classes).flat_map(mixed);
        order.enumerate().for_each(|(place, row)| fold_of[row] = place % self.folds);
        Ok(fold_of)
    }
}

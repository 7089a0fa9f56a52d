//! NumPy's archives as data sets: their arrays by Keras' names.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use flate2::Crc;
use kiln::data::{Dataset, Npz, Split};
use kiln::nn::{Config, Model};
use kiln::tensor::{Tensor, Values};

/// Whether a path has this ending.
pub fn ends_in(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(ending))
}

/// The path of an archive, where a name is one.
pub fn archive<P: AsRef<Path> + ?Sized>(name: &P) -> Option<&Path> {
    Some(name.as_ref()).filter(|path| ends_in(path, "npz"))
}

/// The largest label of a file: there are as many classes as it says, and one.
pub struct Largest {
    pub label: u32,
    /// Where it stands: `x.npz: y_train, row 5`.
    place: String,
    /// How many labels there are, each counted once.
    different: usize,
}

impl Largest {
    pub fn classes(&self) -> usize {
        self.label as usize + 1
    }

    /// That the output layer for the classes, of so many bytes in training, can be held.
    pub fn check(&self, bytes: u64) -> Result<()> {
        let Self { label, place, different } = self;
        let (classes, gigabytes, most) = (self.classes(), bytes >> 30, MOST_OUTPUT_BYTES >> 30);
        ensure!(
            bytes <= MOST_OUTPUT_BYTES,
            "{place}: the label {label} makes {classes} classes, of which {different} are there; to train their output \
             layer takes {gigabytes} GB, {most} at most: number the labels from 0 on, or leave the row out"
        );
        Ok(())
    }
}

/// What an output layer may take in training: beyond this a label is taken for a mistake.
const MOST_OUTPUT_BYTES: u64 = 4 << 30;

/// What is trained and measured on, and its largest label; none where the targets are numbers, by `values`.
pub fn split(path: &Path, values: bool, max_unpacked: Option<u64>) -> Result<(Split, Option<Largest>)> {
    let file = open(path, max_unpacked, &["x_train", "y_train", "x_test", "y_test"])?;
    let parts = [["x_train", "y_train"], ["x_test", "y_test"]];
    let (train, test, largest) = if values {
        let [train, test] = parts.map(|names| of_values(&file, path, names));
        (train?, test?, None)
    } else {
        let [train, test] = parts.map(|names| part(&file, path, names));
        let ((train, seen), (test, measured)) = (train?, test?);
        (train, test, Some(if measured.label > seen.label { measured } else { seen }))
    };
    let [ours, theirs] = [&train, &test].map(Dataset::sample_shape);
    ensure!(ours == theirs, "{}: samples of x_train are {ours}, of x_test {theirs}", path.display());
    let [ours, theirs] = [&train, &test].map(|data| data.x().dtype());
    ensure!(ours == theirs, "{}: x_train holds {ours}, x_test {theirs}; store both in one type", path.display());
    let [ours, theirs] = [&train, &test].map(|data| data.y().shape().get(1).copied());
    ensure!(ours == theirs, "{}: y_train and y_test have different numbers of columns", path.display());
    Ok((Split { train, test }, largest))
}

/// What is measured on.
pub fn test(path: &Path, values: bool, max_unpacked: Option<u64>) -> Result<Dataset> {
    let file = open(path, max_unpacked, &["x_test", "y_test"])?;
    let names = ["x_test", "y_test"];
    if values { of_values(&file, path, names) } else { Ok(part(&file, path, names)?.0) }
}

/// Samples and numbers `(n, targets)`.
fn of_values(file: &Npz, path: &Path, [x, y]: [&str; 2]) -> Result<Dataset> {
    let data = file.dataset(x, y)?;
    let (shape, values) = (data.y().shape(), data.y().values().to_f32());
    let (rows, width) = (data.len(), values.len() / data.len().max(1));
    ensure!(
        shape.rank() <= 2 && width > 0,
        "{}: {y} has shape {shape}; numbers to predict are of shape (n,) or (n, targets)",
        path.display()
    );
    Ok(Dataset::new(data.x().clone(), Tensor::new([rows, width], values)?)?.with_scale(data.scale()))
}

/// Samples without labels: `x_test`, or the only array there is.
pub fn samples(path: &Path, max_unpacked: Option<u64>) -> Result<Tensor> {
    let file = read(path, max_unpacked)?;
    let names: Vec<&str> = file.names().collect();
    match names[..] {
        [name] => Ok(file.samples(name)?),
        _ => Ok(open(path, max_unpacked, &["x_test"])?.samples("x_test")?),
    }
}

fn read(path: &Path, max_unpacked: Option<u64>) -> Result<Npz> {
    Ok(max_unpacked.map_or_else(|| Npz::open(path), |most| Npz::open_within(path, most))?)
}

/// The file, which must have some arrays.
fn open(path: &Path, max_unpacked: Option<u64>, needed: &[&str]) -> Result<Npz> {
    let file = read(path, max_unpacked)?;
    let names: Vec<&str> = file.names().collect();
    let missing: Vec<&str> = needed.iter().copied().filter(|name| !names.contains(name)).collect();
    if missing.is_empty() {
        return Ok(file);
    }
    let all: Vec<String> = needed.iter().map(|name| format!("{name}=...")).collect();
    let (path, missing, names, all) = (path.display(), missing.join(", "), names.join(", "), all.join(", "));
    bail!("{path}: has no {missing}; there are {names}; write it by np.savez(\"{path}\", {all})")
}

/// Samples and labels, and the largest of these.
fn part(file: &Npz, path: &Path, [x, y]: [&str; 2]) -> Result<(Dataset, Largest)> {
    let data = file.dataset(x, y)?;
    let labels = "labels are whole numbers from 0 on, of shape (n,) or (n, 1)";
    let name = path.display();
    let other = format!("to predict the numbers: kiln train {name} --target y");
    let data = data.with_labels().map_err(|e| anyhow!("{name}: {y} holds values; {labels}: {e}; {other}"))?;
    let Values::U32(labels) = data.y().values() else { unreachable!("with_labels makes them") };
    let largest = labels.iter().max().with_context(|| format!("{}: {y} is empty", path.display()))?;
    let row = labels.iter().position(|label| label == largest).expect("it is one of them");
    let (label, place) = (*largest, format!("{}: {y}, row {row}", path.display()));
    let different = labels.iter().collect::<HashSet<_>>().len();
    Ok((data, Largest { label, place, different }))
}

/// The note in the file of a model.
const NOTE: &str = "arrays";

/// What tells arrays from others: how many samples they have, and a sum of their bytes.
pub struct Print {
    rows: usize,
    crc: usize,
}

impl Print {
    pub fn of(split: &Split) -> Self {
        let mut crc = Crc::new();
        for tensor in [&split.train, &split.test].into_iter().flat_map(|part| [part.x(), part.y()]) {
            crc.update(format!("{} {}", tensor.dtype(), tensor.shape()).as_bytes());
            match tensor.values() {
                Values::U8(v) => crc.update(v),
                Values::U32(v) => crc.update(bytemuck::cast_slice(v)),
                Values::F32(v) => crc.update(bytemuck::cast_slice(v)),
                Values::F64(v) => crc.update(bytemuck::cast_slice(v)),
            }
        }
        Self { rows: split.train.len() + split.test.len(), crc: crc.sum() as usize }
    }

    /// Keeps it with the model.
    pub fn keep(&self, model: &mut Model) {
        model.set_note(NOTE, Config::new(NOTE).with("rows", self.rows).with("crc", self.crc));
    }

    /// That the arrays at `path` are those that the model was trained on, where its file says which those were.
    pub fn check(&self, model: &Model, path: &Path) -> Result<()> {
        let Some(mut config) = model.note::<Config>(NOTE)? else { return Ok(()) };
        let (rows, crc): (usize, usize) = (config.take("rows")?, config.take("crc")?);
        let (name, found) = (path.display(), self.rows);
        ensure!(
            found == rows,
            "{name}: has {found} samples, the run had {rows}; give the arrays that it was trained on"
        );
        ensure!(crc == self.crc, "{name}: has changed since the run; give the arrays that it was trained on");
        Ok(())
    }
}

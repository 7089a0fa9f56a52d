//! NumPy's archives as data sets: their arrays by Keras' names.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use flate2::Crc;
use kiln::data::{Dataset, Npz, Split};
use kiln::nn::{Config, Sequential};
use kiln::tensor::{Tensor, Values};

/// The path of an archive, where a name is one.
pub fn archive<P: AsRef<Path> + ?Sized>(name: &P) -> Option<&Path> {
    Some(name.as_ref()).filter(|path| path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npz")))
}

/// What is trained and measured on, and how many classes there are.
pub fn split(path: &Path) -> Result<(Split, usize)> {
    let file = open(path, &["x_train", "y_train", "x_test", "y_test"])?;
    let (train, seen) = part(&file, path, ["x_train", "y_train"])?;
    let (test, measured) = part(&file, path, ["x_test", "y_test"])?;
    let [ours, theirs] = [&train, &test].map(Dataset::sample_shape);
    ensure!(ours == theirs, "{}: samples of x_train are {ours}, of x_test {theirs}", path.display());
    Ok((Split { train, test }, seen.max(measured)))
}

/// What is measured on.
pub fn test(path: &Path) -> Result<Dataset> {
    Ok(part(&open(path, &["x_test", "y_test"])?, path, ["x_test", "y_test"])?.0)
}

/// Samples without labels: `x_test`, or the only array there is.
pub fn samples(path: &Path) -> Result<Tensor> {
    let file = Npz::open(path)?;
    let names: Vec<&str> = file.names().collect();
    match names[..] {
        [name] => Ok(file.samples(name)?),
        _ => Ok(open(path, &["x_test"])?.samples("x_test")?),
    }
}

/// The file, which must have some arrays.
fn open(path: &Path, needed: &[&str]) -> Result<Npz> {
    let file = Npz::open(path)?;
    let names: Vec<&str> = file.names().collect();
    let missing: Vec<&str> = needed.iter().copied().filter(|name| !names.contains(name)).collect();
    if missing.is_empty() {
        return Ok(file);
    }
    let all: Vec<String> = needed.iter().map(|name| format!("{name}=...")).collect();
    let (path, missing, names, all) = (path.display(), missing.join(", "), names.join(", "), all.join(", "));
    bail!("{path}: has no {missing}; there are {names}; write it by np.savez(\"{path}\", {all})")
}

/// Samples and labels, and how many classes these make.
fn part(file: &Npz, path: &Path, [x, y]: [&str; 2]) -> Result<(Dataset, usize)> {
    let data = file.dataset(x, y)?;
    let Values::U32(labels) = data.y().values() else {
        bail!("{}: {y} holds values; labels are whole numbers from 0 on, of shape (n,)", path.display());
    };
    let last = labels.iter().max().with_context(|| format!("{}: {y} is empty", path.display()))?;
    let classes = *last as usize + 1;
    Ok((data, classes))
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
    pub fn keep(&self, model: &mut Sequential) {
        model.set_note(NOTE, Config::new(NOTE).with("rows", self.rows).with("crc", self.crc));
    }

    /// That the arrays at `path` are those that the model was trained on, where its file says which those were.
    pub fn check(&self, model: &Sequential, path: &Path) -> Result<()> {
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

//! NumPy's archives as data sets: their arrays by Keras' names.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use kiln::data::{Dataset, Npz, Split};
use kiln::tensor::{Tensor, Values};

/// The path of an archive, where a name is one.
pub fn archive(name: &str) -> Option<&Path> {
    Some(Path::new(name)).filter(|path| path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npz")))
}

/// What is trained and measured on, and how many classes there are.
pub fn split(path: &Path) -> Result<(Split, usize)> {
    let file = open(path, &["x_train", "y_train", "x_test", "y_test"])?;
    let (train, seen) = part(&file, path, ["x_train", "y_train"])?;
    let (test, measured) = part(&file, path, ["x_test", "y_test"])?;
    let [ours, theirs] = [&train, &test].map(Dataset::sample_shape);
    ensure!(ours == theirs, "{}: samples of x_train are {ours}, of x_test {theirs}", path.display());
    let [ours, theirs] = [&train, &test].map(|data| data.x().dtype());
    ensure!(ours == theirs, "{}: x_train holds {ours}, x_test {theirs}; store both in one type", path.display());
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
    let labels = "labels are whole numbers from 0 on, of shape (n,) or (n, 1)";
    let data = data.with_labels().map_err(|e| anyhow!("{}: {y} holds values; {labels}: {e}", path.display()))?;
    let Values::U32(labels) = data.y().values() else { unreachable!("with_labels makes them") };
    let last = labels.iter().max().with_context(|| format!("{}: {y} is empty", path.display()))?;
    let classes = *last as usize + 1;
    Ok((data, classes))
}

//! Files that other programs read. [`TensorFile`] reads and writes safetensors and NumPy's `.npz`; whole models are saved by
//! [`crate::nn::Model::save`]; [`tensorboard`] writes event files.

mod half;
#[cfg(feature = "keras")]
pub(crate) mod hdf5;
pub(crate) mod json;
#[cfg(feature = "keras")]
pub(crate) mod keras;
mod kind;
mod literal;
pub(crate) mod npz;
#[cfg(feature = "onnx")]
pub(crate) mod onnx;
mod protobuf;
mod safetensors;
pub mod tensorboard;
pub(crate) mod unpacking;
pub(crate) mod whole;
pub(crate) mod zip;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::tensor::Tensor;
pub use kind::file_kind;
pub use whole::{check_file, check_log, read_file, write_file};

pub use crate::printable::printable;

/// Tensors by name, and text beside them.
///
/// ```
/// use kiln::{Tensor, io::TensorFile};
/// let path = std::env::temp_dir().join("kiln-doc.npz");
/// TensorFile::new().with("hidden/bias", Tensor::from([1.0f32, 2.0])).write(&path)?;
/// let file = TensorFile::read(&path)?;
/// assert_eq!(file.tensor("hidden/bias")?, &Tensor::from([1.0f32, 2.0]));
/// # std::fs::remove_file(path).unwrap();
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TensorFile {
    /// Stands in errors.
    path: PathBuf,
    metadata: Vec<(String, String)>,
    /// Or why one cannot be had.
    tensors: Vec<(String, Result<Tensor, String>)>,
    /// Where among them each name stands.
    places: HashMap<String, usize>,
}

impl TensorFile {
    /// Without tensors.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tensor, or replaces the one of this name.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, tensor: Tensor) -> Self {
        let name = name.into();
        if let Some(at) = self.places.remove(&name) {
            drop(self.tensors.remove(at));
            self.places.values_mut().filter(|place| **place > at).for_each(|place| *place -= 1);
        }
        self.push(name, Ok(tensor));
        self
    }

    /// Adds what there is under a name that is new.
    fn push(&mut self, name: String, held: Result<Tensor, String>) {
        self.places.insert(name.clone(), self.tensors.len());
        self.tensors.push((name, held));
    }

    /// Adds text beside the tensors, or replaces the one of this key.
    #[must_use]
    pub fn with_metadata(mut self, key: impl Into<String>, text: impl Into<String>) -> Self {
        let key = key.into();
        self.metadata.retain(|(known, _)| *known != key);
        self.metadata.push((key, text.into()));
        self
    }

    /// The names, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.iter().map(|(name, _)| name.as_str())
    }

    /// The tensor of a name.
    ///
    /// # Errors
    /// [`Error::Format`] where there is none, or it is of a type that Kiln does not have.
    pub fn tensor(&self, name: &str) -> Result<&Tensor> {
        match self.places.get(name).map(|&at| &self.tensors[at].1) {
            Some(Ok(tensor)) => Ok(tensor),
            Some(Err(why)) => Err(self.error(format!("tensor {name:?} {why}"))),
            None => {
                let names: Vec<&str> = self.names().collect();
                Err(self.error(format!("tensor {}", crate::suggest::unknown(name, &names))))
            }
        }
    }

    /// The text of a key.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.iter().find(|(known, _)| known == key).map(|(_, text)| text.as_str())
    }

    /// Reads a safetensors file, or an `.npz` of NumPy's: the first bytes tell, not the name. Tensors are compared with
    /// their CRC-32 where the file has it, as every file that Kiln writes does. Floats of 16 bits, F16 and BF16 of a safetensors file
    /// and `float16` of NumPy's, become f32.
    ///
    /// # Errors
    /// [`Error::Io`] where the system refuses; [`Error::Format`] where the file is neither, is damaged or cut off.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::parse(&whole::read(path)?, path)
    }

    /// [`TensorFile::read`] of an `.npz` that may unpack to `max_unpacked` bytes. Others may to 64 MiB, and to a hundred
    /// times their own size.
    ///
    /// # Errors
    /// As [`TensorFile::read`].
    pub fn read_within(path: impl AsRef<Path>, max_unpacked: u64) -> Result<Self> {
        let path = path.as_ref();
        Self::parsed(&whole::read(path)?, path, Some(max_unpacked))
    }

    /// [`TensorFile::read`] of bytes in memory. `path` stands in the errors only.
    ///
    /// # Errors
    /// [`Error::Format`], as of [`TensorFile::read`].
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Self> {
        Self::parsed(bytes, path, None)
    }

    fn parsed(bytes: &[u8], path: &Path, max_unpacked: Option<u64>) -> Result<Self> {
        let most = unpacking::most(bytes.len() as u64, max_unpacked);
        let parsed = if bytes.starts_with(b"PK") { npz::parse(bytes, most) } else { safetensors::parse(bytes) };
        parsed.map(|file| Self { path: path.into(), ..file }).map_err(|e| Error::format(path, e))
    }

    /// Writes an `.npz` where the name ends so, else a safetensors file: whole or not at all, in place of what was there.
    /// Either has a CRC-32 of each tensor, by which [`TensorFile::read`] notices damage; in a safetensors file they stand in
    /// the metadata under `kiln_crc32`.
    ///
    /// # Errors
    /// [`Error::Io`] where the system refuses; [`Error::Format`] where an `.npz` is to hold text, or 4 GB.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        if !is_npz(path) {
            let pieces = self.pieces();
            return whole::write(path, &pieces.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }
        if !self.metadata.is_empty() {
            return Err(Error::format(path, NO_MODEL));
        }
        let archive = npz::pack(self).map_err(|e| Error::format(path, e))?;
        whole::write(path, &[&archive])
    }

    /// What [`TensorFile::write`] puts into a safetensors file, as bytes; [`TensorFile::parse`] reads them.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.pieces().concat()
    }

    /// The header of a safetensors file, and each tensor's bytes.
    fn pieces(&self) -> Vec<Vec<u8>> {
        let mut pieces: Vec<_> = self.held().map(|(_, tensor)| safetensors::bytes_of(tensor.values())).collect();
        pieces.insert(0, safetensors::header(self, &pieces));
        pieces
    }

    /// The tensors that can be had.
    fn held(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().filter_map(|(name, held)| Some((name.as_str(), held.as_ref().ok()?)))
    }

    pub(crate) fn error(&self, message: impl Into<String>) -> Error {
        Error::format(&self.path, message)
    }
}

/// That a model can be saved to a path, found out before it is trained: [`crate::nn::Model::save`].
///
/// # Errors
/// [`Error::Io`] where the folder cannot be written; [`Error::Format`] where the path is a folder's or has an ending of something else than models.
pub fn check_path(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    Ending::of(path)?;
    check_file(path)
}

/// What a path's ending says that a model is written as.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ending {
    /// A safetensors file, and a path without an ending.
    Safetensors,
    /// Keras' archive.
    #[cfg(feature = "keras")]
    Keras,
}

impl Ending {
    /// What a model is written as under a path.
    pub fn of(path: &Path) -> Result<Self> {
        #[cfg(feature = "keras")]
        if ends_in(path, "keras") {
            return Ok(Self::Keras);
        }
        if is_npz(path) {
            return Err(Error::format(path, NO_MODEL));
        }
        Self::check(path, &["safetensors"]).map(|()| Self::Safetensors)
    }

    /// What weights alone are written as.
    pub const OF_WEIGHTS: [&str; 2] = ["safetensors", "npz"];

    /// That a path has one of these endings, or none.
    pub fn check(path: &Path, known: &[&str]) -> Result<()> {
        let Some(ending) = path.extension().map(|ending| ending.to_string_lossy().to_lowercase()) else {
            return Ok(());
        };
        if known.contains(&ending.as_str()) {
            return Ok(());
        }
        let of_keras = match (cfg!(feature = "keras"), known.contains(&"npz")) {
            (false, _) => "",
            (true, true) => " or .weights.h5",
            (true, false) => " or .keras",
        };
        let known: Vec<String> = known.iter().map(|known| format!(".{known}")).collect();
        let message =
            format!("ends in .{ending}, by which nobody would know it; name it {}{of_keras}", known.join(", "));
        Err(Error::format(path, message))
    }
}

/// Why a model is not written to an `.npz`.
const NO_MODEL: &str = "an .npz holds weights alone; name the file .safetensors";

/// Whether a path has this ending.
pub(crate) fn ends_in(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(ending))
}

fn is_npz(path: &Path) -> bool {
    ends_in(path, "npz")
}

/// As NumPy has it.
const MOST_AXES: usize = 64;

/// The number of elements of a shape that a file claims.
fn count(extents: &[usize]) -> Result<usize, String> {
    // More only cost time: each element is found by a step an axis.
    if extents.len() > MOST_AXES {
        return Err(format!("a shape of {} axes is none that a tensor has; {MOST_AXES} at most", extents.len()));
    }
    // A zero does not make up for what is too large beside it: in another order the product would overflow.
    let product = extents.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent.max(1)));
    let product = product.ok_or_else(|| format!("a shape of {extents:?} is more than memory holds"))?;
    Ok(if extents.contains(&0) { 0 } else { product })
}

//! Data sets in NumPy's `.npz` archives, as `np.savez` and `np.savez_compressed` write them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Dataset, Split, integers};
use crate::error::{Error, Result};
use crate::io::npz::{Archive, Array};
use crate::io::{unpacking, whole};
use crate::tensor::Tensor;

/// The arrays of an `.npz` file, of which data sets are made. Each is unpacked where it is asked for.
///
/// | NumPy's type | samples are | targets are |
/// |---|---|---|
/// | uint8 | `u8`, which [`Dataset`] multiplies by 1/255 | class indices where `(n,)` or `(n, 1)`, else `f32` |
/// | bool, int8 to int64, uint16 to uint64 | `f32`; what it does not hold exactly, from 2^24 + 1 on, is an error | the same |
/// | float16, float32, float64 | `f32`, rounded | `f32`, rounded; see [`Dataset::with_labels`] |
///
/// Numbers may be big-endian. What is no array in the archive is passed over, as NumPy does.
///
/// ```
/// use kiln::{Tensor, data::Npz, io::TensorFile};
/// # let path = std::env::temp_dir().join("kiln-npz-doc.npz");
/// # let features = Tensor::from([[0.5f32, 1.5], [2.5, 3.5]]);
/// # TensorFile::new().with("features", features).with("kinds", Tensor::from([1u32, 0])).write(&path)?;
/// let data = Npz::open(&path)?.dataset("features", "kinds")?;
/// assert_eq!((data.len(), data.sample_shape().to_string()), (2, "(2,)".into()));
/// # std::fs::remove_file(path).unwrap();
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Npz {
    /// Stands in errors.
    path: PathBuf,
    bytes: Arc<Vec<u8>>,
    archive: Archive,
}

impl Npz {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`Error::Io`] where the system refuses; [`Error::Format`] where the file is no `.npz`, is damaged or cut off.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::parsed(whole::read(path)?, path, None)
    }

    /// [`Npz::open`] of a file of which each array may unpack to `max_unpacked` bytes. Those of others may to 64 MiB, and to
    /// a hundred times the file's size.
    ///
    /// # Errors
    /// As [`Npz::open`].
    pub fn open_within(path: impl AsRef<Path>, max_unpacked: u64) -> Result<Self> {
        let path = path.as_ref();
        Self::parsed(whole::read(path)?, path, Some(max_unpacked))
    }

    /// [`Npz::open`] of bytes in memory. `path` stands in the errors only.
    ///
    /// # Errors
    /// [`Error::Format`], as of [`Npz::open`].
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Self> {
        Self::parsed(bytes.to_vec(), path, None)
    }

    fn parsed(bytes: Vec<u8>, path: &Path, max_unpacked: Option<u64>) -> Result<Self> {
        let most = unpacking::most(bytes.len() as u64, max_unpacked);
        let archive = Archive::open(&bytes, most).map_err(|e| Error::format(path, e))?;
        Ok(Self { path: path.into(), bytes: bytes.into(), archive })
    }

    /// The arrays' names, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.archive.names()
    }

    /// The samples `(n, ...)` in the array `x`, with the targets in the array `y`: whole numbers of shape `(n,)` or `(n, 1)` are
    /// class indices, all others values.
    ///
    /// # Errors
    /// [`Error::Format`] that names file and arrays: where there is none of a name, its type is none of those above, a
    /// number cannot be had in the type it is to have, the two have different numbers of rows, one is empty or holds a
    /// number that is not finite.
    pub fn dataset(&self, x: &str, y: &str) -> Result<Dataset> {
        let (samples, targets) = (self.samples(x)?, self.targets(y)?);
        let refused = |e: Error| Error::format(&self.path, format!("arrays {x:?} as x and {y:?} as y: {e}"));
        Dataset::new(samples, targets).map_err(refused)
    }

    /// The parts of a file that has Keras' names, as its `mnist.npz` does: `x_train`, `y_train`, `x_test` and `y_test`.
    ///
    /// # Errors
    /// As [`Npz::dataset`].
    pub fn split(&self) -> Result<Split> {
        Ok(Split { train: self.dataset("x_train", "y_train")?, test: self.dataset("x_test", "y_test")? })
    }

    /// The array of samples alone, for [`crate::nn::Model::predict`].
    ///
    /// # Errors
    /// As [`Npz::dataset`].
    pub fn samples(&self, name: &str) -> Result<Tensor> {
        let array = self.array(name)?;
        let made = match array.integers() {
            Some(numbers) if !array.is_bytes() => integers::values(&array.shape, numbers),
            _ => array.tensor(),
        };
        made.map_err(|why| self.refused(name, &why))
    }

    fn targets(&self, name: &str) -> Result<Tensor> {
        let array = self.array(name)?;
        let made = match array.integers() {
            Some(numbers) if matches!(*array.shape, [_] | [_, 1]) => integers::labels(&array.shape, numbers),
            Some(numbers) => integers::values(&array.shape, numbers),
            None => array.tensor(),
        };
        made.map_err(|why| self.refused(name, &why))
    }

    /// The array of a name, of a type that can be read.
    fn array(&self, name: &str) -> Result<Array> {
        match self.archive.read(&self.bytes, name).transpose().map_err(|e| Error::format(&self.path, e))? {
            Some(array) if array.is_known() => Ok(array),
            Some(array) => {
                let types = "bool, int8 to int64, uint8 to uint64 and float16 to float64 can be read";
                let message = format!("is of type {:?}; {types}: change it by astype", array.dtype);
                Err(self.refused(name, &message))
            }
            None => {
                let names: Vec<&str> = self.names().collect();
                Err(Error::format(&self.path, format!("array {}", crate::suggest::unknown(name, &names))))
            }
        }
    }

    fn refused(&self, name: &str, why: &str) -> Error {
        Error::format(&self.path, format!("array {name:?}: {why}"))
    }
}

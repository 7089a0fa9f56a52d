//! HDF5 files, <https://docs.hdfgroup.org/archive/support/HDF5/doc/H5.format.html>, as Keras keeps weights in them: numbers by their
//! paths. The crate `hdf5-pure` knows the format; here stands what a file may ask of memory.

use std::collections::BTreeMap;

use hdf5_pure::{DType, Dataset, File, FileBuilder, Group, GroupBuilder, Layout, LibVer};

use super::{TensorFile, count, unpacking};
use crate::tensor::{Shape, Tensor, Values};

/// Groups within each other: two for each model of those that may be in one another, and some for a layer.
const MOST_DEPTH: usize = 160;

/// The first bytes of a file.
pub(crate) const SIGNATURE: &[u8; 8] = b"\x89HDF\r\n\x1a\n";

/// A file in memory.
#[derive(Debug)]
pub(crate) struct Hdf5 {
    file: File,
    /// Its bytes.
    len: u64,
    paths: Vec<String>,
}

impl Hdf5 {
    /// Reads where the file has its data sets, and no numbers.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, String> {
        let len = bytes.len() as u64;
        let file = File::from_bytes(bytes).map_err(|e| format!("is no HDF5 file that can be read: {e}"))?;
        let mut read = Self { file, len, paths: Vec::new() };
        let mut paths = Vec::new();
        read.walk(&read.file.root(), "", 0, &mut paths)?;
        read.paths = paths;
        Ok(read)
    }

    fn walk(&self, group: &Group, path: &str, depth: usize, found: &mut Vec<String>) -> Result<(), String> {
        let refused = |e: hdf5_pure::Error| format!("group {path:?} cannot be read: {e}");
        if depth > MOST_DEPTH {
            return Err(format!("has more than {MOST_DEPTH} groups within each other"));
        }
        let of = |name: &str| if path.is_empty() { name.to_string() } else { format!("{path}/{name}") };
        found.extend(group.datasets().map_err(refused)?.iter().map(|name| of(name)));
        // Each takes more of the file than that, unless links lead around in it.
        if found.len() as u64 > self.len / 16 {
            return Err("has more data sets than its bytes can tell of".into());
        }
        for name in group.groups().map_err(refused)? {
            let inner = group.group(&name).map_err(refused)?;
            self.walk(&inner, &of(&name), depth + 1, found)?;
        }
        Ok(())
    }

    /// The paths of all data sets.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(String::as_str)
    }

    fn dataset(&self, path: &str) -> Result<Dataset, String> {
        let known = self.paths().any(|known| known == path);
        let found = known.then(|| self.file.dataset(path).map_err(|e| format!("{path:?} cannot be read: {e}")));
        found.unwrap_or_else(|| Err(format!("has no data set {path:?}")))
    }

    /// The tensor of a path, which is to have this shape: numbers of 64 bits as f64, all others as f32.
    pub fn tensor(&self, path: &str, expected: &Shape) -> Result<Tensor, String> {
        let dataset = self.dataset(path)?;
        let refused = |e: hdf5_pure::Error| format!("{path:?} cannot be read: {e}");
        let shape: Vec<u64> = dataset.shape().map_err(refused)?;
        if !shape.iter().copied().eq(expected.iter().map(|&extent| extent as u64)) {
            return Err(format!("{path:?} has shape {shape:?}, where the model has {expected}"));
        }
        self.check(&dataset, expected.len() as u64).map_err(|e| format!("{path:?} {e}"))?;
        let values = match dataset.dtype().map_err(refused)? {
            DType::F64 => Values::F64(dataset.read_f64().map_err(refused)?),
            _ => Values::F32(dataset.read_f32().map_err(refused)?),
        };
        Tensor::new(expected.clone(), values).map_err(|e| format!("{path:?}: {e}"))
    }

    /// All tensors whose paths begin so.
    pub fn tensors(&self, begin: &str) -> Result<TensorFile, String> {
        let mut file = TensorFile::new();
        for path in self.paths().filter(|path| path.starts_with(begin)) {
            let shape = self.dataset(path)?.shape().map_err(|e| format!("{path:?} cannot be read: {e}"))?;
            let extent =
                |&extent: &u64| usize::try_from(extent).map_err(|_| format!("{path:?} has an extent of {extent}"));
            let shape = shape.iter().map(extent).collect::<Result<Vec<_>, _>>()?;
            count(&shape).map_err(|e| format!("{path:?}: {e}"))?;
            file = file.with(path, self.tensor(path, &shape.into())?);
        }
        Ok(file)
    }

    /// The whole number that stands alone at a path.
    pub fn count(&self, path: &str) -> Result<u64, String> {
        let dataset = self.dataset(path)?;
        self.check(&dataset, 1).map_err(|e| format!("{path:?} {e}"))?;
        match dataset.shape().map(|shape| shape.iter().product::<u64>()) {
            Ok(1) => {}
            _ => return Err(format!("{path:?} is not one number")),
        }
        match dataset.read_i64().map_err(|e| format!("{path:?} cannot be read: {e}"))?[..] {
            [count] if count >= 0 => Ok(count.unsigned_abs()),
            _ => Err(format!("{path:?} counts below 0")),
        }
    }

    /// That so many numbers lie in the file itself, as they are or packed within bounds.
    fn check(&self, dataset: &Dataset, numbers: u64) -> Result<(), String> {
        let size = dataset.element_size().map_err(|e| e.to_string())?;
        let bytes = numbers.saturating_mul(size);
        let most = match dataset.layout().map_err(|e| e.to_string())? {
            Layout::Contiguous { address: None, .. } if bytes > 0 => {
                return Err("was never written, or lies in another file".into());
            }
            Layout::Contiguous { .. } | Layout::Compact { .. } => self.len,
            Layout::Chunked { chunk_shape, .. } => {
                let most = unpacking::most(self.len, None);
                let chunk = chunk_shape.iter().fold(size, |bytes, &extent| bytes.saturating_mul(extent));
                if chunk > most {
                    return Err(format!(
                        "is packed in parts of {chunk} bytes; {most} is the most that it may unpack to"
                    ));
                }
                most
            }
            other => return Err(format!("lies elsewhere ({other:?}); only what is in the file itself is read")),
        };
        if bytes > most { Err(format!("has {bytes} bytes, where the file can have {most} of it")) } else { Ok(()) }
    }
}

/// Groups and data sets of a group that is written.
#[derive(Default)]
struct Node<'t> {
    groups: BTreeMap<&'t str, Node<'t>>,
    data: BTreeMap<&'t str, &'t Tensor>,
}

/// A file of these numbers by their paths, as the oldest readers take it.
pub(crate) fn pack(variables: &[(String, Tensor)]) -> Result<Vec<u8>, String> {
    let mut root = Node::default();
    for (path, tensor) in variables {
        let (groups, name) = path.rsplit_once('/').unwrap_or(("", path));
        let group = groups.split('/').filter(|part| !part.is_empty());
        let group = group.fold(&mut root, |node, part| node.groups.entry(part).or_default());
        group.data.insert(name, tensor);
    }
    let mut file = FileBuilder::new();
    file.with_libver_bounds(LibVer::Earliest, LibVer::V18);
    for (name, node) in &root.groups {
        let group = node.write(file.create_group(name));
        file.add_group(group.finish());
    }
    file.finish().map_err(|e| format!("cannot be written as HDF5: {e}"))
}

impl Node<'_> {
    fn write(&self, mut group: GroupBuilder) -> GroupBuilder {
        for (name, tensor) in &self.data {
            let shape: Vec<u64> = tensor.shape().iter().map(|&extent| extent as u64).collect();
            let data = group.create_dataset(name);
            match tensor.values() {
                Values::F32(values) => data.with_f32_data(values),
                Values::F64(values) => data.with_f64_data(values),
                Values::U32(values) => data.with_u32_data(values),
                Values::U8(values) => data.with_u8_data(values),
            }
            .with_shape(&shape);
        }
        for (name, node) in &self.groups {
            let inner = node.write(group.create_group(name));
            group.add_group(inner.finish());
        }
        group
    }
}

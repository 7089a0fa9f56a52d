//! HDF5 files, <https://docs.hdfgroup.org/archive/support/HDF5/doc/H5.format.html>, as Keras keeps weights in them: numbers by their
//! paths. The crate `hdf5-pure` knows the format; here stands what a file may ask of memory and time.

mod guarded;

use std::cell::Cell;
use std::collections::BTreeMap;

use hdf5_pure::{DType, Dataset, File, FileBuilder, Group, GroupBuilder, Layout, LibVer};

use self::guarded::Guarded;
use super::{TensorFile, count, unpacking};
use crate::tensor::{Shape, Tensor, Values};

/// Groups within each other: two for each model of those that may be in one another, and some for a layer.
const MOST_DEPTH: usize = 160;
/// Bytes that a group or a data set takes of a file, at least: header, link and name.
const LEAST_OF_GROUP: u64 = 40;
const LEAST_OF_DATA: u64 = 64;
/// Bytes that a part of packed numbers takes of a file, at least, for its place in the list of parts.
const LEAST_OF_PART: u64 = 8;
/// What numbers may be packed by, one after the other.
const MOST_FILTERS: usize = 4;

/// The first bytes of a file.
pub(crate) const SIGNATURE: &[u8; 8] = b"\x89HDF\r\n\x1a\n";

/// A file in memory.
#[derive(Debug)]
pub(crate) struct Hdf5 {
    /// Its bytes.
    len: u64,
    data: BTreeMap<String, Dataset>,
    /// What numbers may still be read out of it, in bytes.
    left: Cell<u64>,
}

impl Hdf5 {
    /// Reads where the file has its data sets, and no numbers. `stored` are the bytes on disk, fewer where the file was packed.
    pub fn parse(bytes: Vec<u8>, stored: usize) -> Result<Self, String> {
        let len = bytes.len() as u64;
        let refused = |e| format!("is no HDF5 file that can be read: {e}");
        let file = File::from_source(Guarded::new(bytes)?).map_err(refused)?;
        let mut walk = Walk { len, groups: 0, data: BTreeMap::new() };
        walk.enter(&file.root(), "", 0)?;
        Ok(Self { len, data: walk.data, left: Cell::new(unpacking::most_of_keras(stored) as u64) })
    }

    /// The paths of all data sets, in the order of the alphabet.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.data.keys().map(String::as_str)
    }

    fn dataset(&self, path: &str) -> Result<&Dataset, String> {
        self.data.get(path).ok_or_else(|| format!("has no data set {path:?}"))
    }

    /// The tensor of a path, which is to have this shape: numbers of 64 bits as f64, all others as f32.
    pub fn tensor(&self, path: &str, expected: &Shape) -> Result<Tensor, String> {
        let dataset = self.dataset(path)?;
        let refused = |e: hdf5_pure::Error| format!("{path:?} cannot be read: {e}");
        let shape: Vec<u64> = dataset.shape().map_err(refused)?;
        if !shape.iter().copied().eq(expected.iter().map(|&extent| extent as u64)) {
            return Err(format!("{path:?} has shape {shape:?}, where the model has {expected}"));
        }
        self.check(dataset, &shape).map_err(|e| format!("{path:?} {e}"))?;
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
        let shape = dataset.shape().map_err(|e| format!("{path:?} cannot be read: {e}"))?;
        if shape.iter().any(|&extent| extent != 1) {
            return Err(format!("{path:?} is not one number"));
        }
        self.check(dataset, &shape).map_err(|e| format!("{path:?} {e}"))?;
        match dataset.read_i64().map_err(|e| format!("{path:?} cannot be read: {e}"))?[..] {
            [count] if count >= 0 => Ok(count.unsigned_abs()),
            _ => Err(format!("{path:?} counts below 0")),
        }
    }

    /// That the numbers lie in the file itself, as they are or packed within bounds.
    fn check(&self, dataset: &Dataset, shape: &[u64]) -> Result<(), String> {
        let size = dataset.element_size().map_err(|e| e.to_string())?;
        let product = |extents: &[u64], size: u64| extents.iter().fold(size, |all, &extent| all.saturating_mul(extent));
        let bytes = product(shape, size);
        match dataset.layout().map_err(|e| e.to_string())? {
            Layout::Contiguous { address: None, .. } if bytes > 0 => {
                return Err("was never written, or lies in another file".into());
            }
            Layout::Contiguous { .. } | Layout::Compact { .. } if bytes > self.len => {
                return Err(format!("has {bytes} bytes, where the file has {}", self.len));
            }
            Layout::Contiguous { .. } | Layout::Compact { .. } => {}
            Layout::Chunked { chunk_shape, .. } => {
                let (part, most) = (product(&chunk_shape, size), self.left.get());
                if part > most {
                    return Err(format!(
                        "is packed in parts of {part} bytes; {most} is the most that it may unpack to"
                    ));
                }
                let along = shape.iter().zip(&chunk_shape).map(|(&extent, &part)| extent.div_ceil(part.max(1)));
                let parts = product(&along.collect::<Vec<u64>>(), 1);
                if parts > self.len / LEAST_OF_PART {
                    return Err(format!("is packed in {parts} parts, more than the file's bytes can tell of"));
                }
                let filters = dataset.filter_pipeline().len();
                if filters > MOST_FILTERS {
                    return Err(format!("is packed by {filters} filters; {MOST_FILTERS} are the most that are read"));
                }
            }
            other => return Err(format!("lies elsewhere ({other:?}); only what is in the file itself is read")),
        }
        // As numbers of 32 bits, or as they are.
        let needed = product(shape, size.max(4));
        let left = self.left.get().checked_sub(needed);
        self.left.set(left.ok_or_else(|| {
            format!("takes {needed} bytes, more than what is left of those that a file of this size may unpack to; Keras packs no weights")
        })?);
        Ok(())
    }
}

/// The way through a file's groups.
struct Walk {
    len: u64,
    groups: u64,
    data: BTreeMap<String, Dataset>,
}

impl Walk {
    fn enter(&mut self, group: &Group, path: &str, depth: usize) -> Result<(), String> {
        if depth > MOST_DEPTH {
            return Err(format!("has more than {MOST_DEPTH} groups within each other"));
        }
        // Unless links lead around in it, the file has as many bytes.
        self.groups += 1;
        if self.groups > self.len / LEAST_OF_GROUP {
            return Err("has more groups than its bytes can tell of".into());
        }
        let refused = |e: hdf5_pure::Error| format!("group {path:?} cannot be read: {e}");
        let of = |name: &str| if path.is_empty() { name.to_string() } else { format!("{path}/{name}") };
        for (name, dataset) in group.iter_datasets().map_err(refused)? {
            if self.data.len() as u64 >= self.len / LEAST_OF_DATA {
                return Err("has more data sets than its bytes can tell of".into());
            }
            self.data.insert(of(&name), dataset);
        }
        for (name, inner) in group.iter_groups().map_err(refused)? {
            self.enter(&inner, &of(&name), depth + 1)?;
        }
        Ok(())
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

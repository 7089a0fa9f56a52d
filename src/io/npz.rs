//! NumPy's `.npz`, <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>: an archive of a `.npy` a
//! tensor, each a header in Python's notation and the elements.

use std::collections::HashMap;

use super::safetensors::{bytes_of, tensor_of};
use super::{TensorFile, count, unpacking, zip};
use crate::tensor::{DType, Shape, Tensor};

const MAGIC: &[u8; 6] = b"\x93NUMPY";
const EXTENSION: &str = ".npy";
const NAMES: [(&str, DType); 5] =
    [("<f4", DType::F32), ("<f8", DType::F64), ("<u4", DType::U32), ("|u1", DType::U8), ("<u1", DType::U8)];
/// Types of whole numbers, and of yes and no, their bytes and whether they have a sign: of data sets alone.
const INTEGERS: [(&str, usize, bool); 9] = [
    ("|b1", 1, false),
    ("|u1", 1, false),
    ("|i1", 1, true),
    ("<u2", 2, false),
    ("<i2", 2, true),
    ("<u4", 4, false),
    ("<i4", 4, true),
    ("<u8", 8, false),
    ("<i8", 8, true),
];

pub(super) fn pack(file: &TensorFile) -> Result<Vec<u8>, String> {
    let files = file.held().map(|(name, tensor)| (format!("{name}{EXTENSION}"), npy(tensor)));
    zip::pack(&files.collect::<Vec<_>>())
}

/// All tensors of an archive that unpacks to at most `most` bytes.
pub(super) fn parse(bytes: &[u8], most: u64) -> Result<TensorFile, String> {
    let archive = Archive::open(bytes, most)?;
    let all: u64 = archive.arrays.iter().map(|(_, entry)| entry.len as u64).sum();
    if all > most {
        return Err(unpacking::refusal(most));
    }
    let mut file = TensorFile::new();
    for (name, entry) in &archive.arrays {
        file.push(name.clone(), array(bytes, name, entry)?.tensor());
    }
    Ok(file)
}

/// The arrays of an archive, none of which is unpacked before it is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Archive {
    arrays: Vec<(String, zip::Entry)>,
    /// Where each name stands among them.
    places: HashMap<String, usize>,
    /// The bytes that one may unpack to.
    most: u64,
}

impl Archive {
    /// Reads the list of an archive.
    pub fn open(bytes: &[u8], most: u64) -> Result<Self, String> {
        if !bytes.starts_with(b"PK") {
            return Err("is no .npz archive, which begins with PK; np.savez writes one".into());
        }
        let (mut arrays, mut places) = (Vec::new(), HashMap::new());
        for entry in zip::list(bytes)? {
            // As NumPy has it: what a file begins with tells, and others may lie beside.
            let name = match entry.name.strip_suffix(EXTENSION) {
                Some(name) => name.to_string(),
                None if zip::start(bytes, &entry, MAGIC.len()).is_ok_and(|start| start == MAGIC) => entry.name.clone(),
                None => continue,
            };
            if places.insert(name.clone(), arrays.len()).is_some() {
                return Err(format!("holds {name:?} twice"));
            }
            arrays.push((name, entry));
        }
        Ok(Self { arrays, places, most })
    }

    /// The names, in the order of the archive.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.arrays.iter().map(|(name, _)| name.as_str())
    }

    /// The array of a name, out of the archive's bytes; `None` where there is none.
    pub fn read(&self, bytes: &[u8], name: &str) -> Option<Result<Array, String>> {
        let (name, entry) = &self.arrays[*self.places.get(name)?];
        let is_small = entry.len as u64 <= self.most;
        Some(if is_small { array(bytes, name, entry) } else { Err(unpacking::refusal(self.most)) })
    }
}

fn array(bytes: &[u8], name: &str, entry: &zip::Entry) -> Result<Array, String> {
    parse_npy(&zip::read(bytes, entry)?).map_err(|e| format!("tensor {name:?}: {e}"))
}

/// What an archive has under a name; of a type that is none of those known, the shape alone.
#[derive(Clone, Debug)]
pub(crate) struct Array {
    pub dtype: String,
    pub shape: Shape,
    /// The elements, row by row.
    data: Vec<u8>,
}

impl Array {
    /// The array in its own type, or why it cannot be had.
    pub fn tensor(&self) -> Result<Tensor, String> {
        match NAMES.iter().find(|(known, _)| *known == self.dtype) {
            Some((_, dtype)) => tensor_of(*dtype, &self.shape, &self.data),
            None => {
                let known = NAMES.map(|(known, _)| known).join(", ");
                Err(format!("is of type {:?}; {known} can be read", self.dtype))
            }
        }
    }

    pub fn is_bytes(&self) -> bool {
        self.dtype.ends_with("u1")
    }

    /// Whether the elements were read.
    pub fn is_known(&self) -> bool {
        size_of(&self.dtype).is_some()
    }

    /// The whole numbers that it consists of, where it does.
    pub fn integers(&self) -> Option<impl Iterator<Item = i128> + '_> {
        let &(_, size, signed) = INTEGERS.iter().find(|(known, ..)| *known == self.dtype)?;
        Some(self.data.chunks_exact(size).map(move |bytes| {
            let negative = signed && bytes.last().is_some_and(|byte| byte >> 7 == 1);
            let mut wide = [if negative { 0xff } else { 0 }; 16];
            wide[..size].copy_from_slice(bytes);
            i128::from_le_bytes(wide)
        }))
    }
}

fn npy(tensor: &Tensor) -> Vec<u8> {
    let (dtype, _) = NAMES.iter().find(|(_, dtype)| *dtype == tensor.dtype()).expect("every type has a name");
    let mut header = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': {}, }}", tensor.shape());
    // With the ten bytes before it and the newline behind it, a multiple of 64.
    let len = (header.len() + 11).next_multiple_of(64) - 11;
    header.extend(std::iter::repeat_n(' ', len - header.len()));
    header.push('\n');
    let len = u16::try_from(header.len()).expect("a shape takes less than 64 KB").to_le_bytes();
    [MAGIC, &[1, 0][..], &len, header.as_bytes(), &bytes_of(tensor.values())].concat()
}

fn parse_npy(bytes: &[u8]) -> Result<Array, String> {
    let cut = "its .npy is cut off";
    let rest = bytes.strip_prefix(MAGIC).ok_or("it is no .npy file")?;
    let (&version, rest) = rest.split_first_chunk::<2>().ok_or(cut)?;
    let (len, rest) = match version {
        [1, _] => rest.split_first_chunk().map(|(len, rest)| (usize::from(u16::from_le_bytes(*len)), rest)),
        [2 | 3, _] => rest.split_first_chunk().map(|(len, rest)| (u32::from_le_bytes(*len) as usize, rest)),
        [other, _] => return Err(format!("its .npy is of version {other}; 1 to 3 can be read")),
    }
    .ok_or(cut)?;
    let (header, data) = rest.split_at_checked(len).ok_or(cut)?;
    let header = String::from_utf8_lossy(header);
    let value = |key: &str| {
        let from = header.split_once(&format!("'{key}':")).ok_or_else(|| format!("its header has no {key}"))?;
        Ok::<_, String>(from.1.trim_start())
    };
    let dtype = value("descr")?.split('\'').nth(1).unwrap_or_default();
    let fortran = value("fortran_order")?.starts_with("True");
    let shape = value("shape")?.strip_prefix('(').and_then(|rest| rest.split_once(')')).map(|(shape, _)| shape);
    let extents = shape.ok_or("its shape is no tuple")?.split(',').map(str::trim).filter(|extent| !extent.is_empty());
    let extents: Result<Vec<usize>, _> = extents.map(str::parse).collect();
    let extents = extents.map_err(|e| format!("its shape has an extent that is none: {e}"))?;
    let elements = count(&extents)?;
    let (dtype, shape) = (dtype.to_string(), Shape::from(extents));
    let Some(size) = size_of(&dtype) else { return Ok(Array { dtype, shape, data: Vec::new() }) };
    if elements.checked_mul(size) != Some(data.len()) {
        return Err(format!("{elements} elements of {dtype} for shape {shape} do not fit its {} bytes", data.len()));
    }
    let data = if fortran { row_by_row(data, size, &shape) } else { data.to_vec() };
    Ok(Array { dtype, shape, data })
}

/// The bytes of an element, where the type is known.
fn size_of(dtype: &str) -> Option<usize> {
    let own = NAMES.iter().find(|(known, _)| *known == dtype).map(|(_, dtype)| dtype.size());
    own.or_else(|| INTEGERS.iter().find(|(known, ..)| *known == dtype).map(|&(_, size, _)| size))
}

/// Elements of which the first axis runs fastest, in the other order.
fn row_by_row(data: &[u8], size: usize, shape: &Shape) -> Vec<u8> {
    let strides = shape.iter().scan(size, |stride, &extent| Some(std::mem::replace(stride, *stride * extent)));
    let axes: Vec<(usize, usize)> = shape.iter().copied().zip(strides).collect();
    let place = |mut at: usize| {
        let offset = |&(extent, stride): &(usize, usize)| {
            let index = at % extent;
            at /= extent;
            index * stride
        };
        axes.iter().rev().map(offset).sum::<usize>()
    };
    (0..data.len() / size).flat_map(|at| &data[place(at)..][..size]).copied().collect()
}

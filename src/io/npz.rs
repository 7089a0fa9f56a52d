//! NumPy's `.npz`, <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>: an archive of a `.npy` a
//! tensor, each a header in Python's notation and the elements.

use std::collections::HashMap;

use super::half::of_half;
use super::literal::Literal;
use super::safetensors::{bytes_of, tensor_of};
use super::{TensorFile, count, unpacking, zip};
use crate::tensor::{DType, Shape, Tensor};

const MAGIC: &[u8; 6] = b"\x93NUMPY";
const EXTENSION: &str = ".npy";
const NAMES: [(&str, DType); 4] = [("<f4", DType::F32), ("<f8", DType::F64), ("<u4", DType::U32), ("|u1", DType::U8)];
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

/// The bytes of a `.npy` before its header: what it begins with, its version, the header's length.
const MOST_BEFORE: usize = 12;
/// Bytes of a header; NumPy's own have some hundred.
const MOST_HEADER: usize = 1 << 16;
/// Becomes f32 as it is read.
const HALF: &str = "<f2";

pub(super) fn pack(file: &TensorFile) -> Result<Vec<u8>, String> {
    let files = file.held().map(|(name, tensor)| (format!("{name}{EXTENSION}"), npy(tensor)));
    zip::pack(&files.collect::<Vec<_>>())
}

/// All tensors of an archive that unpacks to at most `most` bytes.
pub(super) fn parse(bytes: &[u8], most: u64) -> Result<TensorFile, String> {
    let archive = Archive::open(bytes, most)?;
    let all = archive.arrays.iter().fold(0, |all: u64, (_, entry)| all.saturating_add(entry.len as u64));
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

/// An array whose header says what the archive's list says of its size: else its elements are not unpacked.
fn array(bytes: &[u8], name: &str, entry: &zip::Entry) -> Result<Array, String> {
    let refused = |e: String| format!("tensor {name:?}: {e}");
    let (header, at) = Header::begin(|most| zip::start(bytes, entry, most.min(entry.len))).map_err(refused)?;
    let Some(size) = header.size(entry.len - at).map_err(refused)? else {
        return Ok(Array { dtype: header.dtype, shape: header.shape, data: Vec::new() });
    };
    Ok(header.array(size, &zip::read(bytes, entry)?[at..]))
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
        self.dtype == "|u1"
    }

    /// Whether its type is known, and the elements were read.
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

/// What a `.npy` says of its elements.
struct Header {
    dtype: String,
    /// Whether the first axis runs fastest.
    fortran: bool,
    shape: Shape,
}

impl Header {
    /// The header that a `.npy` begins with, and where its elements begin. `start` gives so many of the first bytes, or all there are.
    fn begin(start: impl Fn(usize) -> Result<Vec<u8>, String>) -> Result<(Self, usize), String> {
        let cut = "its .npy is cut off";
        let begun = start(MOST_BEFORE)?;
        let rest = begun.strip_prefix(MAGIC).ok_or("it is no .npy file")?;
        let (&version, rest) = rest.split_first_chunk::<2>().ok_or(cut)?;
        let (len, rest) = match version {
            [1, _] => rest.split_first_chunk().map(|(len, rest)| (usize::from(u16::from_le_bytes(*len)), rest)),
            [2 | 3, _] => rest.split_first_chunk().map(|(len, rest)| (u32::from_le_bytes(*len) as usize, rest)),
            [other, _] => return Err(format!("its .npy is of version {other}; 1 to 3 can be read")),
        }
        .ok_or(cut)?;
        if len > MOST_HEADER {
            return Err(format!("its header has {len} bytes; {MOST_HEADER} at most are read"));
        }
        let (from, to) = (begun.len() - rest.len(), begun.len() - rest.len() + len);
        let header = start(to)?;
        Ok((Self::parse(&String::from_utf8_lossy(header.get(from..to).ok_or(cut)?))?, to))
    }

    /// The bytes of an element, of so many bytes of elements; none where the type is not known.
    fn size(&self, bytes: usize) -> Result<Option<usize>, String> {
        let Self { dtype, shape, .. } = self;
        let elements = count(shape)?;
        let size = size_of(&native(dtype).0);
        match size.map(|size| elements.checked_mul(size)) {
            Some(needed) if needed != Some(bytes) => {
                Err(format!("{elements} elements of {dtype} for shape {shape} do not fit its {bytes} bytes"))
            }
            _ => Ok(size),
        }
    }

    /// The array of these elements, each of so many bytes.
    fn array(self, size: usize, data: &[u8]) -> Array {
        let (native, is_swapped) = native(&self.dtype);
        let mut data = if self.fortran { row_by_row(data, size, &self.shape) } else { data.to_vec() };
        if is_swapped {
            data.chunks_exact_mut(size).for_each(<[u8]>::reverse);
        }
        if native != HALF {
            return Array { dtype: native, shape: self.shape, data };
        }
        let wide = data.as_chunks().0.iter().flat_map(|&half| of_half(u16::from_le_bytes(half)).to_le_bytes());
        Array { dtype: "<f4".into(), shape: self.shape, data: wide.collect() }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let header = Literal::parse(text)?;
        let value = |key: &str| header.get(key).ok_or_else(|| format!("its header has no {key}"));
        let dtype = match value("descr")? {
            Literal::Text(dtype) => dtype.clone(),
            _ => "a record of several".into(),
        };
        let &Literal::Bool(fortran) = value("fortran_order")? else {
            return Err("its fortran_order is neither True nor False".into());
        };
        let Literal::Items(extents) = value("shape")? else { return Err("its shape is no tuple".into()) };
        let extent = |extent: &Literal| match extent {
            Literal::Int(extent) => {
                usize::try_from(*extent).map_err(|_| format!("its shape has an extent of {extent}"))
            }
            _ => Err("its shape has an extent that is no number".into()),
        };
        let extents = extents.iter().map(extent).collect::<Result<Vec<_>, String>>()?;
        Ok(Self { dtype, fortran, shape: extents.into() })
    }
}

/// The type as a little-endian machine has it, and whether its bytes are the other way round in the file.
fn native(dtype: &str) -> (String, bool) {
    let little = |kind: &str| format!("{}{kind}", if kind.ends_with('1') { '|' } else { '<' });
    match dtype.split_at_checked(1) {
        Some((">", kind)) => (little(kind), true),
        Some(("<" | "=" | "|", kind)) => (little(kind), false),
        _ => (dtype.into(), false),
    }
}

/// The bytes of an element, where the type is known.
fn size_of(dtype: &str) -> Option<usize> {
    if dtype == HALF {
        return Some(2);
    }
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

//! NumPy's `.npz`, <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>: an archive of a `.npy` a
//! tensor, each a header in Python's notation and the elements.

use super::safetensors::{bytes_of, tensor_of};
use super::{TensorFile, count, zip};
use crate::tensor::{DType, Shape, Tensor};

const MAGIC: &[u8; 6] = b"\x93NUMPY";
const EXTENSION: &str = ".npy";
const NAMES: [(&str, DType); 5] =
    [("<f4", DType::F32), ("<f8", DType::F64), ("<u4", DType::U32), ("|u1", DType::U8), ("<u1", DType::U8)];

pub(super) fn pack(file: &TensorFile) -> Result<Vec<u8>, String> {
    let files = file.held().map(|(name, tensor)| (format!("{name}{EXTENSION}"), npy(tensor)));
    zip::pack(&files.collect::<Vec<_>>())
}

pub(super) fn parse(bytes: &[u8]) -> Result<TensorFile, String> {
    let mut file = TensorFile::new();
    for (name, bytes) in zip::parse(bytes)? {
        let Some(name) = name.strip_suffix(EXTENSION) else {
            return Err(format!("holds {name:?}; an .npz holds {EXTENSION} files only"));
        };
        if file.tensors.iter().any(|(known, _)| known == name) {
            return Err(format!("holds {name:?} twice"));
        }
        let held = parse_npy(&bytes).map_err(|e| format!("tensor {name:?}: {e}"))?;
        file.tensors.push((name.into(), held));
    }
    Ok(file)
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

/// The tensor, or why one of its type cannot be had.
fn parse_npy(bytes: &[u8]) -> Result<Result<Tensor, String>, String> {
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
    let Some((_, dtype)) = NAMES.iter().find(|(known, _)| *known == dtype) else {
        return Ok(Err(format!("is of type {dtype:?}; {} can be read", NAMES.map(|(known, _)| known).join(", "))));
    };
    if elements.checked_mul(dtype.size()) != Some(data.len()) {
        let shape = Shape::from(extents);
        return Err(format!("{elements} elements of {dtype} for shape {shape} do not fit its {} bytes", data.len()));
    }
    if !fortran {
        return Ok(Ok(tensor_of(*dtype, &extents.into(), data)?));
    }
    // The first axis runs fastest: the axes in the other order, row by row.
    let reversed: Vec<usize> = extents.into_iter().rev().collect();
    Ok(Ok(tensor_of(*dtype, &reversed.into(), data)?.transpose()))
}

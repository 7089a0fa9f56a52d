//! The safetensors format, <https://huggingface.co/docs/safetensors>: the header's length as a little-endian `u64`, the
//! header in JSON, then the tensors' bytes, little-endian, without gaps.

use std::collections::HashMap;
use std::ops::Range;

use flate2::Crc;

use super::half::{of_bfloat, of_half};
use super::{TensorFile, count, json};
use crate::config::{FromSetting, Setting};
use crate::tensor::{DType, Shape, Tensor, Values};

/// Longer ones are refused, as by the format's own reader.
const MOST_HEADER: u64 = 100_000_000;
/// The name in the header under which no tensor stands, but text.
const METADATA: &str = "__metadata__";
/// The key of the CRC-32 sums in the metadata: a JSON object of each tensor's, by name, and of the text beside it, by
/// [`METADATA`]. Files of other programs have none.
const SUMS: &str = "kiln_crc32";

const NAMES: [(&str, DType); 4] = [("F32", DType::F32), ("F64", DType::F64), ("U32", DType::U32), ("U8", DType::U8)];
/// A type of floats of 16 bits, and what makes each an f32.
type Half = (&'static str, fn(u16) -> f32);

const HALVES: [Half; 2] = [("F16", of_half), ("BF16", of_bfloat)];

/// The bytes of an element, where the type is one that is read.
fn size_of(dtype: &str) -> Option<usize> {
    let own = NAMES.iter().find(|(known, _)| *known == dtype).map(|(_, dtype)| dtype.size());
    own.or_else(|| HALVES.iter().any(|(known, _)| *known == dtype).then_some(2))
}

/// The tensor of a type from so many bytes; `None` where the type is none that is read.
fn read(dtype: &str, shape: &Shape, bytes: &[u8]) -> Option<Result<Tensor, String>> {
    if let Some((_, of)) = HALVES.iter().find(|(known, _)| *known == dtype) {
        let values: Vec<f32> = elements(bytes, |half| of(u16::from_le_bytes(half)));
        return Some(Tensor::new(shape.clone(), values).map_err(|e| e.to_string()));
    }
    NAMES.iter().find(|(known, _)| *known == dtype).map(|(_, dtype)| tensor_of(*dtype, shape, bytes))
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Of the keys and texts beside the tensors, each with a zero byte behind it.
fn crc32_of_text(metadata: &[(String, String)]) -> u32 {
    let mut crc = Crc::new();
    for part in metadata.iter().flat_map(|(key, text)| [key, text]) {
        crc.update(part.as_bytes());
        crc.update(&[0]);
    }
    crc.sum()
}

/// The bytes before the tensors', which are `data`.
pub(super) fn header(file: &TensorFile, data: &[Vec<u8>]) -> Vec<u8> {
    let tensors = file.held().zip(data).map(|((name, _), bytes)| (name.to_string(), crc32(bytes)));
    let sums = tensors.chain([(METADATA.to_string(), crc32_of_text(&file.metadata))]);
    let sums = Setting::Map(sums.map(|(name, sum)| (name, Setting::Int(sum.into()))).collect());
    let sums = [(SUMS.to_string(), json::write(&sums))];
    let text = file.metadata.iter().chain(&sums).map(|(key, text)| (key.clone(), Setting::Text(text.clone())));
    let mut entries = vec![(METADATA.to_string(), Setting::Map(text.collect()))];
    let mut end = 0;
    for (name, tensor) in file.held() {
        let begin = end;
        end += tensor.values().len() * tensor.dtype().size();
        let (dtype, _) = NAMES.iter().find(|(_, dtype)| *dtype == tensor.dtype()).expect("every type has a name");
        let entry = [
            ("dtype", Setting::from(*dtype)),
            ("shape", tensor.shape().to_vec().into()),
            ("data_offsets", vec![begin, end].into()),
        ];
        entries.push((name.into(), Setting::Map(entry.map(|(key, value)| (key.into(), value)).into())));
    }
    let mut header = json::write(&Setting::Map(entries)).into_bytes();
    // Tensors then begin at a multiple of what their elements need.
    header.resize(header.len().next_multiple_of(8), b' ');
    [&(header.len() as u64).to_le_bytes()[..], &header].concat()
}

/// A tensor's bytes.
pub(super) fn bytes_of(values: &Values) -> Vec<u8> {
    match values {
        Values::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Values::F64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Values::U32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Values::U8(v) => v.clone(),
    }
}

/// A tensor of a type and a shape from so many bytes.
pub(super) fn tensor_of(dtype: DType, shape: &Shape, bytes: &[u8]) -> Result<Tensor, String> {
    let values: Values = match dtype {
        DType::F32 => elements(bytes, f32::from_le_bytes).into(),
        DType::F64 => elements(bytes, f64::from_le_bytes).into(),
        DType::U32 => elements(bytes, u32::from_le_bytes).into(),
        DType::U8 => bytes.to_vec().into(),
    };
    Tensor::new(shape.clone(), values).map_err(|e| e.to_string())
}

fn elements<const N: usize, T>(bytes: &[u8], of: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.chunks_exact(N).map(|chunk| of(chunk.try_into().expect("a chunk has N bytes"))).collect()
}

/// A tensor's entry in the header.
struct Entry {
    name: String,
    dtype: String,
    shape: Shape,
    place: Range<usize>,
}

pub(super) fn parse(bytes: &[u8]) -> Result<TensorFile, String> {
    let Some((len, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(format!("has {} bytes; a safetensors file has 8 or more", bytes.len()));
    };
    let len = u64::from_le_bytes(*len);
    if len > MOST_HEADER {
        return Err(format!("is no safetensors file: its header would have {len} bytes, {MOST_HEADER} at most"));
    }
    let Some((header, data)) = rest.split_at_checked(len as usize) else {
        return Err(format!("is cut off: its header has {len} bytes, {} are there", rest.len()));
    };
    let header = std::str::from_utf8(header).map_err(|e| format!("its header is no text: {e}"))?;
    let header = json::parse(header).map_err(|e| format!("its header is no JSON: {e}"))?;
    let Setting::Map(header) = header else { return Err("its header is no JSON object".into()) };
    let mut file = TensorFile::new();
    let mut entries = Vec::new();
    for (name, value) in header {
        if name == METADATA {
            let Setting::Map(text) = value else { return Err(format!("its {METADATA} is no JSON object")) };
            for (key, value) in text {
                let value = String::from_setting(&value).map_err(|e| format!("its {METADATA}, {key:?}: {e}"))?;
                file.metadata.push((key, value));
            }
            continue;
        }
        entries.push(entry(&name, &value).map_err(|e| format!("tensor {name:?}: {e}"))?);
    }
    entries.sort_by_key(|entry| (entry.place.start, entry.place.end));
    check_places(&entries, data.len())?;
    check_sums(&mut file.metadata, &entries, data)?;
    for Entry { name, dtype, shape, place } in entries {
        let held = match read(&dtype, &shape, &data[place]) {
            Some(read) => Ok(read.map_err(|e| format!("tensor {name:?}: {e}"))?),
            None => {
                let known = NAMES.iter().map(|(known, _)| *known).chain(HALVES.iter().map(|(known, _)| *known));
                Err(format!("is of type {dtype}; {} can be read", known.collect::<Vec<_>>().join(", ")))
            }
        };
        file.push(name, held);
    }
    Ok(file)
}

fn entry(name: &str, value: &Setting) -> Result<Entry, String> {
    let part = |key: &str| value.get(key).ok_or_else(|| format!("{key} is missing"));
    let named = |key: &'static str| move |e: String| format!("{key}: {e}");
    let dtype = String::from_setting(part("dtype")?).map_err(named("dtype"))?;
    let shape = Vec::<usize>::from_setting(part("shape")?).map_err(named("shape"))?;
    let offsets = Vec::<usize>::from_setting(part("data_offsets")?).map_err(named("data_offsets"))?;
    let [begin, end] = offsets[..] else { return Err(format!("data_offsets: expected two, found {offsets:?}")) };
    if begin > end {
        return Err(format!("data_offsets: it ends at {end}, before it begins at {begin}"));
    }
    let elements = count(&shape)?;
    let shape = Shape::from(shape);
    if let Some(size) = size_of(&dtype) {
        let len = elements.checked_mul(size);
        if len != Some(end - begin) {
            return Err(format!(
                "{elements} elements of {dtype} for shape {shape} do not fit its {} bytes",
                end - begin
            ));
        }
    }
    Ok(Entry { name: name.into(), dtype, shape, place: begin..end })
}

/// That the tensors lie one behind the other, from the first byte to the last.
fn check_places(entries: &[Entry], len: usize) -> Result<(), String> {
    let mut end = 0;
    for Entry { name, place, .. } in entries {
        if place.start != end {
            let what = if place.start < end { "overlaps what is before it" } else { "leaves a gap before it" };
            return Err(format!("tensor {name:?} {what}: it begins at byte {}, expected {end}", place.start));
        }
        if place.end > len {
            let message = format!("tensor {name:?} ends at byte {}, {len} are there", place.end);
            return Err(format!("is cut off: {message}"));
        }
        end = place.end;
    }
    if end == len { Ok(()) } else { Err(format!("{} bytes behind the last tensor are nobody's", len - end)) }
}

/// Takes the sums out of the metadata, where they are there, and compares tensors and text with them.
fn check_sums(metadata: &mut Vec<(String, String)>, entries: &[Entry], data: &[u8]) -> Result<(), String> {
    let Some(at) = metadata.iter().position(|(key, _)| key == SUMS) else { return Ok(()) };
    let (_, sums) = metadata.remove(at);
    let sums = json::parse(&sums).map_err(|e| format!("its {METADATA}, {SUMS:?}: is no JSON: {e}"))?;
    let Setting::Map(sums) = sums else { return Err(format!("its {METADATA}, {SUMS:?}: is no JSON object")) };
    let sums: HashMap<&str, &Setting> = sums.iter().map(|(name, sum)| (name.as_str(), sum)).collect();
    let check = |what: &str, name: &str, found: u32| {
        let wrong = match sums.get(name) {
            Some(Setting::Int(sum)) if *sum == i128::from(found) => return Ok(()),
            Some(_) => "is not what was saved: its CRC-32 is another",
            None => "has no CRC-32",
        };
        let hint = "the file was damaged, or changed by a program that kept the sums";
        Err(format!("{what} {wrong} in {METADATA}, {SUMS:?}; {hint}"))
    };
    for Entry { name, place, .. } in entries {
        check(&format!("tensor {name:?}"), name, crc32(&data[place.clone()]))?;
    }
    check("the text beside the tensors", METADATA, crc32_of_text(metadata))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn written(file: &TensorFile) -> Vec<u8> {
        let data: Vec<_> = file.held().map(|(_, tensor)| bytes_of(tensor.values())).collect();
        [header(file, &data), data.concat()].concat()
    }

    #[test]
    fn every_bit_of_tensors_and_text_is_checked() {
        let tensor = Tensor::from([[0.5f32, -1.0, 3.0], [0.0, 1e-9, 7.0]]);
        let file = TensorFile::new().with("a", tensor).with("b", Tensor::from([1u32])).with_metadata("key", "its text");
        let whole = written(&file);
        assert_eq!(TensorFile::parse(&whole, Path::new("")).unwrap(), file);
        let data = whole.len() - 28;
        let text = whole.windows(8).position(|window| window == b"its text").unwrap();
        for bit in (data * 8..whole.len() * 8).chain(text * 8..text * 8 + 64) {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let named = match bit / 8 {
                at if at >= data + 24 => "tensor \"b\" is not what was saved: its CRC-32",
                at if at >= data => "tensor \"a\" is not what was saved: its CRC-32",
                _ => "",
            };
            let refused = TensorFile::parse(&bytes, Path::new("x")).unwrap_err().to_string();
            assert!(refused.contains(named), "bit {bit}: {refused}");
        }
    }

    #[test]
    fn a_file_without_sums_is_read_and_one_that_lacks_a_sum_is_not() {
        let file = TensorFile::new().with("a", Tensor::from([1.0f32]));
        let text = String::from_utf8_lossy(&written(&file)[8..]).into_owned();
        let with = |metadata: &str| {
            let header =
                format!(r#"{{"__metadata__":{metadata},"a":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}}}"#);
            let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &1f32.to_le_bytes()].concat();
            TensorFile::parse(&bytes, Path::new("x")).map_err(|e| e.to_string())
        };
        assert!(text.contains("kiln_crc32"), "{text}");
        assert_eq!(with("{}").unwrap().names().collect::<Vec<_>>(), ["a"]);
        for (sums, part) in [
            ("{}", "tensor \"a\" has no CRC-32"),
            (r#"{\"a\":1}"#, "tensor \"a\" is not what was saved"),
            (r#"{\"a\":\"x\"}"#, "tensor \"a\" is not what was saved"),
            ("[", "\"kiln_crc32\": is no JSON"),
        ] {
            let refused = with(&format!(r#"{{"kiln_crc32":"{sums}"}}"#)).unwrap_err();
            assert!(refused.contains(part), "{refused}");
        }
    }
}

//! ZIP archives, as far as NumPy's `.npz` needs: files that are stored or deflated, below 4 GB.

use std::io::Read as _;

use flate2::Crc;
use flate2::read::DeflateDecoder;

const LOCAL: &[u8; 4] = b"PK\x03\x04";
const CENTRAL: &[u8; 4] = b"PK\x01\x02";
const END: &[u8; 4] = b"PK\x05\x06";
/// Of the end's record, without its comment.
const END_LEN: usize = 22;
/// 1 January 1980: the same content makes the same archive.
const DATE: u16 = 0x21;

/// Little-endian numbers of 2 and 4 bytes, one after the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The bytes from `at` on, where they begin with `magic`.
    fn at(bytes: &'a [u8], at: usize, magic: &[u8; 4], what: &str) -> Result<Self, String> {
        let found = bytes.get(at..).and_then(|rest| rest.strip_prefix(magic));
        found.map(Self).ok_or_else(|| format!("{what} is not at byte {at}, where it should be"))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or("is cut off in the middle of its list of files")?;
        self.0 = rest;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<usize, String> {
        let bytes = self.take(2)?;
        Ok(usize::from(u16::from_le_bytes([bytes[0], bytes[1]])))
    }

    fn u32(&mut self) -> Result<usize, String> {
        Ok(self.u16()? | self.u16()? << 16)
    }
}

/// A file of an archive, as the archive's list has it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub name: String,
    flags: usize,
    method: usize,
    sum: usize,
    packed: usize,
    /// Bytes when unpacked.
    pub len: usize,
    /// Where the file's own header begins.
    local: usize,
}

/// The files of an archive, in the order of its list. None is unpacked. No two share bytes, which would let a small archive
/// stand for as much as it likes.
pub(super) fn list(bytes: &[u8]) -> Result<Vec<Entry>, String> {
    // A comment of up to 64 KB may follow.
    let end = (bytes.len().saturating_sub(END_LEN + 0xffff)..=bytes.len().saturating_sub(END_LEN)).rev();
    let end = end.into_iter().find(|&at| bytes[at..].starts_with(END)).ok_or("is cut off: it has no list of files")?;
    let mut fields = Fields::at(bytes, end, END, "the end's record")?;
    fields.take(4)?;
    let (_, files, _, list) = (fields.u16()?, fields.u16()?, fields.u32()?, fields.u32()?);
    let mut at = list;
    let mut found = Vec::new();
    for _ in 0..files {
        let mut fields = Fields::at(bytes, at, CENTRAL, "an entry of the list of files")?;
        fields.take(4)?;
        let (flags, method, _) = (fields.u16()?, fields.u16()?, fields.take(4)?);
        let (sum, packed, len) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let (name_len, extra_len, comment_len) = (fields.u16()?, fields.u16()?, fields.u16()?);
        fields.take(8)?;
        let local = fields.u32()?;
        let name = String::from_utf8_lossy(fields.take(name_len)?).into_owned();
        at += 46 + name_len + extra_len + comment_len;
        found.push(Entry { name, flags, method, sum, packed, len, local });
    }
    let mut places = Vec::with_capacity(found.len());
    for entry in &found {
        let data = data(bytes, entry).map_err(|e| format!("{}: {e}", entry.name))?;
        places.push((entry.local, data.as_ptr().addr() - bytes.as_ptr().addr() + data.len(), &entry.name));
    }
    places.sort_unstable();
    match places.windows(2).find(|pair| pair[0].1 > pair[1].0) {
        Some(pair) => Err(format!("{} and {} share bytes; the list of files is wrong", pair[0].2, pair[1].2)),
        None => Ok(found),
    }
}

/// A file's bytes as they lie in the archive.
fn data<'a>(bytes: &'a [u8], entry: &Entry) -> Result<&'a [u8], String> {
    let mut fields = Fields::at(bytes, entry.local, LOCAL, "its header")?;
    fields.take(22)?;
    let (name_len, extra_len) = (fields.u16()?, fields.u16()?);
    fields.take(name_len + extra_len)?;
    fields.take(entry.packed)
}

/// The first bytes of a file, `most` or fewer.
pub(super) fn start(bytes: &[u8], entry: &Entry, most: usize) -> Result<Vec<u8>, String> {
    unpacked(data(bytes, entry)?, entry, most)
}

/// A file's bytes: not more than the list says, and those that were packed.
pub(super) fn read(bytes: &[u8], entry: &Entry) -> Result<Vec<u8>, String> {
    let Entry { name, sum, len, .. } = entry;
    let all = unpacked(data(bytes, entry)?, entry, len + 1).map_err(|e| format!("{name}: {e}"))?;
    if all.len() != *len {
        return Err(format!("{name}: does not unpack to the {len} bytes that it should have"));
    }
    let mut computed = Crc::new();
    computed.update(&all);
    if computed.sum() as usize != *sum {
        return Err(format!("{name}: its check sum is wrong; the file was damaged"));
    }
    Ok(all)
}

fn unpacked(data: &[u8], entry: &Entry, most: usize) -> Result<Vec<u8>, String> {
    if entry.flags & 1 != 0 {
        return Err("is encrypted".into());
    }
    let mut all = Vec::new();
    match entry.method {
        0 => all.extend(&data[..data.len().min(most)]),
        8 => {
            let taken = DeflateDecoder::new(data).take(most as u64).read_to_end(&mut all);
            taken.map_err(|e| format!("cannot be unpacked: {e}"))?;
        }
        method => return Err(format!("is packed by method {method}; 0 (stored) and 8 (deflated) can be read")),
    }
    Ok(all)
}

/// An archive of these files, stored.
pub(super) fn pack(files: &[(String, Vec<u8>)]) -> Result<Vec<u8>, String> {
    let (mut archive, mut list) = (Vec::new(), Vec::new());
    let u32_of = |len: usize| u32::try_from(len).map_err(|_| "would have 4 GB or more; save as .safetensors instead");
    for (name, bytes) in files {
        let mut sum = Crc::new();
        sum.update(bytes);
        let name_len = u16::try_from(name.len()).map_err(|_| format!("{name} is too long a name"))?;
        let at = u32_of(archive.len())?;
        // Version 2.0; names are UTF-8; stored.
        let mut shared = [20u16, 1 << 11, 0, 0, DATE].map(u16::to_le_bytes).concat();
        shared.extend([sum.sum(), u32_of(bytes.len())?, u32_of(bytes.len())?].into_iter().flat_map(u32::to_le_bytes));
        shared.extend([name_len, 0].into_iter().flat_map(u16::to_le_bytes));
        archive.extend([&LOCAL[..], &shared[..], name.as_bytes(), bytes].concat());
        // Made by version 2.0 on DOS; no comment, disk or attributes.
        list.extend([&CENTRAL[..], &[20, 0], &shared[..], &[0; 10], &at.to_le_bytes(), name.as_bytes()].concat());
    }
    let count = u16::try_from(files.len()).map_err(|_| "would hold more than 65,535 tensors")?.to_le_bytes();
    let (at, len) = (u32_of(archive.len())?.to_le_bytes(), u32_of(list.len())?.to_le_bytes());
    archive.extend(list);
    archive.extend([&END[..], &[0; 4], &count, &count, &len, &at, &[0; 2]].concat());
    Ok(archive)
}

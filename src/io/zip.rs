//! ZIP archives, as far as NumPy's `.npz` and Python's wheels need: files that are stored or deflated. Written are archives below 4 GB, read
//! larger ones, too (ZIP64).

use std::io::Read as _;

use flate2::Crc;
use flate2::read::DeflateDecoder;

const LOCAL: &[u8; 4] = b"PK\x03\x04";
const CENTRAL: &[u8; 4] = b"PK\x01\x02";
const END: &[u8; 4] = b"PK\x05\x06";
/// Of the end's record, without its comment.
const END_LEN: usize = 22;
/// What stands before the end's record of an archive that has a longer one, and tells where that lies.
const LOCATOR: &[u8; 4] = b"PK\x06\x07";
const LOCATOR_LEN: usize = 20;
const LONG_END: &[u8; 4] = b"PK\x06\x06";
/// In place of a number that does not fit, which stands elsewhere in eight bytes.
const LONG: usize = 0xffff_ffff;
/// The extra field of an entry that has its long numbers.
const LONG_FIELDS: usize = 1;
/// 1 January 1980: the same content makes the same archive.
const DATE: u16 = 0x21;

/// Little-endian numbers of 2, 4 and 8 bytes, one after the other.
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

    fn u64(&mut self) -> Result<usize, String> {
        let bytes = self.take(8)?.first_chunk().expect("eight");
        usize::try_from(u64::from_le_bytes(*bytes)).map_err(|_| "is larger than this machine can hold".into())
    }
}

/// A file of an archive, as the archive's list has it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
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
pub(crate) fn list(bytes: &[u8]) -> Result<Vec<Entry>, String> {
    // A comment of up to 64 KB may follow.
    let end = (bytes.len().saturating_sub(END_LEN + 0xffff)..=bytes.len().saturating_sub(END_LEN)).rev();
    let end = end.into_iter().find(|&at| bytes[at..].starts_with(END)).ok_or("is cut off: it has no list of files")?;
    let (files, mut at) = end_record(bytes, end)?;
    let mut found = Vec::new();
    for _ in 0..files {
        let mut fields = Fields::at(bytes, at, CENTRAL, "an entry of the list of files")?;
        fields.take(4)?;
        let (flags, method, _) = (fields.u16()?, fields.u16()?, fields.take(4)?);
        let (sum, mut packed, mut len) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let (name_len, extra_len, comment_len) = (fields.u16()?, fields.u16()?, fields.u16()?);
        fields.take(8)?;
        let mut local = fields.u32()?;
        let name = String::from_utf8_lossy(fields.take(name_len)?).into_owned();
        let mut long = extra_field(fields.take(extra_len)?, LONG_FIELDS).unwrap_or(Fields(&[]));
        for number in [&mut len, &mut packed, &mut local].into_iter().filter(|number| **number == LONG) {
            *number = long.u64().map_err(|_| format!("{name}: is cut off in the middle of its numbers"))?;
        }
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

/// How many files an archive has, and where their list begins, by the record at `end`.
fn end_record(bytes: &[u8], end: usize) -> Result<(usize, usize), String> {
    let locator = end.checked_sub(LOCATOR_LEN).and_then(|at| Fields::at(bytes, at, LOCATOR, "").ok());
    if let Some(mut locator) = locator {
        locator.take(4)?;
        let mut fields = Fields::at(bytes, locator.u64()?, LONG_END, "the end's long record")?;
        fields.take(28)?;
        let (files, _, list) = (fields.u64()?, fields.u64()?, fields.u64()?);
        return Ok((files, list));
    }
    let mut fields = Fields::at(bytes, end, END, "the end's record")?;
    fields.take(6)?;
    let (files, _, list) = (fields.u16()?, fields.u32()?, fields.u32()?);
    Ok((files, list))
}

/// One of an entry's extra fields, which each have a number and a length.
fn extra_field(extra: &[u8], wanted: usize) -> Option<Fields<'_>> {
    let mut fields = Fields(extra);
    loop {
        let (number, len) = (fields.u16().ok()?, fields.u16().ok()?);
        let content = fields.take(len).ok()?;
        if number == wanted {
            return Some(Fields(content));
        }
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

/// [`read`] of a file that should have `len` bytes, or is gzipped and has fewer.
#[cfg(feature = "fetch")]
pub(crate) fn read_within(bytes: &[u8], entry: &Entry, len: usize) -> Result<Vec<u8>, String> {
    if entry.len > len {
        return Err(format!("{}: has {} bytes, {len} were expected", entry.name, entry.len));
    }
    read(bytes, entry)
}

/// A file's bytes: not more than the list says, and those that were packed.
pub(crate) fn read(bytes: &[u8], entry: &Entry) -> Result<Vec<u8>, String> {
    let Entry { name, sum, len, .. } = entry;
    let all = unpacked(data(bytes, entry)?, entry, len.saturating_add(1)).map_err(|e| format!("{name}: {e}"))?;
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
pub(crate) fn pack(files: &[(String, Vec<u8>)]) -> Result<Vec<u8>, String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The same archive with a long number in place of each, as archives of 4 GB and more have them.
    fn long(archive: &[u8]) -> Vec<u8> {
        let at = |magic: &[u8; 4]| archive.windows(4).position(|four| four == magic).expect("there");
        let (list, end) = (at(CENTRAL), at(END));
        let entry = &archive[list..end];
        let numbers = [&entry[20..24], &entry[24..28], &entry[42..46]].map(|n| [n, &[0; 4]].concat());
        // Another field stands before that of the numbers: length unpacked, packed, place.
        let extra = [&[0x55, 0x58, 2, 0, 9, 9, 1, 0, 24, 0][..], &numbers[1], &numbers[0], &numbers[2]].concat();
        let mut entry = [entry, &extra].concat();
        entry[30] = extra.len() as u8;
        [20..28, 42..46].into_iter().for_each(|place| entry[place].fill(0xff));
        let long_end = list + entry.len();
        let [one, size, list_at] = [1, entry.len() as u64, list as u64].map(u64::to_le_bytes);
        let record =
            [&LONG_END[..], &44u64.to_le_bytes(), &[45, 0, 45, 0], &[0; 8], &one, &one, &size, &list_at].concat();
        let locator = [&LOCATOR[..], &[0; 4], &(long_end as u64).to_le_bytes(), &[1, 0, 0, 0]].concat();
        let short = [&END[..], &[0; 4], &[0xff; 12], &[0; 2]].concat();
        [&archive[..list], &entry, &record, &locator, &short].concat()
    }

    #[test]
    fn long_numbers_are_read() {
        let short = pack(&[("a.npy".into(), b"what it holds".to_vec())]).unwrap();
        let archive = long(&short);
        let entries = list(&archive).unwrap();
        assert_eq!(
            (entries.len(), entries[0].len, read(&archive, &entries[0]).unwrap()),
            (1, 13, b"what it holds".into())
        );
        // A length that does not fit, and numbers that are not there.
        let place = archive.windows(4).position(|four| four == CENTRAL).unwrap() + 46 + 5 + 10;
        for (at, byte, wanted) in [(place + 7, 0xff, "13 bytes"), (place + 15, 1, "cut off"), (place - 2, 8, "cut off")]
        {
            let mut wrong = archive.clone();
            wrong[at] = byte;
            let error = list(&wrong).and_then(|entries| read(&wrong, &entries[0]).map(drop)).unwrap_err();
            assert!(
                error.starts_with("a.npy: ") && (error.contains(wanted) || error.contains("unpack")),
                "{at}: {error}"
            );
        }
    }
}

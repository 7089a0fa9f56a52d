//! The bytes of an HDF5 file as the crate `hdf5-pure` reads them, with what it does not look at itself: how much it reads of a file whose
//! structures lead around in it, and how deep those go that it follows by calls within calls.

use std::collections::HashMap;
use std::sync::Mutex;

use hdf5_pure::{FormatError, Source};

/// What may be read of the structures of a small file, in bytes, and for each byte that a file has.
const LEAST: u64 = 1 << 20;
const TIMES: u64 = 32;
/// What a read counts beside its bytes.
const READ: u64 = 64;
/// Levels of a tree of links: of two records a node, as many as memory has bytes would take twice that.
const MOST_LEVELS: u16 = 32;
/// Bytes of what says of which type numbers are. Floats take 20, words of any length 40.
const MOST_TYPE: usize = 64;
/// Kinds of messages of an object's header.
const DATATYPE: u16 = 3;
const SHARED_TABLE: u16 = 0xf;
const CONTINUATION: u16 = 0x10;

/// How a part of an object's header has its messages.
#[derive(Clone, Copy)]
enum Messages {
    /// Each with eight bytes before it.
    Old,
    /// Each with four bytes before it, or six where they are numbered.
    New { numbered: bool },
}

/// What was read so far.
struct Progress {
    /// What may still be read of the file's structures.
    left: u64,
    /// Parts of headers that are elsewhere in the file, by their place.
    parts: HashMap<u64, Messages>,
}

/// A file in memory.
pub(super) struct Guarded {
    bytes: Vec<u8>,
    /// Bytes of an address.
    address: usize,
    progress: Mutex<Progress>,
}

impl Guarded {
    /// A file that begins with its first byte.
    pub fn new(bytes: Vec<u8>) -> Result<Self, String> {
        // Where versions of the superblock have the size of an address, and the place that addresses count from.
        let (size, base) = match bytes.get(8) {
            Some(0) => (13, 24),
            Some(1) => (13, 28),
            _ => (9, 12),
        };
        let address = usize::from(bytes.get(size).copied().unwrap_or(8));
        if bytes.get(base..base + address).is_some_and(|base| base.iter().any(|&byte| byte != 0)) {
            return Err(
                "has something before its first byte, by what it says; write it anew without a user block".into()
            );
        }
        let left = LEAST.saturating_add(TIMES.saturating_mul(bytes.len() as u64));
        Ok(Self { bytes, address, progress: Mutex::new(Progress { left, parts: HashMap::new() }) })
    }

    fn part(&self, offset: u64, len: usize) -> Result<&[u8], FormatError> {
        let end = FormatError::UnexpectedEof { expected: len, available: self.bytes.len() };
        let start = usize::try_from(offset).map_err(|_| end.clone())?;
        start.checked_add(len).and_then(|stop| self.bytes.get(start..stop)).ok_or(end)
    }

    /// Looks at a part of the file's structures before anything is made of it.
    fn look(&self, offset: u64, part: &[u8]) -> Result<(), String> {
        let mut progress = self.progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let cost = READ + part.len() as u64;
        progress.left = progress.left.checked_sub(cost).ok_or("its groups lead around in it")?;
        let known = progress.parts.get(&offset).copied();
        match (part.first_chunk(), known) {
            (Some(b"BTHD"), _) => match part.get(12..14) {
                Some(&[low, high]) if u16::from_le_bytes([low, high]) > MOST_LEVELS => {
                    Err(format!("it has a tree of more than {MOST_LEVELS} levels"))
                }
                _ => Ok(()),
            },
            (Some(b"OHDR"), _) => {
                let flags = part.get(5).copied().unwrap_or(0);
                let times = if flags & 0x20 == 0 { 0 } else { 16 };
                let phases = if flags & 0x10 == 0 { 0 } else { 4 };
                let start = 6 + times + phases + (1 << (flags & 3));
                let messages = Messages::New { numbered: flags & 4 != 0 };
                self.look_at_messages(part.get(start..).unwrap_or_default(), messages, &mut progress)
            }
            (Some(b"OCHK"), Some(messages @ Messages::New { .. })) => {
                self.look_at_messages(&part[4..], messages, &mut progress)
            }
            (_, Some(Messages::Old)) => self.look_at_messages(part, Messages::Old, &mut progress),
            // The head of a header, which is longer than that.
            _ if part.len() == 16 && part[0] == 1 => {
                progress.parts.insert(offset + 16, Messages::Old);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn look_at_messages(&self, mut part: &[u8], form: Messages, progress: &mut Progress) -> Result<(), String> {
        loop {
            let (kind, size, head) = match (form, part) {
                (Messages::Old, &[kind, high, low, size, ..]) => {
                    (u16::from_le_bytes([kind, high]), u16::from_le_bytes([low, size]), 8)
                }
                (Messages::New { numbered }, &[kind, low, size, ..]) => {
                    (u16::from(kind), u16::from_le_bytes([low, size]), if numbered { 6 } else { 4 })
                }
                _ => return Ok(()),
            };
            let size = usize::from(size);
            let Some(body) = part.get(head..head + size) else { return Ok(()) };
            match kind {
                DATATYPE if size > MOST_TYPE => {
                    return Err(format!("it has a type of {size} bytes; that of numbers has {MOST_TYPE} at most"));
                }
                SHARED_TABLE => return Err("it shares messages between objects, as no file of Keras' does".into()),
                CONTINUATION => {
                    let number =
                        |place: &[u8]| place.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte));
                    progress.parts.extend(body.get(..self.address.min(8)).map(|place| (number(place), form)));
                }
                _ => {}
            }
            part = &part[head + size..];
        }
    }
}

impl Source for Guarded {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), FormatError> {
        buffer.copy_from_slice(self.part(offset, buffer.len())?);
        Ok(())
    }

    fn read_metadata_at(&self, offset: u64, len: usize) -> Result<Vec<u8>, FormatError> {
        let part = self.part(offset, len)?;
        self.look(offset, part).map_err(FormatError::Source)?;
        Ok(part.to_vec())
    }
}

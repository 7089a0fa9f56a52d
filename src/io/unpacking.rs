//! How much a packed file may unpack to: a few bytes can stand for more than memory holds.

use std::io::{self, Read};

/// What every file may unpack to.
const LEAST: u64 = 64 << 20;
/// How many times its own bytes a file may unpack to. Tables and pictures take up to some tens; a thousand is the most.
const TIMES: u64 = 100;

/// The bytes that a file of `stored` may unpack to: as many as were `told`, else by its own size.
pub(crate) fn most(stored: u64, told: Option<u64>) -> u64 {
    told.unwrap_or_else(|| LEAST.max(stored.saturating_mul(TIMES)))
}

/// The bytes that a file of Keras' may unpack to, its weights and what is beside them each. Keras packs nothing; whoever packed a file
/// anew made zeros small, and numbers hardly.
#[cfg(feature = "keras")]
pub(crate) fn most_of_keras(stored: usize) -> usize {
    stored.saturating_mul(8).max(8 << 20)
}

/// What is said of a file that unpacks to more.
pub(crate) fn refusal(most: u64) -> String {
    format!("unpacks to more than the {most} bytes that it may; if that is meant, give more to max_unpacked")
}

/// A reader that fails once more than `left` bytes were read.
pub(crate) struct Limited<R> {
    reader: R,
    left: u64,
    most: u64,
}

impl<R: Read> Limited<R> {
    pub fn new(reader: R, most: u64) -> Self {
        Self { reader, left: most, most }
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buffer)?;
        match self.left.checked_sub(n as u64) {
            Some(left) => self.left = left,
            None => return Err(io::Error::new(io::ErrorKind::FileTooLarge, refusal(self.most))),
        }
        Ok(n)
    }
}

//! What came of a download that was cut, kept so that the next one goes on from there.

use std::cell::Cell;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::super::RemoteFile;
use crate::data::sums::hex;

/// With a dot before it and more after it than a file's name, so that nothing takes it for the file.
pub(super) const PARTIAL: &str = ".kiln-part-";
/// Hexadecimal digits of the address: two mirrors may have compressed one file in two ways.
const KEY_LEN: usize = 12;

/// The first bytes of a body, as they came from one address.
///
/// It is not locked. Two processes that go on from one partial write the same bytes to the same places; where they do
/// not, the file's SHA-256 is wrong, and it is fetched whole.
pub(super) struct Partial {
    path: PathBuf,
    /// At its start, to be read and then written on.
    file: Option<File>,
    len: u64,
    ended: Cell<bool>,
}

impl Partial {
    /// What there is of `url`'s body; nothing of one that is longer than `limit`, which was some other body's.
    pub(super) fn open(folder: &Path, file: &RemoteFile<'_>, url: &str, limit: u64) -> Self {
        let key = &hex(url.as_bytes())[..KEY_LEN];
        let path = folder.join(format!("{PARTIAL}{}-{key}", file.name));
        // A link in its place was made by somebody else: what it leads to is not written to.
        let is_file = fs::symlink_metadata(&path).is_ok_and(|found| found.is_file());
        let opened = is_file.then(|| OpenOptions::new().read(true).write(true).open(&path).ok()).flatten();
        let len = opened.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |found| found.len());
        let mut partial = Self { path, file: opened, len, ended: Cell::new(false) };
        if partial.len > limit {
            partial.discard();
        }
        partial
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn discard(&mut self) {
        (self.file, self.len) = (None, 0);
        let _ = fs::remove_file(&self.path);
    }

    /// Whether the server's answer was read to its end: what is wrong then was not cut.
    pub(super) fn ended(&self) -> bool {
        self.ended.get()
    }

    /// How much the next run can go on from.
    pub(super) fn settle(&mut self) -> u64 {
        let kept = fs::metadata(&self.path).map_or(0, |found| found.len());
        if kept == 0 {
            self.discard();
        }
        kept
    }

    /// What was kept, then `rest`, which is kept as it is read.
    pub(super) fn continued<R: Read>(&mut self, rest: R) -> Kept<'_, R> {
        self.ended.set(false);
        Kept { file: self.file.take(), left: self.len, rest, ended: &self.ended }
    }

    /// `body` from its start, which is kept as it is read in place of what was kept.
    pub(super) fn anew<R: Read>(&mut self, body: R) -> Kept<'_, R> {
        // A new file, not the old one cut: another process may be writing on that one.
        self.discard();
        self.file = File::create_new(&self.path).ok();
        self.continued(body)
    }
}

/// A body that is written to a [`Partial`] as it is read.
pub(super) struct Kept<'a, R> {
    /// `None` where it cannot be written: that costs no more than the chance to go on later.
    file: Option<File>,
    /// Of the file's bytes, those still to be read before `rest`.
    left: u64,
    rest: R,
    ended: &'a Cell<bool>,
}

impl<R: Read> Read for Kept<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left > 0
            && let Some(file) = &mut self.file
        {
            let n = file.take(self.left).read(buffer)?;
            self.left -= n as u64;
            let lost = n == 0 && !buffer.is_empty();
            return if lost { Err(io::Error::new(io::ErrorKind::InvalidData, "what was kept is gone")) } else { Ok(n) };
        }
        let n = self.rest.read(buffer)?;
        self.ended.set(n == 0 && !buffer.is_empty());
        if self.file.as_mut().is_some_and(|file| file.write_all(&buffer[..n]).is_err()) {
            self.file = None;
        }
        Ok(n)
    }
}

/// Removes what was kept of the file, from whatever address: it is there now.
pub(super) fn discard_all(folder: &Path, file: &RemoteFile<'_>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let rest = name.to_str().and_then(|name| name.strip_prefix(PARTIAL)).and_then(|of| of.strip_prefix(file.name));
        if rest.and_then(|rest| rest.strip_prefix('-')).is_some_and(|key| key.len() == KEY_LEN) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

//! Known files against their length and their SHA-256.

use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{Progress, RemoteFile, idx};
use crate::error::{Error, Result};

/// What is wrong with the file at `path`, raw or gzipped; `None` where nothing is.
pub(super) fn fault(path: &Path, file: &RemoteFile<'_>) -> Result<Option<String>> {
    let opened = File::open(path).map_err(Error::io(path, "open"))?;
    let checked = idx::gunzipped(opened)
        .map_err(Refused::Read)
        .and_then(|(mut bytes, _)| copy_checked(&mut bytes, file, &mut |_| Ok(()), &mut |_| {}));
    match checked {
        Ok(()) => Ok(None),
        Err(Refused::Read(e)) => Ok(Some(format!("cannot be read: {e}"))),
        Err(Refused::Content(why)) => Ok(Some(why)),
        Err(Refused::Write(e)) => Err(e),
    }
}

/// [`fault`] of a file that has the right length, raw or gzipped; `None` of all others.
pub(super) fn damage(path: &Path, file: &RemoteFile<'_>) -> Result<Option<String>> {
    if unpacked_len(path).map_err(Error::io(path, "read"))? == file.len { fault(path, file) } else { Ok(None) }
}

/// How long a file is once unpacked, as far as its beginning and end tell.
fn unpacked_len(path: &Path) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    let (mut start, mut end) = ([0; 2], [0; 4]);
    if len < 18 {
        return Ok(len);
    }
    file.read_exact(&mut start)?;
    if start != [0x1f, 0x8b] {
        return Ok(len);
    }
    // A gzip file ends in the length of what it holds.
    file.seek(io::SeekFrom::End(-4))?;
    file.read_exact(&mut end)?;
    Ok(u32::from_le_bytes(end).into())
}

/// Why the bytes did not become a file.
pub(super) enum Refused {
    /// The source stopped.
    Read(io::Error),
    /// The source gave other bytes than were asked for.
    Content(String),
    /// The file could not be written.
    #[cfg_attr(not(feature = "fetch"), expect(dead_code, reason = "fetched files alone are written"))]
    Write(Error),
}

/// Hands all bytes of `source` to `write`, unless their number or their sum is not the file's.
pub(super) fn copy_checked(
    source: &mut dyn Read,
    file: &RemoteFile<'_>,
    write: &mut dyn FnMut(&[u8]) -> Result<(), Refused>,
    report: &mut dyn FnMut(Progress<'_>),
) -> Result<(), Refused> {
    let mut sum = Sha256::new();
    let mut written = 0;
    let mut buffer = vec![0; 1 << 16];
    loop {
        // Who calls knows the source.
        report(Progress { file: file.name, source: "", bytes: written, total: Some(file.len) });
        let n = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(Refused::Read(e)),
        };
        written += n as u64;
        // Checked as it grows: a small download may decompress to more than the disk holds.
        if written > file.len {
            return Err(Refused::Content(format!("holds more than the {} bytes expected", file.len)));
        }
        sum.update(&buffer[..n]);
        write(&buffer[..n])?;
    }
    if written < file.len {
        return Err(Refused::Content(format!("holds {written} bytes, {} were expected", file.len)));
    }
    let found = digits(sum);
    if !found.eq_ignore_ascii_case(file.sha256) {
        return Err(Refused::Content(format!("its SHA-256 is {found}, {} was expected", file.sha256)));
    }
    Ok(())
}

fn digits(sum: Sha256) -> String {
    sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-256 of `bytes`, in hexadecimal.
#[cfg(feature = "fetch")]
pub(super) fn hex(bytes: &[u8]) -> String {
    digits(Sha256::new_with_prefix(bytes))
}

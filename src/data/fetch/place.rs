//! Files put in place whole or not at all.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::super::{Progress, RemoteFile, idx};
use super::Failure;
use super::partial::{self, PARTIAL};
use crate::error::{Error, Result};

const TEMPORARY: &str = ".kiln-fetch-";
/// What a killed process left behind is older than this; what another one still writes is not.
const STALE: Duration = Duration::from_secs(3600);
/// Nobody comes back to a download that was cut so long ago.
const FORGOTTEN: Duration = Duration::from_secs(7 * 24 * 3600);
const UNWRITABLE: &str = "write to this folder (KILN_DATA can name another one)";

/// Makes the folder, and removes what earlier processes were killed over.
pub(super) fn prepare(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(Error::io(folder, "make this folder (KILN_DATA can name another one)"))?;
    // A folder that may be written but not listed serves all the same.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let begins = |prefix: &str| name.to_string_lossy().starts_with(prefix);
        let kept_for = [(TEMPORARY, STALE), (PARTIAL, FORGOTTEN)].into_iter().find(|(prefix, _)| begins(prefix));
        let age = entry.metadata().and_then(|m| m.modified()).ok().and_then(|time| time.elapsed().ok());
        if kept_for.zip(age).is_some_and(|((_, limit), age)| age > limit) {
            let _ = remove(&entry.path());
        }
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

/// A file or folder that is removed with this value.
pub(super) struct Temporary {
    pub path: PathBuf,
}

impl Temporary {
    pub(super) fn folder(parent: &Path) -> Result<Self> {
        Self::make(parent, |path| fs::create_dir(path)).map(|(temporary, ())| temporary)
    }

    fn file(parent: &Path) -> Result<(Self, File)> {
        Self::make(parent, |path| File::create_new(path))
    }

    /// Under a name that is nobody else's. The process id keeps processes apart; where two machines or containers
    /// share the folder it may not, so `create` must refuse a name that is taken.
    fn make<T>(parent: &Path, create: impl Fn(&Path) -> io::Result<T>) -> Result<(Self, T)> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        loop {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!("{TEMPORARY}{}-{count}", std::process::id()));
            match create(&path) {
                Ok(made) => return Ok((Self { path }, made)),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(Error::io(parent, UNWRITABLE)(e)),
            }
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = remove(&self.path);
    }
}

/// Whether the folder has the file with its right content.
pub(super) fn holds(folder: &Path, file: &RemoteFile<'_>) -> bool {
    let path = folder.join(file.name);
    let right_length = fs::metadata(&path).is_ok_and(|found| found.is_file() && found.len() == file.len);
    right_length && fault(&path, file).is_ok_and(|fault| fault.is_none())
}

/// What is wrong with the file at `path`, raw or gzipped; `None` where nothing is.
pub(in super::super) fn fault(path: &Path, file: &RemoteFile<'_>) -> Result<Option<String>> {
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

/// Why the bytes did not become a file.
pub(super) enum Refused {
    /// The source stopped.
    Read(io::Error),
    /// The source gave other bytes than were asked for.
    Content(String),
    /// The file could not be written.
    Write(Error),
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Read(e) => Self::Source(e.to_string()),
            Refused::Content(why) => Self::Source(why),
            Refused::Write(e) => Self::Fatal(e),
        }
    }
}

/// Writes the decompressed bytes of `source` to a temporary file, checks them and renames it to `folder/{name}`.
pub(super) fn install(
    source: &mut dyn Read,
    file: &RemoteFile<'_>,
    folder: &Path,
    report: &mut dyn FnMut(Progress<'_>),
) -> Result<(), Refused> {
    let (mut temporary, mut target) = Temporary::file(folder).map_err(Refused::Write)?;
    let unwritable = |e| Refused::Write(Error::io(folder, UNWRITABLE)(e));
    copy_checked(source, file, &mut |bytes| target.write_all(bytes).map_err(unwritable), report)?;
    // Without it a power cut may leave the name in place and the bytes not.
    target.sync_all().map_err(unwritable)?;
    drop(target);
    match fs::rename(&temporary.path, folder.join(file.name)) {
        Ok(()) => {
            // The name is free again, and perhaps another process's by now: it must not be removed.
            temporary.path = PathBuf::new();
            partial::discard_all(folder, file);
            Ok(())
        }
        // Windows refuses to replace a file that another process, which was faster, has open.
        Err(_) if holds(folder, file) => Ok(()),
        Err(e) => Err(unwritable(e)),
    }
}

/// Hands all bytes of `source` to `write`, unless their number or their sum is not the file's.
fn copy_checked(
    source: &mut dyn Read,
    file: &RemoteFile<'_>,
    write: &mut dyn FnMut(&[u8]) -> Result<(), Refused>,
    report: &mut dyn FnMut(Progress<'_>),
) -> Result<(), Refused> {
    let mut sum = Sha256::new();
    let mut written = 0;
    let mut buffer = vec![0; 1 << 16];
    loop {
        report(Progress { file: file.name, bytes: written, total: Some(file.len) });
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
pub(super) fn hex(bytes: &[u8]) -> String {
    digits(Sha256::new_with_prefix(bytes))
}

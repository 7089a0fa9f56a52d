//! Files put in place whole or not at all: written beside their place under a name of their own, then renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::error::{Error, Result};

/// What names of temporary files and folders begin with.
const TEMPORARY: &str = ".kiln-temporary-";
/// What a killed process left behind is older than this; what another one still writes is not.
const STALE: Duration = Duration::from_secs(3600);

/// A file or folder that is removed with this value.
pub(crate) struct Temporary {
    pub path: PathBuf,
}

impl Temporary {
    #[cfg(feature = "fetch")]
    pub fn folder(parent: &Path) -> io::Result<Self> {
        Self::make(parent, |path| fs::create_dir(path)).map(|(temporary, ())| temporary)
    }

    pub fn file(parent: &Path) -> io::Result<(Self, File)> {
        Self::make(parent, |path| File::create_new(path))
    }

    /// Under a name that is nobody else's. The process id keeps processes apart; where two machines or containers
    /// share the folder it may not, so `create` must refuse a name that is taken.
    fn make<T>(parent: &Path, create: impl Fn(&Path) -> io::Result<T>) -> io::Result<(Self, T)> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        loop {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!("{TEMPORARY}{}-{count}", std::process::id()));
            match create(&path) {
                Ok(made) => return Ok((Self { path }, made)),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Gives the file, once its bytes are on the disk, the name `target` in the same folder, in place of what has it.
    pub fn persist(mut self, file: File, target: &Path) -> io::Result<()> {
        // Without it a power cut may leave the name in place and the bytes not.
        file.sync_all()?;
        drop(file);
        fs::rename(&self.path, target)?;
        // The name is free again, and perhaps another process's by now: it must not be removed.
        self.path = PathBuf::new();
        sync_folder(folder_of(target))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = remove(&self.path);
    }
}

fn remove(path: &Path) -> io::Result<()> {
    if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

/// The name itself is kept by the folder, which has bytes of its own to be written.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Windows opens no folder for this.
#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Removes what earlier processes were killed over; of `others`, names' beginnings, what is older than it says.
pub(crate) fn clear(folder: &Path, others: &[(&str, Duration)]) {
    // A folder that may be written but not listed serves all the same.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let begins = |prefix: &str| name.to_string_lossy().starts_with(prefix);
        let kept_for = others.iter().chain(&[(TEMPORARY, STALE)]).find(|(prefix, _)| begins(prefix));
        let age = entry.metadata().and_then(|m| m.modified()).ok().and_then(|time| time.elapsed().ok());
        if kept_for.zip(age).is_some_and(|((_, limit), age)| age > *limit) {
            let _ = remove(&entry.path());
        }
    }
}

/// What a file at `path` is to replace: what a link leads to is written anew, not the link. `None` for a device or a pipe,
/// which have nothing to be replaced.
fn target(path: &Path) -> Result<Option<PathBuf>> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    match fs::metadata(&target) {
        Ok(found) if found.is_dir() => Err(Error::format(path, "is a folder; give the name of a file in it")),
        Ok(found) if !found.is_file() => Ok(None),
        _ => Ok(Some(target)),
    }
}

/// A temporary file beside `target`.
fn beside(target: &Path) -> Result<(Temporary, File)> {
    let folder = folder_of(target);
    Temporary::file(folder).map_err(Error::io(folder, "write to this folder"))
}

/// That a file can be written at `path`.
pub(crate) fn check(path: &Path) -> Result<()> {
    target(path)?.map_or(Ok(()), |target| beside(&target).map(|_| ()))
}

/// Writes a file whole: whenever the process is killed, or the power cut, the old bytes or the new ones are there.
pub(crate) fn write(path: &Path, pieces: &[&[u8]]) -> Result<()> {
    let write_all = |mut file: &File| pieces.iter().try_for_each(|piece| file.write_all(piece));
    let Some(target) = target(path)? else {
        let file = OpenOptions::new().write(true).open(path).map_err(Error::io(path, "open for writing"))?;
        return write_all(&file).map_err(Error::io(path, "write"));
    };
    clear(folder_of(&target), &[]);
    let (temporary, file) = beside(&target)?;
    write_all(&file).and_then(|()| temporary.persist(file, &target)).map_err(Error::io(path, "write"))
}

/// The bytes of a file. A device or a pipe may have no end.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    match fs::metadata(path).map_err(Error::io(path, "open"))? {
        found if found.is_file() => fs::read(path).map_err(Error::io(path, "read")),
        found if found.is_dir() => Err(Error::format(path, "is a folder; give a file")),
        _ => Err(Error::format(path, "is no file; give one")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for content in ["one", "another"] {
            write(&path, &[content.as_bytes(), b"!"]).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("{content}!"));
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn what_was_left_an_hour_ago_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let names = [".kiln-temporary-1-0", ".kiln-temporary-1-1", "other"];
        for (name, age) in names.iter().zip([7200, 60, 7200]) {
            let file = File::create_new(folder.path().join(name)).unwrap();
            file.set_modified(std::time::SystemTime::now() - Duration::from_secs(age)).unwrap();
        }
        write(&folder.path().join("file"), &[]).unwrap();
        let left = |name: &&str| folder.path().join(name).exists();
        assert_eq!(names.iter().map(left).collect::<Vec<_>>(), [false, true, true]);
    }

    #[cfg(unix)]
    #[test]
    fn links_and_devices_stay_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let (link, file) = (folder.path().join("link"), folder.path().join("file"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write(&link, &[b"new"]).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        write(Path::new("/dev/null"), &[b"new"]).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn what_cannot_be_written_or_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let nowhere = folder.path().join("nowhere").join("file");
        let says = |e: Error, parts: &[&str]| {
            let text = e.to_string();
            assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        };
        says(write(&nowhere, &[]).unwrap_err(), &["nowhere: write to this folder"]);
        says(write(folder.path(), &[]).unwrap_err(), &["is a folder"]);
        says(read(&nowhere).unwrap_err(), &["nowhere", "open"]);
        says(read(folder.path()).unwrap_err(), &["is a folder"]);
        if cfg!(target_os = "linux") {
            says(read(Path::new("/dev/zero")).unwrap_err(), &["/dev/zero: is no file"]);
            says(write(Path::new("/dev/full"), &[b"x"]).unwrap_err(), &["/dev/full: write: ", "space"]);
        }
    }
}

//! Files put in place whole or not at all: written beside their place under a name of their own, then renamed.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::error::{Error, Result};

/// The most that is read of a pipe, which may have no end.
const MOST_OF_A_PIPE: u64 = 1 << 30;
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

/// The place of a file that is to be written.
struct Target {
    path: PathBuf,
    /// Of the file that is there now.
    replaces: Option<Metadata>,
}

/// What a file at `path` is to replace: where a link leads, the file there is written anew and the link stays. `None` for a
/// device or a pipe, which have nothing to be replaced.
fn target(path: &Path) -> Result<Option<Target>> {
    let target = match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => match fs::canonicalize(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let to = fs::read_link(path).unwrap_or_default();
                let message = format!("is a link to {}, which is not there; remove the link", to.display());
                return Err(Error::format(path, message));
            }
            followed => followed.map_err(Error::io(path, "follow this link"))?,
        },
        _ => path.to_path_buf(),
    };
    match fs::metadata(&target) {
        Ok(found) if found.is_dir() => Err(Error::format(path, "is a folder; give the name of a file in it")),
        Ok(found) if !found.is_file() => check_open(path, &found).map(|()| None),
        Ok(found) => Ok(Some(Target { path: target, replaces: Some(found) })),
        Err(e) if e.kind() == io::ErrorKind::NotFound => match ends_in_a_name(&target) {
            true => Ok(Some(Target { path: target, replaces: None })),
            false => Err(Error::format(path, "is the name of a folder; give the name of a file in it")),
        },
        // A name that is too long, among others.
        Err(e) => Err(Error::io(path, "write")(e)),
    }
}

/// Whether a path ends as a file's does: not in `/`, `/.` or `..`.
fn ends_in_a_name(path: &Path) -> bool {
    let whole = path.as_os_str().as_encoded_bytes();
    path.file_name().is_some_and(|name| whole.ends_with(name.as_encoded_bytes()))
}

/// That a device can be written to. Opening a pipe would wait for its reader.
#[cfg(unix)]
fn check_open(path: &Path, found: &Metadata) -> Result<()> {
    use std::os::unix::fs::FileTypeExt as _;
    if found.file_type().is_fifo() {
        return Ok(());
    }
    OpenOptions::new().write(true).open(path).map(|_| ()).map_err(Error::io(path, "open for writing"))
}

#[cfg(not(unix))]
fn check_open(_path: &Path, _found: &Metadata) -> Result<()> {
    Ok(())
}

impl Target {
    /// A temporary file beside it, which nobody may read who may not read what it replaces.
    fn beside(&self) -> Result<(Temporary, File)> {
        let folder = folder_of(&self.path);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        if let Some(old) = &self.replaces {
            use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
            options.mode(old.mode() & 0o777);
        }
        let made = Temporary::make(folder, |path| options.open(path));
        let (temporary, file) = made.map_err(Error::io(folder, "write to this folder"))?;
        if let Some(old) = &self.replaces {
            keep_access(&file, old);
        }
        Ok((temporary, file))
    }
}

/// Gives a file the owner and the mode of the one that it replaces, as far as the system lets it.
#[cfg(unix)]
fn keep_access(file: &File, old: &Metadata) {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    // Most users cannot give a file away. The mode comes behind the owner, whose change may take bits away.
    let _ = fchown(file, Some(old.uid()), Some(old.gid()));
    let _ = file.set_permissions(old.permissions());
}

#[cfg(not(unix))]
fn keep_access(_file: &File, _old: &Metadata) {}

/// That a file can be written at `path`, found out before work that is to end there: the temporary file is made that would
/// be renamed, and removed.
///
/// # Errors
/// [`Error::Io`] where the system refuses the folder, the name or the device; [`Error::Format`] where the path is that of a
/// folder, or a link that leads nowhere.
pub fn check_file(path: impl AsRef<Path>) -> Result<()> {
    target(path.as_ref())?.map_or(Ok(()), |target| target.beside().map(|_| ()))
}

/// That a file at `path` can be made, or added to where it is there: as [`check_file`], for a file that is not put in place
/// whole.
///
/// # Errors
/// As of [`check_file`].
pub fn check_log(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let tried = match target(path)? {
        Some(Target { path, replaces: Some(_) }) => OpenOptions::new().append(true).open(path).map(|_| ()),
        Some(Target { path, replaces: None }) => Temporary::file(folder_of(&path)).map(|_| ()),
        None => Ok(()),
    };
    tried.map_err(Error::io(path, "write"))
}

/// Writes a file whole: whenever the process is killed, or the power cut, the old bytes or the new ones are there. It has
/// the mode of the file that it replaces. Where `path` is a link, the file there is replaced and the link stays.
///
/// # Errors
/// As of [`check_file`], and [`Error::Io`] where the disk is full.
pub fn write_file(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> Result<()> {
    write(path.as_ref(), &[bytes.as_ref()])
}

/// [`write_file`] of bytes in pieces.
pub(crate) fn write(path: &Path, pieces: &[&[u8]]) -> Result<()> {
    let write_all = |mut file: &File| pieces.iter().try_for_each(|piece| file.write_all(piece));
    let Some(target) = target(path)? else {
        let file = OpenOptions::new().write(true).open(path).map_err(Error::io(path, "open for writing"))?;
        return write_all(&file).map_err(Error::io(path, "write"));
    };
    clear(folder_of(&target.path), &[]);
    let (temporary, file) = target.beside()?;
    write_all(&file).and_then(|()| temporary.persist(file, &target.path)).map_err(Error::io(path, "write"))
}

/// The bytes of a file, or of a pipe up to its end. It is opened once: what was read of a pipe is gone from it.
///
/// # Errors
/// [`Error::Io`] where the system refuses; [`Error::Format`] where the path is a folder's or a device's, which may have no
/// end, or a pipe gives more than 1 GiB.
pub fn read_file(path: impl AsRef<Path>) -> Result<Vec<u8>> {
    read(path.as_ref())
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    match fs::metadata(path).map_err(Error::io(path, "open"))? {
        found if found.is_file() => fs::read(path).map_err(Error::io(path, "read")),
        found if found.is_dir() => Err(Error::format(path, "is a folder; give a file")),
        found if is_pipe(&found) => read_pipe(path, MOST_OF_A_PIPE),
        _ => Err(Error::format(path, "is no file; give one")),
    }
}

fn read_pipe(path: &Path, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let pipe = File::open(path).map_err(Error::io(path, "open"))?;
    pipe.take(most + 1).read_to_end(&mut bytes).map_err(Error::io(path, "read"))?;
    if bytes.len() as u64 > most {
        return Err(Error::format(path, format!("is a pipe that gives more than {most} bytes; give a file")));
    }
    Ok(bytes)
}

/// What a pipe gives; `None` where the path is none's. For readers that go through a file twice.
#[cfg(feature = "csv")]
pub(crate) fn piped(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::metadata(path) {
        Ok(found) if is_pipe(&found) => read_pipe(path, MOST_OF_A_PIPE).map(Some),
        _ => Ok(None),
    }
}

#[cfg(unix)]
fn is_pipe(found: &Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_fifo(&found.file_type())
}

#[cfg(not(unix))]
fn is_pipe(_found: &Metadata) -> bool {
    false
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
            file.set_modified(crate::clock::SystemTime::now() - Duration::from_secs(age)).unwrap();
        }
        write(&folder.path().join("file"), &[]).unwrap();
        let left = |name: &&str| folder.path().join(name).exists();
        assert_eq!(names.iter().map(left).collect::<Vec<_>>(), [false, true, true]);
    }

    #[cfg(unix)]
    #[test]
    fn a_replaced_file_keeps_its_mode() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for mode in [0o600, 0o640, 0o666, 0o400] {
            fs::write(&path, "old").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let (temporary, _file) = target(&path).unwrap().unwrap().beside().unwrap();
            assert_eq!(
                fs::metadata(&temporary.path).unwrap().permissions().mode() & 0o7777,
                mode,
                "before a byte is in it"
            );
            drop(temporary);
            write(&path, &[b"new"]).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "new");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, mode);
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn what_could_not_be_renamed_is_refused_before() {
        let folder = tempfile::tempdir().unwrap();
        let inside = |name: &str| folder.path().join(name);
        for name in ["new/", "new/.", "..", "", "a/../.."] {
            let refused = check_file(inside(name)).unwrap_err().to_string();
            assert!(refused.contains("folder"), "{name:?}: {refused}");
        }
        assert!(matches!(check_file(inside(&"n".repeat(256))), Err(Error::Io { .. })));
        check_file(inside(&"n".repeat(255))).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_leads_nowhere_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (link, round) = (folder.path().join("link"), folder.path().join("round"));
        std::os::unix::fs::symlink("nothing", &link).unwrap();
        std::os::unix::fs::symlink(&round, &round).unwrap();
        for refused in [check_file(&link), write_file(&link, "x"), check_log(&link)] {
            assert!(refused.unwrap_err().to_string().contains("link: is a link to nothing, which is not there"));
        }
        assert!(check_file(&round).unwrap_err().to_string().contains("round: follow this link: "));
        assert!(!fs::exists(folder.path().join("nothing")).unwrap());
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_read_to_its_end_but_not_without_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        check_file(&path).unwrap();
        let give = || {
            let path = path.clone();
            std::thread::spawn(move || write(&path, &[b"12345678"]))
        };
        let given = give();
        assert_eq!(read(&path).unwrap(), b"12345678");
        given.join().unwrap().unwrap();
        let given = give();
        let refused = read_pipe(&path, 7).unwrap_err().to_string();
        assert!(refused.contains("pipe: is a pipe that gives more than 7 bytes"), "{refused}");
        given.join().unwrap().unwrap();
        #[cfg(feature = "csv")]
        assert_eq!(piped(folder.path()).unwrap(), None);
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

//! Files put in place whole or not at all.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use super::super::sums::{Refused, copy_checked, fault};
use super::super::{Progress, RemoteFile};
use super::Failure;
use super::partial::{self, PARTIAL};
use crate::error::{Error, Result};
use crate::io::whole::{self, Temporary};

/// Nobody comes back to a download that was cut so long ago.
const FORGOTTEN: Duration = Duration::from_secs(7 * 24 * 3600);
const UNWRITABLE: &str = "write to this folder (KILN_DATA can name another one)";

/// Makes the folder, and removes what earlier processes were killed over.
pub(super) fn prepare(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(Error::io(folder, "make this folder (KILN_DATA can name another one)"))?;
    whole::clear(folder, &[(PARTIAL, FORGOTTEN)]);
    Ok(())
}

/// A folder of its own within `parent`.
pub(super) fn scratch(parent: &Path) -> Result<Temporary> {
    Temporary::folder(parent).map_err(Error::io(parent, UNWRITABLE))
}

/// Whether the folder has the file with its right content.
pub(super) fn holds(folder: &Path, file: &RemoteFile<'_>) -> bool {
    let path = folder.join(file.name);
    let right_length = fs::metadata(&path).is_ok_and(|found| found.is_file() && found.len() == file.len);
    right_length && fault(&path, file).is_ok_and(|fault| fault.is_none())
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
    let unwritable = |e| Refused::Write(Error::io(folder, UNWRITABLE)(e));
    let (temporary, mut target) = Temporary::file(folder).map_err(unwritable)?;
    copy_checked(source, file, &mut |bytes| target.write_all(bytes).map_err(unwritable), report)?;
    match temporary.persist(target, &folder.join(file.name)) {
        Ok(()) => {
            partial::discard_all(folder, file);
            Ok(())
        }
        // Windows refuses to replace a file that another process, which was faster, has open.
        Err(_) if holds(folder, file) => Ok(()),
        Err(e) => Err(unwritable(e)),
    }
}

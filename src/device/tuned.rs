//! Where an adapter's choices of kernels are kept: a file for each adapter and driver in the user's cache folder.

use std::path::PathBuf;
use std::{fs, io};

use super::Device;
use crate::error::{Error, Result};
use crate::ops::Tuning;

/// The file of an adapter; `None` where the system has no cache folder.
pub(super) fn path(adapter: &str, driver: &str) -> Option<PathBuf> {
    let word = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    // A version of Kiln has kernels of its own.
    let name = format!("{adapter} {driver} kiln {}", env!("CARGO_PKG_VERSION"));
    let mut name: String = name.chars().map(word).collect();
    while name.contains("--") {
        name = name.replace("--", "-");
    }
    Some(crate::cache::folder()?.join("tuning").join(format!("{name}.txt")))
}

/// What was chosen for an adapter; nothing where `kiln tune` has not run.
pub(super) fn load(adapter: &str, driver: &str) -> Result<Tuning> {
    let Some(path) = path(adapter, driver) else { return Ok(Tuning::default()) };
    match fs::read_to_string(&path) {
        Ok(text) => {
            let refused = |e: Error| Error::format(&path, format!("{e}; remove the file, or tune anew"));
            Tuning::parse(&text).map_err(refused)
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Tuning::default()),
        Err(e) => Err(Error::io(&path, "read")(e)),
    }
}

impl Device {
    /// Keeps choices of kernels for this adapter, driver and version of Kiln, in place of those there are: every program
    /// that opens the adapter from then on takes them. Returns the file.
    ///
    /// # Errors
    /// [`Error::Argument`] for the CPU, which has no kernels to choose from, or where the system has no cache folder;
    /// [`Error::Io`] where the file cannot be written.
    pub fn keep_tuning(&self, tuning: &Tuning) -> Result<PathBuf> {
        let path = self.tuning_path()?;
        let folder = path.parent().expect("it lies in a folder");
        fs::create_dir_all(folder).map_err(Error::io(folder, "make the folder"))?;
        // Put there whole: another program may be reading it.
        let part = path.with_extension(format!("{}.part", std::process::id()));
        let text = format!("# Kernels for {self}, by `kiln tune`\n{tuning}");
        fs::write(&part, text).and_then(|()| fs::rename(&part, &path)).map_err(Error::io(&path, "write"))?;
        Ok(path)
    }

    /// Removes the choices of kernels that were kept for this adapter; whether there were any.
    ///
    /// # Errors
    /// As [`Device::keep_tuning`].
    pub fn forget_tuning(&self) -> Result<bool> {
        let path = self.tuning_path()?;
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(Error::io(&path, "remove")(e)),
        }
    }

    fn tuning_path(&self) -> Result<PathBuf> {
        let Some((adapter, driver)) = self.adapter() else {
            return Err(Error::argument("device", format!("{self} has no kernels to choose from; give a GPU")));
        };
        path(adapter, driver).ok_or_else(|| Error::argument("tuning", "this system has no cache folder for the user"))
    }
}

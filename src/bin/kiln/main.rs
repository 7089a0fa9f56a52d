//! The `kiln` command: a file for each subcommand.

mod arrays;
mod auto;
mod bench;
mod check;
mod compare;
mod completions;
mod data;
mod devices;
mod eval;
mod export;
mod generate;
mod import;
mod inspect;
mod interrupt;
mod lr_find;
mod model;
mod outcome;
mod outputs;
mod picture;
mod pictures;
mod plan;
mod predict;
mod profile;
mod rate;
mod report;
mod samples;
mod saved;
#[cfg(feature = "serve")]
mod serve;
mod set;
mod summary;
mod table;
mod train;
mod trained;
mod tui;
mod tune;
mod unpacked;

use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  kiln train mnist               784-512-10 for 5 epochs, on a GPU if there is one, else on the CPU
  kiln train mnist --device gpu  on the first GPU, or a software adapter where there is none
  kiln check                     prove every kernel on this machine's adapter
  kiln compare mnist             the same training on GPU and CPU, step by step
  kiln devices                   what there is to train on";

/// Train neural networks with compute shaders on any GPU, and on the CPU
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Train(Box<train::Args>),
    Auto(Box<auto::Args>),
    Eval(eval::Args),
    Predict(predict::Args),
    #[cfg(feature = "serve")]
    Serve(serve::Args),
    Generate(generate::Args),
    Inspect(inspect::Args),
    Import(import::Args),
    Export(export::Args),
    Summary(summary::Args),
    Check(check::Args),
    Compare(compare::Args),
    Devices(devices::Args),
    Plan(plan::Args),
    Bench(bench::Args),
    Profile(profile::Args),
    Tune(tune::Args),
    Data(data::Args),
    Completions(completions::Args),
}

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    silence_vulkan_loader();
    let start = Instant::now();
    let outcome = match Cli::parse().command {
        Command::Train(args) => train::run(&args, start),
        Command::Auto(args) => auto::run(&args, start),
        Command::Eval(args) => eval::run(&args),
        Command::Predict(args) => predict::run(&args),
        #[cfg(feature = "serve")]
        Command::Serve(args) => serve::run(&args),
        Command::Generate(args) => generate::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Summary(args) => summary::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Devices(args) => devices::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Profile(args) => profile::run(&args),
        Command::Tune(args) => tune::run(&args),
        Command::Data(args) => data::run(&args),
        Command::Completions(args) => completions::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has seen enough: `kiln devices | head -1`.
        Err(e) if outputs::is_gone(&e) => ExitCode::SUCCESS,
        Err(e) => match e.downcast::<interrupt::Stopped>() {
            Ok(stopped) => stopped.end(),
            Err(e) => {
                let text = unpacked::in_options(&one_line_of_causes(&e));
                outputs::say(format_args!("error: {}", outputs::printable_lines(&text)));
                ExitCode::FAILURE
            }
        },
    }
}

/// The Vulkan drivers' window-system code prints "error: XDG_RUNTIME_DIR is invalid or not set" where the variable is
/// unset, as it is in containers and over ssh, though nothing here opens a window.
#[cfg(target_os = "linux")]
fn silence_vulkan_loader() {
    const VARIABLE: &str = "XDG_RUNTIME_DIR";
    if std::env::var_os(VARIABLE).is_none_or(|value| !std::path::Path::new(&value).is_absolute()) {
        // Not a real folder: in a shared one, such as /tmp, anybody could put a socket for the driver to talk to.
        // SAFETY: this is the first statement of main; no other thread exists that could read the environment.
        unsafe { std::env::set_var(VARIABLE, "/dev/null") };
    }
}

/// The error and what caused it; a cause that the text before it already tells is left out.
fn one_line_of_causes(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |text, cause| match text {
        text if text.is_empty() => cause,
        text if text.contains(&cause) => text,
        text => format!("{text}: {cause}"),
    })
}

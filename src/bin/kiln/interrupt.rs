//! Signals to `kiln train`, and to `kiln serve`, which waits for them: of a run the first ends the run after the epoch under way, and never costs the model; the second ends the
//! process.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, CommandFactory as _};
use kiln::train::Run;
use kiln::train::callbacks::Callback;
#[cfg(unix)]
use signal_hook::consts::SIGHUP;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

use crate::outputs::say;

/// So often signals are looked for. What sends one twice within this, as a shell and a wrapper do, sends one.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Who asks a run to stop, and whether one is asked.
#[derive(Clone, Default)]
pub struct Stop(Arc<State>);

#[derive(Default)]
struct State {
    /// The signals that are listened to, each with whether it came, which its handler sets.
    signals: Vec<(i32, Arc<AtomicBool>)>,
    /// The signal that asked the run to stop; 0 before.
    asked: AtomicI32,
    /// [`RUNS`], [`TRAINED`] or [`OVER`].
    phase: AtomicU8,
}

/// Epochs are made, or about to be.
const RUNS: u8 = 0;
/// The last epoch was made; the model is still to be saved.
const TRAINED: u8 = 1;
/// There is nothing left to be lost.
const OVER: u8 = 2;
/// Settings are tried, of which the best so far is to be trained.
const SEARCHES: u8 = 3;

impl Stop {
    /// From now on SIGINT, which is Ctrl-C, SIGTERM and SIGHUP are kept for who calls [`Stop::watch`] or [`Stop::signal`].
    pub fn on_signals() -> Result<Self> {
        let stop = Self::of(
            [
                SIGINT,
                SIGTERM,
                #[cfg(unix)]
                SIGHUP,
            ]
            .into_iter()
            .filter(|signal| !is_ignored_hangup(*signal)),
        );
        for (signal, came) in &stop.0.signals {
            flag::register(*signal, came.clone()).context("cannot listen to signals")?;
        }
        Ok(stop)
    }

    fn of(signals: impl IntoIterator<Item = i32>) -> Self {
        let signals = signals.into_iter().map(|signal| (signal, Arc::default())).collect();
        Self(Arc::new(State { signals, ..State::default() }))
    }

    /// Waits for a signal.
    pub fn wait(&self) -> i32 {
        loop {
            thread::sleep(LOOK_EVERY);
            if let Some(signal) = self.signal() {
                return signal;
            }
        }
    }

    /// Lets signals ask the run to stop, and says so.
    pub fn watch(&self) -> ! {
        loop {
            let signal = self.wait();
            if self.ask(signal) {
                end(signal);
            }
            // Behind what is there of a bar's line.
            let bar = if io::stderr().is_terminal() { "\n" } else { "" };
            say(format_args!("{bar}{}; press Ctrl-C again to stop at once", self.notice()));
        }
    }

    /// Said at the first signal.
    fn notice(&self) -> &'static str {
        match self.0.phase.load(SeqCst) {
            RUNS => "stopping after this epoch",
            SEARCHES => "ending the search; the best so far is trained on all rows",
            _ => "the model is being saved",
        }
    }

    /// A signal that came since the last call.
    pub fn signal(&self) -> Option<i32> {
        self.0.signals.iter().find(|(_, came)| came.swap(false, SeqCst)).map(|(signal, _)| *signal)
    }

    /// Asks the run to stop. Returns whether there is no waiting for that: it was asked before, or nothing is left to be
    /// lost.
    pub fn ask(&self, signal: i32) -> bool {
        self.0.asked.swap(signal, SeqCst) != 0 || self.0.phase.load(SeqCst) == OVER
    }

    /// The signal that asked the run to stop.
    pub fn asked(&self) -> Option<i32> {
        Some(self.0.asked.load(SeqCst)).filter(|&signal| signal != 0)
    }

    /// What is stopped is a search.
    pub fn searches(&self) {
        self.0.phase.store(SEARCHES, SeqCst);
    }

    /// What was trained is saved, or is not to be: the next signal ends the process.
    pub fn over(&self) {
        self.0.phase.store(OVER, SeqCst);
    }
}

/// Whether the signal is SIGHUP and `nohup` had it ignored, which stays so.
#[cfg(unix)]
fn is_ignored_hangup(signal: i32) -> bool {
    const IGNORE: usize = 1;
    unsafe extern "C" {
        #[link_name = "signal"]
        fn set_handler(signal: i32, handler: usize) -> usize;
    }
    // SAFETY: the C library's function, which every program has; ignoring a signal runs no code. A handler is registered
    // next, unless the signal was ignored before.
    signal == SIGHUP && unsafe { set_handler(signal, IGNORE) } == IGNORE
}

#[cfg(not(unix))]
fn is_ignored_hangup(_signal: i32) -> bool {
    false
}

/// Ends the process as the signal would have: a shell sees 128 and its number, and ends its script's loops, too.
pub fn end(signal: i32) -> ! {
    // The system lets no signal end a container's first process.
    if cfg!(unix) && std::process::id() != 1 {
        let _unknown = low_level::emulate_default_handler(signal);
    }
    low_level::exit(128 + signal)
}

/// Stops a run after the epoch in which it was asked to, and saves it.
pub struct Interrupt {
    stop: Stop,
    save: Option<PathBuf>,
    /// The epoch and what asked.
    stopped: Option<(usize, i32)>,
}

impl Interrupt {
    /// To be the last callback: others may end the run by themselves.
    pub fn new(stop: &Stop, save: Option<&Path>) -> Self {
        Self { stop: stop.clone(), save: save.map(Path::to_path_buf), stopped: None }
    }

    /// Whether the run was stopped, and saved where it is to be.
    pub fn stopped(&self) -> bool {
        self.stopped.is_some()
    }

    /// After the run; an error where it was stopped.
    pub fn result(self, epochs: usize) -> Result<(), Stopped> {
        let Some((epoch, signal)) = self.stopped else { return Ok(()) };
        let what = match &self.save {
            None => "nothing was saved; a run with --save FILE can be resumed".into(),
            Some(path) => format!("saved {}; resume by\n  {}", path.display(), resumed(std::env::args_os(), path)),
        };
        Err(Stopped { signal, text: format!("stopped after epoch {epoch} of {epochs}: {what}") })
    }
}

impl Callback for Interrupt {
    fn on_epoch_end(&mut self, run: &mut Run<'_>) -> kiln::Result<()> {
        let Some(signal) = self.stop.asked().filter(|_| !run.stops() && run.epoch() < run.epochs()) else {
            return Ok(());
        };
        // Here, not after the run: as it ends, others may go back to the weights of a better epoch.
        self.save.as_ref().map_or(Ok(()), |path| run.save(path, false))?;
        self.stopped = Some((run.epoch(), signal));
        self.stop.over();
        run.stop_training();
        Ok(())
    }

    fn on_train_end(&mut self, _run: &mut Run<'_>) -> kiln::Result<()> {
        match self.save {
            Some(_) if self.stopped.is_none() => self.stop.0.phase.store(TRAINED, SeqCst),
            _ => self.stop.over(),
        }
        Ok(())
    }
}

/// That a run was stopped, and how it goes on.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct Stopped {
    signal: i32,
    text: String,
}

impl Stopped {
    /// By this signal.
    pub fn by(signal: i32, text: String) -> Self {
        Self { signal, text }
    }

    /// Says so and ends the process.
    pub fn end(self) -> ! {
        say(&self);
        end(self.signal)
    }
}

/// The command line that resumes the run of this one of `kiln train` from a file: without what the file knows.
fn resumed(args: impl IntoIterator<Item = OsString>, file: &Path) -> String {
    let args: Vec<OsString> = args.into_iter().collect();
    let mut kiln = crate::Cli::command();
    kiln.build();
    let train = kiln.find_subcommand("train").expect("a subcommand of that name");
    let resume = train.get_arguments().find(|arg| arg.get_id() == "resume").expect("an option of that name");
    let known = train.get_arg_conflicts_with(resume);
    let matches = crate::Cli::command().get_matches_from(&args);
    let given = matches.subcommand_matches("train").expect("called by it");
    let mut words = vec![args[0].clone(), "train".into()];
    let kept = |arg: &&Arg| !known.contains(arg) && *arg != resume;
    words.extend(train.get_arguments().filter(kept).flat_map(|arg| words_of(arg, given)));
    words.extend(["--resume".into(), file.into()]);
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// An option as it was given.
fn words_of(arg: &Arg, given: &ArgMatches) -> Vec<OsString> {
    let id = arg.get_id().as_str();
    if given.value_source(id) != Some(ValueSource::CommandLine) {
        return Vec::new();
    }
    let mut words: Vec<OsString> = arg.get_long().map(|long| format!("--{long}").into()).into_iter().collect();
    if arg.get_action().takes_values() {
        words.extend(given.get_raw(id).into_iter().flatten().map(OsString::from));
    }
    words
}

/// A word as a POSIX shell takes it.
pub fn quoted(word: &OsStr) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:@%+".contains(c);
    match word.to_str() {
        Some(word) if !word.is_empty() && word.chars().all(plain) => word.into(),
        Some(word) if !word.contains(char::is_control) => format!("'{}'", word.replace('\'', r"'\''")),
        // Byte by byte, as far as they are no plain letters.
        _ => {
            let byte = |&byte: &u8| if plain(byte.into()) { char::from(byte).into() } else { format!("\\{byte:03o}") };
            format!("$'{}'", word.as_encoded_bytes().iter().map(byte).collect::<String>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_resumed_without_what_the_file_knows() {
        let resumed = |line: &str| resumed(line.split(' ').map(OsString::from), Path::new("it's.safetensors"));
        for (line, wanted) in [
            ("kiln train mnist", "kiln train mnist"),
            (
                "./kiln train --hidden 32,16 --epochs=20 mnist -q --seed 3 --no-shuffle --limit 9 --csv run.csv",
                "./kiln train mnist --epochs 20 --csv run.csv --quiet",
            ),
            ("kiln train mnist --epochs 7 --resume old --device cpu", "kiln train mnist --device cpu --epochs 7"),
        ] {
            assert_eq!(resumed(line), format!("{wanted} --resume 'it'\\''s.safetensors'"));
        }
    }

    #[test]
    fn a_word_is_quoted_so_that_a_shell_gives_it_back() {
        assert_eq!(
            ["a/b", "a b", "it's", "", "a\nb"].map(|word| quoted(OsStr::new(word))),
            ["a/b", "'a b'", r"'it'\''s'", "''", r"$'a\012b'"]
        );
        #[cfg(unix)]
        assert_eq!(quoted(std::os::unix::ffi::OsStrExt::from_bytes(b"m \xff.st")), r"$'m\040\377.st'");
    }

    #[test]
    fn the_second_time_is_at_once() {
        let stop = Stop::of([SIGINT, SIGTERM]);
        assert_eq!((stop.asked(), stop.signal()), (None, None));
        stop.0.signals[1].1.store(true, SeqCst);
        assert_eq!((stop.signal(), stop.signal()), (Some(SIGTERM), None));
        assert!(!stop.ask(SIGTERM) && stop.asked() == Some(SIGTERM) && stop.ask(SIGINT));
    }

    #[test]
    fn the_first_time_is_at_once_only_when_nothing_is_left_to_be_lost() {
        let trained = Stop::default();
        trained.0.phase.store(TRAINED, SeqCst);
        assert!(!trained.ask(SIGINT) && trained.notice() == "the model is being saved");
        let over = Stop::default();
        over.over();
        assert!(over.ask(SIGINT));
    }
}

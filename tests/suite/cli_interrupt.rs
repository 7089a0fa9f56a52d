//! Signals to `kiln train`: once, twice, in the last epoch, while it is saved, and how the run goes on.
#![cfg(all(feature = "cli", unix))]

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};

use tempfile::TempDir;

use crate::cli::{command, devices, fixture, json, output, says};

const NOTICE: &str = "stopping after this epoch; press Ctrl-C again to stop at once\n";
const INT: i32 = 2;
const TERM: i32 = 15;

/// A run under way.
struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
}

impl Running {
    fn start(data: &Path, args: &[&str]) -> Self {
        Self::of(command(data, args))
    }

    fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Self { child, stdout: BufReader::new(stdout), stderr: BufReader::new(stderr) }
    }

    /// Reads standard output up to the line with this text.
    #[track_caller]
    fn wait_for(&mut self, text: &str) {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert!(self.stdout.read_line(&mut line).unwrap() > 0, "{text:?} was not printed");
        }
    }

    fn send(&self, signal: i32) {
        let args = [format!("-{signal}"), self.child.id().to_string()];
        assert!(Command::new("kill").args(args).status().unwrap().success());
    }

    /// How it ended, and the rest of what it printed.
    fn end(mut self) -> (ExitStatus, String, String) {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.stdout.read_to_string(&mut stdout).unwrap();
        self.stderr.read_to_string(&mut stderr).unwrap();
        (self.child.wait().unwrap(), stdout, stderr)
    }
}

fn name(folder: &TempDir, file: &str) -> String {
    folder.path().join(file).to_str().unwrap().to_string()
}

#[test]
fn a_stopped_run_is_saved_and_the_line_it_prints_ends_as_one_that_was_never_stopped() {
    let folder = fixture();
    for (device, signal) in devices().into_iter().zip([INT, TERM]) {
        // Long enough for the signal, which takes milliseconds.
        let epochs = if device == "cpu" { "400" } else { "20" };
        let [whole, part, whole_csv, part_csv] =
            ["whole", "part", "whole.csv", "part.csv"].map(|file| name(&folder, &format!("{device} {file}")));
        let options = ["--hidden", "16", "--batch-size", "25", "--validation-split", "0.1", "--seed", "3"];
        let options = [&["train", "mnist", "--device", &device, "--epochs", epochs], &options[..]].concat();
        output(folder.path(), &[&options[..], &["--save", &whole, "--csv", &whole_csv, "-q"]].concat());

        let mut running =
            Running::start(folder.path(), &[&options[..], &["--save", &part, "--csv", &part_csv]].concat());
        running.wait_for("Epoch 1/");
        running.send(signal);
        let (status, stdout, stderr) = running.end();
        assert_eq!(status.signal(), Some(signal), "{stderr}");
        assert!(!stdout.contains("Test accuracy"), "a stopped run has no result: {stdout}");
        let rest = stderr.strip_prefix(NOTICE).expect(&stderr);
        let last = stdout.lines().last().unwrap().split([' ', '/']).nth(1).unwrap();
        let (said, line) = rest.trim_end().split_once("\n  ").expect(rest);
        assert_eq!(said, format!("stopped after epoch {last} of {epochs}: saved {part}; resume by"));
        assert!(!line.contains("--seed") && line.ends_with(&format!(" --resume '{part}'")), "{line}");

        let mut shell = Command::new("sh");
        shell.args(["-c", line]).env("KILN_DATA", folder.path()).env("KILN_CACHE_DIR", name(&folder, "nowhere"));
        let resumed = shell.env("XDG_RUNTIME_DIR", "/dev/null").output().unwrap();
        assert!(resumed.status.success(), "{}", String::from_utf8_lossy(&resumed.stderr));
        says(&String::from_utf8(resumed.stdout).unwrap(), &["Test accuracy: ", &format!("Epoch {epochs}/{epochs}")]);
        for (whole, part) in [(whole, part), (whole_csv, part_csv)] {
            assert!(std::fs::read(&whole).unwrap() == std::fs::read(&part).unwrap(), "{part} is not {whole}");
        }
    }
}

/// An epoch takes seconds: a step for each sample, of a large model.
const SLOW: [&str; 9] =
    ["train", "mnist", "--device", "cpu", "--hidden", "1024,1024", "--batch-size", "1", "--summary"];

#[test]
fn the_second_signal_stops_at_once_and_leaves_the_file() {
    let folder = fixture();
    let file = name(&folder, "run.safetensors");
    for signal in [INT, TERM] {
        std::fs::write(&file, "an earlier one").unwrap();
        let mut running = Running::start(folder.path(), &[&SLOW[..], &["--save", &file]].concat());
        running.wait_for("Total params");
        running.send(signal);
        let mut notice = String::new();
        running.stderr.read_line(&mut notice).unwrap();
        assert_eq!(notice, NOTICE);
        running.send(signal);
        let (status, stdout, stderr) = running.end();
        assert_eq!((status.signal(), stderr.as_str()), (Some(signal), ""));
        assert!(!stdout.contains("Epoch 1/"), "the epoch was not waited for: {stdout}");
        assert_eq!(std::fs::read(&file).unwrap(), b"an earlier one");
    }
}

#[test]
fn a_run_in_its_last_epoch_ends_as_it_would() {
    let folder = fixture();
    let mut running = Running::start(folder.path(), &[&SLOW[..], &["--epochs", "1", "--limit", "100"]].concat());
    running.wait_for("Total params");
    running.send(INT);
    let (status, stdout, stderr) = running.end();
    assert_eq!((status.code(), stderr.as_str()), (Some(0), NOTICE));
    says(&stdout, &["Epoch 1/1", "Test accuracy: "]);
}

#[test]
fn a_run_on_a_table_is_saved_and_one_without_a_file_says_that_nothing_was() {
    let folder = fixture();
    let zoo = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/zoo.csv");
    let file = name(&folder, "zoo.safetensors");
    let table = [zoo, "--label", "type", "--without", "name", "--no-early-stopping", "--save", &file];
    let saved = format!("--resume {file}\n");
    let none = "nothing was saved; a run with --save FILE can be resumed\n";
    for (set, said) in [(&["mnist"][..], none), (&table, &saved)] {
        let endless = ["--device", "cpu", "--epochs", "1000000", "--batch-size", "16", "--json"];
        let mut running = Running::start(folder.path(), &[&["train"], set, &endless].concat());
        running.wait_for("\"epoch\":1,");
        running.send(INT);
        let (status, stdout, stderr) = running.end();
        assert_eq!(status.signal(), Some(INT));
        let mut lines = stdout.lines().map(json).filter(|line| line["table"].is_null());
        assert!(lines.all(|line| line["epoch"].is_u64()), "{stdout}");
        says(&stderr, &[NOTICE, "\nstopped after epoch ", " of 1000000: "]);
        assert!(stderr.ends_with(said), "{stderr}");
    }
    assert!(std::fs::exists(&file).unwrap());
}

/// The file is a pipe, which the model does not fit in at once: its first byte tells that it is being saved.
#[test]
fn a_signal_while_the_model_is_saved_does_not_cost_it() {
    let folder = fixture();
    for signal in [INT, TERM] {
        let file = name(&folder, "pipe");
        assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
        let args = ["train", "mnist", "--device", "cpu", "--hidden", "64", "--epochs", "1", "-q", "--save", &file];
        let mut running = Running::start(folder.path(), &args);
        let mut saved = vec![0];
        let mut pipe = std::fs::File::open(&file).unwrap();
        pipe.read_exact(&mut saved).unwrap();
        running.send(signal);
        let mut notice = String::new();
        running.stderr.read_line(&mut notice).unwrap();
        assert_eq!(notice, "the model is being saved; press Ctrl-C again to stop at once\n");
        pipe.read_to_end(&mut saved).unwrap();
        let (status, stdout, stderr) = running.end();
        assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
        says(&stdout, &["Test accuracy: "]);
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&file, saved).unwrap();
        assert_eq!(kiln::nn::Sequential::load(&file).unwrap().epoch(), 1);
        std::fs::remove_file(&file).unwrap();
    }
}

/// `kiln train`, with SIGHUP as a terminal's programs have it, or as `nohup` leaves it.
#[cfg(target_os = "linux")]
fn hung_up(folder: &TempDir, how: &str, args: &[&str]) -> Running {
    let inner = command(folder.path(), args);
    let mut outer = Command::new("env");
    outer.arg(how).arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    Running::of(outer)
}

#[cfg(target_os = "linux")]
const HUP: i32 = 1;

/// As where a terminal is closed.
#[cfg(target_os = "linux")]
#[test]
fn a_hangup_saves_though_nobody_reads_any_more() {
    let folder = fixture();
    let file = name(&folder, "run.safetensors");
    let args = ["train", "mnist", "--device", "cpu", "--hidden", "none", "--epochs", "1000000", "--save", &file];
    let mut running = hung_up(&folder, "--default-signal=HUP", &args);
    running.wait_for("Epoch 1/");
    let Running { mut child, stdout, stderr } = running;
    drop((stdout, stderr));
    assert!(Command::new("kill").args(["-1", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().signal(), Some(HUP));
    assert!(kiln::nn::Sequential::load(&file).unwrap().epoch() >= 1);
}

#[cfg(target_os = "linux")]
#[test]
fn a_hangup_that_is_ignored_stays_so() {
    let folder = fixture();
    let args = ["train", "mnist", "--device", "cpu", "--hidden", "16", "--batch-size", "10", "--epochs", "60"];
    let mut running = hung_up(&folder, "--ignore-signal=HUP", &args);
    running.wait_for("Epoch 1/");
    running.send(HUP);
    let (status, stdout, stderr) = running.end();
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
    says(&stdout, &["Epoch 60/60"]);
}

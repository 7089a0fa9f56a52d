//! `kiln train --tui` in a terminal that util-linux' `script` makes: drawn, stopped by key and by signal, put back.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use tempfile::TempDir;

use crate::cli::{command, fixture, run, says};

const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";
const SHOW_CURSOR: &str = "\x1b[?25h";

/// A run in a terminal of 100 by 30.
struct Terminal {
    script: Child,
    stdout: ChildStdout,
    text: String,
}

impl Terminal {
    fn start(folder: &TempDir, options: &str) -> Self {
        let kiln = command(folder.path(), &[]);
        let line = format!(
            "stty rows 30 cols 100; echo pid $$.; exec {} train mnist --device cpu --tui {options}",
            kiln.get_program().display()
        );
        let mut script = Command::new("script");
        script.args(["-qefc", &line, "/dev/null"]).env("SHELL", "/bin/sh").env("TERM", "xterm-256color");
        kiln.get_envs().for_each(|(name, value)| match value {
            Some(value) => drop(script.env(name, value)),
            None => drop(script.env_remove(name)),
        });
        let mut script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = script.stdout.take().unwrap();
        Self { script, stdout, text: String::new() }
    }

    /// Reads until this is there.
    #[track_caller]
    fn wait_for(&mut self, part: &str) {
        let mut bytes = [0; 4096];
        while !self.text.contains(part) {
            let read = self.stdout.read(&mut bytes).unwrap();
            assert!(read > 0, "no {part:?} in {}", self.text);
            self.text += &String::from_utf8_lossy(&bytes[..read]);
        }
    }

    fn key(&mut self, key: &str) {
        self.script.stdin.as_mut().unwrap().write_all(key.as_bytes()).unwrap();
    }

    fn signal(&self, signal: &str) {
        let pid = self.text.split_once("pid ").and_then(|(_, rest)| rest.split_once('.')).unwrap().0;
        assert!(Command::new("kill").args([signal, pid]).status().unwrap().success());
    }

    /// The exit code, what was drawn, and what came after the screen was left.
    fn end(mut self) -> (Option<i32>, String, String) {
        let mut rest = Vec::new();
        self.stdout.read_to_end(&mut rest).unwrap();
        self.text += &String::from_utf8_lossy(&rest);
        let (drawn, after) = self.text.split_once(LEAVE).expect(&self.text);
        assert_eq!((drawn.matches(ENTER).count(), after.matches(ENTER).count()), (1, 0), "{}", self.text);
        says(after, &[SHOW_CURSOR]);
        (self.script.wait().unwrap().code(), plain(drawn), after.into())
    }
}

/// The words that were drawn: what sets the cursor or a colour parts them.
fn plain(text: &str) -> String {
    let mut words = String::new();
    for (i, part) in text.split("\x1b[").enumerate() {
        let end = if i == 0 { 0 } else { part.find(|c: char| c.is_ascii_alphabetic()).map_or(0, |at| at + 1) };
        words = words + " " + &part[end..];
    }
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

const ENDLESS: &str = "--epochs 1000000 --batch-size 25 --validation-split 0.1";
/// An epoch takes seconds.
const SLOW: &str = "--hidden 1024,1024 --batch-size 1";

#[test]
fn a_run_is_drawn_to_its_end() {
    let folder = fixture();
    let (code, drawn, after) = Terminal::start(&folder, "--epochs 200 --hidden 64 --validation-split 0.1").end();
    assert_eq!(code, Some(0), "{after}");
    says(&drawn, &["mnist on cpu", "loss: ", "accuracy: ", "ETA ", "log", "q: stop after this epoch"]);
    says(&after, &["Epoch 1/200 - ", "Epoch 200/200 - ", "val_accuracy: ", "Test accuracy: "]);
}

#[test]
fn a_key_or_a_signal_stops_it_after_the_epoch() {
    let folder = fixture();
    for (stop, code) in [("q", 130), ("\x03", 130), ("-TERM", 143)] {
        let mut terminal = Terminal::start(&folder, ENDLESS);
        // The first epoch has ended.
        terminal.wait_for("val_loss:");
        if stop.starts_with('-') {
            terminal.signal(stop)
        } else {
            terminal.key(stop)
        }
        let (ended, _, after) = terminal.end();
        assert_eq!(ended, Some(code), "{stop:?}: {after}");
        says(&after, &["stopped after epoch ", "of 1000000: nothing was saved"]);
    }
}

#[test]
fn the_second_time_it_stops_at_once() {
    let folder = fixture();
    for (stop, code) in [("q", 130), ("-TERM", 143)] {
        let mut terminal = Terminal::start(&folder, SLOW);
        terminal.wait_for("q: stop after this epoch");
        for _ in 0..2 {
            if stop.starts_with('-') {
                terminal.signal(stop)
            } else {
                terminal.key(stop)
            }
            // Not at once: what is sent twice in a moment is taken for one.
            if terminal.script.try_wait().unwrap().is_none() && !terminal.text.contains("stopping") {
                terminal.wait_for("stopping after this epoch");
            }
        }
        let (ended, _, after) = terminal.end();
        assert_eq!(ended, Some(code), "{stop:?}: {after}");
        assert!(!after.contains("Epoch 1/") && !after.contains("stopped after"), "{after}");
    }
}

#[test]
fn without_a_terminal_it_says_so() {
    let folder = fixture();
    let (code, stdout, stderr) = run(folder.path(), &["train", "mnist", "--device", "cpu", "--tui"]);
    assert_eq!(code, Some(1), "{stdout}");
    says(&stderr, &["error: tui: standard output is no terminal", "leave --tui out"]);
}

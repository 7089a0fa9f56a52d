//! What shells and terminals get of the command.

use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::cli::{output, run, says};

#[test]
fn shells_complete_commands_and_options() {
    let folder = TempDir::new().unwrap();
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = output(folder.path(), &["completions", shell]);
        says(&script, &["predict", "serve", "early-stopping", "max-body"]);
    }
    let (code, _, stderr) = run(folder.path(), &["completions", "csh"]);
    assert_eq!(code, Some(2));
    says(&stderr, &["bash", "powershell"]);
}

/// The shell itself reads the script, and completes by it.
#[cfg(unix)]
#[test]
fn bash_completes_an_option() {
    let folder = TempDir::new().unwrap();
    let script = folder.path().join("kiln.bash");
    std::fs::write(&script, output(folder.path(), &["completions", "bash"])).unwrap();
    let line = "source \"$0\"; COMP_WORDS=(kiln serve --max-b); COMP_CWORD=2; _kiln kiln --max-b serve; echo \"${COMPREPLY[*]}\"";
    let completed = Command::new("bash").args(["-c", line]).arg(&script).stdin(Stdio::null()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&completed.stdout).trim(), "--max-body", "{completed:?}");
}

/// A terminal that cannot move its cursor gets a line an epoch.
#[cfg(target_os = "linux")]
#[test]
fn a_dumb_terminal_gets_a_line_an_epoch() {
    let folder = crate::cli::fixture();
    let kiln = crate::cli::command(folder.path(), &[]);
    let line = format!("exec {} train mnist --device cpu --hidden none --epochs 2", kiln.get_program().display());
    let said = |term: &str| {
        let mut script = Command::new("script");
        script.args(["-qefc", &line, "/dev/null"]).env("SHELL", "/bin/sh");
        kiln.get_envs().for_each(|(name, value)| match value {
            Some(value) => drop(script.env(name, value)),
            None => drop(script.env_remove(name)),
        });
        let output = script.env("TERM", term).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let dumb = said("dumb");
    says(&dumb, &["Epoch 1/2 - 3 steps - ", "Epoch 2/2 - 3 steps - ", "Test accuracy: "]);
    assert!(!dumb.contains('\x1b') && !dumb.replace("\r\n", "").contains('\r'), "{dumb:?}");
    assert!(said("xterm").contains("\x1b["));
}

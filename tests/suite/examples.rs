//! The examples that take a moment print what the study notes' exercises have, on the CPU and on the adapter.

use std::process::Command;

#[cfg(feature = "gpu")]
use crate::common::adapter_name;

/// An example's program with its arguments. `cargo test` builds the examples beside this binary.
fn example(name: &str, args: &[&str]) -> Command {
    let suite = std::env::current_exe().expect("the test binary has a path");
    let target = suite.parent().and_then(|deps| deps.parent()).expect("it lies in target/PROFILE/deps");
    let program = target.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(program.exists(), "there is no {}; `cargo build --examples` makes it", program.display());
    let mut command = Command::new(program);
    command.args(args);
    command
}

/// What a run printed that has to succeed.
fn printed(mut command: Command) -> String {
    let output = command.output().expect("the example is there");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn devices() -> Vec<String> {
    vec![
        "cpu".to_string(),
        #[cfg(feature = "gpu")]
        adapter_name(),
    ]
}

/// Each of the lines is a part of what the example prints on every device.
fn prints(name: &str, lines: &[&str]) {
    for device in devices() {
        let text = printed(example(name, &["--device", &device]));
        for line in lines {
            assert!(text.contains(line), "{name} does not print {line:?}:\n{text}");
        }
    }
}

#[test]
fn softmax_of_large_numbers_does_not_overflow() {
    prints("softmax", &["0.         0.         0.26894", " 0.7310"]);
}

#[test]
fn the_bare_graph_adds_constants_and_what_it_is_fed() {
    prints("constants", &["10 + 20 = [30.]", "fed 10 and 20: [30.]"]);
}

#[test]
fn a_perceptron_learns_and_and_or_but_not_exclusive_or() {
    prints("perceptron", &["AND: all four right", "OR: all four right", "XOR: 4 of four still wrong"]);
}

#[test]
fn a_line_through_four_scores_and_a_sigmoid_through_seven_exams() {
    prints("hours", &["score = 2.30 * hours + 79.00"]);
    prints("exam", &["accuracy 1.00: 7 of 7 right"]);
}

#[test]
fn sigmoids_do_not_learn_exclusive_or_where_relu_does() {
    prints("xor", &["sigmoid: loss 0.6931, accuracy 0.50", "relu: loss 0.0000, accuracy 1.00"]);
}

#[test]
fn what_an_example_does_not_take_is_an_error() {
    let cases: [(&[&str], &str); 3] = [
        (&["cpu"], "unknown argument `cpu`; give any of --device"),
        (&["--device"], "--device needs a value behind it"),
        (&["--device", "no such one"], "no such one"),
    ];
    for (args, message) in cases {
        let output = example("softmax", args).output().expect("the example is there");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(message), "{args:?}: {text}");
    }
}

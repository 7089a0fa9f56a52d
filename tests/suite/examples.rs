//! The examples that take a moment print what the study notes' exercises have, on the CPU and on the adapter.

use std::process::Command;

#[cfg(feature = "gpu")]
use crate::common::adapter_name;

/// What an example prints on each device. `cargo test` builds the examples beside this binary.
fn printed(name: &str) -> Vec<String> {
    let suite = std::env::current_exe().expect("the test binary has a path");
    let target = suite.parent().and_then(|deps| deps.parent()).expect("it lies in target/PROFILE/deps");
    let example = target.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let devices = [
        "cpu".to_string(),
        #[cfg(feature = "gpu")]
        adapter_name(),
    ];
    let run = |device: &String| {
        let output = Command::new(&example).arg(device).output();
        let output = output.unwrap_or_else(|e| panic!("{}: {e}; `cargo build --examples` makes it", example.display()));
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{name} on {device}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    devices.iter().map(run).collect()
}

/// Each of the lines is a part of what the example prints on every device.
fn prints(name: &str, lines: &[&str]) {
    for text in printed(name) {
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

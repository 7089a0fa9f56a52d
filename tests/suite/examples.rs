//! The examples that take a moment print what the study notes' exercises have, on the CPU and on the adapter.

use std::process::Command;

use tempfile::TempDir;

#[cfg(feature = "gpu")]
use crate::common::adapter_name;

/// An example's program with its arguments, and the folder in which it lies under its name. `cargo test` builds
/// `examples/all.rs`, which runs the example that it is called by, beside this binary.
struct Example {
    command: Command,
    _folder: TempDir,
}

fn example(name: &str, args: &[&str]) -> Example {
    let suite = std::env::current_exe().expect("the test binary has a path");
    let target = suite.parent().and_then(|deps| deps.parent()).expect("it lies in target/PROFILE/deps");
    let all = target.join("examples").join(format!("all{}", std::env::consts::EXE_SUFFIX));
    assert!(all.exists(), "there is no {}; `cargo build --all-features --example all` makes it", all.display());
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let program = folder.path().join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    std::fs::hard_link(&all, &program).expect("both lie in target/");
    let mut command = Command::new(program);
    command.args(args);
    Example { command, _folder: folder }
}

/// What a run printed that has to succeed.
fn printed(mut example: Example) -> String {
    let output = example.command.output().expect("the example is there");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{:?}: {}", example.command, text(&output.stderr));
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
fn a_mask_goes_over_an_image_as_by_hand() {
    prints("convolution", &["[2, 1, 1]\n[0, 2, 2]\n[0, 1, 1]\n"]);
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
fn two_outputs_are_learned_from_two_inputs() {
    for device in devices() {
        let text = printed(example("two_heads", &["--device", &device]));
        assert!(text.contains("concatenate") && text.contains("dim[0][0]"), "{text}");
        assert!(text.contains("lies: accuracy 1.00"), "{text}");
        let off =
            text.split_once("off by ").expect(&text).1.split(' ').next().and_then(|number| number.parse::<f64>().ok());
        assert!(off.is_some_and(|off| off <= 0.05), "{text}");
    }
}

#[test]
fn a_decoder_shares_the_encoders_kernel() {
    prints("autoencoder", &["encoder (Dense)", "tied (Tied)", "Total params: 64", " before, 0.00"]);
}

#[test]
fn what_an_example_does_not_take_is_an_error() {
    let cases: [(&[&str], &str); 3] = [
        (&["cpu"], "unknown argument `cpu`; give any of --device"),
        (&["--device"], "--device needs a value behind it"),
        (&["--device", "no such one"], "no such one"),
    ];
    for (args, message) in cases {
        let output = example("softmax", args).command.output().expect("the example is there");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(message), "{args:?}: {text}");
    }
}

#[test]
fn every_animal_of_the_zoo_is_learned() {
    prints("zoo", &["accuracy 1.00: 101 of 101"]);
}

/// The number that stands behind these words.
#[track_caller]
fn figure(text: &str, words: &str) -> f64 {
    let behind = text.split_once(words).unwrap_or_else(|| panic!("{words}: {text}")).1;
    behind.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{words}: {text}"))
}

/// The examples of sequences with what they print of 0 to 1, and what they have to reach of it in a small setting.
const SEQUENCES: [(&str, &str, &[&str], f64); 3] = [
    ("sequence_to_vector", "test accuracy: ", &["--limit", "1000", "--epochs", "4"], 0.3),
    ("sequence_to_sequence", "next values within 0.1: ", &["--limit", "400", "--epochs", "4"], 0.2),
    ("vector_to_sequence", "values within 0.1: ", &["--limit", "400", "--epochs", "4"], 0.1),
];

#[test]
fn sequences_begin_to_be_learned() {
    for device in devices() {
        for (name, words, small, least) in SEQUENCES {
            let text = printed(example(name, &[&["--device", &device], small].concat()));
            assert!(figure(&text, words) >= least, "{name} on {device}: {text}");
        }
    }
}

#[test]
fn what_is_remembered_over_a_gap_is_drawn() {
    let folder = TempDir::new().unwrap();
    let mut memory = example("memory", &["--device", "cpu", "--limit", "1000", "--epochs", "8", "--gap", "6"]);
    memory.command.current_dir(folder.path());
    let text = printed(memory);
    assert!(text.contains("  gap  SimpleRNN    LSTM     GRU\n"), "{text}");
    for name in ["SimpleRNN: ", "LSTM: ", "GRU: "] {
        // A guess is right a quarter of the time.
        assert!(figure(&text, name) >= 0.3, "{text}");
    }
    assert!(std::fs::read(folder.path().join("runs/memory.png")).unwrap().starts_with(b"\x89PNG"));
}

/// The examples on Fashion-MNIST, where 300 drawings of a formula stand in for it.
mod fashion {
    use std::path::Path;

    use kiln::data::SETS;
    use tempfile::TempDir;

    use super::{devices, example, printed};
    use crate::cli;

    /// A folder to run in, with the drawings where Fashion-MNIST is looked for.
    fn folder() -> TempDir {
        let folder = TempDir::new().unwrap();
        std::fs::rename(cli::fixture().keep(), folder.path().join("fashion-mnist")).unwrap();
        folder
    }

    fn run(folder: &Path, name: &str, args: &str) -> String {
        let mut example = example(name, &args.split(' ').collect::<Vec<_>>());
        example.command.current_dir(folder).env("KILN_DATA", folder);
        printed(example)
    }

    /// The numbers of the line that begins so.
    #[track_caller]
    fn numbers(text: &str, start: &str) -> Vec<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(start)).unwrap_or_else(|| panic!("{start}: {text}"));
        line.split([' ', ',', ':']).filter_map(|word| word.parse().ok()).collect()
    }

    #[test]
    fn figures_stand_beside_those_of_the_notes() {
        let folder = folder();
        for (name, notes) in [("softmax", 0.8551), ("sigmoid", 0.8784), ("relu", 0.8859)] {
            let text = run(folder.path(), &format!("fashion_{name}"), "--device cpu --epochs 6");
            assert_eq!(numbers(&text, "accuracy"), [1.0, notes], "{text}");
        }
        let text = run(folder.path(), "fashion_residual", "--device cpu --epochs 6");
        cli::says(&text, &["add_3 (Add)", "dense_3[0][0]", "Total params: 67,530"]);
        assert_eq!(numbers(&text, "accuracy"), [1.0], "{text}");
        for device in devices() {
            let text = run(folder.path(), "fashion_named", &format!("--device {device} --epochs 2 --limit 50"));
            cli::says(&text, &["Model: \"fashion\"", "hidden (Dense)", "output (Dense)", "Total params: 79,510"]);
            assert_eq!(numbers(&text, "val_accuracy")[1], 0.8678, "{text}");
            assert!(text.contains("2 steps"), "40 of the 50 are trained on: {text}");
        }
    }

    #[test]
    fn a_residual_network_trains_and_an_autoencoder_draws_what_it_makes_of_images() {
        let folder = folder();
        let text = run(folder.path(), "fashion_resnet", "--device cpu --epochs 2 --limit 6");
        cli::says(&text, &["add_5 (Add)", "Total params: 175,706", "Non-trainable params: 928"]);
        assert!((0.0..=1.0).contains(&numbers(&text, "test accuracy")[0]), "{text}");
        for device in devices() {
            let text = run(folder.path(), "fashion_autoencoder", &format!("--device {device} --epochs 2 --limit 150"));
            cli::says(&text, &["code (Conv2D)", "(None, 7, 7, 2)", "drawn to runs/autoencoder.png"]);
            let [error] = numbers(&text, "mean squared error of the test images")[..] else { panic!("{text}") };
            assert!(error > 0.0 && error < 0.3, "{text}");
            let picture = std::fs::read(folder.path().join("runs/autoencoder.png")).unwrap();
            assert!(picture.starts_with(b"\x89PNG"));
        }
    }

    #[test]
    fn one_against_the_rest_is_measured_in_five_folds() {
        let text = run(folder().path(), "fashion_logistic", "--device cpu --epochs 4");
        for fold in 1..=5 {
            assert_eq!(numbers(&text, &format!("fold {fold}")), [1.0], "{text}");
        }
        assert_eq!(numbers(&text, "mean accuracy"), [1.0, 0.8196], "{text}");
    }

    #[test]
    fn six_optimizers_train() {
        let text = run(folder().path(), "fashion_optimizers", "--device cpu --epochs 3");
        for name in ["SGD   ", "SGD 0.1", "SGD Nesterov 0.9", "Adagrad", "RMSprop", "Adam"] {
            let [loss, _, _, accuracy] = numbers(&text, name)[..] else { panic!("{name}: {text}") };
            // Adagrad's rate of 0.001 takes its time: a tenth of the guesses are right to begin with.
            assert!(name == "Adagrad" || loss < 2.2 && accuracy > 0.4, "{name}: {text}");
        }
    }

    #[test]
    fn dropout_narrows_the_gap_and_curves_are_drawn() {
        let folder = folder();
        let text = run(folder.path(), "fashion_dropout", "--device cpu --epochs 6 --limit 50");
        let gap = |rate| numbers(&text, rate)[2];
        assert!(gap("0.3 ") < gap("0  "), "{text}");
        for rate in ["0", "0.3"] {
            let picture = std::fs::read(folder.path().join(format!("runs/dropout-{rate}.png"))).unwrap();
            assert!(picture.starts_with(b"\x89PNG"));
        }
    }

    /// Labels that follow from nothing in the drawings are learned by heart: the validation loss rises soon.
    #[test]
    fn training_ends_by_itself_and_the_best_weights_come_back() {
        let folder = folder();
        let labels = cli::idx(&[300], (0..300u32).map(|row| (row / 10 % 10) as u8));
        std::fs::write(folder.path().join("fashion-mnist").join(SETS[1].files[1].name), labels).unwrap();
        for device in devices() {
            let text = run(folder.path(), "fashion_early_stopping", &format!("--device {device}"));
            let [stopped, 20.0] = numbers(&text, "stopped after epoch")[..] else { panic!("{text}") };
            let [epoch, best] = numbers(&text, "best epoch")[..] else { panic!("{text}") };
            assert_eq!(stopped, epoch + 2.0, "{text}");
            assert_eq!((numbers(&text, "restored")[0], numbers(&text, "saved")[0]), (best, best), "{text}");
        }
    }
}

//! The command end to end, on a small set of images that a formula draws.
#![cfg(feature = "cli")]

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};

use kiln::data::SETS;
use serde_json::Value;
use tempfile::TempDir;

/// The bytes of an IDX file of `u8`.
pub fn idx(extents: &[u32], bytes: impl IntoIterator<Item = u8>) -> Vec<u8> {
    let header = [0, 0, 8, extents.len() as u8];
    header.into_iter().chain(extents.iter().flat_map(|n| n.to_be_bytes())).chain(bytes).collect()
}

fn label(row: u32) -> u32 {
    row * 7 % 10
}

/// Noise, and a bright block whose place is the label.
fn pixel(row: u32, y: u32, x: u32) -> u8 {
    let mut h = (row * 784 + y * 28 + x).wrapping_mul(0x9E37_79B1);
    h = (h ^ (h >> 15)).wrapping_mul(0x85EB_CA6B);
    let noise = (h >> 25) as u8;
    let block = y / 14 == label(row) / 5 && x / 6 == label(row) % 5;
    if block { 128 + noise } else { noise }
}

fn images(rows: std::ops::Range<u32>) -> Vec<u8> {
    let pixels = |row: u32| (0..28).flat_map(move |y| (0..28).map(move |x| pixel(row, y, x)));
    idx(&[rows.len() as u32, 28, 28], rows.flat_map(pixels))
}

fn labels(rows: std::ops::Range<u32>) -> Vec<u8> {
    idx(&[rows.len() as u32], rows.map(|row| label(row) as u8))
}

/// A folder with 300 images to train on and 100 to measure on, where the command looks for MNIST.
pub fn fixture() -> TempDir {
    let folder = TempDir::new().unwrap();
    let files = [images(0..300), labels(0..300), images(300..400), labels(300..400)];
    for (file, bytes) in SETS[0].files.iter().zip(files) {
        std::fs::write(folder.path().join(file.name), bytes).unwrap();
    }
    folder
}

/// The command with `$KILN_DATA`, the user's cache in a folder that is not there, and no `$XDG_RUNTIME_DIR`.
pub fn command(data: &Path, args: &[&str]) -> Command {
    let nowhere = data.join("nowhere");
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    command.args(args).env("KILN_DATA", data).env_remove("XDG_RUNTIME_DIR").env_remove("RUST_BACKTRACE");
    // Mesa's compiled kernels are shared, wherever the home is: a run that finds none takes seconds.
    command.env("MESA_SHADER_CACHE_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/mesa"));
    for home in ["HOME", "XDG_CACHE_HOME", "KILN_CACHE_DIR"] {
        command.env(home, &nowhere);
    }
    command
}

/// What a run printed: its code, standard output and standard error.
pub fn run(data: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command(data, args).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// What a run printed as JSON.
#[track_caller]
pub fn json(text: &str) -> Value {
    serde_json::from_str(text).expect(text)
}

/// The standard output of a run that must succeed and say nothing on standard error.
#[track_caller]
pub fn output(data: &Path, args: &[&str]) -> String {
    let (code, stdout, stderr) = run(data, args);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "kiln {args:?}\n{stdout}");
    stdout
}

#[track_caller]
pub fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
}

/// As [`crate::common::adapter`] is chosen, but a request and not a device.
pub fn devices() -> Vec<String> {
    let mut requests = vec!["cpu".to_string()];
    if cfg!(feature = "gpu") {
        requests.push(std::env::var("KILN_TEST_DEVICE").unwrap_or_else(|_| "gpu".into()));
    }
    requests
}

const SHORT: &[&str] = &["train", "mnist", "--hidden", "32", "--batch-size", "25", "--epochs", "4"];

fn short<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [SHORT, more].concat()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

#[test]
fn it_learns_on_every_device_and_repeats_itself() {
    let folder = fixture();
    for device in devices() {
        let args = short(&["--device", &device, "--json", "--validation-split", "0.1"]);
        let mut runs = [0, 1].map(|_| lines(&output(folder.path(), &args)));
        let [first, second] = &mut runs;
        assert_eq!(first.len(), 5, "an epoch a line, and the result");
        let losses: Vec<f64> = first[..4].iter().map(|line| line["loss"].as_f64().unwrap()).collect();
        assert!(losses[3] < losses[0] / 2.0, "{device}: {losses:?}");
        for (i, line) in first[..4].iter().enumerate() {
            assert_eq!(line["epoch"], i + 1);
            assert!(["accuracy", "val_loss", "val_accuracy"].iter().all(|name| line[name].is_f64()), "{line}");
        }
        let result = first[4].clone();
        assert!(result["test_accuracy"].as_f64().unwrap() > 0.9, "{device}: {result}");
        assert!(result["test_loss"].as_f64().unwrap() < 1.0, "{device}: {result}");
        // 270 samples in batches of 25: ten full ones and one of 20.
        assert_eq!(result["steps"], 44);
        assert_eq!(result["device"].as_str().unwrap().starts_with("cpu"), device == "cpu", "{result}");
        let timings = ["seconds", "first_step_seconds", "steps_per_second", "samples_per_second"];
        for timing in timings {
            assert!(result[timing].as_f64().unwrap() > 0.0, "{result}");
        }
        let epochs: f64 = first[..4].iter().map(|line| line["seconds"].as_f64().unwrap()).sum();
        let seconds = result["seconds"].as_f64().unwrap();
        assert!(epochs > 0.0 && epochs <= seconds, "{device}: epochs of {epochs} s in {seconds} s");
        for line in first.iter_mut().chain(second.iter_mut()) {
            let fields = line.as_object_mut().unwrap();
            fields.retain(|name, _| !timings.contains(&name.as_str()));
        }
        assert_eq!(first, second, "the same command gives the same numbers");
    }
}

#[test]
fn progress_is_told_in_lines_and_can_be_silenced() {
    let folder = fixture();
    let text = output(folder.path(), &short(&["--device", "cpu", "--summary"]));
    says(&text, &["Training on cpu (", "asked for", "dense_1 (Dense)", "Total params: 25,450", "Epoch 1/4 - 12 steps"]);
    says(&text, &["Epoch 4/4", " - loss: ", " - accuracy: ", "\nTest accuracy: ", ", test loss: "]);
    says(&text, &["\nTraining time: ", "48 steps (", "steps/s, "]);
    let silent = output(folder.path(), &short(&["--device", "cpu", "--verbose", "0"]));
    assert!(silent.starts_with("Training on cpu") && silent.lines().count() == 4, "{silent}");
    says(&silent, &["\nThe model was not saved: give --save mnist.safetensors to keep it\n"]);
    let quiet = output(folder.path(), &short(&["--device", "cpu", "-q"]));
    assert!(quiet.starts_with("Test accuracy: ") && quiet.lines().count() == 2, "{quiet}");
}

#[test]
fn options_reach_the_model() {
    let folder = fixture();
    let result = |options: &str| {
        let options = options.split(' ').filter(|option| !option.is_empty());
        let fixed = ["train", "mnist", "--device", "cpu", "--json", "--epochs", "1", "--batch-size", "25"];
        let args: Vec<&str> = fixed.into_iter().chain(options).collect();
        lines(&output(folder.path(), &args)).pop().unwrap()
    };
    let plain = result("--hidden 20");
    assert_eq!((plain["steps"].as_u64(), result("--hidden 20 --limit 100")["steps"].as_u64()), (Some(12), Some(4)));
    for changed in [
        "--seed 1",
        "--optimizer adam",
        "--clip-norm 0.001",
        "--gradient-accumulation-steps 5",
        "--learning-rate 0.01",
        "--activation tanh",
        "--no-shuffle",
    ] {
        let other = result(&format!("--hidden 20 {changed}"));
        assert_ne!(other["test_loss"], plain["test_loss"], "{changed}");
    }
    let two = result("--hidden 20 --hidden 10");
    assert_ne!(two["test_loss"], plain["test_loss"]);
    assert_eq!(two["test_loss"], result("--hidden 20,10")["test_loss"]);
}

#[test]
fn a_run_stops_early_and_is_written_down() {
    let folder = fixture();
    let file = folder.path().join("run.csv");
    let name = file.to_str().unwrap();
    // A step of nothing: no epoch is better than the first.
    let still = "--device cpu --validation-split 0.1 --optimizer sgd --learning-rate 1e-30 --early-stopping 2";
    let args: Vec<&str> = still.split(' ').chain(["--csv", name]).collect();
    let text = output(folder.path(), &short(&args));
    says(
        &text,
        &[
            "Epoch 3/4",
            "\nThe run stopped early, after epoch 3 of 4; the weights are those of epoch 1, whose",
            "Test accuracy: ",
            " 33 steps (",
        ],
    );
    let table = std::fs::read_to_string(&file).unwrap();
    assert!(
        table.starts_with("epoch,loss,accuracy,val_loss,val_accuracy\n1,") && table.lines().count() == 4,
        "{table}"
    );
    let result = lines(&output(folder.path(), &short(&[&args[..], &["--json"]].concat()))).pop().unwrap();
    assert_eq!((result["epochs"].as_u64(), result["steps"].as_u64()), (Some(3), Some(33)));
    let early = &result["early_stopping"];
    assert_eq!((&early["stopped_epoch"], &early["best_epoch"]), (&3.into(), &1.into()), "{result}");
}

#[test]
fn devices_are_listed_with_what_auto_takes() {
    let folder = TempDir::new().unwrap();
    let text = output(folder.path(), &["devices"]);
    says(&text, &["\ncpu (", " threads, f32)", "\nreference (", "\nauto takes "]);
    let all: Value = serde_json::from_str(&output(folder.path(), &["devices", "--json"])).unwrap();
    assert!(all["auto"]["reason"].is_string(), "{all}");
    let devices = all["devices"].as_array().unwrap();
    let adapters: Vec<&Value> = devices.iter().filter(|device| device["index"].is_number()).collect();
    assert_eq!(devices.len(), adapters.len() + 2, "{all}");
    assert!(!cfg!(feature = "gpu") || !adapters.is_empty(), "no adapter; run scripts/test, which installs one");
    for adapter in adapters {
        let named = [&adapter["name"], &adapter["backend"], &adapter["driver"], &adapter["type"]];
        named.iter().for_each(|part| says(&text, &[part.as_str().unwrap()]));
        let limits = ["max_buffer_bytes", "max_binding_bytes", "max_storage_buffers", "max_workgroup_invocations"];
        assert!(limits.iter().all(|limit| adapter[limit].as_u64().unwrap() > 0), "{adapter}");
        assert!(["timestamps", "subgroups", "f16"].iter().all(|feature| adapter[feature].is_boolean()), "{adapter}");
    }
}

#[test]
fn a_plan_is_printed_without_data() {
    let nothing = TempDir::new().unwrap();
    let args = ["plan", "mnist", "--device", "cpu", "--hidden", "512,64", "--batch-size", "100", "--optimizer", "adam"];
    let text = output(nothing.path(), &args);
    says(&text, &["Plan \"train, batch 100\"", "dense_2", "matmul", "gather/", "softmax_cross_entropy", "adam/adam"]);
    says(&text, &["params[", "moment1", "47040000", "dispatches a run", "FLOPs, ", "bytes of buffers in all"]);
    let text = output(nothing.path(), &[&args[..], &["--kernels", "gpu"]].concat());
    says(
        &text,
        &["matmul_tiled/tiled_4x4_vec4 matmul_split/add_parts", "bytes that the launches of a step hand to each other"],
    );
}

#[test]
fn data_get_says_where_the_files_are() {
    let folder = fixture();
    let text = output(folder.path(), &["data", "get", "mnist"]);
    says(&text, &["mnist is already in ", folder.path().to_str().unwrap(), "235216 bytes", "108 bytes"]);
    says(&text, &SETS[0].files.iter().map(|file| file.name).collect::<Vec<_>>());
}

#[test]
fn data_is_listed_and_verified() {
    let folder = fixture();
    let text = output(folder.path(), &["data", "list"]);
    says(&text, &["mnist is in ", folder.path().to_str().unwrap(), "235216 bytes", "\nfashion-mnist is "]);
    // The fixture's files are no MNIST.
    let (code, stdout, stderr) = run(folder.path(), &["data", "verify", "mnist"]);
    assert_eq!(code, Some(1), "{stdout}");
    says(&stdout, &["mnist is in ", "train-images-idx3-ubyte", "holds 235216 bytes, 47040016 were expected"]);
    says(&stderr, &["4 of the files", "kiln data get"]);

    let nothing = TempDir::new().unwrap();
    says(&output(nothing.path(), &["data", "list", "mnist"]), &["mnist is not there", "kiln data get mnist"]);
    says(&output(nothing.path(), &["data", "verify"]), &["mnist is not there"]);
    let (code, _, stderr) = run(nothing.path(), &["data", "verify", "mnist"]);
    assert_eq!(code, Some(1));
    says(&stderr, &["mnist: ", "Looked in", "t10k-labels-idx1-ubyte"]);
}

#[test]
fn fashion_mnist_is_another_set_and_the_hidden_layers_may_be_none() {
    let root = TempDir::new().unwrap();
    let own = root.path().join("fashion-mnist");
    std::fs::rename(fixture().keep(), &own).unwrap();
    let args = ["--hidden", "none", "--validation-split", "0.2", "--epochs", "2", "--device", "cpu", "--summary"];
    for data in [root.path(), &own] {
        let text = output(data, &[&["train", "fashion-mnist"], &args[..]].concat());
        says(&text, &["Total params: 7,850", "val_accuracy: ", "Test accuracy: "]);
        says(&output(data, &["data", "list", "mnist"]), &["mnist is not there"]);
    }
    says(&output(root.path(), &["plan", "fashion-mnist", "--device", "cpu", "--hidden", "none"]), &["47040000"]);
    for (hidden, parts) in [("512,none", "stands beside units"), ("some", "a number of units, or `none`")] {
        let (code, _, stderr) = run(&own, &["train", "fashion-mnist", "--device", "cpu", "--hidden", hidden]);
        assert_ne!(code, Some(0));
        says(&stderr, &[parts]);
    }
}

#[test]
fn help_names_commands_options_and_defaults() {
    let folder = TempDir::new().unwrap();
    says(
        &output(folder.path(), &["--help"]),
        &["train", "import", "devices", "plan", "data", "Examples:", "kiln train mnist"],
    );
    let train = output(folder.path(), &["train", "--help"]);
    says(
        &train,
        &[
            "--hidden",
            "[default: 512]",
            "[default: rmsprop]",
            "[default: auto]",
            "[default: 5, of a table 100]",
            "Examples:",
        ],
    );
    says(&train, &["--limit", "the test set stays whole", "--json", "--seed", "--validation-split", "--learning-rate"]);
    says(&train, &["--from", "layers go together by name and shape"]);
    says(&output(folder.path(), &["import", "--help"]), &["<MODEL> [WEIGHTS] <OUTPUT>", "--layers", "PyTorch's"]);
    says(&output(folder.path(), &["check", "--help"]), &["--model", "each of three batches"]);
    says(&output(folder.path(), &["data", "get", "--help"]), &["KILN_DATA", "SHA-256"]);
    assert_eq!(output(folder.path(), &["--version"]), format!("kiln {}\n", env!("CARGO_PKG_VERSION")));
}

/// As of `kiln devices | head -1`.
#[test]
fn a_reader_that_stops_reading_is_no_error() {
    let folder = fixture();
    let trains = [short(&["--device", "cpu"]), short(&["--device", "cpu", "--json"])];
    let others = [vec!["devices"], vec!["plan", "mnist"], vec!["data", "get", "mnist"], vec!["--help"]];
    for args in trains.into_iter().chain(others) {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command(folder.path(), &args).stdout(writer).output().unwrap();
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""), "{args:?}");
    }
}

/// Window-system code of Vulkan drivers complains of this variable on standard error where it is unset or no path.
#[test]
fn no_complaint_about_the_runtime_folder_comes_through() {
    let folder = TempDir::new().unwrap();
    for runtime in [None, Some(OsStr::new("")), Some(folder.path().as_os_str())] {
        let mut devices = command(folder.path(), &["devices"]);
        runtime.map(|runtime| devices.env("XDG_RUNTIME_DIR", runtime));
        assert_eq!(String::from_utf8_lossy(&devices.output().unwrap().stderr), "", "{runtime:?}");
    }
}

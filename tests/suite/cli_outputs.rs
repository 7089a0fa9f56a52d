//! What commands write: checked before anything is trained, and no reason to lose a model.
#![cfg(all(feature = "cli", unix))]

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Command, Stdio};

use kiln::nn::Sequential;
use tempfile::TempDir;

use crate::cli::{command, fixture, json, output, run, says};

const ZOO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/zoo.csv");
const TRAIN: [&str; 10] =
    ["train", "zoo.csv", "--label", "type", "--without", "name", "--device", "cpu", "--hidden", "none"];

/// A folder with a table, and `kiln train` of it, in that folder.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::copy(ZOO, folder.path().join("zoo.csv")).unwrap();
    folder
}

fn train(folder: &TempDir, more: &[&str]) -> (Option<i32>, String, String) {
    let mut command = command(folder.path(), &[&TRAIN, more].concat());
    let output = command.current_dir(folder.path()).output().unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.code(), stdout, stderr)
}

#[test]
fn what_could_not_be_written_is_refused_before_training() {
    let folder = folder();
    let inside = |name: &str| folder.path().join(name);
    fs::write(inside("file"), "").unwrap();
    fs::hard_link(inside("zoo.csv"), inside("hard")).unwrap();
    std::os::unix::fs::symlink("zoo.csv", inside("soft.csv")).unwrap();
    std::os::unix::fs::symlink("nothing", inside("dangling.png")).unwrap();
    std::os::unix::fs::symlink("nothing", inside("dangling")).unwrap();
    let table = fs::read(inside("zoo.csv")).unwrap();
    let long = "n".repeat(256);
    let set = "is the data set, which would be lost";
    for (args, parts) in [
        (vec!["--plot", "none/c.png"], vec!["none: write to this folder"]),
        (vec!["--csv", "none/c.csv"], vec!["csv: none/c.csv: write: "]),
        (vec!["--save", "none/m"], vec!["save: none: write to this folder"]),
        (vec!["--logdir", "file/runs"], vec!["logdir: ", "file: is no folder"]),
        (vec!["--save", "new/"], vec!["save: new/: is the name of a folder"]),
        (vec!["--csv", "new/"], vec!["csv: new/: is the name of a folder"]),
        (vec!["--save", "."], vec!["save: .: is a folder"]),
        (vec!["--save", &long], vec!["save: nnn", "write: "]),
        (vec!["--csv", &long], vec!["csv: nnn", "write: "]),
        (vec!["--logdir", &long], vec!["logdir: "]),
        (vec!["--plot", "dangling.png"], vec!["dangling.png: is a link to nothing, which is not there"]),
        (vec!["--csv", "dangling.png"], vec!["dangling.png: is a link to nothing, which is not there"]),
        (vec!["--save", "dangling"], vec!["dangling: is a link to nothing, which is not there"]),
        (vec!["--save", "./zoo.csv"], vec!["save: ./zoo.csv", set]),
        (vec!["--save", "soft.csv"], vec!["save: soft.csv", set]),
        (vec!["--csv", "zoo.csv"], vec!["csv: zoo.csv", set]),
        (vec!["--csv", "hard"], vec!["csv: hard", set]),
        (vec!["--logdir", "zoo.csv"], vec!["logdir: zoo.csv", set]),
        (vec!["--save", "out", "--csv", "./out"], vec!["csv: ./out is where --save writes, too"]),
        (vec!["--save", "out.png"], vec!["save: out.png: ends in .png, by which nobody would know it"]),
        (vec!["--save", "out", "--logdir", "out"], vec!["logdir: out is where --save writes, too"]),
    ] {
        let (code, stdout, stderr) = train(&folder, &[&args[..], &["--epochs", "1"]].concat());
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{args:?}: {stderr}");
        says(&stderr, &parts);
    }
    assert_eq!(fs::read(inside("zoo.csv")).unwrap(), table);
    // Nothing was made on the way.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 6);
}

#[test]
fn files_of_a_named_set_and_of_a_resumed_run_are_not_written_over() {
    let folder = fixture();
    let images = folder.path().join(kiln::data::SETS[0].files[0].name);
    let (images, model) = (images.to_str().unwrap(), folder.path().join("m.safetensors"));
    let model = model.to_str().unwrap();
    let set = ["train", "mnist", "--device", "cpu", "--hidden", "none", "-q"];
    for option in ["--save", "--csv"] {
        let (code, _, stderr) = run(folder.path(), &[&set[..], &[option, images]].concat());
        assert_eq!(code, Some(1));
        says(&stderr, &["is the data set, which would be lost"]);
    }
    output(folder.path(), &[&set[..], &["--epochs", "1", "--save", model]].concat());
    let resume = ["train", "mnist", "--device", "cpu", "-q", "--epochs", "2", "--resume", model];
    let (code, _, stderr) = run(folder.path(), &[&resume[..], &["--csv", model]].concat());
    assert_eq!(code, Some(1));
    says(&stderr, &["csv: ", "is the file of --resume, which would be lost"]);
    output(folder.path(), &[&resume[..], &["--save", model]].concat());
    assert_eq!(Sequential::load(model).unwrap().epoch(), 2);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_under_a_log_costs_the_log_alone() {
    let folder = folder();
    let args = ["--epochs", "3", "--csv", "/dev/full", "--save", "m.safetensors", "--plot", "c.png"];
    let (code, stdout, stderr) = train(&folder, &args);
    assert_eq!(code, Some(1), "{stderr}");
    says(&stdout, &["Epoch 3/3", "Test accuracy: "]);
    says(&stderr, &["/dev/full: write: ", "; the run goes on without it\n", "\nerror: /dev/full: write: "]);
    assert_eq!(stderr.matches("/dev/full").count(), 2, "said once, and again at the end: {stderr}");
    assert_eq!(Sequential::load(folder.path().join("m.safetensors")).unwrap().epoch(), 3);
    assert!(folder.path().join("c.png").exists());
}

/// A file may have some kilobytes: enough for the model, not for the events of 50 epochs and the picture.
#[cfg(target_os = "linux")]
#[test]
fn files_that_become_too_large_cost_themselves_alone() {
    let folder = folder();
    let args = ["--epochs", "50", "--logdir", "runs", "--save", "m.safetensors", "--plot", "c.svg", "-q"];
    let limited = command(folder.path(), &[&TRAIN, &args[..]].concat());
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -f 16; trap '' XFSZ; exec \"$0\" \"$@\""]).arg(limited.get_program());
    shell.args(limited.get_args()).current_dir(folder.path()).env("XDG_RUNTIME_DIR", "/dev/null");
    let output = shell.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    says(
        &stderr,
        &["events.out.tfevents", "; the run goes on without it\n", "error: runs/", "\nerror: c.svg: write: "],
    );
    says(&String::from_utf8(output.stdout).unwrap(), &["Test accuracy: "]);
    assert_eq!(Sequential::load(folder.path().join("m.safetensors")).unwrap().epoch(), 50);
    assert!(!folder.path().join("c.svg").exists(), "half a picture");
}

#[test]
fn a_reader_that_goes_away_costs_no_model() {
    let folder = folder();
    for more in [&["--json"][..], &["--summary"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let args = [&TRAIN, &["--epochs", "2", "--save", "m.safetensors"][..], more].concat();
        let output = command(folder.path(), &args).current_dir(folder.path()).stdout(writer).output().unwrap();
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""), "{more:?}");
        assert_eq!(Sequential::load(folder.path().join("m.safetensors")).unwrap().epoch(), 2);
        fs::remove_file(folder.path().join("m.safetensors")).unwrap();
    }
}

#[test]
fn a_name_with_braces_is_a_name() {
    let folder = folder();
    let (code, _, stderr) =
        train(&folder, &["--epochs", "2", "--save", "run{2}.safetensors", "--checkpoint-every", "1", "-q"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["run{2}.safetensors", "zoo.csv"]);
}

/// What a run that was killed had logged since its last checkpoint.
#[test]
fn a_resumed_log_has_no_epoch_twice() {
    let folder = folder();
    let inside = |name: &str| folder.path().join(name);
    let run = |args: &[&str]| {
        let (code, _, stderr) = train(&folder, args);
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
    };
    run(&["--epochs", "5", "--csv", "whole.csv", "-q"]);
    let whole = fs::read_to_string(inside("whole.csv")).unwrap();
    run(&["--epochs", "2", "--save", "m.safetensors", "--csv", "part.csv", "-q"]);
    for cut in [whole.len(), whole.len() - 3] {
        fs::write(inside("part.csv"), &whole[..cut]).unwrap();
        let resume =
            ["train", "zoo.csv", "--resume", "m.safetensors", "--epochs", "5", "--csv", "part.csv", "--device", "cpu"];
        let resumed = command(folder.path(), &resume).current_dir(folder.path()).output().unwrap();
        assert!(resumed.status.success(), "{}", String::from_utf8_lossy(&resumed.stderr));
        assert_eq!(fs::read_to_string(inside("part.csv")).unwrap(), whole);
    }
}

/// A pipe is read once, from its first byte on.
#[test]
fn what_comes_by_a_pipe_is_taken_whole() {
    let folder = fixture();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let [model, text, pipe] = ["m.safetensors", "pad.txt", "zoo.csv"].map(place);
    output(
        folder.path(),
        &["train", "mnist", "--device", "cpu", "--hidden", "none", "--epochs", "1", "-q", "--save", &model],
    );
    // Rows of pixels in columns as wide as 255 is: without the first four bytes one is lacking.
    let pixels: Vec<String> = (0..784).map(|i| format!("{:4}", (i * 37 + 255) % 256)).collect();
    fs::write(&text, pixels.concat()).unwrap();
    let outputs = |args: &[&str], text: Option<&str>| {
        let args = [&["predict", &model, "--device", "cpu", "--json"], args].concat();
        let mut command = command(folder.path(), &args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        if let Some(file) = text {
            std::io::copy(&mut fs::File::open(file).unwrap(), &mut stdin).unwrap();
        }
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        json(&String::from_utf8(output.stdout).unwrap())["outputs"].clone()
    };
    assert_eq!(outputs(&["/dev/stdin"], Some(&text)), outputs(&[&text], None));

    let args = |table: &'static str| [&["train", table], &TRAIN[2..], &["--epochs", "2"]].concat();
    let trained = |table: &str, args: &[&str]| {
        let args = [&["train", table], &args[2..], &["--json"]].concat();
        json(output(folder.path(), &args).lines().last().unwrap())["test_loss"].clone()
    };
    let from_file = trained(ZOO, &args(""));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writer = pipe.clone();
    let writer = std::thread::spawn(move || fs::copy(ZOO, writer).unwrap());
    assert_eq!(trained(&pipe, &args("")), from_file);
    writer.join().unwrap();
}

/// Linux lets any bytes be a name.
#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_no_utf8_is_no_panic() {
    let folder = fixture();
    let name = |bytes: &[u8]| folder.path().join(std::ffi::OsStr::from_bytes(bytes));
    let (model, images) = (name(b"m\xff.safetensors"), name(b"i\xfe.idx"));
    fs::copy(folder.path().join(kiln::data::SETS[0].files[2].name), &images).unwrap();
    let train = ["train", "mnist", "--device", "cpu", "--hidden", "none", "--epochs", "1", "-q"];
    let mut trained = command(folder.path(), &train);
    let trained = trained.args(["--checkpoint-every", "1", "--save"]).arg(&model).output().unwrap();
    assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));
    let mut asked = command(folder.path(), &["predict", "--device", "cpu", "--limit", "1", "--json"]);
    let asked = asked.arg(&model).arg(&images).output().unwrap();
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    assert!(json(&String::from_utf8(asked.stdout).unwrap())["input"].as_str().unwrap().ends_with("i\u{fffd}.idx"));
}

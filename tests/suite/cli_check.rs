//! `kiln check` and `kiln compare` end to end.

use serde_json::Value;
use tempfile::TempDir;

use crate::cli::{fixture, json, output, run, says};

#[cfg(feature = "gpu")]
fn adapter() -> String {
    std::env::var("KILN_TEST_DEVICE").unwrap_or_else(|_| "gpu".into())
}

#[test]
fn check_prints_a_table_and_a_verdict() {
    let nowhere = TempDir::new().unwrap();
    let text = output(nowhere.path(), &["check", "--device", "cpu", "--filter", "softmax"]);
    says(&text, &["Adapter: cpu (", "Driver:  none", "worst ulps", "allowed", "relative", "\nforward   softmax "]);
    says(&text, &["\ngradient  softmax ", "\nAll ", " cases pass in "]);
    let all = json(&output(nowhere.path(), &["check", "--device", "cpu", "--filter", "adam", "--json"]));
    assert_eq!((all["passed"].as_bool(), all["failures"].as_u64()), (Some(true), Some(0)), "{all}");
    let rows = all["rows"].as_array().unwrap();
    let parts: Vec<&str> = rows.iter().map(|row| row["part"].as_str().unwrap()).collect();
    assert!(parts.contains(&"forward") && parts.contains(&"20 steps"), "{all}");
    for row in rows {
        assert!(row["worst_ulps"].as_f64().unwrap() <= row["allowed_ulps"].as_f64().unwrap(), "{row}");
        assert!(row["cases"].as_u64().unwrap() > 0 && row["worst_relative"].is_f64(), "{row}");
    }
}

#[test]
fn check_lists_what_there_is() {
    let nowhere = TempDir::new().unwrap();
    let text = output(nowhere.path(), &["check", "--device", "cpu", "--list"]);
    says(&text, &["forward   matmul", " matmul.wgsl", "20 steps  rmsprop", "training", "limits", "random"]);
    let all = json(&output(nowhere.path(), &["check", "--device", "cpu", "--list", "--json"]));
    assert!(all.as_array().unwrap().iter().any(|item| item["op"] == "softmax" && item["shaders"][0] == "softmax"));
}

#[test]
fn check_says_what_is_wrong_with_its_options() {
    let nowhere = TempDir::new().unwrap();
    for (args, parts) in [
        (["--device", "cpu", "--filter", "sofmax"], ["error: filter: \"sofmax\" is unknown", "mean \"softmax\"?"]),
        (["--device", "warp-drive", "--filter", "sum"], ["error: device \"warp-drive\": ", "reference"]),
    ] {
        let (code, stdout, stderr) = run(nowhere.path(), &[&["check"], &args[..]].concat());
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
        says(&stderr, &parts);
    }
}

#[cfg(feature = "gpu")]
#[test]
fn check_passes_on_the_adapter() {
    let nowhere = TempDir::new().unwrap();
    for filter in ["sgd", "sum", "training", "limits", "random"] {
        let text = output(nowhere.path(), &["check", "--device", &adapter(), "--filter", filter]);
        says(&text, &["Adapter: ", "Driver:  ", " cases pass in "]);
    }
}

/// A fault put into a kernel: what `scripts/mutate` does to all of them.
#[cfg(all(feature = "gpu", feature = "mutate"))]
#[test]
fn check_reports_the_smallest_failing_case() {
    let folder = TempDir::new().unwrap();
    let original = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/softmax.wgsl")).unwrap();
    let mutant = original.replace(" - ", " + ");
    assert_ne!(original, mutant, "the shader has differences to turn into sums");
    std::fs::write(folder.path().join("original"), &original).unwrap();
    std::fs::write(folder.path().join("mutant"), mutant).unwrap();
    let faulty = |args: &[&str]| {
        let device = adapter();
        let args = [&["check", "--device", &device, "--filter", "softmax"], args].concat();
        let output = crate::cli::command(folder.path(), &args).env("KILN_MUTANT", folder.path()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, stdout, stderr) = faulty(&[]);
    assert_eq!(code, Some(1), "{stdout}");
    says(&stderr, &["error: ", " cases fail on "]);
    says(
        &stdout,
        &["  FAILS", " cases FAIL, after ", "The smallest failing case, to report", "  kernels:  shaders/softmax"],
    );
    says(
        &stdout,
        &["  inputs:   (", " of f32", "  found:    ", "expected", "  adapter:  ", "  driver:   ", "  repeat:   "],
    );
    let (code, stdout, _) = faulty(&["--json"]);
    let all = json(&stdout);
    assert_eq!((code, all["passed"].as_bool()), (Some(1), Some(false)), "{all}");
    assert!(all["smallest_failure"]["found"].is_string() && all["smallest_failure"]["driver"].is_string(), "{all}");
}

const COMPARE: &[&str] = &["compare", "mnist", "--hidden", "24", "--batch-size", "25", "--steps", "30"];

/// Two devices, the second always the processor.
fn devices() -> Vec<String> {
    vec![
        "reference,cpu".into(),
        #[cfg(feature = "gpu")]
        format!("{},cpu", adapter()),
    ]
}

#[test]
fn compare_finds_devices_alike_and_repeats_itself() {
    let folder = fixture();
    for devices in devices() {
        let args = [COMPARE, &["--devices", &devices]].concat();
        let text = output(folder.path(), &args);
        says(
            &text,
            &["A: ", "B: cpu (", "loss A", "gradients", "weights", "dense/kernel", "dense_1/bias", " samples/s"],
        );
        says(&text, &["The losses of 30 steps agree: ", "1e-5 allowed"]);
        let args = [&args[..], &["--json"]].concat();
        let [mut first, mut second] = [0, 1].map(|_| json(&output(folder.path(), &args)));
        assert!(first["agree"].as_bool().unwrap() && first["first_beyond"].is_null(), "{first}");
        assert_eq!(first["relative_differences"].as_array().unwrap().len(), 30);
        let looks = first["looks"].as_array().unwrap();
        assert_eq!((looks[0]["step"].as_u64(), looks[looks.len() - 1]["step"].as_u64()), (Some(1), Some(30)));
        assert!(looks.iter().all(|look| look["gradients"]["dense/kernel"].as_f64().unwrap() < 1e-2), "{first}");
        for all in [&mut first, &mut second] {
            all["devices"].as_array_mut().unwrap().iter_mut().for_each(|d| d["samples_per_second"] = Value::Null);
        }
        assert_eq!(first, second, "the same command gives the same losses and weights");
        assert_eq!(first["devices"][0]["weights_hash"].as_str().unwrap().len(), 16);
    }
}

#[test]
fn compare_draws_its_losses() {
    let folder = fixture();
    let plot = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let (svg, jpg) = (plot("losses.svg"), plot("losses.jpg"));
    output(folder.path(), &[COMPARE, &["--devices", "reference,cpu", "--plot", &svg]].concat());
    let text = std::fs::read_to_string(&svg).unwrap();
    says(&text, &["A: reference (", "B: cpu (", "relative difference", "allowed", "1e-5", "step"]);
    let (code, stdout, stderr) = run(folder.path(), &[COMPARE, &["--plot", &jpg]].concat());
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    says(&stderr, &["error: plot: ", "losses.jpg", "ends in .png or .svg"]);
}

#[test]
fn compare_trains_the_nets_that_bench_times() {
    let folder = fixture();
    for (set, net, parameter) in [
        ("mnist", "lenet", "conv2d_1/kernel"),
        ("synthetic", "lstm50", "lstm/bias"),
        ("synthetic", "transformer", "multi_head_attention_1/query/kernel"),
    ] {
        for devices in devices() {
            let args = ["compare", set, "--model", net, "--batch-size", "2", "--steps", "3", "--devices", &devices];
            let text = output(folder.path(), &[&args[..], &["--optimizer", "adam"]].concat());
            says(&text, &[parameter, "The losses of 3 steps agree: "]);
        }
    }
}

#[test]
fn compare_fails_beyond_the_tolerance() {
    let folder = fixture();
    let args = [COMPARE, &["--devices", "reference,cpu", "--tolerance", "0"]].concat();
    let (code, stdout, stderr) = run(folder.path(), &args);
    assert_eq!(code, Some(1), "{stdout}");
    says(&stdout, &["The losses DIFFER: ", "exceeded first at step "]);
    says(&stderr, &["error: the losses are beyond the tolerance of 0e0 from step "]);
}

#[test]
fn a_batch_larger_than_the_set_is_the_set() {
    let folder = fixture();
    let weights = |batch| {
        let args = ["compare", "mnist", "--devices", "reference,cpu", "--steps", "3", "--json", "--batch-size", batch];
        let found = json(&output(folder.path(), &args));
        [0, 1].map(|i| found["devices"][i]["weights_hash"].as_str().expect("a hash").to_string())
    };
    assert_eq!(weights("301"), weights("300"));
}

#[test]
fn compare_says_what_is_wrong_with_its_options() {
    let folder = fixture();
    for (option, value, part) in [
        ("--devices", "cpu", "give two with a comma between"),
        ("--steps", "0", "give 1 or more"),
        ("--tolerance=-1", "--json", "is no tolerance"),
        ("--batch-size", "0", "give 1 or more"),
        ("--model", "vgg", "model: there is no vgg; give one of 784-512-10,"),
        ("--model", "transformer", "takes samples of (64,), those of mnist are (28, 28, 1): `kiln compare synthetic"),
    ] {
        let mut args = vec!["compare", "mnist", option, value];
        if option != "--devices" {
            args.extend(["--devices", "cpu,cpu"]);
        }
        let (code, stdout, stderr) = run(folder.path(), &args);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
        says(&stderr, &["error: ", part]);
    }
    for (set, part) in [
        ("airline", "airline holds no images with labels; these do: mnist, fashion-mnist"),
        ("synthetic", "give one by --model"),
    ] {
        let (code, stdout, stderr) = run(folder.path(), &["compare", set, "--devices", "cpu,cpu"]);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
        says(&stderr, &["error: ", part]);
    }
}

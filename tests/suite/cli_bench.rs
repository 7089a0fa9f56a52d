//! `kiln bench` and `kiln profile` end to end: that they measure, not what.

use serde_json::Value;

use crate::cli::{devices, fixture, json, output, run, says};

#[test]
fn bench_measures_peaks_kernels_and_models() {
    let positive = |value: &Value| value.as_f64().is_some_and(|x| x > 0.0 && x.is_finite());
    let data = fixture();
    for device in devices() {
        let all = json(&output(
            data.path(),
            &["bench", "--device", &device, "--only", "kernels", "--round-ms", "1", "--json"],
        ));
        for field in ["peak_flops_per_second", "peak_bytes_per_second", "launch_seconds"] {
            assert!(positive(&all[field]), "{field}: {all}");
        }
        let kernels = all["kernels"].as_array().unwrap();
        let of = |op: &str| kernels.iter().find(|k| k["op"] == op).unwrap_or_else(|| panic!("no {op}: {all}"));
        for op in ["gather", "matmul+activation", "softmax_cross_entropy_step", "rmsprop", "record"] {
            assert!(positive(&of(op)["seconds"]), "{op}: {all}");
        }
        assert!(positive(&of("rmsprop")["share_of_bound"]), "{all}");
        assert!(all["models"].is_null() && all["products"].is_null(), "{all}");
    }
    for part in ["layer_norm", "max_pool"] {
        let moved =
            json(&output(data.path(), &["bench", "--device", "cpu", "--only", part, "--round-ms", "1", "--json"]));
        for (i, what) in ["forward", "backward"].into_iter().enumerate() {
            let timing = &moved[part][i];
            assert!(timing["what"] == what && positive(&timing["share_of_bound"]), "{moved}");
        }
    }
    let convolutions =
        json(&output(data.path(), &["bench", "--device", "cpu", "--only", "conv", "--round-ms", "1", "--json"]));
    for (i, what) in ["first", "second", "depthwise"].into_iter().enumerate() {
        for (j, pass) in ["forward", "dX", "dW"].into_iter().enumerate() {
            let timing = &convolutions["conv"][3 * i + j];
            assert!(timing["what"] == what && timing["pass"] == pass, "{convolutions}");
            for field in ["seconds", "flops_per_second", "bytes_per_second", "share_of_bound"] {
                assert!(positive(&timing[field]), "{field}: {convolutions}");
            }
        }
    }
    let sums = json(&output(data.path(), &["bench", "--device", "cpu", "--only", "sums", "--round-ms", "1", "--json"]));
    for (i, what) in ["sum", "read"].into_iter().enumerate() {
        assert!(sums["sums"][i]["what"] == what && positive(&sums["sums"][i]["bytes_per_second"]), "{sums}");
    }
    let text = output(data.path(), &["bench", "--device", "cpu", "--model", "784-100-10", "--round-ms", "1"]);
    says(&text, &["Device:  cpu (", "Peaks:   ", "GFLOP/s", "models", "first step", "\n784-100-10 "]);
    assert!(!text.contains("products") && !text.contains("784-512-10"), "{text}");
    let model =
        json(&output(data.path(), &["bench", "--device", "cpu", "--model", "lenet", "--round-ms", "1", "--json"]));
    let model = &model["models"][0];
    assert!(model["optimizer"] == "adam" && model["batch"] == 128, "{model}");
    assert!(positive(&model["step_seconds"]) && positive(&model["flops_per_second"]), "{model}");
}

#[test]
fn profile_accounts_for_a_step_and_writes_a_trace() {
    let data = fixture();
    let trace = data.path().join("trace.json");
    for device in devices() {
        let args = ["profile", "mnist", "--device", &device, "--batch-size", "4", "--hidden", "8", "--steps", "5"];
        let text = output(data.path(), &[&args[..], &["--trace", trace.to_str().unwrap()]].concat());
        says(&text, &["share", "of bound", "rmsprop", "us a step, the mean of 5 steps"]);
        let all = json(&output(data.path(), &[&args[..], &["--json"]].concat()));
        let kernels = all["kernels"].as_array().unwrap();
        let shares: f64 = kernels.iter().map(|k| k["share"].as_f64().unwrap()).sum();
        assert!((shares - 1.0).abs() < 1e-9, "{all}");
        let events = json(&std::fs::read_to_string(&trace).unwrap());
        let events = events["traceEvents"].as_array().unwrap();
        // Every op of the step has a launch, in each of the steps, one after the other.
        assert_eq!(events.len(), 5 * kernels.len(), "{all}");
        let starts: Vec<f64> = events.iter().map(|e| e["ts"].as_f64().unwrap()).collect();
        assert!(starts.is_sorted(), "{starts:?}");
    }
}

#[test]
fn bench_and_profile_say_what_is_wrong_with_their_options() {
    let data = fixture();
    let nowhere = data.path().join("missing").join("trace.json");
    for (args, parts) in [
        (vec!["bench", "--device", "cpu", "--round-ms", "0"], ["round_ms", "give 1 or more"]),
        (vec!["bench", "--device", "cpu", "--model", "vgg"], ["there is no vgg", "784-100-10, cnn, lenet, resnet"]),
        (
            vec!["profile", "mnist", "--device", "cpu", "--batch-size", "4", "--steps", "9000"],
            ["steps: 9000", "give 1 to"],
        ),
        (
            vec!["profile", "mnist", "--device", "cpu", "--batch-size", "4", "--trace", nowhere.to_str().unwrap()],
            ["trace", "missing"],
        ),
    ] {
        let (code, _, stderr) = run(data.path(), &args);
        assert_eq!(code, Some(1), "{args:?}: {stderr}");
        says(&stderr, &parts);
    }
}

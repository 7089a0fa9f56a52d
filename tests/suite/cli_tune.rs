//! `kiln tune` end to end: that it measures and keeps, that what is kept is taken, and what it refuses.

use std::path::{Path, PathBuf};

use crate::cli::{fixture, json, output, run, says};

/// A product of the smallest training step below, and a kernel that no rule would take for it.
const PRODUCT: &str = "4x8x784:nn";
const KERNEL: &str = "tiled_4x4_vec4 BM=64 BN=64 BK=16";

fn adapter() -> String {
    crate::cli::devices().pop().expect("the adapter is the last")
}

fn tune(data: &Path, more: &[&str]) -> serde_json::Value {
    let device = adapter();
    let args = [&["tune", "--device", &device, "--round-ms", "1", "--json"], more].concat();
    json(&output(data, &args))
}

/// The file that a run names; it lies in the cache folder that the test gives.
fn file(data: &Path, all: &serde_json::Value) -> PathBuf {
    let file = PathBuf::from(all["file"].as_str().unwrap());
    assert_eq!(file.parent().unwrap(), data.join("nowhere").join("tuning"));
    assert!(file.to_str().unwrap().contains(env!("CARGO_PKG_VERSION")), "{file:?}");
    file
}

#[test]
fn tune_measures_every_candidate_and_keeps_what_displaces() {
    let data = fixture();
    let all = tune(data.path(), &["--shape", "7x5x3:tn", "--shape", "2x8x16x4"]);
    let products = all["products"].as_array().unwrap();
    let names: Vec<_> = products.iter().map(|p| p["product"].as_str().unwrap()).collect();
    assert_eq!(names, ["7x5x3:tn", "2x8x16x4:nn"]);
    for product in products {
        assert!(product["candidates"].as_u64().unwrap() > 15, "{product}");
        assert!(product["seconds"].as_f64().unwrap() > 0.0 && product["ratio"].as_f64().unwrap() >= 1.0, "{product}");
        assert_eq!(product["refused"].as_array().unwrap().len(), 0, "{product}");
    }
    let displaced: Vec<_> = products.iter().filter(|p| p["kernel"] != p["built_in"]).collect();
    assert_eq!(all["kept"], displaced.len());
    let kept = std::fs::read_to_string(file(data.path(), &all)).unwrap_or_default();
    for product in displaced {
        let (name, kernel) = (product["product"].as_str().unwrap(), product["kernel"].as_str().unwrap());
        says(&kept, &[&format!("matmul {name}\t{kernel}\n")]);
        assert!(product["ratio"].as_f64().unwrap() > 1.05, "{product}");
    }
}

#[test]
fn the_passes_of_convolutions_are_measured_and_what_is_kept_is_taken() {
    let (data, device) = (fixture(), adapter());
    let layers = "depthwise_conv2d 9 strides=9 depth_multiplier=10, depthwise_conv2d 2, global_average_pooling2d, activation softmax";
    let model = ["mnist", "--layers", layers, "--batch-size", "4"];
    let all = tune(data.path(), &model);
    let products = all["products"].as_array().unwrap();
    let names: Vec<_> = products.iter().map(|p| p["product"].as_str().unwrap()).collect();
    // Of one channel it is a convolution as others are, and nothing asks for the gradient of the images.
    let passes = [
        "conv 36x10x81:nn",
        "depthwise 16x10x4:nn",
        "depthwise 36x10x4:nt",
        "depthwise 4x10x16:tn",
        "conv 81x10x36:tn",
    ];
    let sorted = |mut names: Vec<&str>| {
        names.sort_unstable();
        names.join(", ")
    };
    assert_eq!(sorted(names), sorted(passes.to_vec()));
    for product in products {
        assert!(
            product["candidates"].as_u64().unwrap() >= 1 && product["refused"].as_array().unwrap().is_empty(),
            "{product}"
        );
    }
    let path = file(data.path(), &all);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(
        &path,
        "conv 36x10x81:nn\ttiled_4x4_guarded BM=64 BN=64 BK=16\ndepthwise 16x10x4:nn\tpixels_guarded\n",
    )
    .unwrap();
    let plan = output(data.path(), &[&["plan"], &model[..], &["--device", &device]].concat());
    says(
        &plan,
        &["conv_tiled/tiled_4x4_guarded", "conv_depthwise/pixels_guarded", "kernels of 2 products are chosen by"],
    );
    says(&output(data.path(), &["tune", "--forget", "--device", &device]), &["Removed"]);
}

#[test]
fn what_is_kept_is_taken_said_and_forgotten() {
    let (data, device) = (fixture(), adapter());
    let model = ["mnist", "--hidden", "8", "--batch-size", "4", "--device", &device];
    let plan = || output(data.path(), &[&["plan"], &model[..]].concat());
    let devices = || output(data.path(), &["devices"]);
    let all = tune(data.path(), &["--shape", "1x1x1"]);
    let path = file(data.path(), &all);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::remove_file(&path).ok();
    assert!(!plan().contains("tiled_4x4") || device.contains("nvidia"), "{}", plan());
    assert!(!plan().contains("are chosen by") && !devices().contains("kiln tune"));

    std::fs::write(&path, format!("# by hand\nmatmul {PRODUCT}\t{KERNEL}\n")).unwrap();
    says(&plan(), &["matmul_tiled/tiled_4x4_vec4", "kernels of 1 products are chosen by", path.to_str().unwrap()]);
    says(&devices(), &["products take the kernels of `kiln tune`", path.to_str().unwrap()]);
    let trained = output(data.path(), &[&["train"], &model[..], &["--epochs", "1", "--json"]].concat());
    says(&trained, &["test_accuracy"]);
    // Measuring other products leaves the choice as it is.
    tune(data.path(), &["--shape", "1x1x1"]);
    says(&std::fs::read_to_string(&path).unwrap(), &[KERNEL]);

    let forget = ["tune", "--forget", "--device", &device];
    says(&output(data.path(), &forget), &["Removed", path.to_str().unwrap()]);
    assert!(!path.exists() && !plan().contains("are chosen by"));
    says(&output(data.path(), &forget), &["Nothing was kept"]);
}

#[test]
fn a_broken_file_is_named_with_its_line_and_can_be_forgotten() {
    let (data, device) = (fixture(), adapter());
    let forget = ["tune", "--forget", "--json", "--device", &device];
    let path = file(data.path(), &json(&output(data.path(), &forget)));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    for (text, parts) in [
        ("nonsense\n".to_string(), ["line 1, \"nonsense\"", "a tab and a kernel"]),
        (format!("# remark\nmatmul {PRODUCT}\tmagic\n"), ["line 2", "the kernel \"magic\" is unknown"]),
        (format!("matmul {PRODUCT}\t{KERNEL}\nmatmul 0x1x1:nn\tmagic\n"), ["line 2", "MxNxK"]),
    ] {
        std::fs::write(&path, text).unwrap();
        let model = ["mnist", "--hidden", "8", "--batch-size", "4", "--device", &device];
        for args in [&[&["train"], &model[..]].concat()[..], &[&["tune"], &model[..]].concat()] {
            let (code, _, stderr) = run(data.path(), args);
            assert_eq!(code, Some(1), "{args:?}: {stderr}");
            says(&stderr, &[&parts[..], &[path.to_str().unwrap(), "`kiln tune --forget` removes the file"]].concat());
        }
    }
    assert_eq!(json(&output(data.path(), &forget))["forgotten"], true);
    assert!(!path.exists());
}

#[test]
fn tune_says_what_is_wrong_with_its_options() {
    let data = fixture();
    let last = crate::cli::devices().pop().expect("the processor, at least");
    for (args, parts) in [
        (&["--device", "cpu"][..], ["no kernels to choose from", "kiln devices"]),
        (&["--device", "cpu", "--forget"], ["no kernels to choose from", "kiln devices"]),
        (&["--device", "cpuu"], ["no such device", "did you mean \"cpu\"?"]),
        (&["--device", &last, "--round-ms", "0"], ["round_ms", "give 1 or more"]),
        (&["--shape", "4x5"], ["\"4x5\" is no product", "MxNxK"]),
        (&["--shape", "4x5x6:at"], ["\"4x5x6:at\" is no product", ":tn"]),
        (&["--shape", "99999999999x1x1"], ["99999999999x1x1", "32 bits"]),
        (&["--shape", "conv 4x5x6"], ["conv 4x5x6:nn is a convolution's", "--layers"]),
        (&["--hidden", "8"], ["DATASET", "required"]),
        (&["mnist", "--forget"], ["--forget", "cannot be used with"]),
        (&["--shape", "1x1x1", "--forget"], ["--forget", "cannot be used with"]),
    ] {
        let (code, _, stderr) = run(data.path(), &[&["tune"], args].concat());
        assert!(matches!(code, Some(1 | 2)), "{args:?}: {stderr}");
        says(&stderr, &parts);
    }
    for (args, parts) in [
        (&["no-such-set"][..], ["no-such-set", "mnist"]),
        (&["mnist", "--batch-size", "0"], ["batch_size: ", "give 1 or more"]),
    ] {
        let (code, _, stderr) = run(data.path(), &[&["tune", "--device", &adapter()], args].concat());
        assert_eq!(code, Some(1), "{args:?}: {stderr}");
        says(&stderr, &parts);
    }
}

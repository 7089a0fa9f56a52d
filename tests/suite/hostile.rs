//! Files that lie: what they say is checked before it is used, by the library and by the command.

use std::path::PathBuf;

use kiln::prelude::*;

fn case(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/hostile")).join(name)
}

#[track_caller]
fn says<T>(result: Result<T>, parts: &[&str]) {
    let text = result.err().expect("an error").to_string();
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
    assert!(!text.contains('\n'), "more than a line: {text}");
}

/// Files of models that none can be made of, each with the setting that says so.
const MODELS: [(&str, &str); 10] = [
    ("mod-sched-restarts-0", "first_decay_steps"),
    ("mod-sched-piecewise-empty", "values"),
    ("mod-sched-poly-0", "decay_steps"),
    ("mod-flat-2e32x2e32", "sample_shape"),
    ("mod-flat-2e63x2", "sample_shape"),
    ("mod-input-huge", "sample_shape"),
    ("mod-wrap784", "sample_shape"),
    ("mod-flat-zero", "sample_shape"),
    ("mod-scale-nan", "byte_scale"),
    ("tab-targets-empty", "label"),
];

#[test]
fn a_models_settings_are_checked_as_it_is_loaded() {
    for (name, setting) in &MODELS[..9] {
        let file = case(&format!("{name}.safetensors"));
        says(Sequential::load(&file), &[file.to_str().unwrap(), setting]);
    }
    let model = Sequential::load(case("tab-targets-empty.safetensors")).unwrap();
    let mut table: kiln::nn::Config = model.note("table").unwrap().unwrap();
    says(table.take::<kiln::data::Encoding>("encoding"), &["encoding", "label: name the column"]);
}

#[test]
fn the_builder_refuses_what_the_loader_does() {
    let mut model = Sequential::new().add(Dense::new(2)).device(Device::cpu());
    let mut compile = |schedule: Box<dyn Optimizer>| model.compile(schedule, Loss::MeanSquaredError, []);
    let scheduled = |schedule| -> Box<dyn Optimizer> { Box::new(Scheduled::new(Sgd::default(), schedule)) };
    says(compile(scheduled(CosineDecayRestarts::new(0.1, 0))), &["first_decay_steps", "0 steps"]);
    let poly = PolynomialDecay { cycle: true, ..PolynomialDecay::new(0.1, 0) };
    says(compile(Box::new(Scheduled::new(Sgd::default(), poly))), &["decay_steps", "0 steps"]);
    let empty = PiecewiseConstantDecay::new([], []);
    says(compile(Box::new(Scheduled::new(Sgd::default(), empty))), &["values", "give one more"]);
    for shape in [vec![1 << 32, 1 << 32], vec![1 << 63, 2], vec![3, 12_297_829_382_473_034_672], vec![0], vec![4, 0]] {
        let built = Sequential::new().add(Flatten).add(Dense::new(2)).build(shape.clone());
        says(built, &["samples of ", &shape[0].to_string()]);
        says(Sequential::new().add(Input::new(shape)).add(Flatten).summary(), &["samples of "]);
    }
    for (initializer, part) in [
        (Initializer::Constant(f64::NAN), "value NaN"),
        (Initializer::RandomNormal { mean: f64::INFINITY, stddev: 1.0 }, "mean inf"),
        (Initializer::RandomUniform { minval: f64::NEG_INFINITY, maxval: 0.0 }, "minval -inf"),
        (Initializer::Orthogonal(f64::NAN), "gain NaN"),
    ] {
        says(Sequential::new().add(Dense::new(2).kernel_initializer(initializer)).build([2]), &["kernel", part]);
    }
    let many = Metric::Auc { curve: AucCurve::Roc, num_thresholds: 1 << 40, from_logits: false };
    says(model.compile(Sgd::default(), Loss::MeanSquaredError, [many]), &["num_thresholds"]);
    let many = Metric::TopKCategoricalAccuracy { k: 1 << 40 };
    says(model.compile(Sgd::default(), Loss::MeanSquaredError, [many]), &["k: ", "1099511627776"]);
    let table = |missing| kiln::data::Csv::new().label("y").missing(missing).parse(b"x,y\n1,0\n");
    says(table(kiln::data::Missing::Fill(f32::NAN)).map(drop), &["missing: NaN"]);
    let data = Dataset::new(Tensor::from([[1u8, 2]]), Tensor::from([[1.0f32, 2.0]])).unwrap().with_scale(f32::NAN);
    let mut model = Sequential::new().add(Dense::new(2)).device(Device::cpu());
    model.compile(Sgd::default(), Loss::MeanSquaredError, []).unwrap();
    says(model.fit(&data, Fit::new().verbose(0)), &["with_scale: NaN"]);
    says(model.evaluate(&data), &["with_scale: NaN"]);
}

#[test]
fn schedules_without_a_rate_give_nan_and_end() {
    assert!(CosineDecayRestarts::new(0.1, 0).at(5).is_nan());
    assert!(PiecewiseConstantDecay::new([], []).at(5).is_nan());
    assert!(PolynomialDecay { cycle: true, ..PolynomialDecay::new(0.1, 0) }.at(5).is_nan());
}

#[test]
fn waves_that_hardly_grow_are_not_counted_one_by_one() {
    let rates = CosineDecayRestarts { t_mul: 1.0 + f64::EPSILON, ..CosineDecayRestarts::new(0.1, 1) };
    // Counted out, each of these takes some ten seconds.
    for step in (10_000_000_000..).take(1000) {
        let rate = rates.at(step);
        assert!((0.0..=0.1).contains(&rate), "{rate} at {step}");
    }
    // Where both ways can be gone they agree.
    let slow = CosineDecayRestarts { t_mul: 1.0 + 1e-4, ..CosineDecayRestarts::new(0.1, 10) };
    let (mut wave, mut start) = (10.0f64, 0.0);
    for _ in 0..6000 {
        (start, wave) = (start + wave, wave * slow.t_mul);
    }
    let middle = slow.at((start + wave / 2.0).round() as u64);
    let expected = 0.05 * (1.0 + (std::f64::consts::PI * ((start + wave / 2.0).round() - start) / wave).cos());
    assert!((middle - expected).abs() < 1e-6, "{middle}, expected {expected}");
}

#[test]
fn names_of_layers_and_parameters_are_found_without_a_search() {
    // Each name once compared with each other would be 10^9 comparisons, and as many again for their weights.
    let layers = 30_000;
    let model = (0..layers).fold(Sequential::new().add(Input::new([2])), |model, _| model.add(Flatten));
    let summary = model.summary().unwrap();
    assert_eq!(summary.rows.last().unwrap().name, format!("flatten_{}", layers - 1));
}

#[cfg(all(feature = "cli", unix))]
mod command {
    use std::process::{Command, Output};

    use super::{MODELS, case};

    /// Runs the command with so much address space that what it needs itself is there, and no more than 1 GiB. Gigabytes
    /// that a file asks for end it by a signal, not by code 1.
    fn run(args: &[&str]) -> (Option<i32>, String, String) {
        let Output { status, stdout, stderr } = Command::new("sh")
            .args(["-c", "ulimit -v 1048576; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_kiln")])
            .args(args)
            .env_remove("RUST_BACKTRACE")
            .output()
            .unwrap();
        (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }

    #[track_caller]
    fn refused(args: &[&str], parts: &[&str]) {
        let (code, stdout, stderr) = run(args);
        assert_eq!((code, stderr.lines().count()), (Some(1), 1), "{args:?}: {stdout}{stderr}");
        for part in parts {
            assert!(stderr.contains(part), "no {part:?} in: {stderr}");
        }
    }

    fn path(name: &str) -> String {
        case(name).to_str().unwrap().to_string()
    }

    #[test]
    fn a_model_that_lies_is_refused_by_every_subcommand() {
        let picture = path("g.png");
        for (name, setting) in MODELS {
            let file = path(&format!("{name}.safetensors"));
            let parts = [file.as_str(), setting];
            refused(&["summary", &file], &parts);
            refused(&["predict", "--device", "cpu", &file, &picture], &parts);
            refused(&["eval", "--device", "cpu", &file, &path("t.csv")], &parts);
        }
        let file = path("tab-classweight-short.safetensors");
        refused(&["eval", "--device", "cpu", &file, &path("t.csv")], &[&file, "class_weight: 1 weights for 3 classes"]);
        let file = path("mod-flat-zero.safetensors");
        refused(&["predict", "--device", "cpu", &file, &path("idx-3x0")], &[&file, "(0,)"]);
    }

    #[test]
    fn names_out_of_files_are_shown_escaped() {
        let (file, table) = (path("esc.safetensors"), path("esc.csv"));
        let place = ["--device", "cpu"];
        for args in [&["predict", &file, &table][..], &["eval", &file, &table, "--confusion"], &["summary", &file]] {
            let place = if args[0] == "summary" { &[][..] } else { &place };
            let (code, stdout, stderr) = run(&[args, place].concat());
            assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
            assert!(stdout.contains(r"\u{1b}[31mred\u{1b}]0;pwned\u{7}"), "{stdout}");
            let obeyed = stdout.chars().find(|c| c.is_control() && *c != '\n');
            assert_eq!(obeyed, None, "{stdout:?}");
        }
    }
}

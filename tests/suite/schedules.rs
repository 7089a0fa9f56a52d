//! Learning rates by step against Keras, whose answers `scripts/golden-schedules` wrote, and in training.

use kiln::prelude::*;
use serde_json::Value;

use crate::common::{devices, fixture, numbers};

/// The schedule of an entry, and whether all that has a default has it.
fn schedule(class: &str, config: &Value) -> (Box<dyn Schedule>, bool) {
    let get = |name: &str| config[name].as_f64().unwrap_or_else(|| panic!("{name} in {config}"));
    let is = |name: &str| config[name].as_bool().unwrap_or_else(|| panic!("{name} in {config}"));
    let count = |name: &str| config[name].as_u64().unwrap_or_else(|| panic!("{name} in {config}"));
    fn pair<S: Schedule + PartialEq + 'static>(found: S, plain: S) -> (Box<dyn Schedule>, bool) {
        let same = found == plain;
        (Box::new(found), same)
    }
    let initial_learning_rate = config["initial_learning_rate"].as_f64().unwrap_or(f64::NAN);
    let decay_steps = config["decay_steps"].as_u64().unwrap_or(0);
    match class {
        "ExponentialDecay" => {
            let (decay_rate, staircase) = (get("decay_rate"), is("staircase"));
            let found = ExponentialDecay { initial_learning_rate, decay_steps, decay_rate, staircase };
            pair(found, ExponentialDecay::new(initial_learning_rate, decay_steps, decay_rate))
        }
        "InverseTimeDecay" => {
            let (decay_rate, staircase) = (get("decay_rate"), is("staircase"));
            let found = InverseTimeDecay { initial_learning_rate, decay_steps, decay_rate, staircase };
            pair(found, InverseTimeDecay::new(initial_learning_rate, decay_steps, decay_rate))
        }
        "PolynomialDecay" => {
            let (end_learning_rate, power, cycle) = (get("end_learning_rate"), get("power"), is("cycle"));
            let found = PolynomialDecay { initial_learning_rate, decay_steps, end_learning_rate, power, cycle };
            pair(found, PolynomialDecay::new(initial_learning_rate, decay_steps))
        }
        "PiecewiseConstantDecay" => {
            let boundaries: Vec<u64> = numbers(&config["boundaries"]).iter().map(|&b| b as u64).collect();
            let found = PiecewiseConstantDecay::new(boundaries, numbers(&config["values"]));
            pair(found.clone(), found)
        }
        "CosineDecay" => {
            let (alpha, warmup_target) = (get("alpha"), config["warmup_target"].as_f64());
            let warmup_steps = count("warmup_steps");
            let found = CosineDecay { initial_learning_rate, decay_steps, alpha, warmup_target, warmup_steps };
            pair(found, CosineDecay::new(initial_learning_rate, decay_steps))
        }
        "CosineDecayRestarts" => {
            let first_decay_steps = count("first_decay_steps");
            let (t_mul, m_mul, alpha) = (get("t_mul"), get("m_mul"), get("alpha"));
            let found = CosineDecayRestarts { initial_learning_rate, first_decay_steps, t_mul, m_mul, alpha };
            pair(found, CosineDecayRestarts::new(initial_learning_rate, first_decay_steps))
        }
        other => panic!("no schedule {other}"),
    }
}

#[test]
fn every_schedule_follows_keras() {
    let golden = fixture("keras-schedules.json");
    let steps = numbers(&golden["steps"]);
    let mut seen = Vec::new();
    for entry in golden["schedules"].as_array().unwrap() {
        let class = entry["class"].as_str().unwrap();
        let (schedule, plain) = schedule(class, &entry["config"]);
        schedule.check().unwrap();
        // The first of each class has Keras' defaults, and so must ours.
        assert!(plain || seen.contains(&class), "{schedule:?} is not the default");
        seen.push(class);
        for (&step, wanted) in steps.iter().zip(numbers(&entry["rates"])) {
            let found = schedule.at(step as u64);
            // Rates are at most 0.6; a wave's end is 0 but for the rounding of its cosine.
            assert!((found - wanted).abs() < 1e-15 + 1e-13 * wanted, "{schedule:?} at {step}: {found:e}, {wanted:e}");
        }
    }
    seen.dedup();
    assert_eq!(seen.len(), 6, "{seen:?}");
}

#[test]
fn waves_begin_where_the_logarithm_of_keras_misses_it() {
    // log(1000) / log(10) is less than 3: the fourth wave begins after 1 + 10 + 100 first ones.
    let waves = CosineDecayRestarts { t_mul: 10.0, ..CosineDecayRestarts::new(0.1, 10) };
    assert_eq!([0, 10, 110, 1110].map(|step| waves.at(step)), [0.1; 4]);
    assert!([9, 109, 1109].iter().all(|&step| waves.at(step) < 0.003));
}

fn samples() -> Dataset {
    let x: Vec<f32> = (0..44).map(|i| (i * 7 % 11) as f32 / 11.0 - 0.5).collect();
    let y: Vec<u32> = (0..11).map(|i| i % 3).collect();
    Dataset::new(Tensor::new([11, 4], x).unwrap(), Tensor::new([11], y).unwrap()).unwrap()
}

fn trained(device: &Device, optimizer: impl Optimizer + 'static, fits: Vec<Fit<'_>>) -> Vec<Tensor> {
    let mut model = Sequential::new().add(Dense::new(3).activation(Activation::Softmax)).device(device.clone());
    model.compile(optimizer, Loss::SparseCategoricalCrossentropy, []).unwrap();
    for fit in fits {
        model.fit(&samples(), fit.batch_size(4).verbose(0)).unwrap();
    }
    model.weights().unwrap()
}

#[test]
fn a_schedule_is_a_rate_for_each_step_of_the_models_life() {
    let rate = CosineDecay { warmup_target: Some(0.3), warmup_steps: 3, ..CosineDecay::new(0.1, 8) };
    for device in devices() {
        // Three steps an epoch, four epochs, in one fit, or in two that go on.
        let wanted = trained(&device, Scheduled::new(decaying(), rate), vec![Fit::new().epochs(4)]);
        let twice = vec![Fit::new().epochs(1), Fit::new().epochs(3)];
        assert_eq!(trained(&device, Scheduled::new(decaying(), rate), twice), wanted, "{device}");
        let by_hand = LambdaCallback::new().on_batch_begin(|run| {
            let at = rate.at(run.iteration());
            run.set_learning_rate(at)
        });
        assert_eq!(trained(&device, decaying(), vec![Fit::new().epochs(4).callback(by_hand)]), wanted, "{device}");
        let boxed: Box<dyn Optimizer> = Box::new(Scheduled::new(decaying(), rate));
        let shown = LambdaCallback::new().on_batch_begin(|run| {
            assert_eq!(run.learning_rate(), rate.at(run.iteration()));
            Ok(())
        });
        assert_eq!(trained(&device, boxed, vec![Fit::new().epochs(4).callback(shown)]), wanted, "{device}");
    }
}

/// With a weight decay that shows, which the schedule scales too.
fn decaying() -> Adam {
    Adam { weight_decay: 0.5, ..Adam::default() }
}

#[test]
fn a_number_is_a_schedule_and_can_take_its_place() {
    let sgd = Sgd { learning_rate: 0.1, ..Sgd::default() };
    let wanted = trained(&Device::cpu(), sgd, vec![Fit::new()]);
    assert_eq!(trained(&Device::cpu(), Scheduled::new(Sgd::default(), 0.1), vec![Fit::new()]), wanted);
    let mut optimizer = Scheduled::new(Sgd::default(), ExponentialDecay::new(7.0, 10, 0.5));
    assert_eq!(optimizer.learning_rate(), 7.0);
    optimizer.set_learning_rate(0.1);
    assert_eq!(trained(&Device::cpu(), optimizer, vec![Fit::new()]), wanted);
}

#[test]
fn wrong_settings_are_named() {
    let refused = |schedule: Box<dyn Schedule>, parts: &[&str]| {
        let text = schedule.check().unwrap_err().to_string();
        assert!(parts.iter().all(|part| text.contains(part)), "{parts:?} in {text}");
    };
    refused(Box::new(ExponentialDecay::new(0.1, 0, 0.5)), &["decay_steps: 0", "1 or more"]);
    refused(Box::new(ExponentialDecay::new(0.1, 10, -0.5)), &["decay_rate: -0.5", "0 or more"]);
    refused(Box::new(InverseTimeDecay::new(f64::NAN, 10, 0.5)), &["initial_learning_rate: NaN"]);
    refused(Box::new(InverseTimeDecay::new(0.1, 0, 0.5)), &["decay_steps: 0"]);
    refused(Box::new(PolynomialDecay { power: -1.0, ..PolynomialDecay::new(0.1, 10) }), &["power: -1"]);
    refused(Box::new(PolynomialDecay::new(0.1, 0)), &["decay_steps: 0"]);
    refused(Box::new(PiecewiseConstantDecay::new([10, 20], [0.1, 0.2])), &["values: 2 for 2 boundaries"]);
    refused(Box::new(PiecewiseConstantDecay::new([20, 20], [0.1; 3])), &["boundaries: 20 comes before 20"]);
    refused(Box::new(PiecewiseConstantDecay::new([20], [0.1, -1.0])), &["values: -1"]);
    refused(Box::new(CosineDecay { alpha: f64::INFINITY, ..CosineDecay::new(0.1, 10) }), &["alpha: inf"]);
    refused(Box::new(CosineDecay { warmup_target: Some(-1.0), ..CosineDecay::new(0.1, 10) }), &["warmup_target: -1"]);
    refused(Box::new(CosineDecayRestarts { t_mul: 0.5, ..CosineDecayRestarts::new(0.1, 10) }), &["t_mul: 0.5", "1 or"]);
    refused(Box::new(CosineDecayRestarts::new(0.1, 0)), &["first_decay_steps: 0"]);
    refused(Box::new(-0.1), &["learning_rate: -0.1"]);

    let mut model = Sequential::new().add(Dense::new(3)).device(Device::cpu());
    let optimizer = Scheduled::new(Sgd::default(), CosineDecay::new(0.1, 0));
    let text = model.compile(optimizer, Loss::MeanSquaredError, []).unwrap_err().to_string();
    assert!(text.starts_with("decay_steps: 0"), "{text}");
    let optimizer = Scheduled::new(Sgd { momentum: 2.0, ..Sgd::default() }, CosineDecay::new(0.1, 10));
    let text = model.compile(optimizer, Loss::MeanSquaredError, []).unwrap_err().to_string();
    assert!(text.starts_with("momentum: 2"), "{text}");

    let mut model = Sequential::new().add(Dense::new(3)).device(Device::cpu());
    let scheduled = Scheduled::new(Sgd::default(), CosineDecay::new(0.1, 10));
    model.compile(scheduled, Loss::SparseCategoricalCrossentropyFromLogits, []).unwrap();
    let set = LambdaCallback::new().on_epoch_end(|run| run.set_learning_rate(0.1));
    let text = model.fit(&samples(), Fit::new().batch_size(4).verbose(0).callback(set)).unwrap_err().to_string();
    assert!(text.contains("learning_rate: the optimizer's schedule sets it"), "{text}");
}

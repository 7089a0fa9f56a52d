//! Options that every optimizer takes: Keras' losses and weights (`scripts/golden-options`), what a step costs with and
//! without them, saved models, bad values. More on accumulated gradients in `accumulation.rs`.

use kiln::nn::optimizer::{self, Options};
use kiln::plan::Plan;
use kiln::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::{assert_near, devices, distance, executors, fixture, numbers, optimizer_of, tensor};

pub fn data(golden: &Value) -> Dataset {
    Dataset::new(tensor([6, 3], &golden["x"]), tensor([6, 2], &golden["y"])).unwrap()
}

pub fn long_data(golden: &Value) -> Dataset {
    Dataset::new(tensor([8, 3], &golden["long_x"]), tensor([8, 2], &golden["long_y"])).unwrap()
}

pub fn start(golden: &Value) -> Vec<Tensor> {
    let shapes: [&[usize]; 4] = [&[3, 4], &[4], &[4, 2], &[2]];
    shapes.iter().zip(golden["start"].as_array().unwrap()).map(|(shape, w)| tensor(shape.to_vec(), w)).collect()
}

/// The script's net, built and compiled.
pub fn model(device: &Device, optimizer: impl Optimizer + 'static) -> Sequential {
    model_of(device, optimizer, [true; 2], 0.0)
}

/// The same, with layers trained or not, and a penalty on each kernel.
fn model_of(device: &Device, optimizer: impl Optimizer + 'static, trained: [bool; 2], l2: f64) -> Sequential {
    let dense = |units| Dense::new(units).kernel_regularizer(Regularizer::l2(l2));
    let mut model = Sequential::new()
        .add(Input::new([3]))
        .add(dense(4).activation(Activation::Tanh).trainable(trained[0]))
        .add(dense(2).trainable(trained[1]))
        .device(device.clone());
    model.compile(optimizer, Loss::MeanSquaredError, []).unwrap();
    model
}

pub fn fit(epochs: usize) -> Fit<'static> {
    Fit::new().epochs(epochs).batch_size(6).shuffle(false).verbose(0)
}

#[test]
fn losses_and_weights_are_keras() {
    let golden = fixture("keras-options.json");
    let (data, long) = (data(&golden), long_data(&golden));
    for (i, device) in executors().into_iter().enumerate() {
        // The first is the reference; weights are read as f32 even from there. Keras' betas are f64 here, as Kiln's are.
        let (loss_limit, limit) = if i == 0 { (1e-12, 1e-6) } else { (2e-6, 4e-6) };
        for (name, case) in golden["cases"].as_object().unwrap() {
            let who = format!("{name} on {device}");
            let frozen = numbers(&case["frozen"]);
            let trained = [0.0, 1.0].map(|layer| !frozen.contains(&layer));
            let mut model = model_of(
                &device,
                optimizer_of(&case["optimizer"], &case["excluded"]),
                trained,
                case["l2"].as_f64().unwrap(),
            );
            model.set_weights(&start(&golden)).unwrap();
            let (data, fit) = match case["batch"].as_u64() {
                Some(batch) => (&long, fit(5).batch_size(batch as usize)),
                None => (&data, fit(6)),
            };
            let (history, losses) = (model.fit(data, fit).unwrap(), numbers(&case["losses"]));
            assert_eq!(history.batch_losses().len(), losses.len(), "{who}");
            for (&found, wanted) in history.batch_losses().iter().zip(losses) {
                assert_near(found, wanted, loss_limit, &who);
            }
            let evaluated = model.evaluate(data).unwrap().get("loss").unwrap();
            assert_near(evaluated, case["evaluated"].as_f64().unwrap(), loss_limit, &who);
            for (i, found) in model.weights().unwrap().iter().enumerate() {
                let (found, start) = (found.values().to_f64(), numbers(&golden["start"][i]));
                if !trained[i / 2] {
                    assert!(found == start && numbers(&case["weights"][i]) == start, "{who}: tensor {i} has moved");
                    continue;
                }
                let apart = distance(&found, &numbers(&case["weights"][i]), &start);
                assert!(apart < limit, "{who}: tensor {i} is {apart:e} from Keras");
            }
        }
    }
}

pub fn plan(optimizer: impl Optimizer + 'static) -> Plan {
    model(&Device::cpu(), optimizer).training_plan(6, 60).unwrap()
}

pub fn names(plan: &Plan) -> Vec<&'static str> {
    plan.steps.iter().map(|step| step.op.name()).collect()
}

#[test]
fn a_step_without_clipping_pays_nothing_for_it() {
    let plain = names(&plan(Sgd::default()));
    assert_eq!(names(&plan(Box::new(Sgd::default()) as Box<dyn Optimizer>)), plain);
    // Four gradients: each is raised, then lowered, into its place of the arena at once.
    assert_eq!(plan(Sgd::default().clip_value(1.0)).steps.len(), plain.len() + 4 * 2);
    // Squares, their sum by each axis, root, maximum, quotient, product.
    assert_eq!(plan(Sgd::default().clip_norm(1.0)).steps.len(), plain.len() + 4 * (1 + 4) + 2 * (2 + 1));
    assert_eq!(plan(Sgd::default().global_clip_norm(1.0)).steps.len(), plain.len() + 4 * 2 + 2 * (2 + 1) + 3 + 3);
}

#[test]
fn weights_of_one_kind_that_are_neighbours_have_one_update() {
    let updates = |words: &[&str]| {
        let optimizer = Sgd { weight_decay: 0.1, ..Sgd::default() }.exclude_from_weight_decay(words.to_vec());
        names(&plan(optimizer)).iter().filter(|name| **name == "sgd").count()
    };
    assert_eq!([updates(&[]), updates(&["kernel", "bias"])], [1, 1]);
    assert_eq!([updates(&["bias"]), updates(&["dense/bias"]), updates(&["dense/kernel", "dense/bias"])], [4, 3, 2]);
}

#[test]
fn a_word_in_no_name_is_refused() {
    let optimizer = Adam::adamw().exclude_from_weight_decay(["bias", "dense_1"]);
    let error = model(&Device::cpu(), optimizer).training_plan(6, 60).unwrap_err().to_string();
    for part in ["exclude_from_weight_decay", "\"dense_1\"", "dense_1/kernel"] {
        assert!(error.contains(part), "no {part} in {error}");
    }
}

/// That each step and each epoch has its own row, and a longer run after a shorter one has room for them.
#[test]
fn exclusions_follow_a_schedule_and_are_saved() {
    let golden = fixture("keras-options.json");
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model");
    let x = Tensor::new([40, 3], (0..120).map(|i| (i * 29 % 17) as f32 / 17.0).collect::<Vec<_>>()).unwrap();
    let y = Tensor::new([40, 2], (0..80).map(|i| (i * 31 % 23) as f32 / 23.0).collect::<Vec<_>>()).unwrap();
    let data = Dataset::new(x, y).unwrap();
    let fit = |epochs| Fit::new().epochs(epochs).batch_size(3).shuffle(false).verbose(0);
    let optimizer = |words: &[&str]| {
        let decaying = Sgd { weight_decay: 1.5, ..Sgd::default() };
        Scheduled::new(decaying.exclude_from_weight_decay(words.to_vec()), ExponentialDecay::new(0.1, 10, 0.5))
    };
    for device in devices() {
        let trained = |words: &[&str]| {
            let mut model = model(&device, optimizer(words));
            model.set_weights(&start(&golden)).unwrap();
            // Two steps, then fourteen an epoch.
            model.fit(&data.split_at(6).0, fit(1)).unwrap();
            model.save(&path).unwrap();
            let mut loaded = Sequential::load(&path).unwrap().device(device.clone());
            for model in [&mut model, &mut loaded] {
                model.fit(&data, fit(2)).unwrap();
            }
            assert_eq!(model.weights().unwrap(), loaded.weights().unwrap(), "{device}");
            model.weights().unwrap()
        };
        let (none, all, bias) = (trained(&[]), trained(&["kernel", "bias"]), trained(&["bias"]));
        assert!(none.iter().zip(&bias).all(|(a, b)| a != b) && all.iter().zip(&bias).all(|(a, b)| a != b), "{device}");
        // Without decay at all to the bit what excluding all gives.
        let plain = Scheduled::new(Sgd::default(), ExponentialDecay::new(0.1, 10, 0.5));
        let mut model = model(&device, plain);
        model.set_weights(&start(&golden)).unwrap();
        model.fit(&data.split_at(6).0, fit(1)).unwrap();
        model.fit(&data, fit(2)).unwrap();
        assert_eq!(model.weights().unwrap(), all, "{device}");
    }
}

#[test]
fn clipped_gradients_are_as_long_as_they_may_be() {
    let golden = fixture("keras-options.json");
    let length =
        |tensors: &[&Tensor]| tensors.iter().flat_map(|t| t.values().to_f64()).map(|x| x * x).sum::<f64>().sqrt();
    for device in devices() {
        let gradients = |optimizer: Box<dyn Optimizer>| {
            let mut model = model(&device, optimizer);
            model.set_weights(&start(&golden)).unwrap();
            model.fit(&data(&golden), fit(1)).unwrap();
            model.gradients().unwrap()
        };
        let limit = 0.125;
        let near = |length: f64| assert!((length - limit).abs() < 1e-6, "{length} on {device}");
        gradients(Box::new(Sgd::default().clip_norm(limit))).iter().for_each(|t| near(length(&[t])));
        near(length(&gradients(Box::new(Sgd::default().global_clip_norm(limit))).iter().collect::<Vec<_>>()));
        let largest = |tensors: Vec<Tensor>| {
            tensors.iter().flat_map(|t| t.values().to_f64()).fold(0.0f64, |largest, x| largest.max(x.abs()))
        };
        assert_eq!(largest(gradients(Box::new(Sgd::default().clip_value(limit)))), limit);
        // Limits that nothing passes change no bit.
        let plain = gradients(Box::<Sgd>::default());
        assert_eq!(gradients(Box::new(Sgd::default().clip_value(1e3))), plain);
        assert_eq!(gradients(Box::new(Sgd::default().clip_norm(1e3))), plain);
        assert_eq!(gradients(Box::new(Sgd::default().global_clip_norm(1e3))), plain);
    }
}

#[test]
fn they_are_kept_by_every_holder_of_an_optimizer_and_in_files() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model");
    let schedule = CosineDecay::new(0.1, 10);
    let holders: [Box<dyn Optimizer>; 4] = [
        Box::new(Adam::default().clip_norm(0.5)),
        Box::new(Scheduled::new(Sgd::default().clip_norm(0.5), schedule)),
        Box::new(Scheduled::new(Sgd::default(), schedule).clip_norm(0.5)),
        optimizer::by_name("lion").map(|lion| Box::new(lion.clip_norm(0.5))).unwrap(),
    ];
    for holder in holders {
        let (text, rate) = (format!("{holder:?}"), holder.learning_rate_at(3));
        let changed = holder.with_learning_rate(0.25);
        assert_eq!((changed.options().clip_norm, changed.learning_rate()), (Some(0.5), 0.25), "{text}");
        model(&Device::cpu(), holder).save(&path).unwrap();
        let loaded = Sequential::load(&path).unwrap();
        let found = loaded.optimizer().unwrap();
        assert_eq!((found.options().clip_norm, found.learning_rate_at(3)), (Some(0.5), rate), "{text}");
    }
    assert_eq!(*Adam::default().options(), Options::NONE);
}

#[test]
fn bad_limits_are_refused() {
    let refused = |optimizer: Box<dyn Optimizer>| {
        let mut model = Sequential::new().add(Dense::new(2));
        model.compile(optimizer, Loss::MeanSquaredError, []).unwrap_err().to_string()
    };
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        for (name, optimizer) in [
            ("clip_value", Box::new(Sgd::default().clip_value(bad)) as Box<dyn Optimizer>),
            ("clip_norm", Box::new(Scheduled::new(Sgd::default().clip_norm(bad), 0.1))),
            ("global_clip_norm", Box::new(Sgd::default().global_clip_norm(bad))),
        ] {
            let error = refused(optimizer);
            assert!(error.starts_with(&format!("{name}: {bad} ")) && error.contains("above 0"), "{error}");
        }
    }
    let error = refused(Box::new(Adam::default().clip_norm(1.0).clip_value(0.5)));
    assert!(error.contains("clip_value is given, too") && error.contains("give one of"), "{error}");
}

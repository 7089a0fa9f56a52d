//! Keras' own trajectories of nets that are no chain (`scripts/golden-networks`): two inputs and two outputs, residual
//! blocks, an autoencoder whose decoder has the encoder's kernel, transposed, models inside a model, and sequences with masks.

use kiln::data::Columns;
use kiln::nn::layers::{Average, Masking};
use kiln::prelude::*;
use serde_json::Value;

use crate::common::{distance, executors, fixture, numbers, precise};
use crate::functional::Decoder;

fn tanh(units: usize, name: &str) -> impl Layer + use<> {
    Dense::new(units).activation(Activation::Tanh).named(name.to_string())
}

fn two_inputs() -> Result<Model> {
    let (pixels, number) = (Input::new([6]).named("pixels"), Input::new([1]).named("number"));
    let h = Concatenate::new().apply((tanh(5, "image").apply(&pixels)?, &number))?;
    let h = tanh(4, "both").apply(h)?;
    let kind = Dense::new(3).activation(Activation::Softmax).named("kind").apply(&h)?;
    let value = Dense::new(1).named("value").apply(&h)?;
    let mut model = Model::new((&pixels, &number), [kind, value])?;
    let kind = Objective::new(Loss::SparseCategoricalCrossentropy).metrics([Metric::Accuracy]);
    let value = Objective::new(Loss::MeanSquaredError).loss_weight(0.25).metrics([Metric::MeanAbsoluteError]);
    let adam = Adam { learning_rate: 0.03125, ..Adam::default() };
    model.compile_with(adam, [("kind", kind), ("value", value)])?;
    Ok(model)
}

fn residual() -> Result<Model> {
    let x = Input::new([4]).named("numbers");
    let mut h = tanh(6, "first").apply(&x)?;
    for block in ["a", "b"] {
        let inner = tanh(6, &format!("{block}_1")).apply(&h)?;
        let inner = Dense::new(6).named(format!("{block}_2")).apply(inner)?;
        h = Add.apply([&h, &inner])?;
    }
    let mut model = Model::new(&x, Dense::new(2).named("last").apply(h)?)?;
    let sgd = Sgd { learning_rate: 0.03125, ..Sgd::default() };
    model.compile(sgd, Loss::MeanSquaredError, [Metric::MeanAbsoluteError])?;
    Ok(model)
}

fn tied() -> Result<Model> {
    let x = Input::new([5]).named("x");
    let code = tanh(3, "encoder").apply(&x)?;
    let mut model = Model::new(&x, Decoder { units: 5 }.named("decoder").apply(code)?)?;
    let optimizer = RmsProp { learning_rate: 0.03125, ..RmsProp::default() };
    model.compile(optimizer, Loss::MeanSquaredError, [])?;
    Ok(model)
}

fn nested() -> Result<Model> {
    let block = Sequential::new().add(tanh(4, "first")).add(Dense::new(3).named("second")).named("block");
    let (left, right) = (Input::new([5]).named("left"), Input::new([3]).named("right"));
    let total = Add.named("sum").apply((block.apply(&left)?, &right))?;
    let narrow = tanh(2, "narrow").apply(&total)?;
    let inner = Model::new((&left, &right), [&total, &narrow])?.named("inner").shared();
    let (a, b) = (Input::new([5]).named("a"), Input::new([3]).named("b"));
    let [total, narrow] = <[_; 2]>::try_from(inner.apply_all((&a, &b))?).unwrap();
    let [again, narrow_again] = <[_; 2]>::try_from(inner.apply_all((&a, &total))?).unwrap();
    let joined = Concatenate::new().apply([again, narrow, narrow_again])?;
    let mut model = Model::new((&a, &b), Dense::new(2).named("last").apply(joined)?)?;
    let adam = Adam { learning_rate: 0.03125, ..Adam::default() };
    model.compile(adam, Loss::MeanSquaredError, [Metric::MeanAbsoluteError])?;
    Ok(model)
}

fn masked() -> Result<Model> {
    let x = Input::new([5, 3]).named("steps");
    let h = tanh(4, "first").apply(Masking::new(0.5).apply(&x)?)?;
    let h = BatchNormalization::new().momentum(0.75).named("batch").apply(h)?;
    let h = LayerNormalization::new().named("layer").apply(h)?;
    let kinds = Dense::new(3).activation(Activation::Softmax).named("kinds").apply(h)?;
    let mut model = Model::new(&x, kinds)?;
    let adam = Adam { learning_rate: 0.03125, ..Adam::default() };
    let metrics = [Metric::MeanAbsoluteError, Metric::CategoricalAccuracy];
    model.compile(adam, Loss::CategoricalCrossentropy, metrics)?;
    Ok(model)
}

fn masked_merges() -> Result<Model> {
    let inputs = ["a", "b", "plain"].map(|name| Input::new([4, 2]).named(name));
    let a = tanh(3, "of_a").apply(Masking::default().apply(&inputs[0])?)?;
    let b = tanh(3, "of_b").apply(Masking::default().apply(&inputs[1])?)?;
    let plain = tanh(3, "of_plain").apply(&inputs[2])?;
    let pair = [&a, &b];
    let merged = [
        Add.apply(pair)?,
        Subtract.apply(pair)?,
        Multiply.apply(pair)?,
        Average.apply(pair)?,
        Maximum.apply(pair)?,
        Minimum.apply(pair)?,
    ];
    let longer = Concatenate::new().axis(1).shared();
    let mut several = merged.iter().map(|m| longer.apply([m, &b])).collect::<Result<Vec<_>>>()?;
    let both = longer.apply(pair)?;
    several.push(Multiply.apply([&both, &both])?);
    let last = Dense::new(2).named("last").apply(Concatenate::new().apply(several)?)?;
    let free = [Maximum.apply([&a, &plain])?, Multiply.apply([&plain, &b])?, a];
    let free = Dense::new(1).named("free").apply(Concatenate::new().apply(free)?)?;
    let mut model = Model::new(&inputs[..], [last, free])?;
    let sgd = Sgd { learning_rate: 0.03125, ..Sgd::default() };
    let objective = |metrics: &[Metric]| Objective::new(Loss::MeanSquaredError).metrics(metrics);
    let last = objective(&[Metric::MeanAbsoluteError, Metric::MeanSquaredError]);
    model.compile_with(sgd, [("last", last), ("free", objective(&[Metric::MeanAbsoluteError]))])?;
    Ok(model)
}

pub fn columns(of: &Value) -> Columns {
    let column = |(name, of): (&String, &Value)| {
        let labels = || numbers(&of["values"]).iter().map(|&x| x as u32).collect::<Vec<_>>();
        let tensor = if name == "kind" { Tensor::new([labels().len()], labels()).unwrap() } else { precise(of) };
        (name.clone(), tensor)
    };
    of.as_object().unwrap().iter().map(column).collect::<Vec<_>>().into()
}

/// The name that Keras logs a value by.
fn keras(name: &str) -> String {
    name.replace("mean_absolute_error", "mae").replace("mean_squared_error", "mse")
}

/// A net's name in a fixture, and what makes it.
pub type Net = (&'static str, fn() -> Result<Model>);

/// That nets train as Keras trained them, whose run a fixture has.
pub fn follow_keras(file: &str, nets: &[Net]) {
    let golden = fixture(file);
    assert_eq!(golden["nets"].as_object().unwrap().len(), nets.len(), "{file}");
    for (name, make) in nets {
        let case = &golden["nets"][name];
        let data = Dataset::new(columns(&case["inputs"]), columns(&case["targets"])).unwrap();
        for (i, device) in executors().into_iter().enumerate() {
            // The first is the reference.
            let limit = if i == 0 { 1e-9 } else { 5e-5 };
            let mut model = make().unwrap().device(device.clone());
            let paths = model.parameter_paths().unwrap();
            let of = |when: &str| paths.iter().map(|path| precise(&case[when][path])).collect::<Vec<_>>();
            model.set_weights(&of("start")).unwrap();
            let batch = case["batch"].as_u64().unwrap() as usize;
            let fit = Fit::new().epochs(20).batch_size(batch).shuffle(false).verbose(0);
            let history = model.fit(&data, fit).unwrap_or_else(|e| panic!("{name} on {device}: {e}"));
            let evaluated = model.evaluate(&data).unwrap();
            assert_eq!(evaluated.iter().count(), case["evaluated"].as_object().unwrap().len(), "{name}: {evaluated:?}");
            for (log, value) in evaluated.iter() {
                let wanted = case["logs"].get(keras(log)).map(numbers).unwrap_or_default();
                // Of metrics under a mask Keras has the evaluation alone.
                let found = history.get(log).into_iter().take(wanted.len()).chain([value]);
                let wanted = wanted.iter().copied().chain(case["evaluated"][keras(log)].as_f64());
                for (step, (found, wanted)) in found.zip(wanted).enumerate() {
                    let apart = (found - wanted).abs() / wanted.abs().max(1e-3);
                    assert!(apart < limit, "{name} on {device}: {log} after {step} steps is {found}, Keras' {wanted}");
                }
            }
            let (found, wanted, start) = (model.weights().unwrap(), of("weights"), of("start"));
            for (((path, found), wanted), start) in paths.iter().zip(found).zip(wanted).zip(start) {
                let [found, wanted, start] = [found, wanted, start].map(|tensor| tensor.values().to_f64());
                if path.ends_with("/key/bias") {
                    // No gradient but for rounding.
                    assert!(
                        distance(&found, &start, &[0.0; 64][..start.len()]) < 1e-6,
                        "{name} on {device}: {path} has moved"
                    );
                    continue;
                }
                let apart = distance(&found, &wanted, &start);
                assert!(apart < limit, "{name} on {device}: {path} is {apart:e} from Keras");
            }
        }
    }
}

#[test]
fn nets_that_are_no_chain_follow_keras() {
    let nets: [Net; 6] = [
        ("two_inputs", two_inputs),
        ("residual", residual),
        ("tied", tied),
        ("nested", nested),
        ("masked", masked),
        ("masked_merges", masked_merges),
    ];
    follow_keras("keras-networks.json", &nets);
}

//! Keras' own trajectories of nets that are no chain (`scripts/golden-networks`): two inputs and two outputs, residual
//! blocks, and an autoencoder whose decoder has the encoder's kernel, transposed.

use kiln::data::Columns;
use kiln::prelude::*;
use serde_json::Value;

use crate::common::{distance, executors, fixture, numbers};
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

/// The numbers of a tensor of the fixture, in f64.
fn tensor(of: &Value) -> Tensor {
    let shape: Vec<usize> = numbers(&of["shape"]).iter().map(|&extent| extent as usize).collect();
    Tensor::new(shape, numbers(&of["values"])).unwrap()
}

fn columns(of: &Value) -> Columns {
    let column = |(name, of): (&String, &Value)| {
        let labels = || numbers(&of["values"]).iter().map(|&x| x as u32).collect::<Vec<_>>();
        let tensor = if name == "kind" { Tensor::new([labels().len()], labels()).unwrap() } else { tensor(of) };
        (name.clone(), tensor)
    };
    of.as_object().unwrap().iter().map(column).collect::<Vec<_>>().into()
}

/// The name that Keras logs a value by.
fn keras(name: &str) -> String {
    name.strip_suffix("mean_absolute_error").map_or(name.into(), |first| format!("{first}mae"))
}

#[test]
fn nets_that_are_no_chain_follow_keras() {
    let golden = fixture("keras-networks.json");
    for (name, make) in [("two_inputs", two_inputs as fn() -> _), ("residual", residual), ("tied", tied)] {
        let case = &golden["nets"][name];
        let data = Dataset::new(columns(&case["inputs"]), columns(&case["targets"])).unwrap();
        for (i, device) in executors().into_iter().enumerate() {
            // The first is the reference.
            let limit = if i == 0 { 1e-9 } else { 5e-5 };
            let mut model = make().unwrap().device(device.clone());
            let paths = model.parameter_paths().unwrap();
            let of = |when: &str| paths.iter().map(|path| tensor(&case[when][path])).collect::<Vec<_>>();
            model.set_weights(&of("start")).unwrap();
            let fit = Fit::new().epochs(20).batch_size(data.len()).shuffle(false).verbose(0);
            let history = model.fit(&data, fit).unwrap();
            let evaluated = model.evaluate(&data).unwrap();
            assert_eq!(evaluated.iter().count(), case["logs"].as_object().unwrap().len(), "{name}: {evaluated:?}");
            for (log, value) in evaluated.iter() {
                let wanted = numbers(&case["logs"][keras(log)]);
                let wanted = wanted.into_iter().chain(case["evaluated"][keras(log)].as_f64());
                for (step, (found, wanted)) in history.get(log).into_iter().chain([value]).zip(wanted).enumerate() {
                    let apart = (found - wanted).abs() / wanted.abs().max(1e-3);
                    assert!(apart < limit, "{name} on {device}: {log} after {step} steps is {found}, Keras' {wanted}");
                }
            }
            let (found, wanted, start) = (model.weights().unwrap(), of("weights"), of("start"));
            for (((path, found), wanted), start) in paths.iter().zip(found).zip(wanted).zip(start) {
                let [found, wanted, start] = [found, wanted, start].map(|tensor| tensor.values().to_f64());
                let apart = distance(&found, &wanted, &start);
                assert!(apart < limit, "{name} on {device}: {path} is {apart:e} from Keras");
            }
        }
    }
}

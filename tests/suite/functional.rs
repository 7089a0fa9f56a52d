//! Networks that are no chain: the functional front, merges, shared layers, and their files.

use std::path::Path;

use kiln::graph::Id;
use kiln::io::TensorFile;
use kiln::nn::layers::Average;
use kiln::nn::{Scope, Value, Values};
use kiln::ops::binary::Binary;
use kiln::ops::matmul::MatMul;
use kiln::prelude::*;
use tempfile::TempDir;

use crate::common::{devices, says};

/// Forty samples of six numbers in three classes, by the first two.
fn samples() -> Dataset {
    let x: Vec<f32> = (0..240).map(|i| ((i * 37) % 23) as f32 / 11.0 - 1.0).collect();
    let y: Vec<u32> = x.chunks(6).map(|x| u32::from(x[0] > 0.0) + u32::from(x[1] > 0.3)).collect();
    Dataset::new(Tensor::new([40, 6], x).unwrap(), Tensor::new([40], y).unwrap()).unwrap()
}

fn fit(epochs: usize) -> Fit<'static> {
    Fit::new().epochs(epochs).batch_size(16).seed(3).verbose(0)
}

fn compiled(model: Model, device: &Device) -> Model {
    let mut model = model.device(device.clone());
    let adam = Adam { learning_rate: 0.01, ..Adam::default() };
    model.compile(adam, Loss::SparseCategoricalCrossentropy, [Metric::Accuracy]).unwrap();
    model
}

fn relu(units: usize) -> Dense {
    Dense::new(units).activation(Activation::Relu)
}

/// A dense net of two blocks, each of which adds what it is given.
fn residual(device: &Device) -> Model {
    let x = Input::new([6]).named("numbers");
    let mut h = relu(8).apply(&x).unwrap();
    for _ in 0..2 {
        let inner = Dropout::new(0.2).apply(relu(8).apply(&h).unwrap()).unwrap();
        h = Add.apply([&h, &inner]).unwrap();
    }
    let y = Dense::new(3).activation(Activation::Softmax).named("classes").apply(h).unwrap();
    compiled(Model::new(&x, y).unwrap().seed(5), device)
}

#[test]
fn a_chain_is_the_same_model_to_the_bit_however_it_is_written() {
    for device in devices() {
        let chain = Sequential::new().add(Input::new([6])).add(relu(9)).add(Dropout::new(0.3)).add(Dense::new(3));
        let mut chain = compiled(chain.add(Activation::Softmax).into_model(), &device);
        let x = Input::new([6]);
        let h = Dropout::new(0.3).apply(relu(9).apply(&x).unwrap()).unwrap();
        let y = Activation::Softmax.apply(Dense::new(3).apply(h).unwrap()).unwrap();
        let mut functional = compiled(Model::new(x, y).unwrap(), &device);
        assert_eq!(functional.parameter_paths().unwrap(), chain.parameter_paths().unwrap());
        let histories = [&mut chain, &mut functional].map(|model| model.fit(&samples(), fit(3)).unwrap());
        assert_eq!(histories[0], histories[1], "{device}");
        // Through files, too, which keep how the layers' random numbers are keyed.
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("chain.safetensors");
        let resumed = [&mut chain, &mut functional].map(|model| {
            model.save(&path).unwrap();
            let mut model = Model::load(&path).unwrap().device(device.clone());
            model.fit(&samples(), fit(5).initial_epoch(3)).unwrap();
            model.weights().unwrap()
        });
        assert_eq!(resumed[0], resumed[1], "{device}");
        assert_eq!(chain.weights().unwrap(), functional.weights().unwrap(), "{device}");
    }
}

#[test]
fn a_net_that_skips_layers_learns_the_same_on_every_device_and_goes_on_from_a_file() {
    let (set, folder) = (samples(), TempDir::new().unwrap());
    let path = folder.path().join("residual.safetensors");
    let mut reference = residual(&Device::reference());
    let wanted = reference.fit(&set, fit(30)).unwrap().get("loss");
    assert!(wanted[29] < 0.7 * wanted[0], "{wanted:?}");
    for device in devices() {
        let mut whole = residual(&device);
        let found = whole.fit(&set, fit(30)).unwrap().get("loss");
        assert!(found.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-3 * b), "{device}: {found:?} {wanted:?}");
        let mut first = residual(&device);
        first.fit(&set, fit(10)).unwrap();
        first.save(&path).unwrap();
        let mut second = Model::load(&path).unwrap().device(device.clone());
        assert_eq!(second.summary().unwrap(), first.summary().unwrap());
        second.fit(&set, fit(30).initial_epoch(10)).unwrap();
        assert_eq!(second.weights().unwrap(), whole.weights().unwrap(), "{device}");
    }
    says(Sequential::load(&path), &["residual.safetensors", "was no Sequential; load it by Model::load"]);
}

#[test]
fn the_summary_says_what_each_layer_reads() {
    let text = residual(&Device::cpu()).summary().unwrap().to_string();
    let rows: Vec<Vec<&str>> = text.lines().filter(|line| line.contains('│')).map(cells).collect();
    assert_eq!(
        rows,
        [
            ["numbers (InputLayer)", "(None, 6)", "0", "-"],
            ["dense (Dense)", "(None, 8)", "56", "numbers[0][0]"],
            ["dense_1 (Dense)", "(None, 8)", "72", "dense[0][0]"],
            ["dropout (Dropout)", "(None, 8)", "0", "dense_1[0][0]"],
            ["add (Add)", "(None, 8)", "0", "dense[0][0]"],
            ["", "", "", "dropout[0][0]"],
            ["dense_2 (Dense)", "(None, 8)", "72", "add[0][0]"],
            ["dropout_1 (Dropout)", "(None, 8)", "0", "dense_2[0][0]"],
            ["add_1 (Add)", "(None, 8)", "0", "add[0][0]"],
            ["", "", "", "dropout_1[0][0]"],
            ["classes (Dense)", "(None, 3)", "27", "add_1[0][0]"],
        ]
    );
    assert!(text.contains(" Total params: 227 "), "{text}");
}

fn cells(line: &str) -> Vec<&str> {
    line.trim_matches('│').split('│').map(str::trim).collect()
}

/// One step of y = w x + w w x, from w = 2, on x = 3 and a target of 0: the slope of y by w is x + 2 w x.
#[test]
fn a_shared_layer_has_one_weight_and_the_sum_of_its_gradients() {
    let data = Dataset::new(Tensor::from([[3.0f32]]), Tensor::from([[0.0f32]])).unwrap();
    for device in devices() {
        let x = Input::new([1]);
        let times = Dense::new(1).use_bias(false).kernel_initializer(Initializer::Constant(2.0)).shared();
        let once = times.apply(&x).unwrap();
        let twice = times.apply(&once).unwrap();
        let mut model = Model::new(&x, Add.apply((&once, twice)).unwrap()).unwrap().device(device.clone());
        model.compile(Sgd { learning_rate: 0.001, ..Sgd::default() }, Loss::MeanSquaredError, []).unwrap();
        assert_eq!(model.parameter_paths().unwrap(), ["dense/kernel"]);
        let loss = model.fit(&data, Fit::new().verbose(0)).unwrap().get("loss")[0];
        let slope = model.gradients().unwrap()[0].values().to_f64()[0];
        assert_eq!((loss, slope), (18.0 * 18.0, 2.0 * 18.0 * 15.0), "{device}");
        let summary = model.summary().unwrap();
        assert_eq!(summary.rows[1].connected_to, ["input_layer[0][0]", "dense[0][0]"]);
        assert_eq!(summary.rows[2].connected_to, ["dense[0][0]", "dense[1][0]"]);
        // A clone is a layer of its own.
        let dense = Dense::new(1);
        let y = Add.apply([dense.clone().apply(&x).unwrap(), dense.apply(&x).unwrap()]).unwrap();
        assert_eq!(Model::new(&x, y).unwrap().parameter_paths().unwrap().len(), 4);
    }
}

/// What a merge gives of the two halves of a sample.
fn merged(merge: impl Layer + 'static, [a, b]: [&[usize]; 2], sample: &[f32]) -> (Vec<f64>, Vec<usize>) {
    let split = a.iter().product::<usize>();
    let half = |at: usize, shape: &[usize]| {
        let kernel: Vec<f32> = (0..sample.len() * shape.iter().product::<usize>())
            .map(|i| {
                if i / shape.iter().product::<usize>() == at + i % shape.iter().product::<usize>() { 1.0 } else { 0.0 }
            })
            .collect();
        (kernel, shape.iter().map(|&extent| extent as isize).collect::<Vec<_>>())
    };
    let x = Input::new([sample.len()]);
    let (mut parts, mut kernels): (Vec<Value>, Vec<Tensor>) = (Vec::new(), Vec::new());
    for (at, shape) in [(0, a), (split, b)] {
        let (kernel, target) = half(at, shape);
        let units = kernel.len() / sample.len();
        kernels.push(Tensor::new([sample.len(), units], kernel).unwrap());
        let part = Dense::new(units).use_bias(false).apply(&x).unwrap();
        parts.push(Reshape::new(target).apply(part).unwrap());
    }
    let y = merge.apply(parts).unwrap();
    let shape = y.shape().to_vec();
    let mut model = Model::new(&x, y).unwrap().device(Device::reference());
    model.set_weights(&kernels).unwrap();
    let x = Tensor::new([1, sample.len()], sample.to_vec()).unwrap();
    (model.predict(&x).unwrap().values().to_f64(), shape)
}

#[test]
fn merges_give_what_keras_gives() {
    let sample = [1.0, -2.0, 3.0, 4.0, 0.5, -6.0];
    let three: [&[usize]; 2] = [&[3], &[3]];
    assert_eq!(merged(Add, three, &sample), (vec![5.0, -1.5, -3.0], vec![3]));
    assert_eq!(merged(Subtract, three, &sample), (vec![-3.0, -2.5, 9.0], vec![3]));
    assert_eq!(merged(Multiply, three, &sample), (vec![4.0, -1.0, -18.0], vec![3]));
    assert_eq!(merged(Average, three, &sample), (vec![2.5, -0.75, -1.5], vec![3]));
    assert_eq!(merged(Maximum, three, &sample), (vec![4.0, 0.5, 3.0], vec![3]));
    assert_eq!(merged(Minimum, three, &sample), (vec![1.0, -2.0, -6.0], vec![3]));
    assert_eq!(merged(Concatenate::new(), [&[2], &[4]], &sample), (sample.map(f64::from).to_vec(), vec![6]));
    // Of other ranks: axes of 1 stand behind the batch's.
    assert_eq!(merged(Add, [&[2, 2], &[2]], &sample), (vec![1.5, -8.0, 3.5, -2.0], vec![2, 2]));
    let sample = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
    let halves: [&[usize]; 2] = [&[2, 2], &[2, 2]];
    let along = |axis: isize| merged(Concatenate::new().axis(axis), halves, &sample);
    assert_eq!(along(1), (vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], vec![4, 2]));
    assert_eq!(along(-1), (vec![1.0, 2.0, 5.0, 6.0, 3.0, 4.0, 7.0, 8.0], vec![2, 4]));
    // [1 2; 3 4] [5 6; 7 8], and with axes turned.
    assert_eq!(merged(Dot::new([2, 1]), halves, &sample), (vec![19.0, 22.0, 43.0, 50.0], vec![2, 2]));
    assert_eq!(merged(Dot::new([1, -1]), halves, &sample), (vec![23.0, 31.0, 34.0, 46.0], vec![2, 2]));
    assert_eq!(merged(Dot::new([1, 1]), [&[4], &[4]], &sample), (vec![70.0], vec![1]));
    let (cosine, _) = merged(Dot::new([1, 1]).normalize(true), [&[4], &[4]], &sample);
    assert!((cosine[0] - 70.0 / (30.0f64 * 174.0).sqrt()).abs() < 1e-7, "{cosine:?}");
}

#[test]
fn what_does_not_go_together_is_named() {
    let (x, other) = (Input::new([4]).named("x"), Input::new([3]).named("other"));
    says(Add.apply((&x, &other)), &["layer \"add\"", "(1, 4) and (1, 3) do not go together"]);
    says(Add.apply(&x), &["layer \"add\"", "takes two inputs or more, was given 1"]);
    says(Subtract.apply([&x, &x, &x]), &["layer \"subtract\"", "takes 2 inputs, was given 3"]);
    says(Dense::new(2).apply([&x, &x]), &["layer \"dense\"", "takes 1 input, was given 2"]);
    says(Concatenate::new().axis(0).apply([&x, &x]), &["layer \"concatenate\"", "axis 0 is the samples'"]);
    says(Dot::new([1, 1]).apply((&x, &other)), &["layer \"dot\"", "4 and 3 elements"]);
    let y = Concatenate::new().apply((&x, &other)).unwrap();
    says(Model::new(&x, &y), &["an output needs an Input that is not among the model's inputs"]);
    let only = Dense::new(2).apply(&x).unwrap();
    says(Model::new((&x, &other), &only), &["no output needs the input \"other\"; leave it out"]);
    says(Model::new((&x, &x), &only), &["an input is given twice"]);
    says(Model::new(&only, &y), &["is what a layer gives; give an Input"]);
    says(Model::new(Values::from(Vec::<Value>::new()), &y), &["one input or more"]);
    let [a, b] = [1, 2].map(|units| Dense::new(units).named("same").apply(&x).unwrap());
    says(Model::new(&x, Concatenate::new().apply([a, b]).unwrap()), &["two layers are named \"same\""]);
    let x2 = Input::new([4]).named("x");
    says(Model::new((&x, &x2), Add.apply((&x, &x2)).unwrap()), &["two layers are named \"x\""]);
    let many: Vec<Input> = (0..256).map(|_| Input::new([1])).collect();
    let sum = Concatenate::new().apply(many.iter().collect::<Vec<_>>()).unwrap();
    says(Model::new(many.iter().collect::<Vec<_>>(), sum), &["257 inputs and outputs, at most 255"]);
}

/// Twenty thousand layers: neither values nor the network are gone through by calls within calls.
#[test]
fn a_long_chain_of_values_takes_no_stack() {
    let x = Input::new([2]);
    let mut h = x.value();
    for _ in 0..20_000 {
        h = Activation::Relu.apply(h).unwrap();
    }
    assert_eq!(Model::new(&x, &h).unwrap().summary().unwrap().rows.len(), 20_000);
    drop(h);
}

/// What loading a model's file says where a part of its configuration is another.
pub fn changed(file: &Path, from: &str, to: &str) -> String {
    let known = TensorFile::read(file).unwrap();
    let text = known.metadata("kiln").unwrap();
    assert!(text.contains(from), "{text}");
    let (text, wrong) = (text.replacen(from, to, 1), file.with_file_name("wrong.safetensors"));
    known.with_metadata("kiln", text).write(&wrong).unwrap();
    Model::load(&wrong).unwrap_err().to_string()
}

#[test]
fn a_network_that_a_file_has_wrong_is_refused() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("net.safetensors");
    residual(&Device::cpu()).save(&file).unwrap();
    let call = r#"{"layer":3,"reads":[[1,0],[3,0]]}"#;
    for (from, to, part) in [
        (call, r#"{"layer":9,"reads":[[1,0],[3,0]]}"#, "one is of layer 9; there are 8"),
        (call, r#"{"layer":3,"reads":[[1,0],[5,0]]}"#, "[5, 0] is no value that is made before it is read"),
        (call, r#"{"layer":3,"reads":[[0,1],[3,0]]}"#, "[0, 1] is no value"),
        (call, r#"{"layer":3,"reads":[[1,0],[3,7]]}"#, "value 7 of call 2 is read, which gives 1"),
        (call, r#"{"layer":3,"reads":[]}"#, "takes two inputs or more"),
        (r#""outputs":[[8,0]]"#, r#""outputs":[[8,2]]"#, "value 2 of call 7"),
        (r#""outputs":[[8,0]]"#, r#""outputs":[]"#, "one output or more"),
        (r#""shape":[6]"#, r#""shape":[6,4294967296]"#, "input \"numbers\""),
        (r#""shape":[6]"#, r#""shape":[7]"#, "dense/kernel"),
    ] {
        let error = changed(&file, from, to);
        assert!(error.contains(part) && error.contains("wrong.safetensors"), "{to}: {error}");
    }
}

/// A picture of eight pixels in bytes and a number in, one of three kinds and a value out.
fn both() -> Dataset {
    let pixels: Vec<u8> = (0..480).map(|i| ((i * 53) % 256) as u8).collect();
    let numbers: Vec<f32> = (0..60).map(|i| ((i * 29) % 17) as f32 / 8.0 - 1.0).collect();
    let kinds: Vec<u32> = (0..60).map(|i| (i * 7) % 3).collect();
    let values: Vec<f32> = numbers.iter().map(|x| 0.5 - 2.0 * x).collect();
    let tensor = |width: usize, values: Vec<f32>| Tensor::new([60, width], values).unwrap();
    let pixels = Tensor::new([60, 8], pixels).unwrap();
    let (value, kind) = (tensor(1, values), Tensor::new([60], kinds).unwrap());
    Dataset::new([("number", tensor(1, numbers)), ("pixels", pixels)], [("value", value), ("kind", kind)]).unwrap()
}

fn of_both(device: &Device) -> Model {
    let (pixels, number) = (Input::new([8]).named("pixels"), Input::new([1]).named("number"));
    let h = Concatenate::new().apply((relu(6).apply(&pixels).unwrap(), &number)).unwrap();
    let h = Dense::new(7).activation(Activation::Tanh).apply(h).unwrap();
    let kind = Dense::new(3).activation(Activation::Softmax).named("kind").apply(&h).unwrap();
    let value = Dense::new(1).named("value").apply(&h).unwrap();
    let mut model = Model::new((&pixels, &number), [kind, value]).unwrap().seed(2).device(device.clone());
    let kind = Objective::new(Loss::SparseCategoricalCrossentropy).metrics([Metric::Accuracy]);
    let value = Objective::new(Loss::MeanSquaredError).loss_weight(0.25).metrics([Metric::MeanAbsoluteError]);
    model.compile_with(Adam::default(), [("value", value), ("kind", kind)]).unwrap();
    model
}

#[test]
fn several_inputs_and_outputs_are_trained_under_their_names() {
    let set = both();
    let fit = |epochs| Fit::new().epochs(epochs).batch_size(16).validation_split(0.2).seed(4).verbose(0);
    let mut reference = of_both(&Device::reference());
    let wanted = reference.fit(&set, fit(40)).unwrap();
    assert!(wanted.get("loss")[39] < 0.8 * wanted.get("loss")[0], "{:?}", wanted.get("loss"));
    for device in devices() {
        let mut model = of_both(&device);
        assert_eq!(model.input_names(), ["pixels", "number"]);
        assert_eq!(model.output_names(), ["kind", "value"]);
        let history = model.fit(&set, fit(40)).unwrap();
        for name in ["loss", "kind_loss", "value_loss", "kind_accuracy", "value_mean_absolute_error", "val_value_loss"]
        {
            let (found, wanted) = (history.get(name), wanted.get(name));
            assert_eq!(found.len(), 40, "{name}");
            let is_near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-4 * b.abs().max(0.1);
            assert!(found.iter().zip(&wanted).all(is_near), "{device}: {name} {found:?} {wanted:?}");
        }
        let of = |name| history.get(name);
        let sums = of("kind_loss").into_iter().zip(of("value_loss")).map(|(kind, value)| kind + 0.25 * value);
        assert!(of("loss").into_iter().zip(sums).all(|(loss, sum)| (loss - sum).abs() < 1e-6), "{device}");
        let (pixels, number) = (set.inputs()[1].tensor(), set.inputs()[0].tensor());
        let outputs = model.predict_all(&[pixels, number]).unwrap();
        assert_eq!([&outputs[0], &outputs[1]].map(|y| y.shape().to_vec()), [vec![60, 3], vec![60, 1]]);
        let errors = outputs[1].values().to_f64().into_iter().zip(set.targets()[0].tensor().values().to_f64());
        let mean = errors.map(|(y, t)| (y - t) * (y - t)).sum::<f64>() / 60.0;
        let logs = model.evaluate(&set).unwrap();
        assert!((logs.get("value_loss").unwrap() - mean).abs() < 1e-5, "{device}: {logs:?} {mean}");
    }
}

/// A set that is not in memory.
struct Streamed(Dataset);

impl kiln::data::Source for Streamed {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn read(&self, rows: &[usize]) -> Result<Dataset> {
        self.0.subset(rows)
    }
}

#[test]
fn several_inputs_and_outputs_stream_are_weighed_and_go_on_from_a_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("both.safetensors");
    let weights: Vec<f32> = (0..60).map(|i| (i % 4) as f32 / 2.0).collect();
    let set = both().with_sample_weight(weights).unwrap().with_scale_of("pixels", 1.0 / 128.0).unwrap();
    let fit = |epochs| Fit::new().epochs(epochs).batch_size(16).seed(4).verbose(0);
    for device in devices() {
        let mut whole = of_both(&device);
        let history = whole.fit(&set, fit(4)).unwrap();
        let mut streamed = of_both(&device);
        assert_eq!(streamed.fit(&Streamed(set.clone()), fit(4)).unwrap(), history, "{device}");
        let mut first = of_both(&device);
        first.fit(&set, fit(2)).unwrap();
        first.save(&path).unwrap();
        let mut second = Model::load(&path).unwrap().device(device.clone());
        second.fit(&set, fit(4).initial_epoch(2)).unwrap();
        for model in [&mut streamed, &mut second] {
            assert_eq!(model.weights().unwrap(), whole.weights().unwrap(), "{device}");
        }
        // Bytes are scaled as those were that it was trained on.
        let (pixels, number) = (set.inputs()[1].tensor(), set.inputs()[0].tensor());
        let floats: Vec<f32> = pixels.values().to_f32().iter().map(|x| x / 255.0).collect();
        let floats = Tensor::new([60, 8], floats).unwrap();
        let [bytes, floats] = [pixels, &floats].map(|x| second.predict_all(&[x, number]).unwrap().remove(0));
        let near = |(a, b): (f64, f64)| (a - b).abs() < 1e-5;
        assert!(bytes.values().to_f64().into_iter().zip(floats.values().to_f64()).all(near), "{device}");
    }
}

#[test]
fn what_does_not_fit_several_inputs_and_outputs_is_named() {
    let (set, mut model) = (both(), of_both(&Device::cpu()));
    let fit = || Fit::new().verbose(0);
    let [number, pixels] = [0, 1].map(|i| set.inputs()[i].tensor().clone());
    let [value, kind] = [0, 1].map(|i| set.targets()[i].tensor().clone());
    let of = |x: kiln::data::Columns, y: kiln::data::Columns| Dataset::new(x, y).unwrap();
    let targets = || [("value", value.clone()), ("kind", kind.clone())].into();
    let inputs = || [("number", number.clone()), ("pixels", pixels.clone())].into();
    says(
        model.fit(&of(pixels.clone().into(), targets()), fit()),
        &["inputs: the model has 2 (\"pixels\", \"number\"), the data 1"],
    );
    let other = [("number", number.clone()), ("picture", pixels.clone())];
    says(model.fit(&of(other.into(), targets()), fit()), &["inputs: the data have none for \"pixels\"", "picture"]);
    says(
        model.fit(&of(inputs(), [("kind", value.clone()), ("value", value.clone())].into()), fit()),
        &["output \"kind\"", "u32 indices"],
    );
    says(model.fit(&set, fit().class_weight([(0, 2.0)])), &["class_weight", "where the model has one output"]);
    says(model.predict(&pixels), &["has 2 outputs (kind, value); call predict_all"]);
    says(model.predict_all(&[&pixels]), &["the model has 2"]);
    says(model.predict_all(&[&number, &pixels]), &["built for samples of (8,), (1,), these are (1,), (8,)"]);
    says(model.predict_all(&[&pixels, &number.head(3)]), &["60 samples of one input, 3 of another"]);
    says(model.confusion_matrix(&set), &["has 2 outputs"]);
    says(
        Dataset::new((pixels.clone(), number.head(3)), kind.clone()),
        &["60 samples, x of shape (3, 1) holds 3 samples"],
    );
    says(set.clone().with_scale_of("pixel", 1.0), &["input", "pixel"]);
    let objective = || Objective::new(Loss::MeanSquaredError);
    let compile = |names: &[&str]| {
        let mut model = of_both(&Device::cpu());
        model.compile_with(Sgd::default(), names.iter().map(|&name| (name, objective())))
    };
    says(compile(&["kind"]), &["objectives: the model has 2 (\"kind\", \"value\"), the data 1"]);
    says(compile(&["kind", "age"]), &["objectives", "none for \"value\"", "kind, age"]);
    let weighed = objective().loss_weight(f64::NAN);
    says(model.compile_with(Sgd::default(), [("kind", weighed), ("value", objective())]), &["loss_weight: NaN"]);
    // By position where there are no names, and one objective for all.
    let plain = of((pixels.clone(), number.clone()).into(), (kind, value).into());
    let (mut named, mut by_place) = (of_both(&Device::cpu()), of_both(&Device::cpu()));
    assert_eq!(named.fit(&set, fit()).unwrap(), by_place.fit(&plain, fit()).unwrap());
}

/// y = x k' + bias, where k is the kernel of the layer that encoded.
#[derive(Debug)]
pub struct Decoder {
    pub units: usize,
}

impl Layer for Decoder {
    fn kind(&self) -> &'static str {
        "Decoder"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [code] = scope.expect(inputs)?;
        let width = scope.graph.shape(code)[1];
        let kernel = scope.weight_of("encoder", "kernel", [self.units, width])?;
        let bias = scope.parameter("bias", [self.units], Initializer::Zeros)?;
        let y = scope.graph.apply(MatMul::new(false, true), &[code, kernel])?;
        Ok(vec![scope.graph.apply(Binary::Add, &[y, bias])?])
    }
}

#[test]
fn a_layer_reads_the_weight_of_another() {
    let x: Vec<f32> = (0..200).map(|i| ((i * 31) % 19) as f32 / 9.0 - 1.0).collect();
    let x = Tensor::new([40, 5], x).unwrap();
    let set = Dataset::new(x.clone(), x).unwrap();
    let model = |device: &Device| {
        let input = Input::new([5]);
        let code = Dense::new(3).activation(Activation::Tanh).named("encoder").apply(&input).unwrap();
        let mut model = Model::new(&input, Decoder { units: 5 }.apply(&code).unwrap()).unwrap().device(device.clone());
        model.compile(Sgd { learning_rate: 0.1, ..Sgd::default() }, Loss::MeanSquaredError, []).unwrap();
        model
    };
    let mut reference = model(&Device::reference());
    assert_eq!(reference.parameter_paths().unwrap(), ["encoder/kernel", "encoder/bias", "decoder/bias"]);
    let wanted = reference.fit(&set, fit(20)).unwrap().get("loss");
    assert!(wanted[19] < 0.9 * wanted[0], "{wanted:?}");
    for device in devices() {
        let found = model(&device).fit(&set, fit(20)).unwrap().get("loss");
        assert!(found.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-5), "{device}: {found:?}");
    }
    let input = Input::new([5]);
    let other = Dense::new(3).apply(&input).unwrap();
    let decoded = Decoder { units: 5 }.apply(&other).unwrap();
    says(
        Model::new(&input, decoded),
        &["layer \"decoder\"", "no weight encoder/kernel of a layer that is called before"],
    );
    let code = Dense::new(3).named("encoder").apply(&input).unwrap();
    let decoded = Decoder { units: 4 }.apply(&code).unwrap();
    says(Model::new(&input, decoded), &["layer \"decoder\": encoder/kernel is (5, 3); expected (4, 3)"]);
}

//! Models as layers of models: the bits of the same net written flat, weights that go along, files, summaries, what is trained.

use kiln::graph::Id;
use kiln::io::TensorFile;
use kiln::nn::layers::Lambda;
use kiln::nn::{CustomObjects, Scope};
use kiln::prelude::*;
use tempfile::TempDir;

use crate::common::{devices, says};
use crate::functional::{Decoder, changed};

fn tanh(units: usize) -> Dense {
    Dense::new(units).activation(Activation::Tanh)
}

fn data() -> Dataset {
    let x: Vec<f32> = (0..150).map(|i| ((i * 37) % 23) as f32 / 11.0 - 1.0).collect();
    let y: Vec<u32> = x.chunks(5).map(|x| u32::from(x[0] > 0.0) + u32::from(x[1] > 0.3)).collect();
    Dataset::new(Tensor::new([30, 5], x).unwrap(), Tensor::new([30], y).unwrap()).unwrap()
}

fn fit(epochs: usize) -> Fit<'static> {
    Fit::new().epochs(epochs).batch_size(8).seed(3).verbose(0)
}

fn compiled(model: impl Into<Model>, device: &Device) -> Model {
    let mut model = model.into().device(device.clone()).seed(5);
    let adam = Adam { learning_rate: 0.02, ..Adam::default() };
    model.compile(adam, Loss::SparseCategoricalCrossentropyFromLogits, [Metric::Accuracy]).unwrap();
    model
}

/// Random numbers, a state, and nets in nets.
fn chain(nested: bool) -> Sequential {
    let (first, second) = (Dropout::new(0.25), GaussianNoise::new(0.125));
    if !nested {
        let head = Sequential::new().add(Input::new([5])).add(tanh(7)).add(first).add(BatchNormalization::new());
        return head.add(tanh(6)).add(second).add(Dense::new(3));
    }
    let deep = Sequential::new().add(first).add(BatchNormalization::new());
    let inner = Sequential::new().add(Input::new([5])).add(tanh(7)).add(deep).add(tanh(6)).named("inner");
    Sequential::new().add(Input::new([5])).add(inner).add(second).add(Dense::new(3))
}

/// A block that is applied twice, with a skip around it, by the functional front.
fn blocks(nested: bool) -> Model {
    let x = Input::new([5]);
    let (dense, dropout, norm) = (tanh(5).shared(), Dropout::new(0.25).shared(), LayerNormalization::new().shared());
    let inner = || {
        let y = Input::new([5]);
        let h = norm.apply(dropout.apply(dense.apply(&y).unwrap()).unwrap()).unwrap();
        Model::new(&y, Add.apply([&h, &y.value()]).unwrap()).unwrap().named("block").shared()
    };
    let block = nested.then(inner);
    let sum = Add.shared();
    let once = |h: &kiln::nn::Value| match &block {
        Some(block) => block.apply(h).unwrap(),
        None => {
            let inner = norm.apply(dropout.apply(dense.apply(h).unwrap()).unwrap()).unwrap();
            sum.apply([&inner, h]).unwrap()
        }
    };
    Model::new(&x, Dense::new(3).apply(once(&once(&x.value()))).unwrap()).unwrap()
}

#[test]
fn nets_in_nets_train_to_the_bits_of_the_same_net_written_flat() {
    let data = data();
    for device in devices() {
        for make in [|nested| chain(nested).into_model(), blocks] {
            let [mut nested, mut flat] = [true, false].map(|nested| compiled(make(nested), &device));
            assert_eq!(nested.weights().unwrap(), flat.weights().unwrap(), "at the start on {device}");
            assert_eq!(nested.fit(&data, fit(3)).unwrap(), flat.fit(&data, fit(3)).unwrap(), "{device}");
            assert_eq!(nested.weights().unwrap(), flat.weights().unwrap(), "{device}");
            assert_eq!(nested.predict(data.x()).unwrap(), flat.predict(data.x()).unwrap(), "{device}");
        }
    }
    let paths = chain(true).parameter_paths().unwrap();
    assert_eq!(
        paths[..4],
        [
            "inner/dense/kernel",
            "inner/dense/bias",
            "inner/sequential/batch_normalization/gamma",
            "inner/sequential/batch_normalization/beta"
        ]
    );
    assert_eq!(blocks(true).parameter_paths().unwrap()[0], "block/dense/kernel");
    assert_eq!(blocks(true).summary().unwrap().parameters(), 5 * 5 + 5 + 10 + 5 * 3 + 3);
}

#[test]
fn a_file_keeps_models_in_models_and_a_run_goes_on_from_it_to_the_bit() {
    let (data, folder) = (data(), TempDir::new().unwrap());
    let path = folder.path().join("nested.safetensors");
    for device in devices() {
        for make in [|| chain(true).into_model(), || blocks(true)] {
            let mut whole = compiled(make(), &device);
            whole.fit(&data, fit(4)).unwrap();
            let mut first = compiled(make(), &device);
            first.fit(&data, fit(2)).unwrap();
            first.save(&path).unwrap();
            let mut second = Model::load(&path).unwrap().device(device.clone());
            assert_eq!(second.parameter_paths().unwrap(), first.parameter_paths().unwrap());
            assert_eq!(second.summary().unwrap(), first.summary().unwrap());
            second.fit(&data, fit(4).initial_epoch(2)).unwrap();
            assert_eq!(second.weights().unwrap(), whole.weights().unwrap(), "{device}");
        }
    }
    let text = TensorFile::read(&path).unwrap();
    assert!(text.names().any(|name| name == "block/dense/kernel"));
    assert!(text.metadata("kiln").unwrap().contains(r#"{"name":"block","layer":{"class":"Functional","inputs":"#));
    chain(true).save(&path).unwrap();
    assert_eq!(Sequential::load(&path).unwrap().summary().unwrap(), chain(true).summary().unwrap());
}

#[test]
fn an_encoder_that_was_trained_goes_into_a_classifier_and_stays_as_it_is() {
    let data = data();
    let same = Dataset::new(data.x().clone(), data.x().clone()).unwrap();
    for device in devices() {
        let encoder = Sequential::new().add(tanh(4)).add(BatchNormalization::new()).named("encoder");
        let mut autoencoder = Sequential::new().add(encoder).add(Dense::new(5)).device(device.clone());
        autoencoder.compile(Adam::default(), Loss::MeanSquaredError, []).unwrap();
        autoencoder.fit(&same, fit(2)).unwrap();
        let trained = autoencoder.weights().unwrap();
        let mut encoder = autoencoder.inner("encoder").unwrap();
        assert_eq!(encoder.weights().unwrap(), trained[..6], "{device}");
        let classifier = Sequential::new().add(encoder.trainable(false)).add(Dense::new(3));
        let mut classifier = compiled(classifier, &device);
        assert_eq!(classifier.weights().unwrap()[..6], trained[..6], "{device}");
        let start = classifier.weights().unwrap();
        classifier.fit(&data, fit(2)).unwrap();
        let end = classifier.weights().unwrap();
        assert_eq!(end[..6], trained[..6], "frozen, with its statistics, on {device}");
        assert!(end[6] != start[6] && end[7] != start[7], "{device}");
        // A model that was trained by itself and goes along whole, and all of it once more, two deep.
        let again = Sequential::new().add(Sequential::new().add(classifier).named("whole"));
        let mut again = compiled(again, &device);
        assert_eq!(again.weights().unwrap(), end, "{device}");
        assert_eq!(again.parameter_paths().unwrap()[0], "whole/sequential/encoder/dense/kernel");
        let layer = pollster::block_on(again.inner("whole").unwrap().into_layer_async());
        let mut by_layer = Sequential::new().add(layer).device(device.clone());
        assert_eq!(by_layer.weights().unwrap(), end, "{device}");
        let mut inner = again.inner("whole/sequential/encoder").unwrap();
        assert_eq!(inner.weights().unwrap(), trained[..6], "{device}");
    }
}

#[test]
fn what_is_trained_is_said_of_a_whole_model_or_of_a_layer_inside() {
    let data = data();
    let mut model = compiled(chain(true), &Device::cpu());
    let changes = |model: &mut Model| {
        let before = model.weights().unwrap();
        model.fit(&data, fit(1)).unwrap();
        let after = model.weights().unwrap();
        let changed = before.iter().zip(&after).map(|(a, b)| a != b).collect::<Vec<_>>();
        // Kernel, gamma, moving mean, kernel, kernel: of each layer the first, and a state.
        [0, 2, 4, 6, 8].map(|i| changed[i])
    };
    assert_eq!(changes(&mut model), [true; 5]);
    model.set_trainable("inner", false).unwrap();
    assert_eq!(changes(&mut model), [false, false, false, false, true]);
    assert_eq!(model.summary().unwrap().non_trainable(), 5 * 7 + 7 + 4 * 7 + 7 * 6 + 6);
    model.set_trainable("inner", true).unwrap();
    model.set_trainable("inner/dense", false).unwrap();
    assert_eq!(changes(&mut model), [false, true, true, true, true]);
    model.set_trainable("inner/sequential", false).unwrap();
    assert_eq!(changes(&mut model), [false, false, false, true, true]);
    // A file keeps it.
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("frozen.safetensors");
    model.save(&path).unwrap();
    assert_eq!(changes(&mut Model::load(&path).unwrap().device(Device::cpu())), [false, false, false, true, true]);
    says(model.set_trainable("inner/dens", true), &["layer", "inner/dens", "inner/dense"]);
    // A model that is frozen is so whatever its layers say, as in Keras.
    model.set_trainable("inner", false).unwrap();
    model.set_trainable("inner/dense", true).unwrap();
    assert!(!changes(&mut model)[0]);
}

#[test]
fn the_summary_has_a_row_for_a_model_and_shows_its_layers_where_asked() {
    let model = chain(true);
    let summary = model.summary().unwrap();
    let names: Vec<_> = summary.rows.iter().map(|row| (row.name.as_str(), row.kind, row.parameters)).collect();
    let inner = 5 * 7 + 7 + 4 * 7 + 7 * 6 + 6;
    assert_eq!(names, [("inner", "Sequential", inner), ("gaussian_noise", "GaussianNoise", 0), ("dense", "Dense", 21)]);
    assert!(!summary.to_string().contains("batch_normalization"));
    let whole = summary.expand_nested(true).to_string();
    for line in [
        "│ inner (Sequential) ",
        "│    └ dense (Dense) ",
        "│    └ sequential (Sequential) ",
        "│       └ batch_normalization (BatchNormalization) ",
        "│ dense (Dense) ",
    ] {
        assert!(whole.contains(line), "{line}:\n{whole}");
    }
    assert!(whole.contains(" Total params: 139 ") && whole.contains(" Non-trainable params: 14 "), "{whole}");
    let text = blocks(true).summary().unwrap().expand_nested(true).to_string();
    let block = text.lines().find(|line| line.contains("block (Functional)")).unwrap();
    assert!(
        block.contains("input_layer[0][0]") && text.contains("block[0][0]") && text.contains("└ add (Add)"),
        "{text}"
    );
}

/// A layer of several inputs takes a line for each only where there is a column for them.
#[test]
fn a_chains_table_has_a_line_a_layer() {
    let model = Sequential::new().add(Input::new([5])).add(blocks(true));
    let text = model.summary().unwrap().expand_nested(true).to_string();
    assert!(text.contains("└ add (Add)") || text.contains("└ block (Functional)"), "{text}");
    let blank: Vec<&str> = text.lines().filter(|line| line.starts_with("│  ") && !line.contains('└')).collect();
    assert!(blank.is_empty(), "{text}");
}

#[test]
fn models_go_sixty_levels_deep_into_a_file_and_out_of_it() {
    let nest = |levels| {
        let innermost = Sequential::new().add(Input::new([2])).add(tanh(2));
        (0..levels).fold(innermost, |inner, _| Sequential::new().add(inner))
    };
    let (folder, mut model) = (TempDir::new().unwrap(), nest(60).device(Device::cpu()));
    let path = folder.path().join("deep.safetensors");
    model.save(&path).unwrap();
    let mut again = Model::load(&path).unwrap().device(Device::cpu());
    assert_eq!(again.weights().unwrap(), model.weights().unwrap());
    assert!(again.parameter_paths().unwrap()[0].ends_with("sequential/sequential/dense/kernel"));
    says(nest(64).summary(), &["65 models are inside one another, at most 64 may be"]);
}

/// Adds a number that it learns.
#[derive(Debug)]
struct Shift;

impl Layer for Shift {
    fn kind(&self) -> &'static str {
        "Shift"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        let shift = scope.parameter("shift", [1], Initializer::Constant(0.5))?;
        Ok(vec![scope.graph.apply(kiln::ops::binary::Binary::Add, &[x, shift])?])
    }
}

#[test]
fn layers_of_ones_own_and_shared_weights_work_inside_a_model() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("own.safetensors");
    let mut model = Sequential::new().add(Input::new([2])).add(Sequential::new().add(Shift)).device(Device::cpu());
    model.save(&path).unwrap();
    says(Model::load(&path), &["layer \"sequential\"", "layer \"shift\"", "CustomObjects"]);
    let custom = CustomObjects::new().layer("Shift", |_| Ok(Shift));
    let mut again = Model::load_with(&path, &custom).unwrap().device(Device::cpu());
    assert_eq!(again.predict(&Tensor::from([[1.0f32, 2.0]])).unwrap(), Tensor::from([[1.5f32, 2.5]]));
    let lambda = Lambda::new(|_, x| Ok(x.to_vec())).named("closure");
    let mut model = Sequential::new().add(Input::new([2])).add(Sequential::new().add(lambda).named("inner"));
    says(model.save(&path), &["layer \"inner/closure\" is a Lambda"]);
    // A decoder that reads its encoder's kernel, both inside.
    let x = Input::new([5]);
    let code = tanh(3).named("encoder").apply(&x).unwrap();
    let tied = Model::new(&x, Decoder { units: 5 }.apply(&code).unwrap()).unwrap().named("tied");
    let outer = Input::new([5]);
    let model = Model::new(&outer, tied.apply(&outer).unwrap()).unwrap();
    assert_eq!(model.parameter_paths().unwrap(), ["tied/encoder/kernel", "tied/encoder/bias", "tied/decoder/bias"]);
}

#[test]
fn what_does_not_fit_a_model_inside_is_named() {
    let x = Input::new([4]).named("x");
    let of_five = || Sequential::new().add(Input::new([5])).add(Dense::new(2)).named("five");
    says(of_five().apply(&x), &["layer \"five\": its input \"input\" takes samples of (5,), was given (4,)"]);
    says(of_five().apply([&x, &x]), &["layer \"five\": takes 1 input, was given 2"]);
    says(Sequential::new().apply(&x), &["layer \"sequential\": the model has no layers; add one"]);
    let two = Sequential::new().add(Dense::new(2).named("a")).add(Dense::new(2).named("a"));
    says(two.apply(&x), &["layer \"sequential\": two layers are named \"a\""]);
    let late = Sequential::new().add(Dense::new(4)).add(Input::new([4])).named("late");
    says(Sequential::new().add(Input::new([4])).add(late).summary(), &["layer \"late/input_layer\"", "comes first"]);
    let (a, b) = (Input::new([4]), Input::new([4]));
    let sum = || Model::new([&a, &b], Add.apply([&a, &b]).unwrap()).unwrap().named("sum");
    says(Sequential::new().add(Input::new([4])).add(sum()).summary(), &["layer \"sum\": takes 2 inputs, was given 1"]);
    let doubled = Model::new(&x, sum().apply([&x, &x]).unwrap()).unwrap();
    assert_eq!(
        doubled.device(Device::cpu()).predict(&Tensor::from([[1.0f32; 4]])).unwrap(),
        Tensor::from([[2.0f32; 4]])
    );
    let same = Sequential::new().add(Input::new([4])).add(Dense::new(1).named("m/dense"));
    let same = same.add(Sequential::new().add(Dense::new(1)).named("m"));
    says(same.summary(), &["two layers have the path \"m/dense\""]);
    says(chain(true).device(Device::cpu()).inner("dense"), &["layer", "dense", "inner"]);
}

#[test]
fn a_model_inside_that_a_file_has_wrong_is_refused() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("blocks.safetensors");
    blocks(true).device(Device::cpu()).save(&file).unwrap();
    let adds = r#"{"layer":3,"reads":[[3,0],[0,0]]}"#;
    let deep = |levels: usize| {
        let (head, tail) = (r#"{"class":"Sequential","layers":[{"name":"a","layer":"#, r"}]}");
        format!("{}\"Flatten\"{}", head.repeat(levels), tail.repeat(levels))
    };
    let inside = |levels| format!(r#""layer":{},"rest":{{"class":"Functional""#, deep(levels));
    let (many, too_many) = (inside(70), inside(200));
    for (from, to, part) in [
        (adds, r#"{"layer":9,"reads":[[3,0],[0,0]]}"#, "layer \"block\": calls: one is of layer 9; there are 4"),
        (adds, r#"{"layer":3,"reads":[[7,0],[0,0]]}"#, "[7, 0] is no value that is made before it is read"),
        (adds, r#"{"layer":3,"reads":[[3,4],[0,0]]}"#, "value 4 of call 2 is read"),
        (r#""name":"block","layer":{"#, r#""name":"block","layer":{"more":1,"#, "setting \"more\" of Functional"),
        (r#""name":"block""#, r#""name":"other""#, "block/dense/kernel"),
        (r#""name":"dropout","layer""#, r#""name":"dense","layer""#, "two layers have the path \"block/dense\""),
        (r#""layer":{"class":"Functional""#, &many, "at most 64"),
        (r#""layer":{"class":"Functional""#, &too_many, "less than so many lists"),
    ] {
        let error = changed(&file, from, to);
        assert!(error.contains(part) && error.contains("wrong.safetensors"), "{to}: {error}");
    }
}

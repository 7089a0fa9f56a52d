//! Tokens as rows of a table, and rows for the steps of a sequence: values, gradients, masks, and numbers that are no token.

use kiln::graph::Id;
use kiln::nn::Scope;
use kiln::nn::layers::Lambda;
use kiln::ops::binary::Binary;
use kiln::prelude::*;

use crate::common::{executors, says};

fn tokens<const N: usize>(rows: [[u32; N]; 2]) -> Tensor {
    Tensor::new([2, N], rows.concat()).unwrap()
}

fn floats(tokens: &Tensor) -> Tensor {
    Tensor::new(tokens.shape().clone(), tokens.values().to_f32()).unwrap()
}

/// A table of 5 rows of 2 numbers: 0, 1, 2, ...
fn table() -> Tensor {
    Tensor::new([5, 2], (0..10).map(|i| i as f32).collect::<Vec<_>>()).unwrap()
}

fn embedded(device: &Device) -> Sequential {
    let mut model = Sequential::new().add(Input::new([3])).add(Embedding::new(5, 2)).device(device.clone());
    model.compile(Sgd { learning_rate: 1.0, ..Sgd::default() }, Loss::MeanSquaredError, []).unwrap();
    model.set_weights(&[table()]).unwrap();
    model
}

#[test]
fn tokens_are_rows_of_the_table_whatever_type_holds_them() {
    let x = tokens([[4, 0, 4], [1, 2, 0]]);
    let wanted = [8.0, 9.0, 0.0, 1.0, 8.0, 9.0, 2.0, 3.0, 4.0, 5.0, 0.0, 1.0];
    for device in executors() {
        let mut model = embedded(&device);
        for x in [&x, &floats(&x)] {
            let y = model.predict(x).unwrap();
            assert_eq!((y.shape().to_string(), y.values().to_f64()), ("(2, 3, 2)".into(), wanted.to_vec()), "{device}");
        }
    }
}

/// With mean squared error and a rate of 1, a row loses 2 dy / (numbers of a batch) for each place that it goes to.
#[test]
fn a_row_gathers_the_gradients_of_all_its_places() {
    let x = tokens([[4, 0, 4], [1, 4, 0]]);
    let mut wanted = table().values().to_f64();
    let y: Vec<f32> = (0..12).map(|i| i as f32 * 0.5).collect();
    for (place, token) in x.values().to_f64().into_iter().enumerate() {
        for column in 0..2 {
            let at = 2 * token as usize + column;
            wanted[at] -= 2.0 * (at as f64 - f64::from(y[2 * place + column])) / 12.0;
        }
    }
    for device in executors() {
        for x in [x.clone(), floats(&x)] {
            let mut model = embedded(&device);
            let data = Dataset::new(x, Tensor::new([2, 3, 2], y.clone()).unwrap()).unwrap();
            model.train_on_batch(&data).unwrap();
            let found = model.weights().unwrap()[0].values().to_f64();
            let near = found.iter().zip(&wanted).all(|(found, wanted)| (found - wanted).abs() < 1e-5);
            assert!(near, "{device}: {found:?}, not {wanted:?}");
        }
    }
}

#[test]
fn what_is_no_token_is_refused_before_a_run() {
    let mut model = embedded(&Device::cpu());
    let y = || Tensor::new([2, 3, 2], vec![0.0f32; 12]).unwrap();
    let of = |x: Tensor| Dataset::new(x, y()).unwrap();
    let high = tokens([[4, 0, 4], [1, 5, 0]]);
    let parts = ["x: row 1, column 1: 5 is no token of layer \"embedding\"", "from 0 to 4"];
    says(model.fit(&of(high.clone()), Fit::new().verbose(0)), &parts);
    says(model.evaluate(&of(high.clone())), &parts);
    says(model.predict(&high), &parts);
    says(model.predictor().unwrap().predict(&high), &parts);
    for (number, text) in [(-1.0f32, "-1 is no token"), (0.5, "0.5 is no token")] {
        let x = Tensor::new([2, 3], vec![0.0, number, 0.0, 0.0, 0.0, 0.0]).unwrap();
        says(model.evaluate(&of(x)), &["row 0, column 1", text]);
    }
    // Bytes are pixels unless told otherwise.
    let bytes = Tensor::new([2, 3], vec![1u8; 6]).unwrap();
    says(model.evaluate(&of(bytes.clone())), &["multiplied by 0.003921", "give them as u32", "scale to 1"]);
    model.evaluate(&of(bytes).with_scale(1.0)).unwrap();
    // The smaller of two tables, within a model and by the input's name.
    let (a, b) = (Input::new([3]).named("a"), Input::new([3]).named("b"));
    let inner = Sequential::new().add(Embedding::new(4, 2).named("small")).named("inner").shared();
    let sum = Add.apply([inner.apply(&b).unwrap(), Embedding::new(9, 2).apply(&b).unwrap()]).unwrap();
    let all = Add.apply([sum, Embedding::new(9, 2).apply(&a).unwrap()]).unwrap();
    let mut model = Model::new([&a, &b], all).unwrap().device(Device::cpu());
    let fine = tokens([[8; 3]; 2]);
    says(model.predict_all(&[&fine, &fine]), &["b: row 0, column 0: 8 is no token of layer \"inner/small\"", "0 to 3"]);
    model.predict_all(&[&fine, &tokens([[3; 3]; 2])]).unwrap();
    for (input, output) in [(0, 2), (2, 0), (1 << 25, 1)] {
        let model = Sequential::new().add(Input::new([3])).add(Embedding::new(input, output));
        says(model.summary(), &["layer \"embedding\"", if input < 9 { "holds nothing" } else { "at most 16777216" }]);
    }
}

/// A number that another layer makes is not known before the run.
#[test]
fn what_a_layer_makes_and_is_no_token_gives_nan() {
    let less = |scope: &mut Scope<'_>, inputs: &[Id]| {
        let two = scope.graph.fill(2.0, []);
        Ok(vec![scope.graph.apply(Binary::Sub, &[inputs[0], two])?])
    };
    let x = Tensor::from([[1.0f32, 2.0, 4.75, 7.0, f32::NAN]]);
    for device in executors() {
        let model = Sequential::new().add(Input::new([5])).add(Lambda::new(less)).add(Embedding::new(5, 2));
        let mut model = model.device(device.clone());
        model.set_weights(&[table()]).unwrap();
        let found = model.predict(&x).unwrap().values().to_f64();
        assert!(found[..2].iter().chain(&found[6..]).all(|y| y.is_nan()), "{device}: {found:?}");
        assert_eq!(&found[2..6], [0.0, 1.0, 4.0, 5.0], "{device}");
    }
}

#[test]
fn token_0_is_passed_over_where_it_stands_for_nothing() {
    let x = tokens([[3, 1, 0], [2, 0, 0]]);
    let data = |x: &Tensor| Dataset::new(x.clone(), Tensor::new([2, 3, 2], vec![0.0f32; 12]).unwrap()).unwrap();
    for device in executors() {
        let embedding = Embedding::new(5, 2).mask_zero(true);
        let mut model = Sequential::new().add(Input::new([3])).add(embedding).device(device.clone());
        model.compile(Sgd::default(), Loss::MeanAbsoluteError, [Metric::MeanAbsoluteError]).unwrap();
        model.set_weights(&[table()]).unwrap();
        for x in [&x, &floats(&x)] {
            let logs = model.evaluate(&data(x)).unwrap();
            for name in ["loss", "mean_absolute_error"] {
                assert!((logs.get(name).unwrap() - 4.5).abs() < 1e-6, "{device}: {logs:?}");
            }
        }
    }
}

/// A model that gives the rows of each step for two sequences of zeros.
fn positions(layer: impl Layer + 'static, shape: [usize; 2], device: &Device) -> Sequential {
    Sequential::new().add(Input::new(shape)).add(layer).device(device.clone())
}

#[test]
fn positions_have_rows_of_their_own() {
    for device in executors() {
        let x = Tensor::new([2, 3, 2], vec![7.0f32; 12]).unwrap();
        let mut learned = positions(PositionEmbedding::new(5), [3, 2], &device);
        learned.compile(Sgd { learning_rate: 6.0, ..Sgd::default() }, Loss::MeanSquaredError, []).unwrap();
        learned.set_weights(&[table()]).unwrap();
        let rows: Vec<f64> = (0..6).map(f64::from).collect();
        assert_eq!(learned.predict(&x).unwrap().values().to_f64(), rows.repeat(2), "{device}");
        // Towards zero: the gradient of the mean of 12 squares, each row in both samples, is 2 * 2 / 12 of it.
        let zeros = Tensor::new([2, 3, 2], vec![0.0f32; 12]).unwrap();
        learned.train_on_batch(&Dataset::new(x.clone(), zeros).unwrap()).unwrap();
        let left = learned.weights().unwrap()[0].values().to_f64();
        let near = left.iter().enumerate().all(|(i, &w)| (w - if i < 6 { -(i as f64) } else { i as f64 }).abs() < 1e-5);
        assert!(near, "{device}: {left:?}");

        let x = Tensor::new([2, 4, 5], vec![7.0f32; 40]).unwrap();
        let found = positions(SinePositionEncoding::new().max_wavelength(100.0), [4, 5], &device).predict(&x).unwrap();
        for (i, found) in found.values().to_f64().into_iter().enumerate() {
            let (step, feature) = (i / 5 % 4, i % 5);
            let angle = step as f64 / 100f64.powf((2 * (feature / 2)) as f64 / 5.0);
            let wanted = if feature % 2 == 0 { angle.sin() } else { angle.cos() };
            assert!((found - wanted).abs() < 1e-6, "{device}: {i}: {found}, not {wanted}");
        }
    }
}

#[test]
fn positions_say_what_they_do_not_take() {
    let of =
        |layer: Box<dyn Layer>, shape: &[usize]| Sequential::new().add(Input::new(shape.to_vec())).add(layer).summary();
    says(of(Box::new(PositionEmbedding::new(3)), &[4, 2]), &["has rows for 3 steps, was given 4"]);
    says(of(Box::new(PositionEmbedding::new(3)), &[4]), &["takes (batch, ..., steps, features), was given (1, 4)"]);
    says(of(Box::new(SinePositionEncoding::new()), &[]), &["was given (1,)"]);
    says(of(Box::new(SinePositionEncoding::new().max_wavelength(0.0)), &[4, 2]), &["0 is no wavelength"]);
}

#[test]
fn they_come_back_from_a_file() {
    let mut model = Sequential::new()
        .add(Input::new([3]))
        .add(Embedding::new(5, 4).mask_zero(true).embeddings_constraint("max_norm").embeddings_initializer("ones"))
        .add(PositionEmbedding::new(6).embeddings_regularizer("l2"))
        .add(SinePositionEncoding::new().max_wavelength(50.0))
        .device(Device::cpu());
    let x = tokens([[3, 1, 0], [2, 0, 0]]);
    let before = model.predict(&x).unwrap();
    let bytes = model.to_bytes().unwrap();
    let mut again = Sequential::from_bytes(&bytes).unwrap().device(Device::cpu());
    assert_eq!(again.predict(&x).unwrap(), before);
    assert_eq!(again.to_bytes().unwrap(), bytes);
    assert_eq!(again.parameter_paths().unwrap(), ["embedding/embeddings", "position_embedding/embeddings"]);
}

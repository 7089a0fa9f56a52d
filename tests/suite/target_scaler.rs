//! Targets that are scaled in training: the loss is of scaled ones, all else in their own units.

use kiln::data::Scaler;
use kiln::prelude::*;

use crate::common::{devices, executors, sines};

/// Samples, and targets some hundred thousand large.
fn prices(columns: usize) -> Dataset {
    Dataset::new(sines(12, 3, 0.7), sines(12, columns, 1.3) * 5e4 + 3e5).unwrap()
}

fn model(device: &Device, units: usize) -> Sequential {
    let mut model =
        Sequential::new().add(Dense::new(4).activation("tanh")).add(Dense::new(units)).device(device.clone());
    model.compile(Sgd::new(0.1), "mse", ["mae"]).unwrap();
    model
}

fn near(device: &Device, found: &[f64], wanted: &[f64], tolerance: f64) {
    let far = found.iter().zip(wanted).find(|(a, b)| (*a - *b).abs() > tolerance * b.abs().max(1.0));
    assert!(found.len() == wanted.len() && far.is_none(), "{device}: {far:?} of {found:?}, wanted {wanted:?}");
}

#[test]
fn a_model_trains_as_on_targets_scaled_by_hand_and_answers_in_their_own_units() {
    for columns in [1, 2] {
        let data = prices(columns);
        let scaler = Scaler::standardize_targets(&data).unwrap();
        let by_hand = Dataset::new(data.x().clone(), scaler.apply_to(data.y()).unwrap()).unwrap();
        for device in executors() {
            let fit = || Fit::new().epochs(4).batch_size(5).verbose(0);
            let (mut scaled, mut plain) = (model(&device, columns), model(&device, columns));
            scaled.set_target_scaler(scaler.clone()).unwrap();
            let history = scaled.fit(&data, fit()).unwrap();
            let wanted = plain.fit(&by_hand, fit()).unwrap();
            near(&device, &history.get("loss"), &wanted.get("loss"), 1e-5);
            for (found, wanted) in scaled.weights().unwrap().iter().zip(plain.weights().unwrap()) {
                near(&device, &found.to_vec::<f64>(), &wanted.to_vec::<f64>(), 1e-5);
            }
            let own = |y: &Tensor| y * &Tensor::from(scaler.scale.clone()) + Tensor::from(scaler.center.clone());
            let (found, y) = (scaled.predict(data.x()).unwrap(), plain.predict(data.x()).unwrap());
            near(&device, &found.to_vec::<f64>(), &own(&y).to_vec::<f64>(), 1e-5);
            let error = (&found - data.y()).to_vec::<f64>().iter().map(|e| e.abs()).sum::<f64>()
                / data.y().shape().len() as f64;
            let logs = scaled.evaluate(&data).unwrap();
            near(&device, &[logs.get("mean_absolute_error").unwrap()], &[error], 1e-4);
            near(
                &device,
                &[logs.get("loss").unwrap()],
                &[plain.evaluate(&by_hand).unwrap().get("loss").unwrap()],
                1e-5,
            );
        }
    }
}

#[test]
fn a_scaler_is_kept_in_the_file_and_taken_out_again() {
    let data = prices(1);
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("model.safetensors");
    for device in devices() {
        let mut model = model(&device, 1);
        model.fit(&data, Fit::new().verbose(0)).unwrap();
        let plain = model.predict(data.x()).unwrap();
        let scaler = Scaler::min_max_targets(&data).unwrap();
        // A model that runs takes it up at once.
        model.set_target_scaler(scaler.clone()).unwrap();
        let scaled = model.predict(data.x()).unwrap();
        assert_ne!(scaled, plain);
        model.save(&path).unwrap();
        let mut again = Sequential::load(&path).unwrap().device(device.clone());
        assert_eq!(again.target_scaler(0), Some(&scaler));
        assert_eq!(again.predict(data.x()).unwrap(), scaled);
        again.set_target_scaler(None).unwrap();
        assert_eq!(again.predict(data.x()).unwrap(), plain);
        again.save(&path).unwrap();
        assert_eq!(Sequential::load(&path).unwrap().target_scaler(0), None);
    }
}

#[test]
fn of_several_outputs_each_has_its_own() {
    let x = Input::new([3]);
    let kind = Dense::new(2).activation("softmax").named("kind").apply(&x).unwrap();
    let price = Dense::new(1).named("price").apply(&x).unwrap();
    let mut model = Model::new(&x, [kind, price]).unwrap().device(Device::cpu());
    let price = Objective::new("mse").metrics(["mae"]);
    model.compile_with("sgd", [("kind", Objective::new("sparse_categorical_crossentropy")), ("price", price)]).unwrap();
    let kinds = Tensor::new([12], (0..12).map(|i| i % 2).collect::<Vec<u32>>()).unwrap();
    let data = Dataset::new(sines(12, 3, 0.7), [("kind", kinds), ("price", prices(1).y().clone())]).unwrap();
    let scaler = Scaler::standardize_column(&data.targets()[1]).unwrap();
    model.set_target_scaler_of("price", scaler.clone()).unwrap();
    let history = model.fit(&data, Fit::new().epochs(2).verbose(0)).unwrap();
    assert!(history.get("price_loss")[0] < 10.0 && history.get("price_mean_absolute_error")[0] > 1e3);
    let outputs = model.predict_all(&[data.x()]).unwrap();
    assert!(outputs[0][[0, 0]] <= 1.0 && outputs[1][[0, 0]] > 1e5);
    let said = model.set_target_scaler_of("prize", scaler.clone()).unwrap_err().to_string();
    assert!(said.contains("did you mean \"price\"?"), "{said}");
    assert!(Scaler::standardize_targets(&data).unwrap_err().to_string().contains("kind: class indices"));
    model.set_target_scaler(Scaler { center: vec![0.0; 2], scale: vec![1.0; 2] }).unwrap();
    let said = model.fit(&data, Fit::new().verbose(0)).unwrap_err().to_string();
    assert!(said.contains("the targets are class indices, which a scaler does not scale"), "{said}");
}

#[test]
fn a_scaler_that_does_not_fit_is_refused() {
    let mut model = model(&Device::cpu(), 2);
    let said = model.set_target_scaler(Scaler { center: vec![0.0], scale: vec![0.0] }).unwrap_err().to_string();
    assert!(said.contains("a column's scale is 0"), "{said}");
    model.set_target_scaler(Scaler { center: vec![0.0], scale: vec![1.0] }).unwrap();
    let said = model.fit(&prices(2), Fit::new().verbose(0)).unwrap_err().to_string();
    assert!(
        said.contains("output \"dense_1\": its target scaler was fitted to 1 columns, the model gives 2"),
        "{said}"
    );
}

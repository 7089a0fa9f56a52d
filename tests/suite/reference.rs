//! The reference computes in f64 and says so: whatever it gives back is f64, to the last bit.

use kiln::prelude::*;
use kiln::tensor::Values;

const THIRD: f64 = 1.0 / 3.0;

fn one(value: f64) -> Tensor {
    Tensor::new([1, 1], vec![value]).unwrap()
}

/// y = x / 3 on the reference.
fn third() -> Sequential {
    let mut model = Sequential::new().add(Input::new([1])).add(Dense::new(1)).device(Device::reference());
    model.compile(Sgd { learning_rate: 0.5, ..Sgd::default() }, Loss::MeanSquaredError, []).unwrap();
    model.set_weights(&[one(THIRD), Tensor::new([1], vec![0.0f64]).unwrap()]).unwrap();
    model
}

fn f64s(tensor: &Tensor) -> &[f64] {
    let Values::F64(values) = tensor.values() else { panic!("{} came back, not f64", tensor.dtype()) };
    values
}

#[test]
fn predictions_keep_the_digits_of_f64() {
    let y = third().predict(&Tensor::new([3, 1], vec![1.0f32, 2.0, -1.0]).unwrap()).unwrap();
    assert_eq!((f64s(&y), &**y.shape()), (&[THIRD, 2.0 * THIRD, -THIRD][..], &[3, 1][..]));
    let mut model = third().device(Device::cpu());
    assert!(matches!(model.predict(&one(1.0)).unwrap().values(), Values::F32(_)), "other devices give f32");
}

#[test]
fn weights_gradients_losses_and_files_keep_the_digits_of_f64() {
    let data = Dataset::new(one(1.0), one(0.0)).unwrap();
    let mut model = third();
    assert_eq!(f64s(&model.weights().unwrap()[0]), [THIRD]);
    assert_eq!(model.evaluate(&data).unwrap().get("loss").unwrap(), THIRD * THIRD);
    let path = tempfile::tempdir().unwrap().keep().join("third.safetensors");
    model.save(&path).unwrap();
    let history = model.fit(&data, Fit::new().epochs(1)).unwrap();
    assert_eq!(history.batch_losses()[0], THIRD * THIRD);
    assert_eq!(f64s(&model.gradients().unwrap()[0]), [2.0 * THIRD]);
    assert_eq!(f64s(&model.weights().unwrap()[0]), [THIRD - 0.5 * (2.0 * THIRD)]);
    let mut again = Sequential::load(&path).unwrap().device(Device::reference());
    assert_eq!(f64s(&again.predict(&one(1.0)).unwrap()), [THIRD]);
}

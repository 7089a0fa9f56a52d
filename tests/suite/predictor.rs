//! A model's answers for several threads at once.

use std::sync::Barrier;
use std::thread;

use kiln::device::Device;
use kiln::graph::{Id, Type};
use kiln::nn::layers::Lambda;
use kiln::nn::{Predictor, Scope};
use kiln::ops::{CpuArgs, CpuOp, Dispatch, Io, Op, Real, Target};
use kiln::prelude::*;

#[cfg(feature = "gpu")]
use crate::common::adapter;
use crate::common::{devices, says, sines};

fn model(device: &Device, hidden: usize) -> Sequential {
    let layers = Sequential::new().add(Dense::new(hidden).activation("tanh")).add(BatchNormalization::new());
    let mut model = layers.add(Dropout::new(0.5)).add(Dense::new(3).activation("softmax")).device(device.clone());
    model.compile("adam", "mse", []).unwrap();
    let data = Dataset::new(sines(20, 7, 0.3), sines(20, 3, 0.9)).unwrap();
    model.fit(&data, Fit::new().verbose(0)).unwrap();
    model
}

/// What threads are told that each ask all of these, and the model's own answers.
fn asked(predictor: &Predictor, model: &mut Sequential, all: &[Tensor], threads: usize) -> [Vec<Tensor>; 2] {
    let wanted: Vec<Tensor> = all.iter().map(|x| model.predict(x).unwrap()).collect();
    let start = Barrier::new(threads);
    let found = thread::scope(|scope| {
        let ask = || {
            start.wait();
            all.iter().map(|x| predictor.predict(x).unwrap()).collect::<Vec<_>>()
        };
        let answers: Vec<_> = (0..threads).map(|_| scope.spawn(ask)).collect();
        answers.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let wanted = std::iter::repeat_n(wanted, threads).flatten().collect();
    [found, wanted]
}

#[test]
fn many_threads_are_told_what_the_model_says_to_the_bit_on_the_cpu() {
    for device in [Device::cpu(), Device::reference()] {
        // Plans that run on the threads that ask, and, of many units and samples, such as share the pool.
        for (hidden, rows) in [(5, [1, 2, 3]), (300, [1, 600, 400])] {
            let mut model = model(&device, hidden);
            let all: Vec<Tensor> = rows.iter().map(|&rows| sines(rows, 7, rows as f32)).collect();
            let predictor = model.predictor().unwrap();
            let [found, wanted] = asked(&predictor, &mut model, &all, 6);
            assert_eq!(found, wanted, "{device}");
            assert_eq!(predictor.batches(), None);
            // What is learned later it does not know, and what was learned it keeps without the model.
            let before = model.predict(&all[0]).unwrap();
            let data = Dataset::new(sines(20, 7, 0.3), sines(20, 3, 0.9)).unwrap();
            model.fit(&data, Fit::new().verbose(0)).unwrap();
            assert_ne!(model.predict(&all[0]).unwrap(), before);
            let later = model.predictor().unwrap();
            assert_eq!(later.predict(&all[0]).unwrap(), model.predict(&all[0]).unwrap());
            drop(model);
            assert_eq!(predictor.clone().predict(&all[0]).unwrap(), before);
        }
    }
}

/// Gives what it is given, once two threads are at it.
#[derive(Debug)]
struct Meet;

impl<T: Real> CpuOp<T> for Meet {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        static BOTH: Barrier = Barrier::new(2);
        BOTH.wait();
        let (x, [y]) = (args.real(0), args.out());
        y.copy_from_slice(x);
    }
}

impl Op for Meet {
    fn name(&self) -> &'static str {
        "meet"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        Ok(inputs.to_vec())
    }

    fn gpu(&self, _io: &Io, _target: &Target) -> Vec<Dispatch> {
        unreachable!("for the processor")
    }
}

/// With a lock neither thread would ever meet the other.
#[test]
fn no_thread_waits_for_another_on_the_cpu() {
    let meet = Lambda::new(|scope: &mut Scope<'_>, x: &[Id]| Ok(vec![scope.graph.apply(Meet, x)?]));
    let mut model = Sequential::new().add(Input::new([2])).add(meet).device(Device::cpu());
    let (predictor, x) = (&model.predictor().unwrap(), &sines(1, 2, 0.3));
    thread::scope(|scope| {
        let answers: Vec<_> = (0..2).map(|_| scope.spawn(move || predictor.predict(x).unwrap())).collect();
        answers.into_iter().for_each(|answer| assert_eq!(answer.join().unwrap(), *x));
    });
}

#[cfg(feature = "gpu")]
#[test]
fn what_waits_goes_to_a_gpu_in_one_batch() {
    let device = adapter();
    let mut model = model(&device, 5);
    let predictor = model.predictor().unwrap();
    // Filled up to four rows, and as they are.
    let all: Vec<Tensor> = [3, 4, 1].map(|rows| sines(rows, 7, rows as f32)).to_vec();
    for (asked, x) in all.iter().enumerate() {
        let (found, wanted) = (predictor.predict(x).unwrap(), model.predict(x).unwrap());
        assert_eq!(found.shape(), wanted.shape());
        let near = found.to_vec::<f64>().iter().zip(wanted.to_vec::<f64>()).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(near, "{found}, wanted {wanted}");
        assert_eq!(predictor.batches(), Some(asked as u64 + 1));
    }
    let [found, wanted] = self::asked(&predictor, &mut model, &all, 6);
    for (found, wanted) in found.iter().zip(&wanted) {
        assert_eq!(found.shape(), wanted.shape());
        let near = found.to_vec::<f64>().iter().zip(wanted.to_vec::<f64>()).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(near, "{found}, wanted {wanted}");
    }
    let batches = predictor.batches().unwrap();
    assert!((4..=3 + 18).contains(&batches), "{batches} batches for 21 questions");
}

#[test]
fn samples_are_scaled_and_refused_as_the_model_does() {
    for device in devices() {
        let mut pixels = Sequential::new().add(Dense::new(2)).device(device.clone());
        pixels.compile("sgd", "mse", []).unwrap();
        let bytes = Tensor::from([[0u8, 255], [128, 1]]);
        pixels.fit(&Dataset::new(bytes.clone(), sines(2, 2, 0.4)).unwrap(), Fit::new().verbose(0)).unwrap();
        let predictor = pixels.predictor().unwrap();
        for x in [&bytes, &bytes.astype(kiln::DType::F32), &Tensor::from([[0.5f32, 1.0]])] {
            let (found, wanted) = (predictor.predict(x).unwrap(), pixels.predict(x).unwrap());
            let near = found.to_vec::<f64>().iter().zip(wanted.to_vec::<f64>()).all(|(a, b)| (a - b).abs() < 1e-6);
            assert!(near, "{device}: {found}, wanted {wanted}");
        }
        for x in [sines(1, 3, 0.1), Tensor::from(1.0f32), Tensor::new([0, 2], Vec::<f32>::new()).unwrap()] {
            let said = pixels.predict(&x).unwrap_err().to_string();
            says(predictor.predict(&x), &[&said]);
        }
        let (a, b) = (Input::new([2]), Input::new([3]));
        let outputs = [Dense::new(1).apply(&a).unwrap(), Concatenate::new().apply((&a, &b)).unwrap()];
        let mut several = Model::new([&a, &b], outputs).unwrap().device(device.clone());
        let (x, y) = (sines(3, 2, 0.1), sines(3, 3, 0.2));
        let predictor = several.predictor().unwrap();
        let (found, wanted) = (predictor.predict_all(&[&x, &y]).unwrap(), several.predict_all(&[&x, &y]).unwrap());
        assert_eq!(found[1], wanted[1], "{device}");
        says(predictor.predict(&x), &["has 2 outputs", "call predict_all"]);
        says(predictor.predict_all(&[&x, &sines(2, 3, 0.2)]), &["3 samples of one input, 2 of another"]);
    }
    says(Sequential::new().add(Dense::new(1)).device(Device::cpu()).predictor(), &["not built yet"]);
}

#[test]
fn it_may_go_to_other_threads() {
    fn is_shared<T: Clone + Send + Sync + 'static>() {}
    is_shared::<Predictor>();
}

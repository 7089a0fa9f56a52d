//! Settings that come back from saved models: of metrics, schedules and layers that are active in training alone.

use std::fs;

use kiln::io::TensorFile;
use kiln::nn::layers::Fill;
use kiln::nn::schedule::Schedule;
use kiln::prelude::*;
use tempfile::TempDir;

/// Images with values in -1 to 1, and one-hot targets.
fn data() -> Dataset {
    let x: Vec<f32> = (0..20 * 12).map(|i| (i as f32 * 0.7).sin()).collect();
    let y: Vec<f32> = (0..20).flat_map(|row| (0..3).map(move |class| f32::from(row % 3 == class))).collect();
    Dataset::new(Tensor::new([20, 3, 4], x).unwrap(), Tensor::new([20, 3], y).unwrap()).unwrap()
}

fn metrics() -> Vec<Metric> {
    vec![
        Metric::BinaryAccuracy { threshold: 0.25 },
        Metric::Precision { threshold: 1.0 / 3.0 },
        Metric::Recall { threshold: 0.1 },
        Metric::F1Score { average: Average::Weighted, threshold: Some(0.4) },
        Metric::F1Score { average: Average::Micro, threshold: None },
        Metric::Auc { curve: AucCurve::Pr, num_thresholds: 7, from_logits: true },
        Metric::R2Score { class_aggregation: ClassAggregation::VarianceWeightedAverage },
        Metric::TopKCategoricalAccuracy { k: 2 },
        Metric::CategoricalAccuracy,
        Metric::Loss(Loss::Huber { delta: 0.3 }),
        Metric::Loss(Loss::CosineSimilarity),
    ]
}

fn model(optimizer: impl Optimizer + 'static) -> Sequential {
    let mut model = Sequential::new()
        .add(Input::new([3, 4]))
        .add(RandomFlip::horizontal())
        .add(RandomFlip::horizontal_and_vertical())
        .add(RandomTranslation::new(0.3, 0.2).fill_mode(Fill::Wrap))
        .add(GaussianNoise::new(0.1))
        .add(Flatten)
        .add(Dense::new(3).activation(Activation::Softmax))
        .device(Device::cpu());
    model.compile(optimizer, Loss::CategoricalCrossentropy, metrics()).unwrap();
    model
}

/// That a model in training, loaded, goes on as one that was never stopped, and is saved to the same bytes.
fn comes_back(optimizer: impl Fn() -> Box<dyn Optimizer>) {
    let (folder, data) = (TempDir::new().unwrap(), data());
    let path = |name: &str| folder.path().join(name);
    let fit = |epochs| Fit::new().epochs(epochs).batch_size(6).verbose(0);
    let mut first = model(optimizer());
    first.fit(&data, fit(1)).unwrap();
    first.save(path("first")).unwrap();
    let mut loaded = Sequential::load(path("first")).unwrap().device(Device::cpu());
    loaded.save(path("again")).unwrap();
    assert_eq!(fs::read(path("first")).unwrap(), fs::read(path("again")).unwrap());

    let mut whole = model(optimizer());
    let history = whole.fit(&data, fit(3)).unwrap();
    let rest = loaded.fit(&data, fit(3).initial_epoch(1)).unwrap();
    let last =
        |history: &History| history.epochs().last().unwrap().iter().map(|(_, v)| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(last(&rest), last(&history));
    assert_eq!(loaded.weights().unwrap(), whole.weights().unwrap());
}

#[test]
fn those_of_metrics_and_layers() {
    comes_back(|| Box::new(Nadam::default()));
}

#[test]
fn those_of_schedules() {
    fn each(schedule: impl Schedule + Clone + 'static) {
        comes_back(|| Box::new(Scheduled::new(Sgd { momentum: 0.9, ..Sgd::default() }, schedule.clone())));
    }
    each(0.02);
    each(ExponentialDecay { staircase: true, ..ExponentialDecay::new(0.1, 3, 0.5) });
    each(InverseTimeDecay::new(0.1, 2, 1.0 / 3.0));
    each(PolynomialDecay { power: 2.0, cycle: true, ..PolynomialDecay::new(0.1, 3) });
    each(PiecewiseConstantDecay::new([2, 5], [0.1, 0.05, 0.01]));
    each(CosineDecay { warmup_target: Some(0.1), warmup_steps: 3, ..CosineDecay::new(0.0, 6) });
    each(CosineDecayRestarts { t_mul: 1.5, m_mul: 0.9, ..CosineDecayRestarts::new(0.1, 3) });
}

/// Of the weights, the optimizer's state and the settings beside them.
#[test]
fn no_flipped_bit_of_a_model_passes_unnoticed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model");
    let mut model = model(Sgd { momentum: 0.5, ..Sgd::default() });
    model.save(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    assert!(whole.len() > header + 300, "there are weights");
    for at in (header..whole.len()).step_by((whole.len() - header) / 300) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&path, bytes).unwrap();
        let refused = Sequential::load(&path).unwrap_err().to_string();
        assert!(refused.contains("is not what was saved: its CRC-32"), "byte {at}: {refused}");
    }
    let before = br#"momentum\":0."#;
    let at = whole.windows(before.len()).position(|window| window == before).unwrap() + before.len();
    let mut bytes = whole;
    assert_eq!(bytes[at], b'5', "the digit of 0.5");
    bytes[at] = b'4';
    fs::write(&path, bytes).unwrap();
    let refused = Sequential::load(&path).unwrap_err().to_string();
    assert!(refused.contains("the text beside the tensors is not what was saved"), "{refused}");
}

/// What `keras.models.model_from_json` takes stands beside what Kiln has of its own.
#[test]
fn a_file_has_the_network_as_keras_says_it_too() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model.safetensors");
    let mut model = model(Adam::default());
    model.fit(&data(), Fit::new().verbose(0)).unwrap();
    model.save(&path).unwrap();
    let file = TensorFile::read(&path).unwrap();
    let described = file.metadata("keras").expect("each layer is one of Keras'");
    let again = Model::from_json(described).unwrap();
    assert_eq!(again.to_json().unwrap(), described);
    assert_eq!(again.parameters().unwrap(), model.parameters().unwrap());
    // What was built for samples that no Input says has them there, as well.
    let mut model = Sequential::new().add(Flatten).add(Dense::new(2)).device(Device::cpu());
    model.build([2, 3]).unwrap();
    model.save(&path).unwrap();
    let file = TensorFile::read(&path).unwrap();
    let again = Model::from_json(file.metadata("keras").unwrap()).unwrap();
    assert_eq!(again.sample_shape().unwrap().to_string(), "(2, 3)");
    // Nothing is read from it: a file without, as version 0.1.0 wrote them, opens.
    let bare = file.names().fold(TensorFile::new(), |bare, name| bare.with(name, file.tensor(name).unwrap().clone()));
    bare.with_metadata("kiln", file.metadata("kiln").unwrap()).write(&path).unwrap();
    assert_eq!(Model::load(&path).unwrap().device(Device::cpu()).weights().unwrap(), model.weights().unwrap());
}

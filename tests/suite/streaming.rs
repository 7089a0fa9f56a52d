//! Sets that are read while the model trains: the same bits as with the set on the device, and errors of their own.

use std::sync::atomic::{AtomicUsize, Ordering};

use kiln::data::{Dataset, Source};
use kiln::prelude::*;
use kiln::random;

use crate::common::devices;

/// A set that says of itself that it is not in memory, and counts how often it is read.
pub struct Streamed<'a> {
    set: &'a Dataset,
    reads: AtomicUsize,
}

impl<'a> Streamed<'a> {
    pub fn new(set: &'a Dataset) -> Self {
        Self { set, reads: AtomicUsize::new(0) }
    }
}

impl Source for Streamed<'_> {
    fn len(&self) -> usize {
        self.set.len()
    }

    fn read(&self, rows: &[usize]) -> Result<Dataset> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.set.subset(rows)
    }
}

/// A source made of its functions.
struct Made<F> {
    len: usize,
    read: F,
}

impl<F: Fn(&[usize]) -> Result<Dataset> + Sync> Source for Made<F> {
    fn len(&self) -> usize {
        self.len
    }

    fn read(&self, rows: &[usize]) -> Result<Dataset> {
        (self.read)(rows)
    }
}

/// So many that a product has one tile of columns: on software adapters these tests are mostly products.
const CLASSES: u32 = 8;

/// Rows of `width` bytes that depend on their label.
fn bytes(n: usize, width: usize) -> Dataset {
    let noise = random::uniform(n * width, 100.0, 1, "streaming", 0);
    let labels: Vec<u32> = (0..n as u32).map(|row| row * 7 % CLASSES).collect();
    let x = noise.iter().enumerate().map(|(i, noise)| {
        let bright = (i % width) as u32 * CLASSES / width as u32 == labels[i / width];
        (120.0 + noise + if bright { 30.0 } else { 0.0 }) as u8
    });
    let x = Tensor::new([n, width], x.collect::<Vec<_>>()).unwrap();
    Dataset::new(x, Tensor::new([n], labels).unwrap()).unwrap()
}

fn model(device: &Device, width: usize) -> Sequential {
    compiled(Sequential::new().add(Input::new([width])), device)
}

/// The same with numbers that are drawn at each step.
fn noisy(device: &Device, width: usize) -> Sequential {
    compiled(Sequential::new().add(Input::new([width])).add(Dropout::new(0.1)), device)
}

fn compiled(model: Sequential, device: &Device) -> Sequential {
    let mut model = model.add(Dense::new(CLASSES as usize).activation(Activation::Softmax)).device(device.clone());
    model.compile(Adam::default(), Loss::SparseCategoricalCrossentropy, [Metric::Accuracy]).unwrap();
    model
}

/// What a run gives: weights, losses by batch, values by epoch, scores of the whole set.
fn outcome(device: &Device, data: &dyn Source, fit: Fit<'_>) -> String {
    let mut model = noisy(device, 785);
    let history = model.fit(data, fit.verbose(0)).unwrap();
    let scores = model.evaluate(data).unwrap();
    format!("{:?} {history:?} {scores:?}", model.weights().unwrap())
}

/// Rows of 785 bytes, which are padded on a GPU, in chunks of 8 MiB: three of them, the last with a short batch.
#[test]
fn a_streamed_set_trains_to_the_same_bits() {
    let set = bytes(23_456, 785);
    for device in devices() {
        let settings = || Fit::new().epochs(2).batch_size(128).validation_split(0.05).seed(4);
        let streamed = Streamed::new(&set);
        assert_eq!(outcome(&device, &set, settings()), outcome(&device, &streamed, settings()), "{device}");
        // The first row twice for their types; an epoch three chunks and one for validation; evaluation three.
        assert_eq!(streamed.reads.load(Ordering::Relaxed), 1 + 1 + 2 * (3 + 1) + 1 + 1 + 3, "{device}");
    }
}

/// With a validation set of its own, in the file's order, step by step, and with floats as targets.
#[test]
fn a_streamed_set_trains_to_the_same_bits_step_by_step() {
    let (set, other) = (bytes(500, 785), bytes(300, 785));
    let streamed = [Streamed::new(&set), Streamed::new(&other)];
    for device in devices() {
        let settings = || Fit::new().epochs(2).batch_size(64).shuffle(false).check_finite(CheckFinite::Step);
        let resting = outcome(&device, &set, settings().validation_data(&other));
        assert_eq!(resting, outcome(&device, &streamed[0], settings().validation_data(&streamed[1])), "{device}");
        let batches = LambdaCallback::new().on_batch_end(|_| Ok(()));
        let looked_at = settings().validation_data(&other).callback(batches).check_finite(CheckFinite::Off);
        assert_eq!(resting, outcome(&device, &streamed[0], looked_at), "{device}");
    }
}

/// The square of one target passes f32 while the weights stay what they are: the step is looked at once more, when its
/// rows are on the device no longer.
#[test]
fn a_loss_that_is_lost_is_traced_alike() {
    let set = bytes(23_456, 785);
    let mut targets = vec![0.0f32; 23_456];
    targets[10_000] = 1e25;
    let set = Dataset::new(set.x().clone(), Tensor::new([23_456, 1], targets).unwrap()).unwrap();
    for device in devices() {
        let lost = |data: &dyn Source| {
            let mut model = Sequential::new().add(Dense::new(1)).device(device.clone());
            let sgd = Sgd { learning_rate: 1e-30, ..Sgd::default() };
            model.compile(sgd, Loss::MeanSquaredError, []).unwrap();
            model.fit(data, Fit::new().shuffle(false).batch_size(128).verbose(0)).unwrap_err().to_string()
        };
        let streamed = lost(&Streamed::new(&set));
        let parts = ["epoch 1, step 79: ", "the loss is inf", "with the weights of the epoch's end, the loss: "];
        assert!(parts.iter().all(|part| streamed.contains(part)), "{streamed}");
        assert_eq!(streamed, lost(&set), "{device}");
    }
}

#[test]
fn a_sources_error_ends_the_training() {
    let set = bytes(40, 785);
    let refused = |data: &dyn Source, parts: &[&str]| {
        let refusal =
            model(&Device::cpu(), 785).fit(data, Fit::new().shuffle(false).verbose(0)).unwrap_err().to_string();
        assert!(parts.iter().all(|part| refusal.contains(part)), "{refusal}");
    };
    let broken = |rows: &[usize]| match rows.iter().find(|&&row| row == 33) {
        Some(_) => Err(Error::argument("row 33", "the disk is gone")),
        None => set.subset(rows),
    };
    refused(&Made { len: 40, read: broken }, &["row 33: the disk is gone"]);
    let fewer = |rows: &[usize]| set.subset(&rows[..rows.len().min(3)]);
    refused(&Made { len: 40, read: fewer }, &["Source: read gave samples u8 (3, 785)", "u8 (40, 785)"]);
    let floats = |rows: &[usize]| {
        let set = set.subset(rows)?;
        let x = if rows.len() > 1 { set.x().astype(kiln::DType::F32) } else { set.x().clone() };
        Dataset::new(x, set.y().clone())
    };
    refused(&Made { len: 40, read: floats }, &["read gave samples f32 (40, 785)", "u8 (40, 785)"]);
    let labelled = |rows: &[usize]| {
        let labels = rows.iter().map(|&row| if row == 7 { CLASSES } else { 0 }).collect::<Vec<_>>();
        Dataset::new(set.x().take(rows)?, Tensor::new([rows.len()], labels)?)
    };
    refused(&Made { len: 40, read: labelled }, &["row 7 has label 8"]);
    refused(&Made { len: 0, read: |_: &[usize]| unreachable!("it has no rows") }, &["the source has no samples"]);
}

/// Where a set in memory is larger than the device's buffers may be, it streams of its own accord.
#[cfg(feature = "gpu")]
#[test]
fn a_set_larger_than_the_devices_buffers_streams() {
    let device = crate::common::adapter();
    let limit = device.largest_buffer().expect("an adapter has a limit") as usize;
    // Real GPUs allow gigabytes.
    if limit > 256 << 20 {
        return;
    }
    let (width, rows) = (4096, limit / 4096 + 1000);
    let x: Vec<u8> = (0..rows * width).map(|i| (i * 31 / 7 % 251) as u8).collect();
    let y: Vec<u32> = (0..rows as u32).map(|row| row % CLASSES).collect();
    let set = Dataset::new(Tensor::new([rows, width], x).unwrap(), Tensor::new([rows], y).unwrap()).unwrap();
    let trained = |data: &dyn Source| {
        let mut model = model(&device, width);
        model.fit(data, Fit::new().batch_size(1024).verbose(0)).unwrap();
        model.weights().unwrap()
    };
    assert_eq!(trained(&set), trained(&Streamed::new(&set)));
    let mut model = model(&device, width);
    let all = model.predict(set.x()).unwrap();
    assert_eq!(all.rows(), rows);
    let last = set.subset(&(rows - 7..rows).collect::<Vec<_>>()).unwrap();
    let wanted = model.predict(last.x()).unwrap();
    assert_eq!(all.take(&(rows - 7..rows).collect::<Vec<_>>()).unwrap(), wanted);
}

/// Of two thirds of the set's size.
#[test]
fn a_set_larger_than_the_devices_memory_streams() {
    let set = bytes(23_456, 785);
    for device in devices() {
        let limited = device.clone().with_memory_limit(23_456 * 785 * 2 / 3);
        let trained = |device: &Device| {
            let mut model = model(device, 785);
            let fit = Fit::new().batch_size(128).validation_split(0.05).seed(4).verbose(0);
            let history = model.fit(&set, fit).unwrap();
            (history, model.weights().unwrap())
        };
        assert_eq!(trained(&device), trained(&limited), "{device}");
        // Room for one chunk of 8 MiB or the smaller set, not for both.
        let limited = device.clone().with_memory_limit(16 << 20);
        let test = set.subset(&(0..12_000).collect::<Vec<_>>()).unwrap();
        let [roomy, narrow] = [&device, &limited].map(|device| {
            let mut model = model(device, 785);
            model.fit(&set, Fit::new().batch_size(128).verbose(0)).unwrap();
            (model.evaluate(&test).unwrap(), model.predict(test.x()).unwrap())
        });
        assert_eq!(roomy, narrow, "{device}");
        let error = model(&device.with_memory_limit(10_000), 785).fit(&set, Fit::new()).unwrap_err();
        assert!(matches!(error, Error::Memory { .. }), "{error}");
        assert!(error.to_string().contains("no memory for the buffer of params"), "{error}");
    }
}

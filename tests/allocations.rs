//! A training step on the CPU asks for no memory, and a model for little more than its weights take. In a binary of its own,
//! because it counts for the whole process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use kiln::nn::optimizer;
use kiln::prelude::*;

/// The system's memory, counted.
struct Counting;

/// How often memory was asked for.
static CALLS: AtomicUsize = AtomicUsize::new(0);
/// Bytes that are held, the most of them that ever were, and all that were asked for.
static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static ASKED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator does everything.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(held, Ordering::Relaxed);
        ASKED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What is counted is counted for one test at a time.
static ONE_TEST: Mutex<()> = Mutex::new(());

/// What a model learns: numbers or classes, of so many rows.
type Targets = fn(usize) -> Tensor;

fn numbers(rows: usize) -> Tensor {
    Tensor::new([rows, 1], (0..rows).map(|i| (i % 3) as f32).collect::<Vec<_>>()).unwrap()
}

fn classes(rows: usize) -> Tensor {
    Tensor::new([rows], (0..rows).map(|i| (i % 3) as u8).collect::<Vec<_>>()).unwrap()
}

/// After each epoch of a training in so many steps: how often memory was asked for, and bytes held.
fn train(model: &mut Sequential, targets: Targets, [epochs, steps, batch]: [usize; 3]) -> Vec<[usize; 2]> {
    let rows = steps * batch;
    let x = Tensor::new([rows, 6], (0..rows * 6).map(|i| (i % 251) as u8).collect::<Vec<_>>()).unwrap();
    let mut counts = vec![[0; 2]; epochs];
    let count = |epoch, _: &_| counts[epoch - 1] = [&CALLS, &HELD].map(|count| count.load(Ordering::Relaxed));
    let fit = Fit::new().epochs(epochs).batch_size(batch).verbose(0).on_epoch_end(count);
    model.fit(&Dataset::new(x, targets(rows)).unwrap(), fit).unwrap();
    counts
}

/// How much more often an epoch of 8,000 steps more asks for memory.
fn calls_of_8000_steps(model: &mut Sequential, targets: Targets, batch: usize) -> usize {
    let [few, many] = [16, 8016].map(|steps| {
        let counts = train(model, targets, [3, steps, batch]);
        counts[2][0] - counts[1][0]
    });
    many.saturating_sub(few)
}

/// Rayon's queue takes a block of memory for each 63 entries to the pool, of 16 steps each. The rest is for what its
/// threads do for the first time some time.
const MOST_CALLS: usize = 8000 / 16 / 63 + 1 + 16;

/// A batch of one, whose products the gemm crate computes without packing: what it packs into is no step's own.
#[test]
fn a_step_asks_for_no_memory() {
    let _one = ONE_TEST.lock();
    for name in optimizer::NAMES {
        let mut model = Sequential::new().add(Reshape::new([2, 3])).add(Permute::new([2, 1])).add(Flatten);
        model = model.add(Dense::new(5).activation(Activation::Relu)).add(Dropout::new(0.2));
        model = model.add(Dense::new(5).activation(Activation::Gelu)).add(Dense::new(1)).device(Device::cpu());
        model.compile(optimizer::by_name(name).unwrap(), Loss::MeanSquaredError, [Metric::MeanAbsoluteError]).unwrap();
        let calls = calls_of_8000_steps(&mut model, numbers, 1);
        assert!(calls <= MOST_CALLS, "{name}: 8,000 steps ask for memory {calls} times");
    }
}

fn classifier(units: usize) -> Sequential {
    let hidden = Dense::new(units).activation(Activation::Relu);
    let output = Dense::new(3).activation(Activation::Softmax);
    let mut model = Sequential::new().add(hidden).add(output).device(Device::cpu());
    model.compile(RmsProp::default(), Loss::SparseCategoricalCrossentropy, [Metric::Accuracy]).unwrap();
    model
}

/// So many units that their loops run on all threads.
#[test]
fn nor_does_one_on_many_threads() {
    let _one = ONE_TEST.lock();
    let calls = calls_of_8000_steps(&mut classifier(4096), classes, 1);
    assert!(calls <= MOST_CALLS, "8,000 steps ask for memory {calls} times");
}

/// For each of a step's five products the gemm crate asks for a list and for memory to pack into.
#[test]
fn a_step_asks_for_no_more_than_its_products_do() {
    let _one = ONE_TEST.lock();
    let calls = calls_of_8000_steps(&mut classifier(5), classes, 32);
    assert!(calls <= 8000 * 5 * 2 + MOST_CALLS, "8,000 steps ask for memory {calls} times");
}

/// The history keeps the loss of each step, in a list that doubles as it grows, and a row for each epoch.
#[test]
fn memory_stays_level_over_10000_steps() {
    let _one = ONE_TEST.lock();
    let counts = train(&mut classifier(100), classes, [11, 1000, 32]);
    let grown = counts[10][1].abs_diff(counts[0][1]);
    assert!(grown < 10_000 * 2 * 8 + 10_000, "{grown} bytes in 10,000 steps: {counts:?}");
}

/// What `f` holds at its peak beyond what was held before, and all that it asks for.
fn bytes_of<T>(f: impl FnOnce() -> T) -> (T, [usize; 2]) {
    let (held, asked) = (HELD.load(Ordering::Relaxed), ASKED.load(Ordering::Relaxed));
    PEAK.store(held, Ordering::Relaxed);
    let result = f();
    (result, [PEAK.load(Ordering::Relaxed) - held, ASKED.load(Ordering::Relaxed) - asked])
}

/// A kernel of a million weights, with what else there is beside it.
#[test]
fn weights_are_made_and_replaced_in_nine_bytes_each() {
    let _one = ONE_TEST.lock();
    let rest = 200_000;
    for initializer in
        [Initializer::GlorotUniform, Initializer::HeNormal, Initializer::RandomUniform { minval: 1.0, maxval: 2.0 }]
    {
        let layer = Dense::new(1000).kernel_initializer(initializer);
        let mut model = Sequential::new().add(Input::new([1000])).add(layer).device(Device::cpu());
        let count = model.summary().unwrap().parameters();
        // The device is opened by whatever reads from it.
        let (_, [peak, _]) = bytes_of(|| model.weight("dense/bias").unwrap());
        assert!((4 * count..9 * count + rest).contains(&peak), "{initializer:?}: {peak} bytes to make {count} weights");
        let weights = model.weights().unwrap();
        let (_, [peak, asked]) = bytes_of(|| model.set_weights(&weights).unwrap());
        assert!(peak.max(asked) < count, "{peak} bytes held, {asked} asked for to replace {count} weights");
    }
}

/// As many bytes a weight in eighty small layers as in one large one.
#[test]
fn reading_weights_and_gradients_back_is_linear() {
    let _one = ONE_TEST.lock();
    let layers = (0..80).fold(Sequential::new().add(Input::new([50])), |model, _| model.add(Dense::new(50)));
    let mut model = layers.device(Device::cpu());
    let count = model.summary().unwrap().parameters();
    model.gradients().unwrap();
    for read in [Model::weights, Model::gradients] {
        let (tensors, [_, asked]) = bytes_of(|| read(&mut model).unwrap());
        assert_eq!(tensors.iter().map(|t| t.shape().len()).sum::<usize>(), count);
        assert!((8 * count..9 * count).contains(&asked), "{asked} bytes asked for to read {count} weights");
    }
}

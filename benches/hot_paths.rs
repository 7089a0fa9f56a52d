//! Guards of what training spends its time in: each op of a step, whole steps, predictions, reading data, compiling a plan.
//!
//! `cargo bench` takes about a minute; BENCHMARKS.md says how a run is compared with one of another commit.
//! `KILN_TEST_DEVICE` names the adapter of the last group; where there is none it is left out.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use kiln::DType;
use kiln::bench::{Ready, products, synthetic};
use kiln::data::{read_idx, write_idx};
use kiln::nn::optimizer::{self, SCALARS};
use kiln::ops::Epilogue;
use kiln::ops::activation::{Activate, ActivateGrad, Function};
use kiln::ops::binary::Binary;
use kiln::ops::case::{self, Case, random};
use kiln::ops::curve::{Bend, Curve};
use kiln::ops::dropout;
use kiln::ops::gather::Gather;
use kiln::ops::matmul::MatMul;
use kiln::ops::softmax::Softmax;
use kiln::ops::softmax_cross_entropy::SoftmaxCrossEntropyStep;
use kiln::ops::sum::SumPair;
use kiln::ops::{Op, record};
use kiln::prelude::*;

type Group<'a> = BenchmarkGroup<'a, criterion::measurement::WallTime>;

/// Parameters of 784-512-10, padding included.
const PARAMETERS: usize = 407_104;
/// The batch and the units of a hidden layer.
const ACTIVATIONS: [usize; 2] = [128, 512];

fn run(group: &mut Group<'_>, name: &str, device: &Device, case: &Case) {
    let mut ready = Ready::new(device, case).expect(name);
    group.bench_function(name, |b| b.iter_custom(|times| ready.run(times as usize).expect(name)));
}

/// An op's time, by the elements of its first input.
fn op(group: &mut Group<'_>, name: &str, op: impl Op, inputs: Vec<Tensor>) {
    group.throughput(Throughput::Elements(inputs[0].shape().len() as u64));
    run(group, name, &Device::cpu(), &Case::new(name, op, inputs));
}

/// Those of layers at the batches of training, and one square; on the adapter those of one batch.
fn bench_products(group: &mut Group<'_>, device: &Device, batches: &[usize]) {
    for product in products() {
        let [m, n, k] = product.extents;
        let wanted = match product.what {
            "square" => m == 512,
            "dW" => batches.contains(&k),
            _ => batches.contains(&m),
        };
        if wanted {
            let [a, b] = product.transposed;
            let inputs = vec![random(if a { [k, m] } else { [m, k] }, 1), random(if b { [n, k] } else { [k, n] }, 2)];
            let name = format!("{} {m}x{n}x{k}", product.what);
            group.throughput(Throughput::Elements(2 * (m * n * k) as u64));
            run(group, &name, device, &Case::new(&name, MatMul::new(a, b), inputs));
        }
    }
}

fn bench_small_products(group: &mut Group<'_>) {
    let inputs = |a, b| vec![random(a, 1), random(b, 2)];
    op(group, "output layer 128x10x512", MatMul::new(false, false), inputs([128, 512], [512, 10]));
    op(group, "output layer dW 512x10x128", MatMul::new(true, false), inputs([128, 512], [128, 10]));
    op(group, "output layer dX 128x512x10", MatMul::new(false, true), inputs([128, 10], [512, 10]));
    let relu = Epilogue::Activate { bias: true, activation: Function::Relu };
    let fused = MatMul { epilogue: relu, ..MatMul::new(false, false) };
    let inputs = vec![random([128, 784], 1), random([784, 512], 2), random([512], 3)];
    op(group, "forward 128x512x784 with bias and relu", fused, inputs);
}

/// A loop that the compiler makes no vectors of takes several times as long.
fn bench_optimizers(group: &mut Group<'_>) {
    let rms = RmsProp::default();
    let variants: [(&str, Box<dyn Optimizer>); 5] = [
        ("sgd, momentum", Box::new(Sgd { momentum: 0.9, ..Sgd::default() })),
        ("sgd, nesterov", Box::new(Sgd { momentum: 0.9, nesterov: true, ..Sgd::default() })),
        ("rmsprop, centred", Box::new(RmsProp { centered: true, ..rms })),
        ("rmsprop, centred, momentum", Box::new(RmsProp { centered: true, momentum: 0.9, ..rms })),
        ("adam, amsgrad", Box::new(Adam { amsgrad: true, ..Adam::default() })),
    ];
    let named = optimizer::NAMES.map(|name| (name, optimizer::by_name(name).expect("a name of the list")));
    for (name, optimizer) in named.into_iter().chain(variants) {
        let arena = |seed| random([PARAMETERS], seed);
        let schedule = Tensor::new([1, SCALARS], optimizer.scalars(1).map(|s| s as f32).to_vec()).expect("a row");
        let targets = (0..=optimizer.moments()).map(|i| arena(2 + i as u64)).collect();
        let inputs = vec![arena(1), schedule, case::clock(0, 0)];
        let case = Case { op: optimizer.update(), ..Case::new(name, Softmax, inputs).changes(targets) };
        group.throughput(Throughput::Elements(PARAMETERS as u64));
        run(group, name, &Device::cpu(), &case);
    }
}

fn bench_elementwise(group: &mut Group<'_>) {
    let two = || vec![random(ACTIVATIONS, 1), random(ACTIVATIONS, 2)];
    let one = || vec![random(ACTIVATIONS, 1)];
    for function in [Function::Relu, Function::Sigmoid, Function::Tanh, Function::Selu] {
        op(group, function.name(), Activate(function), one());
        op(group, &format!("gradient of {}", function.name()), ActivateGrad(function), two());
    }
    op(group, "gelu", Bend(Curve::Gelu), one());
    op(group, "softplus", Bend(Curve::Softplus), one());
    op(group, "add", Binary::Add, two());
    op(group, "add a bias", Binary::Add, vec![random(ACTIVATIONS, 1), random([ACTIVATIONS[1]], 2)]);
    let dropout = dropout::Dropout::new(0.5, 1);
    op(group, "dropout", dropout, vec![random(ACTIVATIONS, 1), case::clock(0, 0)]);
    op(group, "bias gradients", SumPair, vec![random(ACTIVATIONS, 1), random([ACTIVATIONS[0], 10], 2)]);
}

fn bench_batch_and_loss(group: &mut Group<'_>) {
    const BATCH: usize = 128;
    let data = |width, below| case::integers([1000, width], below, DType::U8, 1);
    let order = case::integers([BATCH], 1000, DType::U32, 2);
    let gather = Gather { batch: BATCH, scales: vec![1.0 / 255.0] };
    op(group, "gather 128 rows of 784 bytes", gather, vec![data(784, 256), order, case::clock(0, 0)]);
    let labels = case::integers([BATCH], 10, DType::U32, 3);
    let inputs = || vec![random([BATCH, 10], 1), labels.clone(), random([BATCH], 4)];
    op(group, "softmax cross-entropy, its gradient, accuracy", SoftmaxCrossEntropyStep, inputs());
    op(group, "softmax", Softmax, vec![random([BATCH, 10], 1)]);
    let targets = vec![random([1, 2], 5), case::clock(0, 0)];
    let columns = vec![random([BATCH], 6), random([BATCH], 7)];
    let record = Case::new("record", record::Record { ends: None }, columns).changes(targets);
    group.throughput(Throughput::Elements(2 * BATCH as u64));
    run(group, "record loss and accuracy", &Device::cpu(), &record);
}

fn model(units: usize, device: &Device) -> Sequential {
    let hidden = Dense::new(units).activation(Activation::Relu);
    let output = Dense::new(10).activation(Activation::Softmax);
    let mut model = Sequential::new().add(Flatten).add(hidden).add(output).device(device.clone());
    model.compile(RmsProp::default(), Loss::SparseCategoricalCrossentropy, [Metric::Accuracy]).expect("a model");
    model.build([28, 28]).expect("a model");
    model
}

/// Epochs of so many steps, what is done once an epoch included.
fn bench_steps(group: &mut Group<'_>, device: &Device, steps: usize) {
    for (units, batch) in [(512, 128), (100, 32)] {
        let (mut model, data) = (model(units, device), synthetic(steps * batch));
        let fit = |epochs| Fit::new().epochs(epochs).batch_size(batch).verbose(0);
        model.fit(&data, fit(1)).expect("trains");
        group.throughput(Throughput::Elements(steps as u64));
        group.bench_function(format!("{steps} steps of 784-{units}-10, batch {batch}"), |b| {
            b.iter_custom(|times| {
                let start = Instant::now();
                model.fit(&data, fit(times as usize)).expect("trains");
                start.elapsed()
            });
        });
    }
}

/// One sample a question, from as many threads as ask at one time; the time is that of a question among all.
fn bench_predictor(group: &mut Group<'_>, device: &Device) {
    let (predictor, x) = (model(100, device).predictor().expect("built"), synthetic(1).x().clone());
    predictor.predict(&x).expect("answers");
    group.throughput(Throughput::Elements(1));
    for threads in [1, 2] {
        group.bench_function(format!("784-100-10 asked by {threads}"), |b| {
            b.iter_custom(|times| {
                let ask = || (0..times.div_ceil(threads)).for_each(|_| drop(predictor.predict(&x).expect("answers")));
                let start = Instant::now();
                std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(ask))));
                start.elapsed()
            });
        });
    }
}

/// A record of a table, from names and values to classes and their probabilities.
#[cfg(feature = "csv")]
fn bench_record(group: &mut Group<'_>) {
    use kiln::table::{TableModel, TableOptions};
    let zoo = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/zoo.csv");
    let csv = kiln::data::Csv::new().label("type").without(["name"]);
    let table = TableOptions::new(csv).standardize(true).open([zoo]).expect("it is there");
    let (preprocessor, split) = table.prepare(&table.split().expect("parts")).expect("samples");
    let mut model = Sequential::new().add(Dense::new(100).activation("relu")).add(Dense::new(7).activation("softmax"));
    model = model.device(Device::cpu());
    model.build(split.train.sample_shape()).expect("built");
    let zoo = TableModel::new(preprocessor, &mut model).expect("asked");
    let columns = zoo.preprocessor().encoding().columns().map(|(name, _)| (name, 1.0));
    let record: Vec<(&str, f64)> = columns.collect();
    group.throughput(Throughput::Elements(1));
    group
        .bench_function("16 columns, 16-100-7", |b| b.iter(|| zoo.predict(record.iter().copied()).expect("an answer")));
}

fn bench_start(group: &mut Group<'_>) {
    let folder = tempfile::tempdir().expect("a folder");
    let images = folder.path().join("images");
    write_idx(&images, synthetic(10_000).x()).expect("written");
    group.throughput(Throughput::Bytes(7_840_000));
    group.bench_function("read 10,000 images, IDX", |b| b.iter(|| read_idx(&images).expect("read")));
    group.throughput(Throughput::Elements(1));
    let model = model(512, &Device::cpu());
    group.bench_function("compile a training plan", |b| {
        b.iter(|| black_box(&model).training_plan(128, 60_000).expect("a plan"));
    });
}

fn adapter() -> Option<Device> {
    let request = std::env::var("KILN_TEST_DEVICE").unwrap_or_else(|_| "gpu".into());
    Device::choose(&request).ok().map(|choice| choice.device).filter(Device::is_gpu)
}

fn all(criterion: &mut Criterion) {
    let cpu = Device::cpu();
    let mut in_group = |name: &str, bench: &dyn Fn(&mut Group<'_>)| {
        let mut group = criterion.benchmark_group(name);
        bench(&mut group);
        group.finish();
    };
    in_group("products", &|group| bench_products(group, &cpu, &[32, 128]));
    in_group("small products", &bench_small_products);
    in_group("optimizers", &bench_optimizers);
    in_group("element-wise", &bench_elementwise);
    in_group("batch and loss", &bench_batch_and_loss);
    in_group("steps", &|group| bench_steps(group, &cpu, 10));
    in_group("predictor", &|group| bench_predictor(group, &cpu));
    #[cfg(feature = "csv")]
    in_group("record", &bench_record);
    in_group("start", &bench_start);
    match adapter() {
        Some(adapter) => in_group("adapter", &|group| {
            bench_products(group, &adapter, &[128]);
            bench_steps(group, &adapter, 4);
            bench_predictor(group, &adapter);
        }),
        None => eprintln!("no adapter: without its benches"),
    }
}

/// Short, because they are many: a loop that takes several times as long shows in one run, a tenth in several alone.
fn short() -> Criterion {
    let time = Duration::from_millis;
    Criterion::default()
        .sample_size(20)
        .warm_up_time(time(200))
        .measurement_time(time(600))
        .nresamples(10_000)
        .noise_threshold(0.05)
}

criterion_group!(name = hot_paths; config = short(); targets = all);
criterion_main!(hot_paths);

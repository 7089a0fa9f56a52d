//! What several tests need.

use kiln::device::Device;
use kiln::graph::Id;
use kiln::nn::Scope;
use kiln::ops::binary::Binary;
use kiln::prelude::*;
use kiln::tensor::{Shape, Tensor};
use serde_json::Value;

#[path = "../kernels/common.rs"]
mod of_kernels;

pub use of_kernels::*;

/// What models train on: the processor and the adapter under test.
pub fn devices() -> Vec<Device> {
    vec![
        Device::cpu(),
        #[cfg(feature = "gpu")]
        adapter(),
    ]
}

/// What computes: the reference, and what models train on.
pub fn executors() -> Vec<Device> {
    [vec![Device::reference()], devices()].concat()
}

/// That a result is an error whose text has these parts.
#[track_caller]
pub fn says<T>(result: kiln::Result<T>, parts: &[&str]) {
    let text = result.err().expect("an error").to_string();
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
    assert!(!text.contains('\n'), "more than a line: {text}");
}

/// Classes of layers of several inputs alike.
pub const MERGES: [&str; 10] = [
    "Add",
    "AdditiveAttention",
    "Attention",
    "Average",
    "Concatenate",
    "Dot",
    "Maximum",
    "Minimum",
    "Multiply",
    "Subtract",
];

/// A fixture, parsed.
pub fn fixture(name: &str) -> Value {
    let path = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(&path).expect(&path)).expect(&path)
}

/// A fixture's list of numbers.
pub fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().unwrap_or_else(|| panic!("expected a list: {value}"));
    list.iter().map(|x| x.as_f64().expect("a number")).collect()
}

/// A fixture's list of numbers in f32, as a tensor.
pub fn tensor(shape: impl Into<Shape>, values: &Value) -> Tensor {
    Tensor::new(shape, numbers(values).iter().map(|&x| x as f32).collect::<Vec<_>>()).unwrap()
}

/// A fixture's tensor: its shape and its values.
pub fn shaped(of: &Value) -> Tensor {
    let shape: Vec<usize> = numbers(&of["shape"]).iter().map(|&extent| extent as usize).collect();
    tensor(shape, &of["values"])
}

/// The same with all digits of its values, as f64.
pub fn precise(of: &Value) -> Tensor {
    let shape: Vec<usize> = numbers(&of["shape"]).iter().map(|&extent| extent as usize).collect();
    Tensor::new(shape, numbers(&of["values"])).unwrap()
}

/// Samples plus a weight of a sample's shape, whose gradient is what goes back to the samples.
#[derive(Debug)]
pub struct Shift;

impl Layer for Shift {
    fn kind(&self) -> &'static str {
        "Shift"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        let sample = scope.graph.shape(x)[1..].to_vec();
        let shift = scope.parameter("shift", sample, Initializer::Zeros)?;
        Ok(vec![scope.graph.apply(Binary::Add, &[x, shift])?])
    }

    fn supports_masking(&self) -> bool {
        true
    }
}

/// The sines of so many numbers, each `by` behind the last, as a tensor.
pub fn sines(rows: usize, columns: usize, by: f32) -> Tensor {
    Tensor::new([rows, columns], (0..rows * columns).map(|i| (i as f32 * by).sin()).collect::<Vec<_>>()).unwrap()
}

/// The optimizer that a fixture's case has, with the words of the weights that it lets decay.
pub fn optimizer_of(config: &Value, excluded: &Value) -> Box<dyn Optimizer> {
    let get = |name: &str| config[name].as_f64();
    let learning_rate = get("learning_rate").unwrap();
    let weight_decay = get("weight_decay").unwrap_or(0.0);
    let mut made: Box<dyn Optimizer> = match config["class"].as_str().unwrap() {
        "SGD" => {
            let momentum = get("momentum").unwrap_or(0.0);
            Box::new(Sgd { learning_rate, momentum, weight_decay, ..Sgd::default() })
        }
        _ => Box::new(Adam { learning_rate, weight_decay, ..Adam::default() }),
    };
    if let Some(limit) = get("clipvalue") {
        made = Box::new(made.clip_value(limit));
    }
    if let Some(limit) = get("clipnorm") {
        made = Box::new(made.clip_norm(limit));
    }
    if let Some(limit) = get("global_clipnorm") {
        made = Box::new(made.global_clip_norm(limit));
    }
    if let Some(use_ema) = config["use_ema"].as_bool() {
        made = Box::new(made.use_ema(use_ema));
    }
    if let Some(momentum) = get("ema_momentum") {
        made = Box::new(made.ema_momentum(momentum));
    }
    if let Some(updates) = config["ema_overwrite_frequency"].as_u64() {
        made = Box::new(made.ema_overwrite_frequency(updates));
    }
    if let Some(steps) = config["gradient_accumulation_steps"].as_u64() {
        made = Box::new(made.gradient_accumulation_steps(steps));
    }
    let decay = &config["decay"];
    if let Some(steps) = decay["decay_steps"].as_u64() {
        let decay = ExponentialDecay::new(learning_rate, steps, decay["decay_rate"].as_f64().unwrap());
        made = Box::new(Scheduled::new(made, decay));
    }
    let excluded: Vec<&str> = excluded.as_array().into_iter().flatten().map(|word| word.as_str().unwrap()).collect();
    if excluded.is_empty() { made } else { Box::new(made.exclude_from_weight_decay(excluded)) }
}

/// That a number is Keras', but for a share of it.
#[track_caller]
pub fn assert_near(found: f64, wanted: f64, limit: f64, who: &str) {
    let off = (found / wanted - 1.0).abs();
    assert!(off < limit, "{who}: {found}, Keras has {wanted}, {off:e} off");
}

/// What a layer gives of a batch in training, in the first step of a model of the default seed.
pub fn trained_on(layer: impl Layer + 'static, x: &Tensor, device: &Device) -> Tensor {
    let sample = &x.shape()[1..];
    let mut model = Sequential::new().add(Input::new(sample)).add(layer).add(Kept(x.rows())).device(device.clone());
    model.compile(Sgd::default(), Loss::MeanSquaredError, []).unwrap();
    let given = model.summary().unwrap().rows.last().unwrap().outputs[0].clone();
    let shape = [&[x.rows()], &given[1..]].concat();
    let y = Tensor::new(&shape[..], vec![0.0f32; shape.iter().product()]).unwrap();
    let fit = Fit::new().batch_size(x.rows()).shuffle(false).verbose(0);
    model.fit(&Dataset::new(x.clone(), y).unwrap(), fit).unwrap();
    model.weights().unwrap().pop().unwrap()
}

/// Keeps a batch of so many samples that it was given in training as a state.
#[derive(Debug)]
struct Kept(usize);

impl Layer for Kept {
    fn kind(&self) -> &'static str {
        "Kept"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        let shape = [&[self.0], &scope.graph.shape(x)[1..]].concat();
        let weight = scope.parameter("w", [1], Initializer::Ones)?;
        scope.state("batch", shape.clone(), Initializer::Zeros)?;
        if scope.training().is_some() && scope.graph.shape(x)[0] == self.0 {
            scope.set_state("batch", x)?;
        }
        Ok(vec![scope.graph.apply(Binary::Mul, &[x, weight])?])
    }
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|x| x * x).sum::<f64>().sqrt()
}

/// How far a tensor lies from what is wanted, as a share of the way from its start: |w - w_wanted| / |w_wanted - w_0|.
pub fn distance(found: &[f64], wanted: &[f64], start: &[f64]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    let moved = norm(wanted.iter().zip(start).map(|(w, s)| w - s));
    norm(found.iter().zip(wanted).map(|(f, w)| f - w)) / moved
}

/// That a weight is Keras'; one that Keras left where it was is there to the bit.
#[track_caller]
pub fn assert_weight(found: &[f64], wanted: &[f64], start: &[f64], limit: f64, who: &str) {
    if wanted == start {
        assert_eq!(found, start, "{who} has moved");
        return;
    }
    let apart = distance(found, wanted, start);
    assert!(apart < limit, "{who} is {apart:e} from Keras");
}

const PARITY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/keras-parity.md");

/// Under `KILN_WRITE_DOCS=1`, writes one section of the parity document anew and leaves the others as they are.
#[cfg(feature = "gpu")]
pub fn write_parity(heading: &str, text: impl FnOnce() -> String) {
    // Tests run at once, and each rewrites the whole file.
    static FILE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    if std::env::var_os("KILN_WRITE_DOCS").is_none() {
        return;
    }
    let section = format!("{heading}\n\n{}", text());
    let _file = FILE.lock().unwrap();
    let old = std::fs::read_to_string(PARITY).unwrap_or_default();
    let others = old.split("\n## ").skip(1).filter(|s| s.lines().next() != Some(heading));
    let mut sections: Vec<String> = others.map(|s| s.trim_end().to_string() + "\n").chain([section]).collect();
    sections.sort();
    let head = format!(
        "# How far Kiln is from Keras\n\nWritten by `KILN_WRITE_DOCS=1 cargo test --all-features the_table`; do not edit. \
         The adapter was {}.\n",
        adapter()
    );
    let sections = sections.iter().map(|s| format!("\n## {s}")).collect::<String>();
    std::fs::write(PARITY, head + &sections).expect(PARITY);
}

/// That the parity document has a row for each name.
pub fn assert_parity_lists(names: &[&str]) {
    // A packaged crate has no docs.
    let Ok(docs) = std::fs::read_to_string(PARITY) else { return };
    let missing: Vec<_> = names.iter().filter(|name| !docs.contains(&format!("| `{name}` |"))).collect();
    assert!(missing.is_empty(), "{PARITY} lacks {missing:?}; write it anew with KILN_WRITE_DOCS=1");
}

/// An error as the tables of the parity document have it.
#[cfg(feature = "gpu")]
pub fn shown(error: f64) -> String {
    if error == 0.0 { "0".to_string() } else { format!("{error:.1e}") }
}

//! Attention: Keras' own trajectories (`scripts/golden-attention`), memory that grows with the length, what the layers refuse, and that
//! dropping weights makes of none what keeping them does.

use kiln::graph::{Aggregation, Graph, Leaf, Type};
use kiln::nn::layers::Masking;
use kiln::nn::optimizer::Optimizer;
use kiln::nn::{Value, Values};
use kiln::ops::attention::Attention as Attend;
use kiln::ops::{AdapterKind, Target};
use kiln::plan::{Arena, Plan};
use kiln::prelude::*;

use crate::common::{devices, says, sines};
use crate::networks::{Net, follow_keras};

fn heads(heads: usize, key: usize) -> MultiHeadAttention {
    MultiHeadAttention::new(heads, key)
}

fn dense(units: usize, name: &str) -> impl Layer + use<> {
    Dense::new(units).named(name.to_string())
}

/// A model of what comes last, trained by squared errors.
fn by_error(inputs: impl Into<Values>, h: &Value, optimizer: impl Optimizer + 'static) -> Result<Model> {
    let units = if h.shape()[1] == 16 { 3 } else { 2 };
    let mut model = Model::new(inputs, dense(units, "last").apply(h)?)?;
    model.compile(optimizer, Loss::MeanSquaredError, [Metric::MeanAbsoluteError])?;
    Ok(model)
}

fn sgd(learning_rate: f64) -> Sgd {
    Sgd { learning_rate, ..Sgd::default() }
}

fn adam(learning_rate: f64) -> Adam {
    Adam { learning_rate, ..Adam::default() }
}

fn words(x: &Input, words: usize, width: usize, name: &str) -> Result<Value> {
    Embedding::new(words, width).mask_zero(true).named(name).apply(x)
}

fn encoder() -> Result<Model> {
    let x = Input::new([6]).named("tokens");
    let h = words(&x, 9, 8, "words")?;
    let y = heads(2, 3).named("heads").apply([&h, &h])?;
    let h = LayerNormalization::new().named("norm").apply(Add.apply([&h, &y])?)?;
    by_error(&x, &h, sgd(0.125))
}

fn decoder() -> Result<Model> {
    let x = Input::new([7, 6]).named("steps");
    let h = heads(3, 4).use_bias(false).use_causal_mask(true).named("heads").apply(&x)?;
    by_error(&x, &h, adam(0.015_625))
}

fn window() -> Result<Model> {
    let x = Input::new([7, 6]).named("steps");
    let layer = heads(2, 4).use_bias(false).use_gate(true).sliding_window(3).output_shape([3]).use_causal_mask(true);
    let h = layer.named("heads").apply([&x, &x])?;
    by_error(&x, &h, adam(0.015_625))
}

fn across() -> Result<Model> {
    let (source, target) = (Input::new([5]).named("source"), Input::new([4]).named("target"));
    let code = words(&source, 7, 6, "source_words")?;
    let seen = heads(2, 3).named("source_heads").apply([&code, &code])?;
    let code = LayerNormalization::new().named("source_norm").apply(Add.apply([&code, &seen])?)?;
    let h = words(&target, 8, 6, "target_words")?;
    let h = Add.apply([&h, &heads(2, 3).use_causal_mask(true).named("target_heads").apply([&h, &h])?])?;
    let h = Add.apply([&h, &heads(2, 3).named("cross_heads").apply([&h, &code])?])?;
    by_error([&source, &target], &h, sgd(0.062_5))
}

fn given() -> Result<Model> {
    let shapes = [("q", [3, 4]), ("v", [5, 6]), ("k", [5, 4]), ("mask", [3, 5])];
    let inputs = shapes.map(|(name, shape)| Input::new(shape).named(name));
    let h = heads(2, 3).use_bias(false).attention_mask(true).named("heads").apply(&inputs[..])?;
    by_error(&inputs[..], &h, RmsProp { learning_rate: 0.007_812_5, ..RmsProp::default() })
}

fn scores() -> Result<Model> {
    let x = Input::new([5, 4]).named("steps");
    let m = Masking::new(0.5).apply(&x)?;
    let a = dense(4, "of_a").apply(&m)?;
    let forms = [
        Attention::new().named("dot").apply([&a, &m])?,
        Attention::new().use_scale(true).use_causal_mask(true).named("scaled").apply([&a, &m, &a])?,
        Attention::new().concat_scores(true).named("concat").apply([&a, &m])?,
        Attention::new().concat_scores(true).use_scale(true).named("scaled_concat").apply([&m, &a, &a])?,
        AdditiveAttention::new().named("additive").apply([&a, &m])?,
        AdditiveAttention::new().use_scale(false).use_causal_mask(true).named("plain_additive").apply([&a, &m])?,
    ];
    by_error(&x, &Concatenate::new().apply(&forms[..])?, sgd(0.0625))
}

/// Two blocks of width 16 with 4 heads, over 8 tokens.
fn transformer() -> Result<Model> {
    let x = Input::new([8]).named("tokens");
    let mut h = Embedding::new(11, 16).named("words").apply(&x)?;
    let norm = |h: &Value, name: String| LayerNormalization::new().named(name).apply(h);
    for block in ["a", "b"] {
        let y = norm(&h, format!("{block}_norm_1"))?;
        let y = heads(4, 4).use_bias(false).use_causal_mask(true).named(format!("{block}_heads")).apply([&y, &y])?;
        h = Add.apply([&h, &y])?;
        let y = norm(&h, format!("{block}_norm_2"))?;
        let y = Dense::new(32).activation("gelu").named(format!("{block}_wide")).apply(y)?;
        h = Add.apply([&h, &dense(16, &format!("{block}_narrow")).apply(y)?])?;
    }
    by_error(&x, &norm(&h, "norm".into())?, adam(0.007_812_5))
}

#[test]
fn nets_with_attention_follow_keras() {
    let nets: [Net; 7] = [
        ("encoder", encoder),
        ("decoder", decoder),
        ("window", window),
        ("across", across),
        ("given", given),
        ("scores", scores),
        ("transformer", transformer),
    ];
    follow_keras("keras-attention.json", &nets);
}

/// Bytes that an attention of so many steps and its gradients have on a device, between their launches, too.
fn bytes_of(steps: usize) -> usize {
    let mut g = Graph::new();
    let qkv = [0, 1, 2].map(|i| g.leaf(Leaf::Input(i), Type::float([2, steps, 2, 8])));
    let y = Attend { causal: true, ..Attend::new(0.25) }.append(&mut g, qkv, None).unwrap();
    let loss = g.reduce(Aggregation::Sum, y, None, false).unwrap();
    let gradients = g.gradients(loss, &qkv).unwrap();
    gradients.into_iter().enumerate().for_each(|(i, dx)| g.output(i, dx).unwrap());
    let plan = Plan::new("attention", &g.fused(), &Arena::default()).unwrap();
    let target = Target::new(AdapterKind::Software);
    let launches = plan.steps.iter().flat_map(|step| step.op.gpu(&step.io, &target));
    let scratch = launches.map(|launch| launch.scratch()).max().unwrap_or(0);
    plan.buffers.iter().map(|buffer| buffer.len_bytes()).sum::<usize>() + 4 * scratch
}

#[test]
fn memory_grows_with_the_length_and_not_with_its_square() {
    let [some, many] = [64, 6400].map(bytes_of);
    assert!(many <= 100 * some, "{some} bytes for 64 steps, {many} for 6,400");
    // One matrix of weights of a head of a sample alone would have 160 MB.
    assert!(many < 20 << 20, "{many}");
}

/// Attention whose dropped weights are too few to matter is made of ops; it is what the op makes of all of them.
#[test]
fn without_a_dropped_weight_training_is_what_the_op_does() {
    let data =
        Dataset::new(sines(3, 20, 0.7).reshape(&[3, 5, 4]).unwrap(), sines(3, 20, 0.3).reshape(&[3, 5, 4]).unwrap())
            .unwrap();
    for device in devices() {
        let run = |rate: f64| {
            let layer = heads(2, 3).dropout(rate).use_causal_mask(true).sliding_window(4);
            let mut model =
                Sequential::new().add(Input::new([5, 4])).add(Masking::new(9.0)).add(layer).device(device.clone());
            model.compile(sgd(0.5), Loss::MeanSquaredError, []).unwrap();
            model.fit(&data, Fit::new().epochs(3).batch_size(3).verbose(0)).unwrap();
            model.weights().unwrap()
        };
        for (a, b) in run(0.0).iter().zip(run(1e-12)) {
            let apart =
                a.values().to_f64().iter().zip(b.values().to_f64()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(apart < 1e-5, "{device}: {apart}");
        }
    }
}

#[test]
fn weights_are_dropped_in_training_alone() {
    let x = sines(3, 20, 0.7).reshape(&[3, 5, 4]).unwrap();
    let mut model = Sequential::new().add(Input::new([5, 4])).add(heads(2, 3).dropout(0.5)).device(Device::cpu());
    model.compile(sgd(1e-30), Loss::MeanSquaredError, []).unwrap();
    let data = Dataset::new(x.clone(), x).unwrap();
    let evaluated = model.evaluate(&data).unwrap().get("loss").unwrap();
    assert_eq!(evaluated, model.evaluate(&data).unwrap().get("loss").unwrap());
    let trained: Vec<f64> = (0..2).map(|_| model.train_on_batch(&data).unwrap().get("loss").unwrap()).collect();
    assert!(trained[0] != trained[1] && trained[0] != evaluated, "{trained:?}, {evaluated}");
}

#[test]
fn attention_says_what_it_does_not_take() {
    let x = Input::new([5, 4]);
    let of = |layer: MultiHeadAttention| layer.apply([&x, &x]);
    says(of(heads(0, 3)), &["0 heads"]);
    says(of(heads(2, 3).dropout(1.0)), &["the rate 1 is not in 0..1"]);
    says(of(heads(2, 3).sliding_window(0)), &["0 heads, numbers or places"]);
    says(of(heads(2, 3).output_shape([])), &["holds nothing"]);
    says(of(heads(2, 3).kernel_initializer("he_norm")), &["he_normal"]);
    says(heads(2, 3).apply([&x, &x, &x, &x]), &["takes query, value and key", "was given 4 inputs"]);
    says(heads(2, 3).apply(Input::new([4])), &["query (1, 4)", "expected (batch, steps, features)"]);
    says(heads(2, 3).apply([&x, &Input::new([6, 4]), &x]), &["as many steps of values as of keys"]);
    let masked = heads(2, 3).attention_mask(true);
    says(masked.clone().apply([&x, &x, &Input::new([5, 6])]), &["was given a mask of (1, 5, 6)", "(batch, 5, 5)"]);
    says(masked.apply(&x), &["and a mask behind them, was given 1 inputs"]);
    says(Attention::new().apply(&x), &["takes query and value"]);
    says(Attention::new().apply([&x, &Input::new([5, 3])]), &["do not go together"]);
    says(Attention::new().dropout(-0.5).apply([&x, &x]), &["the rate -0.5"]);
}

//! Recurrent layers: Keras' own trajectories (`scripts/golden-recurrent`, and `scripts/golden-stateful` of states that go from batch to batch),
//! how little a plan has of the steps, files, and what does not fit.

use std::sync::Arc;

use kiln::bench::tune::Trial;
use kiln::graph::{Graph, Leaf, Type};
use kiln::nn::layers::{Masking, MergeMode};
use kiln::ops::recurrence::{Cell, Recurrence};
use kiln::ops::sum::Sum;
use kiln::ops::{AdapterKind, Op, Target};
use kiln::plan::{Arena, Plan};
use kiln::prelude::*;

use serde_json::Value;

use crate::common::{distance, executors, fixture, numbers, precise, says};
use crate::networks::{Net, columns, follow_keras};

fn chain() -> Sequential {
    Sequential::new().add(Input::new([6, 3]).named("steps"))
}

fn by_error(mut model: Model) -> Result<Model> {
    let adam = Adam { learning_rate: 0.015_625, ..Adam::default() };
    model.compile(adam, Loss::MeanSquaredError, [Metric::MeanAbsoluteError])?;
    Ok(model)
}

fn ended(chain: Sequential) -> Result<Model> {
    by_error(chain.add(Dense::new(2).named("last")).into_model())
}

fn simple() -> Result<Model> {
    let chain = chain().add(SimpleRnn::new(4).return_sequences(true).named("first"));
    ended(chain.add(SimpleRnn::new(5).use_bias(false).named("second")))
}

fn lstm() -> Result<Model> {
    let second = Lstm::new(3).activation("relu").recurrent_activation("hard_sigmoid").go_backwards(true);
    ended(chain().add(Lstm::new(4).return_sequences(true).named("first")).add(second.named("second")))
}

fn gru() -> Result<Model> {
    ended(chain().add(Gru::new(4).return_sequences(true).named("first")).add(Gru::new(3).named("second")))
}

fn gru_reset_before() -> Result<Model> {
    let first = Gru::new(4).return_sequences(true).reset_after(false).go_backwards(true);
    ended(chain().add(first.named("first")).add(Gru::new(3).reset_after(false).named("second")))
}

fn bidirectional() -> Result<Model> {
    let second = Bidirectional::new(Gru::new(4).return_sequences(true)).merge_mode("mul");
    let chain = chain()
        .add(Bidirectional::new(Lstm::new(3).return_sequences(true)).named("first"))
        .add(second.named("second"))
        .add(Bidirectional::new(SimpleRnn::new(3)).merge_mode(MergeMode::Ave).named("third"));
    ended(chain)
}

fn masked() -> Result<Model> {
    let second = Bidirectional::new(SimpleRnn::new(3).return_sequences(true)).merge_mode("sum");
    let chain = chain()
        .add(Masking::new(0.5))
        .add(Lstm::new(4).return_sequences(true).named("first"))
        .add(second.named("second"))
        .add(Gru::new(3).return_sequences(true).named("third"))
        .add(Gru::new(3).return_sequences(true).reset_after(false).go_backwards(true).named("fourth"))
        .add(TimeDistributed::new(Dense::new(2)).named("last"));
    by_error(chain.into_model())
}

fn masked_ends() -> Result<Model> {
    let first = SimpleRnn::new(4).return_sequences(true).zero_output_for_mask(true);
    let chain = chain().add(Masking::new(0.5)).add(first.named("first"));
    ended(chain.add(Bidirectional::new(Lstm::new(3)).named("second")))
}

/// What a layer gives of a sequence, and the states behind it.
fn parts<const N: usize>(values: Vec<kiln::nn::Value>) -> [kiln::nn::Value; N] {
    values.try_into().expect("as many values")
}

fn states() -> Result<Model> {
    let x = Input::new([6, 3]).named("steps");
    let [code, h, c] = parts(Lstm::new(4).return_state(true).named("encoder").apply_all(&x)?);
    let y = RepeatVector::new(5).apply(&code)?;
    let y = Lstm::new(4).return_sequences(true).named("decoder").apply([&y, &h, &c])?;
    let [y, end] = parts(Gru::new(3).return_sequences(true).return_state(true).named("gru").apply_all(&y)?);
    let y = SimpleRnn::new(3).return_sequences(true).named("simple").apply([&y, &end])?;
    by_error(Model::new(&x, TimeDistributed::new(Dense::new(2)).named("last").apply(&y)?)?)
}

#[test]
fn recurrent_nets_follow_keras() {
    let nets: [Net; 8] = [
        ("simple", simple),
        ("lstm", lstm),
        ("gru", gru),
        ("gru_reset_before", gru_reset_before),
        ("bidirectional", bidirectional),
        ("masked", masked),
        ("masked_ends", masked_ends),
        ("states", states),
    ];
    follow_keras("keras-recurrent.json", &nets);
}

/// Layers that keep their states for the next batch of four, and their names.
type Stateful = (&'static str, fn() -> Sequential, &'static [&'static str]);

const STATEFUL: [Stateful; 5] = [
    (
        "simple",
        || {
            let first = SimpleRnn::new(4).stateful(4).return_sequences(true);
            chain().add(first.named("first")).add(SimpleRnn::new(3).stateful(4).go_backwards(true).named("second"))
        },
        &["first", "second"],
    ),
    (
        "lstm",
        || {
            let first = Lstm::new(4).stateful(4).return_sequences(true);
            chain().add(first.named("first")).add(Lstm::new(3).stateful(4).named("second"))
        },
        &["first", "second"],
    ),
    (
        "gru",
        || {
            let first = Gru::new(4).stateful(4).return_sequences(true);
            chain().add(first.named("first")).add(Gru::new(3).stateful(4).reset_after(false).named("second"))
        },
        &["first", "second"],
    ),
    ("bidirectional", || chain().add(Bidirectional::new(Lstm::new(3).stateful(4)).named("first")), &["first"]),
    (
        "masked",
        || {
            let first = Lstm::new(4).stateful(4).return_sequences(true);
            let chain = chain().add(Masking::new(0.5)).add(first.named("first"));
            chain.add(Gru::new(3).stateful(4).named("second"))
        },
        &["first", "second"],
    ),
];

/// Trains an epoch at a time, with states reset before each, and compares with Keras: losses of all batches, the states and weights behind
/// the last one.
fn follow_stateful(case: &Value, (name, make, layers): Stateful, device: &Device, limit: f64) -> Result<()> {
    let data = Dataset::new(columns(&case["inputs"]), columns(&case["targets"]))?;
    let mut model = make().add(Dense::new(2).named("last")).into_model().device(device.clone());
    let adam = Adam {
        learning_rate: 0.015_625,
        beta_1: 0.875,
        beta_2: 0.968_75,
        epsilon: 1.0 / 1_048_576.0,
        ..Adam::default()
    };
    model.compile(adam, Loss::MeanSquaredError, [])?;
    let is_state = |path: &str| case["states"].get(path).is_some();
    let paths = model.parameter_paths()?;
    let states = paths.iter().filter(|path| is_state(path)).count();
    assert_eq!(states, case["states"].as_object().expect("states").len(), "{name}: {paths:?}");
    let of = |when: &str, path: &String| precise(&case[if is_state(path) { "states" } else { when }][path]);
    model.set_weights(&paths.iter().map(|path| of("start", path)).collect::<Vec<_>>())?;
    let wanted = numbers(&case["logs"]["loss"]);
    let batch = case["batch"].as_u64().expect("a size") as usize;
    let mut losses = Vec::new();
    for _ in 0..case["epochs"].as_u64().expect("a count") {
        layers.iter().try_for_each(|layer| model.reset_states(layer))?;
        let history = model.fit(&data, Fit::new().batch_size(batch).shuffle(false).verbose(0))?;
        losses.extend_from_slice(history.batch_losses());
    }
    assert_eq!(losses.len(), wanted.len());
    for (step, (found, wanted)) in losses.iter().zip(&wanted).enumerate() {
        let apart = (found - wanted).abs() / wanted.abs();
        assert!(apart < limit, "{name} on {device}: the loss of batch {step} is {found}, Keras' {wanted}");
    }
    for (path, found) in paths.iter().zip(model.weights()?) {
        let (found, wanted) = (found.values().to_f64(), of("weights", path).values().to_f64());
        // A state begins with zeros.
        let start = if is_state(path) { vec![0.0; wanted.len()] } else { of("start", path).values().to_f64() };
        let apart = distance(&found, &wanted, &start);
        assert!(apart < limit, "{name} on {device}: {path} is {apart:e} from Keras");
    }
    Ok(())
}

#[test]
fn stateful_layers_follow_keras_on_tensorflow() {
    let golden = fixture("keras-stateful.json");
    assert_eq!(golden["nets"].as_object().expect("nets").len(), STATEFUL.len());
    for net in STATEFUL {
        for (i, device) in executors().into_iter().enumerate() {
            // The first is the reference.
            let limit = if i == 0 { 1e-9 } else { 5e-5 };
            let case = &golden["nets"][net.0];
            follow_stateful(case, net, &device, limit).unwrap_or_else(|e| panic!("{} on {device}: {e}", net.0));
        }
    }
}

/// The layer of a name in `scripts/golden-configs`.
pub fn layer(name: &str) -> Sequential {
    match name {
        "simple_rnn" => Sequential::new().add(SimpleRnn::new(3)),
        "simple_rnn_all" => Sequential::new().add(
            SimpleRnn::new(4)
                .activation("relu")
                .use_bias(false)
                .kernel_initializer("he_normal")
                .recurrent_initializer("ones")
                .bias_initializer("ones")
                .kernel_regularizer(Regularizer::l2(0.03))
                .recurrent_regularizer(Regularizer::l1(0.03))
                .kernel_constraint("non_neg")
                .recurrent_constraint("unit_norm")
                .dropout(0.25)
                .recurrent_dropout(0.5)
                .return_sequences(true)
                .return_state(true)
                .go_backwards(true)
                .zero_output_for_mask(true),
        ),
        "lstm" => Sequential::new().add(Lstm::new(3)),
        "lstm_all" => Sequential::new().add(
            Lstm::new(4)
                .activation("relu")
                .recurrent_activation("hard_sigmoid")
                .unit_forget_bias(false)
                .return_sequences(true),
        ),
        "gru" => Sequential::new().add(Gru::new(3)),
        "gru_all" => {
            Sequential::new().add(Gru::new(4).activation("linear").recurrent_activation("relu").reset_after(false))
        }
        "bidirectional" => Sequential::new().add(Bidirectional::new(Lstm::new(3))),
        "bidirectional_all" => {
            Sequential::new().add(Bidirectional::new(Gru::new(3).return_sequences(true)).merge_mode("none"))
        }
        other => panic!("{other} is none of the script's layers"),
    }
}

/// The plan of a recurrence of so many units over so many steps, and of its gradients.
fn plan(cell: Cell, units: usize, steps: usize) -> Result<Plan> {
    let (mut g, op) = (Graph::new(), Recurrence::new(cell));
    let width = units * cell.gates();
    let mut shapes = vec![vec![5, steps, width], vec![units, width], vec![5, cell.states(), units]];
    shapes.extend((cell == Cell::GruResetAfter).then(|| vec![units]));
    let inputs: Vec<_> =
        shapes.into_iter().enumerate().map(|(i, shape)| g.leaf(Leaf::Input(i), Type::float(shape))).collect();
    let y = g.apply_all(Arc::new(op), &inputs)?[0];
    let loss = g.apply(Sum::new(0..3), &[y])?;
    for (i, gradient) in g.gradients(loss, &inputs)?.into_iter().enumerate() {
        let place = g.leaf(Leaf::Output(i), g.ty(gradient).clone());
        g.effect(kiln::ops::copy::Copy, &[gradient], &[place])?;
    }
    Plan::new("steps", &g, &Arena::default())
}

#[test]
fn a_thousand_steps_are_planned_and_bound_as_ten() {
    for cell in [Cell::Simple, Cell::Lstm, Cell::Gru, Cell::GruResetAfter] {
        // Which values share a slot goes by their sizes: of 300 units those of ten steps are less than the weights.
        for (units, steps) in [(8, 10), (300, 100)] {
            let [few, many] = [steps, 1000].map(|steps| plan(cell, units, steps).unwrap());
            let names = |plan: &Plan| plan.steps.iter().map(|step| step.op.name()).collect::<Vec<_>>();
            assert_eq!(names(&few), names(&many));
            assert_eq!(few.buffers.len(), many.buffers.len());
            for kind in [AdapterKind::Hardware, AdapterKind::Software] {
                let target = Target::new(kind);
                let launches = |plan: &Plan| {
                    let name = Recurrence::new(cell).name();
                    let passes = plan.steps.iter().filter(|step| step.op.name().starts_with(name));
                    passes.map(|step| step.op.gpu(&step.io, &target).len()).collect::<Vec<_>>()
                };
                // By products a pass is begun; a product and a cell take turns; and the gradient is ended.
                let by_products = match cell {
                    Cell::Gru => false,
                    Cell::Simple => units == 300 && kind == AdapterKind::Software,
                    Cell::Lstm | Cell::GruResetAfter => units == 300,
                };
                let wanted = if by_products { vec![3, 4] } else { vec![2, 2] };
                assert_eq!((launches(&few), launches(&many)), (wanted.clone(), wanted), "{cell:?} {units} {kind:?}");
            }
        }
    }
}

#[test]
fn products_of_steps_are_tuned() {
    let target = Target::new(AdapterKind::Software);
    let of = |units: usize| {
        let trials = Trial::of_plan(&plan(Cell::Lstm, units, 7).unwrap(), &target);
        trials.iter().map(|trial| trial.problem().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(of(128), ["5x512x128:nn", "5x128x512:nn", "128x512x35:tn"]);
    assert_eq!(of(8), ["8x32x35:tn"], "the gradient of the weights alone");
}

#[test]
fn a_stateful_layer_goes_on_where_the_last_batch_ended() -> Result<()> {
    let first = Gru::new(4).stateful(7).named("first");
    let mut model = ended(chain().add(first))?.device(Device::cpu());
    let data = Dataset::new(Tensor::new([14, 6, 3], vec![0.5f32; 252])?, Tensor::new([14, 2], vec![1.0f32; 28])?)?;
    let fit = || Fit::new().batch_size(7).shuffle(false).verbose(0);
    model.fit(&data, fit())?;
    let kept = model.weight("first/hidden_state")?;
    assert!(kept.values().to_f32().iter().any(|&h| h != 0.0));
    model.evaluate(&data)?;
    assert_eq!(model.weight("first/hidden_state")?, kept, "evaluation leaves it");
    model.reset_states("first")?;
    assert_eq!(model.weight("first/hidden_state")?, Tensor::new([7, 4], vec![0.0f32; 28])?);
    says(model.reset_states("last"), &["last", "keeps no state", "stateful"]);
    says(model.fit(&data, Fit::new().batch_size(4).verbose(0)), &["first", "batches of 7", "4"]);
    Ok(())
}

#[test]
fn files_keep_recurrent_layers() -> Result<()> {
    let x = Tensor::new([2, 6, 3], (0..36).map(|i| (i % 7) as f32 / 8.0).collect::<Vec<_>>())?;
    for make in [simple, lstm, gru_reset_before, bidirectional, masked, states] {
        let mut model = make()?.device(Device::cpu());
        let mut again = Model::from_bytes(&model.to_bytes()?)?.device(Device::cpu());
        assert_eq!(again.predict(&x)?, model.predict(&x)?);
    }
    Ok(())
}

#[test]
fn weights_start_as_keras_says() -> Result<()> {
    let mut model = chain().add(Lstm::new(2)).add(Dense::new(1)).device(Device::cpu());
    model.build([6, 3])?;
    let bias = model.weight("lstm/bias")?;
    assert_eq!(bias, Tensor::from([0.0f32, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]));
    let kernel = model.weight("lstm/recurrent_kernel")?.values().to_f64();
    let rows: Vec<f64> = kernel.chunks(8).map(|row| row.iter().map(|x| x * x).sum()).collect();
    assert!(rows.iter().all(|length| (length - 1.0).abs() < 1e-5), "{rows:?}");
    let chain = chain().add(Lstm::new(2).return_sequences(true)).add(Bidirectional::new(Gru::new(3)));
    let paths = chain.keras_paths()?;
    assert_eq!(paths[0], "sequential/lstm/lstm_cell/kernel");
    assert_eq!(paths[4], "sequential/bidirectional/forward_gru/gru_cell/recurrent_kernel");
    Ok(())
}

#[test]
fn what_does_not_fit_is_named() {
    let built = |chain: Sequential| chain.summary();
    says(built(chain().add(Lstm::new(0))), &["lstm", "0 units"]);
    says(built(chain().add(Flatten).add(Gru::new(2))), &["gru", "(batch, steps, features)"]);
    says(built(chain().add(Lstm::new(2).activation("gelu"))), &["lstm", "activation", "hard_sigmoid"]);
    says(built(chain().add(Lstm::new(2).dropout(1.0))), &["lstm", "rate 1"]);
    let both = Bidirectional::new(Lstm::new(2).go_backwards(true));
    says(built(chain().add(both)), &["bidirectional", "backward_layer"]);
    says(built(chain().add(Bidirectional::new(Lstm::new(2)).merge_mode("add"))), &["merge_mode", "concat"]);
    says(built(chain().add(RepeatVector::new(3))), &["repeat_vector", "(batch, features)"]);
    let x = Input::new([6, 3]);
    let h = Input::new([3]);
    says(Gru::new(2).apply((&x, &h)), &["states of [1, 2]", "(1, 3)"]);
}

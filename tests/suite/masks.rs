//! Masks beside values: where they come from, which layers let them through, what losses and metrics make of them. Keras' own
//! numbers are in `networks.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kiln::graph::{Graph, Id};
use kiln::nn::layers::{
    AdaptiveAveragePooling1D, AdaptiveMaxPooling1D, Average, AveragePooling1D, Conv1DTranspose, Lambda, Masking,
};
use kiln::nn::{Scope, Values};
use kiln::ops::binary::Binary;
use kiln::prelude::*;
use tempfile::TempDir;

use crate::common::{MERGES, executors, fixture, says};

/// A layer that gives what it is given and says whether that had a mask.
fn probe() -> (Arc<AtomicBool>, Lambda) {
    let seen = Arc::new(AtomicBool::new(false));
    let (note, one) = (Arc::clone(&seen), Binary::Add);
    let probe = Lambda::new(move |scope, inputs| {
        note.store(scope.mask(inputs[0]).is_some(), Ordering::Relaxed);
        let zero = scope.graph.fill(0.0, []);
        Ok(vec![scope.graph.apply(one, &[inputs[0], zero])?])
    });
    (seen, probe)
}

/// Whether a mask of (batch, steps) goes through a layer.
fn goes_through(layer: impl Layer + 'static) -> bool {
    let (seen, probe) = probe();
    let model = Sequential::new().add(Input::new([4, 6])).add(Masking::default()).add(layer).add(probe);
    model.summary().unwrap();
    seen.load(Ordering::Relaxed)
}

#[test]
fn masks_go_through_the_layers_that_keras_lets_them_through() {
    assert!(goes_through(Dense::new(2)));
    assert!(goes_through(Activation::Relu));
    assert!(goes_through(Dropout::new(0.5)));
    assert!(goes_through(SpatialDropout1D::new(0.5)));
    assert!(goes_through(GaussianDropout::new(0.5)));
    assert!(goes_through(GaussianNoise::new(0.5)));
    assert!(goes_through(PRelu::new()));
    assert!(goes_through(BatchNormalization::new()));
    assert!(goes_through(LayerNormalization::new().trainable(false).named("frozen")));
    assert!(goes_through(GroupNormalization::new(3)));
    assert!(goes_through(UnitNormalization::new()));
    assert!(!goes_through(RmsNormalization::new()));
    assert!(!goes_through(Flatten));
    assert!(!goes_through(Reshape::new([6, 4])));
    assert!(!goes_through(Permute::new([2, 1])));
    assert!(!goes_through(Lambda::new(|scope, x| {
        let zero = scope.graph.fill(0.0, []);
        Ok(vec![scope.graph.apply(Binary::Add, &[x[0], zero])?])
    })));
}

/// The layer of a class of the script's.
fn of_class(class: &str) -> Box<dyn Layer> {
    match class {
        "Activation" => Box::new(Activation::Relu),
        "AdaptiveAveragePooling1D" => Box::new(AdaptiveAveragePooling1D::new(2)),
        "AdaptiveMaxPooling1D" => Box::new(AdaptiveMaxPooling1D::new(2)),
        "AveragePooling1D" => Box::new(AveragePooling1D::new(2)),
        "BatchNormalization" => Box::new(BatchNormalization::new()),
        "Conv1D" => Box::new(Conv1D::new(3, 2)),
        "Conv1DTranspose" => Box::new(Conv1DTranspose::new(3, 2)),
        "Cropping1D" => Box::new(Cropping1D::new(1)),
        "Dense" => Box::new(Dense::new(3)),
        "DepthwiseConv1D" => Box::new(DepthwiseConv1D::new(2)),
        "Dropout" => Box::new(Dropout::new(0.5)),
        "Embedding" => Box::new(Embedding::new(5, 3)),
        "Embedding_mask_zero" => Box::new(Embedding::new(5, 3).mask_zero(true)),
        "Flatten" => Box::new(Flatten),
        "GaussianDropout" => Box::new(GaussianDropout::new(0.5)),
        "GaussianNoise" => Box::new(GaussianNoise::new(0.5)),
        "GlobalAveragePooling1D" => Box::new(GlobalAveragePooling1D::new()),
        "GlobalMaxPooling1D" => Box::new(GlobalMaxPooling1D::new()),
        "GroupNormalization" => Box::new(GroupNormalization::new(3)),
        "LayerNormalization" => Box::new(LayerNormalization::new()),
        "Masking" => Box::new(Masking::new(0.5)),
        "MaxPooling1D" => Box::new(MaxPooling1D::new(2)),
        "MultiHeadAttention" => Box::new(MultiHeadAttention::new(2, 3)),
        "Normalization" => Box::new(Normalization::new().mean_and_variance(0.0, 1.0)),
        "PReLU" => Box::new(PRelu::new()),
        "Permute" => Box::new(Permute::new([2, 1])),
        "RMSNormalization" => Box::new(RmsNormalization::new()),
        "Rescaling" => Box::new(Rescaling::new(2.0)),
        "Reshape" => Box::new(Reshape::new([6, 4])),
        "SeparableConv1D" => Box::new(SeparableConv1D::new(3, 2)),
        "SpatialDropout1D" => Box::new(SpatialDropout1D::new(0.5)),
        "UnitNormalization" => Box::new(UnitNormalization::new()),
        "UpSampling1D" => Box::new(UpSampling1D::new(2)),
        "ZeroPadding1D" => Box::new(ZeroPadding1D::new(1)),
        _ => merge_of_class(class),
    }
}

fn merge_of_class(class: &str) -> Box<dyn Layer> {
    match class {
        "Add" => Box::new(Add),
        "AdditiveAttention" => Box::new(AdditiveAttention::new()),
        "Attention" => Box::new(Attention::new()),
        "Average" => Box::new(Average),
        "Concatenate" => Box::new(Concatenate::new()),
        "Dot" => Box::new(Dot::new([2, 2])),
        "Maximum" => Box::new(Maximum),
        "Minimum" => Box::new(Minimum),
        "Multiply" => Box::new(Multiply),
        "Subtract" => Box::new(Subtract),
        other => panic!("{other} is none of the script's layers"),
    }
}

/// What a layer's output has where its inputs have a mask, and whether the model says that the layer drops it.
fn becomes(class: &str) -> (&'static str, bool) {
    let tokens = class.starts_with("Embedding");
    let (x, mask) = (Input::new(if tokens { vec![4] } else { vec![4, 6] }), Input::new([4]));
    let attach = Lambda::new(|scope, inputs| {
        let zero = scope.graph.fill(0.0, []);
        let y = scope.graph.apply(Binary::Add, &[inputs[0], zero])?;
        scope.set_mask(y, inputs[1])?;
        Ok(vec![y])
    });
    let given = attach.apply([&x, &mask]).unwrap();
    let layer = of_class(class);
    let merges = MERGES.contains(&class) || class == "MultiHeadAttention";
    let y = if merges { layer.apply([&given, &given]) } else { layer.apply(&given) }.unwrap();
    // The mask, or a number that none has.
    let show = Lambda::new(|scope, inputs| match scope.mask(inputs[0]) {
        Some(mask) => Ok(vec![mask]),
        None => {
            let rows = scope.graph.shape(inputs[0])[0];
            let [zero, two] = [0.0, 2.0].map(|number| scope.graph.fill(number, [rows, 1]));
            Ok(vec![scope.graph.apply(Binary::Add, &[zero, two])?])
        }
    });
    let mut model = Model::new([&x, &mask], show.apply(&y).unwrap()).unwrap().device(Device::cpu());
    let ones = Tensor::new([2, 4], vec![1.0f32, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0]).unwrap();
    let x = match tokens {
        true => Tensor::new([2, 4], vec![1.0f32, 2.0, 3.0, 0.0, 4.0, 0.0, 1.0, 1.0]).unwrap(),
        false => Tensor::new([2, 4, 6], vec![1.0f32; 48]).unwrap(),
    };
    let found = model.predict_all(&[&x, &ones]).unwrap();
    let mask = match found[0].values().to_f64() {
        values if values == ones.values().to_f64() => "same",
        values if values[0] == 2.0 => "none",
        _ => "another",
    };
    let said = model.dropped_masks().unwrap();
    let named = |line: &String| line.contains(&format!("({class}) drops the mask"));
    (mask, said.iter().any(named))
}

/// Layer by layer, as `scripts/golden-masks` has asked Keras.
#[test]
fn masks_become_in_each_layer_what_keras_makes_of_them() {
    let golden = fixture("keras-masks.json");
    let layers = golden["layers"].as_object().unwrap();
    assert!(layers.len() > 40, "{}", layers.len());
    for (class, wanted) in layers {
        let (mask, says) = becomes(class);
        assert_eq!((Some(mask), Some(says)), (wanted["mask"].as_str(), wanted["warns"].as_bool()), "{class}");
    }
}

#[test]
fn a_step_that_is_passed_over_before_any_other_gives_the_first_state() {
    for device in executors() {
        let (x, first) = (Input::new([3, 2]), Input::new([2]));
        let masked = Masking::new(9.0).apply(&x).unwrap();
        let y = SimpleRnn::new(2).return_sequences(true).apply([&masked, &first.value()]).unwrap();
        let mut model = Model::new([&x, &first], y).unwrap().device(device.clone());
        let x = Tensor::new([1, 3, 2], vec![9.0f32, 9.0, 1.0, 2.0, 9.0, 9.0]).unwrap();
        let y = model.predict_all(&[&x, &Tensor::from([[0.25f32, -0.5]])]).unwrap()[0].values().to_f64();
        assert_eq!(y[..2], [0.25, -0.5], "{device}");
        assert_eq!(y[2..4], y[4..], "{device}: the state of the step before");
    }
}

#[test]
fn what_attention_reads_keeps_its_mask() {
    let (seen, layer) = probe();
    let x = Input::new([4, 6]);
    let query = Masking::default().apply(&x).unwrap();
    let attended = MultiHeadAttention::new(2, 3).apply([&query, &query]).unwrap();
    // A sum has a mask where all that it adds has one.
    let sum = Add.apply([&query, &attended]).unwrap();
    Model::new(&x, layer.apply(sum).unwrap()).unwrap();
    assert!(seen.load(Ordering::Relaxed));
}

/// Of Kiln by the two tests above, of Keras as it was seen to run.
#[cfg(feature = "gpu")]
#[test]
fn the_table_says_where_masks_part() {
    const TABLE: &str = "\
What layers make of masks is held against Keras 3.15.1 layer by layer (`scripts/golden-masks`). Here Keras' backends part, or Kiln from them.

| case | Keras on JAX | Keras on TensorFlow | Kiln |
|---|---|---|---|
| a recurrent layer that gives all steps, from first states that are not 0: steps that the mask passes over before any other | the first state; zeros with `unroll=True` | zeros | the first state |
| the same layer, called with `initial_state` and without `mask`, on a sequence that has one | passes over no step | passes over no step | passes over the mask's |
| the query's mask behind `MultiHeadAttention`, for whatever else reads the query | taken off | taken off | kept |

The output of `MultiHeadAttention` has the query's mask in all of them.
";
    crate::common::write_parity("Masks", || TABLE.into());
}

#[test]
fn masks_go_into_models_inside_a_model_and_out_of_them() {
    let (seen, layer) = probe();
    let inner = Sequential::new().add(Dense::new(3)).add(Activation::Tanh);
    Sequential::new().add(Input::new([4, 6])).add(Masking::default()).add(inner).add(layer).summary().unwrap();
    assert!(seen.load(Ordering::Relaxed));
    let (seen, layer) = probe();
    let inner = Sequential::new().add(Masking::default()).add(Dense::new(3));
    Sequential::new().add(Input::new([4, 6])).add(inner).add(layer).summary().unwrap();
    assert!(seen.load(Ordering::Relaxed));
}

#[test]
fn a_merge_has_a_mask_where_all_of_its_inputs_have_one() {
    let check = |merge: &dyn Fn(Values) -> Result<kiln::nn::Value>, both: bool| {
        let (seen, layer) = probe();
        let (a, b) = (Input::new([4, 6]), Input::new([4, 6]));
        let masked = |x: &Input| Masking::default().apply(x).unwrap();
        let second = if both { masked(&b) } else { b.value() };
        let y = merge([masked(&a), second].into()).unwrap();
        Model::new([&a, &b], layer.apply(y).unwrap()).unwrap();
        seen.load(Ordering::Relaxed)
    };
    for both in [true, false] {
        assert_eq!(check(&|x| Add.apply(x), both), both);
        assert_eq!(check(&|x| Subtract.apply(x), both), both);
        assert_eq!(check(&|x| Average.apply(x), both), both);
        assert_eq!(check(&|x| Multiply.apply(x), both), both);
        assert_eq!(check(&|x| Maximum.apply(x), both), both);
        assert_eq!(check(&|x| Minimum.apply(x), both), both);
        assert!(check(&|x| Concatenate::new().apply(x), both));
        assert!(check(&|x| Concatenate::new().axis(1).apply(x), both));
        assert!(!check(&|x| Dot::new([2, 2]).apply(x), both));
    }
}

/// Two samples of three steps of one number; a step of 9 is not there.
fn steps(x: [[f32; 3]; 2], y: [[f32; 3]; 2]) -> Dataset {
    let column = |values: [[f32; 3]; 2]| Tensor::new([2, 3, 1], values.concat()).unwrap();
    Dataset::new(column(x), column(y)).unwrap()
}

fn plain(device: &Device, metrics: &[Metric]) -> Sequential {
    let mut model = Sequential::new().add(Input::new([3, 1])).add(Masking::new(9.0)).device(device.clone());
    model.compile(Sgd::default(), Loss::MeanSquaredError, metrics).unwrap();
    model
}

#[test]
fn losses_and_means_are_of_what_the_mask_lets_count() {
    let metrics = [Metric::MeanAbsoluteError, Metric::RootMeanSquaredError, Metric::BinaryAccuracy];
    let data = steps([[2.0, 9.0, 9.0], [1.0, 3.0, 9.0]], [[0.0, 5.0, 5.0], [1.0, 0.0, 5.0]]);
    let weighed = data.clone().with_sample_weight(vec![3.0, 1.0]).unwrap();
    for device in executors() {
        let mut model = plain(&device, &metrics);
        let logs = model.evaluate(&data).unwrap();
        let near = |name: &str, wanted: f64| {
            let found = logs.get(name).unwrap();
            assert!((found - wanted).abs() < 1e-6, "{device}: {name} is {found}, not {wanted}");
        };
        near("loss", (4.0 + 0.0 + 9.0) / 3.0);
        near("mean_absolute_error", (2.0 + 0.0 + 3.0) / 3.0);
        near("binary_accuracy", 1.0 / 3.0);
        // As in Keras this one knows of no mask; what is passed over is 0.
        near("root_mean_squared_error", f64::sqrt((4.0 + 25.0 + 25.0 + 0.0 + 9.0 + 25.0) / 6.0));
        let loss = model.evaluate(&weighed).unwrap().get("loss").unwrap();
        assert!((loss - (3.0 * 4.0 + 0.0 + 9.0) / 3.0).abs() < 1e-6, "{device}: {loss}");
        // Nothing counts.
        let logs = model.evaluate(&steps([[9.0; 3]; 2], [[1.0; 3]; 2])).unwrap();
        assert_eq!([logs.get("loss"), logs.get("mean_absolute_error")], [Some(0.0); 2], "{device}");
    }
}

#[test]
fn accuracy_is_of_the_steps_that_count() {
    let mut model = Sequential::new().add(Input::new([2, 2])).add(Masking::new(9.0)).device(Device::cpu());
    let metrics = [Metric::Accuracy, Metric::TopKCategoricalAccuracy { k: 1 }];
    model.compile(Sgd::default(), Loss::CategoricalCrossentropyFromLogits, metrics).unwrap();
    let x = Tensor::new([2, 2, 2], vec![1.0f32, 0.0, 9.0, 9.0, 0.0, 1.0, 3.0, 1.0]).unwrap();
    let y = Tensor::new([2, 2, 2], vec![1.0f32, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0]).unwrap();
    let logs = model.evaluate(&Dataset::new(x, y).unwrap()).unwrap();
    for name in ["accuracy", "top_k_categorical_accuracy"] {
        assert!((logs.get(name).unwrap() - 2.0 / 3.0).abs() < 1e-7, "{name}: {logs:?}");
    }
}

#[test]
fn a_metric_of_ones_own_gives_a_number_for_each_part_that_a_mask_knows() {
    fn each(g: &mut Graph, predicted: Id, targets: Id) -> Result<Id> {
        let right = g.apply(Binary::Equal, &[predicted, targets])?;
        g.reduce(kiln::graph::Aggregation::Mean, right, Some(&[-1]), false)
    }
    fn whole(g: &mut Graph, predicted: Id, targets: Id) -> Result<Id> {
        let each = each(g, predicted, targets)?;
        g.reduce(kiln::graph::Aggregation::Mean, each, Some(&[-1]), false)
    }
    let data = steps([[2.0, 9.0, 9.0], [1.0, 3.0, 9.0]], [[2.0, 0.0, 0.0], [1.0, 0.0, 0.0]]);
    let logs = plain(&Device::cpu(), &[Metric::custom("equal", each)]).evaluate(&data).unwrap();
    assert!((logs.get("equal").unwrap() - 2.0 / 3.0).abs() < 1e-7, "{logs:?}");
    let mut model = plain(&Device::cpu(), &[Metric::custom("equal", whole)]);
    says(model.evaluate(&data), &["equal", "f32 (2,)", "a mask of f32 (2, 3)"]);
}

/// As without a mask it takes whatever targets it likes.
#[test]
fn a_loss_of_ones_own_is_measured_of_labels_under_a_mask() {
    let own =
        Loss::custom("own", |g, predicted, _| g.reduce(kiln::graph::Aggregation::Mean, predicted, Some(&[-1]), false));
    let mut model = Sequential::new().add(Input::new([3, 1])).add(Masking::new(9.0)).device(Device::cpu());
    model.compile(Sgd::default(), own, [Metric::Loss(own)]).unwrap();
    let x = Tensor::new([2, 3, 1], vec![2.0f32, 9.0, 9.0, 1.0, 3.0, 9.0]).unwrap();
    let logs = model.evaluate(&Dataset::new(x, Tensor::from([1u32, 0])).unwrap()).unwrap();
    assert_eq!([logs.get("loss"), logs.get("own")], [Some(2.0); 2]);
}

/// Gives its input a mask by a closure.
fn set(mask: impl Fn(&mut Scope<'_>, Id) -> Option<Id> + Send + Sync + 'static) -> Lambda {
    Lambda::new(move |scope, inputs| {
        let zero = scope.graph.fill(0.0, []);
        let y = scope.graph.apply(Binary::Add, &[inputs[0], zero])?;
        if let Some(mask) = mask(scope, y) {
            scope.set_mask(y, mask)?;
        }
        Ok(vec![y])
    })
}

/// Says that it lets masks through, and turns samples over.
#[derive(Debug)]
struct Turned;

impl Layer for Turned {
    fn kind(&self) -> &'static str {
        "Turned"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        Permute::new([2, 1]).call(scope, inputs)
    }

    fn supports_masking(&self) -> bool {
        true
    }
}

#[test]
fn masks_that_do_not_fit_are_named() {
    let model = |layer: Lambda| Sequential::new().add(Input::new([4, 6])).add(layer.named("own")).summary();
    says(model(set(|scope, _| Some(scope.graph.fill(1.0, [1, 6])))), &["layer \"own\"", "(1, 4, 6)", "f32 (1, 6)"]);
    says(model(set(|scope, _| Some(scope.graph.fill(1.0, [])))), &["layer \"own\"", "no mask of f32 ()"]);
    let turned = Sequential::new().add(Input::new([4, 6])).add(Masking::default()).add(Turned);
    says(turned.summary(), &["layer \"turned\"", "the mask (1, 4)", "the output (1, 6, 4)", "Scope::set_mask"]);
    let sometimes = set(|scope, _| {
        let rows = scope.training().is_some();
        rows.then(|| scope.graph.fill(1.0, [1]))
    });
    let mut model = Sequential::new().add(Input::new([2])).add(sometimes).device(Device::cpu());
    model.compile(Sgd::default(), Loss::MeanSquaredError, []).unwrap();
    let x = Tensor::from([[1.0f32, 2.0]]);
    let result = model.fit(&Dataset::new(x.clone(), x).unwrap(), Fit::new().verbose(0));
    says(result, &["output \"lambda\"", "let its layers set masks at every call"]);
}

#[test]
fn a_file_keeps_the_number_that_is_masked() {
    let (folder, data) = (TempDir::new().unwrap(), steps([[2.0, 9.0, 9.0]; 2], [[0.0; 3]; 2]));
    let path = folder.path().join("masking.safetensors");
    let mut model = plain(&Device::cpu(), &[Metric::MeanAbsoluteError]);
    model.save(&path).unwrap();
    let mut again = Model::load(&path).unwrap().device(Device::cpu());
    assert_eq!(again.evaluate(&data).unwrap(), model.evaluate(&data).unwrap());
    assert_eq!(again.evaluate(&data).unwrap().get("loss"), Some(4.0));
}

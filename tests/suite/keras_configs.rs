//! Layers and what they are made with, as Keras serializes them, and weights under Keras' paths (`scripts/golden-configs`).

use kiln::nn::layers::{Average, DataFormat, Fill, Interpolation, Lambda};
use kiln::nn::{IntoLayer, KerasObject, init};
use kiln::prelude::*;
use serde_json::Value;

use crate::common::{fixture, says};

/// A chain of the layer alone, by which it has its name.
fn of(layer: impl Layer + 'static) -> Sequential {
    Sequential::new().add(layer)
}

/// The script's layer of a name.
fn layer(name: &str) -> Sequential {
    match name {
        "activation" => of(Activation::Softmax),
        "add" => of(Add),
        "average" => of(Average),
        "maximum" => of(Maximum),
        "minimum" => of(Minimum),
        "multiply" => of(Multiply),
        "subtract" => of(Subtract),
        "concatenate" => of(Concatenate::new()),
        "concatenate_1" => of(Concatenate::new().axis(1)),
        "dot" => of(Dot::new([1, 1])),
        "dot_both" => of(Dot::new([2, 1]).normalize(true)),
        "dropout" => of(Dropout::new(0.5)),
        "gaussian_dropout" => of(GaussianDropout::new(0.25)),
        "gaussian_noise" => of(GaussianNoise::new(0.75)),
        "spatial_dropout1d" => of(SpatialDropout1D::new(0.5)),
        "spatial_dropout2d" => of(SpatialDropout2D::new(0.25)),
        "flatten" => of(Flatten),
        "masking" => of(Masking::default()),
        "masking_value" => of(Masking::new(-1.0)),
        "permute" => of(Permute::new([2, 1])),
        "reshape" => of(Reshape::new([-1, 2])),
        "random_flip" => of(RandomFlip::horizontal_and_vertical()),
        "random_flip_horizontal" => of(RandomFlip::horizontal()),
        "random_flip_vertical" => of(RandomFlip::vertical()),
        "random_translation" => of(RandomTranslation::new(0.125, 0.25)),
        "random_translation_nearest" => of(RandomTranslation::new(0.0, 1.0).fill_mode(Fill::Nearest)),
        "input" => of(Input::new([28, 28])),
        "input_named" => of(Input::new([3]).named("pixels")),
        _ if ["rnn", "lstm", "gru", "bidirectional"].iter().any(|part| name.contains(part)) => {
            crate::recurrent::layer(name)
        }
        "time_distributed" => of(TimeDistributed::new(Dense::new(3))),
        "repeat_vector" => of(RepeatVector::new(5)),
        _ if name.contains("conv") => convolution(name),
        _ if name.contains("pooling") => pooling(name),
        _ => layer_of_images(name),
    }
}

fn layer_of_images(name: &str) -> Sequential {
    match name {
        "random_rotation" => of(RandomRotation::new(0.125)),
        "random_rotation_all" => of(RandomRotation::new([0.25, -0.5])
            .fill_mode("constant")
            .interpolation("nearest")
            .fill_value(0.5)
            .data_format("channels_first")),
        "center_crop" => of(CenterCrop::new(4, 5)),
        "center_crop_first" => of(CenterCrop::new(4, 5).data_format("channels_first")),
        "random_crop" => of(RandomCrop::new(4, 5)),
        "random_crop_first" => of(RandomCrop::new(4, 5).data_format(DataFormat::ChannelsFirst)),
        "random_brightness" => of(RandomBrightness::new(0.25)),
        "random_brightness_all" => of(RandomBrightness::new([0.25, -0.5]).value_range([0.0, 1.0])),
        "random_contrast" => of(RandomContrast::new(0.25)),
        "random_contrast_all" => of(RandomContrast::new((0.25, 0.5)).value_range((0.0, 1.0))),
        "random_zoom" => of(RandomZoom::new(0.25)),
        "random_zoom_all" => {
            let zoom = RandomZoom::new((0.25, 0.5)).width_factor(-0.125).fill_mode(Fill::Wrap).fill_value(2.0);
            of(zoom.interpolation(Interpolation::Nearest))
        }
        "zero_padding1d" => of(ZeroPadding1D::default()),
        "zero_padding1d_all" => of(ZeroPadding1D::new((2, 3)).data_format("channels_first")),
        "zero_padding2d" => of(ZeroPadding2D::default()),
        "zero_padding2d_all" => of(ZeroPadding2D::new(((1, 2), (3, 4))).data_format(DataFormat::ChannelsFirst)),
        "cropping1d" => of(Cropping1D::default()),
        "cropping1d_all" => of(Cropping1D::new([2, 3])),
        "cropping2d" => of(Cropping2D::default()),
        "cropping2d_all" => of(Cropping2D::new((1, 2)).data_format("channels_first")),
        "up_sampling1d" => of(UpSampling1D::default()),
        "up_sampling1d_all" => of(UpSampling1D::new(3)),
        "up_sampling2d" => of(UpSampling2D::default()),
        "up_sampling2d_all" => of(UpSampling2D::new([2, 3]).data_format("channels_first").interpolation("bilinear")),
        "rescaling" => of(Rescaling::new(0.5)),
        "rescaling_all" => of(Rescaling::new([0.5, 2.0]).offset(vec![1.0, -1.0])),
        "resizing" => of(Resizing::new(4, 5)),
        "resizing_all" => {
            let resizing = Resizing::new(4, 5).interpolation("nearest").crop_to_aspect_ratio(true);
            of(resizing.data_format("channels_first"))
        }
        "resizing_pad" => of(Resizing::new(4, 5).pad_to_aspect_ratio(true).fill_value(0.5)),
        "normalization" => of(Normalization::new()),
        "normalization_all" => of(Normalization::new().axes([]).mean_and_variance(0.5, 4.0).invert(true)),
        "normalization_each" => {
            let numbers = Tensor::from([[1.0, 2.0], [3.0, 4.0]]);
            of(Normalization::new().axes([1, 2]).mean_and_variance(numbers.clone(), numbers))
        }
        _ => layer_with_weights(name),
    }
}

fn pooling(name: &str) -> Sequential {
    match name {
        "max_pooling2d" => of(MaxPooling2D::default()),
        "max_pooling2d_all" => {
            of(MaxPooling2D::new([3, 2]).strides([2, 1]).padding("same").data_format("channels_first"))
        }
        "max_pooling1d" => of(MaxPooling1D::new(3).strides(2)),
        "average_pooling2d" => of(AveragePooling2D::new([2, 3])),
        "average_pooling1d" => of(AveragePooling1D::new(2).padding("same").data_format("channels_first")),
        "global_average_pooling2d" => of(GlobalAveragePooling2D::new()),
        "global_average_pooling1d" => of(GlobalAveragePooling1D::new().keepdims(true).data_format("channels_first")),
        "global_max_pooling2d" => of(GlobalMaxPooling2D::new().keepdims(true)),
        "global_max_pooling1d" => of(GlobalMaxPooling1D::new()),
        "adaptive_average_pooling2d" => of(AdaptiveAveragePooling2D::new(3)),
        "adaptive_average_pooling1d" => of(AdaptiveAveragePooling1D::new(4)),
        "adaptive_max_pooling2d" => of(AdaptiveMaxPooling2D::new([2, 3]).data_format("channels_first")),
        "adaptive_max_pooling1d" => of(AdaptiveMaxPooling1D::new(4)),
        other => panic!("{other} is none of the script's layers"),
    }
}

fn convolution(name: &str) -> Sequential {
    match name {
        "conv2d" => of(Conv2D::new(3, 2)),
        "conv2d_all" => of(Conv2D::new(4, [3, 2])
            .strides([2, 1])
            .padding("same")
            .data_format("channels_first")
            .groups(2)
            .activation("relu")
            .use_bias(false)
            .kernel_initializer("he_normal")
            .bias_initializer("ones")
            .kernel_regularizer(Regularizer::l2(0.03))
            .bias_regularizer(Regularizer::l1(0.03))
            .kernel_constraint(Constraint::MaxNorm { max_value: 3.0, axes: vec![0, 1, 2] })
            .bias_constraint("non_neg")),
        "conv1d" => of(Conv1D::new(3, 2)),
        "conv1d_all" => of(Conv1D::new(4, 3).padding("causal").dilation_rate(2).activation("tanh").named("wave")),
        _ => other_convolution(name),
    }
}

fn other_convolution(name: &str) -> Sequential {
    let (l2, non_neg) = (Regularizer::l2(0.03), "non_neg");
    match name {
        "conv2d_transpose" => of(Conv2DTranspose::new(3, 2)),
        "conv2d_transpose_all" => of(Conv2DTranspose::new(3, 2)
            .strides([2, 3])
            .output_padding([1, 2])
            .padding("same")
            .kernel_initializer("ones")
            .kernel_regularizer(l2)
            .kernel_constraint(non_neg)),
        "conv1d_transpose" => of(Conv1DTranspose::new(3, 2).strides(2).output_padding(1)),
        "depthwise_conv2d" => of(DepthwiseConv2D::new(3)),
        "depthwise_conv2d_all" => of(DepthwiseConv2D::new([3, 2])
            .depth_multiplier(2)
            .depthwise_initializer("ones")
            .depthwise_regularizer(l2)
            .depthwise_constraint(non_neg)),
        "depthwise_conv1d" => of(DepthwiseConv1D::new(3).data_format("channels_first")),
        "separable_conv2d" => of(SeparableConv2D::new(4, 3)),
        "separable_conv2d_all" => of(SeparableConv2D::new(4, [3, 2])
            .depth_multiplier(2)
            .depthwise_initializer("ones")
            .depthwise_regularizer(l2)
            .depthwise_constraint(non_neg)
            .pointwise_initializer("he_normal")
            .pointwise_regularizer(Regularizer::l1(0.03))
            .pointwise_constraint(Constraint::unit_norm())
            .use_bias(false)),
        "separable_conv1d" => of(SeparableConv1D::new(4, 3).strides(2)),
        other => panic!("{other} is none of the script's layers"),
    }
}

fn layer_with_weights(name: &str) -> Sequential {
    match name {
        "dense" => of(Dense::new(3)),
        "dense_all" => of(dense()),
        "dense_frozen" => of(Dense::new(2).activation(Activation::Gelu).trainable(false)),
        "dense_leaky" => of(Dense::new(2).activation(Activation::LeakyRelu { negative_slope: 0.125 })),
        "dense_elu" => of(Dense::new(2).activation(Activation::Elu { alpha: 0.5 })),
        "batch" => of(BatchNormalization::new()),
        "batch_all" => of(batch()),
        "layer" => of(LayerNormalization::new()),
        "layer_axes" => of(LayerNormalization::new()
            .axes([1, 2])
            .epsilon(0.0625)
            .gamma_constraint(Constraint::by_name("non_neg").unwrap())),
        "group" => of(GroupNormalization::new(32)),
        "group_all" => of(GroupNormalization::new(4).axis(1).epsilon(0.0625).center(false)),
        "rms" => of(RmsNormalization::new()),
        "rms_axes" => of(RmsNormalization::new().axes([1, 2]).epsilon(0.0625)),
        "unit" => of(UnitNormalization::new()),
        "unit_axes" => of(UnitNormalization::new().axes([1, 2])),
        "embedding" => of(Embedding::new(10, 4)),
        "embedding_all" => of(Embedding::new(10, 4)
            .embeddings_initializer("ones")
            .embeddings_regularizer(Regularizer::l2(0.03))
            .embeddings_constraint("non_neg")
            .mask_zero(true)),
        "attention" => of(Attention::new()),
        "attention_all" => of(Attention::new().use_scale(true).concat_scores(true).dropout(0.25)),
        "additive_attention" => of(AdditiveAttention::new()),
        "additive_attention_all" => of(AdditiveAttention::new().use_scale(false).dropout(0.5)),
        "multi_head_attention" => of(MultiHeadAttention::new(2, 4)),
        "multi_head_attention_all" => of(MultiHeadAttention::new(3, 4)
            .value_dim(5)
            .dropout(0.25)
            .use_bias(false)
            .use_gate(true)
            .output_shape([6, 2])
            .sliding_window(7)
            .kernel_initializer("he_normal")
            .bias_initializer("ones")
            .kernel_regularizer(Regularizer::l2(0.03))
            .bias_regularizer(Regularizer::l1(0.03))
            .kernel_constraint("non_neg")
            .bias_constraint("unit_norm")),
        "prelu" => of(PRelu::new()),
        "prelu_all" => of(PRelu::new()
            .alpha_initializer(Initializer::HeNormal)
            .alpha_regularizer(Regularizer::l1_l2(0.5, 0.25))
            .alpha_constraint(Constraint::non_neg())
            .shared_axes([1, 2])),
        other => panic!("{other} is none of the script's layers"),
    }
}

fn dense() -> impl Layer {
    Dense::new(4)
        .activation(Activation::Relu)
        .use_bias(false)
        .kernel_initializer(Initializer::RandomNormal { mean: 0.125, stddev: 0.25 })
        .bias_initializer(Initializer::Constant(0.5))
        .kernel_regularizer(Regularizer::l2(0.03))
        .bias_regularizer(Regularizer::l1(0.03))
        .kernel_constraint(Constraint::MaxNorm { max_value: 3.0, axes: vec![0, 1] })
        .bias_constraint(Constraint::non_neg())
        .named("hidden")
}

fn batch() -> BatchNormalization {
    BatchNormalization::new()
        .axis(1)
        .momentum(0.875)
        .epsilon(0.03125)
        .center(false)
        .scale(false)
        .beta_initializer(Initializer::Ones)
        .gamma_initializer(Initializer::RandomUniform { minval: -0.5, maxval: 0.25 })
        .moving_mean_initializer(Initializer::Ones)
        .moving_variance_initializer(Initializer::TruncatedNormal { mean: 1.0, stddev: 0.125 })
        .beta_regularizer(Regularizer::l2(0.5))
        .gamma_regularizer(Regularizer::l1_l2(0.125, 0.25))
        .beta_constraint(Constraint::unit_norm())
        .gamma_constraint(Constraint::MinMaxNorm { min_value: 0.5, max_value: 1.5, rate: 0.75, axes: vec![0] })
}

/// That both are the same, key by key; numbers by their value.
fn assert_same(found: &Value, wanted: &Value, at: &str) {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            let keys = |map: &serde_json::Map<String, Value>| {
                let mut keys: Vec<String> = map.keys().cloned().collect();
                keys.sort();
                keys
            };
            assert_eq!(keys(found), keys(wanted), "{at}");
            wanted.iter().for_each(|(key, wanted)| assert_same(&found[key], wanted, &format!("{at}.{key}")));
        }
        (Value::Array(found), Value::Array(wanted)) => {
            assert_eq!(found.len(), wanted.len(), "{at}");
            found.iter().zip(wanted).for_each(|(found, wanted)| assert_same(found, wanted, at));
        }
        (Value::Number(found), Value::Number(wanted)) => assert_eq!(found.as_f64(), wanted.as_f64(), "{at}"),
        _ => assert_eq!(found, wanted, "{at}"),
    }
}

fn assert_keras(found: &KerasObject, wanted: &Value, name: &str) {
    assert_same(&serde_json::from_str(&found.to_json()).unwrap(), wanted, name);
}

#[test]
fn layers_say_of_themselves_what_keras_says() {
    let golden = fixture("keras-configs.json");
    for (name, wanted) in golden["layers"].as_object().unwrap() {
        // By the name that Keras gave, so that names made by type are Keras', too.
        let found = layer(name).keras_layer(wanted["config"]["name"].as_str().unwrap());
        assert_keras(&found.unwrap(), wanted, name);
    }
}

#[test]
fn the_script_has_every_layer() {
    let golden = fixture("keras-configs.json");
    let known: Vec<&Value> = golden["layers"].as_object().unwrap().values().map(|layer| &layer["class_name"]).collect();
    // An arm each, of the functions that make layers of files.
    let sources = [
        include_str!("../../src/nn/layers/mod.rs"),
        include_str!("../../src/nn/layers/attention/mod.rs"),
        include_str!("../../src/nn/layers/convolution/mod.rs"),
        include_str!("../../src/nn/layers/pooling/mod.rs"),
        include_str!("../../src/nn/layers/recurrent/mod.rs"),
    ];
    let lines = sources.iter().flat_map(|source| source.lines());
    let table = lines.filter_map(|line| line.trim().split_once(" => Box::new("));
    let classes: Vec<&str> = table.map(|(class, _)| class.trim_matches('"')).collect();
    assert!(classes.len() > 20, "{classes:?}");
    // Those are KerasHub's.
    let others = ["PositionEmbedding", "SinePositionEncoding"];
    let is_missing = |class: &&&str| !others.contains(class) && !known.iter().any(|known| known == *class);
    let missing: Vec<_> = classes.iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "scripts/golden-configs has no {missing:?}");
}

#[test]
fn what_layers_are_made_with_says_what_keras_says() {
    let golden = fixture("keras-configs.json");
    let all = |kind: &str| golden[kind].as_object().unwrap().clone();
    assert_eq!(all("initializers").len(), init::NAMES.len());
    for (name, wanted) in all("initializers") {
        let initializer = match Initializer::by_name(&name).unwrap() {
            Initializer::Constant(_) => Initializer::Constant(0.5),
            Initializer::Orthogonal(_) => Initializer::Orthogonal(0.5),
            Initializer::Identity(_) => Initializer::Identity(0.5),
            other => other,
        };
        assert_keras(&initializer.keras(), &wanted, &name);
    }
    for (name, wanted) in all("regularizers") {
        let regularizer = match name.as_str() {
            "l1" => Regularizer::l1(0.1),
            "l2" => Regularizer::l2(0.1),
            _ => Regularizer::l1_l2(0.1, 0.2),
        };
        assert_keras(&regularizer.keras(), &wanted, &name);
    }
    for (name, wanted) in all("constraints") {
        assert_keras(&Constraint::by_name(&name).unwrap().keras(), &wanted, &name);
    }
    for (name, wanted) in all("activations") {
        assert_eq!(Activation::by_name(&name).unwrap().keras().unwrap(), wanted.as_str().unwrap().into());
    }
}

fn paths_of(golden: &Value, model: &str) -> Vec<String> {
    golden["paths"][model].as_array().unwrap().iter().map(|path| path.as_str().unwrap().to_string()).collect()
}

#[test]
fn weights_have_keras_paths() {
    let golden = fixture("keras-configs.json");
    let chain = Sequential::new()
        .add(Input::new([6, 4]))
        .add(Dense::new(4))
        .add(BatchNormalization::new())
        .add(PRelu::new())
        .add(Dense::new(3))
        .add(RmsNormalization::new())
        .add(LayerNormalization::new())
        .add(Dropout::new(0.5))
        .add(GroupNormalization::new(3))
        .add(Flatten)
        .add(Dense::new(2).use_bias(false).named("last"));
    assert_eq!(chain.keras_paths().unwrap(), paths_of(&golden, "chain"));
    let scaled = Sequential::new().add(Input::new([3])).add(Normalization::new()).add(Dense::new(2));
    assert_eq!(scaled.keras_paths().unwrap(), paths_of(&golden, "scaled"));
    let named = Sequential::new().named("tower").add(Input::new([3])).add(Dense::new(4)).add(Dense::new(2));
    assert_eq!(named.keras_paths().unwrap(), paths_of(&golden, "named"));
    let known = named.parameters().unwrap().iter().map(|p| format!("tower/{}", p.path()));
    assert_eq!(known.collect::<Vec<_>>(), paths_of(&golden, "named"));
}

#[test]
fn weights_of_functional_models_have_keras_paths() -> Result<()> {
    let (a, b) = (Input::new([4]), Input::new([3]));
    let shared = Dense::new(5).shared();
    let first = shared.apply(&a)?;
    let second = shared.apply(Dense::new(4).apply(&b)?)?;
    let h = Concatenate::new().apply([&first, &second])?;
    let h = BatchNormalization::new().scale(false).apply(&h)?;
    let age = Dense::new(1).named("age").apply(&h)?;
    let other = Dense::new(2).apply(PRelu::new().apply(&h)?)?;
    let model = Model::new((&a, &b), [age, other])?;
    // Deeper layers first, not those that are called first.
    assert_eq!(model.keras_paths()?, paths_of(&fixture("keras-configs.json"), "functional"));
    assert_eq!(model.keras_layer("input_layer_1")?.get("batch_shape"), Some(&vec![None, Some(3usize)].into()));
    assert_eq!(model.keras_layer("dense_1")?.get("units"), Some(&4usize.into()));
    Ok(())
}

/// The script's `inner`.
fn inner() -> Result<Model> {
    let (far, near) = (Input::new([4]).named("far"), Input::new([5]).named("near"));
    let shared = Dense::new(5).named("shared").shared();
    let first = shared.apply(&far)?;
    let second = shared.apply(Dense::new(4).named("between").apply(&near)?)?;
    let h = BatchNormalization::new().apply(Concatenate::new().apply([&first, &second])?)?;
    let age = Dense::new(1).named("age").apply(&h)?;
    Ok(Model::new([&far, &near], [age, Dense::new(2).activation("relu").apply(&first)?])?.named("net"))
}

/// The script's models with models inside them.
fn models() -> Result<Vec<(&'static str, Model)>> {
    let tail = |chain: Sequential| {
        let chain = chain.add(Dense::new(8).named("wide")).add(Dropout::new(0.5));
        chain.add(Dense::new(4).named("code")).named("encoder")
    };
    let around = |encoder: Sequential, name: &str| {
        let chain = Sequential::new().add(Input::new([16]));
        chain.add(encoder).add(Dense::new(16).named("out")).named(name).into_model()
    };
    let chain = around(tail(Sequential::new()), "chain");
    let built = around(tail(Sequential::new().add(Input::new([16]))), "built");
    let (x, y) = (Input::new([4]).named("x"), Input::new([5]).named("y"));
    let given = inner()?.trainable(false).shared().apply_all([&x, &y])?;
    let out = Dense::new(2).named("out").apply(&given[0])?;
    let outer = Model::new([&x, &y], [&out, &given[1]])?.named("outer");
    let skip = |name: &str| {
        let y = Input::new([4]);
        let sum = Add.named("sum").apply([Dense::new(4).named("inside").apply(&y)?, y.value()])?;
        Ok::<_, Error>(Model::new(&y, sum)?.named(name))
    };
    let block = skip("block")?.shared();
    let deepest = Sequential::new().add(Dense::new(4).named("last")).named("deepest");
    let deep = Sequential::new().add(Dense::new(4).named("first")).add(skip("other")?).add(deepest).named("deep");
    let x = Input::new([4]).named("x");
    let twice = Model::new(&x, block.apply(block.apply(deep.apply(&x)?)?)?)?.named("twice");
    Ok(vec![("chain", chain), ("built", built), ("outer", outer), ("twice", twice)])
}

#[test]
fn models_that_are_layers_say_what_keras_says() -> Result<()> {
    let golden = fixture("keras-configs.json");
    for (name, model) in models()? {
        assert_eq!(model.keras_paths()?, paths_of(&golden, &format!("models_{name}")), "{name}");
        let wanted = &golden["models"][name];
        for layer in wanted["config"]["layers"].as_array().unwrap() {
            let own = layer["config"]["name"].as_str().unwrap();
            let mut found: Value = serde_json::from_str(&model.keras_layer(own)?.to_json()).unwrap();
            // The model has these of its layers, not they themselves.
            for key in ["name", "inbound_nodes"] {
                found.as_object_mut().unwrap().extend(layer.get(key).map(|value| (key.to_string(), value.clone())));
            }
            assert_same(&found, layer, &format!("{name}: {own}"));
        }
        assert_keras(&model.into_layer().keras(name)?, wanted, name);
    }
    Ok(())
}

#[test]
fn a_chain_that_does_not_know_its_samples_is_not_built() -> Result<()> {
    let encoder = Sequential::new().add(Dense::new(3)).into_layer().keras("encoder")?;
    assert_eq!((encoder.module(), encoder.class_name()), ("keras", "Sequential"));
    assert_eq!(encoder.get("build_input_shape"), None);
    let text = encoder.to_json();
    assert!(!text.contains("InputLayer") && !text.contains("build_config"), "{text}");
    says(Sequential::new().into_layer().keras("empty"), &["layer \"empty\"", "no layers"]);
    let lambda = of(Lambda::new(|_, inputs| Ok(inputs.to_vec()))).into_layer();
    says(lambda.keras("around"), &["layer \"lambda\"", "none of Keras' layers"]);
    Ok(())
}

#[test]
fn what_keras_has_nothing_like_is_named() {
    let lambda = of(Lambda::new(|_, inputs| Ok(inputs.to_vec())));
    says(lambda.keras_layer("lambda"), &["layer \"lambda\"", "Lambda", "none of Keras' layers"]);
    let gelu = of(Dense::new(2).activation(Activation::GeluTanh));
    says(gelu.keras_layer("dense"), &["gelu_tanh", "no name"]);
    says(gelu.keras_layer("dens"), &["layer", "\"dens\"", "dense"]);
}

//! Nets with each layer that Kiln has.

use kiln::nn::layers::Pair;
use kiln::nn::{Value, Values};
use kiln::prelude::*;

/// A net to write as ONNX.
pub struct Net {
    pub name: String,
    pub model: Model,
    /// The shape of a sample of each input.
    pub shapes: Vec<Shape>,
    /// How many tokens there are, where the inputs are tokens.
    pub tokens: Option<usize>,
}

fn net<const N: usize>(name: &str, inputs: [&Input; N], outputs: impl Into<Values>) -> Net {
    let shapes = inputs.iter().map(|input| input.value().shape().clone()).collect();
    let model = Model::new(inputs, outputs).unwrap().named(name).device(Device::cpu()).seed(3);
    Net { name: name.into(), model, shapes, tokens: None }
}

/// One layer of one input.
pub fn one(name: &str, shape: &[usize], layer: impl Layer + 'static) -> Net {
    let x = Input::new(shape.to_vec());
    let y = layer.apply_all(&x).unwrap();
    net(name, [&x], y)
}

/// One layer of several inputs.
fn several<const N: usize>(name: &str, shapes: &[&[usize]; N], layer: impl Layer + 'static) -> Net {
    let x = shapes.map(|shape| Input::new(shape.to_vec()));
    let y = layer.apply_all(x.each_ref()).unwrap();
    net(name, x.each_ref(), y)
}

fn of_tokens(net: Net, rows: usize) -> Net {
    Net { tokens: Some(rows), ..net }
}

pub fn all() -> Vec<Net> {
    let mut nets = Vec::new();
    nets.extend(core());
    nets.extend(convolutions());
    nets.extend(pools());
    nets.extend(images());
    nets.extend(normalizations());
    nets.extend(merges());
    nets.extend(recurrent());
    nets.extend(attention());
    nets.extend(whole());
    nets
}

fn core() -> Vec<Net> {
    let mut nets = vec![
        one("dense", &[5], Dense::new(3).activation("relu")),
        one("dense_no_bias", &[5], Dense::new(3).use_bias(false)),
        one("dense_sequence", &[4, 5], Dense::new(3).activation("softmax")),
        one("flatten", &[3, 4], Flatten),
        one("reshape", &[3, 4], Reshape::new([2, -1])),
        one("permute", &[3, 4, 2], Permute::new([3, 1, 2])),
        one("dropout", &[5], Dropout::new(0.5)),
        one("spatial_dropout", &[4, 5], SpatialDropout1D::new(0.5)),
        one("gaussian_noise", &[5], GaussianNoise::new(0.5)),
        one("gaussian_dropout", &[5], GaussianDropout::new(0.5)),
        one("rescaling", &[2, 3], Rescaling::new(0.5).offset([1.0, 2.0, 3.0])),
        one("prelu", &[4, 3], PRelu::new().shared_axes([1])),
        one("repeat_vector", &[3], RepeatVector::new(4)),
        one("masking", &[4, 3], Masking::new(0.0)),
        of_tokens(one("embedding", &[6], Embedding::new(11, 4)), 11),
        one("embedding_of_floats", &[4, 3], PositionEmbedding::new(6)),
        one("sine_position_encoding", &[4, 6], SinePositionEncoding::new()),
        one("identity", &[3], Activation::Linear),
    ];
    for (name, activation) in kiln::nn::activation::NAMES {
        nets.push(one(&format!("activation_{name}"), &[2, 4, 5], activation));
    }
    nets.push(one("activation_slope", &[7], Activation::LeakyRelu { negative_slope: 0.4 }));
    nets.push(one("activation_alpha", &[7], Activation::Elu { alpha: 0.7 }));
    nets
}

fn convolutions() -> Vec<Net> {
    vec![
        one("conv2d", &[7, 6, 3], Conv2D::new(4, 3).activation("relu")),
        one("conv2d_same", &[7, 6, 3], Conv2D::new(4, [2, 3]).strides(2).padding("same")),
        one("conv2d_dilated", &[9, 8, 2], Conv2D::new(4, 3).dilation_rate([2, 1]).use_bias(false)),
        one("conv2d_groups", &[7, 6, 4], Conv2D::new(6, 3).groups(2).activation("softmax")),
        one("conv2d_first", &[3, 7, 6], Conv2D::new(4, 3).data_format("channels_first").activation("tanh")),
        one("conv1d", &[9, 3], Conv1D::new(4, 3).strides(2).padding("same")),
        one("conv1d_causal", &[9, 3], Conv1D::new(4, 3).dilation_rate(2).padding("causal")),
        one("conv2d_transpose", &[4, 5, 3], Conv2DTranspose::new(2, 3).strides(2)),
        one("conv2d_transpose_same", &[4, 5, 3], Conv2DTranspose::new(2, 3).strides([2, 3]).padding("same")),
        one("conv2d_transpose_added", &[4, 5, 3], Conv2DTranspose::new(2, 4).strides(3).output_padding(1)),
        one("conv1d_transpose", &[6, 3], Conv1DTranspose::new(2, 3).strides(2).padding("same")),
        one("depthwise_conv2d", &[7, 6, 3], DepthwiseConv2D::new(3).depth_multiplier(2).padding("same")),
        one("depthwise_conv1d", &[9, 3], DepthwiseConv1D::new(3).strides(2)),
        one("separable_conv2d", &[7, 6, 3], SeparableConv2D::new(5, 3).strides(2).padding("same")),
        one("separable_conv1d", &[9, 3], SeparableConv1D::new(5, 3)),
    ]
}

fn pools() -> Vec<Net> {
    vec![
        one("max_pooling2d", &[7, 6, 3], MaxPooling2D::new(2)),
        one("max_pooling2d_same", &[7, 6, 3], MaxPooling2D::new([3, 2]).strides(2).padding("same")),
        one("average_pooling2d", &[7, 6, 3], AveragePooling2D::new(2)),
        one("average_pooling2d_same", &[7, 6, 3], AveragePooling2D::new(3).strides(2).padding("same")),
        one("average_pooling2d_first", &[3, 7, 6], AveragePooling2D::new(2).data_format("channels_first")),
        one("max_pooling1d", &[7, 3], MaxPooling1D::new(2)),
        one("average_pooling1d", &[7, 3], AveragePooling1D::new(3).strides(1).padding("same")),
        one("global_average_pooling2d", &[5, 4, 3], GlobalAveragePooling2D::new()),
        one("global_max_pooling2d", &[5, 4, 3], GlobalMaxPooling2D::new().keepdims(true)),
        one("global_average_pooling1d", &[5, 3], GlobalAveragePooling1D::new()),
        one("global_max_pooling1d", &[5, 3], GlobalMaxPooling1D::new()),
        one("adaptive_average_pooling2d", &[7, 6, 3], AdaptiveAveragePooling2D::new([3, 4])),
        one("adaptive_max_pooling2d", &[7, 6, 3], AdaptiveMaxPooling2D::new([3, 2])),
        one("adaptive_average_pooling1d", &[7, 3], AdaptiveAveragePooling1D::new(1)),
        one("adaptive_max_pooling1d", &[7, 3], AdaptiveMaxPooling1D::new(4)),
    ]
}

fn images() -> Vec<Net> {
    let shape = &[6, 8, 3];
    vec![
        one("zero_padding2d", shape, ZeroPadding2D::new([[1, 2], [0, 3]])),
        one("zero_padding1d", &[4, 3], ZeroPadding1D::new([1, 2])),
        one("cropping2d", shape, Cropping2D::new([[1, 2], [0, 3]])),
        one("cropping1d", &[6, 3], Cropping1D::new(Pair::from([1, 2]))),
        one("up_sampling2d", shape, UpSampling2D::new([2, 3])),
        one("up_sampling2d_bilinear", shape, UpSampling2D::new(2).interpolation("bilinear")),
        one("up_sampling1d", &[4, 3], UpSampling1D::new(3)),
        one("resizing", shape, Resizing::new(5, 11)),
        one("resizing_nearest", shape, Resizing::new(4, 3).interpolation("nearest")),
        one("resizing_crop", shape, Resizing::new(5, 5).crop_to_aspect_ratio(true)),
        one("resizing_pad", shape, Resizing::new(5, 5).pad_to_aspect_ratio(true).fill_value(2.0)),
        one("center_crop", shape, CenterCrop::new(3, 4)),
        one("random_crop", shape, RandomCrop::new(3, 4)),
        one("random_flip", shape, RandomFlip::horizontal()),
        one("random_rotation", shape, RandomRotation::new(0.2)),
        one("random_zoom", shape, RandomZoom::new(0.2)),
        one("random_translation", shape, RandomTranslation::new(0.2, 0.1)),
        one("random_brightness", shape, RandomBrightness::new(0.2)),
        one("random_contrast", shape, RandomContrast::new(0.2)),
    ]
}

fn normalizations() -> Vec<Net> {
    let given = Normalization::new().mean_and_variance([1.0, 2.0, 3.0], [0.5, 2.0, 1.0]);
    vec![
        one("batch_normalization", &[5], BatchNormalization::new()),
        one("batch_normalization_images", &[5, 4, 3], BatchNormalization::new().epsilon(1e-5)),
        one("batch_normalization_axis", &[5, 4], BatchNormalization::new().axis(1).center(false)),
        one("batch_normalization_bare", &[5, 4], BatchNormalization::new().scale(false)),
        one("layer_normalization", &[4, 5], LayerNormalization::new()),
        one("layer_normalization_axes", &[3, 4, 5], LayerNormalization::new().axes([-2, -1]).center(false)),
        one("layer_normalization_bare", &[4, 5], LayerNormalization::new().scale(false).center(false)),
        one("layer_normalization_first", &[4, 5], LayerNormalization::new().axes([1])),
        one("group_normalization", &[4, 5, 6], GroupNormalization::new(3)),
        one("rms_normalization", &[4, 5], RmsNormalization::new()),
        one("unit_normalization", &[4, 5], UnitNormalization::new()),
        one("normalization", &[4, 3], Normalization::new()),
        one("normalization_given", &[4, 3], given.clone()),
        one("normalization_inverted", &[4, 3], given.invert(true)),
    ]
}

fn merges() -> Vec<Net> {
    let two: [&[usize]; 2] = [&[4, 5], &[4, 5]];
    vec![
        several("add", &[&[4, 5], &[4, 5], &[4, 1]], Add),
        several("subtract", &two, Subtract),
        several("multiply", &two, Multiply),
        several("average", &[&[4, 5], &[4, 5], &[4, 5]], kiln::nn::layers::Average),
        several("maximum", &two, Maximum),
        several("minimum", &two, Minimum),
        several("concatenate", &[&[4, 5], &[4, 2]], Concatenate::new()),
        several("concatenate_steps", &[&[4, 5], &[3, 5]], Concatenate::new().axis(1)),
        several("dot", &[&[4, 5], &[3, 5]], Dot::new([2, 2])),
        several("dot_normalized", &[&[5], &[5]], Dot::new([1, 1]).normalize(true)),
    ]
}

fn recurrent() -> Vec<Net> {
    vec![
        one("simple_rnn", &[5, 3], SimpleRnn::new(4)),
        one("simple_rnn_relu", &[5, 3], SimpleRnn::new(4).activation("relu").return_sequences(true)),
        one("simple_rnn_linear", &[5, 3], SimpleRnn::new(4).activation("linear").use_bias(false)),
        one("lstm", &[5, 3], Lstm::new(4)),
        one("lstm_sequences", &[5, 3], Lstm::new(4).return_sequences(true).return_state(true)),
        one("lstm_no_bias", &[5, 3], Lstm::new(4).use_bias(false)),
        one("lstm_backwards", &[5, 3], Lstm::new(4).go_backwards(true).return_sequences(true)),
        one("lstm_activations", &[5, 3], Lstm::new(4).activation("elu").recurrent_activation("hard_sigmoid")),
        several("lstm_first", &[&[5, 3], &[4], &[4]], Lstm::new(4)),
        one("gru", &[5, 3], Gru::new(4).return_sequences(true)),
        one("gru_reset_before", &[5, 3], Gru::new(4).reset_after(false)),
        one("gru_no_bias", &[5, 3], Gru::new(4).use_bias(false)),
        several("gru_first", &[&[5, 3], &[4]], Gru::new(4).return_state(true)),
        one("bidirectional", &[5, 3], Bidirectional::new(Lstm::new(4).return_sequences(true))),
        one("bidirectional_sum", &[5, 3], Bidirectional::new(Gru::new(4)).merge_mode("sum")),
        one("bidirectional_mul", &[5, 3], Bidirectional::new(SimpleRnn::new(4)).merge_mode("mul")),
        one("bidirectional_ave", &[5, 3], Bidirectional::new(Gru::new(4).return_sequences(true)).merge_mode("ave")),
        one("bidirectional_none", &[5, 3], Bidirectional::new(Gru::new(4)).merge_mode("none")),
        one("time_distributed", &[4, 6, 5, 2], TimeDistributed::new(Conv2D::new(3, 2))),
        one("time_distributed_dense", &[4, 6], TimeDistributed::new(Dense::new(3))),
    ]
}

fn attention() -> Vec<Net> {
    let three: [&[usize]; 3] = [&[4, 6], &[5, 6], &[5, 6]];
    vec![
        one("multi_head_attention", &[4, 6], MultiHeadAttention::new(2, 3)),
        one("multi_head_attention_causal", &[4, 6], MultiHeadAttention::new(2, 3).use_causal_mask(true)),
        one("multi_head_attention_window", &[6, 6], MultiHeadAttention::new(2, 3).sliding_window(2).use_gate(true)),
        several("multi_head_attention_three", &three, MultiHeadAttention::new(3, 2).value_dim(4).output_shape([5])),
        several("attention", &three, Attention::new().use_scale(true)),
        several("attention_concat", &three, Attention::new().concat_scores(true)),
        several("additive_attention", &three, AdditiveAttention::new().use_causal_mask(true)),
    ]
}

/// A block of a residual network.
fn residual(x: &Value, filters: usize) -> Value {
    let same = |filters| Conv2D::new(filters, 3).padding("same").use_bias(false);
    let y = same(filters).apply(x).unwrap();
    let y = BatchNormalization::new().apply(&y).unwrap();
    let y = Activation::Relu.apply(&y).unwrap();
    let y = same(filters).apply(&y).unwrap();
    let y = BatchNormalization::new().apply(&y).unwrap();
    let skip = Conv2D::new(filters, 1).apply(x).unwrap();
    let sum = Add.apply([&y, &skip]).unwrap();
    Activation::Relu.apply(&sum).unwrap()
}

/// A block of a transformer.
fn transformer_block(x: &Value) -> Value {
    let seen = MultiHeadAttention::new(2, 4).dropout(0.1).use_causal_mask(true).apply(x).unwrap();
    let x = Add.apply([x, &seen]).unwrap();
    let x = LayerNormalization::new().apply(&x).unwrap();
    let wide = Dense::new(16).activation("gelu").apply(&x).unwrap();
    let wide = Dense::new(8).apply(&wide).unwrap();
    let sum = Add.apply([&x, &wide]).unwrap();
    LayerNormalization::new().apply(&sum).unwrap()
}

fn chains() -> [Sequential; 5] {
    let dense = Sequential::new()
        .add(Input::new([4, 4]))
        .add(Flatten)
        .add(Dense::new(12).activation("relu"))
        .add(Dropout::new(0.3))
        .add(Dense::new(3).activation("softmax"));
    let cnn = Sequential::new()
        .add(Input::new([12, 12, 1]))
        .add(Conv2D::new(4, 3).activation("relu"))
        .add(MaxPooling2D::new(2))
        .add(BatchNormalization::new())
        .add(Conv2D::new(6, 3).padding("same").activation("relu"))
        .add(ZeroPadding2D::new(1))
        .add(MaxPooling2D::new(2))
        .add(Flatten)
        .add(Dense::new(5).activation("softmax"));
    let cnn1d = Sequential::new()
        .add(Input::new([20, 3]))
        .add(Conv1D::new(4, 3).activation("relu"))
        .add(MaxPooling1D::new(2))
        .add(Conv1D::new(6, 3).activation("relu"))
        .add(GlobalMaxPooling1D::new())
        .add(Dense::new(2));
    let lstm = Sequential::new()
        .add(Input::new([6, 3]))
        .add(Lstm::new(5).return_sequences(true))
        .add(Lstm::new(4).dropout(0.2))
        .add(Dense::new(1));
    let gru = Sequential::new()
        .add(Input::new([6]))
        .add(Embedding::new(13, 4))
        .add(Bidirectional::new(Gru::new(5).return_sequences(true)))
        .add(Bidirectional::new(Gru::new(3)))
        .add(Dense::new(13).activation("softmax"));
    [dense, cnn, cnn1d, lstm, gru]
}

fn whole() -> Vec<Net> {
    let chain = |name: &str, model: Sequential| {
        let model = model.named(name).device(Device::cpu()).seed(5).into_model();
        let shapes = vec![model.sample_shape().unwrap().clone()];
        Net { name: name.into(), model, shapes, tokens: None }
    };
    let [dense, cnn, cnn1d, lstm, gru] = chains();
    let encoder = Sequential::new().add(Dense::new(4).activation("tanh")).add(Dense::new(2)).named("encoder");
    let nested = Sequential::new().add(Input::new([6])).add(encoder).add(Dense::new(6));
    let pixels = Input::new([8, 8, 2]).named("pixels");
    let y = residual(&residual(&pixels.value(), 4), 6);
    let y = GlobalAveragePooling2D::new().apply(&y).unwrap();
    let resnet = net("resnet", [&pixels], Dense::new(3).named("classes").apply(&y).unwrap());
    let words = Input::new([7]).named("words");
    let y = Embedding::new(19, 8).apply(&words).unwrap();
    let places = PositionEmbedding::new(7).apply(&y).unwrap();
    let y = Add.apply([&y, &places]).unwrap();
    let y = transformer_block(&transformer_block(&y));
    let transformer = net("transformer", [&words], Dense::new(19).apply(&y).unwrap());
    let masked = Embedding::new(9, 4).mask_zero(true).apply(&words).unwrap();
    let masked = MultiHeadAttention::new(2, 2).apply(&masked).unwrap();
    let masked = net("masked_attention", [&words], GlobalAveragePooling1D::new().apply(&masked).unwrap());
    let masked_by = |name: &str, layer: Box<dyn Layer>| {
        // Few tokens: many zeros, the first and the last steps among them.
        let seen = Embedding::new(3, 4).mask_zero(true).apply(&words).unwrap();
        of_tokens(net(name, [&words], layer.apply(&seen).unwrap()), 3)
    };
    let (left, right) = (Input::new([5]).named("left"), Input::new([5]).named("right"));
    let shared = Dense::new(3).activation("relu").named("code").shared();
    let (a, b) = (shared.apply(&left).unwrap(), shared.apply(&right).unwrap());
    let both = net("siamese", [&left, &right], [&Subtract.apply([&a, &b]).unwrap(), &a, &b]);
    vec![
        chain("whole_dense", dense),
        chain("whole_cnn", cnn),
        chain("whole_cnn1d", cnn1d),
        chain("whole_lstm", lstm),
        of_tokens(chain("whole_gru", gru), 13),
        chain("nested", nested),
        resnet,
        of_tokens(transformer, 19),
        of_tokens(masked, 9),
        masked_by("masked_lstm", Box::new(Lstm::new(4).return_sequences(true))),
        masked_by("masked_rnn", Box::new(SimpleRnn::new(4))),
        masked_by("masked_both_ways", Box::new(Bidirectional::new(Gru::new(3).return_sequences(true)))),
        both,
    ]
}

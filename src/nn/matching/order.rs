//! In which order a layer reads numbers that another program has in another one: images there have their channels first.

use std::collections::HashMap;

use crate::config::Setting;
use crate::error::Result;
use crate::nn::layers::Layer;
use crate::nn::network::{Network, Wire, path_of};
use crate::tensor::Shape;

/// How the numbers of a sample stand here, and in a program that has channels first.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Order {
    /// Alike, or of one axis.
    Same,
    /// As the model is given them: of several axes, of which nothing says yet whether one has channels.
    Given,
    /// Channels stand last here and first there.
    Images,
    /// One axis, of images made flat: there channels are the outer ones.
    Flat { pixels: usize, channels: usize },
    /// It cannot be told, because of this layer.
    Unknown(String),
}

/// The order of what each layer reads first, by the layers' paths.
pub(super) fn orders(network: &Network, samples: &[Shape]) -> Result<HashMap<String, Order>> {
    let mut found = HashMap::new();
    let given = samples.iter().map(|sample| if sample.rank() > 1 { Order::Given } else { Order::Same });
    walk(network, samples, given.collect(), "", &mut found)?;
    Ok(found)
}

/// Goes through a network; returns the order of each output.
fn walk(
    network: &Network,
    samples: &[Shape],
    inputs: Vec<Order>,
    within: &str,
    found: &mut HashMap<String, Order>,
) -> Result<Vec<Order>> {
    let built = network.build(samples.to_vec())?;
    let mut made: Vec<Vec<Order>> = Vec::new();
    for (at, call) in network.calls.iter().enumerate() {
        let (name, layer) = &network.layers[call.layer];
        let path = path_of(within, name);
        let reads: Vec<Order> = call.reads.iter().map(|wire| of(wire, &inputs, &made)).collect();
        let shapes: Vec<Shape> = call.reads.iter().map(|&wire| built.sample_of(wire)).collect();
        if let Some(first) = reads.first() {
            let known = found.entry(path.clone()).or_insert_with(|| first.clone());
            if known != first {
                *known = Order::Unknown(path.clone());
            }
        }
        let given: &[Shape] = &built.shapes[at];
        made.push(match layer.nested() {
            Some(nested) => walk(&nested.network, &shapes, reads, &path, found)?,
            None => given.iter().map(|y| behind(&**layer, &path, &reads, &shapes, &y[1..])).collect(),
        });
    }
    Ok(network.outputs.iter().map(|wire| of(wire, &inputs, &made)).collect())
}

fn of(wire: &Wire, inputs: &[Order], made: &[Vec<Order>]) -> Order {
    match *wire {
        Wire::Input(input) => inputs[input].clone(),
        Wire::Output { call, index } => made[call].get(index).cloned().unwrap_or(Order::Same),
    }
}

/// Whether all numbers of a sample stand along one axis.
fn is_line(sample: &[usize]) -> bool {
    sample.iter().filter(|&&extent| extent != 1).count() <= 1
}

/// The order of a sample that a layer gives.
fn behind(layer: &dyn Layer, path: &str, reads: &[Order], shapes: &[Shape], given: &[usize]) -> Order {
    let unknown = || Order::Unknown(path.into());
    if let Some(culprit) = reads.iter().find(|order| matches!(order, Order::Unknown(_))) {
        return culprit.clone();
    }
    let (Some(first), Some(shape)) = (reads.first(), shapes.first()) else { return Order::Same };
    let alike = || if reads.iter().all(|order| order == first) { first.clone() } else { unknown() };
    match layer.kind() {
        "Flatten" => flattened(first, shape),
        "Reshape" => match first {
            Order::Given => Order::Given,
            Order::Same | Order::Images if is_line(shape) && is_line(given) => Order::Same,
            _ => unknown(),
        },
        "Add" | "Subtract" | "Multiply" | "Average" | "Maximum" | "Minimum" => alike(),
        "Concatenate" => match alike() {
            Order::Flat { .. } => unknown(),
            order => order,
        },
        "InputLayer" | "Activation" | "PReLU" | "Dropout" | "SpatialDropout1D" | "SpatialDropout2D"
        | "GaussianNoise" | "GaussianDropout" | "BatchNormalization" | "LayerNormalization" | "GroupNormalization"
        | "RMSNormalization" | "UnitNormalization" | "Normalization" | "Rescaling" | "Masking" | "RandomFlip"
        | "RandomTranslation" | "RandomRotation" | "RandomZoom" | "RandomBrightness" | "RandomContrast" => {
            first.clone()
        }
        "Embedding"
        | "SimpleRNN"
        | "LSTM"
        | "GRU"
        | "Bidirectional"
        | "RepeatVector"
        | "MultiHeadAttention"
        | "Attention"
        | "AdditiveAttention"
        | "PositionEmbedding"
        | "SinePositionEncoding" => Order::Same,
        "Dense" | "TimeDistributed" if *first == Order::Images && !is_line(shape) => unknown(),
        "Dense" | "TimeDistributed" => Order::Same,
        kind if goes_over_images(kind) => match channels_first(layer) {
            Some(false) if given.len() > 1 => Order::Images,
            Some(_) => Order::Same,
            None => unknown(),
        },
        _ => unknown(),
    }
}

/// Whether layers of a class take images or sequences with channels.
fn goes_over_images(kind: &str) -> bool {
    let stems = [
        "Conv",
        "DepthwiseConv",
        "SeparableConv",
        "Max",
        "Average",
        "Global",
        "Adaptive",
        "ZeroPadding",
        "Cropping",
        "UpSampling",
    ];
    let is_sized = kind.ends_with("1D") || kind.ends_with("2D") || kind.ends_with("Transpose");
    (is_sized && stems.iter().any(|stem| kind.starts_with(stem)))
        || ["Resizing", "CenterCrop", "RandomCrop"].contains(&kind)
}

/// Whether a layer over images has channels first here, too.
fn channels_first(layer: &dyn Layer) -> Option<bool> {
    match layer.config().take_or("data_format", Setting::Null).ok()? {
        Setting::Text(format) => Some(format == "channels_first"),
        _ => Some(false),
    }
}

/// The order of what was made one axis.
fn flattened(order: &Order, shape: &Shape) -> Order {
    let channels = shape.last().copied().unwrap_or(1);
    let pixels = shape.len() / channels.max(1);
    match order {
        Order::Images | Order::Given if channels == 1 || pixels == 1 => Order::Same,
        Order::Images => Order::Flat { pixels, channels },
        Order::Given if shape.rank() > 2 => Order::Unknown("the model's input".into()),
        Order::Given => Order::Same,
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::nn::Chain;

    fn order_of(text: &str, layer: &str) -> Order {
        let chain: Chain = text.parse().unwrap();
        let mut network = Network::chain();
        chain.links().iter().for_each(|link| network.append(link.name.clone(), Arc::clone(&link.layer)));
        orders(&network, &network.samples().unwrap()).unwrap()[layer].clone()
    }

    #[test]
    fn images_made_flat_have_their_channels_elsewhere() {
        let flat = Order::Flat { pixels: 4, channels: 3 };
        let begin = "input 4 4 2, conv2d 3 3";
        assert_eq!(order_of(&format!("{begin}, flatten, dense 5"), "dense"), flat);
        assert_eq!(order_of(&format!("{begin}, dropout 0.5, flatten, batch_normalization, dense 5"), "dense"), flat);
        assert_eq!(order_of(&format!("{begin}, global_average_pooling2d, dense 5"), "dense"), Order::Same);
        assert_eq!(order_of(&format!("{begin}, batch_normalization"), "batch_normalization"), Order::Images);
        assert_eq!(order_of(&format!("{begin}, flatten, dense 5, dense 2"), "dense_1"), Order::Same);
        let first = "input 2 4 4, conv2d 3 3 data_format=channels_first, flatten, dense 5";
        assert_eq!(order_of(first, "dense"), Order::Same);
        assert_eq!(order_of("input 4 2, lstm 3 return_sequences=true, flatten, dense 5", "dense"), Order::Same);
        assert_eq!(order_of("input 4 4, flatten, dense 5", "dense"), Order::Same);
        assert_eq!(order_of("input 4 4 1, flatten, dense 5", "dense"), Order::Same);
        for (text, culprit) in [
            ("input 4 4 3, flatten, dense 5".to_string(), "the model's input"),
            (format!("{begin}, permute 3 1 2, flatten, dense 5"), "permute"),
            ("input 12, dense 12 name=first, reshape 2 2 3, max_pooling2d 2, flatten, dense 5".into(), "reshape"),
            (format!("{begin}, dense 3, flatten, dense 5"), "dense"),
        ] {
            let layer = if culprit == "dense" { "dense_1" } else { "dense" };
            assert_eq!(order_of(&text, layer), Order::Unknown(culprit.into()), "{text}");
        }
    }
}

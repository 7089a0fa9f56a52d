//! Cross-entropy with labels that are ignored, weights of classes and any number of axes.

use kiln::Result;
use kiln::graph::{Aggregation, Id};
use kiln::nn::loss::Labels;
use kiln::ops::binary::Binary;
use kiln::ops::log_softmax::LogSoftmax;

use super::Translation;
use super::call::{Call, on_graph};

pub fn translation(operator: &str) -> Option<Translation> {
    match operator {
        "SoftmaxCrossEntropyLoss" | "NegativeLogLikelihoodLoss" => Some(|case, device| on_graph(case, device, loss)),
        _ => None,
    }
}

/// The labels' classes are along axis 1 of the scores, those of images before the pixels.
fn loss(call: &mut Call<'_>) -> Result<Vec<Id>> {
    let (x, labels) = (call.x(0), call.x(1));
    let shape = call.shape(x);
    let pixels: usize = shape[2..].iter().product();
    let flat = call.reshaped(x, [shape[0], shape[1], pixels])?;
    let scores = call.transposed(flat, [0, 2, 1])?;
    let own = call.shape(labels);
    let flat = call.reshaped(labels, [shape[0], pixels])?;
    let labels = Labels {
        ignore_class: call.case.attributes.get("ignore_index").map(|_| call.case.int("ignore_index", 0) as u32),
        class_weights: call.has(2).then(|| call.x(2)),
        ..Labels::new(flat)
    };
    let is_likelihood = call.case.operator == "NegativeLogLikelihoodLoss";
    let [losses, counts] = match is_likelihood {
        true => labels.negative_log_likelihood(&mut call.g, scores)?,
        false => labels.crossentropy(&mut call.g, scores)?,
    };
    let sum = |call: &mut Call<'_>, x| call.g.reduce(Aggregation::Sum, x, None, false);
    let reduced = match call.case.text("reduction") {
        "none" => call.reshaped(losses, own)?,
        "sum" => sum(call, losses)?,
        _ => {
            let (losses, counts) = (sum(call, losses)?, sum(call, counts)?);
            call.with(Binary::Div, losses, counts)?
        }
    };
    let log = LogSoftmax::over(&mut call.g, x, 1)?;
    Ok([reduced, log].into_iter().take(call.case.outputs.len()).collect())
}

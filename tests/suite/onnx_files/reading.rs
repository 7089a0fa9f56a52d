//! Networks of files that Kiln wrote itself, and of damaged ones.

use kiln::Result;
use kiln::prelude::*;

use super::{nets, samples, stir};

/// Nets that are written and not read again: Kiln has no layer for an operator that they consist of.
const NOT_READ: [&str; 33] = [
    "adaptive_average_pooling2d",
    "adaptive_max_pooling1d",
    "adaptive_max_pooling2d",
    "additive_attention",
    "attention",
    "attention_concat",
    "bidirectional",
    "bidirectional_ave",
    "dot",
    "dot_normalized",
    "embedding_of_floats",
    "gru_first",
    "layer_normalization_first",
    "lstm_backwards",
    "lstm_first",
    "masked_attention",
    "masked_both_ways",
    "masked_lstm",
    "masked_rnn",
    "masking",
    "multi_head_attention",
    "multi_head_attention_causal",
    "multi_head_attention_three",
    "multi_head_attention_window",
    "repeat_vector",
    "resizing_pad",
    "rms_normalization",
    "sine_position_encoding",
    "time_distributed",
    "time_distributed_dense",
    "transformer",
    "unit_normalization",
    "whole_gru",
];

/// Reads a net that was written, and says how far its predictions are apart.
fn apart(net: nets::Net) -> Result<f64> {
    let nets::Net { mut model, shapes, tokens, .. } = net;
    stir(&mut model);
    let mut again = Model::from_onnx(model.to_onnx()?)?.device(Device::cpu());
    let x: Vec<Tensor> = shapes.iter().enumerate().map(|(i, shape)| samples(shape, tokens, i)).collect();
    let x: Vec<&Tensor> = x.iter().collect();
    let (wanted, found) = (model.predict_all(&x)?, again.predict_all(&x)?);
    let mut worst = 0.0f64;
    for (wanted, found) in wanted.iter().zip(&found) {
        assert_eq!(wanted.shape(), found.shape());
        let (wanted, found) = (wanted.values().to_f64(), found.values().to_f64());
        let largest = wanted.iter().fold(1.0f64, |most, x| most.max(x.abs()));
        let apart = wanted.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        worst = worst.max(apart / largest);
    }
    Ok(worst)
}

#[test]
fn what_is_written_is_read() {
    let mut complaints = Vec::new();
    for net in nets::all() {
        let name = net.name.clone();
        let is_read = !NOT_READ.contains(&name.as_str());
        match apart(net) {
            Ok(apart) if is_read && apart < 1e-5 => {}
            Ok(apart) => complaints.push(format!("{name}: read, {apart:e} apart")),
            Err(e) if !is_read && e.to_string().contains("node ") => {}
            Err(e) => complaints.push(format!("{name}: {e}")),
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

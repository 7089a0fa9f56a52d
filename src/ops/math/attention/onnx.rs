//! Attention as ONNX operators: products, a softmax between them, and -1e30 for the scores of keys that do not count.

use super::{Attention, LOW};
use crate::error::Result;
use crate::graph::Id;
use crate::graph::onnx::{BOOL, Writer};
use crate::tensor::Tensor;

/// (batch, heads, steps, numbers) of (batch, steps, heads, numbers).
const HEADS_FIRST: [usize; 4] = [0, 2, 1, 3];
/// The same, the last two transposed.
const TURNED: [usize; 4] = [0, 2, 3, 1];

impl Attention {
    pub(super) fn write(&self, writer: &mut Writer<'_>) -> Result<()> {
        let (inputs, outputs) = (writer.inputs(), writer.outputs());
        let [heads, groups] = [inputs[0], inputs[1]].map(|x| writer.graph().shape(x)[2]);
        if writer.is_read(outputs[1]) {
            return Err(writer.refused("leaves its sums to others"));
        }
        if groups != heads && groups != 1 {
            return Err(writer.refused(format!("shares {groups} groups of keys between {heads} heads")));
        }
        let q = writer.ordered(inputs[0], &HEADS_FIRST)?;
        let k = writer.ordered(inputs[1], &TURNED)?;
        let v = writer.ordered(inputs[2], &HEADS_FIRST)?;
        let scores = writer.add("MatMul", &[&q, &k], vec![]);
        let scale = writer.number(self.scale);
        let scores = writer.add("Mul", &[&scores, &scale], vec![]);
        let scores = self.seen_alone(writer, scores, [inputs[0], inputs[1]])?;
        let scores = match inputs.get(3) {
            Some(&mask) => {
                let (mask, half) = (writer.plain(mask)?, writer.number(0.5));
                let counts = writer.add("Greater", &[&mask, &half], vec![]);
                where_it_counts(writer, &counts, &scores)
            }
            None => scores,
        };
        let weights = writer.add("Softmax", &[&scores], vec![("axis", (-1i64).into())]);
        let y = writer.add("MatMul", &[&weights, &v], vec![]);
        writer.give(outputs[0], y, HEADS_FIRST.to_vec());
        Ok(())
    }

    /// Scores of the keys that each query may see.
    fn seen_alone(&self, writer: &mut Writer<'_>, scores: String, [q, k]: [Id; 2]) -> Result<String> {
        if !self.causal && self.window.is_none() {
            return Ok(scores);
        }
        let [queries, keys] = [q, k].map(|x| writer.graph().shape(x)[1]);
        let seen = (0..queries).flat_map(|t| {
            let range = self.seen(t, keys);
            (0..keys).map(move |j| f32::from(range.contains(&j)))
        });
        let seen = writer.floats("seen", &Tensor::new([queries, keys], seen.collect::<Vec<_>>())?);
        let seen = writer.add("Cast", &[&seen], vec![("to", BOOL.into())]);
        Ok(where_it_counts(writer, &seen, &scores))
    }
}

fn where_it_counts(writer: &mut Writer<'_>, counts: &str, scores: &str) -> String {
    let low = writer.number(LOW);
    writer.add("Where", &[counts, scores, &low], vec![])
}

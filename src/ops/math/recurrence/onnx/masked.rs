//! Recurrence under a mask in ONNX, whose operators know lengths of sequences alone: the steps that count are brought to the front, in
//! their order, and each step is given the state behind the last of them.

use super::Recurrence;
use crate::error::Result;
use crate::graph::Id;
use crate::graph::onnx::{FLOAT, INT64, Writer};
use crate::tensor::Tensor;

/// ONNX' number of whole numbers of 32 bits.
const INT32: i64 = 6;

/// A sequence whose steps that count are at its front.
pub(super) struct Compacted {
    /// The sequence (steps, batch, features).
    pub x: String,
    /// How many steps of each count, (batch,).
    pub lengths: String,
    /// The mask (batch, steps), ones and zeros.
    mask: String,
    steps: usize,
}

impl Compacted {
    pub fn new(writer: &mut Writer<'_>, x: Id, mask: Id) -> Result<Self> {
        let [_, steps, features] = writer.graph().shape(x)[..] else {
            return Err(writer.refused("passes over steps of other than sequences"));
        };
        let (x, mask) = (writer.plain(x)?, writer.plain(mask)?);
        // The larger, the earlier; what does not count is behind all that does.
        let places = Tensor::new([1, steps], (0..steps).map(|step| step as f32).collect::<Vec<_>>())?;
        let (places, all) = (writer.floats("steps", &places), writer.number(2.0 * steps as f64));
        let counting = writer.add("Mul", &[&mask, &all], vec![]);
        let keys = writer.add("Sub", &[&counting, &places], vec![]);
        let count = writer.ints(&[steps as i64]);
        let order = writer.add_all("TopK", &[&keys, &count], vec![("axis", 1i64.into())], 2).remove(1);
        let x = gathered(writer, &x, &order, features);
        let x = writer.add("Transpose", &[&x], vec![("perm", vec![1i64, 0, 2].into())]);
        let axis = writer.ints(&[1]);
        let counts = writer.add("ReduceSum", &[&mask, &axis], vec![("keepdims", 0i64.into())]);
        let lengths = writer.add("Cast", &[&counts], vec![("to", INT32.into())]);
        Ok(Self { x, lengths, mask, steps })
    }

    /// The states (batch, steps, units) behind all steps, of those (steps, batch, units) behind the steps that count. Before the first of
    /// them the state is zero.
    pub fn spread(&self, writer: &mut Writer<'_>, of: &Recurrence, made: &str, units: usize) -> String {
        let made = writer.add("Transpose", &[made], vec![("perm", vec![1i64, 0, 2].into())]);
        let axis = writer.ints(&[1]);
        let counted = writer.add("CumSum", &[&self.mask, &axis], vec![]);
        let (places, has_state) = if of.backwards {
            // The next step that counts, this one or one behind it.
            let places = writer.add("Sub", &[&counted, &self.mask], vec![]);
            let all = writer.add("ReduceSum", &[&self.mask, &axis], vec![]);
            let has_state = writer.add("Less", &[&places, &all], vec![]);
            let last = writer.number(self.steps as f64 - 1.0);
            (writer.add("Min", &[&places, &last], vec![]), has_state)
        } else {
            let [one, zero] = [1.0, 0.0].map(|number| writer.number(number));
            let places = writer.add("Sub", &[&counted, &one], vec![]);
            let has_state = writer.add("Greater", &[&counted, &zero], vec![]);
            (writer.add("Max", &[&places, &zero], vec![]), has_state)
        };
        let places = writer.add("Cast", &[&places], vec![("to", INT64.into())]);
        let states = gathered(writer, &made, &places, units);
        let has_state = writer.add("Cast", &[&has_state], vec![("to", FLOAT.into())]);
        let behind = writer.ints(&[2]);
        let has_state = writer.add("Unsqueeze", &[&has_state, &behind], vec![]);
        writer.add("Mul", &[&states, &has_state], vec![])
    }
}

/// The steps of (batch, steps, width) at places (batch, steps).
fn gathered(writer: &mut Writer<'_>, from: &str, places: &str, width: usize) -> String {
    let (behind, shape) = (writer.ints(&[2]), writer.ints(&[1, 1, width as i64]));
    let places = writer.add("Unsqueeze", &[places, &behind], vec![]);
    let places = writer.add("Expand", &[&places, &shape], vec![]);
    writer.add("GatherElements", &[from, &places], vec![("axis", 1i64.into())])
}

//! Which inputs of a network are whole numbers that a layer takes as rows of a table, and that they are such.

use std::collections::HashMap;

use super::{Network, Wire, path_of};
use crate::error::{Error, Result};
use crate::tensor::{Tensor, Values};

/// A table that an input's numbers are rows of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    /// The path of the layer that has it.
    pub layer: String,
    pub rows: usize,
}

impl Network {
    /// Of each input the smallest table whose layer reads it itself, if one does.
    pub fn tables(&self) -> Vec<Option<Table>> {
        self.tables_within("")
    }

    fn tables_within(&self, path: &str) -> Vec<Option<Table>> {
        let mut found: Vec<Option<Table>> = vec![None; self.inputs.len()];
        // What an `Input` gives is the input.
        let mut passed: HashMap<usize, usize> = HashMap::new();
        for (at, call) in self.calls.iter().enumerate() {
            let (name, layer) = &self.layers[call.layer];
            let inner = layer.nested().map(|nested| nested.network.tables_within(&path_of(path, name)));
            for (position, wire) in call.reads.iter().enumerate() {
                let input = match wire {
                    Wire::Input(input) => Some(*input),
                    Wire::Output { call, .. } => passed.get(call).copied(),
                };
                let Some(input) = input else { continue };
                if layer.sample_shape().is_some() {
                    passed.insert(at, input);
                }
                let own = layer.input_dim().map(|rows| Table { layer: path_of(path, name), rows });
                let read = own.or_else(|| inner.as_ref()?.get(position)?.clone());
                let smaller = |table: &Table| found[input].as_ref().is_none_or(|known| table.rows < known.rows);
                if let Some(table) = read.filter(smaller) {
                    found[input] = Some(table);
                }
            }
        }
        found
    }
}

impl Table {
    /// That all of the samples of this name, and what they are multiplied by, are rows.
    pub fn check(&self, name: &str, samples: &Tensor, scale: f32) -> Result<()> {
        let Self { layer, rows } = self;
        if scale != 1.0 {
            let message = format!(
                "are multiplied by {scale}, and layer {layer:?} takes whole numbers below {rows}; give them as u32, or set the \
                 scale to 1"
            );
            return Err(Error::argument(name, message));
        }
        let bad = match samples.values() {
            Values::F32(all) => first_that_is_none(all, *rows),
            Values::F64(all) => first_that_is_none(all, *rows),
            Values::U32(all) => first_that_is_none(all, *rows),
            Values::U8(all) => first_that_is_none(all, *rows),
        };
        let Some((at, number)) = bad else { return Ok(()) };
        let width = samples.shape()[1..].iter().product::<usize>().max(1);
        let message = format!(
            "row {}, column {}: {number} is no token of layer {layer:?}, which takes whole numbers from 0 to {}",
            at / width,
            at % width,
            rows - 1
        );
        Err(Error::argument(name, message))
    }
}

/// The place of the first number that is no row of so many, and the number.
fn first_that_is_none<T: Copy + Into<f64>>(numbers: &[T], rows: usize) -> Option<(usize, f64)> {
    let is_row = |number: f64| number >= 0.0 && number < rows as f64 && number.fract() == 0.0;
    numbers.iter().map(|&number| number.into()).enumerate().find(|&(_, number)| !is_row(number))
}

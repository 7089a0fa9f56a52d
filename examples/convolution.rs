//! A mask over an image by hand: the convolution of the notes, on the CPU and on the adapter.
//!
//! `cargo run --release --example convolution [-- --device NAME]` prints 3 rows of 3: what a mask of 2x2 finds in an image of 4x4.

mod common;

use kiln::prelude::*;

const IMAGE: [[f32; 4]; 4] = [[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.0]];
const MASK: [[f32; 2]; 2] = [[1.0, 0.0], [0.0, 1.0]];

pub fn main() -> anyhow::Result<()> {
    // Neither padded nor strided: the mask stands at 3 x 3 places.
    let mut model = Sequential::new().add(Input::new([4, 4, 1])).add(Conv2D::new(1, 2).use_bias(false));
    model = model.device(common::device()?);
    model.set_weights(&[Tensor::new([2, 2, 1, 1], MASK.concat())?])?;
    let found = model.predict(&Tensor::new([1, 4, 4, 1], IMAGE.concat())?)?;
    for row in found.values().to_f32().chunks(3) {
        println!("{row:.0?}");
    }
    Ok(())
}

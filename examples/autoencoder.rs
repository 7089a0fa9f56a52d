//! An autoencoder whose decoder multiplies by the encoder's kernel, transposed, and has a bias of its own: a layer that reads
//! another layer's weight.
//!
//! `cargo run --release --example autoencoder [-- --device NAME]` squeezes twelve numbers, which four make up, into four and out
//! again, and prints the mean squared error at the start and at the end.

mod common;

use kiln::graph::Id;
use kiln::nn::Scope;
use kiln::ops::binary::Binary;
use kiln::ops::matmul::MatMul;
use kiln::prelude::*;

/// y = x kernel' + bias, with the kernel (units, width of x) of the layer of this name.
#[derive(Clone, Debug)]
struct Tied {
    encoder: &'static str,
    units: usize,
}

impl Layer for Tied {
    fn kind(&self) -> &'static str {
        "Tied"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        let width = scope.graph.shape(x)[1];
        let kernel = scope.weight_of(self.encoder, "kernel", [self.units, width])?;
        let bias = scope.parameter("bias", [self.units], Initializer::Zeros)?;
        let y = scope.graph.apply(MatMul::new(false, true), &[x, kernel])?;
        Ok(vec![scope.graph.apply(Binary::Add, &[y, bias])?])
    }
}

pub fn main() -> anyhow::Result<()> {
    // Twelve numbers a sample, each a sum of the sample's four by fixed shares.
    let x: Vec<f32> = (0..256usize)
        .flat_map(|i| {
            let own = [1, 3, 7, 11].map(|k: usize| ((i * (2 * k + 1) * 29) % 61) as f32 / 30.0 - 1.0);
            (0..12usize)
                .map(move |j| (0..4).map(|k| own[k] * ((j * (k + 3) * 7 % 13) as f32 / 12.0 - 0.5)).sum::<f32>())
        })
        .collect();
    let x = Tensor::new([256, 12], x)?;
    let data = Dataset::new(x.clone(), x)?;
    let input = Input::new([12]);
    let code = Dense::new(4).named("encoder").apply(&input)?;
    let mut model = Model::new(&input, Tied { encoder: "encoder", units: 12 }.apply(code)?)?.device(common::device()?);
    model.compile(Adam::new(0.01), Loss::MeanSquaredError, [])?;
    print!("{}", model.summary()?);
    let loss = |model: &mut Model| anyhow::Ok(model.evaluate(&data)?.get("loss").expect("compiled"));
    let before = loss(&mut model)?;
    model.fit(&data, Fit::new().epochs(200).verbose(0))?;
    println!("mean squared error: {before:.4} before, {:.4} after", loss(&mut model)?);
    Ok(())
}

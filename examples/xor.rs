//! Why deep nets came late: through five hidden layers of sigmoids the gradient of exclusive or vanishes.
//!
//! `cargo run --release --example xor [-- --device NAME]` trains 2-5-5-5-5-5-1 with sigmoids, which stays at the loss
//! of a guess, 0.6931, and with relu, which learns all four points, and prints the gradients' norms layer by layer.

mod common;

use kiln::prelude::*;

fn net(hidden: Activation, device: &Device) -> Sequential {
    let net = (0..5).fold(Sequential::new().seed(3), |net, _| net.add(Dense::new(5).activation(hidden)));
    net.add(Dense::new(1).activation(Activation::Sigmoid)).device(device.clone())
}

/// The root of the sum of squares of a layer's gradients: kernel and bias.
fn norms(gradients: &[Tensor]) -> Vec<f64> {
    let square = |t: &Tensor| t.values().to_f64().iter().map(|g| g * g).sum::<f64>();
    gradients.chunks(2).map(|layer| layer.iter().map(square).sum::<f64>().sqrt()).collect()
}

pub fn main() -> anyhow::Result<()> {
    let device = common::device()?;
    let x = Tensor::new([4, 2], vec![0.0f32, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0])?;
    let data = Dataset::new(x, Tensor::new([4, 1], vec![0.0f32, 1.0, 1.0, 0.0])?)?;
    for (name, activation) in [("sigmoid", Activation::Sigmoid), ("relu", Activation::Relu)] {
        let mut model = net(activation, &device);
        let fit = |epochs| Fit::new().epochs(epochs).batch_size(4).verbose(0);
        let optimizer: Box<dyn Optimizer> = match activation {
            Activation::Relu => Box::new(Adam::new(0.01)),
            _ => Box::new(Sgd { learning_rate: 0.1, ..Sgd::default() }),
        };
        model.compile(optimizer, Loss::BinaryCrossentropy, [Metric::Accuracy])?;
        model.fit(&data, fit(1))?;
        let norms = norms(&model.gradients()?);
        model.fit(&data, fit(1999))?;
        let scores = model.evaluate(&data)?;
        println!(
            "{name}: loss {:.4}, accuracy {:.2}",
            scores.get("loss").expect("there is one"),
            scores.get("accuracy").expect("asked for")
        );
        let norms: Vec<String> = norms.iter().map(|norm| format!("{norm:.1e}")).collect();
        println!("    gradients of the first step, first layer to last: {}", norms.join(", "));
    }
    Ok(())
}

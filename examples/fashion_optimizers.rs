//! Six optimizers, or settings of them, train the same net on Fashion-MNIST from the same weights.
//!
//! `cargo run --release --example fashion_optimizers [-- --device NAME --limit N --epochs N]` prints a table of what
//! each reaches in 5 epochs.

mod common;

use kiln::prelude::*;

pub fn main() -> anyhow::Result<()> {
    let args = common::Args::read(5)?;
    let data = common::fashion_mnist(args.limit)?;
    let optimizers: [(&str, Box<dyn Optimizer>); 6] = [
        ("SGD", Box::new(Sgd::default())),
        ("SGD 0.1", Box::new(Sgd { learning_rate: 0.1, ..Sgd::default() })),
        ("SGD Nesterov 0.9", Box::new(Sgd { momentum: 0.9, nesterov: true, ..Sgd::default() })),
        ("Adagrad", Box::new(Adagrad::default())),
        ("RMSprop", Box::new(RmsProp::default())),
        ("Adam", Box::new(Adam::default())),
    ];
    println!("{:<18}    loss  accuracy  val_loss  val_accuracy", "optimizer");
    for (name, optimizer) in optimizers {
        let mut model = Sequential::new()
            .add(Flatten)
            .add(Dense::new(100).activation(Activation::Relu))
            .add(Dense::new(10).activation(Activation::Softmax))
            .device(args.device.clone());
        model.compile(optimizer, Loss::SparseCategoricalCrossentropy, [Metric::Accuracy])?;
        let options = Fit::new().epochs(args.epochs).validation_data(&data.test).verbose(0);
        let history = model.fit(&data.train, options)?;
        let [loss, accuracy, val_loss, val_accuracy] =
            ["loss", "accuracy", "val_loss", "val_accuracy"].map(|name| history.get(name)[args.epochs - 1]);
        println!("{name:<18}{loss:>8.4}{accuracy:>10.4}{val_loss:>10.4}{val_accuracy:>14.4}");
    }
    Ok(())
}

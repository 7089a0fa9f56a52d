//! Fashion-MNIST by ten logistic regressions, one against the rest each, in five-fold cross validation.
//!
//! `cargo run --release --example fashion_logistic [-- --device NAME --limit N --epochs N]` prints each fold's accuracy
//! after 5 epochs, and their mean beside the notes'.

mod common;

use kiln::data::KFold;
use kiln::prelude::*;

/// Each label as a row of ten: a one at its place, zeros else. Each column is what one of the regressions learns.
fn one_hot(data: &Dataset) -> Result<Dataset> {
    let labels = data.y().values().to_f64();
    let rows = labels.iter().flat_map(|&label| (0..10).map(move |class| f32::from(f64::from(class) == label)));
    Dataset::new(data.x().clone(), Tensor::new([labels.len(), 10], rows.collect::<Vec<f32>>())?)
}

pub fn main() -> anyhow::Result<()> {
    let args = common::Args::read(5)?;
    let data = kiln::data::fashion_mnist()?.train.head(args.limit);
    let mut sum = 0.0;
    for (fold, split) in (1..).zip(KFold::new(5).stratified().shuffle(0).split(&data)?) {
        let mut model = Sequential::new()
            .add(Flatten)
            .add(Dense::new(10).activation(Activation::Sigmoid))
            .device(args.device.clone());
        // The loss is the mean over the ten, so that each of them has a tenth of this rate.
        let optimizer = Sgd { learning_rate: 0.5, ..Sgd::default() };
        model.compile(optimizer, Loss::BinaryCrossentropy, [Metric::CategoricalAccuracy])?;
        model.fit(&one_hot(&split.train)?, Fit::new().epochs(args.epochs).verbose(0))?;
        let accuracy = model.evaluate(&one_hot(&split.test)?)?.get("categorical_accuracy").expect("asked for");
        println!("fold {fold}: accuracy {accuracy:.4}");
        sum += accuracy;
    }
    println!("mean accuracy {:.4}, the notes' 0.8196", sum / 5.0);
    Ok(())
}

//! Training that ends by itself: when the validation loss has not fallen for two epochs, the best weights come back.
//!
//! `cargo run --release --example fashion_early_stopping [-- --device NAME --limit N --epochs N]` has 20 epochs at
//! most. The best model is saved, too, as `runs/fashion.safetensors`: both are measured again.

mod common;

use kiln::prelude::*;

const BEST: &str = "runs/fashion.safetensors";

pub fn main() -> anyhow::Result<()> {
    let args = common::Args::read(20)?;
    let data = common::fashion_mnist(args.limit)?;
    let mut model = Sequential::new()
        .add(Flatten)
        .add(Dense::new(100).activation(Activation::Relu))
        .add(Dropout::new(0.3))
        .add(Dense::new(10).activation(Activation::Softmax))
        .device(args.device.clone());
    model.compile(Adam::default(), Loss::SparseCategoricalCrossentropy, [Metric::Accuracy])?;
    let mut early = EarlyStopping::new().patience(2).restore_best_weights(true);
    let best = ModelCheckpoint::new(BEST).save_best_only(true);
    let options = Fit::new().epochs(args.epochs).validation_data(&data.test).callback(&mut early).callback(best);
    model.fit(&data.train, options)?;
    match early.stopped_epoch() {
        Some(epoch) => println!("stopped after epoch {epoch} of {}", args.epochs),
        None => println!("not stopped in {} epochs", args.epochs),
    }
    let (epoch, best) = early.best_epoch().zip(early.best()).expect("every epoch is validated");
    println!("best epoch {epoch}: val_loss {best:.4}");
    for (name, mut model) in [("restored", model), ("saved", Sequential::load(BEST)?.device(args.device))] {
        let scores = model.evaluate(&data.test)?;
        let [loss, accuracy] = ["loss", "accuracy"].map(|name| scores.get(name).expect("measured"));
        println!("{name}: val_loss {loss:.4}, val_accuracy {accuracy:.4}");
    }
    Ok(())
}

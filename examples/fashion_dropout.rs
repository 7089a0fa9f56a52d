//! Over-fitting, and dropout against it: the same net with and without, and the curves of its losses as pictures.
//!
//! `cargo run --release --example fashion_dropout [-- --device NAME --limit N --epochs N]` trains each for 20 epochs
//! and prints how far the losses on samples seen and not seen are apart. The pictures are `runs/dropout-0.png` and
//! `runs/dropout-0.3.png`.

mod common;

use kiln::prelude::*;

pub fn main() -> anyhow::Result<()> {
    let args = common::Args::read(20)?;
    let data = common::fashion_mnist(args.limit)?;
    std::fs::create_dir_all("runs")?;
    let mut lines = Vec::new();
    for rate in [0.0, 0.3] {
        println!("Dropout of {rate}");
        let mut model = Sequential::new()
            .add(Flatten)
            .add(Dense::new(100).activation(Activation::Relu))
            .add(Dropout::new(rate))
            .add(Dense::new(10).activation(Activation::Softmax))
            .device(args.device.clone());
        model.compile(Adam::default(), Loss::SparseCategoricalCrossentropy, [Metric::Accuracy])?;
        let history = model.fit(&data.train, Fit::new().epochs(args.epochs).validation_data(&data.test))?;
        history.plot(format!("runs/dropout-{rate}.png"))?;
        // The epoch's own loss is a mean with dropout at work, higher than that of the net which is validated.
        let mut loss = |data: &Dataset| Ok::<_, Error>(model.evaluate(data)?.get("loss").expect("there is one"));
        let (seen, unseen) = (loss(&data.train)?, loss(&data.test)?);
        lines.push(format!("{rate:<10}{seen:>8.4}{unseen:>10.4}{:>8.4}", unseen - seen));
    }
    println!("dropout       loss  val_loss     gap");
    lines.iter().for_each(|line| println!("{line}"));
    Ok(())
}

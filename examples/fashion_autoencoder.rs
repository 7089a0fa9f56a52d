//! A convolutional autoencoder of Fashion-MNIST: 784 pixels into 98 numbers, and back.
//!
//! `cargo run --release --example fashion_autoencoder [-- --device NAME --limit N --epochs N]` prints the mean squared error of the test
//! images and draws some of them, and what becomes of them, to runs/autoencoder.png.

mod common;

use kiln::plot::ImageGrid;
use kiln::prelude::*;

const BATCH: usize = 128;
/// How many test images are drawn.
const DRAWN: usize = 24;

fn model() -> Sequential {
    let smaller = |filters| Conv2D::new(filters, 3).strides(2).padding("same").activation("relu");
    let larger = |filters| Conv2DTranspose::new(filters, 3).strides(2).padding("same").activation("relu");
    Sequential::new()
        .add(Input::new([28, 28, 1]))
        .add(smaller(16))
        .add(smaller(32))
        .add(Conv2D::new(2, 3).padding("same").named("code"))
        .add(larger(32))
        .add(larger(16))
        .add(Conv2D::new(1, 3).padding("same").activation("sigmoid"))
}

/// A set whose targets are its images, from 0 to 1.
fn images(data: &Dataset) -> Result<Dataset> {
    let pixels: Vec<f32> = data.x().values().to_f32().into_iter().map(|pixel| pixel * data.scale()).collect();
    let images = Tensor::new([data.len(), 28, 28, 1], pixels)?;
    Dataset::new(images.clone(), images)
}

pub fn main() -> anyhow::Result<()> {
    let args = common::Args::read(5)?;
    let data = kiln::data::fashion_mnist()?;
    let (train, test) = (images(&data.train.head(args.limit))?, images(&data.test)?);
    let rate = common::one_cycle(0.005, args.epochs * train.len().div_ceil(BATCH), 5);
    let mut model = model().device(args.device);
    model.compile(Scheduled::new(Adam::default(), rate), "mse", [])?;
    print!("{}", model.summary()?);
    model.fit(&train, Fit::new().epochs(args.epochs).batch_size(BATCH))?;
    let error = model.evaluate(&test)?.get("loss").expect("there is a loss");
    println!("mean squared error of the test images: {error:.4}");
    let originals = test.x().head(DRAWN);
    let reconstructions = model.predict(&originals)?;
    std::fs::create_dir_all("runs")?;
    ImageGrid::new("Fashion-MNIST by a convolutional autoencoder")
        .images("originals", &originals)?
        .images("reconstructions, of 98 numbers each", &reconstructions)?
        .save("runs/autoencoder.png")?;
    println!("drawn to runs/autoencoder.png");
    Ok(())
}
